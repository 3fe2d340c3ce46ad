"""Matrix products. Those of halves are added in float32."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad import cublas
from minigrad.device import device_of
from minigrad.fused import fused
from minigrad.graph import sole_view
from minigrad.table import differentiable

__all__ = ["bmm", "dot", "linear", "matmul", "mm", "mv"]
_FLOAT16 = np.dtype(np.float16)


@fused(cublas.matmul)
def _of_others(a: Any, b: Any) -> Any:
    """Return ``a @ b`` of what is not NumPy's: tensors, or arrays of a GPU."""
    return a @ b


def _product(a: Any, b: Any) -> Any:
    """Return ``a @ b``, of arrays or tensors."""
    try:
        if not isinstance(a, np.ndarray):
            return _of_others(a, b)
        if a.dtype == _FLOAT16 == b.dtype:  # BLAS has no halves; without it, this takes far longer
            return (a.astype(np.float32) @ b.astype(np.float32)).astype(np.float16)
        return a @ b
    except ValueError:
        if device_of(a) != device_of(b):
            raise
        raise RuntimeError(_mismatch(a.shape, b.shape)) from None


@differentiable(
    a=lambda g, b: _product(g, b.swapaxes(-1, -2)),  # dL/da = g bᵀ
    b=lambda g, a: _product(a.swapaxes(-1, -2), g),  # dL/db = aᵀ g
)
def _matmul(a: Any, b: Any) -> Any:
    """Return the products of (stacks of) matrices; the engine sums over broadcast stacks."""
    return _product(a, b)


def matmul(a: Any, b: Any) -> Any:
    """Return the matrix product ``a @ b``.

    Shape:
        (n,) @ (n,) -> (); (m, n) @ (n, p) -> (m, p); (n,) @ (n, p) -> (p,); (m, n) @ (n,) -> (m,);
        further leading dimensions are stacks of matrices and broadcast.

    Raises:
        RuntimeError: the shapes do not fit, or an operand has no dimension.
        TypeError: an operand is neither a tensor nor an array.
    """
    try:
        matrices = a.ndim >= 2 and b.ndim >= 2
    except AttributeError:
        kinds = f"{type(a).__name__!r} and {type(b).__name__!r}"
        raise TypeError(f"unsupported operand type(s) for @: {kinds}") from None
    if matrices:
        return _matmul(a, b)
    if not a.ndim or not b.ndim:
        raise RuntimeError(
            f"both arguments to matmul need to be at least 1D, but they are {a.ndim}D and {b.ndim}D"
        )
    if a.shape[-1] != b.shape[-2:][0]:
        raise RuntimeError(_mismatch(a.shape, b.shape))
    row, column = a.ndim == 1, b.ndim == 1  # a vector is a row on the left, a column on the right
    y = _matmul(a.reshape((1, -1)) if row else a, b.reshape((-1, 1)) if column else b)
    return sole_view(y.squeeze((-2,) * row + (-1,) * column))


def _of_dimensions(words: str, fits: bool) -> None:
    if not fits:
        raise RuntimeError(f"{words}; matmul takes any")


def mm(a: Any, b: Any) -> Any:
    """Return the product of two matrices, (m, n) @ (n, p) -> (m, p).

    Raises:
        RuntimeError: one is no matrix, or they do not fit.
    """
    _of_dimensions(f"self must be a matrix, not {a.ndim}D", a.ndim == 2)
    _of_dimensions(f"mat2 must be a matrix, not {b.ndim}D", b.ndim == 2)
    return matmul(a, b)


def mv(a: Any, b: Any) -> Any:
    """Return the product of a matrix and a vector, (m, n) @ (n,) -> (m,).

    Raises:
        RuntimeError: they are something else, or do not fit.
    """
    words = f"vector + matrix @ vector expected, got 1, {a.ndim}, {b.ndim}"
    _of_dimensions(words, (a.ndim, b.ndim) == (2, 1))
    return matmul(a, b)


def dot(a: Any, b: Any) -> Any:
    """Return the product of two vectors of the same length, (n,) @ (n,) -> ().

    Raises:
        RuntimeError: one is no vector, or they differ in length.
    """
    words = f"1D tensors expected, but got {a.ndim}D and {b.ndim}D tensors"
    _of_dimensions(words, a.ndim == b.ndim == 1)
    return matmul(a, b)


def bmm(a: Any, b: Any) -> Any:
    """Return the products of matrices one by one, (k, m, n) @ (k, n, p) -> (k, m, p).

    Raises:
        RuntimeError: there are other dimensions, or they do not fit; nothing is broadcast.
    """
    _of_dimensions(f"batch1 must be a 3D tensor, not {a.ndim}D", a.ndim == 3)
    _of_dimensions(f"batch2 must be a 3D tensor, not {b.ndim}D", b.ndim == 3)
    if (a.shape[0], a.shape[2]) != b.shape[:2]:
        raise RuntimeError(
            "Expected size for first two dimensions of batch2 tensor to be: "
            f"[{a.shape[0]}, {a.shape[2]}] but got: {list(b.shape[:2])}."
        )
    return matmul(a, b)


def _mismatch(a: tuple[int, ...], b: tuple[int, ...]) -> str:
    """Return what is wrong with the shapes of two factors, as PyTorch says it."""
    if len(a) == len(b) == 1:
        return (
            f"inconsistent tensor size, expected tensor [{a[0]}] and src [{b[0]}] to have the same "
            f"number of elements, but got {a[0]} and {b[0]} elements respectively"
        )
    rows = math.prod(a[:-1])
    if len(b) == 1:
        return f"size mismatch, got input ({rows}), mat ({rows}x{a[-1]}), vec ({b[0]})"
    if len(b) == 2:
        return f"mat1 and mat2 shapes cannot be multiplied ({rows}x{a[-1]} and {b[0]}x{b[1]})"
    ndim = max(len(a), len(b))
    for i in range(3, min(len(a), len(b)) + 1):
        if a[-i] != b[-i] and 1 not in (a[-i], b[-i]):
            return (
                f"The size of tensor a ({a[-i]}) must match the size of tensor b ({b[-i]}) at "
                f"non-singleton dimension {ndim - i}, for shapes {list(a)} and {list(b)}"
            )
    stack = math.prod(np.broadcast_shapes(a[:-2], b[:-2]))
    return (
        f"Expected size for first two dimensions of batch2 tensor to be: [{stack}, {a[-1]}] but "
        f"got: [{stack}, {b[-2]}], for shapes {list(a)} and {list(b)}"
    )


def _to_input(g: Any, weight: Any) -> Any:
    """Return g w."""
    return _product(g, weight) if weight.ndim == 2 else np.expand_dims(g, -1) * weight


def _to_weight(g: Any, x: Any) -> Any:
    """Return gᵀ x, over all rows."""
    if g.ndim < x.ndim:  # the weight has 1 dimension
        return _product(g.reshape((-1,)), _rows(x))
    return _product(g.T, x) if x.ndim == 2 else _product(_rows(g).T, _rows(x))


@differentiable(x=_to_input, weight=_to_weight, bias=lambda g: g)
@fused(cublas.linear)
def linear(x: Any, weight: Any, bias: Any = None) -> Any:
    """Return ``x @ weight.T + bias``.

    Shape:
        x (..., in), weight (out, in), bias (out,) or None -> (..., out);
        x (..., in), weight (in,), no bias -> (...)

    Raises:
        RuntimeError: the shapes do not fit.
    """
    if not x.ndim or not 1 <= weight.ndim <= 2:
        raise RuntimeError(
            "linear: input needs at least 1 dimension and weight 1 or 2, but they are "
            f"{x.ndim}D and {weight.ndim}D"
        )
    if weight.ndim == 1 and bias is not None:
        raise RuntimeError("mat2 must be a matrix, got 1-D tensor: a bias needs a weight (1, in)")
    y = _product(x, weight.T)
    if bias is None:
        return y
    try:
        y += bias
    except ValueError:
        raise RuntimeError(
            f"linear: a bias of shape {list(bias.shape)} does not fit a result of shape "
            f"{list(y.shape)}; expected [{len(weight)}]"
        ) from None
    return y


def _rows(x: Any) -> Any:
    """Return x as a matrix: its last dimension kept, all others become rows."""
    return x.reshape((math.prod(x.shape[:-1]), x.shape[-1]))
