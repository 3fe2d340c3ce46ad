"""Experiment 3: the probability itself, alone and with wider layers; and which layer takes more."""

from __future__ import annotations

from typing import Any

import numpy as np

from examples.lab.frame import Experiment, Finding, Results, Run, Scale
from examples.lab.statistics import paired, together, verdict
from examples.lab.training import TRAIN, final, settled

HIDDEN = 64  # units that are kept on average where the width grows with p
CHAPTER = (0.2, 0.5)


def rates(scale: Scale) -> list[float]:
    """Return the probabilities of the sweep."""
    return scale.pick([0.0, 0.5, 0.9], [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9])


def run(p: float, q: float, seed: int, scale: Scale, widened: bool = False) -> Run:
    """Return a run with probability p after the first hidden layer and q after the second."""
    hiddens = [round(HIDDEN / (1 - x)) if widened else 256 for x in (p, q)]
    length = {"train_size": 2_000, "batch_size": 32, "epochs": scale.pick(10, 32)}
    settings = {**settled(scale), **length, "dropout": [p, q], "hiddens": hiddens}
    return Run(TRAIN, {**settings, "seed": seed})


def line(p: float, scale: Scale, widened: bool = False) -> list[Run]:
    """Return the runs at a probability, the same after both layers; half as many widened."""
    seeds = max(2, scale.seeds // 2) if widened else scale.seeds
    return [run(p, p, seed, scale, widened) for seed in range(seeds)]


def square(scale: Scale) -> dict[tuple[float, float], list[Run]]:
    """Return the runs of the heat map: few seeds, every pair of probabilities."""
    values = scale.pick([0.2, 0.5], [0.0, 0.2, 0.5, 0.8])
    seeds = range(scale.pick(2, 3))
    return {(p, q): [run(p, q, seed, scale) for seed in seeds] for p in values for q in values}


def swap(scale: Scale) -> tuple[list[Run], list[Run]]:
    """Return the runs with the chapter's two probabilities, and with the two exchanged."""
    p, q = CHAPTER
    seeds = range(scale.seeds)
    return [run(p, q, seed, scale) for seed in seeds], [run(q, p, seed, scale) for seed in seeds]


def runs(scale: Scale) -> list[Run]:
    """Return both sweeps, the swap and the heat map."""
    sweeps = [r for p in rates(scale) for w in (False, True) for r in line(p, scale, w)]
    pairs = [r for arm in swap(scale) for r in arm]
    return sweeps + pairs + [r for cell in square(scale).values() for r in cell]


def judge(results: Results, scale: Scale, level: float) -> Finding:
    """Ask whether train accuracy without noise falls from each probability to the next."""
    table, steps, mean_test = [], {}, {}
    before: list[float] | None = None
    for p in rates(scale):
        accuracy = results.each(line(p, scale), final("train_acc_eval"))
        test = results.each(line(p, scale), final("test_acc"))
        wide = results.each(line(p, scale, widened=True), final("test_acc"))
        row: dict[str, Any] = {
            "p": str(p),
            "train accuracy, noise off": float(np.mean(accuracy)),
            "step": "–",
        }
        if before is not None:
            steps[p] = paired(accuracy, before, level)
            row["step"] = steps[p].text(100, "points")
        mean_test[p] = float(np.mean(test))
        row |= {"test accuracy": mean_test[p], "gain over p = 0": "–"}
        nothing = results.each(line(0.0, scale), final("test_acc"))
        if p:
            row["gain over p = 0"] = paired(test, nothing, level).text(100, "points")
        row |= {f"test accuracy, width {HIDDEN}/(1 − p)": float(np.mean(wide))}
        table.append(row)
        before = accuracy
    down = [f"{p:g}" for p, step in steps.items() if step.high < 0]
    up = [f"{p:g}" for p, step in steps.items() if step.low > 0]
    chapter, swapped = (results.each(arm, final("test_acc")) for arm in swap(scale))
    best = max(rates(scale), key=lambda p: mean_test[p])
    summary = (
        f"of {len(steps)} steps from one p to the next, train accuracy falls beyond its interval "
        f"in {len(down)} (to {', '.join(down) or 'none'}) and rises in {len(up)}; test accuracy "
        f"is highest at p = {best}; .2/.5 minus .5/.2: "
        f"{paired(chapter, swapped, level).text(100, 'points')} seeds"
    )
    return Finding(together(verdict(step, -1) for step in steps.values()), summary, table)


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
        mean, spread = np.mean(values, axis=1), np.std(values, axis=1, ddof=1)
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
        "784-n-n-10 on the first 2,000 images, 32 epochs in batches of 32, learning rate falling "
        f"from 0.2 to 0; p from 0 to 0.9 after both hidden layers, with n = 256 and with "
        f"n = {HIDDEN}/(1 − p), of which half as many seeds; and every pair of four values, "
        "3 seeds each."
    ),
    criterion=(
        "Paired differences in train accuracy with the noise off, from each p to the next. "
        "Supported if all intervals lie below 0, depends (on p) if some do, refuted if some lie "
        "above and none below, else not supported."
    ),
    runs=runs,
    judge=judge,
    draw=draw,
    comparisons=9,
)
