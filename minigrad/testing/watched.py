"""A trial that is watched: it keeps what the pictures of a verdict are of.

It draws nothing of its own: what is kept is what the law itself has seen, to where it broke.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, SupportsFloat

import numpy as np

from minigrad.testing.laws import Trial
from minigrad.testing.noise import Noise
from minigrad.testing.statistics import Figure
from minigrad.testing.subjects import Dropout

COINS = 2**20  # elements of masks at p = 1/2: the most that are kept


@dataclass(frozen=True)
class Call:
    """A call of a dropout: what went in and came out; None where it raised, or has no gradient.

    Attributes:
        words: the call, as code.
        x, y: input and output.
        p, training: the other arguments.
        g, dx: the gradient that came in, and that went out.
    """

    words: str
    x: np.ndarray
    p: Any
    training: bool
    y: np.ndarray | None = None
    g: np.ndarray | None = None
    dx: np.ndarray | None = None


class Watched(Trial):
    """A trial that keeps its last calls, its masks at p = 1/2, and the law's figures.

    Attributes:
        calls: the last ones, the newest at the end.
        count: how many there were.
        coins: masks at p = 1/2 of one shape, in the order of their calls.
    """

    def __init__(self, subject: Any, rng: np.random.Generator, quick: bool = False) -> None:
        self.calls: deque[Call] = deque(maxlen=8)
        self.count = 0
        self.coins: list[np.ndarray] = []
        self._results: deque[Any] = deque(maxlen=8)  # of these calls
        super().__init__(subject, rng, quick)

    @property
    def figures(self) -> list[Figure]:
        """What the law's tests of chance looked at."""
        return self.budget.figures

    def apply(
        self, x: Any, p: Any, training: bool = True, dropout: Dropout | None = None
    ) -> tuple[Any, np.ndarray]:
        self.count += 1
        result = y = None
        array = self.array(x)
        try:
            result, y = super().apply(x, p, training, dropout)
        finally:
            words = f"dropout(x, p={p!r}, training={training})"
            self.calls.append(Call(words, array, p, training, y))
            self._results.append(result)
        return result, y

    def dropped(
        self, shape: Sequence[int], p: float, dtype: Any = None, dropout: Dropout | None = None
    ) -> np.ndarray:
        mask = super().dropped(shape, p, dtype, dropout)
        kept = self.coins
        if p == 0.5 and mask.size > 1 and sum(map(np.size, kept)) + mask.size <= COINS:
            if kept and kept[0].shape != mask.shape:
                kept.clear()
            kept.append(mask)
        return mask

    def gradient(self, y: Any, x: Any, g: np.ndarray, again: bool = False) -> np.ndarray:
        dx = super().gradient(y, x, g, again)
        for i, result in enumerate(self._results):
            if result is y:
                old = self.calls[i]
                call = Call(old.words, old.x, old.p, old.training, old.y, g, dx)
                self.calls.append(call)
                self._results.append(y)
                break
        return dx


def right_places(noise: Noise, call: Call) -> tuple[np.ndarray, np.ndarray] | None:
    """Return where a call dropped, and where its result is what the noise may make of x.

    None if it has no result, or p is none.
    """
    p = float(call.p) if isinstance(call.p, SupportsFloat) else math.nan
    if call.y is None or not 0 <= p <= 1:
        return None
    x, y = call.x, call.y
    if not call.training:
        return np.zeros(x.shape, bool), near(y, x * noise.evaluation(p))
    dropped = noise.is_dropped(y, x, p)
    if noise.variance is not None:
        return dropped, np.ones(x.shape, bool)
    return dropped, dropped if p == 1 else noise.allows(y, x, p)


def near(got: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Return where two arrays are alike, but for rounding."""
    rounding = 8 * float(np.finfo(expected.dtype).eps) if expected.dtype.kind == "f" else 1e-6
    return np.isclose(got.astype(float), expected.astype(float), rtol=rounding, equal_nan=True)
