"""Philox4x64-10: random words as a pure function of a key and a counter.

The function is that of Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2,
3", 2011, as ``numpy.random.Philox`` computes it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

WORD = 2**64

_at_hand: list[np.random.Philox] = []


def philox(
    seed: int, stream: int, offset: int, n: int, purpose: int = 0, first: int = 0
) -> np.ndarray:
    """Return n words under the key (seed, stream), from block number ``offset + 1`` on.

    NumPy's generators are used again: a new one takes as long as two thousand words, for it asks
    the operating system for noise first. Who draws takes one away, so threads do not share any.

    Args:
        seed, stream: the key, each from 0 to 2⁶⁴ - 1.
        offset: the first two words of the counter, 0 to 2¹²⁸ - 1; the first block is the one after.
        n: how many words; a block has four.
        purpose: the third word of the counter, for other words at the same offset: 0 for all that
            is drawn, 1 for the key of a mask (see `minigrad.masks`).
        first: how many words to leave out before.
    """
    if first:
        blocks, rest = divmod(first, 4)
        return philox(seed, stream, offset + blocks, rest + n, purpose)[rest:]
    try:
        generator = _at_hand.pop()
    except IndexError:
        generator = np.random.Philox(0)
    state: Any = {
        "bit_generator": "Philox",
        "state": {"counter": (offset % WORD, offset // WORD, purpose, 0), "key": (seed, stream)},
        "buffer": (0, 0, 0, 0),
        "buffer_pos": 4,  # all of it is used up
        "has_uint32": 0,
        "uinteger": 0,
    }
    generator.state = state
    words = generator.random_raw(n)
    _at_hand.append(generator)
    return words
