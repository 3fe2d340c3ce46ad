"""Matrix products."""

from __future__ import annotations

import math
from typing import Any

from minigrad.table import differentiable


@differentiable(
    a=lambda g, b: g @ b.swapaxes(-1, -2),  # dL/da = g bᵀ
    b=lambda g, a: a.swapaxes(-1, -2) @ g,  # dL/db = aᵀ g
)
def _matmul(a: Any, b: Any) -> Any:
    """Return the products of (stacks of) matrices; the engine sums over broadcast stacks."""
    return a @ b


def matmul(a: Any, b: Any) -> Any:
    """Return the matrix product ``a @ b``.

    Shape:
        (n,) @ (n,) -> (); (m, n) @ (n, p) -> (m, p); (n,) @ (n, p) -> (p,); (m, n) @ (n,) -> (m,);
        further leading dimensions are stacks of matrices and broadcast.

    Raises:
        ValueError: the shapes do not fit, or an operand has no dimension.
    """
    if a.ndim >= 2 and b.ndim >= 2:
        return _matmul(a, b)
    if not a.ndim or not b.ndim:
        raise ValueError(f"matmul needs at least one dimension, got shapes {a.shape} and {b.shape}")
    row, column = a.ndim == 1, b.ndim == 1  # a vector is a row on the left, a column on the right
    y = _matmul(a.reshape((1, -1)) if row else a, b.reshape((-1, 1)) if column else b)
    return y.squeeze((-2,) * row + (-1,) * column)


@differentiable(
    x=lambda g, weight: g @ weight,
    weight=lambda g, x: _rows(g).T @ _rows(x),
    bias=lambda g: g,
)
def linear(x: Any, weight: Any, bias: Any = None) -> Any:
    """Return ``x @ weight.T + bias``.

    Shape:
        x (..., in), weight (out, in), bias (out,) or None -> (..., out)
    """
    y = x @ weight.T
    if bias is not None:
        y += bias
    return y


def _rows(x: Any) -> Any:
    """Return x as a matrix: its last dimension kept, all others become rows."""
    return x if x.ndim == 2 else x.reshape((math.prod(x.shape[:-1]), x.shape[-1]))
