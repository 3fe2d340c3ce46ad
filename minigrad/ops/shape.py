"""Rearranging, selecting and joining: no arithmetic, so every derivative is a rearrangement too."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from minigrad.device import add_at
from minigrad.graph import TensorBase
from minigrad.indexing import Index, index_of, watch_index
from minigrad.misfits import fitted
from minigrad.ops.dims import one_axis, some_axes
from minigrad.ops.summing import WIDER
from minigrad.spellings import numpy_keywords
from minigrad.table import differentiable

__all__ = [
    "concatenate", "expand", "flatten", "getitem", "permute", "reshape", "setitem", "squeeze",
    "stack", "take_along_dim", "transpose", "unsqueeze",
]  # fmt: skip


@differentiable(x=lambda g, x_shape: g.reshape(x_shape))
def reshape(x: Any, shape: Sequence[int]) -> Any:
    """Return the same elements in another shape; one -1 stands for what remains.

    Raises:
        RuntimeError: they do not fit.
    """
    try:
        return x.reshape(shape)
    except ValueError:
        sizes = list(shape) if isinstance(shape, Sequence) else [shape]
        if sizes.count(-1) > 1:
            raise RuntimeError(f"only one dimension can be inferred, got {sizes}") from None
        raise RuntimeError(f"shape '{sizes}' is invalid for input of size {x.size}") from None


def flatten(x: Any, start_dim: int = 0, end_dim: int = -1) -> Any:
    """Return ``x`` with dimensions ``start_dim`` to ``end_dim`` (inclusive) made one."""
    start, end = (one_axis(d, x.ndim) for d in (start_dim, end_dim))
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
    """Return a view of ``x`` whose dimension i is dimension ``dims[i]`` of ``x``.

    Raises:
        IndexError: there is no such dimension.
        RuntimeError: one is named twice, or not at all.
    """
    axes = some_axes(tuple(dims), x.ndim)
    if len(axes) != x.ndim:
        raise RuntimeError(
            "permute: number of dimensions in the tensor input does not match the length of the "
            f"desired ordering of dimensions i.e. input.dim() = {x.ndim} is not equal to "
            f"len(dims) = {len(axes)}"
        )
    return _permute(x, list(axes))


def transpose(x: Any, dim0: int, dim1: int) -> Any:
    """Return a view of ``x`` with two dimensions swapped."""
    dims = list(range(x.ndim))
    i, j = one_axis(dim0, x.ndim), one_axis(dim1, x.ndim)
    if dims:
        dims[i], dims[j] = j, i
    return _permute(x, dims)


@differentiable(x=lambda g, x_shape: g.reshape(x_shape))
def squeeze(x: Any, dim: int | Sequence[int] | None = None) -> Any:
    """Return ``x`` without its dimensions of size 1, or without those of ``dim`` that are."""
    chosen = range(x.ndim) if dim is None else some_axes(dim, x.ndim)
    return x.reshape([n for i, n in enumerate(x.shape) if n != 1 or i not in chosen])


@differentiable(x=lambda g, x_shape: g.reshape(x_shape))
def unsqueeze(x: Any, dim: int) -> Any:
    """Return ``x`` with a new dimension of size 1 at place ``dim`` of the result."""
    return np.expand_dims(x, one_axis(dim, x.ndim + 1))


@differentiable(x=lambda g: g)  # the engine sums over what was repeated
def expand(x: Any, shape: Sequence[int]) -> Any:
    """Return a read-only view of ``x`` repeated to ``shape``; -1 keeps a dimension as it is.

    Raises:
        RuntimeError: that is no shape that x broadcasts to.
    """
    lead = len(shape) - x.ndim
    sizes = [x.shape[i - lead] if n == -1 and i >= lead else n for i, n in enumerate(shape)]
    try:
        return np.broadcast_to(x, sizes)
    except ValueError:
        raise RuntimeError(
            f"expand: a tensor of shape {list(x.shape)} cannot be expanded to {list(shape)}: sizes "
            "are compared from the last on, and only those of 1 can be repeated"
        ) from None


@differentiable(x=lambda g, x_shape, index: _scatter(g, x_shape, index))
def getitem(x: Any, index: Any) -> Any:
    """Return ``x[index]`` by PyTorch's rules: a view for ints and slices, a copy for arrays.

    Args:
        x: any shape.
        index: what may stand in the brackets (see `minigrad.indexing.index_of`), or an `Index`.
    """
    basic, advanced = _steps(index, x)
    x = x if basic is None else x[basic]
    if isinstance(advanced, np.ndarray) and advanced.dtype != np.bool_:
        return x.take(advanced, axis=0)  # the same, a sixth quicker
    return x if advanced is None else x[advanced]


@differentiable(x=lambda g, index: getitem(g, index))
def _scatter(x: Any, shape: Sequence[int], index: Any) -> Any:
    """Return zeros of ``shape`` with ``x`` added at ``index``: the transpose of getitem."""
    y = np.zeros_like(x, shape=shape)
    steps = _steps(index, y)
    if steps.may_repeat:
        return _added(x, shape, steps)
    place = y if steps.basic is None else y[steps.basic]
    place[... if steps.advanced is None else steps.advanced] = x
    return y


def _added(x: Any, shape: Sequence[int], index: Index) -> Any:
    """Return zeros with x added at places that may be named twice: in twice the precision."""
    values = x.astype(WIDER.get(x.dtype.char, x.dtype))
    y = np.zeros_like(values, shape=shape)
    add_at(y if index.basic is None else y[index.basic], index.advanced, values)
    return y.astype(x.dtype, copy=False)


def _steps(index: Any, x: Any) -> Index:
    return index if type(index) is Index else index_of(index, x)


@differentiable(
    x=lambda g, index: setitem(g, 0, index),
    value=lambda g, index: getitem(g, index),
)
def setitem(x: Any, value: Any, index: Any, out: Any = None) -> Any:
    """Return ``x`` with ``x[index]`` replaced by ``value``, in ``out`` if that is ``x`` itself.

    Raises:
        RuntimeError: ``value`` does not broadcast to what it is to replace, or is a number that
            does not fit into an integer dtype.
    """
    y = x.copy() if out is None else out
    basic, advanced = _steps(index, y)
    place = y if basic is None else y[basic]
    try:
        place[... if advanced is None else advanced] = fitted(value, y.dtype)
    except ValueError:
        there = place.shape if advanced is None else place[advanced].shape
        if _fits(np.shape(value), there):
            raise
        raise RuntimeError(
            f"shape mismatch: value tensor of shape {list(np.shape(value))} cannot be broadcast "
            f"to indexing result of shape {list(there)}"
        ) from None
    return y


def _fits(shape: Sequence[int], there: Sequence[int]) -> bool:
    """Return whether a value broadcasts to ``there``; it may have more dimensions, of size 1."""
    pairs = itertools.zip_longest(reversed(shape), reversed(there), fillvalue=1)
    return all(n in (1, m) for n, m in pairs)


@differentiable(x=lambda g, x_shape, indices, dim: _scatter_along(g, x_shape, indices, dim))
def take_along_dim(x: Any, indices: Any, dim: Any = None) -> Any:
    """Return ``x[..., indices[..., j, ...], ...]``: choices along ``dim``, for each other place.

    Along the other dimensions, the sizes of ``x`` and ``indices`` broadcast. Without ``dim``, both
    are taken flat.
    """
    if dim is None:
        return take_along_dim(x.reshape(-1), indices.reshape(-1), 0)
    if not isinstance(x, np.ndarray):
        watch_index(x, (slice(None),) * one_axis(dim, x.ndim) + (indices,))
    return x[_along(x.shape, indices, dim)]


@differentiable(x=lambda g, indices, dim: take_along_dim(g, indices, dim))
def _scatter_along(x: Any, shape: Sequence[int], indices: Any, dim: Any) -> Any:
    """Return zeros of ``shape`` with ``x`` added at what `take_along_dim` takes: its transpose."""
    if dim is None:
        return _added(x, (math.prod(shape),), Index(None, indices.reshape(-1))).reshape(shape)
    return _added(x, shape, Index(None, _along(shape, indices, dim)))


def _along(shape: Sequence[int], indices: Any, dim: int) -> tuple[Any, ...]:
    """Return the index that chooses ``indices`` along ``dim`` and everything along the others."""
    dim, ndim = one_axis(dim, len(shape)), len(shape)
    if not ndim:
        raise IndexError(f"Dimension specified as {dim} but tensor has no dimensions")
    grid = [
        np.arange(n, like=indices).reshape([-1 if j == i else 1 for j in range(ndim)])
        for i, n in enumerate(shape)
    ]
    return (*grid[:dim], indices, *grid[dim + 1 :])


@differentiable(
    tensors=lambda i: (
        lambda g, dim, ends: getitem(g, (*[slice(None)] * dim, slice(ends[i], ends[i + 1]), ...))
    )
)
def _concatenate(dim: int, ends: Sequence[int], *tensors: Any) -> Any:
    """Return the tensors joined along ``dim``; the i-th is at ``ends[i]`` to ``ends[i + 1]``."""
    return np.concatenate(tensors, axis=dim)


@numpy_keywords
def concatenate(tensors: Sequence[Any], dim: int = 0) -> Any:
    """Return the tensors joined along an existing dimension.

    A tensor of shape (0,) fits everywhere, as in PyTorch.

    Raises:
        TypeError: it is one tensor.
        ValueError: there are none, or their other dimensions differ.
        RuntimeError: one has no dimension.
    """
    _check_several("cat", tensors)
    for i, t in enumerate(tensors):
        if not t.ndim:
            raise RuntimeError(
                f"zero-dimensional tensor (at position {i}) cannot be concatenated: use stack"
            )
    if not len(tensors):
        raise ValueError("concatenate: expected a non-empty list of Tensors")
    shape = next((t.shape for t in tensors if t.shape != (0,)), (0,))
    dim = one_axis(dim, len(shape))
    nothing = (*shape[:dim], 0, *shape[dim + 1 :])
    tensors = [reshape(t, nothing) if t.shape == (0,) else t for t in tensors]
    ends = list(itertools.accumulate((t.shape[dim] for t in tensors), initial=0))
    return _concatenate(dim, ends, *tensors)


@numpy_keywords
def stack(tensors: Sequence[Any], dim: int = 0) -> Any:
    """Return the tensors, all of one shape, joined along a new dimension ``dim`` of the result."""
    _check_several("stack", tensors)
    return concatenate([unsqueeze(t, dim) for t in tensors], dim)


def _check_several(name: str, tensors: Any) -> None:
    if isinstance(tensors, TensorBase):
        raise TypeError(
            f"{name}(): argument 'tensors' (position 1) must be tuple of Tensors, not "
            f"{type(tensors).__name__}"
        )
