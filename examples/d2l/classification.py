"""Classifiers on Fashion-MNIST by hand: train_epoch_ch3, train_ch3, predict_ch3."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from data.fashion_mnist import get_fashion_mnist_labels
from examples.d2l.figures import show_images
from examples.d2l.measures import Accumulator, accuracy
from examples.d2l.notebook import Canvas, notebook
from minigrad import Tensor, nn, training
from minigrad.optim import Optimizer
from minigrad.plot import plot_history
from minigrad.training import History


def train_epoch_ch3(
    net: Callable[[Any], Tensor],
    train_iter: Iterable[Any],
    loss: Callable[[Tensor, Any], Tensor],
    updater: Optimizer | Callable[[int], Any],
) -> tuple[float, float]:
    """Go once through the data, and return the mean loss and the accuracy met on the way.

    Args:
        net: a module, put into training mode, or a function from a batch to scores (N, C).
        train_iter: batches (X, y).
        loss: a function (scores, y) -> the losses of the examples, or their mean.
        updater: an optimiser, which gets the gradient of the mean; or a function of the batch
            size, which gets that of the sum.
    """
    if isinstance(net, nn.Module):
        net.train()
    sums = Accumulator(3)
    for X, y in train_iter:
        y_hat = net(X)
        losses = loss(y_hat, y)
        if isinstance(updater, Optimizer):
            updater.zero_grad()
            losses.mean().backward()
            updater.step()
        else:
            losses.sum().backward()
            updater(len(y))
        examples = y.numel()
        total = losses.sum().item() * (examples if losses.ndim == 0 else 1)
        sums.add(total, accuracy(y_hat, y), examples)
    if not sums[2]:
        raise ValueError("cannot train on no examples: the data iterator is empty")
    return sums[0] / sums[2], sums[1] / sums[2]


def train_ch3(
    net: Callable[[Any], Tensor],
    train_iter: Iterable[Any],
    test_iter: Iterable[Any],
    loss: Callable[[Tensor, Any], Tensor],
    num_epochs: int,
    updater: Optimizer | Callable[[int], Any],
) -> History:
    """Train a classifier as in d2l.ai's chapter 3: in a notebook, draw the chapter's figure.

    There the curves grow under the cell while the network trains, below whatever the cell has
    printed before. Elsewhere it prints how training ended. The train loss is right for losses with
    either reduction (the book's own helper changed its mind between versions 0.17.0 and 0.17.2).
    Arguments and exceptions are those of `minigrad.training.fit`.
    """
    args = net, train_iter, test_iter, loss, num_epochs, updater
    if notebook() is None:
        history = training.fit(*args)
        if len(history):
            print(_ended(history))
        return history
    canvas = Canvas()

    def draw(history: History) -> Any:
        axes = plot_history(history)
        axes.set(xlim=(1, max(2, num_epochs)), ylim=(0.3, 0.9))  # as the chapter has them
        return axes.figure

    history = training.fit(
        *args, on_epoch=lambda history: canvas.show(lambda: draw(history)), progress=False
    )
    return Drawn(**vars(history))


class Drawn(History):
    """A history that has been drawn: as the value of a cell it says in a line how it ended."""

    def __repr__(self) -> str:
        return _ended(self) if len(self) else "no epochs"


def _ended(history: History) -> str:
    """Return a line that says how a training ended."""
    last = history.rows()[-1]
    return (
        f"epoch {last['epoch']}: train loss {last['train_loss']:.3f}, "
        f"train acc {last['train_acc']:.3f} ({last['train_acc_eval']:.3f} in eval mode), "
        f"test acc {last['test_acc']:.3f}"
    )


def predict_ch3(net: Callable[[Any], Tensor], test_iter: Iterable[Any], n: int = 6) -> Any:
    """Draw the first n images of Fashion-MNIST with their true and, below, predicted names."""
    X, y = next(iter(test_iter))
    trues = get_fashion_mnist_labels(y[:n])
    predictions = get_fashion_mnist_labels(net(X).argmax(dim=1)[:n])
    titles = [f"{true}\n{found}" for true, found in zip(trues, predictions, strict=True)]
    return show_images(X[:n].reshape(len(titles), *X.shape[-2:]), 1, n, titles=titles)
