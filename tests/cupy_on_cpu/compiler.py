"""What stands for NVIDIA's runtime compiler: a CUDA source becomes a shared library, kept on disk.

minigrad's own kernels are compiled as `tests.kernels.cuda_on_cpu` compiles them, so that every
access of theirs to memory is looked at; what CuPy writes is compiled plainly, which is quicker.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import json
import os
import re
import traceback
from pathlib import Path
from typing import Any

from minigrad.kernels import OPTIONS
from tests.cupy_on_cpu import build
from tests.kernels.cuda_on_cpu import (
    FLAGS,
    KERNEL_FLAGS,
    KernelError,
    KernelStruct,
    Parameter,
    glue,
    gpp,
    parameters,
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


def image(source: str, options: tuple[str, ...], names: tuple[str, ...]) -> Path:
    """Return the library that a source is compiled to.

    Args:
        source: CUDA C++.
        options: of NVRTC.
        names: kernels that are asked for by expressions, such as ``relu_forward<float>``; they are
            called kernel0, kernel1, ...

    Raises:
        KernelError: it does not compile.
    """
    checked = set(OPTIONS) <= set(options)
    macros = [option for option in options if option.startswith("-D")]
    wanted = {f"kernel{i}": name for i, name in enumerate(names)}
    wanted |= {name: name for name in PLAIN.findall(source)}
    text = DYNAMIC.sub(r"__shared__ \1 \2[(48 << 10) / sizeof(\1)]", source)
    waits = bool(WAITING.search(source))
    text = f'#line 1 "kernels.cu"\n{text}\n#line 1 "glue"\n{glue(wanted)}' + (
        'extern "C" { __attribute__((visibility("default"))) extern const int checked, waits;\n'
        f"const int checked = {int(checked)}, waits = {int(waits)}; }}\n"
    )
    flags = [*FLAGS, *KERNEL_FLAGS] if checked else [*build.UNCHECKED, *macros]
    key = _key(text, tuple(flags))
    folder = build.cache() / "kernels"
    path = folder / f"{key}.so"
    _note(key, {"source": source, "options": options, "names": names})
    if not path.exists():
        with build.locked(folder / f"{key}.lock"):
            if not path.exists():
                _compile(text, flags, checked, path)
    return path


def _key(text: str, flags: tuple[str, ...]) -> str:
    headers = build.fingerprint("*.h", "cub/block/*.cuh")
    return hashlib.sha256("\0".join([headers, *flags, text]).encode()).hexdigest()[:24]


def _compile(text: str, flags: list[str], checked: bool, path: Path) -> None:
    libraries = build.libraries()
    if not checked:  # the header before all others, compiled in advance
        include = ["-include", f"{libraries}/cupy_source.h", *build.includes()]
        flags = [*flags, *include, "-Winvalid-pch", "-x", "c++", "-"]
    made = path.with_suffix(f".{os.getpid()}")
    link = ["-shared", f"{made}.o", f"-L{libraries}", f"-l:{build.LIBRARY}", "-Wl,-Bsymbolic"]
    try:
        gpp([*flags, "-c", "-o", f"{made}.o"], text)
        gpp([*link, "-o", f"{made}.so"])
        os.replace(f"{made}.so", path)
    finally:
        Path(f"{made}.o").unlink(missing_ok=True)


def _note(key: str, what: dict[str, Any]) -> None:
    """Write down a source of this run, for NVIDIA's own compiler to judge it later."""
    if notes := os.environ.get(NOTES):
        path = build.cache() / "sources" / f"{key}.json"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            made = path.with_suffix(f".{os.getpid()}")
            made.write_text(json.dumps(what))
            made.rename(path)
        with open(notes, "a") as file:
            file.write(f"{key}\n")


def described(source: str, options: tuple[str, ...], names: tuple[str, ...]) -> dict[str, Any]:
    """Return the parameters of a source's kernels (`cuda_on_cpu.Parameter`), by expression."""
    library = ctypes.CDLL(str(image(source, options, names)))
    library.kernels.restype = ctypes.POINTER(KernelStruct)
    kernels = library.kernels()
    found: dict[str, list[Parameter]] = {n: parameters(kernels[i]) for i, n in enumerate(names)}
    return found


# ------------------------------------------------------------------------- called by nvrtc.cpp

_Callback = ctypes.CFUNCTYPE(
    ctypes.c_bool, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int,
    ctypes.POINTER(ctypes.c_char_p), ctypes.c_int, ctypes.POINTER(ctypes.c_char_p),
)  # fmt: skip


@functools.cache
def callback(library: ctypes.CDLL) -> Any:
    """Return what compiles programs, as C calls it, and keep it alive."""
    library.compiled.argtypes = [ctypes.c_void_p, *[ctypes.c_char_p] * 2, ctypes.c_ulong]

    def run(
        program: int, source: bytes, n_options: int, options: Any, n_names: int, names: Any
    ) -> bool:
        line = tuple(option.decode() for option in options[:n_options])
        try:
            if source:
                wanted = tuple(name.decode() for name in names[:n_names])
                content = image(source.decode(), line, wanted).read_bytes()
            else:
                content = b"// CuPy asks which compiler it is by compiling nothing"
            library.compiled(program, b"", content, len(content))
            return True
        except KernelError as error:
            log = str(error)
        except BaseException:  # C has no use for it
            log = traceback.format_exc()
        library.compiled(program, log.encode(), b"", 0)
        return False

    return _Callback(run)
