"""Experiment 3: the probability itself, and which layer takes more."""

from __future__ import annotations

from typing import Any

import numpy as np

from examples.lab import common, figures
from examples.lab.frame import Arms, Experiment, Results, Scale
from examples.lab.statistics import differences, signed_rank
from examples.lab.table import Row, Table
from examples.lab.training import final
from examples.lab.verdicts import Effect, paired

JUDGED = (0.0, 0.1, 0.3, 0.5)
MORE = (0.2, 0.7, 0.9)
CHAPTER, SWAPPED = (0.2, 0.5), (0.5, 0.2)
NOTHING = "p = 0"


def arms(scale: Scale) -> Arms:
    """Return a sweep with one p after both layers, and the chapter's two in both orders."""
    length = scale.pick({"epochs": 8}, {"epochs": 32})
    fixed = {"lr": 0.2, "decay": True, "size": 2_000, "subset": "random", "batch_size": 32}
    fixed |= {"every": 8, **length}
    seeds, fewer = common.pairs_of("sweep", scale), scale.pairs(10, quick=2)
    rates = {f"p = {p:g}": (p, p) for p in sorted((*JUDGED, *scale.pick((0.9,), MORE)))}
    rates |= {f"{p:g}/{q:g}": (p, q) for p, q in (CHAPTER, SWAPPED)}
    return {
        name: scale.train(seeds if pair[0] in JUDGED else fewer, dropout=list(pair), **fixed)
        for name, pair in rates.items()
    }


def measures(arm: str, result: Any) -> dict[str, Any]:
    """Return how well a run fits, and its test accuracy."""
    return {
        "train": final(result, "train_acc"),
        "train NLL": final(result, "train_nll"),
        "right": common.accuracy_of(result),
    }


def across(results: Results, found: Arms) -> list[Row]:
    """Return the rows about all images, of each arm against none."""
    pairs = [(arm, NOTHING) for arm in found if arm != NOTHING]
    return common.image_rows("sweep", *pairs)(results, found)


def slopes(table: Table, measure: str) -> np.ndarray:
    """Return each seed's slope of a measure over p, per tenth; -inf if a net of it collapsed."""
    values = np.array([table.one(f"p = {p:g}", measure) for p in JUDGED])
    x = 10 * (np.array(JUDGED) - np.mean(JUDGED))
    weights = x / (x**2).sum()
    slope = np.where(np.isinf(values), 0, values).T @ weights
    return np.where(np.isinf(values).any(axis=0), -np.inf, slope)


def effects(table: Table) -> list[Effect]:
    """Return the train accuracy lost per tenth of p."""
    lost = -slopes(table, "train")
    return [paired("", "sweep", lost, np.zeros(len(lost)))]


def details(table: Table) -> list[dict[str, Any]]:
    """Return each p against none, and the chapter's two against each other."""
    rows: list[dict[str, Any]] = []
    for arm in table.arms:
        if arm == NOTHING:
            continue
        row: dict[str, Any] = {"p": arm.removeprefix("p = ")}
        for measure, words, scale, unit in (
            ("train", "train accuracy, noise off", 100, "points"),
            ("train NLL", "train loss, noise off", 1, "nats"),
            ("right", "test accuracy", 100, "points"),
        ):
            a, b = table.pairs(arm, NOTHING, measure)
            d = -differences(-a, -b) if measure == "train NLL" else differences(a, b)
            row[f"{words}, minus that of p = 0 (95 %)"] = signed_rank(d).text(scale, unit)
        row["over images too"] = common.over_images(table, f"{arm} − {NOTHING}")
        rows.append(row)
    usual, swapped = (f"{p:g}/{q:g}" for p, q in (CHAPTER, SWAPPED))
    a, b = table.pairs(usual, swapped, "right")
    last = dict.fromkeys(rows[0], "–")
    swap = {
        "p": ".2/.5 minus .5/.2",
        list(rows[0])[-2]: signed_rank(differences(a, b)).text(100, "points"),
    }
    return [*rows, {**last, **swap}]


def draw(table: Table, figure: Any) -> None:
    """Draw the differences to p = 0 in train loss and in test accuracy."""
    panels = figure.subplots(1, 2)
    for panel, (measure, words, scale) in zip(
        panels,
        (("train NLL", "train loss", 1), ("right", "test accuracy, points", 100)),
        strict=True,
    ):
        sweep = [a for a in table.arms if a.startswith("p = ") and float(a[4:]) <= 0.7]
        for arm in sweep[1:]:
            p = float(arm[4:])
            a, b = table.pairs(arm, "p = 0", measure)
            sign = -1 if measure == "train NLL" else 1
            d = sign * differences(sign * a, sign * b)
            finite = d[np.isfinite(d)]
            panel.plot([p] * len(finite), finite * scale, ".", color=figures.FOURTH, ms=4)
            figures.interval(panel, p, signed_rank(d), scale, upright=True)
        panel.axhline(0, color="0.4", lw=1)
        panel.set(xlabel="p, after both layers", ylabel=f"{words}, minus p = 0 (95 %)")


EXPERIMENT = Experiment(
    name="sweep",
    title="Larger p, simpler model",
    claim="The larger p, the less the network fits its training set.",
    source="d2l.ai, Dropout; Srivastava et al., 2014, figure 9",
    settings=(
        "784-256-256-10, random 2,000 images, 32 epochs in batches of 32, learning rate falling "
        "from 0.2 to 0; p after both layers. Larger p and the swapped pair with 10 seeds; p = 0.9 "
        "is in the table alone."
    ),
    arms=arms,
    measures=measures,
    details=details,
    draw=draw,
    effects=effects,
    across=across,
)
