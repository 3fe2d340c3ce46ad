"""Where the time of a training step goes: 784-256-256-10, batch 256, dropout .2/.5.

    python -m benchmarks.where [--steps N]

Every op and every derivative is run under a clock, and so are the masks, the gather of the batch
and the optimizer; what a call takes for calls nested in it is counted there alone. The rest of the
step is the engine: recording, the walk back, modules. The matrix products are then timed by
themselves as well, on arrays that lie ready: what no engine can save.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

import minigrad
from benchmarks.floor import matrix_products
from benchmarks.surroundings import machine
from minigrad.ops import arithmetic, elementwise, linalg, neural, reduction, shape
from minigrad.random import Generator
from models import init_weights, mlp

BATCH = 256
WIDTHS = (784, 256, 256, 10)
TABLE = (arithmetic, elementwise, linalg, neural, reduction, shape)


class Clock:
    """Seconds by name, each without those of the calls nested in it."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._nested = [0.0]  # seconds of nested calls, for each call that is running

    def timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return ``function``, its time counted under ``name``."""

        def run(*args: Any, **kwargs: Any) -> Any:
            self._nested.append(0.0)
            start = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                whole = time.perf_counter() - start
                self.seconds[name] += whole - self._nested.pop()
                self._nested[-1] += whole

        return run


@contextmanager
def table_under(clock: Clock) -> Iterator[None]:
    """Run every op and every entry of the derivative table under the clock, within the block."""
    calls = {f for module in TABLE for f in vars(module).values() if hasattr(f, "op")}
    before = [(call.op, call.op.function, dict(call.op.entries)) for call in calls]
    for op, function, entries in before:
        op.function = clock.timed(f"{op.name}, forward", function)
        for argument, derivative in entries.items():
            what = f"{op.name}, gradient of {argument}"
            op.enter(argument, clock.timed(what, derivative.formula))
    try:
        yield
    finally:
        for op, function, entries in before:
            op.function = function
            for argument, derivative in entries.items():
                op.enter(argument, derivative.formula)


def main() -> None:
    """Print the parts of a step, dearest first."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.where")
    parser.add_argument("--steps", type=int, default=400)
    steps = parser.parse_args().steps
    rng = np.random.default_rng(0)
    x = minigrad.from_numpy(rng.random((10_000, WIDTHS[0]), np.float32))
    y = minigrad.from_numpy(rng.integers(0, WIDTHS[-1], len(x)))
    net = mlp().apply(init_weights)
    loss, optimizer = minigrad.nn.CrossEntropyLoss(), minigrad.optim.SGD(net.parameters(), lr=0.01)

    def step() -> None:
        batch = rng.integers(0, len(x), BATCH)
        images, labels = x[batch], y[batch]
        optimizer.zero_grad()
        loss(net(images), labels).backward()
        optimizer.step()

    plain = [_seconds(step) for _ in range(steps)]
    products = matrix_products(WIDTHS, BATCH)
    floor = statistics.median(_seconds(products) for _ in range(steps))
    by_name: dict[str, list[float]] = defaultdict(list)
    keep_mask = Generator.keep_mask
    clock = Clock()
    optimizer.step = clock.timed("optimizer", optimizer.step)  # type: ignore[method-assign]
    Generator.keep_mask = clock.timed("masks", keep_mask)  # type: ignore[method-assign]
    try:
        with table_under(clock):
            for _ in range(steps):
                clock.seconds.clear()
                whole = _seconds(step)
                by_name["engine and modules"].append(whole - sum(clock.seconds.values()))
                for name, seconds in clock.seconds.items():
                    by_name[name].append(seconds)
    finally:
        Generator.keep_mask = keep_mask  # type: ignore[method-assign]

    whole = statistics.median(plain)
    parts = {name: statistics.median(times) for name, times in by_name.items()}
    print(machine())
    print("| part of a step | microseconds | share |\n|---|---|---|")
    for name, seconds in sorted(parts.items(), key=lambda item: -item[1]):
        print(f"| {name} | {seconds * 1e6:.0f} | {seconds / whole:.1%} |")
    print(f"| **the step, with no clock inside** | {whole * 1e6:.0f} | |")
    print(f"| **its matrix products alone** | {floor * 1e6:.0f} | {floor / whole:.1%} |")


def _seconds(function: Callable[[], object]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
