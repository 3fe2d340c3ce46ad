"""Dropout alone, forward and backward, from a hundred million elements to a thousand."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from benchmarks.pairs import Result, compare
from benchmarks.surroundings import frameworks

# from the largest: a process that has freed a larger array, as whatever trains has, does not give
# the memory of smaller ones back to the system each time
SIZES = (100_000_000, 10_000_000, 1_000_000, 65_536, 1_000)
RATES = (0.1, 0.2, 0.5)


def forward_and_backward(framework: Any, n: int, p: float) -> Callable[[], object]:
    """Return a function that applies dropout to n elements and takes the gradient."""
    x = framework.ones(n, requires_grad=True)
    g = framework.ones(n)
    dropout = framework.nn.functional.dropout

    def run() -> None:
        dropout(x, p).backward(g)
        x.grad = None

    return run


def run(quick: bool = False) -> list[Result]:
    """Measure each size at each probability.

    Args:
        quick: two sizes at one probability.
    """
    results = []
    for n in SIZES[-2:] if quick else SIZES:
        for p in RATES[1:2] if quick else RATES:
            calls = max(1, 3_000_000 // n)
            times = {
                name: partial(_often, calls, forward_and_backward(framework, n, p))
                for name, framework in frameworks().items()
            }
            result = compare(f"dropout, {n:,} elements, p = {p}", times, 7 if quick else 15, 2)
            results.append(result.per(calls, "µs" if n < 10**6 else "ms"))
    return results


def _often(times: int, function: Callable[[], object]) -> None:
    for _ in range(times):
        function()
