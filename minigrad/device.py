"""Where arrays live: the one file that knows CuPy beside NumPy, and imports it when asked to."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
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


def is_array(value: Any) -> bool:
    """Return whether a value is an array, NumPy's or CuPy's."""
    return hasattr(value, "strides") and not isinstance(value, np.generic)


def device_of(array: Any) -> device:
    """Return where an array lives."""
    return CPU if isinstance(array, np.ndarray) else _gpu(array.device.id)


@functools.cache
def _gpu(index: int) -> device:
    return device("cuda", index)


def common_device(values: Iterable[Any]) -> device:
    """Return where the arrays among ``values``, and in the tuples among them, live.

    Numbers may be anywhere, and so may an array of the host that has no dimension.

    Raises:
        RuntimeError: the arrays live on several devices.
    """
    flat = [v for value in values for v in (value if isinstance(value, tuple) else (value,))]
    arrays = [v for v in flat if is_array(v) and (v.ndim or not isinstance(v, np.ndarray))]
    places = dict.fromkeys(map(device_of, arrays))
    if len(places) > 1:
        one, other, *_ = places
        raise RuntimeError(
            "Expected all tensors to be on the same device, but found at least two devices, "
            f"{one} and {other}! Move one of them: .to('{one}')"
        )
    return next(iter(places), CPU)


def move(array: Any, to: device | str) -> Any:
    """Return the array on another device: itself if it is there already, else a copy.

    Raises:
        RuntimeError: the device is a GPU that cannot be used; the message has the reason.
    """
    to = device(to) if isinstance(to, str) else to
    if to.type == "cpu":
        return fetch(array)
    cupy = library(to)
    if not isinstance(array, np.ndarray) and to.index in (None, array.device.id):
        return array
    with cupy.cuda.Device(to.index):
        return cupy.asarray(array)


def empty(size: Any, dtype: Any, to: device | str) -> Any:
    """Return a new array on a device; its elements are whatever was in its memory.

    Raises:
        RuntimeError: the device is a GPU that cannot be used; the message has the reason.
    """
    to = device(to) if isinstance(to, str) else to
    if to.type == "cpu":
        return np.empty(size, dtype)
    cupy = library(to)
    with cupy.cuda.Device(to.index):
        return cupy.empty(size, dtype)


def share(source: Any) -> Any:
    """Return an array of the same memory as another framework's, by the DLPack protocol.

    Raises:
        RuntimeError: it is on a GPU that cannot be used, or on another kind of device.
        BufferError: the other framework does not give its memory away.
    """
    on_host, on_gpu = (1,), (2,)
    kind, index = source.__dlpack_device__()
    if kind in on_host:
        return np.from_dlpack(source)
    if kind not in on_gpu:
        raise RuntimeError(
            f"a {type(source).__module__} array on DLPack device {int(kind)} cannot be shared: "
            "move it to the CPU or a CUDA device first"
        )
    return library(device("cuda", index)).from_dlpack(source)


def compiled(source: str, options: tuple[str, ...], names: tuple[str, ...]) -> Any:
    """Return the CUDA kernels of a source, compiled: what `minigrad.kernels.Launcher` asks for."""
    cupy = library(device("cuda"))
    return cupy.RawModule(code=source, options=options, name_expressions=names)


def add_at(array: Any, index: Any, values: Any) -> None:
    """Add ``values`` at ``index`` in place: to a place that it names twice, both of them.

    On a GPU the order of the additions is left to chance, and so is the last bit of the sums.
    """
    if isinstance(array, np.ndarray):
        np.add.at(array, index, values)
    else:  # NumPy hands CuPy no index that is a tuple
        library(device_of(array)).add.at(array, index, values)


# ------------------------------------------------------------------ what the host waits for

#: what is to be looked at with the next thing that is read, and what is to be raised if it is set
_pending: dict[Any, tuple[Any, Exception | Callable[[int], Exception]]] = {}


def fetch(array: Any) -> np.ndarray:
    """Return the array in host memory: itself if it is there already, else a copy, waited for.

    Raises:
        Exception: what was left by `raise_later` or `watched`, if it was set.
    """
    if isinstance(array, np.ndarray):
        return array
    raise_pending()
    return array.get()


def raise_later(condition: Any, error: Exception) -> None:
    """Raise an error with the next thing that is read from a GPU, if a condition holds there.

    To ask at once would make the host wait for the GPU. CUDA reports its own errors in this way.

    Args:
        condition: a boolean on a GPU, of no dimension.
        error: what to raise. Conditions of errors with the same message become one.
    """
    key = f"{condition.device.id} {error}"
    if key in _pending:
        condition = condition | _pending[key][0]
    _pending[key] = condition, error


def watched(like: Any, error: Callable[[int], Exception]) -> Any:
    """Return a word on a GPU, 0 at first; once a kernel has set it, the next thing read raises.

    Args:
        like: an array of that GPU.
        error: returns what to raise, given the word (`minigrad.kernels.flag` says what it means).
            Until the word is read, the same function gets the same word, for no launch.
    """
    key = like.data.device_id, error
    if key not in _pending:
        _pending[key] = np.zeros_like(like, shape=(1,), dtype=np.uint64), error
    return _pending[key][0]


def raise_pending() -> None:
    """Raise what `raise_later` and `watched` have left to be raised; the host waits to know."""
    while _pending:
        condition, error = _pending.pop(next(iter(_pending)))
        if found := condition.item():
            _pending.clear()
            raise error if isinstance(error, Exception) else error(found)


# ------------------------------------------------------------------ whether there is a GPU


def library(asked: device) -> Any:
    """Return CuPy.

    Args:
        asked: the device that it is needed for.

    Raises:
        RuntimeError: it cannot be used; the message has the reason.
    """
    usable, reason = cuda_status()
    if not usable:
        raise RuntimeError(f"cannot use device '{asked}': {reason}")
    import cupy

    return cupy


@functools.cache
def cuda_status() -> tuple[bool, str]:
    """Return whether CuPy can use a GPU here, and the reason in words; asks once, never raises."""
    try:
        import cupy
    except ModuleNotFoundError as error:
        if error.name == "cupy":
            return False, 'CuPy is not installed: pip install "minigrad[cuda13]" (or [cuda12])'
        return False, f"CuPy is installed but cannot be imported: {error}"
    except Exception as error:  # a broken installation may raise anything
        return False, f"CuPy is installed but cannot be imported: {error}"
    try:
        return _status(cupy)
    except Exception as error:
        return False, f"CuPy failed when it was asked for a GPU: {error}"


def _status(cupy: Any) -> tuple[bool, str]:
    runtime = cupy.cuda.runtime
    needed = runtime.runtimeGetVersion() // 1000
    try:
        count = runtime.getDeviceCount()
    except runtime.CUDARuntimeError as error:
        driver = runtime.driverGetVersion() // 1000
        if driver == 0:
            return False, "no NVIDIA driver was found"
        if driver < needed:
            older = f', or pip install "minigrad[cuda{driver}]"' if driver >= 12 else ""
            return False, (
                f"the driver supports CUDA {driver}, and this CuPy needs CUDA {needed}: "
                f"update the driver{older}"
            )
        return False, str(error)
    if count == 0:
        return False, "no CUDA device is visible (is CUDA_VISIBLE_DEVICES set?)"
    try:  # what compiles kernels, and what multiplies matrices: CuPy loads them when first needed
        _ = cupy.cuda.nvrtc.getVersion(), cupy.cuda.cublas
    except Exception as error:
        missing = str(error).strip().partition("\n")[0]
        found = f"CUDA libraries are missing ({missing})"
        return False, f'{found}: pip install "minigrad[cuda{needed}]"'
    return True, f"{count} CUDA device{'s' * (count > 1)}"
