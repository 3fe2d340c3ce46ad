"""Training on a device against PyTorch's: on a GPU that of the same GPU, through DLPack.

Weights are copied once, batches and masks are the same arrays. Where PyTorch
has no GPU, as on the fake CuPy, it computes on the CPU, with copies.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import minigrad
from minigrad import Generator, nn, optim
from models import mlp
from tests.gpu.backend import Backend

torch = pytest.importorskip("torch")

WIDTHS, BATCH, P = (20, 3, (16, 8)), 12, (0.2, 0.5)
SETTINGS: dict[str, dict[str, Any]] = {
    "plain": {},
    "momentum": {"momentum": 0.9, "weight_decay": 0.01},
    "nesterov": {"momentum": 0.9, "nesterov": True},
}


def shared(backend: Backend, tensor: Any) -> Any:
    """Return PyTorch's view of a tensor's memory; of a copy, where PyTorch has no GPU."""
    if backend.fake or not torch.cuda.is_available():
        return torch.from_numpy(tensor.detach().cpu().numpy().copy())
    return torch.from_dlpack(tensor.array)


class Theirs:
    """PyTorch's network with the weights of another, and with masks that are given to it."""

    def __init__(self, backend: Backend, net: Any, **settings: Any) -> None:
        self.parameters = [shared(backend, p).clone().requires_grad_() for p in net.parameters()]
        self.optimizer = torch.optim.SGD(self.parameters, lr=0.1, **settings)

    def loss(self, x: Any, y: Any, masks: list[Any]) -> Any:
        layers = list(zip(self.parameters[::2], self.parameters[1::2], strict=True))
        h = x
        for i, (weight, bias) in enumerate(layers):
            h = torch.nn.functional.linear(h, weight, bias)
            if i < len(masks):
                h = torch.relu(h) * masks[i] * (1 / (1 - P[i]))
        return torch.nn.functional.cross_entropy(h, y)

    def step(self, loss: Any) -> None:
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()


def network() -> tuple[Any, Generator]:
    with minigrad.fork_rng():
        minigrad.manual_seed(0)
        masks = Generator(2)
        return mlp(*WIDTHS, P, generator=masks).cuda(), masks


def batches(steps: int) -> list[tuple[Any, Any]]:
    rng = np.random.default_rng(1)
    return [
        (
            minigrad.tensor(rng.random((BATCH, WIDTHS[0]), np.float32), device="cuda"),
            minigrad.tensor(rng.integers(0, WIDTHS[1], BATCH), device="cuda"),
        )
        for _ in range(steps)
    ]


def close(backend: Backend, actual: Any, expected: Any, rtol: float) -> None:
    """Assert that a tensor of ours is one of theirs, nearly."""
    there, scale = shared(backend, actual), expected.detach().abs().max().item()
    torch.testing.assert_close(there, expected.detach(), rtol=rtol, atol=rtol * scale)


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_loss_gradients_and_weights_are_pytorchs_step_by_step(
    backend: Backend, settings: dict[str, Any]
) -> None:
    net, generator = network()
    theirs = Theirs(backend, net, **settings)
    optimizer = optim.SGD(net.parameters(), lr=0.1, **settings)
    replay = Generator(0)
    for i, (x, y) in enumerate(batches(20)):
        replay.set_state(generator.get_state())
        masks = [
            minigrad.as_tensor(replay.keep_mask((BATCH, width), p, x.device))
            for width, p in zip(WIDTHS[2], P, strict=True)
        ]
        loss = nn.functional.cross_entropy(net(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        given = [shared(backend, t) for t in (x, y, *masks)]
        expected = theirs.loss(*given[:2], given[2:])
        theirs.step(expected)
        rtol = 1e-5 if i == 0 else 1e-3
        close(backend, loss, expected, rtol)
        for ours, other in zip(net.parameters(), theirs.parameters, strict=True):
            close(backend, ours.grad, other.grad, rtol)
            close(backend, ours, other, rtol)
    assert generator.get_state() == replay.get_state()


@pytest.mark.gpu
@pytest.mark.hardware
def test_memory_is_shared_with_pytorch_in_both_directions() -> None:
    if not minigrad.cuda.is_available():
        pytest.skip(f"no GPU: {minigrad.cuda.status()}")
    ours = minigrad.zeros(3, device="cuda")
    theirs = torch.from_dlpack(ours.array)
    theirs += 1
    torch.cuda.synchronize()
    assert ours.tolist() == [1, 1, 1]
    ours.add_(1)
    minigrad.cuda.synchronize()
    assert theirs.tolist() == [2, 2, 2]
