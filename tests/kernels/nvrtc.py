"""NVIDIA's compiler without a GPU: the library in the wheel ``nvidia-cuda-nvrtc``, by ctypes."""

from __future__ import annotations

import ctypes
import functools
import importlib.util
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

#: What `minigrad.kernels.OPTIONS` is followed by when CuPy compiles.
CUPYS_OPTIONS = ("--device-as-default-execution-space", "-ftz=true")


@dataclass(frozen=True)
class Usage:
    """What a compiled kernel takes."""

    registers: int
    stack: int
    spilled: int


class CompilationError(RuntimeError):
    """NVRTC refuses a source."""


def installed(name: str) -> list[Path]:
    """Return the files of a name in NVIDIA's wheels, those of the newest first."""
    spec = importlib.util.find_spec("nvidia")
    folders = (spec and spec.submodule_search_locations) or ()
    return [p for folder in folders for p in sorted(Path(folder).glob(f"*/{name}"), reverse=True)]


@functools.cache
def library() -> ctypes.CDLL | None:
    """Return NVRTC, or None where its wheel is not installed."""
    for path in installed("lib/libnvrtc.so.*"):
        for builtins in path.parent.glob("libnvrtc-builtins.so.*"):
            ctypes.CDLL(str(builtins))  # where it is not found by name
        return ctypes.CDLL(str(path))
    return None


def compiled(
    source: str, names: Sequence[str], architecture: str, options: Sequence[str]
) -> tuple[dict[str, str], str, bytes]:
    """Return the names of the kernels after compilation, what the compiler says, and its code.

    Args:
        source: CUDA C++.
        names: the kernels, with the types that templates are compiled for.
        architecture: ``"sm_90"`` for machine code, ``"compute_90"`` for PTX.
        options: more of the command line.

    Raises:
        CompilationError: it does not compile.
    """
    nvrtc = library()
    assert nvrtc is not None
    program, size = ctypes.c_void_p(), ctypes.c_size_t()

    def content(what: str) -> bytes:
        getattr(nvrtc, f"nvrtcGet{what}Size")(program, ctypes.byref(size))
        buffer = ctypes.create_string_buffer(size.value)
        getattr(nvrtc, f"nvrtcGet{what}")(program, buffer)
        return buffer.raw

    nvrtc.nvrtcCreateProgram(ctypes.byref(program), source.encode(), b"kernels.cu", 0, None, None)
    try:
        for name in names:
            nvrtc.nvrtcAddNameExpression(program, name.encode())
        line = [f"-arch={architecture}", *options]
        line += ["--ptxas-options=-v"] if architecture.startswith("sm_") else []
        words = (ctypes.c_char_p * len(line))(*(word.encode() for word in line))
        failed = nvrtc.nvrtcCompileProgram(program, len(line), words)
        log = content("ProgramLog").rstrip(b"\0").decode()
        if failed:
            raise CompilationError(log)
        lowered = {}
        for name in names:
            found = ctypes.c_char_p()
            nvrtc.nvrtcGetLoweredName(program, name.encode(), ctypes.byref(found))
            lowered[name] = (found.value or b"").decode()
        return lowered, log, content("CUBIN" if architecture.startswith("sm_") else "PTX")
    finally:
        nvrtc.nvrtcDestroyProgram(ctypes.byref(program))


def usages(lowered: dict[str, str], log: str) -> dict[str, Usage]:
    """Return what each kernel takes, from what the compiler says."""
    found = {}
    for part in log.split("Compiling entry function ")[1:]:
        entry = part.split("'")[1]
        spills = re.search(r"(\d+) bytes stack.*?(\d+) bytes spill.*?(\d+) bytes spill", part)
        registers = re.search(r"Used (\d+) registers", part)
        assert spills is not None, part
        assert registers is not None, part
        stack, stores, loads = map(int, spills.groups())
        found[entry] = Usage(int(registers[1]), stack, stores + loads)
    return {name: found[entry] for name, entry in lowered.items()}
