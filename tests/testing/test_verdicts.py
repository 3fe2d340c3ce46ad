"""What the report says: bugs before edges before contracts, and what a bug looks like."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.nn.functional import dropout as functional
from minigrad.testing import diagnosis, matrix, statistics
from minigrad.testing.frameworks import MINIGRAD
from minigrad.testing.laws import BUG, CONTRACT, EDGE, LAWS
from minigrad.testing.subjects import Domain, Subject
from minigrad.testing.verdicts import BROKEN, broken_in, condemned, judge_all, report
from minigrad.testing.zoo import ZOO
from minigrad.testing.zoo.kills import KILLS


@pytest.fixture(autouse=True)
def apart() -> Iterator[None]:
    with statistics.Budget(apart=True):
        yield


def broken(subject: Subject, *tiers: str, quick: bool = False) -> list[str]:
    return [str(v) for v in broken_in(judge_all(subject, quick=quick), *tiers)]


# ------------------------------------------------------------------------- the tiers


def drawing_at_p_zero(x: Any, p: float, training: bool) -> Any:
    if training:
        mg.rand(x.shape)
    return functional(x, p, training)


def nan_at_p_one(x: Any, p: float, training: bool) -> Any:
    return functional(x, p, training) * (float("nan") if training and p == 1 else 1.0)


def test_a_right_dropout_that_draws_where_it_need_not_has_no_bug() -> None:
    subject = Subject("drawing", drawing_at_p_zero, MINIGRAD)
    found = judge_all(subject)
    assert [v.law.tier for v in broken_in(found)] == [CONTRACT]
    assert not condemned(found)
    assert condemned(found, strict=True)
    told = report(subject, found)
    assert "Verdict: no bug. 28 laws hold; of edges and contracts 1 law is broken." in told
    assert "looks like" not in told


def test_edges_are_told_apart_and_stand_before_contracts() -> None:
    def both(x: Any, p: float, training: bool) -> Any:
        return drawing_at_p_zero(nan_at_p_one(x, p, training), 0.0, training)

    subject = Subject("both", both, MINIGRAD)
    found = judge_all(subject)
    assert {v.law.tier for v in broken_in(found)} == {EDGE, CONTRACT}
    told = report(subject, found)
    assert told.index("Edges: ") < told.index("p_one") < told.index("Contracts: ")
    assert "Verdict: not strictly correct." in report(subject, found, strict=True)


def test_the_laws_stand_in_the_order_of_their_tiers() -> None:
    tiers = [law.tier for law in LAWS.values()]
    assert tiers == sorted(tiers, key=[BUG, EDGE, CONTRACT].index)


# ------------------------------------------------------------------------- the diagnosis


def test_every_bug_of_the_noise_is_recognised_or_taken_for_one_that_breaks_the_same() -> None:
    """Each bug, written anew: its laws broken as in the matrix, its figures measured."""
    unlike = []
    for bug in ZOO:
        subject = bug.subject
        tried = {law.name for law in LAWS.values() if not law.missing(subject)}
        if LAWS[bug.law].tier != BUG:
            continue
        found = diagnosis.diagnose(subject, set(KILLS[bug.number]), tried)
        assert found, bug.name
        assert found.same
        if bug.number not in {other.number for other in found.bugs}:
            unlike.append((bug.name, [other.name for other in found.bugs]))
    assert unlike == []


def rows(x: Any, p: float, training: bool) -> Any:
    if not training or not 0 < p < 1:
        return functional(x, p, training)
    return x * (mg.rand(x.shape[-1:]) >= p) / (1 - p)


def test_a_bug_is_named_with_its_two_most_telling_figures_first() -> None:
    subject = Subject("rows", rows, MINIGRAD)
    told = report(subject, judge_all(subject))
    assert 'It looks like zoo bug 51, "one mask for all rows": broken are the same laws.' in told
    first, second, rest = (told.index(s) for s in ("BROKEN  units", "BROKEN  rate", "Broken, too:"))
    assert first < second < rest
    assert told.count("BROKEN") == 2


def test_nothing_is_named_that_nothing_is_like() -> None:
    assert diagnosis.diagnose(Subject("f", functional, MINIGRAD), set(), set(LAWS)) is None
    odd = {"blocks", "no_grad", "input_untouched", "streams"}
    assert diagnosis.diagnose(Subject("f", functional, MINIGRAD), odd, set(LAWS)) is None


def test_p_rounded_to_a_narrower_type_is_named() -> None:
    def narrow(kind: Any) -> Any:
        def dropout(x: np.ndarray, p: float, training: bool) -> Any:
            scale = float(kind(1 / (1 - p))) if p < 1 else 0.0
            return np.asarray(x * (np.random.rand(*x.shape) >= p) * scale, x.dtype)  # noqa: NPY002

        return dropout

    for kind, wide in (np.float32, "float64"), (np.float16, "float32"):
        subject = Subject("narrow", narrow(kind), "numpy", domain=Domain(dtypes=(wide,)))
        (verdict,) = judge_all(subject, laws=[LAWS["support"]])
        assert f"(p, or 1/(1 - p), was rounded to {np.dtype(kind)}?)" in verdict.reason


def test_the_recorded_kills_are_those_of_the_matrix() -> None:
    """For a few bugs here; those on the page in docs are compared one by one."""
    assert set(KILLS) == {bug.number for bug in ZOO}
    assert all(bug.law in KILLS[bug.number] for bug in ZOO)
    for number in 21, 45, 76, 80:
        bug = ZOO[number - 1]
        assert matrix.kills(matrix.row(bug.subject, bug.law)) == KILLS[number]


# ------------------------------------------------------------------------- false alarms


def test_what_a_constructor_draws_is_no_part_of_a_mask() -> None:
    class WithWeights(nn.Module):
        def __init__(self, p: float) -> None:
            super().__init__()
            self.weights, self.drop = nn.Linear(3, 3), nn.Dropout(p)

        def forward(self, x: Any) -> Any:
            return self.drop(x)

    assert broken(Subject("with weights", WithWeights, MINIGRAD)) == []


def test_a_dropout_that_refuses_every_p_has_not_refused_the_bad_ones() -> None:
    def deaf(x: Any, p: float, training: bool) -> Any:
        raise TypeError("p?")

    found = judge_all(Subject("deaf", deaf, MINIGRAD), laws=[LAWS["bad_p"]])
    assert found[0].outcome == BROKEN

    def only_strings(x: Any, p: float, training: bool) -> Any:
        if not 0 <= p <= 1:
            raise TypeError("no number can be wrong in this way")
        return functional(x, p, training)

    found = judge_all(Subject("type", only_strings, MINIGRAD), laws=[LAWS["bad_p"]])
    assert "it raised TypeError" in found[0].reason


def test_arrays_that_cannot_be_written_are_no_fault() -> None:
    def frozen(x: np.ndarray, p: float, training: bool) -> Any:
        if not 0 <= p <= 1:
            raise ValueError(p)
        p, draw = float(p), training and p > 0
        keep = np.asarray(np.random.rand(*x.shape) >= p) if draw else np.ones_like(x, bool)  # noqa: NPY002
        y = np.array(x * keep * x.dtype.type((1 / (1 - p) if p < 1 else 0) if draw else 1))
        y.flags.writeable = False
        return y

    assert broken(Subject("frozen", frozen, "numpy")) == []


def test_a_gradient_that_can_be_asked_for_once_is_no_fault() -> None:
    """As of compiled functions and reentrant checkpoints."""
    torch = pytest.importorskip("torch")
    from torch.utils.checkpoint import checkpoint

    def reentrant(x: Any, p: float, training: bool) -> Any:
        drop = torch.nn.functional.dropout
        return checkpoint(lambda leaf: drop(leaf, p, training), x, use_reentrant=True)

    found = broken(Subject("reentrant", reentrant, "torch"), BUG)
    assert found == []


def test_rounding_is_no_bias_in_half_precision() -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("ml_dtypes")
    for name in "bfloat16", "float16":
        domain = Domain(dtypes=(name,))
        assert broken(Subject(name, torch.nn.functional.dropout, "torch", domain=domain)) == []


def test_p_taken_in_float32_is_rounding_and_no_bug() -> None:
    def single(x: np.ndarray, p: float, training: bool) -> Any:
        if not 0 <= p <= 1:
            raise ValueError(p)
        if not training or p == 0:
            return x
        keep = np.float32(1) - np.float32(p)
        mask = np.random.rand(*x.shape) >= p  # noqa: NPY002
        return np.asarray(x * mask * (1 / keep if keep else keep), x.dtype)

    domain = Domain(dtypes=("float32", "float16"))
    assert broken(Subject("single", single, "numpy", domain=domain), BUG) == []


def test_a_graph_that_is_cut_at_p_one_is_an_edge_and_no_bug() -> None:
    def cut(x: Any, p: float, training: bool) -> Any:
        return mg.zeros_like(x) if training and p == 1 else functional(x, p, training)

    found = judge_all(Subject("cut", cut, MINIGRAD))
    assert [v.law.name for v in broken_in(found)] == ["p_one"]


def test_what_an_adapter_raises_is_a_broken_law_and_no_traceback() -> None:
    def state() -> Any:
        raise OSError("no state today")

    subject = Subject(
        "stateless", functional, MINIGRAD, seed=mg.manual_seed, state=state, set_state=print
    )
    found = judge_all(subject, laws=[LAWS["state"], LAWS["quiet"]])
    assert all("it raised OSError: no state today" in v.reason for v in found)


def test_a_generator_of_ones_own_is_no_fault_where_no_seed_is_given() -> None:
    rng = np.random.default_rng(0)

    def own(x: np.ndarray, p: float, training: bool) -> Any:
        if not 0 <= p <= 1:
            raise ValueError(p)
        if not training or p in (0, 1):
            return x if not training or p == 0 else x * 0
        return np.asarray(x * (rng.random(x.shape) >= p) / (1 - float(p)), x.dtype)

    subject = Subject("own", own)
    assert subject.framework.name == "numpy"
    assert broken(subject) == []
    assert "a generator of its own" in str(LAWS["seed"].missing(subject))


# ------------------------------------------------------------------------- quick


def test_quick_draws_less_and_still_sees_what_is_plainly_wrong() -> None:
    calls = [0, 0]

    def counting(quick: bool) -> Any:
        def dropout(x: Any, p: float, training: bool) -> Any:
            calls[quick] += x.numel()
            return functional(x, p, training)

        return dropout

    for quick in False, True:
        assert broken(Subject("f", counting(quick), MINIGRAD), quick=quick) == []
    assert calls[True] < calls[False] / 2
    assert broken(Subject("rows", rows, MINIGRAD), BUG, quick=True)
