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
from minigrad.philox import philox

BACK = 2**17  # so many offsets are tried: 4 million elements drawn
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
    for seed, stream, offset in states:
        n = min(BACK, offset)
        for i in reversed(_alike(_upper_bits(seed, stream, offset - n, n), bits, p)):
            state = seed, stream, offset - n + i
            if np.array_equal(masks.keep_mask(state, bits.size, p), bits):
                return Draw(state, round(p, 9), bits.size, found=True)
    return None


def _alike(upper: np.ndarray, bits: np.ndarray, p: float) -> list[int]:
    """Return the offsets whose upper bits agree with the first of a mask's, see `minigrad.masks`.

    Where they tie with the threshold's, the lower bits decide: either bit agrees.
    """
    threshold = round(p * 2**32) >> 24
    upper, bits = upper[:, : bits.size], bits[: upper.shape[1]]
    agrees = ((upper > threshold) == bits) | (upper == threshold)
    return np.flatnonzero(agrees.all(axis=1)).tolist()


@functools.lru_cache(maxsize=4)  # the masks of one net are looked for in the same draws
def _upper_bits(seed: int, stream: int, offset: int, n: int) -> np.ndarray:
    """Return the upper 8 bits of the first 32 elements of masks drawn at n offsets."""
    words = philox(seed, stream, offset, 4 * n).astype("<u8", copy=False)
    return words.view(np.uint8).reshape(n, 32)
