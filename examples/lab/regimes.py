"""Experiment 4: where dropout helps. The gain over the size of the data, each trained to fit."""

from __future__ import annotations

from typing import Any

import numpy as np

from examples.lab import common, figures
from examples.lab.common import RATES, WITH, WITHOUT
from examples.lab.criteria import pairs_of
from examples.lab.frame import Arms, Experiment, Results, Scale
from examples.lab.statistics import differences, signed_rank
from examples.lab.table import Row, Table
from examples.lab.training import final
from examples.lab.verdicts import Effect, paired

FIT = 0.995  # train accuracy of the control for which the lengths were chosen, on validation images
SIZES = ("1,000", "10,000", "all")


def recipes(scale: Scale) -> dict[str, tuple[range, dict[str, Any]]]:
    """Return seeds and settings of each size."""
    middle = {"size": 10_000, "epochs": 100, "batch_size": 64, "every": 20}
    whole = {"size": 0, "epochs": 70, "batch_size": 32, "every": 14}
    batch = {"batch_size": 64}
    quick = (
        {"size": 2_000, "epochs": 6, "every": 3, **batch},
        {"size": 4_000, "epochs": 4, "every": 2, **batch},
    )
    fixed = common.small(scale)
    each = [fixed, *({**fixed, **s} for s in scale.pick(quick, (middle, whole)))]
    pairs = pairs_of("regimes")
    return {
        name: (scale.pairs(n), recipe) for name, n, recipe in zip(SIZES, pairs, each, strict=True)
    }


def arms(scale: Scale) -> Arms:
    """Return both arms at each size."""
    return {
        f"{arm}, {size}": scale.train(seeds, dropout=rates, **recipe)
        for size, (seeds, recipe) in recipes(scale).items()
        for arm, rates in RATES.items()
    }


def measures(arm: str, result: Any) -> dict[str, Any]:
    """Return the accuracies at the end, and at the best of the epochs that were measured."""
    best = max(result.get("test_acc", []), default=-np.inf)
    return {
        "right": common.accuracy_of(result),
        "best": best,
        "train": final(result, "train_acc"),
    }


def across(results: Results, found: Arms) -> list[Row]:
    """Return the rows about all images, of each size."""
    pairs = [(f"{WITH}, {size}", f"{WITHOUT}, {size}") for size in SIZES]
    return common.image_rows("regimes", *pairs)(results, found)


def effects(table: Table) -> list[Effect]:
    """Return the gain at each size."""
    return [
        paired(size, "regimes", *table.pairs(f"{WITH}, {size}", f"{WITHOUT}, {size}", "right"), i)
        for i, size in enumerate(SIZES)
    ]


def details(table: Table) -> list[dict[str, Any]]:
    """Return the gain and the fit at each size."""
    rows: list[dict[str, Any]] = []
    for size in SIZES:
        a, b = f"{WITH}, {size}", f"{WITHOUT}, {size}"
        gain, best = (
            signed_rank(differences(*table.pairs(a, b, m))).text(100, "points")
            for m in ("right", "best")
        )
        rows.append(
            {
                "training images": size,
                "train accuracy without": common.shown(np.median(table.one(b, "train"))),
                "train accuracy with": common.shown(np.median(table.one(a, "train"))),
                "test accuracy without": common.shown(np.median(table.one(b, "right"))),
                "gain (95 %)": gain,
                "gain over images too": common.over_images(table, f"{a} − {b}"),
                "gain at each arm's best measured epoch": best,
            }
        )
    return rows


def draw(table: Table, figure: Any) -> None:
    """Draw the gain at each size, with how well the control fits."""
    found = effects(table)
    fits = {s: 100 * np.median(table.one(f"{WITHOUT}, {s}", "train")) for s in SIZES}
    names = [f"{size} images\n(control fits {fits[size]:.1f} %)" for size in SIZES]
    panel = figure.subplots()
    for row, size in enumerate(SIZES):
        d = differences(*table.pairs(f"{WITH}, {size}", f"{WITHOUT}, {size}", "right"))
        finite = d[np.isfinite(d)] * 100
        panel.plot(finite, np.full(len(finite), row + 0.25), "|", color=figures.WITH, ms=8)
    figures.effects(panel, found, names)
    panel.set_xlabel("gain in test accuracy, points (95 %); grey: below what counts")


EXPERIMENT = Experiment(
    name="regimes",
    title="Where dropout helps",
    claim="Trained until it fits, a network gains by dropout, whatever the size of the data.",
    source="d2l.ai, Dropout; Srivastava et al., 2014, figure 10",
    settings=(
        "784-256-256-10, dropout .2/.5 against none; a random choice of images for each seed, the "
        "same in both arms; learning rate falling from 0.2 to 0: 100 epochs of 1,000 images in "
        "batches of 16, 100 of 10,000 in batches of 64, 70 of all in batches of 32. Lengths were "
        f"chosen on validation images, such that the control's train accuracy reaches {FIT}."
    ),
    arms=arms,
    measures=measures,
    details=details,
    draw=draw,
    effects=effects,
    across=across,
)
