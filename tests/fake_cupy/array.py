"""The array: NumPy's memory with CuPy's manners."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np

from tests.fake_cupy import counts, cuda
from tests.fake_cupy.api import API, check_call, result_dtype
from tests.fake_cupy.indexing import check_places_differ, resolve

SCALARS = (bool, int, float, complex, np.generic)
#: the kernels behind one call, where there are several
KERNELS = {"var": ("mean", "var"), "std": ("mean", "var", "sqrt")}
#: dtypes that ``ufunc.at`` can change without losing what another thread does
ATOMIC = "iIlLqQefd"
#: whose result has a shape that depends on the elements, so that the host waits for them
WAITING = ("argwhere", "compress", "extract", "flatnonzero", "nonzero", "unique")
COMPARISONS = ("equal", "not_equal", "less", "less_equal", "greater", "greater_equal")
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
    __array_priority__ = 100
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
    itemsize = property(lambda self: self._host.itemsize)
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

    def get(
        self, stream: Any = None, order: str = "C", out: Any = None, blocking: bool = True
    ) -> np.ndarray:
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
        if self.size > 1:
            raise ValueError(
                "The truth value of an array with more than one element is ambiguous. "
                "Use a.any() or a.all()"
            )
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
        if not self.ndim:
            raise TypeError("iteration over a 0-d array")
        return (self[i] for i in range(len(self)))

    # ------------------------------------------------------------------ what differs from NumPy

    def astype(
        self,
        dtype: Any,
        order: str = "K",
        casting: Any = None,
        subok: Any = None,
        copy: bool = True,
    ) -> ndarray:
        if casting is not None or subok is not None:
            raise TypeError("casting and subok arguments are not supported")
        if not copy and self.dtype == dtype:
            return self
        return compute("astype", np.ndarray.astype, self, dtype, order=order)

    def fill(self, value: Any) -> None:
        if np.ndim(value._host if isinstance(value, ndarray) else value):
            raise ValueError("non-scalar numpy.ndarray cannot be used for fill")
        counts.launch("fill")
        with np.errstate(all="ignore"):
            self._host[...] = value if host_of(value) is None else host_of(value)

    def __pow__(self, exponent: Any) -> Any:
        special = {2: np.square, 0.5: np.sqrt, -1.0: np.reciprocal}
        if type(exponent) is float and self.dtype.kind == "f" and exponent in special:
            return special[exponent](self)
        return (
            np.square(self) if type(exponent) is int and exponent == 2 else np.power(self, exponent)
        )

    def __rpow__(self, base: Any) -> Any:
        return np.power(base, self)

    # ------------------------------------------------------------------ NumPy's protocols

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        name = ufunc.__name__
        known = name == "matmul" or name in API["ufuncs"]
        if not known or not all(isinstance(x, (*SCALARS, ndarray, np.ndarray)) for x in inputs):
            return NotImplemented  # an index that is a tuple, for instance
        (out,) = kwargs.pop("out", (None,))
        if method == "at":
            return add_at(name, *inputs)
        if method == "reduce":
            if "reduce" not in API["ufuncs"][name]["methods"]:
                raise NotImplementedError(f"`cupy_{name}.reduce` is not supported yet")
            total = np.sum if name == "add" else np.prod
            return total(*inputs, **{"axis": 0, "out": out, **kwargs})
        if method != "__call__":
            return NotImplemented
        if name in COMPARISONS:  # which alone take NumPy's arrays of no dimension
            inputs = tuple(
                x.item() if isinstance(x, np.ndarray) and not x.ndim else x for x in inputs
            )
        return call_ufunc(ufunc, inputs, out, kwargs)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        from tests.fake_cupy import functions

        if not all(issubclass(t, ndarray | np.ndarray) for t in types):
            return NotImplemented
        name = f"{function.__module__}.{function.__name__}".removeprefix("numpy.")
        return functions.call(name, function, args, kwargs)


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


def call_ufunc(ufunc: Any, inputs: Any, out: ndarray | None, kwargs: dict[str, Any]) -> Any:
    """Return what CuPy's ufunc of the name returns."""
    name = ufunc.__name__
    if refused := {k: v for k, v in kwargs.items() if k not in API["ufunc_keywords"]}:
        raise TypeError(f"Wrong arguments {refused}")
    if out is not None:
        return compute(name, ufunc, *inputs, out=out, **kwargs)
    if name == "matmul":
        if not all(isinstance(operand, ndarray) for operand in inputs):
            raise TypeError("matmul: expected two arrays of the device")
        if not all(operand.ndim for operand in inputs):
            raise ValueError("Scalar operands are not allowed, use '*' instead")
        return compute(name, ufunc, *inputs, **kwargs)
    dtype = None if "dtype" in kwargs or ufunc.nout > 1 else result_dtype(name, inputs)
    result = compute(name, ufunc, *inputs, **kwargs)
    if dtype is None or result.dtype == dtype:
        return result
    return new(result._host.astype(dtype))  # as where NumPy 2.0 rounds integers to floats


def add_at(name: str, array: Any, index: Any, value: Any = None) -> None:
    """Do what ``ufunc.at`` does; in the order of the index, which CuPy leaves to chance."""
    if "at" not in API["ufuncs"][name]["methods"]:
        raise NotImplementedError(f"`cupy_{name}.at` is not supported yet")
    if not isinstance(array, ndarray) or isinstance(value, np.ndarray):
        raise TypeError(f"Unsupported type {np.ndarray}")
    resolved = resolve(array.shape, index, host_of)
    if resolved.integers and array.dtype.char not in ATOMIC:
        raise TypeError(f"cupy.{name}.at does not support {array.dtype}")
    source = host_of(value)
    getattr(np, name).at(array._host, resolved.parts, value if source is None else source)
    resolved.count("scatter_add")


# ------------------------------------------------------------------ methods and operators by name


def _method(name: str) -> Callable[..., Any]:
    def method(self: ndarray, *args: Any, **kwargs: Any) -> Any:
        check_call("methods", name, args, kwargs)
        return compute(name, getattr(np.ndarray, name), self, *args, **kwargs)

    method.__name__ = name
    return method


def _forms(name: str, ufunc: np.ufunc) -> dict[str, Callable[..., Any]]:
    return {
        f"__{name}__": lambda self, other: ufunc(self, other),
        f"__r{name}__": lambda self, other: ufunc(other, self),
        f"__i{name}__": lambda self, other: ufunc(self, other, out=self),
    }


for _name in API["methods"]:
    if _name not in vars(ndarray):
        setattr(ndarray, _name, _method(_name))
for _name, _ufunc in OPERATORS.items():
    for _form, _function in _forms(_name, _ufunc).items():
        if _form in API["operators"]:
            setattr(ndarray, _form, _function)
for _name, _unary in ("neg", np.negative), ("abs", np.absolute), ("invert", np.invert):
    setattr(ndarray, f"__{_name}__", lambda self, ufunc=_unary: ufunc(self))
