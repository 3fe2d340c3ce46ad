"""Experiment 5: what dropout does to the hidden units, and to the features they stand for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

import minigrad
from examples.lab.frame import Experiment, Finding, Results, Run, Scale
from examples.lab.statistics import paired, together, verdict
from examples.lab.training import curves, settled, split, trained
from examples.lab.with_without import ARMS, COLORS

FEATURES = 16  # units whose weights are shown
IMAGES = 2_000  # test images that activations are measured on


def observe(dropout: Sequence[float], seed: int, **settings: Any) -> dict[str, Any]:
    """Train, and measure both hidden layers after each epoch.

    Args:
        dropout, seed, settings: see `trained`.

    Returns:
        For each hidden layer, by its number, ``active`` (the share of activations above 0),
        ``mean`` and ``variance`` (over images, averaged over units) without noise, and ``noisy``:
        the variance behind the layer's dropout as in training; each a list with an entry for each
        epoch. ``features``: the incoming weights of the first units, rows of 784 small integers.
    """
    _, test = split(0)
    x, _ = test[np.arange(IMAGES)]
    measures: dict[str, list[float]] = {}

    def measure(net: Any) -> None:
        for noisy in (False, True):
            net.train(noisy)
            hidden = net[0](x)
            for layer, first in ((1, 1), (2, 4)):
                hidden = net[first + 1](net[first](hidden))
                clean = hidden.numpy()
                hidden = net[first + 2](hidden)
                found = {"noisy": hidden.numpy().var(axis=0).mean()}
                if not noisy:
                    found = {"active": (clean > 0).mean(), "mean": clean.mean()}
                    found["variance"] = clean.var(axis=0).mean()
                for name, value in found.items():
                    measures.setdefault(f"{name} {layer}", []).append(float(value))

    def unrecorded(net: Any) -> None:
        with minigrad.no_grad():
            measure(net)

    net, _, _ = trained(seed, dropout, each_epoch=unrecorded, **settings)
    weights: Any = net.state_dict()["1.weight"].numpy()[:FEATURES]
    largest = np.abs(weights).max(axis=1, keepdims=True)
    return {**measures, "features": np.rint(99 * weights / largest).astype(int).tolist()}


def arm(name: str, scale: Scale) -> list[Run]:
    """Return an arm's runs."""
    fixed = {"dropout": ARMS[name], **settled(scale)}
    function = "examples.lab.activations:observe"
    return [Run(function, {**fixed, "seed": seed}) for seed in range(scale.seeds)]


def runs(scale: Scale) -> list[Run]:
    """Return both arms."""
    return [run for name in ARMS for run in arm(name, scale)]


def judge(results: Results, scale: Scale, level: float) -> Finding:
    """Compare the share of active units after the last epoch, pair by pair, layer by layer."""
    table, intervals = [], {}
    for measure, words in (
        ("active", "share of activations above 0"),
        ("mean", "mean activation"),
        ("variance", "variance over images"),
        ("noisy", "variance behind dropout, in training"),
    ):
        for layer in (1, 2):
            key = f"{measure} {layer}"
            last = {name: [results[run][key][-1] for run in arm(name, scale)] for name in ARMS}
            intervals[key] = paired(last["with dropout"], last["without"], level)
            means = {name: float(np.mean(values)) for name, values in last.items()}
            difference = intervals[key].text(digits=4)
            row = {"hidden layer": str(layer), "measure": words}
            table.append({**row, **means, "difference": difference})
    first, second = intervals["active 1"], intervals["active 2"]
    summary = (
        f"difference in the share of active units: {first.text(100, 'points')} seeds in the first "
        f"hidden layer, {second.text(100, 'points')} in the second"
    )
    return Finding(together([verdict(first, -1), verdict(second, -1)]), summary, table)


def draw(results: Results, scale: Scale, figure: Any) -> None:
    """Draw sparsity and variance over the epochs, and features of both arms."""
    grid = figure.add_gridspec(2, 3, width_ratios=(1.6, 1, 1))
    panel = None
    for row, (measure, label) in enumerate(
        [("active", "share above 0"), ("variance", "variance, noise off")]
    ):
        panel = figure.add_subplot(grid[row, 0], sharex=panel)
        for name in ARMS:
            for layer, style in ((1, "-"), (2, "--")):
                mean = np.nanmean(curves(results, arm(name, scale), f"{measure} {layer}"), axis=0)
                epochs = range(1, len(mean) + 1)
                words = f"{name}, layer {layer}"
                panel.plot(epochs, mean, color=COLORS[name], ls=style, label=words)
        panel.set(xlabel="epoch" if row else "", ylabel=label)
        panel.set_ylim(0, None if row else 1)
        if row:
            panel.legend(fontsize="x-small")
    for column, name in enumerate(ARMS, start=1):
        panel = figure.add_subplot(grid[:, column])
        features = np.array(results[arm(name, scale)[0]]["features"]).reshape(4, 4, 28, 28)
        tiles = np.pad(features, ((0, 0), (0, 0), (1, 1), (1, 1)))
        panel.imshow(tiles.transpose(0, 2, 1, 3).reshape(120, 120), cmap="PuOr", vmin=-99, vmax=99)
        panel.set(title=f"weights of 16 units,\n{name}", xticks=[], yticks=[])
        panel.set_xlabel("orange below 0, purple above;\neach unit to its own scale", size="small")


EXPERIMENT = Experiment(
    title="What the hidden units do",
    claim="Dropout makes hidden activations sparser.",
    source="Srivastava et al., 2014, figures 7 and 8; d2l.ai, Dropout, exercise 3",
    settings=(
        "784-256-256-10, dropout .2/.5 against none, first 10,000 images, 25 epochs in batches of "
        "64, learning rate falling from 0.2 to 0; both hidden layers after ReLU on "
        f"{IMAGES:,} test images."
    ),
    criterion=(
        "The paired difference in the share of activations above 0 after the last epoch, noise "
        "off, in each hidden layer: supported if both intervals lie below 0, depends (on the "
        "layer) if one does, refuted if one lies above and none below, else not supported."
    ),
    runs=runs,
    judge=judge,
    draw=draw,
    comparisons=2,
)
