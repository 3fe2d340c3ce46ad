"""Step 2: arrays instead of numbers, and what broadcasting asks for.

One operation now computes thousands of numbers, and its formula their gradients. NumPy stretches a
smaller operand to fit the larger one: a bias is added to each row of a batch. So a single number is
used many times, and its gradient is the sum over all of them. `unbroadcast` takes this sum, once
for all operations, in `backward`.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

count = itertools.count()


class Tensor:
    """An array that remembers how it was computed."""

    __array_ufunc__ = None  # array * tensor is the tensor's business

    def __init__(self, array: Any, op: str = "leaf", *sources: Any) -> None:
        self.array, self.op = np.asarray(array, float), op
        self.sources = sources  # (tensor, formula) for each source
        self.grad: Any = None
        self.seq = next(count)

    def __add__(self, other: Any) -> Tensor:
        other = as_tensor(other)
        a, b = self.array, other.array
        return Tensor(a + b, "add", (self, lambda g: g), (other, lambda g: g))

    def __mul__(self, other: Any) -> Tensor:
        other = as_tensor(other)
        a, b = self.array, other.array
        return Tensor(a * b, "mul", (self, lambda g: g * b), (other, lambda g: g * a))

    def __matmul__(self, other: Any) -> Tensor:
        other = as_tensor(other)
        a, b = self.array, other.array
        return Tensor(a @ b, "matmul", (self, lambda g: g @ b.T), (other, lambda g: a.T @ g))

    def __rmatmul__(self, other: Any) -> Tensor:
        return as_tensor(other) @ self

    def tanh(self) -> Tensor:
        y = np.tanh(self.array)
        return Tensor(y, "tanh", (self, lambda g: g - g * y * y))

    def sum(self) -> Tensor:
        y = self.array.sum()
        return Tensor(y, "sum", (self, lambda g: np.broadcast_to(g, self.array.shape)))

    def __sub__(self, other: Any) -> Tensor:
        return self + as_tensor(other) * -1

    __radd__, __rmul__ = __add__, __mul__


def as_tensor(value: Any) -> Tensor:
    """Return a tensor as it is, and anything else as a new leaf."""
    return value if isinstance(value, Tensor) else Tensor(value)


def unbroadcast(g: Any, shape: tuple[int, ...]) -> Any:
    """Return ``g`` summed over the dimensions along which an array of ``shape`` was repeated."""
    g = g.sum(tuple(range(g.ndim - len(shape))))
    return g.sum(tuple(i for i, n in enumerate(shape) if n == 1), keepdims=True)


def backward(result: Tensor) -> None:
    """Add the gradient of ``result`` to the ``grad`` of each leaf that it was computed from."""
    grads: dict[Tensor, Any] = {result: np.ones_like(result.array)}
    while inner := [tensor for tensor in grads if tensor.sources]:
        tensor = max(inner, key=lambda tensor: tensor.seq)  # the newest
        g = grads.pop(tensor)
        for source, formula in tensor.sources:
            piece = unbroadcast(formula(g), source.array.shape)
            grads[source] = grads.get(source, 0) + piece
    for leaf, g in grads.items():
        leaf.grad = g if leaf.grad is None else leaf.grad + g


def draw(result: Tensor) -> str:
    """Return the graph in words: a line for each tensor, the newest first."""
    lines, places = [], {result}
    while places:
        tensor = max(places, key=lambda tensor: tensor.seq)
        places.remove(tensor)
        sources = [source for source, _ in tensor.sources]
        numbers = " ".join(f"#{source.seq}" for source in sources)
        lines.append(f"#{tensor.seq:<4} {tensor.op:<7} {numbers:<6} {tensor.array.shape}")
        places.update(sources)
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
    backward(y)
    print(f"b has the shape {b.array.shape}, and so has its gradient: {b.grad.shape}")
    first, *_, last = train()
    print(f"\nTwo spirals are told apart: the loss falls from {first:.3f} to {last:.3f}.")
