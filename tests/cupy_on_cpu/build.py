"""Builds the libraries that stand for NVIDIA's, once for each state of their sources."""

from __future__ import annotations

import fcntl
import functools
import hashlib
import importlib.metadata
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.cupy_on_cpu import elf
from tests.kernels.cuda_on_cpu import gpp

HERE = Path(__file__).parent
CUPY, PACKAGE = "14.2.0", "cupy-cuda13x"
#: What CuPy looks for by these names is all in one library.
ALIASES = ("libcuda.so.1", "libnvrtc.so.13", "libcublasLt.so.13")
LIBRARY, CUBLAS = "libcupy_on_cpu.so", "libcublas.so.13"
HEADERS = ("cuda_runtime_api.h", "cuda_fp16.h", "crt/host_defines.h")
INSTALL = "pip install '.[gpu-test]'"
#: As plain code: nothing of it is looked at while it runs.
UNCHECKED = ["-std=c++17", "-O1", "-w", "-fpermissive", "-fPIC", "-fvisibility=hidden"]
UNCHECKED += ["-ffp-contract=off", "-fno-strict-aliasing", "-fno-gnu-unique"]


def missing() -> str:
    """Return in a sentence why CuPy cannot be run on this CPU, or nothing."""
    if not sys.platform.startswith("linux") or platform.machine() != "x86_64":
        return (
            f"CuPy on the CPU needs Linux on x86-64, this is {sys.platform} on {platform.machine()}"
        )
    if not shutil.which("g++"):
        return "CuPy on the CPU needs g++ (apt install g++)"
    try:
        version = importlib.metadata.version(PACKAGE)
    except importlib.metadata.PackageNotFoundError:
        return f"CuPy on the CPU needs {PACKAGE}=={CUPY}: {INSTALL}"
    if version != CUPY:
        return f"CuPy on the CPU knows {PACKAGE} {CUPY} from inside, this is {version}: {INSTALL}"
    for header in HEADERS:
        if headers() is None or not (headers() / header).exists():  # type: ignore[operator]
            return f"CuPy on the CPU needs NVIDIA's header {header}: {INSTALL}"
    return ""


@functools.cache
def headers() -> Path | None:
    """Return the folder of CUDA's headers in NVIDIA's wheels, or None."""
    spec = importlib.util.find_spec("nvidia")
    for base in map(Path, (spec and spec.submodule_search_locations) or ()):
        for found in sorted(base.glob(f"*/include/{HEADERS[0]}"), reverse=True):
            return found.parent
    return None


@functools.cache
def site() -> Path:
    """Return the folder that CuPy is installed in, without importing it."""
    spec = importlib.util.find_spec("cupy")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parents[1]


def includes() -> list[str]:
    """Return where g++ finds headers: ours first, then CuPy's, then NVIDIA's."""
    cupys = site() / "cupy/_core/include"
    bundled = [cupys / "cupy/_cccl" / part for part in ("cub", "thrust", "libcudacxx")]
    folders = (HERE, HERE.parent / "kernels", *bundled, cupys, headers())
    return [f"-I{folder}" for folder in folders]


def cache() -> Path:
    """Return the folder in which all that is built is kept."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    return home / "minigrad" / "cupy-on-cpu"


@functools.cache
def fingerprint(*patterns: str) -> str:
    """Return a hash of sources of ours, of who compiles, and of where headers are."""
    kernels = HERE.parent / "kernels"
    paths = sorted(p for pattern in patterns for f in (HERE, kernels) for p in f.glob(pattern))
    compiler = subprocess.run(["g++", "--version"], capture_output=True, check=True).stdout
    parts = [compiler, CUPY.encode(), " ".join(includes()).encode()]
    return hashlib.sha256(b"\0".join([*parts, *map(Path.read_bytes, paths)])).hexdigest()[:16]


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Let one process at a time into the ``with`` block that has this path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@functools.cache
def libraries() -> Path:
    """Return the folder of the libraries, built if need be."""
    folder = cache() / f"libraries-{fingerprint('*.cpp', '*.h', 'build.py')}"
    with locked(folder.with_suffix(".lock")):
        if not folder.exists():
            fresh = folder.with_suffix(".new")
            shutil.rmtree(fresh, ignore_errors=True)
            fresh.mkdir()
            _build(fresh)
            fresh.rename(folder)
    return folder


def _build(to: Path) -> None:
    flags = ["-std=c++17", "-O2", "-Wall", "-Wextra", "-fPIC", "-U_FORTIFY_SOURCE", *includes()]
    flags += ["-DNOTHING_OF_CUPY"]
    ours = [HERE / "runtime.cpp", HERE / "nvrtc.cpp", HERE / "cub.cpp", HERE / "cublaslt.cpp"]
    machine = HERE.parent / "kernels" / "cuda_on_cpu.cpp"
    shared = ["-shared", "-L", str(to)]
    named = [f"-Wl,-soname,{LIBRARY}", "-ldl", "-o", str(to / LIBRARY)]
    gpp([*flags, *shared, *map(str, ours), str(machine), *named])
    link = ["-Wl,--no-as-needed", f"-l:{LIBRARY}", "-Wl,-rpath,$ORIGIN"]
    for alias in ALIASES:
        gpp([*shared, "-x", "c++", "-", *link, f"-Wl,-soname,{alias}", "-o", str(to / alias)], "")
    _build_cublas(to, flags, [*shared, *link])
    pch = ["-x", "c++-header", str(HERE / "cupy_source.h"), "-o", str(to / "cupy_source.h.gch")]
    gpp([*UNCHECKED, *includes(), *pch])


def _build_cublas(to: Path, flags: list[str], link: list[str]) -> None:
    """Build cuBLAS, in which whatever CuPy wants and `cublas.cpp` lacks says its name."""
    compiled = str(to / "cublas.o")
    gpp([*flags, "-O3", "-c", str(HERE / "cublas.cpp"), "-o", compiled])
    (extension,) = site().glob("cupy_backends/cuda/libs/cublas.*.so")
    wanted = [n for n in elf.symbols(extension, elf.DYNAMIC_SYMBOLS) if n.startswith("cublas")]
    lacking = sorted({*wanted} - {*elf.symbols(compiled)})
    stubs = '#include "device.h"\nextern "C" {\n'
    stubs += "".join(f'int {n}() {{ gpu::not_emulated("{n}"); return 15; }}\n' for n in lacking)
    (to / "stubs.cpp").write_text(stubs + "}\n")
    (to / "versions").write_text(f"{CUBLAS} {{ global: *; }};\n")
    named = [f"-Wl,-soname,{CUBLAS}", f"-Wl,--version-script={to / 'versions'}"]
    gpp([*flags, compiled, str(to / "stubs.cpp"), *link, *named, "-o", str(to / CUBLAS)])
