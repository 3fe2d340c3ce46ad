"""Exact tests and intervals for paired differences between seeds, with or without collapses.

A difference may be infinite: one of the pair has collapsed, and ranks below every number. Nothing
is imputed for it; ranks do not ask how far below.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

LEVEL = 0.95  # of every interval shown

Numbers = Sequence[float] | np.ndarray
Flags = Sequence[bool] | np.ndarray


@dataclass(frozen=True)
class Interval:
    """An estimate with its confidence interval.

    Attributes:
        estimate, low, high: in the unit of the data; an end is infinite where collapses reach it.
        n: how many values, or pairs of values, it rests on.
    """

    estimate: float
    low: float
    high: float
    n: int

    def text(self, scale: float = 1.0, unit: str = "", digits: int | None = None) -> str:
        """Return it in words: ``+0.31 points [−0.12, +0.74], n = 20``; of nats, four digits."""
        if math.isinf(self.low) and self.low == self.high:
            return f"collapsed, n\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}{self.n}"
        if digits is None:
            digits = 4 if unit == "nats" else 2
        values = [f"{v * scale:+.{digits}f}" for v in (self.estimate, self.low, self.high)]
        a, b, c = (value.replace("-", "−").replace("inf", "∞") for value in values)
        return (
            f"{a}{unit and ' ' + unit} [{b}, {c}], n\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}{self.n}"
        )


def differences(a: Numbers, b: Numbers) -> np.ndarray:
    """Return a - b, pair by pair; -inf stands for a collapse, and two collapses are equal.

    Raises:
        ValueError: there are not as many of the one as of the other, or a value is NaN.
    """
    x, y = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    if x.shape != y.shape or x.ndim != 1:
        raise ValueError(f"pairs are needed, got shapes {x.shape} and {y.shape}")
    if np.isnan(x).any() or np.isnan(y).any():
        raise ValueError("a value is NaN: a collapse is -inf, and what is not known is left out")
    with np.errstate(invalid="ignore"):
        return np.where(x == y, 0.0, x - y)


def signed_rank(values: Numbers, level: float = LEVEL) -> Interval:
    """Return the pseudo-median with its exact interval (Hodges and Lehmann, 1963).

    The estimate is the median of the means of all pairs of values, each with itself included. The
    interval's ends are such means too, counted off by the exact distribution of Wilcoxon's
    signed-rank sum. It covers the true pseudo-median with at least ``level``, if the values are
    independent and distributed symmetrically about it.

    Args:
        values: paired differences, two or more; some may be infinite.
        level: the confidence, 0 to 1. With few values no finite interval has it: then the ends are
            infinite.
    """
    d = _checked(values)
    n = len(d)
    i, j = np.triu_indices(n)
    with np.errstate(invalid="ignore"):
        means = np.where(np.isinf(d[i]) & (d[i] == -d[j]), 0.0, (d[i] + d[j]) / 2)
    means.sort()
    cut = int(np.searchsorted(_tail(n), (1 - level) / 2, side="right"))  # P(W < cut) <= alpha / 2
    low, high = (means[cut - 1], means[-cut]) if cut else (-math.inf, math.inf)
    half = len(means) // 2
    estimate = means[half] if len(means) % 2 else _middle(means[half - 1], means[half])
    return Interval(float(estimate), float(low), float(high), n)


def rank_test(values: Numbers, above: float = 0.0) -> float:
    """Return the exact one-sided p for the values lying above a number, by flips of signs.

    Ranks of the distances get each sign with probability 1/2 (Wilcoxon, 1945); ties share the mean
    of their ranks, and values equal to the number keep their rank and no sign (Pratt, 1959). Exact
    whatever the ties: a programme over all 2ⁿ flips.
    """
    d = _checked(values) - above
    ranks = np.rint(2 * stats.rankdata(np.abs(d))).astype(int)  # twice: halves become whole
    flips = _distribution(ranks[d != 0])
    return float(min(1.0, flips[ranks[d > 0].sum() :].sum()))


def equivalence_test(values: Numbers, margin: float) -> float:
    """Return p for the values lying within ``margin`` of 0: the larger of two one-sided tests."""
    d = _checked(values)
    return max(rank_test(d, -margin), rank_test(-d, -margin))


def _checked(values: Numbers) -> np.ndarray:
    d = np.asarray(values, dtype=float)
    if d.ndim != 1 or len(d) < 2:
        raise ValueError(f"an interval needs at least two values, got {d.size}")
    if np.isnan(d).any():
        raise ValueError("a difference is NaN: leave out what is not known, on purpose")
    return d


def _middle(a: float, b: float) -> float:
    return 0.0 if math.isinf(a) and a == -b else (a + b) / 2


@functools.cache
def _tail(n: int) -> np.ndarray:
    """Return P(W <= w) of the signed-rank sum of n values, for each w from 0 on."""
    return np.cumsum(_distribution(np.arange(1, n + 1)))


def _distribution(ranks: np.ndarray) -> np.ndarray:
    """Return the probability of each sum of a random half of the ranks: of each set, 2⁻ⁿ."""
    found = np.ones(1)
    for rank in ranks:
        longer = np.zeros(len(found) + int(rank))
        longer[: len(found)] += found / 2
        longer[int(rank) :] += found / 2
        found = longer
    return found


@dataclass(frozen=True)
class Pairs:
    """A comparison of how often something happens in each arm of paired runs.

    Attributes:
        difference: of the risks, first minus second (Newcombe, 1998, method 10).
        p: exact, two-sided, from the pairs that differ (McNemar, 1947).
        p_more: exact, one-sided, for the first happening more often.
        p_fewer: likewise for the first happening less often.
    """

    difference: Interval
    p: float
    p_more: float
    p_fewer: float


def mcnemar(first: Flags, second: Flags, level: float = LEVEL) -> Pairs:
    """Return how much oftener something happens in the first arm than in the second, by pairs."""
    a, b = np.asarray(first, dtype=bool), np.asarray(second, dtype=bool)
    if a.shape != b.shape or not a.size:
        raise ValueError(f"pairs are needed, got shapes {a.shape} and {b.shape}")
    only_a, only_b = int((a & ~b).sum()), int((b & ~a).sum())
    apart = only_a + only_b
    if not apart:
        p = more = fewer = 1.0
    else:
        p, more, fewer = (
            float(stats.binomtest(only_a, apart, alternative=side).pvalue)
            for side in ("two-sided", "greater", "less")
        )
    return Pairs(_newcombe(a, b, level), p, more, fewer)


def _newcombe(a: np.ndarray, b: np.ndarray, level: float) -> Interval:
    """Return the interval of a paired difference of proportions, from Wilson's of each."""
    n = len(a)
    p, q = float(a.mean()), float(b.mean())
    (low_p, high_p), (low_q, high_q) = (_wilson(x, n, level) for x in (p, q))
    both, neither = int((a & b).sum()), int((~a & ~b).sum())
    only_a, only_b = int((a & ~b).sum()), int((b & ~a).sum())
    cross = float(both * neither - only_a * only_b)
    if cross > 0:
        cross = max(cross - n / 2, 0.0)
    spread = math.sqrt(
        math.prod((both + only_a, only_b + neither, both + only_b, only_a + neither))
    )
    phi = cross / spread if spread else 0.0
    below, above = p - low_p, high_q - q
    low = math.sqrt(max(0.0, below**2 - 2 * phi * below * above + above**2))
    below, above = high_p - p, q - low_q
    high = math.sqrt(max(0.0, below**2 - 2 * phi * below * above + above**2))
    return Interval(p - q, max(-1.0, p - q - low), min(1.0, p - q + high), n)


def _wilson(p: float, n: int, level: float) -> tuple[float, float]:
    z = float(stats.norm.ppf((1 + level) / 2))
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return middle - half, middle + half


def proportion(count: int, n: int, level: float = LEVEL) -> Interval:
    """Return a proportion with its exact interval (Clopper and Pearson, 1934)."""
    exact = stats.binomtest(count, n).proportion_ci(level)
    return Interval(count / n, exact.low, exact.high, n)


def holm(p: Mapping[Any, float], number: int = 0) -> dict[Any, float]:
    """Return p's that hold together (Holm, 1979): each may be read against the level of them all.

    Args:
        p: of the claims that are there.
        number: of all claims of the family; those that are missing count as p = 1.
    """
    number = max(number, len(p))
    adjusted: dict[Any, float] = {}
    largest = 0.0
    for rank, name in enumerate(sorted(p, key=lambda name: p[name])):
        largest = max(largest, min(1.0, (number - rank) * p[name]))
        adjusted[name] = largest
    return adjusted


def crossed(right: np.ndarray) -> tuple[float, float, float]:
    """Return the three variances behind a mean over seeds and images.

    Args:
        right: by seed and image: whether a net is right, or a difference of such.

    Returns:
        The variance between the seeds' means, that between the images' means, and that of what is
        left: enough for `crossed_interval`, and three numbers instead of a picture of bits.
    """
    x = np.asarray(right, dtype=float)
    seeds, images = x.mean(axis=1), x.mean(axis=0)
    left = x - seeds[:, None] - images[None, :] + x.mean()
    freedom = (x.shape[0] - 1) * (x.shape[1] - 1)
    return float(seeds.var(ddof=1)), float(images.var(ddof=1)), float((left**2).sum() / freedom)


def crossed_interval(
    mean: float, variances: Numbers, seeds: int, images: int, level: float = LEVEL
) -> Interval:
    """Return the interval of a mean for other seeds *and* other images of the same kind.

    The variance of a mean over two crossed factors is s²/n + i²/m - r²/(nm): what a bootstrap of
    both, the pigeonhole bootstrap (Owen, 2007), goes to. Student's t, with the seeds' freedom.
    """
    s, i, r = variances
    variance = max(s / seeds + i / images - r / (seeds * images), s / seeds, i / images)
    half = float(stats.t.ppf((1 + level) / 2, seeds - 1)) * math.sqrt(variance)
    return Interval(mean, mean - half, mean + half, seeds)


def pairs_needed(values: Numbers, effect: float, alpha: float, power: float = 0.9) -> int:
    """Return about how many pairs would show an effect, if they scatter as these do.

    Args:
        values: differences; infinite ones are left out of their scatter.
        effect: the size to be shown, > 0.
        alpha: the two-sided level.
        power: the probability of showing it.
    """
    d = np.asarray(values, dtype=float)
    finite = d[np.isfinite(d)]
    if len(finite) < 2:
        return 0
    reach = float(stats.norm.ppf(1 - alpha / 2) + stats.norm.ppf(power))
    needed = (reach * float(finite.std(ddof=1)) / effect) ** 2 / (3 / math.pi)  # ranks: Pitman
    least = next(n for n in itertools.count(2) if 2.0 ** (1 - n) <= alpha)
    return max(least, math.ceil(needed))
