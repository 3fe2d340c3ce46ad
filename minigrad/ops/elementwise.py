"""Functions of each element by itself."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad import kernels
from minigrad.device import native
from minigrad.fused import fused
from minigrad.misfits import beside, fitted
from minigrad.ops.selecting import kept
from minigrad.table import differentiable

__all__ = [
    "abs", "cast", "clamp", "clone", "cos", "exp", "expm1", "floor", "isfinite",
    "isinf", "isnan", "log", "log1p", "logsigmoid", "overwrite", "relu", "sigmoid", "sign", "sin",
    "sqrt", "tanh", "where",
]  # fmt: skip


def floating(x: Any) -> Any:
    """Return x; integers and booleans as float32, as PyTorch computes with them.

    NumPy computes functions of the small ones in halves, where e¹² is infinite.
    """
    return x.astype(np.float32) if hasattr(x, "dtype") and x.dtype.kind != "f" else x


@differentiable(x=lambda g, y: g * y)  # y = eˣ is its own derivative
def exp(x: Any) -> Any:
    """Return eˣ."""
    return np.exp(floating(x))


@differentiable(x=lambda g, y: g * (y + 1))
def expm1(x: Any) -> Any:
    """Return eˣ - 1, exact for small x."""
    return np.expm1(floating(x))


@differentiable(x=lambda g, x: g / x)
def log(x: Any) -> Any:
    """Return the natural logarithm of x."""
    return np.log(floating(x))


@differentiable(x=lambda g, x: g / (x + 1))
def log1p(x: Any) -> Any:
    """Return log(1 + x), exact for small x."""
    return np.log1p(floating(x))


@differentiable(x=lambda g, y: g / (2 * y))
def sqrt(x: Any) -> Any:
    """Return √x."""
    return np.sqrt(floating(x))


@differentiable(x=lambda g, x: g * np.cos(x))
def sin(x: Any) -> Any:
    """Return sin x, x in radians."""
    return np.sin(floating(x))


@differentiable(x=lambda g, x: -g * np.sin(x))
def cos(x: Any) -> Any:
    """Return cos x, x in radians."""
    return np.cos(floating(x))


@differentiable(x=lambda g, y: g * (1 - y * y))
def tanh(x: Any) -> Any:
    """Return the hyperbolic tangent of x."""
    return np.tanh(floating(x))


@differentiable(x=lambda g, y: g * (y * (1 - y)))
def sigmoid(x: Any) -> Any:
    """Return 1 / (1 + e⁻ˣ), computed without overflow for either sign of x."""
    x = floating(x)
    e = np.exp(np.copysign(x, -1.0))  # -|x|
    return np.where(x >= 0, 1, e) / (1 + e)


@differentiable(x=lambda g, x: g * sigmoid(-x))
def logsigmoid(x: Any) -> Any:
    """Return log sigmoid(x), finite for x of any size."""
    x = floating(x)
    return np.minimum(x, 0) - np.log1p(np.exp(-np.abs(x)))


@differentiable(x=lambda g, x: g * sign(x))
def abs(x: Any) -> Any:
    """Return |x|; at 0 the gradient is 0."""
    return np.abs(x)


@differentiable()
def sign(x: Any) -> Any:
    """Return -1, 0 or 1, and 0 for NaN; piecewise constant, so no gradient."""
    return x.copy() if x.dtype.kind == "b" else np.subtract(x > 0, x < 0, dtype=x.dtype)


@differentiable()
def isnan(x: Any) -> Any:
    """Return which elements are NaN."""
    return x != x


@differentiable()
def isinf(x: Any) -> Any:
    """Return which elements are infinite."""
    return np.abs(x) == math.inf


@differentiable()
def isfinite(x: Any) -> Any:
    """Return which elements are neither infinite nor NaN."""
    return np.isfinite(x)


@differentiable()
def floor(x: Any) -> Any:
    """Return the largest integer not above x; piecewise constant, so no gradient."""
    return np.floor(x).astype(x.dtype, copy=False)  # NumPy 2.0 makes floats of integers


@fused(kernels.relu_backward)
def _where_on(g: Any, y: Any) -> Any:
    """Return g where y, what relu returned, is not 0: where x is positive, or NaN."""
    if type(g) is not np.ndarray:
        return kept(g, y != 0)
    # The bits of -|y|, read as an integer, are negative just where y is not 0; so shifted they are
    # all 1 there and all 0 elsewhere: a quarter quicker than `kept`.
    integers = np.dtype(f"i{y.itemsize}")
    bits = np.abs(y, out=np.empty_like(y)).view(integers)
    np.negative(bits, out=bits)
    bits >>= 8 * y.itemsize - 1
    bits &= g.view(integers)
    return bits.view(y.dtype)


@differentiable(x=_where_on)
@fused(kernels.relu_forward)
def relu(x: Any, out: Any = None) -> Any:
    """Return max(x, 0); at 0 the gradient is 0, at NaN it is 1.

    Args:
        x: any shape.
        out: an array to write into, for the in-place form.
    """
    if x.dtype.kind != "f":
        return np.maximum(x, 0, out=out)
    return x.clip(0, math.inf, out=out)  # a third of the time of a maximum


@differentiable(
    x=lambda g, x, min, max: kept(g, _within(x, min, max)),
    min=lambda g, x, min, max: kept(g, (x < min) & (True if max is None else min < max)),
    max=lambda g, x, min, max: kept(g, (x > max) | (False if min is None else max < min)),
)
def clamp(x: Any, min: Any = None, max: Any = None) -> Any:
    """Return x limited to [min, max]; on the limits themselves the gradient is still 1, at NaN 0.

    Args:
        x: any shape.
        min, max: scalars or tensors that broadcast with x; None for no limit, but not both.
    """
    if min is None and max is None:
        raise RuntimeError("clamp: at least one of 'min' or 'max' must not be None")
    y = x if min is None else np.maximum(x, beside(x, min))
    return y if max is None else np.minimum(y, beside(x, max))


def _within(x: Any, min: Any, max: Any) -> Any:
    if min is None:
        return x <= max
    return x >= min if max is None else (x >= min) & (x <= max)


@differentiable(
    a=lambda g, condition: kept(g, condition != 0),
    b=lambda g, condition: kept(g, condition == 0),
)
def where(condition: Any, a: Any, b: Any) -> Any:
    """Return the elements of ``a`` where ``condition`` holds, and those of ``b`` elsewhere."""
    return np.where(condition, beside(b, a), beside(a, b))


@differentiable(x=lambda g: g)  # the engine casts a gradient back to the argument's own dtype
def _cast(x: Any, dtype: Any) -> Any:
    return x.astype(dtype)


def cast(x: Any, dtype: Any) -> Any:
    """Return a copy of ``x`` with another dtype, given as one or by its name."""
    return _cast(x, native(dtype))


@differentiable(x=lambda g: g)
def clone(x: Any) -> Any:
    """Return a copy of ``x`` that gradients flow through."""
    return x.copy()


@differentiable(x=lambda g: np.zeros_like(g), source=lambda g: g)
def overwrite(x: Any, source: Any) -> Any:
    """Return ``source`` broadcast and cast to the shape and dtype of ``x``, which it replaces."""
    y = np.empty_like(x)
    y[...] = fitted(source, x.dtype)
    return y
