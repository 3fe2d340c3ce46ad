"""Against an earlier commit and PyTorch, in turn: what a change of the engine costs or gains.

    python -m benchmarks before                  # against BEFORE; part of `python -m benchmarks`
    python -m benchmarks.before --commit main~5  # against any other

Two versions of a package do not fit into one process. So each contestant has a process of its own,
which waits for the name of a task, runs it and prints the seconds it took; and they take turns.
Each has one thread: threads of one process that wait for work disturb the next.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import itertools
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.pairs import OURS, Result, table
from benchmarks.surroundings import machine, version

ROOT = Path(__file__).resolve().parent.parent
BEFORE = "1197e86"  # the last commit in which calls of ops were text, filled in and compiled
CHAINS: dict[str, tuple[float, Callable[[Any, Any], Any]]] = {
    "multiply": (1.0, lambda y, x: y * x),
    "add": (1.0, lambda y, x: y + x),
    "add a number": (1.0, lambda y, x: y + 1.0),
    "multiply by a number": (1.0, lambda y, x: y * 0.999),
    "relu": (1.0, lambda y, x: y.relu()),
    "exp(-y)": (0.5, lambda y, x: (-y).exp()),
    "matrix product": (0.25, lambda y, x: y @ x),
}
LENGTH = 300
ONE_THREAD = {f"{library}_NUM_THREADS": "1" for library in ("OPENBLAS", "OMP", "MKL")}


def trainer(m: Any, widths: tuple[int, ...], batch: int, steps: int) -> Callable[[], None]:
    """Return some steps of training with dropout, on made-up images."""
    layers: list[Any] = []
    for i, (n, out) in enumerate(itertools.pairwise(widths[:-1])):
        layers += [m.nn.Linear(n, out), m.nn.ReLU(), m.nn.Dropout(0.5 if i else 0.2)]
    net = m.nn.Sequential(*layers, m.nn.Linear(widths[-2], widths[-1]))
    loss, optimizer = m.nn.CrossEntropyLoss(), m.optim.SGD(net.parameters(), lr=0.01)
    rng = np.random.default_rng(0)
    x = m.from_numpy(rng.random((batch, widths[0]), np.float32))
    y = m.from_numpy(rng.integers(0, widths[-1], batch))

    def run() -> None:
        for _ in range(steps):
            optimizer.zero_grad()
            loss(net(x), y).backward()
            optimizer.step()

    return run


def chain(m: Any, value: float, op: Callable[[Any, Any], Any]) -> Callable[[], None]:
    """Return a chain of ops on 4x4 tensors, forward and backward."""
    x = m.full((4, 4), value, requires_grad=True)

    def run() -> None:
        y = x
        for _ in range(LENGTH):
            y = op(y, x)
        y.sum().backward()
        x.grad = None

    return run


#: name -> (what it is per, how many of these it has, how to make it)
TASKS: dict[str, tuple[str, int, Callable[[Any], Callable[[], None]]]] = {
    "step of 784-256-256-10, batch 256": (
        "ms", 20, lambda m: trainer(m, (784, 256, 256, 10), 256, 20)),
    "step of 8-4-4-10, batch 4": ("µs", 200, lambda m: trainer(m, (8, 4, 4, 10), 4, 200)),
    **{
        f"chain: {name}": ("µs", LENGTH, lambda m, v=value, f=op: chain(m, v, f))  # type: ignore[misc]
        for name, (value, op) in CHAINS.items()
    },
}  # fmt: skip


def worker(module: str) -> None:
    """Run each task that is named on standard input, and print its seconds."""
    m = __import__(module)
    made = {name: make(m) for name, (_, _, make) in TASKS.items()}
    for line in sys.stdin:
        run = made[line.strip()]
        gc.collect()
        start = time.perf_counter()
        run()
        print(time.perf_counter() - start, flush=True)


@contextlib.contextmanager
def contestants(commit: str) -> Iterator[dict[str, Callable[[str], float]]]:
    """Start a process for minigrad, the commit's minigrad, and PyTorch if it is installed."""
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as running:
        files = subprocess.run(
            ["git", "archive", commit, "minigrad"], cwd=ROOT, check=True, capture_output=True
        )
        subprocess.run(["tar", "-x", "-C", folder], input=files.stdout, check=True)
        (Path(folder) / "benchmarks").symlink_to(ROOT / "benchmarks")
        places: dict[str, tuple[str, Path]] = {
            OURS: ("minigrad", ROOT),
            commit: ("minigrad", Path(folder)),
        }
        if version("torch"):
            places["PyTorch"] = "torch", ROOT
        found: dict[str, Callable[[str], float]] = {}
        for name, (module, place) in places.items():
            process = running.enter_context(
                subprocess.Popen(
                    [sys.executable, "-m", "benchmarks.before", "--worker", module],
                    cwd=place, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                    env={**os.environ, **ONE_THREAD, "PYTHONPATH": str(place)},
                )
            )  # fmt: skip

            def ask(task: str, process: Any = process) -> float:
                process.stdin.write(f"{task}\n")
                process.stdin.flush()
                return float(process.stdout.readline())

            found[name] = ask
        yield found
        # leaving the stack closes the pipes, and the workers end


def run(quick: bool = False, commit: str = BEFORE) -> list[Result]:
    """Measure each task for each contestant, in turn.

    Args:
        quick: fewer rounds.
        commit: whose engine takes part.
    """
    results: list[Result] = []
    with contestants(commit) as found:
        for task, (unit, parts, _) in TASKS.items():
            rounds: dict[str, list[float]] = {name: [] for name in found}
            for i in range(3 + (7 if quick else 40)):
                for name, ask in found.items():
                    seconds = ask(task)
                    if i >= 3:
                        rounds[name].append(seconds)
            results.append(Result(task, unit, rounds).per(parts, unit))
    return results


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.before")
    parser.add_argument("--commit", default=BEFORE, help="whose engine takes part")
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    parser.add_argument("--worker", choices=("minigrad", "torch"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        worker(args.worker)
    else:
        print(f"{machine()}\n\n{table(run(args.quick, args.commit))}")
