"""The ranks of an MPI job: who is here, how they wait for each other, how they end together."""

from __future__ import annotations

import atexit
import importlib.util
import os
import sys
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any

import numpy as np

from minigrad.random import default_generator

#: set by what starts the ranks of a job: MPICH's mpiexec and its kin, Open MPI's, a PMIx launcher
LAUNCHERS = ("PMI_RANK", "OMPI_COMM_WORLD_RANK", "PMIX_RANK")
ENDED = 1  # the tag of what a rank sends whose program is over
LOOK = 0.05  # seconds from one look for such messages to the next
GRACE = 2.0  # seconds that a rank is waited for after it has ended: its messages may be under way
HEARD = 0.5  # seconds that a launcher gets to pass on what was said before it ends everything
PATIENT = 0.01  # seconds of waiting after which a rank leaves the processor to others


class World:
    """The job that this process is a rank of.

    Args:
        timeout: seconds that a rank waits for the others before it gives up.

    Attributes:
        mpi: the module ``mpi4py.MPI``.
        comm: the communicator for data.
        control: another, for what is said about the ranks themselves.
        rank, size: which rank this is, from 0, and of how many.
    """

    def __init__(self, timeout: float) -> None:
        self.mpi = _library()
        self.comm, self.control = self.mpi.COMM_WORLD.Dup(), self.mpi.COMM_WORLD.Dup()
        self.rank, self.size = self.comm.Get_rank(), self.comm.Get_size()
        self.timeout = timeout

    def wait(self, request: Any, what: str) -> None:
        """Wait until a request is done; see to it that this does not take for ever.

        Raises:
            RuntimeError: a rank has ended, without which it never will be.
            TimeoutError: it took longer than ``timeout``.
        """
        if request.Test():
            return
        start = looked = time.monotonic()
        ended = 0.0
        while not request.Test():
            now = time.monotonic()
            _yield() if now - start < PATIENT else time.sleep(1e-4)
            if now - looked < LOOK:
                continue
            looked = now
            status = self.mpi.Status()
            if not ended and self.control.Iprobe(self.mpi.ANY_SOURCE, ENDED, status):
                ended, who = now, status.Get_source()
            if ended and now - ended > GRACE:
                raise RuntimeError(
                    f"rank {who} has ended its program, and rank {self.rank} of {self.size} waits "
                    f"for it in {what}: every rank has to take the same steps"
                )
            if now - start > self.timeout:
                raise TimeoutError(
                    f"rank {self.rank} of {self.size} has waited {self.timeout:g} s in {what} for "
                    "the others: one of them is lost, or does something else. If it is only slow, "
                    "init(timeout=...) gives it longer"
                )

    def leave(self) -> None:
        """Tell the others that this rank's program is over, and wait until theirs are."""
        others = [r for r in range(self.size) if r != self.rank]
        said = [self.control.Isend(np.zeros(1, np.int8), r, ENDED) for r in others]
        end = self.control.Ibarrier()
        while not end.Test():
            time.sleep(1e-3)
        for r in others:
            self.control.Recv(np.empty(1, np.int8), r, ENDED)
        self.mpi.Request.Waitall(said)

    def abort(self, status: int) -> None:
        """End all ranks, this one included, at once."""
        sys.stdout.flush()
        sys.stderr.flush()
        time.sleep(HEARD)
        self.mpi.COMM_WORLD.Abort(status)


_world: World | None = None
_yield: Callable[[], object] = getattr(os, "sched_yield", lambda: time.sleep(0))


def joined() -> World | None:
    """Return the job; None before `init`, and for a job of one rank."""
    return _world if _world is not None and _world.size > 1 else None


def init(timeout: float = 300.0) -> None:
    """Join the ranks of the job; call it first, on every rank. A second call does nothing.

    From here on an exception that nobody catches, on any rank, ends all of them; so does a rank
    that is killed, or one that the others wait for in vain. The default generator gets rank 0's
    state. A program that no launcher has started is a job of one rank.

    Args:
        timeout: seconds that a rank waits for the others, > 0. Give it longer if one rank does
            much alone, such as an evaluation.

    Raises:
        ValueError: ``timeout`` is not positive.
        RuntimeError: there is no mpi4py, or it finds no MPI.
    """
    global _world
    if not timeout > 0:
        raise ValueError(f"timeout has to be positive, got {timeout}")
    if _world is not None:
        return
    _world = World(timeout)
    if _world.size == 1:
        return
    atexit.register(_world.leave)
    sys.excepthook = _ending(_world, sys.excepthook)
    same_generators([default_generator])


def is_available() -> bool:
    """Return whether mpi4py is installed."""
    return importlib.util.find_spec("mpi4py") is not None


def is_initialized() -> bool:
    """Return whether `init` has been called."""
    return _world is not None


def launched() -> bool:
    """Return whether ``mpiexec`` or the like has started this process."""
    return any(name in os.environ for name in LAUNCHERS)


def rank() -> int:
    """Return which rank this process is, from 0; 0 before `init`."""
    return 0 if _world is None else _world.rank


def world_size() -> int:
    """Return how many ranks the job has; 1 before `init`."""
    return 1 if _world is None else _world.size


get_rank, get_world_size = rank, world_size


def gathered(values: list[int], what: str) -> np.ndarray:
    """Return the integers that each rank gave, a row of int64 for each rank."""
    mine = np.array(values, np.int64)
    if (world := joined()) is None:
        return mine[None]
    found = np.empty((world.size, len(values)), np.int64)
    world.wait(world.comm.Iallgather(mine, found), what)
    return found


def summed(values: Sequence[Any], what: str) -> list[float]:
    """Return the sums, over the ranks, of numbers that each of them gave."""
    if (world := joined()) is None:
        return [float(v) for v in values]
    sums = np.array([float(v) for v in values])
    world.wait(world.comm.Iallreduce(world.mpi.IN_PLACE, sums), what)
    return sums.tolist()


def same_generators(generators: list[Any]) -> None:
    """Give every rank's generators the states of rank 0's."""
    if (world := joined()) is not None and generators:
        states = np.array([g.get_state() for g in generators], np.uint64)
        world.wait(world.comm.Ibcast(states, 0), "the broadcast of generators")
        for generator, state in zip(generators, states.tolist(), strict=True):
            generator.set_state(state)


def _library() -> Any:
    try:
        from mpi4py import MPI
    except ModuleNotFoundError as error:
        raise RuntimeError(
            'training on several ranks needs mpi4py: pip install "minigrad[mpi]"'
        ) from error
    except (ImportError, RuntimeError) as error:
        raise RuntimeError(
            f"mpi4py finds no MPI ({error}): pip install mpich, or your system's MPI"
        ) from error
    return MPI


def _ending(world: World, before: Callable[..., object]) -> Callable[..., None]:
    """Return an excepthook that ends all ranks, after what the hook before it has printed."""

    def end_all(
        kind: type[BaseException], value: BaseException, trace: TracebackType | None
    ) -> None:
        before(kind, value, trace)
        print(
            f"rank {world.rank} of {world.size} ended with {kind.__name__}: all ranks are stopped",
            file=sys.stderr,
        )
        world.abort(130 if issubclass(kind, KeyboardInterrupt) else 1)

    return end_all
