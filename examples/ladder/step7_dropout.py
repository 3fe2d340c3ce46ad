"""Step 7: dropout, with a mask that is a function of three integers.

Dropout sets each element to 0 with probability p, and scales the others by 1 / (1 - p). Its
backward is itself, with the same mask: one line in the table. What is left is to draw the mask.
`philox` computes random words from a key and a counter, and has no state. So element i of a mask
is a function of (seed, stream, offset) and of i. It can be drawn again, anywhere, in any order; and
these are the very masks that minigrad draws, bit for bit.

From here on it is minigrad, which adds, file by file:

- table.py: calls with keywords, ops of any number of tensors, errors that say the way out;
- graph.py: dtypes, and a flag for all views of one memory (`Storage`);
- autograd.py: a heap, for graphs of a million nodes; several results at once, intermediate ones as
  inputs, and only what lies between;
- inplace.py: views, which are refused while recording, and ops that write where they read;
- grad_mode.py: `no_grad`, for each thread; hooks.py: functions that see a gradient on the way;
- ops/: fifty more ops, each a function with its formulas, like those here;
- philox.py, masks.py, random.py: the same masks, drawn by NumPy; what else is drawn;
- tensor.py, creation.py, numpy_protocols.py: PyTorch's names, and NumPy's functions;
- device.py, fused.py, kernels/: the same on a GPU;
- nn/, optim/, training.py: layers, the family of dropout, optimisers, loops.
"""

from __future__ import annotations

import inspect
import itertools
import math
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


@differentiable(x=lambda g, keep, scale: masked_scale(g, keep, scale))  # with the same mask
def masked_scale(x: Any, keep: Any, scale: Any) -> Any:
    return x * keep * scale


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


# ------------------------------------------------------------------------- dropout

WORD = 2**64


def philox(seed: int, stream: int, offset: int, n: int, purpose: int = 0) -> list[int]:
    """Return n random words of 64 bits, from the block after ``offset`` on; a block has four.

    Philox4x64-10: ten rounds mix the counter under a key. A product of two words has two words, and
    both are used (Salmon, Moraes, Dror and Shaw, 2011).
    """
    words: list[int] = []
    while len(words) < n:
        offset += 1
        c0, c1, c2, c3 = offset % WORD, offset // WORD, purpose, 0
        k0, k1 = seed, stream
        for _ in range(10):
            high0, low0 = divmod(0xD2E7470EE14C6C93 * c0, WORD)
            high1, low1 = divmod(0xCA5A826395121157 * c2, WORD)
            c0, c1, c2, c3 = high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0
            k0, k1 = (k0 + 0x9E3779B97F4A7C15) % WORD, (k1 + 0xBB67AE8584CAA73B) % WORD
        words += c0, c1, c2, c3
    return words[:n]


def keep_mask(state: tuple[int, int, int], n: int, p: float) -> np.ndarray:
    """Return n booleans, False with probability p.

    An element has a number of 32 bits, and is kept where that is at least p · 2³². Its upper 8 bits
    are a byte of the words. For one element in 256 they tie with those of p · 2³², and only for it
    the lower 24 are computed.
    """
    high, low = divmod(round(p * 2**32), 2**24)
    words = philox(*state, (n + 7) // 8)
    upper = np.array(words, "<u8").view(np.uint8)[:n]
    keep = upper > high
    (key,) = philox(*state, 1, purpose=1)
    for place in (upper == high).nonzero()[0]:
        keep[place] = lower_bits(key, int(place)) >= low
    return keep


def lower_bits(key: int, place: int) -> int:
    """Return 24 bits for a place: of SplitMix64 (Steele, Lea and Flood, 2014)."""
    z = (key + (place + 1) * 0x9E3779B97F4A7C15) % WORD
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 % WORD
    z = (z ^ z >> 27) * 0x94D049BB133111EB % WORD
    return z >> 40


class Generator:
    """A stream of masks: three integers, of which the last moves on."""

    def __init__(self, seed: int, stream: int = 0, offset: int = 0) -> None:
        self.state = seed, stream, offset

    def keep_mask(self, shape: tuple[int, ...], p: float) -> np.ndarray:
        """Draw booleans that are False with probability p."""
        n, state = math.prod(shape), self.state
        self.state = *state[:2], (state[2] + (n + 31) // 32) % WORD
        return keep_mask(state, n, p).reshape(shape)


def dropout(x: Tensor, p: float, generator: Generator, training: bool = True) -> Tensor:
    """Return ``x`` with a share of about p set to 0, and the rest scaled; ``x`` itself at rest."""
    if p == 0 or not training:
        return x
    return masked_scale(x, generator.keep_mask(x.shape, p), 1 / (1 - p) if p < 1 else 0.0)


# ------------------------------------------------------------------------- training


def examples(n: int, wrong: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return n points, and on which side of a plane they lie, with a share of wrong answers."""
    points = rng.normal(size=(n, 20))
    sides = np.sign(points[:, :3].sum(1, keepdims=True))  # the other 17 coordinates tell nothing
    return points, np.where(rng.random((n, 1)) < wrong, -sides, sides)


def train(p: float, seed: int = 0, steps: int = 200, rate: float = 0.05) -> list[float]:
    """Learn from 60 examples, a fifth of them wrong; return the accuracy on these and on others."""
    rng, generator = np.random.default_rng(seed), Generator(seed)
    inputs, targets = examples(60, 0.2, rng)
    starts = [rng.normal(size=s) / np.sqrt(s[0]) for s in [(20, 64), (1, 64), (64, 1), (1, 1)]]
    w1, b1, w2, b2 = weights = [Tensor(start, True) for start in starts]

    def predict(points: np.ndarray, training: bool) -> Tensor:
        return dropout((points @ w1 + b1).tanh(), p, generator, training) @ w2 + b2

    for _ in range(steps):
        error = predict(inputs, True) - targets
        backward((error * error).sum() * (1 / 60))
        for weight in weights:
            weight.change(weight.array - rate * weight.grad)
            weight.grad = None
    both = (inputs, targets), examples(2000, 0, rng)
    return [float((np.sign(predict(x, False).array) == y).mean()) for x, y in both]


if __name__ == "__main__":
    x = Tensor(np.arange(1.0, 7.0), True)
    y = dropout(x * x, 0.5, Generator(0))
    print("The graph of dropout:", draw(y), sep="\n")
    backward(y)
    print(f"\nWhat is dropped is 0 in the result, {y.array},\nand in the gradient, {x.grad}.\n")
    for p in 0.0, 0.5:
        seen, other = np.mean([train(p, seed) for seed in range(4)], axis=0)
        print(f"p = {p}: {seen:.1%} right of the examples seen, {other:.1%} of others (4 runs)")
