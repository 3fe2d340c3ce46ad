"""The part of ``cupy.cuda`` that stands for the machine: devices, the runtime, memory pools."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from tests.fake_cupy import counts

DEVICES = 2
_stack = [0]  # the current device is the last


class Device:
    """One of the devices, current inside a ``with`` block; without a number, the current one."""

    def __init__(self, device: Any = None) -> None:
        self.id = _stack[-1] if device is None else int(device)

    def __enter__(self) -> Device:
        if not 0 <= self.id < DEVICES:
            raise CUDARuntimeError("cudaErrorInvalidDevice: invalid device ordinal")
        _stack.append(self.id)
        return self

    def __exit__(self, *exc: object) -> None:
        _stack.pop()

    def use(self) -> Device:
        _stack[-1] = self.id
        return self

    def synchronize(self) -> None:
        counts.synchronize()

    def __int__(self) -> int:
        return self.id

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Device) and self.id == other.id


class Stream:
    """The only stream there is."""

    ptr = 0


def get_current_stream() -> Stream:
    return STREAM


STREAM = Stream()


class CUDARuntimeError(RuntimeError):
    """What CuPy raises when CUDA reports an error."""


class MemoryPool:
    """Memory that is kept when it is freed, to be used again; in units of 512 bytes."""

    def __init__(self) -> None:
        self.used, self.held = [0] * DEVICES, [0] * DEVICES

    def take(self, device: int, nbytes: int) -> None:
        """Account for memory that is taken; a negative number gives it back."""
        blocks = (abs(nbytes) + 511) // 512
        self.used[device] += 512 * (blocks if nbytes > 0 else -blocks)
        self.held[device] = max(self.held[device], self.used[device])

    def used_bytes(self) -> int:
        return self.used[_stack[-1]]

    def total_bytes(self) -> int:
        return self.held[_stack[-1]]

    def free_all_blocks(self) -> None:
        self.held[_stack[-1]] = self.used[_stack[-1]]


pool = MemoryPool()
runtime = SimpleNamespace(
    CUDARuntimeError=CUDARuntimeError,
    getDeviceCount=lambda: DEVICES,
    getDevice=lambda: _stack[-1],
    getDeviceProperties=lambda i: {"name": f"Fake GPU {i}".encode(), "major": 9, "minor": 0},
    deviceSynchronize=counts.synchronize,
    driverGetVersion=lambda: 13000,
    runtimeGetVersion=lambda: 13020,
)
nvrtc = SimpleNamespace(getVersion=lambda: (13, 0))
cublas = SimpleNamespace()
