"""What is said when an op is wrong: what of it, for which input, by which formula.

`WrongError` is raised by what compares an op with its references. Of such a failure pytest shows
what `told` returns, in place of the lines of tests, hypothesis and NumPy that led there.
"""

from __future__ import annotations

import ast
import re
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minigrad import ops
from tests.mutants import CALLERS, ROOT, formulas


@dataclass(eq=False)
class WrongError(AssertionError):
    """Something that an op computes is not what its reference says.

    Attributes:
        what: such as "the gradient for x in float64".
        reference: what it was compared with.
        problem: how the two differ.
        inputs: the op's arguments, and more that was given, by name.
        derivative: whether it is one, and so follows from formulas of the table.
    """

    what: str
    reference: str
    problem: str
    inputs: Mapping[str, Any]
    derivative: bool = True

    def __str__(self) -> str:
        given = [f"    {name} = {shown(value)}" for name, value in self.inputs.items()]
        return "\n".join([f"{self.what} differs from {self.reference}", *given, self.problem])


def compare(
    ours: Any,
    theirs: Any,
    rtol: float,
    atol: float,
    what: str,
    reference: str,
    inputs: Mapping[str, Any],
    derivative: bool = True,
) -> None:
    """Raise `WrongError` unless two arrays agree in dtype, shape and, nearly, elements."""
    if problem := difference(ours, theirs, rtol, atol, reference):
        raise WrongError(what, reference, problem, inputs, derivative)


def difference(ours: Any, theirs: Any, rtol: float, atol: float, reference: str) -> str:
    """Return how an array of minigrad's differs from that of a reference; "" if it does not."""
    wide = max(len("minigrad"), len(reference))

    def lines(a: Any, b: Any) -> str:
        return f"    {'minigrad':{wide}} : {a}\n    {reference:{wide}} : {b}"

    for name in ("dtype", "shape"):
        if getattr(ours, name) != getattr(theirs, name):
            return lines(f"{name} {getattr(ours, name)}", f"{name} {getattr(theirs, name)}")
    far = ~np.isclose(ours, theirs, rtol, atol, equal_nan=True)
    if not far.any():
        return ""
    text = lines(shown(ours), shown(theirs))
    if ours.ndim:
        first = tuple(int(i) for i in np.argwhere(far)[0])
        text += f"\n    {far.sum()} of {far.size} elements differ, the first at {list(first)}"
    return text


def shown(value: Any) -> str:
    """Return a value as it is read best: an array as lists, of few digits, on one line if short."""
    if not isinstance(value, np.ndarray):
        return repr(value)
    if not value.size:
        return f"an array of shape {value.shape}"
    text = np.array2string(value, precision=6, separator=", ", threshold=40, floatmode="maxprec")
    return text.replace("\n", "\n" + " " * 8)


def raised(error: Exception) -> str:
    """Return what was raised, and in which line of the project."""
    here = [
        f
        for f in traceback.extract_tb(error.__traceback__)
        if Path(f.filename).is_relative_to(ROOT)
    ]
    own = [f for f in here if "minigrad" in Path(f.filename).relative_to(ROOT).parts] or here
    place = f"{Path(own[-1].filename).relative_to(ROOT)}:{own[-1].lineno}: {own[-1].line}"
    return f"    it raised {type(error).__name__}: {error}\n    {place}"


def told(item: pytest.Item, error: WrongError) -> str:
    """Return the whole message of a test's failure."""
    case = item.callspec.id if hasattr(item, "callspec") else item.name  # type: ignore[attr-defined]
    parts = [f"{case}: {error}"]
    if error.derivative and (found := entries(case.partition(":")[0].partition(" ")[0])):
        parts += found
    parts += ["again", f"    {rerun(item)}"]
    if blob := re.search(r"@reproduce_failure\(.*?\)", "\n".join(getattr(error, "__notes__", ()))):
        parts.append(f"    elsewhere with {blob[0]} above the test")
    return "\n".join(parts)


def rerun(item: pytest.Item) -> str:
    """Return the command that runs one test again."""
    profile = item.config.getoption("--hypothesis-profile")
    return " ".join(
        [
            "python -m pytest",
            *([f"--hypothesis-profile={profile}"] if profile else []),
            f"'{item.nodeid}'",
        ]
    )


def entries(op: str) -> list[str]:
    """Return the formulas of an op's derivatives as they stand in the table, and where."""
    if not hasattr(ops, op):
        return []
    module = getattr(ops, op).__module__.replace(".", "/") + ".py"
    owners = [op, *(private for private, public in CALLERS.items() if op in public)]
    every = formulas(module)
    own = [f for f in every if f.entry and f.owner in owners]
    words = set(re.findall(r"\w+", " ".join(ast.unparse(f.node) for f in own)))
    helpers = [f for f in every if not f.entry and f.owner in words]
    lines = [f"    {f.owner}, {f.entry} = {ast.unparse(f.node)}" for f in own]
    lines += [body(f.node) for f in helpers]
    return [f"by the table, in {module}", *lines] if own else []


def body(function: ast.AST) -> str:
    """Return a function without its docstring; of one with many lines, where it stands."""
    assert isinstance(function, ast.FunctionDef)
    head = f"    def {function.name}({', '.join(a.arg for a in function.args.args)}):"
    statements = function.body[ast.get_docstring(function) is not None :]
    lines = [line for statement in statements for line in ast.unparse(statement).split("\n")]
    if len(lines) > 5:
        return f"{head} ...  # line {function.lineno}"
    return ("\n" + " " * 8).join([head, *lines])
