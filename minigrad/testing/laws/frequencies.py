"""Laws of how often: counts and sums, tested without approximation."""

from __future__ import annotations

import numpy as np

from minigrad.testing.frameworks import eps
from minigrad.testing.laws.law import ALPHA, BUG, law
from minigrad.testing.laws.trial import Trial
from minigrad.testing.normal import assert_normal_mean, assert_normal_spread
from minigrad.testing.statistics import (
    assert_binomial,
    assert_mean,
    assert_spread,
    binomial_detects,
    mean_detects,
    spread_detects,
)

CALL = (256, 512)  # the shape of a large call
SIZE = CALL[0] * CALL[1]

# ------------------------------------------------------------------------- the rate

#: for each p, how many large calls it takes to see p or 1 - p be wrong by 2 % of itself
CALLS = {0.1: 23, 0.3: 6, 0.5: 3, 0.8: 10}
#: rounded to 8 bits, as a fraction or a float, one of these becomes a third more or less
COARSE = {1.5 / 256: 2, 1 - 1.5 / 256: 2}
TINY = 1e-9  # a rate that normal noise, taken for uniform, would make a half
HALF = 2.0**-12  # a rate that uniform numbers of float16, multiples of 2⁻¹¹, would double
#: rates that uniform numbers of half precision, bfloat16's 2⁻⁸ among them, would miss by half
SMALL = {0.001: 4, 0.01: 2}
RATE_ALPHA = ALPHA / (len(CALLS) + len(COARSE) + 1 + 4 + 1 + 2 * len(SMALL))


def _rate_detects() -> str:
    found = (max(binomial_detects(n * SIZE, p, RATE_ALPHA)) / min(p, 1 - p)
             for p, n in CALLS.items())  # fmt: skip
    coarse = (max(binomial_detects(n * SIZE, p, RATE_ALPHA)) / min(p, 1 - p)
              for p, n in COARSE.items())  # fmt: skip
    return (
        f"p or 1 - p wrong by {max(found):.1%} of itself, at p = {', '.join(map(str, CALLS))}; by "
        f"{max(coarse):.0%} at p = 1.5/256 and 1 - 1.5/256 (rounded to 8 bits)"
    )


@law("Each element is dropped with probability p.", BUG, ("mask",), ALPHA, _rate_detects)
def rate(trial: Trial) -> None:
    for p, calls in {**COARSE, **CALLS, TINY: 1}.items():
        _check_rate(trial, p, calls, trial.usual)
    for dtype in trial.dtypes:
        if dtype != trial.usual:
            _check_rate(trial, 0.3, 1, dtype)
        if dtype == np.float16:
            _check_rate(trial, HALF, 6, dtype)
        if dtype.itemsize == 2:
            for p, calls in SMALL.items():
                _check_rate(trial, p, calls, dtype)


def _check_rate(trial: Trial, p: float, calls: int, dtype: np.dtype) -> None:
    calls = trial.repeats(calls)
    count = sum(int(trial.dropped(CALL, p, dtype).sum()) for _ in range(calls))
    what = f"{dtype.name} elements dropped at p = {p:g}"
    assert_binomial(count, calls * SIZE, p, RATE_ALPHA, what)


# ------------------------------------------------------------------------- mean and variance

MOMENT_CALLS = 4
MOMENTS = (0.2, 0.6)
MOMENT_ALPHA = ALPHA / len(MOMENTS)


def _square(p: float) -> tuple[float, float, float]:
    """Return mean, variance and largest deviation of (y/x - 1)²: 1 if dropped, else (p/(1-p))²."""
    mean, kept = p / (1 - p), (p / (1 - p)) ** 2
    return mean, p * (1 - p) * (1 - kept) ** 2, max(abs(1 - mean), abs(kept - mean))


def _ratios(trial: Trial, p: float) -> np.ndarray:
    """Return y / x for many elements, or what that is for noise which adds something."""
    found, noise = [], trial.noise
    for _ in range(trial.repeats(MOMENT_CALLS)):
        x = trial.numbers(CALL)
        if noise.variance is None:
            x = np.abs(x)  # so that what is dropped and what is kept never meet
        y = np.asarray(trial.apply(trial.constant(x), p)[1], np.float64)
        if noise.variance is None:
            kept, dropped = noise.kept(x, p), noise.dropped(p)
            found.append((y - dropped) / ((kept - dropped) * (1 - p)))
        else:
            found.append(y / x.astype(np.float64))
    return np.concatenate(found)


def _unbiased_detects() -> str:
    n = MOMENT_CALLS * SIZE
    found = [mean_detects(n, max(1, p / (1 - p)), p / (1 - p), MOMENT_ALPHA) for p in MOMENTS]
    return f"a mean wrong by {max(found):.1%} of x"


@law("The mean of y is x.", BUG, (), ALPHA, _unbiased_detects)
def unbiased(trial: Trial) -> None:
    for p in MOMENTS:
        what, ratios = f"y/x at p = {p:g}", _ratios(trial, p)
        if trial.noise.variance is not None:
            assert_normal_mean(ratios, 1.0, trial.noise.variance(p), MOMENT_ALPHA, what)
            continue
        odds = p / (1 - p)
        rounding = 4 * eps(trial.usual)
        assert_mean(ratios, 1.0, max(1, odds), odds, MOMENT_ALPHA, what, rounding)


def _variance_detects() -> str:
    n, found = MOMENT_CALLS * SIZE, []
    for p in MOMENTS:
        mean, variance, bound = _square(p)
        found.append(mean_detects(n, bound, variance, MOMENT_ALPHA) / mean)
    return f"a variance wrong by {max(found):.1%} of itself"


@law("The variance of y is p/(1 - p) · x².", BUG, (), ALPHA, _variance_detects)
def variance(trial: Trial) -> None:
    for p in MOMENTS:
        what, ratios = f"((y - x)/x)² at p = {p:g}", _ratios(trial, p)
        if trial.noise.variance is not None:
            assert_normal_spread(ratios - 1, trial.noise.variance(p), MOMENT_ALPHA, what)
            continue
        mean, spread, bound = _square(p)
        rounding = 16 * eps(trial.usual)
        assert_mean((ratios - 1) ** 2, mean, bound, spread, MOMENT_ALPHA, what, rounding)


# ------------------------------------------------------------------------- every place

#: one to a few dozen elements: what is unrolled, or done eight at a time, ends anywhere
LENGTHS = (1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33)
GRID = (129, 257)
REPEATS = 80
PLACES = sum(LENGTHS) + GRID[0] * GRID[1] + GRID[0] + GRID[1] + 2
PLACE_ALPHA = ALPHA / PLACES


def _positions_detects() -> str:
    one = max(binomial_detects(REPEATS, 0.5, PLACE_ALPHA))
    ends = max(binomial_detects(REPEATS * len(LENGTHS), 0.5, PLACE_ALPHA))
    line = max(binomial_detects(REPEATS * min(GRID), 0.5, PLACE_ALPHA))
    return (
        f"an element never or always dropped; at p = 0.5, a rate off by {one:.2f} in one place, by "
        f"{ends:.2f} at the ends, by {line:.2f} in a row or column"
    )


@law("Every place is dropped with probability p: first, last, any row or column.",
     BUG, ("mask",), ALPHA, _positions_detects)  # fmt: skip
def positions(trial: Trial) -> None:
    ends = np.zeros(2, int)
    lengths = LENGTHS[::4] if trial.quick else LENGTHS
    for length in lengths:
        dropped = np.array([trial.dropped((length,), 0.5) for _ in range(REPEATS)])
        counts = dropped.sum(0)
        ends += counts[[0, -1]]
        _check_places(counts, REPEATS, f"place {{}} of {length} elements")
    for count, end in zip(ends, ("first", "last"), strict=True):
        what = f"the {end} of {min(lengths)} to {max(lengths)} elements, dropped at p = 0.5"
        assert_binomial(int(count), REPEATS * len(lengths), 0.5, PLACE_ALPHA, what)
    grid = sum(trial.dropped(GRID, 0.5).astype(int) for _ in range(REPEATS))
    assert isinstance(grid, np.ndarray)
    _check_places(grid.ravel(), REPEATS, f"place {{}} of {GRID[0]} x {GRID[1]} elements")
    for axis, name in enumerate(("column", "row")):
        n = REPEATS * GRID[axis]
        _check_places(grid.sum(axis), n, f"{name} {{}} of {GRID[0]} x {GRID[1]} elements")


def _check_places(counts: np.ndarray, n: int, place: str) -> None:
    """Check the extremes among counts, each of them Binomial(n, 1/2)."""
    for i in {int(counts.argmin()), int(counts.argmax())}:
        what = f"{place.format(i)}, dropped at p = 0.5"
        assert_binomial(int(counts[i]), n, 0.5, PLACE_ALPHA, what)


# ------------------------------------------------------------------------- totals

TOTALS = 256  # calls
TOTAL_SHAPE, TOTAL_P = (25, 40), 0.3
FEW, FEW_CALLS = 4, 640  # elements of a small call
FEW_SHARES = np.array([1, 4, 6, 4, 1]) / 16  # of 0, ..., 4 dropped at p = 0.5
COUNT_ALPHA = ALPHA / (3 + 2 * len(FEW_SHARES))


def _counts_detects() -> str:
    within = spread_detects(CALL[0], CALL[1], 0.5, COUNT_ALPHA)
    total = int(np.prod(TOTAL_SHAPE))
    return (
        "an exact share dropped of each tensor, row or column, or a last survivor spared; a "
        f"correlation of {within:.3f} among all elements of a row, or of "
        f"{spread_detects(TOTALS, total, TOTAL_P, COUNT_ALPHA):.3f} among those of a call"
    )


@law("Numbers of dropped elements vary as those of independent draws do.",
     BUG, ("mask",), ALPHA, _counts_detects)  # fmt: skip
def counts(trial: Trial) -> None:
    calls = trial.repeats(TOTALS, least=64)
    totals = [int(trial.dropped(TOTAL_SHAPE, TOTAL_P).sum()) for _ in range(calls)]
    n = TOTAL_SHAPE[0] * TOTAL_SHAPE[1]
    what = f"elements dropped in each of {calls} calls of {n}, p = {TOTAL_P}"
    assert_spread(totals, n, TOTAL_P, COUNT_ALPHA, what)
    large = trial.dropped(CALL, 0.5)
    for axis, name in (1, "row"), (0, "column"):
        what = f"elements dropped in each {name} of {CALL[0]} x {CALL[1]}, p = 0.5"
        assert_spread(large.sum(axis), CALL[axis], 0.5, COUNT_ALPHA, what)
    few = trial.repeats(FEW_CALLS)
    small = np.array([trial.dropped((FEW,), 0.5).sum() for _ in range(few)])
    rows = trial.dropped((FEW_CALLS, FEW), 0.5).sum(1)
    for dropped, name in (small, "calls"), (rows, "rows"):
        for k, share in enumerate(FEW_SHARES):
            what = f"{name} of {FEW} elements with {k} dropped, p = 0.5"
            assert_binomial(int((dropped == k).sum()), dropped.size, share, COUNT_ALPHA, what)
