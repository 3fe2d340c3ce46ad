"""Workers that share a batch, and do not draw the rows of the mask that one would have drawn."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import minigrad as mg
from minigrad import nn
from minigrad.parts import part_of_batch
from minigrad.testing.frameworks import MINIGRAD
from minigrad.testing.subjects import Subject
from minigrad.testing.zoo.bug import bug


def sharing(name: str, rows: Any) -> Subject:
    """Return a right dropout whose workers are told of their rows in some way."""
    return Subject(name, nn.functional.dropout, MINIGRAD, rows=contextlib.contextmanager(rows))


@bug("rows", "data-parallel training in any framework, after the same manual_seed on every rank")
def same_mask_on_every_rank() -> Any:
    def rows(start: int, stop: int, whole: int) -> Iterator[None]:
        yield

    return sharing("same mask on every rank", rows)


@bug("rows", "the usual advice against that: seed each rank with the seed plus its number")
def seed_plus_rank() -> Any:
    def rows(start: int, stop: int, whole: int) -> Iterator[None]:
        mg.manual_seed(mg.initial_seed() + start)
        yield

    return sharing("seed plus rank", rows)


@bug("rows", "invented: a rank that has no rows of a small last batch draws nothing for it")
def behind_after_no_rows() -> Any:
    def rows(start: int, stop: int, whole: int) -> Iterator[None]:
        with mg.fork_rng() if start == stop else part_of_batch(start, stop, whole):
            yield

    return sharing("behind after no rows", rows)
