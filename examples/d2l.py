"""What d2l.ai's chapter imports as ``d2l``, so that its code runs with only imports changed.

>>> import minigrad as torch
>>> from minigrad import nn
>>> from examples import d2l
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import Any

from data.fashion_mnist import get_fashion_mnist_labels, load_data_fashion_mnist
from minigrad import Tensor, training
from minigrad.optim import Optimizer
from minigrad.plot import plot_history
from minigrad.training import History, evaluate_accuracy

__all__ = [
    "evaluate_accuracy",
    "get_fashion_mnist_labels",
    "load_data_fashion_mnist",
    "train_ch3",
]


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
    printed before. Elsewhere it is `minigrad.training.train_ch3`, which prints how training ended.
    Arguments and exceptions are those of `minigrad.training.fit`.
    """
    display = notebook()
    if display is None:
        return training.train_ch3(net, train_iter, test_iter, loss, num_epochs, updater)
    handle: Any = None

    def draw(history: History) -> None:
        nonlocal handle
        import matplotlib.pyplot as plt

        axes = plot_history(history)
        axes.set(xlim=(1, max(2, num_epochs)), ylim=(0.3, 0.9))  # as the chapter has them
        handle = display(axes.figure, display_id=True) if handle is None else handle
        handle.update(axes.figure)
        plt.close(axes.figure)

    history = training.fit(
        net, train_iter, test_iter, loss, num_epochs, updater, on_epoch=draw, progress=False
    )
    return Drawn(**vars(history))


class Drawn(History):
    """A history that has been drawn: as the value of a cell it says in a line how it ended."""

    def __repr__(self) -> str:
        if not len(self):
            return "no epochs"
        last = self.rows()[-1]
        return (
            f"epoch {last['epoch']}: train loss {last['train_loss']:.3f}, "
            f"train acc {last['train_acc']:.3f} ({last['train_acc_eval']:.3f} in eval mode), "
            f"test acc {last['test_acc']:.3f}"
        )


def notebook() -> Callable[..., Any] | None:
    """Return what displays under a cell, in a notebook; elsewhere None."""
    ipython = sys.modules.get("IPython")  # a notebook has imported it
    shell = ipython.get_ipython() if ipython else None
    if type(shell).__name__ != "ZMQInteractiveShell":
        return None
    from IPython.display import display

    shown: Callable[..., Any] = display
    return shown
