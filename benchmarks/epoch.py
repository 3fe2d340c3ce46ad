"""One epoch of the chapter's training, minigrad against PyTorch eager: 784-256-256-10, batch 256.

    python -m benchmarks.epoch [--repeats N] [--images N]

Images are in memory as float32 on both sides, and each step gathers its batch by the same shuffled
indices. The numbers in the images do not matter for the time. Each framework draws its own masks.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
import torch

import minigrad
from benchmarks.pairs import compare, machine
from models import init_weights, mlp

BATCH = 256


def main() -> None:
    """Print seconds per epoch, with dropout and without."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.epoch")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--images", type=int, default=60_000)
    args = parser.parse_args()
    rng = np.random.default_rng(0)
    x = rng.random((args.images, 784), np.float32)
    y = rng.integers(0, 10, args.images)
    print(machine())
    print("| seconds per epoch | minigrad | PyTorch | ratio (quartiles) |\n|---|---|---|---|")
    for name, p in ("with dropout .2/.5", (0.2, 0.5)), ("without dropout", (0.0, 0.0)):
        ours, theirs = _ours(x, y, p), _theirs(x, y, p)
        print(compare(ours, theirs, args.repeats, warmup=1).row(name))


def _ours(x: np.ndarray, y: np.ndarray, p: tuple[float, float]) -> Any:
    net = mlp(dropout=p).apply(init_weights)
    order = np.random.default_rng(1).permutation(len(x))
    return _epoch(minigrad, net, minigrad.from_numpy(x), minigrad.from_numpy(y), order)


def _theirs(x: np.ndarray, y: np.ndarray, p: tuple[float, float]) -> Any:
    nn = torch.nn
    layers = [nn.Flatten(), nn.Linear(784, 256), nn.ReLU(), nn.Dropout(p[0])]
    layers += [nn.Linear(256, 256), nn.ReLU(), nn.Dropout(p[1]), nn.Linear(256, 10)]
    if p == (0.0, 0.0):
        layers = [layer for layer in layers if not isinstance(layer, nn.Dropout)]
    order = torch.from_numpy(np.random.default_rng(1).permutation(len(x)))
    return _epoch(torch, nn.Sequential(*layers), torch.from_numpy(x), torch.from_numpy(y), order)


def _epoch(framework: Any, net: Any, x: Any, y: Any, order: Any) -> Any:
    """Return a function that trains for an epoch: the same code for both frameworks."""
    loss = framework.nn.CrossEntropyLoss()
    optimizer = framework.optim.SGD(net.parameters(), lr=0.01)

    def run() -> None:
        for i in range(0, len(x), BATCH):
            batch = order[i : i + BATCH]
            optimizer.zero_grad()
            loss(net(x[batch]), y[batch]).backward()
            optimizer.step()

    return run


if __name__ == "__main__":
    main()
