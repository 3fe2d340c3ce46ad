"""Where arrays live: the one file that knows CuPy beside NumPy, and imports it when asked to."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from typing import Any, ClassVar

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


CPU, CUDA = device("cpu"), device("cuda")


class gpus:  # noqa: N801  (a place for one fact)
    """What is known of the GPUs once one has been asked for."""

    several = False  #: more than one: what computes has to enter the one of its arrays
    array: type | None = None  #: CuPy's class of arrays: to know it is the quickest way to know one


def on_gpu(value: Any) -> bool:
    """Return whether a value is an array of a GPU."""
    return type(value) is gpus.array or (is_array(value) and not isinstance(value, np.ndarray))


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


def on_device_of(*values: Any) -> AbstractContextManager[Any]:
    """Return a context in which the GPU of the first array of a GPU is the current one.

    CuPy computes, and puts results, on the current GPU, wherever its operands are. Without such an
    array, or if its GPU is current already, or the only one, the context does nothing.
    """
    if not gpus.several:
        return _NOTHING
    for value in values:
        if on_gpu(value):
            index, cupy = value.data.device_id, library(CUDA)
            current = cupy.cuda.runtime.getDevice()
            return _NOTHING if index == current else cupy.cuda.Device(index)
    return _NOTHING


def use_device_of(value: Any) -> None:
    """Make the GPU of an array the current one, until another is: within `on_device_of`."""
    if on_gpu(value):
        index, cupy = value.data.device_id, library(CUDA)
        if index != cupy.cuda.runtime.getDevice():
            cupy.cuda.Device(index).use()


_NOTHING = nullcontext()


class _Now(threading.local):
    """What a thread is at.

    Attributes:
        captured: the step that becomes a CUDA graph (`minigrad.cuda_graph.Capture`), or None.
    """

    captured: Any = None


now = _Now()


def _refuse_in_graph(what: str, instead: str) -> None:
    """Raise RuntimeError if a step that becomes a CUDA graph is running."""
    if now.captured is not None:
        raise RuntimeError(
            f"a step that becomes a CUDA graph cannot {what}, and this one does: {instead}"
        )


def move(array: Any, to: device | str | None) -> Any:
    """Return the array on another device, None for the CPU: itself if it is there, else a copy.

    Raises:
        RuntimeError: the device is a GPU that cannot be used; the message has the reason.
    """
    to = device(to) if isinstance(to, str) else to or CPU
    if to.type == "cpu":
        return fetch(array)
    cupy = library(to)
    if not isinstance(array, np.ndarray) and to.index in (None, array.device.id):
        return array
    if isinstance(array, np.ndarray):
        what = "copy from the host, since replays would not"
        _refuse_in_graph(what, "move the tensor before, or give it to the step as an argument")
    with _gpu_context(cupy, to):
        return cupy.asarray(array)


def native(dtype: Any) -> np.dtype[Any]:
    """Return a dtype in this machine's order of bytes, as NumPy's one object for it."""
    return np.dtype(np.dtype(dtype).type)


def empty(size: Any, dtype: Any, to: device | str | None) -> Any:
    """Return a new array on a device, None for the CPU; its elements are whatever was there.

    Raises:
        RuntimeError: the device is a GPU that cannot be used; the message has the reason.
    """
    to = device(to) if isinstance(to, str) else to or CPU
    if to.type == "cpu":
        return np.empty(size, dtype)
    cupy = library(to)
    with _gpu_context(cupy, to):
        return cupy.empty(size, dtype)


def share(source: Any) -> Any:
    """Return an array of the same memory as another framework's, by the DLPack protocol.

    Raises:
        RuntimeError: it is on a GPU that cannot be used, or on another kind of device.
        TypeError: its dtype is none of NumPy's, as bfloat16 is.
        BufferError: the other framework does not give its memory away.
    """
    of_host, of_gpu = (1,), (2,)
    kind, index = source.__dlpack_device__()
    if kind in of_host:
        try:
            return np.from_dlpack(source)
        except RuntimeError as error:  # what NumPy says names neither dtype nor remedy
            dtype = getattr(source, "dtype", "its dtype")
            raise TypeError(
                f"NumPy has no {dtype}: give float32, as by tensor.float() in PyTorch"
            ) from error
    if kind not in of_gpu:
        raise RuntimeError(
            f"a {type(source).__module__} array on DLPack device {int(kind)} cannot be shared: "
            "move it to the CPU or a CUDA device first"
        )
    return library(device("cuda", index)).from_dlpack(source)


def _gpu_context(cupy: Any, to: device) -> Any:
    """Return CuPy's context for a device.

    Raises:
        RuntimeError: there is no such GPU.
    """
    if not gpus.several and not to.index:
        return _NOTHING
    count = cupy.cuda.runtime.getDeviceCount()
    if to.index is not None and to.index >= count:
        raise RuntimeError(f"cannot use device '{to}': {cuda_status()[1]}, counted from 0")
    return cupy.cuda.Device(to.index)


def compiled(source: str, options: tuple[str, ...], names: tuple[str, ...]) -> Any:
    """Return the CUDA kernels of a source, compiled: what `minigrad.kernels.Launcher` asks for."""
    cupy = library(CUDA)
    return cupy.RawModule(code=source, options=options, name_expressions=names)


def add_at(array: Any, index: Any, values: Any) -> None:
    """Add ``values`` at ``index`` in place: to a place that it names twice, both of them.

    On a GPU the order of the additions is left to chance, and so is the last bit of the sums.
    """
    if isinstance(array, np.ndarray):
        np.add.at(array, index, values)
    else:  # NumPy hands CuPy no index that is a tuple
        with on_device_of(array):
            library(CUDA).add.at(array, index, values)


# ------------------------------------------------------------------ what the host waits for


class _Pending(threading.local):
    """What a thread has left to be looked at with the next thing that it reads from a GPU.

    Attributes:
        conditions: by device, stream and error: what to look at, what to raise if it is set, and
            the stream on which it is set. Those of CUDA graphs have the graph's in the key as well.
    """

    ended: ClassVar[list[tuple[threading.Thread, dict[Any, Any]]]] = []

    def __init__(self) -> None:
        self.conditions: dict[Any, tuple[Any, Exception | Callable[[int], Exception], Any]] = {}
        self.ended.append((threading.current_thread(), self.conditions))

    def left(self) -> list[dict[Any, Any]]:
        """Return what this thread has left, and what threads have that are no more."""
        gone = [entry for entry in self.ended if not entry[0].is_alive()]
        for entry in gone:
            if not entry[1]:
                with suppress(ValueError):  # another thread was quicker
                    self.ended.remove(entry)
        return [self.conditions, *(conditions for _, conditions in gone)]

    def clear(self) -> None:
        """Forget everything."""
        for conditions in self.left():
            conditions.clear()
        _unset.clear()


_pending = _Pending()
_unset: dict[int, list[Any]] = {}  # by device: words of `watched` that were read, and are still 0


def fetch(array: Any) -> np.ndarray:
    """Return the array in host memory: itself if it is there already, else a copy, waited for.

    Raises:
        Exception: what was left by `raise_later` or `watched`, if it was set.
    """
    if isinstance(array, np.ndarray):
        return array
    raise_pending()
    with on_device_of(array):
        return array.get()


def raise_later(condition: Any, error: Exception) -> None:
    """Raise an error with the next thing that this thread reads from a GPU, if a condition holds.

    To ask at once would make the host wait for the GPU. CUDA reports its own errors in this way.

    Args:
        condition: a boolean on a GPU, of no dimension.
        error: what to raise. Conditions of errors with the same message become one.
    """
    if now.captured is not None:
        now.captured.raise_later(condition, error)
        return
    with on_device_of(condition):
        stream = library(CUDA).cuda.get_current_stream()
        key = condition.data.device_id, stream.ptr, str(error)
        if key in _pending.conditions:
            condition = condition | _pending.conditions[key][0]
    _pending.conditions[key] = condition, error, stream


def watched(like: Any, error: Callable[[int], Exception]) -> Any:
    """Return a word on a GPU, 0 at first; once a kernel has set it, the next thing read raises.

    Args:
        like: an array of that GPU; the kernel runs on its current stream.
        error: returns what to raise, given the word (`minigrad.kernels.flag` says what it means).
            Until the word is read, calls with the same ``error`` share it and launch nothing.
    """
    if now.captured is not None:
        return now.captured.word(error, lambda: np.zeros_like(like, shape=(1,), dtype=np.uint64))
    number = like.data.device_id
    with on_device_of(like):
        stream = library(CUDA).cuda.get_current_stream()
        key = number, stream.ptr, error
        if key not in _pending.conditions:
            try:
                word = _unset[number].pop()
            except (KeyError, IndexError):
                word = np.zeros_like(like, shape=(1,), dtype=np.uint64)
            _pending.conditions[key] = word, error, stream
    return _pending.conditions[key][0]


def raise_pending() -> None:
    """Raise what `raise_later` and `watched` have left to be raised; the host waits to know.

    Each condition is read on the stream that it is set on, and by the thread that left it; what a
    thread has left that has ended, by whichever comes next.
    """
    what = "wait for the GPU, as reading a number does"
    _refuse_in_graph(what, "let the step return the tensor, and read it afterwards")
    for conditions in _pending.left():
        while conditions:
            try:
                key = next(iter(conditions))
                condition, error, stream = conditions.pop(key)
            except (KeyError, RuntimeError, StopIteration):
                continue  # of a thread that has ended, and another was quicker to take it
            of_a_graph = len(key) > 3
            with on_device_of(condition):
                found = condition.get(stream=stream).item()
                if found and of_a_graph:
                    condition.fill(0)  # the next replay sets it anew
            if found:
                conditions.clear()
                raise error if isinstance(error, Exception) else error(found)
            if not isinstance(error, Exception) and not of_a_graph:
                _unset.setdefault(condition.data.device_id, []).append(condition)


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
    gpus.several = count > 1
    if count == 0:
        return False, "no CUDA device is visible (is CUDA_VISIBLE_DEVICES set?)"
    try:  # what compiles kernels, and what multiplies matrices: CuPy loads them when first needed
        _ = cupy.cuda.nvrtc.getVersion(), cupy.cuda.cublas
    except Exception as error:
        missing = str(error).strip().partition("\n")[0]
        found = f"CUDA libraries are missing ({missing})"
        return False, f'{found}: pip install "minigrad[cuda{needed}]"'
    gpus.array = cupy.ndarray
    return True, f"{count} CUDA device{'s' * (count > 1)}"
