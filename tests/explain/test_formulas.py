"""The text of a formula is what the table says, to the letter."""

from __future__ import annotations

import functools
import importlib.util
import linecache
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

import pytest

import minigrad
from minigrad import differentiable
from minigrad.explain.formulas import UNKNOWN, formula_text
from minigrad.table import Op


def table() -> Iterator[tuple[Op, Any, Path]]:
    """Yield every entry of minigrad's own table, with the file that it stands in."""
    for module in (minigrad.ops, minigrad.nn):
        for info in pkgutil.iter_modules(module.__path__, f"{module.__name__}."):
            found = importlib.import_module(info.name)
            for thing in vars(found).values():
                op = getattr(thing, "op", None)
                if isinstance(op, Op) and op.function.__module__ == info.name:
                    for name, entry in op.entries.items():
                        formula = entry.formula
                        yield op, formula(0) if _for_each(op, name) else formula, found.__file__


def _for_each(op: Op, name: str) -> bool:
    return op.any_number and name == [*op.parameters][-1]


def imported(path: Path, source: str) -> ModuleType:
    """Return a module of some source text."""
    path.write_text(source)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def inner(code: CodeType) -> CodeType:
    return next(c for c in code.co_consts if isinstance(c, CodeType))


def test_every_lambda_of_the_table_is_cut_out_such_that_it_compiles_to_itself() -> None:
    lambdas = 0
    for op, formula, file in table():
        text = formula_text(formula)
        assert UNKNOWN not in text, op.name
        if formula.__name__ != "<lambda>":
            continue
        lambdas += 1
        code = inner(compile(text, "text", "eval"))
        assert code.co_varnames == formula.__code__.co_varnames, op.name
        if not formula.__code__.co_freevars:
            assert code.co_names == formula.__code__.co_names, (op.name, text)
            assert str(code.co_consts) == str(formula.__code__.co_consts), (op.name, text)
        assert text.split("\n")[0] in Path(file).read_text()
    assert lambdas > 40


SOURCE = '''
def pair(**formulas):
    return formulas

ONE_LINE = pair(a=lambda g, b: g * b, b=lambda g, a: g * a, c=lambda g, a: (g, a), d=lambda g: 0)
SAME = pair(é="ü", a=lambda g: g+1, b=lambda g: g + 1)
LONG = pair(
    a=lambda g, b: (  # a remark
        g
        * b
    ),
    b=(lambda g, y: g
        + y),
)
EACH = pair(tensors=lambda i: (lambda g, ends: g[ends[i] : ends[i + 1]]))

def named(g, y):
    """Return g y.

    And more.
    """
    return g * y
'''


def test_lambdas_are_told_apart_on_one_line_and_found_over_several(tmp_path: Path) -> None:
    module = imported(tmp_path / "some_formulas.py", SOURCE)
    assert {name: formula_text(f) for name, f in module.ONE_LINE.items()} == {
        "a": "lambda g, b: g * b",
        "b": "lambda g, a: g * a",
        "c": "lambda g, a: (g, a)",
        "d": "lambda g: 0",
    }
    assert formula_text(module.SAME["a"]) == "lambda g: g+1"
    assert formula_text(module.SAME["b"]) == "lambda g: g + 1"
    assert formula_text(module.LONG["a"]) == "lambda g, b: (  # a remark\n    g\n    * b\n)"
    assert formula_text(module.LONG["b"]) == "lambda g, y: g\n+ y"
    each = module.EACH["tensors"]
    assert formula_text(each(0)) == "lambda g, ends: g[ends[i] : ends[i + 1]]"
    assert formula_text(each).startswith("lambda i: (lambda g, ends:")


def test_a_function_is_shown_by_name_parameters_and_first_line(tmp_path: Path) -> None:
    module = imported(tmp_path / "some_function.py", SOURCE)
    assert formula_text(module.named) == "named(g, y)  # Return g y."

    @functools.wraps(module.named)
    def wrapped(*args: Any) -> Any:
        return module.named(*args)

    assert formula_text(wrapped) == "named(g, y)  # Return g y."
    assert formula_text(functools.partial(module.named, y=1)) == "partial"
    assert formula_text(max) == "max"


def test_without_source_a_lambda_is_shown_by_its_parameters() -> None:
    for name in "<stdin>", "<string>", "nowhere.py":
        formula = eval(compile("lambda g, b: g * b", name, "eval"))
        assert formula_text(formula) == f"lambda g, b: {UNKNOWN}"


@pytest.mark.parametrize(
    "now",
    ["X = dict(a=lambda g, b: h * b)", "X = dict(a=lambda h, b: h * b)", "X = (", "", "X = 1"],
)
def test_a_file_that_changed_since_is_not_believed(now: str, tmp_path: Path) -> None:
    path = tmp_path / "changing.py"
    formula = imported(path, "X = dict(a=lambda g, b: g * b)").X["a"]
    path.write_text(now)
    linecache.checkcache(str(path))
    assert formula_text(formula) == f"lambda g, b: {UNKNOWN}"


def test_an_op_that_is_defined_in_a_test_is_found_too() -> None:
    @differentiable(x=lambda g, x: g * 3 * x * x)
    def cube(x: Any) -> Any:
        return x * x * x

    assert formula_text(cube.op.entries["x"].formula) == "lambda g, x: g * 3 * x * x"  # type: ignore[attr-defined]
