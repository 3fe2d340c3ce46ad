"""A real GPU, with what tests ask of `tests.kernels.cuda_on_cpu.Device`."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np


class Gpu:
    """The current CUDA device.

    Attributes:
        launched: the names of all kernels launched so far.
    """

    def __init__(self) -> None:
        import cupy

        self._cupy = cupy
        self.launched: list[str] = []

    def empty(self, shape: tuple[int, ...], dtype: Any, skew: int = 0) -> Any:
        """Return an array whose elements are all ones in binary; ``skew`` is in elements."""
        whole = self._cupy.empty(math.prod(shape) + skew, dtype)
        whole.view(np.uint8).fill(0xFF)
        return whole[skew:].reshape(shape)

    def array(self, values: Any, skew: int = 0) -> Any:
        """Return a copy of an array of the host."""
        values = np.asarray(values)
        array = self.empty(values.shape, values.dtype, skew)
        array.set(values)
        return array

    def load(self, source: str, options: tuple[str, ...], names: tuple[str, ...]) -> Any:
        """Compile; see `minigrad.kernels.launch.Load`."""
        module = self._cupy.RawModule(code=source, options=options, name_expressions=names)
        return Recorded(module, self.launched)


class Recorded:
    """A module that writes down which of its kernels are launched."""

    def __init__(self, module: Any, launched: list[str]) -> None:
        self._module, self._launched = module, launched

    def get_function(self, name: str) -> Callable[..., None]:
        kernel = self._module.get_function(name)

        def function(*arguments: Any) -> None:
            self._launched.append(name)
            kernel(*arguments)

        return function
