"""The end of a dense layer in one launch, and the way back in another."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad.kernels.launch import (
    Launcher,
    Layout,
    Plan,
    Source,
    c_name,
    check,
    check_is,
    groups,
    layout,
    planned,
)

_FLOATS = ("float", "double")
SOURCE = Source(
    "bias_relu.cu",
    (
        *(f"bias_relu_forward<{t}>" for t in _FLOATS),
        *(f"bias_relu_backward<{t}>" for t in _FLOATS),
    ),
)
_TILE = 32


def bias_relu_forward_in_numpy(x: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """Define `bias_relu_forward`: max(x + bias, 0), NaN where the sum is NaN."""
    return np.maximum(x + bias, x.dtype.type(0))


def bias_relu_forward(launch: Launcher, x: Any, bias: Any, out: Any = None) -> Any:
    """Return max(x + bias, 0); see `bias_relu_forward_in_numpy`.

    Args:
        launch: what launches.
        x: float32 or float64, (..., columns).
        bias: (columns,), in the dtype of x.
        out: an array like x to write into, x itself included.
    """
    y = np.empty_like(x) if out is None else out
    launch(_forward_plan(layout(x), layout(bias), layout(y)), (x, bias, y))
    return y


@planned
def _forward_plan(x: Layout, bias: Layout, out: Layout) -> Plan:
    name, (dtype, shape, *_) = "bias_relu_forward", x
    check(name, x=x, bias=bias, out=out)
    t = c_name(name, "x", x, *_FLOATS)
    check_is(name, "bias", bias, dtype, shape[-1:])
    check_is(name, "out", out, dtype, shape)
    rows, columns = math.prod(shape[:-1]), shape[-1]
    grid = (groups(columns, _TILE), min(groups(rows, 8), 65535))
    return Plan(SOURCE, f"{name}<{t}>", grid, (_TILE, 8), (np.int64(rows), np.int64(columns)))


def bias_relu_backward_in_numpy(g: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Define `bias_relu_backward`: dx = g · [y > 0], and its sum over all rows."""
    dx = g * (y > 0)
    return dx, dx.sum(axis=tuple(range(dx.ndim - 1)))


def bias_relu_backward(launch: Launcher, g: Any, y: Any, out: Any = None) -> tuple[Any, Any]:
    """Return the gradients of x and of the bias; see `bias_relu_backward_in_numpy`.

    Args:
        launch: what launches.
        g: the gradient that flows in, float32 or float64, (..., columns).
        y: what `bias_relu_forward` returned.
        out: an array like g to write the gradient of x into, g itself included.
    """
    dx = np.empty_like(g) if out is None else out
    plan = _backward_plan(layout(g), layout(y), layout(dx))
    dbias = np.empty_like(g, shape=g.shape[-1:])
    launch(plan, (g, y, dx, dbias))
    return dx, dbias


@planned
def _backward_plan(g: Layout, y: Layout, out: Layout) -> Plan:
    name, (dtype, shape, *_) = "bias_relu_backward", g
    check(name, g=g, y=y, out=out)
    t = c_name(name, "g", g, *_FLOATS)
    check_is(name, "y", y, dtype, shape)
    check_is(name, "out", out, dtype, shape)
    rows, columns = math.prod(shape[:-1]), shape[-1]
    grid, block = (groups(columns, _TILE),), (_TILE, _TILE)
    return Plan(SOURCE, f"{name}<{t}>", grid, block, (np.int64(rows), np.int64(columns)))
