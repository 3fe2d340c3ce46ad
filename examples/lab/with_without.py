"""Experiment 1: the chapter's comparison, with many seeds instead of one."""

from __future__ import annotations

from typing import Any

import numpy as np

from examples.lab.frame import Experiment, Finding, Results, Run, Scale
from examples.lab.statistics import paired, verdict
from examples.lab.training import TRAIN, final, recipe

ARMS = {"with dropout": [0.2, 0.5], "without": [0.0, 0.0]}
COLORS = {"with dropout": "#0072B2", "without": "#D55E00"}


def arm(name: str, scale: Scale) -> list[Run]:
    """Return the runs of an arm; the same seed begins with the same weights in both."""
    fixed = {"dropout": ARMS[name], **recipe(scale)}
    return [Run(TRAIN, {**fixed, "seed": seed}) for seed in range(scale.seeds)]


def runs(scale: Scale) -> list[Run]:
    """Return both arms."""
    return [run for name in ARMS for run in arm(name, scale)]


def judge(results: Results, scale: Scale, level: float) -> Finding:
    """Compare test accuracy after the last epoch, pair by pair."""
    with_dropout, without = (arm(name, scale) for name in ARMS)
    table, intervals = [], {}
    for measure, words in (
        ("test_acc", "test accuracy"),
        ("train_acc", "train accuracy, noise on"),
        ("train_acc_eval", "train accuracy, noise off"),
        ("train_loss", "train loss, noise on"),
        ("test_loss", "test loss"),
    ):
        a, b = np.array([results.each(one, final(measure)) for one in (with_dropout, without)])
        finite = np.isfinite(a - b)
        a, b = a[finite], b[finite]
        intervals[measure] = interval = paired(a, b, level)
        table.append(
            {
                "last epoch": words,
                "with dropout": float(np.mean(a)),
                "without": float(np.mean(b)),
                "difference": interval.text(digits=4),
            }
        )
    gain = intervals["test_acc"]
    summary = f"difference in test accuracy {gain.text(100, 'points')} seeds"
    return Finding(verdict(gain, +1), summary, table)


def draw(results: Results, scale: Scale, figure: Any) -> None:
    """Draw every seed's test accuracy over the epochs, and the paired differences."""
    left, right = figure.subplots(1, 2)
    curves = {}
    for name in ARMS:
        curves[name] = np.array([results[run]["test_acc"] for run in arm(name, scale)])
        epochs = np.arange(1, curves[name].shape[1] + 1)
        left.plot(epochs, curves[name].T, color=COLORS[name], alpha=0.25, linewidth=0.8)
        left.plot(epochs, curves[name].mean(axis=0), color=COLORS[name], label=name, linewidth=2)
    left.set(xlabel="epoch", ylabel="test accuracy", ylim=(0.5, 0.9))
    left.legend(loc="lower right")
    difference = 100 * (curves["with dropout"] - curves["without"])[:, -1]
    right.axhline(0, color="0.6", linewidth=1)
    right.plot(range(len(difference)), np.sort(difference), "o", color="#0072B2")
    right.set(xlabel="seed, sorted", ylabel="with − without, points of test accuracy")


EXPERIMENT = Experiment(
    title="With dropout and without",
    claim="At the chapter's settings, dropout raises test accuracy.",
    source="d2l.ai, Dropout; the chapter's figure",
    settings=(
        "784-256-256-10, dropout .2/.5 against none, SGD at 0.5, batches of 256, 10 epochs of "
        "60,000 images; both arms of a seed begin with the same weights and see the same batches."
    ),
    criterion=(
        "The paired difference in test accuracy after the last epoch: supported if its interval "
        "lies above 0, refuted if below, else not supported."
    ),
    runs=runs,
    judge=judge,
    draw=draw,
    minutes=5,
)
