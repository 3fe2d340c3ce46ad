"""What is said of a failure: numbers that differ, and the lines that led there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import strategies as st

from minigrad import ops
from tests.failures import WrongError, difference, entries, lines_of
from tests.mutants import ROOT
from tests.reference import Case, Example, assert_derivative_is_numerical


@dataclass
class Positive:
    """It is made by an ``__init__`` that stands in no file."""

    number: int

    def __post_init__(self) -> None:
        assert self.number > 0


def test_the_lines_before_and_behind_generated_code_are_shown() -> None:
    with pytest.raises(AssertionError) as raised:
        Positive(-1)
    shown = [line.rpartition(": ")[2] for line in lines_of(raised)]
    assert shown == ["Positive(-1)", "assert self.number > 0"]


def test_numbers_that_look_alike_are_shown_in_full() -> None:
    a, far = np.array([1.0, 2.0]), np.arange(100.0)
    for ours, theirs, pair in (
        (a, a + 1e-8 * np.arange(2), "2.0 and 2.00000001"),
        (a[0, ...], a[0, ...] + 1e-8, "1.0 and 1.00000001"),
        (far, np.where(far == 50, 51, far), "50.0 and 51.0"),
    ):
        text = difference(np.asarray(ours), np.asarray(theirs), 1e-9, 0, "the truth")
        assert text.endswith(f"\n    in full: {pair}")
    assert "in full" not in difference(a, a + 1, 1e-9, 0, "the truth")


def test_the_page_on_tests_shows_what_a_wrong_tanh_leads_to() -> None:
    page = (ROOT / "docs" / "testing.md").read_text("utf-8")
    op, right = ops.tanh.op, ops.tanh.op.entries["x"].formula
    example = Example(Case(lambda m, x: m.tanh(x), st.nothing()), [np.array(1.0)], {})
    op.enter("x", lambda g, y: g * (1 - y))
    try:
        with pytest.raises(WrongError) as raised:
            assert_derivative_is_numerical(example, 1)
    finally:
        op.enter("x", right)
    table = [line.replace("1 - y * y", "1 - y") for line in entries("tanh")]
    assert "\n".join(["```", f"tanh: {raised.value}", *table, "```"]) in page
