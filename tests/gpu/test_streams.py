"""Streams other than the default one: work is where its caller puts it, and is waited for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import minigrad
from minigrad import nn, optim

pytestmark = pytest.mark.gpu


@pytest.fixture
def stream() -> Any:
    """A stream that the default one does not wait for."""
    if not minigrad.cuda.is_available():
        pytest.skip(f"no GPU: {minigrad.cuda.status()}")
    import cupy

    minigrad.cuda.synchronize()
    return cupy.cuda.Stream(non_blocking=True)


def test_an_index_on_another_stream_is_found_from_any_stream(stream: Any) -> None:
    x, there = minigrad.arange(6, device="cuda"), minigrad.tensor([0, 7], device="cuda")
    minigrad.cuda.synchronize()
    with stream:
        x[there]
    with pytest.raises(IndexError, match="index 7"):
        minigrad.ones(1, device="cuda").tolist()


def test_a_label_on_another_stream_is_found_from_any_stream(stream: Any) -> None:
    x, labels = minigrad.ones(2, 3, device="cuda"), minigrad.tensor([0, 7], device="cuda")
    minigrad.cuda.synchronize()
    with stream:
        nn.functional.cross_entropy(x, labels)
    with pytest.raises(IndexError, match="Target 7"):
        minigrad.cuda.synchronize()


def test_steps_on_another_stream_are_those_on_the_default_one(stream: Any) -> None:
    weights = []
    for where in (None, stream):
        with minigrad.fork_rng():
            minigrad.manual_seed(0)
            net = nn.Sequential(nn.Linear(5, 4), nn.ReLU(), nn.Dropout(0.5), nn.Linear(4, 3)).cuda()
            x = minigrad.tensor(np.ones((6, 5), np.float32), device="cuda")
            y = minigrad.tensor([0, 1, 2, 0, 1, 2], device="cuda")
            optimizer = optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
            minigrad.cuda.synchronize()
            if where is not None:
                where.use()
            try:
                for _ in range(3):
                    optimizer.zero_grad()
                    nn.functional.cross_entropy(net(x), y).backward()
                    optimizer.step()
                weights.append([p.tolist() for p in net.parameters()])
            finally:
                type(stream)(null=True).use()
    assert weights[0] == weights[1]
