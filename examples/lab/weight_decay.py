"""Experiment 7: dropout, weight decay, both; and whether dropout shrinks the weights."""

from __future__ import annotations

from typing import Any

import numpy as np

from examples.lab.frame import Experiment, Finding, Results, Run, Scale
from examples.lab.statistics import paired, verdict
from examples.lab.training import curves, settled, trained

DECAY = 1e-3
ARMS = {
    "neither": ([0.0, 0.0], 0.0),
    "dropout": ([0.2, 0.5], 0.0),
    "weight decay": ([0.0, 0.0], DECAY),
    "both": ([0.2, 0.5], DECAY),
}
COLORS = {
    "neither": "#999999",
    "dropout": "#0072B2",
    "weight decay": "#D55E00",
    "both": "#009E73",
}


STYLES = {"neither": ":", "dropout": "-", "weight decay": "--", "both": "-."}


def norms(**settings: Any) -> dict[str, Any]:
    """Train, and measure the weights after each epoch.

    Returns:
        ``norm``: the Frobenius norm of all three weight matrices together; ``unit``: the mean norm
        of a hidden unit's incoming weights; ``participation``: (Σw²)²/Σw⁴ over a unit's incoming
        weights, the number of inputs that it relies on, averaged; ``test_acc``: all lists with an
        entry for each epoch.
    """
    measures: dict[str, list[float]] = {"norm": [], "unit": [], "participation": []}

    def measure(net: Any) -> None:
        state = net.state_dict()
        matrices = [state[f"{i}.weight"].numpy().astype(np.float64) for i in (1, 4, 7)]
        squares = [(w**2).sum(axis=1) for w in matrices]
        fourths = [(w**4).sum(axis=1) for w in matrices]
        measures["norm"].append(float(np.sqrt(sum(s.sum() for s in squares))))
        measures["unit"].append(float(np.sqrt(np.concatenate(squares[:2])).mean()))
        shares = [s**2 / f for s, f in zip(squares[:1], fourths[:1], strict=True)]
        measures["participation"].append(float(np.concatenate(shares).mean()))

    _, history, _ = trained(each_epoch=measure, **settings)
    return {**measures, "test_acc": history.test_acc}


def arm(name: str, scale: Scale) -> list[Run]:
    """Return an arm's runs."""
    dropout, decay = ARMS[name]
    fixed = {"dropout": dropout, "weight_decay": decay, **settled(scale)}
    function = "examples.lab.weight_decay:norms"
    return [Run(function, {**fixed, "seed": seed}) for seed in range(scale.seeds)]


def runs(scale: Scale) -> list[Run]:
    """Return all four arms."""
    return [run for name in ARMS for run in arm(name, scale)]


def judge(results: Results, scale: Scale, level: float) -> Finding:
    """Compare the norm of the weights with dropout and with neither, pair by pair."""
    table = []
    values: dict[tuple[str, str], list[float]] = {}
    for name in ARMS:
        row: dict[str, Any] = {"arm": name}
        for measure, words in (
            ("norm", "norm of all weights"),
            ("unit", "norm of a unit's weights"),
            ("participation", "inputs a unit relies on, of 784"),
            ("test_acc", "test accuracy"),
        ):
            values[name, measure] = [results[run][measure][-1] for run in arm(name, scale)]
            row[words] = float(np.mean(values[name, measure]))
        if name != "neither":
            gain = paired(values[name, "test_acc"], values["neither", "test_acc"], level)
            row["test accuracy minus neither"] = gain.text(100, "points")
        else:
            row["test accuracy minus neither"] = "–"
        table.append(row)
    logs = {name: list(np.log(values[name, "norm"])) for name in ARMS}
    ratio = paired(logs["dropout"], logs["neither"], level)
    decayed = paired(logs["weight decay"], logs["neither"], level)
    summary = (
        f"dropout changes the logarithm of the norm by {ratio.text(100, 'hundredths')} seeds; "
        f"weight decay of {DECAY} by {decayed.text(100, 'hundredths')}"
    )
    return Finding(verdict(ratio, -1), summary, table)


def draw(results: Results, scale: Scale, figure: Any) -> None:
    """Draw norm and participation over the epochs."""
    panels = figure.subplots(1, 3)
    for panel, (measure, words) in zip(
        panels,
        (
            ("norm", "Frobenius norm of all weights"),
            ("participation", "inputs a unit relies on, of 784"),
            ("test_acc", "test accuracy"),
        ),
        strict=True,
    ):
        for name in ARMS:
            mean = np.nanmean(curves(results, arm(name, scale), measure), axis=0)
            panel.plot(
                range(1, len(mean) + 1), mean, color=COLORS[name], ls=STYLES[name], label=name
            )
        panel.set(xlabel="epoch", title=words)
    panels[0].legend()


EXPERIMENT = Experiment(
    title="Dropout and weight decay",
    claim="Dropout shrinks the weights, as weight decay does.",
    source="A. Ng's lectures as the chapter quotes them; d2l.ai, Dropout, exercise 5",
    settings=(
        "784-256-256-10 with dropout .2/.5, with weight decay of 0.001, with both, with neither; "
        "first 10,000 images, 25 epochs in batches of 64, learning rate falling from 0.2 to 0."
    ),
    criterion=(
        "The paired difference in the logarithm of the Frobenius norm of all weights, dropout "
        "against neither: supported if its interval lies below 0, refuted if above, else not "
        "supported."
    ),
    runs=runs,
    judge=judge,
    draw=draw,
)
