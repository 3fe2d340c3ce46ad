"""Rearranging, selecting and joining: no arithmetic, so every derivative is a rearrangement too."""

from __future__ import annotations

import functools
import inspect
import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minigrad.device import add_at
from minigrad.fused import watch_index
from minigrad.table import differentiable, numpy_keywords


@differentiable(x=lambda g, x_shape: g.reshape(x_shape))
def reshape(x: Any, shape: Sequence[int]) -> Any:
    """Return the same elements in another shape; one -1 stands for what remains."""
    return x.reshape(shape)


def flatten(x: Any, start_dim: int = 0, end_dim: int = -1) -> Any:
    """Return ``x`` with dimensions ``start_dim`` to ``end_dim`` (inclusive) made one."""
    ndim = max(x.ndim, 1)
    start, end = (_axis(d, ndim) for d in (start_dim, end_dim))
    if start > end:
        raise RuntimeError(f"flatten: start_dim {start_dim} cannot come after end_dim {end_dim}")
    if start == end and x.ndim:
        return x
    merged = math.prod(x.shape[start : end + 1])
    return reshape(x, (*x.shape[:start], merged, *x.shape[end + 1 :]))


@differentiable(x=lambda g, dims: permute(g, np.argsort(dims).tolist()))
def _permute(x: Any, dims: Sequence[int]) -> Any:
    return x.transpose(dims)


def permute(x: Any, dims: Sequence[int]) -> Any:
    """Return a view of ``x`` whose dimension i is dimension ``dims[i]`` of ``x``."""
    return _permute(x, [_axis(d, x.ndim) for d in dims])


def transpose(x: Any, dim0: int, dim1: int) -> Any:
    """Return a view of ``x`` with two dimensions swapped."""
    dims = list(range(x.ndim))
    i, j = _axis(dim0, x.ndim), _axis(dim1, x.ndim)
    dims[i], dims[j] = j, i
    return _permute(x, dims)


@differentiable(x=lambda g, x_shape: g.reshape(x_shape))
def squeeze(x: Any, dim: int | Sequence[int] | None = None) -> Any:
    """Return ``x`` without its dimensions of size 1, or without those of ``dim`` that are."""
    chosen = range(x.ndim) if dim is None else _axes(dim, x.ndim)
    return x.reshape([n for i, n in enumerate(x.shape) if n != 1 or i not in chosen])


@differentiable(x=lambda g, x_shape: g.reshape(x_shape))
def unsqueeze(x: Any, dim: int) -> Any:
    """Return ``x`` with a new dimension of size 1 at place ``dim`` of the result."""
    return np.expand_dims(x, dim)


@differentiable(x=lambda g: g)  # the engine sums over what was repeated
def expand(x: Any, shape: Sequence[int]) -> Any:
    """Return a read-only view of ``x`` repeated to ``shape``; -1 keeps a dimension as it is."""
    lead = len(shape) - x.ndim
    sizes = [x.shape[i - lead] if n == -1 and i >= lead else n for i, n in enumerate(shape)]
    return np.broadcast_to(x, sizes)


@differentiable(x=lambda g, x_shape, index: _scatter(g, x_shape, index))
def getitem(x: Any, index: Any) -> Any:
    """Return ``x[index]``: a view for ints and slices, a copy for arrays of ints or booleans."""
    if isinstance(index, np.ndarray) and index.dtype.kind == "i":
        return x.take(index, axis=0)  # the same, a sixth quicker
    return x[index]


@differentiable(x=lambda g, index: getitem(g, index))
def _scatter(x: Any, shape: Sequence[int], index: Any) -> Any:
    """Return zeros of ``shape`` with ``x`` added at ``index``: the transpose of getitem."""
    y = np.zeros_like(x, shape=shape)
    parts = index if isinstance(index, tuple) else (index,)
    if any(isinstance(i, list) or getattr(i, "dtype", np.bool_) != np.bool_ for i in parts):
        add_at(y, index, x)  # an array of integers may name one place twice
    else:
        y[index] = x
    return y


@differentiable(
    x=lambda g, index: setitem(g, 0, index),
    value=lambda g, index: getitem(g, index),
)
def setitem(x: Any, value: Any, index: Any, out: Any = None) -> Any:
    """Return ``x`` with ``x[index]`` replaced by ``value``, in ``out`` if that is ``x`` itself."""
    y = x.copy() if out is None else out
    y[index] = value
    return y


@differentiable(x=lambda g, x_shape, indices, dim: _scatter_along(g, x_shape, indices, dim))
def take_along_dim(x: Any, indices: Any, dim: Any) -> Any:
    """Return ``x[..., indices[..., j, ...], ...]``: choices along ``dim``, for each other place.

    Along the other dimensions, the sizes of ``x`` and ``indices`` broadcast.
    """
    if not isinstance(x, np.ndarray):
        watch_index(x, (slice(None),) * _axis(dim, x.ndim) + (indices,))
    return x[_along(x.shape, indices, dim)]


@differentiable(x=lambda g, indices, dim: take_along_dim(g, indices, dim))
def _scatter_along(x: Any, shape: Sequence[int], indices: Any, dim: Any) -> Any:
    """Return zeros of ``shape`` with ``x`` added at what `take_along_dim` takes: its transpose."""
    y = np.zeros_like(x, shape=shape)
    add_at(y, _along(shape, indices, dim), x)
    return y


def _along(shape: Sequence[int], indices: Any, dim: int) -> tuple[Any, ...]:
    """Return the index that chooses ``indices`` along ``dim`` and everything along the others."""
    dim, ndim = _axis(dim, len(shape)), len(shape)
    grid = [
        np.arange(n, like=indices).reshape([-1 if j == i else 1 for j in range(ndim)])
        for i, n in enumerate(shape)
    ]
    return (*grid[:dim], indices, *grid[dim + 1 :])


@functools.cache
def _join(count: int) -> Callable[..., Any]:
    """Return the op that concatenates ``count`` arrays: an argument, and a derivative, for each."""

    def concatenate(*args: Any) -> Any:
        return np.concatenate(args[:count], axis=args[count])

    def part(i: int) -> Callable[..., Any]:
        return lambda g, along, ends: getitem(
            g, (*[slice(None)] * along, slice(ends[i], ends[i + 1]), ...)
        )

    names = [f"x{i}" for i in range(count)]
    parameter = functools.partial(inspect.Parameter, kind=inspect.Parameter.POSITIONAL_ONLY)
    concatenate.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [parameter(name) for name in [*names, "along", "ends"]]
    )
    return differentiable(**{name: part(i) for i, name in enumerate(names)})(concatenate)


@numpy_keywords
def concatenate(tensors: Sequence[Any], dim: int = 0) -> Any:
    """Return the tensors joined along an existing dimension.

    Raises:
        ValueError: there are none, or their other dimensions differ.
    """
    if not len(tensors):
        raise ValueError("concatenate: expected a non-empty list of Tensors")
    dim = _axis(dim, tensors[0].ndim)
    ends = list(itertools.accumulate((t.shape[dim] for t in tensors), initial=0))
    return _join(len(tensors))(*tensors, dim, ends)


@numpy_keywords
def stack(tensors: Sequence[Any], dim: int = 0) -> Any:
    """Return the tensors, all of one shape, joined along a new dimension ``dim`` of the result."""
    return concatenate([unsqueeze(t, dim) for t in tensors], dim)


def _axis(dim: int, ndim: int) -> int:
    if not -ndim <= dim < ndim:
        raise IndexError(
            f"Dimension out of range (expected to be in range of [{-ndim}, {ndim - 1}], "
            f"but got {dim})"
        )
    return dim % ndim


def _axes(dim: int | Sequence[int], ndim: int) -> list[int]:
    return [_axis(d, ndim) for d in ([dim] if isinstance(dim, int) else dim)]
