"""To another device or dtype: an op that moves, and what `Tensor.to` may be asked for."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.device import CPU, device_of, move
from minigrad.graph import TensorBase
from minigrad.table import differentiable


@differentiable(x=lambda g, source: transfer(g, source))
def _move(x: Any, target: Any, source: Any) -> Any:
    return move(x, target)


def transfer(x: Any, target: Any) -> Any:
    """Return x on another device; its gradient travels back."""
    return _move(x, target, device_of(x.array) if isinstance(x, TensorBase) else device_of(x))


def targets_of(
    *targets: Any, dtype: Any = None, device: Any = None, copy: bool = False, non_blocking: Any = 0
) -> tuple[Any, Any, bool]:
    """Return the dtype and the device that `Tensor.to` was asked for, and whether to copy.

    By position, two booleans may follow: ``non_blocking`` and ``copy``.
    """
    flags = [target for target in targets if isinstance(target, bool)]
    copy = copy or flags[1:] == [True]
    for target in targets[: len(targets) - len(flags)]:
        if target is None:
            continue
        if isinstance(target, TensorBase):
            dtype, device = target.dtype, device_of(target.array)
        elif isinstance(target, type(CPU)) or str(target).partition(":")[0] in ("cpu", "cuda"):
            device = target
        else:
            dtype = target
    try:
        return None if dtype is None else np.dtype(dtype), device, copy
    except TypeError:
        raise TypeError(
            f"expected a dtype, a device ('cpu', 'cuda' or 'cuda:N') or a tensor, got {dtype!r}"
        ) from None
