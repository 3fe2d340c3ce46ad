"""From arrays to a launch: who compiles a kernel, and what is checked before it runs.

A GPU checks nothing: an array of another dtype is read as garbage, a view as if it were contiguous,
a Python float is passed as a double whatever the kernel expects. So every kernel has a wrapper that
looks at its arrays, casts its scalars, and says what is wrong in words. As a training step repeats
the launches of the step before, all that follows from dtypes and shapes is found out once, and kept
as a `Plan`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeAlias

import numpy as np

#: What sources are compiled with. A product and a sum stay two roundings, as they are in NumPy.
OPTIONS = ("--std=c++17", "--fmad=false")

#: A pointer to nothing, for a kernel's argument that may be left out.
NULL = np.uint64(0)

C_NAMES: dict[np.dtype[Any], str] = {
    np.dtype(np.float16): "float16",
    np.dtype(np.float32): "float",
    np.dtype(np.float64): "double",
    np.dtype(np.int32): "int",
    np.dtype(np.int64): "long long",
}

Function: TypeAlias = Callable[[tuple[int, ...], tuple[int, ...], tuple[Any, ...]], None]


class Module(Protocol):
    """Compiled kernels: ``cupy.RawModule`` is one."""

    def get_function(self, name: str, /) -> Function:
        """Return the kernel of that name, called as ``function(grid, block, arguments)``."""


#: Compiles: ``load(source, options, names)``, the names being all that will be asked for.
Load: TypeAlias = Callable[[str, tuple[str, ...], tuple[str, ...]], Module]


@dataclass(frozen=True)
class Source:
    """A file of kernels.

    Args:
        file: its name in this folder.
        kernels: every kernel in it, with the types that templates are compiled for.
    """

    file: str
    kernels: tuple[str, ...]

    def text(self) -> str:
        """Return the CUDA source."""
        return Path(__file__).parent.joinpath(self.file).read_text(encoding="utf-8")


class Plan(NamedTuple):
    """A launch, but for its arrays.

    Args:
        source, kernel: where it is, and which of its kernels.
        grid, block: how many blocks, and how many threads in each, along up to 3 dimensions.
        scalars: what follows the arrays among the arguments, of exactly the kernel's types.
    """

    source: Source
    kernel: str
    grid: tuple[int, ...]
    block: tuple[int, ...]
    scalars: tuple[np.generic, ...] = ()


class RefusedError(TypeError, ValueError):
    """What a kernel was given is not what it takes: another dtype or shape, a view, a host's array.

    Nothing was launched; `minigrad.fused` lets NumPy's function have the arguments then.
    """


#: Makes a function of layouts and settings remember its plans.
planned = functools.lru_cache(maxsize=1024)


class Launcher:
    """Launches kernels, each file compiled when one of its kernels is first needed.

    Args:
        load: what compiles. With CuPy it is ``lambda source, options, names: cupy.RawModule(
            code=source, options=options, name_expressions=names)``.
    """

    def __init__(self, load: Load) -> None:
        self._load = load
        self._modules: dict[str, Module] = {}
        self._functions: dict[str, Function] = {}

    def __call__(
        self, plan: Plan, arrays: tuple[Any, ...], more: tuple[np.generic, ...] = ()
    ) -> None:
        """Launch a kernel, unless the grid is empty.

        Args:
            plan: which, and how.
            arrays: its first arguments; after them come the plan's scalars.
            more: its last arguments, which no plan foresees.
        """
        if 0 not in plan.grid:
            function = self._functions.get(plan.kernel) or self._function(plan)
            function(plan.grid, plan.block, arrays + plan.scalars + more)

    def forget(self) -> None:
        """Compile everything anew when it is next needed, by what compiles then."""
        self._modules.clear()
        self._functions.clear()

    def _function(self, plan: Plan) -> Function:
        file = plan.source.file
        if file not in self._modules:
            self._modules[file] = self._load(plan.source.text(), OPTIONS, plan.source.kernels)
        function = self._functions[plan.kernel] = self._modules[file].get_function(plan.kernel)
        return function


def groups(n: int, size: int) -> int:
    """Return how many groups of ``size`` hold n things."""
    return -(-n // size)


def empty(like: Any, shape: tuple[int, ...], dtype: Any) -> Any:
    """Return a new array, whose elements nobody has written, of the same library as another.

    It is the one call that makes an array; ``np.empty_like`` comes to it, in three times its time.
    """
    return type(like)(shape, dtype)


def as_bytes(struct: np.ndarray) -> np.ndarray:
    """Return a struct for a kernel as mere bytes, of the same memory.

    CuPy would have NumPy describe the fields in every launch, which takes longer than the launch.
    """
    return struct.view(np.dtype((np.void, struct.itemsize)))


# ------------------------------------------------------------------------- what arrays have to be

#: Dtype, shape, strides, and the number of the device.
Layout: TypeAlias = tuple[np.dtype[Any], tuple[int, ...], tuple[int, ...], int]


def layout(array: Any) -> Layout:
    """Return what a plan has to know of an array.

    Raises:
        RefusedError: it is no array of a device.
    """
    try:
        return array.dtype, array.shape, array.strides, array.data.device_id
    except AttributeError:
        raise RefusedError(
            f"a kernel needs arrays of a device, got {type(array).__name__}"
        ) from None


def contiguous(array: Layout) -> bool:
    """Return whether the elements of an array follow one another, in C order."""
    dtype, shape, strides, _ = array
    if 0 in shape:
        return True
    step = dtype.itemsize
    for n, stride in zip(reversed(shape), reversed(strides), strict=True):
        if n != 1 and stride != step:
            return False
        step *= n
    return True


def check(kernel: str, **arrays: Layout | None) -> None:
    """Raise unless arrays are what any kernel needs.

    Args:
        kernel: who asks, for messages.
        arrays: by the names that the caller knows them by; None for one that is left out.

    Raises:
        RefusedError: one is not C-contiguous.
        RuntimeError: they are on different devices.
    """
    given = {name: array for name, array in arrays.items() if array is not None}
    for name, array in given.items():
        if not contiguous(array):
            raise RefusedError(
                f"{kernel} needs a C-contiguous {name}, got a view of shape {array[1]} that is "
                "not; make a .copy()"
            )
    devices = {name: device for name, (*_, device) in given.items()}
    first = next(iter(devices.values()))
    for name, device in devices.items():
        if device != first:
            raise RuntimeError(
                "Expected all tensors to be on the same device, but found at least two devices, "
                f"cuda:{first} and cuda:{device}! (argument {name} of {kernel})"
            )


def c_name(kernel: str, name: str, array: Layout, *allowed: str) -> str:
    """Return the C type of an array's elements.

    Args:
        kernel, name: who asks and for which array, for messages.
        array: its layout.
        allowed: the C types that will do.

    Raises:
        RefusedError: it is none of them.
    """
    found = C_NAMES.get(array[0], "")
    if found not in allowed:
        known = " or ".join(dtype.name for dtype, c in C_NAMES.items() if c in allowed)
        raise RefusedError(f"{kernel} needs {name} of dtype {known}, got {array[0]}")
    return found


def check_is(kernel: str, name: str, array: Layout, dtype: Any, shape: tuple[int, ...]) -> None:
    """Raise unless an array has that very dtype and shape.

    Raises:
        RefusedError: the dtype or the shape is another.
    """
    if array[0] != dtype:
        raise RefusedError(f"{kernel} needs {name} of dtype {np.dtype(dtype)}, got {array[0]}")
    if array[1] != shape:
        raise RefusedError(f"{kernel} needs {name} of shape {shape}, got {array[1]}")
