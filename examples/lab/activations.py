"""Experiment 5: what dropout does to the hidden units, and to the features they stand for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

import minigrad
from examples.lab.frame import Experiment, Finding, Results, Run, Scale
from examples.lab.statistics import paired, verdict
from examples.lab.training import recipe, split, trained
from examples.lab.with_without import ARMS

FEATURES = 16  # units whose weights are shown
IMAGES = 2_000  # test images that activations are measured on


def observe(dropout: Sequence[float], seed: int, **settings: Any) -> dict[str, Any]:
    """Train, and measure the first hidden layer after each epoch, without noise.

    Args:
        dropout, seed: see `trained`.
        settings: see `recipe`.

    Returns:
        ``mean``, ``variance`` (over images, averaged over units) and ``active`` (the share of
        activations above 0) of the layer's outputs, a list with an entry for each epoch; and
        ``features``: the incoming weights of the first units, as rows of 784 small integers.
    """
    _, test = split(0)
    x, _ = test[np.arange(IMAGES)]
    measures: dict[str, list[float]] = {"mean": [], "variance": [], "active": []}

    def measure(net: Any) -> None:
        with minigrad.no_grad():
            hidden = net[2](net[1](net[0](x))).numpy()
        measures["mean"].append(float(hidden.mean()))
        measures["variance"].append(float(hidden.var(axis=0).mean()))
        measures["active"].append(float((hidden > 0).mean()))

    net, _, _ = trained(seed, dropout, lr=0.1, each_epoch=measure, **settings)
    weights: Any = net.state_dict()["1.weight"].numpy()[:FEATURES]
    largest = np.abs(weights).max(axis=1, keepdims=True)
    return {**measures, "features": np.rint(99 * weights / largest).astype(int).tolist()}


def arm(name: str, scale: Scale) -> list[Run]:
    """Return an arm's runs."""
    fixed = {"dropout": ARMS[name], **recipe(scale)}
    function = "examples.lab.activations:observe"
    return [Run(function, {**fixed, "seed": seed}) for seed in range(scale.seeds)]


def runs(scale: Scale) -> list[Run]:
    """Return both arms."""
    return [run for name in ARMS for run in arm(name, scale)]


def judge(results: Results, scale: Scale, level: float) -> Finding:
    """Compare the share of active units after the last epoch, pair by pair."""
    table, intervals = [], {}
    for measure, words in (
        ("active", "share of activations above 0"),
        ("mean", "mean activation"),
        ("variance", "variance over images"),
    ):
        last = {name: [results[run][measure][-1] for run in arm(name, scale)] for name in ARMS}
        intervals[measure] = paired(last["with dropout"], last["without"], level)
        means = {name: float(np.mean(values)) for name, values in last.items()}
        table.append(
            {
                "first hidden layer, no noise": words,
                **means,
                "difference": intervals[measure].text(digits=4),
            }
        )
    sparser = intervals["active"]
    summary = f"difference in the share of active units {sparser.text(100, 'points')} seeds"
    return Finding(verdict(sparser, -1), summary, table)


def draw(results: Results, scale: Scale, figure: Any) -> None:
    """Draw sparsity and variance over the epochs, and features of both arms."""
    grid = figure.add_gridspec(2, 3, width_ratios=(1.3, 1, 1))
    for row, (measure, label) in enumerate(
        [("active", "share above 0"), ("variance", "variance over images")]
    ):
        panel = figure.add_subplot(grid[row, 0])
        for name, color in zip(ARMS, ("#0072B2", "#D55E00"), strict=True):
            values = np.array([results[run][measure] for run in arm(name, scale)])
            panel.plot(range(1, values.shape[1] + 1), values.mean(axis=0), color=color, label=name)
        panel.set(xlabel="epoch" if row else "", ylabel=label)
        if not row:
            panel.legend(fontsize="small")
    for column, name in enumerate(ARMS, start=1):
        panel = figure.add_subplot(grid[:, column])
        features = np.array(results[arm(name, scale)[0]]["features"]).reshape(4, 4, 28, 28)
        tiles = np.pad(features, ((0, 0), (0, 0), (1, 1), (1, 1)))
        panel.imshow(tiles.transpose(0, 2, 1, 3).reshape(120, 120), cmap="PuOr", vmin=-99, vmax=99)
        panel.set(title=f"weights of 16 units,\n{name}", xticks=[], yticks=[])


EXPERIMENT = Experiment(
    title="What the hidden units do",
    claim="Dropout makes hidden activations sparser.",
    source="Srivastava et al., 2014, figures 7 and 8; d2l.ai, Dropout, exercise 3",
    settings=(
        "784-256-256-10, dropout .2/.5 against none, learning rate 0.1, 10 epochs of 60,000 "
        f"images; the first hidden layer after ReLU on {IMAGES:,} test images, noise off."
    ),
    criterion=(
        "The paired difference in the share of activations above 0 after the last epoch: "
        "supported if its interval lies below 0, refuted if above, else not supported."
    ),
    runs=runs,
    judge=judge,
    draw=draw,
    minutes=3,
)
