"""Where arrays live: the one file that knows CuPy beside NumPy, and imports it when asked to."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class device:  # noqa: N801  (named as in PyTorch)
    """A place for tensors: ``device("cpu")``, ``device("cuda")`` or ``device("cuda", 1)``.

    Args:
        type: ``"cpu"`` or ``"cuda"``; ``"cuda:1"`` names the index too.
        index: which GPU; None for the current one.

    Raises:
        ValueError: there is no such kind of device.

    Examples:
        >>> device("cuda:1")
        device(type='cuda', index=1)
    """

    type: str
    index: int | None = None

    def __post_init__(self) -> None:
        kind, colon, index = self.type.partition(":")
        if kind not in ("cpu", "cuda") or bool(colon) != index.isdigit():
            raise ValueError(f"unknown device {self.type!r}: expected 'cpu', 'cuda' or 'cuda:N'")
        if index:
            if self.index is not None:
                raise ValueError(f"device {self.type!r} has an index; {self.index} is one too many")
            object.__setattr__(self, "type", kind)
            object.__setattr__(self, "index", int(index))

    def __repr__(self) -> str:
        index = "" if self.index is None else f", index={self.index}"
        return f"device(type={self.type!r}{index})"

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"


CPU = device("cpu")


def device_of(array: Any) -> device:
    """Return where an array lives."""
    return CPU if isinstance(array, np.ndarray) else device("cuda", array.device.id)


def move(array: Any, to: device | str) -> Any:
    """Return the array on another device: itself if it is there already, else a copy.

    Raises:
        RuntimeError: the device is a GPU that cannot be used; the message has the reason.
    """
    to = device(to) if isinstance(to, str) else to
    if to.type == "cpu":
        return array if isinstance(array, np.ndarray) else array.get()
    usable, reason = cuda_status()
    if not usable:
        raise RuntimeError(f"cannot use device '{to}': {reason}")
    import cupy

    if not isinstance(array, np.ndarray) and to.index in (None, array.device.id):
        return array
    with cupy.cuda.Device(to.index):
        return cupy.asarray(array)


@functools.cache
def cuda_status() -> tuple[bool, str]:
    """Return whether CuPy can use a GPU here, and the reason in words; asks once, never raises."""
    try:
        import cupy
    except ModuleNotFoundError:
        return False, 'CuPy is not installed: pip install "minigrad[cuda13]" (or [cuda12])'
    except Exception as error:  # a broken installation may raise anything
        return False, f"CuPy is installed but cannot be imported: {error}"
    runtime = cupy.cuda.runtime
    try:
        count = runtime.getDeviceCount()
    except runtime.CUDARuntimeError as error:
        driver, needed = runtime.driverGetVersion() // 1000, runtime.runtimeGetVersion() // 1000
        if driver == 0:
            return False, "no NVIDIA driver was found"
        if driver < needed:
            return False, (
                f"the driver supports CUDA {driver}, and this CuPy needs CUDA {needed}: "
                f'update the driver, or pip install "minigrad[cuda{driver}]"'
            )
        return False, str(error)
    if count == 0:
        return False, "no CUDA device is visible (is CUDA_VISIBLE_DEVICES set?)"
    return True, f"{count} CUDA device(s)"
