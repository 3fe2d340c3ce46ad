"""Operators on two operands: values, derivatives, ties, and the dtype of mixed operands."""

from __future__ import annotations

import operator
from typing import Any

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import strategies as st

import minigrad
from tests.reference import (
    MINIGRAD,
    Case,
    OpProperties,
    Tie,
    TieProperties,
    alike,
    broadcastable,
    pytorch,
    shapes,
    to_array,
    with_options,
)

NONZERO = ((-2.0, 2.0), (0.5, 2.0))
pairs = broadcastable(2)


def difference(a: Any, b: Any) -> Any:
    return a - b


def to_next_integer(a: Any, b: Any) -> Any:
    return a / b - np.round(a / b)


def constants(*names: str, dtype: Any, **elements: int) -> st.SearchStrategy[Any]:
    """Draw the inputs of a case without tensors: constants of one shape, by name."""
    arrays = shapes().flatmap(
        lambda shape: st.fixed_dictionaries(
            {
                n: hnp.arrays(dtype, shape, elements=hnp.from_dtype(np.dtype(dtype), **elements))
                for n in names
            }
        )
    )
    return arrays.map(lambda options: ((), options))


def comparison(name: str) -> dict[str, Case]:
    """Return the cases of one comparison: of distinct operands, and of often equal ones."""
    small = constants("a", "b", dtype=np.int64, min_value=-1, max_value=1)

    def compare(m: Any, a: Any, b: Any) -> Any:
        return getattr(m, name)(a, b)

    return {
        name: Case(compare, pairs, smooth=False),
        f"{name}: of equals": Case(compare, small, smooth=False),
        f"{name}: with a scalar": Case(lambda m, a: compare(m, a, 0), alike(), smooth=False),
    }


def bitwise(name: str, *operands: str) -> dict[str, Case]:
    """Return the cases of one bitwise op: on integers, on booleans."""

    def combine(m: Any, **arguments: Any) -> Any:
        return getattr(m, name)(*arguments.values())

    numbers = constants(*operands, dtype=np.int64, min_value=-4, max_value=3)
    return {
        name: Case(combine, numbers, smooth=False),
        f"{name}: of booleans": Case(combine, constants(*operands, dtype=np.bool_), smooth=False),
    }


CASES = {
    "add": Case(lambda m, a, b: m.add(a, b), pairs),
    "add: a scalar": Case(lambda m, a: 2 + a + 1.5, alike()),
    "add: to itself": Case(lambda m, a: m.add(a, a), alike()),
    "sub": Case(lambda m, a, b: m.sub(a, b), pairs),
    "sub: from a scalar": Case(lambda m, a: 2 - a - 1.5, alike()),
    "mul": Case(lambda m, a, b: m.mul(a, b), pairs),
    "mul: a scalar": Case(lambda m, a: 2 * a * 1.5, alike()),
    "mul: by itself": Case(lambda m, a: m.mul(a, a), alike()),
    "div": Case(lambda m, a, b: m.div(a, b), pairs, domains=NONZERO),
    "div: by negative numbers": Case(lambda m, a, b: m.div(a, -b), pairs, domains=NONZERO),
    "div: a scalar": Case(lambda m, a: 2 / a / 1.5, alike(), domains=[(0.5, 2)]),
    "neg": Case(lambda m, x: m.neg(x), alike()),
    "pow": Case(
        lambda m, a, b: m.pow(a, b),
        pairs,
        domains=[(0.5, 2), (-2, 2)],
        kinks=lambda a, b: b * (b - 1),  # of b = 0, PyTorch forgets the derivative for a and b
        order=3,
    ),
    "pow: a scalar exponent": Case(
        lambda m, a, b: a**b,
        with_options(alike(), b=st.sampled_from([-2, -1, 0, 1, 2, 3, 2.0, 3.0])),
        kinks=lambda a, b: a / 200,  # steep near 0: stay farther away than elsewhere
    ),
    "pow: a scalar base": Case(lambda m, b: 1.5**b, alike()),
    "pow: an integer tensor": Case(
        lambda m, a, b: m.pow(a, b),
        alike(min_dims=1, max_dims=1, min_side=3).map(
            lambda inputs: (inputs[0], {"b": np.arange(3) + inputs[0][0][0] - 3})
        ),
        kinks=lambda a, b: a,  # there PyTorch's second derivative is NaN
    ),
    "maximum": Case(lambda m, a, b: m.maximum(a, b), pairs, kinks=difference),
    "minimum": Case(lambda m, a, b: m.minimum(a, b), pairs, kinks=difference),
    "remainder": Case(
        lambda m, a, b: m.remainder(a, b), pairs, domains=NONZERO, kinks=to_next_integer
    ),
    "remainder: by negative numbers": Case(
        lambda m, a, b: a % -b, pairs, domains=NONZERO, kinks=to_next_integer
    ),
    "floor_divide": Case(
        lambda m, a, b: m.floor_divide(a, b),
        pairs,
        domains=NONZERO,
        kinks=to_next_integer,
        smooth=False,
    ),
    **comparison("eq"),
    **comparison("ne"),
    **comparison("lt"),
    **comparison("le"),
    **comparison("gt"),
    **comparison("ge"),
    **bitwise("bitwise_and", "a", "b"),
    **bitwise("bitwise_or", "a", "b"),
    **bitwise("bitwise_xor", "a", "b"),
    **bitwise("bitwise_not", "x"),
}
TIES = {
    "equal operands of maximum share": Tie(
        lambda m, a, b: -4 * m.maximum(a, b),
        [[[1, 2], [3, 2]], [[2, 2], [2, 5]]],
        [[[0, -2], [-4, 0]], [[-4, -2], [0, -4]]],
    ),
    "equal operands of minimum share": Tie(
        lambda m, a, b: -4 * m.minimum(a, b),
        [[[1, 2], [3, 2]], [[2, 2], [2, 5]]],
        [[[-4, -2], [0, -4]], [[0, -2], [-4, 0]]],
    ),
    "pow of base 0": Tie(
        lambda m, a, b: -4 * m.pow(a, b), [[0, 0, 0], [0, 1, 2]], [[0, -4, 0], [0, 0, 0]]
    ),
    "pow of exponent 0": Tie(
        lambda m, a, b: m.pow(a, b), [[1, 4, 0], [0, 0, 0]], [[0, 0, 0], [0, np.log(4), 0]]
    ),
    "pow of negative base": Tie(lambda m, a: a**2 + a**3, [[-2, 0, 0.5]], [[8, 0, 1.75]]),
    "pow of base 0 and a scalar exponent": Tie(lambda m, a: a**0 + a**1 + a**2, [[0, 0]], [[1, 1]]),
    "scalar 0 to the power": Tie(lambda m, b: 0.0**b, [[0, 1, 2]], [[0, 0, 0]]),
    "remainder of a multiple": Tie(
        lambda m, a, b: m.remainder(a, b) * m.tensor([[1.0, 2.0], [3.0, 4.0]]),
        [[[4, -4], [0, 3]], [[2, 2], [2, 2]]],
        [[[1, 2], [3, 4]], [[-2, 4], [0, -4]]],
    ),
}


def _asked(name: str, **options: Any) -> Any:
    """Return the call of a case that gives a tensor for a Python boolean."""
    return lambda m, a, b: m.tensor(getattr(m, name)(m.floor(a), m.floor(b), **options))


CASES |= {
    "isclose": Case(
        lambda m, a, b: m.isclose(a, b, rtol=0.5, atol=0.1), broadcastable(), smooth=False
    ),
    "allclose": Case(_asked("allclose", rtol=0.9, atol=0.9), broadcastable(), smooth=False),
    "equal": Case(_asked("equal"), broadcastable(), smooth=False),
}


class TestArithmetic(OpProperties):
    module = "arithmetic"
    cases = CASES


class TestTies(TieProperties):
    ties = TIES


def test_at_the_pole_of_a_negative_power_both_gradients_are_infinite_as_in_pytorch() -> None:
    for framework in (MINIGRAD, pytorch()):
        a, b = framework.leaf(np.array(0.0)), framework.leaf(np.array(-1.0))
        with np.errstate(divide="ignore"):
            grads = framework.grad(framework.module.pow(a, b), (a, b))
        assert [g.item() for g in grads] == [-np.inf, -np.inf]


# ------------------------------------------------------------------------- the dtype of the result


def of(dtype: str) -> np.ndarray:
    return np.array([1, 2]).astype(dtype)


TENSORS = [
    # a, b, a + b, a / b
    ("float32", "float32", "float32", "float32"),
    ("float64", "float64", "float64", "float64"),
    ("float16", "float16", "float16", "float16"),
    ("float32", "float64", "float64", "float64"),
    ("float16", "float32", "float32", "float32"),
    ("float16", "float64", "float64", "float64"),
    ("int64", "float32", "float32", "float32"),
    ("int32", "float32", "float32", "float32"),
    ("bool", "float32", "float32", "float32"),
    ("bool", "float16", "float16", "float16"),
    ("uint8", "float16", "float16", "float16"),
    ("int64", "float64", "float64", "float64"),
    ("int64", "int64", "int64", "float32"),
    ("int32", "int32", "int32", "float32"),
    ("int32", "int64", "int64", "float32"),
    ("uint8", "int8", "int16", "float32"),
    ("bool", "int64", "int64", "float32"),
]
SCALARS = [
    # a, a scalar, a * scalar, a / scalar
    ("float32", 2, "float32", "float32"),
    ("float32", 2.5, "float32", "float32"),
    ("float16", 2.5, "float16", "float16"),
    ("float64", 2.5, "float64", "float64"),
    ("float32", True, "float32", "float32"),
    ("int64", 2, "int64", "float32"),
    ("int32", 2, "int32", "float32"),
    ("int32", 2.5, "float32", "float32"),
    ("int64", 2.5, "float32", "float32"),
    ("bool", 2, "int64", "float32"),
    ("bool", 2.5, "float32", "float32"),
]


@pytest.mark.parametrize(("a", "b", "total", "quotient"), TENSORS)
def test_dtypes_promote_as_in_pytorch(a: str, b: str, total: str, quotient: str) -> None:
    for framework in (MINIGRAD, pytorch()):
        x, y = framework.tensor(of(a)), framework.tensor(of(b))
        for left, right in ((x, y), (y, x)):
            assert to_array(left + right).dtype == total
            assert to_array(left / right).dtype == quotient
            assert to_array(left < right).dtype == bool


@pytest.mark.parametrize(("a", "scalar", "product", "quotient"), SCALARS)
def test_a_python_scalar_promotes_as_in_pytorch(
    a: str, scalar: Any, product: str, quotient: str
) -> None:
    for framework in (MINIGRAD, pytorch()):
        x = framework.tensor(of(a))
        assert to_array(x * scalar).dtype == to_array(scalar * x).dtype == product
        assert to_array(x / scalar).dtype == to_array(scalar / x).dtype == quotient
        assert to_array(x == scalar).dtype == bool


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("scalar", [np.float64(2.5), np.float32(2.5), np.int64(2), np.float16(2)])
def test_a_numpy_scalar_takes_the_tensors_dtype(dtype: str, scalar: Any) -> None:
    x = MINIGRAD.tensor(of(dtype))
    for y in (x * scalar, scalar * x, x / scalar, scalar / x, x**scalar, scalar**x, x - scalar):
        assert y.dtype == dtype


def test_booleans_to_an_integer_power_are_int64() -> None:
    y = minigrad.tensor([True, False]) ** 2
    assert y.dtype == np.int64
    assert y.tolist() == [1, 0]


def test_a_numpy_array_counts_as_a_tensor() -> None:
    x = MINIGRAD.tensor(of("float32"))
    for y in (x * of("float64"), of("float64") * x, x + np.array(2.0)):
        assert isinstance(y, minigrad.Tensor)
        assert y.dtype == np.float64


def test_half_precision_and_wide_integers_give_float32_unlike_in_pytorch() -> None:
    """PyTorch gives float16, in which most integers cannot be written."""
    assert (MINIGRAD.tensor(of("float16")) + MINIGRAD.tensor(of("int64"))).dtype == np.float32


@pytest.mark.parametrize("op", [operator.add, operator.sub, operator.mul, operator.truediv, pow])
@pytest.mark.parametrize("a", ["float16", "float32", "float64"])
@pytest.mark.parametrize("b", ["float16", "float32", "float64"])
@pytest.mark.parametrize("create_graph", [False, True])
def test_a_gradient_has_the_dtype_of_its_leaf(op: Any, a: str, b: str, create_graph: bool) -> None:
    x, y = MINIGRAD.leaf(of(a)), MINIGRAD.leaf(of(b)[:1])
    z = op(x, y)
    assert z.dtype == max(x.dtype, y.dtype)
    for leaf, g in zip(
        (x, y), minigrad.grad(z.sum(), (x, y), create_graph=create_graph), strict=True
    ):
        assert g.dtype == leaf.dtype
        assert g.shape == leaf.shape


# ------------------------------------------------------------------------- errors


def test_shapes_that_do_not_broadcast_are_named() -> None:
    with pytest.raises(
        RuntimeError, match=r"tensor a \(3\) must match the size of tensor b \(2\) .* dimension 0"
    ):
        minigrad.zeros(3) + minigrad.zeros(2)


@pytest.mark.parametrize("op", [operator.and_, operator.or_, operator.xor])
def test_bitwise_ops_refuse_floats(op: Any) -> None:
    with pytest.raises(TypeError, match="not supported for the input types"):
        op(minigrad.zeros(2), minigrad.zeros(2))


def test_a_missing_or_surplus_operand_is_named() -> None:
    x = minigrad.zeros(2)
    with pytest.raises(TypeError, match=r"add\(\) missing 1 required positional argument: 'b'"):
        minigrad.add(x)
    with pytest.raises(TypeError, match=r"add\(\) takes 2 positional arguments but 3 were given"):
        minigrad.add(x, x, x)
    with pytest.raises(TypeError, match=r"add\(\) got an unexpected keyword argument 'out'"):
        minigrad.add(x, x, out=x)


# ------------------------------------------------------------------------- what is not finite

INF, NAN = np.inf, np.nan
PAIRS = ([NAN, NAN, 1, 2, 1, 0], [1, NAN, NAN, 1, 1, 0])


@pytest.mark.parametrize("name", ["maximum", "minimum"])
@pytest.mark.parametrize("seed", [1.0, INF, -INF, NAN])
def test_the_gradient_of_an_extreme_is_selected_as_in_pytorch(name: str, seed: float) -> None:
    """Both get all of it where one is NaN; who is not chosen gets 0, however large it is."""
    found = []
    for framework in (MINIGRAD, pytorch()):
        a, b = (framework.leaf(np.array(values)) for values in PAIRS)
        y = getattr(framework.module, name)(a, b)
        seeds = framework.tensor(np.full(6, seed))
        found.append([to_array(t) for t in (y, *framework.grad(y, [a, b], seeds))])
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_array_equal(ours, theirs)


ROOTS: dict[str, Any] = {
    "maximum": (lambda m, x: m.sqrt(m.maximum(x, m.zeros(3, dtype=x.dtype))), [-1, 0, 2]),
    "minimum": (lambda m, x: m.sqrt(-m.minimum(x, m.zeros(3, dtype=x.dtype))), [-1, 0, 2]),
    "a maximum within a logarithm": (
        lambda m, x: m.log(m.max(x, m.zeros(3, dtype=x.dtype))),
        [-1, -2, 2],
    ),
    "a power 0": (lambda m, x: m.sqrt(x**0 - 1), [-1, 0, 2]),
}


@pytest.mark.parametrize(("call", "values"), ROOTS.values(), ids=ROOTS)
def test_an_infinite_gradient_is_not_multiplied_by_0(call: Any, values: Any) -> None:
    found = []
    for framework in (MINIGRAD, pytorch()):
        x = framework.leaf(np.array(values, np.float64))
        with np.errstate(all="ignore"):
            (g,) = framework.grad(call(framework.module, x).sum(), [x])
        found.append(to_array(g))
    assert not np.isnan(found[0]).any()
    np.testing.assert_allclose(*found, rtol=1e-15)


BASES = [0, 0, 0, -1, 2, NAN, 1, NAN, INF, 0, -1]
EXPONENTS = [0, 1, 2, 0, 0, 0, NAN, 1, 0, -1, 2]


def test_gradients_of_powers_of_what_is_not_finite_are_pytorchs() -> None:
    found = []
    for framework in (MINIGRAD, pytorch()):
        a, b = (framework.leaf(np.array(v, np.float64)) for v in (BASES, EXPONENTS))
        with np.errstate(all="ignore"):
            found.append([to_array(g) for g in framework.grad((a**b).sum(), [a, b])])
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("seed", [INF, -INF, NAN])
@pytest.mark.filterwarnings("ignore:invalid value encountered in multiply")
def test_an_infinite_gradient_does_not_reach_the_exponent_of_base_0(seed: float) -> None:
    """0ᵇ is 0 around b = 1 and 2, however it is scaled; PyTorch has NaN."""
    b = MINIGRAD.leaf(np.array([0.0, 1, 2]))
    y = minigrad.zeros(3, dtype="float64") ** b
    assert minigrad.grad(y, b, minigrad.full_like(y, seed))[0].tolist() == [0, 0, 0]


@pytest.mark.parametrize("a", [2.0, 0.5, 7.0])
def test_the_mixed_derivative_of_a_power_at_exponent_0_is_the_same_both_ways(a: float) -> None:
    """d²(aᵇ)/da db = a^(b-1) (1 + b log a), at b = 0 it is 1/a; PyTorch has 0 through da."""
    x, b = MINIGRAD.leaf(np.array(a)), MINIGRAD.leaf(np.array(0.0))
    da, db = minigrad.grad(x**b, (x, b), create_graph=True)
    assert minigrad.grad(da, (x, b), retain_graph=True)[1].item() == 1 / a
    np.testing.assert_allclose(minigrad.grad(db, x, retain_graph=True)[0].item(), 1 / a)
    np.testing.assert_allclose(minigrad.grad(db, b)[0].item(), np.log(a) ** 2)


def test_second_derivatives_of_powers_at_base_0_are_finite() -> None:
    a, b = MINIGRAD.leaf(np.zeros(4)), MINIGRAD.leaf(np.array([0.0, 1, 2, 3]))
    grads = minigrad.grad((a**b).sum(), (a, b), create_graph=True)
    rows = [to_array(h) for g in grads for h in minigrad.grad(g.sum(), (a, b), retain_graph=True)]
    assert np.isfinite(rows).all()
    assert rows[0].tolist() == [0, 0, 2, 0]
    (g,) = minigrad.grad((0.0**b).sum(), b, create_graph=True)
    assert minigrad.grad(g.sum(), b)[0].tolist() == [0, 0, 0, 0]


# ------------------------------------------------------------------------- by zero

DIVISIONS: dict[str, Any] = {
    "by a number": (lambda t: t([1, -1], "int64"), lambda t: 0),
    "by a tensor": (lambda t: t([1, 2], "int64"), lambda t: t([1, 0], "int64")),
    "a number": (lambda t: 5, lambda t: t([0], "int32")),
    "unsigned": (lambda t: t([1], "uint8"), lambda t: t([0], "uint8")),
    "broadcast": (lambda t: t([[1], [2]], "int8"), lambda t: t([[3, 0]], "int8")),
}


@pytest.mark.parametrize("op", [operator.floordiv, operator.mod])
@pytest.mark.parametrize(("a", "b"), DIVISIONS.values(), ids=DIVISIONS)
def test_an_integer_is_not_divided_by_0(op: Any, a: Any, b: Any) -> None:
    for framework in (MINIGRAD, pytorch()):

        def tensor(values: Any, dtype: str, framework: Any = framework) -> Any:
            return framework.tensor(np.array(values, dtype))

        with pytest.raises(RuntimeError, match="ZeroDivisionError"):
            op(a(tensor), b(tensor))
    with pytest.raises(ZeroDivisionError, match=r"by zero; .*\(.float\(\)\)"):
        op(minigrad.tensor([1]), minigrad.tensor([0]))


@pytest.mark.parametrize("op", [operator.floordiv, operator.mod, operator.truediv])
def test_other_divisions_by_0_give_what_pytorch_gives(op: Any) -> None:
    for values, divisor in (
        (np.array([1.0, -1, 0]), 0),
        (np.array([1, -1, 0]), 0.0),
        (np.array([1.0, -1, 0]), np.zeros(3, np.int64)),
        (np.zeros(0, np.int64), 1 if op is operator.truediv else 0),
    ):
        found = []
        for framework in (MINIGRAD, pytorch()):
            with np.errstate(all="ignore"):
                y = op(framework.tensor(values), framework.constants(divisor))
            found.append(to_array(y).astype(np.float64))
        np.testing.assert_array_equal(*found, strict=True)


def test_the_gradient_of_a_remainder_counts_as_often_as_it_was_subtracted() -> None:
    """1 / .1 is 10 when rounded, but .1 goes into 1 only 9 times: floating-point 1 % .1 is .1."""
    a, b = minigrad.tensor(1.0, dtype=np.float64), MINIGRAD.leaf(np.array(0.1))
    y = a % b
    (g,) = minigrad.grad(y, b)
    np.testing.assert_allclose(y.item(), 1 + 0.1 * g.item(), atol=1e-15)
