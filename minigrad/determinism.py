"""What the bits of a training depend on beside its seeds: who computes, and with how many threads.

A matrix product is a sum, and rounding depends on the order of a sum. How many threads BLAS, the
library under NumPy's products, divides one among changes that order, and so the last bits.
"""

from __future__ import annotations

import ctypes
import os
import platform
import sys
from typing import Any

import numpy as np

import minigrad

#: variables that set the number of threads, each for the libraries whose name begins so
_VARIABLES = {
    "openblas": ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"),
    "mkl": ("MKL_NUM_THREADS", "OMP_NUM_THREADS"),
    "blis": ("BLIS_NUM_THREADS", "OMP_NUM_THREADS"),
    "accelerate": ("VECLIB_MAXIMUM_THREADS",),
}
#: functions of BLAS libraries, as they are called in NumPy's wheels and in systems' libraries
_THREADS = (
    *("scipy_openblas_get_num_threads64_", "scipy_openblas_get_num_threads"),
    *("openblas_get_num_threads64_", "openblas_get_num_threads"),
    *("MKL_Get_Max_Threads", "bli_thread_get_num_threads"),
)
_KERNELS = (
    *("scipy_openblas_get_corename64_", "scipy_openblas_get_corename"),
    *("openblas_get_corename64_", "openblas_get_corename"),
)


def surroundings() -> dict[str, Any]:
    """Return what the bits of a training depend on, beside its program, data and seeds.

    Returns:
        ``minigrad`` and ``numerics``, its version and that of its arithmetic; ``numpy``;
        ``processor``, its kind; ``blas``, the library and its version; ``blas_kernels``, the
        processor that its kernels are for; ``blas_threads``, their number, and
        ``blas_threads_from``, who says so: ``"library"`` if it was asked, or the name of the
        environment variable that asks for as many. What nobody tells is None.

    Examples:
        >>> sorted(surroundings())[:4]
        ['blas', 'blas_kernels', 'blas_threads', 'blas_threads_from']
    """
    threads, source = blas_threads()
    kernels = _call(_KERNELS, ctypes.c_char_p)
    return {
        "minigrad": minigrad.__version__,
        "numerics": minigrad.__numerics__,
        "numpy": np.__version__,
        "processor": platform.machine(),
        "blas": " ".join(_blas()),
        "blas_kernels": None if kernels is None else kernels.decode(),
        "blas_threads": threads,
        "blas_threads_from": source,
    }


def blas_threads() -> tuple[int | None, str | None]:
    """Return how many threads BLAS divides a product among, and who says so.

    The library under NumPy is asked, if it has a function for that: OpenBLAS, MKL and BLIS have.
    Otherwise an environment variable counts, which the library has read when NumPy was imported.

    Returns:
        The number and ``"library"``, or the number and the variable; (None, None) if neither tells.
    """
    if (asked := _call(_THREADS, ctypes.c_int)) is not None:
        return asked, "library"
    name = _blas()[0].lower()
    for library, variables in _VARIABLES.items():
        if library in name:
            for variable in variables:
                if os.environ.get(variable, "").isdecimal():
                    return int(os.environ[variable]), variable
    return None, None


def differences(then: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Return in words where `surroundings` differ in what changes bits."""
    silent = ("minigrad", "blas_threads_from")
    return [
        f"{name} {then.get(name)!r} then, {value!r} now"
        for name, value in now.items()
        if name not in silent and then.get(name) != value
    ]


def _blas() -> tuple[str, str]:
    """Return the name and the version of the BLAS that NumPy was built for."""
    try:
        config: Any = np.show_config(mode="dicts")
        blas = config["Build Dependencies"]["blas"]
        return blas["name"], blas["version"]
    except (TypeError, KeyError):
        return "unknown", ""


def _call(names: tuple[str, ...], result: Any) -> Any:
    """Return what the first of some functions says that the library under NumPy has; else None."""
    module: Any = sys.modules.get("numpy._core._multiarray_umath")
    try:
        library = ctypes.CDLL(module.__file__)  # loaded already: looked up with all that it needs
    except (AttributeError, OSError, TypeError):
        return None
    for name in names:
        if (function := getattr(library, name, None)) is not None:
            function.restype = result
            return function()
    return None
