"""Running sums, products and norms: values and derivatives, with zeros, of any order; errors."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad
from tests.reference import (
    MINIGRAD,
    Case,
    Example,
    OpProperties,
    Tie,
    TieProperties,
    assert_derivative_is_numerical,
    assert_derivative_is_pytorchs,
    pytorch,
    scaled,
    shapes,
    to_array,
)

# ------------------------------------------------------------------------- what is drawn


@st.composite
def along(draw: st.DrawFn, min_dims: int = 0, **options: Any) -> Any:
    """Draw a shape with one of its dimensions, and other options."""
    shape = draw(shapes(min_dims=min_dims))
    ndim = max(len(shape), 1)
    found = {"dim": draw(st.integers(-ndim, ndim - 1))}
    return [shape], found | {k: draw(s) for k, s in options.items()}


@st.composite
def reductions(draw: st.DrawFn, min_side: int = 0, **options: Any) -> Any:
    """Draw a shape with some of its dimensions, or none, to be reduced."""
    shape = draw(shapes(min_side=min_side))
    dims = st.sets(st.sampled_from(range(len(shape))), min_size=1) if shape else st.just({0})
    dim = draw(st.one_of(st.none(), dims.map(tuple))) if shape else None
    found = {"dim": dim, "keepdim": draw(st.booleans())}
    return [shape], found | {k: draw(s) for k, s in options.items()}


def _masked(m: Any, x: Any) -> Any:
    """Return x with zeros as every other element, about, and their history."""
    keep = m.floor((x.detach() if hasattr(x, "detach") else x) * 7) % 2 != 0
    return m.where(keep, x, x * 0)


ORDERS = st.sampled_from([1, 2, 3, 1.5, 2.5, 4, None])

CASES = {
    "cumsum": Case(lambda m, x, dim: m.cumsum(x, dim), along(), order=3),
    "cumsum: of squares": Case(lambda m, x, dim: m.cumsum(x * x, dim=dim), along()),
    "prod": Case(lambda m, x: m.prod(x), shapes().map(lambda s: ([s], {})), order=3),
    "prod: along a dimension": Case(
        lambda m, x, dim, keepdim: m.prod(x, dim, keepdim), along(keepdim=st.booleans()), order=3
    ),
    "prod: with zeros": Case(
        lambda m, x, dim: m.prod(_masked(m, x), dim),
        along(),
        kinks=lambda x, dim: np.abs(x * 7 - np.round(x * 7)),
        order=3,
    ),
    "norm": Case(
        lambda m, x, p, dim, keepdim: m.norm(x, p, dim, keepdim),
        reductions(min_side=1, p=ORDERS),  # of nothing, PyTorch has NaN in second derivatives
        kinks=lambda x, p, dim, keepdim: x,
        order=3,
    ),
    "norm: of all elements": Case(
        lambda m, x: m.norm(x), shapes(min_side=1).map(lambda s: ([s], {})), kinks=lambda x: x
    ),
    "norm: of a matrix": Case(
        lambda m, x: m.norm(x, "fro"),
        shapes(min_dims=2, max_dims=2, min_side=1).map(lambda s: ([s], {})),
        kinks=lambda x: x,
    ),
    "norm: below 1": Case(
        lambda m, x, p, dim, keepdim: m.norm(x, p=p, dim=dim, keepdim=keepdim),
        reductions(min_side=1, p=st.sampled_from([0.5, -1, -2.0])),
        domains=((0.5, 2.0),),
    ),
    "norm: largest or smallest": Case(
        lambda m, x, p, dim, keepdim: m.norm(x, p, dim, keepdim),
        reductions(min_side=1, p=st.sampled_from([math.inf, -math.inf])),
        kinks=lambda x, p, dim, keepdim: np.append(
            x.ravel(), np.diff(np.sort(np.abs(x), axis=None))
        ),
    ),
    "norm: how many are not 0": Case(
        lambda m, x, dim, keepdim: m.norm(
            m.where(x > 0, x.detach() if hasattr(x, "detach") else x, 0), 0, dim, keepdim
        ),
        reductions(),
        smooth=False,
    ),
}


class TestAccumulation(OpProperties):
    module = "accumulation"
    cases = CASES


TIES = {
    "prod: one zero": Tie(lambda m, x: x.prod(), [[2.0, 0.0, 3.0]], [[0.0, 6.0, 0.0]]),
    "prod: two zeros": Tie(lambda m, x: x.prod(), [[2.0, 0.0, 0.0]], [[0.0, 0.0, 0.0]]),
    "norm: of zeros": Tie(lambda m, x: x.norm(), [[0.0, 0.0]], [[0.0, 0.0]]),
    "norm: of zeros, p = 1": Tie(lambda m, x: x.norm(1), [[0.0, 2.0]], [[0.0, 1.0]]),
    "norm: of zeros, p = 3": Tie(lambda m, x: x.norm(3), [[0.0, 0.0]], [[0.0, 0.0]]),
    "norm: a zero, p = 1.5": Tie(lambda m, x: x.norm(1.5), [[0.0, 2.0]], [[0.0, 1.0]]),
    "norm: the largest, twice": Tie(
        lambda m, x: x.norm(math.inf), [[2.0, -2.0, 1.0]], [[0.5, -0.5, 0.0]]
    ),
}


class TestTies(TieProperties):
    ties = TIES


# ------------------------------------------------------------------------- zeros and higher orders


@settings(max_examples=scaled(30), deadline=None)
@given(st.lists(st.sampled_from([0.0, 0.0, 1.0, -2.0, 0.5]), min_size=1, max_size=5))
def test_derivatives_of_a_product_with_zeros_are_exact_to_the_fourth_order(
    factors: list[float],
) -> None:
    case = Case(lambda m, x: m.prod(x), st.nothing())
    example = Example(case, [np.array(factors)], {})
    for order in range(1, min(len(factors), 4) + 1):
        assert_derivative_is_pytorchs(example, order, rtol=1e-14, atol=1e-14)
        assert_derivative_is_numerical(example, order)


def test_the_second_derivative_of_a_norm_does_not_forget_elements_that_are_0() -> None:
    x = minigrad.tensor([0.0, 2.0], dtype=minigrad.float64, requires_grad=True)
    (g,) = minigrad.grad(x.norm(), x, create_graph=True)
    assert minigrad.grad(g[0], x)[0].tolist() == [0.5, 0.0]  # δ/|x| - x xᵀ/|x|³


@pytest.mark.filterwarnings("ignore:divide by zero")  # 0 to the power -1
@pytest.mark.parametrize("p", [2, 3, -1])
def test_where_a_norm_is_0_its_derivatives_are_0_as_in_pytorch(p: float) -> None:
    for values in [[0.0, 0.0], [0.0, 2.0]] if p < 0 else [[0.0, 0.0]]:
        example = Example(Case(lambda m, x: m.norm(x, p), st.nothing()), [np.array(values)], {})
        assert_derivative_is_pytorchs(example, 1)
        x = minigrad.tensor(values, dtype=minigrad.float64, requires_grad=True)
        (g,) = minigrad.grad(x.norm(p), x, create_graph=True)
        assert minigrad.grad(g.sum(), x)[0].tolist() == [0, 0]


@pytest.mark.parametrize("p", [0.5, 1, 1.5, 2, 3])
def test_an_element_that_is_0_gets_no_gradient_of_a_norm_as_in_pytorch(p: float) -> None:
    found = []
    for framework in (MINIGRAD, pytorch()):
        x = framework.leaf(np.array([0.0, 4, -9]))
        found.append(to_array(framework.grad(framework.module.norm(x, p), [x])[0]))
    assert found[0][0] == 0
    np.testing.assert_allclose(*found, rtol=1e-12)


def test_powers_beyond_the_range_of_halves_count() -> None:
    """500² is infinite as a half, and so are 600² and the cube of the norm."""
    x = np.array([500, -600, 0], np.float16)
    leaf = MINIGRAD.leaf(x)
    y = leaf.norm(3)
    cubes = np.abs(x.astype(np.float64)) ** 3
    assert y.item() == np.float16(cubes.sum() ** (1 / 3))
    expected = np.sign(x) * (cubes / cubes.sum()) ** (2 / 3)
    np.testing.assert_allclose(to_array(minigrad.grad(y, leaf)[0]), expected, rtol=1e-3)


def test_a_product_of_many_factors_takes_memory_in_proportion() -> None:
    x = minigrad.ones(2**17, requires_grad=True)
    x.prod().backward()
    assert (x.grad == 1).all()


# ------------------------------------------------------------------------- precision, dtypes


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_running_sums_are_added_in_a_wider_dtype(dtype: str) -> None:
    x = minigrad.full((20_000,), 0.1, dtype=dtype)
    y = x.cumsum(0)
    assert y.dtype == dtype
    true = np.cumsum(x.numpy().astype(np.float64)).astype(dtype)
    np.testing.assert_allclose(y.numpy(), true, rtol=1e-6 if dtype == "float32" else 1e-3)


@pytest.mark.parametrize(
    "name", ["sum", "prod", "cumsum", "mean", "softmax", "log_softmax", "norm"]
)
@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "int32", "int64"])
@pytest.mark.parametrize("of", ["float32", "float64", "int64"])
def test_a_dtype_to_compute_in_gives_what_a_cast_before_gives(
    name: str, dtype: str, of: str
) -> None:
    def outcome(m: Any, x: Any, **options: Any) -> Any:
        try:
            if name in ("cumsum", "softmax", "log_softmax"):
                options["dim"] = 0
            y = getattr(m, name)(x, **options)
        except (RuntimeError, NotImplementedError):
            return None
        return to_array(y).dtype, np.round(to_array(y).astype(float), 2).tolist()

    torch = pytorch().module
    x = np.array([1, 2, 3]).astype(of)
    ours = outcome(minigrad, minigrad.tensor(x), dtype=getattr(minigrad, dtype))
    if dtype != "int32":  # which is summed as int64, if nobody asks
        assert ours == outcome(minigrad, minigrad.tensor(x).to(getattr(minigrad, dtype)))
    if name == "norm":  # PyTorch's takes no integers
        return
    assert ours == outcome(torch, torch.from_numpy(x), dtype=getattr(torch, dtype))


def test_the_gradient_of_a_sum_in_another_dtype_has_the_arguments() -> None:
    x = minigrad.ones(3, requires_grad=True)
    y = x.sum(dtype="float64") + x.softmax(0, dtype=np.float64).mean(dtype=np.float64)
    assert y.dtype == np.float64
    y.backward()
    assert x.grad.dtype == np.float32


# ------------------------------------------------------------------------- errors


def test_what_has_no_norm_says_what_to_do() -> None:
    with pytest.raises(RuntimeError, match=r"Expected a floating point tensor .* use \.float\(\)"):
        minigrad.norm(minigrad.tensor([3, 4]))
    with pytest.raises(RuntimeError, match="order 'nuc' is not supported"):
        minigrad.ones(2, 2).norm("nuc")
    with pytest.raises(RuntimeError, match=r"input\.numel"):
        minigrad.ones(0).norm(math.inf)
    assert MINIGRAD.module.norm(minigrad.tensor([3, 4]), dtype=minigrad.float32).item() == 5
