"""The tools of the identities: that masks and nodes have the probabilities they stand for."""

import math

import numpy as np
import pytest
from hypothesis import given

from tests.identities.enumeration import (
    assert_gap,
    assert_identity,
    every_gaussian,
    every_mask,
    expectation,
    order,
    probabilities,
    shapes,
)


@given(shapes(2), probabilities)
def test_every_mask_is_listed_once_and_units_are_independent(shape, p):
    """P(mask) = Πᵢ P(mᵢ): the joint probability of each mask is the product over its units."""
    masks = every_mask(p, *shape)
    assert len({mask.tobytes() for mask, _ in masks}) == len(masks) == 2 ** math.prod(shape)
    for mask, chance in masks:
        assert mask.shape == shape
        assert math.isclose(chance, np.where(mask, 1 - p, p).prod(), rel_tol=1e-12, abs_tol=1e-300)
    assert math.isclose(sum(chance for _, chance in masks), 1, rel_tol=1e-12)


def test_a_scalar_has_two_masks():
    assert [(bool(mask), chance) for mask, chance in every_mask(0.25)] == [
        (False, 0.25),
        (True, 0.75),
    ]


@pytest.mark.parametrize("power", range(10))
def test_quadrature_has_the_moments_of_a_gaussian(power):
    """E εᵏ is 0 for odd k and σᵏ (k-1)!! for even k."""
    moment = math.prod(range(1, power, 2)) if power % 2 == 0 else 0
    draws = every_gaussian(1.5, 2, nodes=5)
    assert len(draws) == 25
    assert_identity("tools", expectation(lambda e: e**power, draws), [1.5**power * moment] * 2)


def test_expectation_draws_independently_and_in_order():
    """E a b² = E a · E b² for an a and a b that are kept with probabilities 0.9 and 0.2."""
    draws = every_mask(0.1), every_mask(0.8)
    assert_identity("tools", expectation(lambda a, b: a + 10.0 * b, *draws), 0.9 + 10 * 0.2)
    assert_identity("tools", expectation(lambda a, b: 1.0 * a * b, *draws), 0.9 * 0.2)


def test_an_error_in_the_tenth_digit_is_noticed():
    with pytest.raises(AssertionError, match=r"tools is off by 2\.\de-10"):
        assert_identity("tools", [1.0, 3.0 + 6e-10], [1.0, 3.0])
    with pytest.raises(AssertionError, match="shape"):
        assert_identity("tools", [1.0, 1.0], 1.0)
    with pytest.raises(AssertionError, match=r"a gap of at least 0\.5, got 0\.25"):
        assert_gap("tools", [1.0, 2.0], [1.25, 2.0], least=0.5)


def test_order_is_the_exponent():
    assert math.isclose(order(lambda h: -7 * h**3, 0.1), 3)
