"""The call that is written out for each op: what its author may name, and what a debugger sees."""

from __future__ import annotations

import inspect
import keyword
import re
import traceback
from typing import Any

import numpy as np
import pytest

import minigrad
from minigrad import ops
from minigrad.call import OTHER_SPELLINGS

WORDS = sorted(
    {word for word in re.findall(r"[a-zA-Z]\w*", ops.sum.text) if not keyword.iskeyword(word)}
    | {word.strip("_").removeprefix(prefix) for word in re.findall(r"_\w+", ops.sum.text)
       for prefix in ("", "value_", "version_", "default_", "shared_")}
    | {"of", "text", "values", "function"} - {"y"}
)  # fmt: skip


@pytest.mark.parametrize("word", [w for w in WORDS if w not in ("x", "y", "") and w.isidentifier()])
def test_an_op_and_its_arguments_may_have_any_name(word: str) -> None:
    if keyword.iskeyword(word) or word in OTHER_SPELLINGS:
        return
    scope: dict[str, Any] = {}
    exec(f"def {word}(x, {word}=3.0): return (x * {word}).reshape(-1)", scope)
    op = minigrad.differentiable(x=eval(f"lambda g, {word}: (g * {word}).reshape(())"))(scope[word])
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
    assert np.array_equal(ours.array, numpys.array)
    assert ours.grad_fn.saved == numpys.grad_fn.saved


def test_an_op_without_derivatives_records_nothing() -> None:
    x = minigrad.ones(2, requires_grad=True)
    assert not ops.sign(x).requires_grad
    assert "_node" not in ops.sign.text
