"""The zoo of wrong dropouts: each is caught by the law that names it, and no right one is.

What each law makes of each bug, with seed 0, stands in docs/testing.md, and is checked with that.
"""

from __future__ import annotations

import re
from typing import Any

import pytest

from minigrad.testing.__main__ import find
from minigrad.testing.laws import LAWS
from minigrad.testing.statistics import Budget
from minigrad.testing.subjects import FRAMEWORKS, Subject
from minigrad.testing.verdicts import BROKEN, judge, judge_all
from minigrad.testing.zoo import ZOO, Bug
from minigrad.testing.zoo.bug import drawing, kept_where

bugs = pytest.mark.parametrize("bug", ZOO, ids=lambda bug: bug.name)


def verdict_on(bug: Bug, seed: int) -> Any:
    with Budget(apart=True):  # it is meant to fail: no false alarm is possible
        return judge(bug.subject, LAWS[bug.law], seed)


# ------------------------------------------------------------------------- what is wrong is caught


@bugs
def test_the_law_that_a_bug_names_kills_it_twice_alike(
    bug: Bug,
) -> None:
    """With seed 1, while the page has seed 0; and nothing is left over from the first time."""
    first, again = verdict_on(bug, 1), verdict_on(bug, 1)
    assert first.outcome == BROKEN
    assert first.reason == again.reason


def test_every_law_is_named_by_a_bug() -> None:
    assert {bug.law for bug in ZOO} == set(LAWS)


# ------------------------------------------------------------------------- what is right is not


@pytest.mark.parametrize(
    "name",
    [
        "minigrad.nn.functional:dropout",
        "minigrad.nn:Dropout",
        "models.scratch:dropout_layer",
        "minigrad.testing.zoo.bug:right",
        "torch.nn.functional:dropout",
        "torch.nn:Dropout",
    ],
)
def test_no_law_kills_a_correct_dropout(name: str) -> None:
    framework = "torch" if name.startswith("torch") else "minigrad"
    pytest.importorskip(framework)
    verdicts = judge_all(find(name, FRAMEWORKS[framework]))
    broken = [str(verdict) for verdict in verdicts if verdict.outcome == BROKEN]
    assert not broken, "\n".join(broken)


def test_what_the_wrong_ones_share_is_right() -> None:
    """A bug that is given its uniform numbers, or makes them itself, is wrong in them alone."""

    def dropout(x: Any, p: float, u: Any) -> Any:
        return kept_where(u, x, p)

    subject = Subject("shared", drawing(dropout), from_uniforms=dropout)
    assert [v.law.name for v in judge_all(subject) if v.outcome == BROKEN] == []


# ------------------------------------------------------------------------- the entries themselves


def test_the_bugs_are_numbered_from_1_and_no_two_have_a_name_in_common() -> None:
    assert [bug.number for bug in ZOO] == list(range(1, len(ZOO) + 1))
    assert len({bug.name for bug in ZOO}) == len(ZOO)


def test_every_bug_says_in_one_line_where_it_was_seen_and_is_made_anew_each_time() -> None:
    for bug in ZOO:
        assert re.fullmatch(r"\S.{4,98}\S", bug.seen_in), bug.name
        first, second = bug.subject, bug.subject
        assert first is not second
        assert first.name == second.name == bug.name
