"""The chapter's recipe, 300 steps on real images, with PyTorch beside minigrad.

Both start from the same weights and get the same batches and the same masks: minigrad draws (or is
given) them, and PyTorch multiplies by ``keep * scale``, with ``keep`` computed here.

In float64 the two share nothing but the numbers that go in. At this learning rate rounding errors
grow: PyTorch started from weights that are off by one rounding has left itself, by the norm of a
tensor, by 1e-13 after 50 steps, 2e-10 after 100 and 2e-7 after 300. So what may lie between the two
begins with 1e-11, and grows tenfold every 50 steps.

In float32 no two programs stay together for that long: a pre-activation that is zero up to rounding
passes ReLU in one and not in the other, gradients jump, and the high learning rate makes the most
of it. PyTorch started from weights that are off by one rounding leaves itself by more than 1e-4
within 100 steps. So there each of 100 steps starts from minigrad's weights on both sides,
PyTorch's ReLU passes what passed minigrad's, and after each step every tensor has to agree by its
norm to 1e-6, and its gradient to 1e-5; the two ReLUs may disagree only about numbers that are zero
up to rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import minigrad
from data.fashion_mnist import SAMPLE_DIR, load_fashion_mnist
from minigrad import nn
from minigrad.nn import functional as F
from models import Net, init_weights, mlp
from tests.contract import mask_numbers

STEPS = 300
BATCH, LR, RATES, WIDTHS = 256, 0.5, (0.2, 0.5), (784, 256, 256, 10)

Array = np.ndarray
Masks = list[Array]


@pytest.fixture(scope="module")
def batches() -> list[tuple[Array, Array]]:
    """The images and labels of the batches, in an order drawn at random; epochs of 39 batches."""
    train, _ = load_fashion_mnist(SAMPLE_DIR, quiet=True)
    rng = np.random.default_rng(0)
    order: list[int] = []
    while len(order) < STEPS * BATCH:
        order.extend(rng.permutation(len(train))[: len(train) // BATCH * BATCH])
    chosen = np.array(order[: STEPS * BATCH]).reshape(STEPS, BATCH)
    return [tuple(t.numpy() for t in train[index]) for index in chosen]


# ------------------------------------------------------------------------- minigrad's side

#: one forward pass: logits, both masks, and what passed each ReLU
Forward = Callable[[minigrad.Tensor], tuple[minigrad.Tensor, Masks, Masks]]


def philox(generator: minigrad.Generator, p: float) -> Array:
    """Return the next mask that a generator owes, by NumPy alone; the generator stays put."""
    numbers = mask_numbers(generator.get_state(), BATCH * WIDTHS[1])
    return (numbers >= round(p * 2**32)).reshape(BATCH, WIDTHS[1])


def drawn_by_modules(net: nn.Sequential) -> Forward:
    """nn.Sequential with nn.Dropout, which draws masks by itself."""

    def forward(x: minigrad.Tensor) -> tuple[minigrad.Tensor, Masks, Masks]:
        masks, passed = [], []
        for layer in net:
            if isinstance(layer, nn.Dropout):
                masks.append(philox(layer.generator, layer.p))
            x = layer(x)
            if isinstance(layer, nn.ReLU):
                passed.append(x.detach().numpy() > 0)
        return x, masks, passed

    return forward


def injected(net: nn.Sequential) -> Forward:
    """The functions, with masks that are given to them."""
    linears = [layer for layer in net if isinstance(layer, nn.Linear)]
    rng = np.random.default_rng(5)

    def forward(x: minigrad.Tensor) -> tuple[minigrad.Tensor, Masks, Masks]:
        masks, passed = [], []
        x = x.flatten(1)
        for layer, p in zip(linears[:-1], RATES, strict=True):
            x = F.relu(F.linear(x, layer.weight, layer.bias))
            passed.append(x.detach().numpy() > 0)
            masks.append(rng.random(x.shape) >= p)
            x = F.dropout(x, p, mask=masks[-1])
        return linears[-1](x), masks, passed

    return forward


def from_scratch(net: nn.Sequential) -> Forward:
    """The chapter's own class, which multiplies by masks that it makes from uniform noise."""
    scratch = Net(*WIDTHS[:1], WIDTHS[-1], *WIDTHS[1:-1], generator=minigrad.Generator(6))
    linears = [layer for layer in net if isinstance(layer, nn.Linear)]
    scratch.lin1, scratch.lin2, scratch.lin3 = linears

    def forward(x: minigrad.Tensor) -> tuple[minigrad.Tensor, Masks, Masks]:
        noise = minigrad.Generator(0)
        noise.set_state(scratch.generator.get_state())
        shape = BATCH, WIDTHS[1]
        masks = [minigrad.rand(shape, generator=noise).numpy() >= p for p in RATES]
        return scratch(x), masks, []

    return forward


# ------------------------------------------------------------------------- PyTorch's side


class Beside:
    """PyTorch's copy of the net, trained by the masks that it is given."""

    def __init__(self, torch: Any, net: nn.Module) -> None:
        self.torch = torch
        arrays = [p.detach().numpy() for p in net.parameters()]
        self.parameters = [torch.tensor(array).requires_grad_() for array in arrays]
        self.optimizer = torch.optim.SGD(self.parameters, lr=LR)

    def follow(self, net: nn.Module) -> None:
        """Take over the net's weights."""
        with self.torch.no_grad():
            for theirs, ours in zip(self.parameters, net.parameters(), strict=True):
                theirs.copy_(self.torch.from_numpy(ours.detach().numpy()))

    def step(self, x: Array, y: Array, masks: Masks, passed: Masks | None = None) -> float:
        """Train one step; with ``passed``, these numbers pass ReLU."""
        functional = self.torch.nn.functional
        h = self.torch.from_numpy(x).flatten(1)
        *hidden, last = zip(self.parameters[::2], self.parameters[1::2], strict=True)
        for i, (weight, bias) in enumerate(hidden):
            z = functional.linear(h, weight, bias)
            if passed is None:
                h = self.torch.relu(z)
            else:
                h = z * self.torch.from_numpy(passed[i])
                assert_same_up_to_rounding(passed[i], z.detach().numpy())
            h = h * self.torch.from_numpy(masks[i]) * (1 / (1 - RATES[i]))
        loss = functional.cross_entropy(functional.linear(h, *last), self.torch.from_numpy(y))
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss.item()


def assert_same_up_to_rounding(passed: Array, z: Array) -> None:
    """Assert that what passed ReLU was positive, except where z is as good as zero."""
    doubtful = np.abs(z) < 1e-4 * np.abs(z).mean()
    np.testing.assert_array_equal(passed | doubtful, (z > 0) | doubtful)


@pytest.fixture
def torch() -> Iterator[Any]:
    """PyTorch on one thread."""
    torch = pytest.importorskip("torch")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield torch
    torch.set_num_threads(threads)


# ------------------------------------------------------------------------- both


@minigrad.fork_rng()
def started(init: str, dtype: Any) -> nn.Sequential:
    """Return the concise net with N(0, 0.01²) or default weights, and masks from a fixed seed."""
    minigrad.manual_seed(1)
    net = mlp(WIDTHS[0], WIDTHS[-1], WIDTHS[1:-1], RATES, minigrad.Generator(2))
    return (net.apply(init_weights) if init == "normal" else net).to(np.dtype(dtype))


def distance(ours: Any, theirs: Any) -> float:
    """Return how far apart two tensors are, relative to their size."""
    a, b = ours.detach().numpy(), theirs.detach().numpy()
    assert a.dtype == b.dtype
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))


@pytest.mark.parametrize(
    ("path", "init", "steps"),
    [
        (drawn_by_modules, "normal", 300),
        (drawn_by_modules, "default", 100),
        (injected, "normal", 100),
        (from_scratch, "normal", 100),
    ],
)
def test_in_float64_every_parameter_stays_pytorchs(
    path: Callable[[nn.Sequential], Forward], init: str, steps: int, torch: Any, batches: Any
) -> None:
    net = started(init, np.float64)
    start = [p.detach().numpy().copy() for p in net.parameters()]
    forward, beside = path(net), Beside(torch, net)
    optimizer, loss_of = minigrad.optim.SGD(net.parameters(), lr=LR), nn.CrossEntropyLoss()
    losses = []
    for step, (x, y) in enumerate(batches[:steps], start=1):
        logits, masks, _ = forward(minigrad.from_numpy(x.astype(np.float64)))
        loss = loss_of(logits, minigrad.from_numpy(y))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        tolerance = 1e-11 * 10 ** (step / 50)
        assert losses[-1] == pytest.approx(
            beside.step(x.astype(np.float64), y, masks), rel=tolerance
        )
        if step % 10 == 0:
            for p, q in zip(net.parameters(), beside.parameters, strict=True):
                assert distance(p, q) < tolerance
    assert losses[-1] < 0.6 * losses[0]  # it did learn
    for p, before in zip(net.parameters(), start, strict=True):
        assert distance(p, minigrad.from_numpy(before)) > 0.01


@pytest.mark.parametrize("path", [drawn_by_modules, injected])
def test_each_of_100_steps_in_float32_is_pytorchs(
    path: Callable[[nn.Sequential], Forward], torch: Any, batches: Any
) -> None:
    net = started("normal", np.float32)
    forward, beside = path(net), Beside(torch, net)
    optimizer, loss_of = minigrad.optim.SGD(net.parameters(), lr=LR), nn.CrossEntropyLoss()
    losses = []
    for x, y in batches[:100]:
        beside.follow(net)
        logits, masks, passed = forward(minigrad.from_numpy(x))
        loss = loss_of(logits, minigrad.from_numpy(y))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        assert losses[-1] == pytest.approx(beside.step(x, y, masks, passed), rel=1e-5)
        for p, q in zip(net.parameters(), beside.parameters, strict=True):
            assert distance(p.grad, q.grad) < 1e-5
            assert distance(p, q) < 1e-6
    assert losses[-1] < 0.6 * losses[0]


# ------------------------------------------------------------------------- the chapter's own code


@minigrad.fork_rng()
def test_code_written_like_the_chapter_runs_with_only_its_imports_changed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MINIGRAD_DATA", str(SAMPLE_DIR))
    import minigrad as torch
    from examples import d2l
    from minigrad import nn

    torch.manual_seed(0)

    def dropout_layer(X: Any, dropout: float) -> Any:
        assert 0 <= dropout <= 1
        if dropout == 1:
            return torch.zeros_like(X)
        if dropout == 0:
            return X
        mask = (torch.rand(X.shape) > dropout).float()
        return mask * X / (1.0 - dropout)

    num_inputs, num_outputs, num_hiddens1, num_hiddens2 = 784, 10, 256, 256
    dropout1, dropout2 = 0.2, 0.5

    class Perceptron(nn.Module):
        def __init__(
            self, num_inputs: int, num_outputs: int, n1: int, n2: int, is_training: bool = True
        ) -> None:
            super(Perceptron, self).__init__()  # noqa: UP008
            self.num_inputs = num_inputs
            self.training = is_training
            self.lin1 = nn.Linear(num_inputs, n1)
            self.lin2 = nn.Linear(n1, n2)
            self.lin3 = nn.Linear(n2, num_outputs)
            self.relu = nn.ReLU()

        def forward(self, X: Any) -> Any:
            H1 = self.relu(self.lin1(X.reshape((-1, self.num_inputs))))
            if self.training == True:  # noqa: E712
                H1 = dropout_layer(H1, dropout1)
            H2 = self.relu(self.lin2(H1))
            if self.training == True:  # noqa: E712
                H2 = dropout_layer(H2, dropout2)
            return self.lin3(H2)

    class Control(Perceptron):
        def forward(self, X: Any) -> Any:
            H1 = self.relu(self.lin1(X.reshape((-1, self.num_inputs))))
            return self.lin3(self.relu(self.lin2(H1)))

    def init_weights(m: Any) -> None:
        if type(m) == nn.Linear:  # noqa: E721
            nn.init.normal_(m.weight, std=0.01)

    num_epochs, lr, batch_size = 1, 0.5, 256
    loss = nn.CrossEntropyLoss()
    train_iter, test_iter = d2l.load_data_fashion_mnist(batch_size)
    for net in (
        Perceptron(num_inputs, num_outputs, num_hiddens1, num_hiddens2),
        Control(num_inputs, num_outputs, num_hiddens1, num_hiddens2),
        nn.Sequential(
            nn.Flatten(),
            nn.Linear(784, 256),
            nn.ReLU(),
            nn.Dropout(dropout1),
            nn.Linear(256, 256),
            nn.ReLU(),
            nn.Dropout(dropout2),
            nn.Linear(256, 10),
        ).apply(init_weights),
    ):
        trainer = torch.optim.SGD(net.parameters(), lr=lr)
        d2l.train_ch3(net, train_iter, test_iter, loss, num_epochs, trainer)
        assert d2l.evaluate_accuracy(net, test_iter) > 0.15  # above chance, after 40 steps
    out = capsys.readouterr().out
    assert out.count("epoch 1: train loss") == 3
