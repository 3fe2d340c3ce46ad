"""The laboratory's statistics against enumeration, SciPy and published examples; its verdicts."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import stats

from examples.lab import criteria, verdicts
from examples.lab.statistics import (
    Interval,
    crossed,
    crossed_interval,
    differences,
    equivalence_test,
    holm,
    mcnemar,
    pairs_needed,
    proportion,
    rank_test,
    signed_rank,
)
from minigrad.testing.statistics import assert_binomial
from tests.reference import scaled

INF = math.inf
halves = st.integers(-6, 6).map(lambda n: n / 2)  # many ties and zeros
lists = st.lists(halves, min_size=2, max_size=9)


def enumerated(values: Sequence[float]) -> float:
    """P that a sum of positive ranks is as large as seen, by trying all signs."""
    d = np.array(values)
    ranks = stats.rankdata(np.abs(d))[d != 0]
    seen = stats.rankdata(np.abs(d))[d > 0].sum()
    sums = [np.dot(ranks, signs) for signs in itertools.product([0, 1], repeat=len(ranks))]
    return float(np.mean([s >= seen - 1e-9 for s in sums]))


@given(lists)
def test_the_rank_test_is_the_share_of_all_flips_of_signs(values: list[float]) -> None:
    assert rank_test(values) == pytest.approx(enumerated(values))


@given(st.lists(st.integers(1, 10**6), min_size=2, max_size=30, unique=True), st.data())
def test_without_ties_the_rank_test_is_scipys_exact_one(sizes: list[int], data: Any) -> None:
    signs = data.draw(st.lists(st.sampled_from([-1, 1]), min_size=len(sizes), max_size=len(sizes)))
    d = np.array(sizes) * np.array(signs)
    expected = stats.wilcoxon(d, alternative="greater", method="exact").pvalue
    assert rank_test(d) == pytest.approx(float(expected))


@given(st.lists(st.floats(-100, 100), min_size=6, max_size=12, unique=True))
@settings(max_examples=scaled(50))
def test_the_interval_holds_the_shifts_that_the_exact_test_does_not_reject(
    values: list[float],
) -> None:
    interval = signed_rank(values)
    means = sorted((a + b) / 2 for a, b in itertools.combinations_with_replacement(values, 2))
    if min(np.diff(means)) < 1e-3:
        return  # ties among the means: the test at one of them is not defined
    for shift in np.array(means)[:-1] + np.diff(means) / 2:
        d = np.array(values) - shift
        p = min(1.0, 2 * min(rank_test(d), rank_test(-d)))
        assert (interval.low < shift < interval.high) == (p > 0.05)
    assert interval.estimate == pytest.approx(float(np.median(means)))


def test_with_fewer_than_six_pairs_no_finite_interval_is_at_95_percent() -> None:
    assert signed_rank([1.0, 2.0, 3.0, 4.0, 5.0]).low == -INF
    six = signed_rank([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    assert (six.low, six.high) == (1.0, 6.0)


def test_the_interval_covers_the_median_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    hits = sum(
        i.low <= 3.0 <= i.high for d in rng.normal(3.0, 2.0, (2000, 9)) for i in [signed_rank(d)]
    )
    exact = 1 - 2 * sum(_sums(9)[:6]) / 2**9  # at least 95 %: cut at 5
    assert_binomial(hits, n=2000, p=exact, alpha=1e-9, what="coverage of signed ranks")


def _sums(n: int) -> list[int]:
    found = [0] * (n * (n + 1) // 2 + 1)
    for signs in itertools.product([0, 1], repeat=n):
        found[sum(r for r, s in zip(range(1, n + 1), signs, strict=True) if s)] += 1
    return found


def test_a_collapse_is_the_largest_difference_and_nothing_more() -> None:
    d = differences([0.8, 0.8, -INF, 0.9, -INF], [-INF, 0.7, 0.8, 0.9, -INF])
    np.testing.assert_allclose(d, [INF, 0.1, -INF, 0.0, 0.0])
    rest = [0.1, 0.2, 0.3, -0.1, 0.4, 0.5, 0.25, 0.35]
    ruined, large = [INF, *rest], [9.0, *rest]
    assert rank_test(ruined) == rank_test(large)
    assert signed_rank(ruined).estimate == signed_rank(large).estimate
    assert signed_rank([INF, -INF, 1.0]).estimate == 0.5


def test_a_value_that_is_not_known_is_refused() -> None:
    with pytest.raises(ValueError, match="a value is NaN"):
        differences([math.nan], [1.0])
    with pytest.raises(ValueError, match="pairs are needed"):
        differences([1.0], [1.0, 2.0])
    for flags in ([True], [True, False]), ([], []):
        with pytest.raises(ValueError, match="pairs are needed"):
            mcnemar(*flags)
    with pytest.raises(ValueError, match="at least two values, got 1"):
        signed_rank([1.0])
    for test in signed_rank, rank_test, lambda d: equivalence_test(d, 1.0):
        with pytest.raises(ValueError, match="a difference is NaN"):
            test([1.0, math.nan])


def test_infinite_values_of_either_sign_have_zero_between_them() -> None:
    assert signed_rank([INF, INF, INF]).estimate == INF
    found = signed_rank([-INF, -1.0, 0.0, 1.0, INF], level=0.5)
    assert (found.estimate, found.low, found.high) == (0.0, -1.0, 1.0)


def test_a_p_is_not_above_one_however_its_parts_are_rounded() -> None:
    assert rank_test(-np.arange(1.0, 101.0)) == 1.0


@given(lists, st.sampled_from([0.5, 1.0, 2.0]))
def test_equivalence_is_the_worse_of_two_one_sided_tests(values: list[float], m: float) -> None:
    d = np.array(values)
    assert equivalence_test(d, m) == max(enumerated(list(d + m)), enumerated(list(m - d)))


def test_newcombes_paired_interval_is_that_of_his_example() -> None:
    # Newcombe (1998), Statistics in Medicine 17, 2635-2650: cells of 36, 12, 2 and 0
    cells = [(True, True), (True, False), (False, True), (False, False)]
    pairs = [cell for cell, n in zip(cells, (36, 12, 2, 0), strict=True) for _ in range(n)]
    found = mcnemar(*zip(*pairs, strict=True)).difference
    assert found.estimate == pytest.approx(0.2)
    assert (found.low, found.high) == (
        pytest.approx(0.0569, abs=6e-5),
        pytest.approx(0.3404, abs=6e-5),
    )


@example((1, 0, 0, 1))
@example((1, 1, 0, 0))
@example((20, 12, 2, 16))
@given(st.tuples(*[st.integers(0, 30)] * 4).filter(sum))
def test_newcombes_paired_interval_is_made_of_wilsons_and_a_corrected_correlation(
    cells: tuple[int, int, int, int],
) -> None:
    a, b, c, d = cells
    n, ends = sum(cells), []
    first = [True] * (a + b) + [False] * (c + d)
    second = [True] * a + [False] * b + [True] * c + [False] * d
    product = (a + b) * (c + d) * (a + c) * (b + d)
    cross = a * d - b * c
    phi = (max(cross - n / 2, 0) if cross > 0 else cross) / math.sqrt(product) if product else 0
    one, other = (stats.binomtest(k, n).proportion_ci(method="wilson") for k in (a + b, a + c))
    for sign, x, y in (
        (-1, one.low - (a + b) / n, other.high - (a + c) / n),
        (+1, one.high - (a + b) / n, other.low - (a + c) / n),
    ):
        # x and y have opposite signs: what is on the other side of a difference counts against it
        ends.append((b - c) / n + sign * math.sqrt(max(x * x + 2 * phi * x * y + y * y, 0.0)))
    found = mcnemar(first, second).difference
    assert (found.low, found.high) == (
        pytest.approx(ends[0], abs=1e-9),
        pytest.approx(ends[1], abs=1e-9),
    )


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=30))
def test_mcnemar_is_a_fair_coin_on_the_pairs_that_differ(pairs: list[tuple[bool, bool]]) -> None:
    found = mcnemar(*zip(*pairs, strict=True))
    more, fewer = (sum(p == side for p in pairs) for side in ((True, False), (False, True)))
    n = more + fewer
    tail = sum(math.comb(n, k) for k in range(more, n + 1)) / 2**n if n else 1.0
    assert found.p_more == pytest.approx(tail)
    both = sum(math.comb(n, k) for k in range(n + 1) if k <= min(more, fewer)) / 2**n
    assert found.p == pytest.approx(min(1.0, 2 * both) if more != fewer else 1.0)
    assert -1 <= found.difference.low <= found.difference.estimate <= found.difference.high <= 1


def test_a_proportion_has_clopper_and_pearsons_interval() -> None:
    none = proportion(0, 20)
    assert (none.low, none.high) == (0.0, pytest.approx(1 - 0.025 ** (1 / 20)))
    assert proportion(3, 20).estimate == 0.15


def test_holm_steps_down_and_counts_missing_claims() -> None:
    p = {"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005}
    assert holm(p) == pytest.approx({"d": 0.02, "a": 0.03, "c": 0.06, "b": 0.06})
    assert holm({"a": 0.01}, 12) == {"a": pytest.approx(0.12)}
    assert holm({"a": 0.9, "b": 0.8}) == {"a": 1.0, "b": 1.0}


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8), st.floats(0, 1))
def test_a_claim_that_is_left_out_makes_no_other_firmer(ps: list[float], left_out: float) -> None:
    p = dict(enumerate(ps))
    without, whole = holm(p, len(ps) + 1), holm({**p, "left out": left_out})
    assert all(without[name] >= whole[name] for name in p)


def test_over_seeds_and_images_the_interval_is_that_of_a_bootstrap_of_both() -> None:
    rng = np.random.default_rng(0)
    seeds, images = 30, 400
    hard, good = rng.normal(1.0, 1.0, images), rng.normal(0.0, 0.3, seeds)
    right = rng.normal(size=(seeds, images)) < hard[None, :] + good[:, None]
    means = []
    for _ in range(2000):
        i, j = rng.integers(seeds, size=seeds), rng.integers(images, size=images)
        means.append(right[np.ix_(i, j)].mean())
    interval = crossed_interval(right.mean(), crossed(right), seeds, images)
    half = (interval.high - interval.low) / 2
    assert half == pytest.approx(stats.t.ppf(0.975, seeds - 1) * np.std(means), rel=0.1)
    alone = crossed_interval(right.mean(), (crossed(right)[0], 0.0, 0.0), seeds, images)
    assert half > 1.15 * (alone.high - alone.low) / 2


def test_variances_over_seeds_and_images_and_their_interval_by_hand() -> None:
    right = np.array([[1, 0], [1, 1], [0, 0]])
    assert crossed(right) == pytest.approx((1 / 4, 1 / 18, 1 / 6))
    for variances, expected in (
        ((0.04, 0.09, 0.01), 0.01 + 0.01 - 0.01 / 36),
        ((0.04, 0.09, 1.0), 0.01),  # less than the seeds or the images alone is not believed
        ((0.02, 0.18, 1.0), 0.02),
        ((0.08, 0.09, 1.0), 0.02),
    ):
        found = crossed_interval(0.3, variances, 4, 9, level=0.9)
        half = 2.3533634 * math.sqrt(expected)  # of Student's t with 3 degrees of freedom
        assert (found.estimate, found.n) == (0.3, 4)
        assert (found.low, found.high) == pytest.approx((0.3 - half, 0.3 + half), rel=1e-6)


def test_the_pairs_that_are_needed_by_hand() -> None:
    scattered = [-1.0, 1.0, INF]  # (1.959964 + 1.281552)² · 2 / 0.5² · π / 3 = 88.03
    assert pairs_needed(scattered, 0.5, 0.05) == 89
    assert pairs_needed([1.0, INF], 0.5, 0.05) == 0
    for alpha, least in (0.5, 2), (2**-6, 7), (0.01, 8):  # all signs alike: 2 in 2ⁿ
        assert pairs_needed(scattered, 1e6, alpha) == least


def test_as_many_pairs_are_asked_for_as_show_the_effect() -> None:
    rng = np.random.default_rng(0)
    d = rng.normal(0.0, 1.0, 200)
    n = pairs_needed(d, 0.5, 0.05 / 12)
    shown = sum(rank_test(rng.normal(0.5, d.std(), n)) < 0.05 / 24 for _ in range(1000))
    assert 830 < shown < 970  # 900 expected; outside with a probability below 1e-10


def test_an_interval_in_words_has_real_minus_signs() -> None:
    assert Interval(0.0031, -0.0012, INF, 20).text(100, "points") == (
        "+0.31 points [−0.12, +∞], n\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}20"
    )
    assert Interval(-0.01, -0.0108, -0.0093, 9).text(1, "nats").startswith("−0.0100 nats [−0.0108,")
    assert Interval(-INF, -INF, -INF, 9).text(100, "points").startswith("collapsed, n")


def test_an_interval_of_one_point_is_no_collapse() -> None:
    assert Interval(0.5, 0.5, 0.5, 9).text(100, "points").startswith("+50.00 points [+50.00, ")


# ------------------------------------------------------------------------- verdicts

SPREAD = np.linspace(-1, 1, 30)


def fewest_pairs(name: str) -> int:
    """Return how many pairs, all to one side, pass the first step over all claims."""
    return next(n for n in itertools.count() if 2 * 2.0**-n <= criteria.first_step(name))


def judged(experiment: str, *differences: np.ndarray, gate: str = "") -> verdicts.Verdict:
    """Return the verdict on a claim from the differences of its parts, in smallest effects."""
    least = criteria.CRITERIA[experiment].least
    effects = [
        verdicts.paired(f"part {i}", experiment, d * least[i], np.zeros(len(d)), i)
        for i, d in enumerate(differences)
    ]
    return verdicts.judge({experiment: effects}, {experiment: gate})[experiment]


@pytest.mark.parametrize(
    ("differences", "expected"),
    [
        (SPREAD + 2, verdicts.YES),
        (0.3 * SPREAD + 0.5, verdicts.SMALL),
        (SPREAD - 2, verdicts.OPPOSITE),
        (0.3 * SPREAD, verdicts.NONE),
        (9 * SPREAD, verdicts.UNDECIDED),
        (np.array([2.0, 3.0, 4.0]), verdicts.UNDECIDED),
    ],
    ids=["clear", "small", "against it", "practically none", "scattered", "of few pairs"],
)
def test_a_difference_gets_one_of_five_verdicts(differences: np.ndarray, expected: str) -> None:
    found = judged("with_without", differences)
    assert found.verdict == expected
    assert ("pairs would" in found.remark) == (expected == verdicts.UNDECIDED)


@pytest.mark.parametrize(
    ("a", "b", "expected", "remark"),
    [
        (SPREAD + 2, SPREAD + 3, verdicts.YES, ""),
        (SPREAD + 2, 0.3 * SPREAD + 0.5, verdicts.SMALL, ""),
        (SPREAD + 2, SPREAD - 2, verdicts.OPPOSITE, "so it is for: part 1"),
        (SPREAD + 2, 0.3 * SPREAD, verdicts.NONE, "so it is for: part 1"),
        (SPREAD + 2, 9 * SPREAD, verdicts.UNDECIDED, "about"),
    ],
    ids=["both clear", "one small", "one against it", "one practically none", "one scattered"],
)
def test_a_claim_of_two_effects_stands_if_both_do(
    a: np.ndarray, b: np.ndarray, expected: str, remark: str
) -> None:
    for parts in (a, b), (b, a):
        found = judged("activations", *parts)
        assert found.verdict == expected
    assert remark.replace("1", "0") in found.remark


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        (0.3 * SPREAD, 0.3 * SPREAD + 0.2, verdicts.YES),
        (0.3 * SPREAD, SPREAD + 3, verdicts.OPPOSITE),
        (0.3 * SPREAD, SPREAD - 3, verdicts.OPPOSITE),
        (0.3 * SPREAD, 5 * SPREAD, verdicts.UNDECIDED),
    ],
    ids=["a little above", "far above", "far below", "in all places"],
)
def test_a_claim_of_sameness_stands_within_the_margin(
    a: np.ndarray, b: np.ndarray, expected: str
) -> None:
    assert judged("averaging", a, b).verdict == expected


def test_a_claim_that_cannot_be_asked_is_undecided_and_says_why() -> None:
    found = judged("variants", 0.3 * SPREAD, 0.3 * SPREAD, gate="dropout gains nothing")
    assert (found.verdict, found.remark) == (verdicts.UNDECIDED, "dropout gains nothing")


def test_a_verdict_holds_over_all_claims_together() -> None:
    enough = fewest_pairs("with_without")
    few = np.linspace(1, 2, enough - 1)  # enough alone: not over twelve claims
    assert rank_test(few) * 2 < 0.05
    assert judged("with_without", few).verdict == verdicts.UNDECIDED
    assert judged("with_without", np.linspace(1, 2, enough)).verdict == verdicts.YES


@pytest.mark.parametrize(("name", "parts"), [("regimes", 3), ("with_without", 1)])
def test_each_p_counts_once_for_every_look_at_the_claims_data(name: str, parts: int) -> None:
    looks = criteria.looks_at(name)
    assert looks == (2 if name == "regimes" else 1)
    found = judged(name, *[np.linspace(1, 2, 20)] * parts)
    assert found.p == 2 * 2.0**-20 * len(criteria.CRITERIA) * looks
    none = next(
        n for n in range(6, 40) if judged(name, *[np.zeros(n)] * parts).verdict == verdicts.NONE
    )
    assert parts * looks * len(criteria.CRITERIA) * 2.0**-none <= 0.05
    assert parts * looks * len(criteria.CRITERIA) * 2.0 ** (1 - none) > 0.05


def test_a_second_look_only_adds_pairs() -> None:
    for name, pairs in criteria.SECOND_LOOK.items():
        first = criteria.CRITERIA[name].pairs
        assert criteria.pairs_of(name) == pairs != first
        assert all(b >= a for a, b in zip(first, pairs, strict=True))


@pytest.mark.parametrize(
    ("without", "with_", "expected"),
    [
        (range(15), [], verdicts.YES),
        ([], range(15), verdicts.OPPOSITE),
        ([0], [1], verdicts.NONE),
        (range(8), [], verdicts.UNDECIDED),
    ],
)
def test_collapses_are_counted_by_pairs(without: Any, with_: Any, expected: str) -> None:
    a, b = (np.isin(np.arange(64), list(gone)) for gone in (without, with_))
    found = verdicts.judge({"stability": [verdicts.risk("stability", a, b)]}, {})
    assert found["stability"].verdict == expected


def test_every_claim_has_a_criterion_of_as_many_parts_everywhere() -> None:
    for name, c in criteria.CRITERIA.items():
        assert len(c.least) == len(c.unit) == len(c.pairs), name
        assert min(criteria.pairs_of(name)) >= fewest_pairs(name)  # to pass Holm's first step
        assert min(c.least) > 0


def test_a_changed_criterion_has_another_fingerprint(monkeypatch: pytest.MonkeyPatch) -> None:
    before = criteria.fingerprint()
    changed = {**criteria.CRITERIA, "sweep": criteria.CRITERIA["with_without"]}
    monkeypatch.setattr(criteria, "CRITERIA", changed)
    assert criteria.fingerprint() != before
