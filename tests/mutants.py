"""Wrong derivatives, made from right ones: each formula of the table, with one thing changed.

A formula is an entry of the table, or a function that entries call and that is no public op.
Changed is one node of its syntax tree: a sign is lost, an operand missing, an argument taken for
another, and so on (`_mistakes`). An entry as a whole is also negated, scaled, made zero and
transposed (`_WHOLE`).
"""

from __future__ import annotations

import ast
import copy
import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minigrad import ops

ROOT = Path(__file__).parents[1]

_WHOLE = {
    "sign": "-({})",
    "factor 2": "2 * ({})",
    "factor 1.001": "1.001 * ({})",
    "zero": "0 * ({})",
    "transposed": "_transposed({})",
}
_MISTAKEN: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Gt: (ast.GtE, ast.Lt),
    ast.GtE: (ast.Gt, ast.LtE),
    ast.Lt: (ast.LtE, ast.Gt),
    ast.LtE: (ast.Lt, ast.GtE),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
}
_COMMUTE = (ast.Add, ast.Mult, ast.BitAnd, ast.BitOr, ast.BitXor)
_LIBRARIES = ("np", "math", "itertools")
#: for a private op that has entries, the public ones that call it, and whose cases test it
CALLERS = {
    "kept": ("clamp", "where"),
    "_deviations": ("var", "std"),
    "_permute": ("permute", "transpose"),
    "_cast": ("cast",),
    "_matmul": ("matmul",),
    "_scatter": ("getitem",),
    "_scatter_along": ("take_along_dim",),
    "_concatenate": ("concatenate", "stack"),
    "_norm": ("norm",),
    "_sums_from_the_end": ("cumsum",),
    "_class_cross_entropy_gradient": ("class_cross_entropy",),
}


@dataclass(frozen=True)
class Formula:
    """An entry of the table of derivatives, or a function that entries call, but no public op.

    Attributes:
        module: its file, relative to the repository.
        owner: the function that has the entry, mostly an op; or the function itself.
        entry: the argument that the derivative is for; "" for a function.
        node: its syntax tree.
        arrays: the names that its names may be mistaken for.
        outer: the ``lambda i: ...`` that the entry is the result of, if there is one.
    """

    module: str
    owner: str
    entry: str
    node: ast.Lambda | ast.FunctionDef
    arrays: tuple[str, ...]
    outer: ast.Lambda | None = None

    def __str__(self) -> str:
        return f"{self.owner}, {self.entry}" if self.entry else self.owner


@dataclass(frozen=True)
class Mutant:
    """A formula with one thing changed.

    Attributes:
        formula: which.
        kind: what was changed.
        before, after: the body of the entry, or one expression of the function.
        source: the lambda, or the whole function, with the change.
    """

    formula: Formula
    kind: str
    before: str
    after: str
    source: str

    def __str__(self) -> str:
        return f"{self.formula}: {self.before} → {self.after}"

    def plant(self) -> None:
        """Put the mutant into the place of the right formula, in this process, for good."""
        name = self.formula.module.removesuffix(".py").replace("/", ".")
        namespace, owner = vars(importlib.import_module(name)), self.formula.owner
        namespace["_transposed"] = _transposed
        if self.source.startswith("lambda"):
            namespace[owner].op.enter(self.formula.entry, eval(self.source, namespace))
            return
        right = namespace[owner]
        exec(self.source, namespace)
        for op in [f.op for f in namespace.values() if hasattr(f, "op")]:
            for argument, derivative in [*op.entries.items()]:
                if derivative.formula is right:  # it stands in the table by its name
                    op.enter(argument, namespace[owner])


def _transposed(t: Any) -> Any:
    """Return a matrix, or a stack of them, transposed where its shape hides that."""
    return t.swapaxes(-1, -2) if t.ndim > 1 and t.shape[-1] == t.shape[-2] else t


# ------------------------------------------------------------------------- finding formulas


def formulas(module: str) -> list[Formula]:
    """Return all formulas of a module, given by its path in the repository."""
    tree = ast.parse((ROOT / module).read_bytes())
    functions = {f.name: f for f in tree.body if isinstance(f, ast.FunctionDef)}
    found = []
    for name, function in functions.items():
        table = {k.arg or "": k.value for k in _keywords(function)}
        for entry, value in table.items():
            node = _written_out(functions[value.id]) if isinstance(value, ast.Name) else value
            assert isinstance(node, ast.Lambda)
            if node.args.args[0].arg == "i":  # of any number of tensors, the derivative for each
                assert isinstance(node.body, ast.Lambda)
                found.append(Formula(module, name, entry, node.body, (), outer=node))
            else:
                found.append(Formula(module, name, entry, node, (*table, "g", "y")))
    called: list[str] = []
    while more := [n for f in found for n in _helpers(f.node, functions) if n not in called]:
        called += more[:1]
        function = functions[more[0]]
        arrays = tuple(a.arg for a in function.args.args if len(a.arg) == 1)
        found.append(Formula(module, function.name, "", function, arrays))
    return found


def _keywords(function: ast.FunctionDef) -> list[ast.keyword]:
    """Return the keywords of ``@differentiable(...)`` above a function."""
    calls = [d for d in function.decorator_list if isinstance(d, ast.Call)]
    return [k for c in calls if ast.unparse(c.func) == "differentiable" for k in c.keywords]


def _written_out(function: ast.FunctionDef) -> ast.expr:
    """Return ``lambda g, y: f(g, y)`` for a function f that stands in the table by its name."""
    names = ", ".join(a.arg for a in function.args.args)
    return ast.parse(f"lambda {names}: {function.name}({names})", mode="eval").body


def _helpers(node: ast.AST, functions: dict[str, ast.FunctionDef]) -> list[str]:
    """Return the names of the module's functions that a formula calls, in order; not of its ops."""
    names = [n.id for part in _computed(node) for n in _nodes(part) if isinstance(n, ast.Name)]
    return [name for name in names if name in functions and name not in ops.__all__]


def _computed(node: ast.AST) -> list[ast.AST]:
    """Return a lambda's expression, or a function's statements."""
    if isinstance(node, ast.Lambda):
        return [node.body]
    assert isinstance(node, ast.FunctionDef)
    return list(node.body[ast.get_docstring(node) is not None :])


def _nodes(node: ast.AST) -> Iterator[ast.AST]:
    """Yield a syntax tree's nodes, but for what refuses bad input: that is no derivative."""
    yield node
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.Raise | ast.ExceptHandler):
            yield from _nodes(child)


# ------------------------------------------------------------------------- changing them


def mutants(formula: Formula) -> list[Mutant]:
    """Return all mutants of a formula, each once."""
    changes = _of_entry if isinstance(formula.node, ast.Lambda) else _of_function
    unique = {mutant.source: mutant for mutant in changes(formula)}
    return list(unique.values())


def _of_entry(formula: Formula) -> Iterator[Mutant]:
    (body,) = _computed(formula.node)
    before = ast.unparse(body)
    changes = [(kind, ast.unparse(ast.parse(w.format(before)))) for kind, w in _WHOLE.items()]
    for part in _expressions(body):
        for kind, new in _mistakes(part, formula.arrays):
            changes.append((kind, ast.unparse(copy.deepcopy(body, {id(part): new}))))
    options = [a.arg for a in formula.node.args.args]
    for kind, after in changes:
        names = {n.id for n in ast.walk(ast.parse(after)) if isinstance(n, ast.Name)} - {"g"}
        reads = [n for n in dict.fromkeys((*options, *formula.arrays)) if n in names]
        source = f"lambda {', '.join(['g', *reads])}: {after}"
        if formula.outer:
            entry = ast.parse(source, mode="eval").body
            source = ast.unparse(copy.deepcopy(formula.outer, {id(formula.node): entry}))
        yield Mutant(formula, kind, before, after, source)


def _of_function(formula: Formula) -> Iterator[Mutant]:
    for node in _nodes(formula.node):
        if not isinstance(node, ast.stmt) or node is formula.node:
            continue
        for whole in [n for n in ast.iter_child_nodes(node) if isinstance(n, ast.expr)]:
            for part in _expressions(whole):
                for kind, new in _mistakes(part, formula.arrays):
                    after = ast.unparse(copy.deepcopy(whole, {id(part): new}))
                    source = ast.unparse(copy.deepcopy(formula.node, {id(part): new}))
                    yield Mutant(formula, kind, ast.unparse(whole), after, source)


def _expressions(node: ast.AST) -> Iterator[ast.expr]:
    """Yield all expressions within a node, except those in the text of messages."""
    if isinstance(node, ast.expr):
        yield node
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.JoinedStr):
            yield from _expressions(child)


def _mistakes(node: ast.expr, arrays: tuple[str, ...]) -> Iterator[tuple[str, ast.expr]]:
    """Yield what an expression may be written as by mistake, and the kind of the mistake."""
    match node:
        case ast.BinOp(left=left, op=op, right=right):
            yield "missing operand", left
            yield "missing operand", right
            if not isinstance(op, _COMMUTE):
                yield "swapped operands", ast.BinOp(right, op, left)
        case ast.BoolOp(values=values):
            yield from (("missing operand", value) for value in values)
        case ast.UnaryOp(op=ast.USub() | ast.Not(), operand=operand):
            yield "sign", operand
        case ast.Compare(left=left, ops=[op], comparators=[right]):
            for other in _MISTAKEN.get(type(op), ()):
                yield "comparison", ast.Compare(left, [other()], [right])
        case ast.IfExp(body=body, orelse=orelse):
            yield "missing case", body
            yield "missing case", orelse
        case ast.Call(func=ast.Attribute(value=value)) if not _is_library(value):
            yield "missing call", value
        case ast.Call(func=func, args=[first, *rest] as args, keywords=keywords):
            yield "missing call", first
            for i in range(len(rest)):
                swapped = [*args[:i], args[i + 1], args[i], *args[i + 2 :]]
                yield "swapped arguments", ast.Call(func, swapped, keywords)
        case ast.Attribute(value=value, attr="T"):
            yield "not transposed", value
        case ast.Constant(value=bool(value)):
            yield "constant", ast.Constant(not value)
        case ast.Constant(value=int(value) | float(value)):
            yield "constant", ast.Constant(value + 1)
        case ast.Name(id=name, ctx=ast.Load()) if name in arrays:
            yield from (("other argument", ast.Name(other)) for other in arrays if other != name)


def _is_library(node: ast.expr) -> bool:
    """Return whether this is a module or a part of one, such as ``np.add``."""
    return ast.unparse(node).partition(".")[0] in _LIBRARIES
