"""The array: NumPy's memory with CuPy's manners."""

from __future__ import annotations

import operator
import warnings
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np

from tests.fake_cupy import counts, cuda
from tests.fake_cupy.indexing import check_places_differ, resolve

#: the kernels behind one call, where there are several
KERNELS = {"var": ("mean", "var"), "std": ("mean", "var", "sqrt"), "empty": (), "empty_like": ()}
#: whose result has a shape that depends on the elements, so that the host waits for them
WAITING = ("argwhere", "compress", "extract", "flatnonzero", "nonzero", "unique")
METHODS = "all any argmax argmin argsort clip conj copy cumprod cumsum diagonal dot max mean min"
METHODS += " nonzero prod ravel repeat reshape round sort squeeze std sum swapaxes take trace"
METHODS += " transpose var view"
OPERATORS = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "truediv": np.divide,
    "floordiv": np.floor_divide,
    "mod": np.remainder,
    "divmod": np.divmod,
    "matmul": np.matmul,
    "and": np.bitwise_and,
    "or": np.bitwise_or,
    "xor": np.bitwise_xor,
    "lshift": np.left_shift,
    "rshift": np.right_shift,
    "eq": np.equal,
    "ne": np.not_equal,
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
}


class ndarray:  # noqa: N801  (named as in CuPy)
    """An array on a device: what it holds is read by asking, as with CuPy's.

    Attributes:
        base: the array whose memory it shares; None if it has its own.
        device: where it is.
    """

    __slots__ = ("__weakref__", "_host", "base", "device")
    __hash__ = None  # type: ignore[assignment]
    _pool = cuda.pool

    _host: np.ndarray
    base: ndarray | None
    device: cuda.Device

    def __init__(self, shape: Any, dtype: Any = float) -> None:
        self._own(np.empty(shape, dtype))

    def _own(self, host: np.ndarray, base: ndarray | None = None) -> None:
        self._host = host
        self.base = base if base is None or base.base is None else base.base
        self.device = cuda.Device() if base is None else base.device
        if base is None:
            self._pool.take(self.device.id, host.nbytes)

    def __del__(self) -> None:
        if self.base is None:
            self._pool.take(self.device.id, -self._host.nbytes)

    # ------------------------------------------------------------------ what it is

    shape = property(lambda self: self._host.shape)
    dtype = property(lambda self: self._host.dtype)
    ndim = property(lambda self: self._host.ndim)
    size = property(lambda self: self._host.size)
    nbytes = property(lambda self: self._host.nbytes)
    strides = property(lambda self: self._host.strides)
    flags = property(lambda self: self._host.flags)
    T = property(lambda self: self.transpose())

    @property
    def data(self) -> Any:
        """Where the memory begins: ``data.ptr``, as kernels take it."""
        return SimpleNamespace(
            ptr=self._host.ctypes.data, device=self.device, device_id=self.device.id
        )

    def __len__(self) -> int:
        return len(self._host)

    # ------------------------------------------------------------------ to the host

    def get(self, stream: Any = None) -> np.ndarray:
        """Return a copy on the host, which waits for it."""
        if self.size:
            if not self.flags.c_contiguous:
                counts.launch("copy")
            counts.download(self.nbytes)
        return self._host.copy()

    def item(self) -> Any:
        return self.get().item()

    def tolist(self) -> Any:
        return self.get().tolist()

    def __bool__(self) -> bool:
        return bool(self.get())

    def __float__(self) -> float:
        return float(self.get())

    def __int__(self) -> int:
        return int(self.get())

    def __repr__(self) -> str:
        return repr(self.get())

    def __str__(self) -> str:
        return str(self.get())

    def __format__(self, spec: str) -> str:
        return format(self.get(), spec)

    def __reduce__(self) -> Any:
        return uploaded, (self.get(),)

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        raise TypeError(
            "Implicit conversion to a NumPy array is not allowed. "
            "Please use `.get()` to construct a NumPy array explicitly."
        )

    # ------------------------------------------------------------------ reading and writing

    def __getitem__(self, index: Any) -> ndarray:
        resolved = resolve(self.shape, index, host_of)
        found = self._host[resolved.parts]
        if not resolved.advanced:
            return view(found, self)
        resolved.count("take")
        return new(found.copy())

    def __setitem__(self, index: Any, value: Any) -> None:
        resolved = resolve(self.shape, index, host_of)
        source = host_of(value)
        if source is None:
            if np.ndim(value):
                raise ValueError("non-scalar numpy.ndarray cannot be used for fill")
            source = np.asarray(value)
        elif not resolved.advanced:
            target = self._host[resolved.parts]
            same = target.ctypes.data == source.ctypes.data and target.strides == source.strides
            if not same and np.shares_memory(target, source):
                raise ValueError("a copy within the same memory: CuPy leaves its order to chance")
        if resolved.advanced and source.size > 1:
            check_places_differ(self._host, resolved)
        with np.errstate(all="ignore"):
            self._host[resolved.parts] = source
        resolved.count("scatter" if resolved.advanced else "copy")

    def __iter__(self) -> Iterator[ndarray]:
        return (self[i] for i in range(len(self)))

    def astype(self, dtype: Any, order: str = "K", copy: bool = True) -> ndarray:
        if not copy and self.dtype == dtype:
            return self
        return compute("astype", np.ndarray.astype, self, dtype, order=order)

    def fill(self, value: Any) -> None:
        if np.ndim(value):
            raise ValueError("non-scalar numpy.ndarray cannot be used for fill")
        counts.launch("fill")
        self._host[...] = value

    def __pow__(self, exponent: Any) -> Any:
        return compute("power", operator.pow, self, exponent)

    def __rpow__(self, base: Any) -> Any:
        return compute("power", operator.pow, base, self)

    # ------------------------------------------------------------------ NumPy's protocols

    def __array_ufunc__(
        self, ufunc: np.ufunc, method: str, *inputs: Any, out: Any = (None,), **kwargs: Any
    ) -> Any:
        taken = bool | int | float | complex | np.generic | np.ndarray | ndarray
        if method != "__call__" or not all(isinstance(x, taken) for x in inputs):
            return NotImplemented
        kwargs |= {"out": out[0]} if out[0] is not None else {}
        return compute(ufunc.__name__, ufunc, *inputs, **kwargs)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        from tests.fake_cupy import functions

        if not all(issubclass(t, ndarray | np.ndarray) for t in types):
            return NotImplemented
        return functions.call(function, *args, **kwargs)


def host_of(value: Any) -> np.ndarray | None:
    """Return the memory of an array on a device, and None for anything else."""
    return value._host if isinstance(value, ndarray) else None


def new(host: Any) -> ndarray:
    """Return an array with memory of its own, on the current device."""
    array = ndarray.__new__(ndarray)
    array._own(np.asarray(host))
    return array


def view(host: np.ndarray, of: ndarray) -> ndarray:
    """Return an array of another's memory."""
    array = ndarray.__new__(ndarray)
    array._own(host, of)
    return array


def uploaded(host: np.ndarray) -> ndarray:
    """Return a copy on the current device, laid out as ``cupy.array`` lays it out."""
    if host.dtype.kind not in "biufc":
        raise ValueError(f"Unsupported dtype {host.dtype}")
    if host.ndim:
        counts.upload(host.nbytes)
    else:
        counts.launch("fill")  # a number travels with the kernel's arguments
    return new(np.array(host, order="F" if host.flags.fnc else "C"))


# ------------------------------------------------------------------ computing


def compute(name: str, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Return what a function of NumPy's makes of the arrays: views of them, or new ones.

    Raises:
        TypeError: an array of the host is among the arguments.
        ValueError: an array is not on the current device.
    """
    given: list[ndarray] = []
    plain_args, plain_kwargs = _plain(args, given), _plain(kwargs, given)
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a device does not warn
        result = function(*plain_args, **plain_kwargs)
    if name in WAITING:
        counts.download(8)
    out = kwargs.get("out")
    if out is not None or result is None:
        launch(name, given)
        return out
    return _results(name, result, given)


def _plain(value: Any, given: list[ndarray]) -> Any:
    """Return NumPy's arrays for the device's, which are added to ``given``."""
    if isinstance(value, ndarray):
        given.append(value)
        return value._host
    if isinstance(value, np.ndarray):
        raise TypeError(f"Unsupported type {np.ndarray}")
    if isinstance(value, list | tuple):
        return type(value)(_plain(v, given) for v in value)
    return {k: _plain(v, given) for k, v in value.items()} if isinstance(value, dict) else value


def _results(name: str, result: Any, given: list[ndarray]) -> Any:
    if isinstance(result, list | tuple):
        return type(result)(_results(name, r, given) for r in result)
    if not isinstance(result, np.ndarray | np.generic):
        return result
    for array in given:
        if result is array._host:
            return array
        if isinstance(result, np.ndarray) and np.may_share_memory(result, array._host):
            return view(result, array)
    if result.size:
        launch(name, given)
    return new(result)


def launch(name: str, given: list[ndarray]) -> None:
    """Count a call, if the arrays that were given are where it runs."""
    current = cuda.Device()
    for array in given:
        if array.device != current:
            raise ValueError(
                f"The device where the array resides ({array.device.id}) is different from the "
                f"current device ({current.id}). Peer access is unavailable between these devices."
            )
    counts.launch(*KERNELS.get(name, (name,)))


def add_at(array: ndarray, index: Any, value: Any) -> None:
    """Do what ``cupy.add.at`` does; in the order of the index, which CuPy leaves to chance."""
    resolved, source = resolve(array.shape, index, host_of), host_of(value)
    np.add.at(array._host, resolved.parts, value if source is None else source)
    resolved.count("scatter_add")


# ------------------------------------------------------------------ methods and operators by name


def _method(name: str) -> Callable[..., Any]:
    return lambda self, *args, **kwargs: compute(
        name, getattr(np.ndarray, name), self, *args, **kwargs
    )


def _forms(name: str, ufunc: np.ufunc) -> dict[str, Callable[..., Any]]:
    forms = {
        f"__{name}__": lambda self, other: ufunc(self, other),
        f"__r{name}__": lambda self, other: ufunc(other, self),
        f"__i{name}__": lambda self, other: ufunc(self, other, out=self),
    }
    return {
        form: forms[form] for form in forms if hasattr(np.ndarray, form) and form != "__imatmul__"
    }


for _name in METHODS.split():
    setattr(ndarray, _name, _method(_name))
for _name, _ufunc in OPERATORS.items():
    for _form, _function in _forms(_name, _ufunc).items():
        setattr(ndarray, _form, _function)
for _name, _unary in ("neg", np.negative), ("abs", np.absolute), ("invert", np.invert):
    setattr(ndarray, f"__{_name}__", lambda self, ufunc=_unary: ufunc(self))
