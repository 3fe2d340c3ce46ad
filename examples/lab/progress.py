"""How long runs take, and how much time is left."""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Iterable
from typing import Any, TextIO

from examples.lab import images
from examples.lab.frame import Run
from examples.lab.recipe import Recipe
from examples.lab.training import trained

#: a short training, by which `estimate` is scaled to the machine
YARDSTICK: dict[str, Any] = {"size": 8_000, "batch_size": 64, "lr": 0.1, "every": 2, "epochs": 2}
EVERY = 60.0  # seconds between lines where there is no terminal
WIDTH = 78
TRUST = 120.0  # seconds of work after which the rate observed outweighs the one expected


def estimate(run: Run) -> float:
    """Return about how many seconds a run takes on one core, from its settings.

    A training costs by its multiplications, its updates and the images it goes through; a probe by
    its passes through the test images.
    """
    settings = run.identity["settings"]
    if "steps" in settings:
        return 1.3e-4 * float(settings["steps"])
    found = images.found()
    test = found.test
    weights = sum(a * b for a, b in itertools.pairwise([784, *settings["hiddens"], 10]))
    learned = settings["size"] or found.train
    epochs, updates = settings["epochs"], learned / settings["batch_size"]
    one = 4.2e-11 * weights * learned + updates * (3.2e-4 + 2.6e-9 * weights) + 4.4e-6 * learned
    measured = epochs / settings["every"] * (test + learned)
    passes = {"averaging": 101.0, "robustness": 12.0, "deletion": 6.0, "activity": 0.0}
    for probe in settings.get("probes", []):
        without = probe == "averaging" and not any(settings["dropout"])
        measured += 1.0 if without else passes.get(probe, 0.0) * test
    noisy = 20.0 if settings["noise"] == "DropConnect per example" else 1.0
    seconds = noisy * epochs * one + measured * (1.4e-11 * weights + 2.2e-6)
    return float(seconds * settings.get("members", 1) + 1e-3 * test * ("all_masks" in run.function))


def measure() -> float:
    """Return how many times as long as `estimate` says a training takes here.

    It is time of the processor, so that somebody else's short burst of work does not count.
    """
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        trained(0, Recipe(**{**YARDSTICK, "epochs": 1}))  # the first one in a process is slower
        start = time.process_time()
        trained(0, Recipe(**YARDSTICK))
        spent = time.process_time() - start
    return spent / estimate(Run("examples.lab.training:train", {**YARDSTICK, "seed": 0}))


class Progress:
    """Says how far the work is: on a terminal in one line, elsewhere in a line each minute.

    Args:
        runs: all that are to be done.
        rate: seconds that pass for each second of `estimate`, to begin with.
        stream: where it is said.
    """

    def __init__(self, runs: Iterable[Run], rate: float, stream: TextIO | None = None) -> None:
        self.stream = stream or sys.stderr
        self.work = {run.key: estimate(run) for run in runs}
        self.whole = sum(self.work.values())
        self.done = 0.0
        self.rate = rate
        self.start = self.said = time.perf_counter()

    def left(self) -> float:
        """Return about how many seconds are left, from the rate expected and the one observed."""
        seconds = time.perf_counter() - self.start + TRUST * self.rate
        return (self.whole - self.done) * seconds / (self.done + TRUST)

    def __call__(self, finished: int, number: int, run: Run | None) -> None:
        """Count a run that is finished, if any, and say so."""
        if run is not None:
            self.done += self.work.get(run.key, 0.0)
        now, terminal = time.perf_counter(), self.stream.isatty()
        if terminal or now - self.said > EVERY:
            self.said = now
            share = self.done / self.whole if self.whole else 1.0
            text = f"{share:4.0%}, about {duration(self.left())} left; {finished} of {number} runs"
            self.stream.write(f"\r{text:{WIDTH}}" if terminal else f"{text}\n")
            self.stream.flush()

    def clear(self) -> None:
        """Make room on the terminal for something else."""
        if self.stream.isatty():
            self.stream.write(f"\r{'':{WIDTH}}\r")
            self.stream.flush()


def duration(seconds: float) -> str:
    """Return a duration in words, whole minutes from two on."""
    return f"{seconds / 60:.0f} minutes" if seconds >= 120 else f"{seconds:.0f} seconds"
