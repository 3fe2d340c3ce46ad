"""``python -m tests.cupy_on_cpu ...``: pytest on the real CuPy, on the CPU, with these arguments.

Without ``-n`` it takes a process for each core, which is what the compilation of kernels is for.
Afterwards every CUDA source of the run is given to NVIDIA's own compiler, for sm_90 and sm_100.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.cupy_on_cpu import build, real_nvrtc
from tests.cupy_on_cpu.compiler import NOTES


def main(arguments: list[str]) -> int:
    """Run both, and return an exit status that is not 0 if one of them finds fault."""
    if reason := build.missing():
        print(reason, file=sys.stderr)
        return 2
    build.libraries()  # not by several processes that wait for each other
    if not any(a.startswith(("-n", "--numprocesses")) for a in arguments):
        arguments = ["-n", "auto", *arguments]
    command = [sys.executable, "-m", "pytest", "-p", "tests.cupy_on_cpu.plugin", *arguments]
    with tempfile.TemporaryDirectory() as folder:
        notes = Path(folder) / "sources"
        notes.touch()
        environment = {"MINIGRAD_REQUIRE_GPU": "1", **os.environ, NOTES: str(notes)}
        status = subprocess.run(command, env=environment, check=False).returncode
        refused = real_nvrtc.judge(sorted(set(notes.read_text().split())))
    return status or refused


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
