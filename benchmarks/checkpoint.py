"""What keeping a checkpoint costs the chapter's training: one every 100 steps, against none.

A checkpoint is copied between two steps, and written by a thread while training goes on. Beside it
stands a training that waits for the disk. Both times are those of the pass through the data: the
clock's, and the processor's, which other programs on the machine disturb less.
"""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import minigrad
from benchmarks.pairs import OURS, Result
from minigrad import nn, optim
from minigrad.checkpoint import Checkpoint
from minigrad.training import fit
from minigrad.utils.data import DataLoader, TensorDataset
from models import mlp

IMAGES, EVERY = 60_000, 100
CONTESTANTS = (OURS, "no checkpoint", "waiting for the disk")


class Timed(DataLoader):
    """Batches, and the seconds of a loop over them by both clocks."""

    def __iter__(self) -> Iterator[Any]:
        start = time.perf_counter(), time.process_time()
        yield from super().__iter__()
        self.elapsed, self.used = time.perf_counter() - start[0], time.process_time() - start[1]


def run(quick: bool = False) -> list[Result]:
    """Measure an epoch of the chapter's training, without and with momentum.

    Args:
        quick: fewer rounds.
    """
    repeats, results = 5 if quick else 11, []
    rng = np.random.default_rng(0)
    x = minigrad.from_numpy(rng.random((IMAGES, 784), np.float32))
    data = TensorDataset(x, minigrad.from_numpy(rng.integers(0, 10, IMAGES)))
    for momentum in 0.0, 0.9:
        elapsed: dict[str, list[float]] = {name: [] for name in CONTESTANTS}
        used: dict[str, list[float]] = {name: [] for name in CONTESTANTS}
        for i in range(1 + repeats):
            for name in CONTESTANTS:
                loader = epoch(data, momentum, name)
                if i:
                    elapsed[name].append(loader.elapsed)
                    used[name].append(loader.used)
        task = f"epoch with momentum {momentum:g}, a checkpoint every {EVERY} steps"
        results += [Result(task, "s", elapsed), Result("its processor time", "s", used)]
    return results


def epoch(data: TensorDataset, momentum: float, name: str) -> Timed:
    """Train for an epoch; return the loader that has timed it."""
    net = mlp(generator=minigrad.Generator(0))
    optimizer = optim.SGD(net.parameters(), lr=0.01, momentum=momentum)
    loader = Timed(data, 256, shuffle=True)
    few = DataLoader(TensorDataset(*data[:256]), 256)
    loader.in_order = lambda: few  # type: ignore[method-assign]
    kept: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        if name != "no checkpoint":
            kept = {"checkpoint": Path(folder, "run.safetensors"), "every": EVERY}
        if name == "waiting for the disk":
            stack.enter_context(_waiting())
        loss = nn.CrossEntropyLoss()
        fit(net, loader, few, loss, 1, optimizer, progress=False, **kept)
    return loader


@contextlib.contextmanager
def _waiting() -> Iterator[None]:
    write = Checkpoint.write

    def and_wait(self: Checkpoint) -> None:
        write(self)
        self.wait()

    Checkpoint.write = and_wait  # type: ignore[method-assign]
    try:
        yield
    finally:
        Checkpoint.write = write  # type: ignore[method-assign]
