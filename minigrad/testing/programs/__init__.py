"""Programs over the op table, as data: drawn at random, run in any engine, printed as Python.

A program is a list of steps. Each calls one op; its result is the register ``t0``, ``t1``, ... that
later steps read. Nothing is said about how an engine spells an op: that is what ``call`` is for.

These test an engine, and not anybody's dropout: `builder` draws the steps, `forms` and `edges` say
which.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import minigrad

Call = Callable[..., Any]  # (op, *args, **options) -> what the op returns


class Ref(int):
    """The number of a register, where a step reads it."""

    def __repr__(self) -> str:
        return f"t{int(self)}"


@dataclass(frozen=True)
class Step:
    """One call of an op.

    Attributes:
        op: a name in `minigrad.ops`; ``"tensor"`` for a new leaf; a name that ends in ``_`` for a
            change in place of the first argument (``"setitem_"`` for ``t[index] = value``).
        args: registers, numbers, constant arrays, and tuples or lists of these.
        options: likewise, by name.
        part: which of several results is meant, for ``max`` and ``min`` along a dimension.
    """

    op: str
    args: tuple[Any, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)
    part: int | None = None

    @property
    def target(self) -> int | None:
        """The register that is changed in place; None if the result is a new one."""
        return int(self.args[0]) if self.op.endswith("_") else None

    @property
    def reads(self) -> list[int]:
        """The registers that are read, among them one that is changed."""
        return [int(ref) for ref in _refs([self.args, self.options])]

    def run(self, registers: Sequence[Any], call: Call) -> Any:
        """Return the result, given the registers before it and an engine."""
        args, options = resolve((self.args, self.options), registers)
        result = call(self.op, *args, **options)
        return result if self.part is None else result[self.part]

    def text(self, register: int) -> str:
        """Return the step as a line of Python; ``register`` is the number of a new result."""
        args = [text_of(a) for a in self.args]
        options = [f"{name}={text_of(value)}" for name, value in self.options.items()]
        if self.op == "setitem_":
            return f"{args[0]}[{args[2]}] = {args[1]}"
        if self.target is not None:
            return f"{args[0]}.{self.op}({', '.join(args[1:] + options)})"
        if self.op == "getitem":
            return f"{Ref(register)!r} = {args[0]}[{args[1]}]"
        part = "" if self.part is None else f"[{self.part}]"
        return f"{Ref(register)!r} = {self.op}({', '.join(args + options)}){part}"


@dataclass(frozen=True)
class Program:
    """Steps in the order in which they run.

    Examples:
        >>> program = Program((
        ...     Step("tensor", (np.array([1.0, 2.0]),), {"requires_grad": True}),
        ...     Step("mul", (Ref(0), Ref(0))),
        ...     Step("add_", (Ref(1), 0.5)),
        ... ))
        >>> print(program)
        t0 = tensor(np.array([1.0, 2.0]), requires_grad=True)
        t1 = mul(t0, t0)
        t1.add_(0.5)
        >>> x, y = program.run()
        >>> y.sum().backward()
        >>> x.grad
        tensor([2., 4.], dtype=minigrad.float64)
    """

    steps: tuple[Step, ...]

    def run(self, call: Call | None = None) -> list[Any]:
        """Return all registers.

        Args:
            call: runs an op by name, ``call(op, *args, **options)``; None for minigrad's. A leaf is
                asked for by ``call("tensor", array, requires_grad=...)``.
        """
        registers: list[Any] = []
        for step in self.steps:
            result = step.run(registers, call or minigrad_call)
            if step.target is None:
                registers.append(result)
            else:
                registers[step.target] = result
        return registers

    def __str__(self) -> str:
        """Return Python that runs after ``from minigrad import *`` and ``import numpy as np``."""
        lines, count = [], 0
        for step in self.steps:
            lines.append(step.text(count))
            count += step.target is None
        return "\n".join(lines)

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:  # what hypothesis shows
        printer.text("\n" + str(self))


def minigrad_call(op: str, *args: Any, **options: Any) -> Any:
    """Run an op of a program in minigrad."""
    if op == "getitem":
        return args[0][args[1]]
    if op == "setitem_":
        target, value, index = args
        target[index] = value
        return target
    if op.endswith("_"):
        return getattr(args[0], op)(*args[1:], **options)
    return getattr(minigrad, op)(*args, **options)


def resolve(value: Any, registers: Sequence[Any]) -> Any:
    """Return ``value`` with every `Ref` in it replaced by the register that it names."""
    if isinstance(value, Ref):
        return registers[value]
    if isinstance(value, dict):
        return {name: resolve(v, registers) for name, v in value.items()}
    if type(value) in (tuple, list):
        return type(value)(resolve(v, registers) for v in value)
    return value


def _refs(value: Any) -> Iterator[Ref]:
    if isinstance(value, Ref):
        yield value
    elif isinstance(value, dict | list | tuple):
        for v in value.values() if isinstance(value, dict) else value:
            yield from _refs(v)


def text_of(value: Any) -> str:
    """Return an argument as Python."""
    if isinstance(value, np.ndarray):
        plain = value.dtype in (np.float64, np.int64, np.bool_) and value.size
        dtype = "" if plain else f", np.{value.dtype.name.replace('bool', 'bool_')}"
        shape = "" if value.size else f".reshape({value.shape})"
        return f"np.array({value.tolist()}{dtype}){shape}"
    if type(value) in (tuple, list):
        inner = ", ".join(map(text_of, value))
        if isinstance(value, list):
            return f"[{inner}]"
        return f"({inner},)" if len(value) == 1 else f"({inner})"
    if isinstance(value, slice):
        return f"slice({text_of(value.start)}, {text_of(value.stop)}, {text_of(value.step)})"
    return "..." if value is Ellipsis else repr(value)
