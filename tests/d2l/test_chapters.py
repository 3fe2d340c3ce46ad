"""The ground of the book's chapters, walked with `examples.d2l` and with PyTorch alone.

Both start from the same numbers, drawn by NumPy, and must come to the same ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest

import minigrad
from data.fashion_mnist import SAMPLE_DIR, load_fashion_mnist
from examples import d2l
from minigrad import nn, optim
from minigrad.nn import functional as F

torch = pytest.importorskip("torch")


@pytest.fixture(autouse=True)
def same_numbers_each_time() -> None:
    global rng
    rng = np.random.default_rng(20)


def draw(*shape: int) -> np.ndarray:
    return rng.standard_normal(shape).astype(np.float32)


def leaf(array: np.ndarray) -> Any:
    return minigrad.tensor(array.copy(), requires_grad=True)


def their_leaf(array: np.ndarray) -> Any:
    return torch.tensor(array.copy(), requires_grad=True)


def assert_same(ours: Any, theirs: Any, rtol: float = 2e-5, atol: float = 1e-6) -> None:
    values = theirs.detach().numpy() if hasattr(theirs, "detach") else theirs
    ours = ours.detach().numpy() if hasattr(ours, "detach") else ours
    np.testing.assert_allclose(ours, values, rtol=rtol, atol=atol)


def batches(x: np.ndarray, y: np.ndarray, size: int) -> Iterator[tuple[Any, Any]]:
    for i in range(0, len(x), size):
        yield torch.from_numpy(x[i : i + size]), torch.from_numpy(y[i : i + size])


@pytest.fixture(scope="module")
def images() -> tuple[np.ndarray, np.ndarray]:
    train, _ = load_fashion_mnist(SAMPLE_DIR, quiet=True)
    X, y = train[slice(0, 96)]
    return X.numpy(), y.numpy()


def same_linear(net: Any, theirs: Any, std: float = 0.01) -> None:
    """Give the linear layers of two networks the same numbers."""
    weights = {k: draw(*v.shape) * std for k, v in theirs.state_dict().items()}
    net.load_state_dict({k: minigrad.tensor(v) for k, v in weights.items()})
    theirs.load_state_dict({k: torch.from_numpy(v) for k, v in weights.items()})


# ------------------------------------------------------------------ linear networks, functions


def test_linear_regression_from_scratch() -> None:
    x, w0 = draw(50, 2), draw(2, 1) * 0.01
    y = x @ np.float32([[2.0], [-3.4]]) + np.float32(4.2) + 0.01 * draw(50, 1)
    w, b = leaf(w0), leaf(np.zeros(1, np.float32))
    v, c = their_leaf(w0), their_leaf(np.zeros(1, np.float32))
    for _ in range(3):
        loader = d2l.load_array((minigrad.tensor(x), minigrad.tensor(y)), 10, is_train=False)
        for X, Y in loader:
            d2l.squared_loss(d2l.linreg(X, w, b), Y).sum().backward()
            d2l.sgd([w, b], 0.1, len(Y))
        for X, Y in batches(x, y, 10):
            ((X @ v + c - Y) ** 2 / 2).sum().backward()
            with torch.no_grad():
                for p in v, c:
                    p -= 0.1 * p.grad / 10
                    p.grad.zero_()
    assert_same(w, v)
    assert_same(b, c)
    assert abs(w[1].item() + 3.4) < 0.1


def test_linear_regression_concisely() -> None:
    x, y = draw(40, 2), draw(40, 1)
    net, theirs = nn.Sequential(nn.Linear(2, 1)), torch.nn.Sequential(torch.nn.Linear(2, 1))
    same_linear(net, theirs)
    loss, their_loss = nn.MSELoss(), torch.nn.MSELoss()
    trainer = optim.SGD(net.parameters(), lr=0.03)
    their_trainer = torch.optim.SGD(theirs.parameters(), lr=0.03)
    for X, Y in d2l.load_array((minigrad.tensor(x), minigrad.tensor(y)), 10, is_train=False):
        trainer.zero_grad()
        loss(net(X), Y).backward()
        trainer.step()
    for X, Y in batches(x, y, 10):
        their_trainer.zero_grad()
        their_loss(theirs(X), Y).backward()
        their_trainer.step()
    assert_same(net[0].weight, theirs[0].weight)
    whole = d2l.load_array((minigrad.tensor(x), minigrad.tensor(y)), 15, is_train=False)
    each = torch.nn.functional.mse_loss(
        theirs(torch.from_numpy(x)), torch.from_numpy(y), reduction="none"
    )
    assert_same(d2l.evaluate_loss(net, whole, nn.MSELoss(reduction="none")), each.mean())


def test_softmax_regression_from_scratch(images: tuple[np.ndarray, np.ndarray]) -> None:
    x, y = images
    w0 = draw(784, 10) * 0.01
    w, b = leaf(w0), leaf(np.zeros(10, np.float32))
    v, c = their_leaf(w0), their_leaf(np.zeros(10, np.float32))

    def net(X: Any) -> Any:
        exps = (X.reshape(-1, 784) @ w + b).exp()
        return exps / exps.sum(1, keepdim=True)

    def cross_entropy(y_hat: Any, Y: Any) -> Any:
        return -y_hat[range(len(y_hat)), Y].log()

    loader = d2l.load_array((minigrad.tensor(x), minigrad.tensor(y)), 32, is_train=False)
    loss, acc = d2l.train_epoch_ch3(
        net, loader, cross_entropy, lambda size: d2l.sgd([w, b], 0.1, size)
    )
    total, right = 0.0, 0
    for X, Y in batches(x, y, 32):
        y_hat = torch.softmax(X.reshape(-1, 784) @ v + c, 1)
        each = -y_hat[range(len(y_hat)), Y].log()
        each.sum().backward()
        total, right = total + each.sum().item(), right + int((y_hat.argmax(1) == Y).sum())
        with torch.no_grad():
            for p in v, c:
                p -= 0.1 * p.grad / len(Y)
                p.grad.zero_()
    assert_same(w, v)
    assert_same(loss, total / len(y))
    assert acc == right / len(y)
    with torch.no_grad():
        scores = torch.from_numpy(x).reshape(-1, 784) @ v + c
    assert d2l.evaluate_accuracy(net, loader) == float((scores.argmax(1).numpy() == y).mean())


@pytest.mark.parametrize("reduction", ["none", "mean"])
def test_softmax_regression_concisely(
    images: tuple[np.ndarray, np.ndarray], reduction: str
) -> None:
    x, y = images
    net = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    theirs = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(784, 10))
    same_linear(net, theirs)
    loader = d2l.load_array((minigrad.tensor(x), minigrad.tensor(y)), 40, is_train=False)
    trainer = optim.SGD(net.parameters(), lr=0.1)
    their_trainer = torch.optim.SGD(theirs.parameters(), lr=0.1)
    for _ in range(2):
        measured = d2l.train_epoch_ch3(
            net, loader, nn.CrossEntropyLoss(reduction=reduction), trainer
        )
        total, right = 0.0, 0
        for X, Y in batches(x, y, 40):
            scores = theirs(X)
            each = torch.nn.functional.cross_entropy(scores, Y, reduction="none")
            their_trainer.zero_grad()
            each.mean().backward()
            their_trainer.step()
            total, right = total + each.sum().item(), right + int((scores.argmax(1) == Y).sum())
        assert_same(np.array(measured), np.array([total / len(y), right / len(y)]))
    assert_same(net[1].weight, theirs[1].weight)


# ------------------------------------------------------------------ multilayer perceptrons


def test_curves_of_activations_and_their_gradients() -> None:
    x = np.arange(-8, 8, 0.1, dtype=np.float32)
    for name in "relu", "sigmoid", "tanh":
        a, b = leaf(x), their_leaf(x)
        y, z = getattr(minigrad, name)(a), getattr(torch, name)(b)
        y.backward(minigrad.ones_like(a), retain_graph=True)
        z.backward(torch.ones_like(b), retain_graph=True)
        assert_same(y, z)
        assert_same(a.grad, b.grad)
        d2l.plot(a.detach(), a.grad, "x", f"grad of {name}", figsize=(5, 2.5))


def test_a_multilayer_perceptron(images: tuple[np.ndarray, np.ndarray]) -> None:
    x, y = images
    layers: list[Any] = []
    for m in nn, torch.nn:
        layers.append(m.Sequential(m.Flatten(), m.Linear(784, 32), m.ReLU(), m.Linear(32, 10)))
    net, theirs = layers
    same_linear(net, theirs, std=0.05)
    loader = d2l.load_array((minigrad.tensor(x), minigrad.tensor(y)), 24, is_train=False)
    d2l.train_epoch_ch3(net, loader, nn.CrossEntropyLoss(), optim.SGD(net.parameters(), lr=0.1))
    trainer = torch.optim.SGD(theirs.parameters(), lr=0.1)
    for X, Y in batches(x, y, 24):
        trainer.zero_grad()
        torch.nn.functional.cross_entropy(theirs(X), Y).backward()
        trainer.step()
    assert_same(net[1].weight, theirs[1].weight)
    assert_same(net[3].bias, theirs[3].bias)


def test_polynomials_under_and_overfitted() -> None:
    degree, x = 4, draw(60, 1)
    powers = (x ** np.arange(degree)).astype(np.float32)
    y = (powers @ np.float32([[5.0], [1.2], [-3.4 / 2], [5.6 / 6]])).astype(np.float32)
    net, theirs = nn.Linear(degree, 1, bias=False), torch.nn.Linear(degree, 1, bias=False)
    same_linear(net, theirs)
    loss = nn.MSELoss(reduction="none")
    train = d2l.load_array((minigrad.tensor(powers[:40]), minigrad.tensor(y[:40])), 10, False)
    test = d2l.load_array((minigrad.tensor(powers[40:]), minigrad.tensor(y[40:])), 10, False)
    trainer = optim.SGD(net.parameters(), lr=0.01)
    their_trainer = torch.optim.SGD(theirs.parameters(), lr=0.01)
    losses = [d2l.evaluate_loss(net, test, loss)]
    for _ in range(5):
        d2l.train_epoch_ch3(net, train, loss, trainer)
        losses.append(d2l.evaluate_loss(net, test, loss))
        for X, Y in batches(powers[:40], y[:40], 10):
            their_trainer.zero_grad()
            torch.nn.functional.mse_loss(theirs(X), Y).backward()
            their_trainer.step()
    assert_same(net.weight, theirs.weight)
    assert losses == sorted(losses, reverse=True)


def test_weight_decay_as_a_penalty_and_as_a_setting() -> None:
    x, y, w0 = draw(20, 30), draw(20, 1), draw(30, 1)
    w, b = leaf(w0), leaf(np.zeros(1, np.float32))
    theirs = torch.nn.Linear(30, 1)
    with torch.no_grad():
        theirs.weight.copy_(torch.from_numpy(w0.T))
        theirs.bias.zero_()
    trainer = torch.optim.SGD(
        [{"params": theirs.weight, "weight_decay": 3}, {"params": theirs.bias}], lr=0.003
    )
    concise = nn.Linear(30, 1)
    concise.load_state_dict({"weight": minigrad.tensor(w0.T), "bias": minigrad.zeros(1)})
    groups = [{"params": concise.weight, "weight_decay": 3}, {"params": concise.bias}]
    optimizer = optim.SGD(groups, lr=0.003)
    for _ in range(4):
        for X, Y in d2l.load_array((minigrad.tensor(x), minigrad.tensor(y)), 5, is_train=False):
            loss = d2l.squared_loss(d2l.linreg(X, w, b), Y) + 3 * (w**2).sum() / 2
            loss.sum().backward()
            d2l.sgd([w, b], 0.003, len(Y))
            optimizer.zero_grad()
            (F.mse_loss(concise(X), Y) / 2).backward()
            optimizer.step()
        for X, Y in batches(x, y, 5):
            trainer.zero_grad()
            (torch.nn.functional.mse_loss(theirs(X), Y) / 2).backward()
            trainer.step()
    assert_same(w.T, theirs.weight)
    assert_same(concise.weight, theirs.weight)
    assert_same(b, theirs.bias)


def test_dropout_from_scratch_with_the_same_uniform_numbers() -> None:
    x, u = draw(8, 16), rng.random((8, 16)).astype(np.float32)
    ours, theirs = leaf(x), their_leaf(x)
    y = (minigrad.tensor(u) > 0.3).float() * ours / (1.0 - 0.3)
    z = (torch.tensor(u) > 0.3).float() * theirs / (1.0 - 0.3)
    (y * y).sum().backward()
    (z * z).sum().backward()
    assert_same(y, z)
    assert_same(ours.grad, theirs.grad)


def test_products_of_many_matrices_explode_alike() -> None:
    factors = [draw(4, 4) for _ in range(100)]
    M, N = minigrad.eye(4), torch.eye(4)
    for factor in factors:
        M, N = minigrad.matmul(M, minigrad.tensor(factor)), torch.mm(N, torch.from_numpy(factor))
    scale = float(abs(N).max())
    assert scale > 1e20
    assert_same(M / scale, N / scale, atol=1e-4)


# ------------------------------------------------------------------ the English form's classes


class InOrder(d2l.DataModule):
    """Tensors in batches that are not shuffled."""

    def __init__(self, tensors: Sequence[Any], num_train: int, batch_size: int) -> None:
        super().__init__()
        self.save_hyperparameters()

    def get_dataloader(self, train: bool) -> Any:
        part = slice(0, self.num_train) if train else slice(self.num_train, None)
        return self.get_tensorloader(self.tensors, False, part)


def test_a_trainer_fits_a_line() -> None:
    x, w0 = draw(40, 2), draw(2, 1) * 0.01
    y = x @ np.float32([[2.0], [-3.4]]) + np.float32(4.2)
    model = d2l.LinearRegressionScratch(2, lr=0.1)
    with minigrad.no_grad():
        model.w.copy_(minigrad.tensor(w0))
    data = InOrder([minigrad.tensor(x), minigrad.tensor(y)], num_train=30, batch_size=10)
    d2l.Trainer(max_epochs=3).fit(model, data)
    v, c = their_leaf(w0), their_leaf(np.zeros(1, np.float32))
    curve = []
    for _ in range(3):
        for X, Y in batches(x[:30], y[:30], 10):
            ((X @ v + c - Y) ** 2 / 2).mean().backward()
            with torch.no_grad():
                for p in v, c:
                    p -= 0.1 * p.grad
                    p.grad.zero_()
        X, Y = torch.from_numpy(x[30:]), torch.from_numpy(y[30:])
        curve.append(((X @ v + c - Y) ** 2 / 2).mean().item())
    assert_same(model.w, v)
    assert [epoch for epoch, _ in model.board.data["val_loss"]] == [1, 2, 3]
    assert [x for x, _ in model.board.data["train_loss"]] == [i / 3 for i in range(9)]
    assert_same(np.array([loss for _, loss in model.board.data["val_loss"]]), np.array(curve))


class Perceptron(d2l.Classifier):
    """The chapter's network, smaller."""

    def __init__(self, num_hiddens: int, lr: float) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.net = nn.Sequential(
            nn.Flatten(), nn.Linear(784, num_hiddens), nn.ReLU(), nn.Linear(num_hiddens, 10)
        )


@pytest.mark.parametrize("clip", [0, 0.5])
def test_a_trainer_fits_a_classifier_and_clips_its_gradients(
    images: tuple[np.ndarray, np.ndarray], clip: float
) -> None:
    x, y = images
    model = Perceptron(num_hiddens=16, lr=0.2)
    m = torch.nn
    theirs = m.Sequential(m.Flatten(), m.Linear(784, 16), m.ReLU(), m.Linear(16, 10))
    same_linear(model.net, theirs, std=0.05)
    data = InOrder([minigrad.tensor(x), minigrad.tensor(y)], num_train=64, batch_size=16)
    d2l.Trainer(max_epochs=2, gradient_clip_val=clip).fit(model, data)
    trainer, curve, clipped = torch.optim.SGD(theirs.parameters(), lr=0.2), [], 0
    for _ in range(2):
        for X, Y in batches(x[:64], y[:64], 16):
            trainer.zero_grad()
            m.functional.cross_entropy(theirs(X), Y).backward()
            if clip:
                clipped += float(m.utils.clip_grad_norm_(theirs.parameters(), clip)) > clip
            trainer.step()
        X, Y = torch.from_numpy(x[64:]), torch.from_numpy(y[64:])
        curve.append(float((theirs(X).argmax(1) == Y).float().mean()))
    assert not clip or clipped
    assert_same(model.net[1].weight, theirs[1].weight, rtol=1e-4, atol=1e-5)
    assert_same(np.array([acc for _, acc in model.board.data["val_acc"]]), np.array(curve))
    assert not model.training  # the last thing was a validation


def test_the_accuracy_of_a_classifier_is_averaged_or_not() -> None:
    model = Perceptron(4, 0.1)
    scores = minigrad.tensor([[0.1, 0.9], [0.8, 0.2], [0.3, 0.7]])
    labels = minigrad.tensor([1, 1, 1])
    assert model.accuracy(scores, labels).item() == pytest.approx(2 / 3)
    assert model.accuracy(scores, labels, averaged=False).tolist() == [1.0, 0.0, 1.0]
    each = torch.nn.functional.cross_entropy(
        torch.tensor(scores.tolist()), torch.tensor(labels.tolist()), reduction="none"
    )
    assert_same(model.loss(scores, labels, averaged=False), each)
    assert_same(model.loss(scores, labels), each.mean())


def test_synthetic_data_of_both_forms_lie_on_their_line() -> None:
    w = minigrad.tensor([2.0, -3.4])
    X, y = d2l.synthetic_data(w, 4.2, 1000)
    assert (X.shape, y.shape) == ((1000, 2), (1000, 1))
    data = d2l.SyntheticRegressionData(w=w, b=4.2, noise=0.01, num_train=900, num_val=100)
    assert [len(loader) for loader in (data.train_dataloader(), data.val_dataloader())] == [29, 4]
    for features, labels in (X, y), (data.X, data.y):
        rest = labels.numpy() - features.numpy() @ np.float32([[2.0], [-3.4]]) - np.float32(4.2)
        assert 0 < abs(rest).max() < 0.1  # ten deviations: P < 1e-19
    first = next(iter(data.val_dataloader()))[0]
    assert np.array_equal(first.numpy(), data.X[900:932].numpy())


# ------------------------------------------------------------------ optimisation


def test_momentum_over_a_plane() -> None:
    def momentum(x1: float, x2: float, v1: float, v2: float) -> tuple[float, ...]:
        v1, v2 = 0.5 * v1 + 0.2 * x1, 0.5 * v2 + 4 * x2
        return x1 - 0.4 * v1, x2 - 0.4 * v2, v1, v2

    places = d2l.train_2d(momentum, steps=10)
    p = torch.tensor([-5.0, -2.0], requires_grad=True)
    optimizer = torch.optim.SGD([p], lr=0.4, momentum=0.5)
    theirs = [p.tolist()]
    for _ in range(10):
        optimizer.zero_grad()
        (0.1 * p[0] ** 2 + 2 * p[1] ** 2).backward()
        optimizer.step()
        theirs.append(p.tolist())
    np.testing.assert_allclose(places, theirs, rtol=1e-4, atol=1e-5)


def test_adam_by_hand() -> None:
    x, y = draw(60, 3), draw(60, 1)
    loader = d2l.load_array((minigrad.tensor(x), minigrad.tensor(y[:, 0])), 10, is_train=False)
    begun: list[Any] = []
    states = [[minigrad.zeros(3, 1), minigrad.zeros(3, 1)], [minigrad.zeros(1), minigrad.zeros(1)]]

    def adam(params: Any, states: Any, hyperparams: dict[str, Any]) -> None:
        begun.extend([] if begun else [p.detach().numpy().copy() for p in params])
        with minigrad.no_grad():
            for p, (v, s) in zip(params, states, strict=True):
                v[:] = 0.9 * v + 0.1 * p.grad
                s[:] = 0.999 * s + 0.001 * p.grad**2
                v_hat = v / (1 - 0.9 ** hyperparams["t"])
                s_hat = s / (1 - 0.999 ** hyperparams["t"])
                p[:] -= hyperparams["lr"] * v_hat / (s_hat.sqrt() + 1e-8)
                p.grad.zero_()
        hyperparams["t"] += 1

    _, losses = d2l.train_ch11(adam, states, {"lr": 0.05, "t": 1}, loader, 3, num_epochs=10)
    params = [their_leaf(p) for p in begun]
    optimizer = torch.optim.Adam(params, lr=0.05)
    seen, theirs = 0, []
    for _ in range(10):
        for X, Y in batches(x, y, 10):
            optimizer.zero_grad()
            ((X @ params[0] + params[1] - Y) ** 2 / 2).mean().backward()
            optimizer.step()
            seen += len(X)
            if seen % 200 == 0:
                with torch.no_grad():
                    out = torch.from_numpy(x) @ params[0] + params[1]
                theirs.append(float(((out - torch.from_numpy(y)) ** 2 / 2).mean()))
    assert len(losses) == 3
    np.testing.assert_allclose(losses, theirs, rtol=1e-4)
