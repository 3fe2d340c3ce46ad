"""Dropout: a keep mask, drawn in the kernel that applies it, and the same mask for the way back."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from minigrad.kernels.launch import (
    Launcher,
    Layout,
    Plan,
    RefusedError,
    Source,
    c_name,
    check,
    check_is,
    groups,
    layout,
    planned,
)
from minigrad.philox import mask_key

_FLOATS = ("float16", "float", "double")
SOURCE = Source(
    "dropout.cu",
    (
        "keep_mask",
        *(f"dropout_forward<{t}>" for t in _FLOATS),
        *(f"masked_scale<{t}>" for t in _FLOATS),
    ),
)
_THREADS = 256
_LANES = 32  # elements that one Philox block decides
_BOOL = np.dtype(np.bool_)  # quicker than the type when an array is made


def keep_mask(launch: Launcher, out: Any, state: tuple[int, int, int], threshold: int) -> Any:
    """Fill ``out`` with a keep mask (defined by `definitions.keep_mask`).

    Args:
        launch: what launches.
        out: booleans of any shape.
        state: seed, stream and offset of the draw, each from 0 to 2⁶⁴ - 1. It uses up one offset
            for every 32 elements or part of them.
        threshold: 0 to 2³²: round(p · 2³²) drops with probability p.

    Returns:
        ``out`` itself.
    """
    launch(_mask_plan(layout(out)), (out,), _draw(state, threshold))
    return out


@planned
def _mask_plan(out: Layout) -> Plan:
    check("keep_mask", out=out)
    check_is("keep_mask", "out", out, np.bool_, out[1])
    return _plan("keep_mask", out, _LANES)


def masked_scale(
    launch: Launcher, x: Any, keep: Any, scale: float, out: Any = None, draw: Any = None
) -> Any:
    """Return ``x * keep * scale`` (defined by `definitions.masked_scale`).

    Args:
        launch: what launches.
        x: float16, float32 or float64.
        keep: booleans of the shape of x.
        scale: a number, rounded to the dtype of x.
        out: an array like x to write into, x itself included.
        draw: None, or the state and threshold of a mask to be drawn into ``keep`` in the same
            launch; see `dropout_forward`.
    """
    if draw is not None:
        state, threshold = draw
        return dropout_forward(launch, x, state, threshold, scale, out, keep)[0]
    if x.dtype == np.float16 and scale > 65504:
        raise RefusedError(f"masked_scale's scale of {scale} is beyond the range of float16")
    if not isinstance(scale, float | int):
        raise RefusedError(f"masked_scale needs a number as scale, got {type(scale).__name__}")
    y = np.empty_like(x) if out is None else out
    launch(_scale_plan(layout(x), layout(keep), layout(y), scale), (x, keep, y))
    return y


@planned
def _scale_plan(x: Layout, keep: Layout, out: Layout, scale: float) -> Plan:
    name, (dtype, shape, *_) = "masked_scale", x
    check(name, x=x, keep=keep, out=out)
    t = c_name(name, "x", x, *_FLOATS)
    check_is(name, "keep", keep, np.bool_, shape)
    check_is(name, "out", out, dtype, shape)
    return _plan(f"{name}<{t}>", x, 16 // dtype.itemsize, dtype.type(scale))


def dropout_forward(
    launch: Launcher,
    x: Any,
    state: tuple[int, int, int],
    threshold: int,
    scale: float,
    out: Any = None,
    keep: Any = None,
) -> tuple[Any, Any]:
    """Draw a mask and apply it in one launch (defined by `definitions.dropout_forward`).

    Args:
        launch: what launches.
        x: float16, float32 or float64.
        state, threshold: as for `keep_mask`.
        scale: what kept elements are multiplied by, rounded to the dtype of x.
        out: an array like x to write into, x itself included.
        keep: booleans in the shape of x to write into.

    Returns:
        ``x * keep * scale``, and the keep mask, which `masked_scale` takes on the way back.
    """
    y = np.empty_like(x) if out is None else out
    keep = np.empty_like(x, dtype=_BOOL) if keep is None else keep
    plan = _forward_plan(layout(x), layout(y), layout(keep), scale)
    launch(plan, (x, y, keep), _draw(state, threshold))
    return y, keep


@planned
def _forward_plan(x: Layout, out: Layout, keep: Layout, scale: float) -> Plan:
    name, (dtype, shape, *_) = "dropout_forward", x
    check(name, x=x, out=out, keep=keep)
    check_is(name, "keep", keep, np.bool_, shape)
    t = c_name(name, "x", x, *_FLOATS)
    check_is(name, "out", out, dtype, shape)
    return _plan(f"{name}<{t}>", x, _LANES, dtype.type(scale))


def _plan(kernel: str, array: Layout, per_thread: int, *scalars: np.generic) -> Plan:
    n = math.prod(array[1])
    grid = (groups(n, _THREADS * per_thread),)
    return Plan(SOURCE, kernel, grid, (_THREADS,), (np.int64(n), *scalars))


def _draw(state: tuple[int, int, int], threshold: int) -> tuple[np.generic, ...]:
    if not 0 <= threshold <= 2**32:
        raise ValueError(f"dropout needs a threshold from 0 to 2**32, got {threshold}")
    seed, stream, offset = state
    key = np.uint64(mask_key(*state))
    return _word(seed), _word(stream), np.uint64(offset), _word(threshold), key


_word = functools.lru_cache(maxsize=64)(np.uint64)
