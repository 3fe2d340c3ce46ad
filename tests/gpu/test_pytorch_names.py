"""What users of PyTorch reach for, on a device: Adam, draws, lazy layers, text, late checks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import minigrad
from minigrad import Generator, nn, optim
from minigrad.nn import functional as F
from tests.gpu.backend import Backend, on_device, on_host


def both(call: Any, *arrays: np.ndarray) -> tuple[Any, Any]:
    return call(*map(on_device, arrays)), call(*map(on_host, arrays))


@pytest.mark.parametrize(
    "options",
    [{}, {"amsgrad": True, "weight_decay": 0.1, "maximize": True}],
    ids=["plain", "with options"],
)
@pytest.mark.parametrize("make", [optim.Adam, optim.AdamW])
def test_adam_takes_the_hosts_steps_and_its_state_moves(
    backend: Backend, make: Any, options: dict[str, Any]
) -> None:
    start = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    params = [place(start.copy()).requires_grad_() for place in (on_device, on_host)]
    optimizers = [make([p], lr=0.05, **options) for p in params]
    for _ in range(5):
        for p, optimizer in zip(params, optimizers, strict=True):
            optimizer.zero_grad()
            (p * p * p).sum().backward()
            optimizer.step()
    backend.assert_same(params[0], params[1], exact=False)
    moved = params[1].detach().to("cuda").requires_grad_()
    other = make([moved], lr=0.05, **options)
    other.load_state_dict(optimizers[1].state_dict())
    for p, optimizer in ((params[1], optimizers[1]), (moved, other)):
        optimizer.zero_grad()
        (p * p).sum().backward()
        optimizer.step()
    assert moved.device.type == other.state[moved]["exp_avg"].device.type == "cuda"
    backend.assert_same(moved, params[1], exact=False)


def test_draws_are_the_hosts(backend: Backend) -> None:
    weights = np.array([[0.2, 0.0, 0.8], [0.5, 0.4, 0.1]])
    for replacement in (True, False):
        y, expected = both(
            lambda w, r=replacement: w.multinomial(2, r, generator=Generator(1)), weights
        )
        backend.assert_same(y, expected)
    for call in (
        lambda x: minigrad.normal(x, 2.0, generator=Generator(2)),
        lambda x: minigrad.rand_like(x, generator=Generator(2)),
        lambda x: minigrad.randn_like(x, generator=Generator(2)),
        lambda x: x.clone().bernoulli_(0.3, generator=Generator(2)),
        lambda x: minigrad.empty_like(x),
    ):
        y, expected = both(call, weights)
        assert y.device.type == "cuda"
        backend.assert_same(y, expected)


def test_losses_are_the_hosts(backend: Backend) -> None:
    rng = np.random.default_rng(0)
    x, t = rng.normal(size=(2, 4, 3))
    for call in (
        nn.L1Loss(),
        lambda a, b: F.binary_cross_entropy_with_logits(a, b.sigmoid(), pos_weight=b[0] * b[0]),
        lambda a, b: F.one_hot((b > 0).long(), 3) * a.unsqueeze(-1),
        lambda a, b: minigrad.tensor([minigrad.allclose(a, b), a.equal(a)]),
        lambda a, b: minigrad.isclose(a, b, 0.5),
    ):
        y, expected = both(call, x, t)
        backend.assert_same(y.cpu(), expected, exact=False)


def test_a_lazy_layer_is_where_its_container_was_moved(backend: Backend) -> None:
    net = nn.Sequential(nn.LazyLinear(3), nn.ReLU(), nn.LazyLinear(1)).to("cuda")
    y = net(minigrad.ones(2, 5, device="cuda"))
    assert y.device.type == net[0].weight.device.type == "cuda"
    assert nn.Linear(2, 2, device="cuda").weight.device.type == "cuda"


def test_a_tensor_is_printed_with_its_device(backend: Backend) -> None:
    x = minigrad.tensor([0.5, 1.0], device="cuda")
    assert repr(x) == f"tensor([0.5000, 1.0000], device='{x.device}')"


def test_an_index_that_gather_refuses_is_reported_with_the_next_thing_that_is_read(
    backend: Backend,
) -> None:
    x = minigrad.ones(2, 2, device="cuda")
    y = x.gather(1, minigrad.tensor([[0], [1]], device="cuda"))
    assert y.tolist() == [[1.0], [1.0]]
    wrong = x.gather(1, minigrad.tensor([[0], [-1]], device="cuda"))
    with pytest.raises((RuntimeError, IndexError), match=r"out of (bounds|range)"):
        wrong.tolist()
