"""Step 3: the table of derivatives.

An op becomes a plain function of arrays. Above it stands its derivative: for each argument, by
name, the formula of its gradient. The first parameter of a formula is ``g``. Each further one is
the name of something that it reads: an argument of the op, or ``y``, the op's own output. There are
no closures any more. So a formula can be looked at, tested, and called with something else (which
is step 5), and a new op takes three lines.
"""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

Formula = Callable[..., Any]
count = itertools.count()


class Tensor:
    """An array, and where it came from: the op, and the arguments that it was called with."""

    __array_ufunc__ = None  # array * tensor is the tensor's business

    def __init__(self, array: Any, op: Any = None, **args: Any) -> None:
        self.array, self.op, self.args = np.asarray(array, float), op, args
        self.grad: Any = None
        self.seq = next(count)

    def read(self, name: str) -> Any:
        """Return what a formula of this tensor's op calls by this name: an array or a number."""
        value = self if name == "y" else self.args[name]
        return getattr(value, "array", value)

    def __add__(self, other: Any) -> Tensor:
        return add(self, other)

    def __sub__(self, other: Any) -> Tensor:
        return add(self, mul(other, -1))

    def __mul__(self, other: Any) -> Tensor:
        return mul(self, other)

    def __matmul__(self, other: Any) -> Tensor:
        return matmul(self, other)

    def __rmatmul__(self, other: Any) -> Tensor:
        return matmul(other, self)

    def tanh(self) -> Tensor:
        return tanh(self)

    def sum(self) -> Tensor:
        return sum_all(self)

    __radd__, __rmul__ = __add__, __mul__


# ------------------------------------------------------------------------- the table


class Op:
    """A function of arrays, with its entries in the table."""

    def __init__(self, function: Formula, formulas: dict[str, Formula]) -> None:
        self.function, self.name = function, function.__name__
        self.parameters = parameters(function)
        self.derivatives = {  # for each argument the formula, and the names of what it reads
            argument: (formula, parameters(formula)[1:]) for argument, formula in formulas.items()
        }


def parameters(function: Formula) -> list[str]:
    """Return the names of a function's parameters."""
    return [*inspect.signature(function).parameters]


def differentiable(**formulas: Formula) -> Formula:
    """Put a function of arrays into the table: for each argument, the formula of its gradient."""

    def decorate(function: Formula) -> Formula:
        op = Op(function, formulas)
        return lambda *args: call(op, args)

    return decorate


def call(op: Op, args: Any) -> Any:
    """Run an op on tensors, arrays and numbers; return a tensor that remembers it."""
    if not any(isinstance(arg, Tensor) for arg in args):
        return op.function(*args)
    y = op.function(*[getattr(arg, "array", arg) for arg in args])
    return Tensor(y, op, **dict(zip(op.parameters, args, strict=True)))


@differentiable(a=lambda g: g, b=lambda g: g)
def add(a: Any, b: Any) -> Any:
    return a + b


@differentiable(a=lambda g, b: g * b, b=lambda g, a: g * a)
def mul(a: Any, b: Any) -> Any:
    return a * b


@differentiable(a=lambda g, b: g @ b.T, b=lambda g, a: a.T @ g)
def matmul(a: Any, b: Any) -> Any:
    return a @ b


@differentiable(x=lambda g, y: g - g * y * y)
def tanh(x: Any) -> Any:
    return np.tanh(x)


@differentiable(x=lambda g, x: np.broadcast_to(g, x.shape))
def sum_all(x: Any) -> Any:
    return x.sum()


# ------------------------------------------------------------------------- the walk back


def unbroadcast(g: Any, shape: tuple[int, ...]) -> Any:
    """Return ``g`` summed over the dimensions along which an array of ``shape`` was repeated."""
    g = g.sum(tuple(range(g.ndim - len(shape))))
    return g.sum(tuple(i for i, n in enumerate(shape) if n == 1), keepdims=True)


def backward(result: Tensor) -> None:
    """Add the gradient of ``result`` to the ``grad`` of each leaf that it was computed from."""
    grads: dict[Tensor, Any] = {result: np.ones_like(result.array)}
    while inner := [tensor for tensor in grads if tensor.op]:
        tensor = max(inner, key=lambda tensor: tensor.seq)  # the newest
        g = grads.pop(tensor)
        for argument, (formula, names) in tensor.op.derivatives.items():
            source = tensor.args[argument]
            if isinstance(source, Tensor):
                piece = formula(g, *map(tensor.read, names))
                grads[source] = grads.get(source, 0) + unbroadcast(piece, source.array.shape)
    for leaf, g in grads.items():
        leaf.grad = g if leaf.grad is None else leaf.grad + g


def draw(result: Tensor) -> str:
    """Return the graph in words: a line for each tensor, the newest first."""
    lines, places = [], {result}
    while places:
        tensor = max(places, key=lambda tensor: tensor.seq)
        places.remove(tensor)
        sources = {name: arg for name, arg in tensor.args.items() if isinstance(arg, Tensor)}
        args = ", ".join(f"{name} = #{source.seq}" for name, source in sources.items())
        name = tensor.op.name if tensor.op else "leaf"
        lines.append(f"#{tensor.seq:<4} {name:<8} {args:<16} {tensor.array.shape}")
        places.update(sources.values())
    return "\n".join(lines)


# ------------------------------------------------------------------------- training


def spirals(n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return n points on two spirals that wind about each other, and which it is: 1 or -1."""
    side = rng.choice([-1.0, 1.0], size=(n, 1))
    t = rng.uniform(0.5, 3.0, size=(n, 1))
    return side * t * np.hstack([np.cos(2 * t), np.sin(2 * t)]), side


def train(steps: int = 1000, rate: float = 0.1) -> list[float]:
    """Teach a network to tell two spirals apart; return the losses."""
    rng = np.random.default_rng(0)
    inputs, targets = spirals(200, rng)
    shapes = [(2, 32), (1, 32), (32, 32), (1, 32), (32, 1), (1, 1)]
    starts = [rng.normal(size=shape) / np.sqrt(shape[0]) for shape in shapes]
    w1, b1, w2, b2, w3, b3 = weights = [Tensor(start) for start in starts]
    losses = []
    for _ in range(steps):
        hidden = ((inputs @ w1 + b1).tanh() @ w2 + b2).tanh()
        error = hidden @ w3 + b3 - targets
        loss = (error * error).sum() * (1 / len(inputs))
        backward(loss)
        for weight in weights:
            weight.array -= rate * weight.grad
            weight.grad = None
        losses.append(float(loss.array))
    return losses


if __name__ == "__main__":
    w, b = Tensor(np.ones((2, 3))), Tensor(np.zeros(3))
    y = (np.ones((4, 2)) @ w + b).tanh().sum()
    print("The graph of a layer:", draw(y), sep="\n")
    first, *_, last = train()
    print(f"\nTwo spirals are told apart: the loss falls from {first:.3f} to {last:.3f}.")
