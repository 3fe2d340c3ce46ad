"""What is said of a failure: the lines that led there, whatever lies between them."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from tests.failures import lines_of


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
