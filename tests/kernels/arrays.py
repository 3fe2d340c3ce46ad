"""What kernels are tested with, and how results are compared."""

from __future__ import annotations

from typing import Any

import numpy as np

#: About one, a few, a warp's and a block's worth of elements, and many.
SIZES = (0, 1, 3, 4, 7, 15, 16, 17, 31, 32, 33, 255, 256, 257, 1023, 65536)


def numbers(n: int | tuple[int, ...], dtype: Any, seed: int = 0) -> np.ndarray:
    """Return normal random numbers, none of them denormal."""
    return np.random.default_rng(seed).standard_normal(n).astype(dtype)


def awkward(dtype: Any) -> np.ndarray:
    """Return the numbers that rules are written for, but none that leads to denormal ones."""
    info = np.finfo(dtype)
    values = [0.0, 1.0, info.max, np.sqrt(info.smallest_normal), np.inf, np.nan]
    return np.array([*values, *(-v for v in values)], dtype)


def assert_same_bits(actual: np.ndarray, expected: np.ndarray) -> None:
    """Assert equality to the last bit, signs of zeros included; any NaN equals any other."""
    assert (actual.dtype, actual.shape) == (expected.dtype, expected.shape)
    nan = expected != expected
    np.testing.assert_array_equal(actual, expected)
    assert actual[~nan].tobytes() == expected[~nan].tobytes()
