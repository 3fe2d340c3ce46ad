"""Experiment 1: the chapter's comparison, with many seeds instead of one."""

from __future__ import annotations

from typing import Any

import numpy as np

from examples.lab import common, figures
from examples.lab.common import WITH, WITHOUT
from examples.lab.frame import Experiment
from examples.lab.statistics import differences, signed_rank
from examples.lab.table import Table
from examples.lab.training import collapsed, final
from examples.lab.verdicts import Effect, paired

END = 10  # the chapter's last epoch
LAST = 5  # epochs that are averaged: single ones swing by points
CHANCE = 0.1  # of guessing among ten classes: where collapsed curves are drawn


def measures(arm: str, result: Any) -> dict[str, Any]:
    """Return a run's accuracies, and its collapse."""
    curve = [float(v) for v in result.get("test_acc", [])]
    return {
        "test": final(result, "test_acc", LAST, END),
        "train": final(result, "train_acc", LAST, END),
        "test NLL": final(result, "test_nll", LAST, END),
        "late": final(result, "test_acc", LAST),
        "curve": curve or [np.nan],
        "collapse": collapsed(result) or 0,
        "epochs": max(result.get("epochs", []), default=0),
    }


def effects(table: Table) -> list[Effect]:
    """Return the gain in test accuracy over the chapter's last epochs."""
    return [paired("", "with_without", *table.pairs(WITH, WITHOUT, "test"))]


def details(table: Table) -> list[dict[str, Any]]:
    """Return the gain, without collapsed pairs too, and what goes with it."""
    rows = common.compared(
        table,
        *(WITH, WITHOUT),
        [
            ("test", f"test accuracy, epochs {END - LAST + 1} to {END}", 100, "points"),
            ("train", "train accuracy, noise off, the same epochs", 100, "points"),
            ("test NLL", "test loss, the same epochs", 1, "nats"),
            ("late", f"test accuracy, the last {LAST} epochs of all", 100, "points"),
        ],
    )
    a, b = table.pairs(WITH, WITHOUT, "test")
    alive = np.isfinite(a) & np.isfinite(b)
    if alive.sum() > 1:
        d = differences(a[alive], b[alive])
        whole = {"measure": "test accuracy, pairs of which none had collapsed"}
        medians = {
            WITH: common.shown(np.median(a[alive])),
            WITHOUT: common.shown(np.median(b[alive])),
        }
        rows.append({**whole, **medians, "difference (95 %)": signed_rank(d).text(100, "points")})
        rows[-1]["over images too"] = "–"
    return rows


def curves(table: Table, arm: str) -> np.ndarray:
    """Return every seed's test accuracy by epoch, at `CHANCE` from its collapse on."""
    accuracy = table.all(arm, "curve")
    first = table.one(arm, "collapse")
    epochs = np.arange(1, accuracy.shape[1] + 1)
    gone = (first[:, None] > 0) & (epochs[None, :] >= first[:, None])
    return np.where(gone | np.isnan(accuracy), CHANCE, accuracy)


def draw(table: Table, figure: Any) -> None:
    """Draw every seed's test accuracy over the epochs, and the sorted differences."""
    left, right = figure.subplots(1, 2)
    lines = {}
    for arm in (WITH, WITHOUT):
        first = table.one(arm, "collapse")
        count = int(((first > 0) & (first <= END)).sum())
        name = f"{arm}: {count} of {len(first)} collapsed by {END}"
        lines[arm] = curves(table, arm)
        epochs = np.arange(1, lines[arm].shape[1] + 1)
        left.plot(epochs, lines[arm].T, color=figures.ARMS[arm], alpha=0.15, lw=0.7)
        left.plot(
            epochs, np.median(lines[arm], axis=0), figures.STYLES[arm], color=figures.ARMS[arm],
            lw=2, label=name,
        )  # fmt: skip
    left.axvline(END, color="0.6", ls=":", lw=1)
    left.set_xlabel("epoch (dotted: the chapter's last)")
    left.set(ylabel="test accuracy, seeds and median", ylim=(0.05, 0.95))
    figures.legend_above(left, 1)
    a, b = table.pairs(WITH, WITHOUT, "test")
    figures.sorted_pairs(right, differences(a, b), effects(table)[0])
    right.set_ylabel("with − without dropout, points")


EXPERIMENT = Experiment(
    name="with_without",
    title="With dropout and without",
    claim="At the chapter's settings, dropout raises test accuracy.",
    source="d2l.ai, Dropout; the chapter's figure",
    settings=(
        "784-256-256-10, dropout .2/.5 against none, SGD at 0.5, batches of 256, all images; "
        f"judged over epochs {END - LAST + 1} to {END}, and trained on to 25 (exercise 2); both "
        "arms of a seed begin with the same weights and see the same batches. A net that has "
        f"collapsed by epoch {END} ranks below every accuracy; its curve is drawn on at {CHANCE}. "
        "Where ∞ stands in the table, so many pairs have a collapse that it decides."
    ),
    arms=common.chapter_arms,
    measures=measures,
    details=details,
    draw=draw,
    effects=effects,
)
