"""Experiment 7: dropout, weight decay, both; and whether dropout shrinks the weights."""

from __future__ import annotations

from typing import Any

import numpy as np

from examples.lab.frame import Experiment, Finding, Results, Run, Scale
from examples.lab.statistics import paired, verdict
from examples.lab.training import recipe, trained

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

    _, history, _ = trained(each_epoch=measure, lr=0.1, **settings)
    return {**measures, "test_acc": history.test_acc}


def arm(name: str, scale: Scale) -> list[Run]:
    """Return an arm's runs."""
    dropout, decay = ARMS[name]
    fixed = {"dropout": dropout, "weight_decay": decay, **recipe(scale, epochs=15)}
    function = "examples.lab.weight_decay:norms"
    return [Run(function, {**fixed, "seed": seed}) for seed in range(scale.seeds)]


def runs(scale: Scale) -> list[Run]:
    """Return all four arms."""
    return [run for name in ARMS for run in arm(name, scale)]


def judge(results: Results, scale: Scale, level: float) -> Finding:
    """Compare the norm of the weights with dropout and with neither, pair by pair."""
    table = []
    for name in ARMS:
        row: dict[str, Any] = {"arm": name}
        for measure, words in (
            ("norm", "norm of all weights"),
            ("unit", "norm of a unit's weights"),
            ("participation", "inputs a unit relies on, of 784"),
            ("test_acc", "test accuracy"),
        ):
            row[words] = float(np.mean([results[run][measure][-1] for run in arm(name, scale)]))
        table.append(row)
    last = {n: np.array([results[run]["norm"][-1] for run in arm(n, scale)]) for n in ARMS}
    ratio = paired(list(np.log(last["dropout"])), list(np.log(last["neither"])), level)
    decayed = paired(list(np.log(last["weight decay"])), list(np.log(last["neither"])), level)
    summary = (
        f"dropout changes the norm of the weights by {ratio.text(100, '%')} seeds; "
        f"weight decay of {DECAY} by {decayed.text(100, '%')}"
    )
    return Finding(verdict(ratio, -1), summary, table)


def draw(results: Results, scale: Scale, figure: Any) -> None:
    """Draw norm and participation over the epochs."""
    panels = figure.subplots(1, 3)
    for panel, (measure, words) in zip(
        panels,
        (
            ("norm", "Frobenius norm of all weights"),
            ("participation", "inputs that a unit relies on"),
            ("test_acc", "test accuracy"),
        ),
        strict=True,
    ):
        for name in ARMS:
            values = np.array([results[run][measure] for run in arm(name, scale)])
            epochs = range(1, values.shape[1] + 1)
            panel.plot(epochs, values.mean(axis=0), color=COLORS[name], label=name)
        panel.set(xlabel="epoch", title=words)
    panels[0].legend()


EXPERIMENT = Experiment(
    title="Dropout and weight decay",
    claim="Dropout shrinks the weights, as weight decay does.",
    source="A. Ng's lectures as the chapter quotes them; d2l.ai, Dropout, exercise 5",
    settings=(
        "784-256-256-10 with dropout .2/.5, with weight decay of 0.001, with both, with neither; "
        "learning rate 0.1, 15 epochs of 60,000 images."
    ),
    criterion=(
        "The paired difference in the logarithm of the Frobenius norm of all weights, dropout "
        "against neither: supported if its interval lies below 0, refuted if above, else not "
        "supported."
    ),
    runs=runs,
    judge=judge,
    draw=draw,
    minutes=8,
    comparisons=2,
)
