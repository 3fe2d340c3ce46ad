"""Rearranging and selecting that is composed of other ops, and needs no derivative of its own."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from minigrad.device import is_array, raise_later
from minigrad.graph import TensorBase
from minigrad.misfits import fitted
from minigrad.ops.dims import one_axis
from minigrad.ops.elementwise import where
from minigrad.ops.shape import expand, getitem, permute, reshape, take_along_dim
from minigrad.spellings import numpy_keywords

__all__ = ["chunk", "gather", "masked_fill", "meshgrid", "repeat", "split", "t"]


def t(x: Any) -> Any:
    """Return a matrix transposed, as a view; a vector or a number as it is.

    Raises:
        RuntimeError: x has more than two dimensions.
    """
    if x.ndim > 2:
        raise RuntimeError(
            f"t() expects a tensor with <= 2 dimensions, but self is {x.ndim}D: use .mT"
        )
    return permute(x, range(x.ndim)[::-1])


@numpy_keywords
def split(x: Any, split_size_or_sections: int | Sequence[int], dim: int = 0) -> tuple[Any, ...]:
    """Return views of consecutive parts along ``dim``.

    Args:
        x: at least one dimension.
        split_size_or_sections: the size of each part, the last of which may be smaller; or a list
            with the size of each.
        dim: along which dimension.

    Raises:
        RuntimeError: the sizes do not add up, or are 0 or less.
    """
    if not x.ndim:
        raise RuntimeError("split expects at least a 1-dimensional tensor")
    axis, sizes = one_axis(dim, x.ndim), split_size_or_sections
    n = x.shape[axis]
    if isinstance(sizes, int | np.integer):
        if sizes < 0 or (n and not sizes):
            raise RuntimeError(
                f"split_size can only be 0 if dimension size is 0, and never negative, but got "
                f"split_size={sizes} and a dimension size of {n}"
            )
        whole, rest = divmod(n, int(sizes) or 1)
        sizes = [sizes] * whole + [rest] * (rest > 0 or not whole)
    elif sum(sizes) != n or min(sizes, default=0) < 0:
        raise RuntimeError(
            f"split_with_sizes expects split_sizes to sum exactly to {n} (input tensor's size at "
            f"dimension {axis}), but got split_sizes={list(sizes)}"
        )
    ends = itertools.accumulate(sizes, initial=0)
    before = (slice(None),) * axis
    return tuple(getitem(x, (*before, slice(*pair))) for pair in itertools.pairwise(ends))


@numpy_keywords
def chunk(x: Any, chunks: int, dim: int = 0) -> tuple[Any, ...]:
    """Return views of at most ``chunks`` parts along ``dim``, all of one size but the last.

    Raises:
        RuntimeError: ``chunks`` is not positive.
    """
    if chunks <= 0:
        raise RuntimeError(f"chunk expects `chunks` to be greater than 0, got: {chunks}")
    if not x.ndim:
        raise RuntimeError("chunk expects at least a 1-dimensional tensor")
    size = x.shape[one_axis(dim, x.ndim)]
    return split(x, math.ceil(size / chunks), dim) if size else split(x, [0] * chunks, dim)


@numpy_keywords
def gather(x: Any, dim: int, index: Any) -> Any:
    """Return ``x[..., index[..., j, ...], ...]``: an element along ``dim`` for each of ``index``.

    Args:
        x: any shape.
        dim: along which dimension to choose.
        index: integers from 0 on; as many dimensions as x, and along the others no larger. Nothing
            is broadcast: that is `take_along_dim`.

    Raises:
        RuntimeError: the sizes do not fit, or an index is out of range.
    """
    axis, index_array = one_axis(dim, x.ndim), getattr(index, "array", index)
    if index.dtype.kind not in "iu":
        raise RuntimeError(f"gather(): Expected dtype int32/int64 for index, got {index.dtype}")
    if not index_array.size:
        return x.reshape((-1,))[:0].reshape(index.shape)
    flat = x if x.ndim else x.reshape((1,))
    places = index if index.ndim else index.reshape((1,))
    if places.ndim != flat.ndim:
        raise RuntimeError(
            "Index tensor must have the same number of dimensions as input tensor, but has "
            f"{index.ndim} and not {x.ndim}"
        )
    for i, (n, most) in enumerate(zip(places.shape, flat.shape, strict=True)):
        if i != axis and n > most:
            raise RuntimeError(
                f"Size does not match at dimension {i} expected index {list(places.shape)} to be "
                f"no larger than self {list(flat.shape)} apart from dimension {axis}"
            )
    _check_places(index_array, axis, flat.shape[axis])
    corner = [slice(None) if i == axis else slice(n) for i, n in enumerate(places.shape)]
    return take_along_dim(getitem(flat, tuple(corner)), places, axis).reshape(index.shape)


def _check_places(index: Any, axis: int, size: int) -> None:
    """Raise RuntimeError if an index is not from 0 to size - 1; from a GPU, later."""
    wrong = (index < 0) | (index >= size)
    words = f"is out of bounds for dimension {axis} with size {size}"
    if not isinstance(index, np.ndarray):
        raise_later(wrong.any(), RuntimeError(f"an index {words}"))
    elif wrong.any():
        raise RuntimeError(f"index {index[wrong].flat[0]} {words}")


def masked_fill(x: Any, mask: Any, value: Any) -> Any:
    """Return x with ``value``, cast to the dtype of x, where ``mask`` holds.

    Args:
        x: any shape.
        mask: booleans; their shape and that of x broadcast.
        value: a number, or a tensor of no dimension.

    Raises:
        RuntimeError: the mask is not boolean; the value has dimensions, or does not fit into an
            integer dtype.
    """
    if mask.dtype.kind != "b":
        raise RuntimeError(
            f"masked_fill_ only supports boolean masks, but got mask with dtype {mask.dtype}"
        )
    if np.ndim(getattr(value, "array", value)):
        raise RuntimeError(
            "masked_fill_ only supports a 0-dimensional value tensor, but got tensor with "
            f"{np.ndim(value)} dimension(s)."
        )
    return where(mask, _cast_number(value, x.dtype), x)


def _cast_number(value: Any, dtype: Any) -> Any:
    if not isinstance(value, TensorBase) and not is_array(value):
        return np.asarray(fitted(value, dtype)).astype(dtype).item()
    array = getattr(value, "array", value)
    if isinstance(array, np.ndarray):  # from a GPU, it would have to be waited for
        fitted(array.item(), dtype)
    return value.astype(dtype)


def repeat(x: Any, *sizes: Any) -> Any:
    """Return x laid side by side with itself, ``sizes[i]`` times along dimension i: np.tile.

    Args:
        x: any shape.
        sizes: ints, or one sequence of ints; at least as many as x has dimensions, the first ones
            for new dimensions.

    Raises:
        RuntimeError: there are fewer.
    """
    counts = tuple(sizes[0]) if len(sizes) == 1 and np.ndim(sizes[0]) else sizes
    lead = len(counts) - x.ndim
    if lead < 0 or min(counts, default=0) < 0:
        raise RuntimeError(
            "Number of dimensions of repeat dims can not be smaller than number of dimensions of "
            f"tensor, and no count negative: got {list(counts)} for {list(x.shape)}"
        )
    shape = (1,) * lead + x.shape
    apart = reshape(x, tuple(n for size in shape for n in (1, size)))
    beside = expand(apart, tuple(n for pair in zip(counts, shape, strict=True) for n in pair))
    return reshape(beside, tuple(n * m for n, m in zip(counts, shape, strict=True)))


def meshgrid(*tensors: Any, indexing: str = "ij") -> tuple[Any, ...]:
    """Return the coordinates of a grid, one tensor for each axis, from those along the axes.

    Args:
        tensors: one dimension each, or none; or one sequence of them.
        indexing: ``"ij"``: axis i is dimension i; ``"xy"``: the first two are swapped, as plots
            have it.

    Returns:
        Views, all of one shape: read-only, as `expand` returns them.

    Raises:
        RuntimeError: a tensor has more dimensions; another indexing is asked for.
    """
    if len(tensors) == 1 and isinstance(tensors[0], list | tuple):
        tensors = tuple(tensors[0])
    if indexing not in ("ij", "xy"):
        raise RuntimeError(
            f'meshgrid: indexing must be one of "xy" or "ij", but received: {indexing}'
        )
    if many := [list(x.shape) for x in tensors if x.ndim > 1]:
        raise RuntimeError(f"meshgrid: Expected 0D or 1D tensors, but got one of shape {many[0]}")
    axes = list(range(len(tensors)))
    if indexing == "xy":
        axes[:2] = axes[:2][::-1]
    sizes = [math.prod(x.shape) for x in tensors]
    grid = [sizes[i] for i in axes]
    lines = [reshape(x, tuple(-1 if i == j else 1 for j in axes)) for i, x in enumerate(tensors)]
    return tuple(expand(line, grid) for line in lines)
