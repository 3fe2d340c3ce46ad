"""The emulation itself: what is not as it should be fails and says its name; each in a process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cupy_on_cpu import build

ROOT = Path(__file__).parents[2]
needs_cupy = pytest.mark.skipif(bool(build.missing()), reason=build.missing())


def run(code: str, **environment: str) -> str:
    """Return what a program prints that has the real CuPy as ``cupy``."""
    preamble = "from tests.cupy_on_cpu import install\nlibrary = install()\nimport cupy, ctypes\n"
    preamble += "import numpy as np\nimport minigrad\n"
    preamble += "def show(call):\n    try: print(call())\n"
    preamble += "    except Exception as error: print(type(error).__name__, error)\n"
    done = subprocess.run(
        [sys.executable, "-c", preamble + code], cwd=ROOT, env={**os.environ, **environment},
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@needs_cupy
def test_it_is_the_real_cupy_that_computes() -> None:
    out = run(
        "x = cupy.arange(12, dtype='f').reshape(3, 4)\n"
        "print(cupy.__version__, cupy.cuda.runtime.getDeviceCount(), type(x).__module__)\n"
        "for f in (lambda a: a.sum(0), lambda a: a @ a.T, lambda a: a.argmax(1),\n"
        "          lambda a: a.var(), lambda a: a[a > 3], lambda a: a.cumsum(1),\n"
        "          lambda a: (-a).argsort(0)):\n"
        "    np.testing.assert_allclose(f(x).get(), f(x.get()), rtol=1e-6)\n"
        "print(library.launch_count()[0] > 10)\n"
    )
    assert out.splitlines() == [f"{build.CUPY} 2 cupy", "True"]


@needs_cupy
def test_memory_is_its_devices_and_starts_as_nan() -> None:
    out = run(
        "print(np.isnan(cupy.empty(3, 'f').get()).all())\n"
        "with cupy.cuda.Device(1): there = cupy.ones(3)\n"
        "show(lambda: there + 1)\n"
        "show(lambda: there.sum())\n"
        "show(lambda: there @ there)\n"
        "show(lambda: cupy.cuda.runtime.memcpy(there.data.ptr, 0, 8, 3))\n"
        "show(lambda: cupy.cuda.Device(2).use())\n"
    ).splitlines()
    assert out[0] == "True"
    assert "Peer access is unavailable" in out[1]
    assert "memory of device 1, to which device 0 has no access" in out[2]
    assert "Peer access is unavailable" in out[3]
    assert "cudaErrorInvalidValue: copy of kind 3: " in out[4]
    assert "there is no device 2" in out[5]


@needs_cupy
def test_what_is_not_emulated_says_its_name() -> None:
    out = run(
        "show(lambda: cupy.cuda.runtime.deviceGetLimit(0))\n"
        "show(lambda: cupy.lexsort(cupy.ones((2, 3))))\n"
        "from cupy_backends.cuda.libs import cublas\n"
        "x = cupy.ones(3, 'f').data.ptr\n"
        "handle = cupy.cuda.device.get_cublas_handle()\n"
        "show(lambda: cublas.sasum(handle, 3, x, 1, x))\n"
        "print(cupy.ones(1))\n"
    ).splitlines()
    assert "cudaDeviceGetLimit is not emulated by tests/cupy_on_cpu" in out[0]
    assert "thrust_lexsort" in out[1]
    assert "is not emulated" in out[1]
    assert out[2:] == ["CUBLASError CUBLAS_STATUS_NOT_SUPPORTED", "[1.]"]


@needs_cupy
def test_a_kernel_that_does_not_compile_shows_the_compilers_words() -> None:
    source = '"extern \\"C\\" __global__ void k(float* x) {\\n*x = not_there; }"'
    out = run(f"show(lambda: cupy.RawKernel({source}, 'k')((1,), (1,), (cupy.ones(1, 'f'),)))")
    assert out.startswith("CompileException")


@needs_cupy
def test_a_launch_of_minigrads_with_wrong_arguments_is_refused_by_name() -> None:
    out = run(
        "from minigrad.fused import launch\n"
        "from minigrad.kernels import Plan, relu\n"
        "x = cupy.ones(70, 'f')\n"
        "def go(*arguments, grid=(1,)):\n"
        "    plan = Plan(relu.SOURCE, 'relu_forward<float>', grid, (256,))\n"
        "    show(lambda: launch(plan, arguments))\n"
        "go(x, x, 70)\n"
        "go(x, x, np.int32(70))\n"
        "go(x, np.ones(70, 'f'), np.int64(70))\n"
        "go(x, cupy.ones(70), np.int64(70))\n"
        "go(x, x)\n"
        "go(x, x, np.int64(70), grid=(1, 70000))\n"
        "with cupy.cuda.using_allocator(None): y = cupy.ones(69, 'f')\n"
        "go(x, y, np.int64(70))\n"
        "with cupy.cuda.using_allocator(None): z = cupy.empty(70, 'f')\n"
        "go(z, x, np.int64(70))\n"
    ).splitlines()
    name = "relu_forward<float>"
    assert f"argument 2 of {name}, long long int: needs np.int64, got int" in out[0]
    assert "needs np.int64, got int32" in out[1]
    assert (
        "argument 1 of relu_forward<float>, float*: got ndarray, no array of the device" in out[2]
    )
    assert "got an array of float64" in out[3]
    assert f"{name} takes 3 arguments, got 2" in out[4]
    assert "no GPU launches (1, 70000, 1) blocks" in out[5]
    assert "writes 4 bytes at byte 276 of argument 1, which has 276" in out[6]
    assert "reads what nobody has written" in out[7]


@needs_cupy
def test_what_is_on_a_stream_happens_when_it_is_waited_for() -> None:
    out = run(
        "x = cupy.zeros(3)\n"
        "other, blocking = cupy.cuda.Stream(non_blocking=True), cupy.cuda.Stream()\n"
        "with other: x += 1\n"
        "print(x.get().tolist())\n"
        "event = other.record(); other.synchronize()\n"
        "print(x.get().tolist(), event.done)\n"
        "with blocking: x += 1\n"
        "print(x.get().tolist())\n"
        "with other: x += 1; event = other.record(); print(event.done, event.done)\n"
        "print(x.get().tolist())\n"
    ).splitlines()
    assert out == [
        "[0.0, 0.0, 0.0]",
        "[1.0, 1.0, 1.0] True",
        "[2.0, 2.0, 2.0]",
        "False True",
        "[3.0, 3.0, 3.0]",
    ]


@needs_cupy
def test_kernels_are_kept_between_runs(tmp_path: Path) -> None:
    code = "import pathlib, os\nprint((cupy.arange(3) * 77).tolist())\n"
    code += "from tests.cupy_on_cpu import build\n"
    code += (
        "print(sorted(p.stat().st_mtime_ns for p in (build.cache() / 'kernels').glob('*.so')))\n"
    )
    first, again = (run(code, XDG_CACHE_HOME=str(tmp_path)) for _ in range(2))
    assert first == again
    assert first.startswith("[0, 77, 154]\n[")


def test_what_is_missing_is_said_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build.platform, "machine", lambda: "aarch64")
    assert (
        build.missing()
        == f"CuPy on the CPU needs Linux on x86-64, this is {sys.platform} on aarch64"
    )
    monkeypatch.setattr(build.platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(build.sys, "platform", "linux")
    monkeypatch.setattr(build.shutil, "which", lambda _: None)
    assert build.missing() == "CuPy on the CPU needs g++ (apt install g++)"
    monkeypatch.setattr(build.shutil, "which", lambda _: "g++")
    monkeypatch.setattr(build.importlib.metadata, "version", lambda _: "14.3.0")
    assert "knows cupy-cuda13x 14.2.0 from inside, this is 14.3.0: pip install" in build.missing()
    monkeypatch.setattr(build.importlib.metadata, "version", lambda _: build.CUPY)
    monkeypatch.setattr(build.nvrtc, "installed", lambda _: [])
    assert "needs NVIDIA's header cuda_runtime_api.h: pip install" in build.missing()


def test_the_version_that_the_extra_installs_is_the_one_that_is_known() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    assert f'"{build.PACKAGE}=={build.CUPY}"' in text


@needs_cupy
def test_symbols_are_those_that_the_interpreter_itself_has() -> None:
    import _ctypes

    found = build.symbols(_ctypes.__file__, "-D")
    assert found["PyInit__ctypes"][0] > 0
    assert not found["PyErr_Occurred"]
