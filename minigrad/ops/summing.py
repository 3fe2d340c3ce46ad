"""Adding many numbers without losing them: the sum that every reduction is made of.

NumPy adds numbers that lie next to each other in pairs, so that rounding errors grow with the
logarithm of their count. Along any other axis it adds row after row, in the array's own dtype:
20 million float32 ones come to 16,777,216, and halves stop at 2048. So such an axis is folded, as a
long strip of paper is: rows i, i + k, i + 2k, ... are added, 16 of them, and the k rows that remain
are folded again, in float64. That is quicker too, for k rows next to each other are added as one.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

#: in which many numbers are added one after another, by the characters of their dtypes
WIDER = {"e": np.float32, "f": np.float64}
_ROWS = 16  # how many numbers are added one after another, at most


def wide(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the dtype in which floating-point numbers are added: float32 for halves."""
    return np.dtype(np.float32) if dtype == np.float16 else dtype


def total(x: Any, axis: Any = None, keepdims: bool = False, dtype: Any = None) -> Any:
    """Return the sum of floating-point numbers, added in float32 at least.

    The relative error is that of adding in pairs, whatever the axis and the memory's layout.

    Args:
        x: a NumPy array; one of CuPy, which adds in a tree; or a tensor, whose ``sum`` is recorded.
        axis: an int, several, or None for all axes.
        keepdims: whether the summed axes stay, with size 1.
        dtype: of the result, unless x is a tensor; None for that of x.
    """
    if not isinstance(x, np.ndarray):
        options = {"dtype": dtype} if dtype is not None and hasattr(x, "strides") else {}
        return x.sum(axis=axis, keepdims=keepdims, **options)
    dtype = x.dtype if dtype is None else dtype
    if x.dtype.char == "e":
        x = x.astype(np.float32)
    ordered = x.flags.c_contiguous
    if axis is None and ordered:
        y = x.sum(keepdims=keepdims)
    else:
        given = range(x.ndim) if axis is None else (axis,) if isinstance(axis, int) else axis
        axes = tuple(sorted(i % x.ndim for i in given)) if x.ndim else ()
        y = _total(x, axes, keepdims, ordered)
    return y if y.dtype == dtype else y.astype(dtype)


def _total(x: np.ndarray, axes: tuple[int, ...], keepdims: bool, ordered: bool) -> Any:
    """Return the sum over ``axes``, in rising order; ``ordered``: x is contiguous."""
    count = math.prod([x.shape[i] for i in axes])
    last = ordered and axes and axes[0] == x.ndim - len(axes)
    if count <= _ROWS or last:
        return x.sum(axis=axes, keepdims=keepdims)
    if ordered and axes[-1] == len(axes) - 1:  # the first ones, as one
        kept = x.shape[len(axes) :]
        y = _folded(x.reshape(count, -1), 0)
        return y.reshape((1,) * (len(axes) * keepdims) + kept)
    for i in reversed(axes):
        x = _folded(x, i)
    return x if keepdims else x.squeeze(axes)


def _folded(x: np.ndarray, axis: int) -> np.ndarray:
    """Return the sum over an axis, which stays with size 1; in float64 if it is a long one."""
    while (n := x.shape[axis]) > _ROWS:
        head, rest = x, None
        if n % _ROWS:
            head, rest = np.split(x, [n - n % _ROWS], axis)
        shape = (*x.shape[:axis], _ROWS, n // _ROWS, *x.shape[axis + 1 :])
        x = head.reshape(shape).sum(axis=axis).astype(np.float64, copy=False)
        if rest is not None:
            x = np.concatenate((x, rest), axis)
    return x.sum(axis=axis, keepdims=True)
