"""Networks and optimisers move between minigrad and PyTorch, either way, and nothing is lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minigrad as mg

WIDTHS = (12, 7, 5, 3)
OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "momentum": {"momentum": 0.9, "weight_decay": 0.01, "dampening": 0.3},
    "Nesterov": {"momentum": 0.9, "nesterov": True},
}


@pytest.fixture
def torch() -> Iterator[Any]:
    """PyTorch, whose generator is given back as it was."""
    torch = pytest.importorskip("torch")
    with torch.random.fork_rng():
        yield torch


def network(m: Any, dtype: Any = np.float32) -> Any:
    """Return the chapter's kind of net, with two kinds of dropout and something in a tree."""
    n = m.nn
    body = n.Sequential(n.Linear(*WIDTHS[1:3]), n.Tanh(), n.Dropout(0.5))
    net = n.Sequential(n.Flatten(), n.Linear(*WIDTHS[:2]), n.ReLU(), n.Dropout(0.2), body)
    net.append(n.Linear(*WIDTHS[2:], bias=False))
    net.register_buffer("offset", m.rand(3))
    return net.double() if dtype == np.float64 else net


def images(n: int = 6, dtype: Any = np.float32) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(n, 3, 4)).astype(dtype)


def evaluated(m: Any, net: Any, x: np.ndarray) -> np.ndarray:
    return (net.eval()(m.from_numpy(x)) + net.offset).detach().numpy()


# ------------------------------------------------------------------------- how a state is carried

Carry = Callable[[Any, dict[str, Any], Path], dict[str, Any]]


def to_pytorch_by_arrays(torch: Any, state: dict[str, Any], path: Path) -> dict[str, Any]:
    return {name: torch.from_numpy(t.numpy().copy()) for name, t in state.items()}


def to_pytorch_by_a_file(torch: Any, state: dict[str, Any], path: Path) -> dict[str, Any]:
    pytest.importorskip("safetensors")
    from safetensors.torch import load_file

    mg.save(state, path)
    return load_file(path)


def from_pytorch_by_arrays(torch: Any, state: dict[str, Any], path: Path) -> dict[str, Any]:
    return {name: t.numpy() for name, t in state.items()}


def from_pytorch_by_its_tensors(torch: Any, state: dict[str, Any], path: Path) -> dict[str, Any]:
    return state


def from_pytorch_by_a_file(torch: Any, state: dict[str, Any], path: Path) -> dict[str, Any]:
    pytest.importorskip("safetensors")
    from safetensors.torch import save_file

    save_file(state, path)
    return mg.load(path)


@pytest.mark.parametrize(
    "there",
    [to_pytorch_by_arrays, to_pytorch_by_a_file],
    ids=["there by arrays", "there by a file"],
)
@pytest.mark.parametrize(
    "back",
    [from_pytorch_by_arrays, from_pytorch_by_its_tensors, from_pytorch_by_a_file],
    ids=["back by arrays", "back by tensors", "back by a file"],
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_network_goes_to_pytorch_and_back(
    there: Carry, back: Carry, dtype: Any, torch: Any, tmp_path: Path
) -> None:
    ours, theirs, again = network(mg, dtype), network(torch, dtype), network(mg, dtype)
    theirs.load_state_dict(there(torch, ours.state_dict(), tmp_path / "there"), strict=True)
    again.load_state_dict(back(torch, theirs.state_dict(), tmp_path / "back"), strict=True)
    assert list(ours.state_dict()) == list(theirs.state_dict()) == list(again.state_dict())
    for name, t in ours.state_dict().items():
        assert again.state_dict()[name].numpy().tobytes() == t.numpy().tobytes()
    x = images(dtype=dtype)
    value = evaluated(mg, ours, x)
    tolerance = 1e-5 if dtype == np.float32 else 1e-13
    np.testing.assert_allclose(evaluated(torch, theirs, x), value, rtol=tolerance, atol=tolerance)
    assert evaluated(mg, again, x).tobytes() == value.tobytes()


# ------------------------------------------------------------------------- in the midst of training


class Run:
    """A network in training without dropout, in either framework."""

    def __init__(self, m: Any, options: dict[str, Any]) -> None:
        self.m, self.net = m, network(m, np.float64).eval()
        self.optimizer = m.optim.SGD(self.net.parameters(), lr=0.1, **options)
        self.schedule = m.optim.lr_scheduler.StepLR(self.optimizer, 4, 0.5)

    def train(self, steps: int) -> list[float]:
        x, y = (self.m.from_numpy(a) for a in (images(dtype=np.float64), np.arange(6) % 3))
        losses = []
        for _ in range(steps):
            loss = self.m.nn.functional.cross_entropy(self.net(x), y)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            self.schedule.step()
            losses.append(loss.item())
        return losses

    def take_over(self, other: Run) -> None:
        """Continue where another run stands, perhaps one in the other framework."""
        self.net.load_state_dict(self.converted(other.net.state_dict()))
        self.optimizer.load_state_dict(self.converted(other.optimizer.state_dict()))
        self.schedule.last_epoch = other.schedule.last_epoch
        self.schedule.base_lrs = other.schedule.base_lrs

    def converted(self, state: Any) -> Any:
        """Return a nested state with this framework's tensors."""
        if isinstance(state, dict):
            return {key: self.converted(value) for key, value in state.items()}
        if isinstance(state, list):
            return [self.converted(value) for value in state]
        return self.m.from_numpy(state.numpy().copy()) if hasattr(state, "numpy") else state


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("first", ["minigrad", "PyTorch"])
def test_training_begun_in_one_framework_continues_in_the_other(
    first: str, options: dict[str, Any], torch: Any
) -> None:
    frameworks = (mg, torch) if first == "minigrad" else (torch, mg)
    start, go_on = (Run(m, options) for m in frameworks)
    start.train(6)
    go_on.take_over(start)
    np.testing.assert_allclose(go_on.train(20), start.train(20), rtol=1e-11)
    for a, b in zip(start.net.parameters(), go_on.net.parameters(), strict=True):
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-9, atol=1e-12)
