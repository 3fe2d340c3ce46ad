"""Expectations without sampling: every mask is tried, and weighted with its probability.

What is computed so is exact up to rounding. Nothing here is random, so that a test can ask for ten
digits, and an identity that is off by a factor of 1.001 fails it every time.
"""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import hypothesis.extra.numpy as hnp
import numpy as np
from hypothesis import strategies as st

import minigrad as mg
from minigrad import nn
from minigrad.nn import functional as F

Outcomes = list[tuple[np.ndarray, float]]  # everything that can be drawn, with its probability

# ------------------------------------------------------------------------- expectations


def every_mask(p: float, *shape: int) -> Outcomes:
    """Return all 2ⁿ masks of a shape, False to drop, each unit being dropped with probability p.

    Examples:
        >>> [(mask.tolist(), chance) for mask, chance in every_mask(0.25, 1)]
        [([False], 0.25), ([True], 0.75)]
    """
    return [
        (np.array(kept, bool).reshape(shape), p ** kept.count(False) * (1 - p) ** kept.count(True))
        for kept in itertools.product((False, True), repeat=math.prod(shape))
    ]


def every_gaussian(sigma: float, *shape: int, nodes: int = 3) -> Outcomes:
    """Return the nodes of Gauss-Hermite quadrature: noise to put in place of N(0, σ²) noise.

    The expectation of a polynomial is exact if its degree in each variable is below 2 · ``nodes``.
    """
    points, weights = np.polynomial.hermite_e.hermegauss(nodes)
    weights /= weights.sum()
    noise = itertools.product((sigma * points).tolist(), repeat=math.prod(shape))
    chances = itertools.product(weights.tolist(), repeat=math.prod(shape))
    return [(np.reshape(e, shape), math.prod(c)) for e, c in zip(noise, chances, strict=True)]


def expectation(f: Callable[..., Any], *draws: Outcomes) -> Any:
    """Return E f(a, b, ...), where a, b, ... are independent, one from each list of outcomes.

    ``f`` may give numbers, arrays or tensors; gradients flow back through the expectation.

    Examples:
        >>> float(expectation(lambda keep: keep.sum(), every_mask(0.25, 3)))  # units that are kept
        2.25
    """
    return sum(
        math.prod(chances) * f(*outcomes)
        for outcomes, chances in (zip(*drawn, strict=True) for drawn in itertools.product(*draws))
    )


# ------------------------------------------------------------------------- assertions

#: what `python -m tests.identities` prints: everything measured by this run, by identity
residuals: defaultdict[str, list[float]] = defaultdict(list)
gaps: defaultdict[str, list[float]] = defaultdict(list)

TOLERANCE = 1e-10


def assert_identity(name: str, actual: Any, expected: Any, tolerance: float = TOLERANCE) -> None:
    """Assert equality to ten digits: of the expected value, or of 1 where that is smaller."""
    actual, expected = _array(actual), _array(expected)
    assert actual.shape == expected.shape, f"shape {actual.shape}, expected {expected.shape}"
    residual = float(np.max(np.abs(actual - expected) / np.maximum(1, np.abs(expected))))
    assert residual <= tolerance, (
        f"{name} is off by {residual:.1e}: got {actual}, expected {expected}"
    )
    residuals[name].append(residual)


def assert_gap(name: str, actual: Any, tempting: Any, least: float) -> None:
    """Assert that what one may take for equal is not: somewhere it differs by ``least``."""
    gap = float(np.max(np.abs(_array(actual) - _array(tempting))))
    assert gap >= least, f"{name}: expected a gap of at least {least}, got {gap}"
    gaps[name].append(gap)


def _array(value: Any) -> np.ndarray:
    return np.asarray(value.detach().numpy() if isinstance(value, mg.Tensor) else value)


def order(error: Callable[[float], float], h: float) -> float:
    """Return k where the error falls as hᵏ, from its values at h and at h/2."""
    return math.log2(abs(error(h) / error(h / 2)))


# ------------------------------------------------------------------------- what is drawn

#: with 1/(1-p) finite; its extremes are nearly no dropout and nearly nothing but dropout
probabilities = st.floats(0, 1, exclude_max=True) | st.sampled_from(
    [0.0, 1e-300, 1e-16, 1e-8, 0.2, 0.5, 0.8, 1 - 1e-8, 1 - 2**-53]
)


def shapes(ndim: int, units: int = 6) -> st.SearchStrategy[tuple[int, ...]]:
    """Draw a shape of at most so many elements, each side being 1 or more."""
    sides = itertools.product(range(1, units + 1), repeat=ndim)
    return st.sampled_from([shape for shape in sides if math.prod(shape) <= units])


def tensors(*shape: int) -> st.SearchStrategy[mg.Tensor]:
    """Draw a float64 tensor with elements from -2 to 2."""
    return hnp.arrays(np.float64, shape, elements=st.floats(-2, 2)).map(mg.from_numpy)


# ------------------------------------------------------------------------- models


def linear(weight: Any, bias: Any = None) -> nn.Linear:
    """Return a layer of these weights, in float64."""
    outputs, inputs = weight.shape
    layer = nn.Linear(inputs, outputs, bias=bias is not None).double()
    layer.load_state_dict({"weight": weight} | ({} if bias is None else {"bias": bias}))
    return layer


def squared_error(prediction: Any, y: Any) -> Any:
    """Return ‖y - prediction‖²."""
    return F.mse_loss(prediction, y, reduction="sum")
