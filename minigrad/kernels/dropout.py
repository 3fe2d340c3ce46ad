"""Dropout: a keep mask, and what it leaves of an array, on the way forward and back."""

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
    empty,
    groups,
    layout,
    planned,
)
from minigrad.philox import philox

_FLOATS = ("float16", "float", "double")
_MASKS = ("keep_mask", "keep_mask_after", "advance")
SOURCE = Source("dropout.cu", (*_MASKS, *(f"masked_scale<{t}>" for t in _FLOATS)))
_THREADS = 256
_LANES = 32  # elements that one Philox block decides


def keep_mask(launch: Launcher, out: Any, state: tuple[int, int, int], p: float) -> Any:
    """Fill ``out`` with the mask of `minigrad.masks.keep_mask` (and `definitions.keep_mask`).

    Args:
        launch: what launches.
        out: booleans of any shape.
        state: seed, stream and offset, each from 0 to 2⁶⁴ - 1.
        p: the probability of an element to be dropped, 0 to 1.

    Returns:
        ``out`` itself.
    """
    threshold = _threshold("keep_mask", p)
    seed, stream, offset = state
    key = philox(*state, 1, purpose=1)[0] if threshold % 2**24 else _word(0)
    draw = _word(seed), _word(stream), np.uint64(offset), _word(threshold), key
    launch(_mask_plan("keep_mask", layout(out)), (out,), draw)
    return out


def keep_mask_after(launch: Launcher, out: Any, state: Any, blocks: int, p: float) -> Any:
    """Fill ``out`` with the mask of the state a number of blocks after the one in memory.

    Args:
        launch: what launches.
        out: booleans of any shape.
        state: uint64, (3,): seed, stream and offset.
        blocks: what is added to the offset, 0 to 2⁶⁴ - 1.
        p: the probability of an element to be dropped, 0 to 1.

    Returns:
        ``out`` itself.
    """
    draw = np.uint64(blocks), _word(_threshold("keep_mask_after", p))
    launch(_mask_plan("keep_mask_after", layout(out), layout(state)), (out, state), draw)
    return out


def advance(launch: Launcher, state: Any, blocks: int) -> None:
    """Add a number of blocks to the offset of a state in memory, as of `keep_mask_after`."""
    launch(_advance_plan(layout(state)), (state,), (np.uint64(blocks),))


def _threshold(name: str, p: float) -> int:
    if not 0 <= p <= 1:
        raise ValueError(f"{name} needs a p from 0 to 1, got {p}")
    return round(float(p) * 2**32)


@planned
def _mask_plan(name: str, out: Layout, state: Layout | None = None) -> Plan:
    check(name, out=out, state=state)
    check_is(name, "out", out, np.bool_, out[1])
    if state is not None:
        check_is(name, "state", state, np.uint64, (3,))
    return _plan(name, out, _LANES)


@planned
def _advance_plan(state: Layout) -> Plan:
    check("advance", state=state)
    check_is("advance", "state", state, np.uint64, (3,))
    return Plan(SOURCE, "advance", (1,), (1,))


def masked_scale(launch: Launcher, x: Any, keep: Any, scale: float) -> Any:
    """Return ``x * keep * scale`` (defined by `definitions.masked_scale`).

    Args:
        launch: what launches.
        x: float16, float32 or float64.
        keep: booleans of the shape of x.
        scale: a number, rounded to the dtype of x; within the range of float16 for that dtype.
    """
    if not isinstance(scale, float | int):
        raise RefusedError(f"masked_scale needs a number as scale, got {type(scale).__name__}")
    if x.dtype == np.float16 and abs(scale) > 65504:
        raise RefusedError(f"masked_scale's scale of {scale} is beyond the range of float16")
    y = empty(x, x.shape, x.dtype)
    launch(_scale_plan(layout(x), layout(keep), scale), (x, keep, y))
    return y


@planned
def _scale_plan(x: Layout, keep: Layout, scale: float) -> Plan:
    name, (dtype, shape, *_) = "masked_scale", x
    check(name, x=x, keep=keep)
    t = c_name(name, "x", x, *_FLOATS)
    check_is(name, "keep", keep, np.bool_, shape)
    return _plan(f"{name}<{t}>", x, 16 // dtype.itemsize, dtype.type(scale))


def _plan(kernel: str, array: Layout, per_thread: int, *scalars: np.generic) -> Plan:
    n = math.prod(array[1])
    grid = (groups(n, _THREADS * per_thread),)
    return Plan(SOURCE, kernel, grid, (_THREADS,), (np.int64(n), *scalars))


_word = functools.lru_cache(maxsize=64)(np.uint64)
