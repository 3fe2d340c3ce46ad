"""Operators: arithmetic and comparison of two operands that broadcast together."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.table import differentiable


@differentiable(a=lambda g: g, b=lambda g: g)
def add(a: Any, b: Any) -> Any:
    """Return ``a + b``."""
    return a + b


@differentiable(a=lambda g: g, b=lambda g: -g)
def sub(a: Any, b: Any) -> Any:
    """Return ``a - b``."""
    return a - b


@differentiable(a=lambda g, b: g * b, b=lambda g, a: g * a)
def mul(a: Any, b: Any) -> Any:
    """Return ``a * b``, element by element."""
    return a * b


@differentiable(a=lambda g, b: g / b, b=lambda g, y, b: -g * y / b)
def div(a: Any, b: Any) -> Any:
    """Return ``a / b``; integers divided give float32."""
    return a / b


@differentiable(x=lambda g: -g)
def neg(x: Any) -> Any:
    """Return ``-x``."""
    return -x


@differentiable(
    # b·a^(b-1), and 0 where b = 0, also at a = 0
    a=lambda g, a, b: g * (b * a ** (b - (b != 0))),
    # aᵇ·log a, and 0 where a = 0 ≤ b
    b=lambda g, y, a, b: g * (y * np.log(a + ((a == 0) & (b >= 0)).astype(y.dtype))),
)
def pow(a: Any, b: Any) -> Any:
    """Return ``a ** b``, element by element."""
    if type(b) is int and getattr(a, "dtype", None) == np.bool_:
        a = a.astype(np.int64)  # NumPy would give int8
    return a**b


@differentiable(
    a=lambda g, a, b: g * (a > b) + g * (a == b) / 2,
    b=lambda g, a, b: g * (b > a) + g * (a == b) / 2,
)
def maximum(a: Any, b: Any) -> Any:
    """Return the larger of two elements, or NaN if one is; where equal, each gets half of g."""
    return np.maximum(a, b)


@differentiable(
    a=lambda g, a, b: g * (a < b) + g * (a == b) / 2,
    b=lambda g, a, b: g * (b < a) + g * (a == b) / 2,
)
def minimum(a: Any, b: Any) -> Any:
    """Return the smaller of two elements, or NaN if one is; where equal, each gets half of g."""
    return np.minimum(a, b)


@differentiable(a=lambda g: g, b=lambda g, a, b: -g * np.floor(a / b))
def remainder(a: Any, b: Any) -> Any:
    """Return ``a % b``, with the sign of ``b``."""
    return a % b


@differentiable()
def floor_divide(a: Any, b: Any) -> Any:
    """Return ``a // b``, rounded towards minus infinity; piecewise constant, so no gradient."""
    return a // b


@differentiable()
def eq(a: Any, b: Any) -> Any:
    """Return whether ``a == b``, element by element."""
    return a == b


@differentiable()
def ne(a: Any, b: Any) -> Any:
    """Return whether ``a != b``, element by element."""
    return a != b


@differentiable()
def lt(a: Any, b: Any) -> Any:
    """Return whether ``a < b``, element by element."""
    return a < b


@differentiable()
def le(a: Any, b: Any) -> Any:
    """Return whether ``a <= b``, element by element."""
    return a <= b


@differentiable()
def gt(a: Any, b: Any) -> Any:
    """Return whether ``a > b``, element by element."""
    return a > b


@differentiable()
def ge(a: Any, b: Any) -> Any:
    """Return whether ``a >= b``, element by element."""
    return a >= b


@differentiable()
def bitwise_and(a: Any, b: Any) -> Any:
    """Return ``a & b``: bitwise on integers, logical on booleans."""
    return a & b


@differentiable()
def bitwise_or(a: Any, b: Any) -> Any:
    """Return ``a | b``: bitwise on integers, logical on booleans."""
    return a | b


@differentiable()
def bitwise_xor(a: Any, b: Any) -> Any:
    """Return ``a ^ b``: bitwise on integers, logical on booleans."""
    return a ^ b


@differentiable()
def bitwise_not(x: Any) -> Any:
    """Return ``~x``: bitwise on integers, logical on booleans."""
    return ~x
