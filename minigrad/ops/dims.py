"""Dimensions as people name them, from either end, one or several; and as NumPy's axes."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import TypeAlias

Dim: TypeAlias = int | Sequence[int] | None  # None: all dimensions


def one_axis(dim: int, ndim: int) -> int:
    """Return a dimension counted from the front; that of a number, which has none, is 0.

    Raises:
        IndexError: there is no such dimension.
    """
    dim, most = operator.index(dim), max(ndim, 1)
    if not -most <= dim < most:
        raise IndexError(
            f"Dimension out of range (expected to be in range of [{-most}, {most - 1}], "
            f"but got {dim})"
        )
    return dim % most


def some_axes(dim: int | Sequence[int], ndim: int) -> tuple[int, ...]:
    """Return dimensions counted from the front.

    Raises:
        IndexError: there is no such dimension.
        RuntimeError: one is named twice.
    """
    named = dim if isinstance(dim, list | tuple) else (dim,)
    axes = tuple(one_axis(d, ndim) for d in named)
    if len(set(axes)) < len(axes):
        twice = next(d for i, d in enumerate(axes) if d in axes[:i])
        raise RuntimeError(f"dim {twice} appears multiple times in the list of dims")
    return axes


def reduced_axes(dim: Dim, ndim: int) -> tuple[int, ...]:
    """Return the axes that a reduction over ``dim`` means: none of a number, else all for none."""
    if dim is None or (isinstance(dim, list | tuple) and not len(dim)):
        return tuple(range(ndim))
    axes = some_axes(dim, ndim)
    return axes if ndim else ()
