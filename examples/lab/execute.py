"""Doing runs: each at most once, whatever interrupts them, and nothing finished is lost."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

from examples.lab.frame import Run
from examples.lab.storage import RESULTS, stored
from examples.lab.workers import WorkerDiedError, Workers, processes

#: is told of progress: (runs finished, runs in all, the run just finished or None at the start)
Progress = Callable[[int, int, Run | None], None]


def execute(
    runs: Iterable[Run],
    folder: Path = RESULTS,
    workers: Workers | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Return the results of all runs by key; do those that are not stored yet.

    Args:
        runs: what is wanted, begun in this order; equal runs are done once.
        folder: where results are kept.
        workers: who does them, see `examples.lab.workers`; None for a process on each core.
        progress: is told after each run.

    Raises:
        RuntimeError: a run failed. The others that were under way are given up; those that had
            finished are stored.
    """
    wanted = {run.key: run for run in runs}
    found = {key: stored(run, folder) for key, run in wanted.items()}
    results = {key: result for key, result in found.items() if result is not None}
    if progress:
        progress(len(results), len(wanted), None)
    missing = [run for key, run in wanted.items() if key not in results]
    if not missing:
        return results
    with closing((workers or processes())(missing, folder)) as outcomes:
        for run, outcome in outcomes:
            if isinstance(outcome, Exception):
                raise RuntimeError(_failure(run, outcome, len(wanted) - len(results))) from outcome
            results[run.key] = outcome
            if progress:
                progress(len(results), len(wanted), run)
    return results


def _failure(run: Run, error: Exception, left: int) -> str:
    settings = ", ".join(f"{name}={value!r}" for name, value in run.settings.items())
    advice = " (is memory short? --workers gives their number)"
    return (
        f"{run.function}({settings}) failed: {error}"
        f"{advice if isinstance(error, WorkerDiedError) else ''}; {left} runs are not done, and "
        "what had finished is kept"
    )
