"""Operators: arithmetic and comparison of two operands that broadcast together."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.device import fetch, is_array, on_gpu, raise_later
from minigrad.misfits import beside
from minigrad.ops.elementwise import where
from minigrad.ops.selecting import kept
from minigrad.table import differentiable

__all__ = [
    "add", "allclose", "bitwise_and", "bitwise_not", "bitwise_or", "bitwise_xor", "div", "eq",
    "equal", "floor_divide", "ge", "gt", "isclose", "le", "lt", "maximum", "minimum", "mul", "ne",
    "neg", "pow", "remainder", "sub",
]  # fmt: skip


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


def _to_base(g: Any, a: Any, b: Any) -> Any:
    """Return g · b·a^(b-1): where b = 0 that is 0, also if a is 0 or NaN."""
    if not hasattr(b, "dtype"):  # a number
        return g * (b * a ** (b - 1)) if b else np.zeros_like(g)
    return g * (b * where((b != 0) | (a > 0), a, 1) ** (b - 1))


def _to_exponent(g: Any, y: Any, a: Any, b: Any) -> Any:
    """Return g · aᵇ·log a, and 0 where a = 0 ≤ b."""
    a = a if hasattr(a, "dtype") else a + np.zeros_like(y)  # a number
    counts = (a != 0) | ~(b >= 0)  # and where b is NaN
    return kept(g * (y * np.log(where(counts, a, 1))), counts)


@differentiable(a=_to_base, b=_to_exponent)
def pow(a: Any, b: Any) -> Any:
    """Return ``a ** b``, element by element.

    Raises:
        RuntimeError: integers are to be raised to a negative integer, or to one that does not fit.
    """
    if type(b) is int and hasattr(a, "dtype") and a.dtype.kind in "iub":
        if b < 0:
            raise RuntimeError("Integers to negative integer powers are not allowed; use .float()")
        a = a.astype(np.int64) if a.dtype.kind == "b" else a  # NumPy would give int8
        b = beside(a, b)
    return a**b


@differentiable(
    a=lambda g, a, b: kept(g, ~(a <= b)) + kept(g / 2, a == b),
    b=lambda g, a, b: kept(g, ~(b <= a)) + kept(g / 2, a == b),
)
def maximum(a: Any, b: Any) -> Any:
    """Return the larger of two elements, or NaN if one is.

    Where they are equal each gets half of the gradient; where one is NaN each gets all of it.
    """
    return np.maximum(a, b)


@differentiable(
    a=lambda g, a, b: kept(g, ~(a >= b)) + kept(g / 2, a == b),
    b=lambda g, a, b: kept(g, ~(b >= a)) + kept(g / 2, a == b),
)
def minimum(a: Any, b: Any) -> Any:
    """Return the smaller of two elements, or NaN if one is.

    Where they are equal each gets half of the gradient; where one is NaN each gets all of it.
    """
    return np.minimum(a, b)


class IntegerDivisionByZeroError(ZeroDivisionError, RuntimeError):
    """An integer was divided by zero: Python's type of error, and PyTorch's."""


def _check_divisor(a: Any, b: Any) -> None:
    """Raise IntegerDivisionByZeroError if an integer is to be divided by 0; from a GPU, later."""
    if any(v.dtype.kind == "f" if is_array(v) else type(v) is float for v in (a, b)):
        return
    zero: Any = np.size(a) and b == 0
    error = IntegerDivisionByZeroError(
        "ZeroDivisionError: integer division or modulo by zero; of floating-point numbers "
        "(.float()) the result is inf or nan"
    )
    if on_gpu(zero):
        raise_later(zero.any(), error)
    elif np.any(zero):
        raise error


@differentiable(a=lambda g: g, b=lambda g, a, b: -g * (a // b))
def remainder(a: Any, b: Any) -> Any:
    """Return ``a % b``, with the sign of ``b``; an integer % 0 is refused."""
    _check_divisor(a, b)
    return a % b


@differentiable()
def floor_divide(a: Any, b: Any) -> Any:
    """Return ``a // b``, rounded towards minus infinity; an integer // 0 is refused.

    It is piecewise constant, so there is no gradient.
    """
    _check_divisor(a, b)
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
def isclose(
    a: Any, b: Any, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False
) -> Any:
    """Return where ``|a - b| <= atol + rtol * |b|``, or both are the same infinity.

    Args:
        a, b: of one dtype; their shapes broadcast.
        rtol, atol: >= 0.
        equal_nan: whether NaN is close to NaN.

    Raises:
        RuntimeError: the dtypes differ; a tolerance is negative.
    """
    if a.dtype != b.dtype:
        raise RuntimeError(f"{a.dtype} did not match {b.dtype}: cast one of them with .to()")
    for name, tolerance in ("rtol", rtol), ("atol", atol):
        if not tolerance >= 0:
            raise RuntimeError(f"{name} must be greater than or equal to zero, but got {tolerance}")
    same = (a == b) | ((a != a) & (b != b)) if equal_nan else a == b
    if a.dtype.kind == "b":
        return same
    with np.errstate(invalid="ignore"):  # ∞ - ∞
        apart = np.abs(a - b)
    return same | (np.isfinite(apart) & (apart <= atol + np.abs(rtol * b)))


def allclose(
    a: Any, b: Any, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False
) -> bool:
    """Return whether all elements are close; from a GPU, it is waited for.

    Arguments and exceptions are those of `isclose`.
    """
    return _answer(isclose(a, b, rtol, atol, equal_nan).all())


def equal(a: Any, b: Any) -> bool:
    """Return whether two tensors have the same shape and elements; from a GPU, it is waited for."""
    return a.shape == b.shape and _answer((a == b).all())


def _answer(y: Any) -> bool:
    return bool(fetch(np.asarray(y) if isinstance(y, np.generic) else getattr(y, "array", y)))


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
