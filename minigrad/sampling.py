"""Draws that a tensor describes: numbers like it, around it, or of the classes that it weighs."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.device import device_of, fetch, move
from minigrad.graph import TensorBase, wrap
from minigrad.parts import place
from minigrad.random import Generator, floating, generator_for, rand, randn

__all__ = ["multinomial", "normal", "rand_like", "randn_like"]


def _like(draw: Any, input: Any, options: dict[str, Any]) -> Any:
    given = {name: option for name, option in options.items() if option is not None}
    return draw(*input.shape, **{"dtype": input.dtype, "device": input.device, **given})


def rand_like(input: Any, **options: Any) -> Any:
    """Return numbers uniform on [0, 1) in the shape, dtype and device of ``input``: see `rand`."""
    return _like(rand, input, options)


def randn_like(input: Any, **options: Any) -> Any:
    """Return standard normal numbers in the shape, dtype and device of ``input``: see `randn`."""
    return _like(randn, input, options)


def normal(
    mean: Any = 0.0,
    std: Any = 1.0,
    size: Any = None,
    *,
    generator: Generator | None = None,
    dtype: Any = np.float32,
    device: Any = "cpu",
    requires_grad: bool = False,
) -> Any:
    """Return numbers from normal distributions.

    Args:
        mean: a number, or a tensor with the mean of each.
        std: the standard deviation, >= 0: a number, or a tensor.
        size: the shape, and only then, if mean and std are numbers.
        generator: where to draw from; None for the default generator.
        dtype, device: with a size; else the result has those of the tensors.
        requires_grad: whether the result is a leaf that collects gradients.

    Raises:
        RuntimeError: std is negative; NotImplementedError: a tensor is not floating-point.
        TypeError: a size is missing, or in vain.

    Examples:
        >>> import minigrad
        >>> minigrad.normal(0, 0.01, size=(2, 3)).shape
        (2, 3)
        >>> minigrad.normal(minigrad.zeros(4), 1.0).shape
        (4,)
    """
    given = [v.array for v in (mean, std) if isinstance(v, TensorBase)]
    if bool(given) == (size is not None):
        raise TypeError(
            "normal() takes numbers and a size, normal(0.0, 1.0, (2, 3)), or tensors and no size"
        )
    if given:
        size = np.broadcast_shapes(*(a.shape for a in given))
        dtype, device = given[0].dtype, device_of(given[0])
    dtype = floating("normal", dtype)
    mean, std = (fetch(v.array) if isinstance(v, TensorBase) else v for v in (mean, std))
    if not np.all(np.asarray(std) >= 0):
        raise RuntimeError(f"normal expects all elements of std >= 0.0, but found {np.min(std)}")
    z = randn(size, generator=generator, dtype=np.float64).array
    values = np.asarray(mean + std * z).astype(dtype)
    return wrap(move(values, device), requires_grad)


def bernoulli_(tensor: Any, p: Any = 0.5, *, generator: Generator | None = None) -> Any:
    """Replace a tensor's elements by 1 with probability p, else by 0; return the tensor.

    Args:
        tensor: any dtype.
        p: a number, or a tensor that broadcasts to the tensor's shape.
        generator: where to draw from; None for the default generator.

    Raises:
        RuntimeError: a probability is outside [0, 1], or NaN.
    """
    p = fetch(p.array) if isinstance(p, TensorBase) else np.asarray(p)
    if not np.all((p >= 0) & (p <= 1)):
        raise RuntimeError(f"bernoulli_ expects p to be in [0, 1], but got p={p}")
    u = rand(*tensor.shape, generator=generator, dtype=np.float64).array
    return tensor.copy_(wrap(move((u < p).astype(tensor.dtype), tensor.device)))


def multinomial(
    input: Any, num_samples: int, replacement: bool = False, *, generator: Generator | None = None
) -> Any:
    """Return the numbers of classes that are drawn with the probabilities that weights give.

    With replacement, a uniform number falls into one of intervals as wide as the weights. Without,
    every class gets a time from an exponential distribution whose rate is its weight, and the first
    ones win, in that order (Efraimidis and Spirakis, 2006).

    Args:
        input: (classes,) or (rows, classes): weights, floating-point, >= 0. They need not sum to 1.
        num_samples: how many to draw, for each row.
        replacement: whether a class may be drawn again.
        generator: where to draw from; None for the default generator.

    Shape:
        (num_samples,) or (rows, num_samples), int64, on the device of ``input``.

    Raises:
        RuntimeError: the weights are no weights, sum to 0, or have another number of dimensions;
            more classes are to be drawn than there are, without replacement.
    """
    generator, weights = generator_for("multinomial", generator), fetch(input.array)
    _check_weights(weights, num_samples, replacement)
    rows: Any = np.atleast_2d(weights).astype(np.float64)
    size = len(rows), num_samples if replacement else rows.shape[1]
    u = generator.uniform(*(place(size) if weights.ndim == 2 else (size[1],))).reshape(size)
    drawn: Any
    if replacement:
        ends = rows.cumsum(axis=1)
        pairs = zip(ends, u * ends[:, -1:], strict=True)  # u < 1, and so is below the last end
        drawn = np.array([np.searchsorted(e, v, "right") for e, v in pairs]).reshape(size)
    else:
        with np.errstate(divide="ignore", invalid="ignore"):
            times = np.where(rows > 0, -np.log1p(-u) / rows, np.inf)
        drawn = np.argsort(times, axis=1, kind="stable")[:, :num_samples]
    shape = (*weights.shape[:-1], num_samples)
    return wrap(move(drawn.astype(np.int64, copy=False).reshape(shape), input.device))


def _check_weights(weights: np.ndarray, num_samples: int, replacement: bool) -> None:
    if weights.dtype.kind != "f":
        raise RuntimeError(
            f"multinomial only supports floating-point dtypes for input, got: {weights.dtype}"
        )
    if weights.ndim not in (1, 2):
        raise RuntimeError(f"prob_dist must be 1 or 2 dim, got {weights.ndim}")
    if num_samples <= 0:
        raise RuntimeError(f"cannot sample n_sample <= 0 samples, got {num_samples}")
    if not replacement and num_samples > weights.shape[-1]:
        raise RuntimeError(
            "cannot sample n_sample > prob_dist.size(-1) samples without replacement: "
            f"{num_samples} > {weights.shape[-1]}"
        )
    if not np.all(np.isfinite(weights) & (weights >= 0)):
        raise RuntimeError("probability tensor contains either `inf`, `nan` or element < 0")
    if not np.all(weights.sum(axis=-1) > 0):
        raise RuntimeError("invalid multinomial distribution (sum of probabilities <= 0)")
