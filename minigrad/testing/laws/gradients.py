"""Laws of the gradient: backward is forward, with the same mask and the same scale.

And forward does not depend on whether there will be a backward.
"""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np

from minigrad.testing.laws.law import BrokenLaw, Trial, check_same, check_support, law
from minigrad.testing.laws.values import DTYPES, SHAPE


def _check_mask(dx: np.ndarray, y: np.ndarray, when: str) -> None:
    wrong = (dx == 0) != (y == 0)
    if wrong.any():
        at = tuple(map(int, np.argwhere(wrong)[0]))
        raise BrokenLaw(
            f"{when}: the gradient should be 0 exactly where the forward gave 0, but in "
            f"{int(wrong.sum())} of {y.size} places it is not; the first is {at}: the result there "
            f"is {y[at]:.6g}, the gradient {dx[at]:.6g}"
        )


@law("Backward has its own forward's zeros, whatever was called in between.",
     ("gradient",))  # fmt: skip
def backward_mask(trial: Trial) -> None:
    for p in 0.1, 0.5, 0.8:
        calls: list[tuple[Any, Any, np.ndarray]] = []
        for _ in range(2):
            x = trial.tensor(trial.numbers(SHAPE))
            calls.append((x, *trial.apply(x, p)))
        for i in 0, 1, 0:  # the first call's gradient comes after the second call's forward
            x, result, y = calls[i]
            dx = trial.gradient(result, x, trial.numbers(SHAPE))
            _check_mask(dx, y, f"p = {p:g}, backward of call {i + 1} of 2")


@law("Backward multiplies by 0 or 1/(1 - p), to the last bit, also where x is 0.",
     ("gradient",))  # fmt: skip
def backward_scale(trial: Trial) -> None:
    for dtype in DTYPES:
        for p in 0.1, 0.3, 0.5, 0.9:
            array = trial.numbers(SHAPE, dtype)
            array[::4] = 0
            x, g = trial.tensor(array), trial.numbers(SHAPE, dtype)
            result, _ = trial.apply(x, p)
            dx = trial.gradient(result, x, g)
            check_support(dx, g, p, "the incoming gradient")
            if not dx.any():
                raise BrokenLaw(f"p = {p:g}: the gradient is 0 everywhere")
            check_same(trial.gradient(result, x, g), dx, "the gradient, asked for again")


@law("Under no_grad nothing changes: in training it drops, with its seed's mask.",
     ("no_grad",))  # fmt: skip
def no_grad(trial: Trial) -> None:
    assert trial.framework.no_grad
    for p in 0.1, 0.3, 0.5, 0.9:
        array = trial.numbers(SHAPE)
        x, masks, seed = trial.tensor(array), [], trial.reseed()
        for recording in True, False, True:
            trial.seed(seed)
            with contextlib.nullcontext() if recording else trial.framework.no_grad():
                _, y = trial.apply(x, p)
            masks.append(y == 0)
            if not recording:
                trial.last_call += ", under no_grad"
                if not masks[1].any():
                    raise BrokenLaw(
                        f"p = {p:g}, training, under no_grad: expected noise, but nothing was "
                        "dropped: does it take what is not recorded for evaluation?"
                    )
                check_support(y, array, p)
        differ = int((masks[0] != masks[1]).sum())
        if differ and (masks[0] == masks[2]).all():  # if not, the law of the seed will say so
            raise BrokenLaw(
                f"p = {p:g}, training: the same seed should give the same mask under no_grad as "
                f"when recording (checkpointing lives on that), but {differ} of {array.size} "
                "places differ"
            )
