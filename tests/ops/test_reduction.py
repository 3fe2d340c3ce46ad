"""Sums, means, extremes, softmax and relatives: values, derivatives, ties, extreme arguments."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import strategies as st

import minigrad
from tests.failures import noting
from tests.reference import (
    MINIGRAD,
    Case,
    Extreme,
    ExtremeProperties,
    OpProperties,
    Tie,
    TieProperties,
    assert_same,
    broadcastable,
    pytorch,
    shapes,
    to_array,
)

INF = np.inf
ALL_FORMS = ("none", "int", "tuple")  # of dim


def reduced(shape: tuple[int, ...], dim: Any) -> list[int]:
    """Return the dimensions, counted from the front, that ``dim`` means."""
    every = range(len(shape))
    return list(every) if dim is None else [every[d] for d in np.atleast_1d(dim)]


@st.composite
def reductions(
    draw: st.DrawFn,
    forms: tuple[str, ...] = ALL_FORMS,
    min_dims: int = 0,
    min_count: int = 1,
) -> Any:
    """Draw a shape, ``dim`` in one of its forms, and ``keepdim``.

    At least ``min_count`` elements go into each element of the result, but of these there may be
    none.
    """
    shape = draw(shapes(min_dims=min_dims, min_side=1))
    ndim = len(shape)
    dim = None
    if ndim:
        one = st.integers(-ndim, ndim - 1)
        several = st.lists(one, min_size=1, max_size=3, unique_by=lambda d: d % ndim).map(tuple)
        strategies = {"none": st.none(), "int": one, "tuple": several}
        dim = draw(st.one_of(*[strategies[form] for form in forms]))
    places = reduced(shape, dim)
    if math.prod(shape[i] for i in places) < min_count:
        shape = tuple(2 if i in places else n for i, n in enumerate(shape))
    spare = [i for i in range(ndim) if min_count == 0 or i not in places]
    if spare and draw(st.integers(0, 3)) == 0:
        empty = draw(st.sampled_from(spare))
        shape = tuple(0 if i == empty else n for i, n in enumerate(shape))
    return [shape], {"dim": dim, "keepdim": draw(st.booleans())}


def with_correction(inputs: Any) -> st.SearchStrategy[Any]:
    tensors, options = inputs
    return st.sampled_from([0, 0.5, 1]).map(lambda c: (tensors, {**options, "correction": c}))


def of_constants(dtype: Any, forms: tuple[str, ...] = ALL_FORMS, min_count: int = 0) -> Any:
    """Draw the inputs of a case without tensors: a constant x, what to reduce, ``keepdim``."""
    limits = {} if dtype is np.bool_ else {"min_value": 0, "max_value": 3}
    elements = hnp.from_dtype(np.dtype(dtype), **limits)

    def with_x(inputs: Any) -> st.SearchStrategy[Any]:
        (shape,), options = inputs
        return hnp.arrays(dtype, shape, elements=elements).map(lambda x: ((), {"x": x, **options}))

    return reductions(forms, min_count=min_count).flatmap(with_x)


def without(*names: str) -> Callable[[Any], Any]:
    """Return a function of drawn inputs that takes some options out."""

    def take_out(inputs: Any) -> Any:
        tensors, options = inputs
        return tensors, {name: value for name, value in options.items() if name not in names}

    return take_out


def reduce(name: str) -> Callable[..., Any]:
    return lambda m, x, **options: getattr(m, name)(x, **options)


def values(name: str) -> Callable[..., Any]:
    return lambda m, x, **options: getattr(m, name)(x, **options).values


def indices(name: str) -> Callable[..., Any]:
    return lambda m, x, **options: getattr(m, name)(x, **options).indices


def gaps(x: np.ndarray, **options: Any) -> np.ndarray:
    """Return the distances of neighbours in the order of size: 0 where two elements are equal."""
    return np.diff(np.sort(x, axis=None))


def deviation(x: np.ndarray, dim: Any, **options: Any) -> np.ndarray:
    return np.std(x, axis=dim) / 100  # steep near 0: stay farther away than elsewhere


full = reductions()
countable = reductions(min_count=0)
spreads = reductions(min_dims=1, min_count=2).flatmap(with_correction)
whole = reductions(("none",)).map(without("dim", "keepdim"))
along = reductions(("int",), min_dims=1)
softmaxes = along.map(without("keepdim"))
one_dim = ("none", "int")
difference = np.subtract

CASES = {
    "sum": Case(reduce("sum"), countable),
    "sum: of integers": Case(reduce("sum"), of_constants(np.int32), smooth=False),
    "sum: of small integers": Case(reduce("sum"), of_constants(np.uint8), smooth=False),
    "sum: of booleans": Case(reduce("sum"), of_constants(np.bool_), smooth=False),
    "mean": Case(reduce("mean"), full),
    "var": Case(reduce("var"), spreads),
    "std": Case(reduce("std"), spreads, kinks=deviation),
    "amax": Case(reduce("amax"), full, kinks=gaps),
    "amin": Case(reduce("amin"), full, kinks=gaps),
    "max": Case(reduce("max"), whole, kinks=gaps),
    "min": Case(reduce("min"), whole, kinks=gaps),
    "max: along a dimension": Case(values("max"), along, kinks=gaps),
    "min: along a dimension": Case(values("min"), along, kinks=gaps),
    "max: where along a dimension": Case(indices("max"), along, smooth=False),
    "min: where along a dimension": Case(indices("min"), along, smooth=False),
    "max: of two": Case(lambda m, a, b: m.max(a, b), broadcastable(2), kinks=difference),
    "min: of two": Case(lambda m, a, b: m.min(a, b), broadcastable(2), kinks=difference),
    "argmax": Case(reduce("argmax"), reductions(one_dim), smooth=False),
    "argmin": Case(reduce("argmin"), reductions(one_dim), smooth=False),
    "argmax: of equals": Case(
        reduce("argmax"), of_constants(np.int64, one_dim, min_count=1), smooth=False
    ),
    "argmin: of equals": Case(
        reduce("argmin"), of_constants(np.int64, one_dim, min_count=1), smooth=False
    ),
    "any": Case(reduce("any"), of_constants(np.bool_), smooth=False),
    "any: of integers": Case(reduce("any"), of_constants(np.int64), smooth=False),
    "any: of floats": Case(reduce("any"), countable, smooth=False),
    "all": Case(reduce("all"), of_constants(np.bool_), smooth=False),
    "all: of integers": Case(reduce("all"), of_constants(np.int64), smooth=False),
    "all: of floats": Case(reduce("all"), countable, smooth=False),
    "logsumexp": Case(
        reduce("logsumexp"),
        full,
        torch=lambda t, x, dim, keepdim: t.logsumexp(
            x, tuple(range(x.ndim)) or 0 if dim is None else dim, keepdim
        ),
        order=3,
    ),
    "softmax": Case(reduce("softmax"), softmaxes, order=3),
    "log_softmax": Case(reduce("log_softmax"), softmaxes, order=3),
}

ROWS = [[1, 3, 3], [2, 0, 2]]
TIES = {
    "equal maxima share in amax": Tie(
        lambda m, x: m.amax(x, 1), [ROWS], [[[0, 0.5, 0.5], [0.5, 0, 0.5]]]
    ),
    "equal minima share in amin": Tie(
        lambda m, x: m.amin(x, 0), [[[1, 0, 2], [1, 3, 2]]], [[[0.5, 1, 0.5], [0.5, 0, 0.5]]]
    ),
    "equal maxima share in amax of all": Tie(
        lambda m, x: m.amax(x), [ROWS], [[[0, 0.5, 0.5], [0, 0, 0]]]
    ),
    "equal maxima share in max of all": Tie(
        lambda m, x: m.max(x), [ROWS], [[[0, 0.5, 0.5], [0, 0, 0]]]
    ),
    "equal minima share in min of all": Tie(
        lambda m, x: m.min(x), [[[1, 0, 0], [0, 0, 2]]], [[[0, 0.25, 0.25], [0.25, 0.25, 0]]]
    ),
    "the first maximum counts along an axis": Tie(
        lambda m, x: m.max(x, 1).values, [ROWS], [[[0, 1, 0], [1, 0, 0]]]
    ),
    "the first minimum counts along an axis": Tie(
        lambda m, x: m.min(x, 1, True).values, [[[1, 0, 0], [3, 2, 2]]], [[[0, 1, 0], [0, 1, 0]]]
    ),
    "equal operands of max share": Tie(
        lambda m, a, b: m.max(a, b), [[1, 2], [2, 2]], [[0, 0.5], [1, 0.5]]
    ),
    "std of equal elements": Tie(
        lambda m, x: m.std(x, 1), [[[2, 2, 2], [1, 2, 3]]], [[[0, 0, 0], [-0.5, 0, 0.5]]]
    ),
}


def weighted(name: str) -> Callable[..., Any]:
    """Return the op times 1, 2, 3: the gradient of a plain sum of probabilities is 0."""
    return lambda m, x: getattr(m, name)(x, 0) * m.tensor([1.0, 2.0, 3.0])


EXTREMES = {
    "softmax of far logits": Extreme(weighted("softmax"), [1e4, 0, -1e4], [1, 0, 0], [0, 0, 0]),
    "softmax of large logits": Extreme(
        weighted("softmax"), [1e4, 1e4, -INF], [0.5, 1, 0], [-0.25, 0.25, 0]
    ),
    "softmax of small logits": Extreme(
        weighted("softmax"), [-INF, -1e4, -1e4], [0, 1, 1.5], [0, -0.25, 0.25]
    ),
    "log_softmax of far logits": Extreme(
        weighted("log_softmax"), [1e4, 0, -1e4], [0, -2e4, -6e4], [-5, 2, 3]
    ),
    "log_softmax with a logit of -inf": Extreme(
        weighted("log_softmax"),
        [1e4, -INF, 1e4],
        [-math.log(2), -INF, -3 * math.log(2)],
        [-2, 2, 0],
    ),
    "logsumexp of large logits": Extreme(
        lambda m, x: m.logsumexp(x, 0), [1e4, 0, -1e4], 1e4, [1, 0, 0]
    ),
    "logsumexp of small logits": Extreme(
        lambda m, x: m.logsumexp(x, 0), [-INF, -1e4, -2e4], -1e4, [0, 1, 0]
    ),
    "amax of infinities": Extreme(lambda m, x: m.amax(x), [-INF, 0, INF], INF, [0, 0, 1]),
    "mean of large numbers": Extreme(lambda m, x: m.mean(x), [1e30, 1e30], 1e30, [0.5, 0.5]),
    "var of numbers far from 0": Extreme(
        lambda m, x: m.var(x), [1e6 + 1, 1e6 + 2, 1e6 + 3], 1, [-1, 0, 1]
    ),
}


@pytest.mark.filterwarnings("ignore:.*degrees of freedom")  # PyTorch, where there is no result
class TestReduction(OpProperties):
    module = "reduction"
    cases = CASES


class TestTies(TieProperties):
    ties = TIES


class TestExtremes(ExtremeProperties):
    extremes = EXTREMES


# ------------------------------------------------------------------------- the dtype of the result


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int8", "int16", "int32", "int64"])
def test_sums_of_integers_are_int64(dtype: str) -> None:
    values = np.array([[1, 1]]).astype(dtype)
    for framework in (MINIGRAD, pytorch()):
        for y in (framework.tensor(values).sum(), framework.tensor(values).sum(1)):
            assert to_array(y).dtype == np.int64
            assert y.sum().item() == 2


def test_sums_of_small_integers_do_not_overflow() -> None:
    assert minigrad.tensor(np.full(300, 255, np.uint8)).sum().item() == 300 * 255
    assert minigrad.ones(300, dtype=np.bool_).sum().item() == 300


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize(
    "name", ["sum", "mean", "var", "std", "amax", "amin", "logsumexp", "softmax", "log_softmax"]
)
def test_floats_keep_their_dtype(name: str, dtype: str) -> None:
    x = MINIGRAD.leaf(np.array([[1, 2, 4]], dtype))
    for y in (getattr(minigrad, name)(x, 1), getattr(minigrad, name)(x[0], 0)):
        assert y.dtype == dtype
        assert minigrad.grad(y.sum(), x, retain_graph=True)[0].dtype == dtype


@pytest.mark.parametrize("name", ["argmax", "argmin"])
def test_places_are_int64(name: str) -> None:
    x = minigrad.tensor([[1.0, 2.0]])
    for y in (getattr(minigrad, name)(x), getattr(minigrad, name)(x, 1)):
        assert y.dtype == np.int64
        assert not y.requires_grad
    assert x.max(1).indices.dtype == x.min(1).indices.dtype == np.int64


def test_logsumexp_of_integers_is_float32() -> None:
    for framework in (MINIGRAD, pytorch()):
        y = framework.module.logsumexp(framework.tensor(np.array([1, 2])), 0)
        assert to_array(y).dtype == np.float32


def test_the_spread_of_integers_is_float32_where_pytorch_refuses() -> None:
    x = minigrad.tensor([1, 3])
    assert x.var().item() == 2
    assert x.var().dtype == x.std().dtype == np.float32


def test_mean_of_integers_is_refused() -> None:
    for dtype in ("int64", "bool"):
        with pytest.raises(RuntimeError, match=rf"mean\(\) needs a floating-point .* got {dtype}"):
            minigrad.ones(2, dtype=dtype).mean()


# ------------------------------------------------------------------------- how dim is given

TAKING_DIM = {
    "sum": None,
    "mean": None,
    "var": None,
    "std": None,
    "amax": None,
    "amin": None,
    "argmax": None,
    "argmin": None,
    "any": None,
    "all": None,
    "logsumexp": None,
    "max": "values",
    "min": "indices",
}
X = minigrad.tensor([[1.0, 2.0, 0.0], [4.0, 3.0, 1.0]])


@pytest.mark.parametrize(("name", "part"), TAKING_DIM.items())
def test_axis_and_keepdims_are_other_names_of_dim_and_keepdim(name: str, part: str | None) -> None:
    op, method = getattr(minigrad, name), getattr(X, name)
    ways = [
        op(X, 1, keepdim=True),
        op(X, dim=1, keepdim=True),
        op(X, axis=1, keepdims=True),
        op(X, axis=-1, keepdim=True),
        method(1, keepdim=True),
        method(axis=1, keepdims=True),
    ]
    first, *others = [getattr(y, part) if part else y for y in ways]
    assert first.shape == (2, 1)
    for other in others:
        assert other.tolist() == first.tolist()


@pytest.mark.parametrize(("name", "part"), TAKING_DIM.items())
def test_a_reduced_dimension_goes_unless_kept(name: str, part: str | None) -> None:
    op = getattr(minigrad, name)
    assert (getattr(op(X, 1), part) if part else op(X, 1)).shape == (2,)
    assert op(X).shape == ()


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_axis_is_another_name_of_dim(name: str) -> None:
    op, method = getattr(minigrad, name), getattr(X, name)
    assert op(X, 0).tolist() == op(X, axis=0).tolist() == method(axis=0).tolist()


@pytest.mark.parametrize("name", [*TAKING_DIM, "softmax", "log_softmax"])
@pytest.mark.parametrize("dim", [2, -3])
def test_a_dimension_out_of_range_is_named(name: str, dim: int) -> None:
    for x, most in ((X, 2), (minigrad.tensor(1.0), 1)):
        with pytest.raises(IndexError, match=rf"range of \[-{most}, {most - 1}\], but got {dim}"):
            getattr(minigrad, name)(x, dim)


@pytest.mark.parametrize("name", [*TAKING_DIM, "softmax", "log_softmax"])
def test_an_unknown_keyword_is_named(name: str) -> None:
    with pytest.raises(TypeError, match="got an unexpected keyword argument 'dimension'"):
        getattr(minigrad, name)(X, 0, dimension=1)


def test_a_dimension_given_twice_is_refused() -> None:
    with pytest.raises(TypeError, match=r"sum\(\) got multiple values for argument 'dim'"):
        minigrad.sum(X, 1, dim=1)
    for framework in (MINIGRAD, pytorch()):
        x = framework.tensor(np.ones((2, 3)))
        with pytest.raises(RuntimeError, match="dim 1 appears multiple times in the list of dims"):
            framework.module.sum(x, (1, -1))


@pytest.mark.parametrize("name", ["sum", "mean", "var", "std", "amax", "amin", "logsumexp"])
def test_dimensions_may_be_a_list(name: str) -> None:
    x = minigrad.tensor(X, requires_grad=True)
    y, z = getattr(x, name)([0, 1]), getattr(x, name)((0, 1))
    assert y.item() == z.item()
    assert minigrad.grad(y, x)[0].tolist() == minigrad.grad(z, x)[0].tolist()


REDUCING = [
    *("sum", "mean", "var", "std", "amax", "amin", "logsumexp"),
    *("max", "min", "softmax", "log_softmax"),
]


def values_of(y: Any) -> Any:
    return getattr(y, "values", y) if isinstance(y, tuple) else y


@pytest.mark.parametrize("name", [*REDUCING, "argmax", "argmin", "any", "all"])
@pytest.mark.parametrize("dim", [0, -1, (0,), ()])
@pytest.mark.filterwarnings("ignore:.*egrees of freedom")
def test_a_number_may_be_reduced_as_one_element(name: str, dim: Any) -> None:
    if isinstance(dim, tuple) and name in (
        "max",
        "min",
        "softmax",
        "log_softmax",
        "argmax",
        "argmin",
    ):
        return
    found = []
    for framework in (MINIGRAD, pytorch()):
        x = framework.leaf(np.array(3.0))
        y = values_of(getattr(framework.module, name)(x, dim))
        grads = framework.grad(y, [x]) if y.requires_grad else ()
        found.append([to_array(t) for t in (y, *grads)])
    for ours, theirs in zip(*found, strict=True):
        assert_same(ours, theirs, rtol=1e-15)


@pytest.mark.parametrize("name", ["max", "min"])
def test_the_place_of_the_extreme_of_a_number_is_0(name: str) -> None:
    for keepdim in (False, True):
        y = getattr(minigrad.tensor(3.0), name)(-1, keepdim)
        assert (y.values.shape, y.indices.shape, y.indices.item()) == ((), (), 0)


@pytest.mark.parametrize("name", ["sum", "mean", "var", "std", "amax", "amin"])
@pytest.mark.parametrize("dim", [(), []])
def test_no_dimension_in_a_list_means_all_as_in_pytorch(name: str, dim: Any) -> None:
    found = []
    for framework in (MINIGRAD, pytorch()):
        x = framework.leaf(np.arange(6.0).reshape(2, 3))
        y = getattr(framework.module, name)(x, dim)
        grads = () if name in ("var", "std") else framework.grad(y, [x])  # PyTorch's is infinite
        found.append([to_array(t) for t in (y, *grads)])
    for ours, theirs in zip(*found, strict=True):
        assert_same(ours, theirs, rtol=1e-12)


@pytest.mark.parametrize("name", ["any", "all"])
def test_no_dimension_in_a_list_means_none_for_any_and_all_as_in_pytorch(name: str) -> None:
    for framework in (MINIGRAD, pytorch()):
        x = framework.tensor(np.arange(6.0).reshape(2, 3))
        assert getattr(framework.module, name)(x, ()).tolist() == [[False, True, True], [True] * 3]


@pytest.mark.parametrize("name", REDUCING)
@pytest.mark.filterwarnings("ignore:.*egrees of freedom")
def test_nothing_is_reduced_as_in_pytorch(name: str) -> None:
    shapes = [(0,), (2, 0), (0, 3), (2, 0, 3)]
    for shape, dim in itertools.product(shapes, [0, 1, -1, None]):
        with noting(shape=shape, dim=dim):
            assert_nothing_is_reduced_alike(name, shape, dim)


def assert_nothing_is_reduced_alike(name: str, shape: tuple[int, ...], dim: Any) -> None:
    found: list[Any] = []
    for framework in (MINIGRAD, pytorch()):
        x = framework.leaf(np.zeros(shape))
        try:
            if dim is None and name in ("logsumexp", "softmax", "log_softmax"):
                dim = tuple(range(len(shape))) if name == "logsumexp" else 0
            call = getattr(framework.module, name)
            y = values_of(call(x) if dim is None else call(x, dim))
            found.append([to_array(t) for t in (y, *framework.grad(y.sum(), [x]))])
        except (IndexError, RuntimeError) as error:
            found.append(error)
    ours, theirs = found
    if isinstance(theirs, Exception):
        assert isinstance(ours, type(theirs)), ours
        if "out of range" not in str(theirs):
            assert "Expected reduction dim" in str(ours)
            assert "Expected reduction dim" in str(theirs)
        return
    for a, b in zip(ours, theirs, strict=True):
        assert_same(a, b, rtol=0)


def test_a_dimension_may_be_a_numpy_integer() -> None:
    assert X.max(np.int64(1)).values.tolist() == [2, 4]
    assert X.sum(np.int64(1)).tolist() == [3, 8]


# ------------------------------------------------------------------------- the rest


@pytest.mark.parametrize("name", ["var", "std"])
def test_unbiased_is_another_way_to_say_correction(name: str) -> None:
    op = getattr(minigrad, name)
    assert op(X, 1).tolist() == op(X, 1, correction=1).tolist() == op(X, 1, unbiased=True).tolist()
    assert op(X, 1, correction=0).tolist() == op(X, 1, unbiased=False).tolist()
    assert op(X, 1).tolist() != op(X, 1, correction=0).tolist()
    assert op(X, 1).tolist() == op(X, 1, correction=None).tolist()


def test_std_is_the_root_of_var() -> None:
    for dim in (None, 0, 1, (0, 1)):
        np.testing.assert_allclose(X.std(dim).numpy() ** 2, X.var(dim).numpy(), rtol=1e-6)


@pytest.mark.parametrize("name", ["var", "std"])
@pytest.mark.filterwarnings("ignore:.*egrees of freedom")
def test_the_spread_of_one_element_is_nan_and_so_is_its_gradient(name: str) -> None:
    for framework in (MINIGRAD, pytorch()):
        x = framework.leaf(np.ones(1))
        with np.errstate(all="ignore"):
            y = getattr(framework.module, name)(x)
            (g,) = framework.grad(y, [x])
        assert np.isnan(y.item())
        assert np.isnan(to_array(g)).all()


@pytest.mark.parametrize("name", ["var", "std"])
@pytest.mark.parametrize("values", [[INF, 1, 2], [1, INF, 2], [-INF, 1, 2], [np.nan, 1, 2]])
def test_where_what_is_not_finite_stands_makes_no_difference(name: str, values: Any) -> None:
    found = []
    for framework in (MINIGRAD, pytorch()):
        x = framework.leaf(np.array(values))
        with np.errstate(all="ignore"):
            y = getattr(framework.module, name)(x)
            found.append([to_array(t) for t in (y, *framework.grad(y, [x]))])
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("name", ["var", "std"])
@pytest.mark.parametrize("correction", [2, 2.5, 7])
@pytest.mark.filterwarnings("error", "ignore:.*egrees of freedom")
def test_without_degrees_of_freedom_a_spread_has_no_gradient(name: str, correction: float) -> None:
    x = MINIGRAD.leaf(np.array([1.0, 2.0]))
    y = getattr(minigrad, name)(x, correction=correction)
    assert y.item() == INF
    assert np.isnan(gradient(y, x)).all()


@pytest.mark.filterwarnings("error")
def test_the_mean_of_nothing_is_nan_without_a_warning() -> None:
    x = MINIGRAD.leaf(np.ones((3, 0)))
    assert np.isnan(x.mean(1).tolist()).all()
    assert gradient(x.mean(), x).shape == (3, 0)


def test_max_and_min_along_a_dimension_say_where() -> None:
    top, bottom = X.max(1), X.min(dim=0, keepdim=True)
    assert (top.values.tolist(), top.indices.tolist()) == ([2, 4], [1, 0])
    values, indices = bottom
    assert (values.tolist(), indices.tolist()) == ([[1, 2, 0]], [[0, 0, 0]])


@pytest.mark.parametrize("name", ["argmax", "argmin"])
def test_nothing_has_no_place_of_an_extreme(name: str) -> None:
    for framework in (MINIGRAD, pytorch()):
        call = getattr(framework.module, name)
        for arguments in ((), (0,)):
            with pytest.raises(IndexError, match=rf"{name}\(\): Expected reduction dim"):
                call(framework.tensor(np.zeros((0, 3))), *arguments)
        assert tuple(call(framework.tensor(np.zeros((0, 3))), 1).shape) == (0,)


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
@pytest.mark.parametrize("dtype", ["int64", "uint8", "bool"])
def test_probabilities_of_integers_are_refused_with_the_way_out(name: str, dtype: str) -> None:
    message = rf"{name}\(\) is not implemented for {dtype}: .* use .float\(\)"
    with pytest.raises(NotImplementedError, match=message):
        getattr(minigrad.ones(2, dtype=dtype), name)(0)


@pytest.mark.parametrize("extreme", [-INF, INF])
def test_logsumexp_of_nothing_but_infinities_is_infinite(extreme: float) -> None:
    for framework in (MINIGRAD, pytorch()):
        with np.errstate(divide="ignore"):  # the logarithm of 0
            y = framework.module.logsumexp(framework.tensor(np.array([extreme, extreme])), 0)
        assert y.item() == extreme


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_softmax_of_no_rows_is_no_rows(name: str) -> None:
    assert getattr(minigrad, name)(minigrad.zeros(0, 3), 1).shape == (0, 3)


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_softmax_leaves_its_argument_alone(name: str) -> None:
    x = minigrad.tensor([1.0, 2.0])
    getattr(minigrad, name)(x, 0)
    assert x.tolist() == [1, 2]


# ------------------------------------------------------------------------- halves, and many numbers


def half(*shape: int, value: float = 1.0) -> Any:
    return MINIGRAD.leaf(np.full(shape, value, np.float16))


def gradient(y: Any, x: Any) -> np.ndarray:
    return to_array(minigrad.grad(y, x)[0])


@pytest.mark.parametrize("dim", [0, (0, 2), None])
def test_halves_are_added_in_float32(dim: Any) -> None:
    """NumPy adds them in halves along a leading dimension, and stops at 2048."""
    x = half(4096, 2, 3, value=1 / 8)
    count = x.numel() if dim is None else 4096 * (3 if isinstance(dim, tuple) else 1)
    assert set(x.sum(dim).flatten().tolist()) == {count / 8}
    assert set(x.mean(dim).flatten().tolist()) == {1 / 8}
    assert set(x.var(dim).flatten().tolist()) == {0}
    log = np.log(np.float64(count)) + 1 / 8
    np.testing.assert_allclose(x.logsumexp(dim).flatten().tolist(), log, rtol=1e-3)


def test_probabilities_of_halves_sum_to_1() -> None:
    for dim, shape in ((0, (8192, 2)), (1, (2, 8192))):
        x = half(*shape, value=0)
        assert set(x.softmax(dim).flatten().tolist()) == {1 / 8192}
        np.testing.assert_allclose(x.log_softmax(dim).flatten().tolist(), -np.log(8192), rtol=1e-3)
        weights = minigrad.tensor(np.linspace(0, 1, 8192, dtype=np.float16))
        weights = weights.unsqueeze(1 - dim)
        for y, scale in ((x.softmax(dim) * 8192, 1), (x.log_softmax(dim), 8192)):
            g = gradient((y.float() * weights.float()).sum(), x)
            w = weights.numpy().astype(np.float64)
            right = (w - w.mean()) * 1 if scale == 1 else w - w.sum() / 8192
            np.testing.assert_allclose(g, np.broadcast_to(right, shape), atol=2e-3)


def test_small_probabilities_of_halves_count() -> None:
    x = half(8192, value=-11.5)
    with minigrad.no_grad():
        x[0] = 0
    g = np.full(8192, 0.004, np.float16)
    g[0] = 0
    exact = np.exp(to_array(x.detach()).astype(np.float64))
    exact /= exact.sum()
    found = to_array(minigrad.grad(x.softmax(0), x, minigrad.tensor(g))[0])
    np.testing.assert_allclose(found[0], exact[0] * (0 - (g * exact).sum()), rtol=1e-2)


def test_gradients_that_add_up_beyond_the_range_of_halves_count() -> None:
    x = half(8192)
    (g,) = minigrad.grad(x.log_softmax(0), x, minigrad.full_like(x, 100.0))
    np.testing.assert_allclose(to_array(g), 0, atol=0.5)  # log 8192 is rounded by 0.3 percent
    x = half(70_000)
    one = np.zeros(70_000, np.float16)
    one[0] = 1000
    (g,) = minigrad.grad(x.log_softmax(0), x, minigrad.tensor(one))
    np.testing.assert_allclose(to_array(g)[1:], -1 / 70, rtol=8e-4)


def test_counts_beyond_the_range_of_halves_count() -> None:
    """70,000 is infinite as a half."""
    x = half(70_000)
    assert x.mean().item() == 1
    np.testing.assert_allclose(gradient(x.logsumexp(0) * 1000, x), 1 / 70, rtol=1e-3)
    for y in (x.mean(), x.max(), x.amax(0), x.amin()):
        np.testing.assert_allclose(gradient(y, x), 1 / 70_000, rtol=2e-3)
    assert x.var().item() == x.std().item() == 0
    ramp = MINIGRAD.leaf(np.linspace(-8, 8, 70_000).astype(np.float16))
    exact = ramp.detach().double().numpy()
    np.testing.assert_allclose(ramp.var().item(), exact.var(ddof=1), rtol=1e-3)
    np.testing.assert_allclose(ramp.std().item(), exact.std(ddof=1), rtol=1e-3)
    for y, right in (
        (ramp.var() * 1000, 2000 * (exact - exact.mean()) / 69_999),
        (ramp.std() * 1000, 1000 * (exact - exact.mean()) / 69_999 / exact.std(ddof=1)),
    ):
        np.testing.assert_allclose(gradient(y, ramp), right, rtol=4e-3, atol=1e-5)


def test_a_variance_of_large_halves_is_that_of_the_numbers() -> None:
    assert minigrad.full((1000, 100), 1.0).half().var().item() == 0
    assert minigrad.full((3000, 2), 3.0).half().std(0).tolist() == [0, 0]
    assert minigrad.tensor([60_000.0, 60_032.0]).half().var().item() == 512


@pytest.mark.parametrize("value", [1.0, 0.1, 285.015, -100.0])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_equal_elements_have_their_own_mean_and_no_spread(value: float, dtype: Any) -> None:
    column = np.array([value], dtype).item()
    x = MINIGRAD.tensor(np.full((300_001, 2), value, dtype))
    for dim in (0, None):
        np.testing.assert_allclose(x.mean(dim).tolist(), column, rtol=20 * np.finfo(dtype).eps)
        assert not x.var(dim).any()
        assert not x.std(dim).any()
    x = MINIGRAD.tensor(np.array([[value, 1e6, -1e-3]] * 9, dtype))
    assert x.var(0).tolist() == [0, 0, 0]
    x = MINIGRAD.leaf(np.full((1001, 2), value, dtype))
    assert not gradient(x.var(0).sum(), x).any()
    assert not gradient(x.std(), x).any()


def test_a_mean_along_any_dimension_has_the_error_of_adding_in_pairs() -> None:
    rng = np.random.default_rng(0)
    x = rng.uniform(250, 320, (327_680, 2)).astype(np.float32)
    exact = x.astype(np.float64)
    for array, dim in ((x, 0), (np.ascontiguousarray(x.T), 1), (x[::-1], 0)):
        t = MINIGRAD.tensor(array)
        np.testing.assert_allclose(sorted(t.mean(dim).tolist()), sorted(exact.mean(0)), rtol=3e-7)
        np.testing.assert_allclose(
            sorted(t.var(dim).tolist()), sorted(exact.var(0, ddof=1)), rtol=1e-6
        )
        lse = np.log(np.exp(exact - 300).sum(0)) + 300
        np.testing.assert_allclose(sorted(t.logsumexp(dim).tolist()), sorted(lse), rtol=3e-7)
    weights = MINIGRAD.tensor(x / 300)
    y = MINIGRAD.leaf(np.zeros_like(x))
    g = gradient((y.log_softmax(0) * weights).sum(), y)
    right = exact / 300 - (exact / 300).mean(0)
    np.testing.assert_allclose(g, right, atol=1e-6)


# ------------------------------------------------------------------------- not finite


@pytest.mark.parametrize("name", ["max", "min", "amax", "amin"])
def test_the_gradient_of_an_extreme_that_is_nan_goes_to_what_is_nan(name: str) -> None:
    """As PyTorch's for max and min; its amax and amin spoil the others."""
    for framework in (MINIGRAD, pytorch()):
        x = framework.leaf(np.array([1, np.nan, 2, np.nan]))
        y = getattr(framework.module, name)(x)
        if framework.ours or name in ("max", "min"):
            assert to_array(framework.grad(y, [x])[0]).tolist() == [0, 0.5, 0, 0.5]


@pytest.mark.parametrize("name", ["max", "min", "amax", "amin"])
@pytest.mark.parametrize("dim", [None, 0])
def test_an_infinite_gradient_of_an_extreme_reaches_no_other_element(name: str, dim: Any) -> None:
    x = MINIGRAD.leaf(np.array([0.0, 1, 2]) if "min" in name else np.array([-2.0, -1, 0]))
    y = values_of(getattr(x, name)() if dim is None else getattr(x, name)(dim))
    with np.errstate(divide="ignore"):
        g = gradient(y.sqrt(), x)
    assert sorted(g.tolist()) == [0, 0, INF]


def test_an_infinite_gradient_of_std_stops_where_all_are_equal() -> None:
    for framework in (MINIGRAD, pytorch()):
        x = framework.leaf(np.ones(3))
        with np.errstate(all="ignore"):
            (g,) = framework.grad(framework.module.sqrt(x.std()), [x])
        assert to_array(g).tolist() == [0, 0, 0]


# ------------------------------------------------------------------------- small integers


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int8", "int16", "int64"])
def test_logsumexp_of_integers_is_that_of_equal_floats(dtype: str) -> None:
    values = np.array([1, 0, 1] if dtype == "bool" else [1, 3, 100]).astype(dtype)
    expected = np.log(np.exp(values.astype(np.float64)).sum())
    for framework in (MINIGRAD, pytorch()):
        y = to_array(framework.module.logsumexp(framework.tensor(values), 0))
        assert_same(y, np.array(expected, np.float32), rtol=1e-6)
