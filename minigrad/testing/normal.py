"""Exact tests of independent normal numbers: their mean, and their spread.

Their mean is normal, and their sum of squares chi-squared; no approximation is made.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy import special

from minigrad.testing.statistics import ALPHA, charge, judge


def assert_normal_mean(
    values: Any, mean: float, variance: float, alpha: float = ALPHA, what: str = "normal mean"
) -> float:
    """Assert that independent normal numbers of this variance have the expected mean.

    Args:
        values: an array of any shape, not empty.
        mean: the expected value of each.
        variance: of each, above 0.
        alpha: the false-alarm probability.
        what: the name of the assertion.

    Returns:
        The p-value.

    Raises:
        AssertionError: the p-value is at most ``alpha``.

    Examples:
        >>> x = np.random.default_rng(0).normal(1, 0.5, 10_000)
        >>> 0 < assert_normal_mean(x, mean=1, variance=0.25) < 1
        True
    """
    charge(what, alpha)
    values = np.asarray(values, np.float64)
    deviation = math.sqrt(variance / values.size)
    distance = abs(float(values.mean()) - mean) / deviation
    got = f"a mean of {values.mean():.6g}, of {values.size} values"
    expected = f"{mean:.6g}, give or take {deviation:.3g}, of normal numbers"
    return judge(what, math.erfc(distance / math.sqrt(2)), alpha, got, expected)


def assert_normal_spread(
    errors: Any, variance: float, alpha: float = ALPHA, what: str = "normal spread"
) -> float:
    """Assert that independent normal numbers of mean 0 have the expected variance.

    Args:
        errors: an array of any shape, not empty: deviations from the mean.
        variance: the expected variance of each, above 0.
        alpha: the false-alarm probability.
        what: the name of the assertion.

    Returns:
        The p-value.

    Raises:
        AssertionError: the p-value is at most ``alpha``.

    Examples:
        >>> x = np.random.default_rng(0).normal(0, 0.5, 10_000)
        >>> 0 < assert_normal_spread(x, variance=0.25) < 1
        True
    """
    charge(what, alpha)
    squares = np.square(np.asarray(errors, np.float64))
    n, total = squares.size, float(squares.sum()) / variance
    below, above = special.chdtr(n, total), special.chdtrc(n, total)
    got = f"a mean square of {squares.mean():.6g}, of {n} values"
    expected = f"{variance:.6g}, give or take {variance * math.sqrt(2 / n):.3g}, of normal numbers"
    return judge(what, min(1.0, 2 * float(min(below, above))), alpha, got, expected)
