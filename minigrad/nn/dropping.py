"""What every dropout begins with: a p that is a probability, and a mask, drawn or given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minigrad.device import device_of
from minigrad.graph import TensorBase
from minigrad.random import Generator, generator_for


def checked_probability(p: float) -> float:
    """Return ``p`` as a Python float (any other float type would promote what it multiplies).

    Raises:
        ValueError: it is outside [0, 1], or NaN.
        TypeError: it is no number.
    """
    try:
        possible = 0 <= p <= 1  # put so, this refuses NaN too
    except TypeError:
        raise TypeError(f"dropout probability has to be a number, but got {p!r}") from None
    if not possible:
        raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")
    return float(p)


def checked_mode(training: bool) -> bool:
    """Return ``training``, if it is True or False.

    Raises:
        TypeError: it is something else, such as ``'False'``, which would count as true.
    """
    if not isinstance(training, bool | np.bool_):
        raise TypeError(f"dropout's training has to be True or False, but got {training!r}")
    return bool(training)


def checked_floating(input: Any) -> None:
    """Raise TypeError unless the input is floating-point."""
    if input.dtype.kind != "f":
        raise TypeError(f"dropout needs a floating-point tensor, got {input.dtype}; use .float()")


def checked_mask(mask: Any, shape: tuple[int, ...]) -> Any:
    """Return a mask that was given, if it is boolean and broadcasts to the shape."""
    keep: Any = mask if hasattr(mask, "dtype") else np.asarray(mask)
    if keep.dtype != np.bool_:
        raise TypeError(f"dropout's mask must be boolean (True keeps), got {keep.dtype}")
    lead = len(shape) - keep.ndim
    fits = lead >= 0 and all(
        n in (1, whole) for n, whole in zip(keep.shape, shape[lead:], strict=True)
    )
    if not fits:
        raise ValueError(f"dropout's mask of shape {keep.shape} does not broadcast to {shape}")
    return keep


def mask_of_units(
    input: Any, units: Sequence[int], p: float, mask: Any, generator: Generator | None
) -> Any:
    """Return the mask that was given, or draw one at the shape of the units.

    Args:
        input: what it is for; its device is the mask's.
        units: a shape that broadcasts to the input's: one draw for each of its places.
        p: the probability to be dropped; at 1 nothing is drawn.
        mask: booleans that broadcast to the input's shape, or None.
        generator: where to draw from; None for the default generator.
    """
    if mask is not None:
        return checked_mask(mask, tuple(input.shape))
    array = input.array if isinstance(input, TensorBase) else input
    if p == 1:
        return np.zeros_like(array, dtype=np.bool_)
    return generator_for("dropout", generator).keep_mask(tuple(units), p, device_of(array))
