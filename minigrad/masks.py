"""Dropout masks: which elements are kept, as a pure function of a generator's state and p.

An element has a 32-bit number, and is kept where that is at least round(p · 2³²). So it is dropped
with probability p, to within 2⁻³³. A mask takes 8 random bits for an element, and is as exact as
with 32:

- The upper 8 bits are a byte of Philox's words. For all but one element in 256 they decide alone.
- For that one they tie with the threshold's, and only then the lower 24 are computed. They are a
  function of the element's place, and of a key that each mask has of its own.

In full, for the state (seed, stream, offset): the upper bits of element i (in C order) are byte i
of ``numpy.random.Philox(key=[seed, stream], counter=[offset, 0, 0, 0])``, of each word the lowest
byte first. The key is the first word of ``counter=[offset, 0, 1, 0]``. The lower bits are the upper
24 of word number i of SplitMix64, started at the key.

On a GPU `minigrad.kernels.keep_mask` computes the same masks.
"""

from __future__ import annotations

import numpy as np

from minigrad.philox import WORD, philox

_27, _30, _40 = map(np.uint64, (27, 30, 40))
_GAMMA = 0x9E3779B97F4A7C15
_MIX_1, _MIX_2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


def words_of(n: int) -> int:
    """Return how many words a mask of n elements takes: one for every eight or part of them."""
    return (n + 7) // 8


def keep_mask(state: tuple[int, int, int], n: int, p: float, first: int = 0) -> np.ndarray:
    """Return n booleans, True for an element that is kept.

    No lower bits are computed if those of the threshold are 0, as for p = 0.5.

    Args:
        state: seed, stream and offset, each from 0 to 2⁶⁴ - 1.
        n: how many elements.
        p: the probability of an element to be dropped, 0 to 1.
        first: the place of the first of them, in a mask that is larger.

    Examples:
        >>> keep_mask((42, 0, 0), 8, 0.5)
        array([False,  True, False, False, False,  True,  True,  True])
    """
    high, low = divmod(round(float(p) * 2**32), 2**24)  # high is 256 for p = 1: no byte is
    if first:
        word, byte = divmod(first, 8)
        words = philox(*state, words_of(byte + n), 0, word).astype("<u8", copy=False)
        upper = words.view(np.uint8)[byte : byte + n]
    else:
        upper = philox(*state, words_of(n)).astype("<u8", copy=False).view(np.uint8)[:n]
    if low == 0:
        return upper >= high
    keep = upper == high
    (ties,) = keep.nonzero()
    np.greater(upper, high, out=keep)
    if len(ties):
        keep[ties] = _lower_bits(state, ties + first) >= low
    return keep


def _lower_bits(state: tuple[int, int, int], places: np.ndarray) -> np.ndarray:
    """Return the lower 24 bits of the numbers in some places, as uint64.

    SplitMix64 is of Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014.
    Its last step, z ^ z >> 31, changes none of these bits.
    """
    (key,) = philox(*state, 1, purpose=1)
    z = places.astype(np.uint64)
    z *= np.uint64(_GAMMA)
    z += np.uint64((int(key) + _GAMMA) % WORD)
    z ^= z >> _30
    z *= _MIX_1
    z ^= z >> _27
    z *= _MIX_2
    z >>= _40
    return z
