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
