"""Experiment 3: the probability itself, alone and with wider layers; and which layer takes more."""

from __future__ import annotations

from typing import Any

import numpy as np

from examples.lab.frame import Experiment, Finding, Results, Run, Scale
from examples.lab.statistics import paired
from examples.lab.training import TRAIN, final

HIDDEN = 128  # units that are kept on average where the width grows with p


def rates(scale: Scale) -> list[float]:
    """Return the probabilities of the sweep."""
    return scale.pick([0.0, 0.5, 0.9], [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9])


def run(p: float, q: float, seed: int, scale: Scale, widened: bool = False) -> Run:
    """Return a run with probability p after the first hidden layer and q after the second."""
    hiddens = [round(HIDDEN / (1 - x)) if widened else 256 for x in (p, q)]
    length = {"batch_size": scale.pick(32, 256), "epochs": scale.pick(3, 20)}
    settings = {"dropout": [p, q], "hiddens": hiddens, "lr": 0.1, "train_size": 10_000, **length}
    return Run(TRAIN, {**settings, "seed": seed})


def line(p: float, scale: Scale, widened: bool = False) -> list[Run]:
    """Return the runs at a probability, the same after both layers."""
    return [run(p, p, seed, scale, widened) for seed in range(scale.seeds)]


def square(scale: Scale) -> dict[tuple[float, float], list[Run]]:
    """Return the runs of the heat map: few seeds, every pair of probabilities."""
    values = scale.pick([0.2, 0.5], [0.0, 0.2, 0.5, 0.8])
    seeds = range(min(scale.seeds, scale.pick(2, 5)))
    return {(p, q): [run(p, q, seed, scale) for seed in seeds] for p in values for q in values}


def runs(scale: Scale) -> list[Run]:
    """Return both sweeps and the heat map."""
    sweeps = [r for p in rates(scale) for w in (False, True) for r in line(p, scale, w)]
    return sweeps + [r for cell in square(scale).values() for r in cell]


def judge(results: Results, scale: Scale, level: float) -> Finding:
    """Ask whether train loss without noise rises from each probability to the next."""
    table, steps = [], []
    before: list[float] | None = None
    for p in rates(scale):
        accuracy = results.each(line(p, scale), final("train_acc_eval"))
        test = results.each(line(p, scale), final("test_acc"))
        wide = results.each(line(p, scale, widened=True), final("test_acc"))
        row = {"p": p, "train accuracy, noise off": float(np.mean(accuracy))}
        row |= {"test accuracy": float(np.mean(test))}
        row |= {f"test accuracy, width {HIDDEN}/(1 − p)": float(np.mean(wide))}
        table.append(row)
        if before is not None:
            steps.append(paired(accuracy, before, level))
        before = accuracy
    down = sum(step.high < 0 for step in steps)
    up = sum(step.low > 0 for step in steps)
    summary = (
        f"of {len(steps)} steps from one p to the next, train accuracy falls in {down} and rises "
        f"in {up} beyond its interval ({scale.seeds} seeds)"
    )
    if up:
        return Finding("depends" if down else "refuted", summary, table)
    return Finding("supported" if down == len(steps) else "not supported", summary, table)


def draw(results: Results, scale: Scale, figure: Any) -> None:
    """Draw accuracy over p, and the heat map of test accuracy over both probabilities."""
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    p = rates(scale)
    for measure, widened, label, style in (
        ("train_acc_eval", False, "train, width 256", {"color": "#D55E00", "marker": "o"}),
        ("test_acc", False, "test, width 256", {"color": "#0072B2", "marker": "s"}),
        ("test_acc", True, f"test, width {HIDDEN}/(1 − p)", {"color": "#009E73", "marker": "^"}),
    ):
        values = [results.each(line(x, scale, widened), final(measure)) for x in p]
        mean, spread = np.mean(values, axis=1), np.std(values, axis=1)
        left.errorbar(p, mean, spread, label=label, capsize=2, **style)
    left.set(xlabel="p after both hidden layers", ylabel="accuracy (mean, standard deviation)")
    left.legend()
    cells = square(scale)
    ticks = sorted({a for a, _ in cells})
    grid = [[np.mean(results.each(cells[a, b], final("test_acc"))) for a in ticks] for b in ticks]
    image = right.imshow(grid, origin="lower", cmap="cividis")
    for i, row in enumerate(grid):
        for j, value in enumerate(row):
            shade = "black" if value > np.mean(grid) else "white"
            right.text(j, i, f"{value:.3f}", ha="center", va="center", color=shade)
    right.set_xticks(range(len(ticks)), map(str, ticks))
    right.set_yticks(range(len(ticks)), map(str, ticks))
    right.set(xlabel="p after the first layer", ylabel="p after the second", title="test accuracy")
    figure.colorbar(image, ax=right)


EXPERIMENT = Experiment(
    title="Larger p, simpler model",
    claim="The larger p, the less the network fits its training set.",
    source="d2l.ai, Dropout; Srivastava et al., 2014, figure 9",
    settings=(
        "784-n-n-10 on the first 10,000 images, 20 epochs at 0.1; p from 0 to 0.9 after both "
        "hidden layers, with n = 256 and with n = 128/(1 − p); and every pair of four values."
    ),
    criterion=(
        "Paired differences in train accuracy with the noise off, from each p to the next. "
        "Supported if all intervals lie below 0, refuted if some lie above and none below, "
        "depends if there are both, else not supported."
    ),
    runs=runs,
    judge=judge,
    draw=draw,
    minutes=22,
    comparisons=9,
)
