"""Saved values that are to take the place of a tensor's: looked at before anything is changed."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.creation import as_tensor
from minigrad.device import is_array
from minigrad.tensor import Tensor


def as_saved(value: Any) -> Tensor:
    """Return a saved value as a tensor without history: a tensor's (also PyTorch's), or an array's.

    Raises:
        TypeError: it holds something else than numbers.
    """
    try:
        value = value.detach() if hasattr(value, "detach") else value
        array = value.array if isinstance(value, Tensor) else value
        array = array if is_array(array) else np.asarray(array)
    except Exception as error:
        raise TypeError(f"a {type(value).__name__} that is no tensor: {error}") from None
    if array.dtype.kind not in "fiub":
        raise TypeError(f"a {type(value).__name__} of {array.dtype} instead of numbers")
    return as_tensor(array)


def like(saved: Tensor, own: Tensor) -> Tensor:
    """Return a saved tensor with the dtype and the device of the one that it is to replace.

    Raises:
        RuntimeError: the device cannot be used.
    """
    with np.errstate(all="ignore"):  # what is out of range for the dtype becomes infinite
        return saved.to(own.device).to(own.dtype)
