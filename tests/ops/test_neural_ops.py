"""Dropout's multiplication: values and derivatives, and what it keeps."""

from __future__ import annotations

from typing import Any

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import strategies as st

import minigrad
from tests.reference import Case, OpProperties, broadcastable, pytorch, to_array

INF = np.inf


@st.composite
def droppings(draw: st.DrawFn) -> Any:
    (x, keep), _ = draw(broadcastable(2))
    options = {"keep": draw(hnp.arrays(np.bool_, keep)), "scale": draw(st.sampled_from([1.0, 2.5]))}
    return [x], options


CASES = {
    "masked_scale": Case(
        lambda m, x, keep, scale: m.masked_scale(x, keep, scale),
        droppings(),
        torch=lambda t, x, keep, scale: x * keep * scale,
    ),
}


class TestNeural(OpProperties):
    module = "neural"
    cases = CASES


def test_dropout_keeps_the_mask_and_not_the_input() -> None:
    x, keep = minigrad.rand(2, 3).requires_grad_(), minigrad.tensor([True, False, True])
    saved = minigrad.masked_scale(x, keep, 2.0).grad_fn.saved
    assert saved.keys() == {"keep", "scale"}
    assert saved["keep"] is keep.array


@pytest.mark.parametrize("scale", [1e5, -1e5])
def test_a_scale_beyond_the_range_of_float16_drops_to_zero_as_in_pytorch(scale: float) -> None:
    x = minigrad.tensor([2.0, 2.0**-14, -1.0], dtype=np.float16, requires_grad=True)
    with np.errstate(over="ignore"):
        y = minigrad.masked_scale(x, np.array([False, True, False]), scale)
        y.backward(minigrad.ones_like(y) * 2.0**-14)
    assert y.tolist() == [0, float(np.float16(2.0**-14 * scale)), 0]
    assert x.grad.tolist() == [0, float(np.float16(2.0**-14 * scale)), 0]


def test_a_dropped_element_that_is_not_finite_is_nan_as_in_pytorch() -> None:
    x, keep = np.array([INF, np.nan, 1.0]), np.zeros(3, np.bool_)
    with np.errstate(invalid="ignore"):
        ours = minigrad.masked_scale(x, keep, 2.0)
    theirs = to_array(pytorch().tensor(x) * pytorch().tensor(keep) * 2.0)
    np.testing.assert_array_equal(ours, theirs)


def test_a_scale_that_needs_a_gradient_is_refused() -> None:
    scale = minigrad.tensor(2.0, requires_grad=True)
    with pytest.raises(TypeError, match="masked_scale has no derivative for scale"):
        minigrad.masked_scale(minigrad.ones(2), np.ones(2, np.bool_), scale)
