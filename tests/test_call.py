"""The call that is written out for each op: what its author may name, and what a debugger sees."""

from __future__ import annotations

import inspect
import traceback
from typing import Any

import numpy as np
import pytest

import minigrad
from minigrad import ops


def test_an_ops_arguments_may_be_called_anything_that_the_call_is_made_of() -> None:
    @minigrad.differentiable(
        first=lambda g, node, plan: g * node * plan, node=lambda g, first, plan: g * first * plan
    )
    def op(first: Any, node: Any, plan: Any = 3.0, values: Any = None, function: Any = None) -> Any:
        return first * node * plan

    x, y = (minigrad.tensor(v, requires_grad=True) for v in (2.0, 5.0))
    op(x, node=y).backward()
    assert (x.grad.item(), y.grad.item()) == (15, 6)


@pytest.mark.parametrize("name", ["_first", "_y", "__x"])
def test_a_name_that_begins_with_an_underscore_is_refused(name: str) -> None:
    function = eval(f"lambda {name}: {name}")
    with pytest.raises(TypeError, match=f"another name than '{name}'.*names that begin with _"):
        minigrad.differentiable()(function)


def test_arguments_that_have_no_place_are_refused() -> None:
    for function in (lambda x, *, p: x, lambda *xs: xs, lambda x, **options: x):
        with pytest.raises(TypeError, match=r"an op's arguments are positional, (p|xs|options) is"):
            minigrad.differentiable()(function)


def test_a_call_is_seen_in_a_traceback() -> None:
    with pytest.raises(ValueError, match="could not be broadcast") as failure:
        ops.mul(minigrad.ones(2), minigrad.ones(3))
    lines = "".join(traceback.format_exception(failure.value))
    assert "_y = _function(_value_a, _value_b, )" in lines
    assert "return a * b" in lines


def test_the_source_of_an_op_is_what_its_author_wrote() -> None:
    assert inspect.getsource(ops.mul).startswith("@differentiable(a=lambda g, b: g * b")
    assert str(inspect.signature(ops.softmax)) == "(x: 'Any', dim: 'int') -> 'Any'"
    assert ops.mul.text.startswith("def mul(a, b):\n")


@pytest.mark.parametrize("values", [(), (None,), (0,), (-1, True), ((0, 1), True)])
def test_numpys_spelling_is_pytorchs(values: Any) -> None:
    x = minigrad.rand(3, 2).requires_grad_()
    ours = ops.sum(x, **dict(zip(("dim", "keepdim"), values, strict=False)))
    numpys = ops.sum(x, **dict(zip(("axis", "keepdims"), values, strict=False)))
    assert np.array_equal(ours.data, numpys.data)
    assert ours.grad_fn.saved == numpys.grad_fn.saved


def test_an_op_without_derivatives_records_nothing() -> None:
    x = minigrad.ones(2, requires_grad=True)
    assert not ops.sign(x).requires_grad
    assert "_node" not in ops.sign.text
