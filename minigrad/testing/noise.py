"""What noise a dropout makes: what becomes of an element that is dropped, and of one that is kept.

==============  ================================================================================
`INVERTED`      0, or x/(1 - p): dropout as it is used today
`CLASSIC`       0, or x; evaluation multiplies by 1 - p (Srivastava et al., 2014, figure 2)
`ALPHA`         what keeps mean 0 and variance 1 behind SELU (Klambauer et al., 2017)
`GAUSSIAN`      x times a normal number, of mean 1 and variance p/(1 - p) (Srivastava et al., 2014)
==============  ================================================================================
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from minigrad.testing.frameworks import eps

Rate = Callable[[float], float]


@dataclass(frozen=True)
class Noise:
    """What becomes of an element, each a function of p; of an x that is dropped or kept.

    Args:
        scale: a kept x becomes x · scale + shift.
        shift: see ``scale``.
        dropped: what a dropped x becomes.
        evaluation: what x is multiplied by in evaluation.
        variance: for noise that drops nothing: y is x times a normal number of mean 1 and this
            variance, and the others play no role.
    """

    scale: Rate = lambda p: 1 / (1 - p)
    shift: Rate = lambda p: 0.0
    dropped: Rate = lambda p: 0.0
    evaluation: Rate = lambda p: 1.0
    variance: Rate | None = None

    def kept(self, x: np.ndarray, p: float) -> np.ndarray:
        """Return what each element becomes if it is kept, in float64."""
        return np.asarray(x, np.float64) * self.scale(p) + self.shift(p)

    def is_dropped(self, y: np.ndarray, x: np.ndarray, p: float) -> np.ndarray:
        """Return which elements were dropped; of normal noise, which became smaller."""
        if self.variance is not None:
            return np.abs(y) < np.abs(x)
        if not self.dropped(p) and not self.shift(p):
            return y == 0
        value = np.asarray(y, np.float64)
        return np.abs(value - self.dropped(p)) < np.abs(value - self.kept(x, p))

    def allows(self, y: np.ndarray, x: np.ndarray, p: float) -> np.ndarray:
        """Return which elements of y are what noise may make of x, but for rounding."""
        value = np.asarray(y, np.float64)
        sizes = np.abs(np.asarray(x, np.float64)) * self.scale(p) + abs(self.shift(p))
        rounding = 8 * eps(x.dtype) * (sizes + abs(self.dropped(p)))
        near = np.abs(value - self.dropped(p)) <= rounding
        return near | (np.abs(value - self.kept(x, p)) <= rounding)

    @property
    def of_the_gradient(self) -> Noise:
        """The noise that backward multiplies by: the same scale, and nothing added."""
        return self if self is INVERTED else Noise(self.scale)


INVERTED = Noise()
CLASSIC = Noise(scale=lambda p: 1.0, evaluation=lambda p: 1 - p)

SATURATION = 1.7580993408473766  # SELU's limit at minus infinity is -λα


def _alpha_scale(p: float) -> float:
    return 1 / math.sqrt((1 - p) * (1 + p * SATURATION**2)) if p < 1 else 0.0


ALPHA = Noise(
    scale=_alpha_scale,
    shift=lambda p: _alpha_scale(p) * SATURATION * p,
    dropped=lambda p: -_alpha_scale(p) * SATURATION * (1 - p),
)
GAUSSIAN = Noise(variance=lambda p: p / (1 - p))
