"""Runs for the tests of the laboratory's frame: some fail, are slow, or end their own process.

A module of its own, so that a worker imports no more than it needs.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np

from examples.lab import images


def count(n: int, journal: str) -> dict[str, Any]:
    """A run that leaves a trace of having been done."""
    with open(journal, "a") as file:
        file.write(f"{n}\n")
    rng = np.random.default_rng(n)
    a = rng.standard_normal((200, 200))
    return {"n": n, "sum": float((a @ a.T).sum())}


def die_once(n: int, journal: str) -> int:
    """A run whose process is killed the first time."""
    marker = Path(f"{journal}.{n}")
    if not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return n


def die(journal: str) -> None:
    """A run whose process is always killed."""
    os.kill(os.getpid(), signal.SIGKILL)


def slowly(n: int, journal: str, seconds: float = 1.0, seed: int = 0) -> int:
    """A run of which there is time to kill the worker; notes which worker has it."""
    with open(journal, "a") as file:
        file.write(f"{n} {os.getpid()}\n")
    time.sleep(seconds)
    return n


def fail(n: int, journal: str) -> int:
    """A run that raises if its number is 2; number 3 would take a minute."""
    if n == 2:
        time.sleep(0.5)  # the others have finished, or begun
        raise ArithmeticError("no such number")
    return slowly(n, journal, 60.0 if n == 3 else 0.0)


def no_room(n: int, journal: str) -> int:
    """A run whose process can write no file from then on, as on a full disk."""
    import resource

    if n:
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    return n


def data_of(n: int) -> list[int]:
    """A run that reads images."""
    return [len(images.split(n).judged)]
