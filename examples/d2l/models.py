"""The English form's models: LinearRegression, Classifier, SoftmaxRegression, and from scratch."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import minigrad
from examples.d2l.hyper_parameters import HyperParameters
from examples.d2l.training import Module
from minigrad import Tensor, nn
from minigrad.nn import functional as F


class SGD(HyperParameters):
    """Gradient descent from scratch: p ← p - lr · g.

    Args:
        params: the parameters.
        lr: the learning rate.
    """

    def __init__(self, params: Iterable[Tensor], lr: float) -> None:
        params = list(params)
        self.save_hyperparameters()

    def step(self) -> None:
        """Go a step down."""
        with minigrad.no_grad():
            for param in self.params:
                if param.grad is not None:
                    param -= self.lr * param.grad

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for param in self.params:
            if param.grad is not None:
                param.grad.zero_()


class LinearRegressionScratch(Module):
    """Xw + b with w and b as plain tensors, trained by `SGD`.

    Args:
        num_inputs: features.
        lr: the learning rate.
        sigma: the standard deviation of the initial weights.
    """

    def __init__(self, num_inputs: int, lr: float, sigma: float = 0.01) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.w = (minigrad.randn(num_inputs, 1) * sigma).requires_grad_()
        self.b = minigrad.zeros(1, requires_grad=True)

    def forward(self, X: Tensor) -> Tensor:
        return X @ self.w + self.b

    def loss(self, y_hat: Tensor, y: Tensor) -> Tensor:
        """Return the mean of (ŷ - y)² / 2."""
        return ((y_hat - y) ** 2 / 2).mean()

    def configure_optimizers(self) -> SGD:
        return SGD([self.w, self.b], self.lr)


class LinearRegression(Module):
    """A linear layer of one output, trained by mean squared error and SGD.

    Args:
        lr: the learning rate.
    """

    def __init__(self, lr: float) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.net = nn.LazyLinear(1)

    def loss(self, y_hat: Tensor, y: Tensor) -> Tensor:
        """Return the mean of (ŷ - y)²."""
        return F.mse_loss(y_hat, y)

    def get_w_b(self) -> tuple[Tensor, Tensor]:
        """Return the weights and the bias, without history."""
        weight, bias = self.net.parameters()
        return weight.data, bias.data


class Classifier(Module):
    """A model of classes: cross-entropy, and accuracy on the validation set."""

    def validation_step(self, batch: Any) -> None:
        """Plot loss and accuracy of a batch."""
        scores = self(*batch[:-1])
        self.plot("loss", self.loss(scores, batch[-1]), train=False)
        self.plot("acc", self.accuracy(scores, batch[-1]), train=False)

    def accuracy(self, Y_hat: Tensor, Y: Tensor, averaged: bool = True) -> Tensor:
        """Return the share of right predictions; or, for each, whether it is right: 1.0 or 0.0."""
        predictions = Y_hat.reshape(-1, Y_hat.shape[-1]).argmax(dim=1)
        right = (predictions.to(Y.dtype) == Y.reshape(-1)).float()
        return right.mean() if averaged else right

    def loss(self, Y_hat: Tensor, Y: Tensor, averaged: bool = True) -> Tensor:
        """Return the mean cross-entropy, or that of each example."""
        scores = Y_hat.reshape(-1, Y_hat.shape[-1])
        return F.cross_entropy(scores, Y.reshape(-1), reduction="mean" if averaged else "none")

    def layer_summary(self, X_shape: Any) -> None:
        """Print the shape that comes out of each layer of ``self.net``."""
        X = minigrad.randn(*X_shape)
        layers: Any = self.net
        for layer in layers:
            X = layer(X)
            print(f"{type(layer).__name__} output shape:\t{tuple(X.shape)}")


class SoftmaxRegression(Classifier):
    """A linear layer from the pixels to the classes.

    Args:
        num_outputs: classes.
        lr: the learning rate.
    """

    def __init__(self, num_outputs: int, lr: float) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.net = nn.Sequential(nn.Flatten(), nn.LazyLinear(num_outputs))


def cross_entropy(y_hat: Tensor, y: Tensor) -> Tensor:
    """Return the mean of -log of the probabilities that ``y_hat``, (N, C), gives the classes y."""
    return -y_hat[minigrad.arange(len(y_hat)), y].log().mean()
