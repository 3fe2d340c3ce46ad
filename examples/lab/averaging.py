"""Experiment 6: averaging over masks against scaling the weights."""

from __future__ import annotations

from typing import Any

import numpy as np

from examples.lab import common, figures
from examples.lab.common import WITH
from examples.lab.frame import Arms, Experiment, Run, Scale
from examples.lab.probes import SHOWN
from examples.lab.statistics import signed_rank
from examples.lab.table import Table
from examples.lab.verdicts import Effect, paired

MEASURES = {"accuracy": 0, "log loss": 1, "calibration error": 2}
SMALL = "784-10-10"


def arms(scale: Scale) -> Arms:
    """Return the settled training with dropout, and small nets whose masks are enumerated."""
    fixed = {**common.settled(scale), "size": scale.pick(2_000, 5_000)}
    name = "examples.lab.ensembles:all_masks"
    few = [Run(name, {**fixed, "seed": s}, scale.data) for s in scale.pairs(10, quick=2)]
    return {WITH: common.settled_arms(scale)[WITH], SMALL: few}


def measures(arm: str, result: Any) -> dict[str, Any]:
    """Return accuracy, log loss and calibration error by each way of averaging."""
    if arm == SMALL:
        return {name: result[name] for name in ("scaled", "arithmetic", "geometric", "gap")}
    found = result["averaging"]
    return {"scaled": found["scaled"], **{f"{k} masks": found["masks"][str(k)] for k in SHOWN}}


def difference(table: Table, k: int, measure: str) -> np.ndarray:
    """Return the average over k masks minus weight scaling, of each seed."""
    place = MEASURES[measure]
    return table.one(WITH, f"{k} masks", place) - table.one(WITH, "scaled", place)


def effects(table: Table) -> list[Effect]:
    """Return the two differences that must both be practically none."""
    found = []
    for i, measure in enumerate(("accuracy", "log loss")):
        d = difference(table, SHOWN[-1], measure)
        found.append(paired(measure, "averaging", d, np.zeros(len(d)), i))
    return found


def details(table: Table) -> list[dict[str, Any]]:
    """Return the differences over the number of masks, and those of the small net."""
    rows: list[dict[str, Any]] = []
    for k in SHOWN:
        row: dict[str, Any] = {"average over masks minus weight scaling (95 %)": f"{k} masks"}
        for measure, scale, unit in (
            ("accuracy", 100, "points"),
            ("log loss", 1, "nats"),
            ("calibration error", 100, "points"),
        ):
            row[measure] = signed_rank(difference(table, k, measure)).text(scale, unit)
        rows.append(row)
    for mean in ("arithmetic", "geometric"):
        d = table.one(SMALL, mean) - table.one(SMALL, "scaled")
        words = f"all 1,024 masks of {SMALL}, {mean} mean"
        blank = dict.fromkeys(list(rows[0])[2:], "–")
        rows.append(
            {next(iter(rows[0])): words, "accuracy": signed_rank(d).text(100, "points"), **blank}
        )
    return rows


def draw(table: Table, figure: Any) -> None:
    """Draw the differences over the number of masks, with the margins."""
    panels = figure.subplots(1, 2)
    for panel, effect, (measure, scale) in zip(
        panels, effects(table), (("accuracy", 100), ("log loss", 1)), strict=True
    ):
        panel.axhspan(-effect.least * scale, effect.least * scale, color="0.9", lw=0)
        panel.axhline(0, color="0.4", lw=1)
        for i, k in enumerate(SHOWN):
            d = difference(table, k, measure) * scale
            panel.plot([i] * len(d), d, ".", color=figures.FOURTH, ms=4)
            figures.interval(panel, i, signed_rank(d), upright=True)
        panel.set_xticks(range(len(SHOWN)), [str(k) for k in SHOWN])
        panel.set_xlabel("masks (95 %; grey: margin)")
        panel.set_ylabel(f"{measure} minus scaling, {effect.unit}")


EXPERIMENT = Experiment(
    name="averaging",
    title="An ensemble of sub-networks",
    claim="Scaling the weights stands in for averaging over the sub-networks of all masks.",
    source="Hinton et al., 2012; Srivastava et al., 2014, figure 11; d2l.ai, exercise 4",
    settings=(
        "784-256-256-10 with dropout .2/.5, a random 10,000 images for each seed, 25 epochs in "
        "batches of 64, learning rate falling from 0.2 to 0; averages of the probabilities of 1 to "
        f"{SHOWN[-1]} passes with masks on all test images. All 1,024 masks are enumerated for "
        f"{SMALL} (5,000 images, 10 seeds), where theory says that the normalised geometric mean "
        "equals weight scaling."
    ),
    arms=arms,
    measures=measures,
    details=details,
    draw=draw,
    effects=effects,
)
