"""Experiment 12: the slip in copies of the chapter, normal noise where uniform noise is meant."""

from __future__ import annotations

from typing import Any

import numpy as np

from examples.lab import common, figures
from examples.lab.common import RATES, WITH
from examples.lab.frame import Arms, Experiment, Scale
from examples.lab.statistics import differences, signed_rank
from examples.lab.table import Table
from examples.lab.training import final
from examples.lab.verdicts import Effect, paired

END, LAST = 10, 5  # the chapter's last epoch, and epochs that are averaged
RIGHT, SLIP, DROPPED = "uniform noise", "normal noise", "uniform noise that drops as much"
AS_MUCH = [0.579260, 0.691462]  # what the slip drops: Φ(.2) and Φ(.5)


def arms(scale: Scale) -> Arms:
    """Return the slip, the right layer (experiment 1's runs), and one that drops as much."""
    seeds, fixed = common.pairs_of("normal_noise", scale), common.chapter(scale)
    short = {**fixed, "epochs": END}
    return {
        RIGHT: scale.train(seeds, dropout=RATES[WITH], **fixed),
        SLIP: scale.train(seeds, dropout=RATES[WITH], noise="normal noise", **short),
        DROPPED: scale.train(seeds, dropout=AS_MUCH, **short),
    }


def measures(arm: str, result: Any) -> dict[str, Any]:
    """Return accuracies and losses over the last epochs of the chapter."""
    wanted = {"test": "test_acc", "test NLL": "test_nll", "train": "train_acc"}
    return {name: final(result, curve, LAST, END) for name, curve in wanted.items()}


def effects(table: Table) -> list[Effect]:
    """Return what the slip costs."""
    return [paired("", "normal_noise", *table.pairs(RIGHT, SLIP, "test"))]


def details(table: Table) -> list[dict[str, Any]]:
    """Return the cost, and its two parts: dropping too much, and scaling wrongly."""
    rows = []
    for a, b, words in (
        (RIGHT, SLIP, "the slip: uniform minus normal noise"),
        (RIGHT, DROPPED, "part 1, dropping too much: minus uniform noise at .579/.691"),
        (DROPPED, SLIP, "part 2, the wrong scale: that minus normal noise"),
    ):
        row: dict[str, Any] = {"what is compared (95 %)": words}
        for measure, name, scale, unit in (
            ("test", "test accuracy", 100, "points"),
            ("test NLL", "test loss", 1, "nats"),
            ("train", "train accuracy, noise off", 100, "points"),
        ):
            x, y = table.pairs(a, b, measure)
            d = -differences(-x, -y) if measure == "test NLL" else differences(x, y)
            row[name] = signed_rank(d).text(scale, unit)
        rows.append(row)
    return rows


def draw(table: Table, figure: Any) -> None:
    """Draw each seed's accuracy and loss in the three arms."""
    panels = figure.subplots(1, 2)
    found = (RIGHT, DROPPED, SLIP)
    for panel, (measure, words, scale) in zip(
        panels, (("test", "test accuracy, %", 100), ("test NLL", "test loss", 1)), strict=True
    ):
        values = np.array([table.one(arm, measure) for arm in found]) * scale
        values[~np.isfinite(values)] = np.nan
        panel.plot(range(3), values, "o-", color=figures.FOURTH, ms=3, lw=0.7)
        panel.plot(range(3), np.nanmedian(values, axis=1), "s", color="black", ms=7)
        panel.set_xticks(range(3), ["uniform", "uniform,\nsame rate", "normal"])
        panel.set_ylabel(f"{words}; squares: medians")
        panel.margins(x=0.1)


EXPERIMENT = Experiment(
    name="normal_noise",
    title="The slip with randn",
    claim="Normal noise where uniform noise is meant costs test accuracy.",
    source="copies of the chapter's code with torch.randn in dropout_layer",
    settings=(
        "784-256-256-10 at the chapter's settings, 10 epochs, with either noise; the slip drops "
        "57.9 and 69.1 % and scales as for 20 and 50 %, so a third arm drops as much and scales "
        "rightly."
    ),
    arms=arms,
    measures=measures,
    details=details,
    draw=draw,
    effects=effects,
)
