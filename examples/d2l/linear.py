"""Regression by hand: synthetic_data, load_array, linreg, squared_loss, sgd."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

import minigrad
from minigrad import Tensor
from minigrad.utils.data import DataLoader, TensorDataset


def synthetic_data(w: Tensor, b: float | Tensor, num_examples: int) -> tuple[Tensor, Tensor]:
    """Return X, standard normal, and y = Xw + b with noise of standard deviation 0.01.

    Args:
        w: (n,), or (n, 1), the weights.
        b: the bias.
        num_examples: how many, N.

    Shape:
        X: (N, n); y: (N, 1).
    """
    X = minigrad.randn(num_examples, len(w))
    y = X @ w.reshape(-1, 1) + b
    return X, y + 0.01 * minigrad.randn(*y.shape)


def load_array(data_arrays: Sequence[Tensor], batch_size: int, is_train: bool = True) -> DataLoader:
    """Return a loader of batches of tensors, shuffled anew in each pass if ``is_train``."""
    return DataLoader(TensorDataset(*data_arrays), batch_size, shuffle=is_train)


def get_dataloader_workers() -> int:
    """Return how many processes d2l reads data with: a number, that loaders here do not need."""
    return min(4, os.cpu_count() or 1)


def linreg(X: Tensor, w: Tensor, b: Tensor) -> Tensor:
    """Return Xw + b."""
    return X @ w + b


def squared_loss(y_hat: Tensor, y: Tensor) -> Tensor:
    """Return (ŷ - y)² / 2 of each example."""
    return (y_hat - y.reshape(y_hat.shape)) ** 2 / 2


def sgd(params: Iterable[Tensor], lr: float, batch_size: int) -> None:
    """Go a step down and forget the gradients: p ← p - lr · g / batch_size.

    The gradients are those of a sum over the batch.
    """
    with minigrad.no_grad():
        for param in params:
            if param.grad is None:
                continue
            param -= lr * param.grad / batch_size
            param.grad.zero_()
