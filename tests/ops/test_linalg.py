"""Matrix products: values and derivatives for vectors, matrices, stacks of them; errors."""

from __future__ import annotations

import re

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import strategies as st

import minigrad
from tests.reference import Case, OpProperties, shapes


def products(min_side: int) -> st.SearchStrategy:
    """Draw the inputs of matmul: two vectors, matrices or stacks of matrices that broadcast."""
    return hnp.mutually_broadcastable_shapes(
        signature=np.matmul.signature, max_dims=2, min_side=min_side, max_side=3
    ).map(lambda drawn: (list(drawn.input_shapes), {}))


@st.composite
def layers(draw: st.DrawFn, bias: bool) -> tuple[list[tuple[int, ...]], dict]:
    """Draw the inputs of linear: x of one to three dimensions, weight, perhaps bias."""
    *lead, n_in = draw(shapes(min_dims=1))
    n_out = draw(st.integers(0, 3))
    return [(*lead, n_in), (n_out, n_in), (n_out,)][: 2 + bias], {}


CASES = {
    "matmul": Case(lambda m, a, b: m.matmul(a, b), products(1), order=3),
    "matmul: with sides of 0": Case(lambda m, a, b: a @ b, products(0)),
    "matmul: with itself": Case(
        lambda m, a: a @ m.transpose(a, -1, -2),
        hnp.array_shapes(min_dims=2, max_dims=3, max_side=3).map(lambda shape: ([shape], {})),
        torch=lambda t, a: a @ a.transpose(-1, -2),
    ),
    "linear": Case(
        lambda m, x, weight, bias: m.linear(x, weight, bias),
        layers(bias=True),
        torch=lambda t, x, weight, bias: t.nn.functional.linear(x, weight, bias),
        order=3,
    ),
    "linear: without bias": Case(
        lambda m, x, weight: m.linear(x, weight),
        layers(bias=False),
        torch=lambda t, x, weight: t.nn.functional.linear(x, weight),
    ),
}


class TestLinalg(OpProperties):
    module = "linalg"
    cases = CASES


def test_a_product_over_nothing_is_0() -> None:
    assert (minigrad.ones(2, 0) @ minigrad.ones(0, 3)).tolist() == [[0, 0, 0]] * 2


def test_linear_is_matmul_plus_bias() -> None:
    x, weight, bias = minigrad.rand(2, 3, 4), minigrad.rand(5, 4), minigrad.rand(5)
    expected = (x @ weight.T + bias).numpy()
    np.testing.assert_allclose(minigrad.linear(x, weight, bias).numpy(), expected, rtol=1e-6)


def test_linear_leaves_its_bias_and_input_alone() -> None:
    x, weight, bias = minigrad.ones(1, 1), minigrad.ones(1, 1), minigrad.ones(1)
    minigrad.linear(x, weight, bias)
    assert [t.item() for t in (x, weight, bias)] == [1, 1, 1]


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_products_keep_their_dtype(dtype: str) -> None:
    a = minigrad.ones(2, 2, dtype=dtype)
    for y in (a @ a, a[0] @ a, a @ a[0], a[0] @ a[0], minigrad.linear(a, a, a[0])):
        assert y.dtype == dtype
    assert (a @ minigrad.ones(2, 2, dtype=np.float64)).dtype == np.float64


@pytest.mark.parametrize("a", [(3,), (2, 3), (4, 2, 3)])
@pytest.mark.parametrize("b", [(2,), (2, 3), (5, 2, 3)])
def test_inner_sizes_that_differ_are_refused(a: tuple[int, ...], b: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="size 2 is different from 3"):
        minigrad.ones(a) @ minigrad.ones(b)


def test_stacks_that_do_not_broadcast_are_refused() -> None:
    with pytest.raises(ValueError, match=re.escape("could not be broadcast")):
        minigrad.ones(2, 3, 3) @ minigrad.ones(4, 3, 3)


@pytest.mark.parametrize(("a", "b"), [((), (2, 2)), ((2, 2), ()), ((), ())])
def test_matmul_refuses_numbers(a: tuple[int, ...], b: tuple[int, ...]) -> None:
    message = f"matmul needs at least one dimension, got shapes {a} and {b}"
    with pytest.raises(ValueError, match=re.escape(message)):
        minigrad.matmul(minigrad.ones(a), minigrad.ones(b))


def test_linear_refuses_an_input_of_another_size() -> None:
    with pytest.raises(ValueError, match="size 4 is different from 3"):
        minigrad.linear(minigrad.ones(2, 3), minigrad.ones(5, 4))
