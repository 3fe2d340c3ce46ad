"""The engine in forty lines: the same table, the same nodes, the same walk, and nothing else.

minigrad is this, plus what makes it right in every case and quick: `docs/tour.md` says where.
"""

import inspect
import itertools
from typing import Any

import numpy as np

count = itertools.count()


class Tensor:
    def __init__(self, array: Any, grad_fn: Any = None) -> None:
        self.array, self.grad_fn, self.grad = np.asarray(array, float), grad_fn, None


class Node:  # one op that was run: where gradients go on to, and what the formulas read
    def __init__(self, derivatives: Any, sources: Any, saved: Any) -> None:
        self.derivatives, self.sources, self.saved = derivatives, sources, saved
        self.seq = next(count)


def reads(formula: Any) -> list[str]:
    return list(inspect.signature(formula).parameters)[1:]  # the first is g, the gradient itself


def differentiable(**derivatives: Any) -> Any:  # for each argument the formula of its gradient
    def decorate(function: Any) -> Any:
        def call(*args: Any) -> Tensor:
            named = dict(zip(inspect.signature(function).parameters, args, strict=True))
            values = {name: getattr(arg, "array", arg) for name, arg in named.items()}
            y = function(**values)
            sources = {n: a.grad_fn or a for n, a in named.items() if isinstance(a, Tensor)}
            names = {name for argument in sources for name in reads(derivatives[argument])}
            saved = {name: {**values, "y": y}[name] for name in names}
            return Tensor(y, Node(derivatives, sources, saved))

        return call

    return decorate


def backward(result: Tensor) -> None:
    grads: dict[Any, Any] = {result.grad_fn: np.ones_like(result.array)}
    while nodes := [place for place in grads if isinstance(place, Node)]:
        node = max(nodes, key=lambda node: node.seq)  # the newest: its gradient is complete
        g = grads.pop(node)
        for argument, source in node.sources.items():
            formula = node.derivatives[argument]
            piece = formula(g, *[node.saved[name] for name in reads(formula)])
            grads[source] = grads.get(source, 0) + piece
    for leaf, g in grads.items():
        leaf.grad = g if leaf.grad is None else leaf.grad + g


# three entries of the table; in the third, dropout's backward is dropout with the same mask
mul = differentiable(a=lambda g, b: g * b, b=lambda g, a: g * a)(lambda a, b: a * b)
exp = differentiable(x=lambda g, y: g * y)(lambda x: np.exp(x))
masked_scale = differentiable(x=lambda g, keep, scale: g * keep * scale)(
    lambda x, keep, scale: x * keep * scale
)

if __name__ == "__main__":
    x = Tensor([1.0, 2.0])
    backward(exp(mul(x, x)))
    print("exp(x²)' = 2x exp(x²): ", x.grad, 2 * x.array * np.exp(x.array**2))
    x = Tensor([1.0, 2.0])
    backward(masked_scale(x, np.array([True, False]), 2.0))
    print("through dropout's mask:", x.grad)
