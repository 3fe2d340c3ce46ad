"""Products, running sums and norms: reductions whose derivative is more than a repetition."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad.device import native
from minigrad.ops.dims import Dim, one_axis, reduced_axes
from minigrad.ops.elementwise import abs, sign, where
from minigrad.ops.reduction import amax, amin, spread, sum
from minigrad.ops.selecting import kept
from minigrad.ops.summing import WIDER, total, wide
from minigrad.spellings import numpy_keywords
from minigrad.table import differentiable

__all__ = ["cumsum", "norm", "prod"]


@differentiable(x=lambda g, dim: _sums_from_the_end(g, dim))
def cumsum(x: Any, dim: int, dtype: Any = None) -> Any:
    """Return the running sum along ``dim``: element i is the sum of elements 0 to i.

    Args:
        x: any shape.
        dim: along which dimension.
        dtype: of the result; by default that of x, and int64 for integers and booleans.
    """
    dtype = dtype or (x.dtype if x.dtype.kind == "f" else np.int64)
    x = x.astype(dtype, copy=False)
    axis, inner = one_axis(dim, x.ndim), WIDER.get(x.dtype.char, x.dtype)
    if not x.ndim:  # where CuPy knows no axis
        return x.copy()
    return np.cumsum(x, axis=axis, dtype=inner).astype(x.dtype, copy=False)


@differentiable(x=lambda g, dim: cumsum(g, dim))
def _sums_from_the_end(x: Any, dim: int) -> Any:
    """Return the running sum from the last element on: the transpose of cumsum."""
    return np.flip(cumsum(np.flip(x, dim), dim), dim) if x.ndim else x.copy()


def _others(x: Any) -> Any:
    """Return, for each element along the first dimension, the product of all others.

    Nothing is divided, so zeros are no special case. The first half is multiplied with the second;
    what others the products have, times its partner, is what others an element has.
    """
    n, half = len(x), len(x) // 2
    if not half:
        return np.ones_like(x)
    first, second, rest = x[:half], x[half : 2 * half], x[2 * half : n]
    others = _others(np.concatenate((first * second, rest)))
    pairs = others[:half]
    return np.concatenate((pairs * second, pairs * first, others[half:]))


def _to_factors(g: Any, x: Any, dim: int | None, keepdim: bool) -> Any:
    """Return g times the product of all other elements."""
    if dim is None or not x.ndim:
        return g * _others(x.reshape((-1,))).reshape(x.shape)
    return spread(g, x.shape, dim, keepdim) * _others(x.swapaxes(0, dim)).swapaxes(0, dim)


@differentiable(x=_to_factors)
def prod(x: Any, dim: int | None = None, keepdim: bool = False, dtype: Any = None) -> Any:
    """Return the product of the elements; integers and booleans are multiplied as int64.

    Args:
        x: any shape.
        dim: one dimension, or None for all.
        keepdim: whether the reduced dimension stays, with size 1.
        dtype: another one to multiply in.
    """
    axes = reduced_axes(None if dim is None else one_axis(dim, x.ndim), x.ndim)
    dtype = dtype or (x.dtype if x.dtype.kind == "f" else np.int64)
    x = x.astype(dtype, copy=False)
    return x.prod(axis=axes, keepdims=keepdim, dtype=wide(x.dtype)).astype(x.dtype)


def _to_normed(g: Any, y: Any, x: Any, p: float, dim: Dim, keepdim: bool) -> Any:
    """Return g sign(x) (|x| / y)^(p - 1), and 0 where the norm is 0."""
    half = x.dtype == np.float16  # whose powers leave its range
    g, y, x = (v.astype(np.float32) if half else v for v in (g, y, x))
    y, g = (spread(v, x.shape, dim, keepdim) for v in (y, g))
    powers = x if p == 2 else sign(x) * where(x == 0, 1, abs(x)) ** (p - 1)
    return kept(g, y != 0) * powers / where(y == 0, 1, y) ** (p - 1)


@differentiable(x=_to_normed)
def _norm(x: Any, p: float, dim: Dim, keepdim: bool) -> Any:
    """Return (Σ |x|ᵖ)^(1/p), for a finite p other than 0."""
    dtype, axes = x.dtype, reduced_axes(dim, x.ndim)
    x = x.astype(wide(dtype), copy=False)
    if p == 2:
        return np.sqrt(total(x * x, axes, keepdim)).astype(dtype)
    powers = np.abs(x) if p == 1 else np.abs(x) ** p
    return (total(powers, axes, keepdim) ** (1 / p)).astype(dtype)


@numpy_keywords
def norm(x: Any, p: Any = "fro", dim: Dim = None, keepdim: bool = False, dtype: Any = None) -> Any:
    """Return the p-norm of the elements, (Σ |x|ᵖ)^(1/p); at 0 the gradient is 0.

    Args:
        x: floating-point, any shape; a matrix counts as the list of its elements.
        p: a number; inf for the largest |x|, -inf for the smallest, 0 for how many are not 0.
            ``"fro"`` and None stand for 2.
        dim: an int, several, or None for all dimensions.
        keepdim: whether the reduced dimensions stay, with size 1.
        dtype: another one to compute in.

    Raises:
        RuntimeError: x is not floating-point; p is another norm of matrices; the largest or
            smallest of nothing is asked for.
    """
    x = x if dtype is None else x.astype(native(dtype))
    if x.dtype.kind != "f":
        raise RuntimeError(
            f"linalg.vector_norm: Expected a floating point tensor as input. Got {x.dtype}; "
            "use .float()"
        )
    if isinstance(p, str) and p != "fro":
        raise RuntimeError(f"norm: order {p!r} is not supported, expected a number or 'fro'")
    p = 2.0 if p in ("fro", None) else float(p)
    if math.isinf(p):
        return (amax if p > 0 else amin)(abs(x), dim, keepdim)
    if p == 0:
        return sum(x != 0, dim, keepdim).astype(x.dtype)
    return _norm(x, p, dim, keepdim)
