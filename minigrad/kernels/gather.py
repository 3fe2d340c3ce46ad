"""Batches from a data set of bytes that lives on the device."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad.kernels.flag import index_in
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

_INDICES = ("int", "long long")
SOURCE = Source("gather.cu", tuple(f"gather_rows<{index}>" for index in _INDICES))
_THREADS = 256
_FLOAT = np.dtype(np.float32)  # quicker than the type when an array is made


def gather_rows(launch: Launcher, data: Any, index: Any, wrong: Any, divisor: float = 255.0) -> Any:
    """Return rows of a data set as floats (defined by `definitions.gather_rows`).

    Args:
        launch: what launches.
        data: uint8, (n, ...), n being at least 1.
        index: int32 or int64, 1-D, from -n to n - 1.
        wrong: a flag (`minigrad.kernels.flag`) that indices out of range set; their rows are NaN.
        divisor: what bytes are divided by.

    Returns:
        float32, (len(index), ...).
    """
    plan = _plan(layout(data), layout(index), layout(wrong), divisor)
    out = empty(data, index.shape + data.shape[1:], _FLOAT)
    launch(plan, (data, index, out, wrong))
    return out


@planned
def _plan(data: Layout, index: Layout, wrong: Layout, divisor: float) -> Plan:
    name, shape, batch = "gather_rows", data[1], index[1]
    check(name, data=data, index=index, wrong=wrong)
    check_is(name, "data", data, np.uint8, shape)
    t = c_name(name, "index", index, *_INDICES)
    check_is(name, "wrong", wrong, np.uint64, (1,))
    if len(batch) != 1 or not shape or shape[0] == 0:
        raise RefusedError(
            f"{name} needs data with rows and a 1-D index, got shapes {shape} and {batch}"
        )
    columns = math.prod(shape[1:])
    grid = (batch[0] * groups(columns, _THREADS),)
    scalars = (np.int64(shape[0]), np.int64(columns), np.float32(divisor))
    return Plan(SOURCE, f"{name}<{t}>", grid, (_THREADS,), scalars)


@functools.cache
def wrong_row(rows: int) -> Callable[[int], IndexError]:
    """Return a function that gives the error for the word of a flag that `gather_rows` has set."""
    return lambda word: IndexError(
        f"index {index_in(word)} is out of bounds for a data set of {rows} examples"
    )
