"""Experiment 2: which of the two arms trains on when the learning rate is bold."""

from __future__ import annotations

from typing import Any

import numpy as np

from examples.lab import common, figures
from examples.lab.common import RATES, WITH, WITHOUT
from examples.lab.frame import Arms, Experiment, Scale
from examples.lab.statistics import mcnemar, proportion
from examples.lab.table import Table
from examples.lab.training import collapsed
from examples.lab.verdicts import Effect, risk

CHAPTER, OTHERS = 0.5, (0.1, 1.0)


def arms(scale: Scale) -> Arms:
    """Return experiment 1's runs, and both arms at other learning rates."""
    found = {f"{arm}, {CHAPTER}": runs for arm, runs in common.chapter_arms(scale).items()}
    seeds, epochs = scale.pairs(10, quick=2), scale.pick(4, 10)
    for lr in OTHERS:
        fixed = {**common.chapter(scale), "lr": lr, "epochs": epochs}
        for arm, rates in RATES.items():
            found[f"{arm}, {lr}"] = scale.train(seeds, dropout=rates, **fixed)
    return found


def measures(arm: str, result: Any) -> dict[str, Any]:
    """Return when a run collapsed, 0 for never, and how long it was followed."""
    lasted = max(result.get("epochs", []), default=0)
    return {"collapse": collapsed(result) or 0, "epochs": lasted}


def effects(table: Table) -> list[Effect]:
    """Return how much oftener seeds collapse without dropout, at the chapter's rate."""
    without, with_ = table.pairs(f"{WITHOUT}, {CHAPTER}", f"{WITH}, {CHAPTER}", "collapse")
    return [risk("stability", without > 0, with_ > 0)]


def details(table: Table) -> list[dict[str, Any]]:
    """Return how many seeds collapsed at each rate, and the paired difference."""
    rows: list[dict[str, Any]] = []
    for lr in sorted((CHAPTER, *OTHERS)):
        row: dict[str, Any] = {"learning rate": str(lr)}
        gone = {}
        for arm in (WITHOUT, WITH):
            first = table.one(f"{arm}, {lr}", "collapse")
            gone[arm] = first > 0
            count, n = int(gone[arm].sum()), len(first)
            share = proportion(count, n)
            row[f"collapsed {arm}"] = (
                f"{count} of {n} ({100 * share.low:.0f} to {100 * share.high:.0f} %)"
            )
            when = np.median(first[gone[arm]]) if count else None
            row[f"epoch of it {arm}, median"] = "–" if when is None else f"{when:g}"
        apart = mcnemar(gone[WITHOUT], gone[WITH]).difference
        row["without minus with (95 %)"] = apart.text(100, "points", 0)
        row["epochs"] = int(table.one(f"{WITH}, {lr}", "epochs").max())
        rows.append(row)
    return rows


def draw(table: Table, figure: Any) -> None:
    """Draw the share of seeds that have not collapsed, at each learning rate."""
    rates = sorted((CHAPTER, *OTHERS))
    panels = figure.subplots(1, len(rates), sharey=True)
    for panel, lr in zip(panels, rates, strict=True):
        epochs = int(max(table.one(f"{arm}, {lr}", "epochs").max() for arm in RATES))
        firsts = {arm: table.one(f"{arm}, {lr}", "collapse") for arm in RATES}
        figures.survival(panel, firsts, epochs)
        panel.set_xlabel(f"epoch, at rate {lr}")
    panels[0].set_ylabel("share of seeds not collapsed")


EXPERIMENT = Experiment(
    name="stability",
    title="Stability of the recipe",
    claim="At the chapter's learning rate of 0.5, training collapses without dropout, not with it.",
    source="public runs of the chapter's notebook, where only the arm without dropout collapsed",
    settings=(
        "784-256-256-10, dropout .2/.5 against none, batches of 256, all images: 25 epochs at a "
        "learning rate of 0.5 (the runs of the first experiment), 10 at 0.1 and at 1. A collapse "
        "is a loss that is not finite, a test accuracy 20 points below the best epoch before, or "
        "a train accuracy (noise off) below 50 % in epoch 5 or later: a net that never trained."
    ),
    arms=arms,
    measures=measures,
    details=details,
    draw=draw,
    effects=effects,
)
