"""How an op is declared and called: what its author may write, and what its user may pass."""

from __future__ import annotations

import inspect
import traceback
from typing import Any

import numpy as np
import pytest

import minigrad
from minigrad import ops

WORDS = ("args", "op", "values", "function", "g", "result", "_first", "source", "self", "kwargs")


@pytest.mark.parametrize("word", WORDS)
def test_an_op_and_its_arguments_may_have_any_name(word: str) -> None:
    scope: dict[str, Any] = {}
    exec(f"def {word}(x, {word}=3.0): return (x * {word}).reshape(-1)", scope)
    g = "gradient" if word == "g" else "g"
    derivative = eval(f"lambda {g}, {word}: ({g} * {word}).reshape(())")
    op = minigrad.differentiable(x=derivative)(scope[word])
    x = minigrad.tensor(2.0, requires_grad=True)
    y = op(x) + op(x, **{word: 4.0})
    y.sum().backward()
    assert (y.item(), x.grad.item()) == (14, 7)


def test_an_argument_may_follow_a_dimension() -> None:
    @minigrad.differentiable(x=lambda g, b: g * b)
    def op(x: Any, dim: int, b: Any) -> Any:
        return x * b + dim

    assert op(minigrad.ones(1), 2, 3.0).item() == op(minigrad.ones(1), axis=2, b=3.0).item() == 5
    with pytest.raises(TypeError, match=r"op\(\) missing 1 required positional argument: 'b'"):
        op(minigrad.ones(1), 2)


def test_an_op_may_have_an_axis_of_its_own() -> None:
    op = minigrad.differentiable()(lambda x, dim=1, axis=2: x * dim + axis)
    assert op(minigrad.ones(1), axis=5).item() == 6


def test_arguments_that_have_no_place_are_refused() -> None:
    for function in (lambda x, *, p: x, lambda x, **options: x):
        with pytest.raises(TypeError, match=r"an op's arguments are positional, (p|options) is"):
            minigrad.differentiable()(function)


def test_an_op_may_take_any_number_of_tensors() -> None:
    @minigrad.differentiable(xs=lambda i: lambda g, scale: g * scale * (i + 1))
    def weighted(scale: float, *xs: Any) -> Any:
        return sum(scale * (i + 1) * x for i, x in enumerate(xs))

    x, y, z = (minigrad.tensor(v, requires_grad=True) for v in (1.0, 2.0, 3.0))
    total = weighted(10.0, x, minigrad.tensor(5.0), y, 7.0, z)
    assert total.grad_fn.saved == {"scale": 10.0}
    total.backward()
    assert total.item() == 10 * (1 + 2 * 5 + 3 * 2 + 4 * 7 + 5 * 3)
    assert (x.grad.item(), y.grad.item(), z.grad.item()) == (10, 30, 50)
    assert weighted(1.0, np.ones(2), np.ones(2)).tolist() == [3, 3]  # arrays, as ever
    (g,) = minigrad.grad(weighted(1.0, x * x, y), x, create_graph=True)
    assert minigrad.grad(g, x)[0].item() == 2


def test_a_call_is_seen_in_a_traceback() -> None:
    with pytest.raises(RuntimeError, match=r"size of tensor a \(2\) must match") as failure:
        ops.mul(minigrad.ones(2), minigrad.ones(3))
    lines = "".join(traceback.format_exception(failure.value))
    assert "y = op.function(*values)" in lines
    assert "return a * b" in lines


def test_the_source_of_an_op_is_what_its_author_wrote() -> None:
    assert inspect.getsource(ops.mul).startswith("@differentiable(a=lambda g, b: g * b")
    assert (
        str(inspect.signature(ops.softmax))
        == "(x: 'Any', dim: 'int', dtype: 'Any' = None) -> 'Any'"
    )


@pytest.mark.parametrize("values", [(), (None,), (0,), (-1, True), ((0, 1), True)])
def test_numpys_spelling_is_pytorchs(values: Any) -> None:
    x = minigrad.rand(3, 2).requires_grad_()
    ours = ops.sum(x, **dict(zip(("dim", "keepdim"), values, strict=False)))
    numpys = ops.sum(x, **dict(zip(("axis", "keepdims"), values, strict=False)))
    assert np.array_equal(ours.array, numpys.array)
    assert ours.grad_fn.saved == numpys.grad_fn.saved


@pytest.mark.parametrize("call", [
    lambda x: ops.sum(x, 0, dim=0), lambda x: ops.sum(x, dim=0, axis=0),
    lambda x: ops.sum(x, keep=True), lambda x: ops.sum(), lambda x: ops.sum(x, 0, True, None, 1),
])  # fmt: skip
def test_a_call_that_does_not_fit_gets_pythons_own_words(call: Any) -> None:
    with pytest.raises(TypeError, match=r"sum\(\) (got|missing|takes)"):
        call(minigrad.ones(2))


def test_an_op_without_derivatives_records_nothing() -> None:
    x = minigrad.ones(2, requires_grad=True)
    assert not ops.sign(x).requires_grad


def test_a_view_of_any_argument_is_under_the_watch_of_what_it_views() -> None:
    @minigrad.differentiable(a=lambda g: g * 0, b=lambda g: g)
    def second(a: Any, b: Any) -> Any:
        return b[:]

    for op in second, minigrad.differentiable(b=lambda g: g)(lambda a, b: b):
        b = minigrad.tensor([1.0, 2.0])
        x = minigrad.tensor([1.0, 1.0], requires_grad=True)
        y = (x * op(minigrad.ones(2), b)).sum()
        b.mul_(10)
        with pytest.raises(RuntimeError, match="inplace operation: b of MulBackward"):
            y.backward()


def test_an_argument_may_end_like_a_shape_and_a_formula_must_take_g() -> None:
    @minigrad.differentiable(x=lambda g, new_shape: g * new_shape)
    def times(x: Any, new_shape: Any) -> Any:
        return x * new_shape

    x = minigrad.ones(2, requires_grad=True)
    times(x, 3.0).sum().backward()
    assert x.grad.tolist() == [3, 3]
    with pytest.raises(TypeError, match="same: the formula for x has no parameter for g"):

        @minigrad.differentiable(x=lambda: 1)
        def same(x: Any) -> Any:
            return x
