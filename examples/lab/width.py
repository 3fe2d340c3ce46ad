"""Experiment 9: a wide network with dropout against narrower ones without, each well tuned."""

from __future__ import annotations

from typing import Any

import numpy as np

from examples.lab.frame import Experiment, Finding, Results, Run, Scale
from examples.lab.statistics import paired, verdict
from examples.lab.training import TRAIN, final, settled

RATES = (0.1, 0.3, 0.6)
TUNING_SEEDS = (1000, 1001)  # choose; the others judge
P = 0.5


def widths(scale: Scale) -> list[int]:
    """Return the widths of the networks without dropout; the last is that of the one with it."""
    return scale.pick([32, 128, 256], [64, 256, 512])


def arms(scale: Scale) -> dict[str, tuple[int, float]]:
    """Return width and p of each arm; the last is the wide network without dropout."""
    wide = widths(scale)[-1]
    without = {f"{n} wide, no dropout": (n, 0.0) for n in widths(scale)}
    return {f"{wide} wide, dropout {P:g}": (wide, P), **without}


def run(arm: str, lr: float, seed: int, scale: Scale, held_out: str) -> Run:
    """Return a training of an arm; its accuracy is measured on ``held_out``."""
    width, p = arms(scale)[arm]
    fixed = {**settled(scale), "hiddens": [width, width], "dropout": [p, p], "lr": lr}
    return Run(TRAIN, {**fixed, "held_out": held_out, "seed": seed})


def tuning(arm: str, lr: float, scale: Scale) -> list[Run]:
    """Return the runs that show how good a learning rate is for an arm, on validation images."""
    return [run(arm, lr, seed, scale, "validation") for seed in TUNING_SEEDS]


def runs(scale: Scale) -> list[Run]:
    """Return the runs that choose."""
    return [r for arm in arms(scale) for lr in RATES for r in tuning(arm, lr, scale)]


def score(results: Results, arm: str, lr: float, scale: Scale) -> float:
    """Return how accurate an arm is at a learning rate, on validation images."""
    return float(np.mean(results.each(tuning(arm, lr, scale), final("test_acc"))))


def chosen(results: Results, arm: str, scale: Scale) -> float:
    """Return the rate that is best for an arm on validation images; the first if none is known."""
    if tuning(arm, RATES[0], scale)[0] not in results:
        return RATES[0]
    return max(RATES, key=lambda lr: score(results, arm, lr, scale))


def tests(results: Results, arm: str, scale: Scale) -> list[Run]:
    """Return an arm's runs that are measured on the test set, at the rate chosen for it."""
    lr = chosen(results, arm, scale)
    return [run(arm, lr, seed, scale, "test") for seed in range(scale.seeds)]


def then(results: Results, scale: Scale) -> list[Run]:
    """Return the runs that judge."""
    return [r for arm in arms(scale) for r in tests(results, arm, scale)]


def judge(results: Results, scale: Scale, level: float) -> Finding:
    """Compare the wide network with the better of the smaller ones, pair by pair."""
    accuracy, best = {}, {}
    table: list[dict[str, Any]] = []
    for arm in arms(scale):
        lr = chosen(results, arm, scale)
        best[arm] = score(results, arm, lr, scale)
        accuracy[arm] = results.each(tests(results, arm, scale), final("test_acc"))
        row: dict[str, Any] = {"arm": arm, "learning rate chosen": str(lr)}
        row["validation accuracy"] = best[arm]
        table.append({**row, "test accuracy": float(np.mean(accuracy[arm]))})
    wide, *smaller, control = arms(scale)
    for row in table:
        gain = paired(accuracy[wide], accuracy[row["arm"]], level)
        row["wide with dropout minus this"] = (
            "–" if row["arm"] == wide else gain.text(100, "points")
        )
    rival = max(smaller, key=lambda arm: best[arm])
    gain = paired(accuracy[wide], accuracy[rival], level)
    width_alone = paired(accuracy[control], accuracy[rival], level)
    summary = (
        f"{wide} minus {rival}: {gain.text(100, 'points')} seeds; "
        f"the width alone, without dropout: {width_alone.text(100, 'points')}"
    )
    return Finding(verdict(gain, +1), summary, table)


def draw(results: Results, scale: Scale, figure: Any) -> None:
    """Draw every seed's test accuracy, at the rates chosen."""
    panel = figure.subplots()
    for i, arm in enumerate(arms(scale)):
        values = results.each(tests(results, arm, scale), final("test_acc"))
        color = "#0072B2" if i == 0 else "#D55E00"
        jitter = np.linspace(-0.15, 0.15, len(values))
        panel.plot(i + jitter, values, "o", color=color, alpha=0.6)
        panel.plot([i - 0.25, i + 0.25], [np.mean(values)] * 2, color=color, lw=2)
    labels = [f"{arm}\nlr {chosen(results, arm, scale)}" for arm in arms(scale)]
    panel.set_xticks(range(len(labels)), labels)
    panel.set(ylabel="test accuracy, every seed and mean")


EXPERIMENT = Experiment(
    title="Wider with dropout, or narrower without",
    claim="A bigger network with dropout beats a smaller one without.",
    source="d2l.ai, Dropout, questions and answers; Srivastava et al., 2014, appendix A",
    settings=(
        "784-n-n-10, first 10,000 images, 25 epochs in batches of 64, learning rate falling to 0; "
        "n = 512 with p = 0.5 after both layers, n = 64, 256 and 512 without. Each arm begins at "
        "the rate, of 0.1, 0.3 and 0.6, that is best on 10,000 validation images with two seeds of "
        "their own. (The quick look halves n, and is shorter.)"
    ),
    criterion=(
        "The paired difference in test accuracy to the smaller network that is better on the "
        "validation images: supported if its interval lies above 0, refuted if below, else not "
        "supported."
    ),
    runs=runs,
    then=then,
    judge=judge,
    draw=draw,
)
