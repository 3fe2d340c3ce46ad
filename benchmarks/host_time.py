"""The host's time for a training step on a GPU: the real CuPy, whose launches do nothing.

    python -m benchmarks.host_time                        # needs ".[gpu-test]", and no GPU
    python -m benchmarks.host_time --commit 1c61d71       # in turn with an earlier commit
    python -m benchmarks.host_time --docs                 # put the tables into docs/gpu.md as well

A step of 784-256-256-10 with dropout, batches of 256. CUDA is emulated on the CPU
(tests/cupy_on_cpu); kernels and products return at once, so what is left is what a GPU would have
to wait for: minigrad's Python, CuPy's, and the calls themselves. A driver's own time for a launch,
some microseconds on most machines, is not in it.

Two versions of a package do not fit into one process: as in benchmarks.before, each contestant has
its own, which takes a round when it is told to. `tiny on the CPU` is the same step of 8-4-4-10 in
NumPy, in the same processes: what the engine costs on this core, at this moment.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import timeit
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.__main__ import put
from benchmarks.before import ONE_THREAD, ROOT, trainer
from benchmarks.pairs import OURS, Result, table
from benchmarks.surroundings import machine

PAGE = ROOT / "docs" / "gpu.md"
STEPS = 50  # in a round
TASKS = ("a step on the GPU", "tiny on the CPU")
IDLE = {"CUPY_ON_CPU_IDLE": "1", "CUPY_ON_CPU_DEVICES": "1"}


def main(arguments: list[str] | None = None) -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.host_time")
    parser.add_argument("--commit", action="append", default=[], help="an earlier one to measure")
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    parser.add_argument("--docs", action="store_true", help=f"put the tables into {PAGE.name}")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args(arguments)
    if args.worker:
        return worker()
    times, made_of = run(args.commit, 10 if args.quick else 40)
    report = f"{table(times)}\n\n{table_of_spread(times)}\n\n{table_of_causes(made_of)}"
    print(f"{machine()}\n\n{report}")
    if args.docs:
        command = "python -m benchmarks.host_time"
        command += "".join(f" --commit {commit}" for commit in args.commit)
        put("host time", f"{machine()}; `{command}`\n\n{report}", PAGE)
    return None


def run(commits: list[str], rounds: int) -> tuple[list[Result], dict[str, Any]]:
    """Return the times of a step for each commit, and what this one's is made of."""
    with contestants(commits) as found:
        taken: dict[str, dict[str, list[float]]] = {t: {n: [] for n in found} for t in TASKS}
        for i in range(3 + rounds):
            for name, ask in found.items():
                for task in TASKS:
                    seconds = ask(task)
                    if i >= 3:
                        taken[task][name].append(seconds)
        made_of = found[OURS]("causes")
    return [Result(task, "µs", of) for task, of in taken.items()], made_of


@contextlib.contextmanager
def contestants(commits: list[str]) -> Iterator[dict[str, Callable[[str], Any]]]:
    """Start a process for this minigrad, and one for that of each commit."""
    with contextlib.ExitStack() as running:
        found: dict[str, Callable[[str], Any]] = {}
        for name in (OURS, *commits):
            place = ROOT
            if name != OURS:
                place = Path(running.enter_context(tempfile.TemporaryDirectory()))
                unpack(name, place)
            process = running.enter_context(
                subprocess.Popen(
                    [sys.executable, "-m", "benchmarks.host_time", "--worker"],
                    cwd=place, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                    env={**os.environ, **ONE_THREAD, **IDLE, "PYTHONPATH": str(place)},
                )
            )  # fmt: skip

            def ask(task: str, process: Any = process) -> Any:
                process.stdin.write(f"{task}\n")
                process.stdin.flush()
                return json.loads(process.stdout.readline())

            found[name] = ask
        yield found
        # leaving the stack closes the pipes, and the workers end


def unpack(commit: str, to: Path) -> None:
    """Put a commit's minigrad into a folder, beside links to what measures it."""
    files = subprocess.run(
        ["git", "archive", commit, "minigrad"], cwd=ROOT, check=True, capture_output=True
    )
    subprocess.run(["tar", "-x", "-C", to], input=files.stdout, check=True)
    for folder in ("benchmarks", "tests"):
        (to / folder).symlink_to(ROOT / folder)


# ------------------------------------------------------------------------- in a process of its own


def worker() -> None:
    """Run each task that is named on standard input, and print its result as JSON."""
    from tests.cupy_on_cpu import install

    library = install()
    import minigrad

    tasks = {
        TASKS[0]: trainer(OnGpu(minigrad), (784, 256, 256, 10), 256, 1),
        TASKS[1]: trainer(minigrad, (8, 4, 4, 10), 4, 1),
    }
    for line in sys.stdin:
        name = line.strip()
        print(json.dumps(timed(tasks[name]) if name in tasks else causes(library)), flush=True)


def timed(step: Callable[[], object]) -> float:
    """Return the seconds that a step takes: the median, since others use the machine as well."""
    gc.collect()
    spent = []
    for _ in range(STEPS):
        start = time.perf_counter()
        step()
        spent.append(time.perf_counter() - start)
    return statistics.median(spent)


class OnGpu:
    """minigrad, whose tensors and modules are on the GPU."""

    def __init__(self, minigrad: Any) -> None:
        self._minigrad, self.nn = minigrad, self
        self.optim = minigrad.optim

    def __getattr__(self, name: str) -> Any:
        return getattr(self._minigrad.nn, name)

    def Sequential(self, *layers: Any) -> Any:  # noqa: N802  (as it is called in nn)
        """Return the layers in a row, on the GPU."""
        return self._minigrad.nn.Sequential(*layers).cuda()

    def from_numpy(self, array: Any) -> Any:
        """Return a tensor on the GPU."""
        return self._minigrad.from_numpy(array).cuda()


def causes(library: Any) -> dict[str, Any]:
    """Return the parts of a step in µs; and of what is done often, how often and at what cost."""
    import cupy

    import minigrad
    from minigrad import kernels
    from minigrad.fused import launch

    m = OnGpu(minigrad)
    net = m.Sequential(
        *(m.Linear(784, 256), m.ReLU(), m.Dropout(0.2), m.Linear(256, 256), m.ReLU()),
        *(m.Dropout(0.5), m.Linear(256, 10)),
    )
    optimizer = m.optim.SGD(net.parameters(), lr=0.01)
    x, y = minigrad.zeros(256, 784).cuda(), minigrad.zeros(256, dtype=minigrad.int64).cuda()
    cross_entropy = minigrad.nn.CrossEntropyLoss()
    state: dict[str, Any] = {}
    parts: dict[str, Callable[[], object]] = {
        "zero_grad": optimizer.zero_grad,
        "forward": lambda: state.update(logits=net(x)),
        "loss": lambda: state.update(loss=cross_entropy(state["logits"], y)),
        "backward": lambda: state["loss"].backward(),
        "update": optimizer.step,
    }
    spent: dict[str, list[float]] = {name: [] for name in parts}
    for _ in range(1000):
        for name, part in parts.items():
            start = time.perf_counter()
            part()
            spent[name].append(time.perf_counter() - start)
    taken = {name: statistics.median(values) * 1e6 for name, values in spent.items()}

    before = library.launch_count()[0]
    with Allocations() as allocations:
        for part in parts.values():
            part()
    a = cupy.zeros((256, 256), "f")
    allocation = cost(lambda: type(a)(a.shape, a.dtype))
    plan = kernels.relu._plan("relu_forward", *[kernels.launch.layout(a)] * 2)
    return {
        "parts": taken,
        "calls": {
            "launches": (library.launch_count()[0] - before, cost(lambda: launch(plan, (a, a)))),
            "allocations": (allocations.count, allocation),
            "products, but for their results' memory": (8, cost(lambda: product(a)) - allocation),
        },
    }


def product(a: Any) -> Any:
    """Return a matrix product as an op takes it."""
    from minigrad.ops import linalg

    return linalg._product(a, a)


def cost(function: Callable[[], object], n: int = 20) -> float:
    """Return what a call costs in µs: the median of short runs, since others use the machine."""
    return statistics.median(timeit.repeat(function, number=n, repeat=500)) / n * 1e6


class Allocations:
    """A count of what is taken from CuPy's pool of memory in a ``with`` block."""

    count = 0

    def __enter__(self) -> Allocations:
        import cupy

        counts, pool = self, cupy.get_default_memory_pool()

        def counted(size: int) -> Any:
            counts.count += 1
            return pool.malloc(size)

        self._using = cupy.cuda.using_allocator(counted)
        self._using.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        self._using.__exit__(*exception)


# ------------------------------------------------------------------------- tables


def table_of_spread(times: list[Result]) -> str:
    """Return medians with quartiles as a Markdown table."""
    lines = ["| | median | quartiles |", "|---|---|---|"]
    for result in times:
        for name, values in result.rounds.items():
            low, middle, high = (v * 1e6 for v in statistics.quantiles(values, n=4))
            lines.append(f"| {result.task}, {name} | {middle:.0f} µs | {low:.0f}–{high:.0f} µs |")
    return "\n".join(lines)


def table_of_causes(made_of: dict[str, Any]) -> str:
    """Return what a step is made of as a Markdown table."""
    lines = ["| part of a step | µs |", "|---|---|"]
    lines += [f"| {name} | {µs:.0f} |" for name, µs in made_of["parts"].items()]
    lines += ["", "| done in it | times | µs each | µs |", "|---|---|---|---|"]
    for name, (n, each) in made_of["calls"].items():
        lines.append(f"| {name} | {n} | {each:.2f} | {n * each:.0f} |")
    rest = sum(made_of["parts"].values()) - sum(n * each for n, each in made_of["calls"].values())
    lines.append(f"| the rest: ops, modules, the graph and the walk back | | | {rest:.0f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
