"""What networks are made of, as single ops where one is quicker or stabler than its parts."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.ops.reduction import log_softmax, softmax
from minigrad.table import differentiable


@differentiable(x=lambda g, keep, scale: masked_scale(g, keep, scale))  # the forward's own mask
def masked_scale(x: Any, keep: Any, scale: float, out: Any = None) -> Any:
    """Return ``x * keep * scale``: dropout, once its mask is drawn.

    Args:
        x: floating-point, any shape.
        keep: booleans that broadcast to the shape of x; False drops.
        scale: what the kept elements are multiplied by.
        out: an array to write into, for the in-place form.
    """
    y = np.multiply(x, keep, out=out)
    y *= scale
    return y


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
    return -(q * np.where(q == 0, 0, log_p)).sum(axis=dim)
