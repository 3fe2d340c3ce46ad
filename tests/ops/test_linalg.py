"""Matrix products: values and derivatives for vectors, matrices, stacks of them; errors."""

from __future__ import annotations

from typing import Any

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import strategies as st

import minigrad
from tests.reference import MINIGRAD, Case, OpProperties, pytorch, shapes


def products(min_side: int) -> st.SearchStrategy:
    """Draw the inputs of matmul: two vectors, matrices or stacks of matrices that broadcast."""
    return hnp.mutually_broadcastable_shapes(
        signature=np.matmul.signature, max_dims=2, min_side=min_side, max_side=3
    ).map(lambda drawn: (list(drawn.input_shapes), {}))


@st.composite
def layers(draw: st.DrawFn, bias: bool) -> tuple[list[tuple[int, ...]], dict]:
    """Draw the inputs of linear: x of one to three dimensions, weight, perhaps bias."""
    *lead, n_in = draw(shapes(min_dims=1))
    n_out = draw(st.one_of(st.integers(0, 3), st.sampled_from(lead or [1])))
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
    "linear: a weight of one row": Case(
        lambda m, x, weight: m.linear(x, weight),
        shapes(min_dims=1).map(lambda shape: ([shape, shape[-1:]], {})),
        torch=lambda t, x, weight: t.nn.functional.linear(x, weight),
        order=3,
    ),
    "linear: a bias for each row": Case(
        lambda m, x, weight, bias: m.linear(x, weight, bias),
        st.just(([(3, 2), (4, 2), (3, 4)], {})),
        torch=lambda t, x, weight, bias: t.nn.functional.linear(x, weight, bias),
    ),
    "linear: without bias": Case(
        lambda m, x, weight: m.linear(x, weight),
        layers(bias=False),
        torch=lambda t, x, weight: t.nn.functional.linear(x, weight),
    ),
}


SIZES = st.integers(0, 3)
CASES |= {
    "mm": Case(
        lambda m, a, b: m.mm(a, b),
        st.builds(lambda i, j, k: ([(i, j), (j, k)], {}), SIZES, SIZES, SIZES),
        order=3,
    ),
    "mv": Case(
        lambda m, a, b: m.mv(a, b),
        st.builds(lambda i, j: ([(i, j), (j,)], {}), SIZES, SIZES),
        order=3,
    ),
    "dot": Case(lambda m, a, b: m.dot(a, b), SIZES.map(lambda n: ([(n,), (n,)], {})), order=3),
    "bmm": Case(
        lambda m, a, b: m.bmm(a, b),
        st.builds(lambda n, i, j, k: ([(n, i, j), (n, j, k)], {}), SIZES, SIZES, SIZES, SIZES),
        order=3,
    ),
}


class TestLinalg(OpProperties):
    module = "linalg"
    cases = CASES


def test_a_product_over_nothing_is_0() -> None:
    assert (minigrad.ones(2, 0) @ minigrad.ones(0, 3)).tolist() == [[0, 0, 0]] * 2


@pytest.mark.parametrize(
    ("name", "a", "b"),
    [
        ("mm", (2,), (2, 2)), ("mm", (2, 2), (2,)), ("mm", (2, 3), (2, 3)), ("mv", (2,), (2,)),
        ("mv", (2, 3), (2,)), ("dot", (2, 2), (2,)), ("dot", (2,), (3,)), ("bmm", (2, 2), (2, 2)),
        ("bmm", (2, 2, 2), (2, 2)), ("bmm", (2, 3, 4), (1, 4, 4)), ("bmm", (2, 3, 4), (2, 3, 4)),
    ],
)  # fmt: skip
def test_products_of_fixed_dimensions_refuse_others_as_pytorch_does(
    name: str, a: tuple[int, ...], b: tuple[int, ...]
) -> None:
    def refusal(m: Any) -> str:
        with pytest.raises(RuntimeError) as raised:
            getattr(m, name)(m.ones(*a), m.ones(*b))
        return str(raised.value)

    theirs = refusal(pytorch().module).rstrip(".")
    if name != "mm" or len(a) == 2:
        theirs = theirs.replace(" are 2D", "")
    assert refusal(minigrad).startswith(theirs)


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


MISFITS: dict[str, tuple[Any, str]] = {
    "vectors": (((3,), (2,)), r"expected tensor \[3\] and src \[2\]"),
    "a vector and a matrix": (((3,), (2, 4)), r"cannot be multiplied \(1x3 and 2x4\)"),
    "a matrix and a vector": (((2, 3), (2,)), r"got input \(2\), mat \(2x3\), vec \(2\)"),
    "matrices": (((2, 3), (2, 4)), r"cannot be multiplied \(2x3 and 2x4\)"),
    "a stack and a matrix": (((5, 2, 3), (2, 4)), r"cannot be multiplied \(10x3 and 2x4\)"),
    "a stack and a vector": (((5, 2, 3), (2,)), r"got input \(10\), mat \(10x3\), vec \(2\)"),
    "a vector and a stack": (((3,), (5, 2, 4)), r"batch2 tensor to be: \[5, 3\] but got: \[5, 2\]"),
    "stacks": (((5, 4, 3), (5, 2, 4)), r"batch2 tensor to be: \[5, 3\] but got: \[5, 2\]"),
    "a matrix and a stack": (((4, 3), (5, 2, 4)), r"to be: \[5, 3\] but got: \[5, 2\]"),
    "stacks of other heights": (
        ((2, 3, 3), (4, 3, 3)),
        r"tensor a \(2\) must match the size of tensor b \(4\) at non-singleton dimension 0",
    ),
    "a number and a matrix": (((), (2, 2)), "at least 1D, but they are 0D and 2D"),
    "a matrix and a number": (((2, 2), ()), "at least 1D, but they are 2D and 0D"),
}


@pytest.mark.parametrize(("shapes", "words"), MISFITS.values(), ids=MISFITS)
def test_factors_that_do_not_fit_are_named_as_in_pytorch(shapes: Any, words: str) -> None:
    if shapes == ((4, 3), (5, 2, 4)):  # for which PyTorch itself turns the product round
        words_there = "Expected size for first two dimensions|must match"
    else:
        words_there = words
    for framework, expected in ((MINIGRAD, words), (pytorch(), words_there)):
        a, b = (framework.tensor(np.ones(shape)) for shape in shapes)
        with pytest.raises(RuntimeError, match=expected):
            a @ b


LAYERS: dict[str, tuple[Any, str, str]] = {
    "x of another size": (((4, 5), (2, 3)), r"\(4x5 and 3x2\)", ""),
    "x of another size, with a bias": (((4, 5), (2, 3), (2,)), r"\(4x5 and 3x2\)", ""),
    "a stack of another size": (((7, 4, 5), (2, 3)), r"\(28x5 and 3x2\)", ""),
    "a vector of another size": (((5,), (2, 3)), r"\(1x5 and 3x2\)", ""),
    "a weight of 1 dimension of another size": (((4, 3), (2,)), r"mat \(4x3\), vec \(2\)", ""),
    "a weight of 1 dimension and a bias": (
        ((4, 3), (3,), ()),
        "mat2 must be a matrix, got 1-D",
        "",
    ),
    "a bias of another size": (((4, 3), (2, 3), (3,)), r"bias of shape \[3\]", "expanded size"),
    "a weight of 3 dimensions": (((4, 3), (2, 2, 3)), "weight 1 or 2, but .* 2D and 3D", "<= 2"),
    "a number": (((), (2, 3)), "0D and 2D", ""),
}


@pytest.mark.parametrize(("shapes", "ours", "theirs"), LAYERS.values(), ids=LAYERS)
def test_a_layer_that_does_not_fit_is_refused_with_shapes(
    shapes: Any, ours: str, theirs: str
) -> None:
    for framework, words in ((MINIGRAD, ours), (pytorch(), theirs or ours)):
        arguments = [framework.tensor(np.ones(shape)) for shape in shapes]
        linear = minigrad.linear if framework.ours else framework.module.nn.functional.linear
        with pytest.raises(RuntimeError, match=words):
            linear(*arguments)


@pytest.mark.filterwarnings("ignore:overflow encountered in cast")
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_products_of_halves_are_added_in_float32(dtype: str) -> None:
    """Added in halves, ones would stop at 2048."""
    a, b = (MINIGRAD.leaf(np.ones(shape, dtype)) for shape in ((2, 4096), (4096, 3)))
    y, z = a @ b, minigrad.linear(a, b.T)
    assert y.tolist() == z.tolist() == [[4096] * 3] * 2
    for product, left, right in ((y, a, b), (z, a, b)):
        gl, gr = minigrad.grad(product.sum(), (left, right))
        assert (gl.tolist(), gr.tolist()) == ([[3] * 4096] * 2, [[2] * 3] * 4096)
    (g,) = minigrad.grad(
        minigrad.linear(b.T @ a.T, MINIGRAD.tensor(np.ones((5, 2), dtype))).sum(), a
    )
    assert g.tolist() == [[15] * 4096] * 2
    many = MINIGRAD.leaf(np.ones((4096, 2), dtype))
    weight = MINIGRAD.leaf(np.ones((1, 2), dtype))
    assert minigrad.grad(minigrad.linear(many, weight).sum(), weight)[0].tolist() == [[4096] * 2]
