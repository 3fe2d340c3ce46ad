"""Modules, losses and the optimiser on a device, against the host."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import minigrad
from minigrad import Generator, nn, optim
from minigrad.nn import functional as F
from minigrad.nn import init
from tests.gpu.backend import Backend, on_device, on_host

PLACES = {"cuda": on_device, "cpu": on_host}


def run(call: Any, *arrays: np.ndarray) -> list[list[Any]]:
    """Return what a call of leaves gives, and the gradients of its sum: on device and host."""
    found = []
    for place in PLACES.values():
        leaves = [place(a) for a in arrays]
        leaves = [t.requires_grad_() if t.dtype.kind == "f" else t for t in leaves]
        y = call(*leaves)
        (y * minigrad.full(y.shape, 1.5, device=y.device)).sum().backward()
        found.append([y, *(t.grad for t in leaves if t.requires_grad)])
    return found


def assert_alike(backend: Backend, call: Any, *arrays: np.ndarray) -> None:
    for actual, expected in zip(*run(call, *arrays), strict=True):
        assert actual.device.type == "cuda"
        backend.assert_same(actual, expected)


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def labels(*shape: int, classes: int = 4) -> np.ndarray:
    return np.random.default_rng(1).integers(0, classes, shape)


# ------------------------------------------------------------------- layers

LAYERS: dict[str, Any] = {
    "Linear": lambda: nn.Linear(6, 4),
    "Linear without bias": lambda: nn.Linear(6, 4, bias=False),
    "Flatten": nn.Flatten,
    "ReLU": nn.ReLU,
    "Sigmoid": nn.Sigmoid,
    "Tanh": nn.Tanh,
    "Softmax": lambda: nn.Softmax(-1),
    "Identity": nn.Identity,
    "Dropout": lambda: nn.Dropout(0.4, generator=Generator(3)),
    "ReLU in place": lambda: nn.Sequential(nn.Linear(6, 4), nn.ReLU(inplace=True)),
    "Dropout in place": lambda: nn.Sequential(
        nn.Linear(6, 4), nn.Dropout(0.4, inplace=True, generator=Generator(3))
    ),
    "a perceptron": lambda: nn.Sequential(
        *(nn.Flatten(), nn.Linear(30, 16), nn.ReLU(), nn.Dropout(0.2, generator=Generator(3))),
        *(nn.Linear(16, 8), nn.ReLU(), nn.Dropout(0.5, generator=Generator(4)), nn.Linear(8, 4)),
    ),
}


@pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS)
def test_layers_and_their_gradients_are_the_hosts(backend: Backend, make: Any) -> None:
    x = normal(7, 5, 6)
    gradients = []
    for place in PLACES:
        with minigrad.fork_rng():
            minigrad.manual_seed(0)
            net = make().to(place)
        t = PLACES[place](x).requires_grad_()
        (net(t) * 1.5).sum().backward()
        gradients.append([t.grad, *(p.grad for p in net.parameters())])
    for actual, expected in zip(*gradients, strict=True):
        backend.assert_same(actual, expected)


# ------------------------------------------------------------------- dropout


@pytest.mark.parametrize("p", [0.0, 1e-9, 0.2, 0.5, 0.999, 1.0])
@pytest.mark.parametrize("shape", [(), (0,), (1,), (7,), (8,), (9,), (3, 1000), (256, 256)])
def test_the_same_seed_drops_the_same_elements_on_each_device(
    backend: Backend, p: float, shape: tuple[int, ...]
) -> None:
    generators = {place: Generator(7) for place in PLACES}
    for _ in range(3):
        there, here = (
            F.dropout(minigrad.ones(shape, device=place), p, generator=generator)
            for place, generator in generators.items()
        )
        np.testing.assert_array_equal(there.cpu().numpy(), here.numpy())
        assert generators["cuda"].get_state() == generators["cpu"].get_state()


def test_backward_reuses_the_forward_mask(backend: Backend) -> None:
    x = minigrad.ones(1000, device="cuda", requires_grad=True)
    y = F.dropout(x, 0.3, generator=Generator(1))
    y.sum().backward()
    assert x.grad.tolist() == y.tolist()


def test_a_mask_is_drawn_where_it_is_needed(backend: Backend) -> None:
    x = minigrad.ones(100, device="cuda", requires_grad=True)
    F.dropout(x, 0.3)  # compiles, the first time
    with backend.unwaited():
        F.dropout(x, 0.3).sum().backward()


def test_a_mask_can_be_injected_and_nothing_is_drawn_then(backend: Backend) -> None:
    x = minigrad.ones(2, 3, device="cuda")
    keep = minigrad.tensor([True, False, True], device="cuda")
    generator = Generator(1)
    y = F.dropout(x, 0.5, mask=keep, generator=generator)
    assert y.tolist() == [[2, 0, 2]] * 2
    assert generator.get_state() == (1, 0, 0)
    assert F.dropout(x, 0.5, training=False) is F.dropout(x, 0.0) is x


def test_a_dropped_infinity_is_nan_as_on_the_host(backend: Backend) -> None:
    x = minigrad.tensor([np.inf, np.nan, -1.0, 1.0], device="cuda")
    keep = minigrad.tensor([False, False, False, True], device="cuda")
    y = F.dropout(x, 0.5, mask=keep).cpu().numpy()
    np.testing.assert_array_equal(y, [np.nan, np.nan, -0.0, 2.0])
    assert np.signbit(y[2])


# ------------------------------------------------------------------- losses

CROSS_ENTROPIES: dict[str, dict[str, Any]] = {
    "plain": {},
    "summed": {"reduction": "sum"},
    "one by one": {"reduction": "none"},
    "ignoring": {"ignore_index": 2},
    "smoothed": {"label_smoothing": 0.1},
    "weighted": {"weight": np.array([1, 0.5, 2, 0.1], np.float32)},
    "all at once": {
        "weight": np.array([1, 0.5, 2, 0.1], np.float32),
        "ignore_index": 0,
        "label_smoothing": 0.3,
    },
}


@pytest.mark.parametrize("options", CROSS_ENTROPIES.values(), ids=CROSS_ENTROPIES)
@pytest.mark.parametrize("shape", [(4,), (9, 4), (3, 4, 5)])
def test_cross_entropy_is_the_hosts(
    backend: Backend, shape: tuple[int, ...], options: dict[str, Any]
) -> None:
    dim = min(len(shape) - 1, 1)
    target = labels(*shape[:dim], *shape[dim + 1 :])
    if not options:
        assert_alike(backend, F.cross_entropy, normal(*shape), np.abs(normal(*shape, seed=2)))

    def loss(x: Any, y: Any) -> Any:
        weight = options.get("weight")
        place = PLACES[x.device.type]
        return F.cross_entropy(
            x, y, **{**options, "weight": None if weight is None else place(weight)}
        )

    assert_alike(backend, loss, normal(*shape), target)


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_other_losses_are_the_hosts(backend: Backend, reduction: str) -> None:
    x, y = normal(5, 4), normal(5, 4, seed=1)
    assert_alike(backend, lambda a, b: F.mse_loss(a, b, reduction), x, y)
    assert_alike(
        backend,
        lambda a, b: F.nll_loss(a.log_softmax(1), b, ignore_index=1, reduction=reduction),
        *(x, labels(5)),
    )


def test_the_mean_over_nothing_is_nan_and_its_gradient_zero(backend: Backend) -> None:
    x = minigrad.tensor(normal(3, 4), device="cuda", requires_grad=True)
    nothing = minigrad.full((3,), -100, device="cuda")
    with backend.unwaited():
        loss = F.cross_entropy(x, nothing)
        loss.backward()
    assert loss.dtype == np.float32
    assert math.isnan(loss.item())
    assert x.grad.tolist() == [[0] * 4] * 3


READS: dict[str, Any] = {
    "item": lambda t: t.item(),
    "tolist": lambda t: t.tolist(),
    "float": float,
    "bool": bool,
    "cpu": lambda t: t.cpu(),
    "repr": repr,
    "synchronize": lambda t: minigrad.cuda.synchronize(),
}


@pytest.mark.parametrize("read", READS.values(), ids=READS)
@pytest.mark.parametrize("wrong", [4, -1])
def test_a_wrong_label_raises_with_the_next_thing_that_is_read(
    backend: Backend, wrong: int, read: Any
) -> None:
    x = minigrad.tensor(normal(3, 4), device="cuda", requires_grad=True)
    good, bad = (minigrad.tensor([0, 3, label], device="cuda") for label in (1, wrong))
    with backend.unwaited():  # nobody waits to know
        loss = F.cross_entropy(x, bad)
        F.cross_entropy(x, good)
    with pytest.raises(IndexError, match="out of bounds: expected class indices from 0 to 3"):
        read(loss)
    read(loss)  # it is said once
    F.cross_entropy(x, good).item()


def test_labels_that_no_kernel_takes_are_not_waited_for(backend: Backend) -> None:
    x = minigrad.tensor(normal(3, 4), device="cuda", requires_grad=True)
    labels = minigrad.tensor([0, 3, 1], dtype=minigrad.uint8, device="cuda")
    with backend.unwaited():
        F.cross_entropy(x, labels).backward()
    host = minigrad.tensor(x.detach().cpu().numpy(), requires_grad=True)
    F.cross_entropy(host, labels.cpu()).backward()
    np.testing.assert_allclose(x.grad.cpu().numpy(), host.grad.numpy(), rtol=1e-5)


def test_a_wrong_label_of_one_loss_is_not_forgotten_for_another(backend: Backend) -> None:
    few, many = (minigrad.tensor(normal(2, n), device="cuda") for n in (3, 9))
    y = minigrad.tensor([0, 5], device="cuda")
    for _ in range(2):
        losses = F.cross_entropy(few, y), F.cross_entropy(many, y)
        with pytest.raises(IndexError, match="from 0 to 2"):
            losses[1].item()


def test_an_ignored_label_may_be_out_of_range(backend: Backend) -> None:
    x = minigrad.tensor(normal(3, 4), device="cuda")
    F.cross_entropy(x, minigrad.tensor([0, -100, 1], device="cuda")).item()
    F.cross_entropy(x, minigrad.tensor([0, 9, 1], device="cuda"), ignore_index=9).item()


# ------------------------------------------------------------------- optimiser, initial values

OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "momentum": {"momentum": 0.9},
    "dampened": {"momentum": 0.9, "dampening": 0.5},
    "nesterov": {"momentum": 0.9, "nesterov": True},
    "weight decay": {"weight_decay": 0.01},
    "all": {"momentum": 0.9, "nesterov": True, "weight_decay": 0.01, "maximize": True},
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_steps_of_sgd_are_the_hosts(backend: Backend, options: dict[str, Any]) -> None:
    found = []
    for place in PLACES.values():
        p = place(normal(4, 3)).requires_grad_()
        optimizer = optim.SGD([p], lr=0.1, **options)
        for _ in range(5):
            optimizer.zero_grad()
            (p * p * p).sum().backward()
            optimizer.step()
        found.append(p)
    backend.assert_same(*found)


FILLS = {
    "uniform": lambda t, g: init.uniform_(t, -1, 1, g),
    "normal": lambda t, g: init.normal_(t, 0, 0.01, g),
    "constant": lambda t, g: init.constant_(t, 0.25),
    "xavier": lambda t, g: init.xavier_normal_(t, generator=g),
    "kaiming": lambda t, g: init.kaiming_uniform_(t, generator=g),
}


@pytest.mark.parametrize("fill", FILLS.values(), ids=FILLS)
def test_initial_values_are_the_same_on_each_device(backend: Backend, fill: Any) -> None:
    there, here = (minigrad.zeros(5, 4, device=place) for place in PLACES)
    fill(there, Generator(2))
    fill(here, Generator(2))
    np.testing.assert_array_equal(there.cpu().numpy(), here.numpy())
    assert there.device.type == "cuda"


def test_bernoulli_is_the_same_on_each_device(backend: Backend) -> None:
    p = np.linspace(0, 1, 50, dtype=np.float32)
    there, here = (
        minigrad.bernoulli(place(p), generator=Generator(5)) for place in PLACES.values()
    )
    np.testing.assert_array_equal(there.cpu().numpy(), here.numpy(), strict=True)
    bad = minigrad.bernoulli(minigrad.tensor([0.5, 1.5], device="cuda"))
    with pytest.raises(ValueError, match=r"probabilities must be in \[0, 1\]"):
        bad.tolist()
