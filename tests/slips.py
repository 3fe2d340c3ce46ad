"""Slips of the pen in any function: a comparison, a number or an operator taken for another.

Where `tests.mutants` knows what a formula is made of, this knows Python alone. A `Slip` is planted
by giving the function, which may have been imported anywhere, other code.
"""

from __future__ import annotations

import ast
import contextlib
import copy
import importlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from types import CodeType, FunctionType
from typing import Any

from tests.mutants import ROOT

_OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult, ast.Mod: ast.FloorDiv, ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd, ast.LShift: ast.RShift, ast.RShift: ast.LShift,
}  # fmt: skip
_COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Gt: (ast.GtE, ast.Lt), ast.GtE: (ast.Gt, ast.LtE), ast.Lt: (ast.LtE, ast.Gt),
    ast.LtE: (ast.Lt, ast.GtE), ast.Eq: (ast.NotEq,), ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,), ast.IsNot: (ast.Is,), ast.In: (ast.NotIn,), ast.NotIn: (ast.In,),
}  # fmt: skip


@dataclass(frozen=True)
class Slip:
    """A function with one thing changed.

    Attributes:
        module: its file, relative to the repository.
        owner: the function, with the class that it is of.
        line: where the change is.
        kind: what was changed.
        before, after: the statement, or the first line of it.
        tree, node, new: the module, a part of it, and what takes the place of that.
    """

    module: str
    owner: str
    line: int
    kind: str
    before: str
    after: str
    tree: ast.Module
    node: ast.AST
    new: ast.AST

    def __str__(self) -> str:
        return f"{self.owner}: {self.before} → {self.after}"

    def plant(self) -> None:
        """Give the function the other code, in this process, for good."""
        either = ast.If if isinstance(self.node, ast.stmt) else ast.IfExp
        parts = ([self.node], [self.new]) if either is ast.If else (self.node, self.new)
        new = either(ast.Constant(False), *parts)  # whatever was read is named still: as a cell
        _give(self.module, copy.deepcopy(self.tree, {id(self.node): new}), [self.owner])


def slips(module: str) -> list[Slip]:
    """Return all slips in the functions and methods of a module, given by its path."""
    tree = ast.parse((ROOT / module).read_bytes())
    found = []
    for owner, function in _functions(module, tree):
        for kind, node, new in _changes(function):
            statement = _statement(function, node)
            texts = _head(statement), _head(copy.deepcopy(statement, {id(node): new}))
            found.append(Slip(module, owner, node.lineno, kind, *texts, tree, node, new))
    return found


def watch(module: str, note: Callable[[tuple[str, str]], object]) -> None:
    """Have each of these functions call ``note`` with (module, its name), in this process."""
    tree = ast.parse((ROOT / module).read_bytes())
    owners = []
    for owner, function in _functions(module, tree):
        call = ast.parse(f"__note__(({module!r}, {owner!r}))").body[0]
        function.body.insert(ast.get_docstring(function) is not None, call)
        owners.append(owner)
    vars(importlib.import_module(_name(module)))["__note__"] = note
    _give(module, tree, owners)


def _functions(
    module: str, tree: ast.AST, prefix: str = ""
) -> Iterator[tuple[str, ast.FunctionDef]]:
    """Yield the functions and methods in a tree, but those that a decorator made something of."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef):
            with contextlib.suppress(AttributeError, KeyError):
                _live(module, prefix + node.name)
                yield prefix + node.name, node
        elif isinstance(node, ast.ClassDef):
            yield from _functions(module, node, f"{prefix}{node.name}.")


def _give(module: str, tree: ast.Module, owners: Iterable[str]) -> None:
    """Give functions of a module the code that a tree has for them."""
    code = compile(ast.fix_missing_locations(tree), str(ROOT / module), "exec")
    for owner in owners:
        _live(module, owner).__code__ = _code_of(code, owner)


def _name(module: str) -> str:
    return module.removesuffix(".py").replace("/", ".")


def _live(module: str, owner: str) -> FunctionType:
    """Return the function of a name, out of what decorators have put around it."""
    value: Any = importlib.import_module(_name(module))
    for name in owner.split("."):
        value = vars(value)[name]
    while not isinstance(value, FunctionType) or hasattr(value, "__wrapped__"):
        inner = (getattr(value, name, None) for name in ("__wrapped__", "fget", "__func__"))
        value = next(filter(None, inner), None)
        if value is None:
            raise AttributeError(f"{owner} is no function")
    return value


def _code_of(code: CodeType, owner: str) -> CodeType:
    for name in owner.split("."):
        code = next(c for c in code.co_consts if isinstance(c, CodeType) and c.co_name == name)
    return code


def _head(statement: ast.AST) -> str:
    """Return a statement, without what is within it, and without the words of an error."""
    if isinstance(statement, ast.Raise) and isinstance(statement.exc, ast.Call):
        return f"raise {ast.unparse(statement.exc.func)}(...)"
    return ast.unparse(statement).partition("\n")[0]


def _statement(function: ast.FunctionDef, node: ast.AST) -> ast.stmt:
    """Return the innermost statement that a node is part of."""
    around = [s for s in ast.walk(function) if isinstance(s, ast.stmt) and s is not function]
    return [s for s in around if any(n is node for n in ast.walk(s))][-1]


# ------------------------------------------------------------------------- what slips


def _changes(function: ast.FunctionDef) -> Iterator[tuple[str, ast.AST, ast.AST]]:
    """Yield what is changed in a function: the kind, a node, and what takes its place."""
    for statement in function.body[ast.get_docstring(function) is not None :]:
        for node in _written(statement):
            yield from ((kind, node, new) for kind, new in _of_statement(node))
            yield from ((kind, node, new) for kind, new in _of_expression(node))


def _written(node: ast.AST) -> Iterator[ast.AST]:
    """Yield a node and all within it, but types, texts of messages, and what only asserts or saves
    time: ``strict`` and ``copy=False``."""
    if isinstance(node, ast.keyword):
        value = node.value.value if isinstance(node.value, ast.Constant) else None
        if node.arg == "strict" or (node.arg == "copy" and value is False):
            return
    yield node
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list") or isinstance(node, ast.JoinedStr):
            continue
        if isinstance(node, ast.Raise) and name == "exc":  # its words are its own affair
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield from _written(child)


def _of_statement(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    match node:
        case (
            ast.Expr(value=ast.Call() | ast.Yield()) | ast.Raise() | ast.AugAssign() | ast.Delete()
        ):
            if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Yield)):
                yield "missing statement", ast.copy_location(ast.Pass(), node)
        case ast.Assign(targets=[ast.Attribute() | ast.Subscript() | ast.Tuple()]):
            yield "missing statement", ast.copy_location(ast.Pass(), node)
        case ast.Continue() | ast.Break():
            yield "missing statement", ast.copy_location(ast.Pass(), node)
        case ast.Return(value=ast.expr() as value) if not isinstance(value, ast.Constant):
            yield "nothing returned", ast.copy_location(ast.Return(ast.Constant(None)), node)


def _of_expression(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    match node:
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            yield "operator", ast.BinOp(left, _OPERATORS[type(op)](), right)
        case ast.Compare(left=left, ops=[op, *ops], comparators=comparators):
            for other in _COMPARISONS[type(op)]:
                yield "comparison", ast.Compare(left, [other(), *ops], comparators)
        case ast.BoolOp(op=op, values=values):
            yield "and, or", ast.BoolOp(ast.Or() if isinstance(op, ast.And) else ast.And(), values)
        case ast.UnaryOp(op=ast.Not() | ast.USub(), operand=operand):
            yield "sign", operand
        case ast.If(test=test, body=body, orelse=orelse):
            yield "condition", ast.If(ast.UnaryOp(ast.Not(), test), body, orelse)
        case ast.IfExp(body=body, orelse=orelse):
            yield "missing case", body
            yield "missing case", orelse
        case ast.Constant(value=bool(value)):
            yield "constant", ast.Constant(not value)
        case ast.Constant(value=int(value) | float(value)):
            yield "constant", ast.Constant(value + 1)
