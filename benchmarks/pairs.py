"""Timing one thing against another on a noisy machine: in turn, in one process, pair by pair."""

from __future__ import annotations

import gc
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass
class Comparison:
    """Times of two functions, run alternately.

    Attributes:
        ours, theirs: seconds of each run, by pair.
    """

    ours: list[float]
    theirs: list[float]

    @property
    def ratio(self) -> float:
        """The median of ours/theirs over the pairs."""
        return statistics.median(self.ratios)

    @property
    def ratios(self) -> list[float]:
        """Ours/theirs of each pair, sorted."""
        return sorted(a / b for a, b in zip(self.ours, self.theirs, strict=True))

    def row(self, name: str, unit: float = 1.0) -> str:
        """Return a line for a table: medians in ``1/unit`` seconds, ratio and its quartiles."""
        low, _, high = statistics.quantiles(self.ratios, n=4)
        ours, theirs = (statistics.median(t) * unit for t in (self.ours, self.theirs))
        return (
            f"| {name} | {ours:.2f} | {theirs:.2f} | {self.ratio:.2f} ({low:.2f} to {high:.2f}) |"
        )


def compare(
    ours: Callable[[], object], theirs: Callable[[], object], repeats: int, warmup: int = 2
) -> Comparison:
    """Run the two functions in turn, and time each run.

    Args:
        ours, theirs: what to time.
        repeats: counted pairs.
        warmup: pairs not counted, first.
    """
    times = Comparison([], [])
    for i in range(warmup + repeats):
        for function, into in (ours, times.ours), (theirs, times.theirs):
            gc.collect()
            start = time.perf_counter()
            function()
            if i >= warmup:
                into.append(time.perf_counter() - start)
    return times


def machine() -> str:
    """Return versions and the kind of machine, for the head of a table."""
    import torch

    import minigrad

    return (
        f"minigrad {minigrad.__version__}, NumPy {np.__version__}, PyTorch {torch.__version__}, "
        f"{torch.get_num_threads()} threads, Python {platform.python_version()}, {_processor()}"
    )


def _processor() -> str:
    try:
        with open("/proc/cpuinfo") as file:
            return next(
                line.split(":")[1].strip() for line in file if line.startswith("model name")
            )
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
