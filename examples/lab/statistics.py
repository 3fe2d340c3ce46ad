"""Intervals for paired differences, and what they say about a claim."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats


@dataclass(frozen=True)
class Interval:
    """An estimate with its confidence interval.

    Attributes:
        estimate, low, high: in the unit of the data.
        n: how many values, or pairs of values, it rests on.
    """

    estimate: float
    low: float
    high: float
    n: int

    def text(self, scale: float = 1.0, unit: str = "", digits: int = 2) -> str:
        """Return it in words: ``+0.31 points [−0.12, +0.74], n = 20``."""
        values = [f"{v * scale:+.{digits}f}" for v in (self.estimate, self.low, self.high)]
        a, b, c = (value.replace("-", "−") for value in values)
        return (
            f"{a}{unit and ' ' + unit} [{b}, {c}], n\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}{self.n}"
        )


def mean(values: Sequence[float], level: float) -> Interval:
    """Return the mean of independent values with Student's interval.

    Args:
        values: two or more.
        level: the probability that the interval covers the true mean, 0 to 1.

    Raises:
        ValueError: there are fewer than two values.
    """
    if len(values) < 2:
        raise ValueError(f"an interval needs at least two values, got {len(values)}")
    center = float(np.mean(values))
    error = float(np.std(values, ddof=1)) / math.sqrt(len(values))
    half = error * float(stats.t.ppf((1 + level) / 2, len(values) - 1))
    return Interval(center, center - half, center + half, len(values))


def paired(a: Sequence[float], b: Sequence[float], level: float) -> Interval:
    """Return the mean of the differences a - b, pair by pair, with Student's interval."""
    return mean([x - y for x, y in zip(a, b, strict=True)], level)


def proportion(count: int, n: int, level: float) -> Interval:
    """Return a proportion with its exact interval (Clopper and Pearson, 1934)."""
    exact = stats.binomtest(count, n).proportion_ci(level)
    return Interval(count / n, exact.low, exact.high, n)


def bootstrapped(values: Sequence[float], statistic: str, level: float, seed: int = 0) -> Interval:
    """Return ``"median"`` or another NumPy statistic of the values with its bootstrap interval."""
    function = getattr(np, statistic)
    interval = stats.bootstrap(
        (np.asarray(values),), function, confidence_level=level, rng=np.random.default_rng(seed)
    ).confidence_interval
    return Interval(float(function(values)), interval.low, interval.high, len(values))


def verdict(interval: Interval, sign: int, least: float = 0.0) -> str:
    """Return what an interval says about the claim that the effect has a sign.

    Args:
        interval: of the effect.
        sign: +1 or -1, the direction claimed.
        least: the smallest effect worth the name, in the direction claimed.

    Returns:
        ``"supported"`` if the whole interval lies beyond ``least`` in the direction claimed,
        ``"refuted"`` if the whole interval lies short of it, else ``"not supported"``.
    """
    low, high = sorted((sign * interval.low, sign * interval.high))
    if low > least:
        return "supported"
    return "refuted" if high < least else "not supported"


def together(verdicts: Iterable[str]) -> str:
    """Return the verdict on a claim about several effects from the verdicts on each.

    One and the same for all is that of the claim. Else it ``"depends"`` on the effect if it is
    supported for some; it is ``"refuted"`` if it is for some and supported for none.
    """
    found = set(verdicts)
    if len(found) == 1:
        return found.pop()
    return "depends" if "supported" in found else "refuted"


def equivalence(interval: Interval, margin: float) -> str:
    """Return what an interval says about the claim that there is no effect beyond a margin.

    Returns:
        ``"supported"`` if the whole interval lies within ``margin`` of 0, ``"refuted"`` if all of
        it lies beyond on one side, else ``"not supported"``.
    """
    if max(-interval.low, interval.high) < margin:
        return "supported"
    return "refuted" if max(interval.low, -interval.high) > margin else "not supported"
