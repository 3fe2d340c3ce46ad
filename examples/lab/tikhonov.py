"""Experiment 8: dropout on linear regression is ridge regression, in the average over its noise.

Mathematics says so; the run shows that the code agrees, and is no claim of the family.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from examples.lab.frame import Arms, Experiment, Run, Scale
from examples.lab.ridge import FEATURES, SIGMA, N, P
from examples.lab.table import Table

SHARE = 0.99  # of the way, that each seed must have gone
NOISES = ("dropout", "Gaussian")


def arms(scale: Scale) -> Arms:
    """Return the runs with both kinds of noise."""
    steps, name = scale.pick(3_000, 50_000), "examples.lab.ridge:descend"
    return {
        noise: [
            Run(name, {"noise": noise, "steps": steps, "seed": seed})
            for seed in scale.pairs(10, quick=2)
        ]
        for noise in NOISES
    }


def measures(arm: str, result: Any) -> dict[str, Any]:
    """Return the distances from the ridge solution."""
    return {name: result[name] for name in ("steps", "distance", "plain")}


def details(table: Table) -> list[dict[str, Any]]:
    """Return how far the averaged iterates have gone, in the worst seed."""
    rows: list[dict[str, Any]] = []
    for noise in NOISES:
        gone = 1 - table.all(noise, "distance")[:, -1]
        alone = 1 - np.median(table.one(noise, "plain"))
        rows.append(
            {
                "noise": noise,
                "share of the way to ridge, worst seed": f"{100 * gone.min():.2f} %",
                "median": f"{100 * np.median(gone):.2f} %",
                "last iterate alone, median": f"{100 * alone:.1f} %",
                f"seeds with {100 * SHARE:g} %": f"{int((gone >= SHARE).sum())} of {len(gone)}",
            }
        )
    return rows


def draw(table: Table, figure: Any) -> None:
    """Draw the distance to the ridge solution over the steps, on logarithmic axes."""
    panels = figure.subplots(1, 2, sharey=True)
    for panel, noise in zip(panels, NOISES, strict=True):
        steps, distance = table.all(noise, "steps"), table.all(noise, "distance")
        panel.plot(steps.T, distance.T, color="#0072B2", alpha=0.5, lw=1)
        panel.axhline(1, color="#D55E00", ls="--")
        panel.annotate("solution without noise", (steps[0, 0], 1.07), fontsize="small")
        panel.set(xscale="log", yscale="log", xlabel="SGD steps (logarithmic)")
        ends = [steps[0, 0], steps[0, -1]]
        panel.set_xticks(ends, [f"{n:,.0f}" for n in ends])
        panel.set_xticks([], minor=True)
        panel.set_ylim(None, 2)
        panel.set_title(f"dropout, p = {P}" if noise == "dropout" else f"Gaussian, σ = {SIGMA}")
    panels[0].set_ylabel("distance of the averaged iterate\nto the ridge solution (logarithmic)")


EXPERIMENT = Experiment(
    name="tikhonov",
    title="Noise as Tikhonov regularisation",
    claim="Training a linear model with noise on its inputs is ridge regression.",
    source="Bishop, 1995; Srivastava et al., 2014, section 9.1; d2l.ai, Dropout",
    settings=(
        f"{N} examples with {FEATURES} inputs of different scales; full-batch gradient descent "
        "with new noise at each step, 50,000 steps, iterates averaged after the first tenth. An "
        "identity of mathematics, checked; no claim to be tested."
    ),
    arms=arms,
    measures=measures,
    details=details,
    draw=draw,
)
