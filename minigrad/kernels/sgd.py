"""Stochastic gradient descent on all parameters of a group in one launch."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

from minigrad.kernels.launch import (
    NULL,
    Launcher,
    Layout,
    Plan,
    Source,
    as_bytes,
    c_name,
    check,
    check_is,
    groups,
    layout,
    planned,
)

SOURCE = Source("sgd.cu", ("sgd_step<float>", "sgd_step<double>"))
_TENSORS, _CHUNK = 96, 2048  # as in the source

#: The struct of the same name in the source.
TENSORS = np.dtype(
    [
        ("parameter", np.uint64, _TENSORS),
        ("gradient", np.uint64, _TENSORS),
        ("buffer", np.uint64, _TENSORS),
        ("size", np.int64, _TENSORS),
        ("first_block", np.int32, _TENSORS + 1),
        ("fresh", np.bool_, _TENSORS),
    ],
    align=True,
)

#: Of a parameter, its gradient and its buffer.
Trio: TypeAlias = tuple[Layout, Layout, Layout | None]


def sgd_step(
    launch: Launcher,
    parameters: Sequence[Any],
    gradients: Sequence[Any],
    buffers: Sequence[Any] | None = None,
    fresh: Sequence[bool] = (),
    lr: float = 1e-3,
    momentum: float = 0.0,
    dampening: float = 0.0,
    weight_decay: float = 0.0,
    nesterov: bool = False,
    maximize: bool = False,
    now: Any = None,
) -> None:
    """Change parameters and momentum buffers in place (defined by `definitions.sgd_step`).

    One launch serves up to 96 parameters of one dtype; none copies anything to the device.

    Args:
        launch: what launches.
        parameters: float32 or float64, each.
        gradients: of the shapes and dtypes of the parameters.
        buffers: likewise; None, and only then, without momentum.
        fresh: for each parameter, whether its buffer is yet to be filled, with the gradient as it
            is after weight decay; what it holds is not read.
        lr, momentum, dampening, weight_decay, nesterov, maximize: as of `minigrad.optim.SGD`.
        now: the settings in memory, which count instead: float64, (6,), as of `settings_in_memory`.

    Raises:
        TypeError: a dtype is another.
        ValueError: shapes or lengths do not fit; there is momentum and no buffers, or the reverse.
    """
    if (buffers is not None) != (momentum != 0):
        has = "no buffers" if buffers is None else "buffers"
        raise ValueError(f"sgd_step takes buffers with momentum only: got {has}, and {momentum=}")
    fresh = fresh or [False] * len(parameters)
    held = buffers or [None] * len(parameters)
    if now is not None:
        check_is("sgd_step", "now", layout(now), np.float64, (6,))
    trios = tuple(
        (layout(p), layout(g), None if b is None else layout(b))
        for p, g, b in zip(parameters, gradients, held, strict=True)
    )
    for dtype, plan, lacking, members in _plans(trios):
        struct = lacking.copy()  # other threads have the same plan
        table = struct.view(TENSORS)
        for name, arrays in ("parameter", parameters), ("gradient", gradients), ("buffer", buffers):
            if arrays is not None:
                table[name][: len(members)] = [arrays[i].data.ptr for i in members]
        if buffers is not None:
            table["fresh"][: len(members)] = [fresh[i] for i in members]
        settings = _settings(dtype, lr, momentum, dampening, weight_decay, nesterov, maximize)
        launch(plan, (struct,), (*settings, NULL if now is None else now))


@functools.lru_cache(maxsize=64)
def _plans(
    trios: tuple[Trio, ...],
) -> list[tuple[np.dtype[Any], Plan, np.ndarray, list[int]]]:
    """Return the launches that serve these tensors.

    Each is a dtype, a plan, a ``Tensors`` as bytes without addresses, and which tensors it is for.
    """
    name = "sgd_step"
    kinds: dict[str, list[int]] = {}
    for i, (p, g, b) in enumerate(trios):
        dtype, shape, *_ = p
        check(name, parameter=p, gradient=g, buffer=b)
        t = c_name(name, "parameters", p, "float", "double")
        check_is(name, "gradients", g, dtype, shape)
        if b is not None:
            check_is(name, "buffers", b, dtype, shape)
        if math.prod(shape):
            kinds.setdefault(t, []).append(i)
    plans = []
    for t, kind in kinds.items():
        for some in (kind[i : i + _TENSORS] for i in range(0, len(kind), _TENSORS)):
            table, n = np.zeros((), TENSORS), len(some)
            sizes = [math.prod(trios[i][0][1]) for i in some]
            table["size"][:n] = sizes
            ends = np.cumsum([groups(size, _CHUNK) for size in sizes])
            table["first_block"][1 : n + 1] = ends
            plan = Plan(SOURCE, f"{name}<{t}>", (int(ends[-1]),), (256,), (np.int32(n),))
            plans.append((trios[some[0]][0][0], plan, as_bytes(table), some))
    return plans


def settings_in_memory(
    lr: float,
    momentum: float,
    dampening: float,
    weight_decay: float,
    nesterov: bool,
    maximize: bool,
) -> tuple[float, ...]:
    """Return settings as the kernel reads them from memory."""
    return lr, momentum, 1 - dampening, weight_decay, float(nesterov), float(maximize)


@planned
def _settings(
    dtype: np.dtype[Any],
    lr: float,
    momentum: float,
    dampening: float,
    weight_decay: float,
    nesterov: bool,
    maximize: bool,
) -> tuple[np.generic, ...]:
    numbers = (lr, momentum, 1 - dampening, weight_decay)
    flags = (weight_decay != 0, nesterov, maximize)
    return (*map(dtype.type, numbers), *map(np.bool_, flags))
