"""CuPy's functions: NumPy's, with the parameters, the gaps and the oddities of CuPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tests.fake_cupy import counts, cuda
from tests.fake_cupy.api import API, check_call
from tests.fake_cupy.array import (
    add_at,
    call_ufunc,
    compute,
    host_of,
    launch,
    ndarray,
    new,
    uploaded,
)

#: what asks for no element
ABOUT = ("can_cast", "may_share_memory", "ndim", "result_type", "shape", "size")
MAKERS = ("arange", "empty", "eye", "full", "identity", "linspace", "ones", "tri", "zeros")
LIKES = ("empty_like", "full_like", "ones_like", "zeros_like")


def call(name: str, function: Callable[..., Any], args: Any, kwargs: dict[str, Any]) -> Any:
    """Call CuPy's function of the name; return NotImplemented where there is none."""
    if name not in API["functions"]:
        return NotImplemented
    check_call("functions", name, args, kwargs)
    if name in ABOUT:
        return function(*(a if host_of(a) is None else host_of(a) for a in args), **kwargs)
    if name in MAKERS:
        return _made(name, function(*args, **kwargs))
    if name in LIKES:
        return _like(name, function, *args, **kwargs)
    if name in OWN:
        return OWN[name](*args, **kwargs)
    return compute(name, function, *args, **kwargs)


def function(name: str) -> Callable[..., Any]:
    """Return ``cupy.name``, for use by that name."""
    numpys = getattr(np, name, None)
    if isinstance(numpys, np.ufunc) and (name == "matmul" or name in API["ufuncs"]):
        return Ufunc(numpys)
    if numpys is None or name not in API["functions"]:
        raise AttributeError(f"module 'cupy' has no attribute {name!r}")
    return lambda *args, **kwargs: call(name, numpys, args, kwargs)


class Ufunc:
    """``cupy.add`` and its kin, called by their own names."""

    def __init__(self, ufunc: np.ufunc) -> None:
        self.ufunc = ufunc

    def __call__(self, *args: Any, out: Any = None, **kwargs: Any) -> Any:
        return call_ufunc(self.ufunc, args, out, kwargs)

    def at(self, a: Any, indices: Any, b: Any = None) -> None:
        add_at(self.ufunc.__name__, a, indices, b)


def _made(name: str, host: np.ndarray) -> ndarray:
    if host.size and not name.startswith("empty"):
        counts.launch(name)
    return new(host)


def _like(
    name: str,
    function: Callable[..., Any],
    a: Any,
    *args: Any,
    shape: Any = None,
    subok: Any = None,
    **kwargs: Any,
) -> ndarray:
    if subok is not None:
        raise TypeError("subok is not supported yet")
    shape = shape or a.shape  # as in CuPy: the shape () counts as none given
    return _made(name, function(host_of(a), *args, shape=shape, **kwargs))


def asarray(
    a: Any, dtype: Any = None, order: Any = None, *, copy: Any = None, blocking: bool = False
) -> ndarray:
    """Return an array on the current device: ``a`` itself if it is one."""
    if not isinstance(a, ndarray):
        return uploaded(np.asarray(a, dtype))
    if a.device != cuda.Device():
        counts.launch("copy")
        a = new(host_of(a).copy())  # type: ignore[union-attr]
    return a if dtype is None else a.astype(dtype, copy=False)


def array(obj: Any, dtype: Any = None, copy: bool = True, *args: Any, **kwargs: Any) -> ndarray:
    """Return a copy on the current device."""
    made = asarray(obj, dtype)
    return made.copy() if copy and made is obj else made


def asnumpy(a: Any, *args: Any, **kwargs: Any) -> np.ndarray:
    """Return a copy on the host."""
    return a.get() if isinstance(a, ndarray) else np.asarray(a)


class _Where:
    """``numpy.where`` of three arguments as the ufunc that it is in CuPy."""

    __name__, nout = "where", 1

    def __call__(self, *args: Any) -> Any:
        return np.where(*args)


def _where(condition: Any, x: Any = None, y: Any = None) -> Any:
    if x is None and y is None:
        return condition.nonzero()
    if x is None or y is None:
        raise ValueError("Must provide both 'x' and 'y' or neither.")
    return call_ufunc(_Where(), (condition.astype("?", copy=False), x, y), None, {})


def _concatenate(tup: Any, axis: Any = 0, out: Any = None, **kwargs: Any) -> Any:
    if not all(isinstance(a, ndarray) for a in tup):
        raise TypeError("Only cupy arrays can be concatenated")
    for a in tup[1:]:  # each is copied by a kernel of its own; compute() counts the first
        launch("copy", [a])
    return compute("copy", np.concatenate, tup, axis, **kwargs)


def _copyto(dst: Any, src: Any, casting: Any = "same_kind", where: Any = None) -> None:
    if isinstance(src, np.ndarray) and src.size != 1:
        raise ValueError("non-scalar numpy.ndarray cannot be used for copyto")
    if not isinstance(dst, ndarray):
        raise AttributeError("'memoryview' object has no attribute 'copy_from_async'")
    compute("copy", np.copyto, dst, src, casting=casting)


OWN: dict[str, Callable[..., Any]] = {
    "array": array,
    "asarray": asarray,
    "concatenate": _concatenate,
    "copyto": _copyto,
    "where": _where,
}
