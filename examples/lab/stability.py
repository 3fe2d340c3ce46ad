"""Experiment 2: which of the two arms trains on when the learning rate is bold."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import stats

from examples.lab.frame import Experiment, Finding, Results, Run, Scale
from examples.lab.training import CHANCE, TRAIN, chapter, final
from examples.lab.with_without import ARMS, COLORS
from examples.lab.with_without import arm as chapter_arm

RATES = (0.1, 0.5, 1.0)
CHAPTER = 0.5
FALL = 0.2  # of test accuracy, lost against the best epoch before


def arm(name: str, lr: float, scale: Scale) -> list[Run]:
    """Return an arm's runs at a learning rate; at the chapter's own, experiment 1's."""
    if lr == CHAPTER:
        return chapter_arm(name, scale)
    epochs = scale.pick(6, 10)
    fixed = {**chapter(scale), "dropout": ARMS[name], "lr": lr, "epochs": epochs}
    seeds = scale.pick(2, max(2, scale.seeds // 2))
    return [Run(TRAIN, {**fixed, "seed": seed}) for seed in range(seeds)]


def runs(scale: Scale) -> list[Run]:
    """Return both arms at every learning rate."""
    return [run for name in ARMS for lr in RATES for run in arm(name, lr, scale)]


def first_collapse(result: Any) -> int | None:
    """Return the first epoch of a breakdown or of a fall in test accuracy, None if there is none.

    The loss stopped being finite, or test accuracy fell by `FALL` below the best epoch before.
    """
    accuracy = np.array(result["test_acc"])
    falls = np.flatnonzero(accuracy < np.maximum.accumulate(accuracy) - FALL)
    return int(falls[0]) + 1 if len(falls) else result["broke_down"]


def judge(results: Results, scale: Scale, level: float) -> Finding:
    """Compare how many seeds collapse, pair by pair (the exact form of McNemar's test)."""
    table, collapsed = [], {}
    for lr in RATES:
        for name in ARMS:
            found = [results[run] for run in arm(name, lr, scale)]
            epochs = [first_collapse(result) for result in found]
            collapsed[name, lr] = [e is not None for e in epochs]
            first = [e for e in epochs if e is not None]
            lowest = [min(r["test_acc"][1:], default=0.0) for r in found]
            last = results.each(arm(name, lr, scale), final("test_acc"))
            table.append(
                {
                    "learning rate": str(lr),
                    "arm": name,
                    "epochs": max(len(r["test_acc"]) for r in found),
                    "seeds that collapsed": f"{len(first)} of {len(epochs)}",
                    "first epoch of it, median": f"{np.median(first):g}" if first else "–",
                    "loss not finite": sum(r["broke_down"] is not None for r in found),
                    "at chance at the end": sum(accuracy < 2 * CHANCE for accuracy in last),
                    "lowest test accuracy after epoch 1": float(min(lowest)),
                }
            )
    a, b = (np.array(collapsed[name, CHAPTER]) for name in ARMS)
    only_with, only_without = int((a & ~b).sum()), int((b & ~a).sum())
    apart = only_with + only_without
    p = float(stats.binomtest(only_without, apart).pvalue) if apart else 1.0
    summary = (
        f"at learning rate {CHAPTER} {only_without} of {len(a)} seeds collapsed only without "
        f"dropout, {only_with} only with it, {int((a & b).sum())} with both (exact p = {p:.2g})"
    )
    if p >= 1 - level:
        return Finding("not supported", summary, table)
    return Finding("supported" if only_without > only_with else "refuted", summary, table)


def draw(results: Results, scale: Scale, figure: Any) -> None:
    """Draw every seed's test accuracy over the epochs, a panel for each learning rate."""
    panels = figure.subplots(1, len(RATES), sharey=True)
    for panel, lr in zip(panels, RATES, strict=True):
        for name in reversed(ARMS):  # the quieter one on top
            for i, run in enumerate(arm(name, lr, scale)):
                accuracy = results[run]["test_acc"]
                epochs = range(1, len(accuracy) + 1)
                label = name if i == 0 else None
                panel.plot(epochs, accuracy, color=COLORS[name], alpha=0.6, lw=0.9, label=label)
        panel.set(title=f"learning rate {lr}", xlabel="epoch", ylim=(0, 1))
    panels[0].set_ylabel("test accuracy, every seed")
    panels[0].legend(loc="lower right")


EXPERIMENT = Experiment(
    title="Stability of the recipe",
    claim="At the chapter's learning rate of 0.5, training collapses without dropout, not with it.",
    source="public runs of the chapter's notebook, where only the arm without dropout collapsed",
    settings=(
        "784-256-256-10, dropout .2/.5 against none, batches of 256, all 60,000 images: 25 epochs "
        "at a learning rate of 0.5 (the runs of the first experiment), 10 at 0.1 and at 1."
    ),
    criterion=(
        "A collapse is a loss that is not finite, or a fall in test accuracy of 20 points below "
        "the best epoch before. Supported if significantly more seeds collapse only without "
        "dropout at 0.5 than only with it (exact test on the discordant pairs), refuted if fewer, "
        "else not supported."
    ),
    runs=runs,
    judge=judge,
    draw=draw,
)
