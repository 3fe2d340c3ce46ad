"""CUDA kernels by their definitions in NumPy, for the fake CuPy, which compiles nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad.kernels import dropout
from tests.fake_cupy import host_of


def keep_mask(out: Any, n: Any, seed: Any, stream: Any, offset: Any, threshold: Any) -> None:
    state = int(seed), int(stream), int(offset)
    host_of(out)[...] = dropout.keep_mask_in_numpy(out.shape, state, int(threshold))


KERNELS: dict[str, Callable[..., None]] = {"keep_mask": keep_mask}


class Definitions:
    """Stands for a compiled source."""

    def __init__(self, source: str, options: tuple[str, ...], names: tuple[str, ...]) -> None:
        self.names = names

    def get_function(self, name: str) -> Callable[[Any, Any, Any], None]:
        def run(grid: Any, block: Any, args: Any) -> None:
            if name not in KERNELS:
                raise NotImplementedError(f"{name} has no definition in {__name__}")
            with np.errstate(all="ignore"):
                KERNELS[name](*args)

        return run
