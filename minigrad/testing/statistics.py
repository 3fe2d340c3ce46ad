"""Tests of what is random: exact or conservative at any sample size, with an account of errors.

Each ``assert_...`` returns its p-value: a bound on the probability that what is right deviates as
far as what was seen. It raises if that is at most ``alpha``; so it gives a false alarm with a
probability of at most ``alpha``, whatever the sample size: no normal approximation is made. All
tests are two-sided, their p-values twice the smaller tail.

Each ``..._detects`` tells what its test is worth: the smallest deviation from what is claimed that
the test of this size detects with a probability of at least ``1 - miss``.

False alarms add up. Every assertion charges its ``alpha`` to the account of the run, under its
name, before it looks at the data; see `Budget` and `spent`. An assertion that hypothesis runs 100
times is charged 100 times.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from scipy import special

ALPHA = 1e-9  # of one assertion: a thousand of them stay within a run's budget
MISS = 1e-6
LIMIT = 1e-6  # of the false-alarm probability of a run


# ------------------------------------------------------------------------- the account


class Figure(NamedTuple):
    """What a test looked at.

    Attributes:
        what: the name of the assertion.
        p_value: a bound on the probability that what is right deviates so far.
        alpha: the assertion fails if that is not larger.
        got, expected: in words.
    """

    what: str
    p_value: float
    alpha: float
    got: str
    expected: str


class Budget:
    """The false-alarm probability of a number of assertions: the sum of their alphas.

    The sum is a bound for dependent assertions too. In a ``with`` statement, it collects the
    assertions of the block, which raises at its end if they come to more than the limit. They are
    charged to enclosing budgets and to the run as well, unless the budget stands apart.

    Args:
        limit: what the sum may come to.
        apart: whether to charge this budget alone: for assertions that are meant to fail, whose
            failure is no alarm.

    Attributes:
        spent: the probability charged so far, by the name of the assertion.
        figures: what the assertions looked at, if the budget stands apart.

    Examples:
        >>> with Budget() as budget:
        ...     p_value = assert_binomial(498, n=1000, p=0.5, what="heads of a coin")
        >>> round(p_value, 3)
        0.924
        >>> print(budget)
        false-alarm probability, at most:
            1e-09  heads of a coin
            1e-09  in total, of 1e-06 allowed
    """

    def __init__(self, limit: float = LIMIT, apart: bool = False) -> None:
        self.limit = limit
        self.apart = apart
        self.spent: dict[str, float] = {}
        self.figures: list[Figure] = []

    @property
    def total(self) -> float:
        """The sum of all that was charged."""
        return math.fsum(self.spent.values())

    def charge(self, what: str, alpha: float) -> None:
        """Add the false-alarm probability of one assertion, under its name."""
        self.spent[what] = self.spent.get(what, 0.0) + alpha

    def check(self) -> None:
        """Raise AssertionError if more was spent than the limit."""
        # the limit may be used up to the last bit of a sum of rounded numbers
        if self.total > self.limit * (1 + 1e-9):
            raise AssertionError(
                f"the assertions come to a false-alarm probability of {self.total:.3g}; "
                f"{self.limit:g} is allowed: use fewer, or a smaller alpha\n{self}"
            )

    def __str__(self) -> str:
        rows = sorted(self.spent.items(), key=lambda row: -row[1])
        lines = [f"{alpha:9.3g}  {what}" for what, alpha in rows]
        total = f"{self.total:9.3g}  in total, of {self.limit:g} allowed"
        return "\n".join(["false-alarm probability, at most:", *lines, total])

    def __enter__(self) -> Budget:
        _open.append(self)
        return self

    def __exit__(self, kind: Any, *exc: object) -> None:
        _open.remove(self)
        if kind is None:
            self.check()


RUN = Budget()  # of everything in this process
_open = [RUN]


def spent() -> Mapping[str, float]:
    """Return the false-alarm probability that this process has spent, by name of the assertion."""
    return MappingProxyType(RUN.spent)


def charge(what: str, alpha: float) -> None:
    """Charge the innermost open budget, those around it up to one that stands apart, and the run.

    The assertions below do so themselves: this is for tests of another kind.

    Args:
        what: the name of the test.
        alpha: its false-alarm probability.

    Raises:
        ValueError: alpha is not between 0 and 1.
    """
    if not 0 < alpha < 1:
        raise ValueError(f"alpha must be a probability between 0 and 1, but got {alpha}")
    for budget in reversed(_open):
        budget.charge(what, alpha)
        if budget.apart:
            return


def judge(what: str, p_value: float, alpha: float, got: str, expected: str) -> float:
    """Return the p-value if it is above alpha; otherwise say what was got and expected, and raise.

    For tests of another kind than those below, after they have charged their alpha.
    """
    if _open[-1].apart:
        _open[-1].figures.append(Figure(what, p_value, alpha, got, expected))
    if p_value > alpha:
        return p_value
    probability = f"at most {p_value:.3g}" if p_value > 1e-300 else "less than 1e-300"
    raise AssertionError(
        f"{what}\n  got: {got}\n  expected: {expected}\n"
        f"  chance deviates that far with a probability of {probability}; alpha is {alpha:g}"
    )


# ------------------------------------------------------------------------- a rate


def assert_binomial(
    count: int, n: int, p: float, alpha: float = ALPHA, what: str = "binomial test"
) -> float:
    """Assert that ``count`` of ``n`` independent events happened, each with probability ``p``.

    Exact (Clopper and Pearson, 1934). Two masks agree in each place with the probability
    p² + (1 - p)² if they are independent, so this tests for equal and for opposite masks too.

    Args:
        count: how many events happened.
        n: how many could have happened.
        p: the probability of each, in [0, 1].
        alpha: the false-alarm probability.
        what: the name of the assertion, for messages and the account.

    Returns:
        The p-value.

    Raises:
        AssertionError: the p-value is at most ``alpha``.
        ValueError: ``count``, ``n``, ``p`` or ``alpha`` is out of range.

    Examples:
        >>> assert_binomial(57_926, n=100_000, p=0.5, what="share dropped")
        Traceback (most recent call last):
        AssertionError: share dropped
          got: 57926 of 100000, a share of 0.57926
          expected: 50000, give or take 158, with p = 0.5
          chance deviates that far with a probability of less than 1e-300; alpha is 1e-09
    """
    charge(what, alpha)
    p_value = _binomial_p_value(count, n, p)
    got = f"{count} of {n}, a share of {count / max(n, 1):.6g}"
    expected = f"{_binomial(n, p)}, with p = {p:.6g}"
    return judge(what, p_value, alpha, got, expected)


def binomial_detects(
    n: int, p: float, alpha: float = ALPHA, miss: float = MISS
) -> tuple[float, float]:
    """Return how far below and above ``p`` a true rate must be for `assert_binomial` to see it.

    Exact. Every rate that is farther off is detected with a probability of at least 1 - ``miss``.

    Returns:
        The deviations below and above; infinite where no rate on that side would be detected.

    Examples:
        >>> low, high = binomial_detects(100_000, p=0.2)
        >>> round(low, 4), round(high, 4)
        (0.0136, 0.0139)
    """
    _binomial_p_value(0, n, p)  # checks n and p
    least = bisect_left(range(n + 2), True, key=lambda k: _at_least(k, n, p) <= alpha / 2)
    most = bisect_left(range(n + 1), True, key=lambda k: _at_most(k, n, p) > alpha / 2) - 1
    below = p - special.betaincinv(most + 1, n - most, miss) if most >= 0 else math.inf
    above = special.betainccinv(least, n - least + 1, miss) - p if least <= n else math.inf
    return float(below), float(above)


def _binomial(n: int, p: float) -> str:
    return f"{n * p:.6g}, give or take {math.sqrt(n * p * (1 - p)):.3g}"


def _binomial_p_value(count: int, n: int, p: float) -> float:
    if not 0 <= count <= n:
        raise ValueError(f"expected 0 <= count <= n, but got count = {count} and n = {n}")
    if not 0 <= p <= 1:
        raise ValueError(f"p must be a probability in [0, 1], but got {p}")
    return _two_sided(_at_most(count, n, p), _at_least(count, n, p))


def _at_most(k: int, n: int, p: float) -> float:
    """Return the probability of at most k successes: an incomplete beta function."""
    return float(special.betaincc(k + 1, n - k, p)) if 0 <= k < n else float(k >= n)


def _at_least(k: int, n: int, p: float) -> float:
    return float(special.betainc(k, n - k + 1, p)) if 0 < k <= n else float(k <= 0)


def _two_sided(below: float, above: float) -> float:
    return min(1.0, 2 * min(below, above))


# ------------------------------------------------------------------------- a distribution


def assert_uniform(
    values: Any, cells: int | None = None, alpha: float = ALPHA, what: str = "uniformity"
) -> float:
    """Assert that independent values are uniform: on [0, 1), or on the integers below ``cells``.

    Integers: the number of values in each cell is binomial, and tested exactly at alpha / cells;
    that none fails is the claim. Reals: the largest difference between their distribution and the
    uniform one, by the bound of Dvoretzky, Kiefer and Wolfowitz with Massart's constant (1990),
    which holds for any n. They may be rounded to half an epsilon of their dtype, as `rand` gives
    them: to multiples of 2⁻²⁴ in float32, of 2⁻⁵³ in float64.

    Args:
        values: the numbers, an array of any shape or a tensor.
        cells: how many integers are equally likely; None for reals.
        alpha: the false-alarm probability.
        what: the name of the assertion.

    Returns:
        The p-value.

    Raises:
        AssertionError: the p-value is at most ``alpha``, or a value is out of range.

    Examples:
        >>> p_value = assert_uniform(np.random.default_rng(0).random(1000))
    """
    charge(what, alpha)
    values = np.asarray(values).ravel()
    n, grid = values.size, float(_precision(values).eps) / 2
    outside = values[~((values >= 0) & (values < (1 if cells is None else cells)))]
    if outside.size:
        raise AssertionError(
            f"{what}: {outside.size} of {n} values are not in [0, {cells or 1}), "
            f"the first of them {outside[0]}"
        )
    if not n:
        return 1.0
    if cells is None:
        u, ranks = np.sort(values.astype(np.float64)), np.arange(n + 1) / n
        gaps = np.maximum(ranks[1:] - u, u - ranks[:-1])
        at, gap = int(gaps.argmax()), max(0.0, float(gaps.max()) - grid)
        share = (u <= u[at]).mean()
        got = f"{share:.6g} of the {n} values are up to {u[at]:.6g}"
        expected = f"a share as large as the number, give or take {0.5 / math.sqrt(n):.3g}"
        return judge(what, min(1.0, 2 * math.exp(-2 * n * gap**2)), alpha, got, expected)
    counts = np.bincount(values.astype(np.intp), minlength=cells)
    extremes = [int(counts.argmin()), int(counts.argmax())]
    p_values = [_binomial_p_value(int(counts[i]), n, 1 / cells) for i in extremes]
    worst = extremes[p_values.index(min(p_values))]
    got = f"{counts[worst]} of the {n} values are {worst}"
    expected = f"{_binomial(n, 1 / cells)}, of each integer below {cells}"
    return judge(what, min(1.0, cells * min(p_values)), alpha, got, expected)


def _precision(values: np.ndarray) -> np.finfo:
    return np.finfo(values.dtype if values.dtype.kind == "f" else np.float64)


def uniform_detects(
    n: int, cells: int | None = None, alpha: float = ALPHA, miss: float = MISS
) -> tuple[float, float]:
    """Return how far off a probability must be for `assert_uniform` to see it, below and above.

    Exact for integers: the probability of a cell. Conservative for reals: the probability of a
    value up to some number (Hoeffding, 1963).

    Examples:
        >>> low, high = uniform_detects(100_000)
        >>> round(low, 4) == round(high, 4) == 0.0187
        True
    """
    if cells is not None:
        return binomial_detects(n, 1 / cells, alpha / cells, miss)
    gap = math.sqrt(math.log(2 / alpha) / (2 * n)) + math.sqrt(-math.log(miss) / (2 * n))
    return gap, gap


# ------------------------------------------------------------------------- independence


def assert_independent(a: Any, b: Any, alpha: float = ALPHA, what: str = "independence") -> float:
    """Assert that two masks know nothing of each other: zero covariance, by Fisher's exact test.

    Given how many elements are True in each, the number of places where both are is hypergeometric
    if one of the masks is drawn independently of the other, each of its elements alike; what their
    probabilities are plays no role (Fisher, 1935). The masks must be of different draws: two rows,
    or the even and the odd columns, but not a mask and itself shifted by one.

    Args:
        a: a mask, an array of any shape or a tensor.
        b: another mask of that shape.
        alpha: the false-alarm probability.
        what: the name of the assertion.

    Returns:
        The p-value.

    Raises:
        AssertionError: the p-value is at most ``alpha``.
        ValueError: the shapes differ.

    Examples:
        >>> a, b = np.random.default_rng(0).random((2, 1000)) < 0.5
        >>> p_value = assert_independent(a, b)
        >>> assert_independent(a, a, what="a mask and itself")
        Traceback (most recent call last):
        AssertionError: a mask and itself
          got: 473 of 1000 places True in both, a correlation of 1
          expected: 223.729, give or take 7.89, since 473 and 473 of them are True
          chance deviates that far with a probability of at most 3.18e-299; alpha is 1e-09
    """
    charge(what, alpha)
    a, b = np.asarray(a, bool), np.asarray(b, bool)
    if a.shape != b.shape:
        raise ValueError(f"expected masks of one shape, but got {a.shape} and {b.shape}")
    n, r, s, both = a.size, int(a.sum()), int(b.sum()), int((a & b).sum())
    first, logs = _log_hypergeometric(n, r, s)
    pmf, i = _normalized(logs), both - first
    mean = r * s / max(n, 1)
    spread = math.sqrt(r * (n - r) * s * (n - s)) / max(n, 1)
    got = f"{both} of {n} places True in both, a correlation of {(both - mean) / (spread or 1):.3g}"
    expected = (
        f"{mean:.6g}, give or take {spread / math.sqrt(max(n - 1, 1)):.3g}, "
        f"since {r} and {s} of them are True"
    )
    p_value = _two_sided(float(pmf[: i + 1].sum()), float(pmf[i:].sum()))
    return judge(what, p_value, alpha, got, expected)


def independent_detects(
    n: int, r: int, s: int, alpha: float = ALPHA, miss: float = MISS
) -> tuple[float, float]:
    """Return how far below and above 0 a correlation must be for `assert_independent` to see it.

    Exact for independent pairs of elements, given that r and s of n are True in the two masks.

    Returns:
        The correlations below and above 0, without their signs; infinite where none is detected.

    Examples:
        >>> low, high = independent_detects(10_000, 5_000, 5_000)
        >>> round(low, 3) == round(high, 3) == 0.109
        True
    """
    _, logs = _log_hypergeometric(n, r, s)
    pmf, places = _normalized(logs), np.arange(logs.size)
    most = int((pmf.cumsum() <= alpha / 2).sum())  # these many of the smallest counts are rejected
    least = int((pmf[::-1].cumsum() > alpha / 2).sum())  # and all from this one on

    def power(log_odds: float) -> float:
        """Return how probable rejection is: the odds ratio tilts the distribution (Fisher)."""
        tilted = _normalized(logs + log_odds * places)
        return float(tilted[least:].sum() if log_odds > 0 else tilted[:most].sum())

    def detected(sign: int) -> float:
        log_odds = _smallest(lambda x: power(sign * x) >= 1 - miss)
        return abs(_correlation(r / n, s / n, math.exp(sign * log_odds)))

    return detected(-1) if most else math.inf, detected(1) if least < pmf.size else math.inf


def _log_hypergeometric(n: int, r: int, s: int) -> tuple[int, np.ndarray]:
    """Return how likely r and s places out of n are to have each number of places in common.

    First the least such number, then from there on the logarithms, up to a constant.
    """
    first = max(0, r + s - n)
    both = np.arange(first, min(r, s) + 1)
    cells = (both, r - both, s - both, n - r - s + both)
    return first, -sum(special.gammaln(cell + 1.0) for cell in cells)


def _normalized(logs: np.ndarray) -> np.ndarray:
    weights = np.exp(logs - logs.max())
    return weights / weights.sum()


def _correlation(p: float, q: float, odds_ratio: float) -> float:
    """Return the correlation of two events of probability p and q with this odds ratio."""
    a = 1 + (p + q) * (odds_ratio - 1)
    root = math.sqrt(a * a - 4 * odds_ratio * (odds_ratio - 1) * p * q)
    both = 2 * odds_ratio * p * q / (a + root)
    return (both - p * q) / math.sqrt(p * (1 - p) * q * (1 - q))


def _smallest(detected: Callable[[float], bool]) -> float:
    """Return the smallest positive number that is detected, if all that are larger are."""
    high = 1.0
    while not detected(high):
        high *= 2
        if math.isinf(high):
            return high
    low = 0.0 if high == 1 else high / 2
    while high - low > 1e-9 * high:
        middle = (low + high) / 2
        low, high = (low, middle) if detected(middle) else (middle, high)
    return high


# ------------------------------------------------------------------------- a mean, a spread


def assert_mean(
    values: Any,
    mean: Any,
    bound: float,
    variance: Any = None,
    alpha: float = ALPHA,
    what: str = "mean",
    rounding: float | None = None,
) -> float:
    """Assert that independent values have the expected mean: conservative, by Bennett (1962).

    The bound holds for any distribution, at any number of values, and so lets pass more than an
    exact test would: where what varies is a count, use `assert_binomial`.

    Args:
        values: an array of any shape or a tensor.
        mean: the expected value: a number, or an array with one for each of ``values``.
        bound: how far a value can lie from its mean.
        variance: the variance, a number or an array; None if nothing is known: ``bound`` squared.
        alpha: the false-alarm probability.
        what: the name of the assertion.
        rounding: how far a value may be off by rounding, as a share of it: by default four times
            the distance of numbers of the values' type. Rounding is no deviation.

    Returns:
        A bound on the p-value.

    Raises:
        AssertionError: it is at most ``alpha``, or a value lies farther off than ``bound``.

    Examples:
        >>> x = np.linspace(-1, 1, 1000)                    # dropped out with p = 0.2:
        >>> kept = np.random.default_rng(0).random(1000) >= 0.2
        >>> p_value = assert_mean(x * kept / 0.8, mean=x, variance=x**2 * 0.2 / 0.8, bound=1)
    """
    charge(what, alpha)
    values = np.asarray(values)
    eps, tiny = float(_precision(values).eps), float(_precision(values).tiny)
    values, means = np.broadcast_arrays(values.astype(np.float64), np.asarray(mean, np.float64))
    n, errors = values.size, values - means
    share = 4 * eps if rounding is None else rounding
    slack = share * (np.abs(values) + np.abs(means) + tiny)
    if not (np.abs(errors) <= bound + slack).all():
        i = int((np.abs(errors) - slack).argmax())
        raise AssertionError(
            f"{what}: the value {values.flat[i]:.6g} lies farther than {bound:.6g} from "
            f"{means.flat[i]:.6g}, which is expected of none"
        )
    if not n:
        return 1.0
    total = max(0.0, abs(float(errors.sum())) - float(slack.sum()))
    known = bound**2 if variance is None else np.asarray(variance, np.float64)
    sum_of_variances = float(np.broadcast_to(known, values.shape).sum())
    got = f"a mean of {values.mean():.6g}, of {n} values"
    expected = f"{means.mean():.6g}, give or take {math.sqrt(sum_of_variances) / n:.3g}"
    p_value = min(1.0, 2 * _bennett(total, sum_of_variances, bound))
    return judge(what, p_value, alpha, got, expected)


def mean_detects(
    n: int,
    bound: float,
    variance: float | None = None,
    alpha: float = ALPHA,
    miss: float = MISS,
) -> float:
    """Return how far off a mean must be for `assert_mean` to see it, in either direction.

    Conservative; for values that vary no more about their true mean than ``variance`` and ``bound``
    allow. With variances that differ, take their average.

    Examples:
        >>> round(mean_detects(100_000, bound=1, variance=0.25), 4)
        0.0188
    """
    known = bound**2 if variance is None else variance
    if not n or not bound or not known:
        return 0.0 if n else math.inf

    def deviation(tail: float) -> float:
        return _smallest(lambda t: _bennett(t, n * known, bound) <= tail) / n

    return deviation(alpha / 2) + deviation(miss)


def _bennett(total: float, variance: float, bound: float) -> float:
    """Return what the probability that a sum of independent deviations reaches ``total`` is below.

    Args:
        total: the sum's deviation from its mean, at least 0.
        variance: the sum of the variances.
        bound: of each deviation.
    """
    if not total:
        return 1.0
    if not variance:
        return 0.0
    u = total * bound / variance
    exponent = (1 + u) * math.log1p(u) - u if u > 1e-4 else u * u / 2 * (1 - u / 3)  # cancels, else
    return math.exp(-exponent * variance / bound**2)


FAR = 1.5  # standard deviations


def assert_spread(
    counts: Any, trials: int, p: float, alpha: float = ALPHA, what: str = "spread"
) -> float:
    """Assert that counts vary as those of independent events do: neither more nor less.

    The variance of a row's number of dropped elements is trials · p · (1 - p) plus all covariances
    in the row: events that happen together spread the counts, a fixed share narrows them. Counted
    are the counts more than 1.5 standard deviations from their mean. How likely one is follows from
    the binomial distribution, so that their number is binomial, and tested exactly.

    Args:
        counts: in each of several independent rows, how many events happened: integers.
        trials: how many could have happened in each row.
        p: the probability of each, in (0, 1); with trials · p · (1 - p) at least 1.
        alpha: the false-alarm probability.
        what: the name of the assertion.

    Returns:
        The p-value.

    Raises:
        AssertionError: the p-value is at most ``alpha``.
        ValueError: the rows are too short to have a spread.

    Examples:
        >>> dropped = np.random.default_rng(0).random((200, 50)) < 0.3
        >>> p_value = assert_spread(dropped.sum(1), trials=50, p=0.3)
        >>> assert_spread(np.full(200, 15), trials=50, p=0.3, what="rows that all drop 15")
        Traceback (most recent call last):
        AssertionError: rows that all drop 15
          got: 0 of 200 counts are more than 4.86 from 15: too little spread
          expected: 32.7306, give or take 5.23, if the events are independent
          chance deviates that far with a probability of at most 6e-16; alpha is 1e-09
    """
    charge(what, alpha)
    rate, far = _far_rate(trials, p, correlation=0.0)
    deviations = np.abs(np.asarray(counts).ravel() - trials * p)
    n, count = deviations.size, int((deviations > far).sum())
    extent = "much" if count > n * rate else "little"
    got = (
        f"{count} of {n} counts are more than {far:.3g} from {trials * p:.6g}: too {extent} spread"
    )
    expected = f"{_binomial(n, rate)}, if the events are independent"
    return judge(what, _binomial_p_value(count, n, rate), alpha, got, expected)


def spread_detects(
    n: int, trials: int, p: float, alpha: float = ALPHA, miss: float = MISS
) -> float:
    """Return the smallest correlation between any two events of a row that `assert_spread` sees.

    Exact, for n rows of events with a common probability that differs from row to row: a Beta
    distribution about ``p``, which correlates all of them alike. Infinite if none is detected.

    Examples:
        >>> round(spread_detects(4096, trials=256, p=0.5), 5)
        0.00141
    """
    rate, _ = _far_rate(trials, p, correlation=0.0)
    needed = rate + binomial_detects(n, rate, alpha, miss)[1]
    grid = np.geomspace(1e-9, 0.5, 400)
    missed = [_far_rate(trials, p, correlation)[0] < needed for correlation in grid]
    return math.inf if missed[-1] else float(grid[sum(missed)])


def _far_rate(trials: int, p: float, correlation: float) -> tuple[float, float]:
    """Return the probability that a count is far from its mean, and from where on it is far."""
    variance = trials * p * (1 - p)
    if not variance >= 1:
        raise ValueError(
            f"expected rows with trials * p * (1 - p) >= 1, but got {trials} trials with p = {p}"
        )
    counts, far = np.arange(trials + 1), FAR * math.sqrt(variance)
    logs = -special.betaln(counts + 1, trials - counts + 1)  # of the binomial coefficients
    if correlation:
        a = (1 / correlation - 1) * p
        b = (1 / correlation - 1) * (1 - p)
        logs += special.betaln(counts + a, trials - counts + b)
    else:
        logs += special.xlogy(counts, p) + special.xlog1py(trials - counts, -p)
    return float(_normalized(logs)[np.abs(counts - trials * p) > far].sum()), far
