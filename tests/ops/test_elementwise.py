"""Functions of each element: values, derivatives, kinks, extreme arguments, dtypes."""

from __future__ import annotations

import math
from typing import Any

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import strategies as st

import minigrad
from minigrad import ops
from tests.reference import (
    MINIGRAD,
    Case,
    Extreme,
    ExtremeProperties,
    OpProperties,
    Tie,
    TieProperties,
    alike,
    broadcastable,
    pytorch,
    to_array,
    with_options,
)

POSITIVE = ((0.3, 3.0),)
one = alike()


def identity(x: Any, **options: Any) -> Any:
    return x


def to_limits(x: Any, min: Any = None, max: Any = None) -> np.ndarray:
    """Return how far x is from each limit, and they from each other."""
    away = [np.ravel(x - limit) for limit in (min, max) if limit is not None]
    if min is not None and max is not None:
        away.append(np.ravel(max - min))
    return np.concatenate(away)


@st.composite
def where_inputs(draw: st.DrawFn) -> Any:
    (condition, *tensors), _ = draw(broadcastable(3))
    return tensors, {"condition": draw(hnp.arrays(np.bool_, condition))}


@st.composite
def overwrite_inputs(draw: st.DrawFn) -> Any:
    (x, _), _ = draw(alike(2))
    source = draw(st.sampled_from([x, x[1:], x[:-1] + (1,) * bool(x), ()]))
    return [x, source], {}


CASES = {
    "exp": Case(lambda m, x: m.exp(x), one, order=3),
    "expm1": Case(lambda m, x: m.expm1(x), one),
    "log": Case(lambda m, x: m.log(x), one, domains=POSITIVE),
    "log1p": Case(lambda m, x: m.log1p(x), one, domains=[(-0.7, 2)]),
    "sqrt": Case(lambda m, x: m.sqrt(x), one, domains=POSITIVE),
    "sin": Case(lambda m, x: m.sin(x), one),
    "cos": Case(lambda m, x: m.cos(x), one),
    "tanh": Case(lambda m, x: m.tanh(x), one, order=3),
    "sigmoid": Case(lambda m, x: m.sigmoid(x), one, order=3),
    "abs": Case(lambda m, x: m.abs(x), one, kinks=identity),
    "sign": Case(lambda m, x: m.sign(x), one, torch=lambda t, x: t.sign(x.detach()), smooth=False),
    "floor": Case(
        lambda m, x: m.floor(x),
        one,
        kinks=lambda x: x - np.round(x),
        torch=lambda t, x: t.floor(x.detach()),
        smooth=False,
    ),
    "relu": Case(lambda m, x: m.relu(x), one, kinks=identity),
    "clamp": Case(
        lambda m, x, min, max: m.clamp(x, min, max),
        with_options(
            one,
            min=st.sampled_from([None, -1, -0.5, 1.0]),
            max=st.sampled_from([0.5, 1]),
        ),
        kinks=lambda x, min, max: to_limits(x, min, max) if max != min else x - max,
    ),
    "clamp: from below": Case(lambda m, x: m.clip(x, min=0.5), one, kinks=lambda x: x - 0.5),
    "clamp: from above": Case(lambda m, x: m.clip(x, max=0.5), one, kinks=lambda x: x - 0.5),
    "clamp: between tensors": Case(
        lambda m, x, min, max: m.clamp(x, min, max),
        broadcastable(3),
        kinks=to_limits,
        # its clamp cannot be differentiated where 0-d and 1-d tensors of one element meet
        torch=lambda t, x, min, max: t.minimum(t.maximum(x, min), max),
    ),
    "clamp: below a tensor": Case(
        lambda m, x, max: m.clamp(x, max=max), broadcastable(2), kinks=lambda x, max: x - max
    ),
    "clamp: above a tensor": Case(
        lambda m, x, min: m.clamp(x, min=min), broadcastable(2), kinks=lambda x, min: x - min
    ),
    "where": Case(lambda m, a, b, condition: m.where(condition, a, b), where_inputs()),
    "where: a scalar": Case(lambda m, a: m.where(a > 0, a * a, 0.5), one, kinks=identity),
    "cast": Case(lambda m, x: m.cast(x, np.float64), one, torch=lambda t, x: x.to(t.float64)),
    "cast: to a narrower dtype": Case(
        lambda m, x: m.cast(x, "float32"), one, torch=lambda t, x: x.to(t.float32), exact=False
    ),
    "clone": Case(lambda m, x: m.clone(x), one),
    "overwrite": Case(
        lambda m, x, source: m.overwrite(x, source),
        overwrite_inputs(),
        torch=lambda t, x, source: x.clone().copy_(source),
    ),
}
TIES = {
    "relu at 0": Tie(lambda m, x: m.relu(x), [[-1, 0, -0.0, 1]], [[0, 0, 0, 1]]),
    "abs at 0": Tie(lambda m, x: m.abs(x), [[-1, 0, -0.0, 1]], [[-1, 0, 0, 1]]),
    "clamp at its limits": Tie(
        lambda m, x: m.clamp(x, -1, 2), [[-2, -1, 0, 2, 3]], [[0, 1, 1, 1, 0]]
    ),
    "clamp at its lower limit": Tie(lambda m, x: m.clamp(x, min=0), [[-1, 0, 1]], [[0, 1, 1]]),
    "clamp at its upper limit": Tie(lambda m, x: m.clamp(x, max=0), [[-1, 0, 1]], [[1, 1, 0]]),
    "clamp at limits that are tensors": Tie(
        lambda m, x, low, high: m.clamp(x, low, high),
        [[-2, -1, 0, 2, 3], [-1] * 5, [2] * 5],
        [[0, 1, 1, 1, 0], [1, 0, 0, 0, 0], [0, 0, 0, 0, 1]],
    ),
    "clamp between equal limits": Tie(
        lambda m, x, low, high: m.clamp(x, low, high),
        [[0, 1, 2], [1, 1, 1], [1, 1, 1]],
        [[0, 1, 0], [0, 0, 0], [0, 0, 1]],
    ),
    "clamp between limits in the wrong order": Tie(
        lambda m, x, low, high: m.clamp(x, low, high),
        [[-1, 0, 1, 2, 3], [2] * 5, [0] * 5],
        [[0] * 5, [0] * 5, [1] * 5],
    ),
}
EXTREMES = {
    "sigmoid": Extreme(
        lambda m, x: m.sigmoid(x),
        [-1e4, -100, -10, 0, 1e4, -np.inf, np.inf],
        [0, math.exp(-100), 1 / (1 + math.exp(10)), 0.5, 1, 0, 1],
        [0, math.exp(-100), math.exp(10) / (1 + math.exp(10)) ** 2, 0.25, 0, 0, 0],
    ),
    "tanh": Extreme(lambda m, x: m.tanh(x), [-1e4, 0, 1e4, np.inf], [-1, 0, 1, 1], [0, 1, 0, 0]),
    "exp of very negative numbers": Extreme(
        lambda m, x: m.exp(x), [-1e4, -np.inf, 0], [0, 0, 1], [0, 0, 1]
    ),
    "expm1 of small numbers": Extreme(
        lambda m, x: m.expm1(x), [1e-20, -1e-20, 0], [1e-20, -1e-20, 0], [1, 1, 1]
    ),
    "log1p of small numbers": Extreme(
        lambda m, x: m.log1p(x), [1e-20, -1e-20, 0], [1e-20, -1e-20, 0], [1, 1, 1]
    ),
    "log of small and large numbers": Extreme(
        lambda m, x: m.log(x),
        [1e-30, 1e30],
        [-30 * math.log(10), 30 * math.log(10)],
        [1e30, 1e-30],
    ),
    "clamp of infinities": Extreme(
        lambda m, x: m.clamp(x, -1, 1), [-np.inf, np.inf, 1e30], [-1, 1, 1], [0, 0, 0]
    ),
    "relu of infinities": Extreme(lambda m, x: m.relu(x), [-np.inf, np.inf], [0, np.inf], [0, 1]),
}


def _special(m: Any, x: Any) -> Any:
    """Return x with infinities and NaNs among its elements."""
    x = m.where(x > 1, math.inf, x)
    return m.where(x < -1, math.nan, x)


CASES["logsigmoid"] = Case(
    lambda m, x: (m if m is minigrad else m.nn.functional).logsigmoid(10 * x), alike(), order=3
)
CASES |= {
    name: Case(lambda m, x, name=name: getattr(m, name)(_special(m, x)), alike(), smooth=False)
    for name in ("isnan", "isinf", "isfinite")
}


class TestElementwise(OpProperties):
    module = "elementwise"
    cases = CASES


class TestTies(TieProperties):
    ties = TIES


class TestExtremes(ExtremeProperties):
    extremes = EXTREMES


# ------------------------------------------------------------------------- the dtype of the result

FLOATING = ("exp", "expm1", "log", "log1p", "sqrt", "sin", "cos", "tanh", "sigmoid")
KEEPING = ("abs", "sign", "floor", "relu", "clone")


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("name", [*FLOATING, *KEEPING])
def test_floats_keep_their_dtype(name: str, dtype: str) -> None:
    for shape in ((2,), ()):
        x = MINIGRAD.leaf(np.ones(shape, dtype))
        y = getattr(minigrad, name)(x)
        assert y.dtype == dtype
        if y.requires_grad:
            assert minigrad.grad(y.sum(), x)[0].dtype == dtype


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int8", "int32", "int64"])
@pytest.mark.parametrize("name", FLOATING)
def test_functions_of_integers_are_those_of_equal_floats_in_float32(name: str, dtype: str) -> None:
    values = np.array([1, 1] if dtype == "bool" else [1, 12, 88]).astype(dtype)
    expected = getattr(minigrad, name)(values.astype(np.float64))
    for framework in (MINIGRAD, pytorch()):
        y = to_array(getattr(framework.module, name)(framework.tensor(values)))
        assert y.dtype == np.float32
        np.testing.assert_allclose(y, expected, rtol=1e-6)


@pytest.mark.parametrize("dtype", ["uint8", "int32", "int64"])
@pytest.mark.parametrize("name", KEEPING)
def test_integers_stay_integers_where_they_can(name: str, dtype: str) -> None:
    assert getattr(minigrad, name)(MINIGRAD.tensor(np.array([0, 2], dtype))).dtype == dtype


@pytest.mark.parametrize(
    ("x", "a", "b"),
    [
        ("float32", np.float64(0), 1.0),
        ("float32", 0, np.float64(1)),
        ("float16", 0, 1.5),
        ("float64", 0, 1.5),
    ],
)
def test_scalars_take_the_tensors_dtype(x: str, a: Any, b: Any) -> None:
    tensor = MINIGRAD.tensor(np.array([-1, 2]).astype(x))
    assert tensor.clamp(a, b).dtype == x
    assert minigrad.where(tensor > 0, tensor, b).dtype == x
    assert minigrad.where(tensor > 0, a, tensor).dtype == x


def test_where_between_scalars_gives_the_default_dtypes() -> None:
    condition = minigrad.tensor([True, False])
    assert minigrad.where(condition, 1.0, 0).dtype == np.float32
    assert minigrad.where(condition, 1, 0).dtype == np.int64
    assert minigrad.where(condition, True, False).dtype == np.bool_


@pytest.mark.parametrize("source", ["float16", "float32", "float64", "int64", "bool"])
@pytest.mark.parametrize("target", ["float16", "float32", "float64", "int32", "int64", "bool"])
def test_cast_gives_the_dtype_asked_for(source: str, target: str) -> None:
    x = MINIGRAD.tensor(np.array([0, 1]).astype(source))
    for dtype in (target, np.dtype(target), np.dtype(target).type):
        y = minigrad.cast(x, dtype)
        assert y.dtype == target
        assert y.tolist() == [0, 1]


def test_the_gradient_of_a_cast_returns_to_the_dtype_it_came_from() -> None:
    x = MINIGRAD.leaf(np.ones(2, np.float16))
    y = x.double() * np.array([1.5, 2.5])
    assert y.dtype == np.float64
    (g,) = minigrad.grad(y.sum(), x)
    assert g.dtype == np.float16
    assert g.tolist() == [1.5, 2.5]


@pytest.mark.parametrize("dtype", ["int64", "bool"])
def test_what_is_cast_to_integers_needs_no_gradient(dtype: str) -> None:
    x = minigrad.ones(2).requires_grad_()
    y = x.to(dtype)
    assert not y.requires_grad
    assert y.grad_fn is None


def test_overwrite_casts_to_what_it_replaces() -> None:
    x, source = MINIGRAD.leaf(np.zeros(2, np.float32)), MINIGRAD.leaf(np.array([1.5, 2.5]))
    y = minigrad.overwrite(x, source)
    assert y.dtype == np.float32
    gx, gs = minigrad.grad(y.sum(), (x, source))
    assert (gx.dtype, gx.tolist()) == (np.float32, [0, 0])
    assert (gs.dtype, gs.tolist()) == (np.float64, [1, 1])


# ------------------------------------------------------------------------- the rest


@pytest.mark.parametrize("name", ["cast", "clone", "overwrite"])
def test_copies_do_not_share_memory(name: str) -> None:
    x = minigrad.ones(2)
    arguments = {"cast": (x.dtype,), "clone": (), "overwrite": (x,)}[name]
    assert not np.shares_memory(getattr(minigrad, name)(x, *arguments).array, x.array)


def test_relu_writes_where_it_is_told() -> None:
    x = np.array([-1.0, 2.0])
    assert ops.relu(x, out=x) is x
    assert x.tolist() == [0, 2]


@pytest.mark.parametrize("name", ["sign", "floor"])
def test_piecewise_constant_functions_need_no_gradient(name: str) -> None:
    y = getattr(minigrad, name)(minigrad.ones(2).requires_grad_())
    assert not y.requires_grad


def test_clamp_needs_a_limit() -> None:
    with pytest.raises(RuntimeError, match="at least one of 'min' or 'max' must not be None"):
        minigrad.ones(2).clamp()


def test_an_unknown_keyword_is_named() -> None:
    with pytest.raises(TypeError, match=r"clamp\(\) got an unexpected keyword argument 'low'"):
        minigrad.ones(2).clamp(low=1)


def test_a_condition_that_needs_a_gradient_is_refused() -> None:
    x = minigrad.ones(2).requires_grad_()
    with pytest.raises(TypeError, match=r"where has no derivative for condition: detach\(\)"):
        minigrad.where(x, x, x)


# ------------------------------------------------------------------------- what is not finite

INF, NAN = np.inf, np.nan
NUMBERS = [NAN, -1, -0.0, 0, 1, 2, INF, -INF, 0.5, 5]
LOW, HIGH = [0, 0, 0, 0, NAN, 0, 0, 0, 2, 3], [1, 1, 1, 1, 1, NAN, 1, 1, 1, 2]
SELECTING: dict[str, Any] = {
    "relu": lambda m, x, low, high: m.relu(x),
    "clamp": lambda m, x, low, high: m.clamp(x, 0, 1),
    "clamp from below": lambda m, x, low, high: m.clamp(x, min=0),
    "clamp from above": lambda m, x, low, high: m.clamp(x, max=0),
    "clamp to NaN": lambda m, x, low, high: m.clamp(x, min=NAN),
    "clamp between tensors": lambda m, x, low, high: m.clamp(x, low, high),
    "clamp above a tensor": lambda m, x, low, high: m.clamp(x, min=low),
    "clamp below a tensor": lambda m, x, low, high: m.clamp(x, max=high),
    "where": lambda m, x, low, high: m.where(x > 0, low, high) + 0 * x,
    "abs": lambda m, x, low, high: m.abs(x),
    "sign": lambda m, x, low, high: m.sign(x) + 0 * x,
}


@pytest.mark.parametrize("call", SELECTING.values(), ids=SELECTING)
@pytest.mark.parametrize("seed", [1.0, INF, -INF, NAN])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_gradients_of_nan_and_infinity_are_pytorchs(call: Any, seed: float, dtype: str) -> None:
    found = []
    for framework in (MINIGRAD, pytorch()):
        leaves = [framework.leaf(np.array(v, dtype)) for v in (NUMBERS, LOW, HIGH)]
        with np.errstate(all="ignore"):
            y = call(framework.module, *leaves)
            seeds = framework.tensor(np.full(len(NUMBERS), seed, dtype))
            grads = framework.grad(y, leaves, seeds, allow_unused=True)
        found.append([None if t is None else to_array(t) for t in (y, *grads)])
    for ours, theirs in zip(*found, strict=True):
        if ours is not None or theirs is not None:
            np.testing.assert_array_equal(ours, theirs)


COMPOSED: dict[str, Any] = {
    "the root of a rectifier": lambda m, x: m.sqrt(m.relu(x)),
    "one over a rectifier": lambda m, x: 1 / m.relu(x),
    "the norm of a hinge": lambda m, x: m.sqrt((m.relu(x - 5) ** 2).sum()),
    "the root of a clamp": lambda m, x: m.sqrt(m.clamp(x, min=0)),
    "the logarithm of a clamp": lambda m, x: m.log(m.clamp(x, 0, 1)),
    "the root of a choice": lambda m, x: m.where(x > 0, m.sqrt(x), 0 * x),
}


@pytest.mark.parametrize("call", COMPOSED.values(), ids=COMPOSED)
@pytest.mark.parametrize("shape", [(3,), (3, 1), ()])
@pytest.mark.filterwarnings("default::RuntimeWarning")
def test_infinite_gradients_go_on_where_pytorchs_do(call: Any, shape: Any) -> None:
    for values in ([-1, 0, 2], [-1, -0.5, 2], [-3.0, -2.0, 0.0]):
        found = []
        for framework in (MINIGRAD, pytorch()):
            x = framework.leaf(np.resize(np.array(values, np.float64), shape))
            with np.errstate(all="ignore"):
                found.append(to_array(framework.grad(call(framework.module, x).sum(), [x])[0]))
        np.testing.assert_allclose(*found, rtol=1e-15)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_what_is_not_a_number_of_either_sign_passes_a_rectifier(dtype: str) -> None:
    x = MINIGRAD.leaf(np.array([np.copysign(NAN, s) for s in (1, -1)] * 20, dtype))
    y = minigrad.relu(x)
    assert np.isnan(y.detach().numpy()).all()
    assert set(minigrad.grad(y, x, minigrad.full_like(x, 2.0))[0].tolist()) == {2}


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_a_selected_gradient_is_the_one_that_flows_in_to_its_last_bit(dtype: Any) -> None:
    limits = np.finfo(dtype)
    x = np.array([limits.smallest_subnormal, limits.tiny, 1, 1.75, 2, 3, limits.max, INF], dtype)
    g = np.nextafter(np.array([1, -1, 1e3, -1e-3, 1, -1, 1e3, -1e-3], dtype), dtype(9))
    for name in ("relu", "clamp", "maximum"):
        leaf = MINIGRAD.leaf(x)
        low = [] if name == "relu" else [minigrad.zeros(8, dtype=dtype)]
        y = getattr(minigrad, name)(leaf, *low)
        found = to_array(minigrad.grad(y, leaf, MINIGRAD.tensor(g))[0])
        assert found.tobytes() == g.tobytes(), name


@pytest.mark.parametrize("layout", ["broadcast", "strided", "transposed"])
def test_a_selected_gradient_may_lie_anywhere_in_memory(layout: str) -> None:
    g = {
        "broadcast": np.broadcast_to(np.float32(INF), (3, 4)),
        "strided": np.full((3, 8), INF, np.float32)[:, ::2],
        "transposed": np.full((4, 3), INF, np.float32).T,
    }[layout]
    x = MINIGRAD.leaf(np.linspace(-2, 2, 12, dtype=np.float32).reshape(3, 4))
    expected = np.where(x.detach().numpy() > 0, INF, 0)
    for y in (x.relu(), x.clamp(min=0), minigrad.maximum(x, 0 * x.detach())):
        (found,) = minigrad.grad(y, x, MINIGRAD.tensor(g))
        np.testing.assert_array_equal(found.numpy(), expected)


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int8", "float16"])
def test_the_sign_has_the_dtype_of_what_it_is_of(dtype: str) -> None:
    values = np.array([0, 1] if dtype in ("bool", "uint8") else [0, 1, -3]).astype(dtype)
    for framework in (MINIGRAD, pytorch()):
        y = to_array(framework.module.sign(framework.tensor(values)))
        np.testing.assert_array_equal(y, np.sign(values.astype(int)).astype(dtype), strict=True)
