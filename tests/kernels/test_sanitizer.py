"""The tests of kernels on a GPU, once more under NVIDIA's ``compute-sanitizer``."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from minigrad.device import cuda_status

HERE = Path(__file__).parent
FILES = [f"tests/kernels/test_{name}.py" for name in ("cross_entropy", "dropout", "gather")]
FILES += [f"tests/kernels/test_{name}.py" for name in ("index", "relu", "sgd", "sums")]
#: What to run it with, and which tests: races are looked for where threads share memory.
TOOLS = {"memcheck": FILES, "racecheck": [FILES[0], FILES[-1]]}


@pytest.mark.gpu
@pytest.mark.hardware
@pytest.mark.parametrize("tool", TOOLS)
def test_the_sanitizer_finds_nothing_in_the_tests_of_kernels(tool: str) -> None:
    if not cuda_status()[0]:
        pytest.skip(f"no GPU: {cuda_status()[1]}")
    if not (sanitizer := shutil.which("compute-sanitizer")):
        pytest.skip("compute-sanitizer is missing: it comes with NVIDIA's CUDA toolkit")
    tests = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-m",
        "gpu",
        "-k",
        "definition and not float64",
        *TOOLS[tool],
    ]
    done = subprocess.run(
        [sanitizer, "--tool", tool, "--error-exitcode", "99", *tests],
        cwd=HERE.parents[1], env={**os.environ, "MINIGRAD_REQUIRE_GPU": "1"},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    output = done.stdout + done.stderr
    if "Device not supported" in output:
        pytest.skip("compute-sanitizer cannot look into this machine's GPU: Device not supported")
    assert done.returncode == 0, output[-5000:]
    assert "ERROR SUMMARY: 0 errors" in output or "RACECHECK SUMMARY: 0 hazards" in output


def test_all_files_of_kernels_are_tested_under_it() -> None:
    kernels = {path.stem for path in (HERE.parents[1] / "minigrad/kernels").glob("*.cu")}
    assert {Path(file).stem.removeprefix("test_") for file in FILES} == kernels
