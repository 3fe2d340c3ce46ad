"""Experiment 9: a wide network with dropout against narrower ones without, each well tuned."""

from __future__ import annotations

from typing import Any

import numpy as np

from examples.lab.frame import Experiment, Finding, Results, Run, Scale
from examples.lab.statistics import paired, verdict
from examples.lab.training import TRAIN, final

RATES = (0.05, 0.1, 0.3)
TUNING_SEEDS = 2  # seeds that choose the rate; the others judge


def widths(scale: Scale) -> list[int]:
    """Return the widths of the networks without dropout; the last is that of the one with it."""
    return scale.pick([32, 128, 512], [64, 256, 1024])


def run(width: int, p: float, lr: float, seed: int, scale: Scale, held_out: str) -> Run:
    """Return a training; its accuracy is measured on ``held_out``."""
    settings = {"hiddens": [width, width], "dropout": [p, p], "lr": lr, "held_out": held_out}
    settings |= {"batch_size": scale.pick(32, 256), "epochs": scale.pick(3, 30)}
    return Run(TRAIN, {**settings, "train_size": 10_000, "seed": seed})


def arms(scale: Scale) -> dict[str, tuple[int, float]]:
    """Return width and p of each arm."""
    wide = widths(scale)[-1]
    without = {f"{n} wide, no dropout": (n, 0.0) for n in widths(scale)}
    return {f"{wide} wide, dropout .5": (wide, 0.5), **without}


def tuning(arm: str, lr: float, scale: Scale) -> list[Run]:
    """Return the runs that show how good a learning rate is for an arm, on validation images."""
    width, p = arms(scale)[arm]
    seeds = range(1000, 1000 + TUNING_SEEDS)
    return [run(width, p, lr, seed, scale, "validation") for seed in seeds]


def tests(arm: str, lr: float, scale: Scale) -> list[Run]:
    """Return an arm's runs that are measured on the test set."""
    width, p = arms(scale)[arm]
    return [run(width, p, lr, seed, scale, "test") for seed in range(scale.seeds)]


def runs(scale: Scale) -> list[Run]:
    """Return all runs: tests at every rate, so that none has to wait for the choice of the rate."""
    pairs = [(arm, lr) for arm in arms(scale) for lr in RATES]
    return [r for arm, lr in pairs for r in tuning(arm, lr, scale) + tests(arm, lr, scale)]


def chosen(results: Results, arm: str, scale: Scale) -> float:
    """Return the rate that is best for an arm on the validation images."""
    score = {lr: np.mean(results.each(tuning(arm, lr, scale), final("test_acc"))) for lr in RATES}
    return max(score, key=lambda lr: score[lr])


def judge(results: Results, scale: Scale, level: float) -> Finding:
    """Compare the wide network with the best of the narrower ones, pair by pair."""
    accuracy, table = {}, []
    for arm in arms(scale):
        lr = chosen(results, arm, scale)
        accuracy[arm] = results.each(tests(arm, lr, scale), final("test_acc"))
        row = {"arm": arm, "learning rate chosen": lr}
        table.append({**row, "test accuracy": float(np.mean(accuracy[arm]))})
    wide, *smaller, _ = arms(scale)
    gains = {arm: paired(accuracy[wide], accuracy[arm], level) for arm in smaller}
    weakest = min(gains, key=lambda arm: gains[arm].estimate)
    summary = (
        f"{wide} minus {weakest}, the best of the smaller ones: "
        f"{gains[weakest].text(100, 'points')} seeds"
    )
    return Finding(verdict(gains[weakest], +1), summary, table)


def draw(results: Results, scale: Scale, figure: Any) -> None:
    """Draw every seed's test accuracy, at the rates chosen."""
    panel = figure.subplots()
    for i, arm in enumerate(arms(scale)):
        lr = chosen(results, arm, scale)
        values = results.each(tests(arm, lr, scale), final("test_acc"))
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
        "784-n-n-10, first 10,000 images, 30 epochs; n = 1024 with p = 0.5 after both layers, "
        "n = 64, 256 and 1024 without; each arm at the learning rate, of three, that is best on "
        "validation images with seeds of its own. (The quick look halves n, and is shorter.)"
    ),
    criterion=(
        "The paired difference in test accuracy to the better of the two smaller networks: "
        "supported if its interval lies above 0, refuted if below, else not supported."
    ),
    runs=runs,
    judge=judge,
    draw=draw,
    minutes=30,
)
