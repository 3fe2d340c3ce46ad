"""Step 5: gradients of gradients, from the same formulas.

Given arrays, a formula computes. Given tensors, it is recorded like any other computation, and then
the gradient can be differentiated in its turn. With ``create_graph`` the walk gives tensors to the
formulas: ``g``, and what a node kept, with its history. So all that a formula or the walk calls has
to be an op: `unbroadcast`, its opposite `expand`, and ``.T`` enter the table.
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
        return unbroadcast(self, ())

    @property
    def T(self) -> Tensor:  # noqa: N802
        return transpose(self)

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

    def read_with_history(self, name: str) -> Any:
        """Return the same as a tensor that knows where it came from, if it came from somewhere."""
        value, source = self.read(name), self if name == "y" else self.sources.get(name)
        return Tensor(value, True, source) if isinstance(source, Node) else source or value


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


@differentiable(x=lambda g: g.T)
def transpose(x: Any) -> Any:
    return x.T


@differentiable(x=lambda g, x_shape: expand(g, x_shape))
def unbroadcast(x: Any, shape: tuple[int, ...]) -> Any:
    """Return ``x`` summed over the dimensions along which an array of ``shape`` was repeated."""
    x = x.sum(tuple(range(x.ndim - len(shape))))
    return x.sum(tuple(i for i, n in enumerate(shape) if n == 1), keepdims=True)


@differentiable(x=lambda g: g)  # the walk un-broadcasts
def expand(x: Any, shape: tuple[int, ...]) -> Any:
    """Return ``x`` repeated, such that it has a shape."""
    return np.broadcast_to(x, shape)


# ------------------------------------------------------------------------- the walk back


def backward(result: Tensor, retain_graph: bool = False) -> None:
    """Add the gradient of ``result`` to the ``grad`` of each leaf that needs one."""
    for leaf, g in walk(result, retain_graph).items():
        leaf.grad = g if leaf.grad is None else leaf.grad + g


def grad(result: Tensor, leaves: list[Tensor], create_graph: bool = False) -> list[Tensor]:
    """Return the gradients of ``result`` for some leaves, recorded if ``create_graph``."""
    grads = walk(result, create_graph, create_graph)
    return [grads[leaf] if create_graph else Tensor(grads[leaf]) for leaf in leaves]


def walk(result: Tensor, retain_graph: bool, create_graph: bool = False) -> dict[Tensor, Any]:
    """Return the gradient for each leaf: an array, or with ``create_graph`` a tensor."""
    ones = np.ones_like(result.array)
    grads: dict[Any, Any] = {result.grad_fn or result: Tensor(ones) if create_graph else ones}
    while nodes := [place for place in grads if isinstance(place, Node)]:
        node = max(nodes, key=lambda node: node.seq)  # the newest
        g = grads.pop(node)
        read = node.read_with_history if create_graph else node.read
        for argument, source in node.sources.items():
            formula, names = node.op.derivatives[argument]
            piece = formula(g, *map(read, names))
            if piece.shape != source.shape:
                piece = unbroadcast(piece, source.shape)
            grads[source] = grads.get(source, 0) + piece
        if node.saved and not retain_graph:
            node.saved = None
    return grads


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


def train(steps: int = 800, rate: float = 0.001) -> tuple[list[float], float]:
    """Solve u'' = -u with u(0) = 0 and u'(0) = 1; return the losses, and how far u is from sine.

    A network is held to the equation between 0 and π. No value of the sine is shown to it.
    """
    rng = np.random.default_rng(0)
    x = Tensor(np.linspace(0, np.pi, 20).reshape(20, 1), True)
    w1, b1, w2 = weights = [Tensor(rng.normal(size=s), True) for s in [(1, 16), (1, 16), (16, 1)]]
    losses = []
    for _ in range(steps):
        u = x + x * x * ((x @ w1 + b1).tanh() @ w2)  # u(0) = 0 and u'(0) = 1, whatever the weights
        (du,) = grad(u.sum(), [x], create_graph=True)
        (ddu,) = grad(du.sum(), [x], create_graph=True)
        loss = ((ddu + u) * (ddu + u)).sum() * (1 / 20)
        backward(loss)
        for weight in weights:
            weight.array -= rate * weight.grad
            weight.grad = None
        losses.append(float(loss.array))
    return losses, float(abs(u.array - np.sin(x.array)).max())


if __name__ == "__main__":
    x = Tensor(2.0, True)
    (dx,) = grad(x * x * x, [x], create_graph=True)
    print("The graph of the derivative of x³:", draw(dx), sep="\n")
    (ddx,) = grad(dx, [x])
    print(
        f"At x = {x.array}, the derivative is {dx.array}, and that of the derivative {ddx.array}."
    )
    (first, *_, last), off = train()
    print(f"\nAn equation is solved: the loss falls from {first:.3f} to {last:.3f}.")
    print(f"What solves it is the sine, to within {off:.3f}.")
