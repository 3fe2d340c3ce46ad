"""What each kernel computes, in NumPy: by name the kernel's own, and what tests compare it with.

Also a flag as tests handle it: `new_flag`, `set_flag` (the definition), `wrong_index`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad.kernels.flag import index_in
from tests.contract import mask_numbers

# ------------------------------------------------------------------------- flag


def new_flag(like: Any) -> Any:
    """Return a flag that is not set, on the device of ``like``."""
    return np.zeros_like(like, shape=(1,), dtype=np.uint64)


def wrong_index(flag: Any) -> int | None:
    """Return an index that was out of range, or None; this waits for the device."""
    return index_in(int(flag[0])) or None


def check_indices(indices: Any, sizes: Any, wrong: np.ndarray) -> None:
    """Define `check_indices`: wrong is what is not from -n to n - 1."""
    for index, n in zip(indices, sizes, strict=True):
        set_flag(wrong, index[(index < -n) | (index >= n)])


def set_flag(flag: Any, wrong: Any) -> None:
    """Set a flag as kernels do: the definition.

    Args:
        flag: from `new_flag`.
        wrong: integers that were out of range, maybe none.
    """
    flag[0] = max([int(flag[0]), *(int(w) % 2**64 for w in wrong)])


# ------------------------------------------------------------------------- cross entropy


def cross_entropy_forward(
    x: np.ndarray,
    labels: np.ndarray,
    wrong: np.ndarray,
    weight: np.ndarray | None = None,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
) -> np.ndarray:
    """Define `cross_entropy_forward`.

    With q_c = weight_c ((1 - ε) [c = label] + ε/C), and q = 0 where the label is ignored, the loss
    of a row is -Σ_c q_c log softmax(x)_c. A label out of range makes it NaN. A mean divides by the
    weights of the labels; over nothing it is NaN.
    """
    rows, q, bad, counts = _shares(x, labels, weight, ignore_index, label_smoothing)
    set_flag(wrong, labels[bad])
    log_p = rows - rows.max(-1, keepdims=True)
    log_p = log_p - np.log(np.exp(log_p).sum(-1, keepdims=True))
    losses = np.where(bad, np.nan, -(q * np.where(q == 0, 0, log_p)).sum(-1)).astype(x.dtype)
    if reduction == "none":
        return losses
    total, count = losses.sum(), counts.sum()
    if reduction == "mean":
        total = total / count if count else x.dtype.type(np.nan)
    return np.asarray(total)


def cross_entropy_backward(
    g: np.ndarray,
    x: np.ndarray,
    labels: np.ndarray,
    weight: np.ndarray | None = None,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
) -> np.ndarray:
    """Define `cross_entropy_backward`: (softmax(x) Σ_c q_c - q) g / divisor.

    The divisor is that of the mean, and 1 if there is none or it is 0. A label out of range makes
    zeros.
    """
    rows, q, bad, counts = _shares(x, labels, weight, ignore_index, label_smoothing)
    e = np.exp(rows - rows.max(-1, keepdims=True))
    count = counts.sum() if reduction == "mean" else 1
    factor = g / count if count else g
    gradient = (e / e.sum(-1, keepdims=True) * q.sum(-1, keepdims=True) - q) * factor[..., None]
    gradient[bad] = 0
    return np.ascontiguousarray(np.moveaxis(gradient, -1, 0 if x.ndim == 1 else 1), dtype=x.dtype)


def _shares(
    x: np.ndarray,
    labels: np.ndarray,
    weight: np.ndarray | None,
    ignore_index: int,
    label_smoothing: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return x with its classes last, q, which labels are wrong, and what each row counts."""
    dim = 0 if x.ndim == 1 else 1
    classes = x.shape[dim]
    counted = labels != ignore_index
    bad = counted & ((labels < 0) | (labels >= classes))
    hot = labels[..., None] == np.arange(classes)
    q = hot * (1 - label_smoothing) + label_smoothing / classes
    q = q * counted[..., None] * (1 if weight is None else weight)
    counts = np.ones(classes, x.dtype) if weight is None else weight
    counts = np.where(counted & ~bad, counts[np.where(bad | ~counted, 0, labels)], 0)
    return np.moveaxis(x, dim, -1), q.astype(x.dtype), bad, counts.astype(x.dtype)


# ------------------------------------------------------------------------- dropout


def keep_mask(shape: tuple[int, ...], state: tuple[int, int, int], threshold: int) -> np.ndarray:
    """Define `keep_mask`: element i is whether number i of the mask is >= threshold.

    A kernel computes the lower 24 bits of a number where the upper 8 do not decide; here all are
    computed.
    """
    return (mask_numbers(state, math.prod(shape)) >= threshold).reshape(shape)


def masked_scale(x: np.ndarray, keep: np.ndarray, scale: float) -> np.ndarray:
    """Define `masked_scale`: x · keep · scale, so that a dropped NaN or infinity is NaN."""
    y = x * keep
    y *= scale
    return y


# ------------------------------------------------------------------------- gather


def gather_rows(
    data: np.ndarray, index: np.ndarray, wrong: np.ndarray, divisor: float = 255.0
) -> np.ndarray:
    """Define `gather_rows`: data[index] / divisor in float32; NaN for an index out of range."""
    bad = (index < -len(data)) | (index >= len(data))
    set_flag(wrong, index[bad])
    out = data[np.where(bad, 0, index)] / np.float32(divisor)
    out[bad] = np.nan
    return out


# ------------------------------------------------------------------------- relu


def relu_forward(x: np.ndarray) -> np.ndarray:
    """Define `relu_forward`: max(x, 0), NaN where x is NaN."""
    return np.maximum(x, x.dtype.type(0))


def relu_backward(g: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Define `relu_backward`: g where y is not 0, else 0; of y = NaN, g."""
    return np.where(y == 0, y.dtype.type(0), g)


# ------------------------------------------------------------------------- sgd


def sgd_step(
    parameter: np.ndarray,
    gradient: np.ndarray,
    buffer: np.ndarray | None,
    fresh: bool,
    lr: float,
    momentum: float = 0.0,
    dampening: float = 0.0,
    weight_decay: float = 0.0,
    nesterov: bool = False,
    maximize: bool = False,
) -> None:
    """Define what `sgd_step` does to one parameter and its momentum buffer, both in place."""
    g = -gradient if maximize else gradient
    if weight_decay:
        g = g + weight_decay * parameter
    if buffer is not None:
        buffer[...] = g if fresh else buffer * momentum + (1 - dampening) * g
        g = g + momentum * buffer if nesterov else buffer
    parameter -= lr * g


# ------------------------------------------------------------------------- sums


def sum_rows(x: np.ndarray, lead: int) -> np.ndarray:
    """Define `sum_rows`: the sum over the first ``lead`` dimensions."""
    return np.asarray(x.sum(axis=tuple(range(lead))))
