"""What ``api.json`` says of the real CuPy: names, parameters, and the dtypes of results."""

from __future__ import annotations

import functools
import inspect
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

FILE = Path(__file__).with_name("api.json")
API: dict[str, Any] = json.loads(FILE.read_text())
#: operands by NumPy's letters, then Python's int and float, whose dtype is weak
OPERANDS = "?BbhilefdIF"
#: stands in the place of a dtype for operands that CuPy refuses
REFUSED = "!"


@functools.cache
def signature(kind: str, name: str) -> inspect.Signature:
    """Return the parameters of one of the ``functions`` or ``methods``."""
    return inspect.signature(eval(f"lambda {API[kind][name]}: None"))


def check_call(kind: str, name: str, args: Sequence[Any], kwargs: dict[str, Any]) -> None:
    """Raise TypeError unless CuPy takes these arguments."""
    try:
        signature(kind, name).bind(*args, **kwargs)
    except TypeError as error:
        raise TypeError(f"{name}(): {error}") from None


def letter(operand: Any) -> str:
    """Return the letter in `OPERANDS` of an array or a scalar, or another of NumPy's."""
    if type(operand) in (int, float):
        return "I" if type(operand) is int else "F"
    char = np.dtype(getattr(operand, "dtype", type(operand))).char
    return {"q": "l", "Q": "L"}.get(char, char)


def result_dtype(ufunc: str, operands: Sequence[Any]) -> np.dtype[Any] | None:
    """Return the dtype of a ufunc's result in CuPy; None for operands that were not recorded.

    Raises:
        TypeError: CuPy refuses these dtypes.
    """
    letters = [letter(operand) for operand in operands[-2:]]  # where's condition has but one
    if not all(char in OPERANDS for char in letters):
        return None
    place = functools.reduce(lambda n, char: n * len(OPERANDS) + OPERANDS.index(char), letters, 0)
    result = API["ufuncs"][ufunc]["results"][place]
    if result == REFUSED:
        raise TypeError(f"Wrong type ({letters}) of arguments for cupy_{ufunc}")
    return np.dtype(result)
