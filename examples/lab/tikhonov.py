"""Experiment 8: dropout on linear regression is ridge regression, in the average over its noise.

For y ≈ Xw and inverted dropout of the inputs with probability p the expected loss is
‖y − Xw‖² + p/(1−p) · wᵀ diag(XᵀX) w (Srivastava et al., 2014, section 9.1), and for Gaussian noise
of variance σ² it is ‖y − Xw‖² + n σ² ‖w‖² (Bishop, 1995). Both have a closed solution. Stochastic
gradient descent on the noisy loss goes round it, and the average of its iterates goes to it (Polyak
and Juditsky, 1992).
"""

from __future__ import annotations

from typing import Any

import numpy as np

import minigrad
from examples.lab.frame import Experiment, Finding, Results, Run, Scale
from examples.lab.statistics import mean, together, verdict
from minigrad import Generator
from minigrad.nn import functional

N, FEATURES = 200, 10
P, SIGMA = 0.3, 0.5
CHECKPOINTS = 40  # distances that are recorded, evenly in the logarithm of the step


def problem(seed: int) -> tuple[Any, Any]:
    """Return inputs of different scales and noisy targets, float64."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(N, FEATURES)) * np.linspace(0.5, 2.0, FEATURES)
    return x, x @ rng.normal(size=FEATURES) + rng.normal(size=N)


def solution(x: Any, y: Any, penalty: Any) -> Any:
    """Return the minimum of ‖y − Xw‖² + wᵀ diag(penalty) w."""
    return np.linalg.solve(x.T @ x + np.diag(np.broadcast_to(penalty, FEATURES)), x.T @ y)


def descend(seed: int, noise: str, steps: int) -> dict[str, Any]:
    """Minimise the noisy loss by SGD; average the iterates after the first tenth.

    Args:
        seed: of the problem and the noise.
        noise: ``"dropout"`` or ``"Gaussian"``.
        steps: updates, each with new noise on all examples.

    Returns:
        ``steps`` and ``distance``: how far the average is from the closed solution, relative to its
        own distance from the solution without noise; and ``plain``, the same of the last iterate.
    """
    x, y = problem(seed)
    squares = (x**2).sum(axis=0)
    target = solution(x, y, P / (1 - P) * squares if noise == "dropout" else N * SIGMA**2)
    unit = np.linalg.norm(target - solution(x, y, 0.0))
    generator = Generator(seed)
    inputs, targets = minigrad.tensor(x), minigrad.tensor(y)
    w = minigrad.zeros(FEATURES, dtype=minigrad.float64, requires_grad=True)
    optimizer = minigrad.optim.SGD([w], lr=0.02 / float(np.abs(squares).max() / N))
    start, total = steps // 10, np.zeros(FEATURES)
    marks = set(np.unique(np.geomspace(start + 1, steps, CHECKPOINTS).astype(int)).tolist())
    found: dict[str, Any] = {"steps": [], "distance": []}
    for step in range(1, steps + 1):
        if noise == "dropout":
            noisy = functional.dropout(inputs, P, generator=generator)
        else:
            shape, dtype = (N, FEATURES), minigrad.float64
            noisy = inputs + SIGMA * minigrad.randn(shape, generator=generator, dtype=dtype)
        optimizer.zero_grad()
        functional.mse_loss(noisy @ w, targets).backward()
        optimizer.step()
        if step > start:
            total += w.array
            if step in marks:
                distance = np.linalg.norm(total / (step - start) - target) / unit
                found["steps"].append(step)
                found["distance"].append(float(distance))
    return {**found, "plain": float(np.linalg.norm(w.array - target) / unit)}


def arm(noise: str, scale: Scale) -> list[Run]:
    """Return the runs with a kind of noise."""
    steps = scale.pick(3_000, 50_000)
    name = "examples.lab.tikhonov:descend"
    return [
        Run(name, {"noise": noise, "steps": steps, "seed": seed}) for seed in range(scale.seeds)
    ]


def runs(scale: Scale) -> list[Run]:
    """Return both kinds of noise."""
    return arm("dropout", scale) + arm("Gaussian", scale)


def judge(results: Results, scale: Scale, level: float) -> Finding:
    """Ask whether the averaged iterate ends much nearer to ridge than plain regression is."""
    table, verdicts, parts = [], [], []
    for noise in ("dropout", "Gaussian"):
        found = [results[run] for run in arm(noise, scale)]
        interval = mean([1 - r["distance"][-1] for r in found], level)
        verdicts.append(verdict(interval, +1, 0.9))
        table.append(
            {
                "noise": noise,
                "distance of the averaged iterate": float(
                    np.mean([r["distance"][-1] for r in found])
                ),
                "distance of the last iterate": float(np.mean([r["plain"] for r in found])),
                "share of the way gone": interval.text(100, "%"),
            }
        )
        parts.append(f"{noise} {interval.text(100, '%')}")
    summary = (
        "share of the way gone from the solution without noise to the ridge solution: "
        f"{'; '.join(parts)} seeds"
    )
    return Finding(together(verdicts), summary, table)


def draw(results: Results, scale: Scale, figure: Any) -> None:
    """Draw the distance to the ridge solution over the steps."""
    panels = figure.subplots(1, 2, sharey=True)
    for panel, noise in zip(panels, ("dropout", "Gaussian"), strict=True):
        for run in arm(noise, scale):
            result = results[run]
            panel.plot(result["steps"], result["distance"], color="#0072B2", alpha=0.5, lw=1)
        panel.axhline(1, color="#D55E00", ls="--", label="solution without noise")
        panel.set(xscale="log", yscale="log", xlabel="SGD steps")
        ends = [result["steps"][0], result["steps"][-1]]
        panel.set_xticks(ends, [f"{n:,}" for n in ends])
        panel.set_xticks([], minor=True)
        panel.set_title(f"dropout, p = {P}" if noise == "dropout" else f"Gaussian, σ = {SIGMA}")
    panels[0].set_ylabel("distance of the averaged\niterate to the ridge solution")
    panels[0].legend()


EXPERIMENT = Experiment(
    title="Noise as Tikhonov regularisation",
    claim="Training a linear model with noise on its inputs is ridge regression.",
    source="Bishop, 1995; Srivastava et al., 2014, section 9.1; d2l.ai, Dropout",
    settings=(
        f"{N} examples with {FEATURES} inputs of different scales; full-batch gradient descent "
        "with new noise at each step, 50,000 steps, iterates averaged after the first tenth."
    ),
    criterion=(
        "The share of the way from the solution without noise to the closed ridge solution that "
        "the averaged iterate has gone: supported if its interval lies above 90 % for dropout and "
        "for Gaussian noise, depends (on the noise) if for one, refuted if one lies below and none "
        "above, else not supported."
    ),
    runs=runs,
    judge=judge,
    draw=draw,
    comparisons=2,
)
