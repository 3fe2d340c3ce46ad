"""The same training, 784-256-256-10 in batches of 256, written for each framework.

Each function returns one that trains for an epoch. Images and labels lie in memory as float32 and
int64 wherever the framework wants them, every step gathers its batch by the same shuffled indices,
and each framework draws dropout's masks as its users do. PyTorch and minigrad run the very same
lines.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

import minigrad
from benchmarks.floor import matrix_products
from benchmarks.surroundings import version

WIDTHS = (784, 256, 256, 10)
BATCH = 256
LR = 0.01
Epoch = Callable[[], object]


def contestants(images: int, p: tuple[float, float]) -> dict[str, Epoch | None]:
    """Return everybody's epoch, by name; None for a framework that is not installed.

    Args:
        images: how many; what they show does not matter for the time.
        p: dropout after each hidden layer; (0, 0) for a network without.
    """
    rng = np.random.default_rng(0)
    x = rng.random((images, WIDTHS[0]), np.float32)
    y = rng.integers(0, WIDTHS[-1], images)
    order = rng.permutation(images)
    torch_there = version("torch") is not None
    return {
        "minigrad": of_minigrad(x, y, order, p),
        "PyTorch": of_pytorch(x, y, order, p) if torch_there else None,
        "torch.compile": of_pytorch(x, y, order, p, compiled=True) if torch_there else None,
        "JAX, jit": of_jax(x, y, order, p) if version("jax") else None,
        "MyGrad": of_mygrad(x, y, order, p) if version("mygrad") else None,
        "NumPy by hand": by_hand(x, y, order, p),
        **({"the same, with minigrad's masks": by_hand(x, y, order, p, True)} if any(p) else {}),
        "matrix products alone": products_alone(images),
    }


def of_minigrad(x: Any, y: Any, order: Any, p: tuple[float, float]) -> Epoch:
    """minigrad."""
    return _torch_like(minigrad, minigrad.from_numpy, x, y, order, p)


def of_pytorch(x: Any, y: Any, order: Any, p: tuple[float, float], compiled: bool = False) -> Epoch:
    """PyTorch, eager or with forward and backward compiled."""
    import torch

    compiler = torch.compile if compiled else None
    return _torch_like(torch, torch.from_numpy, x, y, order, p, compiler)


def _torch_like(
    framework: Any,
    tensor: Callable[[Any], Any],
    x: Any,
    y: Any,
    order: Any,
    p: tuple[float, float],
    compiler: Callable[[Any], Any] | None = None,
) -> Epoch:
    nn = framework.nn
    layers = [nn.Flatten()]
    for i, (inputs, outputs) in enumerate(pairwise(WIDTHS)):
        layers.append(nn.Linear(inputs, outputs))
        if i < len(p):
            layers += [nn.ReLU(), nn.Dropout(p[i])] if p[i] else [nn.ReLU()]
    net, loss = nn.Sequential(*layers), nn.CrossEntropyLoss()
    optimizer = framework.optim.SGD(net.parameters(), lr=LR)
    x, y, order = tensor(x), tensor(y), tensor(order)

    def objective(images: Any, labels: Any) -> Any:
        return loss(net(images), labels)

    objective = compiler(objective) if compiler else objective

    def run() -> None:
        for i in range(0, len(x), BATCH):
            batch = order[i : i + BATCH]
            optimizer.zero_grad()
            objective(x[batch], y[batch]).backward()
            optimizer.step()

    return run


def of_jax(x: Any, y: Any, order: Any, p: tuple[float, float]) -> Epoch:
    """JAX: gather, forward, backward and update compiled as one function."""
    import jax
    import jax.numpy as jnp

    def objective(parameters: Any, images: Any, labels: Any, key: Any) -> Any:
        h = images
        for i, (w, b) in enumerate(parameters):
            h = h @ w.T + b
            if i < len(p):
                h = jax.nn.relu(h)
                if p[i]:
                    key, now = jax.random.split(key)
                    h = jnp.where(jax.random.bernoulli(now, 1 - p[i], h.shape), h / (1 - p[i]), 0)
        return -jax.nn.log_softmax(h)[jnp.arange(len(labels)), labels].mean()

    @partial(jax.jit, donate_argnums=0)
    def step(parameters: Any, x: Any, y: Any, batch: Any, key: Any) -> Any:
        gradients = jax.grad(objective)(parameters, x[batch], y[batch], key)
        return jax.tree.map(lambda w, g: w - LR * g, parameters, gradients)

    parameters = [(jnp.asarray(w), jnp.asarray(b)) for w, b in _initial()]
    x, y, order = jnp.asarray(x), jnp.asarray(y), jnp.asarray(order)
    key = jax.random.key(0)

    def run() -> None:
        nonlocal parameters, key
        for i in range(0, len(x), BATCH):
            key, now = jax.random.split(key)
            parameters = step(parameters, x, y, order[i : i + BATCH], now)
        jax.block_until_ready(parameters)

    return run


def of_mygrad(x: Any, y: Any, order: Any, p: tuple[float, float]) -> Epoch:
    """MyGrad, its guard against writes into a recorded array switched off for speed."""
    import mygrad
    from mygrad.nnet.activations import relu
    from mygrad.nnet.losses import softmax_crossentropy

    parameters = [(mygrad.tensor(w), mygrad.tensor(b)) for w, b in _initial()]
    rng = np.random.default_rng(0)

    def run() -> None:
        with mygrad.mem_guard_off:
            for i in range(0, len(x), BATCH):
                batch = order[i : i + BATCH]
                h: Any = x[batch]
                for j, (w, b) in enumerate(parameters):
                    h = mygrad.matmul(h, w.T) + b
                    if j < len(p):
                        h = relu(h)
                        if p[j]:
                            keep = rng.random(h.shape, np.float32) >= p[j]
                            h = h * (keep * np.float32(1 / (1 - p[j])))
                softmax_crossentropy(h, y[batch]).backward()
                for parameter in (q for layer in parameters for q in layer):
                    parameter.data -= np.float32(LR) * parameter.grad
                    parameter.null_grad()

    return run


def by_hand(x: Any, y: Any, order: Any, p: tuple[float, float], same_masks: bool = False) -> Epoch:
    """No engine: the derivative written out in NumPy, into arrays that are used again.

    Masks take 16 random bits an element and never more, from NumPy's quickest generator (SFC64);
    minigrad's are counter-based, and p is exact to 2⁻³³.

    Args:
        x, y, order, p: as for everybody.
        same_masks: draw minigrad's masks instead: what an engine of NumPy could reach at best.
    """
    weights, biases = map(list, zip(*_initial(), strict=True))
    bits, generator = np.random.SFC64(0), minigrad.Generator(0)

    def forward_mask(h: Any, p: float) -> Any:
        if same_masks:
            keep = generator.keep_mask(h.shape, p)
        else:
            lanes = bits.random_raw((h.size + 3) // 4).view(np.uint16)[: h.size]
            keep = (lanes >= round(p * 65536)).reshape(h.shape)
        h *= keep
        h *= np.float32(1 / (1 - p))
        return keep

    def run() -> None:
        for i in range(0, len(x), BATCH):
            batch = order[i : i + BATCH]
            hidden, masks = [x.take(batch, axis=0)], []
            for j, (w, b) in enumerate(zip(weights, biases, strict=True)):
                h = hidden[-1] @ w.T
                h += b
                hidden.append(h)
                if j < len(p):
                    np.maximum(h, 0, out=h)
                    masks.append(forward_mask(h, p[j]) if p[j] else None)
            g = hidden.pop()  # the logits, from here on the gradient
            g -= g.max(axis=1, keepdims=True)
            np.exp(g, out=g)
            g /= g.sum(axis=1, keepdims=True)
            g[np.arange(len(g)), y[batch]] -= 1
            g /= len(g)
            for j in reversed(range(len(weights))):
                h, w = hidden[j], weights[j]
                dw, db = g.T @ h, g.sum(axis=0)
                if j:
                    g = g @ w
                    g *= h > 0  # of what was dropped h is 0 too: this is the mask as well
                    if p[j - 1]:
                        g *= np.float32(1 / (1 - p[j - 1]))
                dw *= np.float32(LR)
                w -= dw
                biases[j] -= np.float32(LR) * db

    return run


def products_alone(images: int) -> Epoch:
    """The floor: as many steps, each its matrix products and nothing else."""
    whole, rest = divmod(images, BATCH)
    step = matrix_products(WIDTHS, BATCH)
    last = matrix_products(WIDTHS, rest) if rest else lambda: None

    def run() -> None:
        for _ in range(whole):
            step()
        last()

    return run


def _initial() -> list[tuple[Any, Any]]:
    """Return weights and biases for each layer, as PyTorch draws them."""
    rng = np.random.default_rng(0)
    layers = []
    for inputs, outputs in pairwise(WIDTHS):
        bound = 1 / math.sqrt(inputs)
        w = rng.uniform(-bound, bound, (outputs, inputs)).astype(np.float32)
        layers.append((w, rng.uniform(-bound, bound, outputs).astype(np.float32)))
    return layers
