"""Dropout from scratch: the chapter's layer, and its network that calls it by hand."""

from __future__ import annotations

import minigrad
from minigrad import Generator, Tensor, nn


def dropout_layer(X: Tensor, dropout: float, generator: Generator | None = None) -> Tensor:
    """Make each element of X zero with probability ``dropout``; scale the others to keep the mean.

    The noise must be uniform. With normal noise, ``minigrad.randn(X.shape) > dropout``, as it
    stands in copies of the chapter, an element is dropped with probability Φ(dropout), the normal
    distribution function: 57.9 % where 20 % were meant, 69.1 % for 50 %. The shortcut for
    ``dropout == 0`` hides the mistake from the simplest test, since Φ(0) is a half:

    >>> noise = minigrad.randn(100_000, generator=Generator(0))
    >>> dropped = (noise <= 0.2).float().mean().item()
    >>> f"{dropped:.1%} dropped where 20% were meant"
    '57.9% dropped where 20% were meant'

    Args:
        X: floating-point, any shape.
        dropout: the probability of an element to be dropped, 0 to 1.
        generator: where the noise is drawn from; None for the default generator.

    Returns:
        A tensor like X; X itself if ``dropout`` is 0.

    Raises:
        ValueError: ``dropout`` is outside [0, 1], or NaN.
    """
    if not 0 <= dropout <= 1:
        raise ValueError(f"dropout must be a probability from 0 to 1, got {dropout}")
    if dropout == 0:
        return X
    if dropout == 1:
        return X * 0  # zeros through which a gradient, of zeros, still flows
    noise = minigrad.rand(X.shape, generator=generator, device=X.device)
    mask = (noise >= dropout).to(X.dtype)
    return mask * X / (1.0 - dropout)


class Net(nn.Module):
    """A perceptron with two hidden layers, and dropout after each while training.

    Args:
        num_inputs, num_outputs, num_hiddens1, num_hiddens2: the widths of the layers.
        is_training: the mode to start in; ``train()`` and ``eval()`` change it.
        dropout1, dropout2: the probabilities of being dropped after the hidden layers.
        generator: where masks are drawn from; None for the default generator.

    Shape:
        (N, ...) with num_inputs elements each -> (N, num_outputs)
    """

    def __init__(
        self,
        num_inputs: int = 784,
        num_outputs: int = 10,
        num_hiddens1: int = 256,
        num_hiddens2: int = 256,
        is_training: bool = True,
        dropout1: float = 0.2,
        dropout2: float = 0.5,
        generator: Generator | None = None,
    ) -> None:
        super().__init__()
        self.num_inputs = num_inputs
        self.training = is_training
        self.dropout1, self.dropout2, self.generator = dropout1, dropout2, generator
        self.lin1 = nn.Linear(num_inputs, num_hiddens1)
        self.lin2 = nn.Linear(num_hiddens1, num_hiddens2)
        self.lin3 = nn.Linear(num_hiddens2, num_outputs)
        self.relu = nn.ReLU()

    def forward(self, X: Tensor) -> Tensor:
        H1 = self.relu(self.lin1(X.reshape((-1, self.num_inputs))))
        if self.training:
            H1 = dropout_layer(H1, self.dropout1, self.generator)
        H2 = self.relu(self.lin2(H1))
        if self.training:
            H2 = dropout_layer(H2, self.dropout2, self.generator)
        return self.lin3(H2)


class Net2(Net):
    """The same network without dropout: the chapter's control."""

    def forward(self, X: Tensor) -> Tensor:
        H1 = self.relu(self.lin1(X.reshape((-1, self.num_inputs))))
        H2 = self.relu(self.lin2(H1))
        return self.lin3(H2)
