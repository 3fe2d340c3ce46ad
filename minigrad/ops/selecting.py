"""Choosing what a gradient reaches, by selection and not by a product: 0 · ∞ would be NaN."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.table import differentiable

_BITS = {2: np.int16, 4: np.int32, 8: np.int64}


@differentiable(x=lambda g, keep: kept(g, keep))
def kept(x: Any, keep: Any) -> Any:
    """Return x where ``keep`` holds, and 0 elsewhere, also where x is infinite or NaN.

    Args:
        x: floating-point, any shape.
        keep: booleans that broadcast to the shape of x.
    """
    if type(keep) is not np.ndarray:
        return np.where(keep, x, 0)
    # All bits of x, or none: NumPy's where takes ten times as long if it cannot be foreseen.
    bits = np.negative(keep.view(np.int8), dtype=_BITS[x.itemsize])
    return (bits & x.view(bits.dtype)).view(x.dtype)
