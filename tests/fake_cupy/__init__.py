"""A stand-in for CuPy that needs no GPU: NumPy's results, and a count of the device's work.

It is for what the real CuPy does not tell, on a GPU or on the CPU (``tests/cupy_on_cpu``):
`counting` tells how many kernels were launched, what was copied between host and device, and how
often the host waited. And it refuses what CuPy does silently though it is hardly ever meant: to
copy an index from the host, to write several values to one place, to copy within the same memory.
It runs wherever NumPy does, so tests of a device run on it where nothing else is there; whether
CuPy takes a keyword, or gives a dtype, only the real one says.

`installed` puts it in CuPy's place. The count of kernels is a model: one for each call that
computes or copies, views being free, with the exceptions that CuPy's source shows. Work on nothing
counts as none.
"""

from __future__ import annotations

import contextlib
import ctypes
import sys
from collections.abc import Callable, Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np

from tests.fake_cupy import cuda, functions
from tests.fake_cupy.array import add_at, host_of, ndarray
from tests.fake_cupy.counts import Counts, counting, launch
from tests.fake_cupy.functions import array, asarray

__all__ = ["Counts", "RawModule", "add", "array", "asarray", "counting", "cuda", "host_of"]
__all__ += ["installed", "ndarray"]
add = SimpleNamespace(at=add_at)


def get_default_memory_pool() -> cuda.MemoryPool:
    """Return the pool that arrays are allocated from."""
    return cuda.pool


def __getattr__(name: str) -> Any:
    numpys = getattr(np, name)
    return lambda *args, **kwargs: functions.call(numpys, *args, **kwargs)


class RawModule:
    """CUDA kernels, compiled by what `installed` was given; each of their calls is a launch."""

    def __init__(self, *, code: str, options: Any = (), name_expressions: Any = ()) -> None:
        if _load is None:
            raise NotImplementedError("the fake CuPy compiles no CUDA: give installed() what does")
        self._module = _load(code, options, name_expressions)

    def get_function(self, name: str) -> Callable[[Any, Any, Any], None]:
        function = self._module.get_function(name)

        def run(grid: Any, block: Any, args: Any) -> None:
            launch(name)
            function(grid, block, args)

        return run


class Product:
    """A matrix product with a bias, in the place of cuBLASLt's (`minigrad.cublas.Product`)."""

    def __init__(self, first: Any, second: Any, dtype: Any, *more: Any) -> None:
        columns = first.columns if first.transposed else first.rows
        self.shape = (second.rows if second.transposed else second.columns), columns
        *_, self._bias = more

    def __call__(self, a: Any, b: Any, y: Any) -> None:
        launch("matmul")
        sums = y.dtype.type if y.dtype != np.float16 else np.float32
        left, right, result = (array._host for array in (a, b, y))
        result[...] = left.astype(sums, copy=False) @ right.astype(sums, copy=False)
        if self._bias:
            kind = ctypes.c_byte * (y.dtype.itemsize * self.shape[1])
            result += np.frombuffer(kind.from_address(self._bias), y.dtype)


_load: Callable[..., Any] | None = None


@contextlib.contextmanager
def installed(load: Callable[..., Any] | None = None) -> Iterator[ModuleType]:
    """Put this module in CuPy's place for a ``with`` block, and let minigrad look for a GPU anew.

    Args:
        load: compiles CUDA kernels: ``load(source, options, names)`` has a method ``get_function``,
            whose result takes grid, block and arguments, arrays of this module among them.
    """
    from minigrad import cublas, fused
    from minigrad.device import _pending, cuda_status, gpus

    def look_anew() -> None:
        cuda_status.cache_clear()
        gpus.several = False
        _pending.clear()
        fused.launch.forget()
        cublas._product.cache_clear()

    global _load
    before = {name: module for name, module in sys.modules.items() if name == "cupy"}
    outer, _load = _load, load
    sys.modules["cupy"] = sys.modules[__name__]
    multiplies, cublas.Product = cublas.Product, Product  # type: ignore[misc, assignment]
    look_anew()
    try:
        yield sys.modules[__name__]
    finally:
        _load = outer
        cublas.Product = multiplies  # type: ignore[misc]
        del sys.modules["cupy"]
        sys.modules.update(before)
        look_anew()
