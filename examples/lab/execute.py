"""Doing runs: each at most once, in several processes or on a cluster, and safe to interrupt.

A finished run is a small JSON file named by the run's key, written whole or not at all. Whatever
was finished before an interruption is found again. Every run computes on one thread of the BLAS,
wherever it is done, so that workers do not fight for cores and results are equal bit for bit.
"""

from __future__ import annotations

import concurrent.futures
import datetime
import json
import multiprocessing
import os
import platform
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

import minigrad
from examples.lab.frame import Run
from examples.lab.progress import measure
from minigrad.utils.files import replacing

RESULTS = Path("lab-results")
ATTEMPTS = 3  # how often a run is begun again whose worker died

#: is told of progress: (runs finished, runs in all, the run just finished or None at the start)
Progress = Callable[[int, int, Run | None], None]


def path_of(run: Run, folder: Path) -> Path:
    """Return where a run's result is kept."""
    return folder / run.function.split(".")[-1].replace(":", ".") / f"{run.key}.json"


def record(run: Run, folder: Path) -> dict[str, Any]:
    """Return what is kept of a run that was finished, else {}; a damaged file counts as none."""
    try:
        found = json.loads(path_of(run, folder).read_text(encoding="utf-8"))
        return found if "result" in found else {}
    except (FileNotFoundError, json.JSONDecodeError):
        return {}


def stored(run: Run, folder: Path) -> Any | None:
    """Return the result of a run that was finished, else None."""
    return record(run, folder).get("result")


def store(run: Run, result: Any, seconds: float, folder: Path) -> None:
    """Keep the result of a run, with what it came from."""
    versions = {"minigrad": minigrad.__version__, "numpy": np.__version__}
    kept = {
        "function": run.function,
        "settings": dict(run.settings),
        "versions": {**versions, "python": platform.python_version()},
        "date": f"{datetime.date.today():%Y-%m-%d}",
        "seconds": round(seconds, 2),
        "result": result,
    }
    with replacing(path_of(run, folder)) as path:
        path.write_text(json.dumps(kept), encoding="utf-8")


def perform(run: Run) -> tuple[Any, float]:
    """Do a run on one BLAS thread; return its result as JSON gives it back, and the seconds."""
    from threadpoolctl import threadpool_limits

    start = time.perf_counter()
    with threadpool_limits(1):
        result = json.loads(json.dumps(run.perform()))
    return result, time.perf_counter() - start


def execute(
    runs: Iterable[Run],
    folder: Path = RESULTS,
    executor: Callable[[], Any] | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Return the results of all runs by key; do those that are not stored yet.

    Args:
        runs: what is wanted, begun in this order; equal runs are done once.
        folder: where results are kept.
        executor: returns a `concurrent.futures.Executor` in a ``with`` block: see `processes` and
            `dask_cluster`. If its workers die, it is asked for another one.
        progress: is told after each run.

    Raises:
        RuntimeError: workers died again and again.
    """
    wanted = {run.key: run for run in runs}
    found = {key: stored(run, folder) for key, run in wanted.items()}
    results = {key: result for key, result in found.items() if result is not None}
    if progress:
        progress(len(results), len(wanted), None)
    for _ in range(ATTEMPTS):
        missing = [run for key, run in wanted.items() if key not in results]
        if not missing:
            return results
        try:
            with (executor or processes())() as pool:
                waiting = {pool.submit(perform, run): run for run in missing}
                for future in concurrent.futures.as_completed(waiting):
                    run = waiting[future]
                    result, seconds = future.result()
                    store(run, result, seconds, folder)
                    results[run.key] = result
                    if progress:
                        progress(len(results), len(wanted), run)
        except BrokenProcessPool:
            continue  # a worker was killed: what it had not finished is done again
    missing = [run for key, run in wanted.items() if key not in results]
    if missing:
        raise RuntimeError(
            f"workers died {ATTEMPTS} times (is memory short? --workers gives their number); "
            f"{len(missing)} of {len(wanted)} runs are not done, the first is {missing[0]}"
        )
    return results


def speed(executor: Callable[[], Any], workers: int) -> float:
    """Return how many times as long as estimated a training takes, with all workers at it."""
    with executor() as pool:
        return float(np.mean([f.result() for f in [pool.submit(timed) for _ in range(workers)]]))


def timed() -> float:
    """Return what `progress.measure` says on one BLAS thread."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        return measure()


def processes(workers: int | None = None) -> Callable[[], Any]:
    """Return what makes an executor of local processes.

    Args:
        workers: how many; None for one for each core.
    """

    def make() -> Any:
        context = multiprocessing.get_context("spawn")
        count = workers or os.cpu_count()
        return concurrent.futures.ProcessPoolExecutor(count, context, end_with_parent)

    return make


def end_with_parent() -> None:
    """Let this process end when the one that began it was killed, and would never ask again."""
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def dask_cluster(scheduler: str) -> Callable[[], Any]:
    """Return what makes an executor of a Dask cluster; a lost worker's runs go to another.

    Args:
        scheduler: its address, ``"tcp://host:8786"``.

    Raises:
        ImportError: Dask is not installed.
    """
    try:
        from distributed import Client
    except ImportError:
        raise ImportError("--dask needs Dask: pip install 'minigrad[cluster]'") from None

    @contextmanager
    def make() -> Iterator[Any]:
        client_of: Any = Client
        with client_of(scheduler) as client, client.get_executor(pure=False) as executor:
            yield executor

    return make
