"""The functions that layers and losses are made of."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from minigrad import ops
from minigrad.device import fetch
from minigrad.graph import TensorBase
from minigrad.nn.dropping import dropped
from minigrad.nn.noise import (
    alpha_dropout,
    drop_connect,
    drop_path,
    dropout1d,
    dropout2d,
    dropout3d,
    feature_alpha_dropout,
    gaussian_dropout,
)
from minigrad.ops import linear, log_softmax, logsigmoid, sigmoid, softmax, tanh
from minigrad.ops.cross_entropy import check_labels, check_reduction, class_dim, class_shares
from minigrad.random import Generator

__all__ = [
    "alpha_dropout", "binary_cross_entropy_with_logits", "cross_entropy", "drop_connect",
    "drop_path", "dropout", "dropout1d", "dropout2d", "dropout3d", "feature_alpha_dropout",
    "gaussian_dropout", "l1_loss", "linear", "log_softmax", "logsigmoid", "mse_loss",
    "nll_loss", "one_hot", "relu", "sigmoid", "softmax", "tanh",
]  # fmt: skip


def relu(input: Any, inplace: bool = False) -> Any:
    """Return max(x, 0); with ``inplace``, the input itself, overwritten."""
    return input.relu_() if inplace else ops.relu(input)


def dropout(
    input: Any,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    *,
    mask: Any = None,
    generator: Generator | None = None,
) -> Any:
    """Make each element 0 with probability ``p``, and scale the others by 1/(1-p).

    The expectation of each element stays what it was, and its variance becomes p/(1-p)·x². The
    gradient passes through the same mask and scale. Element i (in C order) is kept where the i-th
    32-bit number of the draw is at least round(p · 2³²): see `minigrad.masks`.

    A dropped element is x · 0: -0.0 for a negative x, and NaN for an x that is NaN or infinite
    (PyTorch computes the same on the CPU).

    Args:
        input: floating-point, any shape.
        p: the probability of an element to be dropped, 0 to 1. With p = 1 all are zeros, and so
            are the gradients.
        training: False makes this the identity.
        inplace: whether to overwrite the input.
        mask: booleans, True to keep, that broadcast to the input's shape: used instead of a draw
            (a mask of shape (n, 1) drops whole rows). ``p`` still gives the scale.
        generator: where to draw from; None for the default generator.

    Returns:
        A tensor of the input's shape and dtype. The very same tensor, and nothing is drawn, if not
        ``training`` or if p = 0 and no mask is given.

    Raises:
        ValueError: p is outside [0, 1], or NaN; the mask does not fit.
        TypeError: the input is not floating-point; the mask is not boolean; p is no number,
            ``training`` no boolean, ``generator`` no Generator.

    Source:
        Hinton et al., "Improving neural networks by preventing co-adaptation of feature
        detectors", 2012; Srivastava et al., 2014 (JMLR 15).

    Examples:
        >>> import minigrad
        >>> x = minigrad.tensor([1.0, 2.0, 3.0, 4.0])
        >>> keep = minigrad.tensor([True, False, False, True])
        >>> dropout(x, 0.5, mask=keep)
        tensor([2., 0., 0., 8.])
        >>> dropout(x, 0.5, training=False) is x
        True
    """
    return dropped(input, input.shape, p, training, inplace, mask, generator)


def cross_entropy(
    input: Any,
    target: Any,
    weight: Any = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Any:
    """Return the cross-entropy between the softmax of logits and the target.

    For each example -Σ_c q_c log softmax(x)_c, computed without overflow for logits of any size.

    Args:
        input: logits, (N, C), (C,) or (N, C, d1, ...).
        target: class indices from 0 to C - 1 in the shape of ``input`` without C; or probabilities
            in the shape of ``input``, floating-point.
        weight: (C,), a factor for each class.
        ignore_index: the class index of examples that do not count; not with probabilities.
        reduction: ``"none"`` for the losses, ``"sum"``, or ``"mean"``: for class indices weighted
            by ``weight``, for probabilities over the examples.
        label_smoothing: ε from 0 to 1: the target becomes (1 - ε) q + ε/C.

    Returns:
        A tensor of shape () or, not reduced, of the shape of ``input`` without C.

    Raises:
        IndexError: a class index is out of range.
        ValueError: shapes do not fit; an unknown reduction; smoothing out of range.
        RuntimeError: a class to ignore, with probabilities.
    """
    check_reduction(reduction)
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"label_smoothing must be between 0.0 and 1.0. Got: {label_smoothing}")
    if target.dtype.kind == "f":
        if tuple(target.shape) != tuple(input.shape) and target.ndim == input.ndim - 1:
            raise RuntimeError(
                f"expected class indices as integers, got {target.dtype}: use target.long()"
            )
        if ignore_index >= 0:
            raise RuntimeError(
                f"ignore_index={ignore_index} is for class indices, and the target is "
                "floating-point, so it holds probabilities: for class indices, use target.long()"
            )
        _check_shapes("probabilities", target.shape, input.shape)
        q, dim = target, class_dim(input)
        classes = input.shape[dim]
        if label_smoothing and classes:
            q = q * (1 - label_smoothing) + label_smoothing / classes
        if weight is not None:
            _check_shapes("a weight for each class", weight.shape, (classes,))
            q = q * _per_class(weight, input.ndim, dim)
        count: Any = math.prod(input.shape) / max(classes, 1)
        return _reduce(ops.softmax_cross_entropy(input, q, dim), reduction, count)
    _check_classification(input, target, weight)
    options = ignore_index, label_smoothing, reduction
    return ops.class_cross_entropy(input, target, weight, *options)


def nll_loss(
    input: Any, target: Any, weight: Any = None, ignore_index: int = -100, reduction: str = "mean"
) -> Any:
    """Return the negative of the log-probability of each label.

    Args:
        input: log-probabilities, (N, C), (C,) or (N, C, d1, ...).
        target: class indices in the shape of ``input`` without C.
        weight, ignore_index, reduction: as for `cross_entropy`, which also says what is raised.
    """
    check_reduction(reduction)
    _check_classification(input, target, weight)
    labels = _array(target)
    check_labels(labels, input.shape[class_dim(input)], ignore_index)
    q, count = class_shares(_array(input), labels, _array(weight), ignore_index, 0.0)
    losses = -(ops.where(q == 0, 0, input) * q).sum(axis=class_dim(input))
    return _reduce(losses.astype(input.dtype), reduction, count)


def mse_loss(input: Any, target: Any, reduction: str = "mean") -> Any:
    """Return the squared difference, element by element, and reduced.

    Args:
        input, target: of the same shape; shapes that only broadcast bring a warning.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.
    """
    difference = _difference(input, target, reduction)
    squares = difference * difference
    return squares if reduction == "none" else getattr(squares, reduction)()


def l1_loss(input: Any, target: Any, reduction: str = "mean") -> Any:
    """Return the absolute difference, element by element, and reduced.

    Args:
        input, target, reduction: as for `mse_loss`.
    """
    sizes = abs(_difference(input, target, reduction))
    return sizes if reduction == "none" else getattr(sizes, reduction)()


def _difference(input: Any, target: Any, reduction: str) -> Any:
    """Return input - target, with a warning if their shapes differ."""
    check_reduction(reduction)
    if tuple(input.shape) != tuple(target.shape):
        warnings.warn(
            f"Using a target size ({target.shape}) that is different to the input size "
            f"({input.shape}). This will likely lead to incorrect results due to broadcasting.",
            stacklevel=3,
        )
    return input - target


def binary_cross_entropy_with_logits(
    input: Any, target: Any, weight: Any = None, reduction: str = "mean", pos_weight: Any = None
) -> Any:
    """Return -t log σ(x) - (1 - t) log(1 - σ(x)), computed without overflow for x of any size.

    Args:
        input: the logits x, of any shape.
        target: the probabilities t of class 1, floating-point, in the shape of ``input``.
        weight: a factor for each element, of a shape that broadcasts.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.
        pos_weight: a factor for the first term, of a shape that broadcasts.

    Raises:
        ValueError: the shapes differ; an unknown reduction.
    """
    check_reduction(reduction)
    if tuple(input.shape) != tuple(target.shape):
        raise ValueError(
            f"Target size ({target.shape}) must be the same as input size ({input.shape})"
        )
    share = 1 if pos_weight is None else (pos_weight - 1) * target + 1
    losses = (1 - target) * input - share * logsigmoid(input)
    losses = losses if weight is None else losses * weight
    return losses if reduction == "none" else getattr(losses, reduction)()


def one_hot(tensor: Any, num_classes: int = -1) -> Any:
    """Return 1 at the place of each class index, and 0 elsewhere, along a new last dimension.

    Args:
        tensor: class indices, int64, from 0 on; any shape.
        num_classes: the size of the new dimension; -1 for the largest index plus 1, which a GPU is
            waited for to know.

    Raises:
        RuntimeError: an index is not in that range, or the tensor is not int64.
    """
    indices = _array(tensor)
    if indices.dtype != np.int64:
        raise RuntimeError(
            f"one_hot is only applicable to index tensor of type LongTensor, got {indices.dtype}"
        )
    if not indices.size and num_classes <= 0:
        raise RuntimeError("Can not infer total number of classes from empty tensor.")
    host = fetch(indices)
    if host.size and host.min() < 0:
        raise RuntimeError(f"Class values must be non-negative, got {host.min()}.")
    size = int(host.max()) + 1 if num_classes == -1 else num_classes
    if host.size and host.max() >= size:
        raise RuntimeError(
            f"Class values must be smaller than num_classes, got {host.max()} and {num_classes}."
        )
    classes = np.arange(size, like=indices)
    return (ops.unsqueeze(tensor, -1) == classes).astype(np.int64)


def _reduce(losses: Any, reduction: str, count: Any) -> Any:
    if reduction == "none":
        return losses
    dtype = losses.dtype
    if dtype == np.float16:  # which counts to 65,504
        return _reduce(losses.astype(np.float32), reduction, count).astype(dtype)
    if reduction == "sum":
        return losses.sum()
    # nothing counted: the mean is NaN, and gradients are zeros, not NaN as of a division by 0
    if isinstance(count, (float, np.generic)):
        return losses.sum() / count if count else losses.sum() + math.nan
    nothing = count == 0  # known to the GPU alone: the host does not wait for it
    nan_then = np.where(nothing, math.nan, -0.0).astype(losses.dtype)  # x + -0.0 is x, always
    return losses.sum() / np.where(nothing, 1, count) + nan_then


def _per_class(weight: Any, ndim: int, dim: int) -> Any:
    return weight.reshape([-1 if i == dim else 1 for i in range(ndim)])


def _check_shapes(what: str, got: Sequence[int], expected: Sequence[int]) -> None:
    if tuple(got) != tuple(expected):
        raise ValueError(f"expected {what} of shape {tuple(expected)}, got {tuple(got)}")


def _check_classification(input: Any, target: Any, weight: Any) -> None:
    """Raise unless scores, class indices and weights have dtypes and shapes that fit."""
    if input.dtype.kind != "f":
        raise TypeError(f"expected floating-point scores, got {input.dtype}; use .float()")
    if not input.ndim or not input.shape[class_dim(input)]:
        raise ValueError(f"expected a score for each of one or more classes, got {input.shape}")
    dim, classes = class_dim(input), input.shape[class_dim(input)]
    _check_shapes("class indices", target.shape, input.shape[:dim] + input.shape[dim + 1 :])
    if target.dtype.kind not in "iu":
        raise TypeError(f"expected class indices as integers, got {target.dtype}")
    if weight is not None:
        _check_shapes("a weight for each class", weight.shape, (classes,))


def _array(t: Any) -> Any:
    if isinstance(t, TensorBase):
        return t.array
    return np.asarray(t) if isinstance(t, np.generic) else t
