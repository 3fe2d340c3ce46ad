"""Step 1: numbers that remember how they were computed, in forty lines.

Each operation computes, and notes a formula for each of its sources. Given ``g``, the gradient of
the end result with respect to what was computed, the formula returns the source's share: this is
the chain rule. `backward` calls the formulas, those of the newest number first. Whatever was
computed from a number is newer than it, so its gradient is complete when its turn comes.
"""

from __future__ import annotations

import itertools
import math
import random
from typing import Any

count = itertools.count()


class Tensor:
    """A number. From step 2 on it is an array, and deserves its name."""

    def __init__(self, value: float, op: str = "leaf", *sources: Any) -> None:
        self.value, self.op, self.sources = value, op, sources  # (number, formula) for each source
        self.grad: Any = None
        self.seq = next(count)

    def __add__(self, other: Tensor) -> Tensor:
        a, b = self.value, other.value
        return Tensor(a + b, "add", (self, lambda g: g), (other, lambda g: g))

    def __mul__(self, other: Tensor) -> Tensor:
        a, b = self.value, other.value
        return Tensor(a * b, "mul", (self, lambda g: g * b), (other, lambda g: g * a))

    def tanh(self) -> Tensor:
        y = math.tanh(self.value)
        return Tensor(y, "tanh", (self, lambda g: g - g * y * y))


def backward(result: Tensor) -> None:
    """Add the gradient of ``result`` to the ``grad`` of each leaf that it was computed from."""
    grads: dict[Tensor, Any] = {result: 1.0}
    while inner := [tensor for tensor in grads if tensor.sources]:
        tensor = max(inner, key=lambda tensor: tensor.seq)  # the newest
        g = grads.pop(tensor)
        for source, formula in tensor.sources:
            grads[source] = grads.get(source, 0) + formula(g)
    for leaf, g in grads.items():
        leaf.grad = g if leaf.grad is None else leaf.grad + g


def draw(result: Tensor) -> str:
    """Return the graph in words: a line for each number, the newest first."""
    lines, places = [], {result}
    while places:
        tensor = max(places, key=lambda tensor: tensor.seq)
        places.remove(tensor)
        sources = [source for source, _ in tensor.sources]
        numbers = " ".join(f"#{source.seq}" for source in sources)
        lines.append(f"#{tensor.seq:<4} {tensor.op:<6} {numbers:<6} {tensor.value:6.3f}")
        places.update(sources)
    return "\n".join(lines)


# ------------------------------------------------------------------------- training

XOR = [((-1, -1), -1), ((-1, 1), 1), ((1, -1), 1), ((1, 1), -1)]


def predict(weights: list[Tensor], inputs: tuple[float, float]) -> Tensor:
    """Return what a network of two inputs, three hidden units and one output says."""
    x0, x1 = map(Tensor, inputs)
    out = weights[12]
    for i in 0, 4, 8:
        w0, w1, bias, v = weights[i : i + 4]
        out = out + v * (w0 * x0 + w1 * x1 + bias).tanh()
    return out


def train(steps: int = 200, rate: float = 0.1) -> list[float]:
    """Teach a network the exclusive or; return the losses."""
    noise = random.Random(0)
    weights, losses = [Tensor(noise.gauss(0, 1)) for _ in range(13)], []
    for _ in range(steps):
        loss = Tensor(0.0)
        for inputs, target in XOR:
            error = predict(weights, inputs) + Tensor(-target)
            loss = loss + error * error
        backward(loss)
        for weight in weights:
            weight.value -= rate * weight.grad
            weight.grad = None
        losses.append(loss.value)
    return losses


if __name__ == "__main__":
    x = Tensor(2.0)
    y = (x * x).tanh()
    print("The graph of tanh(x²):", draw(y), sep="\n")
    first, *_, last = train()
    print(f"\nThe exclusive or is learned: the loss falls from {first:.3f} to {last:.3f}.")
