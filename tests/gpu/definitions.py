"""CUDA kernels by their definitions in NumPy, for the fake CuPy, which compiles nothing.

Each takes a kernel's arguments as they are launched; arrays are found behind what the fake passes.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad import ops
from minigrad.kernels.index import INDICES
from minigrad.kernels.sgd import TENSORS
from tests.contract import philox_words
from tests.fake_cupy import host_of
from tests.kernels import definitions


def keep_mask(
    out: Any, n: Any, seed: Any, stream: Any, offset: Any, threshold: Any, key: Any
) -> None:
    state = int(seed), int(stream), int(offset)
    if threshold % 2**24:  # else it has no lower bits, and no key is needed
        assert key == philox_words(state, 1, third=1)[0]
    out[...] = definitions.keep_mask(out.shape, state, int(threshold))


def masked_scale(x: Any, keep: Any, y: Any, n: Any, scale: Any) -> None:
    y[...] = definitions.masked_scale(x, keep, scale)


def relu_forward(x: Any, y: Any, n: Any) -> None:
    y[...] = definitions.relu_forward(x)


def relu_backward(g: Any, y: Any, dx: Any, n: Any) -> None:
    dx[...] = definitions.relu_backward(g, y)


def sum_rows(x: Any, sums_: Any, rows: Any, columns: Any) -> None:
    sums_[...] = definitions.sum_rows(x, x.ndim - sums_.ndim)


def gather_rows(data: Any, index: Any, out: Any, wrong: Any, *scalars: Any) -> None:
    out[...] = definitions.gather_rows(data, index, wrong, scalars[-1])


def check_indices(struct: Any, count: Any, wrong: Any) -> None:
    table = struct.view(INDICES)
    kinds = {f"{'iu'[sign > 0]}{abs(sign)}": sign for sign in (-1, 1, -2, 2, -4, 4, -8, 8)}
    dtypes = {sign: np.dtype(name) for name, sign in kinds.items()}
    indices = [
        np.ctypeslib.as_array((ctypes.c_char * int(n * abs(bytes_))).from_address(int(at))).view(
            dtypes[int(bytes_)]
        )
        for at, n, bytes_ in zip(
            *(table[name][:count] for name in ("at", "count", "bytes")), strict=True
        )
    ]
    definitions.check_indices(indices, table["size"][:count], wrong)


def sgd_step(
    struct: Any, count: Any, lr: Any, momentum: Any, gain: Any, decay: Any, *flags_now: Any
) -> None:
    table = struct.view(TENSORS)
    *more, _ = flags_now  # the last is where a CUDA graph finds settings, and there is none here
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
        definitions.sgd_step(p, g, b, fresh, *settings, nesterov, maximize)


def cross_entropy_forward(
    x: Any, labels: Any, weight: Any, losses: Any, loss: Any, sums: Any, wrong: Any, *scalars: Any
) -> None:
    """Do what the op's function says, to its last bit; what it refuses is for the definition."""
    reduction = "none" if exists(losses) else "mean" if scalars[-1] else "sum"
    options = weight if exists(weight) else None, *counting(scalars), reduction
    y = definitions.cross_entropy_forward(x, labels, wrong, *options)
    if not wrong[0]:
        y = body(ops.class_cross_entropy)(x, labels, *options)
    for out in (losses, loss, sums):
        if exists(out):
            out[...] = y  # of sums, each is the whole: here there are no blocks


def cross_entropy_finish(sums: Any, loss: Any, blocks: Any, mean: Any) -> None:
    loss[...] = sums[0, 0]


def cross_entropy_backward(
    g: Any, x: Any, labels: Any, weight: Any, divisor: Any, dx: Any, *scalars: Any
) -> None:
    each, mean = scalars[-2:]
    reduction = "none" if each else "mean" if mean else "sum"
    options = weight if exists(weight) else None, *counting(scalars), reduction
    dim = 0 if x.ndim == 1 else 1
    wrong = (labels != options[1]) & ((labels < 0) | (labels >= x.shape[dim]))
    function = body(ops.cross_entropy._class_cross_entropy_gradient)
    if wrong.any():
        function = definitions.cross_entropy_backward
    dx[...] = function(g, x, labels, *options)


def exists(array: Any) -> bool:
    """Return whether an argument is an array, and no null pointer."""
    return isinstance(array, np.ndarray)


def counting(scalars: tuple[Any, ...]) -> tuple[int, float]:
    """Return the ignored index, and how much labels are smoothed."""
    _, classes, _, ignored, _, off, *_ = scalars
    return int(ignored), round(float(off) * int(classes), 12)


def body(op: Any) -> Any:
    """Return the NumPy function that an op is on the host."""
    return op.op.function.__wrapped__


KERNELS: dict[str, Callable[..., None]] = {
    function.__name__: function
    for function in (
        *(
            keep_mask,
            masked_scale,
            relu_forward,
            relu_backward,
            sum_rows,
            gather_rows,
            check_indices,
            sgd_step,
        ),
        *(cross_entropy_forward, cross_entropy_finish, cross_entropy_backward),
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
