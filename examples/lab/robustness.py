"""Experiment 10: noise on the test images, for networks trained with and without dropout."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

import minigrad
from examples.lab.frame import Experiment, Finding, Results, Run, Scale
from examples.lab.statistics import paired, verdict
from examples.lab.training import halves, settled, trained
from examples.lab.with_without import ARMS, COLORS

NOISES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)  # standard deviation; pixels go from 0 to 1
JUDGED = 0.3


def endure(seed: int, dropout: Sequence[float], **settings: Any) -> list[float]:
    """Train; return test accuracy with Gaussian noise of each strength on the images."""
    net, _, _ = trained(seed, dropout, **settings)
    test = halves()[1]
    clean = test.images / np.float32(255)
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal(clean.shape, np.float32)
    net.eval()
    accuracies = []
    with minigrad.no_grad():
        for strength in NOISES:
            images = minigrad.from_numpy(clean + np.float32(strength) * noise)
            guesses = net(images).argmax(dim=1).numpy()
            accuracies.append(float((guesses == test.labels).mean()))
    return accuracies


def arm(name: str, scale: Scale) -> list[Run]:
    """Return an arm's runs."""
    fixed = {"dropout": ARMS[name], **settled(scale)}
    function = "examples.lab.robustness:endure"
    return [Run(function, {**fixed, "seed": seed}) for seed in range(scale.seeds)]


def runs(scale: Scale) -> list[Run]:
    """Return both arms."""
    return [run for name in ARMS for run in arm(name, scale)]


def losses(results: Results, scale: Scale) -> dict[str, Any]:
    """Return by how much accuracy falls with each strength of noise: arrays (seeds, strengths)."""
    found = {name: np.array([results[run] for run in arm(name, scale)]) for name in ARMS}
    return {name: accuracy[:, :1] - accuracy for name, accuracy in found.items()}


def judge(results: Results, scale: Scale, level: float) -> Finding:
    """Compare how much accuracy the noise costs, pair by pair."""
    fall = losses(results, scale)
    table, intervals = [], {}
    for i, strength in enumerate(NOISES):
        lost = {name: fall[name][:, i] for name in ARMS}
        intervals[strength] = paired(list(lost["without"]), list(lost["with dropout"]), level)
        row: dict[str, Any] = {"noise": str(strength)}
        row |= {f"accuracy lost {name}": float(lost[name].mean()) for name in ARMS}
        table.append({**row, "more lost without": intervals[strength].text(100, "points")})
    saved = intervals[JUDGED]
    summary = (
        f"accuracy lost to noise of {JUDGED}, without dropout minus with: "
        f"{saved.text(100, 'points')} seeds"
    )
    return Finding(verdict(saved, +1), summary, table)


def draw(results: Results, scale: Scale, figure: Any) -> None:
    """Draw accuracy over the noise, and what the noise looks like."""
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    for name in ARMS:
        accuracy = np.array([results[run] for run in arm(name, scale)])
        spread = accuracy.std(axis=0, ddof=1)
        left.errorbar(
            NOISES,
            accuracy.mean(axis=0),
            spread,
            fmt="o-",
            capsize=2,
            color=COLORS[name],
            label=name,
        )
    left.set(xlabel="standard deviation of the noise", ylabel="test accuracy (mean, s. d.)")
    left.legend()
    image = halves()[1].images[0] / 255
    noise = np.random.default_rng(0).standard_normal(image.shape)
    strip = [np.clip(image + strength * noise, 0, 1) for strength in (0.0, JUDGED, 0.5)]
    right.imshow(np.hstack(strip), cmap="gray")
    right.set(xticks=[14, 42, 70], xticklabels=["0", str(JUDGED), "0.5"], yticks=[])
    right.set_title("a test image with noise")


EXPERIMENT = Experiment(
    title="Robustness to noise on the inputs",
    claim="A network trained with dropout is more robust to noise on its inputs.",
    source="d2l.ai, Dropout, after Bishop, 1995",
    settings=(
        "784-256-256-10, dropout .2/.5 against none, first 10,000 images, 25 epochs in batches of "
        "64, learning rate falling from 0.2 to 0; Gaussian noise on the test images alone, the "
        "same for both arms."
    ),
    criterion=(
        f"The paired difference in the accuracy lost by noise of {JUDGED}: supported if networks "
        "without dropout lose more (interval above 0), refuted if less, else not supported."
    ),
    runs=runs,
    judge=judge,
    draw=draw,
)
