"""A rank that ends ends all, with a sentence; `endings` has a command for many such jobs."""

from __future__ import annotations

import pytest

from tests.distributed.endings import ENDINGS, STEPS, check


@pytest.mark.parametrize(("number", "ending"), [*enumerate(ENDINGS)], ids=ENDINGS)
def test_a_rank_that_ends_ends_the_job_with_a_sentence(number: int, ending: str) -> None:
    ranks = 2 + number % 3
    check(ending, ranks, rank=number % ranks, step=number % (STEPS - 1))
