"""What does not fit: arrays of an op together, a number into a dtype; errors in PyTorch's words."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from minigrad.device import common_device, device_of
from minigrad.graph import TensorBase


def on_one_device(args: Sequence[Any], values: list[Any]) -> list[Any] | None:
    """Return an op's arguments with tensors of one number on the GPU where the others are.

    None means that all are where they should be.

    Raises:
        RuntimeError: the arrays live on several devices.
    """
    home = common_device(values)
    strangers = [isinstance(a, TensorBase) and device_of(a.array) != home for a in args]
    if not any(strangers):
        return None
    return [a.to(home) if s else a for a, s in zip(args, strangers, strict=True)]


def in_pytorchs_words(error: Exception, values: Sequence[Any]) -> Exception:
    """Return an error as PyTorch puts it, if NumPy could not broadcast two arrays; or the same."""
    text = str(error)
    if text.startswith("Integers to negative integer powers"):
        return RuntimeError(text)
    if isinstance(error, OverflowError):
        if any(type(v) is int and v not in _WORDS for v in values):
            return error
        return RuntimeError(f"value cannot be converted without overflow: {text}")
    if "must match exactly" in text or "must have same number" in text:  # what are to be joined
        return RuntimeError(f"Sizes of tensors must match except in the dimension joined: {text}")
    if "could not be broadcast" not in text and "could not broadcast" not in text:
        return error
    shapes = [np.shape(v) for v in values if hasattr(v, "shape")]
    for a, b in itertools.combinations(shapes, 2):
        for back in range(1, min(len(a), len(b)) + 1):
            if 1 != a[-back] != b[-back] != 1:
                return RuntimeError(
                    f"The size of tensor a ({a[-back]}) must match the size of tensor b "
                    f"({b[-back]}) at non-singleton dimension {max(len(a), len(b)) - back}: "
                    f"shapes {a} and {b} do not broadcast"
                )
    return RuntimeError(text)


_WORDS = range(-(1 << 63), 1 << 64)  # what fits into 64 bits, signed or not

#: operators in which a number counts modulo 2 to the bits of the tensor's dtype, as in PyTorch
_MODULAR = frozenset({
    "add", "bitwise_and", "bitwise_or", "bitwise_xor", "floor_divide", "mul", "pow", "remainder",
    "sub",
})  # fmt: skip


def wrapped(op: str, args: Sequence[Any], values: Sequence[Any]) -> list[Any] | None:
    """Return an operator's arguments with a number that its integers cannot hold wrapped into them.

    None means that there is no such number of 64 bits, or that the op is no such operator.
    """
    dtypes = [v.dtype for v in values if hasattr(v, "dtype") and v.dtype.kind in "iu"]
    if op not in _MODULAR or len(dtypes) != 1:
        return None
    pairs = list(zip(args, values, strict=True))  # NumPy's numbers are Python's among the values
    fits = [_modulo(v, dtypes[0]) if type(v) is int and v in _WORDS else a for a, v in pairs]
    changed = any(type(v) is int and v != fit for v, fit in zip(values, fits, strict=True))
    return fits if changed else None


def plain(number: Any) -> Any:
    """Return NumPy's number, or one in a tensor without dimensions, as Python's; else the same."""
    return number.item() if getattr(number, "ndim", None) == 0 else number


def fitted(number: Any, dtype: np.dtype[Any]) -> Any:
    """Return what an integer dtype makes of a number, Python's or NumPy's; anything else as it is.

    Raises:
        RuntimeError: the number does not fit (`check_range`).
        OverflowError: nor does it fit into 64 bits.
    """
    if dtype.kind in "iu" and isinstance(number, np.generic):
        number = number.item()
    if dtype.kind not in "iu" or not isinstance(number, int | float):
        return number
    if isinstance(number, int) and number not in _WORDS:
        raise OverflowError(f"int too big to convert: {number} does not fit into 64 bits")
    check_range(np.asarray(number), dtype)
    return _modulo(int(number), dtype)


def beside(x: Any, number: Any) -> Any:
    """Return a Python int as the integers of x hold it, or int64 beside booleans.

    Anything else is returned as it is.

    Raises:
        RuntimeError: it does not fit.
    """
    if type(number) is not int or not hasattr(x, "dtype"):
        return number
    return fitted(number, np.dtype(np.int64) if x.dtype.kind == "b" else x.dtype)


def _modulo(number: int, dtype: np.dtype[Any]) -> int:
    """Return the number of an integer dtype that is the same modulo 2 to its bits."""
    size, least = 1 << 8 * dtype.itemsize, int(np.iinfo(dtype).min)
    return (number - least) % size + least


def large(array: np.ndarray, dtype: np.dtype[Any] | None) -> np.ndarray:
    """Return Python's numbers that NumPy leaves as objects, some beyond 64 bits, as float64.

    Any other array is returned as it is.

    Raises:
        ValueError: integers are meant, by ``dtype`` or for want of a float.
    """
    kinds = {type(number) for number in array.flat} if array.dtype == object else set()
    if not kinds or not kinds <= {bool, int, float}:
        return array
    if (dtype.kind if dtype else "f" if float in kinds else "i") in "iu":
        number = next(n for n in array.flat if isinstance(n, int) and n not in _WORDS)
        raise ValueError(
            f"Overflow when unpacking long long: {number:.6g} does not fit into 64 bits; give a "
            "floating-point dtype"
        )
    return array.astype(np.float64)


def check_range(array: np.ndarray, dtype: np.dtype[Any]) -> None:
    """Raise RuntimeError if Python's numbers do not fit into an integer dtype, as in PyTorch.

    Negative integers wrap in an unsigned one.
    """
    if dtype.kind not in "iu" or array.dtype.kind == "b":
        return
    least, most = int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)
    if dtype.kind == "u" and array.dtype.kind != "f":
        least = -most
    fits = (array >= least) & (array <= most)  # and NaN does not
    if not fits.all():
        raise RuntimeError(
            f"value cannot be converted to type {dtype} without overflow: {array[~fits][0]} is not "
            f"within {least} and {most}; give another dtype"
        )
