"""Everything worth knowing from a GPU in one command of less than nine minutes, the best first.

    python -m benchmarks.gpu_check OUT                # logs and figures go to the folder OUT
    python -m benchmarks.gpu_check OUT --rehearse     # parts 1 and 2, on the real CuPy on this CPU

What takes too long is stopped, and the next part begins: whenever the time is up, what there is by
then is in OUT, and ``summary.log`` has a line for each part.

1. `look`: does anything work, and what only a GPU can tell: its masks, its casts, its denormals;
2. the GPU's half of the tests, in parallel: nearly all of it compiles kernels, once;
3. the figures, with the GPU to itself, and the page that shows them;
4. compute-sanitizer over the tests of kernels; and the benchmark's own tests.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import minigrad
from minigrad.nn import functional

ROOT = Path(__file__).resolve().parent.parent
EMULATED = ("tests.cupy_on_cpu", "--module")  # what the name of a module follows
TELLING = re.compile(r"passed|failed|error|reached|SUMMARY|^ok|^FAIL", re.MULTILINE)


class Check:
    """A run of all parts.

    Args:
        out: the folder for logs and figures.
        seconds: how long all may take.
        rehearse: whether there is no GPU, and the CPU stands for one.
    """

    def __init__(self, out: Path, seconds: float, rehearse: bool) -> None:
        self.out, self.end, self.rehearse = out, time.monotonic() + seconds, rehearse
        self.begin = time.monotonic()
        out.mkdir(parents=True, exist_ok=True)
        self.environment = {**os.environ, "PYTHONUNBUFFERED": "1", "MINIGRAD_OFFLINE": "1"}
        self.environment |= {"MINIGRAD_REQUIRE_GPU": "1", "OPENBLAS_NUM_THREADS": "4"}
        if rehearse:
            self.environment["MINIGRAD_REHEARSAL"] = "1"
        cuda = "/usr/local/cuda/bin:/usr/local/cuda/compute-sanitizer"
        self.environment["PATH"] = f"{os.environ.get('PATH', '')}:{cuda}"

    def say(self, text: str) -> None:
        """Print a line, and keep it."""
        line = f"[{time.monotonic() - self.begin:.0f} s] {text}"
        print(line, flush=True)
        with open(self.out / "summary.log", "a") as file:
            file.write(line + "\n")

    def part(self, name: str, most: float, module: str, *arguments: str) -> bool:
        """Run a module for at most so many seconds, and return whether it ended well."""
        left = min(most, self.end - time.monotonic())
        if left < 8:
            self.say(f"{name}: no time left")
            return False
        command = [sys.executable, "-m", *(EMULATED if self.rehearse else ()), module, *arguments]
        if self.rehearse and module == "pytest":
            command += ["-p", "tests.cupy_on_cpu.plugin"]
        log = self.out / f"{name}.log"
        with open(log, "w") as file:
            try:
                done = subprocess.run(
                    command, cwd=ROOT, env=self.environment, timeout=left, check=False,
                    stdout=file, stderr=subprocess.STDOUT,
                )  # fmt: skip
                status = f"exit {done.returncode}"
            except subprocess.TimeoutExpired:
                status = f"stopped after {left:.0f} s"
        lines = [x for x in log.read_text(errors="replace").splitlines() if TELLING.search(x)]
        self.say(f"{name}: {status}; " + "; ".join(line[:300] for line in lines[-6:]))
        return status == "exit 0"

    def run(self, jobs: int) -> None:
        """Run all parts, in the order of their value."""
        self.say(versions())
        self.part("look", 60, "benchmarks.gpu_check", str(self.out), "--look")
        tests = ["-m", "gpu", "-q", "--tb=short", "-p", "no:cacheprovider", "--durations=15"]
        several = importlib.util.find_spec("xdist") and not self.rehearse
        parallel = ["-n", str(jobs)] if several else []
        hardware = ["tests/kernels/test_sanitizer.py", "tests/gpu/test_benchmark.py"]
        without = [f"--deselect={file}" for file in hardware]
        self.part("tests", 240, "pytest", *tests, *parallel, "tests/gpu", "tests/kernels", *without)
        figures = ("--json", str(self.out / "bench.json"))
        if self.rehearse:  # the rest measures, or looks into the GPU
            self.say("done")
            return
        if self.part("bench", 230, "benchmarks.gpu", "--docs", *figures):
            shutil.copy(ROOT / "docs" / "gpu.md", self.out)
        else:
            self.part("quick", 120, "benchmarks.gpu", "--quick", *figures)
        self.part("sanitizer", 230, "pytest", *tests, hardware[0])
        self.part("rest", 60, "pytest", *tests, hardware[1])
        self.say("done")


def versions() -> str:
    """Return what takes part, in a line."""
    found = [f"Python {platform.python_version()}, NumPy {np.__version__}"]
    for command in (
        ["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"],
        ["git", "log", "-1", "--format=%h"],
    ):
        if shutil.which(command[0]):
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
            found.append(done.stdout.strip() or done.stderr.strip()[:100])
    return "; ".join(found)


# ------------------------------------------------------------------------- the look


def look() -> None:
    """Print an answer to each question, or what it fails with."""
    for name, question in QUESTIONS.items():
        try:
            print("ok", name, question(), flush=True)
        except BaseException as error:  # the next question may have an answer
            print("FAIL", name, type(error).__name__, str(error)[:300], flush=True)


def there(values: Any) -> Any:
    """Return a tensor of the GPU."""
    return minigrad.tensor(values, device="cuda")


def logits() -> Any:
    """Return three rows of two."""
    return there(np.arange(6, dtype=np.float32).reshape(3, 2))


def step() -> str:
    """Return how long a step of the chapter's network keeps the host busy, and the GPU."""
    from benchmarks.networks import training_step

    run = training_step(minigrad, 256, 256, device="cuda")
    for _ in range(20):
        run()
    minigrad.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(STEPS):
        run()
    queued = time.perf_counter() - start
    minigrad.cuda.synchronize()
    done = time.perf_counter() - start
    return f"{queued / STEPS * 1e6:.0f} µs queued, {done / STEPS * 1e6:.0f} µs done"


def masks() -> bool:
    """Return whether a mask is that of the host, bit for bit."""
    gpu = minigrad.device("cuda")
    drawn = minigrad.Generator(3).keep_mask((1001,), 0.3, gpu)
    return bool((minigrad.Generator(3).keep_mask((1001,), 0.3) == drawn.get()).all())


def large_mask() -> float:
    """Return what a mask of more than 2³¹ bytes keeps, of a half."""
    size = (2**20 if REHEARSAL else 2**31) + 5
    return int(minigrad.Generator(1).keep_mask((size,), 0.5, minigrad.device("cuda")).sum()) / size


def casts() -> list[Any]:
    """Return what becomes of floats that the integers have no place for."""
    values = there([float("nan"), float("inf"), 3e9, -1.5])
    return [values.to(np.dtype(dtype)).tolist() for dtype in ("int32", "int64", "uint8")]


def refused(use: Callable[[], Any]) -> str:
    """Return the words of the IndexError that is to come.

    Raises:
        AssertionError: none has come.
    """
    try:
        use()
    except IndexError as error:
        return str(error)
    raise AssertionError("no IndexError")


REHEARSAL = "MINIGRAD_REHEARSAL" in os.environ
STEPS = 3 if REHEARSAL else 300
QUESTIONS: dict[str, Callable[[], Any]] = {
    "status:": lambda: minigrad.cuda.status(),
    "a step of 784-256-256-10 by 256:": step,
    "masks are the host's:": masks,
    "a wrong label:": lambda: refused(
        lambda: functional.cross_entropy(logits(), there([0, 1, 9])).item()
    ),
    "and afterwards:": lambda: functional.cross_entropy(logits(), there([0, 1, 1])).item(),
    "a wrong index:": lambda: refused(lambda: logits()[there([0, 9])].tolist()),
    "a denormal times 1 (1e-40 on the host):": lambda: (there([1e-40]) * 1).tolist(),
    "casts of nan, inf, 3e9, -1.5:": casts,
    "of a mask of more than 2**31 bytes is kept:": large_mask,
}


def main(arguments: list[str] | None = None) -> None:
    """Check, within the time that the command line gives."""
    words = {"formatter_class": argparse.RawDescriptionHelpFormatter, "description": __doc__}
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu_check", **words)  # type: ignore[arg-type]
    parser.add_argument("out", type=Path, help="the folder for logs and figures")
    parser.add_argument("--seconds", type=float, default=530, help="how long all may take")
    parser.add_argument("--jobs", type=int, default=8, help="processes for the tests")
    parser.add_argument("--rehearse", action="store_true", help="with CUDA emulated on the CPU")
    parser.add_argument("--look", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args(arguments)
    if args.look:
        look()
    else:
        Check(args.out.resolve(), args.seconds, args.rehearse).run(args.jobs)


if __name__ == "__main__":
    main()
