"""Laws of single values: what an element becomes. They hold exactly, whatever the draw."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad.testing.laws.checks import check_same, check_support
from minigrad.testing.laws.law import BUG, law
from minigrad.testing.laws.trial import BrokenLaw, Trial
from minigrad.testing.subjects import Dropout

SHAPE = (31, 33)  # 1023 elements: no p below is a share that could come out even


@law("In training each element becomes 0 or x/(1 - p), to the last bit.", BUG, ("mask",))
def support(trial: Trial) -> None:
    for dtype in trial.dtypes:
        for p in 0.1, 0.3, 0.5, 0.9:
            x = trial.numbers(SHAPE, dtype)
            _, y = trial.apply(trial.tensor(x), p)
            check_support(y, x, p, noise=trial.noise)


@law("Elements of a unit share their fate, and each keeps its own value.",
     BUG, ("units", "mask"))  # fmt: skip
def blocks(trial: Trial) -> None:
    assert trial.units
    for p in 0.2, 0.5:
        full = trial.spread(np.ones(SHAPE, trial.usual)).shape
        x = trial.numbers(full)
        result, y = _untouched(trial, x, p)
        check_support(y, x, p, noise=trial.noise)
        _check_shared(trial, trial.noise.is_dropped(y, x, p), p, "dropped")
        if trial.subject.gradients:
            g = trial.numbers(full)
            dx = _gradient_of_blocks(trial, result, g)
            check_support(dx, g, p, "the incoming gradient", trial.noise.of_the_gradient)
            _check_shared(trial, dx == 0, p, "dropped by backward")


def _untouched(trial: Trial, x: np.ndarray, p: float) -> tuple[Any, np.ndarray]:
    """Call the dropout on blocks as they are: a trial of single elements of the same subject."""
    alone = trial.alone()
    leaf = alone.tensor(x)
    result, y = alone.apply(leaf, p)
    trial.last_call = alone.last_call
    return (alone, result, leaf), y


def _gradient_of_blocks(trial: Trial, result: Any, g: np.ndarray) -> np.ndarray:
    alone, y, leaf = result
    return np.asarray(alone.gradient(y, leaf, g))


def _check_shared(trial: Trial, fate: np.ndarray, p: float, what: str) -> None:
    assert trial.units
    differ = fate != trial.units.first(fate)
    if differ.any():
        at = tuple(map(int, np.argwhere(differ)[0]))
        raise BrokenLaw(
            f"p = {p:g}: expected the elements of a unit {tuple(trial.units.axes)} to be {what} "
            f"together, but {int(differ.sum())} of {fate.size} differ from the first of theirs; "
            f"one is {at}"
        )


@law("Evaluation is the identity, also for the gradient.", BUG, ("modes",))
def evaluation(trial: Trial) -> None:
    for p in rates(trial, 0.5, 0.2, 1.0, 0.0, 0.5):
        check_identity(trial, p, training=False)


def rates(trial: Trial, *rates: float) -> list[float]:
    """Return those for which the dropout is meant; whether it refuses p = 1 is another law's."""
    return [p for p in rates if p < 1 or _takes_one(trial)]


def _takes_one(trial: Trial) -> bool:
    if not trial.domain.one or trial.noise.variance is not None:
        return False
    try:
        trial.apply(trial.constant(trial.numbers((3,))), 1.0)
    except (ValueError, RuntimeError, AssertionError):
        return False
    return True


def check_identity(trial: Trial, p: float, training: bool) -> None:
    """Check x, and the gradient."""
    array, g = trial.numbers(SHAPE), trial.numbers(SHAPE)
    x = trial.tensor(array.copy())
    result, y = trial.apply(x, p, training)
    factor = 1.0 if training else trial.noise.evaluation(p)
    dx = trial.gradient(result, x, g) if trial.subject.gradients else None
    if factor == 1:
        check_same(y, array, "the result should be x itself")
        if dx is not None:
            check_same(dx, g, "the gradient should pass as it is")
        return
    for got, given, what in (y, array, "x"), (dx, g, "the incoming gradient"):
        if got is not None and not np.allclose(got, given * factor, rtol=1e-2):
            raise BrokenLaw(f"p = {p:g}, evaluation: expected {factor:g} times {what}")


@law("Any layout in memory will do: transposed, reversed, strided, repeated.",
     BUG, ("elements",))  # fmt: skip
def strides(trial: Trial) -> None:
    plain = trial.numbers((24, 30))
    row = np.ascontiguousarray(plain[0])
    for array in (
        plain.T,
        plain[::2, 1::3],
        plain[::-1],
        np.asfortranarray(plain),
        np.lib.stride_tricks.as_strided(row, (24, 30), (0, row.itemsize)),  # one row for all
    ):
        check_layout(trial, array)


def check_layout(trial: Trial, array: np.ndarray) -> None:
    x = trial.tensor(array)
    result, y = trial.apply(x, 0.3)
    two_valued = trial.noise.variance is None
    if two_valued:
        check_support(y, array, 0.3, noise=trial.noise)
    if trial.subject.gradients:
        g = trial.numbers(array.shape)
        dx = trial.gradient(result, x, g)
        if two_valued:
            gradient = trial.noise.of_the_gradient
            check_support(dx, g, 0.3, "the incoming gradient", gradient)


@law("The bytes of x, and of the incoming gradient, stay what they are.", BUG)
def input_untouched(trial: Trial) -> None:
    for p in rates(trial, 0.0, 0.3, 1.0):
        for training in True, False:
            given = trial.numbers(SHAPE)
            array, x = given.copy(), trial.tensor(given)
            result, _ = trial.apply(x, p, training)
            what = f"p = {p:g}, training = {training}: x after the call"
            check_same(trial.array(x), array, what)
            if trial.subject.gradients and p < 1:  # what backward does at p = 1 is another law's
                g = trial.numbers(SHAPE)
                before = g.copy()
                trial.gradient(result, x, g)
                check_same(trial.array(x), array, f"{what} and the backward")
                check_same(g, before, f"p = {p:g}, training = {training}: the incoming gradient")


def _mode_is_set(layer: Any) -> Dropout:
    return lambda x, p, training: layer(x)


@law("train() and eval() of a network reach a dropout in any nest of containers.",
     BUG, ("module",))  # fmt: skip
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
            if training and (y == array).all():
                raise BrokenLaw(f"inside {name}, after train(): expected noise, but got x itself")
            if not training and trial.noise.evaluation(0.5) == 1:
                check_same(y, array, f"inside {name}, after eval()")
