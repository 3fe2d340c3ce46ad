"""Experiment 5: what the hidden units do: sparsity, variance, features."""

from __future__ import annotations

from typing import Any

import numpy as np

from examples.lab import common, figures
from examples.lab.common import WITH, WITHOUT
from examples.lab.frame import Experiment
from examples.lab.table import Table
from examples.lab.verdicts import Effect, paired

LAYERS = {1: "first layer", 2: "second layer"}
FOLLOWED = ("active", "mean", "variance", "noisy variance")


def measures(arm: str, result: Any) -> dict[str, Any]:
    """Return what the hidden layers did in each epoch that was measured."""
    found = {f"{name} {n}": result[f"{name} {n}"] for name in FOLLOWED for n in LAYERS}
    return {"epochs": result["epochs"], **found}


def last(table: Table, arm: str, measure: str) -> np.ndarray:
    """Return a measure after the last epoch."""
    return table.all(arm, measure)[:, -1]


def effects(table: Table) -> list[Effect]:
    """Return by how much fewer activations are above 0, in each hidden layer."""
    found = []
    for n, words in LAYERS.items():
        without, with_ = (last(table, arm, f"active {n}") for arm in (WITHOUT, WITH))
        found.append(paired(words, "activations", without, with_, part=n - 1))
    return found


def details(table: Table) -> list[dict[str, Any]]:
    """Return all measures after the last epoch."""
    place = table.all(WITH, "epochs").shape[1] - 1
    words = {
        "active": "share of activations above 0",
        "mean": "mean activation",
        "variance": "variance over images",
        "noisy variance": "variance behind dropout, in training",
    }
    wanted = [
        (f"{name} {n}:{place}", f"{words[name]}, {layer}", 1, "")
        for name in FOLLOWED
        for n, layer in LAYERS.items()
    ]
    rows = common.compared(table, WITH, WITHOUT, wanted)
    return [{k: v for k, v in row.items() if k != "over images too"} for row in rows]


def draw(table: Table, figure: Any) -> None:
    """Draw sparsity and variance over the epochs."""
    panels = figure.subplots(1, 2)
    epochs = table.all(WITH, "epochs")[0]
    for panel, (measure, label) in zip(
        panels,
        (("active", "share above 0"), ("variance", "variance over images")),
        strict=True,
    ):
        for n, layer in LAYERS.items():
            for arm in (WITH, WITHOUT):
                values = table.all(arm, f"{measure} {n}")
                panel.plot(
                    epochs, np.median(values, axis=0), figures.STYLES[arm] + "os"[n - 1],
                    color=figures.ARMS[arm], label=f"{arm}, {layer}", ms=4,
                )  # fmt: skip
        panel.set(xlabel="epoch", ylabel=f"{label}, median", ylim=(0, None))
    figures.legend_above(panels[0], 1)


EXPERIMENT = Experiment(
    name="activations",
    title="What the hidden units do",
    claim="Dropout makes hidden activations sparser.",
    source="Srivastava et al., 2014, figures 7 and 8; d2l.ai, Dropout, exercise 3",
    settings=(
        "784-256-256-10, dropout .2/.5 against none, a random 10,000 images for each seed, 25 "
        "epochs in batches of 64, learning rate falling from 0.2 to 0; both hidden layers after "
        "ReLU on 1,000 test images."
    ),
    arms=common.settled_arms,
    measures=measures,
    details=details,
    draw=draw,
    effects=effects,
)
