"""What NumPy's functions do with tensors: ``np.exp(t)`` is ``minigrad.exp(t)``, and recorded.

NumPy hands a function that meets a tensor to the tensor's ``__array_ufunc__`` or
``__array_function__`` (NEP 13 and NEP 18). That lets a derivative be written once: given arrays it
is NumPy, given tensors it is the ops of the table.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad import ops
from minigrad.graph import TensorBase, wrap


def array_ufunc(self: Any, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
    """Run the op that ``ufunc`` stands for; without one, compute on the data where it may be."""
    if method != "__call__" or kwargs:
        return NotImplemented
    if ufunc in _UFUNCS:
        return _UFUNCS[ufunc](*inputs)
    result = ufunc(*map(_as_numpy, inputs))
    return tuple(map(wrap, result)) if isinstance(result, tuple) else wrap(result)


def array_function(
    self: Any, function: Callable[..., Any], types: Any, args: Any, kwargs: Any
) -> Any:
    """Run the op that ``function`` stands for; without one, NumPy's on the data where it may be."""
    if function in _FUNCTIONS:
        return _FUNCTIONS[function](*args, **kwargs)
    return function(*_as_numpy(args), **_as_numpy(kwargs))


def _as_numpy(value: Any) -> Any:
    """Return arrays for the tensors in a value; one that requires grad raises what to do."""
    if isinstance(value, TensorBase):
        return np.asarray(value)
    if isinstance(value, list | tuple):
        return type(value)(map(_as_numpy, value))
    return {k: _as_numpy(v) for k, v in value.items()} if isinstance(value, dict) else value


def _like(x: Any, value: float, shape: Any = None, dtype: Any = None) -> Any:
    return wrap(np.full_like(x.array, value, shape=shape, dtype=dtype))


#: what is called the same in NumPy and in `minigrad.ops`
_SAME_UFUNCS = (
    "add", "bitwise_and", "bitwise_or", "bitwise_xor", "cos", "exp", "expm1", "floor",
    "floor_divide", "isfinite", "isinf", "isnan", "log", "log1p", "matmul", "maximum", "minimum",
    "remainder", "sign", "sin", "sqrt", "tanh",
)  # fmt: skip
_SAME_FUNCTIONS = (
    "all", "any", "argmax", "argmin", "concatenate", "mean", "prod", "reshape", "squeeze", "stack",
    "sum", "where",
)  # fmt: skip

#: which op a NumPy function stands for when it meets a tensor
_UFUNCS: dict[np.ufunc, Callable[..., Any]] = {
    **{getattr(np, name): getattr(ops, name) for name in _SAME_UFUNCS},
    np.subtract: ops.sub,
    np.multiply: ops.mul,
    np.divide: ops.div,
    np.power: ops.pow,
    np.negative: ops.neg,
    np.absolute: ops.abs,
    np.equal: ops.eq,
    np.not_equal: ops.ne,
    np.less: ops.lt,
    np.less_equal: ops.le,
    np.greater: ops.gt,
    np.greater_equal: ops.ge,
    np.invert: ops.bitwise_not,
}
_FUNCTIONS: dict[Callable[..., Any], Callable[..., Any]] = {
    **{getattr(np, name): getattr(ops, name) for name in _SAME_FUNCTIONS},
    np.var: lambda x, axis=None, ddof=0, keepdims=False: ops.var(x, axis, ddof, keepdims),
    np.std: lambda x, axis=None, ddof=0, keepdims=False: ops.std(x, axis, ddof, keepdims),
    np.cumsum: lambda x, axis=None, dtype=None: ops.cumsum(
        x.reshape((-1,)) if axis is None else x, axis or 0, dtype
    ),
    np.max: ops.amax,
    np.min: ops.amin,
    np.clip: lambda x, a_min=None, a_max=None: ops.clamp(x, a_min, a_max),
    np.ravel: ops.flatten,
    np.transpose: lambda x, axes=None: ops.permute(x, axes or range(x.ndim)[::-1]),
    np.swapaxes: lambda x, axis1, axis2: ops.transpose(x, axis1, axis2),
    np.expand_dims: ops.unsqueeze,
    np.broadcast_to: ops.expand,
    np.tile: ops.repeat,
    np.copy: ops.clone,
    np.zeros_like: functools.partial(_like, value=0),
    np.ones_like: functools.partial(_like, value=1),
}
