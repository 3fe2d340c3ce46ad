"""Which elements share a fate: those of a channel, of a sample; or none.

A pattern names the axes along which masks are drawn, and has a 1 for each axis along which one draw
holds: ``("N", "C", 1, 1)`` for Dropout2d, ``("N", 1, ...)`` for whole samples. The laws ask for
units; what the dropout gets are blocks, one for each.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

BLOCK = (2, 3)  # elements along the first two shared axes; along the others, 1


class Units:
    """How units lie in an array.

    Args:
        pattern: for each axis a name or 1; ``...`` at the end repeats what stands before it.

    Raises:
        ValueError: it is no pattern.
    """

    def __init__(self, pattern: Sequence[Any]) -> None:
        axes = list(pattern)
        if axes and axes[-1] is ...:
            axes[-1:] = axes[-2:-1]
        if not axes or not all(axis == 1 or isinstance(axis, str) for axis in axes):
            raise ValueError(
                'expected an axis each as a name or 1, as in ("N", "C", 1, 1), and ... at the end '
                f"at most; got {tuple(pattern)!r}"
            )
        self.axes = axes
        self.named = [i for i, axis in enumerate(axes) if axis != 1]
        self.shared = [i for i, axis in enumerate(axes) if axis == 1]
        if not self.named:
            raise ValueError(f"expected an axis with a name at least, got {tuple(pattern)!r}")

    def places(self, shape: Sequence[int]) -> tuple[int, ...]:
        """Return the shape in which so many units lie, with 1 along each shared axis."""
        last = len(self.named) - 1
        lead, rest = list(shape[:last]), int(np.prod(shape[last:], dtype=int))
        sizes = [*lead, *[1] * (last - len(lead)), rest]
        found = [1] * len(self.axes)
        for axis, size in zip(self.named, sizes, strict=True):
            found[axis] = size
        return tuple(found)

    def block(self) -> tuple[int, ...]:
        """Return how often a unit is repeated along each axis."""
        found = [1] * len(self.axes)
        for axis, size in zip(self.shared, BLOCK, strict=False):
            found[axis] = size
        return tuple(found)

    def spread(self, array: np.ndarray) -> np.ndarray:
        """Return an array in which each element of the given one is a block."""
        places = self.places(array.shape)
        full = [n * times for n, times in zip(places, self.block(), strict=True)]
        return np.broadcast_to(np.asarray(array).reshape(places), full).copy()

    def first(self, array: np.ndarray) -> np.ndarray:
        """Return one element of each block, with 1 along each shared axis."""
        index = [slice(0, 1) if axis == 1 else slice(None) for axis in self.axes]
        return array[tuple(index)]
