"""CUDA kernels by their definitions in NumPy, for the fake CuPy, which compiles nothing.

Each takes a kernel's arguments as they are launched; arrays are found behind what the fake passes.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad.kernels import dropout, gather, relu, sgd, sums
from tests.fake_cupy import host_of


def keep_mask(out: Any, n: Any, seed: Any, stream: Any, offset: Any, threshold: Any) -> None:
    state = int(seed), int(stream), int(offset)
    out[...] = dropout.keep_mask_in_numpy(out.shape, state, int(threshold))


def masked_scale(x: Any, keep: Any, y: Any, n: Any, scale: Any) -> None:
    y[...] = dropout.masked_scale_in_numpy(x, keep, scale)


def relu_forward(x: Any, y: Any, n: Any) -> None:
    y[...] = relu.relu_forward_in_numpy(x)


def relu_backward(g: Any, y: Any, dx: Any, n: Any) -> None:
    dx[...] = relu.relu_backward_in_numpy(g, y)


def sum_rows(x: Any, sums_: Any, rows: Any, columns: Any) -> None:
    sums_[...] = sums.sum_rows_in_numpy(x, x.ndim - sums_.ndim)


def gather_rows(data: Any, index: Any, out: Any, wrong: Any, *scalars: Any) -> None:
    out[...] = gather.gather_rows_in_numpy(data, index, wrong, scalars[-1])


def sgd_step(
    table: Any, count: Any, lr: Any, momentum: Any, gain: Any, decay: Any, *more: Any
) -> None:
    kind = {4: ctypes.c_float, 8: ctypes.c_double}[lr.itemsize]

    def array(address: Any, size: Any) -> Any:
        return np.ctypeslib.as_array((kind * int(size)).from_address(int(address)))

    for i in range(count):
        p, g, b = (
            array(table[name][i], table["size"][i]) if table[name][i] else None
            for name in ("parameter", "gradient", "buffer")
        )
        fresh, (_, nesterov, maximize) = table["fresh"][i], more
        settings = float(lr), float(momentum), 1 - float(gain), float(decay)
        sgd.sgd_step_in_numpy(p, g, b, fresh, *settings, nesterov, maximize)


KERNELS: dict[str, Callable[..., None]] = {
    function.__name__: function
    for function in (
        *(keep_mask, masked_scale, relu_forward, relu_backward, sum_rows, gather_rows, sgd_step),
    )
}


class Definitions:
    """Stands for a compiled source."""

    def __init__(self, source: str, options: tuple[str, ...], names: tuple[str, ...]) -> None:
        self.names = names

    def get_function(self, name: str) -> Callable[[Any, Any, Any], None]:
        kernel = name.partition("<")[0]

        def run(grid: Any, block: Any, args: Any) -> None:
            if kernel not in KERNELS:
                raise NotImplementedError(f"{name} has no definition in {__name__}")
            with np.errstate(all="ignore"):
                KERNELS[kernel](*(a if host_of(a) is None else host_of(a) for a in args))

        return run
