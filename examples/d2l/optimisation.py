"""The optimisation chapters' trainings: get_data_ch11, train_ch11, train_concise_ch11."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np

import minigrad
from examples.d2l.files import download
from examples.d2l.linear import linreg, load_array, squared_loss
from examples.d2l.live import Animator
from examples.d2l.measures import Timer, evaluate_loss
from minigrad import Tensor, nn
from minigrad.utils.data import DataLoader


def get_data_ch11(batch_size: int = 10, n: int = 1500) -> tuple[DataLoader, int]:
    """Return batches of the noise of airfoils, standardised, and the number of features.

    Where NASA's data cannot be downloaded they are made up, of the same shape, and stderr says so.

    Args:
        batch_size: examples in a batch.
        n: how many examples, 1503 at most.
    """
    try:
        table = np.genfromtxt(download("airfoil"), dtype=np.float32, delimiter="\t")
    except OSError as error:
        print(f"airfoil data: made up, as there is no download ({error})", file=sys.stderr)
        X = minigrad.randn(1503, 5)
        y = X @ minigrad.tensor([[-0.6], [-0.4], [-0.5], [0.2], [-0.3]])
        table = minigrad.cat([X, y + 0.92 * minigrad.randn(1503, 1)], dim=1).numpy()
    scaled = minigrad.as_tensor((table - table.mean(axis=0)) / table.std(axis=0))
    return load_array((scaled[:n, :-1], scaled[:n, -1]), batch_size), scaled.shape[1] - 1


def train_ch11(
    trainer_fn: Callable[[list[Tensor], Any, dict[str, Any]], None],
    states: Any,
    hyperparams: dict[str, Any],
    data_iter: DataLoader,
    feature_dim: int,
    num_epochs: int = 2,
) -> tuple[list[float], list[float]]:
    """Fit a line by an optimiser written by hand, and draw the loss.

    Args:
        trainer_fn: (params, states, hyperparams), changes the parameters and forgets gradients.
        states, hyperparams: passed on to it.
        data_iter: batches (X, y).
        feature_dim: features in X.
        num_epochs: how often to go through the data.

    Returns:
        Times in seconds, and the mean losses then.
    """
    w = (minigrad.randn(feature_dim, 1) * 0.01).requires_grad_()
    b = minigrad.zeros(1, requires_grad=True)

    def net(X: Tensor) -> Tensor:
        return linreg(X, w, b)

    def step(X: Tensor, y: Tensor) -> None:
        squared_loss(net(X), y).mean().backward()
        trainer_fn([w, b], states, hyperparams)

    return _train(net, squared_loss, step, data_iter, num_epochs)


def train_concise_ch11(
    trainer_fn: Callable[..., Any],
    hyperparams: dict[str, Any],
    data_iter: DataLoader,
    num_epochs: int = 4,
) -> None:
    """Fit a line by an optimiser of minigrad's, and draw the loss.

    Args:
        trainer_fn: a class of optimisers.
        hyperparams: its settings.
        data_iter: batches (X, y).
        num_epochs: how often to go through the data.
    """
    features = next(iter(data_iter))[0].shape[1]
    net = nn.Sequential(nn.Linear(features, 1))
    nn.init.normal_(net[0].weight, std=0.01)
    optimizer = trainer_fn(net.parameters(), **hyperparams)
    loss = nn.MSELoss(reduction="none")

    def step(X: Tensor, y: Tensor) -> None:
        optimizer.zero_grad()
        out = net(X)
        loss(out, y.reshape(out.shape)).mean().backward()
        optimizer.step()

    # squared_loss has a half in it, MSELoss has not
    _train(net, lambda out, y: loss(out, y) / 2, step, data_iter, num_epochs)


def _train(
    net: Callable[[Tensor], Tensor],
    loss: Callable[[Tensor, Tensor], Tensor],
    step: Callable[[Tensor, Tensor], None],
    data_iter: DataLoader,
    num_epochs: int,
) -> tuple[list[float], list[float]]:
    """Step through batches; draw the loss after every 200 examples, and print the last."""
    animator = Animator("epoch", "loss", xlim=[0, num_epochs], ylim=[0.22, 0.35])
    timer, times, losses, seen = Timer(), [], [], 0
    examples = len(data_iter.dataset)
    for _ in range(num_epochs):
        for X, y in data_iter:
            step(X, y)
            before, seen = seen, seen + len(X)
            if seen // 200 > before // 200:
                timer.stop()
                losses.append(evaluate_loss(net, data_iter, loss))
                animator.add(seen / examples, [losses[-1]])
                times.append(timer.sum())
                timer.start()
    print(f"loss: {losses[-1]:.3f}, {timer.avg():.3f} sec/epoch" if losses else "no losses")
    return times, losses
