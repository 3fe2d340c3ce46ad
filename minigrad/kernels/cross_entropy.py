"""Softmax cross-entropy against class indices: the loss, and its gradient, mostly a launch each."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad.kernels.flag import index_in
from minigrad.kernels.launch import (
    NULL,
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

_FLOATS = ("float", "double")
_LABELS = ("int", "long long")
SOURCE = Source(
    "cross_entropy.cu",
    (
        *(f"cross_entropy_forward<{t}, {label}>" for t in _FLOATS for label in _LABELS),
        *(f"cross_entropy_finish<{t}>" for t in _FLOATS),
        *(f"cross_entropy_divisor<{t}, {label}>" for t in _FLOATS for label in _LABELS),
        *(f"cross_entropy_backward<{t}, {label}>" for t in _FLOATS for label in _LABELS),
    ),
)
_THREADS, _WARPS = 1024, 32
_ONE_BLOCK = 512  # rows, of 32 classes each, that one block is quick enough for
_MOST_BLOCKS = 256
_COUNTED_BY_ALL = 16384  # rows up to which each block of the backward kernel counts them itself


def cross_entropy_forward(
    launch: Launcher,
    x: Any,
    labels: Any,
    wrong: Any,
    weight: Any = None,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
) -> Any:
    """Return the loss (defined by `definitions.cross_entropy_forward`).

    Two launches if there are many rows.

    Args:
        launch: what launches.
        x: logits, float32 or float64, (N, C), (C,) or (N, C, d1, ...), C being at least 1.
        labels: int32 or int64, in the shape of x without C.
        wrong: a flag (`minigrad.kernels.flag`) that labels out of range set; their losses are NaN.
        weight: (C,), in the dtype of x, a factor for each class; None for ones.
        ignore_index: the label of rows that do not count.
        label_smoothing: ε, 0 to 1.
        reduction: ``"mean"``, ``"sum"``, or ``"none"`` for the losses, in the shape of labels.
    """
    settings = ignore_index, label_smoothing, reduction
    by = None if weight is None else layout(weight)
    plan, finish = _forward_plans(layout(x), layout(labels), layout(wrong), by, *settings)
    weight = NULL if weight is None else weight
    if reduction == "none":
        losses = empty(x, labels.shape, x.dtype)
        launch(plan, (x, labels, weight, losses, NULL, NULL, wrong))
        return losses
    loss = empty(x, (), x.dtype)
    if finish is None:
        launch(plan, (x, labels, weight, NULL, loss, NULL, wrong))
        return loss
    sums = empty(x, (plan.grid[0], 2), np.float64)
    launch(plan, (x, labels, weight, NULL, NULL, sums, wrong))
    launch(finish, (sums, loss))
    return loss


@planned
def _forward_plans(
    x: Layout,
    labels: Layout,
    wrong: Layout,
    weight: Layout | None,
    ignore_index: int,
    label_smoothing: float,
    reduction: str,
) -> tuple[Plan, Plan | None]:
    name, mean = "cross_entropy_forward", np.bool_(reduction == "mean")
    t, label, rows, classes, inner = _checked(name, x, labels, weight, wrong=wrong)
    check_is(name, "wrong", wrong, np.uint64, (1,))
    blocks = min(groups(rows, _WARPS), _MOST_BLOCKS)
    if reduction != "none" and rows * groups(classes, 32) <= _ONE_BLOCK:
        blocks = 1  # also for no rows: they too have a mean
    scalars = _scalars(rows, classes, inner, ignore_index, label_smoothing)
    plan = Plan(SOURCE, f"{name}<{t}, {label}>", (blocks,), (_THREADS,), (*scalars, mean))
    if reduction == "none" or blocks == 1:
        return plan, None
    more = np.int32(blocks), mean
    return plan, Plan(SOURCE, f"cross_entropy_finish<{t}>", (1,), (256,), more)


def cross_entropy_backward(
    launch: Launcher,
    g: Any,
    x: Any,
    labels: Any,
    weight: Any = None,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
) -> Any:
    """Return the gradient of the logits (defined by `definitions.cross_entropy_backward`).

    Args:
        launch: what launches.
        g: the gradient that flows in, in the dtype of x: 0-d, or with ``reduction="none"`` in the
            shape of labels.
        x, labels, weight, ignore_index, label_smoothing, reduction: as of `cross_entropy_forward`.
    """
    settings = ignore_index, label_smoothing, reduction
    by = None if weight is None else layout(weight)
    count, plan = _backward_plans(layout(g), layout(x), layout(labels), by, *settings)
    weight, divisor = NULL if weight is None else weight, NULL
    if count is not None:
        divisor = empty(x, (), x.dtype)
        launch(count, (labels, weight, divisor))
    dx = empty(x, x.shape, x.dtype)
    launch(plan, (g, x, labels, weight, divisor, dx))
    return dx


@planned
def _backward_plans(
    g: Layout,
    x: Layout,
    labels: Layout,
    weight: Layout | None,
    ignore_index: int,
    label_smoothing: float,
    reduction: str,
) -> tuple[Plan | None, Plan]:
    name, mean, each = "cross_entropy_backward", reduction == "mean", reduction == "none"
    t, label, rows, classes, inner = _checked(name, x, labels, weight, g=g)
    check_is(name, "g", g, x[0], labels[1] if each else ())
    scalars = _scalars(rows, classes, inner, ignore_index, label_smoothing)
    more = (*scalars, np.bool_(each), np.bool_(mean))
    grid, block = (groups(rows, _WARPS),), (_THREADS,)
    plan = Plan(SOURCE, f"{name}<{t}, {label}>", grid, block, more)
    if not mean or rows <= _COUNTED_BY_ALL:
        return None, plan
    these = np.int64(rows), np.int64(classes), np.int64(ignore_index)
    return Plan(SOURCE, f"cross_entropy_divisor<{t}, {label}>", (1,), block, these), plan


def _checked(
    name: str, x: Layout, labels: Layout, weight: Layout | None, **more: Layout
) -> tuple[str, str, int, int, int]:
    """Return the C types of x and labels, and numbers: rows, classes, elements between classes."""
    dtype, shape, *_ = x
    check(name, x=x, labels=labels, weight=weight, **more)
    t, label = c_name(name, "x", x, *_FLOATS), c_name(name, "labels", labels, *_LABELS)
    dim = _class_dim(shape)
    if not shape or shape[dim] == 0:
        raise RefusedError(f"{name} needs logits of at least one class, got shape {shape}")
    check_is(name, "labels", labels, labels[0], shape[:dim] + shape[dim + 1 :])
    if weight is not None:
        check_is(name, "weight", weight, dtype, (shape[dim],))
    return t, label, math.prod(labels[1]), shape[dim], math.prod(shape[dim + 1 :])


def _scalars(
    rows: int, classes: int, inner: int, ignore_index: int, label_smoothing: float
) -> tuple[np.generic, ...]:
    off = label_smoothing / classes
    numbers = (np.int64(n) for n in (rows, classes, inner, ignore_index))
    return (*numbers, np.float64(1 - label_smoothing + off), np.float64(off))


def _class_dim(shape: tuple[int, ...]) -> int:
    return min(len(shape) - 1, 1)


@functools.cache
def wrong_label(classes: int, ignore_index: int) -> Callable[[int], IndexError]:
    """Return a function that gives the error for the word of a flag that a label has set."""
    return lambda word: IndexError(
        f"Target {index_in(word)} is out of bounds: expected class indices from 0 to "
        f"{classes - 1}, or ignore_index={ignore_index}"
    )
