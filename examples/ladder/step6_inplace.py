"""Step 6: changes in place.

A change in place puts other numbers where a node may have kept the old ones, and the gradient would
be silently wrong. So each tensor has a flag, which the next change sets. A node keeps the flag
beside the array, and looks at it before it reads. `write` lets the result of an op take the place
of a tensor's contents, and of its history: the node of the op is the tensor's from now on. If this
node itself keeps what is overwritten, it is given a copy first.
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
        self.stale: list[bool] = []  # a flag: empty until the next change

    def change(self, array: Any) -> None:
        """Put other numbers into the memory; what was kept of the old ones is out of date."""
        self.array[...] = array
        self.stale.append(True)
        self.stale = []

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

    def add_(self, other: Any) -> Tensor:
        return write(self, add, other)

    def mul_(self, other: Any) -> Tensor:
        return write(self, mul, other)

    def tanh_(self) -> Tensor:
        return write(self, tanh)


class Node:
    """One op that was run: where its gradients go on to, and what its formulas read."""

    def __init__(
        self, op: Op, sources: dict, saved: dict, flags: dict, shape: tuple[int, ...]
    ) -> None:
        self.op, self.sources, self.flags, self.shape = op, sources, flags, shape
        self.saved: Any = saved  # None once it was let go
        self.seq = next(count)

    def read(self, name: str) -> Any:
        """Return what a formula calls by this name."""
        if self.saved is None:
            raise RuntimeError(f"{self.op.name}: its graph was freed by an earlier backward")
        if self.flags.get(name):
            raise RuntimeError(f"{self.op.name}: {name} was changed in place after it was kept")
        return self.saved[name]

    def read_with_history(self, name: str) -> Any:
        """Return the same as a tensor that knows where it came from, if it came from somewhere."""
        value, source = self.read(name), self if name == "y" else self.sources.get(name)
        if not isinstance(source, Node):
            return source or value
        tensor = Tensor(value, True, source)
        tensor.stale = self.flags[name]  # a change of the array is one of this tensor
        return tensor


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
    y = Tensor(np.array(op.function(**values)))  # in memory of its own
    sources = {}
    for name in op.derivatives:
        if getattr(arg := named[name], "requires_grad", False):
            sources[name] = arg.grad_fn or arg
    if not sources:
        return y
    shapes = {f"{name}_shape": np.shape(value) for name, value in values.items()}
    readable = {**values, **shapes, "y": y.array}
    saved = {name: readable[name] for arg in sources for name in op.derivatives[arg][1]}
    tensors = {**named, "y": y}
    flags = {name: tensors[name].stale for name in saved if isinstance(tensors.get(name), Tensor)}
    y.requires_grad, y.grad_fn = True, Node(op, sources, saved, flags, y.shape)
    return y


def write(target: Tensor, op: Formula, *args: Any) -> Tensor:
    """Let the result of ``op(target, *args)`` take the place of ``target``'s contents and history.

    Raises:
        RuntimeError: ``target`` is a leaf that needs a gradient; it would be a leaf no more.
    """
    if target.requires_grad and target.grad_fn is None:
        raise RuntimeError("a leaf that needs a gradient cannot be changed in place")
    result = op(target, *args)
    if node := result.grad_fn:
        for name, value in node.saved.items():
            if value is target.array:  # what is kept of the target is the input, as it was
                node.saved[name], node.flags[name] = value.copy(), []
    target.change(result.array)
    target.requires_grad, target.grad_fn = result.requires_grad, node
    return target


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


def train(steps: int = 300, rate: float = 0.01) -> tuple[list[float], float, float]:
    """Listen to an echo, and find how quickly it dies away; return the losses, decay and gain."""
    rng = np.random.default_rng(0)
    sounds = rng.normal(size=(20, 8))  # 20 moments of 8 recordings
    echoes = [0.5 * sounds[0]]
    for sound in sounds[1:]:
        echoes.append(0.8 * echoes[-1] + 0.5 * sound)
    decay, gain = weights = [Tensor(0.1, True), Tensor(0.1, True)]
    losses = []
    for _ in range(steps):
        state, loss = Tensor(np.zeros(8)), Tensor(0.0)
        for sound, echo in zip(sounds, echoes, strict=True):
            state.mul_(decay).add_(gain * sound)  # one memory, 20 times overwritten
            error = state - echo
            loss.add_((error * error).sum() * (1 / sounds.size))
        backward(loss)
        for weight in weights:
            weight.change(weight.array - rate * weight.grad)
            weight.grad = None
        losses.append(float(loss.array))
    return losses, float(decay.array), float(gain.array)


if __name__ == "__main__":
    decay = Tensor(0.5, True)
    state = Tensor(np.ones(3))
    state.mul_(decay).add_(1).mul_(decay)
    print("The graph of a state that was changed three times:", draw(state), sep="\n")
    y = (decay * 2).tanh()
    y.add_(1)
    try:
        backward(y)
    except RuntimeError as error:
        print(f"\nA change that would make a gradient wrong is refused:\n{error}")
    (first, *_, last), rate, gain = train()
    print(f"\nAn echo is understood: the loss falls from {first:.3f} to {last:.3f}.")
    print(f"It dies away by {rate:.3f}, in truth 0.8; its gain is {gain:.3f}, in truth 0.5.")
