"""The mutants of `python -m tests.mutation`: of every derivative, and wrong in the way they say."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

from minigrad import ops
from tests.equivalents import ELSEWHERE, EQUIVALENT, HARMLESS
from tests.mutants import CALLERS, ROOT, Formula, formulas, mutants
from tests.mutation import PACKAGE, TESTS
from tests.slips import slips


def formula(module: str, owner: str, entry: str = "") -> Formula:
    found = formulas(f"minigrad/ops/{module}.py")
    return next(f for f in found if (f.owner, f.entry) == (owner, entry))


@pytest.mark.parametrize("module", TESTS)
def test_every_entry_of_the_table_is_a_formula(module: str) -> None:
    namespace = vars(importlib.import_module(module.removesuffix(".py").replace("/", ".")))
    table = {
        (name, argument)
        for name, function in namespace.items()
        if (op := getattr(function, "op", None)) and function.__module__ == namespace["__name__"]
        for argument in op.entries
    }
    found = {(f.owner, f.entry) for f in formulas(module) if f.entry}
    assert found == table
    assert (ROOT / TESTS[module]).exists()


def test_no_file_of_ops_is_forgotten() -> None:
    files = [p for p in (ROOT / "minigrad/ops").glob("*.py") if "@differentiable" in p.read_text()]
    assert {p.relative_to(ROOT).as_posix() for p in files} == set(TESTS)


def test_of_every_private_op_with_entries_it_is_known_whose_cases_test_it() -> None:
    owners = {f.owner for module in TESTS for f in formulas(module) if f.entry}
    assert owners - set(ops.__all__) == CALLERS.keys() - set(ops.__all__)
    assert {name for names in CALLERS.values() for name in names} <= set(ops.__all__)


def test_an_entry_is_wronged_as_a_whole_and_in_each_part_and_reads_what_it_then_names() -> None:
    found = {m.after: (m.kind, m.source) for m in mutants(formula("arithmetic", "div", "b"))}
    for after, kind, parameters in (
        ("-(-g * y / b)", "sign", "g, y, b"),
        ("2 * (-g * y / b)", "factor 2", "g, y, b"),
        ("1.001 * (-g * y / b)", "factor 1.001", "g, y, b"),
        ("0 * (-g * y / b)", "zero", "g, y, b"),
        ("_transposed(-g * y / b)", "transposed", "g, y, b"),
        ("g * y / b", "sign", "g, y, b"),
        ("-g * y", "missing operand", "g, y"),
        ("-g / b", "missing operand", "g, b"),
        ("b / (-g * y)", "swapped operands", "g, y, b"),
        ("-g * a / b", "other argument", "g, b, a"),
    ):
        assert found[after] == (kind, f"lambda {parameters}: {after}")
    assert "-g * y / b" not in found


def test_functions_that_entries_call_are_wronged_too_unless_they_are_ops() -> None:
    found = {m.after: m.kind for m in mutants(formula("reduction", "_count"))}
    assert found["math.prod(whole)"] == "missing operand"
    assert found["math.prod(whole) // (math.prod(reduced) or 2)"] == "constant"
    found = {m.after: m.kind for m in mutants(formula("elementwise", "_within"))}
    assert found["x >= min if max is None else (x > min) & (x <= max)"] == "comparison"
    assert found["x >= min if max is None else x <= max"] == "missing operand"
    found = {f.owner for f in formulas("minigrad/ops/cross_entropy.py") if not f.entry}
    assert {"class_shares", "class_dim", "_to_logits"} <= found
    assert "softmax" not in found


def test_what_refuses_bad_input_is_left_as_it_is() -> None:
    assert "_mismatch" not in {f.owner for f in formulas("minigrad/ops/linalg.py")}
    found = {m.before for m in mutants(formula("linalg", "_product"))}
    assert "device_of(a) != device_of(b)" not in found
    assert "a @ b" in found


PLANTED = """
import minigrad
from tests.mutants import formulas, mutants

def plant(module, owner, beginning):
    found = [m for f in formulas(f"minigrad/ops/{module}.py") for m in mutants(f)]
    next(m for m in found if m.formula.owner == owner and m.after.startswith(beginning)).plant()

def gradient(function):
    x = minigrad.tensor([1.0, 3.0], requires_grad=True)
    function(x).sum().backward()
    return x.grad.tolist()

calls = [lambda x: x * 5, lambda x: x.mean(), lambda x: x.amax(), lambda x: minigrad.stack([x])]
print([gradient(call) for call in calls])
plant("arithmetic", "mul", "-(g * b)")
plant("reduction", "_count", "math.prod(reduced)")
plant("reduction", "_to_extremes", "spread(g, x.shape, dim, keepdim) / count")
plant("shape", "_concatenate", "2 * getitem(")
print([gradient(call) for call in calls])
"""


def test_a_planted_mutant_takes_the_place_of_the_formula() -> None:
    """For an entry, a function that entries call, one that is an entry, and one for each tensor."""
    run = subprocess.run(
        [sys.executable, "-c", PLANTED], cwd=ROOT, capture_output=True, text=True, check=True
    )
    right, wrong = run.stdout.splitlines()
    assert right == "[[5.0, 5.0], [0.5, 0.5], [0.0, 1.0], [1.0, 1.0]]"
    assert wrong == "[[-5.0, -5.0], [1.0, 1.0], [1.0, 1.0], [2.0, 2.0]]"


def test_a_mutant_that_is_listed_as_equivalent_exists() -> None:
    every = {str(m) for module in TESTS for f in formulas(module) for m in mutants(f)}
    assert {mutant for shown in EQUIVALENT.values() for mutant in shown} <= every


# ------------------------------------------------------------------------- slips in any function


def test_functions_methods_and_what_decorators_wrap_are_changed_in_every_kind_of_place() -> None:
    found = {str(slip): slip.kind for slip in slips("minigrad/graph.py")}
    assert found["Storage.change: self.version += 1 → pass"] == "missing statement"
    assert found["Storage.change: self.version += 1 → self.version += 2"] == "constant"
    shape = "TensorBase.shape: return self.array.shape → return None"  # a property
    assert found[shape] == "nothing returned"
    owners = {slip.owner for slip in slips("minigrad/optim/sgd.py")}
    assert {"SGD.change", "SGD.check", "one_step", "update"} <= owners
    owners = {slip.owner for slip in slips("minigrad/random.py")}
    assert {"fork_rng", "rand", "Generator.keep_mask"} <= owners


@pytest.mark.parametrize("file", PACKAGE)
def test_every_file_that_is_falsified_has_tests(file: str) -> None:
    assert (ROOT / file).exists()
    assert all((ROOT / tests).exists() for tests in PACKAGE[file])


SLIPPED = """
import minigrad
from tests.slips import slips

def planted(module, shown):
    next(slip for slip in slips(module) if str(slip) == shown).plant()

x = minigrad.ones(2)
planted("minigrad/graph.py", "Storage.change: self.version += 1 → self.version += 2")
planted("minigrad/optim/sgd.py", "one_step: p -= lr * g → p -= lr / g")
x.mul_(3)
p = minigrad.tensor([1.0], requires_grad=True)
p.grad = minigrad.tensor([2.0])
minigrad.optim.SGD([p], lr=0.5).step()
print(x._version, p.tolist())
"""


def test_a_planted_slip_acts_wherever_the_function_was_imported() -> None:
    run = subprocess.run(
        [sys.executable, "-c", SLIPPED], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert run.stdout == "2 [0.75]\n"


WATCHED = """
import minigrad
from tests.slips import watch

called = []
watch("minigrad/optim/sgd.py", called.append)
p = minigrad.tensor([1.0], requires_grad=True)
p.grad = minigrad.tensor([2.0])
optimizer = minigrad.optim.SGD([p], lr=0.5)
first = called[:]
optimizer.step()
print(p.tolist(), [owner for _, owner in first], [owner for _, owner in called[len(first):]])
"""


def test_watched_functions_do_what_they_did_and_say_that_they_are_called() -> None:
    run = subprocess.run(
        [sys.executable, "-c", WATCHED], cwd=ROOT, capture_output=True, text=True, check=True
    )
    first, later = ["SGD.__init__", "SGD.check"], ["SGD.change", "settings_of", "update"]
    assert run.stdout == f"[0.0] {first} {[*later, 'one_step']}\n"


@pytest.mark.parametrize("file", ELSEWHERE)
def test_slips_that_act_elsewhere_exist(file: str) -> None:
    every = [str(slip) for slip in slips(file)]
    beginnings = [b for there in ELSEWHERE[file].values() for b in there]
    assert [b for b in beginnings if not any(slip.startswith(b) for slip in every)] == []


@pytest.mark.parametrize("file", HARMLESS)
def test_a_slip_that_is_listed_as_harmless_exists(file: str) -> None:
    every = {str(slip) for slip in slips(file)}
    assert {slip for shown in HARMLESS[file].values() for slip in shown} <= every
