"""What every dropout does: see that p is a probability, draw a mask, and put it on its input."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minigrad import ops
from minigrad.device import device_of
from minigrad.graph import TensorBase
from minigrad.inplace import write
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


def drawn(
    input: Any,
    units: Sequence[int],
    p: float,
    training: bool,
    mask: Any,
    generator: Generator | None,
) -> Any:
    """Return the mask that was given, or draw one; None where nothing is to be dropped.

    Args:
        input: what it is for, floating-point; its device is the mask's.
        units: a shape that broadcasts to the input's: one draw for each of its places.
        p: the probability to be dropped, checked. At 1 nothing is drawn; at 0, without a mask,
            nothing is to be dropped.
        training: False: nothing is to be dropped.
        mask: booleans that broadcast to the input's shape, or None.
        generator: where to draw from; None for the default generator.
    """
    generator = generator_for("dropout", generator)
    if not checked_mode(training) or (p == 0 and mask is None):
        return None
    array = input.array if isinstance(input, TensorBase) else input
    checked_floating(array)
    if mask is not None:
        return checked_mask(mask, array.shape)
    if p == 1:
        return np.zeros_like(array, dtype=np.bool_)
    return generator.keep_mask(tuple(units), p, device_of(array))


def applied(input: Any, inplace: bool, op: Any, *args: Any) -> Any:
    """Return ``op(input, *args)``; with ``inplace``, the input, overwritten with that."""
    if not inplace:
        return op(input, *args)
    if isinstance(input, TensorBase):
        return write(input, op, *args)
    input[...] = op(input, *args)
    return input


def dropped(
    input: Any,
    units: Sequence[int],
    p: float,
    training: bool,
    inplace: bool,
    mask: Any,
    generator: Generator | None,
) -> Any:
    """Return dropout with one draw for each unit; arguments as of `drawn`."""
    p = checked_probability(p)
    keep = drawn(input, units, p, training, mask, generator)
    if keep is None:
        return input
    return applied(input, inplace, ops.masked_scale, keep, 1 / (1 - p) if p < 1 else 0.0)
