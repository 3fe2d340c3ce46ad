"""The sum under every reduction: the error of adding in pairs, along any axis of any layout."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad
from minigrad.ops.summing import total
from minigrad.testing.strategies import LAYOUTS
from tests.reference import scaled

#: one side is long enough to be folded twice, and of no round length
SHAPES = [
    (5000,), (5000, 2), (2, 5000), (2, 5000, 3), (5000, 1, 2), (3, 2, 5000), (70, 71), (16, 65, 2),
    (129,), (1, 1), (0, 5000), (5000, 0), (),
]  # fmt: skip
AXES = [None, 0, -1, (0,), (0, 1), (0, -1), (1, 2), (-1, 0), ()]
#: the relative error that is allowed: half a unit for each of 16 partial sums of equal numbers, on
#: average, comes to 16 / 4 units; what is added in pairs (in runs of 16, too) is as good
UNITS = 8


def fits(axis: Any, ndim: int) -> bool:
    """Return whether these are axes of a tensor of so many dimensions."""
    named = axis if isinstance(axis, tuple) else () if axis is None else (axis,)
    return len(named) <= ndim and all(-ndim <= i < ndim for i in named)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@settings(max_examples=scaled(30))  # of some fifty combinations, for each dtype
@given(st.data(), st.sampled_from(list(LAYOUTS)), st.booleans(), st.integers(0, 999))
def test_a_sum_has_the_error_of_adding_in_pairs_along_any_axis(
    dtype: str, shape: tuple[int, ...], data: st.DataObject, layout: str, keepdims: bool, seed: int
) -> None:
    axes = [axis for axis in AXES if fits(axis, len(shape))]
    axis = data.draw(st.sampled_from(axes), label="axis")
    rng = np.random.default_rng(seed)
    drawn = rng.uniform(0.1, 3, shape) if seed % 2 else np.full(shape, rng.uniform(0.1, 3))
    x = LAYOUTS[layout](np.asarray(drawn.astype(dtype)))
    before = x.copy()
    added = np.float32 if dtype == "float16" else np.dtype(dtype)
    with np.errstate(over="ignore"):
        y = total(x, axis, keepdims, added)
        expected = x.astype(np.longdouble).sum(axis, keepdims=keepdims)
        narrow = total(x, axis, keepdims)
        np.testing.assert_array_equal(narrow, np.asarray(y).astype(dtype))
    assert (y.dtype, narrow.dtype, y.shape) == (added, dtype, expected.shape)
    assert np.all(np.abs(y - expected) <= UNITS * np.finfo(added).eps * expected)
    np.testing.assert_array_equal(x, before)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_a_tensor_is_summed_by_the_op_which_records_it(dtype: str) -> None:
    x = minigrad.ones(3000, 2, dtype=dtype).requires_grad_()
    y = total(x, axis=0, keepdims=True)
    assert (y.tolist(), y.dtype, str(y.grad_fn)) == ([[3000, 3000]], dtype, "<SumBackward>")


@pytest.mark.parametrize("odd", [math.inf, -math.inf, math.nan])
def test_what_is_not_finite_reaches_its_own_sum_alone(odd: float) -> None:
    x = np.ones((1000, 3), np.float32)
    x[700, 1] = odd
    np.testing.assert_array_equal(total(x, 0), np.array([1000, odd, 1000], np.float32))
