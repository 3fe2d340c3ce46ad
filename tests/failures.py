"""What is said when a test fails: what is wrong, for which input, and how to see it again.

`WrongError` is raised by what compares an op with its references. Of such a failure pytest shows
what `told` returns: which derivative is wrong, and its formula in the table. Of any other it shows
what `shortened` returns: the lines of this project that led there, without those of pytest,
hypothesis and NumPy.
"""

from __future__ import annotations

import ast
import contextlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minigrad import ops
from tests.mutants import CALLERS, ROOT, formulas

#: ops that every comparison of derivatives computes with: if one is wrong, so are the others' tests
COMPARING = ("mul", "sum", "add")


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
    first = tuple(int(i) for i in np.argwhere(far)[0])
    a, b = (shown(values, wide + 7) for values in (ours, theirs))
    text = lines(a, b)
    if ours.ndim:
        text += f"\n    {far.sum()} of {far.size} elements differ, the first at {list(first)}"
    if a == b:  # in digits or elements that are not shown
        text += f"\n    in full: {ours[first].item()!r} and {theirs[first].item()!r}"
    return text


def shown(value: Any, indent: int = 8) -> str:
    """Return a value as it is read best: an array as lists, of few digits, on one line if short."""
    if not isinstance(value, np.ndarray):
        return repr(value)
    if not value.size:
        return f"an array of shape {value.shape}"
    text = np.array2string(value, precision=6, separator=", ", threshold=40, floatmode="maxprec")
    return text.replace("\n", "\n" + " " * indent)


def raised(error: Exception) -> str:
    """Return what was raised, and in which line of the project."""
    every = lines_of(pytest.ExceptionInfo.from_exception(error))
    own = [line for line in every if line.startswith("minigrad/")] or every
    return f"    it raised {type(error).__name__}: {error}\n    {own[-1]}"


def told(item: pytest.Item, error: WrongError) -> str:
    """Return the whole message of a test's failure; of a row of a table, with its name."""
    case = item.callspec.id if getattr(item, "cls", None) else ""  # type: ignore[attr-defined]
    parts = [f"{case}: {error}" if case else str(error)]
    if error.derivative:
        op = case.partition(":")[0].partition(" ")[0]
        for suspect in COMPARING if op in COMPARING else (op,):
            parts += entries(suspect)
    return "\n".join([*parts, *again(item, error)])


def again(item: pytest.Item, error: BaseException, *options: str) -> list[str]:
    """Return how a failure is seen again."""
    if profile := item.config.getoption("--hypothesis-profile"):
        options = (f"--hypothesis-profile={profile}", *options)
    lines = ["again", f"    {' '.join(['python -m pytest', *options])} '{item.nodeid}'"]
    if blob := re.search(r"@reproduce_failure\(.*?\)", "\n".join(notes(error))):
        lines.append(f"    elsewhere with {blob[0]} above the test")
    return lines


def notes(error: BaseException) -> list[str]:
    """Return the lines that were added to an exception, such as hypothesis's."""
    return "\n".join(getattr(error, "__notes__", ())).split("\n")


# ------------------------------------------------------------------------- what is no op

#: lines that hypothesis adds to an example, and that say nothing of it
NOISE = re.compile(
    r"You can reproduce this|(Falsifying|Failing) |\s*(self=<.*|data=data\(\.\.\.\),|\))?$"
)
#: of an object, whole or cut
ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+|(?<=\.\.\.)[0-9a-fx]{4,}(?=>)")
WIDTH, FRAMES, LIMIT = 120, 5, 30  # of a line; lines that led there; lines of the message


def shortened(item: pytest.Item, failure: pytest.ExceptionInfo[BaseException]) -> str:
    """Return what a failure is about, and the lines of this project that led there."""
    error = failure.value
    kind = "" if isinstance(error, AssertionError | pytest.fail.Exception) else type(error).__name__
    message = f"{kind}: {error}".removeprefix(": ").strip("\n")
    if (cause := error.__cause__) and str(cause) != str(error):
        message += f"\nbecause of {type(cause).__name__}: {cause}"
    parts = message.split("\n")
    if values := given(error):
        found = any("Falsifying " in note or "Failing test case" in note for note in notes(error))
        parts += [f"with{', the smallest that was found' * found}", *(f"    {v}" for v in values)]
    if len(parts) > LIMIT and item.config.get_verbosity() < 2:
        parts[LIMIT:] = [f"... {len(parts) - LIMIT} more lines, which -vv shows"]
    if getattr(error, "pytrace", True) and (lines := way(failure, item.config.rootpath)):
        parts += ["at", *(f"    {line}" for line in lines)]
    parts += again(item, error, f"--seed={item.config.option.seed}")
    return ADDRESS.sub("", "\n".join(parts))


def way(failure: pytest.ExceptionInfo[BaseException], root: Path) -> list[str]:
    """Return the way to an exception: the first of this project's lines, and the last ones."""
    lines = lines_of(failure, root)
    if len(lines) > 1 and re.search(r"\.py:\d+: raise ", lines[-1]):
        lines.pop()  # the exception itself is shown
    lines = [line if len(line) <= WIDTH else f"{line[: WIDTH - 3]}..." for line in lines]
    return lines if len(lines) <= FRAMES else [lines[0], "...", *lines[2 - FRAMES :]]


@contextlib.contextmanager
def noting(**values: Any) -> Iterator[None]:
    """Say of a failure of which values it is: for loops, that are one test."""
    try:
        yield
    except Exception as error:
        for name, value in values.items():
            error.add_note(f"{name} = {shown(value)}")
        raise


def given(error: BaseException) -> list[str]:
    """Return what a failure was given: what `noting` says, and hypothesis's example."""
    lines = notes(error)
    if any(line.startswith("state = ") for line in lines):
        return []  # steps of a machine: the test tells them better
    kept = [line.strip() for line in lines if not NOISE.match(line)]
    named = [re.sub(r"^Draw \d+ \((.*?)\): ", r"\1 = ", line) for line in kept]
    return [re.sub(r"^Draw \d+: ", "", line) for line in named]


def lines_of(failure: pytest.ExceptionInfo[BaseException], root: Path = ROOT) -> list[str]:
    """Return the statements below a folder that led to an exception, and where they stand."""
    lines: list[str] = []
    for entry in failure.traceback:
        path = Path(entry.path)
        here = path.is_relative_to(root) and "site-packages" not in path.parts
        if not here or entry.ishidden(failure):  # what was generated, for one, has no statements
            continue
        statement = " ".join(str(entry.statement).split())
        if statement.startswith("@"):
            continue
        line = f"{path.relative_to(root)}:{entry.lineno + 1}: {statement}"
        if line not in lines[-1:]:
            lines.append(line)
    return lines


# ------------------------------------------------------------------------- the table


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
