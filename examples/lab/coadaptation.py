"""Experiment 13: whether hidden units lean on each other: what a network loses without some."""

from __future__ import annotations

from typing import Any

import numpy as np

from examples.lab import common, figures
from examples.lab.common import WITH, WITHOUT
from examples.lab.frame import Experiment
from examples.lab.probes import DELETED, DRAWS
from examples.lab.statistics import differences
from examples.lab.table import Table
from examples.lab.verdicts import Effect, paired


def measures(arm: str, result: Any) -> dict[str, Any]:
    """Return the mean loss of accuracy over the choices of units, and the accuracy."""
    return {"lost": float(np.mean(result["deletion"])), "right": common.accuracy_of(result)}


def effects(table: Table) -> list[Effect]:
    """Return how much more a network loses without dropout."""
    return [paired("", "coadaptation", *table.pairs(WITHOUT, WITH, "lost"))]


def details(table: Table) -> list[dict[str, Any]]:
    """Return what is lost, and what there was to lose."""
    return common.compared(
        table,
        *(WITHOUT, WITH),
        [
            ("lost", f"accuracy lost with {DELETED:.0%} of the hidden units", 100, "points"),
            ("right", "test accuracy with all units", 100, "points"),
        ],
    )


def draw(table: Table, figure: Any) -> None:
    """Draw what each network loses, and the sorted differences."""
    left, right = figure.subplots(1, 2)
    lost = [100 * table.one(arm, "lost") for arm in (WITH, WITHOUT)]
    left.plot([0, 1], np.array(lost), "o-", color=figures.FOURTH, ms=3, lw=0.7)
    left.plot([0, 1], [np.median(v) for v in lost], "s", color="black", ms=7)
    left.set_xticks([0, 1], [WITH, WITHOUT])
    left.margins(x=0.3)
    left.set_ylim(bottom=min(0, *map(min, lost)))
    left.set_ylabel("accuracy lost, points; lines: seeds")
    d = differences(*table.pairs(WITHOUT, WITH, "lost"))
    figures.sorted_pairs(right, d, effects(table)[0])
    right.set_ylabel("more lost without dropout, points")


EXPERIMENT = Experiment(
    name="coadaptation",
    title="Units that lean on each other",
    claim="Dropout keeps hidden units from relying on each other.",
    source="Hinton et al., 2012; Srivastava et al., 2014",
    settings=(
        "784-256-256-10, dropout .2/.5 against none, a random 10,000 images for each seed, 25 "
        "epochs in batches of 64, learning rate falling from 0.2 to 0. After training "
        f"{DELETED:.0%} of the units of both hidden layers are deleted, the rest scaled up; the "
        f"mean over {DRAWS} choices of units, the same in both arms."
    ),
    arms=common.settled_arms,
    measures=measures,
    details=details,
    draw=draw,
    effects=effects,
    across=common.image_rows("coadaptation", (WITHOUT, WITH)),
)
