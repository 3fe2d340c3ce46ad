"""How often each class comes up in n draws."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

import minigrad
from minigrad import Tensor


class Multinomial:
    """The counts of the classes in ``total_count`` independent draws, with replacement.

    Args:
        total_count: draws, >= 0.
        probs: (k,), the classes' probabilities, or weights >= 0 that are divided by their sum.

    Raises:
        ValueError: ``probs`` is no such vector, or ``total_count`` is negative.

    Examples:
        >>> dice = Multinomial(60, minigrad.ones(6) / 6)
        >>> counts = dice.sample()
        >>> counts.shape, counts.sum().item()
        ((6,), 60.0)
        >>> dice.sample((500,)).shape
        (500, 6)
    """

    def __init__(self, total_count: int, probs: Tensor) -> None:
        weights = probs.detach().cpu().numpy().astype(np.float64)
        if weights.ndim != 1 or not (weights >= 0).all() or not 0 < weights.sum() < math.inf:
            raise ValueError(
                f"probs must be a vector of numbers >= 0, one of them > 0, got {probs}"
            )
        if total_count < 0:
            raise ValueError(f"total_count must be >= 0, got {total_count}")
        self.total_count = total_count
        self.probs = probs / probs.sum()
        self._ends = np.cumsum(weights / weights.sum())

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Return counts of shape (*sample_shape, k), drawn with the default generator."""
        shape, k = tuple(sample_shape), len(self._ends)
        u = minigrad.rand(math.prod(shape), self.total_count, dtype=minigrad.float64).numpy()
        # side="right": a u that is an end belongs to the class above, and one of weight 0 to none
        drawn = np.searchsorted(self._ends[:-1], u, side="right")
        flat = drawn + k * np.arange(len(u))[:, None]
        counts = np.bincount(flat.ravel(), minlength=k * len(u)).reshape(*shape, k)
        return minigrad.as_tensor(counts.astype(np.float32))
