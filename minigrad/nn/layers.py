"""Layers."""

from __future__ import annotations

import math
from typing import Any

from minigrad.creation import zeros
from minigrad.nn import functional as F
from minigrad.nn import init
from minigrad.nn.module import Module, Parameter
from minigrad.random import Generator, generator_for
from minigrad.tensor import Tensor


class Linear(Module):
    """y = x Wᵀ + b.

    Weights and biases start uniform on ±1/√in_features, drawn from the default generator.

    Args:
        in_features: the size of each input.
        out_features: the size of each output.
        bias: whether to add b.

    Shape:
        (..., in_features) -> (..., out_features); ``weight`` is (out_features, in_features).
    """

    bias: Parameter | None

    def __init__(self, in_features: int, out_features: int, bias: bool = True) -> None:
        super().__init__()
        self.in_features = in_features
        self.out_features = out_features
        self.weight = Parameter(zeros(out_features, in_features))
        self.bias = Parameter(zeros(out_features)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new initial values."""
        bound = 1 / math.sqrt(self.in_features) if self.in_features else 0
        init.uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            init.uniform_(self.bias, -bound, bound)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight, self.bias)

    def extra_repr(self) -> str:
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, "
            f"bias={self.bias is not None}"
        )


class Identity(Module):
    """Return the input; any arguments are taken and ignored."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        return x


class Flatten(Module):
    """Make dimensions ``start_dim`` to ``end_dim`` one: (N, 1, 28, 28) becomes (N, 784)."""

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__()
        self.start_dim = start_dim
        self.end_dim = end_dim

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class ReLU(Module):
    """max(x, 0), element by element.

    Args:
        inplace: whether to overwrite the input.
    """

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x, self.inplace)

    def extra_repr(self) -> str:
        return "inplace=True" if self.inplace else ""


class Sigmoid(Module):
    """1 / (1 + e⁻ˣ), element by element."""

    def forward(self, x: Tensor) -> Tensor:
        return x.sigmoid()


class Tanh(Module):
    """The hyperbolic tangent, element by element."""

    def forward(self, x: Tensor) -> Tensor:
        return x.tanh()


class Softmax(Module):
    """Probabilities that sum to 1 along ``dim``."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, x: Tensor) -> Tensor:
        return x.softmax(self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class Dropout(Module):
    """In training, make each element 0 with probability ``p``, and scale the others by 1/(1-p).

    In evaluation it returns its input, the very same tensor. See `minigrad.nn.functional.dropout`
    (Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting", 2014).

    Args:
        p: the probability of an element to be dropped, 0 to 1.
        inplace: whether to overwrite the input.
        generator: where masks are drawn from; None for the default generator.

    Raises:
        ValueError: p is outside [0, 1], or NaN.
        TypeError: p is no number, ``generator`` no Generator.

    Examples:
        >>> import minigrad
        >>> from minigrad import nn
        >>> drop = nn.Dropout(p=0.5, generator=minigrad.Generator(1))
        >>> drop
        Dropout(p=0.5, inplace=False)
        >>> sorted(set(drop(minigrad.ones(100)).tolist()))
        [0.0, 2.0]
    """

    def __init__(
        self, p: float = 0.5, inplace: bool = False, *, generator: Generator | None = None
    ) -> None:
        super().__init__()
        self.p = F.checked_probability(p)
        self.inplace = inplace
        generator_for("Dropout", generator)
        self.generator = generator  # None stays None: a copy of the layer has no generator either

    def forward(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.p, self.training, self.inplace, generator=self.generator)

    def extra_repr(self) -> str:
        return f"p={self.p}, inplace={self.inplace}"
