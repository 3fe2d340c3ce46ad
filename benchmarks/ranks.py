"""Two ranks with a thread each against one with two: what sharing a batch costs, and where it pays.

    python -m benchmarks.ranks                 # widths 256 to 2048, batches 256 to 4096
    python -m benchmarks.ranks --quick         # a look, in two minutes
    python -m benchmarks.ranks --docs          # put the tables into docs/distributed.md as well

A step is forward, backward, the average of gradients and SGD's update, for an MLP of 784 inputs and
two hidden layers with dropout. Jobs run in turn, round by round, each in processes of its own. Of
the steps of a job the quickest counts: whatever else the machine does makes them slower only.

Beyond the cores at hand the time of a step is computed: that of the rows of a rank, from steps of
one thread, and that of an all-reduce of n bytes on R ranks, 2 log₂R α + 2 (R - 1)/R β n
(Rabenseifner, 2004), with α and β from all-reduces of several sizes here.
"""

from __future__ import annotations

import argparse
import functools
import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

import minigrad
from benchmarks.__main__ import put
from benchmarks.surroundings import machine
from minigrad import distributed, nn, optim
from minigrad.distributed import DataParallel, world

PAGE = Path(__file__).resolve().parent.parent / "docs" / "distributed.md"
FULL = ((256, 512, 1024, 2048), (256, 1024, 4096))
QUICK = ((256, 1024), (256, 1024))
#: each job: ranks, and threads of each
JOBS = {"2 ranks × 1 thread": (2, 1), "1 rank × 2 threads": (1, 2), "1 rank × 1 thread": (1, 1)}
TWO, ONE, BASE = JOBS
SIZES = (2**10, 2**14, 2**18, 2**20, 2**22, 2**24)  # bytes of the all-reduces that are timed
ENOUGH = 0.4  # seconds that a size is timed for, at least
Times = dict[str, Any]


# ------------------------------------------------------------------------- in the ranks


def work(widths: list[int], batches: list[int]) -> None:
    """Time steps of all sizes, and all-reduces; rank 0 prints them as JSON."""
    distributed.init()
    waited = [0.0]
    wait = world.World.wait

    def timed_wait(self: Any, *args: Any) -> None:
        start = time.perf_counter()
        wait(self, *args)
        waited[0] += time.perf_counter() - start

    world.World.wait = timed_wait  # type: ignore[method-assign, assignment]
    found: Times = {"steps": {}, "reduces": {}}
    for width in widths:
        for batch in batches:
            step = stepping(width, batch // distributed.world_size())
            step()
            found["steps"][f"{width} {batch}"] = timed(step, waited)
    if distributed.world_size() > 1:
        for size in SIZES:
            t = minigrad.ones(size // 4)
            reduce = functools.partial(distributed.all_reduce, t, "mean")
            found["reduces"][size] = timed(reduce)[0]
        found["overlap"] = overlap()
        t = minigrad.ones(2**20)
        ordered = timed(functools.partial(distributed.all_reduce, t, "mean", ordered=True))[0]
        found["ordered"] = ordered / found["reduces"][2**22]
    if distributed.rank() == 0:
        print(json.dumps(found))


def timed(do: Callable[[], object], waited: list[float] | None = None) -> tuple[float, float]:
    """Return the seconds of the quickest call, and those of them that were waited."""
    waited = [0.0] if waited is None else waited
    start = time.perf_counter()
    do()
    calls = max(3, min(200, int(ENOUGH / (time.perf_counter() - start + 1e-9))))
    calls = int(world.gathered([calls], "benchmark").max())
    taken = []
    for _ in range(calls):
        start, before = time.perf_counter(), waited[0]
        do()
        taken.append((time.perf_counter() - start, waited[0] - before))
    return min(taken)


def stepping(width: int, rows: int) -> Callable[[], None]:
    """Return a training step of so many rows on this rank."""
    net = DataParallel(
        nn.Sequential(
            nn.Linear(784, width), nn.ReLU(), nn.Dropout(0.2),
            nn.Linear(width, width), nn.ReLU(), nn.Dropout(0.5), nn.Linear(width, 10),
        )
    )  # fmt: skip
    optimizer, loss = optim.SGD(net.parameters(), lr=0.01), nn.CrossEntropyLoss()
    x, y = minigrad.rand(rows, 784), minigrad.randint(10, (rows,))

    def step() -> None:
        optimizer.zero_grad()
        loss(net(x), y).backward()
        optimizer.step()

    return step


def overlap() -> float:
    """Return which share of an all-reduce is hidden behind products that run meanwhile."""
    job = world.joined()
    assert job is not None
    flat, a = np.ones(2**20, np.float32), np.ones((768, 768), np.float32)

    def products() -> None:
        for _ in range(8):
            a @ a

    def seconds(beside: bool, computing: bool = True) -> float:
        distributed.barrier()
        start = time.perf_counter()
        if computing and not beside:
            products()
        request = job.comm.Iallreduce(job.mpi.IN_PLACE, flat)
        if computing and beside:
            products()
        job.wait(request, "benchmark")
        return time.perf_counter() - start

    rounds = [(seconds(False), seconds(True), seconds(False, False)) for _ in range(20)]
    apart, beside, alone = map(min, zip(*rounds, strict=True))
    return (apart - beside) / alone


# ------------------------------------------------------------------------- around them


def run_job(name: str, widths: list[int], batches: list[int]) -> Times:
    """Run a job; return what its rank 0 has measured."""
    ranks, threads = JOBS[name]
    mpiexec = shutil.which("mpiexec", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if mpiexec is None:
        sys.exit('error: no mpiexec: pip install "minigrad[mpi]"')
    sizes = [",".join(map(str, values)) for values in (widths, batches)]
    command = [
        mpiexec,
        "-n",
        str(ranks),
        sys.executable,
        "-m",
        "benchmarks.ranks",
        "--work",
        *sizes,
    ]
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": str(threads)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"error: {name}:\n{done.stdout}{done.stderr}")
    return json.loads(done.stdout)


def steps_table(rounds: list[dict[str, Times]]) -> str:
    """Return what a step takes, how that compares, and what the ranks wait for each other."""
    jobs = "1 rank, 1 thread | 1 rank, 2 threads | 2 ranks, 1 thread each"
    lines = [f"| width | batch | {jobs} | ratio of the last two | of it waiting |"]
    lines.append("|---:|---:|---:|---:|---:|---:|---:|")
    for size in rounds[0][TWO]["steps"]:
        two, one, base = ([r[name]["steps"][size] for r in rounds] for name in JOBS)
        ratios = [a[0] / b[0] for a, b in zip(two, one, strict=True)]
        middle = statistics.median(ratios)
        waiting = statistics.median(w / s for s, w in two)
        times = [f"{1e3 * statistics.median(s for s, _ in t):.3g} ms" for t in (base, one, two)]
        spread = f"**{middle:.2f}** ({min(ratios):.2f}–{max(ratios):.2f})"
        cells = [*size.split(), *times, spread, f"{100 * waiting:.0f} %"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def constants(rounds: list[dict[str, Times]]) -> tuple[float, float]:
    """Return α, seconds for a message, and β, seconds for a byte: least squares of relative errors.

    On two ranks an all-reduce takes 2 α + β n.
    """
    sizes = np.array(SIZES, float)
    taken = np.array([
        statistics.median(r[TWO]["reduces"][str(size)] for r in rounds) for size in SIZES
    ])  # fmt: skip
    columns = np.stack([2 / taken, sizes / taken], axis=1)
    (alpha, beta), *_ = np.linalg.lstsq(columns, np.ones(len(sizes)), rcond=None)
    return max(float(alpha), 0.0), float(beta)


def model_table(rounds: list[dict[str, Times]], alpha: float, beta: float) -> str:
    """Return how many times as fast R ranks of one thread are as one, by the model."""
    counts = (2, 4, 8, 16, 32, 64)
    steps = {
        tuple(map(int, size.split())): statistics.median(r[BASE]["steps"][size][0] for r in rounds)
        for size in rounds[0][BASE]["steps"]
    }
    lines = [f"| width | batch | {' | '.join(map(str, counts))} | pays up to |"]
    lines.append("|---:|---:|" + "---:|" * (len(counts) + 1))
    for width, batch in steps:
        of_width = {b: t for (w, b), t in steps.items() if w == width}
        each, fixed = np.polyfit(list(of_width), list(of_width.values()), 1)
        fixed = max(fixed, 0.0)
        n = 4 * (784 * width + width * width + 10 * width + 2 * width + 10)

        def taken(
            ranks: int, batch: int = batch, each: float = each, f: float = fixed, n: int = n
        ) -> float:
            travel = 2 * math.log2(ranks) * alpha + 2 * (ranks - 1) / ranks * beta * n
            return float(f + each * batch / ranks + travel)

        gains = [taken(1) / taken(r) for r in counts]
        best = max(r for r in (2**k for k in range(11)) if taken(1) / taken(r) >= r / 2)
        cells = [str(width), str(batch), *(f"{g:.1f}" for g in gains), f"{best} ranks"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def report(rounds: list[dict[str, Times]], command: str) -> str:
    """Return the tables, with how and when they were made."""
    alpha, beta = constants(rounds)
    hidden = statistics.median(r[TWO]["overlap"] for r in rounds)
    told = f"{100 * hidden:.0f} % is hidden"
    if not 0 <= hidden <= 1:
        told = "it could not be measured how much is hidden, so much else was going on"
    ordered = statistics.median(r[TWO]["ordered"] for r in rounds)
    load = os.getloadavg()[1]
    return f"""{machine()}; `{command}`, {datetime.now(UTC):%Y-%m-%d}, {len(rounds)} rounds. On
average {load:.0f} processes wanted the machine's {os.cpu_count()} cores, these ranks among them.

{steps_table(rounds)}

Below 1 two ranks are ahead. Waiting is all that ranks do not compute: messages, and each other.

Measured: α = {1e6 * alpha:.0f} µs, β = {1e9 * beta:.2f} ns a byte. An all-reduce of 4 MB takes
{ordered:.1f} times as long with `ordered=True`; of one that runs beside products, {told}.

With these constants, how many times as fast as one rank of one thread; it is said to pay as long as
ranks compute at least half of the time:

{model_table(rounds, alpha, beta)}"""


def main(arguments: list[str] | None = None) -> None:
    """Run the jobs in turn and print the tables."""
    words = {"formatter_class": argparse.RawDescriptionHelpFormatter, "description": __doc__}
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ranks", **words)  # type: ignore[arg-type]
    parser.add_argument("--quick", action="store_true", help="fewer sizes and rounds")
    parser.add_argument("--docs", action="store_true", help=f"put the tables into {PAGE.name}")
    parser.add_argument("--work", nargs=2, metavar=("WIDTHS", "BATCHES"), help=argparse.SUPPRESS)
    args = parser.parse_args(arguments)
    if args.work:
        widths, batches = ([int(v) for v in values.split(",")] for values in args.work)
        work(widths, batches)
        return
    widths, batches = map(list, QUICK if args.quick else FULL)
    rounds = [
        {name: run_job(name, widths, batches) for name in JOBS}
        for _ in range(3 if args.quick else 7)
    ]
    text = report(rounds, f"python -m benchmarks.ranks{' --quick' * args.quick}")
    print(text)
    if args.docs:
        put("ranks", text, PAGE)


if __name__ == "__main__":
    main()
