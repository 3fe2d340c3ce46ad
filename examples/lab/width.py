"""Experiment 9: a wide network with dropout against narrower ones without, each well tuned."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from examples.lab import common, figures
from examples.lab.frame import Arms, Experiment, Results, Run, Scale
from examples.lab.statistics import differences
from examples.lab.table import Row, Table
from examples.lab.training import final
from examples.lab.verdicts import Effect, paired

CHOICE = "chosen"  # the measure of rows about what tuning chose
NO_DROPOUT = ((0.0, 0.0),)
DROPOUT = ((0.2, 0.5), (0.5, 0.5))


def widths(scale: Scale) -> tuple[int, ...]:
    """Return the widths of the networks without dropout; the last is that of the one with it."""
    return tuple(scale.pick((64, 128), (128, 256, 512)))


def names(scale: Scale) -> dict[str, tuple[int, tuple[tuple[float, float], ...]]]:
    """Return width and possible rates of each arm, by its name."""
    wide = widths(scale)[-1]
    found = {f"{wide} wide, dropout": (wide, DROPOUT)}
    return {**found, **{f"{n} wide, none": (n, NO_DROPOUT) for n in widths(scale)}}


def candidates(scale: Scale, arm: str) -> list[dict[str, Any]]:
    """Return the settings that an arm is tuned over: learning rate, p, epochs."""
    width, rates = names(scale)[arm]
    lengths = scale.pick((10,), (50, 100))
    fixed = {**common.small(scale), "hiddens": [width, width]}
    return [
        {**fixed, "lr": lr, "dropout": list(p), "epochs": epochs, "every": epochs}
        for lr, p, epochs in itertools.product(
            scale.pick((0.2, 0.4), (0.1, 0.2, 0.4)), rates, lengths
        )
    ]


def tuning(scale: Scale, arm: str, settings: Mapping[str, Any]) -> list[Run]:
    """Return pilots: runs with other seeds, which see validation images and no test images."""
    seeds = range(1000, 1000 + scale.pick(1, 3))
    return scale.train(seeds, held_out="validation", **settings)


def arms(scale: Scale) -> Arms:
    """Return the pilots."""
    return {
        f"pilot of {arm}, {i}": tuning(scale, arm, settings)
        for arm in names(scale)
        for i, settings in enumerate(candidates(scale, arm))
    }


def best(results: Results, scale: Scale, arm: str) -> tuple[dict[str, Any], float]:
    """Return the settings best on validation images, and how good; the first if none is known."""
    options = candidates(scale, arm)
    if tuning(scale, arm, options[0])[0] not in results:
        return options[0], 0.0

    def score(settings: Mapping[str, Any]) -> float:
        runs = tuning(scale, arm, settings)
        return float(np.mean([final(results[run], "test_acc") for run in runs]))

    return max(((s, score(s)) for s in options), key=lambda pair: pair[1])


def then(results: Results, scale: Scale) -> Arms:
    """Return the runs that judge, on the test set, as tuned."""
    seeds = common.pairs_of("width", scale)
    return {arm: scale.train(seeds, **best(results, scale, arm)[0]) for arm in names(scale)}


def measures(arm: str, result: Any) -> dict[str, Any]:
    """Return the final accuracy of a run that judges; nothing of a pilot."""
    if arm.startswith("pilot"):
        return {"validation": final(result, "test_acc")}
    return {"right": common.accuracy_of(result)}


def across(results: Results, found: Arms) -> list[Row]:
    """Return the rows about all images, and what was chosen for each arm."""
    judging = [arm for arm in found if not arm.startswith("pilot")]
    rows = common.image_rows("width", *((judging[0], other) for other in judging[1:]))(
        results, found
    )
    for arm in judging:
        s = json.loads(json.dumps(dict(found[arm][0].settings)))
        rows.append(Row("width", arm, "", CHOICE, (s["lr"], *s["dropout"], s["epochs"])))
    return rows


def validation(table: Table, arm: str) -> float:
    """Return the accuracy on validation images of the best pilot."""
    pilots = [a for a in table.arms if a.startswith(f"pilot of {arm},")]
    return max(float(table.one(a, "validation").mean()) for a in pilots)


def judging(table: Table) -> list[str]:
    """Return the arms that judge: the wide one with dropout first, the wide one without last."""
    return [arm for arm in table.arms if not arm.startswith("pilot")]


def rival(table: Table) -> str:
    """Return the narrower network without dropout that is best on validation images."""
    return max(judging(table)[1:-1], key=lambda arm: validation(table, arm))


def effects(table: Table) -> list[Effect]:
    """Return the gain over the better narrower network."""
    return [paired("", "width", *table.pairs(judging(table)[0], rival(table), "right"))]


def details(table: Table) -> list[dict[str, Any]]:
    """Return each arm as tuned, and how much better the wide one with dropout is."""
    rows = []
    first = judging(table)[0]
    for arm in judging(table):
        lr, p, q, epochs = table.all(arm, CHOICE)[0]
        row = {
            "arm": arm + (" (the rival)" if arm == rival(table) else ""),
            "as tuned": f"rate {lr:g}, {epochs:g} epochs" + (f", p {p:g}/{q:g}" if p else ""),
            "validation accuracy": f"{validation(table, arm):.4f}",
            "test accuracy, median": common.shown(np.median(table.one(arm, "right"))),
            "wide with dropout minus this (95 %)": "–",
            "over images too": "–",
        }
        if arm != first:
            e = paired("", "width", *table.pairs(first, arm, "right"))
            row["wide with dropout minus this (95 %)"] = e.text
            row["over images too"] = common.over_images(table, f"{first} − {arm}")
        rows.append(row)
    return rows


def draw(table: Table, figure: Any) -> None:
    """Draw each seed's accuracy from arm to arm, and the gains with their intervals."""
    left, right = figure.subplots(1, 2)
    found = judging(table)
    values = np.array([table.one(arm, "right") for arm in found]) * 100
    values[~np.isfinite(values)] = np.nan
    left.plot(range(len(found)), values, "o-", color=figures.FOURTH, ms=3, lw=0.7)
    left.plot(range(len(found)), np.median(values, axis=1), "s", color="black", ms=7)
    left.set_xticks(range(len(found)), [arm.replace(", ", "\n") for arm in found])
    left.set_ylabel("test accuracy, %; squares: medians")
    others = [paired(f"v. {a}", "width", *table.pairs(found[0], a, "right")) for a in found[1:]]
    figures.effects(right, others, [e.name.replace(", ", "\n") for e in others])
    left.margins(x=0.1)
    d = differences(*table.pairs(found[0], rival(table), "right"))
    right.set_title(f"rival: {rival(table)}; {len(d)} pairs", fontsize="small")


EXPERIMENT = Experiment(
    name="width",
    title="Wider with dropout, or narrower without",
    claim="A bigger network with dropout beats a smaller one without.",
    source="d2l.ai, Dropout, questions and answers; Srivastava et al., 2014, appendix A",
    settings=(
        "784-n-n-10 on a random 1,000 images for each seed, batches of 16, learning rate falling "
        "to 0; n = 512 with dropout, n = 128, 256 and 512 without. Each arm has the learning rate "
        "(of 0.1, 0.2, 0.4), the length (of 50 and 100 epochs) and, with dropout, the p (of .2/.5 "
        "and .5/.5) that are best on 10,000 validation images with three seeds of their own."
    ),
    arms=arms,
    then=then,
    measures=measures,
    details=details,
    draw=draw,
    effects=effects,
    across=across,
)
