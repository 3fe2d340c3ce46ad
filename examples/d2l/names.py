"""Functions of tensors by the names that the book's cells for all frameworks call them.

A cell that is the same for every framework says ``d2l.matmul`` or ``d2l.reduce_sum``: functions of
minigrad, and methods of tensors, called with the tensor as first argument.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from minigrad import (
    Tensor,
    abs,
    arange,
    bmm,
    cat,
    cos,
    exp,
    eye,
    float32,
    int32,
    int64,
    linspace,
    log,
    matmul,
    meshgrid,
    nn,
    normal,
    ones,
    ones_like,
    rand,
    randn,
    sigmoid,
    sin,
    stack,
    tanh,
    tensor,
    zeros,
    zeros_like,
)

__all__ = [
    "abs", "arange", "argmax", "astype", "batch_matmul", "concat", "cos", "cosh", "exp",
    "expand_dims", "eye", "float32", "int32", "int64", "linspace", "log", "matmul", "meshgrid",
    "nn_Module", "normal", "numpy", "ones", "ones_like", "rand", "randn", "reduce_mean",
    "reduce_sum", "repeat", "reshape", "sigmoid", "sin", "sinh", "size", "stack", "swapaxes",
    "tanh", "tensor", "to", "transpose", "zeros", "zeros_like",
]  # fmt: skip


def _method(name: str) -> Callable[..., Any]:
    def call(x: Tensor, *args: Any, **kwargs: Any) -> Any:
        return getattr(x, name)(*args, **kwargs)

    call.__name__, call.__doc__ = name, f"Return ``x.{name}(*args, **kwargs)``."
    return call


def numpy(x: Tensor) -> Any:
    """Return the values as an array, without history."""
    return x.detach().numpy()


def cosh(x: Tensor) -> Tensor:
    """Return (eˣ + e⁻ˣ) / 2."""
    return (exp(x) + exp(-x)) / 2


def sinh(x: Tensor) -> Tensor:
    """Return (eˣ - e⁻ˣ) / 2."""
    return (exp(x) - exp(-x)) / 2


nn_Module = nn.Module  # noqa: N816
concat, batch_matmul = cat, bmm
argmax, astype, expand_dims = _method("argmax"), _method("type"), _method("unsqueeze")
reduce_mean, reduce_sum, repeat = _method("mean"), _method("sum"), _method("repeat")
reshape, size, swapaxes = _method("reshape"), _method("numel"), _method("swapaxes")
to, transpose = _method("to"), _method("t")
