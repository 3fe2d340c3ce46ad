"""Experiment 7: dropout and weight decay: whether dropout shrinks the weights."""

from __future__ import annotations

from typing import Any

from examples.lab import common, figures
from examples.lab.common import WITH, WITHOUT
from examples.lab.frame import Arms, Experiment, Scale
from examples.lab.statistics import differences, signed_rank
from examples.lab.table import Table
from examples.lab.verdicts import Effect, paired

DECAY = 1e-3
DECAYED, BOTH = "weight decay", "both"
LAYERS = ("first", "second", "third")


def arms(scale: Scale) -> Arms:
    """Return the settled training's arms, and two with weight decay."""
    fixed = {**common.settled(scale), "probes": ["weights"], "weight_decay": DECAY}
    seeds = scale.pairs(10, quick=2)
    return {
        **common.settled_arms(scale),
        DECAYED: scale.train(seeds, dropout=common.RATES[WITHOUT], **fixed),
        BOTH: scale.train(seeds, dropout=common.RATES[WITH], **fixed),
    }


def measures(arm: str, result: Any) -> dict[str, Any]:
    """Return norms, and the accuracy."""
    found = result["weights"]
    return {
        "log norm": found["log norm"],
        "layers": found["layers"],
        "participation": found["participation"],
        "right": common.accuracy_of(result),
    }


def effects(table: Table) -> list[Effect]:
    """Return by how much the logarithm of the norm is smaller with dropout."""
    without, with_ = table.pairs(WITHOUT, WITH, "log norm")
    return [paired("", "weight_decay", without, with_)]


def details(table: Table) -> list[dict[str, Any]]:
    """Return each arm against neither."""
    rows = []
    for arm in (WITH, DECAYED, BOTH):
        row: dict[str, Any] = {"arm, minus neither (95 %)": arm}
        for measure, words, scale, unit in (
            ("log norm", "logarithm of the norm", 100, "hundredths"),
            ("participation", "inputs a unit relies on, of 784", 1, ""),
            ("right", "test accuracy", 100, "points"),
        ):
            a, b = table.pairs(arm, WITHOUT, measure)
            row[words] = signed_rank(differences(a, b)).text(scale, unit)
        row["over images too"] = common.over_images(table, f"{arm} − {WITHOUT}")
        rows.append(row)
    return rows


def draw(table: Table, figure: Any) -> None:
    """Draw the ratio of the norms, with dropout or weight decay over neither, layer by layer."""
    panel = figure.subplots()
    panel.axvline(1, color="0.4", lw=1)
    place, ticks, names = 0.0, [], []
    for layer, words in enumerate(LAYERS):
        for arm, color in ((WITH, figures.WITH), (DECAYED, figures.WITHOUT)):
            a, b = table.pairs(arm, WITHOUT, "layers", layer)
            panel.plot(a / b, [place] * len(a), "|", color=color, ms=9)
            figures.interval(panel, place + 0.25, signed_rank(a / b))
            ticks.append(place)
            names.append(f"{words} matrix, {arm}")
            place += 1
        place += 0.4
    panel.set_yticks(ticks, names)
    panel.set_ylim(place - 0.3, -0.7)
    panel.set_xlabel("norm over that with neither; ticks: seeds; black: 95 %")


EXPERIMENT = Experiment(
    name="weight_decay",
    title="Dropout and weight decay",
    claim="Dropout shrinks the weights, as weight decay does.",
    source="A. Ng's lectures as the chapter quotes them; d2l.ai, Dropout, exercise 5",
    settings=(
        "784-256-256-10 with dropout .2/.5 and with none, and with weight decay of 0.001 (10 "
        "seeds); a random 10,000 images for each seed, 25 epochs in batches of 64, learning rate "
        "falling from 0.2 to 0."
    ),
    arms=arms,
    measures=measures,
    details=details,
    draw=draw,
    effects=effects,
    across=common.image_rows("weight_decay", *((arm, WITHOUT) for arm in (WITH, DECAYED, BOTH))),
)
