"""Experiment 4: how much data and how long training has to be for dropout to help."""

from __future__ import annotations

from typing import Any

import numpy as np

from examples.lab.frame import Experiment, Finding, Results, Run, Scale
from examples.lab.statistics import Interval, paired
from examples.lab.training import TRAIN
from examples.lab.with_without import ARMS

LAST = 5  # epochs that are averaged: single ones swing by points


def sizes(scale: Scale) -> list[int]:
    """Return the numbers of training images; 0 stands for all."""
    return scale.pick([100, 1_000], [100, 500, 1_000, 5_000, 10_000, 0])


def arm(name: str, size: int, scale: Scale) -> list[Run]:
    """Return an arm's runs: every size is trained far beyond the chapter's ten epochs."""
    images = size or 60_000
    batch = min(256, max(10, images // 10))
    epochs = scale.pick(20, 100 if images <= 10_000 else 30)
    fixed = {"dropout": ARMS[name], "train_size": size, "batch_size": batch, "lr": 0.1}
    seeds = scale.seeds if images <= 10_000 else max(2, scale.seeds // 2)
    return [Run(TRAIN, {**fixed, "epochs": epochs, "seed": seed}) for seed in range(seeds)]


def runs(scale: Scale) -> list[Run]:
    """Return both arms at every size."""
    return [run for size in sizes(scale) for name in ARMS for run in arm(name, size, scale)]


def late(result: Any) -> float:
    """Return test accuracy averaged over the last epochs."""
    return float(np.mean(result["test_acc"][-LAST:]))


def gains(results: Results, scale: Scale, level: float) -> dict[int, Interval]:
    """Return the paired gain in test accuracy by dropout at every size."""
    found = {}
    for size in sizes(scale):
        dropout, without = (results.each(arm(name, size, scale), late) for name in ARMS)
        found[size] = paired(dropout, without, level)
    return found


def judge(results: Results, scale: Scale, level: float) -> Finding:
    """Sort the sizes into those where dropout helps, harms, or cannot be told to do either."""
    found = gains(results, scale, level)
    table = [
        {
            "training images": f"{size or 60_000:,}",
            "epochs": len(results[arm("without", size, scale)[0]]["test_acc"]),
            **{
                f"test accuracy {name}": float(np.mean(results.each(arm(name, size, scale), late)))
                for name in ARMS
            },
            "gain, points": gain.text(100),
        }
        for size, gain in found.items()
    ]
    helps = [f"{size or 60_000:,}" for size, gain in found.items() if gain.low > 0]
    harms = [f"{size or 60_000:,}" for size, gain in found.items() if gain.high < 0]
    summary = (
        f"helps at {', '.join(helps) or 'no number'} and harms at {', '.join(harms) or 'no number'}"
        f" of training images, of {len(found)} tried"
    )
    if helps and harms:
        return Finding("depends", summary, table)
    if len(helps) == len(found):
        return Finding("supported", summary, table)
    if helps:
        return Finding("depends", summary, table)
    return Finding("refuted" if harms else "not supported", summary, table)


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
    left.set(xlabel="training images", ylabel="gain in test accuracy, points (95 %)")
    size = sizes(scale)[-1]
    for name, color in zip(ARMS, ("#0072B2", "#D55E00"), strict=True):
        curves = [results[run]["test_acc"] for run in arm(name, size, scale)]
        epochs = range(1, min(map(len, curves)) + 1)
        mean = np.mean([curve[: len(epochs)] for curve in curves], axis=0)
        right.plot(epochs, mean, color=color, label=name)
    right.set(xlabel="epoch", ylabel="test accuracy, mean", title=f"{size or 60_000:,} images")
    right.legend(loc="lower right")


EXPERIMENT = Experiment(
    title="Where dropout helps",
    claim="Trained long enough, dropout raises test accuracy, whatever the size of the data.",
    source="d2l.ai, Dropout, exercise 2; Srivastava et al., 2014, figure 10",
    settings=(
        "784-256-256-10, dropout .2/.5 against none, learning rate 0.1, 100 to 60,000 training "
        "images, 100 epochs (30 of all images); test accuracy averaged over the last 5 epochs."
    ),
    criterion=(
        "The paired gain at each size. Supported if every interval lies above 0, refuted if some "
        "lie below and none above, depends (on the size) if some lie above, else not supported."
    ),
    runs=runs,
    judge=judge,
    draw=draw,
    minutes=12,
    comparisons=6,
)
