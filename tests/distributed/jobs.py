"""Start a program of `tests.distributed.programs` on several ranks, or alone in this process."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.processes import ROOT, environment

#: the launcher of MPICH's wheel lies beside the interpreter
MPIEXEC = shutil.which(
    "mpiexec", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
)
ONE_THREAD = {f"{name}_NUM_THREADS": "1" for name in ("OPENBLAS", "OMP", "MKL")}


def missing() -> str | None:
    """Return what there has to be before several ranks can be started, and how to get it."""
    if importlib.util.find_spec("mpi4py") is None:
        return 'several ranks need mpi4py: pip install "minigrad[mpi]"'
    return None if MPIEXEC else 'several ranks need mpiexec: pip install "minigrad[mpi]"'


def command(ranks: int, *program: str) -> list[str]:
    """Return the command line that starts ``python *program`` on so many ranks."""
    assert MPIEXEC
    as_root = ["--allow-run-as-root", "--oversubscribe"] if _is_open_mpi() else []
    return [MPIEXEC, *as_root, "-n", str(ranks), sys.executable, *program]


def _is_open_mpi() -> bool:
    told = subprocess.run([str(MPIEXEC), "--version"], capture_output=True, text=True, check=False)
    return "Open MPI" in told.stdout or "OpenRTE" in told.stdout


def start(ranks: int, *program: str, **options: Any) -> subprocess.Popen[str]:
    """Start ``python *program`` on so many ranks; skip the test where that cannot be done."""
    if reason := missing():
        pytest.skip(reason)
    return subprocess.Popen(
        command(ranks, *program), cwd=ROOT, env=environment(**ONE_THREAD),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options,
    )  # fmt: skip


def finish(job: subprocess.Popen[str], timeout: float = 120) -> tuple[int, str]:
    """Wait for a job; return its exit status and what it printed. One that hangs is killed."""
    try:
        said, _ = job.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        job.kill()
        said, _ = job.communicate()
        raise AssertionError(f"the job hung for {timeout:g} s, and said:\n{said}") from None
    return job.returncode, said


def results(ranks: int, name: str, folder: Path, *arguments: str) -> list[dict[str, np.ndarray]]:
    """Run a program that has to succeed; return what each rank has kept."""
    job = start(ranks, "-m", "tests.distributed.programs", name, str(folder), *arguments)
    status, said = finish(job)
    assert status == 0, said
    found = []
    for rank in range(ranks):
        with np.load(folder / f"{rank}.npz") as file:
            found.append(dict(file))
    return found
