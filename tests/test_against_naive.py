"""Random programs against the naive engine: values, gradients, second derivatives; no PyTorch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st

import minigrad
from minigrad.testing.programs import Program
from minigrad.testing.programs.forms import CHANGES, FORMS
from minigrad.testing.strategies import programs
from tests import naive
from tests.reference import scaled

Array = np.ndarray
STEP = 1e-6  # of central differences of naive gradients: rounding errors near 1e-10
many = settings(max_examples=scaled(300), deadline=None)


def assert_close(ours: Array, theirs: Array, tolerance: float, *scales: Array) -> None:
    """Assert that elements differ by at most ``tolerance`` times the largest of all that is given.

    That is the largest element of the arrays and of ``scales``, or 1.
    """
    assert ours.shape == theirs.shape
    largest = max(float(np.abs(a).max(initial=1.0)) for a in (theirs, *scales))
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=tolerance * largest)


def leaves_of(program: Program) -> list[int]:
    """Return the registers of leaves that require grad."""
    made = [step for step in program.steps if step.target is None]
    return [i for i, step in enumerate(made) if step.op == "tensor" and step.options]


def outputs_of(registers: Sequence[Any]) -> list[int]:
    """Return the last three registers that require grad."""
    return [i for i, t in enumerate(registers) if t.requires_grad][-3:]


def assigns_to_a_number(program: Program) -> bool:
    """Return whether an element of a 0-d tensor is set: its derivative cannot always be had."""
    registers = program.run()
    return any(s.op[:7] == "setitem" and not registers[s.reads[0]].ndim for s in program.steps)


def drawn(**options: Any) -> st.SearchStrategy[Program]:
    """Draw programs that can be differentiated."""
    return programs(**options).filter(lambda program: not assigns_to_a_number(program))


def weights_for(array: Array, i: int) -> Array:
    return np.cos(np.arange(array.size) + 7 * i).reshape(array.shape)


def weighted(tensors: Sequence[Any], numbers: Sequence[int]) -> Any:
    """Return a scalar to which every element of some tensors adds, each with another weight."""
    terms = [
        (t * minigrad.from_numpy(weights_for(t.array, i))).sum()
        for t, i in zip(tensors, numbers, strict=True)
    ]
    return sum(terms[1:], terms[0])


def naive_gradients(
    program: Program, outputs: Sequence[int], leaves: Sequence[int], moved: Any = None
) -> list[Array]:
    """Return the gradients of the weighted sum of outputs, for leaves that may be ``moved``."""
    values = naive.run(program, moved)
    return [
        sum(
            (
                naive.gradient(values[i], values[k], weights_for(values[i].array, i))
                for i in outputs
            ),
            np.zeros(values[k].array.shape),
        )
        for k in leaves
    ]


# ------------------------------------------------------------------------- minigrad against it


@many
@given(drawn(max_steps=15, changes=True))
def test_values_are_the_naive_ones(program: Program) -> None:
    for ours, theirs in zip(program.run(), naive.run(program), strict=True):
        assert (ours.dtype == np.bool_) == (theirs.array.dtype == np.bool_)
        assert_close(ours.array, theirs.array, 1e-12)


@many
@given(drawn())
def test_gradients_are_the_naive_ones(program: Program) -> None:
    registers = program.run()
    if outputs := outputs_of(registers):
        leaves = leaves_of(program)
        weighted([registers[i] for i in outputs], outputs).backward()
        expected = naive_gradients(program, outputs, leaves)
        for k, gradient in zip(leaves, expected, strict=True):
            ours = registers[k].grad
            assert_close(
                np.zeros_like(gradient) if ours is None else ours.array, gradient, 1e-9, *expected
            )


@many
@given(drawn(), st.integers(2, 3))
def test_gradients_of_several_walks_add_up(program: Program, walks: int) -> None:
    registers = program.run()
    if outputs := outputs_of(registers):
        leaves = leaves_of(program)
        for _ in range(walks):
            for i in outputs:
                weighted([registers[i]], [i]).backward(retain_graph=True)
        expected = naive_gradients(program, outputs, leaves)
        for k, gradient in zip(leaves, expected, strict=True):
            ours = registers[k].grad
            total = np.zeros_like(gradient) if ours is None else ours.array
            assert_close(total, walks * gradient, 1e-9, *expected)


@many
@given(drawn())
def test_second_derivatives_are_those_of_naive_gradients(program: Program) -> None:
    registers = program.run()
    if not (outputs := outputs_of(registers)):
        return
    leaves = leaves_of(program)
    tensors = [registers[k] for k in leaves]
    total = weighted([registers[i] for i in outputs], outputs)
    first = minigrad.grad(total, tensors, create_graph=True, allow_unused=True)
    along = {k: weights_for(t.array, 99 + k) for k, t in zip(leaves, tensors, strict=True)}
    slopes = [
        (g * minigrad.from_numpy(along[k])).sum()
        for k, g in zip(leaves, first, strict=True)
        if g is not None and g.requires_grad
    ]
    second: Sequence[Any] = [None] * len(leaves)
    if slopes:
        second = minigrad.grad(sum(slopes[1:], slopes[0]), tensors, allow_unused=True)

    plus, minus = (
        naive_gradients(
            program,
            outputs,
            leaves,
            {k: t.array + h * along[k] for k, t in zip(leaves, tensors, strict=True)},
        )
        for h in (STEP, -STEP)
    )
    expected = [(p - m) / (2 * STEP) for p, m in zip(plus, minus, strict=True)]
    for ours, theirs in zip(second, expected, strict=True):
        value = np.zeros_like(theirs) if ours is None else ours.array
        assert_close(value, theirs, 1e-5, *expected, *plus)


@many
@given(drawn(max_steps=15, changes=True))
def test_after_changes_in_place_gradients_are_right_or_refused(program: Program) -> None:
    registers = program.run()
    if outputs := outputs_of(registers):
        leaves = leaves_of(program)
        total = weighted([registers[i] for i in outputs], outputs)
        refusal = ""
        try:
            total.backward()
        except RuntimeError as error:
            refusal = str(error)
        if refusal:
            assert "modified by an inplace operation" in refusal
            assert all(registers[k].grad is None for k in leaves)
            return
        expected = naive_gradients(program, outputs, leaves)
        for k, gradient in zip(leaves, expected, strict=True):
            ours = registers[k].grad
            assert_close(
                np.zeros_like(gradient) if ours is None else ours.array, gradient, 1e-9, *expected
            )


# ------------------------------------------------------------------------- the naive engine itself


@pytest.mark.parametrize("op", FORMS)
def test_the_naive_derivative_of_an_op_is_that_of_differences(op: str) -> None:
    @settings(max_examples=scaled(10), deadline=None)
    @given(programs([op], min_steps=2, max_steps=2))
    def check(program: Program) -> None:
        *_, y = values = naive.run(program)
        g = weights_for(y.array, 0)
        for k, step in enumerate(program.steps):
            if step.op == "tensor":
                along = weights_for(values[k].array, 1)
                ends = [
                    naive.run(program, {k: values[k].array + h * along})[-1].array
                    for h in (STEP, -STEP)
                ]
                quotient = (g * (ends[0] - ends[1].astype(float))).sum() / (2 * STEP)
                slope = (naive.gradient(y, values[k], g) * along).sum()
                assert_close(np.asarray(slope), np.asarray(quotient), 1e-6)

    check()


def test_the_naive_engine_knows_every_op() -> None:
    assert naive.FUNCTIONS.keys() == {"tensor", *FORMS, *CHANGES}


@pytest.mark.parametrize("op", ["sin", "add_"])
def test_programs_lead_from_leaves_to_outputs_through_an_op(op: str) -> None:
    """Without such programs the other tests would compare nothing."""
    strategy = programs(["sin", "mul"], min_steps=5, changes=True)

    def leads(program: Program) -> bool:
        registers = program.run()
        paths = [t.grad_fn for t in registers if t.grad_fn is not None]
        return len(paths) >= 3 and any(step.op == op for step in program.steps)

    find(strategy, leads, settings=settings(max_examples=2000, phases=[Phase.generate]))
