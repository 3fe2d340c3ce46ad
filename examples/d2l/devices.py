"""Where tensors go: cpu, gpu, num_gpus, try_gpu, try_all_gpus."""

from __future__ import annotations

from minigrad import cuda, device


def cpu() -> device:
    """Return the CPU."""
    return device("cpu")


def gpu(i: int = 0) -> device:
    """Return a GPU, whether it is there or not."""
    return device(f"cuda:{i}")


def num_gpus() -> int:
    """Return how many GPUs can be used."""
    return cuda.device_count()


def try_gpu(i: int = 0) -> device:
    """Return GPU number i if it can be used, else the CPU."""
    return gpu(i) if num_gpus() > i else cpu()


def try_all_gpus() -> list[device]:
    """Return all GPUs that can be used, or else the CPU alone."""
    return [gpu(i) for i in range(num_gpus())] or [cpu()]
