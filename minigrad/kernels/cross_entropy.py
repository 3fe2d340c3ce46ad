"""Softmax cross-entropy against class indices: the losses, and the gradient found on the way."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad.kernels.flag import set_flag, wrong_index
from minigrad.kernels.launch import (
    NULL,
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
_LABELS = ("int", "long long")
SOURCE = Source(
    "cross_entropy.cu",
    (
        *(f"cross_entropy_rows<{t}, {label}>" for t in _FLOATS for label in _LABELS),
        *(f"cross_entropy_reduce<{t}>" for t in _FLOATS),
        *(f"cross_entropy_backward<{t}>" for t in _FLOATS),
    ),
)


def cross_entropy_rows_in_numpy(
    x: np.ndarray,
    labels: np.ndarray,
    wrong: np.ndarray,
    weight: np.ndarray | None = None,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Define `cross_entropy_rows`.

    With q_c = weight_c ((1 - ε) [c = label] + ε/C), and q = 0 where the label is ignored, the loss
    of a row is -Σ_c q_c log softmax(x)_c and its gradient softmax(x) Σ_c q_c - q.
    """
    dim = min(x.ndim - 1, 1)
    classes = x.shape[dim]
    rows = np.moveaxis(x, dim, -1)  # a view whose last dimension is that of the classes
    counted = labels != ignore_index
    bad = counted & ((labels < 0) | (labels >= classes))
    set_flag(wrong, labels[bad])
    hot = labels[..., None] == np.arange(classes)
    q = hot * (1 - label_smoothing) + label_smoothing / classes
    q = (q * counted[..., None] * (1 if weight is None else weight)).astype(x.dtype)
    y = rows - rows.max(-1, keepdims=True)
    total = np.exp(y).sum(-1, keepdims=True)
    losses = -(q * np.where(q == 0, 0, y - np.log(total))).sum(-1)
    gradient = np.exp(y) / total * q.sum(-1, keepdims=True) - q
    counts = np.ones(classes, x.dtype) if weight is None else weight
    counts = np.where(counted & ~bad, counts[np.where(bad | ~counted, 0, labels)], 0)
    losses = np.where(bad, np.nan, losses).astype(x.dtype)
    gradient[bad] = 0
    return losses, counts.astype(x.dtype), np.ascontiguousarray(np.moveaxis(gradient, -1, dim))


def cross_entropy_rows(
    launch: Launcher,
    x: Any,
    labels: Any,
    wrong: Any,
    weight: Any = None,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
) -> tuple[Any, Any, Any]:
    """Return losses and gradient in one launch; see `cross_entropy_rows_in_numpy`.

    Args:
        launch: what launches.
        x: logits, float32 or float64, (N, C), (C,) or (N, C, d1, ...), C being at least 1.
        labels: int32 or int64, in the shape of x without C.
        wrong: a flag (`minigrad.kernels.flag`) that labels out of range set; their losses are NaN
            and their gradients zeros.
        weight: (C,), in the dtype of x, a factor for each class; None for ones.
        ignore_index: the label of rows that do not count.
        label_smoothing: ε, 0 to 1.

    Returns:
        The losses, in the shape of labels; what each row counts in a mean, in the same shape; and
        the gradient of each loss with respect to its row of x, in the shape of x.
    """
    plan = _rows_plan(
        layout(x),
        layout(labels),
        layout(wrong),
        None if weight is None else layout(weight),
        ignore_index,
        label_smoothing,
    )
    losses = empty(x, labels.shape)
    counts, gradient = np.empty_like(losses), np.empty_like(x)
    weight = NULL if weight is None else weight
    launch(plan, (x, labels, weight, losses, counts, gradient, wrong))
    return losses, counts, gradient


@planned
def _rows_plan(
    x: Layout,
    labels: Layout,
    wrong: Layout,
    weight: Layout | None,
    ignore_index: int,
    label_smoothing: float,
) -> Plan:
    name, (dtype, shape, *_) = "cross_entropy_rows", x
    check(name, x=x, labels=labels, wrong=wrong, weight=weight)
    t = c_name(name, "x", x, *_FLOATS)
    label = c_name(name, "labels", labels, *_LABELS)
    rest, classes, inner = _split(shape)
    if classes == 0:
        raise ValueError(f"{name} needs logits of at least one class, got shape {shape}")
    check_is(name, "labels", labels, labels[0], rest)
    check_is(name, "wrong", wrong, np.uint64, (1,))
    if weight is not None:
        check_is(name, "weight", weight, dtype, (classes,))
    rows, off = math.prod(rest), label_smoothing / classes
    return Plan(
        SOURCE,
        f"{name}<{t}, {label}>",
        (groups(rows, 4),),
        (4 * 32,),  # a warp for each row
        (
            *(np.int64(n) for n in (rows, classes, inner, ignore_index)),
            *(np.float64(q) for q in (1 - label_smoothing + off, off)),
        ),
    )


def _split(shape: tuple[int, ...]) -> tuple[tuple[int, ...], int, int]:
    """Return the shape without its classes, their number, and how far apart they stand."""
    dim = min(len(shape) - 1, 1)
    return shape[:dim] + shape[dim + 1 :], shape[dim], math.prod(shape[dim + 1 :])


def cross_entropy_reduce_in_numpy(
    losses: np.ndarray, counts: np.ndarray, mean: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Define `cross_entropy_reduce`: Σ losses / divisor, the divisor being Σ counts or 1.

    Of nothing the mean is NaN, and the divisor 1: gradients are zeros then, not NaN.
    """
    total, count = losses.sum(), counts.sum()
    if mean and count == 0:
        total = losses.dtype.type(np.nan)
    divisor = count if mean and count else losses.dtype.type(1)
    return np.asarray(total / divisor), np.asarray(divisor)


def cross_entropy_reduce(launch: Launcher, losses: Any, counts: Any, mean: bool) -> tuple[Any, Any]:
    """Return the sum or mean of losses, in an order that never changes.

    Args:
        launch: what launches.
        losses, counts: from `cross_entropy_rows`.
        mean: whether to divide by the sum of counts.

    Returns:
        The loss, 0-d, and what it was divided by, 0-d; see `cross_entropy_reduce_in_numpy`.
    """
    plan = _reduce_plan(layout(losses), layout(counts), mean)
    loss, divisor = empty(losses, ()), empty(losses, ())
    launch(plan, (losses, counts, loss, divisor))
    return loss, divisor


@planned
def _reduce_plan(losses: Layout, counts: Layout, mean: bool) -> Plan:
    name, (dtype, shape, *_) = "cross_entropy_reduce", losses
    check(name, losses=losses, counts=counts)
    t = c_name(name, "losses", losses, *_FLOATS)
    check_is(name, "counts", counts, dtype, shape)
    scalars = (np.int64(math.prod(shape)), np.bool_(mean))
    return Plan(SOURCE, f"{name}<{t}>", (1,), (1024,), scalars)


def cross_entropy_backward_in_numpy(
    g: np.ndarray, gradient: np.ndarray, divisor: np.ndarray | None = None
) -> np.ndarray:
    """Define `cross_entropy_backward`: gradient · (g / divisor), g spread along the classes."""
    if g.ndim:
        g = np.expand_dims(g, min(gradient.ndim - 1, 1))
    return np.asarray(gradient * (g if divisor is None else g / divisor))


def cross_entropy_backward(
    launch: Launcher, g: Any, gradient: Any, divisor: Any = None, out: Any = None
) -> Any:
    """Return the gradient of the logits; see `cross_entropy_backward_in_numpy`.

    Args:
        launch: what launches.
        g: the gradient that flows in: 0-d, or one number for each row, in the shape of the labels.
        gradient: from `cross_entropy_rows`.
        divisor: from `cross_entropy_reduce`; None for losses that were not reduced.
        out: an array to write into, ``gradient`` itself included.
    """
    out = np.empty_like(gradient) if out is None else out
    by = None if divisor is None else layout(divisor)
    plan = _backward_plan(layout(g), layout(gradient), by, layout(out))
    launch(plan, (g, gradient, NULL if divisor is None else divisor, out))
    return out


@planned
def _backward_plan(g: Layout, gradient: Layout, divisor: Layout | None, out: Layout) -> Plan:
    name, (dtype, shape, *_) = "cross_entropy_backward", gradient
    check(name, g=g, gradient=gradient, divisor=divisor, out=out)
    t = c_name(name, "gradient", gradient, *_FLOATS)
    rest, classes, inner = _split(shape)
    check_is(name, "g", g, dtype, rest if g[1] else ())
    check_is(name, "out", out, dtype, shape)
    if divisor is not None:
        check_is(name, "divisor", divisor, dtype, ())
    n = math.prod(shape)
    scalars = (np.int64(n), np.int64(classes), np.int64(inner), np.bool_(len(g[1]) > 0))
    return Plan(SOURCE, f"{name}<{t}>", (groups(n, 256),), (256,), scalars)


def raise_wrong_label(wrong: Any, classes: int, ignore_index: int = -100) -> None:
    """Raise if a flag says that a label was out of range; this waits for the device.

    Args:
        wrong: the flag that `cross_entropy_rows` was given, once or often.
        classes, ignore_index: for the message.

    Raises:
        IndexError: there was such a label.
    """
    label = wrong_index(wrong)
    if label is not None:
        raise IndexError(
            f"Target {label} is out of bounds: expected class indices from 0 to {classes - 1}, or "
            f"ignore_index={ignore_index}"
        )
