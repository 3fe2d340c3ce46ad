"""Dropout and its family, as modules; the functions are in `minigrad.nn.functional`.

Each is active after ``train()``, and the identity after ``eval()`` (`DropConnect`: the plain linear
map). docs/family.md says what each does to mean and variance, and which to take when.
"""

from __future__ import annotations

from typing import Any

from minigrad.nn import functional as F
from minigrad.nn.dropping import checked_probability
from minigrad.nn.layers import Linear
from minigrad.nn.module import Module
from minigrad.random import Generator, generator_for
from minigrad.tensor import Tensor

__all__ = [
    "AlphaDropout", "DropConnect", "DropPath", "Dropout", "Dropout1d", "Dropout2d", "Dropout3d",
    "FeatureAlphaDropout", "GaussianDropout",
]  # fmt: skip


class _Dropout(Module):
    """A dropout of p, in place or not, with a generator of its own or the default one."""

    function: Any  # of `minigrad.nn.functional`

    def __init__(
        self, p: float = 0.5, inplace: bool = False, *, generator: Generator | None = None
    ) -> None:
        super().__init__()
        self.p = checked_probability(p)
        self.inplace = inplace
        generator_for(type(self).__name__, generator)  # raises what is none
        self.generator = generator

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x, self.p, self.training, self.inplace, generator=self.generator)

    def extra_repr(self) -> str:
        return f"p={self.p}, inplace={self.inplace}"


class Dropout(_Dropout):
    """In training, make each element 0 with probability ``p``, and scale the others by 1/(1-p).

    In evaluation it returns its input, the very same tensor. See `minigrad.nn.functional.dropout`
    (Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting", 2014).

    Args:
        p: the probability of an element to be dropped, 0 to 1.
        inplace: whether to overwrite the input.
        generator: where masks are drawn from; None for the default generator.

    Raises:
        ValueError: p is outside [0, 1], or NaN.

    Examples:
        >>> import minigrad
        >>> from minigrad import nn
        >>> drop = nn.Dropout(p=0.5, generator=minigrad.Generator(1))
        >>> drop
        Dropout(p=0.5, inplace=False)
        >>> sorted(set(drop(minigrad.ones(100)).tolist()))
        [0.0, 2.0]
    """

    function = staticmethod(F.dropout)


class Dropout1d(_Dropout):
    """In training, drop whole channels of (N, C, L) or (C, L): see `functional.dropout1d`.

    Args:
        p: the probability of a channel to be dropped, 0 to 1.
        inplace, generator: as of `Dropout`.

    Raises:
        ValueError: as of `Dropout`.

    Examples:
        >>> from minigrad import nn
        >>> nn.Dropout1d(0.2)
        Dropout1d(p=0.2, inplace=False)
    """

    function = staticmethod(F.dropout1d)


class Dropout2d(_Dropout):
    """In training, drop whole channels of (N, C, H, W): see `functional.dropout2d`.

    Args:
        p: the probability of a channel to be dropped, 0 to 1.
        inplace, generator: as of `Dropout`.

    Raises:
        ValueError: as of `Dropout`.

    Examples:
        >>> import minigrad
        >>> from minigrad import nn
        >>> nn.Dropout2d(1.0)(minigrad.ones(1, 1, 2, 2)).sum()
        tensor(0.)
    """

    function = staticmethod(F.dropout2d)


class Dropout3d(_Dropout):
    """In training, drop whole channels of (N, C, D, H, W) or (C, D, H, W).

    See `functional.dropout3d`.

    Args:
        p: the probability of a channel to be dropped, 0 to 1.
        inplace, generator: as of `Dropout`.

    Raises:
        ValueError: as of `Dropout`.

    Examples:
        >>> import minigrad
        >>> from minigrad import nn
        >>> nn.Dropout3d(1.0)(minigrad.ones(1, 1, 2, 2, 2)).sum()
        tensor(0.)
    """

    function = staticmethod(F.dropout3d)


class AlphaDropout(_Dropout):
    """In training, drop elements to SELU's lowest value, and keep mean 0 and variance 1.

    See `functional.alpha_dropout` (Klambauer et al., "Self-normalizing neural networks", 2017).

    Args:
        p: the probability of an element to be dropped, 0 to 1.
        inplace: whether to overwrite the input. (PyTorch takes this and forgets it.)
        generator: where masks are drawn from; None for the default generator.

    Raises:
        ValueError: p is outside [0, 1], or NaN.

    Examples:
        >>> import minigrad
        >>> from minigrad import nn
        >>> drop = nn.AlphaDropout(0.5, generator=minigrad.Generator(0))
        >>> y = drop(minigrad.randn(10_000, generator=minigrad.Generator(1)))
        >>> abs(float(y.mean())) < 0.1, abs(float((y * y).mean()) - 1) < 0.1
        (True, True)
    """

    function = staticmethod(F.alpha_dropout)


class FeatureAlphaDropout(_Dropout):
    """In training, do to whole channels of (N, C, ...) what `AlphaDropout` does to elements.

    Args:
        p: the probability of a channel to be dropped, 0 to 1.
        inplace, generator: as of `AlphaDropout`.

    Raises:
        ValueError: as of `Dropout`.

    Examples:
        >>> import minigrad
        >>> from minigrad import nn
        >>> nn.FeatureAlphaDropout(1.0)(minigrad.ones(1, 1, 2)).sum()
        tensor(0.)
    """

    function = staticmethod(F.feature_alpha_dropout)


class DropPath(_Dropout):
    """In training, drop whole samples of (N, ...): stochastic depth, on the branch of a block.

    See `functional.drop_path` (Huang et al., "Deep networks with stochastic depth", 2016).

    Args:
        p: the probability of a sample to be dropped, 0 to 1.
        inplace, generator: as of `Dropout`.

    Raises:
        ValueError: as of `Dropout`.

    Examples:
        >>> import minigrad
        >>> from minigrad import nn
        >>> nn.DropPath(1.0)(minigrad.ones(2, 3)).sum()
        tensor(0.)
    """

    function = staticmethod(F.drop_path)


class GaussianDropout(Module):
    """In training, multiply by normal numbers of mean 1 and variance p/(1-p).

    See `functional.gaussian_dropout` (Srivastava et al., 2014, section 10).

    Args:
        p: of the dropout whose mean and variance this noise has, in [0, 1).
        generator: where noise is drawn from; None for the default generator.

    Raises:
        ValueError: p is outside [0, 1), or NaN.

    Examples:
        >>> from minigrad import nn
        >>> nn.GaussianDropout(0.3)
        GaussianDropout(p=0.3)
    """

    def __init__(self, p: float = 0.5, *, generator: Generator | None = None) -> None:
        super().__init__()
        self.p = checked_probability(p)
        if p == 1:
            raise ValueError(f"GaussianDropout's p has to be below 1, but got {p}")
        generator_for(type(self).__name__, generator)  # raises what is none
        self.generator = generator

    def forward(self, x: Tensor) -> Tensor:
        return F.gaussian_dropout(x, self.p, self.training, generator=self.generator)

    def extra_repr(self) -> str:
        return f"p={self.p}"


class DropConnect(Linear):
    """A `Linear` whose weights are dropped in training: see `functional.drop_connect`.

    Wan et al., "Regularization of neural networks using DropConnect", 2013 (ICML).

    Args:
        in_features: the size of each input.
        out_features: the size of each output.
        bias: whether to add b, which is never dropped.
        p: the probability of a weight to be dropped, 0 to 1.
        generator: where masks are drawn from; None for the default generator.

    Shape:
        (..., in_features) -> (..., out_features); ``weight`` is (out_features, in_features).

    Raises:
        ValueError: p is outside [0, 1], or NaN.

    Examples:
        >>> from minigrad import nn
        >>> nn.DropConnect(3, 2, p=0.5)
        DropConnect(in_features=3, out_features=2, bias=True, p=0.5)
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        p: float = 0.5,
        *,
        generator: Generator | None = None,
    ) -> None:
        checked_probability(p)
        super().__init__(in_features, out_features, bias)
        self.p = float(p)
        generator_for(type(self).__name__, generator)  # raises what is none
        self.generator = generator

    def forward(self, x: Tensor) -> Tensor:
        options = self.p, self.training
        return F.drop_connect(x, self.weight, self.bias, *options, generator=self.generator)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, p={self.p}"
