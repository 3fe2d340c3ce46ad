"""What stands for NVIDIA's runtime compiler: a CUDA source becomes a shared library, kept on disk.

minigrad's own kernels are compiled as `tests.kernels.cuda_on_cpu` compiles them, so that every
access of theirs to memory is looked at; what CuPy writes is compiled plainly, which is quicker.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from pathlib import Path
from typing import Any

from minigrad.kernels import OPTIONS
from tests.cupy_on_cpu import build
from tests.kernels.cuda_on_cpu import (
    KERNEL_FLAGS,
    KernelError,
    check_arguments,
    compile_kernels,
    opened,
    parameters,
    with_glue,
)

#: The file that this run's sources are noted in, by a line each.
NOTES = "CUPY_ON_CPU_SOURCES"
#: A kernel that CuPy asks for by its own name.
PLAIN = re.compile(
    r'extern\s*"C"\s*__global__\s+(?:__launch_bounds__\([^)]*\)\s*)?void\s+'
    r"(?:__launch_bounds__\([^)]*\)\s*)?(\w+)\s*\("
)
WAITING = re.compile(r"__sync|__shfl|cub::Block")
DYNAMIC = re.compile(r"extern\s+__shared__\s+(?:__align__\(\d+\)\s*)?([\w ]+?)\s+(\w+)\[\]")


class Program:
    """A source for CuPy, in the place of its ``cupy.cuda.compiler._NVRTCProgram``."""

    def __init__(
        self, src: Any, name: Any = "", headers: Any = (), include_names: Any = (),
        name_expressions: Any = None, method: str = "ptx",
    ) -> None:  # fmt: skip
        self._source, self._names = src, tuple(name_expressions or ())

    def compile(self, options: Any = (), log_stream: Any = None) -> tuple[bytes, dict[str, str]]:
        """Return the path of a library, for machine code, and the kernels' names in it."""
        from cupy.cuda.compiler import CompileException

        if not self._source:  # CuPy asks which compiler it is by compiling nothing
            return b"", {}
        try:
            path = image(self._source, tuple(options), self._names)
        except KernelError as error:
            raise CompileException(str(error), self._source, "", options) from None
        return str(path).encode(), {name: name for name in self._names}


class CheckedModule:
    """``cupy.RawModule``, in which minigrad's kernels raise if they get what they do not take.

    Args:
        code, options, name_expressions: as of ``cupy.RawModule``.
    """

    def __init__(
        self, *, code: str, options: tuple[str, ...] = (), name_expressions: Any = ()
    ) -> None:
        from cupy._core.raw import RawModule

        self._given = code, tuple(options), tuple(name_expressions)
        self._module = RawModule(code=code, options=options, name_expressions=self._given[-1])

    def get_function(self, name: str) -> Any:
        kernel = self._module.get_function(name)
        _, options, names = self._given
        if options != OPTIONS:  # CuPy's own, which it gives Python's integers
            return kernel
        expected = parameters(opened(image(*self._given)).kernels[names.index(name)])

        def run(grid: Any, block: Any, args: tuple[Any, ...], **kwargs: Any) -> None:
            check_arguments(name, expected, args)
            kernel(grid, block, args, **kwargs)

        return run


def image(source: str, options: tuple[str, ...], names: tuple[str, ...]) -> Path:
    """Return the library that a source is compiled to.

    Args:
        source: CUDA C++.
        options: of NVRTC.
        names: kernels that are asked for by expressions, such as ``relu_forward<float>``.

    Raises:
        KernelError: it does not compile.
    """
    checked = set(OPTIONS) <= set(options)
    waits = bool(WAITING.search(source))
    text = DYNAMIC.sub(r"__shared__ \1 \2[(48 << 10) / sizeof(\1)]", source)
    text = with_glue(text, [*names, *PLAIN.findall(source)], checked, waits)
    if checked:
        flags = KERNEL_FLAGS
    else:  # the header before all others is compiled in advance
        flags = [*build.UNCHECKED, *(option for option in options if option.startswith("-D"))]
        flags += ["-include", f"{build.libraries()}/cupy_source.h", *build.includes()]
    cub = ["cub/block/*.cuh"] if "#include <cub/" in source else []
    headers = build.fingerprint("cupy_source.h", "cuda_on_cpu*.h", *cub)
    # where our headers lie says nothing of what is in them
    what = [headers, text, *(flag for flag in flags if not flag.startswith(("-I", "/")))]
    path = build.cache() / "kernels" / f"{hashlib.sha256(repr(what).encode()).hexdigest()[:24]}.so"
    _note(source=source, options=options, names=names)
    machine = build.libraries() / build.CUDA
    return build.kept(path, lambda to: compile_kernels(text, flags, machine, to))


def _note(**what: Any) -> None:
    """Write down a source of this run, for NVIDIA's own compiler to judge it later."""
    if notes := os.environ.get(NOTES):
        text = json.dumps(what)
        key = hashlib.sha256(text.encode()).hexdigest()[:24]
        build.kept(build.cache() / "sources" / f"{key}.json", lambda to: to.write_text(text))
        with open(notes, "a") as file:
            file.write(f"{key}\n")
