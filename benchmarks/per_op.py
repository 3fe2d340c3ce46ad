"""What autograd itself costs: chains and wide sums of ops on 4x4 tensors, forward and backward."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from benchmarks.pairs import Result, compare
from benchmarks.surroundings import frameworks

LENGTH = 300

#: name -> (value of x, op of the running result and x)
CHAINS: dict[str, tuple[float, Callable[[Any, Any], Any]]] = {
    "multiply, y * x": (1.0, lambda y, x: y * x),
    "square, y * y": (1.0, lambda y, x: y * y),
    "add, y + x": (1.0, lambda y, x: y + x),
    "add a number, y + 1.0": (1.0, lambda y, x: y + 1.0),
    "multiply by a number, y * 0.999": (1.0, lambda y, x: y * 0.999),
    "relu": (1.0, lambda y, x: y.relu()),
    "exp(-y)": (0.5, lambda y, x: (-y).exp()),
    "matrix product, y @ x": (0.25, lambda y, x: y @ x),
}


def chain(x: Any, op: Callable[[Any, Any], Any]) -> None:
    """Apply an op again and again to its own result."""
    y = x
    for _ in range(LENGTH):
        y = op(y, x)
    y.sum().backward()
    x.grad = None


def wide(x: Any, op: Callable[[Any, Any], Any]) -> None:
    """Apply an op to x again and again, side by side, and add everything up in pairs."""
    layer = [op(x, x) for _ in range(LENGTH // 2)]
    while len(layer) > 1:
        layer = [a + b for a, b in zip(layer[::2], layer[1::2], strict=False)] + (
            [layer[-1]] if len(layer) % 2 else []
        )
    layer[0].sum().backward()
    x.grad = None


def run(quick: bool = False) -> list[Result]:
    """Measure each op in a chain, and two in a wide graph.

    Args:
        quick: fewer rounds.
    """
    cases = [(f"chain: {name}", chain, value, op) for name, (value, op) in CHAINS.items()]
    cases += [(f"wide: {name}", wide, *CHAINS[name]) for name in list(CHAINS)[:2]]
    results = []
    for name, shape, value, op in cases:
        contestants = {
            framework: partial(shape, m.full((4, 4), value, requires_grad=True), op)
            for framework, m in frameworks().items()
        }
        result = compare(name, contestants, repeats=7 if quick else 40, warmup=5)
        results.append(result.per(LENGTH, "µs"))
    return results
