"""Gradient descent on a linear model whose inputs are noisy, against the closed solution.

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
from minigrad import Generator
from minigrad.nn import functional

N, FEATURES = 200, 10
P, SIGMA = 0.3, 0.5
CHECKPOINTS = 20  # distances that are recorded, evenly in the logarithm of the step


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
            total += w.detach().numpy()
            if step in marks:
                distance = np.linalg.norm(total / (step - start) - target) / unit
                found["steps"].append(step)
                found["distance"].append(float(distance))
    return {**found, "plain": float(np.linalg.norm(w.detach().numpy() - target) / unit)}
