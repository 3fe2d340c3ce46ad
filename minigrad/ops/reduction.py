"""Sums, means and extremes along dimensions; softmax and its relatives."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from minigrad.graph import sole_view
from minigrad.ops.arithmetic import maximum, minimum
from minigrad.ops.dims import Dim, one_axis, reduced_axes
from minigrad.ops.elementwise import floating, where
from minigrad.ops.selecting import kept
from minigrad.ops.shape import take_along_dim
from minigrad.ops.summing import total, wide
from minigrad.spellings import numpy_keywords
from minigrad.table import differentiable

__all__ = [
    "all", "amax", "amin", "any", "argmax", "argmin", "log_softmax", "logsumexp", "max", "mean",
    "min", "softmax", "std", "sum", "var",
]  # fmt: skip


def spread(g: Any, shape: Sequence[int], dim: Dim, keepdim: bool) -> Any:
    """Return ``g``, the gradient of a reduction's result, repeated to the shape it came from."""
    if not keepdim and g.ndim:
        axes = reduced_axes(dim, len(shape))
        g = g.reshape([1 if i in axes else n for i, n in enumerate(shape)])
    return np.broadcast_to(g, shape)


def _widened(g: Any) -> Any:
    """Return g in a dtype that counts and scales of any size fit in: halves end at 65,504."""
    return g.astype(np.float32) if g.dtype == np.float16 else g


def _count(whole: Sequence[int], reduced: Sequence[int]) -> int:
    """Return how many elements went into each element of the result."""
    return math.prod(whole) // (math.prod(reduced) or 1)


@differentiable(x=lambda g, x_shape, dim, keepdim: spread(g, x_shape, dim, keepdim))
def sum(x: Any, dim: Dim = None, keepdim: bool = False, dtype: Any = None) -> Any:
    """Return the sum of the elements; integers and booleans are summed as int64.

    ``dtype``, here and in what follows, is another one to cast the elements to before.
    """
    axes = reduced_axes(dim, x.ndim)
    if dtype is not None:
        x = x.astype(dtype)
    if x.dtype.kind == "f":
        return total(x, axes, keepdim)
    return x.sum(axis=axes, dtype=dtype or np.int64, keepdims=keepdim)


@differentiable(
    x=lambda g, x_shape, dim, keepdim: spread(
        _widened(g) / (_count(x_shape, g.shape) or 1), x_shape, dim, keepdim
    )
)
def mean(x: Any, dim: Dim = None, keepdim: bool = False, dtype: Any = None) -> Any:
    """Return the mean of the elements, which must be floating-point; of nothing it is NaN."""
    if dtype is not None:
        x = x.astype(dtype)
    if x.dtype.kind != "f":
        raise RuntimeError(f"mean() needs a floating-point tensor, got {x.dtype}; use .float()")
    return _mean(x, reduced_axes(dim, x.ndim), keepdim).astype(x.dtype)


def _mean(x: Any, axes: tuple[int, ...], keepdim: bool) -> Any:
    """Return the mean in float32 at least."""
    y = total(x, axes, keepdim, wide(x.dtype))
    n = _count(x.shape, y.shape)
    return y / n if n else y + math.nan


@differentiable(x=lambda g, dim: _deviations(g, dim))
def _deviations(x: Any, dim: Dim) -> Any:
    """Return x - mean, in float32 at least: a linear map that is its own transpose.

    The mean is that of distances from the first element, so that of equal elements it is exact; or
    from 0, if the first is no finite number.
    """
    axes = reduced_axes(dim, x.ndim)
    x = floating(x)
    x = x.astype(wide(x.dtype), copy=False)
    first = x[(*[slice(0, 1) if i in axes else slice(None) for i in range(x.ndim)], ...)]
    first = np.where(np.isfinite(first), first, 0)
    y = np.subtract(x, first, out=np.empty_like(x))
    return np.subtract(x, first + _mean(y, axes, True), out=y)


def _meant(dim: Any, correction: float | None) -> tuple[Dim, float]:
    """Return ``dim`` and ``correction``, of which the first may stand for the second: `var`."""
    if isinstance(dim, bool):
        return None, dim
    return dim, 1 if correction is None else correction


def _variance(x: Any, dim: Dim, correction: float | None, keepdim: bool) -> Any:
    """Return the variance in float32 at least."""
    dim, correction = _meant(dim, correction)
    d = _deviations(x, dim)
    d *= d
    axes = reduced_axes(dim, x.ndim)
    y, count = total(d, axes, keepdim), math.prod([x.shape[i] for i in axes])
    if count > correction:
        return y / (count - correction)
    warnings.warn(
        "var(): degrees of freedom is <= 0: correction should be less than the number of "
        f"elements, {count}, but is {correction}",
        stacklevel=4,
    )
    return np.where(y > 0, math.inf, math.nan)


def _to_deviations(g: Any, x: Any, dim: Dim, correction: float | None, keepdim: bool) -> Any:
    """Return g (x - mean) / (n - correction)."""
    dim, correction = _meant(dim, correction)
    freedom = _count(x.shape, g.shape) - correction
    g = g / freedom if freedom > 0 else g * math.nan
    return spread(g, x.shape, dim, keepdim) * _deviations(x, dim)


@differentiable(
    x=lambda g, x, dim, correction, keepdim: _to_deviations(
        2 * _widened(g), x, dim, correction, keepdim
    )
)
def var(x: Any, dim: Dim = None, correction: float | None = 1, keepdim: bool = False) -> Any:
    """Return the variance, Σ(x - mean)² / (n - correction); the default is the unbiased one.

    As in PyTorch, ``var(x, False)`` is ``var(x, correction=0)``.
    """
    return _variance(x, dim, correction, keepdim).astype(floating(x).dtype)


@differentiable(
    x=lambda g, y, x, dim, correction, keepdim: _to_deviations(
        kept(_widened(g), y != 0) / where(y == 0, 1, y), x, dim, correction, keepdim
    )
)
def std(x: Any, dim: Dim = None, correction: float | None = 1, keepdim: bool = False) -> Any:
    """Return the standard deviation, the square root of `var`; at 0 the gradient is 0."""
    return np.sqrt(_variance(x, dim, correction, keepdim)).astype(floating(x).dtype)


def _to_extremes(g: Any, y: Any, x: Any, dim: Dim, keepdim: bool) -> Any:
    """Divide g evenly among the elements that equal the extreme: those that are NaN, if it is."""
    y = spread(y, x.shape, dim, keepdim)
    hit = (x == y) | (x != x)  # if any is NaN, so is y
    count = sum(hit, dim, True).astype(_widened(g).dtype)
    return kept(spread(g, x.shape, dim, keepdim) / count, hit)


@differentiable(x=_to_extremes)
def amax(x: Any, dim: Dim = None, keepdim: bool = False) -> Any:
    """Return the largest element, or NaN if one is; equal ones share the gradient evenly."""
    return x.max(axis=_some("amax", x, dim), keepdims=keepdim)


@differentiable(x=_to_extremes)
def amin(x: Any, dim: Dim = None, keepdim: bool = False) -> Any:
    """Return the smallest element, or NaN if one is; equal ones share the gradient evenly."""
    return x.min(axis=_some("amin", x, dim), keepdims=keepdim)


def _some(name: str, x: Any, dim: Dim) -> tuple[int, ...]:
    """Return the axes that are reduced, of which there must be elements.

    Raises:
        IndexError: there are none along a dimension.
        RuntimeError or IndexError: there are none at all.
    """
    axes = reduced_axes(dim, x.ndim)
    if not x.size and dim is None:
        error = IndexError if name.startswith("arg") else RuntimeError
        raise error(
            f"{name}(): Expected reduction dim to be specified for input.numel() == 0. Specify "
            "the reduction dim with the 'dim' argument."
        )
    for axis in axes:
        if not x.shape[axis]:
            raise IndexError(f"{name}(): Expected reduction dim {axis} to have non-zero size.")
    return axes


@differentiable()
def argmax(x: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    """Return the index of the (first) largest element; without ``dim``, into the flattened x."""
    return _place(np.argmax, x, dim, keepdim)


@differentiable()
def argmin(x: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    """Return the index of the (first) smallest element; without ``dim``, into the flattened x."""
    return _place(np.argmin, x, dim, keepdim)


def _place(function: Any, x: Any, dim: int | None, keepdim: bool) -> Any:
    axis = None if dim is None else one_axis(dim, x.ndim)
    _some(function.__name__, x, dim)
    return function(x, axis=axis if x.ndim else None, keepdims=keepdim)


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
    some = x if x.ndim else x.reshape((1,))
    indices = place(some, dim, True)
    values = take_along_dim(some, indices, dim)
    if not keepdim or not x.ndim:
        values, indices = sole_view(values.squeeze(dim)), sole_view(indices.squeeze(dim))
    return ValuesIndices(values, indices)


@differentiable()
def any(x: Any, dim: Dim = None, keepdim: bool = False) -> Any:
    """Return whether any element is nonzero."""
    return x.any(axis=_axes(dim, x.ndim), keepdims=keepdim)


@differentiable()
def all(x: Any, dim: Dim = None, keepdim: bool = False) -> Any:
    """Return whether all elements are nonzero."""
    return x.all(axis=_axes(dim, x.ndim), keepdims=keepdim)


def _axes(dim: Dim, ndim: int) -> tuple[int, ...]:
    """Return the axes that are reduced; here, as in PyTorch, an empty ``dim`` means none."""
    return () if isinstance(dim, list | tuple) and not len(dim) else reduced_axes(dim, ndim)


@differentiable(
    x=lambda g, y, x, dim, keepdim: (
        spread(g, x.shape, dim, keepdim) * np.exp(_widened(x) - spread(y, x.shape, dim, keepdim))
    )
)
def logsumexp(x: Any, dim: Dim = None, keepdim: bool = False) -> Any:
    """Return log Σ eˣ, computed without overflow; of nothing it is -inf."""
    axes, x = reduced_axes(dim, x.ndim), floating(x)
    top = _top(x, axes)
    top = np.where(np.isfinite(top), top, 0)
    powers = np.exp((x - top).astype(wide(x.dtype), copy=False))
    with np.errstate(divide="ignore"):  # log 0 is meant: all are -inf, or there are none
        y = np.log(total(powers, axes, keepdim))
    return (y + top.reshape(y.shape)).astype(x.dtype)


@differentiable(x=lambda g, y, dim: y * (g - sum(_widened(g) * y, dim, True)))
def softmax(x: Any, dim: int, dtype: Any = None) -> Any:
    """Return eˣ / Σ eˣ along ``dim``, computed without overflow."""
    if dtype is not None:
        x = x.astype(dtype)
    y, axes = _below_top("softmax", x, dim)
    np.exp(y, out=y)
    y /= total(y, axes, True)
    return y.astype(x.dtype, copy=False)


@differentiable(x=lambda g, y, dim: g - np.exp(_widened(y)) * sum(_widened(g), dim, True))
def log_softmax(x: Any, dim: int, dtype: Any = None) -> Any:
    """Return log softmax(x) along ``dim``, finite for logits of any size."""
    if dtype is not None:
        x = x.astype(dtype)
    y, axes = _below_top("log_softmax", x, dim)
    with np.errstate(divide="ignore"):  # log 0, of nothing
        y -= np.log(total(np.exp(y), axes, True))
    return y.astype(x.dtype, copy=False)


def _below_top(name: str, x: Any, dim: int) -> tuple[Any, tuple[int, ...]]:
    """Return x minus its maximum along ``dim``, in a new array of float32 at least; and the axes.

    Raises:
        NotImplementedError: x is not floating-point.
    """
    if x.dtype.kind != "f":
        raise NotImplementedError(
            f"{name}() is not implemented for {x.dtype}: it needs a floating-point tensor; "
            "use .float()"
        )
    axis = one_axis(dim, x.ndim)
    axes = (axis,) if x.ndim else ()
    y = np.empty_like(x, dtype=wide(x.dtype))
    return np.subtract(x, _top(x, axes), out=y), axes


def _top(x: Any, axes: tuple[int, ...]) -> Any:
    """Return the maxima along axes, which stay with size 1; 0 of nothing."""
    if x.size:
        return x.max(axis=axes, keepdims=True)
    return np.zeros_like(x, shape=[1 if i in axes else n for i, n in enumerate(x.shape)])
