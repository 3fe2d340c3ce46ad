"""The formula of an entry as it stands in the table: its source text, cut out exactly.

A lambda is found in its file by where its body stands, which Python notes in the code object; two
lambdas on a line, or one over several lines, are no special case.
"""

from __future__ import annotations

import ast
import functools
import inspect
import linecache
import textwrap
from collections.abc import Callable, Iterator
from types import CodeType
from typing import Any

from minigrad.explain.noted import Noted

UNKNOWN = "... (its source is not at hand)"

_known: Noted[str] = Noted()  # of lambdas' code


def formula_text(formula: Callable[..., Any]) -> str:
    """Return what the table says: a lambda as it is written, a function by name and parameters.

    With a function comes the first line of its docstring. A lambda whose source cannot be read
    (typed at Python's prompt, or changed on the disk since it was imported) is shown by its
    parameters alone.

    Examples:
        >>> from minigrad.ops.arithmetic import mul, pow
        >>> formula_text(mul.op.entries["b"].formula)
        'lambda g, a: g * a'
        >>> formula_text(pow.op.entries["b"].formula)
        '_to_exponent(g, y, a, b)  # Return g · aᵇ·log a, and 0 where a = 0 ≤ b.'
    """
    formula = inspect.unwrap(formula)
    code = getattr(formula, "__code__", None)
    if code is None:  # a callable of some other kind
        return getattr(formula, "__name__", None) or type(formula).__name__
    parameters = ", ".join(code.co_varnames[: code.co_argcount])
    if code.co_name == "<lambda>":
        if _known.of(code) is None and (text := lambda_text(code)):
            _known.note(code, text)
        return _known.of(code) or f"lambda {parameters}: {UNKNOWN}"
    first, _, _ = (inspect.getdoc(formula) or "").partition("\n")
    text = f"{code.co_name}({parameters})"
    between = "  # " if len(text) + len(first) < 88 else "\n  # "
    return text + between + first if first else text


def lambda_text(code: CodeType) -> str | None:
    """Return a lambda's source text, without the indentation of its file; None if unknown."""
    source = "".join(linecache.getlines(code.co_filename))
    fitting = [node for node in _lambdas(source) if _fits(node, code)]
    # (first line, last line, first column, column after the last), but for bookkeeping's empty ones
    spans = [p for p in code.co_positions() if None not in p and (p[0], p[2]) != (p[1], p[3])]
    if spans:
        start = min((first, column) for first, _, column, _ in spans)
        end = max((last, column) for _, last, _, column in spans)
        around = [n for n in fitting if _begin(n.body) <= start and end <= _end(n.body)]
    else:  # of a body that is a constant, some versions of Python note no place
        around = [n for n in fitting if n.lineno == code.co_firstlineno and _is_constant(n, code)]
    if not around:
        return None
    innermost = max(around, key=_begin)  # those around one place are nested: the last to begin
    text = ast.get_source_segment(source, innermost) or ""
    first_line, newline, others = text.partition("\n")
    return first_line + newline + textwrap.dedent(others)


def _is_constant(node: ast.Lambda, code: CodeType) -> bool:
    return isinstance(node.body, ast.Constant) and node.body.value in code.co_consts


@functools.lru_cache(maxsize=64)
def _lambdas(source: str) -> list[ast.Lambda]:
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):  # a file that is being edited
        return []
    return [node for node in ast.walk(tree) if isinstance(node, ast.Lambda)]


def _begin(node: ast.expr) -> tuple[int, int]:
    return node.lineno, node.col_offset


def _end(node: ast.expr) -> tuple[int, int]:
    return node.end_lineno or 0, node.end_col_offset or 0


def _fits(node: ast.Lambda, code: CodeType) -> bool:
    """Return whether a lambda has the parameters and names of the code: the file may be newer."""
    parameters = tuple(p.arg for p in node.args.args)
    used = {n.id for n in ast.walk(node.body) if isinstance(n, ast.Name)}
    inside = set(_names(code))
    return parameters == code.co_varnames[: code.co_argcount] and used <= inside


def _names(code: CodeType) -> Iterator[str]:
    yield from (*code.co_names, *code.co_varnames, *code.co_freevars, *code.co_cellvars)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)
