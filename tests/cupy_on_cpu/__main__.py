"""Runs pytest, or any program, on the real CuPy and this CPU.

    python -m tests.cupy_on_cpu -m gpu                        # the arguments are pytest's
    python -m tests.cupy_on_cpu --module benchmarks.gpu ...   # as python -m benchmarks.gpu ...

Without ``-n`` pytest takes a process for each core: they compile kernels for each other. Afterwards
every CUDA source of the run is given to NVIDIA's own compiler, for sm_90 and sm_100.
"""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.cupy_on_cpu import build, install
from tests.cupy_on_cpu.compiler import NOTES
from tests.cupy_on_cpu.judge import judge


def main(arguments: list[str]) -> int:
    """Run both, and return an exit status that is not 0 if one of them finds fault."""
    if reason := build.missing():
        print(reason, file=sys.stderr)
        return 2
    if arguments[:1] == ["--module"]:
        install()
        sys.argv = arguments[1:]
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
        return 0
    build.libraries()  # not by several processes that wait for each other
    if not any(a.startswith(("-n", "--numprocesses")) for a in arguments):
        arguments = ["-n", "auto", *arguments]
    command = [sys.executable, "-m", "pytest", "-p", "tests.cupy_on_cpu.plugin", *arguments]
    with tempfile.TemporaryDirectory() as folder:
        notes = Path(folder) / "sources"
        notes.touch()
        environment = {"MINIGRAD_REQUIRE_GPU": "1", **os.environ, NOTES: str(notes)}
        status = subprocess.run(command, env=environment, check=False).returncode
        refused = judge(sorted(set(notes.read_text().split())))
    return status or refused


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
