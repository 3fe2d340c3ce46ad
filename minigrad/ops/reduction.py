"""Sums, means and extremes along dimensions; softmax and its relatives."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from minigrad.ops.arithmetic import maximum, minimum
from minigrad.ops.shape import take_along_dim
from minigrad.ops.summing import total
from minigrad.table import differentiable, numpy_keywords

Dim: TypeAlias = int | Sequence[int] | None  # None: all dimensions


def _axes(dim: Dim) -> Any:
    """Return what NumPy takes for an axis: no list."""
    return tuple(dim) if isinstance(dim, list) else dim


def _spread(g: Any, shape: Sequence[int], dim: Dim, keepdim: bool) -> Any:
    """Return ``g``, the gradient of a reduction's result, repeated to the shape it came from."""
    if not keepdim and g.ndim:
        reduced = range(len(shape)) if dim is None else dim
        reduced = [reduced] if isinstance(reduced, int) else reduced
        places = {d % (len(shape) or 1) for d in reduced}
        g = g.reshape([1 if i in places else n for i, n in enumerate(shape)])
    return np.broadcast_to(g, shape)


@differentiable(x=lambda g, x_shape, dim, keepdim: _spread(g, x_shape, dim, keepdim))
def sum(x: Any, dim: Dim = None, keepdim: bool = False) -> Any:
    """Return the sum of the elements; integers and booleans are summed as int64."""
    if x.dtype.kind != "f":
        return x.sum(axis=_axes(dim), dtype=np.int64, keepdims=keepdim)
    return total(x, _axes(dim), keepdim)


@differentiable(
    x=lambda g, x_shape, dim, keepdim: _spread(g / _count(x_shape, g.shape), x_shape, dim, keepdim)
)
def mean(x: Any, dim: Dim = None, keepdim: bool = False) -> Any:
    """Return the mean of the elements, which must be floating-point."""
    if x.dtype.kind != "f":
        raise RuntimeError(f"mean() needs a floating-point tensor, got {x.dtype}; use .float()")
    return x.mean(axis=_axes(dim), keepdims=keepdim)


def _to_deviations(g: Any, x: Any, dim: Dim, correction: float, keepdim: bool) -> Any:
    """Return g (x - mean) / (n - correction)."""
    g = g / (_count(x.shape, g.shape) - correction)
    return _spread(g, x.shape, dim, keepdim) * (x - x.mean(axis=_axes(dim), keepdims=True))


@differentiable(
    x=lambda g, x, dim, correction, keepdim: _to_deviations(2 * g, x, dim, correction, keepdim)
)
def var(x: Any, dim: Dim = None, correction: float = 1, keepdim: bool = False) -> Any:
    """Return the variance, Σ(x - mean)² / (n - correction); the default is the unbiased one."""
    return x.var(axis=_axes(dim), ddof=correction, keepdims=keepdim)


@differentiable(
    x=lambda g, y, x, dim, correction, keepdim: _to_deviations(
        g / (y + (y == 0)), x, dim, correction, keepdim
    )
)
def std(x: Any, dim: Dim = None, correction: float = 1, keepdim: bool = False) -> Any:
    """Return the standard deviation, the square root of `var`; at 0 the gradient is 0."""
    return x.std(axis=_axes(dim), ddof=correction, keepdims=keepdim)


def _count(whole: Sequence[int], reduced: Sequence[int]) -> int:
    """Return how many elements went into each element of the result."""
    return math.prod(whole) // (math.prod(reduced) or 1)


def _to_extremes(g: Any, y: Any, x: Any, dim: Dim, keepdim: bool) -> Any:
    """Divide g evenly among the elements that equal the extreme."""
    hit = (x == _spread(y, x.shape, dim, keepdim)).astype(g.dtype)
    return _spread(g, x.shape, dim, keepdim) * hit / hit.sum(axis=_axes(dim), keepdims=True)


@differentiable(x=_to_extremes)
def amax(x: Any, dim: Dim = None, keepdim: bool = False) -> Any:
    """Return the largest element; equal ones share the gradient evenly."""
    return x.max(axis=_axes(dim), keepdims=keepdim)


@differentiable(x=_to_extremes)
def amin(x: Any, dim: Dim = None, keepdim: bool = False) -> Any:
    """Return the smallest element; equal ones share the gradient evenly."""
    return x.min(axis=_axes(dim), keepdims=keepdim)


@differentiable()
def argmax(x: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    """Return the index of the (first) largest element; without ``dim``, into the flattened x."""
    return np.argmax(x, axis=_axes(dim), keepdims=keepdim)


@differentiable()
def argmin(x: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    """Return the index of the (first) smallest element; without ``dim``, into the flattened x."""
    return np.argmin(x, axis=_axes(dim), keepdims=keepdim)


class ValuesIndices(NamedTuple):
    """What max and min along a dimension return."""

    values: Any
    indices: Any


@numpy_keywords
def max(x: Any, dim: Any = None, keepdim: bool = False) -> Any:
    """Return the largest element; along a dimension, also where it is; or a `maximum`.

    Args:
        x: any shape.
        dim: None, an int, or a second tensor: ``max(a, b)`` is ``maximum(a, b)``.
        keepdim: whether the reduced dimension stays, with size 1.

    Returns:
        A tensor; with an int ``dim``, the pair (values, indices). The gradient goes to the element
        chosen; without ``dim``, equal elements share it.
    """
    return _extreme(amax, argmax, maximum, x, dim, keepdim)


@numpy_keywords
def min(x: Any, dim: Any = None, keepdim: bool = False) -> Any:
    """Return the smallest element; the counterpart of `max`."""
    return _extreme(amin, argmin, minimum, x, dim, keepdim)


def _extreme(whole: Any, place: Any, pairwise: Any, x: Any, dim: Any, keepdim: bool) -> Any:
    if dim is None:
        return whole(x)
    if not isinstance(dim, int | np.integer):
        return pairwise(x, dim)
    indices = place(x, dim, True)
    values = take_along_dim(x, indices, dim)
    if not keepdim:
        values, indices = values.squeeze(dim), indices.squeeze(dim)
    return ValuesIndices(values, indices)


@differentiable()
def any(x: Any, dim: Dim = None, keepdim: bool = False) -> Any:
    """Return whether any element is nonzero."""
    return x.any(axis=_axes(dim), keepdims=keepdim)


@differentiable()
def all(x: Any, dim: Dim = None, keepdim: bool = False) -> Any:
    """Return whether all elements are nonzero."""
    return x.all(axis=_axes(dim), keepdims=keepdim)


@differentiable(
    x=lambda g, y, x, dim, keepdim: (
        _spread(g, x.shape, dim, keepdim) * np.exp(x - _spread(y, x.shape, dim, keepdim))
    )
)
def logsumexp(x: Any, dim: Dim = None, keepdim: bool = False) -> Any:
    """Return log Σ eˣ, computed without overflow."""
    top = x.max(axis=_axes(dim), keepdims=True)
    top = np.where(np.isfinite(top), top, 0)
    y = np.log(np.exp(x - top).sum(axis=_axes(dim), keepdims=keepdim))
    return y + top.reshape(y.shape)


@differentiable(x=lambda g, y, dim: y * (g - (g * y).sum(axis=_axes(dim), keepdims=True)))
def softmax(x: Any, dim: int) -> Any:
    """Return eˣ / Σ eˣ along ``dim``, computed without overflow."""
    y = _below_top(x, dim)
    np.exp(y, out=y)
    y /= y.sum(axis=_axes(dim), keepdims=True)
    return y


@differentiable(x=lambda g, y, dim: g - np.exp(y) * g.sum(axis=_axes(dim), keepdims=True))
def log_softmax(x: Any, dim: int) -> Any:
    """Return log softmax(x) along ``dim``, finite for logits of any size."""
    y = _below_top(x, dim)
    y -= np.log(np.exp(y).sum(axis=_axes(dim), keepdims=True))
    return y


def _below_top(x: Any, dim: int) -> Any:
    """Return x minus its maximum along ``dim``, in a new array."""
    return x - x.max(axis=_axes(dim), keepdims=True) if x.size else x.copy()
