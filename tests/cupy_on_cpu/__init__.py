"""The real CuPy on the CPU: the wheel as it comes, with everything of NVIDIA's under it replaced.

CuPy is Python and compiled extension modules, which call four libraries of NVIDIA's. None of these
is needed for CuPy to import, and each can be had by another under its name:

- **The driver** (``libcuda.so.1``), **the compiler** (``libnvrtc.so.13``) and **the matrix
  products** (``libcublas.so.13``) are loaded by name when first needed. The dynamic linker does not
  load what is loaded already, and knows libraries by the name that they carry inside (their
  soname). So libraries of ours with these sonames, loaded before, are taken for them.
- **The runtime** is linked into CuPy's ``runtime.so``, where no loading can replace it. But the
  file still has its table of symbols: once it is loaded, the first bytes of each of its functions
  ``cuda...`` are overwritten in memory by a jump to ours (`elf.redirect`). The functions of CuPy's
  ``cub.so`` that start reductions are treated in the same way.

What takes their place: device memory is host memory (``runtime.cpp``); a CUDA source is compiled by
g++ into a shared library, which CuPy carries about as if it were machine code of a GPU
(``compiler.py``); its threads are run by the machine of ``tests/kernels/cuda_on_cpu.cpp``; products
and whole reductions are loops (``cublas.cpp``, ``cub.cpp``).

What this shows, over a stand-in for CuPy: all of CuPy's own behaviour, its dispatch, dtypes,
keywords, memory pool and generated kernels, and how minigrad's arguments arrive. There are two
devices, neither of which can read the other's memory, and what is put on a stream happens when
somebody waits for it. minigrad's own kernels are watched at every access to memory. Whatever is not
emulated fails and says its name.

What it cannot show: speed; the numbers of a GPU's own functions, casts and atomics, and those of
cuBLAS and CUB; what a real driver refuses; kernels that run at the same time.

CuPy itself is changed in one place: ``cupy.RawModule``, with which minigrad compiles its kernels,
looks at arguments before a launch, which nobody does on a real GPU (`CheckedModule`).

    python -m tests.cupy_on_cpu -m gpu            # pytest on it; other arguments are pytest's
"""

from __future__ import annotations

import ctypes
import functools
import os
import re
import sys
from types import ModuleType
from typing import Any

from minigrad.kernels import OPTIONS
from tests.cupy_on_cpu import build, compiler, elf

#: The functions of the CUDA runtime.
RUNTIME = r"cuda[A-Z]\w+"


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
    folder = build.libraries()
    names = (build.LIBRARY, *build.ALIASES, build.CUBLAS)
    library, *_ = (ctypes.CDLL(str(folder / name)) for name in names)
    library.launch_count.restype = ctypes.POINTER(ctypes.c_long)
    library.compile_with(compiler.callback(library))

    import cupy_backends.cuda.api.runtime as runtime

    _redirect(runtime, library, RUNTIME)
    import cupy
    import cupy.cuda.cub
    import cupy.cuda.thrust

    for module in (cupy.cuda.cub, cupy.cuda.thrust):  # the runtime is linked into these as well
        _redirect(module, library, RUNTIME)
    _redirect(cupy.cuda.cub, library, r"_Z\d+cub_device_\w+", "nothing_emulated")
    _redirect(cupy.cuda.thrust, library, r"_Z\d+thrust_\w+", "nothing_emulated")
    if not os.environ.get("CUPY_ON_CPU_IDLE"):  # then launches do nothing, and time is measured
        cupy.RawModule = CheckedModule
    return library


def _redirect(
    module: ModuleType, library: ctypes.CDLL, pattern: str, otherwise: str = "not_emulated"
) -> None:
    """Overwrite the functions of an extension module that are NVIDIA's.

    Args:
        module: which.
        library: ours, with functions of the same names.
        pattern: which functions.
        otherwise: our function that takes the place of those that we lack; it gets their names.

    Raises:
        RuntimeError: they cannot be found.
    """
    assert module.__file__ is not None
    found = {
        name: at
        for name, at in elf.symbols(module.__file__).items()
        if re.fullmatch(pattern, name) and at[0]
    }
    if not found:
        raise RuntimeError(
            f"{module.__name__} has no functions {pattern}, and that of CuPy {build.CUPY} has some"
        )
    base = elf.base_of(module.__file__)
    lacking = ctypes.cast(library[otherwise], ctypes.c_void_p).value
    assert lacking is not None
    for name, (offset, size) in found.items():
        if size < elf.JUMP:
            raise RuntimeError(f"{name} of {module.__name__} is too short to be replaced")
        plain = name.removesuffix("_ptsz").removesuffix("_ptds").removesuffix("_v2")
        try:
            ours = ctypes.cast(library[plain], ctypes.c_void_p).value
        except AttributeError:
            elf.redirect(base + offset, lacking, name)
        else:
            elf.redirect(base + offset, ours or 0)


class CheckedModule:
    """``cupy.RawModule``, in which minigrad's kernels raise if they get what they do not take.

    Args:
        code, options, name_expressions: as of ``cupy.RawModule``.
    """

    def __init__(
        self, *, code: str, options: tuple[str, ...] = (), name_expressions: Any = ()
    ) -> None:
        from cupy._core.raw import RawModule

        names = tuple(name_expressions)
        self._ours = tuple(options) == OPTIONS
        self._module = RawModule(code=code, options=options, name_expressions=names)
        self._described = functools.partial(compiler.described, code, tuple(options), names)

    def get_function(self, name: str) -> Any:
        kernel = self._module.get_function(name)
        if not self._ours:  # CuPy's own, which it gives Python's integers
            return kernel
        parameters = self._described()[name]

        def run(grid: Any, block: Any, args: tuple[Any, ...], **kwargs: Any) -> None:
            if len(args) != len(parameters):
                raise TypeError(f"{name} takes {len(parameters)} arguments, got {len(args)}")
            for i, (value, parameter) in enumerate(zip(args, parameters, strict=True)):
                if wrong := parameter.mismatch(value):
                    raise TypeError(f"argument {i} of {name}, {parameter.c_type}: {wrong}")
            kernel(grid, block, args, **kwargs)

        return run
