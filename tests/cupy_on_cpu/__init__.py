"""The real CuPy on the CPU: the wheel as it comes, with everything of NVIDIA's under it replaced.

CuPy is Python and compiled extension modules, which call four libraries of NVIDIA's. None of these
is needed for CuPy to import, and each can be had by another under its name:

- **The driver** (``libcuda.so.1``) and **the matrix products** (``libcublas.so.13``) are loaded by
  name when first needed. The dynamic linker does not load what is loaded already, and knows
  libraries by the name that they carry inside (their soname). So libraries of ours with these
  sonames, loaded before, are taken for them.
- **The runtime** is linked into CuPy's ``runtime.so``, where no loading can replace it. But the
  file still has its table of symbols: once it is loaded, the first bytes of each of its functions
  ``cuda...`` are overwritten in memory by a jump to ours. The functions of CuPy's ``cub.so`` and
  ``thrust.so`` that start reductions and sort are treated in the same way.
- **The compiler** is called by a class of CuPy's that is written in Python, and is replaced there.

What takes their place: device memory is host memory (``runtime.cpp``); a CUDA source is compiled by
g++ into a shared library, whose path CuPy carries about as if it were machine code of a GPU
(``compiler.py``); its threads are run by the machine of ``tests/kernels/cuda_on_cpu.cpp``; products
and whole reductions are loops (``products.cpp``, ``cub.cpp``).

What this shows, over a stand-in for CuPy: all of CuPy's own behaviour, its dispatch, dtypes,
keywords, memory pool and generated kernels, and how minigrad's arguments arrive. There are two
devices, neither of which can read the other's memory, and what is put on a stream happens when
somebody waits for it. minigrad's own kernels are watched at every access to memory. Whatever is not
emulated fails and says its name.

What it cannot show: speed; the numbers of a GPU's own functions, casts and atomics, and those of
cuBLAS and CUB; what a real driver refuses; kernels that run at the same time.

Beside the compiler, CuPy itself is changed in one place: ``cupy.RawModule``, with which minigrad
compiles its kernels, looks at arguments before a launch, which nobody does on a real GPU.

    python -m tests.cupy_on_cpu -m gpu            # pytest on it; other arguments are pytest's
"""

from __future__ import annotations

import ctypes
import functools
import os
import re
import struct
import sys
from types import ModuleType

from tests.cupy_on_cpu import build, compiler

JUMP = 22  # bytes of what a function begins with instead
_libc = ctypes.CDLL(None, use_errno=True)
_names: list[ctypes.Array] = []  # for functions that say theirs


@functools.cache
def install() -> ctypes.CDLL:
    """Let ``import cupy`` give the real CuPy on emulated devices, in this process, for good.

    Returns:
        The library that emulates, for its counters.

    Raises:
        RuntimeError: it cannot be had here, or CuPy has been imported before.
    """
    if reason := build.missing():
        raise RuntimeError(reason)
    if "cupy" in sys.modules:
        raise RuntimeError("CuPy has been imported already: install() comes before that")
    os.environ["CUPY_CACHE_IN_MEMORY"] = "1"  # else it would mix ours with what a GPU's are
    names = build.CUDA, build.CUBLASLT, build.CUBLAS
    library, *_ = (ctypes.CDLL(str(build.libraries() / name)) for name in names)
    library.launch_count.restype = ctypes.POINTER(ctypes.c_long)

    import cupy_backends.cuda.api.runtime as runtime

    _redirect(runtime, library, r"cuda[A-Z]\w+")
    import cupy
    import cupy.cuda.compiler
    import cupy.cuda.cub
    import cupy.cuda.thrust

    for module in (cupy.cuda.cub, cupy.cuda.thrust):  # the runtime is linked into these as well
        _redirect(module, library, r"cuda[A-Z]\w+")
        _redirect(module, library, r"_Z\d+(cub_device|thrust)_\w+", "nothing_emulated")
    cupy.cuda.nvrtc.getVersion = lambda: (13, 0)
    cupy.cuda.compiler._NVRTCProgram = compiler.Program
    if not os.environ.get("CUPY_ON_CPU_IDLE"):  # then launches do nothing, and time is measured
        cupy.RawModule = compiler.CheckedModule
    return library


def _redirect(
    module: ModuleType, library: ctypes.CDLL, pattern: str, otherwise: str = "not_emulated"
) -> None:
    """Overwrite the functions of an extension module that are NVIDIA's by jumps to ours.

    Args:
        module: which.
        library: ours, with functions of the same names.
        pattern: which functions.
        otherwise: our function that takes the place of those that we lack; it gets their names.

    Raises:
        RuntimeError: they cannot be found.
    """
    assert module.__file__ is not None
    named = build.symbols(module.__file__, "--defined-only")
    found = {name: at for name, at in named.items() if re.fullmatch(pattern, name)}
    if not found:
        raise RuntimeError(
            f"{module.__name__} has no functions {pattern}, and that of CuPy {build.CUPY} has some"
        )
    begin = f"PyInit_{module.__name__.rpartition('.')[2]}"
    base = _address(ctypes.CDLL(module.__file__), begin) - named[begin][0]
    for name, (offset, size) in found.items():
        if size < JUMP:
            raise RuntimeError(f"{name} of {module.__name__} is too short to be replaced")
        plain = name.removesuffix("_ptsz").removesuffix("_ptds").removesuffix("_v2")
        if hasattr(library, plain):
            code = _jump(_address(library, plain))
        else:  # with the address of the name where functions find their first argument: mov rdi, at
            _names.append(ctypes.create_string_buffer(name.encode()))
            code = b"\x48\xbf" + struct.pack("<Q", ctypes.addressof(_names[-1]))
            code += _jump(_address(library, otherwise))
        page = (base + offset) & ~4095
        length = base + offset + len(code) - page
        if _libc.mprotect(ctypes.c_void_p(page), ctypes.c_size_t(length), 7):
            raise OSError(ctypes.get_errno(), "this system lets no program change its own code")
        ctypes.memmove(base + offset, code, len(code))


def _address(library: ctypes.CDLL, name: str) -> int:
    return ctypes.cast(library[name], ctypes.c_void_p).value or 0


def _jump(to: int) -> bytes:
    return b"\x48\xb8" + struct.pack("<Q", to) + b"\xff\xe0"  # mov rax, to; jmp rax
