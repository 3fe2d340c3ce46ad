"""Laws of the gradient: backward is forward, with the same mask and the same scale.

And forward does not depend on whether there will be a backward.
"""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np

from minigrad.testing.frameworks import eps
from minigrad.testing.laws.checks import check_same, check_support
from minigrad.testing.laws.law import BUG, law
from minigrad.testing.laws.trial import BrokenLaw, Trial
from minigrad.testing.laws.values import SHAPE


def _check_mask(dx: np.ndarray, y: np.ndarray, dropped: np.ndarray, when: str) -> None:
    wrong = (dx == 0) != dropped
    if wrong.any():
        at = tuple(map(int, np.argwhere(wrong)[0]))
        raise BrokenLaw(
            f"{when}: the gradient should be 0 exactly where the forward dropped, but in "
            f"{int(wrong.sum())} of {y.size} places it is not; the first is {at}: the result there "
            f"is {float(y[at]):.6g}, the gradient {float(dx[at]):.6g}"
        )


@law("Backward has its own forward's zeros, whatever was called in between.",
     BUG, ("gradient", "mask"))  # fmt: skip
def backward_mask(trial: Trial) -> None:
    for p in 0.1, 0.5, 0.8:
        calls: list[tuple[Any, Any, np.ndarray, np.ndarray]] = []
        for _ in range(2):
            array = trial.numbers(SHAPE)
            x = trial.tensor(array)
            result, y = trial.apply(x, p)
            calls.append((x, result, y, trial.noise.is_dropped(y, array, p)))
        for i in 0, 1:  # the first call's gradient comes after the second call's forward
            x, result, y, dropped = calls[i]
            dx = trial.gradient(result, x, trial.numbers(SHAPE))
            _check_mask(dx, y, dropped, f"p = {p:g}, backward of call {i + 1} of 2")


@law("A second backward, where it is allowed, has the mask of the first.",
     BUG, ("gradient",))  # fmt: skip
def backward_again(trial: Trial) -> None:
    for p in 0.3, 0.5:
        x, g = trial.tensor(trial.numbers(SHAPE)), trial.numbers(SHAPE)
        result, _ = trial.apply(x, p)
        try:
            first = trial.gradient(result, x, g, again=True)
            second = trial.gradient(result, x, g)
        except RuntimeError:
            return
        check_same(second, first, "the gradient, asked for again")


@law("Backward multiplies by 0 or 1/(1 - p), to the last bit, also where x is 0.",
     BUG, ("gradient",))  # fmt: skip
def backward_scale(trial: Trial) -> None:
    for dtype in trial.dtypes:
        for p in 0.1, 0.3, 0.5, 0.9:
            array = trial.numbers(SHAPE, dtype)
            array[::4] = 0
            x, g = trial.tensor(array), trial.numbers(SHAPE, dtype)
            result, y = trial.apply(x, p)
            dx = trial.gradient(result, x, g)
            if trial.noise.variance is None:
                check_support(dx, g, p, "the incoming gradient", trial.noise.of_the_gradient)
            else:
                _check_factors(y, array, dx, g, p, 8 * eps(dtype))
            if not dx.any():
                raise BrokenLaw(f"p = {p:g}: the gradient is 0 everywhere")


def _check_factors(
    y: np.ndarray, x: np.ndarray, dx: np.ndarray, g: np.ndarray, p: float, rounding: float
) -> None:
    """Check that backward multiplies by the very numbers that forward multiplied by."""
    y, x, dx, g = (np.asarray(a, np.float64)[np.asarray(x) != 0] for a in (y, x, dx, g))
    wrong = np.abs(y * g - dx * x) > rounding * np.abs(y * g)
    if wrong.any():
        i = int(np.argwhere(wrong)[0, 0])
        raise BrokenLaw(
            f"p = {p:g}: forward multiplied by {y[i] / x[i]:.6g}, backward by {dx[i] / g[i]:.6g}, "
            f"the first of {int(wrong.sum())} of {y.size} places"
        )


@law("Under no_grad nothing changes: in training it drops, with its seed's mask.",
     BUG, ("no_grad", "mask"))  # fmt: skip
def no_grad(trial: Trial) -> None:
    assert trial.framework.no_grad
    for p in 0.1, 0.3, 0.5, 0.9:
        array = trial.numbers(SHAPE)
        x, masks, seed = trial.tensor(array), [], trial.reseed()
        for recording in True, False, True:
            trial.seed(seed)
            with contextlib.nullcontext() if recording else trial.framework.no_grad():
                _, y = trial.apply(x, p)
            masks.append(trial.noise.is_dropped(y, array, p))
            if not recording:
                trial.last_call += ", under no_grad"
                if not masks[1].any():
                    raise BrokenLaw(
                        f"p = {p:g}, training, under no_grad: expected noise, but nothing was "
                        "dropped: does it take what is not recorded for evaluation?"
                    )
                check_support(y, array, p, noise=trial.noise)
        differ = int((masks[0] != masks[1]).sum())
        if differ and (masks[0] == masks[2]).all():  # if not, the law of the seed will say so
            raise BrokenLaw(
                f"p = {p:g}, training: the same seed should give the same mask under no_grad as "
                f"when recording (checkpointing lives on that), but {differ} of {array.size} "
                "places differ"
            )
