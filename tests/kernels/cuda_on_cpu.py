"""A device on which CUDA kernels run without a GPU: memory, compiler and launches.

The sources are those that a GPU gets, compiled by g++ with ``cuda_on_cpu.h`` before them and the
machine of ``cuda_on_cpu.cpp`` beside them. A `Device` stands where CuPy stands: its arrays have
what wrappers ask of CuPy's, and ``Launcher(device.load)`` launches on it. A launch runs under three
schedules, which must agree to the last bit, and raises `KernelError` at a kernel's first mistake.
"""

from __future__ import annotations

import ctypes
import functools
import itertools
import math
import re
import shutil
import subprocess
import sys
import tempfile
import types
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
SCHEDULES = ("forwards", "backwards", "in strides")
GUARD, CANARY, ALIGNMENT = 64, 0xA5, 256

#: Undefined behavior that stops a kernel; `cuda_on_cpu.cpp` has the functions that are called.
CHECKED = "alignment,null,shift,bounds,signed-integer-overflow,integer-divide-by-zero"
FLAGS = ["-std=c++17", "-fPIC", "-Wall", "-Wextra", "-Werror"]
KERNEL_FLAGS = [
    *FLAGS,
    f"-fsanitize=thread,{CHECKED},float-cast-overflow",
    *("-O1", "-ffp-contract=off", "-fno-strict-aliasing", "-fno-gnu-unique"),
    *("-Wno-unknown-pragmas", f"-I{HERE}", "-include", "cuda_on_cpu.h"),
]

DTYPES = {
    "bool": np.bool_,
    "unsigned char": np.uint8,
    "int": np.int32,
    "unsigned int": np.uint32,
    "long long int": np.int64,
    "long long unsigned int": np.uint64,
    "float16": np.float16,
    "float": np.float32,
    "double": np.float64,
}


class KernelError(RuntimeError):
    """A kernel did what no kernel may do."""


def missing() -> str:
    """Return why kernels cannot be run here, or nothing."""
    if not sys.platform.startswith("linux"):
        return f"running kernels on the CPU needs Linux, this is {sys.platform}"
    return "" if shutil.which("g++") else "running kernels on the CPU needs g++ (apt install g++)"


# ------------------------------------------------------------------------- memory


class Allocation:
    """A piece of device memory, with canaries on both sides.

    Args:
        nbytes: its size.
        skew: how many bytes it starts off an address that is a multiple of 256.
    """

    def __init__(self, nbytes: int, skew: int = 0) -> None:
        self._all = np.full(nbytes + 2 * GUARD + ALIGNMENT, CANARY, np.uint8)
        start = GUARD + (skew - self._all.ctypes.data - GUARD) % ALIGNMENT
        self.bytes = self._all[start : start + nbytes]
        self.written = np.zeros(nbytes, np.uint8)
        self.begin = self._all.ctypes.data + start
        self._outside = [self._all[:start], self._all[start + nbytes :]]

    @property
    def intact(self) -> bool:
        """Whether the canaries live."""
        return all((side == CANARY).all() for side in self._outside)


class DeviceArray:
    """An array in device memory, with what wrappers may ask of a CuPy array, and no more.

    Args:
        shape, dtype: of a new one, which nobody has written; as CuPy's are made.
        skew: how many elements it starts off.

    Attributes:
        device: where it is; every device has a class of its own.
    """

    device: Device

    def __init__(self, shape: Any, dtype: Any, skew: int = 0) -> None:
        dtype = np.dtype(dtype)
        allocation = Allocation(math.prod(shape) * dtype.itemsize, skew * dtype.itemsize)
        self.device._allocations.add(allocation)
        self._look(allocation, np.ndarray(shape, dtype, allocation.bytes.data))

    def _look(self, allocation: Allocation, view: np.ndarray) -> None:
        self.allocation, self.view = allocation, view
        self.dtype, self.shape, self.strides = view.dtype, view.shape, view.strides
        self.ndim, self.size, self.nbytes = view.ndim, view.size, view.nbytes
        self.flags = view.flags
        self.data = types.SimpleNamespace(ptr=view.ctypes.data, device_id=self.device.number)

    def __len__(self) -> int:
        return len(self.view)

    def __getitem__(self, key: Any) -> DeviceArray:
        key = key if isinstance(key, tuple) else (key,)
        found = object.__new__(type(self))
        found._look(self.allocation, self.view[(*key, ...)])
        return found

    def __int__(self) -> int:
        return int(self.get())

    def get(self) -> np.ndarray:
        """Return a copy on the host.

        Raises:
            KernelError: nobody has written some of its elements.
        """
        assert self.flags.c_contiguous, "no copy of a view that is not contiguous"
        start = self.data.ptr - self.allocation.begin
        if not self.allocation.written[start : start + self.nbytes].all():
            raise KernelError("nobody has written some elements of this array")
        return self.view.copy()

    def __array_function__(self, function: Any, kinds: Any, args: Any, kwargs: Any) -> Any:
        if function is not np.zeros_like:
            raise TypeError(f"np.{function.__name__} is no part of what kernels' wrappers may use")
        shape = kwargs.get("shape") or self.shape  # as CuPy takes ()
        return self.device.empty(shape, kwargs.get("dtype") or self.dtype).fill(0)

    def fill(self, values: Any) -> DeviceArray:
        """Write from the host."""
        self.view[...] = values
        self.allocation.written[...] = 1
        return self


class Device:
    """A GPU made of a CPU.

    Args:
        number: which of several it is to be.

    Attributes:
        launched: the names of all kernels launched so far.
        flush: whether denormal floats are flushed to zero, as they are with CuPy.
        schedules: the places in `SCHEDULES` of those that launches run under.
    """

    def __init__(self, number: int = 0) -> None:
        self.number = number
        self.launched: list[str] = []
        self.flush = False
        self.schedules: Sequence[int] = range(len(SCHEDULES))
        self._allocations: weakref.WeakSet[Allocation] = weakref.WeakSet()
        self._array = type("DeviceArray", (DeviceArray,), {"device": self})

    def empty(self, shape: Any, dtype: Any, skew: int = 0) -> DeviceArray:
        """Return an array that nobody has written; ``skew`` is in elements."""
        return self._array(shape, dtype, skew)

    def array(self, values: Any, skew: int = 0) -> DeviceArray:
        """Return a copy of an array of the host."""
        values = np.asarray(values)
        return self.empty(values.shape, values.dtype, skew).fill(values)

    def load(self, source: str, options: tuple[str, ...], names: tuple[str, ...]) -> Module:
        """Compile, in the way of ``cupy.RawModule``; see `minigrad.kernels.launch.Load`."""
        assert options == ("--std=c++17", "--fmad=false"), "what FLAGS have equivalents of"
        return Module(self, compiled(source, tuple(names)), names)

    @property
    def allocations(self) -> list[Allocation]:
        """All memory in use."""
        return list(self._allocations)


# ------------------------------------------------------------------------- compilation


@functools.cache
def machine() -> tuple[ctypes.CDLL, tempfile.TemporaryDirectory[str]]:
    """Return the machine, and the folder in which all is built: it goes with the process."""
    folder = tempfile.TemporaryDirectory(prefix="cuda-on-cpu-")
    path = f"{folder.name}/machine.so"
    # fortified, longjmp would refuse to leave one stack for another
    flags = [*FLAGS, "-O2", "-U_FORTIFY_SOURCE", "-shared"]
    gpp([*flags, str(HERE / "cuda_on_cpu.cpp"), "-o", path])
    library = ctypes.CDLL(path)
    library.run_launch.restype = ctypes.c_char_p
    return library, folder


_serial = itertools.count()


@functools.cache
def compiled(source: str, names: tuple[str, ...]) -> LibraryStruct:
    """Return the library of a source's kernels.

    Raises:
        KernelError: it does not compile.
    """
    folder = machine()[1].name
    path = f"{folder}/kernels{next(_serial)}.so"
    compile_kernels(with_glue(source, names), KERNEL_FLAGS, f"{folder}/machine.so", path)
    return opened(path)


def with_glue(source: str, names: Sequence[str], checked: bool = True, waits: bool = True) -> str:
    """Return a source, and below it what describes its kernels; see `cuda_on_cpu_machine.h`."""
    glue = [f"{checked:d}", f"{waits:d}", *(f'KERNEL("{name}", {name})' for name in names)]
    return f'#line 1 "kernels.cu"\n{source}\n#line 1 "glue"\nLIBRARY({", ".join(glue)})\n'


def compile_kernels(text: str, flags: Sequence[str], machine: str | Path, to: str | Path) -> None:
    """Compile what `with_glue` returns into a library, which finds the machine in another.

    Raises:
        KernelError: it does not compile.
    """
    gpp([*flags, "-x", "c++", "-", "-c", "-o", f"{to}.o"], text)  # what links need know of no flag
    gpp(["-shared", f"{to}.o", str(machine), "-Wl,-Bsymbolic", "-o", str(to)])
    Path(f"{to}.o").unlink()


def gpp(arguments: Sequence[str], text: str = "") -> str:
    """Run g++, with ``text`` on its input, and return what it writes.

    Raises:
        KernelError: it fails.
    """
    done = subprocess.run(
        ["g++", *arguments], input=text, text=True, check=False, capture_output=True
    )
    if done.returncode:
        raise KernelError(f"g++ refuses it:\n{done.stderr}")
    return done.stdout


def opened(path: str | Path) -> LibraryStruct:
    """Return what a compiled source says of itself."""
    library = ctypes.CDLL(str(path)).library
    library.restype = ctypes.POINTER(LibraryStruct)
    found: LibraryStruct = library().contents
    return found


# ------------------------------------------------------------------------- launches


class KernelStruct(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_char_p) for name in ("name", "types", "kinds")),
        *(("sizes", ctypes.POINTER(ctypes.c_ulong)), ("enter", ctypes.c_void_p)),
    ]


class LibraryStruct(ctypes.Structure):
    _fields_ = [
        ("kernels", ctypes.POINTER(KernelStruct)),
        *((name, ctypes.c_void_p) for name in ("shared_begin", "shared_end")),
        *((name, ctypes.c_int) for name in ("checked", "waits")),
    ]


class Dim3(ctypes.Structure):
    _fields_ = [(axis, ctypes.c_uint) for axis in "xyz"]


class MemoryStruct(ctypes.Structure):
    _fields_ = [("begin", ctypes.c_size_t), ("end", ctypes.c_size_t), ("written", ctypes.c_void_p)]


class SpanStruct(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_size_t) for name in ("begin", "end")),
        *((name, ctypes.c_int) for name in ("memory", "writable", "argument")),
    ]


class LaunchStruct(ctypes.Structure):
    _fields_ = [
        ("library", ctypes.POINTER(LibraryStruct)),
        ("kernel", ctypes.POINTER(KernelStruct)),
        *((name, Dim3) for name in ("grid", "block")),
        ("values", ctypes.POINTER(ctypes.c_void_p)),
        ("memories", ctypes.POINTER(MemoryStruct)),
        ("spans", ctypes.POINTER(SpanStruct)),
        *((name, ctypes.c_int) for name in ("n_memories", "n_spans")),
        *((name, ctypes.c_int) for name in ("schedule", "flush", "checked")),
    ]


class Module:
    """The kernels of one source."""

    def __init__(self, device: Device, library: LibraryStruct, names: Sequence[str]) -> None:
        self._kernels = {
            n: Kernel(device, library, library.kernels[i]) for i, n in enumerate(names)
        }

    def get_function(self, name: str) -> Kernel:
        return self._kernels[name]


class Parameter:
    """One of a kernel's parameters, as the compiler sees it.

    Args:
        c_type: ``"const float*"``, ``"int"``, ``"Tensors<float>"``, ...
        size: in bytes.
    """

    def __init__(self, c_type: str, size: int) -> None:
        self.c_type, self.size = c_type, size
        self.points, self.const = c_type.endswith("*"), c_type.startswith("const ")
        self.dtype = DTYPES.get(c_type.removeprefix("const ").removesuffix("*"))

    def mismatch(self, value: Any) -> str:
        """Return what is wrong with an argument, or nothing: CuPy would pass it on as it is."""
        if self.points:
            if isinstance(value, np.uint64) and value == 0:
                return ""  # a null pointer
            if not hasattr(value, "data") or not hasattr(value.data, "ptr"):
                return f"got {type(value).__name__}, no array of the device"
            if value.dtype != self.dtype:
                return f"got an array of {value.dtype}"
            return "" if value.flags.c_contiguous else "got an array that is not contiguous"
        if self.dtype is not None:
            fits = isinstance(value, np.generic) and value.dtype == self.dtype
            return "" if fits else f"needs np.{np.dtype(self.dtype)}, got {type(value).__name__}"
        fits = isinstance(value, np.ndarray) and value.shape == () and value.nbytes == self.size
        return "" if fits else f"needs a 0-d NumPy array of {self.size} bytes"


def parameters(described: KernelStruct) -> list[Parameter]:
    """Return a kernel's parameters."""
    (inner,) = re.findall(r"Arguments = \{(.*)\}\]", described.types.decode())
    return list(map(Parameter, inner.split(", "), described.sizes[: len(described.kinds)]))


def check_arguments(name: str, parameters: Sequence[Parameter], arguments: Sequence[Any]) -> None:
    """Raise TypeError if a kernel does not take the arguments, which CuPy would pass on."""
    if len(arguments) != len(parameters):
        raise TypeError(f"{name} takes {len(parameters)} arguments, got {len(arguments)}")
    for i, (value, parameter) in enumerate(zip(arguments, parameters, strict=True)):
        if wrong := parameter.mismatch(value):
            raise TypeError(f"argument {i} of {name}, {parameter.c_type}: {wrong}")


class Kernel:
    """A kernel, called as CuPy's are."""

    def __init__(self, device: Device, library: LibraryStruct, described: KernelStruct) -> None:
        self.device, self.name = device, described.name.decode()
        self._library, self._described = library, described
        self.parameters = parameters(described)

    def __call__(
        self, grid: tuple[int, ...], block: tuple[int, ...], arguments: tuple[Any, ...]
    ) -> None:
        self._check(grid, block, arguments)
        self.device.launched.append(self.name)
        allocations = self.device.allocations
        spans = [
            (a.data.ptr, a.nbytes, allocations.index(a.allocation), not p.const, i)
            for i, (a, p) in enumerate(zip(arguments, self.parameters, strict=True))
            if isinstance(a, DeviceArray)
        ]
        for i, p in enumerate(self.parameters):
            if not p.points and p.dtype is None:  # it may hold pointers to whatever there is
                spans += [(a.begin, len(a.bytes), k, True, i) for k, a in enumerate(allocations)]
        held = [self._value(a) for a in arguments]
        launch = LaunchStruct(
            library=ctypes.pointer(self._library),
            kernel=ctypes.pointer(self._described),
            grid=Dim3(*grid, *(1,) * (3 - len(grid))),
            block=Dim3(*block, *(1,) * (3 - len(block))),
            values=(ctypes.c_void_p * len(held))(*(h.ctypes.data for h in held)),
            memories=(MemoryStruct * len(allocations))(
                *(
                    MemoryStruct(a.begin, a.begin + len(a.bytes), a.written.ctypes.data)
                    for a in allocations
                )
            ),
            spans=(SpanStruct * len(spans))(
                *(SpanStruct(p, p + n, m, w, i) for p, n, m, w, i in spans)
            ),
            n_memories=len(allocations),
            n_spans=len(spans),
            flush=self.device.flush,
            checked=True,
        )
        self._run_all(launch, [allocations[m] for _, _, m, writable, _ in spans if writable])

    def _check(self, grid: Any, block: Any, arguments: Any) -> None:
        check_arguments(self.name, self.parameters, arguments)
        if sum(p.size for p in self.parameters) > 4096:
            raise ValueError(f"{self.name} has arguments of more than 4096 bytes")
        limits = [(grid, (2**31 - 1, 65535, 65535)), (block, (1024, 1024, 64))]
        fits = all(
            1 <= n <= limit for sizes, most in limits for n, limit in zip(sizes, most, strict=False)
        )
        if not fits or math.prod(block) > 1024:
            raise ValueError(f"{self.name}: no GPU launches {grid} blocks of {block} threads")

    def _value(self, argument: Any) -> np.ndarray:
        return np.array(argument.data.ptr if isinstance(argument, DeviceArray) else argument)

    def _run_all(self, launch: LaunchStruct, writable: list[Allocation]) -> None:
        """Run under every schedule from the same state, and compare what comes of it."""
        before = [(a.bytes.copy(), a.written.copy()) for a in writable]
        results = []
        for schedule in self.device.schedules:
            where = f"{self.name}, {SCHEDULES[schedule]}"
            for a, (content, written) in zip(writable, before, strict=True):
                a.bytes[...], a.written[...] = content, written
            launch.schedule = schedule
            if error := machine()[0].run_launch(ctypes.byref(launch)):
                raise KernelError(f"{where}: {error.decode()}")
            if not all(a.intact for a in self.device.allocations):
                raise KernelError(f"{where}: writes outside of its arrays")
            results.append([a.bytes.tobytes() for a in writable])
        if any(result != results[0] for result in results):
            raise KernelError(f"{self.name}: the result depends on the schedule")
