"""CuPy's functions: NumPy's, and what makes of NumPy's arrays those of a device."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tests.fake_cupy import counts, cuda
from tests.fake_cupy.array import compute, host_of, ndarray, new, uploaded


def call(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Return what CuPy's function of the same name returns."""
    name = function.__name__
    if name in OWN:
        return OWN[name](*args, **kwargs)
    return compute(name, function, *args, **kwargs)


def asarray(a: Any, dtype: Any = None, order: Any = None, **kwargs: Any) -> ndarray:
    """Return an array on the current device: ``a`` itself if it is one."""
    if not isinstance(a, ndarray):
        return uploaded(np.asarray(a, dtype))
    if a.device != cuda.Device():
        counts.launch("copy")
        a = new(host_of(a).copy())  # type: ignore[union-attr]
    return a if dtype is None else a.astype(dtype, copy=False)


def array(obj: Any, dtype: Any = None, copy: bool = True, **kwargs: Any) -> ndarray:
    """Return a copy on the current device."""
    made = asarray(obj, dtype)
    return made.copy() if copy and made is obj else made


def _where(condition: Any, *choices: Any) -> Any:
    return compute("where", np.where, condition, *choices) if choices else condition.nonzero()


def _concatenate(arrays: Any, axis: Any = 0, **kwargs: Any) -> Any:
    y = compute("copy", np.concatenate, arrays, axis, **kwargs)
    counts.launch(*["copy"] * (len(arrays) - 1))  # each is copied by a kernel of its own
    return y


OWN: dict[str, Callable[..., Any]] = {
    "array": array,
    "asarray": asarray,
    "concatenate": _concatenate,
    "where": _where,
}
