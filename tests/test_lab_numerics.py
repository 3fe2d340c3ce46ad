"""minigrad's numerics version is raised when a training from the same seed gives other bits.

What is compared is the same on every machine: random numbers, masks, orders; ops that work element
by element and are rounded once each, as IEEE 754 says; and matrix products and sums of numbers so
small and whole that no order of summation rounds. What it cannot see: an order of summation inside
a product or a sum, which the BLAS chooses and which differs from machine to machine; and the last
bit of exp, log and cos, which the C library chooses. So a training is compared in its digits too.
"""

from __future__ import annotations

import hashlib

import numpy as np

import minigrad
from minigrad import Generator, nn, optim
from minigrad.nn import functional
from minigrad.utils.data import DataLoader, TensorDataset
from models import dropout_layer

#: of the version of minigrad's numerics; when the first changes, raise `minigrad.__numerics__`
EXACT = {1: "6e3b9d379a785b930468ca868c1f58b0"}
DIGITS = {1: 1.0092}


def exact() -> str:
    """Return a checksum of what is the same on every machine."""
    found: list[np.ndarray] = []
    generator = Generator(7)
    children = generator.spawn(3)
    found.append(np.array([child.get_state() for child in children], dtype=np.uint64))
    a, b, c = children
    found += [minigrad.randperm(1000, generator=a).numpy(), a.uniform(1000), a.words(9)]
    found += [a.keep_mask((37, 11), p) for p in (0.2, 0.5, 0.579260)]
    x = minigrad.rand(40, 30, generator=b).requires_grad_()
    for p in (0.2, 0.3):
        y = functional.dropout(x, p, generator=b) + dropout_layer(x, p, b)
        (y * y * 0.1 - x / 3).backward(minigrad.ones(40, 30))
    found.append(x.grad.numpy())
    found += elementwise_training(c) + whole_training(c)
    digest = hashlib.sha256()
    for array in found:
        digest.update(f"{array.dtype.str} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:32]


def elementwise_training(generator: Generator) -> list[np.ndarray]:
    """Return parameters after steps of SGD in each form, with gradients that are given."""
    found = []
    for settings in (
        {"lr": 0.1},
        {"lr": 0.1, "momentum": 0.9, "weight_decay": 1e-3},
        {"lr": 0.3, "momentum": 0.9, "nesterov": True},
    ):
        p = minigrad.rand(501, generator=generator).requires_grad_()
        optimizer = optim.SGD([p], **settings)
        for _ in range(5):
            optimizer.zero_grad()
            (p * minigrad.rand(501, generator=generator)).backward(minigrad.ones(501))
            optimizer.step()
        found.append(p.detach().numpy())
    return found


def whole_training(generator: Generator, double: bool = False) -> list[np.ndarray]:
    """Return a network after an epoch in numbers that are whole multiples of powers of two."""
    dtype = minigrad.float64 if double else minigrad.float32
    x = minigrad.randint(-2, 3, (8, 6), generator=generator).to(dtype)
    y = minigrad.randint(-2, 3, (8, 2), generator=generator).to(dtype)
    first, second = nn.Linear(6, 4), nn.Linear(4, 2)
    parameters = [*first.to(dtype).parameters(), *second.to(dtype).parameters()]
    with minigrad.no_grad():
        for p in parameters:
            p[...] = minigrad.randint(-1, 2, tuple(p.shape), generator=generator).to(dtype)
    dropout = nn.Dropout(0.5, generator=generator)
    optimizer = optim.SGD(parameters, lr=2.0**-6)
    for xs, ys in DataLoader(TensorDataset(x, y), 4, shuffle=True, generator=generator):
        optimizer.zero_grad()
        z = second(dropout(functional.relu(first(xs)))) - ys
        (z * z).sum().backward()
        optimizer.step()
    return [p.detach().numpy() for p in parameters]


def digits() -> float:
    """Return the loss of a short training by the chapter's recipe, which is rounded everywhere."""
    weights, shuffling, masks = Generator(3).spawn(3)
    with minigrad.fork_rng():
        minigrad.random.set_rng_state(weights.get_state())
        layers = (nn.Linear(20, 16), nn.ReLU(), nn.Dropout(0.2, generator=masks), nn.Linear(16, 4))
        net = nn.Sequential(*layers)
        x, y = minigrad.randn(64, 20), minigrad.randint(0, 4, (64,))
    optimizer = optim.SGD(net.parameters(), lr=0.5)
    for _ in range(4):
        for xs, ys in DataLoader(TensorDataset(x, y), 16, shuffle=True, generator=shuffling):
            optimizer.zero_grad()
            functional.cross_entropy(net(xs), ys).backward()
            optimizer.step()
    return float(functional.cross_entropy(net.eval()(x), y).item())


def test_bits_that_every_machine_shares_change_only_with_the_numerics_version() -> None:
    assert EXACT.get(minigrad.__numerics__) == exact(), (
        "a training from the same seed gives other bits than before: raise minigrad.__numerics__ "
        f"by one, and add to EXACT {minigrad.__numerics__ + 1}: {exact()!r}, and to DIGITS "
        f"{minigrad.__numerics__ + 1}: {digits():.4f}"
    )


def test_a_trainings_digits_change_only_with_the_numerics_version() -> None:
    assert abs(DIGITS[minigrad.__numerics__] - digits()) < 2e-4


def test_the_training_in_whole_numbers_rounds_nothing() -> None:
    for seed in range(20):
        single, double = (whole_training(Generator(seed), double) for double in (False, True))
        for p, q in zip(single, double, strict=True):
            np.testing.assert_array_equal(p.astype(np.float64), q)
