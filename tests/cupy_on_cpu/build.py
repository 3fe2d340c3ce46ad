"""Builds the libraries that stand for NVIDIA's, and keeps what is built for later runs."""

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
from collections.abc import Callable
from pathlib import Path

from tests.kernels import nvrtc
from tests.kernels.cuda_on_cpu import gpp

HERE = Path(__file__).parent
KERNELS = HERE.parent / "kernels"
CUPY, PACKAGE = "14.2.0", "cupy-cuda13x"
CUDA, CUBLAS, CUBLASLT = "libcuda.so.1", "libcublas.so.13", "libcublasLt.so.13"
HEADERS = ("cuda_runtime_api.h", "cuda_fp16.h", "crt/host_defines.h")
INSTALL = "pip install '.[gpu-test]'"
#: For CuPy's sources, as plain code: nothing of it is looked at while it runs.
UNCHECKED = ["-std=c++17", "-O1", "-w", "-fpermissive", "-fPIC", "-fvisibility=hidden"]
UNCHECKED += ["-ffp-contract=off", "-fno-strict-aliasing", "-fno-gnu-unique"]


def missing() -> str:
    """Return in a sentence why CuPy cannot be run on this CPU, or nothing."""
    if not sys.platform.startswith("linux") or platform.machine() != "x86_64":
        here = f"{sys.platform} on {platform.machine()}"
        return f"CuPy on the CPU needs Linux on x86-64, this is {here}"
    if not shutil.which("g++"):
        return "CuPy on the CPU needs g++ (apt install g++)"
    try:
        version = importlib.metadata.version(PACKAGE)
    except importlib.metadata.PackageNotFoundError:
        return f"CuPy on the CPU needs {PACKAGE}=={CUPY}: {INSTALL}"
    if version != CUPY:
        return f"CuPy on the CPU knows {PACKAGE} {CUPY} from inside, this is {version}: {INSTALL}"
    lacking = [name for name in HEADERS if not nvrtc.installed(f"include/{name}")]
    return f"CuPy on the CPU needs NVIDIA's header {lacking[0]}: {INSTALL}" if lacking else ""


@functools.cache
def includes() -> list[str]:
    """Return where g++ finds headers: ours first, then CuPy's, then NVIDIA's."""
    cupys = site() / "cupy/_core/include"
    bundled = [cupys / "cupy/_cccl" / part for part in ("cub", "thrust", "libcudacxx")]
    nvidias = nvrtc.installed(f"include/{HEADERS[0]}")[0].parent
    return [f"-I{folder}" for folder in (HERE, KERNELS, *bundled, cupys, nvidias)]


@functools.cache
def site() -> Path:
    """Return the folder that CuPy is installed in, without importing it."""
    spec = importlib.util.find_spec("cupy")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parents[1]


# ------------------------------------------------------------------------- what is kept


def cache() -> Path:
    """Return the folder in which all that is built is kept."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    return home / "minigrad" / "cupy-on-cpu"


def kept(path: Path, make: Callable[[Path], object]) -> Path:
    """Return a path, made at its first use: ``make`` gets another, which is moved there."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path.with_suffix(".lock"), "w") as lock:  # one process at a time
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not path.exists():
                fresh = path.with_suffix(f".{os.getpid()}")
                make(fresh)
                fresh.rename(path)
    return path


@functools.cache
def fingerprint(*patterns: str) -> str:
    """Return a hash of sources of ours, and of what they are compiled with, wherever it is."""
    paths = sorted(p for f in (HERE, KERNELS) for pattern in patterns for p in f.glob(pattern))
    paths += [nvrtc.installed(f"include/{header}")[0] for header in HEADERS]
    parts = [gpp(["--version"]).encode(), CUPY.encode(), *map(Path.read_bytes, paths)]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]


# ------------------------------------------------------------------------- the libraries


@functools.cache
def libraries() -> Path:
    """Return the folder of the libraries."""
    return kept(cache() / f"libraries-{fingerprint('*.cpp', '*.h', 'build.py')}", _build)


def _build(to: Path) -> None:
    to.mkdir(exist_ok=True)
    # fortified, longjmp would refuse to leave one stack for another
    flags = ["-std=c++17", "-O3", "-Wall", "-Wextra", "-fPIC", "-U_FORTIFY_SOURCE", *includes()]
    flags += ["-shared", "-L", str(to), "-Wl,--no-as-needed", "-Wl,-rpath,$ORIGIN"]

    def library(name: str, *what: str | Path, text: str = "") -> None:
        named = f"-Wl,-soname,{name}", "-o", str(to / name)
        gpp([*flags, *named, *map(str, what), "-x", "c++", "-"], text)

    library(CUDA, HERE / "runtime.cpp", HERE / "cub.cpp", KERNELS / "cuda_on_cpu.cpp")
    library(CUBLASLT, HERE / "products.cpp", f"-l:{CUDA}")
    (extension,) = site().glob("cupy_backends/cuda/libs/cublas.*.so")
    wanted = [n for n in symbols(extension, "-D", "--undefined-only") if n.startswith("cublas")]
    lacking = sorted({*wanted} - {*symbols(to / CUBLASLT, "-D")})
    stubs = '#include "device.h"\nextern "C" {\n'
    stubs += "".join(f'int {n}() {{ gpu::not_emulated("{n}"); return 15; }}\n' for n in lacking)
    links = (f"-l:{CUBLASLT}", f"-l:{CUDA}", "-Wl,--default-symver")  # CuPy asks for its version
    library(CUBLAS, *links, text=stubs + "}\n")
    header = ["-x", "c++-header", str(HERE / "cupy_source.h")]
    gpp([*UNCHECKED, *includes(), *header, "-o", str(to / "cupy_source.h.gch")])


def symbols(path: str | Path, *options: str) -> dict[str, list[int]]:
    """Return a library's functions, by ``nm``: offset and size of those that it has itself."""
    command = ["nm", "--format=posix", *options, str(path)]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = {}
    for name, kind, *numbers in map(str.split, text.splitlines()):
        if kind in "TtWU":  # code, or what others have
            found[name.partition("@")[0]] = [int(number, 16) for number in numbers]
    return found
