"""Cross-entropy as single ops: of probabilities, and of class indices.

For class indices, without options, the loss of an example is four lines::

    log_p = log_softmax(x, dim=1)                             # of logits (N, C)
    picked = take_along_dim(log_p, labels[:, None], dim=1)    # of each row, that of its label
    losses = -picked.squeeze(1)
    loss = losses.mean()

That needs a node and an array of the logits' size for each line. `class_cross_entropy` is the same
as one op: it keeps only the logits and labels, its gradient is softmax - one_hot, and it saves
about 5 % of a training step. The price is that its second derivatives are written by hand.
`test_class_cross_entropy_is_its_definition` (tests/ops/test_cross_entropy.py) holds the two equal,
with their derivatives up to the third order.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad import kernels
from minigrad.device import raise_later, watched
from minigrad.fused import fused
from minigrad.ops.reduction import log_softmax, softmax
from minigrad.ops.summing import total, wide
from minigrad.table import differentiable

__all__ = ["class_cross_entropy", "softmax_cross_entropy"]


@differentiable(
    x=lambda g, x, q, dim: (
        np.expand_dims(g, dim) * (softmax(x, dim) * q.sum(axis=dim, keepdims=True) - q)
    ),
    q=lambda g, x, dim: -np.expand_dims(g, dim) * log_softmax(x, dim),
)
def softmax_cross_entropy(x: Any, q: Any, dim: int) -> Any:
    """Return -Σ_c q_c log softmax(x)_c along ``dim``.

    The gradient is softmax(x) - q where q sums to 1; nothing but the arguments is kept for it.

    Args:
        x: logits; finite or -inf.
        q: the weight of each class, of the shape of x: a one-hot row, probabilities, ...
        dim: the dimension of the classes.
    """
    log_p = log_softmax(x, dim)
    return -total(q * np.where(q == 0, 0, log_p), dim)


def _to_scale(
    v: Any,
    x: Any,
    labels: Any,
    weight: Any,
    ignore_index: int,
    label_smoothing: float,
    reduction: str,
) -> Any:
    """Return the gradient of v · _class_cross_entropy_gradient(g, x, ...) for g."""
    options = labels, weight, ignore_index, label_smoothing, reduction
    products = v * _class_cross_entropy_gradient(1.0, x, *options)
    return products.sum(axis=class_dim(x), keepdims=reduction != "none")


def _to_logits(
    v: Any,
    g: Any,
    x: Any,
    labels: Any,
    weight: Any,
    ignore_index: int,
    label_smoothing: float,
    reduction: str,
) -> Any:
    """Return the gradient of v · _class_cross_entropy_gradient(g, x, ...) for x.

    It is s (v - Σ_c s_c v_c) Σ_c q_c g / count, where s = softmax(x): the labels play no part in
    it but for how much they count.
    """
    dim = class_dim(x)
    q, count = class_shares(x, labels, weight, ignore_index, label_smoothing)
    factors = q.sum(axis=dim, keepdims=True)
    if reduction == "mean":
        factors = factors / _divisor(count, q)
    if getattr(g, "ndim", 0):
        g = np.expand_dims(g, dim)
    s = softmax(x, dim)
    return s * (v - (s * v).sum(axis=dim, keepdims=True)) * (factors * g)


@differentiable(g=_to_scale, x=_to_logits)
@fused(kernels.cross_entropy_backward)
def _class_cross_entropy_gradient(
    g: Any,
    x: Any,
    labels: Any,
    weight: Any = None,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
) -> Any:
    """Return the gradient of `class_cross_entropy` for x: g (softmax(x) Σ_c q_c - q) / count.

    Args:
        g: what flows in: a number, or one for each example if nothing was reduced.
        x, labels, weight, ignore_index, label_smoothing, reduction: as there.
    """
    p = _classes_first(x)
    p -= p.max(axis=0)
    np.exp(p, out=p)
    p /= total(p, 0)
    factors: Any = 1
    if weight is None and not label_smoothing:
        counted, count = _counted(labels, len(p), ignore_index)
        p[_places(labels, counted)] -= 1
        if counted is not None:
            factors = counted.reshape(-1)
    else:
        q, count = class_shares(x, labels, weight, ignore_index, label_smoothing)
        q = _classes_first(q)
        p *= total(q, 0)
        p -= q
    if getattr(g, "ndim", 0):
        g = g.reshape(-1)
    if reduction == "mean":
        g = g / _divisor(count, x)
    p *= factors * g
    dim = class_dim(x)
    rest = x.shape[:dim] + x.shape[dim + 1 :]
    return p.reshape((len(p), *rest)).swapaxes(0, dim).astype(x.dtype, copy=False)


def _class_cross_entropy_launched(
    launch: Any, x: Any, labels: Any, weight: Any, *options: Any
) -> Any:
    ignore_index, _, reduction = options
    check_reduction(reduction)
    wrong = watched(x, kernels.wrong_label(x.shape[class_dim(x)], ignore_index))
    return kernels.cross_entropy_forward(launch, x, labels, wrong, weight, *options)


@differentiable(x=_class_cross_entropy_gradient)
@fused(_class_cross_entropy_launched)
def class_cross_entropy(
    x: Any,
    labels: Any,
    weight: Any = None,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
) -> Any:
    """Return the cross-entropy between softmax(x) and class indices, reduced.

    The loss of an example is -Σ_c q_c log softmax(x)_c, where q is what `class_shares` says.

    Args:
        x: logits, (N, C), (C,) or (N, C, d1, ...), of at least one class.
        labels: integers from 0 to C - 1 or ``ignore_index``, in the shape of x without C.
        weight: (C,), a factor for each class.
        ignore_index: the label of examples that do not count.
        label_smoothing: ε from 0 to 1.
        reduction: ``"none"``, ``"sum"``, or ``"mean"``: weighted by the weights of the labels. If
            every label is ignored the mean is NaN, and its gradient zeros.

    Raises:
        IndexError: a label that counts is out of range; if it is on a GPU, later.
        ValueError: an unknown reduction.
    """
    check_reduction(reduction)
    z = _classes_first(x)
    counted, count = _counted(labels, len(z), ignore_index)
    if counted is not None:
        check_labels(labels, len(z), ignore_index)
    z -= z.max(axis=0)
    log_sum = np.log(total(np.exp(z), 0))
    if weight is None and not label_smoothing:
        losses = log_sum - z[_places(labels, counted)]
        if counted is not None:
            losses = np.where(counted.reshape(-1), losses, 0)
    else:
        q, count = class_shares(x, labels, weight, ignore_index, label_smoothing)
        q = _classes_first(q)
        losses = total(q * np.where(q == 0, 0, log_sum - z), 0)
    if reduction == "none":
        return losses.reshape(labels.shape).astype(x.dtype, copy=False)
    loss = losses.sum()
    if reduction == "mean":
        loss = loss / _divisor(count, x)
        if not isinstance(count, int):
            loss = np.where(count == 0, np.nan, loss)
    return loss.astype(x.dtype)


def check_reduction(reduction: str) -> None:
    """Raise ValueError unless ``reduction`` is one that losses know."""
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(
            f"{reduction!r} is not a valid value for reduction: use 'none', 'mean' or 'sum'"
        )


def class_dim(x: Any) -> int:
    """Return the dimension of the classes in logits (C,), (N, C) or (N, C, d1, ...)."""
    return 0 if x.ndim == 1 else 1


def check_labels(labels: Any, classes: int, ignore_index: int) -> None:
    """Raise IndexError if a label that counts is out of range: at once, or later from a GPU."""
    wrong = (labels != ignore_index) & ((labels < 0) | (labels >= classes))
    bounds = f"expected class indices from 0 to {classes - 1}, or ignore_index={ignore_index}"
    if not isinstance(labels, np.ndarray):
        raise_later(wrong.any(), IndexError(f"A target is out of bounds: {bounds}"))
    elif wrong.any():
        raise IndexError(f"Target {labels[wrong][0]} is out of bounds: {bounds}")


def _counted(labels: Any, classes: int, ignore_index: int) -> tuple[Any, Any]:
    """Return which labels count, and how many do.

    Where the host sees that they all do, it says None and an int, which is above 0: most often, and
    a third quicker.
    """
    if isinstance(labels, np.ndarray) and labels.size and not 0 <= ignore_index < classes:
        of_a_class = labels.astype(np.uint64) < classes  # negative labels are huge there
        if np.count_nonzero(of_a_class) == labels.size:
            return None, labels.size
    counted = labels != ignore_index
    return counted, counted.sum()


def class_shares(
    x: Any, labels: Any, weight: Any, ignore_index: int, label_smoothing: float
) -> tuple[Any, Any]:
    """Return each class's share q in each example's loss, and what a mean divides by.

    q_c = weight_c ((1 - ε) [c = label] + ε/C), and 0 everywhere if the label is ignored: an array
    in the shape of x, in a dtype that holds sums. The divisor is the sum of the weights of the
    labels that count.
    """
    dim, classes = class_dim(x), x.shape[class_dim(x)]
    by_class = [-1 if i == dim else 1 for i in range(x.ndim)]
    counted = labels != ignore_index
    q = np.expand_dims(labels, dim) == np.arange(classes, like=labels).reshape(by_class)
    q = (q & np.expand_dims(counted, dim)).astype(wide(x.dtype))
    count = counted.sum()
    if weight is not None:
        weight = weight.reshape(by_class)
        count = total(q * weight)
    if label_smoothing:
        even = np.expand_dims(counted, dim) * (label_smoothing / classes)
        q = (q * (1 - label_smoothing) + even).astype(q.dtype)
    return (q if weight is None else (q * weight).astype(q.dtype)), count


def _divisor(count: Any, like: Any) -> Any:
    """Return what a mean over ``count`` examples divides by: 1 if there are none."""
    if isinstance(count, int):  # never 0
        return wide(like.dtype).type(count)
    return np.where(count == 0, 1, count).astype(wide(like.dtype))


def _classes_first(x: Any) -> Any:
    """Return a copy of x as (classes, examples), in a dtype that holds sums.

    Rows of ten are where NumPy's reductions cost more than arithmetic: along the first dimension
    they add whole rows of examples instead, and take a fifth of the time.
    """
    y = x.swapaxes(0, class_dim(x))
    return y.reshape((len(y), math.prod(y.shape[1:]))).astype(wide(x.dtype))


def _places(labels: Any, counted: Any) -> tuple[Any, Any]:
    """Return where the labels stand in an array (classes, examples); those not counted at 0."""
    flat = (labels if counted is None else np.where(counted, labels, 0)).reshape(-1)
    return flat, np.arange(flat.size, like=flat)
