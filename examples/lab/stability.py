"""Experiment 2: which of the two arms trains on when the learning rate is bold."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import stats

from examples.lab.frame import Experiment, Finding, Results, Run, Scale
from examples.lab.training import TRAIN
from examples.lab.with_without import ARMS, COLORS

RATES = (0.1, 0.5, 1.0)
CHAPTER = 0.5
FALL = 0.2  # points of test accuracy, as a share, lost against the best epoch before


def arm(name: str, lr: float, scale: Scale) -> list[Run]:
    """Return an arm's runs at a learning rate."""
    epochs = scale.pick(15, 40)
    fixed = {"dropout": ARMS[name], "lr": lr, "train_size": 10_000, "epochs": epochs}
    return [Run(TRAIN, {**fixed, "seed": seed}) for seed in range(scale.seeds)]


def runs(scale: Scale) -> list[Run]:
    """Return both arms at every learning rate."""
    return [run for name in ARMS for lr in RATES for run in arm(name, lr, scale)]


def first_collapse(result: Any) -> int | None:
    """Return the first epoch of a breakdown or of a fall in test accuracy, None if there is none.

    The loss stopped being finite, or test accuracy fell by `FALL` below the best epoch before.
    """
    accuracy = np.array(result["test_acc"])
    best = np.maximum.accumulate(accuracy)
    falls = np.flatnonzero(accuracy < best - FALL)
    return int(falls[0]) + 1 if len(falls) else result["broke_down"]


def judge(results: Results, scale: Scale, level: float) -> Finding:
    """Compare how many seeds collapse, pair by pair (the exact form of McNemar's test)."""
    table = []
    pairs = {}
    for lr in RATES:
        fell = {
            name: [first_collapse(results[run]) for run in arm(name, lr, scale)] for name in ARMS
        }
        both = zip(*fell.values(), strict=True)
        pairs[lr] = [(a is not None, b is not None) for a, b in both]
        for name, epochs in fell.items():
            found = [e for e in epochs if e is not None]
            table.append(
                {
                    "learning rate": lr,
                    "arm": name,
                    "seeds that collapsed": f"{len(found)} of {len(epochs)}",
                    "first epoch of it, median": float(np.median(found)) if found else "–",
                }
            )
    only_with = sum(a and not b for a, b in pairs[CHAPTER])
    only_without = sum(b and not a for a, b in pairs[CHAPTER])
    apart = only_with + only_without
    p = float(stats.binomtest(only_without, apart).pvalue) if apart else 1.0
    summary = (
        f"at learning rate {CHAPTER} {only_without} of {scale.seeds} seeds collapsed only without "
        f"dropout, {only_with} only with it (exact p = {p:.2g})"
    )
    if p >= 1 - level:
        return Finding("not supported", summary, table)
    return Finding("supported" if only_without > only_with else "refuted", summary, table)


def draw(results: Results, scale: Scale, figure: Any) -> None:
    """Draw every seed's test accuracy over the epochs, a panel for each learning rate."""
    panels = figure.subplots(1, len(RATES), sharey=True)
    for panel, lr in zip(panels, RATES, strict=True):
        for name in ARMS:
            for i, run in enumerate(arm(name, lr, scale)):
                accuracy = results[run]["test_acc"]
                epochs = range(1, len(accuracy) + 1)
                label = name if i == 0 else None
                panel.plot(epochs, accuracy, color=COLORS[name], alpha=0.5, lw=0.8, label=label)
        panel.set(title=f"learning rate {lr}", xlabel="epoch", ylim=(0, 1))
    panels[0].set_ylabel("test accuracy")
    panels[0].legend(loc="lower right")


EXPERIMENT = Experiment(
    title="Stability of the recipe",
    claim="At the chapter's learning rate of 0.5, training collapses without dropout, not with it.",
    source="public runs of the chapter's notebook, where only the arm without dropout collapsed",
    settings="784-256-256-10, first 10,000 images, 40 epochs at learning rates 0.1, 0.5 and 1.",
    criterion=(
        "A collapse is a loss that is not finite, or a fall in test accuracy of 20 points below "
        "the best epoch before. Supported if significantly more seeds collapse only without "
        "dropout at 0.5 than only with it (exact test on the discordant pairs), refuted if fewer."
    ),
    runs=runs,
    judge=judge,
    draw=draw,
    minutes=12,
)
