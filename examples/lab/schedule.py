"""Reported without a verdict: dropout in the first half of training, or in the second."""

from __future__ import annotations

from typing import Any

import numpy as np

from examples.lab import common, figures
from examples.lab.common import RATES, WITH, WITHOUT
from examples.lab.frame import Arms, Experiment, Scale
from examples.lab.statistics import differences, signed_rank
from examples.lab.table import Table
from examples.lab.training import final

NEVER, ALWAYS, EARLY, LATE = "never", "always", "early half", "late half"
REGIMES = {"underfitting": (NEVER, EARLY, ALWAYS), "overfitting": (NEVER, LATE, ALWAYS)}


def recipe(scale: Scale, regime: str) -> dict[str, Any]:
    """Return the settings of a regime; overfitting is the training on 1,000 images."""
    if regime == "overfitting":
        return common.small(scale)
    fixed = {"lr": 0.2, "decay": True, "subset": "first"}
    quick, full = {"size": 4_000, "epochs": 4, "every": 2}, {"size": 0, "epochs": 10, "every": 5}
    return {**fixed, "batch_size": scale.pick(64, 256), **scale.pick(quick, full)}


def arms(scale: Scale) -> Arms:
    """Return, in both regimes, no dropout, dropout in one half of the epochs, and in all."""
    seeds, found = scale.pairs(24, quick=2), {}
    for regime, names in REGIMES.items():
        fixed = recipe(scale, regime)
        for name in names:
            rates = RATES[WITHOUT if name == NEVER else WITH]
            half = {EARLY: {"schedule": "early"}, LATE: {"schedule": "late"}}.get(name, {})
            found[f"{regime}, {name}"] = scale.train(seeds, dropout=rates, **half, **fixed)
    return found


def measures(arm: str, result: Any) -> dict[str, Any]:
    """Return how well a run fits, and its accuracy."""
    return {"train NLL": final(result, "train_nll"), "right": common.accuracy_of(result)}


def difference(table: Table, a: str, b: str, measure: str) -> np.ndarray:
    """Return what the first arm has more than the second."""
    sign = -1 if measure == "train NLL" else 1  # a collapse is the worst
    x, y = table.pairs(a, b, measure)
    return sign * differences(sign * x, sign * y)


def compared(regime: str) -> tuple[tuple[str, str], ...]:
    """Return which schedules are compared."""
    half = REGIMES[regime][1]
    return (half, NEVER), (half, ALWAYS), (ALWAYS, NEVER)


def details(table: Table) -> list[dict[str, Any]]:
    """Return each schedule against no dropout, and against dropout always."""
    rows = []
    for regime in REGIMES:
        for name, other in compared(regime):
            a, b = f"{regime}, {name}", f"{regime}, {other}"
            row = {"regime": regime, "what is compared (95 %)": f"{name} minus {other}"}
            loss = signed_rank(difference(table, a, b, "train NLL"))
            row["train loss, noise off"] = loss.text(1, "nats")
            row["test accuracy"] = signed_rank(difference(table, a, b, "right")).text(100, "points")
            row["over images too"] = common.over_images(table, f"{a} − {b}")
            rows.append(row)
    return rows


def draw(table: Table, figure: Any) -> None:
    """Draw train loss and test accuracy minus those without dropout."""
    panels = figure.subplots(1, 2, sharey=True)
    arms = [f"{regime}, {name}" for regime, names in REGIMES.items() for name in names[1:]]
    for panel, measure, scale, words in (
        (panels[0], "train NLL", 1, "train loss, nats"),
        (panels[1], "right", 100, "test accuracy, points"),
    ):
        panel.axvline(0, color="0.4", lw=1)
        for row, arm in enumerate(arms):
            d = scale * difference(table, arm, f"{arm.split(', ')[0]}, {NEVER}", measure)
            finite = d[np.isfinite(d)]
            panel.plot(finite, [row + 0.2] * len(finite), "|", color=figures.WITH, ms=8)
            figures.interval(panel, row, signed_rank(d))
        panel.set_xlabel(f"{words},\nminus never (95 %)")
    panels[0].set_yticks(range(len(arms)), arms)
    panels[0].set_ylim(len(arms) - 0.4, -0.6)


EXPERIMENT = Experiment(
    name="schedule",
    title="Early and late dropout",
    claim="Early dropout helps a network that underfits, late dropout one that overfits.",
    source="Liu et al., 2023",
    settings=(
        "784-256-256-10, dropout .2/.5 in all epochs, in the first half or in the second; learning "
        "rate falling from 0.2 to 0. Underfitting: 10 epochs of all images in batches of 256. "
        "Overfitting: 100 epochs of a random 1,000 in batches of 16. 24 seeds."
    ),
    arms=arms,
    measures=measures,
    details=details,
    draw=draw,
    across=common.image_rows(
        "schedule", *((f"{r}, {a}", f"{r}, {b}") for r in REGIMES for a, b in compared(r))
    ),
)
