"""What several experiments share: their trainings, and how numbers are put side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from examples.lab import criteria
from examples.lab.frame import Arms, Results, Scale, as_numbers
from examples.lab.statistics import crossed, crossed_interval, differences, signed_rank
from examples.lab.table import Row, Table
from examples.lab.training import collapsed, unpacked

WITH, WITHOUT = "with dropout", "without"
RATES = {WITH: [0.2, 0.5], WITHOUT: [0.0, 0.0]}
PROBES = ["activity", "weights", "averaging", "robustness", "deletion"]
IMAGES = "right images"  # the measure of rows about all images of an arm


def pairs_of(experiment: str, scale: Scale, part: int = 0) -> range:
    """Return the seeds of an experiment's arms."""
    return scale.pairs(criteria.pairs_of(experiment)[part])


def chapter(scale: Scale) -> dict[str, Any]:
    """Return the chapter's settings, trained on beyond its ten epochs at the same learning rate."""
    quick = {"lr": 0.5, "size": 4_000, "epochs": 11, "batch_size": 128}
    full = {"lr": 0.5, "size": 0, "epochs": 25, "batch_size": 256}
    return dict(scale.pick(quick, full))


def chapter_arms(scale: Scale) -> Arms:
    """Return the chapter's two arms; the same seed begins with the same weights in both."""
    seeds = pairs_of("with_without", scale)
    return {
        arm: scale.train(seeds, dropout=rates, **chapter(scale)) for arm, rates in RATES.items()
    }


def small(scale: Scale) -> dict[str, Any]:
    """Return a training on a random 1,000 images until the control fits them."""
    length = scale.pick({"epochs": 10, "every": 5}, {"epochs": 100, "every": 20})
    return {"lr": 0.2, "decay": True, "size": 1_000, "subset": "random", "batch_size": 16, **length}


def settled(scale: Scale) -> dict[str, Any]:
    """Return a training on a random 10,000 images that has settled at its end."""
    length = scale.pick({"size": 2_000, "epochs": 6, "every": 3}, {"size": 10_000, "epochs": 25})
    return {
        "lr": 0.2,
        "decay": True,
        "subset": "random",
        "batch_size": 64,
        "every": 5,
        **length,
    }


def settled_arms(scale: Scale) -> Arms:
    """Return both arms of the one training that five claims are asked of."""
    seeds = pairs_of("activations", scale)
    fixed = {"probes": PROBES, **settled(scale)}
    return {arm: scale.train(seeds, dropout=rates, **fixed) for arm, rates in RATES.items()}


def image_rows(name: str, *pairs: tuple[str, str]) -> Callable[[Results, Arms], list[Row]]:
    """Return what adds, for arms and pairs of arms, the variances over seeds and images.

    A row holds the mean, three variances (see `statistics.crossed`), and the numbers of seeds and
    images; of a pair, those of the first arm minus the second, on images that both were asked.
    """

    def across(results: Results, arms: Arms) -> list[Row]:
        rows = []
        wanted: dict[str, Any] = {}
        for a, b in pairs:
            n = min(len(arms[a]), len(arms[b]))
            both = [[results[r] for r in arms[arm][:n]] for arm in (a, b)]
            if any(collapsed(result) is not None for arm in both for result in arm):
                continue  # a mean over collapsed nets says nothing
            x, y = (np.array([unpacked(result) for result in arm]) for arm in both)
            wanted |= {a: x, b: y, f"{a} − {b}": x.astype(np.int8) - y.astype(np.int8)}
        for arm, right in wanted.items():
            values = (float(right.mean()), *crossed(right), *right.shape)
            rows.append(Row(name, arm, "", IMAGES, as_numbers(values)))
        return rows

    return across


def over_images(table: Table, arm: str) -> str:
    """Return the final accuracy with its interval over seeds and images, or "–"."""
    if (arm, IMAGES) not in table:
        return "–"
    mean, seeds, images, left, n, m = table.all(arm, IMAGES)[0]
    interval = crossed_interval(mean, (seeds, images, left), int(n), int(m))
    return interval.text(100, "points")


def compared(
    table: Table,
    a: str,
    b: str,
    measures: Sequence[tuple[str, str, float, str]],
) -> list[dict[str, Any]]:
    """Return a row for each measure: both medians, and the difference a - b with its interval.

    Args:
        table: has both arms.
        a, b: arms.
        measures: name in the table (with ``:k`` for the k-th number), words, scale, unit.
    """
    rows: list[dict[str, Any]] = []
    for name, words, scale, unit in measures:
        measure, _, place = name.partition(":")
        x, y = table.pairs(a, b, measure, int(place or 0))
        row: dict[str, Any] = {"measure": words}
        row |= {arm: shown(np.median(v)) for arm, v in ((a, x), (b, y))}
        if np.isposinf(x).any() or np.isposinf(y).any():  # more is worse: a collapse is +inf
            d = -differences(-x, -y)
        else:
            d = differences(x, y)
        digits = 4 if scale == 1 else 2
        row["difference (95 %)"] = signed_rank(d).text(scale, unit, digits)
        row["over images too"] = over_images(table, f"{a} − {b}") if name == "right" else "–"
        rows.append(row)
    return rows


def shown(value: float) -> str:
    """Return a number of a table; a median that is a collapse as such."""
    return "collapsed" if np.isinf(value) else f"{value:.4g}"


def accuracy_of(result: Any) -> float:
    """Return the final accuracy of a run, from its right images; -inf if it collapsed."""
    return -np.inf if collapsed(result) is not None else float(unpacked(result).mean())
