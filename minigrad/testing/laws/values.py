"""Laws of single values: what an element becomes. They hold exactly, whatever the draw."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad.testing.laws.law import (
    BrokenLaw,
    Trial,
    check_same,
    check_support,
    is_kept,
    law,
)
from minigrad.testing.subjects import Dropout

DTYPES = (np.float16, np.float32, np.float64)
SHAPE = (31, 33)  # 1023 elements: no p below is a share that could come out even


@law("In training each element becomes 0 or x/(1 - p), to the last bit.")
def support(trial: Trial) -> None:
    for dtype in DTYPES:
        for p in 0.1, 0.3, 0.5, 0.9:
            x = trial.numbers(SHAPE, dtype)
            _, y = trial.apply(trial.tensor(x), p)
            check_support(y, x, p)


@law("p = 0 is the identity, also for the gradient, and draws nothing.")
def p_zero(trial: Trial) -> None:
    for p in 0.0, 0:
        _check_identity(trial, p, training=True)


@law("Evaluation is the identity, also for the gradient, and draws nothing.",
     ("modes",))  # fmt: skip
def evaluation(trial: Trial) -> None:
    for p in 0.5, 0.2, 1.0, 0.0, 0.5:
        _check_identity(trial, p, training=False)


def _check_identity(trial: Trial, p: float, training: bool) -> None:
    """Check x, gradient and state; then that the next mask is the one it would have been."""
    array = trial.numbers(SHAPE)
    x, g, state = trial.tensor(array.copy()), trial.numbers(SHAPE), trial.subject.state
    seed = trial.reseed()
    before = state() if state else None
    result, y = trial.apply(x, p, training)
    check_same(y, array, "the result should be x itself")
    if state and state() != before:
        raise BrokenLaw("expected the stream of random numbers not to move, but it did")
    if trial.framework.gradient:
        check_same(trial.gradient(result, x, g), g, "the gradient should pass as it is")
    if trial.subject.seed:
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


@law("p = 1 gives zeros, and zero gradients that exist, without a warning.")
def p_one(trial: Trial) -> None:
    for dtype in DTYPES:
        for p in 1.0, 1:
            array = trial.numbers(SHAPE, dtype)
            x = trial.tensor(array)
            with warnings.catch_warnings(), np.errstate(all="warn"):
                warnings.simplefilter("error")
                result, y = trial.apply(x, p)
                _check_zeros(y, "the result")
                if trial.framework.gradient:
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


#: how a dropout may refuse: PyTorch raises RuntimeError for NaN, the chapter asserts
REFUSALS = (ValueError, TypeError, RuntimeError, AssertionError)
NO_PROBABILITY = (
    -0.1, -1e-9, 1 + 1e-9, 1.5, 2, 50, -1, math.nan, math.inf, -math.inf,
    np.float32("nan"), "0.5", "half", None, 0.5j,
)  # fmt: skip


@law("What is no probability is refused: a p outside [0, 1], NaN, a string.")
def bad_p(trial: Trial) -> None:
    for p in NO_PROBABILITY:
        try:
            _, y = trial.apply(trial.constant(trial.numbers((16,))), p)
        except BrokenLaw:
            raise
        except REFUSALS:
            continue
        raise BrokenLaw(
            f"p = {p!r}: expected a ValueError (or TypeError), but got a result: {y[:4]}..."
        )


@law("Result and gradient have x's dtype, whatever type of number p is.")
def dtype(trial: Trial) -> None:
    for kind in DTYPES:
        for p in 0.5, np.float16(0.5), np.float32(0.5), np.float64(0.5), np.array(0.5):
            array = trial.numbers(SHAPE, kind)
            x = trial.tensor(array)
            try:
                result, y = trial.apply(x, p)
            except TypeError:
                if isinstance(p, float):
                    raise
                continue  # to take Python's floats alone is allowed
            if y.dtype != kind:
                raise BrokenLaw(
                    f"x is {array.dtype} and p is {type(p).__name__}: expected {array.dtype}, got "
                    f"{y.dtype}; float(p) promotes nothing"
                )
            check_support(y, array, 0.5)
            if trial.framework.gradient:
                trial.gradient(result, x, array)  # checks the dtype


@law("Any shape and layout will do: no dimensions, no elements, any strides.")
def shape(trial: Trial) -> None:
    for array in _layouts(trial):
        x = trial.tensor(array)
        result, y = trial.apply(x, 0.3)
        check_support(y, array, 0.3)
        if trial.framework.gradient:
            g = trial.numbers(array.shape)
            check_support(trial.gradient(result, x, g), g, 0.3, "the incoming gradient")
    seen = {bool(trial.dropped((), 0.5)) for _ in range(64)}
    if len(seen) == 1:
        raise BrokenLaw(
            "p = 0.5: of 64 numbers without dimensions, expected some dropped and some kept, got "
            f"all {'dropped' if seen.pop() else 'kept'}"
        )


def _layouts(trial: Trial) -> list[np.ndarray]:
    shapes: list[tuple[int, ...]] = [(), (1,), (0,), (3, 0, 2), (7,), (2, 3, 4, 5)]
    plain = trial.numbers((24, 30))
    row = np.ascontiguousarray(plain[0])
    return [
        *(trial.numbers(s) for s in shapes),
        plain.T,
        plain[::2, 1::3],
        plain[::-1],
        np.asfortranarray(plain),
        np.lib.stride_tricks.as_strided(row, (24, 30), (0, row.itemsize)),  # one row for all
    ]


@law("NaN and infinities spoil no others; dropped, they become 0 or NaN (x · 0).")
def nonfinite(trial: Trial) -> None:
    special = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -1.0, 0.25 * np.finfo(np.float32).max]
    array = np.tile(np.array(special, np.float32), 64)
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
    if trial.framework.gradient:
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


@law("The bytes of x, and of the incoming gradient, stay what they are.")
def input_untouched(trial: Trial) -> None:
    for p in 0.0, 0.3, 1.0:
        for training in True, False:
            given = trial.numbers(SHAPE)
            array, x = given.copy(), trial.tensor(given)
            result, _ = trial.apply(x, p, training)
            what = f"p = {p:g}, training = {training}: x after the call"
            check_same(trial.framework.array(x), array, what)
            if trial.framework.gradient:
                g = trial.numbers(SHAPE)
                before = g.copy()
                trial.gradient(result, x, g)
                check_same(trial.framework.array(x), array, f"{what} and the backward")
                check_same(g, before, f"p = {p:g}, training = {training}: the incoming gradient")


@law("A result is memory of its own: later calls and writes falsify nothing.")
def aliasing(trial: Trial) -> None:
    memory, array = trial.framework.memory, trial.numbers(SHAPE)
    x, g = trial.tensor(array.copy()), trial.numbers(SHAPE)
    first, y = trial.apply(x, 0.3)
    if np.shares_memory(memory(first), memory(x)):
        raise BrokenLaw("p = 0.3: expected a new array, but the result shares memory with x")
    trial.apply(trial.tensor(trial.numbers(SHAPE)), 0.3)
    check_same(memory(first), y, "a result after another call")
    if trial.framework.gradient:
        dx = trial.gradient(first, x, g)
        memory(first)[...] = 0
        check_same(
            trial.gradient(first, x, g), dx, "the gradient, after the result was written over"
        )


@law("The in-place form overwrites x, and no gradient is falsified by that.", ("inplace",))
def inplace(trial: Trial) -> None:
    memory, form = trial.framework.memory, trial.subject.inplace
    for p in 0.0, 0.3, 1.0:
        for training in True, False:
            array = trial.numbers(SHAPE)
            x = trial.constant(array.copy())
            result, y = trial.apply(x, p, training, form)
            what = f"p = {p:g}, training = {training}: x after the call"
            check_same(trial.framework.array(x), y, what)
            if not np.shares_memory(memory(result), memory(x)):
                raise BrokenLaw(f"p = {p:g}: expected the result in x's memory, got another array")
            if p < 1 or not training:
                check_support(y, array, p if training else 0.0)
            else:
                _check_zeros(y, "the result")
            if trial.framework.gradient:
                leaf, g = trial.tensor(array), trial.numbers(SHAPE)
                result, y = trial.apply(leaf * 1, p, training, form)
                dx = trial.gradient(result, leaf, g)
                if ((dx == 0) != (y == 0)).any():
                    raise BrokenLaw(f"p = {p:g}: the gradient's zeros are not those of the result")
                if p < 1 or not training:
                    check_support(dx, g, p if training else 0.0, "the incoming gradient")
    if trial.framework.gradient:
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
     ("from_uniforms",))  # fmt: skip
def boundary(trial: Trial) -> None:
    assert trial.subject.from_uniforms
    for p in 0.0, STEP, 0.25, 0.5, 0.625, 1 - STEP, 1.0:
        values = {0.0, p - STEP, p, p + STEP, 1 - STEP}
        u = np.array(sorted(v for v in values if 0 <= v < 1))
        x = trial.numbers(u.shape)
        trial.last_call = f"from_uniforms(x, p={p!r}, u={u.tolist()})"
        y = trial.framework.array(trial.subject.from_uniforms(trial.tensor(x), p, u))
        for number, got, expected in zip(u, y == 0, u < p, strict=True):
            if got != expected:
                words = ("kept", "dropped")
                where = f"u = {float(number)!r}" + (" = p" if number == p else "")
                raise BrokenLaw(
                    f"p = {p!r}, {where}: expected the element to be {words[int(expected)]}, but "
                    f"it was {words[int(got)]}"
                )


def _mode_is_set(layer: Any) -> Dropout:
    return lambda x, p, training: layer(x)


@law("train() and eval() of a network reach a dropout in any nest of containers.", ("module",))
def containers(trial: Trial) -> None:
    assert trial.subject.module
    assert trial.framework.layers
    nn = trial.framework.layers()

    class Holder(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self, child: Any) -> None:
            super().__init__()
            self.child = child

    nests: dict[str, Callable[[Any], Any]] = {
        "a Sequential": nn.Sequential,
        "a ModuleList": lambda m: nn.ModuleList([m]),
        "an attribute of a module": Holder,
        "a Sequential in a ModuleList in a module in a Sequential": lambda m: nn.Sequential(
            Holder(nn.ModuleList([nn.Sequential(m)]))
        ),
    }
    for name, nest in nests.items():
        layer = trial.subject.module(0.5)
        net: Any = nest(layer)
        for training in True, False, False, True:
            net.train() if training else net.eval()
            array = trial.numbers(SHAPE)
            _, y = trial.apply(trial.tensor(array), 0.5, training, _mode_is_set(layer))
            if training and not (y == 0).any():
                raise BrokenLaw(f"inside {name}, after train(): expected noise, but got x itself")
            if not training:
                check_same(y, array, f"inside {name}, after eval()")
