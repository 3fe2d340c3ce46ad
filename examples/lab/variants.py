"""Experiment 11: DropConnect and Gaussian dropout beside dropout."""

from __future__ import annotations

from typing import Any

import numpy as np

from examples.lab import common, figures
from examples.lab.common import RATES, WITH, WITHOUT
from examples.lab.criteria import LEVEL
from examples.lab.frame import Arms, Experiment, Scale
from examples.lab.statistics import differences, rank_test, signed_rank
from examples.lab.table import Table
from examples.lab.verdicts import Effect, paired

DROPOUT, NOTHING = "dropout", "no noise"
JUDGED = ("Gaussian", "DropConnect")
SLOW = "DropConnect per example"


def arms(scale: Scale) -> Arms:
    """Return all kinds of noise; dropout and none are the runs of experiment 4."""
    seeds, fixed = common.pairs_of("variants", scale), common.small(scale)
    found = {
        DROPOUT: scale.train(seeds, dropout=RATES[WITH], **fixed),
        NOTHING: scale.train(seeds, dropout=RATES[WITHOUT], **fixed),
    }
    found |= {kind: scale.train(seeds, dropout=RATES[WITH], noise=kind, **fixed) for kind in JUDGED}
    slow = scale.train(scale.pairs(6, quick=2), dropout=RATES[WITH], noise=SLOW, **fixed)
    return {**found, **({SLOW: slow} if scale.full else {})}


def measures(arm: str, result: Any) -> dict[str, Any]:
    """Return the final accuracy."""
    return {"right": common.accuracy_of(result)}


def gate(table: Table) -> str:
    """Return why the claim cannot be asked: dropout must have an effect that others can share."""
    gain = differences(*table.pairs(DROPOUT, NOTHING, "right"))
    if rank_test(gain) <= LEVEL:
        return ""
    return f"dropout itself gains {signed_rank(gain).text(100, 'points')}: nothing to be shared"


def effects(table: Table) -> list[Effect]:
    """Return both differences to dropout."""
    return [
        paired(kind, "variants", *table.pairs(kind, DROPOUT, "right"), part=i)
        for i, kind in enumerate(JUDGED)
    ]


def details(table: Table) -> list[dict[str, Any]]:
    """Return each kind against dropout."""
    rows = []
    for kind in table.arms:
        row = {
            "noise": kind,
            "test accuracy, median": common.shown(np.median(table.one(kind, "right"))),
        }
        row |= {"minus dropout (95 %)": "–", "over images too": "–"}
        if kind != DROPOUT:
            d = differences(*table.pairs(kind, DROPOUT, "right"))
            row["minus dropout (95 %)"] = signed_rank(d).text(100, "points")
            row["over images too"] = common.over_images(table, f"{kind} − {DROPOUT}")
        rows.append(row)
    return rows


def draw(table: Table, figure: Any) -> None:
    """Draw all kinds against dropout, with the margin."""
    panel = figure.subplots()
    kinds = [kind for kind in table.arms if kind != DROPOUT]
    found = [paired(kind, "variants", *table.pairs(kind, DROPOUT, "right")) for kind in kinds]
    for row, kind in enumerate(kinds):
        d = differences(*table.pairs(kind, DROPOUT, "right"))
        finite = 100 * d[np.isfinite(d)]
        panel.plot(finite, np.full(len(finite), row + 0.25), "|", color=figures.WITH, ms=8)
    figures.effects(panel, found)
    panel.set_xlabel("test accuracy minus that of dropout, points (95 %)")


EXPERIMENT = Experiment(
    name="variants",
    title="Relatives: DropConnect and Gaussian dropout",
    claim="Dropping weights, or multiplying by Gaussian noise, does what dropout does.",
    source="d2l.ai, Dropout, exercises 6 and 7; Wan et al., 2013; Srivastava et al., 2014",
    settings=(
        "784-256-256-10 on a random 1,000 images for each seed, 100 epochs in batches of 16, "
        "learning rate falling from 0.2 to 0; noise of p = .2 and .5 on the hidden layers, for "
        "DropConnect on the weights that follow them, one mask for a batch or (6 seeds) one for "
        "each example."
    ),
    arms=arms,
    measures=measures,
    details=details,
    draw=draw,
    effects=effects,
    across=common.image_rows("variants", *((kind, DROPOUT) for kind in (NOTHING, *JUDGED))),
    gate=gate,
)
