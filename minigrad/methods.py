"""What methods of a tensor are made of: reflected operators, casts, changes in place, shapes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minigrad.inplace import write
from minigrad.misfits import fitted


def reflected(op: Callable[..., Any]) -> Callable[[Any, Any], Any]:
    """Return the operator of ``other * tensor``, given that of ``tensor * other``."""
    return lambda self, other: op(other, self)


def caster(dtype: Any) -> Callable[[Any], Any]:
    """Return a method that casts to a dtype."""

    def cast(self: Any) -> Any:
        return self.to(dtype)

    cast.__doc__ = f"Return the tensor as {np.dtype(dtype)}: itself if it is that already."
    return cast


def in_place(op: Callable[..., Any]) -> Callable[..., Any]:
    """Return a method that writes an op's result into the tensor, and returns that."""

    def change(self: Any, *args: Any, **options: Any) -> Any:
        def run(target: Any, *given: Any) -> Any:
            named = zip(options, given[len(args) :], strict=True)
            return op(target, *given[: len(args)], **dict(named))

        return write(self, run, *args, *options.values())

    change.__doc__ = f"In place: {op.__doc__}"
    return change


def scaled(tensor: Any, other: Any, alpha: Any) -> Any:
    """Return ``alpha * other``, which is to be added to a tensor in place.

    Raises:
        RuntimeError: alpha is no integer that fits, where the tensor is of integers.
    """
    alpha = alpha.item() if isinstance(alpha, np.generic) else alpha
    if tensor.dtype.kind != "f" and isinstance(alpha, float):
        raise RuntimeError(
            "For integral input tensors, argument alpha must not be a floating point number, got "
            f"{alpha} for {tensor.dtype}"
        )
    if alpha == 1:
        return other
    alpha = fitted(alpha, tensor.dtype)
    if isinstance(other, np.generic):
        other = other.item()
    elif isinstance(other, list | tuple):
        other = np.array(other)  # a list times 3 is three lists
    whole = hasattr(other, "dtype") and other.dtype.kind != "f"
    if whole and np.can_cast(other.dtype, tensor.dtype, "same_kind"):
        other = other.astype(tensor.dtype)  # in its own, the product might not fit
    return alpha * other


def ints(shape: tuple[Any, ...]) -> Sequence[int]:
    """Return (2, 3) for the arguments 2, 3 as well as for (2, 3)."""
    return shape[0] if len(shape) == 1 and not isinstance(shape[0], int | np.integer) else shape
