"""How long runs take, and how much time is left."""

from __future__ import annotations

import inspect
import itertools
import sys
import time
from collections.abc import Iterable
from typing import Any, TextIO

from examples.lab.frame import Run
from examples.lab.training import halves, trained

#: one epoch of 10,000 images takes `YARDSTICK_SECONDS` on a core for which `estimate` was fitted
YARDSTICK: dict[str, Any] = {"seed": 0, "train_size": 10_000, "batch_size": 64, "lr": 0.1}
EVERY = 60.0  # seconds between lines where there is no terminal
WIDTH = 78
TRUST = 120.0  # seconds of work after which the rate observed outweighs the one expected

DEFAULTS = {
    name: parameter.default
    for name, parameter in inspect.signature(trained).parameters.items()
    if parameter.default is not parameter.empty
}


def estimate(run: Run) -> float:
    """Return about how many seconds a run takes on one core, from its settings.

    A training costs by its multiplications, its updates and the images it goes through; ``steps``
    and ``passes`` are those of the experiments that have them.
    """
    settings: dict[str, Any] = {**DEFAULTS, **run.settings}
    if "steps" in settings:
        return 1.3e-4 * float(settings["steps"])
    weights = sum(a * b for a, b in itertools.pairwise([784, *settings["hiddens"], 10]))
    images = settings["train_size"] or 60_000
    updates = images / settings["batch_size"]
    forward = 10_000 + images  # evaluations of test and training half
    products = weights * (forward + 3 * images) * 1.4e-11
    epoch = products + updates * (3.2e-4 + 2.6e-9 * weights) + 2.2e-6 * (forward + 2 * images)
    return settings["epochs"] * epoch + 0.1 * settings.get("passes", 0)


def measure() -> float:
    """Return how many times as long as `estimate` says a training takes here.

    It is time of the processor, so that somebody else's short burst of work does not count.
    """
    halves()
    run = Run("", {**YARDSTICK, "epochs": 2})
    trained(**{**YARDSTICK, "epochs": 1})  # the first one in a process is slower
    start = time.process_time()
    trained(**run.settings)
    return (time.process_time() - start) / estimate(run)


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

    def __call__(self, name: str, finished: int, number: int, run: Run | None) -> None:
        """Count a run that is finished, if any, and say so."""
        if run is not None:
            self.done += self.work.get(run.key, 0.0)
        now, terminal = time.perf_counter(), self.stream.isatty()
        if terminal or now - self.said > EVERY:
            self.said = now
            share = self.done / self.whole if self.whole else 1.0
            where = f"{name} {finished} of {number}"
            text = f"{share:4.0%}, about {duration(self.left())} left; {where}"
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
