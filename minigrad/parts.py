"""Parts of a batch: who computes some of its rows draws the numbers that these rows would have had.

A worker of several, or a micro-batch, has rows ``start`` to ``stop`` of a batch of ``whole`` rows.
Inside `part_of_batch` each draw is a draw for the whole batch, of which only the own rows are
computed: the numbers are a function of the place, so nobody needs the others' rows to know them.
The generator moves past all of it, and so all workers' generators stay equal.

What is shared out is a draw by shape: masks, ``rand``, ``randn`` and their kin. Its first dimension
has to be the rows, or a multiple of them: ``(rows * heads, ...)`` counts as ``heads`` a row. A draw
by number (``words``, ``randperm``), a single number, and what is drawn in `undivided`, is the same
for all.
"""

from __future__ import annotations

import contextlib
import math
import threading
from collections.abc import Iterator, Sequence
from typing import Any


class Part:
    """Rows ``start`` to ``stop`` of a batch of ``whole`` rows.

    Attributes:
        before: each generator that has drawn in this part, with its state before the first draw.
        divides: False while draws are everybody's: see `undivided`.
    """

    __slots__ = ("before", "divides", "start", "stop", "whole")

    def __init__(self, start: int, stop: int, whole: int) -> None:
        if not 0 <= start <= stop <= whole:
            raise ValueError(f"no part of a batch of {whole} rows: rows {start} to {stop}")
        self.start, self.stop, self.whole = start, stop, whole
        self.before: dict[Any, tuple[int, int, int]] = {}
        self.divides = True


class _Here(threading.local):
    """What each thread computes.

    Attributes:
        part: a part of a batch; None for whole batches, as ever.
    """

    part: Part | None = None


here = _Here()


@contextlib.contextmanager
def part_of_batch(start: int, stop: int, whole: int) -> Iterator[Part]:
    """Let the ``with`` block draw for rows ``start`` to ``stop`` of a batch of ``whole`` rows.

    Args:
        start, stop: the rows that are computed here; there may be none.
        whole: how many there are.

    Raises:
        ValueError: the batch has no such rows.
        RuntimeError: the block is in another such block; or, in it, a draw does not divide.

    Examples:
        >>> import minigrad
        >>> def masks(*rows):
        ...     g = minigrad.Generator(5)
        ...     with part_of_batch(*rows, 7):
        ...         return [g.keep_mask((rows[1] - rows[0], 3), 0.2) for _ in range(2)]
        >>> for whole, one, other in zip(masks(0, 7), masks(0, 3), masks(3, 7)):
        ...     print(bool((whole[:3] == one).all()), bool((whole[3:] == other).all()))
        True True
        True True
    """
    if here.part is not None:
        raise RuntimeError("a part of a batch cannot be divided again: these blocks do not nest")
    here.part = part = Part(start, stop, whole)
    try:
        yield part
    finally:
        here.part = None


@contextlib.contextmanager
def undivided() -> Iterator[None]:
    """Let draws in the ``with`` block be whole, the same for all parts of a batch: of weights."""
    part = here.part
    if part is None:
        yield
        return
    before, part.divides = part.divides, False
    try:
        yield
    finally:
        part.divides = before


def place(shape: Sequence[int]) -> tuple[int] | tuple[int, int, int]:
    """Return what to draw for a shape: how many elements; in a part, which first, and of how many.

    Raises:
        RuntimeError: its first dimension is no multiple of the rows of this part.
    """
    part = here.part
    if part is None or not part.divides or not len(shape):
        return (math.prod(shape),)
    rows, drawn = part.stop - part.start, shape[0]
    each, rest = divmod(drawn, rows) if rows else (1, drawn)
    if rest:
        raise RuntimeError(
            f"a draw of shape {tuple(shape)} does not divide: rows {part.start} to {part.stop} of "
            f"{part.whole} are computed here, so its first dimension has to be a multiple of "
            f"{rows}. Draw what is the same for all rows `with minigrad.parts.undivided():`"
        )
    each *= math.prod(shape[1:])
    return rows * each, part.start * each, part.whole * each


def micro_batches(*tensors: Any, size: int) -> Iterator[tuple[Any, ...]]:
    """Yield a batch in pieces, whose gradients add up to those of the batch, masks included.

    Each piece comes with its weight, the share of the rows that it has. Weigh its mean loss by
    that, and call ``backward``: the gradients accumulate. Generators are put back after each piece
    but the last, so that every piece draws its rows of the same draws::

        for x, y, weight in micro_batches(X, Y, size=64):
            (loss(net(x), y) * weight).backward()
        optimizer.step()

    Whatever else is drawn in the loop is drawn anew for each piece.

    Args:
        tensors: the batch: tensors with the same number of rows.
        size: rows in a piece, >= 1; the last may have fewer.

    Raises:
        ValueError: ``size`` is below 1, there are no tensors, or they differ in their rows.

    Examples:
        >>> import minigrad
        >>> X = minigrad.arange(5)
        >>> [(x.tolist(), weight) for x, weight in micro_batches(X, size=2)]
        [([0, 1], 0.4), ([2, 3], 0.4), ([4], 0.2)]
    """
    rows = checked_rows(tensors)
    yield from pieces(tensors, size, 0, rows)


def checked_rows(tensors: Sequence[Any]) -> int:
    """Return how many rows the tensors of a batch have.

    Raises:
        ValueError: there are none, or they differ.
    """
    found = sorted({len(t) for t in tensors})
    if len(found) != 1:
        raise ValueError(f"a batch is tensors with the same number of rows, got {found or 'none'}")
    return found[0]


def pieces(tensors: Sequence[Any], size: int, start: int, whole: int) -> Iterator[tuple[Any, ...]]:
    """Yield the pieces of tensors that are rows ``start``, ... of a batch of ``whole`` rows.

    Pieces end at multiples of ``size`` from the batch's first row. There is always one, if need be
    without rows.
    """
    if size < 1:
        raise ValueError(f"a micro-batch has at least one row, got size={size}")
    end = start + len(tensors[0])
    first = start
    while True:
        last = min(end, (first // size + 1) * size)
        with part_of_batch(first, last, whole) as part:
            piece = (t[first - start : last - start] for t in tensors)
            yield (*piece, (last - first) / whole if whole else 0.0)
        if last == end:
            return
        for generator, state in part.before.items():
            generator.set_state(state)
        first = last
