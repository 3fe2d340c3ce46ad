"""Experiment 1: the chapter's comparison, with many seeds instead of one."""

from __future__ import annotations

from typing import Any

import numpy as np

from examples.lab.frame import Experiment, Finding, Results, Run, Scale
from examples.lab.statistics import paired, together, verdict
from examples.lab.training import CHAPTER_EPOCHS, TRAIN, chapter, curves, final

ARMS = {"with dropout": [0.2, 0.5], "without": [0.0, 0.0]}
COLORS = {"with dropout": "#0072B2", "without": "#D55E00"}
LAST = 5  # epochs that are averaged: single ones swing by points
MORE = 2  # times as many seeds as elsewhere: this is the chapter's own claim


def arm(name: str, scale: Scale) -> list[Run]:
    """Return the runs of an arm; the same seed begins with the same weights in both."""
    fixed = {"dropout": ARMS[name], **chapter(scale)}
    seeds = scale.pick(scale.seeds, MORE * scale.seeds)
    return [Run(TRAIN, {**fixed, "seed": seed}) for seed in range(seeds)]


def runs(scale: Scale) -> list[Run]:
    """Return both arms."""
    return [run for name in ARMS for run in arm(name, scale)]


def judge(results: Results, scale: Scale, level: float) -> Finding:
    """Compare train error and test accuracy, pair by pair."""
    table, intervals = [], {}
    end, late = CHAPTER_EPOCHS, chapter(scale)["epochs"]
    for measure, epochs, upto, words in (
        ("test_acc", LAST, end, f"test accuracy, epochs {end - LAST + 1} to {end}"),
        ("train_acc_eval", LAST, end, "train accuracy, noise off, the same epochs"),
        ("train_acc", LAST, end, "train accuracy, noise on, the same epochs"),
        ("test_acc", 1, end, f"test accuracy, epoch {end} alone"),
        ("test_loss", 1, end, f"test loss, epoch {end} alone"),
        ("train_loss", 1, end, f"train loss, noise on, epoch {end} alone"),
        ("test_acc", LAST, late, f"test accuracy, epochs {late - LAST + 1} to {late}"),
    ):
        values = [results.each(arm(name, scale), final(measure, epochs, upto)) for name in ARMS]
        a, b = np.array(values)[:, np.isfinite(values).all(axis=0)]
        intervals[measure, epochs, upto] = interval = paired(a, b, level)
        means = {name: float(np.mean(v)) for name, v in zip(ARMS, (a, b), strict=True)}
        table.append({"measure": words, **means, "difference": interval.text(digits=4)})
    test, train = intervals["test_acc", LAST, end], intervals["train_acc_eval", LAST, end]
    summary = (
        f"with dropout minus without: test accuracy {test.text(100, 'points')}; "
        f"train accuracy, noise off, {train.text(100, 'points')} seeds"
    )
    return Finding(together([verdict(test, +1), verdict(train, -1)]), summary, table)


def draw(results: Results, scale: Scale, figure: Any) -> None:
    """Draw every seed's test accuracy over the epochs, and the paired differences."""
    left, right = figure.subplots(1, 2)
    for name in ARMS:
        accuracy = curves(results, arm(name, scale), "test_acc")
        epochs = np.arange(1, accuracy.shape[1] + 1)
        left.plot(epochs, accuracy.T, color=COLORS[name], alpha=0.25, linewidth=0.8)
        mean = np.nanmean(accuracy, axis=0)
        left.plot(epochs, mean, color=COLORS[name], label=f"{name}, mean", linewidth=2)
    left.axvline(CHAPTER_EPOCHS, color="0.6", ls=":", lw=1)
    left.set(xlabel="epoch (the chapter ends at the dotted line)", ylim=(0.5, 0.9))
    left.set_ylabel("test accuracy, every seed")
    left.legend(loc="lower right")
    right.axhline(0, color="0.6", linewidth=1)
    for measure, words, color, marker in (
        ("test_acc", "test accuracy", "#0072B2", "o"),
        ("train_acc_eval", "train accuracy, noise off", "#D55E00", "^"),
    ):
        a, b = (
            results.each(arm(name, scale), final(measure, LAST, CHAPTER_EPOCHS)) for name in ARMS
        )
        points = np.sort(100 * (np.array(a) - np.array(b)))
        right.plot(range(1, len(points) + 1), points, marker, color=color, label=words)
    right.set(xlabel="seeds, sorted by difference", ylabel="with − without dropout, points")
    right.set_yscale("symlog", linthresh=3)  # a collapse is tens of points
    right.set_yticks([-10, -3, -2, -1, 0, 1, 2, 3, 10, 30, 100])
    right.yaxis.set_major_formatter("{x:g}")
    right.minorticks_off()
    right.legend(loc="upper left")


EXPERIMENT = Experiment(
    title="With dropout and without",
    claim=(
        "At the chapter's settings, dropout makes train error slightly higher, and test accuracy "
        "slightly higher too."
    ),
    source="d2l.ai, Dropout; the chapter's figure",
    settings=(
        "784-256-256-10, dropout .2/.5 against none, SGD at 0.5, batches of 256, 60,000 images; "
        "judged after the chapter's 10 epochs, and trained on to 25 (exercise 2); both arms of a "
        "seed begin with the same weights and see the same batches. Twice as many seeds as "
        "elsewhere."
    ),
    criterion=(
        "The paired differences in train accuracy (noise off) and in test accuracy, both averaged "
        f"over epochs {CHAPTER_EPOCHS - LAST + 1} to {CHAPTER_EPOCHS}. Supported if the first "
        "interval lies below 0 and the second above, depends (on which) if only one does, refuted "
        "if one lies on the other side and none on the side claimed, else not supported."
    ),
    runs=runs,
    judge=judge,
    draw=draw,
    comparisons=2,
)
