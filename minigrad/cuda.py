"""GPUs: whether there is one, and why not; what PyTorch has under the same names.

Nothing here, nor elsewhere, touches CuPy before a GPU is asked for.
"""

from __future__ import annotations

from typing import Any

from minigrad.cuda_graph import Graph, graph
from minigrad.device import CUDA, cuda_status, device, library, raise_pending

__all__ = [
    "Graph", "current_device", "device_count", "empty_cache", "get_device_name", "graph",
    "is_available", "memory_allocated", "memory_reserved", "status", "synchronize",
]  # fmt: skip


def is_available() -> bool:
    """Return whether a GPU can be used; asked once, never raises."""
    return cuda_status()[0]


def status() -> str:
    """Return in words how many GPUs can be used; or why none can, and what to do about it."""
    return cuda_status()[1]


def device_count() -> int:
    """Return how many GPUs are visible; 0 if none can be used."""
    return library(CUDA).cuda.runtime.getDeviceCount() if is_available() else 0


def current_device() -> int:
    """Return the number of the GPU that ``"cuda"`` stands for.

    Raises:
        RuntimeError: no GPU can be used; the message has the reason.
    """
    return library(CUDA).cuda.runtime.getDevice()


def get_device_name(device: device | str | int | None = None) -> str:
    """Return what the GPU is called.

    Args:
        device: which; None for the current one.

    Raises:
        RuntimeError: no GPU can be used; the message has the reason.
    """
    with _at(device) as at:
        return library(CUDA).cuda.runtime.getDeviceProperties(at.id)["name"].decode()


def synchronize(device: device | str | int | None = None) -> None:
    """Wait until the GPU has done all that it was given.

    Args:
        device: which; None for the current one.

    Raises:
        RuntimeError: no GPU can be used; the message has the reason.
        IndexError: a label or an index was out of range since this thread last waited, and the
            like.
    """
    with _at(device) as at:
        at.synchronize()
    raise_pending()


def memory_allocated(device: device | str | int | None = None) -> int:
    """Return how many bytes of the GPU's memory arrays take up; 0 if no GPU can be used.

    Args:
        device: which; None for the current one.
    """
    return _of_pool("used_bytes", device) or 0


def memory_reserved(device: device | str | int | None = None) -> int:
    """Return how many bytes CuPy holds, also to use again; 0 if no GPU can be used.

    Args:
        device: which; None for the current one.
    """
    return _of_pool("total_bytes", device) or 0


def empty_cache() -> None:
    """Give memory that no array takes up back to the GPU, for other programs."""
    _of_pool("free_all_blocks", None)


def _at(where: device | str | int | None) -> Any:
    """Return CuPy's context manager that makes a GPU the current one."""
    if where is None or isinstance(where, int):
        where = device("cuda", where)
    elif isinstance(where, str):
        where = device(where)
    if where.type != "cuda":
        raise ValueError(f"expected a cuda device, but got {where}")
    return library(where).cuda.Device(where.index)


def _of_pool(question: str, where: device | str | int | None) -> Any:
    if not is_available():
        return None
    with _at(where):
        return getattr(library(CUDA).get_default_memory_pool(), question)()
