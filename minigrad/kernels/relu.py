"""The rectifier in one launch, and the way back in another."""

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
    empty,
    groups,
    layout,
    planned,
)

_FLOATS = ("float", "double")
SOURCE = Source(
    "relu.cu", tuple(f"{k}<{t}>" for k in ("relu_forward", "relu_backward") for t in _FLOATS)
)
_THREADS = 256


def relu_forward(launch: Launcher, x: Any, out: Any = None) -> Any:
    """Return max(x, 0) (defined by `definitions.relu_forward`).

    Args:
        launch: what launches.
        x: float32 or float64.
        out: an array like x to write into, x itself included.
    """
    y = empty(x, x.shape, x.dtype) if out is None else out
    launch(_plan("relu_forward", layout(x), layout(y)), (x, y))
    return y


def relu_backward(launch: Launcher, g: Any, y: Any) -> Any:
    """Return the gradient of x (defined by `definitions.relu_backward`).

    Args:
        launch: what launches.
        g: the gradient that flows in, float32 or float64.
        y: what `relu_forward` returned.
    """
    plan = _plan("relu_backward", layout(g), layout(y))
    dx = empty(g, g.shape, g.dtype)
    launch(plan, (g, y, dx))
    return dx


@planned
def _plan(name: str, x: Layout, y: Layout) -> Plan:
    dtype, shape, *_ = x
    first, second = ("x", "out") if name == "relu_forward" else ("g", "y")
    check(name, **{first: x, second: y})
    t = c_name(name, first, x, *_FLOATS)
    check_is(name, second, y, dtype, shape)
    n = math.prod(shape)
    return Plan(SOURCE, f"{name}<{t}>", (groups(n, _THREADS),), (_THREADS,), (np.int64(n),))
