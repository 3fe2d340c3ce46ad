"""The table of derivatives: how an op is declared, and what happens when it is called.

An op is a plain function of arrays. Above it stands its derivative, an entry for each
differentiable argument, keyed by the argument's name::

    @differentiable(a=lambda g, b: g * b,          # d(ab)/da = b
                    b=lambda g, a: g * a)          # d(ab)/db = a
    def mul(a, b):
        return a * b

``g`` is the gradient of the final result with respect to the op's output. Every further parameter
of an entry names what the entry reads, and so what the graph keeps until the walk has passed:

- an argument of the op (``b``: its array),
- ``y``, the op's own output (exp is its own derivative, and needs nothing else),
- an argument's shape (``x_shape``: the array itself is let go).

A formula is written with operators, methods and NumPy functions. Given arrays it computes; given
tensors it is recorded like any other computation, and *that* is differentiation to any order.

The ops are in `minigrad.ops`, the walk back that calls the entries in `minigrad.autograd`.
"""

from __future__ import annotations

import functools
import inspect
import itertools
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from minigrad import graph
from minigrad.device import common_device, device_of
from minigrad.grad_mode import mode
from minigrad.graph import CONSTANT, Node, Variable, Version

F = TypeVar("F", bound=Callable[..., Any])

_FLOAT32 = np.dtype(np.float32)
_ALIASES = {"axis": "dim", "keepdims": "keepdim", "unbiased": "correction"}  # other spellings
_new = object.__new__


class Plan:
    """What an op keeps, and which entries it calls, when a given set of arguments is tracked."""

    def __init__(self, op: Op, tracked: list[int]) -> None:
        self.op = op
        self.arguments = tracked
        entries = [op.entries[i] for i in tracked]
        read = dict.fromkeys(name for _, reads in entries for name in reads)  # each once, in order
        arrays = [name for name in read if name in op.slots]
        shapes = [name for name in read if name not in op.slots]
        self.names = arrays + shapes
        self.keep = [op.slots[name] for name in arrays]
        #: all values -> those that are kept; their versions -> how often each was changed so far
        self.pick = _generate("values", [f"values[{i}]" for i in self.keep], tuple)
        counts = [f"versions[{i}].count" for i in range(len(arrays))]
        self.counts = _generate("versions", counts, tuple)
        self.shapes = [op.slots[name.removesuffix("_shape")] for name in shapes]
        #: for each tracked argument its derivative, as a function of g and of what is kept
        self.derivatives = [
            _generate(
                "g, kept", ["g", *[f"kept[{self.names.index(n)}]" for n in reads]], derivative
            )
            for derivative, reads in entries
        ]


def _generate(parameters: str, values: list[str], function: Callable[..., Any]) -> Any:
    """Return ``lambda parameters: function(*values)``, written out: quicker than any loop."""
    call = "".join(f"{value}, " for value in values)
    call = f"({call})" if function is tuple else f"function({call})"
    return eval(f"lambda {parameters}: {call}", {"function": function})


class Op:
    """A function of arrays with its entries in the derivative table, read once, at import."""

    def __init__(self, function: Callable[..., Any], derivatives: dict[str, Callable[..., Any]]):
        self.function = function
        self.name = function.__name__
        self.signature = inspect.signature(function)
        self.parameters = list(self.signature.parameters)
        self.arity = len(self.parameters)
        if "y" in self.parameters:
            raise TypeError(f"{self.name}: y is the op's output; an argument needs another name")
        self.defaults = tuple(p.default for p in self.signature.parameters.values())
        self.required = self.defaults.count(inspect.Parameter.empty)
        self.slots = {name: i for i, name in enumerate([*self.parameters, "y"])}
        self.entries: dict[int, tuple[Callable[..., Any], tuple[str, ...]]] = {}
        for argument, derivative in derivatives.items():
            reads = tuple(inspect.signature(derivative).parameters)[1:]  # the first is g itself
            for name in [argument, *(name.removesuffix("_shape") for name in reads)]:
                if name not in self.slots:
                    raise TypeError(f"{self.name} has no argument {name!r}: {self.parameters}")
            self.entries[self.slots[argument]] = (derivative, reads)
        self.plans: dict[int, Plan | None] = {}

    def plan(self, tracked: int) -> Plan | None:
        """Return the plan for the arguments whose bits are set in ``tracked``, made once each."""
        arguments = [i for i in range(self.arity) if tracked >> i & 1]
        if self.entries and (missing := [i for i in arguments if i not in self.entries]):
            names = ", ".join(self.parameters[i] for i in missing)
            raise TypeError(f"{self.name} has no derivative for {names}: detach() what is passed")
        plan = Plan(self, arguments) if self.entries else None
        self.plans[tracked] = plan
        return plan

    def bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
        """Return all arguments by position; ``axis`` means ``dim``, ``keepdims`` ``keepdim``."""
        names = {_ALIASES.get(name, name): value for name, value in kwargs.items()}
        try:
            bound = self.signature.bind(*args, **names)
        except TypeError as error:
            raise TypeError(f"{self.name}(): {error}") from None
        bound.apply_defaults()
        return bound.args


_seq = itertools.count()


def differentiable(**derivatives: Callable[..., Any]) -> Callable[[F], F]:
    """Put a function of arrays into the table of derivatives.

    Called with arrays, the decorated function returns an array; with at least one tensor, a tensor,
    recorded if an argument that needs a gradient is among the keys. Python scalars take the
    tensor's dtype, as do NumPy's; float64 or float16 appears in the result only if it came in.

    Args:
        derivatives: for each differentiable argument, by name, a function ``(g, ...)`` that returns
            the gradient for that argument. It need not sum over broadcast dimensions: the engine
            does. What its further parameters may be called stands at the top of this file.

    Raises:
        TypeError: a derivative reads something that the function does not have.

    Examples:
        >>> import minigrad
        >>> @minigrad.differentiable(x=lambda g, x: g * 3 * x * x)
        ... def cube(x):
        ...     return x * x * x
        >>> x = minigrad.tensor(2.0, requires_grad=True)
        >>> cube(x).backward()
        >>> x.grad
        tensor(12.)
    """

    def decorate(function: F) -> F:
        op = Op(function, derivatives)
        arity, required, defaults, plans = op.arity, op.required, op.defaults, op.plans

        @functools.wraps(function)
        def apply(*args: Any, **kwargs: Any) -> Any:
            if kwargs or not required <= len(args) <= arity:
                args = op.bind(args, kwargs)
            elif len(args) < arity:
                args += defaults[len(args) :]
            values, versions, parents, first, tracked, bit = [], [], [], None, 0, 1
            for a in args:
                if isinstance(a, Variable):
                    values.append(a.data)
                    versions.append(a._version)
                    if first is None:
                        first = a
                    if a._requires_grad:
                        tracked |= bit
                        parents.append(a.grad_fn or a)
                else:  # NumPy's scalars are strongly typed where Python's are not
                    values.append(a.item() if isinstance(a, np.generic) else a)
                    versions.append(CONSTANT)
                bit <<= 1
            if first is None:
                return function(*args)

            try:
                y = function(*values)
            except (TypeError, ValueError):
                if (moved := _with_numbers_moved(args, values)) is None:
                    raise
                return apply(*moved)
            if type(y) is not np.ndarray and isinstance(y, np.generic):
                y = np.asarray(y)
            dtype = y.dtype
            if dtype is not _FLOAT32 and dtype.kind == "f" and not _came_in(dtype, values):
                y, dtype = y.astype(_FLOAT32), _FLOAT32
            version = Version()
            if y is first.data:
                version = first._version
            elif y.base is not None and np.may_share_memory(y, first.data):
                version = first._version  # a view; if any, of the first tensor, for every op here
                version.viewed = True
            result = _new(graph.result_class)
            result.data, result.grad, result._version = y, None, version
            plan = None
            if tracked and mode.recording:
                plan = plans[tracked] if tracked in plans else op.plan(tracked)
            if plan is None or dtype.kind != "f":
                result.grad_fn, result._requires_grad = None, False
                return result

            node = _new(Node)
            result.grad_fn, result._requires_grad = node, True
            node.seq = next(_seq)
            node.plan = plan
            node.parents = parents
            node.shape, node.dtype = y.shape, dtype
            if not plan.names:
                node._kept, node._versions, node._counts = (), (), ()
                return result
            values.append(y)
            versions.append(version)
            node._kept = plan.pick(values)
            node._versions = plan.pick(versions)
            node._counts = plan.counts(node._versions)
            if plan.shapes:
                node._kept += tuple([np.shape(values[i]) for i in plan.shapes])
            return result

        apply.op = op  # type: ignore[attr-defined]
        return apply  # type: ignore[return-value]

    return decorate


def _with_numbers_moved(args: tuple[Any, ...], values: list[Any]) -> tuple[Any, ...] | None:
    """Return an op's arguments with tensors of one number on the GPU where the others are.

    None means that all are where they should be.

    Raises:
        RuntimeError: the arguments live on several devices.
    """
    home = common_device(values)
    strangers = [isinstance(a, Variable) and device_of(a.data) != home for a in args]
    if not any(strangers):
        return None
    return tuple(a.to(home) if s else a for a, s in zip(args, strangers, strict=True))


def numpy_keywords(function: F) -> F:
    """Let a function of ``dim`` and ``keepdim`` take ``axis`` and ``keepdims`` too, as ops do."""

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **{_ALIASES.get(k, k): v for k, v in kwargs.items()})

    return wrapper  # type: ignore[return-value]


def _came_in(dtype: np.dtype[Any], values: list[Any]) -> bool:
    """Return whether an array of a dtype is among ``values``, or the dtype itself, asked for."""
    return any(
        isinstance(own, np.dtype) and own == dtype
        for own in (getattr(value, "dtype", value) for value in values)
    )
