"""The contract of random numbers, without a line of minigrad: what a generator owes in a state."""

from __future__ import annotations

import numpy as np

WORD = 2**64


def philox_words(state: tuple[int, int, int], n: int, third: int = 0) -> np.ndarray:
    """Return n words as NumPy computes them; ``third`` is the third word of the counter."""
    seed, stream, offset = state
    key, counter = np.array([seed, stream], np.uint64), np.array([offset, 0, third, 0], np.uint64)
    return np.random.Philox(key=key, counter=counter).random_raw(n)


def splitmix(seed: int, n: int) -> np.ndarray:
    """Return the first n words of SplitMix64; NumPy's uint64 wraps as it should."""
    gamma, b, c, s30, s27, s31 = np.array(
        [0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB, 30, 27, 31], np.uint64
    )
    z = np.uint64(seed) + np.arange(1, n + 1, dtype=np.uint64) * gamma
    z = (z ^ z >> s30) * b
    z = (z ^ z >> s27) * c
    return z ^ z >> s31


def mask_numbers(state: tuple[int, int, int], n: int) -> np.ndarray:
    """Return the numbers that a mask compares: bytes of Philox above 24 bits of SplitMix64."""
    upper = np.frombuffer(philox_words(state, -(-n // 8)).astype("<u8").tobytes()[:n], np.uint8)
    lower = splitmix(int(philox_words(state, 1, third=1)[0]), n) >> np.uint64(40)
    return upper.astype(np.int64) * 2**24 + lower.astype(np.int64)
