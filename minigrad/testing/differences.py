"""A derivative from central differences over many steps, and how far it may be off.

Ridders, "Accurate computation of F'(x) and F'(x) F''(x)", Advances in Engineering Software, 1982:
differences over shrinking steps, extrapolated; here with an account of rounding.
"""

from __future__ import annotations

import numpy as np

from minigrad.graph import Array

_RATIO = 4.0  # between one step and the next
_EPS = float(np.finfo(np.float64).eps)
_BELOW = 3  # how many smaller steps must show what rounding does at a step
_CREDIBLE = 1e-5  # of a derivative: what an estimate may be off that speaks for it
_CONFIDENT = 1e-2  # of an estimate: what it may be off that speaks against a derivative
_NEAR = 1e-4  # of the largest step: over longer ones a function may turn, and look flat
_FLAT = 100  # roundings of the function's value: the most that it may vary where it is flat


def ladder_steps(size: float) -> list[float]:
    """Return steps for an element of a size: from a quarter of it (or of 1) to a few roundings."""
    small = size if size > 1e-30 else 1e-3  # of an element that is 0, the size says nothing
    top, bottom = 0.25 * max(1.0, size), max(1e-12 * min(1.0, small), 4 * _EPS * size)
    return [top / _RATIO**k for k in range(int(np.log(top / bottom) / np.log(_RATIO)) + 1)]


class Ladder:
    """Estimates of some derivatives at one place, one for each step but the largest.

    Args:
        steps: from the largest to the smallest, each a quarter of the one before.
        quotients: (steps, derivatives), central difference quotients; NaN where there is none.
        bends: likewise, second differences divided by the step: slope ahead minus slope behind.
        magnitudes: likewise, of the values that were subtracted.

    Attributes:
        estimates: (steps - 1, derivatives), with the error of second order in the step taken out.
        errors: how far each may be off; infinite where it is not known.
        finite: (derivatives,), whether there is a quotient at any step.
        sound: whether each agrees with all those of smaller steps, as far as these can tell. Where
            a function turns many times within a step, or has a kink there, the estimate is not.
    """

    def __init__(
        self, steps: list[float], quotients: Array, bends: Array, magnitudes: Array
    ) -> None:
        h = np.array(steps)[:, None]
        self.finite = np.isfinite(quotients).any(axis=0)
        with np.errstate(all="ignore"):
            refined = (_RATIO**2 * quotients[1:] - quotients[:-1]) / (_RATIO**2 - 1)
            change = np.abs(np.diff(refined, axis=0, prepend=np.nan))
            noise, flat = np.full(refined.shape, np.inf), np.zeros(refined.shape, bool)
            for k in range(len(refined) - _BELOW):
                # a value that is off by a rounding makes its quotient off by that / step
                shown = np.abs(quotients[k + 2 :] - quotients[k + 1]) * h[k + 2 :]
                shown[~np.isfinite(shown)] = 0.0
                noise[k] = (shown.max(axis=0) + 4 * _EPS * magnitudes[k + 1]) / h[k + 1]
                if h[k] <= _NEAR * h[0]:
                    flat[k] = (shown <= _FLAT * _EPS * magnitudes[k + 2 :]).all(axis=0)
            errors = change + 3 * noise
            # where a function is smooth, the slopes ahead and behind differ the less the less the
            # step is; where it has a kink within the step, by the kink
            kink = (bends[1:] > 0.5 * bends[:-1]) & (bends[1:] > 3 * noise)
        self.estimates = refined
        self._weigh(quotients, flat, kink, errors)

    def _weigh(self, quotients: Array, flat: Array, kink: Array, errors: Array) -> None:
        """Set ``errors``, and say which estimates are sound."""
        # steps so small that the function does not change at all tell nothing, if larger ones do
        still = (quotients == 0) | np.isnan(quotients)
        silent = np.logical_and.accumulate(still[::-1], axis=0)[::-1]
        refined = self.estimates
        known = np.isfinite(errors) & np.isfinite(refined) & (~silent[1:] | silent[0])
        self.errors = np.where(known, errors, np.inf)
        self.sound = known & ~kink & (flat | (self.errors <= _CONFIDENT * np.abs(refined)))
        for k in range(len(refined)):
            smaller, off = refined[k + 1 :], 3 * self.errors[k + 1 :] + self.errors[k]
            with np.errstate(all="ignore"):
                apart = np.abs(smaller - refined[k]) > off
            self.sound[k] &= ~(apart & known[k + 1 :]).any(axis=0)

    def judge(self, derivatives: Array, atol: float, rtol: float) -> tuple[Array, Array]:
        """Return the best estimate of each derivative, and how far a right one may be from it.

        That is infinite if no estimate is sound, or if one that is known to ``_CREDIBLE`` agrees
        with the derivative.
        """
        with np.errstate(all="ignore"):
            off = np.abs(self.estimates - derivatives)
            allowed = atol + rtol * np.abs(self.estimates) + 3 * self.errors
        credible = self.errors <= _CREDIBLE * np.abs(derivatives)
        passes = (credible & (off <= allowed)).any(axis=0) | ~self.sound.any(axis=0)
        errors = np.where(self.sound, self.errors, np.inf)
        best = errors.argmin(axis=0), np.arange(errors.shape[1])
        floor = 64 * _EPS * np.abs(derivatives).max(initial=0)
        return self.estimates[best], np.where(passes, np.inf, allowed[best] + floor)
