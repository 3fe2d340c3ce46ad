"""Timing one thing against others on a noisy machine: in turn, in one process, round by round.

The machine's moods then fall on all alike, and the figure is the median of the ratios that are
taken within each round, with their quartiles.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

OURS = "minigrad"
UNITS = {"s": 1.0, "ms": 1e3, "µs": 1e6, "MB": 1e-6}  # of seconds or bytes


@dataclass
class Result:
    """One task, measured for each contestant, round by round.

    Attributes:
        task: what was done.
        unit: what to show values in: ``"s"``, ``"ms"``, ``"µs"`` or ``"MB"``.
        rounds: for each contestant its values, in seconds or bytes; none if it could not take part.
    """

    task: str
    unit: str
    rounds: dict[str, list[float]]

    def median(self, name: str) -> float:
        """Return a contestant's median, in seconds or bytes."""
        return statistics.median(self.rounds[name])

    def ratio(self, rival: str) -> tuple[float, float, float]:
        """Return the median of minigrad/rival over the rounds, and the lower and upper quartile."""
        pairs = zip(self.rounds[OURS], self.rounds[rival], strict=True)
        ratios = [a / b for a, b in pairs]
        if len(ratios) == 1:
            return ratios[0], ratios[0], ratios[0]
        low, middle, high = statistics.quantiles(ratios, n=4, method="inclusive")
        return middle, low, high

    def per(self, parts: int, unit: str) -> Result:
        """Return the result for one of ``parts`` equal parts of the task, shown in ``unit``."""
        shares = {name: [value / parts for value in r] for name, r in self.rounds.items()}
        return Result(self.task, unit, shares)

    def cell(self, name: str) -> str:
        """Return what a table says of a contestant: its median, and minigrad's ratio to it."""
        if not self.rounds.get(name):
            return "–"
        value = f"{self.median(name) * UNITS[self.unit]:.3g} {self.unit}"
        if name == OURS:
            return value
        middle, low, high = self.ratio(name)
        return f"{value}; **{middle:.2f}** ({low:.2f}–{high:.2f})"

    def record(self) -> dict[str, Any]:
        """Return everything, for JSON."""
        taking_part = [name for name, values in self.rounds.items() if values]
        return {
            "task": self.task,
            "rounds": self.rounds,
            "ratios": {name: self.ratio(name) for name in taking_part if name != OURS},
        }


def table(results: list[Result]) -> str:
    """Return results as a Markdown table: a row for each task, a column for each contestant."""
    names = list(dict.fromkeys(name for result in results for name in result.rounds))
    lines = [f"| | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    for result in results:
        lines.append(f"| {result.task} | {' | '.join(map(result.cell, names))} |")
    return "\n".join(lines)


def compare(
    task: str,
    contestants: Mapping[str, Callable[[], object] | None],
    repeats: int,
    warmup: int = 2,
    unit: str = "s",
) -> Result:
    """Run the contestants in turn, and time each run.

    Args:
        task: what is done.
        contestants: what to time, by name; None for one that is not there.
        repeats: counted rounds.
        warmup: rounds not counted, first.
        unit: see `Result`.
    """
    rounds: dict[str, list[float]] = {name: [] for name in contestants}
    for i in range(warmup + repeats):
        for name, function in contestants.items():
            if function is None:
                continue
            gc.collect()
            start = time.perf_counter()
            function()
            if i >= warmup:
                rounds[name].append(time.perf_counter() - start)
    return Result(task, unit, rounds)
