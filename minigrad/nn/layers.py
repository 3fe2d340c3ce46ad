"""Layers."""

from __future__ import annotations

import math
from typing import Any

from minigrad.creation import zeros
from minigrad.nn import functional as F
from minigrad.nn import init
from minigrad.nn.module import Module, Parameter, UninitializedParameter
from minigrad.parts import undivided
from minigrad.tensor import Tensor

__all__ = [
    "Flatten", "Identity", "LazyLinear", "Linear", "LogSoftmax", "ReLU", "Sigmoid", "Softmax",
    "Tanh",
]  # fmt: skip


class Linear(Module):
    """y = x Wᵀ + b.

    Weights and biases start uniform on ±1/√in_features, drawn from the default generator.

    Args:
        in_features: the size of each input.
        out_features: the size of each output.
        bias: whether to add b.
        device, dtype: of the weights; float32 on the CPU by default.

    Shape:
        (..., in_features) -> (..., out_features); ``weight`` is (out_features, in_features).
    """

    weight: Parameter
    bias: Parameter | None

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.in_features = in_features
        self.out_features = out_features
        options = {"device": device or "cpu", "dtype": dtype}
        self.weight = Parameter(zeros(out_features, in_features, **options))
        self.bias = Parameter(zeros(out_features, **options)) if bias else None
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


class LazyLinear(Linear):
    """A `Linear` that learns its number of inputs from its first input, and is a Linear then.

    Until then its weight and its bias have no elements, in a state dict either; they are the same
    objects afterwards, so an optimiser may be made before. The initial values are drawn at the
    first call; others can be put in after it, or by a state dict before.

    Args:
        out_features, bias, device, dtype: as of `Linear`.

    Examples:
        >>> import minigrad
        >>> layer = LazyLinear(3)
        >>> _ = layer(minigrad.ones(2, 4))
        >>> layer
        Linear(in_features=4, out_features=3, bias=True)
    """

    def __init__(
        self, out_features: int, bias: bool = True, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__(0, out_features, bias, device, dtype)
        self.weight = UninitializedParameter(self.weight)
        if self.bias is not None:
            self.bias = UninitializedParameter(self.bias.data[:0])

    def reset_parameters(self) -> None:
        """Draw new initial values, once the number of inputs is known."""
        if self.in_features:
            super().reset_parameters()

    def forward(self, x: Tensor) -> Tensor:
        loaded = not isinstance(self.weight, UninitializedParameter)
        self.in_features = self.weight.shape[1] if loaded else x.shape[-1]
        self.__class__ = Linear  # type: ignore[assignment]
        shape = self.out_features, self.in_features
        for p, size in (self.weight, shape), (self.bias, shape[:1]):
            if isinstance(p, UninitializedParameter):
                p.become(zeros(size, device=p.device, dtype=p.dtype))
        if not loaded:
            with undivided():  # all ranks, and all parts of a batch, have the same weights
                self.reset_parameters()
        return self(x)


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


class LogSoftmax(Softmax):
    """The logarithms of `Softmax`, finite for inputs of any size."""

    def forward(self, x: Tensor) -> Tensor:
        return x.log_softmax(self.dim)
