"""That the strategies draw what they promise: all of the awkward cases, and nothing else."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st

import minigrad
from minigrad.testing import strategies as mst
from minigrad.testing.programs import Program, minigrad_call
from minigrad.testing.programs.forms import CHANGES, FORMS
from tests.reference import scaled

some = settings(max_examples=scaled(50), deadline=None)
FLOATS = ("float16", "float32", "float64")


def finds(strategy: st.SearchStrategy[Any], condition: Callable[[Any], Any]) -> bool:
    """Return True; raise if what fulfils a condition is not drawn in 5,000 attempts."""
    without_shrinking = settings(max_examples=5000, phases=[Phase.generate], deadline=None)
    find(strategy, lambda drawn: bool(condition(drawn)), settings=without_shrinking)
    return True


# ------------------------------------------------------------------------- arrays

#: what an array of any shape and layout may be like
KINDS: dict[str, Callable[[np.ndarray], Any]] = {
    "empty": lambda a: a.size == 0,
    "empty, of three dimensions": lambda a: a.size == 0 and a.ndim == 3,
    "of no dimension": lambda a: a.ndim == 0,
    "of three dimensions": lambda a: a.ndim == 3 and a.size > 1,
    "strided": lambda a: a.size > 1 and not a.flags.c_contiguous and not a.flags.f_contiguous,
    "transposed": lambda a: a.size > 1 and a.flags.f_contiguous and not a.flags.c_contiguous,
    "reversed": lambda a: a.size > 1 and min(a.strides) < 0,
    "behind the start of its memory": lambda a: a.size and a.base is not None and a.ndim == 0,
    "writeable": lambda a: a.flags.writeable,
    "negative": lambda a: np.any(a < 0),
    "zero": lambda a: np.any(a == 0),
}
NOT_FINITE: dict[str, Callable[[np.ndarray], Any]] = {
    "NaN": lambda a: np.isnan(a).any(),
    "infinite": lambda a: np.isposinf(a).any(),
    "minus infinity": lambda a: np.isneginf(a).any(),
    "finite beside NaN": lambda a: np.isnan(a).any() and np.isfinite(a).any(),
}


@pytest.mark.parametrize("condition", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("strategy", [mst.arrays(), mst.dropout_inputs()], ids=["arrays", "inputs"])
def test_arrays_of_every_kind_are_drawn(strategy: Any, condition: Any) -> None:
    assert finds(strategy, condition)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("condition", NOT_FINITE.values(), ids=NOT_FINITE)
@pytest.mark.parametrize("nonfinite", [True, None])
def test_elements_that_are_not_finite_are_drawn(dtype: str, condition: Any, nonfinite: Any) -> None:
    strategy = mst.dropout_inputs(nonfinite=nonfinite)
    assert finds(strategy, lambda a: a.dtype == dtype and condition(a))
    assert finds(strategy, lambda a: a.dtype == dtype and a.size and np.isfinite(a).all())


@some
@given(mst.dropout_inputs())
def test_elements_are_finite_unless_asked_for(array: np.ndarray) -> None:
    assert np.isfinite(array).all()
    assert array.dtype.name in FLOATS


@pytest.mark.parametrize("dtype", [*FLOATS, "int32", "uint8", "bool"])
def test_arrays_have_the_dtype_and_the_bound_asked_for(dtype: str) -> None:
    @some
    @given(mst.arrays(dtypes=[dtype], bound=3))
    def check(array: np.ndarray) -> None:
        assert array.dtype == dtype
        assert np.all(np.abs(array.astype(np.float64)) <= 3)

    check()
    assert finds(mst.arrays(dtypes=["int64", dtype]), lambda a: a.dtype == dtype and a.size)


@some
@given(mst.arrays(strided=False))
def test_arrays_are_contiguous_if_asked_for(array: np.ndarray) -> None:
    assert array.flags.c_contiguous


@pytest.mark.parametrize("layout", mst.LAYOUTS.values(), ids=mst.LAYOUTS)
def test_a_layout_changes_no_element(layout: Any) -> None:
    @some
    @given(mst.arrays(dtypes=FLOATS, nonfinite=True, strided=False))
    def check(array: np.ndarray) -> None:
        before = array.copy()
        np.testing.assert_array_equal(layout(array), before, strict=True)
        np.testing.assert_array_equal(array, before, strict=True)

    check()


@some
@given(mst.broadcastable_shapes(3))
def test_broadcastable_shapes_broadcast(shapes: Any) -> None:
    assert len(shapes) == 3
    np.broadcast_shapes(*shapes)


SHAPES: dict[str, Callable[[Any], Any]] = {
    "equal": lambda a, b: a == b != (),
    "of another number of dimensions": lambda a, b: len(a) > len(b) > 0,
    "stretched both": lambda a, b: np.broadcast_shapes(a, b) not in (a, b),
    "of no dimension": lambda a, b: a == () != b,
    "empty": lambda a, b: math.prod(a) == 0 and 1 in b,
}


@pytest.mark.parametrize("condition", SHAPES.values(), ids=SHAPES)
def test_broadcastable_shapes_of_every_kind_are_drawn(condition: Any) -> None:
    assert finds(mst.broadcastable_shapes(), lambda pair: condition(*pair))


@some
@given(mst.shapes(min_side=1), mst.broadcastable_shapes(min_side=1))
def test_shapes_are_full_if_asked_for(shape: Any, pair: Any) -> None:
    assert math.prod(shape) * math.prod(map(math.prod, pair)) > 0


# ------------------------------------------------------------------------- tensors


@pytest.mark.parametrize("condition", KINDS.values(), ids=KINDS)
def test_tensors_have_any_shape_and_layout(condition: Any) -> None:
    assert finds(mst.tensors(), lambda t: condition(t.array))


def test_tensors_may_require_grad_or_not() -> None:
    assert finds(mst.tensors(), lambda t: t.requires_grad and t.is_leaf)
    assert finds(mst.tensors(), lambda t: not t.requires_grad)


@some
@given(mst.tensors(requires_grad=True), mst.tensors(requires_grad=False), st.data())
def test_tensors_require_grad_as_asked_for(yes: Any, no: Any, data: st.DataObject) -> None:
    assert isinstance(yes, minigrad.Tensor)
    assert (yes.requires_grad, no.requires_grad) == (True, False)
    integers = data.draw(mst.tensors(dtypes=["int64"], requires_grad=True))
    assert not integers.requires_grad


# ------------------------------------------------------------------------- probabilities, labels

PROBABILITIES: dict[str, Callable[[float], bool]] = {
    "zero": lambda p: p == 0,
    "one": lambda p: p == 1,
    "tiny": lambda p: 0 < p < 1e-100,
    "below one lane of a 32-bit draw": lambda p: 1e-30 < p < 2.0**-32,
    "close to 1": lambda p: 1 - 2.0**-50 < p < 1,
    "not quite so close to 1": lambda p: 1 - 1e-2 < p < 1 - 1e-4,
    "a half": lambda p: p == 0.5,
    "usual": lambda p: p == 0.2,
    "any": lambda p: 0.3 < p < 0.45 and p * 1000 % 1 != 0,
}


@pytest.mark.parametrize("condition", PROBABILITIES.values(), ids=PROBABILITIES)
def test_probabilities_of_every_kind_are_drawn(condition: Any) -> None:
    assert finds(mst.probabilities(), condition)


@some
@given(mst.probabilities())
def test_probabilities_are_floats_from_0_to_1(p: float) -> None:
    assert type(p) is float
    assert 0 <= p <= 1


@some
@given(mst.labels(4, 3), mst.labels((2, 0), 1), mst.labels(st.just((2, 2)), 2, ignore_index=-100))
def test_labels_are_classes(row: Any, none: Any, table: Any) -> None:
    assert row.shape == (4,)
    assert row.dtype == np.int64
    assert set(row.tolist()) <= {0, 1, 2}
    assert none.shape == (2, 0)
    assert set(table.ravel().tolist()) <= {0, 1, -100}


def test_every_class_and_the_ignored_index_are_drawn() -> None:
    strategy = mst.labels(4, 3, ignore_index=-1, dtype="int32")
    assert finds(strategy, lambda row: set(row.tolist()) == {0, 1, 2, -1} and row.dtype == np.int32)


# ------------------------------------------------------------------------- programs


@pytest.mark.parametrize("op", [*FORMS, *CHANGES])
def test_a_program_with_every_op_is_drawn(op: str) -> None:
    strategy = mst.programs([op]) if op in FORMS else mst.programs(["sin"], changes=True)
    assert finds(strategy, lambda program: any(step.op == op for step in program.steps))


PROGRAMS: dict[str, Callable[[Program], Any]] = {
    "one tensor twice": lambda p: any(len(set(s.reads)) < len(s.reads) for s in p.steps),
    "one tensor in two steps": lambda p: (
        len(reads := [r for s in p.steps for r in s.reads]) > len(set(reads))
    ),
    "three leaves": lambda p: sum(s.op == "tensor" for s in p.steps) == 3,
    "ten ops": lambda p: sum(s.op != "tensor" for s in p.steps) >= 10,
    "no dimension": lambda p: any(r.ndim == 0 for r in p.run()),
    "no elements": lambda p: any(r.numel() == 0 for r in p.run()),
    "a leaf that requires no grad": lambda p: any(
        s.op == "tensor" and not s.options for s in p.steps
    ),
}


@pytest.mark.parametrize("condition", PROGRAMS.values(), ids=PROGRAMS)
def test_programs_of_every_kind_are_drawn(condition: Any) -> None:
    assert finds(mst.programs(max_steps=20), condition)


def of_relu(program: Program) -> list[np.ndarray]:
    registers = program.run()
    return [registers[s.reads[0]].array for s in program.steps if s.op == "relu"]


def test_kinks_are_met_only_if_asked_for() -> None:
    meets = finds(mst.programs(["relu"], ties=True), lambda p: any(0 in a for a in of_relu(p)))

    @some
    @given(mst.programs(["relu", "sub"]))
    def check(program: Program) -> None:
        assert all(np.all(np.abs(a) >= 1e-3) for a in of_relu(program))

    check()
    assert meets


@some
@given(mst.programs(max_steps=20, changes=True))
def test_values_of_a_program_are_finite(program: Program) -> None:
    for register in program.run():
        assert np.isfinite(register.array).all()


@some
@given(mst.programs(dtypes=["float32", "float64"]))
def test_a_program_has_the_dtypes_asked_for(program: Program) -> None:
    dtypes = {register.dtype.name for register in program.run() if register.dtype.kind == "f"}
    assert dtypes <= {"float32", "float64"}


@some
@given(mst.programs(max_steps=20, dtypes=["float64", "float32"], ties=True, changes=True))
def test_a_program_as_text_repeats_it(program: Program) -> None:
    scope: dict[str, Any] = {}
    exec(f"import numpy as np\nfrom minigrad import *\n{program}", scope)
    for i, register in enumerate(program.run()):
        again = scope[f"t{i}"]
        np.testing.assert_array_equal(again.array, register.array, strict=True)
        assert again.requires_grad == register.requires_grad


@some
@given(mst.programs(max_steps=20))
def test_a_program_runs_in_any_engine_that_is_given_ops_by_name(program: Program) -> None:
    called = []

    def call(op: str, *args: Any, **options: Any) -> Any:
        called.append(op)
        return -args[0] if op == "neg" else minigrad_call(op, *args, **options)

    for ours, theirs in zip(program.run(), program.run(call), strict=True):
        np.testing.assert_array_equal(ours.array, theirs.array, strict=True)
    assert called == [step.op for step in program.steps]
