"""Indices that are on the device already: whether they are in range, in one launch for all."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minigrad.kernels.flag import index_in
from minigrad.kernels.launch import (
    Launcher,
    Layout,
    Plan,
    RefusedError,
    Source,
    as_bytes,
    check,
    check_is,
    groups,
    layout,
    planned,
)

SOURCE = Source("index.cu", ("check_indices",))
MOST = 8  # arrays in a launch; as in the source
_THREADS, _MOST_BLOCKS = 256, 1024

#: The struct of the same name in the source.
INDICES = np.dtype(
    [
        ("at", np.uint64, MOST),
        ("count", np.int64, MOST),
        ("size", np.int64, MOST),
        ("bytes", np.int32, MOST),
    ],
    align=True,
)


def check_indices(
    launch: Launcher, indices: Sequence[Any], sizes: Sequence[int], wrong: Any
) -> None:
    """Set a flag if an index is out of range (defined by `definitions.check_indices`).

    Args:
        launch: launches kernels on the device of the indices.
        indices: arrays of integers, of any dtype and shape, up to 8.
        sizes: for each the size n, at least 1, of the dimension that it chooses from: -n to n - 1
            are in range.
        wrong: a flag (`minigrad.kernels.flag`).
    """
    plan, lacking = _plan(tuple(map(layout, indices)), tuple(sizes), layout(wrong))
    struct = lacking.copy()  # other threads have the same plan
    struct.view(INDICES)["at"][: len(indices)] = [array.data.ptr for array in indices]
    launch(plan, (struct, np.int32(len(indices)), wrong))


@planned
def _plan(
    indices: tuple[Layout, ...], sizes: tuple[int, ...], wrong: Layout
) -> tuple[Plan, np.ndarray]:
    name = "check_indices"
    check(name, wrong=wrong, **{f"indices[{i}]": array for i, array in enumerate(indices)})
    check_is(name, "wrong", wrong, np.uint64, (1,))
    if not 0 < len(indices) <= MOST:
        raise RefusedError(f"{name} takes 1 to {MOST} arrays, got {len(indices)}")
    table, counts = np.zeros((), INDICES), [math.prod(shape) for _, shape, *_ in indices]
    for i, ((dtype, *_), count, size) in enumerate(zip(indices, counts, sizes, strict=True)):
        if dtype.kind not in "iu" or size < 1:
            raise RefusedError(
                f"{name} takes integers for sizes of at least 1, got indices[{i}] of dtype {dtype} "
                f"for {size}"
            )
        signed = dtype.kind == "i"
        table["count"][i], table["size"][i] = count, size
        table["bytes"][i] = -dtype.itemsize if signed else dtype.itemsize
    blocks = min(groups(max(counts), _THREADS), _MOST_BLOCKS)
    return Plan(SOURCE, name, (blocks,), (_THREADS,)), as_bytes(table)


@functools.cache
def wrong_place(sizes: tuple[tuple[int, int], ...]) -> Callable[[int], IndexError]:
    """Return a function that gives the error for the word of a flag that `check_indices` has set.

    Args:
        sizes: the dimensions that were indexed, and their sizes.
    """

    def error(word: int) -> IndexError:
        index = index_in(word)
        at = [f"{dim} with size {n}" for dim, n in sizes if not -n <= index < n]
        return IndexError(f"index {index} is out of bounds for dimension {' or '.join(at)}")

    return error
