"""Laws of edges: the ends of p, dtypes, shapes, memory; and what libraries do differently."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np

from minigrad.testing.laws.checks import check_same, check_support, is_kept
from minigrad.testing.laws.law import CONTRACT, EDGE, law
from minigrad.testing.laws.trial import BrokenLaw, Trial
from minigrad.testing.laws.values import SHAPE, check_identity, check_layout, rates
from minigrad.testing.noise import CLASSIC, INVERTED


@law("p = 0 is the identity, also for the gradient.", EDGE)
def p_zero(trial: Trial) -> None:
    for p in 0.0, 0:
        check_identity(trial, p, training=True)


@law("Where there is no noise, at p = 0 and in evaluation, nothing is drawn.", CONTRACT,
     ("seed", "own_draws"))  # fmt: skip
def quiet(trial: Trial) -> None:
    state, modes = trial.subject.state, bool(trial.subject.modes)
    silent = [(0.0, True), *((p, False) for p in rates(trial, 0.5, 1.0) if modes)]
    for p, training in silent:
        seed = trial.reseed()
        before = state() if state else None
        trial.apply(trial.tensor(trial.numbers(SHAPE)), p, training)
        if state and state() != before:
            raise BrokenLaw("expected the stream of random numbers not to move, but it did")
        after, fresh = trial.dropped(SHAPE, 0.5), []
        for _ in range(2):
            trial.seed(seed)
            fresh.append(trial.dropped(SHAPE, 0.5))
        replayed = (fresh[0] == fresh[1]).all()  # if not, the law of the seed will say so
        if replayed and (fresh[0] != after).any():
            raise BrokenLaw(
                f"p = {p:g}, training = {training}: expected no random number to be drawn, but the "
                "next mask is not the one that would have come without the call"
            )


@law("p = 1 gives zeros, and zero gradients that exist, without a warning.", EDGE, ("mask",))
def p_one(trial: Trial) -> None:
    if not trial.domain.one:
        _check_refused(trial, 1.0)
        return
    for dtype in trial.dtypes:
        for p in 1.0, 1:
            array = trial.numbers(SHAPE, dtype)
            x = trial.tensor(array)
            with warnings.catch_warnings(), np.errstate(all="warn"):
                warnings.simplefilter("error")
                result, y = trial.apply(x, p)
                _check_zeros(y, "the result")
                if trial.subject.gradients:
                    dx = trial.gradient(result, x, trial.numbers(SHAPE, dtype))
                    _check_zeros(dx, "the gradient")


def _check_zeros(array: np.ndarray, what: str) -> None:
    wrong = array != 0  # NaN is not 0
    if wrong.any():
        at = tuple(map(int, np.argwhere(wrong)[0]))
        raise BrokenLaw(
            f"p = 1: expected zeros, but {int(wrong.sum())} of {array.size} elements of {what} are "
            f"not, the first at {at}: {array[at]}"
        )


#: how a dropout may refuse a number: PyTorch raises RuntimeError for NaN, the chapter asserts
REFUSALS = (ValueError, RuntimeError, AssertionError)
NO_PROBABILITY = (
    -0.1, -1e-9, 1 + 1e-9, 1.5, 2, 50, -1, math.nan, math.inf, -math.inf, np.float32("nan"),
)  # fmt: skip
NO_NUMBER = ("0.5", "half", None, 0.5j)


@law("What is no probability is refused: a p outside [0, 1], NaN, a string.", EDGE)
def bad_p(trial: Trial) -> None:
    trial.apply(trial.constant(trial.numbers((16,))), 0.5)  # to refuse everything is no answer
    for p in NO_PROBABILITY:
        _check_refused(trial, p)
    for thing in NO_NUMBER:
        _check_refused(trial, thing)


def _check_refused(trial: Trial, p: Any) -> None:
    try:
        _, y = trial.apply(trial.constant(trial.numbers((16,))), p)
    except BrokenLaw:
        raise
    except REFUSALS:
        return
    except TypeError:
        if isinstance(p, float):
            raise  # 0.5 was taken, and this is a number of the same type
        return
    raise BrokenLaw(f"p = {p!r}: expected a ValueError, but got a result: {y[:4]}...")


@law("Result and gradient have x's dtype, whatever type of number p is.", EDGE)
def dtype(trial: Trial) -> None:
    for kind in trial.dtypes:
        for p in 0.5, np.float16(0.5), np.float32(0.5), np.float64(0.5), np.array(0.5):
            array = trial.numbers(SHAPE, kind)
            x = trial.tensor(array)
            try:
                result, y = trial.apply(x, p)
            except (TypeError, ValueError):
                if type(p) is float:
                    raise
                continue  # to take Python's floats alone is allowed
            if y.dtype != kind:
                raise BrokenLaw(
                    f"x is {array.dtype} and p is {type(p).__name__}: expected {array.dtype}, got "
                    f"{y.dtype}; float(p) promotes nothing"
                )
            if trial.noise.variance is None:
                check_support(y, array, 0.5, noise=trial.noise)
            if trial.subject.gradients:
                trial.gradient(result, x, array)  # checks the dtype


@law("Any shape will do: no dimensions, no elements, one, many.", EDGE)
def shape(trial: Trial) -> None:
    shapes: list[tuple[int, ...]] = [(), (1,), (0,), (3, 0, 2), (7,), (2, 3, 4, 5)]
    for some in shapes:
        check_layout(trial, trial.numbers(some))
    seen = {bool(trial.dropped((), 0.5)) for _ in range(64)}
    if len(seen) == 1:
        raise BrokenLaw(
            "p = 0.5: of 64 numbers without dimensions, expected some dropped and some kept, got "
            f"all {'dropped' if seen.pop() else 'kept'}"
        )


@law("NaN and infinities spoil no others; dropped, they become 0 or NaN (x · 0).",
     EDGE, ("inverted",))  # fmt: skip
def nonfinite(trial: Trial) -> None:
    special = [
        np.nan,
        np.inf,
        -np.inf,
        0.0,
        -0.0,
        1.0,
        -1.0,
        0.25 * float(np.finfo(np.float32).max),
    ]
    array = np.tile(np.array(special, np.float32), 64).astype(trial.usual)
    x, g = trial.tensor(array), trial.numbers(array.shape)
    result, y = trial.apply(x, 0.5)
    finite, nan, kept = np.isfinite(array), np.isnan(array), y == array
    check_support(y[finite], array[finite], 0.5, "the finite part of x")
    wrong = ~finite & ~(np.isnan(y) | (y == 0) | kept)
    if wrong.any():
        i = int(np.argwhere(wrong)[0, 0])
        raise BrokenLaw(f"element {i} is {array[i]}: expected it, 0 or NaN, but got {y[i]}")
    if not (kept & ~finite).any() or not np.isnan(y[nan]).any():
        raise BrokenLaw("p = 0.5: expected about half of NaN and infinities to be kept, got none")
    if trial.subject.gradients:
        dx = trial.gradient(result, x, g)
        check_support(dx, g, 0.5, "the incoming gradient")
        check = ~nan & (array != 0)
        _check_pattern(dx[check] == 0, ~(kept | is_kept(y, array, 0.5))[check])


def _check_pattern(got: np.ndarray, expected: np.ndarray) -> None:
    if (got != expected).any():
        raise BrokenLaw(
            "expected the gradient to be 0 where infinities were dropped, and only there; it is "
            f"not in {int((got != expected).sum())} of {got.size} places"
        )


@law("A result is memory of its own: later calls and writes falsify nothing.", CONTRACT)
def aliasing(trial: Trial) -> None:
    memory, array = trial.memory, trial.numbers(SHAPE)
    x, g = trial.tensor(array.copy()), trial.numbers(SHAPE)
    first, y = trial.apply(x, 0.3)
    if np.shares_memory(memory(first), memory(x)):
        raise BrokenLaw("p = 0.3: expected a new array, but the result shares memory with x")
    trial.apply(trial.tensor(trial.numbers(SHAPE)), 0.3)
    check_same(trial.array(first), y, "a result after another call")
    if trial.subject.gradients and memory(first).flags.writeable:
        try:
            dx = trial.gradient(first, x, g, again=True)
        except RuntimeError:
            return  # a graph that serves once: nothing can be falsified
        memory(first)[...] = 0
        check_same(
            trial.gradient(first, x, g), dx, "the gradient, after the result was written over"
        )


@law("The in-place form overwrites x, and no gradient is falsified by that.",
     EDGE, ("inplace", "mask"))  # fmt: skip
def inplace(trial: Trial) -> None:
    memory, form = trial.memory, trial.subject.inplace
    for p in rates(trial, 0.0, 0.3, 1.0):
        for training in True, False:
            array = trial.numbers(SHAPE)
            x = trial.constant(array.copy())
            result, y = trial.apply(x, p, training, form)
            what = f"p = {p:g}, training = {training}: x after the call"
            check_same(trial.array(x), y, what)
            if not np.shares_memory(memory(result), memory(x)):
                raise BrokenLaw(f"p = {p:g}: expected the result in x's memory, got another array")
            noise = trial.noise if training else INVERTED
            if p < 1 or not training:
                check_support(y, array, p if training else 0.0, noise=noise)
            else:
                _check_zeros(y, "the result")
            if trial.subject.gradients:
                leaf, g = trial.tensor(array), trial.numbers(SHAPE)
                result, y = trial.apply(leaf * 1, p, training, form)
                dx = trial.gradient(result, leaf, g)
                if p < 1 or not training:
                    rate = p if training else 0.0
                    if ((dx == 0) != noise.is_dropped(y, array, rate)).any():
                        raise BrokenLaw(f"p = {p:g}: the gradient is 0 elsewhere than the result")
                    check_support(dx, g, rate, "the incoming gradient", noise.of_the_gradient)
    if trial.subject.gradients and trial.noise in (INVERTED, CLASSIC):
        _check_overwritten(trial)


def _check_overwritten(trial: Trial) -> None:
    """Check the gradient of an op that still needs what was overwritten: right, or refused."""
    leaf, g = trial.tensor(trial.numbers(SHAPE)), trial.numbers(SHAPE)
    try:
        result, y = trial.apply(leaf.exp(), 0.3, True, trial.subject.inplace)
        dx = trial.gradient(result, leaf, g)
    except RuntimeError:
        return
    if not np.allclose(dx, g * y, rtol=1e-5):
        raise BrokenLaw(
            "x = exp(z), overwritten by dropout: backward of exp needs the x that was; expected "
            "its gradient to be right, or to be refused with a RuntimeError, but it is wrong"
        )


STEP = 2.0**-24


@law("An element is dropped where its uniform number u < p: kept where u = p.",
     EDGE, ("from_uniforms", "mask", "elements"))  # fmt: skip
def boundary(trial: Trial) -> None:
    assert trial.subject.from_uniforms
    for p in 0.0, STEP, 0.25, 0.5, 0.625, 1 - STEP, 1.0:
        values = {0.0, p - STEP, p, p + STEP, 1 - STEP}
        u = np.array(sorted(v for v in values if 0 <= v < 1))
        x = trial.numbers(u.shape)
        trial.last_call = f"from_uniforms(x, p={p!r}, u={u.tolist()})"
        y = trial.array(trial.subject.from_uniforms(trial.tensor(x), p, u))
        dropped = y == 0 if p == 1 else trial.noise.is_dropped(y, x, p)
        for number, got, expected in zip(u, dropped, u < p, strict=True):
            if got != expected:
                words = ("kept", "dropped")
                where = f"u = {float(number)!r}" + (" = p" if number == p else "")
                raise BrokenLaw(
                    f"p = {p!r}, {where}: expected the element to be {words[int(expected)]}, but "
                    f"it was {words[int(got)]}"
                )
