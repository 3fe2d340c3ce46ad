"""Philox4x64-10: random words as a pure function of a key and a counter.

The function is that of Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2,
3", 2011, as ``numpy.random.Philox`` computes it. Beside it stands SplitMix64, a function of a word
alone, for the bits of a dropout mask that are wanted in a few places only.
"""

from __future__ import annotations

from typing import Any

import numpy as np

WORD = 2**64

_27, _30, _40 = map(np.uint64, (27, 30, 40))
_GAMMA = 0x9E3779B97F4A7C15
_MIX_1, _MIX_2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)

_at_hand: list[np.random.Philox] = []


def philox(seed: int, stream: int, offset: int, n: int, purpose: int = 0) -> np.ndarray:
    """Return n words under the key (seed, stream), from block number ``offset + 1`` on.

    NumPy's generators are used again: a new one takes as long as two thousand words, for it asks
    the operating system for noise first. Who draws takes one away, so threads do not share any.

    Args:
        seed, stream: the key, each from 0 to 2⁶⁴ - 1.
        offset: the first two words of the counter, 0 to 2¹²⁸ - 1; the first block is the one after.
        n: how many words; a block has four.
        purpose: the third word of the counter, so that other words can be had at the same offset.
    """
    try:
        generator = _at_hand.pop()
    except IndexError:
        generator = np.random.Philox(0)
    state: Any = {
        "bit_generator": "Philox",
        "state": {
            "counter": (offset % WORD, offset // WORD, purpose, 0),
            "key": (seed, stream),
        },
        "buffer": (0, 0, 0, 0),
        "buffer_pos": 4,  # all of it is used up
        "has_uint32": 0,
        "uinteger": 0,
    }
    generator.state = state
    words = generator.random_raw(n)
    _at_hand.append(generator)
    return words


def mask_key(seed: int, stream: int, offset: int) -> int:
    """Return the key of a mask's `low_bits`: the first word for another purpose."""
    return int(philox(seed, stream, offset, 1, purpose=1)[0])


def low_bits(key: int, places: np.ndarray) -> np.ndarray:
    """Return the lower 24 bits of a mask's numbers in some places, as uint64.

    They are the upper bits of word number ``place`` of SplitMix64 (Steele, Lea and Flood, "Fast
    splittable pseudorandom number generators", 2014), which starts at ``key``. Its last step,
    z ^ z >> 31, changes none of these.
    """
    z = places.astype(np.uint64)
    z *= np.uint64(_GAMMA)
    z += np.uint64((key + _GAMMA) % WORD)
    z ^= z >> _30
    z *= _MIX_1
    z ^= z >> _27
    z *= _MIX_2
    z >>= _40
    return z
