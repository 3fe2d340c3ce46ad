"""The functions of dropout's family: of channels, of samples, of weights; alpha and Gaussian noise.

Each is the identity unless ``training``, and returns the very same tensor then and at p = 0, with
nothing drawn. A mask is drawn at the shape of its units, and broadcast; ``mask=`` gives one
instead.
"""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np

from minigrad import ops
from minigrad.creation import as_tensor
from minigrad.device import device_of, move
from minigrad.graph import TensorBase
from minigrad.nn.dropping import (
    applied,
    checked_floating,
    checked_mode,
    checked_probability,
    drawn,
    dropped,
)
from minigrad.parts import place, undivided
from minigrad.random import Generator, generator_for
from minigrad.table import differentiable

__all__ = [
    "alpha_dropout", "drop_connect", "drop_path", "dropout1d", "dropout2d", "dropout3d",
    "feature_alpha_dropout", "gaussian_dropout",
]  # fmt: skip

# ------------------------------------------------------------------------- whole channels


def dropout1d(
    input: Any,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    *,
    mask: Any = None,
    generator: Generator | None = None,
) -> Any:
    """Make whole channels 0 with probability ``p``, and scale the others by 1/(1-p).

    Neighbouring features of a channel resemble each other, and stand in for one that is dropped
    alone; so they are dropped together.

    Args:
        input: floating-point, (N, C, L) or (C, L).
        p: the probability of a channel to be dropped, 0 to 1.
        training: False makes this the identity.
        inplace: whether to overwrite the input.
        mask: booleans, True to keep, that broadcast to the input's shape: used instead of a draw
            of shape (N, C, 1).
        generator: where to draw from; None for the default generator.

    Returns:
        A tensor of the input's shape and dtype; see the head of this file for when it is the input.

    Raises:
        ValueError: p is outside [0, 1], or NaN; the mask does not fit.
        TypeError: the input is not floating-point; the mask is not boolean.
        RuntimeError: the input has not 2 or 3 dimensions.

    Source:
        Tompson et al., "Efficient object localization using convolutional networks", 2015 (CVPR).

    Examples:
        >>> import minigrad
        >>> keep = minigrad.tensor([[True], [False]])
        >>> dropout1d(minigrad.ones(2, 3), 0.5, mask=keep)
        tensor([[2., 2., 2.],
                [0., 0., 0.]])
    """
    if input.ndim not in (2, 3):
        raise RuntimeError(
            f"dropout1d: Expected 2D or 3D input, but received a {input.ndim}D input. "
            "Note that dropout1d exists to provide channel-wise dropout on inputs with 1 "
            "spatial dimension, a channel dimension, and an optional batch dimension "
            "(i.e. 2D or 3D inputs)."
        )
    units = _channels(input, batched=input.ndim == 3)
    return dropped(input, units, p, training, inplace, mask, generator)


def dropout2d(
    input: Any,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    *,
    mask: Any = None,
    generator: Generator | None = None,
) -> Any:
    """Make whole channels of images 0 with probability ``p``, and scale the others by 1/(1-p).

    Args:
        input: floating-point, (N, C, H, W). Other shapes bring PyTorch's warnings: (N, C, L) too,
            which is taken for channels of one dimension.
        p, training, inplace, mask, generator: as for `dropout1d`, which also says what is returned,
            raised, and the source.

    Examples:
        >>> import minigrad
        >>> _ = minigrad.manual_seed(0)
        >>> y = dropout2d(minigrad.ones(8, 16, 5, 5), 0.5)
        >>> bool(((y == 0).all(dim=(2, 3)) | (y == 2).all(dim=(2, 3))).all())
        True
    """
    if input.ndim not in (3, 4):
        _warn_of_shape("dropout2d", input.ndim, "2 spatial dimensions", "3D or 4D")
    if input.ndim == 3:
        warnings.warn(
            "dropout2d: Received a 3D input to dropout2d and assuming that channel-wise "
            "1D dropout behavior is desired - input is interpreted as shape (N, C, L), where C "
            "is the channel dim. This behavior will change in a future release to interpret the "
            "input as one without a batch dimension, i.e. shape (C, H, W). To maintain the 1D "
            "channel-wise dropout behavior, please switch to using dropout1d instead.",
            stacklevel=2,
        )
    return dropped(input, _channels(input), p, training, inplace, mask, generator)


def dropout3d(
    input: Any,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    *,
    mask: Any = None,
    generator: Generator | None = None,
) -> Any:
    """Make whole channels of volumes 0 with probability ``p``, and scale the others by 1/(1-p).

    Args:
        input: floating-point, (N, C, D, H, W) or (C, D, H, W); others bring PyTorch's warning.
        p, training, inplace, mask, generator: as for `dropout1d`, which also says what is returned,
            raised, and the source.

    Examples:
        >>> import minigrad
        >>> dropout3d(minigrad.ones(1, 2, 1, 1, 2), 0.5, mask=[[[[[True]]], [[[False]]]]]).flatten()
        tensor([2., 2., 0., 0.])
    """
    if input.ndim not in (4, 5):
        _warn_of_shape("dropout3d", input.ndim, "3 spatial dimensions", "4D or 5D")
    units = _channels(input, batched=input.ndim == 5)
    return dropped(input, units, p, training, inplace, mask, generator)


def _warn_of_shape(name: str, ndim: int, spatial: str, expected: str) -> None:
    warnings.warn(
        f"{name}: Received a {ndim}-D input to {name}, which is deprecated "
        "and will result in an error in a future release. To retain the behavior "
        "and silence this warning, please use dropout instead. Note that "
        f"{name} exists to provide channel-wise dropout on inputs with {spatial}, "
        f"a channel dimension, and an optional batch dimension (i.e. {expected} inputs).",
        stacklevel=3,
    )


def _channels(input: Any, batched: bool = True) -> tuple[int, ...]:
    """Return the shape of the channels: that of the input, with 1 for each spatial dimension."""
    lead = 2 if batched else 1
    if input.ndim < lead:
        raise RuntimeError("Feature dropout requires at least 2 dimensions in the input")
    return (*input.shape[:lead], *[1] * (input.ndim - lead))


# ------------------------------------------------------------------------- whole samples


def drop_path(
    input: Any,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    *,
    mask: Any = None,
    generator: Generator | None = None,
) -> Any:
    """Make whole samples 0 with probability ``p``, and scale the others by 1/(1-p).

    Put on the branch of a residual block, x + drop_path(f(x)), it skips the block for a sample:
    stochastic depth.

    Args:
        input: floating-point, (N, ...): at least one dimension.
        p: the probability of a sample to be dropped, 0 to 1.
        training, inplace, generator: as for `dropout1d`, which also says what is returned.
        mask: booleans, True to keep, that broadcast to the input's shape: used instead of a draw
            of shape (N, 1, ...).

    Raises:
        ValueError: p is outside [0, 1], or NaN; the mask does not fit.
        TypeError: the input is not floating-point; the mask is not boolean.
        RuntimeError: the input has no dimensions.

    Source:
        Huang et al., "Deep networks with stochastic depth", 2016 (ECCV).

    Examples:
        >>> import minigrad
        >>> drop_path(minigrad.ones(2, 3), 0.5, mask=[[False], [True]])
        tensor([[0., 0., 0.],
                [2., 2., 2.]])
    """
    if not input.ndim:
        raise RuntimeError("drop_path drops samples: expected an input of shape (N, ...), got ()")
    units = (input.shape[0], *[1] * (input.ndim - 1))
    return dropped(input, units, p, training, inplace, mask, generator)


# ------------------------------------------------------------------------- weights


def drop_connect(
    input: Any,
    weight: Any,
    bias: Any = None,
    p: float = 0.5,
    training: bool = True,
    *,
    mask: Any = None,
    generator: Generator | None = None,
) -> Any:
    """Return x Wᵀ + b, each weight 0 with probability ``p``, and scaled by 1/(1-p) if not.

    One draw serves all samples of the call. (The paper draws for each sample, and averages in
    evaluation by a normal approximation; here evaluation is the plain linear map.)

    Args:
        input: floating-point, (..., in_features).
        weight: (out_features, in_features).
        bias: (out_features,), or None; never dropped.
        p: the probability of a weight to be dropped, 0 to 1.
        training: False makes this the plain linear map.
        mask: booleans, True to keep, that broadcast to the weight's shape: used instead of a draw.
        generator: where to draw from; None for the default generator.

    Returns:
        A new tensor, (..., out_features).

    Raises:
        ValueError: p is outside [0, 1], or NaN; the mask does not fit.
        TypeError: the weight is not floating-point; the mask is not boolean.

    Source:
        Wan et al., "Regularization of neural networks using DropConnect", 2013 (ICML).

    Examples:
        >>> import minigrad
        >>> x, w = minigrad.ones(1, 2), minigrad.tensor([[1.0, 10.0]])
        >>> drop_connect(x, w, p=0.5, mask=[[False, True]])
        tensor([[20.]])
    """
    with undivided():  # the weights are everybody's, whoever computes which rows
        weight = dropped(weight, tuple(weight.shape), p, training, False, mask, generator)
    return ops.linear(input, weight, bias)


# ------------------------------------------------------------------------- other noise

SATURATION = 1.7580993408473766  # SELU's limit at minus infinity is -SATURATION


@differentiable(x=lambda g, keep, scale: ops.masked_scale(g, keep, scale))
def masked_affine(x: Any, keep: Any, scale: float, shift: Any) -> Any:
    """Return ``x * keep * scale + shift``: what alpha dropout does, once its mask is drawn.

    Args:
        x: floating-point, any shape.
        keep: booleans that broadcast to the shape of x; False drops.
        scale: what the kept elements are multiplied by.
        shift: what is added, of the shape of ``keep``.
    """
    y = x * keep
    y *= scale
    y += shift
    return y


def alpha_dropout(
    input: Any,
    p: float = 0.5,
    training: bool = False,
    inplace: bool = False,
    *,
    mask: Any = None,
    generator: Generator | None = None,
) -> Any:
    """Make each element SELU's lowest value with probability ``p``, and keep mean 0 and variance 1.

    With α' = 1.7581, a dropped element becomes -α', and all are put through a · y + b, where
    a = ((1 - p)(1 + p α'²))^-½ and b = a α' p. So the mean and the variance of an input of mean 0
    and variance 1 stay what they are. At p = 1 all are zeros, as in PyTorch.

    Args:
        input: floating-point, any shape.
        p: the probability of an element to be dropped, 0 to 1.
        training: False, the default as in PyTorch, makes this the identity.
        inplace: whether to overwrite the input.
        mask: booleans, True to keep, that broadcast to the input's shape: used instead of a draw.
        generator: where to draw from; None for the default generator.

    Returns:
        A tensor of the input's shape and dtype; see the head of this file for when it is the input.

    Raises:
        ValueError: p is outside [0, 1], or NaN; the mask does not fit.
        TypeError: the input is not floating-point; the mask is not boolean.

    Source:
        Klambauer et al., "Self-normalizing neural networks", 2017 (NeurIPS).

    Examples:
        >>> import minigrad
        >>> y = alpha_dropout(minigrad.zeros(2), 0.5, training=True, mask=[True, False])
        >>> [round(value, 4) for value in y.tolist()]
        [0.7792, -0.7792]
    """
    return _alpha(input, tuple(input.shape), p, training, inplace, mask, generator)


def feature_alpha_dropout(
    input: Any,
    p: float = 0.5,
    training: bool = False,
    inplace: bool = False,
    *,
    mask: Any = None,
    generator: Generator | None = None,
) -> Any:
    """Do to whole channels what `alpha_dropout` does to single elements.

    Args:
        input: floating-point, (N, C, ...).
        p, training, inplace, generator: as for `alpha_dropout`, which also says what is returned.
        mask: booleans, True to keep, that broadcast to the input's shape: used instead of a draw
            of shape (N, C, 1, ...).

    Raises:
        ValueError, TypeError: as `alpha_dropout`.
        RuntimeError: the input has fewer than 2 dimensions.

    Examples:
        >>> import minigrad
        >>> x = minigrad.zeros(1, 1, 2)
        >>> y = feature_alpha_dropout(x, 0.5, training=True, mask=[[[False]]])
        >>> [round(value, 4) for value in y.flatten().tolist()]
        [-0.7792, -0.7792]
    """
    return _alpha(input, _channels(input), p, training, inplace, mask, generator)


def _alpha(
    input: Any,
    units: tuple[int, ...],
    p: float,
    training: bool,
    inplace: bool,
    mask: Any,
    generator: Generator | None,
) -> Any:
    p = checked_probability(p)
    keep = drawn(input, units, p, training, mask, generator)
    if keep is None:
        return input
    if p == 1:
        return applied(input, inplace, ops.masked_scale, keep, 0.0)
    a = 1 / math.sqrt((1 - p) * (1 + p * SATURATION**2))
    keep = keep.array if isinstance(keep, TensorBase) else keep
    shift = np.where(keep, a * SATURATION * p, a * SATURATION * (p - 1)).astype(input.dtype)
    return applied(input, inplace, masked_affine, keep, a, shift)


def gaussian_dropout(
    input: Any,
    p: float = 0.5,
    training: bool = True,
    *,
    noise: Any = None,
    generator: Generator | None = None,
) -> Any:
    """Multiply each element by a normal number of mean 1 and variance p/(1-p): dropout's own.

    Args:
        input: floating-point, any shape.
        p: of the dropout whose mean and variance this noise has, in [0, 1).
        training: False makes this the identity.
        noise: standard normal numbers that broadcast to the input's shape: used instead of a draw.
        generator: where to draw from; None for the default generator.

    Returns:
        A tensor of the input's shape and dtype; the very same tensor, and nothing is drawn, if not
        ``training`` or if p = 0.

    Raises:
        ValueError: p is outside [0, 1), or NaN.
        TypeError: the input is not floating-point.

    Source:
        Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting",
        2014 (JMLR 15), section 10.

    Examples:
        >>> import minigrad
        >>> gaussian_dropout(minigrad.ones(3), 0.5, noise=[-1.0, 0.0, 2.0])
        tensor([0., 1., 3.])
    """
    p = checked_probability(p)
    if p == 1:
        raise ValueError("gaussian_dropout's p has to be below 1, where its variance is infinite")
    if not checked_mode(training) or p == 0:
        return input
    checked_floating(input)
    array = input.array if isinstance(input, TensorBase) else input
    if noise is None:
        drawn = generator_for("gaussian_dropout", generator).normal(*place(input.shape))
        noise = move(drawn.reshape(input.shape).astype(input.dtype), device_of(array))
    else:
        noise = as_tensor(noise).array.astype(input.dtype)
    return input * (1 + noise * math.sqrt(p / (1 - p)))
