"""Values and gradients where elements are NaN, infinite, zero or equal: those of PyTorch.

What differs is listed in `tests.differences`, and named here with the places where it is met.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np
import pytest

import minigrad
from tests.differences import DIFFERENCES
from tests.failures import noting

torch = pytest.importorskip("torch")

NAN, INF = math.nan, math.inf
NUMBERS = [NAN, INF, -INF, 0.0, -0.0, 1.0, -1.5, 2.0]
ONE = [([a],) for a in NUMBERS]
TWO = [([a], [b]) for a, b in itertools.product(NUMBERS, NUMBERS)]
THREE = [(list(row),) for row in itertools.product([NAN, INF, -INF, 1.0, 2.0, 0.0], repeat=3)]

Places = Iterable[tuple[list[float], ...]]


class Function(NamedTuple):
    """A function of a module and tensors, and the values that it is tried at."""

    call: Callable[..., Any]
    places: Places


def by_name(names: str, places: Places) -> dict[str, Function]:
    return {
        name: Function(lambda m, *xs, name=name: getattr(m, name)(*xs), places)
        for name in names.split()
    }


def along(names: str) -> dict[str, Function]:
    """Functions of a tensor and a dimension."""
    return {
        name: Function(lambda m, x, name=name: getattr(m, name)(x, 0), THREE)
        for name in names.split()
    }


FUNCTIONS: dict[str, Function] = {
    **by_name("exp expm1 log log1p sqrt sin cos tanh sigmoid abs relu neg clone", ONE),
    **by_name("add sub mul div pow maximum minimum remainder", TWO),
    **by_name("sum mean max min prod var std", THREE),
    **along("amax amin logsumexp softmax cumsum"),
    **{f"x ** {n}": Function(lambda m, x, n=n: x**n, ONE) for n in (0, 1, 2, 3, 0.5, -1)},
    **{f"{n} ** x": Function(lambda m, x, n=n: n**x, ONE) for n in (0, 1, 2, 0.5)},
    **{
        f"norm of order {p}": Function(lambda m, x, p=p: x.norm(p), THREE)
        for p in (1, 2, 3, 0.5, INF, -INF)
    },
    "2 / x": Function(lambda m, x: 2 / x, ONE),
    "x % 2": Function(lambda m, x: x % 2, ONE),
    "logsigmoid": Function(lambda m, x: m.nn.functional.logsigmoid(x), ONE),
    "log_softmax": Function(lambda m, x: m.nn.functional.log_softmax(x, 0), THREE),
    "max along": Function(lambda m, x: x.max(0)[0], THREE),
    "min along": Function(lambda m, x: x.min(0)[0], THREE),
    "clamp": Function(lambda m, x: m.clamp(x, -1, 1), ONE),
    "clamp from": Function(lambda m, x: m.clamp(x, min=1), ONE),
    "clamp to NaN": Function(lambda m, x: m.clamp(x, max=NAN), ONE),
    "clamp from a tensor": Function(lambda m, x, y: m.clamp(x, min=y), TWO),
    "clamp to a tensor": Function(lambda m, x, y: m.clamp(x, max=y), TWO),
    "clamp to tensors": Function(lambda m, x, y: m.clamp(x, min=y, max=y + 1), TWO),
    "where": Function(lambda m, x, y: m.where(x > 0, x, y), TWO),
    "masked_fill": Function(lambda m, x: x.masked_fill(x > 0, 2.0), ONE),
    "matmul": Function(lambda m, x, y: x @ y, TWO),
    "take_along_dim": Function(lambda m, x: m.take_along_dim(x, m.tensor([0, 0, 1]), 0), THREE),
    "expand": Function(lambda m, x: x.expand(2, 3), THREE),
    "cross_entropy of a class": Function(
        lambda m, x: m.nn.functional.cross_entropy(x, m.tensor(0)), THREE
    ),
    "cross_entropy of probabilities": Function(
        lambda m, x: m.nn.functional.cross_entropy(x, m.tensor([0.25, 0.75, 0.0]).to(x.dtype)),
        THREE,
    ),
    "binary_cross_entropy_with_logits": Function(
        lambda m, x, y: m.nn.functional.binary_cross_entropy_with_logits(x, y.detach()), TWO
    ),
    "mse_loss": Function(lambda m, x, y: m.nn.functional.mse_loss(x, y), TWO),
    "l1_loss": Function(lambda m, x, y: m.nn.functional.l1_loss(x, y), TWO),
}

#: where a listed difference is met: its name, and whether it is at these values
DIFFERENT: dict[str, tuple[str, Callable[..., bool]]] = {
    "amax": ("the_gradient_of_an_amax_that_is_nan", lambda x: np.isnan(x).any()),
    "amin": ("the_gradient_of_an_amax_that_is_nan", lambda x: np.isnan(x).any()),
    "prod": (
        "the_gradient_of_a_product_by_what_is_infinite",
        lambda x: not np.isfinite(x).all(),
    ),
    "x ** 0.5": (
        "the_derivative_of_a_power_of_a_half_at_minus_0",
        lambda x: math.copysign(1, x[0]) < 0 and x[0] in (0, -INF),
    ),
    "cross_entropy of probabilities": (
        "a_class_of_probability_0_whose_logit_is_minus_infinity",
        lambda x: x[2] == -INF,
    ),
}


def values_and_gradients(m: Any, call: Callable[..., Any], place: Any, dtype: str) -> list[Any]:
    """Return the result, and the gradients of it times numbers that tell elements apart."""
    leaves = [m.tensor(values, dtype=getattr(m, dtype)).requires_grad_(True) for values in place]
    y = call(m, *leaves)
    weights = np.cos(np.arange(math.prod(y.shape))).reshape(tuple(y.shape))
    y.backward(m.tensor(weights.tolist(), dtype=getattr(m, dtype)))
    return [y.detach().numpy(), *(leaf.grad.numpy() for leaf in leaves if leaf.grad is not None)]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.filterwarnings("ignore")
def test_what_happens_at_extremes_is_pytorchs(name: str, dtype: str) -> None:
    difference, differs = DIFFERENT.get(name, ("", lambda *place: False))
    assert not difference or difference in DIFFERENCES
    seen = 0
    for place in FUNCTIONS[name].places:
        ours, theirs = (
            values_and_gradients(m, FUNCTIONS[name].call, place, dtype) for m in (minigrad, torch)
        )
        rtol = 1e-12 if dtype == "float64" else 1e-5
        same = [
            np.allclose(a, b, rtol, rtol, equal_nan=True) for a, b in zip(ours, theirs, strict=True)
        ]
        if differs(*place):
            seen += not all(same)
        else:
            with noting(place=place):
                assert all(same), (ours, theirs)
    assert bool(seen) == bool(difference)  # what is listed does differ
