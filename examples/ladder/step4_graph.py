"""Step 4: a graph that keeps only what is read, and lets it go on the way back.

So far a tensor kept everything that it was computed from. Now each op that is run leaves a `Node`
behind. It knows where the arguments came from, since gradients go back there: other nodes and
leaves, but no tensor between them. And it keeps what the formulas read, by name, and no more. The
sum needs the shape of its argument, and not the array; so its formula reads ``x_shape``. `add`
reads nothing, and an argument that needs no gradient asks for nothing. When the walk has passed a
node, what it kept is let go.
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
    """An array, and the node of the op that made it; a leaf has none.

    Only what needs a gradient is recorded: the weights (``requires_grad``), and what depends on
    them.
    """

    __array_ufunc__ = None  # array * tensor is the tensor's business

    def __init__(self, array: Any, requires_grad: bool = False, grad_fn: Any = None) -> None:
        self.array = np.asarray(array, float)
        self.requires_grad, self.grad_fn = requires_grad, grad_fn
        self.grad: Any = None

    @property
    def shape(self) -> tuple[int, ...]:
        return self.array.shape

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


class Node:
    """One op that was run: where its gradients go on to, and what its formulas read."""

    def __init__(self, op: Op, sources: dict, saved: dict, shape: tuple[int, ...]) -> None:
        self.op, self.sources, self.shape = op, sources, shape
        self.saved: Any = saved  # None once it was let go
        self.seq = next(count)

    def read(self, name: str) -> Any:
        """Return what a formula calls by this name."""
        if self.saved is None:
            raise RuntimeError(f"{self.op.name}: its graph was freed by an earlier backward")
        return self.saved[name]


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
    """Run an op on tensors, arrays and numbers, and record it if a gradient is needed."""
    if not any(isinstance(arg, Tensor) for arg in args):
        return op.function(*args)
    named = dict(zip(op.parameters, args, strict=True))
    values = {name: getattr(arg, "array", arg) for name, arg in named.items()}
    y = op.function(**values)
    sources = {}
    for name in op.derivatives:
        if getattr(arg := named[name], "requires_grad", False):
            sources[name] = arg.grad_fn or arg
    if not sources:
        return Tensor(y)
    shapes = {f"{name}_shape": np.shape(value) for name, value in values.items()}
    readable = {**values, **shapes, "y": y}
    saved = {name: readable[name] for arg in sources for name in op.derivatives[arg][1]}
    return Tensor(y, True, Node(op, sources, saved, np.shape(y)))


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


@differentiable(x=lambda g, x_shape: np.broadcast_to(g, x_shape))
def sum_all(x: Any) -> Any:
    return x.sum()


# ------------------------------------------------------------------------- the walk back


def unbroadcast(g: Any, shape: tuple[int, ...]) -> Any:
    """Return ``g`` summed over the dimensions along which an array of ``shape`` was repeated."""
    g = g.sum(tuple(range(g.ndim - len(shape))))
    return g.sum(tuple(i for i, n in enumerate(shape) if n == 1), keepdims=True)


def backward(result: Tensor, retain_graph: bool = False) -> None:
    """Add the gradient of ``result`` to the ``grad`` of each leaf that needs one."""
    grads: dict[Any, Any] = {result.grad_fn or result: np.ones_like(result.array)}
    while nodes := [place for place in grads if isinstance(place, Node)]:
        node = max(nodes, key=lambda node: node.seq)  # the newest
        g = grads.pop(node)
        for argument, source in node.sources.items():
            formula, names = node.op.derivatives[argument]
            piece = formula(g, *map(node.read, names))
            grads[source] = grads.get(source, 0) + unbroadcast(piece, source.shape)
        if node.saved and not retain_graph:
            node.saved = None
    for leaf, g in grads.items():
        leaf.grad = g if leaf.grad is None else leaf.grad + g


def draw(result: Tensor) -> str:
    """Return the graph in words: a line for each node, the newest first."""
    lines, nodes = [], {result.grad_fn}
    while nodes:
        node = max(nodes, key=lambda node: node.seq)
        nodes.remove(node)
        sources = {n: s for n, s in node.sources.items() if isinstance(s, Node)}
        args = [f"{n} = #{sources[n].seq}" if n in sources else f"{n} a leaf" for n in node.sources]
        kept = [f"keeps {n} {getattr(v, 'shape', v)}" for n, v in (node.saved or {}).items()]
        told = ", ".join(args + kept)
        lines.append(f"#{node.seq:<4} {node.op.name:<12} {node.shape!s:<8} {told}")
        nodes.update(sources.values())
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
    w1, b1, w2, b2, w3, b3 = weights = [Tensor(start, True) for start in starts]
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
    w, b = Tensor(np.ones((2, 3)), True), Tensor(np.zeros(3), True)
    y = (np.ones((4, 2)) @ w + b).tanh().sum()
    print("The graph of a layer:", draw(y), sep="\n")
    backward(y)
    print("\nThe same after the walk back:", draw(y), sep="\n")
    first, *_, last = train()
    print(f"\nTwo spirals are told apart: the loss falls from {first:.3f} to {last:.3f}.")
