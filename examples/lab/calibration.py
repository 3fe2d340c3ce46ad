"""Reported without a verdict: how honest probabilities are, and whether doubt knows the unknown."""

from __future__ import annotations

from typing import Any

from examples.lab import common, figures
from examples.lab.common import RATES, WITH, WITHOUT
from examples.lab.ensembles import STRANGERS
from examples.lab.frame import Arms, Experiment, Run, Scale
from examples.lab.statistics import signed_rank
from examples.lab.table import Table

MEMBERS = 5
COMMITTEE = f"{MEMBERS} nets without dropout"
MASKS = "30 masks"
WAYS = {
    "one net without dropout": (WITHOUT, "scaled"),
    "dropout, weight scaling": (WITH, "scaled"),
    f"dropout, {MASKS}": (WITH, MASKS),
    COMMITTEE: (COMMITTEE, "scaled"),
}
STRANGE = {WITH: f"strangers, {WITH}", WITHOUT: f"strangers, {WITHOUT}"}


def arms(scale: Scale) -> Arms:
    """Return the settled training, ensembles of nets, and trainings without two classes."""
    fixed = common.settled(scale)
    module = "examples.lab.ensembles"
    few = scale.pairs(8, quick=2)

    def others(function: str, **settings: Any) -> list[Run]:
        name = f"{module}:{function}"
        return [Run(name, {**fixed, **settings, "seed": s}, scale.data) for s in few]

    committee = others("committee", members=scale.pick(2, MEMBERS), dropout=RATES[WITHOUT])
    strange = {STRANGE[arm]: others("strangers", dropout=RATES[arm]) for arm in RATES}
    return {**common.settled_arms(scale), COMMITTEE: committee, **strange}


def measures(arm: str, result: Any) -> dict[str, Any]:
    """Return accuracy, log loss, calibration error; or areas under ROC curves."""
    if arm == COMMITTEE:
        return {"scaled": result}
    if arm in STRANGE.values():
        return dict(result)
    found = result["averaging"]
    masks = found["masks"].get("30")
    return {"scaled": found["scaled"], **({MASKS: masks} if masks else {})}


def details(table: Table) -> list[dict[str, Any]]:
    """Return each way to probabilities, with intervals over the seeds."""
    rows: list[dict[str, Any]] = []
    for words, (arm, measure) in WAYS.items():
        values = table.all(arm, measure)
        row: dict[str, Any] = {"probabilities from": words}
        for place, (name, scale, unit) in enumerate(
            (
                ("test accuracy", 100, "%"),
                ("log loss", 1, "nats"),
                ("calibration error", 100, "points"),
            )
        ):
            row[f"{name} (95 %)"] = signed_rank(values[:, place]).text(scale, unit)
        rows.append(row)
    for arm, doubt in (
        (WITHOUT, "confidence"),
        (WITHOUT, "entropy"),
        (WITH, "confidence"),
        (WITH, "entropy over masks"),
    ):
        area = signed_rank(table.one(STRANGE[arm], doubt)).text(1, "", 3)
        words = f"unknown classes told by {doubt}, {arm}"
        blank = dict.fromkeys(list(rows[0])[1:], "–")
        rows.append({**blank, "probabilities from": words, list(rows[0])[1]: f"area {area}"})
    order = list(rows[0])
    return [{name: row[name] for name in order} for row in rows]


def draw(table: Table, figure: Any) -> None:
    """Draw log loss and calibration error of each way to probabilities."""
    panels = figure.subplots(1, 2, sharey=True)
    for panel, place, words, scale in (
        (panels[0], 1, "test log loss, nats", 1),
        (panels[1], 2, "calibration error, points", 100),
    ):
        for row, (arm, measure) in enumerate(WAYS.values()):
            values = scale * table.one(arm, measure, place)
            panel.plot(values, [row + 0.2] * len(values), "|", color=figures.WITH, ms=8)
            figures.interval(panel, row, signed_rank(values))
        panel.set_xlabel(words)
    panels[0].set_yticks(range(len(WAYS)), list(WAYS))
    panels[0].set_ylim(len(WAYS) - 0.4, -0.6)


EXPERIMENT = Experiment(
    name="calibration",
    title="Probabilities, and what they know of the unknown",
    claim="Averaging over masks gives more honest probabilities.",
    source="Gal and Ghahramani, 2016; Guo et al., 2017; Lakshminarayanan et al., 2017",
    settings=(
        "The settled training: 784-256-256-10, a random 10,000 images for each seed, 25 epochs. "
        f"{MEMBERS} nets without dropout are averaged with 8 seeds. For the last rows the classes "
        f"{STRANGERS[0]} and {STRANGERS[1]} are left out of training (8 seeds), and the area is "
        "the probability that a strange image has more doubt than a known one."
    ),
    arms=arms,
    measures=measures,
    details=details,
    draw=draw,
)
