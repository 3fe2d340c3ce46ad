"""Experiment 10: noise on the pixels of test images."""

from __future__ import annotations

from typing import Any

import numpy as np

from examples.lab import common, figures
from examples.lab.common import WITH, WITHOUT
from examples.lab.frame import Experiment
from examples.lab.probes import NOISES
from examples.lab.statistics import differences, signed_rank
from examples.lab.table import Table
from examples.lab.verdicts import Effect, paired

JUDGED = NOISES.index(0.3)


def measures(arm: str, result: Any) -> dict[str, Any]:
    """Return the accuracy lost to each strength."""
    return {"lost": result["robustness"]}


def effects(table: Table) -> list[Effect]:
    """Return how much more accuracy noise of 0.3 costs without dropout."""
    return [paired("", "robustness", *table.pairs(WITHOUT, WITH, "lost", JUDGED))]


def details(table: Table) -> list[dict[str, Any]]:
    """Return the accuracy lost to each strength, and to all of them on average."""
    wanted = [
        (f"lost:{i}", f"accuracy lost to noise of {strength}", 100, "points")
        for i, strength in enumerate(NOISES)
    ]
    rows = common.compared(table, WITHOUT, WITH, wanted)
    a, b = (table.all(arm, "lost").mean(axis=1) for arm in (WITHOUT, WITH))
    rows.append(
        {
            "measure": "the mean over all strengths",
            WITHOUT: common.shown(np.median(a)),
            WITH: common.shown(np.median(b)),
            "difference (95 %)": signed_rank(differences(a, b)).text(100, "points"),
        }
    )
    return [{k: v for k, v in row.items() if k != "over images too"} for row in rows]


def draw(table: Table, figure: Any) -> None:
    """Draw the accuracy lost over the noise, and what is lost more without dropout."""
    left, right = figure.subplots(1, 2)
    lost = {arm: 100 * table.all(arm, "lost") for arm in (WITH, WITHOUT)}
    figures.over(left, NOISES, lost)
    left.set(xlabel="noise, standard deviation")
    left.set_ylabel("accuracy lost, points, median")
    figures.legend_above(left)
    right.axhline(0, color="0.4", lw=1)
    for i, strength in enumerate(NOISES):
        d = lost[WITHOUT][:, i] - lost[WITH][:, i]
        right.plot([strength] * len(d), d, ".", color=figures.FOURTH, ms=4)
        figures.interval(right, strength, signed_rank(d), upright=True)
    right.set(xlabel="noise, standard deviation", ylabel="more lost without, points (95 %)")


EXPERIMENT = Experiment(
    name="robustness",
    title="Robustness to noise on the inputs",
    claim="A network trained with dropout is more robust to noise on its inputs.",
    source="d2l.ai, Dropout, after Bishop, 1995",
    settings=(
        "784-256-256-10, dropout .2/.5 against none, a random 10,000 images for each seed, 25 "
        "epochs in batches of 64, learning rate falling from 0.2 to 0; Gaussian noise on the test "
        "images alone, not clipped, the same for both arms."
    ),
    arms=common.settled_arms,
    measures=measures,
    details=details,
    draw=draw,
    effects=effects,
)
