"""The networks of a recipe: the chapter's perceptron with dropout, or with one of its relatives.

The relatives are written as a user would write a layer of his own.
"""

from __future__ import annotations

import itertools
from typing import Any

import minigrad
from examples.lab.recipe import Recipe
from minigrad import Generator, Tensor, nn
from minigrad.nn import functional
from models import dropout_layer

CLASSES = 10
PIXELS = 784


class Noise(nn.Module):
    """A layer that multiplies by noise of mean 1 in training; a schedule can switch it off.

    Attributes:
        p: the probability.
        on: whether this epoch is one with noise.
    """

    def __init__(self, p: float, generator: Generator) -> None:
        super().__init__()
        self.p, self.generator, self.on = p, generator, True

    def forward(self, x: Tensor) -> Tensor:
        return self.noisy(x) if self.training and self.on and self.p else x

    def noisy(self, x: Tensor) -> Tensor:
        """Return x with noise."""
        return functional.dropout(x, self.p, generator=self.generator)


class Gaussian(Noise):
    """Noise of dropout's mean and variance, 1 and p/(1−p) (Srivastava et al., 2014, section 10)."""

    def noisy(self, x: Tensor) -> Tensor:
        normal = minigrad.randn(x.shape, generator=self.generator, device=x.device)
        return x * (1 + (self.p / (1 - self.p)) ** 0.5 * normal)


class FromScratch(Noise):
    """The chapter's own layer."""

    def noisy(self, x: Tensor) -> Tensor:
        return dropout_layer(x, self.p, self.generator)


class NormalNoise(Noise):
    """The slip in copies of the chapter: normal noise where uniform noise is meant.

    ``randn(X.shape) > p`` drops with probability Φ(p), 57.9 % for 0.2 and 69.1 % for 0.5, and the
    rest is scaled as if it were p.
    """

    def noisy(self, x: Tensor) -> Tensor:
        mask = (minigrad.randn(x.shape, generator=self.generator, device=x.device) > self.p).float()
        return mask * x / (1 - self.p)


class DropConnect(nn.Linear):
    """A linear layer that drops weights instead of activations (Wan et al., 2013).

    One mask serves the whole batch. In evaluation the weights are all there, as with dropout.
    """

    def __init__(self, inputs: int, outputs: int, p: float, generator: Generator) -> None:
        super().__init__(inputs, outputs)
        self.p, self.generator, self.on = p, generator, True

    def forward(self, x: Tensor) -> Tensor:
        noisy = self.training and self.on and self.p
        return self.noisy(x) if noisy else functional.linear(x, self.weight, self.bias)

    def noisy(self, x: Tensor) -> Tensor:
        """Return the output with weights dropped."""
        weight = functional.dropout(self.weight, self.p, generator=self.generator)
        return functional.linear(x, weight, self.bias)


class DropConnectPerExample(DropConnect):
    """The same with a mask of its own for each example, as in the paper."""

    def noisy(self, x: Tensor) -> Tensor:
        each = minigrad.ones(len(x), 1, 1, device=x.device) * self.weight
        each = functional.dropout(each, self.p, generator=self.generator)
        return (each @ x.reshape(len(x), -1, 1)).reshape(len(x), -1) + self.bias


AFTER = {
    "dropout": Noise,
    "Gaussian": Gaussian,
    "from scratch": FromScratch,
    "normal noise": NormalNoise,
}
INSTEAD = {"DropConnect": DropConnect, "DropConnect per example": DropConnectPerExample}


def network(recipe: Recipe, weights: Generator, masks: Generator) -> nn.Sequential:
    """Return a perceptron with initial weights from N(0, 0.01²), and biases as PyTorch has them.

    All kinds of noise begin with the same weights: they are drawn from a stream of their own.

    Args:
        recipe: gives widths and noise.
        weights: where initial weights are drawn from.
        masks: where noise is drawn from in training.
    """
    widths = [PIXELS, *recipe.hiddens, CLASSES]
    layers: list[nn.Module] = [nn.Flatten(), Noise(recipe.input_dropout, masks)]
    instead = INSTEAD.get(recipe.noise)
    before = [0.0, *recipe.dropout]
    with minigrad.fork_rng():
        minigrad.random.set_rng_state(weights.get_state())
        for i, (inputs, outputs) in enumerate(itertools.pairwise(widths)):
            p = before[i]
            if instead and p:
                layers.append(instead(inputs, outputs, p, masks))
            else:
                layers.append(nn.Linear(inputs, outputs))
            if i < len(recipe.hiddens):
                layers.append(nn.ReLU())
                after = AFTER.get(recipe.noise)
                layers += [after(recipe.dropout[i], masks)] if after else []
        net = nn.Sequential(*layers)
        for linear in linears(net):
            nn.init.normal_(linear.weight, std=0.01)
    return net


def linears(net: nn.Module) -> list[Any]:
    """Return the layers that have weights, from the input on."""
    return [m for m in net.modules() if isinstance(m, nn.Linear)]


def hidden(net: Any, x: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Return the hidden activations: of each layer before its noise and behind it."""
    found: list[tuple[Tensor, Tensor]] = []
    clean: Tensor | None = None
    for layer in net:
        if isinstance(layer, nn.Linear) and clean is not None:
            found.append((clean, x))
        x = layer(x)
        if isinstance(layer, nn.ReLU):
            clean = x
    return found


def switch(net: nn.Module, on: bool) -> None:
    """Let a network have its noise in training, or not."""
    for module in net.modules():
        if isinstance(module, Noise | DropConnect):
            module.on = on


def bound(net: nn.Module, largest: float) -> None:
    """Scale down the incoming weights of each hidden unit whose norm is larger (max-norm)."""
    for linear in linears(net)[:-1]:
        with minigrad.no_grad():
            norms = (linear.weight * linear.weight).sum(dim=1, keepdim=True) ** 0.5
            linear.weight *= largest / norms.clamp(min=largest)
