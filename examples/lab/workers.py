"""Who does the runs: processes of this machine, a Dask cluster, or this process itself.

Each is a generator, ``(runs, folder) -> (run, result or error) ...``, that yields runs as they
finish, and has stored them before. Closing the generator ends all work at once.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from examples.lab import identity, storage
from examples.lab.frame import Run

ATTEMPTS = 3  # how often a run is begun again whose worker died

Outcome = tuple[Run, Any]  # an outcome is the run's result, or the exception that it raised
Workers = Callable[[Sequence[Run], Path], Generator[Outcome, None, None]]


class WorkerDiedError(RuntimeError):
    """A run's worker died each time that it was begun."""


def perform(run: Run) -> tuple[Any, float]:
    """Do a run on one BLAS thread; return its result as JSON gives it back, and the seconds."""
    from threadpoolctl import threadpool_limits

    start = time.perf_counter()
    with threadpool_limits(identity.BLAS_THREADS):
        result = json.loads(json.dumps(run.perform()))
    return result, time.perf_counter() - start


def finish(run: Run, folder: Path) -> Any:
    """Do a run and store it; return its result."""
    result, seconds = perform(run)
    storage.store(run, storage.written(run, result, seconds), folder)
    return result


def here(runs: Sequence[Run], folder: Path) -> Generator[Outcome, None, None]:
    """Do runs in this process, one after the other."""
    for run in runs:
        try:
            yield run, finish(run, folder)
        except Exception as error:
            yield run, error


def processes(count: int | None = None) -> Workers:
    """Return workers that are processes of this machine.

    Args:
        count: how many; None for one for each core that this process may use.
    """

    def work(runs: Sequence[Run], folder: Path) -> Generator[Outcome, None, None]:
        number = min(count or cores(), len(runs))
        waiting, deaths = list(reversed(runs)), dict.fromkeys(runs, 0)
        busy: dict[Any, tuple[Any, Run]] = {}
        connection: Any
        try:
            while waiting or busy:
                while waiting and len(busy) < number:
                    _start(busy, waiting.pop(), folder)
                for connection in wait(list(busy)):
                    process, run = busy.pop(connection)
                    outcome = _outcome(connection, run)
                    if outcome is None:
                        process.join()
                        deaths[run] += 1
                        if deaths[run] == ATTEMPTS:
                            yield run, WorkerDiedError(f"its worker died {ATTEMPTS} times")
                        else:
                            waiting.append(run)
                        continue
                    if waiting:
                        follower = waiting.pop()
                        if _send(connection, follower):
                            busy[connection] = (process, follower)
                        else:  # it died in between: another one does it
                            waiting.append(follower)
                    else:
                        connection.close()
                        process.join()
                    yield outcome
        finally:
            for process, _ in busy.values():
                process.kill()
            for process, _ in busy.values():
                process.join()

    return work


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _start(busy: dict[Any, tuple[Any, Run]], run: Run, folder: Path) -> None:
    """Begin a run in a new process, which an interrupt of the whole group does not reach."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, folder))
    with _interrupts_later():
        process.start()
        busy[ours] = (process, run)
    theirs.close()
    _send(ours, run)


def _send(connection: Connection, run: Run) -> bool:
    try:
        connection.send(run)
    except OSError:
        return False
    return True


def _outcome(connection: Connection, run: Run) -> Outcome | None:
    """Return what a worker has to say of its run, None if it died."""
    try:
        return run, connection.recv()
    except (EOFError, OSError):
        return None


@contextlib.contextmanager
def _interrupts_later() -> Iterator[None]:
    """Put off interrupts to the end of the block; processes begun in it never see them."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(connection: Connection, folder: Path) -> None:
    """Do runs as they are sent, until there are no more or the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # where signals cannot be put off: Windows
    threading.Thread(target=_end_with_parent, daemon=True).start()
    while True:
        try:
            run = connection.recv()
        except EOFError:
            return
        try:
            said: Any = finish(run, folder)
        except Exception as error:
            said = RuntimeError(f"{type(error).__name__}: {error}")  # which can always be sent
        with contextlib.suppress(OSError):
            connection.send(said)


def _end_with_parent() -> None:
    """End this process when the one that began it was killed, and would never ask again."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def dask_cluster(scheduler: str) -> Workers:
    """Return the workers of a Dask cluster; a lost worker's runs go to another.

    Args:
        scheduler: its address, ``"tcp://host:8786"``.

    Raises:
        ImportError: Dask is not installed.
    """
    try:
        import distributed
    except ImportError:
        raise ImportError("--dask needs Dask: pip install 'minigrad[cluster]'") from None

    def work(runs: Sequence[Run], folder: Path) -> Generator[Outcome, None, None]:
        dask: Any = distributed
        client = dask.Client(scheduler)
        try:
            futures: dict[Any, Run] = {
                client.submit(perform, run, pure=False, priority=-i): run
                for i, run in enumerate(runs)
            }
            for future in dask.as_completed(list(futures)):
                run = futures[future]
                try:
                    result, seconds = future.result()
                    storage.store(run, storage.written(run, result, seconds), folder)
                except Exception as error:
                    yield run, error
                else:
                    yield run, result
            futures.clear()
        finally:
            client.cancel(list(futures) if futures else [], force=True)
            client.close(timeout=5)

    return work
