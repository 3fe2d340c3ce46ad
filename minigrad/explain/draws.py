"""Where the bits of a dropout mask come from: which seed, stream and offset.

A mask that was drawn inside ``with recording():`` was noted. Of any other, the graph keeps the bits
and the scale. But a mask is a pure function of three integers and p, so the default generator's
last draws can be made again and compared. What is equal in enough bits is its origin.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minigrad import masks
from minigrad.device import move
from minigrad.explain.memory import owner
from minigrad.explain.noted import Noted

BACK = 2000  # so many offsets are tried
BITS = 64  # of the mask, to begin with
CHANCE = 1e-9  # of naming a wrong origin


@dataclass(frozen=True)
class Draw:
    """Where a mask was drawn.

    Attributes:
        state: the generator's (seed, stream, offset) before.
        p: the probability of an element to be dropped.
        n: how many bits were drawn.
        found: True if it was found by drawing again, False if it was noted.
    """

    state: tuple[int, int, int]
    p: float
    n: int
    found: bool = False

    def __str__(self) -> str:
        seed, stream, offset = self.state
        how = ", found by drawing again" if self.found else ""
        at = f"seed {seed}, stream {stream}, offset {offset}"
        return f"{self.n} bits drawn from ({at}) with p = {self.p:g}{how}"


_noted: Noted[Draw] = Noted()


def note_draw(mask: Any, draw: Draw) -> None:
    """Note where a mask was drawn, for as long as its memory exists."""
    _noted.note(owner(mask), draw)


def draw_of(mask: Any, scale: Any, states: Sequence[tuple[int, int, int]]) -> Draw | None:
    """Return where a mask was drawn; None if that cannot be known.

    Args:
        mask: booleans.
        scale: 1/(1-p), as dropout has it.
        states: of the generators whose last draws are tried.
    """
    if (draw := _noted.of(owner(mask))) is not None:
        return draw
    if not isinstance(scale, float) or not scale > 1:
        return None
    p, bits = 1 - 1 / scale, np.asarray(move(mask, "cpu")).ravel()
    # that another draw agrees in all bits has the probability (p² + (1-p)²)ⁿ, for each one tried
    tried = sum(min(BACK, offset) for _, _, offset in states)
    if tried * (p * p + (1 - p) ** 2) ** bits.size > CHANCE:
        return None
    start = bits[:BITS].tobytes()
    for seed, stream, offset in states:
        for earlier in range(1, min(BACK, offset) + 1):
            state = seed, stream, offset - earlier
            if _first_bits(state, p).startswith(start) and (
                np.array_equal(masks.keep_mask(state, bits.size, p), bits)
            ):
                return Draw(state, round(p, 9), bits.size, found=True)
    return None


@functools.lru_cache(maxsize=4 * BACK)  # the masks of one net are looked for in the same draws
def _first_bits(state: tuple[int, int, int], p: float) -> bytes:
    return masks.keep_mask(state, BITS, p).tobytes()
