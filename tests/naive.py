"""A second engine: slow, recursive, obviously right. It has no table of derivatives.

An op is a NumPy function that takes complex numbers too, and its derivative is a complex step: in
f(x + ih) = f(x) + ih f'(x) + O(h²) nothing cancels, so that Im f(x + ih) / h is exact to the last
digits for a tiny h (Squire and Trapp, "Using complex variables to estimate derivatives of real
functions", 1998). Gradients are added up path by path, from the result back to the leaf.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from minigrad.testing.programs import Program, Step, resolve

Array = np.ndarray
STEP = 1e-30


class Value:
    """The result of a step, or a leaf, which has no inputs.

    Attributes:
        array: the result itself.
        inputs: the values that the step reads, by register.
    """

    def __init__(self, step: Step, inputs: Mapping[int, Value]) -> None:
        self.step, self.inputs = step, inputs
        self.array = self.at({i: v.array for i, v in inputs.items()})

    def at(self, arrays: Mapping[int, Array]) -> Array:
        """Return what the step makes of other arrays."""
        args, options = resolve((self.step.args, self.step.options), arrays)
        result = FUNCTIONS[self.step.op](*args, **options)
        return np.asarray(result if self.step.part is None else result[self.step.part])

    def back(self, register: int, g: Array) -> Array:
        """Return the gradient of <g, self> with respect to one input, element by element."""
        arrays = {i: v.array for i, v in self.inputs.items()}
        gradient = np.zeros(arrays[register].shape)
        for place in np.ndindex(gradient.shape):
            moved = arrays[register].astype(complex)
            moved[place] += 1j * STEP
            gradient[place] = (g * self.at({**arrays, register: moved}).imag).sum() / STEP
        return gradient


def run(program: Program, leaves: Mapping[int, Array] | None = None) -> list[Value]:
    """Return all registers; ``leaves`` are other arrays than the program's for some of them."""
    registers: list[Value] = []
    for step in program.steps:
        if step.op == "tensor" and len(registers) in (leaves or {}):
            step = Step("tensor", ((leaves or {})[len(registers)],))
        value = Value(step, {i: registers[i] for i in step.reads})
        if step.target is None:
            registers.append(value)
        else:
            registers[step.target] = value
    return registers


def gradient(y: Value, x: Value, g: Array) -> Array:
    """Return the gradient of <g, y> with respect to x: the sum over all paths from y to x."""
    total = g.copy() if y is x else np.zeros(x.array.shape)
    for register, value in y.inputs.items():
        if value.array.dtype.kind == "f":
            total += gradient(value, x, y.back(register, g))
    return total


# ------------------------------------------------------------------------- ops, by the book


def _maximum(a: Any, b: Any) -> Any:
    return np.where(np.real(a) > np.real(b), a, b)


def _minimum(a: Any, b: Any) -> Any:
    return -_maximum(-a, -b)


def _clamp(x: Any, min: Any = None, max: Any = None) -> Any:
    x = x if min is None else _maximum(x, min)
    return x if max is None else _minimum(x, max)


def _amax(x: Any, dim: Any = None, keepdim: bool = False) -> Any:
    hit = x.real == x.real.max(axis=dim, keepdims=True)
    return (x * hit).sum(axis=dim, keepdims=keepdim)


def _amin(x: Any, dim: Any = None, keepdim: bool = False) -> Any:
    return -_amax(-x, dim, keepdim)


def _argmax(x: Any, dim: Any = None, keepdim: bool = False) -> Any:
    return np.argmax(x.real, axis=dim, keepdims=keepdim)


def _argmin(x: Any, dim: Any = None, keepdim: bool = False) -> Any:
    return _argmax(-x, dim, keepdim)


def _extreme(pairwise: Any, value: Any, place: Any) -> Callable[..., Any]:
    def call(x: Any, dim: Any = None, keepdim: bool = False) -> Any:
        if isinstance(dim, Array):
            return pairwise(x, dim)
        return value(x) if dim is None else (value(x, dim, keepdim), place(x, dim, keepdim))

    return call


def _sum(x: Any, dim: Any = None, keepdim: bool = False) -> Any:
    return x.sum(axis=dim, keepdims=keepdim)


def _mean(x: Any, dim: Any = None, keepdim: bool = False) -> Any:
    return _sum(x, dim, keepdim) / _sum(np.ones(x.shape), dim, keepdim)


def _var(x: Any, dim: Any = None, correction: float = 1, keepdim: bool = False) -> Any:
    n = _sum(np.ones(x.shape), dim, keepdim)
    return _sum((x - _mean(x, dim, True)) ** 2, dim, keepdim) / (n - correction)


def _logsumexp(x: Any, dim: Any = None, keepdim: bool = False) -> Any:
    return np.log(_sum(np.exp(x), dim, keepdim))


def _log_softmax(x: Any, dim: int) -> Any:
    return x - _logsumexp(x, dim, True)


def _class_cross_entropy(
    x: Any, labels: Any, reduction: str = "mean", label_smoothing: float = 0.0
) -> Any:
    dim = min(x.ndim - 1, 1)
    places = np.expand_dims(np.maximum(labels, 0), dim)
    log_p, counted = _log_softmax(x, dim), labels != -100
    picked = np.take_along_axis(log_p, places, dim).squeeze(dim)
    losses = -(1 - label_smoothing) * picked - label_smoothing * log_p.mean(dim)
    losses = losses * counted
    if reduction == "none":
        return losses
    return losses.sum() / (counted.sum() if reduction == "mean" else 1)


def _flatten(x: Any, start: int = 0, end: int = -1) -> Any:
    sides = list(x.shape) or [1]
    end %= len(sides)
    return x.reshape([*sides[:start], int(np.prod(sides[start : end + 1])), *sides[end + 1 :]])


def _squeeze(x: Any, dim: Any = None) -> Any:
    dims = range(x.ndim) if dim is None else np.atleast_1d(dim)
    return np.squeeze(x, tuple(int(d) for d in dims if x.shape[d] == 1))


def _expand(x: Any, shape: Any) -> Any:
    ours = (1,) * (len(shape) - x.ndim) + x.shape
    return np.broadcast_to(x, [m if n == -1 else n for n, m in zip(shape, ours, strict=True)])


def _places(shape: tuple[int, ...], index: Any) -> Any:
    """Return which elements an index means: ints first, as in PyTorch, and bytes as a mask."""
    places = np.arange(math.prod(shape)).reshape(shape)
    parts = [
        np.asarray(p) != 0 if getattr(p, "dtype", None) == np.uint8 else p
        for p in (index if isinstance(index, tuple) else (index,))
    ]
    used = sum(p.ndim if getattr(p, "dtype", None) == np.bool_ else p is not None for p in parts)
    dim, rest = 0, []
    for p in parts:
        if p is Ellipsis:
            whole = len(shape) - (used - 1)
            rest += [slice(None)] * whole
            dim += whole
        elif isinstance(p, int | np.integer) and not isinstance(p, bool):
            places = places.take(int(p), axis=dim)
        else:
            rest.append(p)
            dim += p.ndim if getattr(p, "dtype", None) == np.bool_ else p is not None
    return places[tuple(rest)]


def _setitem(x: Any, value: Any, index: Any) -> Any:
    y = x.astype(np.result_type(x, np.asarray(value).dtype)).reshape(-1)
    y[_places(x.shape, index)] = value
    return y.reshape(x.shape)


def _of_reals(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function of the real parts, which is piecewise constant."""
    return lambda *args, **options: function(*map(np.real, args), **options)


#: by name, as functions of arrays of real or complex numbers
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "tensor": lambda array, requires_grad=False: array,
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "div": operator.truediv,
    "neg": operator.neg,
    "pow": operator.pow,
    "maximum": _maximum,
    "minimum": _minimum,
    "remainder": lambda a, b: a - b * np.floor(np.real(a) / np.real(b)),
    "floor_divide": _of_reals(lambda a, b: np.floor(a / b)),
    **{op: _of_reals(getattr(operator, op)) for op in ("eq", "ne", "lt", "le", "gt", "ge")},
    **{f"bitwise_{op}": getattr(np, f"bitwise_{op}") for op in ("and", "or", "xor", "not")},
    **{op: getattr(np, op) for op in ("exp", "expm1", "log", "log1p", "sqrt", "sin", "cos")},
    "tanh": np.tanh,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "abs": lambda x: x * np.sign(x.real),
    "sign": _of_reals(np.sign),
    "floor": _of_reals(np.floor),
    "relu": lambda x: x * (x.real > 0),
    "clamp": _clamp,
    "where": np.where,
    "cast": lambda x, dtype: x * 1.0,
    "clone": lambda x: x,
    "overwrite": lambda x, source: np.broadcast_to(source, x.shape),
    "masked_scale": lambda x, keep, scale: x * keep * scale,
    "matmul": operator.matmul,
    "linear": lambda x, weight, bias=0: x @ weight.T + bias,
    "softmax_cross_entropy": lambda x, q, dim: -(q * _log_softmax(x, dim)).sum(dim),
    "class_cross_entropy": _class_cross_entropy,
    "sum": _sum,
    "mean": _mean,
    "var": _var,
    "std": lambda *args, **options: np.sqrt(_var(*args, **options)),
    "amax": _amax,
    "amin": _amin,
    "max": _extreme(_maximum, _amax, _argmax),
    "min": _extreme(_minimum, _amin, _argmin),
    "argmax": _argmax,
    "argmin": _argmin,
    "any": lambda x, dim=None, keepdim=False: np.any(x.real, axis=dim, keepdims=keepdim),
    "all": lambda x, dim=None, keepdim=False: np.all(x.real, axis=dim, keepdims=keepdim),
    "logsumexp": _logsumexp,
    "softmax": lambda x, dim: np.exp(_log_softmax(x, dim)),
    "log_softmax": _log_softmax,
    "reshape": np.reshape,
    "flatten": _flatten,
    "squeeze": _squeeze,
    "unsqueeze": np.expand_dims,
    "permute": np.transpose,
    "transpose": np.swapaxes,
    "expand": _expand,
    "concatenate": np.concatenate,
    "stack": np.stack,
    "getitem": lambda x, index: x.reshape(-1)[_places(x.shape, index)],
    "setitem": _setitem,
    "take_along_dim": np.take_along_axis,
}


def _of_numbers_too(function: Callable[..., Any]) -> Callable[..., Any]:
    """Let a function of dimensions take a number, which has none, for its only element."""

    def call(x: Any, *args: Any, **options: Any) -> Any:
        if np.ndim(x) or not (args or options) or isinstance(args and args[0], Array):
            return function(x, *args, **options)
        y = function(x.reshape((1,)), *args, **options)
        return tuple(v.reshape(()) for v in y) if isinstance(y, tuple) else np.reshape(y, ())

    return call


for _name in (
    *("sum", "mean", "var", "std", "amax", "amin", "max", "min", "argmax", "argmin", "any", "all"),
    *("logsumexp", "softmax", "log_softmax", "softmax_cross_entropy", "squeeze", "transpose"),
):
    FUNCTIONS[_name] = _of_numbers_too(FUNCTIONS[_name])

# a change in place is a new tensor under the old name, as long as nothing shares its memory
FUNCTIONS |= {
    **{f"{op}_": FUNCTIONS[op] for op in ("add", "sub", "mul", "div", "relu", "setitem")},
    "copy_": FUNCTIONS["overwrite"],
    "fill_": FUNCTIONS["overwrite"],
    "zero_": lambda x: np.zeros(x.shape),
}
