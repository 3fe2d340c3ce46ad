"""The checker of derivatives, checked: it lets pass what is right, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import minigrad as mg
from minigrad.nn import functional as F
from minigrad.random import get_rng_state
from minigrad.testing import GradcheckError, gradcheck, gradgradcheck

CHECKS = pytest.mark.parametrize("check", [gradcheck, gradgradcheck])
FAST = pytest.mark.parametrize("fast", [False, True], ids=["full", "fast"])


def leaf(*shape: int, low: float = 0.5, high: float = 2.0, seed: int = 0) -> mg.Tensor:
    """Return a float64 leaf with elements from a range, away from 0 unless asked for."""
    array = np.random.default_rng(seed).uniform(low, high, size=shape)
    return mg.from_numpy(np.asarray(array)).requires_grad_()


def planted(derivative: Callable[..., Any]) -> Callable[[Any], Any]:
    """Return the op x³ with a derivative of one's choice, a function of g and x."""

    @mg.differentiable(x=lambda g, x: derivative(g, x))
    def cube(x: Any) -> Any:
        return x * x * x

    return cube


# ------------------------------------------------------------------------- what is right passes

KEEP = mg.tensor([[True, False, True, True], [False, True, True, False]])
LABELS = mg.tensor([1, 3])

#: functions of two tensors of shapes (2, 4) and (4,)
RIGHT: dict[str, Callable[[Any, Any], Any]] = {
    "broadcast product": lambda a, b: a * b,
    "quotient": lambda a, b: a / b,
    "power": lambda a, b: a**b,
    "matrix product": lambda a, b: a @ b,
    "log, exp, tanh": lambda a, b: mg.log(a) + mg.exp(b) * mg.tanh(a),
    "softmax": lambda a, b: mg.softmax(a * b, 1),
    "log_softmax": lambda a, b: mg.log_softmax(a, 1) * b,
    "logsumexp": lambda a, b: mg.logsumexp(a * b),
    "variance": lambda a, b: (a * b).var(dim=0),
    "maximum of rows": lambda a, b: (a * b).amax(dim=1),
    "indexing": lambda a, b: a[[0, 1, 1], [0, 2, 2]] * b[1],
    "reshaping": lambda a, b: (a.T.reshape(2, 4) + b).flatten(),
    "where": lambda a, b: mg.where(KEEP, a * a, b * b * b),
    "concatenation": lambda a, b: mg.cat([a * a, (b * b).unsqueeze(0)]),
    "linear": lambda a, b: F.linear(a * a, mg.stack([b, b * b])),
    "cross entropy": lambda a, b: F.cross_entropy(a * b, LABELS),
    "squared error": lambda a, b: F.mse_loss(a * b, b * b + 0 * a),
    "dropout, its mask given": lambda a, b: F.dropout(a * b, 0.3, mask=KEEP),
    "dropout, its seed given": lambda a, b: F.dropout(a * b, 0.3, generator=mg.Generator(0)),
    "several outputs": lambda a, b: (a * b, [a.sum() * b][0], b),
    "an integer output beside": lambda a, b: (a.argmax(), a * b * b),
    "an output in place": lambda a, b: (a * b).add_(1).mul_(a),
    "zeros in the derivative": lambda a, b: a.relu() * (b - 5).relu() + a * 0 * b,
}
RIGHTS = pytest.mark.parametrize("name", RIGHT)


@CHECKS
@FAST
@RIGHTS
def test_right_derivatives_pass(check: Callable[..., bool], name: str, fast: bool) -> None:
    assert check(RIGHT[name], [leaf(2, 4), leaf(4, seed=1)], fast=fast) is True


@CHECKS
@FAST
@pytest.mark.parametrize("shape", [(), (0,), (1,), (3, 0), (2, 1, 3)])
def test_any_number_of_elements_will_do(
    check: Callable[..., bool], shape: tuple[int, ...], fast: bool
) -> None:
    assert check(lambda x, y: (x * y, (x * x).sum()), [leaf(*shape), leaf(*shape)], fast=fast)


@CHECKS
@FAST
def test_an_input_without_elements_need_not_be_used(check: Callable[..., bool], fast: bool) -> None:
    assert check(lambda x, _: x * x, [leaf(2), leaf(0, 3)], fast=fast)


LAYOUTS: dict[str, Callable[[], mg.Tensor]] = {
    "transposed": lambda: leaf(3, 2).T,
    "strided": lambda: leaf(4, 6)[::2, 1::3],
    "reversed": lambda: mg.from_numpy(leaf(2, 3).detach().numpy()[::-1, ::-1]),
    "expanded": lambda: leaf(1, 3).expand(2, 3),
    "expanded 0-d": lambda: leaf().expand(2, 2),
}


@CHECKS
@FAST
@pytest.mark.parametrize("layout", LAYOUTS)
def test_any_layout_in_memory_will_do(check: Callable[..., bool], layout: str, fast: bool) -> None:
    leaves = LAYOUTS[layout]().detach().requires_grad_()
    assert check(lambda x: mg.softmax(x * x, -1), leaves, fast=fast)
    computed = LAYOUTS[layout]().requires_grad_()  # has a history, if not reversed
    assert check(lambda x: mg.softmax(x * x, -1), computed, fast=fast)


@CHECKS
def test_each_argument_is_one_though_the_same_tensor_is_passed_twice(
    check: Callable[..., bool],
) -> None:
    x = leaf(3)
    assert check(lambda a, b: a * a * b, [x, x])


@CHECKS
def test_arguments_that_need_no_gradient_are_constants(check: Callable[..., bool]) -> None:
    mask, scale = mg.tensor([True, False, True]), mg.tensor(1.5)  # in float32, even
    assert check(lambda x, m, s, n: (x * m) ** n * s, [leaf(3), mask, scale, 3])


@CHECKS
def test_it_works_inside_no_grad(check: Callable[..., bool]) -> None:
    with mg.no_grad():
        assert check(lambda x: x * x, leaf(3))
        with pytest.raises(GradcheckError):
            gradcheck(planted(lambda g, x: g * x * x), leaf(3))
        assert not mg.is_grad_enabled()


@settings(deadline=None)
@given(st.floats(-1e8, 1e8), st.floats(-1e8, 1e8))
def test_large_numbers_are_no_error(x: float, y: float) -> None:
    inputs = [mg.tensor(np.float64(v), requires_grad=True) for v in (x, y)]
    assert gradcheck(lambda a, b: a * b + a * 3 + b * b, inputs)


def at(*values: float) -> mg.Tensor:
    return mg.from_numpy(np.array(values)).requires_grad_()


#: functions and places at which a step that suits most functions is too large or too small
HARD: dict[str, tuple[Callable[[Any], Any], tuple[float, ...]]] = {
    "a sine far out": (mg.sin, (1e4,)),
    "a sine very far out": (mg.sin, (1e6,)),
    "softmax of large numbers": (lambda x: mg.softmax(x, 0), (1e5, 1e5 + 1)),
    "deviation of large numbers": (lambda x: x.std(), (1e5, 1e5 + 1, 1e5 + 3)),
    "variance of large numbers": (lambda x: x.var(), (1e6, 1e6 + 1, 1e6 + 3)),
    "logsumexp of large numbers": (lambda x: mg.logsumexp(x, 0), (1e6, 1e6 + 1)),
    "sines near and far": (mg.sin, (1.0, 1e5)),
    "a reciprocal near 0": (lambda x: 1 / x, (1e-4,)),
    "a reciprocal very near 0": (lambda x: 1 / x, (1e-8, -1e-8)),
    "a logarithm near 0": (mg.log, (1e-4,)),
    "a logarithm within the first step": (mg.log, (1e-7, 1e-10)),
    "a root near 0": (mg.sqrt, (1e-4,)),
    "a root within the first step": (mg.sqrt, (1e-9,)),
    "both ends of the numbers": (lambda x: x * mg.log(x), (1e-10, 1e10)),
    "a steep function": (lambda x: mg.tanh(1e5 * x), (1e-5, 3e-6)),
    "a very steep function": (lambda x: mg.sin(1e7 * x), (0.3,)),
    "a flat function": (lambda x: mg.cos(1e-3 * x), (1e-3, 20.0)),
    "a kink near the input": (lambda x: x.relu() + 1, (1e-7, -1e-5)),
    "the edge of the exponential": (mg.exp, (700.0, -700.0)),
    "a direction of one number": (
        lambda x: (x / (x * x).sum().sqrt() * 7e3).cos() * 6e4 + x,
        (0.01869558,),
    ),
    "a direction of short vectors": (lambda x: x / (x * x).sum().sqrt(), (1e-5, 2e-5)),
}
HARDS = pytest.mark.parametrize("name", HARD)

#: the same, where float64 cannot tell a small error
HARDER: dict[str, tuple[Callable[[Any], Any], tuple[float, ...]]] = {
    "a kink that rounding hides": (
        lambda x: (x * 1.78e-6).relu() * 1.2e-4 + 1, (2.6e-4, 5.5e-5)
    ),
    "a hidden kink and a large value": (lambda x: (x * 3.6e-6).abs() + 1e3, (1.2e-6, 1.6e-4)),
    "many turns within a step": (lambda x: mg.cos(x * 13292.522) + 1, (9.67e4, 7e-5)),
    "a million turns within a step": (lambda x: mg.sin(x * 787075.77), (-209825.5, -39776.4)),
    "small turns of a large value": (
        lambda x: mg.cos(mg.cos(x * 3103.4394404) * 2.277e-5) + 1e3, (58.3919734, 1.077e-5)
    ),
    "more turns than there are numbers": (lambda x: mg.sin(x * 1e10), (1e6, 3e5)),
    "what is lost in a sum": (
        lambda x: ((x * 4.3e-5).exp() * 3413.45).std() * (x * 4.3e-5).exp(), (8e-6, 2e-6)
    ),
}  # fmt: skip


@CHECKS
@FAST
@pytest.mark.parametrize("name", [*HARD, *HARDER])
@pytest.mark.filterwarnings("error")
def test_hard_right_derivatives_pass(check: Callable[..., bool], name: str, fast: bool) -> None:
    fn, place = (HARD | HARDER)[name]
    assert check(fn, at(*place), fast=fast)


def with_error(fn: Callable[[Any], Any], factor: float) -> Callable[[Any], Any]:
    """Return a function with all of its derivatives multiplied by a factor."""

    @mg.differentiable(x=lambda g: g * factor)
    def same(x: Any) -> Any:
        return x * 1.0

    return lambda x: same(fn(x))


@FAST
@HARDS
@pytest.mark.parametrize("factor", [1.0005, 0.9995], ids=["larger", "smaller"])
def test_a_twentieth_of_a_percent_is_found(name: str, factor: float, fast: bool) -> None:
    fn, place = HARD[name]
    assert not gradcheck(with_error(fn, factor), at(*place), fast=fast, raise_exception=False)


CURVES: dict[str, Callable[[Any], Any]] = {
    "sin": mg.sin, "exp": mg.exp, "log": mg.log, "sqrt": mg.sqrt, "tanh": mg.tanh,
    "reciprocal": lambda x: 1 / x, "square": lambda x: x * x, "cube": lambda x: x * x * x,
    "power": lambda x: x**1.5, "relu": lambda x: x.relu(), "abs": lambda x: x.abs(),
    "sigmoid": mg.sigmoid, "softmax": lambda x: mg.softmax(x, 0),
    "deviation": lambda x: x.std() * x, "norm": lambda x: x / (x * x).sum().sqrt(),
}  # fmt: skip
magnitudes = st.floats(-6, 6).map(lambda e: 10**e)


@settings(deadline=None)
@given(
    places=st.lists(st.tuples(magnitudes, st.sampled_from([1, 1, -1])), min_size=2, max_size=3),
    scales=st.lists(magnitudes, min_size=2, max_size=2),
    names=st.lists(st.sampled_from(sorted(CURVES)), min_size=1, max_size=2),
    offset=st.sampled_from([0.0, 0.0, 1.0, 1e3]),
    fast=st.booleans(),
)
def test_random_right_functions_of_any_magnitude_pass_and_those_with_an_error_do_not(
    places: Any, scales: list[float], names: list[str], offset: float, fast: bool
) -> None:
    array = np.array([sign * size for size, sign in places])

    def fn(x: Any) -> Any:
        for scale, name in zip(scales, names, strict=False):
            x = CURVES[name](x * scale)
        return x + offset

    with np.errstate(all="ignore"):
        x = at(*array)
        y = fn(x)
        jacobian = np.array(
            [mg.grad(y[j], x, retain_graph=True)[0].tolist() for j in range(len(y))]
        )
    assume(np.isfinite(y.tolist()).all())
    assume(np.isfinite(jacobian).all())
    try:
        assert gradcheck(fn, at(*array), fast=fast)
    except ValueError as error:  # at the end of a domain, within a rounding
        assert "is not finite near" in str(error)  # noqa: PT017
        return
    # what a relative change of an input does to an output must not drown in rounding, and the
    # function must not turn so fast that the input's own rounding hides it
    felt = np.abs(jacobian * array) / np.maximum(np.abs(y.tolist()), 1e-300)[:, None]
    if ((felt > 1e-5) & (felt < 1e5)).all():
        for factor in 1.0005, 0.9995:
            wrong = with_error(fn, factor)
            assert not gradcheck(wrong, at(*array), fast=fast, raise_exception=False)


@FAST
def test_a_matrix_is_told_from_its_transpose(fast: bool) -> None:
    matrix = np.random.default_rng(0).normal(size=(5, 5))

    @mg.differentiable(x=lambda g: matrix @ g)
    def product(x: Any) -> Any:
        return matrix @ x

    assert not gradcheck(product, leaf(5), fast=fast, raise_exception=False)


@FAST
def test_an_error_in_the_larger_of_two_very_different_inputs_is_found(fast: bool) -> None:
    factors = np.array([1.0, 1.0005])

    @mg.differentiable(x=lambda g, x: g * factors / x)
    def logarithm(x: Any) -> Any:
        return np.log(x)

    assert gradcheck(mg.log, at(1e-6, 1e6), fast=fast)
    assert not gradcheck(logarithm, at(1e-6, 1e6), fast=fast, raise_exception=False)


def test_a_derivative_that_is_confirmed_takes_four_runs_for_each_element() -> None:
    runs = []

    def counted(x: Any) -> Any:
        runs.append(1)
        return x * x * x

    assert gradcheck(counted, leaf(10))
    assert len(runs) == 2 + 4 * 10
    runs.clear()
    assert gradcheck(counted, leaf(10), fast=True)
    assert len(runs) == 2 + 4


def test_small_derivatives_of_large_values_are_no_error() -> None:
    x = mg.from_numpy(np.array([0.0, 1e-4, 30.0])).requires_grad_()
    assert gradcheck(lambda x: (x * x).sum() * 1e3, x)


@CHECKS
@FAST
def test_inputs_and_the_default_generator_are_left_as_they_were(
    check: Callable[..., bool], fast: bool
) -> None:
    x, constant = leaf(3).expand(2, 3).detach().requires_grad_(), leaf(2, 3).detach()
    x.grad = kept = mg.zeros(2, 3, dtype=mg.float64)
    before, state = [x.array.tobytes(), constant.array.tobytes(), x.array.strides], get_rng_state()

    def fn(a: Any, b: Any) -> Any:
        mg.rand(5)
        return a * b * a

    assert check(fn, [x, constant], fast=fast)
    assert [x.array.tobytes(), constant.array.tobytes(), x.array.strides] == before
    assert (x._version, constant._version) == (0, 0)
    assert x.requires_grad
    assert not constant.requires_grad
    assert x.grad is kept
    assert not kept.any()
    assert get_rng_state() == state


# ------------------------------------------------------------------------- what is wrong does not

WRONG: dict[str, Callable[[Any, Any], Any]] = {
    "0.05 % too large": lambda g, x: g * 3 * x * x * 1.0005,
    "0.05 % too small": lambda g, x: g * 3 * x * x * 0.9995,
    "wrong sign": lambda g, x: -g * 3 * x * x,
    "wrong factor": lambda g, x: g * x * x,
    "wrong power": lambda g, x: g * 3 * x,
    "missing factor g": lambda g, x: 3 * x * x,
    "missing term": lambda g, x: g * 2 * x * x,
    "an added constant": lambda g, x: g * 3 * x * x + 1e-3,
    "zero": lambda g, x: g * 0,
    "transposed": lambda g, x: (g * 3 * x * x).T,
    "summed": lambda g, x: (g * 3 * x * x).sum(),
    "not a number": lambda g, x: g * 3 * x * x * np.nan,
    "in one row only": lambda g, x: g * 3 * x * x * np.array([[1.0], [1.0], [0.0]]),
}
WRONGS = pytest.mark.parametrize("name", WRONG)


@FAST
@WRONGS
@pytest.mark.filterwarnings("error")
def test_wrong_derivatives_are_found(name: str, fast: bool) -> None:
    assert gradcheck(planted(lambda g, x: g * 3 * x * x), leaf(3, 3), fast=fast)
    assert gradcheck(planted(WRONG[name]), leaf(3, 3), fast=fast, raise_exception=False) is False
    with pytest.raises(GradcheckError):
        gradcheck(planted(WRONG[name]), leaf(3, 3), fast=fast)


@FAST
@WRONGS
def test_wrong_second_derivatives_are_found(name: str, fast: bool) -> None:
    def fourth(derivative: Callable[..., Any]) -> Callable[[Any], Any]:
        @mg.differentiable(x=lambda g, x: g * 4 * planted(derivative)(x))
        def power(x: Any) -> Any:
            return x * x * x * x

        return power

    x = leaf(3, 3)
    assert gradgradcheck(fourth(lambda g, x: g * 3 * x * x), x, fast=fast)
    assert gradcheck(fourth(WRONG[name]), x, fast=fast)
    assert gradgradcheck(fourth(WRONG[name]), x, fast=fast, raise_exception=False) is False


@CHECKS
@FAST
def test_a_derivative_of_the_wrong_shape_is_found(check: Callable[..., bool], fast: bool) -> None:
    with pytest.raises(GradcheckError, match=r"backward raised RuntimeError: .*shape"):
        check(planted(lambda g, x: (g * 3 * x * x)[:2]), leaf(3), fast=fast)


@CHECKS
def test_a_derivative_that_raises_is_found(check: Callable[..., bool]) -> None:
    with pytest.raises(GradcheckError, match="backward raised ZeroDivisionError"):
        check(planted(lambda g, x: g * (1 / 0)), leaf(3))


@FAST
def test_a_missing_gradient_is_found(fast: bool) -> None:
    with pytest.raises(GradcheckError, match=r"(?s)input 0.*was something detached"):
        gradcheck(lambda x, y: x.detach() * x.detach() * y, [leaf(3), leaf(3)], fast=fast)
    with pytest.raises(GradcheckError, match="was something detached"):
        gradcheck(lambda x: x.detach() * x.detach(), leaf(3), fast=fast)


@FAST
def test_a_partly_missing_gradient_is_found(fast: bool) -> None:
    with pytest.raises(GradcheckError, match="input 0"):
        gradcheck(lambda x: x * x.detach(), leaf(3), fast=fast)


@FAST
def test_a_derivative_that_is_not_recorded_is_found_at_second_order(fast: bool) -> None:
    def unrecorded(g: Any, x: Any) -> Any:
        return g * 3 * (x.detach() ** 2 if isinstance(x, mg.Tensor) else x * x)

    assert gradcheck(planted(unrecorded), leaf(3), fast=fast)
    with pytest.raises(GradcheckError, match="the gradient for input 0"):
        gradgradcheck(planted(unrecorded), leaf(3), fast=fast)


@settings(deadline=None)
@given(st.data(), st.integers(1, 4), st.integers(1, 4), st.sampled_from([1.0005, 0.9995, -1, 0]))
def test_one_wrong_entry_of_a_jacobian_is_found_and_named(
    data: st.DataObject, m: int, n: int, factor: float
) -> None:
    seed = data.draw(st.integers(0, 2**32 - 1))
    true = np.random.default_rng(seed).uniform(0.1, 2, size=(m, n))
    row, column = data.draw(st.integers(0, m - 1)), data.draw(st.integers(0, n - 1))
    false = true.copy()
    false[row, column] *= factor

    @mg.differentiable(x=lambda g: false.T @ g)
    def linear(x: Any) -> Any:
        return true @ x

    with pytest.raises(GradcheckError) as caught:
        gradcheck(lambda a, b: (a, linear(b) + a), [leaf(m), leaf(n)])
    message = str(caught.value)
    place = f"the derivative of output 1[{row}] with respect to input 1[{column}] is wrong\n"
    assert message.startswith(place)
    numbers = [float(re.search(rf"{what}: +(\S+?),?\s", message)[1]) for what in NUMBERS]
    expected = [false[row, column], true[row, column], abs(false - true)[row, column]]
    assert numbers == pytest.approx(expected, rel=6e-3)
    assert f"  wrong are 1 of the {m * n} derivatives of this pair" in message


NUMBERS = ["analytic", "numerical", "difference"]


@settings(deadline=None)
@given(
    st.sampled_from([-1, 1]),
    st.floats(-5, 6).map(lambda e: 10**e),
    st.floats(-1e6, 1e6),
    st.sampled_from([0.9995, 1.0005]),
)
def test_a_small_error_is_found_beside_values_a_hundred_million_times_as_large(
    sign: int, slope: float, value: float, factor: float
) -> None:
    slope = sign * (slope + 1e-8 * abs(value))
    x = mg.tensor(np.float64(0.0), requires_grad=True)

    def line(error: float) -> Callable[[Any], Any]:
        @mg.differentiable(x=lambda g: g * (slope * error))
        def op(x: Any) -> Any:
            return slope * x + value

        return op

    assert gradcheck(line(1), x)
    assert gradcheck(line(1 + 1e-6), x)
    assert not gradcheck(line(factor), x, raise_exception=False)


def test_the_worst_derivative_is_the_one_that_is_named() -> None:
    factors = np.array([1.0, 1.001, 1.5, 1.01])
    with pytest.raises(
        GradcheckError, match=r"output 0\[2\] with respect to input 0\[2\]"
    ) as caught:
        gradcheck(planted(lambda g, x: g * 3 * x * x * factors), leaf(4))
    assert "wrong are 3 of the 16" in str(caught.value)


def test_an_element_without_dimensions_is_named_without_an_index() -> None:
    with pytest.raises(GradcheckError, match="output 0 with respect to input 0 is wrong"):
        gradcheck(planted(lambda g, x: g), leaf())


def test_second_derivatives_are_named_by_what_they_belong_to() -> None:
    @mg.differentiable(x=lambda g, x: mg.ops.mul(g, planted(lambda g, x: g)(x)))
    def op(x: Any) -> Any:
        return x * x * x * x / 4

    with pytest.raises(GradcheckError) as caught:
        gradgradcheck(lambda a, b: (a * a) * op(b), [leaf(2), leaf(2)])
    assert "the derivative of the gradient for input 1[" in str(caught.value)
    assert "] with respect to input 1[" in str(caught.value)

    @mg.differentiable(x=lambda g, x: twisted(g) * 3 * x * x)
    def cube(x: Any) -> Any:
        return x * x * x

    @mg.differentiable(x=lambda g: g * 1.01)
    def twisted(x: Any) -> Any:
        return x * 1

    with pytest.raises(GradcheckError, match=r"with respect to grad_output 0\["):
        gradgradcheck(cube, [leaf(2)])


# ------------------------------------------------------------------------- what does not repeat


@CHECKS
@FAST
def test_a_mask_drawn_anew_in_backward_is_found(check: Callable[..., bool], fast: bool) -> None:
    @mg.differentiable(x=lambda g: g * (mg.rand(50).array > 0.5) * 2.0)
    def dropout(x: Any) -> Any:
        return x * (np.arange(50) % 2 * 2.0)

    with pytest.raises(GradcheckError, match=r"changes from one (call|backward pass) to"):
        check(dropout, leaf(50), fast=fast)


def test_a_mask_drawn_anew_in_backward_is_told_from_a_wrong_one() -> None:
    def dropout(draws: Callable[[], Any]) -> Callable[[Any], Any]:
        @mg.differentiable(x=lambda g: g * draws() * 2.0)
        def op(x: Any) -> Any:
            return x * (np.arange(50) % 2 * 2.0)

        return op

    same = mg.Generator(0)
    with pytest.raises(GradcheckError, match="the gradient for input 0 changes from one backward"):
        gradcheck(dropout(lambda: same.keep_mask([50], 0.5)), leaf(50))
    with pytest.raises(GradcheckError, match="is wrong"):  # another mask, but always the same one
        gradcheck(dropout(lambda: mg.Generator(0).keep_mask([50], 0.5)), leaf(50))
    assert gradcheck(dropout(lambda: np.arange(50) % 2), leaf(50))


@CHECKS
@FAST
def test_a_mask_drawn_anew_in_forward_is_found(check: Callable[..., bool], fast: bool) -> None:
    with pytest.raises(GradcheckError, match="changes from one call to the next"):
        check(lambda x: F.dropout(x * x, 0.5), leaf(50), fast=fast)


def test_a_difference_in_the_last_bit_is_a_difference() -> None:
    flips = iter([0.0, 2.0**-52] * 2)
    with pytest.raises(GradcheckError, match="output 0 changes from one call to the next"):
        gradcheck(lambda x: x * (1 + next(flips)), leaf(3))
    flips = iter([0.0, 2.0**-52] * 2)
    with pytest.raises(GradcheckError, match="changes from one backward pass to the next"):
        gradcheck(planted(lambda g, x: g * 3 * x * x * (1 + next(flips))), leaf(3))


# ------------------------------------------------------------------------- what cannot be checked


@CHECKS
@pytest.mark.parametrize("dtype", [mg.float32, mg.float16])
def test_single_precision_is_refused_and_the_reason_given(
    check: Callable[..., bool], dtype: Any
) -> None:
    inputs = [leaf(3), leaf(3).detach().to(dtype).requires_grad_()]
    message = rf"input 1 is {dtype}.*need float64.*rounding .* call double\(\)"
    with pytest.raises(TypeError, match=message):
        check(lambda x, y: x * y, inputs, raise_exception=False)


@CHECKS
def test_an_output_in_single_precision_is_refused(check: Callable[..., bool]) -> None:
    with pytest.raises(TypeError, match="output 1 is float32, but finite differences need float64"):
        check(lambda x: (x * x, x.float() * 2), leaf(3), raise_exception=False)


@CHECKS
def test_inputs_without_gradients_are_refused(check: Callable[..., bool]) -> None:
    for inputs in leaf(3).detach(), [leaf(3).detach(), 2], []:
        with pytest.raises(ValueError, match="no input requires grad"):
            check(lambda *x: x[0], inputs)


@CHECKS
@FAST
def test_an_input_that_is_not_used_is_not_called_right(
    check: Callable[..., bool], fast: bool
) -> None:
    x = leaf(3)
    with pytest.raises(ValueError, match=r"no output depends on input 1.*must use the arguments"):
        check(lambda a, b: a * x, [x, leaf(3)], fast=fast, raise_exception=False)


def test_without_gradients_there_are_no_second_ones() -> None:
    with pytest.raises(ValueError, match="no output depends on input 0"):
        gradgradcheck(lambda x: x.detach() * 2, leaf(3))
    with pytest.raises(ValueError, match="no output depends on input 0"):
        gradcheck(mg.sign, leaf(3))


@CHECKS
def test_a_function_of_integers_or_of_no_tensors_is_refused(check: Callable[..., bool]) -> None:
    with pytest.raises(ValueError, match="no floating-point tensor"):
        check(lambda x: x.argmax(), leaf(3))
    with pytest.raises(TypeError, match="returns a tensor or several, but got Tensor, float"):
        check(lambda x: (x, 1.0), leaf(3))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_infinite_values_are_refused_and_named() -> None:
    x = mg.from_numpy(np.array([[1.0, 2.0], [0.0, 3.0]])).requires_grad_()
    with pytest.raises(ValueError, match=r"output 0\[1, 0\] is -inf.*on both sides of which"):
        gradcheck(mg.log, x)
    with pytest.raises(GradcheckError, match=r"the gradient for input 0\[1, 0\] is inf, where"):
        gradcheck(mg.sqrt, x)
    with pytest.raises(ValueError, match=r"output 0\[1, 0\] is inf.*on both sides of which"):
        gradgradcheck(mg.sqrt, x)


@FAST
@pytest.mark.filterwarnings("error")
def test_a_function_that_ends_at_its_input_is_refused(fast: bool) -> None:
    x = mg.from_numpy(np.array([0.0, 2.0])).requires_grad_()
    with pytest.raises(ValueError, match=r"output 0 is not finite near input 0: choose inputs"):
        gradcheck(lambda x: x**1.5, x, fast=fast)


def test_given_gradients_of_outputs_are_used() -> None:
    x, seen = leaf(3), []

    @mg.differentiable(x=lambda g, x: seen.append(g) or g * 3 * x * x)
    def cube(x: Any) -> Any:
        return x * x * x

    g = leaf(3, seed=7)
    assert gradgradcheck(lambda x: (cube(x), x.argmax()), x, g)
    assert any(np.array_equal(np.asarray(s.detach()), g.detach().numpy()) for s in seen)
    with pytest.raises(GradcheckError, match="2 grad_outputs"):
        gradgradcheck(cube, x, [g, g])
