"""What autograd itself costs: chains of ops on 4x4 tensors, minigrad against PyTorch eager.

python -m benchmarks.per_op
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch

import minigrad
from benchmarks.pairs import compare, machine

LENGTH = 300


def chain(x: Any, op: Callable[[Any, Any], Any]) -> None:
    """Apply an op again and again, forward and backward."""
    y = x
    for _ in range(LENGTH):
        y = op(y, x)
    y.sum().backward()
    x.grad = None


def main() -> None:
    """Print microseconds for each op, forward and backward."""
    print(machine())
    print("| microseconds per op | minigrad | PyTorch | ratio (quartiles) |\n|---|---|---|---|")
    chains: list[tuple[str, float, Callable[[Any, Any], Any]]] = [
        ("multiply, y * x", 1.0, lambda y, x: y * x),
        ("square, y * y", 1.0, lambda y, x: y * y),
        ("add, y + x", 1.0, lambda y, x: y + x),
        ("add a number, y + 1.0", 1.0, lambda y, x: y + 1.0),
        ("multiply by a number, y * 0.999", 1.0, lambda y, x: y * 0.999),
        ("relu", 1.0, lambda y, x: y.relu()),
        ("matrix product, y @ x", 0.25, lambda y, x: y @ x),
    ]
    for name, value, op in chains:
        ours = minigrad.full((4, 4), value, requires_grad=True)
        theirs = torch.full((4, 4), value, requires_grad=True)
        times = compare(partial(chain, ours, op), partial(chain, theirs, op), repeats=40, warmup=5)
        print(times.row(name, 1e6 / LENGTH))


if __name__ == "__main__":
    main()
