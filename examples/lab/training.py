"""The run that most experiments are made of: one network trained on Fashion-MNIST."""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import minigrad
from data.fashion_mnist import FashionMNIST, load_fashion_mnist
from examples.lab.frame import Results, Run, Scale
from minigrad import Generator, nn, optim
from minigrad.training import History, evaluate, fit
from minigrad.utils.data import DataLoader
from models import init_weights, mlp

TRAIN = "examples.lab.training:train"  # for `Run`
CHANCE = 0.1  # the accuracy of guessing among ten classes
CHAPTER_EPOCHS = 10
VALIDATION = 10_000  # the last training images, for choices that must not look at the test set


@functools.cache
def halves() -> tuple[FashionMNIST, FashionMNIST]:
    """Return the training and the test half, read once in each process."""
    return load_fashion_mnist(quiet=True)


def split(train_size: int, held_out: str = "test") -> tuple[FashionMNIST, FashionMNIST]:
    """Return the first ``train_size`` training images, and what accuracy is measured on.

    Args:
        train_size: how many; 0 for all there are (all but the validation images if those are the
            ones held out).
        held_out: ``"test"``, or ``"validation"`` for the last 10,000 training images (the last
            fifth, where there are fewer than 50,000).

    Raises:
        ValueError: there are not so many images.
    """
    train, test = halves()
    if held_out == "validation":
        rest = len(train) - min(VALIDATION, len(train) // 5)
        train, test = part(train, 0, rest), part(train, rest, len(train))
    if train_size > len(train):
        raise ValueError(f"{train_size} images were asked for, and there are {len(train)}")
    return part(train, 0, train_size or len(train)), test


def part(data: FashionMNIST, start: int, stop: int) -> FashionMNIST:
    """Return some of the images, as a data set of their own."""
    return FashionMNIST(
        data.images[start:stop], data.labels[start:stop], train=data.train, source=data.source
    )


def train(held_out: str = "test", **settings: Any) -> dict[str, Any]:
    """Train a network; return its curves, and when it broke down if it did.

    Args:
        held_out: what accuracy is measured on after each epoch, see `split`.
        settings: see `trained`.

    Returns:
        ``train_loss, train_acc, train_acc_eval, test_loss, test_acc``: a list with an entry for
        each epoch that was finished; ``broke_down``: the epoch (from 1) in which the loss stopped
        being finite, or None; ``seconds`` of the whole run.
    """
    start = time.perf_counter()
    _, history, broke_down = trained(held_out=held_out, **settings)
    curves = {name: getattr(history, name) for name in vars(history) if name != "seconds"}
    return {**curves, "broke_down": broke_down, "seconds": time.perf_counter() - start}


def trained(
    seed: int,
    dropout: Sequence[float] = (0.2, 0.5),
    hiddens: Sequence[int] = (256, 256),
    lr: float = 0.5,
    epochs: int = 10,
    batch_size: int = 256,
    momentum: float = 0.0,
    weight_decay: float = 0.0,
    train_size: int = 0,
    decay: bool = False,
    held_out: str = "test",
    net: nn.Module | None = None,
    each_epoch: Callable[[nn.Module], object] | None = None,
) -> tuple[nn.Module, History, int | None]:
    """Train the chapter's perceptron, or another network, by the chapter's recipe.

    Weights, shuffling and dropout have streams of their own, drawn from the seed: runs of one seed
    that differ in ``dropout`` alone begin with the same weights and see the same batches.

    Args:
        seed: of all three streams.
        dropout: the probability after each hidden layer; 0 for none.
        hiddens: widths of the hidden layers.
        lr, epochs, batch_size, momentum, weight_decay: of the training, by SGD.
        train_size: how many training images, 0 for all.
        decay: let the learning rate fall to 0 along half a cosine, epoch by epoch: the last epochs
            then no longer swing by points, and differences between arms show with fewer seeds.
        held_out: what accuracy is measured on, see `split`.
        net: a network to train instead; its weights are drawn by the caller (see `streams`).
        each_epoch: is called with the network after each epoch.

    Returns:
        The network, its history, and the epoch in which the loss stopped being finite, or None.
    """
    weights, shuffling, masks = streams(seed)
    if net is None:
        with minigrad.fork_rng():
            minigrad.random.set_rng_state(weights.get_state())
            net = mlp(784, 10, list(hiddens), list(dropout), generator=masks).apply(init_weights)
    train_half, test_half = split(train_size, held_out)
    train_iter = DataLoader(train_half, batch_size, shuffle=True, generator=shuffling)
    test_iter = DataLoader(test_half, 1000)
    updater = optim.SGD(net.parameters(), lr, momentum, weight_decay=weight_decay)
    scheduler = optim.lr_scheduler.CosineAnnealingLR(updater, epochs) if decay else None
    loss, history = nn.CrossEntropyLoss(), History()

    def keep(so_far: History) -> None:
        vars(history).update(vars(so_far))
        if each_epoch:
            each_epoch(net)

    try:
        with np.errstate(over="ignore", invalid="ignore"):
            fit(
                *(net, train_iter, test_iter, loss, epochs, updater),
                scheduler=scheduler,
                on_epoch=keep,
                progress=False,
            )
    except FloatingPointError:
        return net, history, len(history) + 1
    return net, history, None


def final(measure: str, epochs: int = 1, upto: int | None = None) -> Callable[[Any], float]:
    """Return a function from the result of a training to a measure over its last epochs.

    Args:
        measure: a curve in the result.
        epochs: how many are averaged: single epochs swing by points at a bold learning rate.
        upto: the epoch that counts as the last, None for the last there is.

    A run whose loss stopped being finite counts with the accuracy of guessing, and with no loss.
    """

    def value(result: Any) -> float:
        if result["broke_down"] and result["broke_down"] <= (upto or math.inf):
            return CHANCE if "acc" in measure else math.nan
        return float(np.mean(result[measure][:upto][-epochs:]))

    return value


def curves(results: Results, runs: Sequence[Run], measure: str) -> Any:
    """Return a measure by run and epoch; NaN after a breakdown.

    Its columns are the epochs of the longest run, so that a mean over the rows may ignore NaN.
    """
    rows = [results[run][measure] for run in runs]
    length = max(1, *map(len, rows))
    return np.array([[*row, *[math.nan] * (length - len(row))] for row in rows], dtype=float)


def chapter(scale: Scale) -> dict[str, Any]:
    """Return the chapter's own settings, or a quick look on fewer images in smaller batches.

    Training goes on beyond the chapter's `CHAPTER_EPOCHS`, at the same learning rate: what happened
    up to there is the first part of it.
    """
    quick = {"lr": 0.5, "train_size": 10_000, "epochs": 12, "batch_size": 128}
    full = {"lr": 0.5, "train_size": 0, "epochs": 25, "batch_size": 256}
    return dict(scale.pick(quick, full))


def settled(scale: Scale) -> dict[str, Any]:
    """Return a training that has settled at its end, as the learning rate falls to 0."""
    return {
        "lr": 0.2,
        "decay": True,
        "train_size": 10_000,
        "batch_size": 64,
        "epochs": scale.pick(4, 25),
    }


def streams(seed: int) -> tuple[Generator, Generator, Generator]:
    """Return the generators of initial weights, of shuffling and of dropout."""
    weights, shuffling, masks = Generator(seed).spawn(3)
    return weights, shuffling, masks


def accuracy(net: nn.Module, data: FashionMNIST) -> float:
    """Return the accuracy on a data set, in evaluation mode."""
    return evaluate(net, DataLoader(data, 1000))[1]
