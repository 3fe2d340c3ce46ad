"""Draws that a tensor describes: their laws, which numbers they take, and what is refused.

The assertions of this file raise a false alarm with a probability of 1.3e-8 in all.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad
from minigrad import Generator
from minigrad.testing.statistics import assert_binomial
from tests.reference import pytorch, scaled

ALPHA = 1e-9
WEIGHTS = [0.0, 2.0, 1.0, 0.0, 5.0]

# ------------------------------------------------------------------------- classes


def test_with_replacement_each_class_is_drawn_as_often_as_its_weight_says() -> None:
    n = 20_000
    drawn = minigrad.multinomial(minigrad.tensor(WEIGHTS), n, replacement=True).numpy()
    assert drawn.dtype == np.int64
    for k, weight in enumerate(WEIGHTS):
        count = int((drawn == k).sum())
        if weight:
            assert_binomial(count, n, weight / 8, ALPHA, f"multinomial, class {k}")
        else:
            assert count == 0


def test_without_replacement_the_orders_have_their_probabilities() -> None:
    n = 20_000
    rows = minigrad.tensor([[3.0, 1.0, 0.0, 4.0]]).repeat(n, 1)
    drawn = rows.multinomial(2).numpy()
    assert drawn.shape == (n, 2)
    for first, second in [(0, 1), (1, 0), (0, 3), (3, 0), (1, 3), (3, 1)]:
        w = [3.0, 1.0, 0.0, 4.0]
        p = w[first] / 8 * w[second] / (8 - w[first])
        count = int(((drawn[:, 0] == first) & (drawn[:, 1] == second)).sum())
        assert_binomial(count, n, p, ALPHA, f"multinomial, {first} and then {second}")


@settings(max_examples=scaled(50), deadline=None)
@given(st.lists(st.floats(0, 2.0**99, width=32), min_size=1, max_size=6), st.integers(0, 2**20))
def test_a_class_without_weight_is_never_drawn_and_none_twice(
    weights: list[float], seed: int
) -> None:
    positive = sum(w > 0 for w in weights)
    if not positive:
        return
    w = minigrad.tensor(weights)
    many = w.multinomial(50, replacement=True, generator=Generator(seed)).numpy()
    assert (np.array(weights)[many] > 0).all()
    few = w.multinomial(positive, generator=Generator(seed)).numpy()
    assert sorted(few) == [i for i, v in enumerate(weights) if v > 0]


class Largest(Generator):
    """A generator whose uniform numbers are all the largest one."""

    def uniform(self, n: int) -> np.ndarray:
        return np.full(n, 1 - 2.0**-53)


@pytest.mark.parametrize(
    "weights",
    [
        pytest.param([0.1] * 10, id="weights=[0.1] * 10"),
        [1.0, 0.0],
        [0.3, 0.7, 0.0, 0.0],
        [3e-40, 1e-45],
    ],
)
def test_the_largest_uniform_number_is_of_the_last_class_with_weight(
    weights: list[float],
) -> None:
    drawn = minigrad.multinomial(minigrad.tensor(weights), 3, True, generator=Largest(0))
    last = max(i for i, w in enumerate(np.float32(weights)) if w > 0)
    assert drawn.tolist() == [last] * 3


def test_a_row_of_weights_is_drawn_from_alone_and_a_draw_can_be_repeated() -> None:
    rows = minigrad.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    assert rows.multinomial(2, True).tolist() == [[0, 0], [2, 2]]
    a, b = (minigrad.tensor(WEIGHTS).multinomial(9, True, generator=Generator(5)) for _ in "ab")
    assert minigrad.equal(a, b)


# ------------------------------------------------------------------------- numbers


def test_normal_numbers_are_standard_ones_scaled_and_moved_in_all_forms() -> None:
    z = minigrad.randn(2, 3, generator=Generator(1), dtype=minigrad.float64)
    mean, std = minigrad.tensor([1.0, 2.0, 3.0]), minigrad.tensor([[0.5], [0.0]])
    calls: list[Any] = [
        (lambda g: minigrad.normal(2, 0.5, (2, 3), generator=g), 2 + 0.5 * z),
        (lambda g: minigrad.normal(mean=0, std=1, size=(2, 3), generator=g), z),
        (lambda g: minigrad.normal(mean, std, generator=g), mean + std * z),
        (lambda g: minigrad.normal(mean.expand(2, 3), 2.0, generator=g), mean + 2.0 * z),
        (lambda g: minigrad.normal(1.0, std.expand(2, 3), generator=g), 1 + std * z),
    ]
    for call, expected in calls:
        y = call(Generator(1))
        assert y.dtype == np.float32
        np.testing.assert_allclose(y.numpy(), expected.numpy(), rtol=1e-6)
    x = minigrad.normal(0, 1, size=(2,), dtype=minigrad.float64, requires_grad=True)
    assert x.is_leaf
    assert x.requires_grad
    assert x.dtype == np.float64


def test_likes_have_the_shape_and_dtype_of_what_they_are_like() -> None:
    x = minigrad.ones(2, 3, dtype=minigrad.float64)
    for name, draw in ("rand_like", minigrad.rand), ("randn_like", minigrad.randn):
        y = getattr(minigrad, name)(x, generator=Generator(2))
        assert minigrad.equal(y, draw(2, 3, dtype=minigrad.float64, generator=Generator(2)))
        assert getattr(minigrad, name)(x, dtype=minigrad.float16).dtype == np.float16
    assert minigrad.empty_like(x).shape == minigrad.empty(size=(2, 3)).shape == (2, 3)


def test_bernoulli_numbers_are_ones_as_often_as_p_says_whatever_the_dtype() -> None:
    n = 20_000
    x = minigrad.zeros(2, n, dtype=minigrad.int64)
    assert x.bernoulli_(minigrad.tensor([[0.3], [0.9]])) is x
    for row, p in zip(x, (0.3, 0.9), strict=True):
        assert_binomial(int(row.sum()), n, p, ALPHA, f"bernoulli_, {p}")
    assert (minigrad.ones(5).bernoulli_(0) == 0).all()
    assert (minigrad.zeros(5).bernoulli_(1.0) == 1).all()


def test_a_size_may_be_given_by_name_and_the_numbers_are_the_same() -> None:
    for draw in (minigrad.rand, minigrad.randn):
        by_name = draw(size=(2, 3), generator=Generator(3))
        assert minigrad.equal(by_name, draw(2, 3, generator=Generator(3)))
    assert minigrad.zeros(size=(2, 1)).tolist() == [[0], [0]]
    assert minigrad.ones(size=(1,)).tolist() == [1]
    assert minigrad.randint(3, size=(2,), dtype=minigrad.float32).dtype == np.float32


# ------------------------------------------------------------------------- errors

REFUSED = {
    "more than there are": lambda m: m.multinomial(m.ones(3), 4),
    "a negative weight": lambda m: m.multinomial(-m.ones(3), 2),
    "NaN": lambda m: m.multinomial(m.tensor([1.0, float("nan")]), 2),
    "no weight": lambda m: m.multinomial(m.zeros(3), 2),
    "integers": lambda m: m.multinomial(m.ones(3, dtype=m.int64), 2),
    "three dimensions": lambda m: m.multinomial(m.ones(1, 1, 3), 2),
    "nothing to draw": lambda m: m.multinomial(m.ones(3), 0),
    "a negative deviation": lambda m: m.normal(0.0, -1.0, (2,)),
    "a probability above 1": lambda m: m.zeros(2).bernoulli_(2.0),
    "no size": lambda m: m.normal(0.0, 1.0),
}


@pytest.mark.parametrize("call", REFUSED.values(), ids=REFUSED)
def test_what_pytorch_refuses_is_refused_with_its_type_and_words(call: Any) -> None:
    with pytest.raises((RuntimeError, TypeError)) as theirs:
        call(pytorch().module)
    state = minigrad.random.get_rng_state()
    with pytest.raises(theirs.type) as ours:
        call(minigrad)
    assert minigrad.random.get_rng_state() == state
    assert str(ours.value)[:8] == str(theirs.value)[:8]


@pytest.mark.parametrize(
    "draw",
    [
        lambda n: minigrad.rand_like(n), lambda n: minigrad.randn_like(n),
        lambda n: minigrad.rand(3, dtype=n.dtype), lambda n: minigrad.randn(3, dtype=n.dtype),
        lambda n: n.uniform_(), lambda n: n.normal_(), lambda n: minigrad.normal(n, 1.0),
    ],
)  # fmt: skip
def test_fractions_are_not_drawn_into_integers(draw: Any) -> None:
    before = minigrad.random.get_rng_state()
    with pytest.raises(NotImplementedError, match="none of int64: give another dtype"):
        draw(minigrad.arange(3))
    assert minigrad.random.get_rng_state() == before
