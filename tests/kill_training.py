"""Kill trainings by SIGKILL at random moments, and compare their end with an undisturbed one's.

    python -m tests.kill_training                  # 200 kills, about a minute
    python -m tests.kill_training --fake-device    # the same on the fake CuPy

The training has what it takes to go wrong: dropout from a generator of its own and from the default
one, momentum, a schedule, shuffling, a buffer. Each attempt is a process of its own, which begins
with other weights and seeds than the one that it goes on with. In the end parameters, buffers,
momentum, random numbers and all measures must be those of the undisturbed training to the bit.
"""

from __future__ import annotations

import os

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # threads would not survive a fork

import argparse
import contextlib
import functools
import random
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np

import minigrad
from minigrad import Generator, nn, optim
from minigrad.training import fit
from minigrad.utils.data import DataLoader, TensorDataset

EVERY = (1, 3, timedelta(milliseconds=4), None)
EPOCHS = 4
SEED = 5


class Centred(nn.Module):
    """Subtract a mean that is remembered from batch to batch: a buffer."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.register_buffer("mean", minigrad.zeros(size))

    def forward(self, x: Any) -> Any:
        if self.training:
            self.mean.mul_(0.9).add_(0.1 * x.detach().mean(dim=0))
        return x - self.mean


def train(path: Path, every: Any, seed: int, place: str) -> dict[str, Any]:
    """Train, or go on with what is in a file; return all that there is in the end.

    Args:
        path: of the checkpoint.
        every: when to write it.
        seed: of weights and generators, unless there is a file.
        place: the device.
    """
    rng = np.random.default_rng(0)
    x = minigrad.tensor(rng.normal(size=(150, 6)), dtype=minigrad.float32, device=place)
    y = minigrad.tensor(rng.integers(0, 3, 150), device=place)
    minigrad.manual_seed(seed)
    net = nn.Sequential(
        *(Centred(6), nn.Linear(6, 12), nn.ReLU(), nn.Dropout(0.3, generator=Generator(seed + 1))),
        *(nn.Linear(12, 3), nn.Dropout(0.1)),
    ).to(place)
    optimizer = optim.SGD(net.parameters(), lr=0.2, momentum=0.9)
    scheduler = optim.lr_scheduler.StepLR(optimizer, 1, 0.8)
    data = TensorDataset(x, y)
    loader = DataLoader(data, 16, shuffle=True, generator=Generator(seed + 2))
    history = fit(
        *(net, loader, DataLoader(data, 64, shuffle=True), nn.CrossEntropyLoss(), EPOCHS),
        *(optimizer,), scheduler=scheduler, checkpoint=path, every=every, resume="auto",
    )  # fmt: skip
    measures = history.state_dict()
    assert len(measures.pop("seconds")) == EPOCHS
    return {
        "net": net.state_dict(generators=True),
        "optimizer": optimizer.state_dict(),
        "scheduler": scheduler.state_dict(),
        "loader": loader.state_dict(),
        "history": measures,
        "default": minigrad.random.default_generator.state_dict(),
    }


def begin(folder: Path, every: Any, seed: int, place: str) -> int:
    """Begin an attempt in a process of its own; return its number."""
    if child := os.fork():
        return child
    status = 1
    try:
        end = train(folder / "run.safetensors", every, seed, place)
        minigrad.save(end, folder / "end.safetensors")
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def ended(child: int, within: float) -> bool:
    """Wait for an attempt; return whether it ended, and by itself, within some seconds.

    Raises:
        RuntimeError: it failed.
    """
    until = time.monotonic() + within
    while time.monotonic() < until:
        process, status = os.waitpid(child, os.WNOHANG)
        if process:
            if status:
                raise RuntimeError("an attempt failed")
            return True
        time.sleep(0.0005)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if not status:
        return True
    if os.waitstatus_to_exitcode(status) != -signal.SIGKILL:
        raise RuntimeError("an attempt failed")
    return False


@functools.cache
def undisturbed(every: Any, place: str) -> tuple[bytes, float]:
    """Return what a training ends in that nobody kills, and how many seconds it takes."""
    with tempfile.TemporaryDirectory() as name:
        start = time.monotonic()
        ended(begin(Path(name), every, SEED, place), 120)
        return Path(name, "end.safetensors").read_bytes(), time.monotonic() - start


def disturb(kills: int, rng: random.Random, place: str, say: Callable[[str], Any]) -> None:
    """Kill ``kills`` attempts, and compare the end of each training with the undisturbed one.

    Raises:
        RuntimeError: an attempt failed, an end differs, or something was left behind.
    """
    killed = written = trainings = 0
    expected, _ = undisturbed(None, place)
    while killed < kills:
        every, attempts = EVERY[trainings % len(EVERY)], 0
        _, takes = undisturbed(every, place)
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            while True:
                seed = 1000 + attempts if (folder / "run.safetensors").exists() else SEED
                attempt = begin(folder, every, seed, place)
                if ended(attempt, rng.uniform(0, takes) if killed < kills else 120):
                    break
                killed, attempts = killed + 1, attempts + 1
                written += any(".part" in left for left in os.listdir(folder))
            if (folder / "end.safetensors").read_bytes() != expected:
                raise RuntimeError(f"after {attempts} kills, every={every}: other bits in the end")
            if (left := sorted(os.listdir(folder))) != ["end.safetensors", "run.safetensors"]:
                raise RuntimeError(f"left behind: {left}")
        trainings += 1
    say(
        f"{killed} kills of {trainings} trainings, {written} of them while a file was written: "
        "every training ended in the bits of the undisturbed one"
    )


def main() -> None:
    """Compare; the exit status is 1 if anything differs."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--fake-device", action="store_true", help="train on the fake CuPy")
    args = parser.parse_args()
    with contextlib.ExitStack() as stack:
        if args.fake_device:
            from tests import fake_cupy
            from tests.gpu.definitions import Definitions

            stack.enter_context(fake_cupy.installed(Definitions))
        place = "cuda" if args.fake_device else "cpu"
        try:
            disturb(args.kills, random.Random(args.seed), place, print)
        except RuntimeError as error:
            sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
