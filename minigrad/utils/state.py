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
        saved = value.detach() if hasattr(value, "detach") else value
        array = saved.array if isinstance(saved, Tensor) else saved
        return as_tensor(array if is_array(array) else np.asarray(array))
    except Exception as error:
        raise TypeError(f"a {type(value).__name__}: {error}") from None


def like(saved: Tensor, own: Tensor) -> Tensor:
    """Return a saved tensor with the dtype and the device of the one that it is to replace.

    Raises:
        RuntimeError: the device cannot be used.
    """
    with np.errstate(all="ignore"):  # what is out of range for the dtype becomes infinite
        return saved.to(own.device).to(own.dtype)


def as_stream(name: str, value: Any) -> list[int]:
    """Return the state of a random stream that is saved as a tensor: seed, stream and offset.

    Raises:
        TypeError: it holds something else than numbers.
        ValueError: it is not three integers; ``name`` is what it was saved under.
    """
    state = as_saved(value)
    if state.shape != (3,) or state.dtype.kind not in "iu" or bool((state < 0).any()):
        raise ValueError(
            f"{name} is a random stream: expected its seed, stream and offset, got {value!r:.80}"
        )
    return [int(number) for number in state.tolist()]
