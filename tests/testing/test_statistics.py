"""The statistical assertions, checked by exact probabilities: level, power, and their account."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

import minigrad as mg
from minigrad.testing import statistics
from minigrad.testing.statistics import (
    ALPHA,
    MISS,
    Budget,
    assert_binomial,
    assert_independent,
    assert_mean,
    assert_spread,
    assert_uniform,
    binomial_detects,
    independent_detects,
    mean_detects,
    spent,
    spread_detects,
    uniform_detects,
)

ALPHAS = pytest.mark.parametrize("alpha", [0.3, 0.05, 0.001])
RATES = pytest.mark.parametrize("p", [0.0, 0.01, 0.2, 0.5, 0.9, 1.0])


@pytest.fixture(autouse=True)
def _apart() -> Iterator[None]:
    """Keep the assertions of this file, which are tried on purpose, out of the run's account."""
    with Budget(limit=math.inf, apart=True):
        yield


def raises(assertion: Callable[..., float], *args: Any, **kwargs: Any) -> bool:
    """Return whether an assertion fails; if not, its p-value has to say so too."""
    try:
        p_value = assertion(*args, **kwargs)
    except AssertionError:
        return True
    assert p_value > kwargs["alpha"]
    return False


def binomial(n: int, p: float) -> list[Fraction]:
    """Return the exact probability of each number of successes."""
    q = Fraction(p)
    return [math.comb(n, k) * q**k * (1 - q) ** (n - k) for k in range(n + 1)]


def total(weights: Iterable[Fraction]) -> Fraction:
    """Return the exact sum: faster than ``sum``, which shortens at each step."""
    weights = list(weights)
    scale = math.lcm(*(w.denominator for w in weights))
    return Fraction(sum(w.numerator * (scale // w.denominator) for w in weights), scale)


def probability(events: Iterable[tuple[Fraction, bool]]) -> Fraction:
    """Return the probability of what happens."""
    return total(weight for weight, happens in events if happens)


# ------------------------------------------------------------------------- a rate


def binomial_rejects(n: int, p: float, alpha: float, rate: float) -> Fraction:
    """Return the exact probability that `assert_binomial` fails when the true rate is ``rate``."""
    rejected = [raises(assert_binomial, k, n, p, alpha=alpha) for k in range(n + 1)]
    return probability(zip(binomial(n, rate), rejected, strict=True))


@ALPHAS
@RATES
@pytest.mark.parametrize("n", [0, 1, 2, 5, 12, 100])
def test_a_right_rate_raises_at_most_alpha_false_alarms(n: int, p: float, alpha: float) -> None:
    assert binomial_rejects(n, p, alpha, rate=p) <= alpha


@ALPHAS
@pytest.mark.parametrize("p", [0.01, 0.2, 0.5, 0.9])
def test_no_count_is_let_pass_that_could_be_refused(p: float, alpha: float) -> None:
    n, weights = 100, binomial(100, p)
    passed = [k for k in range(n + 1) if not raises(assert_binomial, k, n, p, alpha=alpha)]
    assert passed == list(range(passed[0], passed[-1] + 1))
    assert total(weights[: passed[0] + 1]) > alpha / 2
    assert total(weights[passed[-1] :]) > alpha / 2


@RATES
@pytest.mark.parametrize("n", [1, 12, 150])
def test_the_p_value_is_twice_the_smaller_tail(n: int, p: float) -> None:
    weights = binomial(n, p)
    for k in range(n + 1):
        tail = min(total(weights[: k + 1]), total(weights[k:]))
        if 2 * tail > 1e-200:
            p_value = assert_binomial(k, n, p, alpha=1e-300)
            assert p_value == pytest.approx(float(min(2 * tail, Fraction(1))), rel=1e-11)


@pytest.mark.parametrize("alpha", [0.05, ALPHA])
@pytest.mark.parametrize("miss", [0.1, MISS])
@RATES
@pytest.mark.parametrize("n", [30, 120])
def test_a_rate_is_detected_from_the_stated_deviation(
    n: int, p: float, alpha: float, miss: float
) -> None:
    for sign, deviation in zip((-1, 1), binomial_detects(n, p, alpha, miss), strict=True):
        if math.isfinite(deviation):
            assert 0 < deviation <= 1
            for factor in (1 + 1e-9, 1.1, 1.5):
                if 0 <= (rate := p + sign * deviation * factor) <= 1:
                    assert binomial_rejects(n, p, alpha, rate) >= 1 - Fraction(miss)
            assert binomial_rejects(n, p, alpha, p + sign * deviation * 0.99) < 1 - miss
        else:  # even if it always happens, or never
            farthest = max(0.0, float(sign))
            assert farthest == p or binomial_rejects(n, p, alpha, farthest) < 1 - miss


def test_the_errors_of_real_code_are_detected_at_the_stated_sizes() -> None:
    normal = {0.2: 0.5793, 0.5: 0.6915}  # rates of randn(...) < p
    for (p, rate), n in zip(normal.items(), (250, 1100), strict=True):
        assert p + binomial_detects(n, p)[1] < rate
        assert p + binomial_detects(n // 2, p)[1] > rate
    below, above = binomial_detects(10**6, 0.3)
    assert below < 0.006 > above  # a rate wrong by 2 %


@given(st.integers(0, 10**9), st.floats(0, 1), st.floats(0, 1))
@settings(deadline=None)
def test_any_count_has_a_p_value(n: int, p: float, share: float) -> None:
    try:
        assert 0 <= assert_binomial(round(share * n), n, p) <= 1
    except AssertionError:
        assert abs(share - p) > 0


@pytest.mark.parametrize(("count", "n", "p"), [(-1, 5, 0.5), (6, 5, 0.5), (1, 5, 1.5)])
def test_impossible_counts_and_probabilities_are_refused(count: int, n: int, p: float) -> None:
    with pytest.raises(ValueError, match=f"count = {count} and n = 5" if p == 0.5 else "1.5"):
        assert_binomial(count, n, p)
    with pytest.raises(ValueError, match="nan"):
        assert_binomial(1, 5, math.nan)


# ------------------------------------------------------------------------- uniformity


@ALPHAS
@pytest.mark.parametrize(("n", "cells"), [(6, 1), (12, 2), (9, 3), (7, 5)])
def test_fair_integers_raise_at_most_alpha_false_alarms(n: int, cells: int, alpha: float) -> None:
    alarms = Fraction(0)
    for values in itertools.combinations_with_replacement(range(cells), n):
        ways = math.factorial(n)
        for count in Counter(values).values():
            ways //= math.factorial(count)
        if raises(assert_uniform, np.array(values), cells=cells, alpha=alpha):
            alarms += Fraction(ways, cells**n)
    assert alarms <= alpha


@given(st.integers(1, 500), st.floats(0, 5))
@settings(deadline=None)
def test_the_p_value_of_reals_is_no_smaller_than_the_exact_one(n: int, distance: float) -> None:
    gap = min(distance / math.sqrt(n), 0.999)
    values = np.minimum(np.arange(n) / n + gap, 1 - 1e-12)
    largest = stats.kstest(values, "uniform").statistic
    p_value = assert_uniform(values, alpha=1e-300)
    assert p_value == pytest.approx(min(1, 2 * math.exp(-2 * n * largest**2)), rel=1e-9)
    assert p_value >= stats.kstwo.sf(largest, n) * (1 - 1e-9)


@pytest.mark.parametrize("n", [100, 1000, 10_000])
def test_the_critical_distance_of_reals_is_close_to_the_exact_one(n: int) -> None:
    exact = stats.kstwo.isf(ALPHA, n)
    even = (np.arange(n) + 0.5) / n
    values = even[even >= exact * 1.02]  # all are larger than that: moved there
    values = np.concatenate([np.full(n - values.size, exact * 1.02), values])
    assert raises(assert_uniform, values, alpha=ALPHA)
    assert not raises(assert_uniform, np.maximum(even, exact * 0.98), alpha=ALPHA)


def test_reals_on_the_grid_of_their_dtype_are_uniform() -> None:
    grid = np.tile((np.arange(2048) / 2048).astype(np.float16), 2048)  # as even as can be
    assert assert_uniform(grid) == 1
    too_coarse = assert_uniform(grid.astype(np.float64))  # for float64, that is
    assert too_coarse == pytest.approx(2 * math.exp(-2))


@pytest.mark.parametrize("miss", [0.1, MISS])
def test_a_share_of_reals_is_detected_from_the_stated_deviation_on(miss: float) -> None:
    """The share below 1/2: as the smallest gap at 1/2 that fails is known, its count tells."""
    n, alpha = 200, 0.001
    gap, _ = uniform_detects(n, alpha=alpha, miss=miss)
    fails = []
    for below in range(n + 1):  # as even as they can be, with so many below 1/2
        low = (np.arange(below) + 0.5) / max(below, 1) / 2
        high = 0.5 + (np.arange(n - below) + 0.5) / max(n - below, 1) / 2
        fails.append(raises(assert_uniform, np.concatenate([low, high]), alpha=alpha))
    for share in (0.5 + gap, 0.5 - gap):
        assert probability(zip(binomial(n, share), fails, strict=True)) >= 1 - Fraction(miss)
    near = probability(zip(binomial(n, 0.5 + gap / 2), fails, strict=True))
    assert near < 1 - miss


@pytest.mark.parametrize("cells", [2, 6])
def test_a_cell_of_another_probability_is_detected_from_the_stated_deviation_on(
    cells: int,
) -> None:
    n, alpha, miss = 120, 0.001, 1e-3
    for sign, deviation in zip((-1, 1), uniform_detects(n, cells, alpha, miss), strict=True):
        if math.isfinite(deviation):
            for factor in (1 + 1e-9, 0.95):
                fails = []
                for count in range(n + 1):  # in cell 0; the others as even as they can be
                    others = 1 + np.arange(n - count) % (cells - 1)
                    values = np.concatenate([np.zeros(count, int), others])
                    fails.append(raises(assert_uniform, values, cells=cells, alpha=alpha))
                weights = binomial(n, 1 / cells + sign * deviation * factor)
                power = probability(zip(weights, fails, strict=True))
                assert (power >= 1 - Fraction(miss)) == (factor > 1)


@pytest.mark.parametrize("value", [1.0, -1e-9, math.nan, math.inf, 2])
def test_a_single_value_out_of_range_is_an_error_for_certain(value: float) -> None:
    values = np.append(np.linspace(0, 0.99, 99), value)
    with pytest.raises(AssertionError, match=rf"1 of 100 values are not in \[0, 1\).*{value}"):
        assert_uniform(values, what="draws")


def test_an_integer_out_of_range_is_an_error_for_certain() -> None:
    with pytest.raises(AssertionError, match=r"1 of 4 values are not in \[0, 3\).*3"):
        assert_uniform(mg.tensor([0, 1, 2, 3]), cells=3)
    with pytest.raises(AssertionError, match=r"1 of 2 values are not in \[0, 3\).*-1"):
        assert_uniform([0, -1], cells=3)


def test_the_most_frequent_or_rarest_integer_is_named() -> None:
    values = [0] * 40 + [1] * 100 + [2] * 40
    with pytest.raises(
        AssertionError, match=r"100 of the 180 values are 1\n.*60, give or take 6.32"
    ):
        assert_uniform(values, cells=3, alpha=1e-6)
    values = [0] * 90 + [1] * 90
    with pytest.raises(AssertionError, match=r"got: 0 of the 180 values are 2\n"):
        assert_uniform(values, cells=3, alpha=1e-6)
    values = [0] * 100 + [1] * 3 + [2] * 100
    with pytest.raises(AssertionError, match=r"3 of the 203 values are 1\n"):
        assert_uniform(values, cells=3, alpha=1e-6)


# ------------------------------------------------------------------------- independence


def hypergeometric(n: int, r: int, s: int, odds: Fraction = Fraction(1)) -> dict[int, Fraction]:
    """Return the exact distribution of the common places, by Fisher; given an odds ratio."""
    places = range(max(0, r + s - n), min(r, s) + 1)
    weights = {k: math.comb(r, k) * math.comb(n - r, s - k) * odds**k for k in places}
    total = sum(weights.values())
    return {k: weight / total for k, weight in weights.items()}


def masks(n: int, r: int, s: int, both: int) -> tuple[np.ndarray, np.ndarray]:
    """Return two masks of n places with so many True, and so many in common."""
    a, b = np.zeros((2, n), bool)
    a[:r] = True
    b[r - both : r - both + s] = True
    return a, b


def independence_rejects(n: int, r: int, s: int, alpha: float, odds: Fraction) -> Fraction:
    """Return the probability that `assert_independent` fails, given margins and odds ratio."""
    return probability(
        (weight, raises(assert_independent, *masks(n, r, s, k), alpha=alpha))
        for k, weight in hypergeometric(n, r, s, odds).items()
    )


@ALPHAS
@pytest.mark.parametrize("n", [1, 2, 7, 12])
def test_independent_masks_raise_at_most_alpha_false_alarms(n: int, alpha: float) -> None:
    """Given any margins, and hence for masks of any rates."""
    for r, s in itertools.product(range(n + 1), repeat=2):
        assert independence_rejects(n, r, s, alpha, odds=Fraction(1)) <= alpha


@ALPHAS
@pytest.mark.parametrize(("p", "q"), [(0.5, 0.5), (0.2, 0.2), (0.25, 0.9)])
def test_all_pairs_of_masks_together_raise_no_more_than_alpha(
    p: float, q: float, alpha: float
) -> None:
    n, alarms = 6, Fraction(0)
    every = [np.array(m) for m in itertools.product([False, True], repeat=n)]
    weights = {rate: binomial(n, rate) for rate in (p, q)}
    for a, b in itertools.product(every, repeat=2):
        if raises(assert_independent, a, b, alpha=alpha):
            r, s = int(a.sum()), int(b.sum())
            alarms += weights[p][r] / math.comb(n, r) * weights[q][s] / math.comb(n, s)
    assert alarms <= alpha


@pytest.mark.parametrize(("n", "r", "s"), [(300, 150, 140), (300, 15, 20), (300, 290, 40)])
def test_the_p_value_of_independence_is_fishers(n: int, r: int, s: int) -> None:
    weights = hypergeometric(n, r, s)
    for k in weights:
        below = sum(w for j, w in weights.items() if j <= k)
        above = sum(w for j, w in weights.items() if j >= k)
        expected = min(1.0, float(2 * min(below, above)))
        if expected > 1e-250:
            p_value = assert_independent(*masks(n, r, s, k), alpha=1e-300)
            assert p_value == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize(("alpha", "miss"), [(0.05, 0.1), (ALPHA, MISS)])
@pytest.mark.parametrize(("r", "s"), [(100, 100), (20, 20), (180, 20), (190, 150), (0, 50)])
def test_correlation_is_detected_from_the_stated_size(
    r: int, s: int, alpha: float, miss: float
) -> None:
    n = 200
    for sign, size in zip((-1, 1), independent_detects(n, r, s, alpha, miss), strict=True):
        farthest = Fraction(10**12) ** sign
        if math.isinf(size):
            assert independence_rejects(n, r, s, alpha, farthest) < 1 - miss
            continue
        assert independence_rejects(n, r, s, alpha, farthest) >= 1 - Fraction(miss)
        for factor, detected in ((1 + 1e-6, True), (1.05, True), (0.98, False)):
            p, q = r / n, s / n
            both = p * q + sign * size * factor * math.sqrt(p * (1 - p) * q * (1 - q))
            if both < min(p, q) and min(both, 1 - p - q + both) > 0:
                odds = both * (1 - p - q + both) / ((p - both) * (q - both))
                power = independence_rejects(n, r, s, alpha, Fraction(odds))
                assert (power >= 1 - Fraction(miss)) == detected


def test_a_stated_correlation_is_one_that_masks_can_have() -> None:
    sizes = [independent_detects(400, r, s) for r in range(0, 401, 40) for s in range(0, 401, 40)]
    assert all(0 < size <= 1 or math.isinf(size) for pair in sizes for size in pair)
    assert independent_detects(400, 200, 200)[1] < 1


def test_equal_and_opposite_and_shifted_masks_are_found() -> None:
    a = np.random.default_rng(0).random((64, 64)) < 0.3
    for b in (
        a,
        ~a,
        np.where(np.arange(64) < 32, a, np.random.default_rng(1).random((64, 64)) < 0.3),
    ):
        with pytest.raises(AssertionError, match="correlation of"):
            assert_independent(mg.from_numpy(a), mg.from_numpy(b))
    assert assert_independent(a, np.random.default_rng(1).random((64, 64)) < 0.3) > 1e-3
    assert assert_independent(a, np.ones_like(a)) == 1  # what is constant depends on nothing
    assert assert_independent(a[:0], a[:0]) == 1


def test_masks_of_different_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"masks of one shape, but got \(3,\) and \(3, 1\)"):
        assert_independent(np.ones(3), np.ones((3, 1)))


# ------------------------------------------------------------------------- a mean


@ALPHAS
@pytest.mark.parametrize("p", [0.1, 0.5, 0.8])
@pytest.mark.parametrize("known", [True, False])
def test_the_p_value_of_a_mean_is_a_bound(p: float, known: bool, alpha: float) -> None:
    n, bound, variance = 40, max(p, 1 - p), p * (1 - p) if known else None
    weights, alarms = binomial(n, p), Fraction(0)
    for k in range(n + 1):
        values = np.arange(n) < k
        farther = [abs(j - n * p) >= abs(k - n * p) * (1 - 1e-12) for j in range(n + 1)]
        exact = probability(zip(weights, farther, strict=True))
        assert assert_mean(values, p, bound, variance, alpha=1e-300) >= exact * (1 - 1e-9)
        alarms += weights[k] * raises(assert_mean, values, p, bound, variance, alpha=alpha)
    assert alarms <= alpha


@ALPHAS
@pytest.mark.parametrize("p", [0.2, 0.5, 0.9])
def test_dropout_of_unlike_elements_raises_no_more_than_alpha(p: float, alpha: float) -> None:
    x = np.array([3.0, -1.0, 0.5, 0.0, 2.0, -3.0, 1.0, 1.0, -0.1, 2.5])
    variance, bound = x * x * p / (1 - p), 3 * max(1.0, p / (1 - p))
    alarms = Fraction(0)
    for mask in itertools.product([0, 1], repeat=len(x)):
        if raises(assert_mean, x * mask / (1 - p), x, bound, variance, alpha=alpha):
            kept = sum(mask)
            alarms += Fraction(p) ** (len(x) - kept) * (1 - Fraction(p)) ** kept
    assert alarms <= alpha


def test_bennetts_bound_is_bennetts() -> None:
    """One value of variance 1, bound 1, four from the mean in total: exp(-4 h(1)) for 4 of them."""
    values = np.array([1.0, 1.0, 1.0, 1.0])
    expected = 2 * math.exp(-4 * (2 * math.log(2) - 1))
    assert assert_mean(values, 0.0, bound=1, variance=1.0) == pytest.approx(expected, rel=1e-9)
    assert assert_mean(values, 0.0, bound=1) == pytest.approx(expected, rel=1e-9)
    assert assert_mean(-values, 0.0, bound=1) == pytest.approx(expected, rel=1e-9)
    tiny = assert_mean(values * 1e-5, 0.0, bound=1, variance=1e-3)
    assert tiny == 1.0
    many = assert_mean(np.full(10**6, 3e-3), 0.0, bound=0.01, variance=1.0, alpha=1e-30)
    assert many == pytest.approx(2 * math.exp(-(10**6) * 3e-3**2 / 2), rel=1e-3)


@pytest.mark.parametrize(("alpha", "miss"), [(0.05, 0.1), (1e-4, 1e-3), (ALPHA, MISS)])
def test_a_mean_is_detected_from_the_stated_deviation_on(alpha: float, miss: float) -> None:
    n = 400
    deviation = mean_detects(n, bound=1, variance=0.25, alpha=alpha, miss=miss)
    fails = [raises(assert_mean, np.arange(n) < k, 0.5, 1, 0.25, alpha=alpha) for k in range(n + 1)]
    for rate in (0.5 + deviation, 0.5 - deviation):
        assert probability(zip(binomial(n, rate), fails, strict=True)) >= 1 - Fraction(miss)
    nearer = probability(zip(binomial(n, 0.5 + 0.6 * deviation), fails, strict=True))
    assert nearer < 1 - miss
    assert mean_detects(n, bound=1, alpha=alpha, miss=miss) > deviation


def test_rounding_is_no_deviation_of_a_mean() -> None:
    x = np.random.default_rng(0).random(10**5)
    for dtype in np.float16, np.float32, np.float64:
        rounded = (x / 0.9).astype(dtype) * dtype(0.9)
        assert assert_mean(rounded, x, bound=0, variance=0) == 1
    with pytest.raises(AssertionError, match="lies farther than 0 from"):
        assert_mean(x + 1e-9, x, bound=0, variance=0)
    with pytest.raises(AssertionError, match="less than 1e-300"):
        assert_mean(x + 1e-9, x, bound=1, variance=0)


def test_a_value_out_of_bounds_is_an_error_for_certain() -> None:
    with pytest.raises(AssertionError, match=r"the value 2\.5 lies farther than 1 from 0\.5"):
        assert_mean(np.array([0.0, 2.5]), mean=0.5, bound=1)
    with pytest.raises(AssertionError, match="the value nan lies farther"):
        assert_mean(np.array([0.0, math.nan]), mean=0.5, bound=1)


def test_a_mean_of_nothing_is_right() -> None:
    assert assert_mean(np.zeros((0, 3)), 1.0, bound=1) == 1
    assert mean_detects(0, bound=1) == math.inf
    assert mean_detects(10, bound=1, variance=0) == 0
    assert mean_detects(10, bound=1, variance=math.nan) == math.inf


# ------------------------------------------------------------------------- a spread


@ALPHAS
@pytest.mark.parametrize(("n", "trials", "p"), [(5, 4, 0.5), (4, 7, 0.25), (3, 16, 0.5)])
def test_rows_of_events_raise_at_most_alpha_false_alarms(
    n: int, trials: int, p: float, alpha: float
) -> None:
    weights = binomial(trials, p)
    alarms = Fraction(0)
    for counts in itertools.combinations_with_replacement(range(trials + 1), n):
        if raises(assert_spread, np.array(counts), trials, p, alpha=alpha):
            ways = math.factorial(n)
            for multiplicity in Counter(counts).values():
                ways //= math.factorial(multiplicity)
            alarms += ways * math.prod(weights[k] for k in counts)
    assert alarms <= alpha


@pytest.mark.parametrize(("trials", "p"), [(4, 0.5), (50, 0.1), (256, 0.5), (300, 0.99)])
def test_a_row_is_far_with_the_exact_probability(trials: int, p: float) -> None:
    weights, far = binomial(trials, p), 1.5 * math.sqrt(trials * p * (1 - p))
    exact = float(sum(w for k, w in enumerate(weights) if abs(k - trials * p) > far))
    assert statistics._far_rate(trials, p, correlation=0.0) == pytest.approx((exact, far))


@pytest.mark.parametrize(("n", "trials", "p"), [(500, 64, 0.5), (2000, 20, 0.2), (300, 400, 0.9)])
def test_correlation_in_rows_is_detected_from_the_stated_size(
    n: int, trials: int, p: float
) -> None:
    size = spread_detects(n, trials, p)
    far = 1.5 * math.sqrt(trials * p * (1 - p))
    counts = np.arange(trials + 1)
    near, distant = round(trials * p), int(np.abs(counts - trials * p).argmax())
    fails = np.array(
        [
            raises(assert_spread, np.repeat([distant, near], [k, n - k]), trials, p, alpha=ALPHA)
            for k in range(n + 1)
        ]
    )
    for factor, detected in ((1.0, True), (1.5, True), (3.0, True), (0.9, False)):
        pairs = 1 / (size * factor) - 1
        if pairs > 0:
            rows = stats.betabinom(trials, pairs * p, pairs * (1 - p)).pmf(counts)
            rate = rows[np.abs(counts - trials * p) > far].sum()
            power = stats.binom.pmf(np.arange(n + 1), n, rate)[fails].sum()
            assert (power >= 1 - MISS) == detected


def test_rows_that_drop_alike_or_a_fixed_share_are_found() -> None:
    one = np.random.default_rng(0).random((256, 1)) < 0.5
    with pytest.raises(AssertionError, match=r"256 of 256 counts .* too much spread"):
        assert_spread(np.broadcast_to(one, (256, 64)).sum(1), 64, 0.5)
    with pytest.raises(AssertionError, match=r"0 of 256 counts .* too little spread"):
        assert_spread(np.full(256, 32), 64, 0.5)
    assert assert_spread((np.random.default_rng(0).random((256, 64)) < 0.5).sum(1), 64, 0.5) > 1e-3


def test_what_no_spread_can_show_is_infinite() -> None:
    assert spread_detects(3, 64, 0.5) == math.inf


@pytest.mark.parametrize(("trials", "p"), [(1, 0.5), (100, 0.001), (64, 0.0), (64, 1.0)])
def test_rows_too_short_to_have_a_spread_are_refused(trials: int, p: float) -> None:
    with pytest.raises(ValueError, match=rf">= 1, but got {trials} trials with p = {p}"):
        assert_spread([0, 1], trials, p)


# ------------------------------------------------------------------------- the account

#: each assertion, with arguments at which it passes, and others at which it fails
ASSERTIONS: Mapping[str, tuple[Callable[..., float], list[Any], list[Any]]] = {
    "assert_binomial": (assert_binomial, [50, 100, 0.5], [0, 100, 0.5]),
    "assert_uniform": (assert_uniform, [np.arange(64) / 64], [np.zeros(64)]),
    "assert_uniform, integers": (assert_uniform, [np.arange(64) % 2, 2], [np.zeros(64), 2]),
    "assert_independent": (assert_independent, masks(64, 32, 32, 16), masks(64, 32, 32, 0)),
    "assert_mean": (assert_mean, [np.arange(64) % 2, 0.5, 0.5], [np.ones(64), 0.5, 0.5]),
    "assert_spread": (assert_spread, [np.r_[0:65], 64, 0.5], [np.full(500, 32), 64, 0.5]),
}
ASSERTION = pytest.mark.parametrize("name", [n for n in ASSERTIONS if n != "assert_spread"])
EVERY = pytest.mark.parametrize("name", ASSERTIONS)


@EVERY
def test_every_assertion_is_charged_its_alpha_true_or_not(name: str) -> None:
    assertion, _, wrong = ASSERTIONS[name]
    with Budget(limit=1) as budget:
        with pytest.raises(AssertionError, match=rf"^{name}\n  got: .*\n  expected: .*\n  chance "):
            assertion(*wrong, alpha=1e-7, what=name)
        assert budget.spent == {name: 1e-7}
        with pytest.raises(AssertionError):
            assertion(*wrong, alpha=2e-7, what=name)
        assert budget.spent == {name: pytest.approx(3e-7)}
        with pytest.raises(AssertionError):
            assertion(*wrong)
        assert budget.total == pytest.approx(3e-7 + ALPHA)


@ASSERTION
def test_every_assertion_that_holds_returns_its_p_value(name: str) -> None:
    assertion, right, _ = ASSERTIONS[name]
    p_value = assertion(*right)
    assert type(p_value) is float
    assert 0.1 < p_value <= 1


@EVERY
@pytest.mark.parametrize("alpha", [0, 1, -0.1, 1.5, math.nan])
def test_an_alpha_that_is_no_probability_is_refused(name: str, alpha: float) -> None:
    assertion, right, _ = ASSERTIONS[name]
    with pytest.raises(ValueError, match=f"alpha must be .* but got {alpha}"):
        assertion(*right, alpha=alpha)


def test_an_assertion_that_hypothesis_repeats_is_charged_each_time() -> None:
    @settings(max_examples=37, database=None, deadline=None)
    @given(st.integers(40, 60))
    def repeated(count: int) -> None:
        nonlocal calls
        calls += 1
        assert_binomial(count, 100, 0.5, what="repeated")

    calls = 0
    with Budget() as budget:
        repeated()
    assert calls > 20
    assert budget.total == pytest.approx(calls * ALPHA, rel=1e-12)


def test_a_budget_collects_for_those_around_it_unless_it_stands_apart() -> None:
    with Budget() as outer:
        with Budget() as inner:
            assert_binomial(5, 10, 0.5, what="inner")
        with Budget(apart=True) as apart:
            assert_binomial(5, 10, 0.5, what="apart")
            with Budget() as innermost:
                assert_binomial(5, 10, 0.5, what="innermost")
        assert_binomial(5, 10, 0.5, what="outer")
    assert inner.spent == {"inner": ALPHA}
    assert innermost.spent == {"innermost": ALPHA}
    assert apart.spent == {"apart": ALPHA, "innermost": ALPHA}
    assert outer.spent == {"inner": ALPHA, "outer": ALPHA}


def test_what_no_budget_keeps_apart_is_charged_to_the_run() -> None:
    before = dict(spent())
    with Budget():
        assert_binomial(5, 10, 0.5)
    assert spent() == before
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(statistics, "_open", [run := Budget()])
        patch.setattr(statistics, "RUN", run)
        with Budget():
            assert_binomial(5, 10, 0.5, what="a test of the run")
        assert spent() == {"a test of the run": ALPHA}
        with pytest.raises(TypeError):
            spent()["a test of the run"] = 0.0  # type: ignore[index]


def test_a_budget_that_is_exceeded_raises_and_says_by_what() -> None:
    def spend(*names: str) -> None:
        with Budget(limit=3 * ALPHA):
            for name in names:
                assert_binomial(5, 10, 0.5, what=name)

    spend("many", "many", "many")
    message = r"(?s)false-alarm probability of 4e-09; 3e-09 is allowed.*3e-09  many\n.*1e-09  one\n"
    with pytest.raises(AssertionError, match=message):
        spend("one", "many", "many", "many")


def test_an_exceeded_budget_hides_no_error_and_is_closed_by_one() -> None:
    budget = Budget(limit=0)

    def fail() -> None:
        with budget:
            assert_binomial(5, 10, 0.5)
            raise KeyError("the first")

    with pytest.raises(KeyError, match="the first"):
        fail()
    assert_binomial(5, 10, 0.5)
    assert budget.total == ALPHA
