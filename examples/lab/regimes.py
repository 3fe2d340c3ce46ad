"""Experiment 4: how much data there has to be for dropout to help, when training is long."""

from __future__ import annotations

from typing import Any

import numpy as np

from examples.lab.frame import Experiment, Finding, Results, Run, Scale
from examples.lab.statistics import Interval, paired, together, verdict
from examples.lab.training import TRAIN, curves, final, settled
from examples.lab.with_without import ARMS, COLORS

#: training images (0 stands for all): batch size and epochs, many enough to overfit
SIZES = {
    100: (10, 100),
    500: (16, 100),
    1_000: (32, 100),
    5_000: (64, 50),
    10_000: (64, 40),
    0: (256, 20),
}
SHOWN = 1_000  # the size whose curves are drawn


def sizes(scale: Scale) -> list[int]:
    """Return the numbers of training images; 0 stands for all."""
    return scale.pick([100, 1_000], list(SIZES))


def arm(name: str, size: int, scale: Scale) -> list[Run]:
    """Return an arm's runs: every size is trained until little changes any more."""
    batch, epochs = SIZES[size]
    fixed = {**settled(scale), "dropout": ARMS[name], "train_size": size, "batch_size": batch}
    fixed["epochs"] = scale.pick(30, epochs)
    return [Run(TRAIN, {**fixed, "seed": seed}) for seed in range(scale.seeds)]


def runs(scale: Scale) -> list[Run]:
    """Return both arms at every size."""
    return [run for size in sizes(scale) for name in ARMS for run in arm(name, size, scale)]


def gains(results: Results, scale: Scale, level: float) -> dict[int, Interval]:
    """Return the paired gain in test accuracy by dropout at every size."""
    found = {}
    for size in sizes(scale):
        dropout, without = (results.each(arm(n, size, scale), final("test_acc")) for n in ARMS)
        found[size] = paired(dropout, without, level)
    return found


def judge(results: Results, scale: Scale, level: float) -> Finding:
    """Sort the sizes into those where dropout helps, harms, or cannot be told to do either."""
    found = gains(results, scale, level)
    table = []
    for size, gain in found.items():
        row: dict[str, Any] = {"training images": f"{size or 60_000:,}"}
        for measure, words in (("train_acc_eval", "train"), ("test_acc", "test")):
            for name in ARMS:
                values = results.each(arm(name, size, scale), final(measure))
                row[f"{words} accuracy {name}"] = float(np.mean(values))
        table.append({**row, "gain in test accuracy": gain.text(100, "points")})
    names = {size: f"{size or 60_000:,}" for size in found}
    helps = [names[size] for size, gain in found.items() if gain.low > 0]
    harms = [names[size] for size, gain in found.items() if gain.high < 0]
    best = max(found, key=lambda size: found[size].estimate)
    summary = (
        f"of {len(found)} sizes it helps at {' and '.join(helps) or 'none'} and harms at "
        f"{' and '.join(harms) or 'none'}; the largest gain, {found[best].text(100, 'points')} "
        f"seeds, at {names[best]} training images"
    )
    return Finding(together(verdict(gain, +1) for gain in found.values()), summary, table)


def draw(results: Results, scale: Scale, figure: Any) -> None:
    """Draw the gain over the number of images, and one size's curves over the epochs."""
    left, right = figure.subplots(1, 2)
    found = gains(results, scale, 0.95)
    x = [size or 60_000 for size in found]
    y = np.array([[g.estimate, g.low, g.high] for g in found.values()]) * 100
    left.axhline(0, color="0.6", linewidth=1)
    bars = [y[:, 0] - y[:, 1], y[:, 2] - y[:, 0]]
    left.errorbar(x, y[:, 0], bars, fmt="o", color="#0072B2", capsize=3)
    left.set_xscale("log")
    left.set_xticks(x, [f"{n:,}" for n in x], rotation=30, fontsize="small")
    left.minorticks_off()
    left.set(xlabel="training images", ylabel="gain by dropout, points (each 95 %)")
    for name in ARMS:
        for measure, style, words in (("train_acc_eval", ":", "train"), ("test_acc", "-", "test")):
            mean = np.nanmean(curves(results, arm(name, SHOWN, scale), measure), axis=0)
            epochs = range(1, len(mean) + 1)
            right.plot(epochs, mean, style, color=COLORS[name], label=f"{words}, {name}")
    right.set(xlabel="epoch", ylabel="accuracy, noise off, mean", ylim=(0.5, 1.01))
    right.set_title(f"{SHOWN:,} training images")
    right.legend(loc="lower right")


EXPERIMENT = Experiment(
    title="Where dropout helps",
    claim="Trained long enough, dropout raises test accuracy, whatever the size of the data.",
    source="d2l.ai, Dropout; Srivastava et al., 2014, figure 10",
    settings=(
        "784-256-256-10, dropout .2/.5 against none, learning rate falling from 0.2 to 0 along a "
        "cosine. Training images, batch size and epochs: "
        + "; ".join(f"{n or 60_000:,}, {b}, {e}" for n, (b, e) in SIZES.items())
        + "."
    ),
    criterion=(
        "The paired gain in test accuracy at each size. Supported if every interval lies above 0, "
        "depends (on the size) if some do, refuted if some lie below and none above, else not "
        "supported."
    ),
    runs=runs,
    judge=judge,
    draw=draw,
    comparisons=len(SIZES),
)
