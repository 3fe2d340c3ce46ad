"""Dropout's arithmetic, once its mask is drawn."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad import kernels
from minigrad.fused import fused
from minigrad.table import differentiable

__all__ = ["masked_scale"]


@differentiable(x=lambda g, keep, scale: masked_scale(g, keep, scale))  # the forward's own mask
@fused(kernels.masked_scale)
def masked_scale(x: Any, keep: Any, scale: Any) -> Any:
    """Return ``x * keep * scale``.

    Args:
        x: floating-point, any shape.
        keep: booleans that broadcast to the shape of x; False drops.
        scale: what the kept elements are multiplied by.
    """
    if x.dtype == np.float16 and abs(scale) > 65504:  # infinite in float16, and 0 · ∞ is NaN
        scale = np.float32(scale)
    y = x * keep
    y *= scale
    return y
