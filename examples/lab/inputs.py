"""Reported without a verdict: dropout on the pixels too, and a bound on the weights."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from examples.lab import common, figures
from examples.lab.frame import Arms, Experiment, Scale
from examples.lab.statistics import differences, signed_rank
from examples.lab.table import Table

HIDDEN, PIXELS, LARGEST = [0.5, 0.5], 0.2, 3.0
SIZES = ("1,000", "10,000")
CELLS = {
    "hidden layers": {},
    "pixels too": {"input_dropout": PIXELS},
    "max-norm": {"max_norm": LARGEST},
    "pixels too, max-norm": {"input_dropout": PIXELS, "max_norm": LARGEST},
}
BASE = "hidden layers"


def arms(scale: Scale) -> Arms:
    """Return the four cells at both sizes."""
    middle = scale.pick({"size": 2_000, "epochs": 4, "every": 4}, {"size": 10_000, "epochs": 50})
    lengths: dict[str, Any] = {"1,000": {}, "10,000": {"batch_size": 64, **middle}}
    seeds = {"1,000": scale.pairs(24, quick=2), "10,000": scale.pairs(8, quick=2)}
    return {
        f"{cell}, {size}": scale.train(
            seeds[size], dropout=HIDDEN, **{**common.small(scale), **lengths[size], **settings}
        )
        for size, (cell, settings) in itertools.product(SIZES, CELLS.items())
    }


def measures(arm: str, result: Any) -> dict[str, Any]:
    """Return the final accuracy."""
    return {"right": common.accuracy_of(result)}


def gain(table: Table, cell: str, size: str) -> np.ndarray:
    """Return the accuracy of a cell minus that with dropout on hidden layers alone."""
    return differences(*table.pairs(f"{cell}, {size}", f"{BASE}, {size}", "right"))


def details(table: Table) -> list[dict[str, Any]]:
    """Return each cell against dropout on hidden layers alone."""
    return [
        {
            "training images": size,
            "dropout on": cell,
            "test accuracy, median": common.shown(np.median(table.one(f"{cell}, {size}", "right"))),
            f"minus {BASE} alone (95 %)": "–"
            if cell == BASE
            else signed_rank(gain(table, cell, size)).text(100, "points"),
            "over images too": common.over_images(table, f"{cell}, {size} − {BASE}, {size}"),
        }
        for size, cell in itertools.product(SIZES, CELLS)
    ]


def draw(table: Table, figure: Any) -> None:
    """Draw the gains of the cells."""
    panel = figure.subplots()
    panel.axvline(0, color="0.4", lw=1)
    cells = [(cell, size) for size in SIZES for cell in CELLS if cell != BASE]
    for row, (cell, size) in enumerate(cells):
        d = 100 * gain(table, cell, size)
        finite = d[np.isfinite(d)]
        panel.plot(finite, [row + 0.2] * len(finite), "|", color=figures.WITH, ms=8)
        figures.interval(panel, row, signed_rank(d))
    panel.set_yticks(range(len(cells)), [f"{cell}, {size} images" for cell, size in cells])
    panel.set_ylim(len(cells) - 0.4, -0.6)
    panel.set_xlabel(f"test accuracy, points, minus {BASE} alone (95 %)")


EXPERIMENT = Experiment(
    name="inputs",
    title="Dropout on the pixels, and a bound on the weights",
    claim="Dropout works best on the inputs too, and with the norms of the weights bounded.",
    source="Hinton et al., 2012; Srivastava et al., 2014, section 5.1",
    settings=(
        f"784-256-256-10, dropout .5/.5 on the hidden layers, {PIXELS:g} on the pixels or none, "
        f"the norm of a unit's incoming weights at most {LARGEST:g} or free; learning rate falling "
        "from 0.2 to 0: 100 epochs of a random 1,000 images in batches of 16 (24 seeds), 50 of "
        "10,000 in batches of 64 (8 seeds)."
    ),
    arms=arms,
    measures=measures,
    details=details,
    draw=draw,
    across=common.image_rows(
        "inputs",
        *((f"{cell}, {n}", f"{BASE}, {n}") for n in SIZES for cell in CELLS if cell != BASE),
    ),
)
