"""The sum over all dimensions but the last ones: what the gradient of a bias is."""

from __future__ import annotations

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
    empty,
    groups,
    layout,
    planned,
)

_FLOATS = ("float", "double")
SOURCE = Source("sums.cu", tuple(f"sum_rows<{t}>" for t in _FLOATS))
_TILE = 32
_MOST_ROWS = 8192  # from there on it pays to cut columns into pieces, as CuPy does


def sum_rows(launch: Launcher, x: Any, lead: int) -> Any:
    """Return the sum over the first dimensions (defined by `definitions.sum_rows`).

    It is taken in an order that never changes.

    Args:
        launch: what launches.
        x: float32 or float64, with 1 to 8192 rows: the product of the first ``lead`` sizes.
        lead: how many dimensions to sum over, at least 1 and less than all.
    """
    plan = _plan(layout(x), lead)
    sums = empty(x, x.shape[lead:], x.dtype)
    launch(plan, (x, sums))
    return sums


@planned
def _plan(x: Layout, lead: int) -> Plan:
    name, shape = "sum_rows", x[1]
    check(name, x=x)
    t = c_name(name, "x", x, *_FLOATS)
    rows, columns = math.prod(shape[:lead]), math.prod(shape[lead:])
    if not 0 < lead < len(shape) or not 0 < rows <= _MOST_ROWS:
        raise RefusedError(
            f"{name} sums over some dimensions and leaves some, and takes 1 to {_MOST_ROWS} rows: "
            f"got shape {shape} to be summed over its first {lead}"
        )
    grid, block = (groups(columns, _TILE),), (_TILE, _TILE)
    return Plan(SOURCE, f"{name}<{t}>", grid, block, (np.int64(rows), np.int64(columns)))
