"""Perceptrons of any width, depth and batch, and chains of ops, for minigrad and PyTorch alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

IMAGE, CLASSES = 784, 10


def training_step(
    framework: Any,
    width: int = 256,
    batch: int = 256,
    hidden: int = 2,
    p: float = 0.5,
    device: str = "cpu",
    compiler: Callable[[Any], Any] = lambda objective: objective,
) -> Callable[[], object]:
    """Return a step: forward, backward and update of 784-width-...-width-10 with dropout.

    Args:
        framework: minigrad or torch.
        width: of each hidden layer.
        batch: examples in a step.
        hidden: how many hidden layers.
        p: dropout after each of them.
        device: where to train.
        compiler: what the function from a batch to its loss goes through first: ``torch.compile``.
    """
    nn = framework.nn
    layers, inputs = [], IMAGE
    for _ in range(hidden):
        layers += [nn.Linear(inputs, width), nn.ReLU(), nn.Dropout(p)]
        inputs = width
    net = nn.Sequential(*layers, nn.Linear(inputs, CLASSES)).to(device)
    loss, optimizer = nn.CrossEntropyLoss(), framework.optim.SGD(net.parameters(), lr=0.01)
    rng = np.random.default_rng(0)
    x = framework.from_numpy(rng.random((batch, IMAGE), np.float32)).to(device)
    y = framework.from_numpy(rng.integers(0, CLASSES, batch)).to(device)
    objective = compiler(lambda x, y: loss(net(x), y))

    def run() -> None:
        optimizer.zero_grad()
        objective(x, y).backward()
        optimizer.step()

    return run


def chain(framework: Any, ops: int) -> Callable[[], object]:
    """Return a function that records so many ops in a row, walks back, and frees them."""
    x = framework.full((4, 4), 1.0, requires_grad=True)

    def run() -> None:
        y = x
        for _ in range(ops):
            y = y * x
        y.sum().backward()
        x.grad = None

    return run


#: what grows -> (its sizes, a function (framework, size) -> what is run)
GROWTH: dict[str, tuple[list[int], Callable[[Any, int], Callable[[], object]]]] = {
    "hidden width": (
        [64, 256, 1024, 4096],
        lambda framework, n: training_step(framework, width=n, batch=1024),
    ),
    "batch": ([32, 256, 2048, 8192], lambda framework, n: training_step(framework, batch=n)),
    "hidden layers": (
        [2, 10, 100, 1000],
        lambda framework, n: training_step(framework, width=64, batch=64, hidden=n),
    ),
    "ops in a chain": ([1_000, 10_000, 100_000, 1_000_000], chain),
}
