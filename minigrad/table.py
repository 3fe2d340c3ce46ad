"""The table of derivatives: how an op is declared.

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

An argument called ``dim``, ``keepdim`` or ``correction`` may be given in NumPy's spelling too:
``axis``, ``keepdims``, or PyTorch's older ``unbiased``.

A formula is written with operators, methods and NumPy functions. Given arrays it computes; given
tensors it is recorded like any other computation, and *that* is differentiation to any order.

The ops are in `minigrad.ops`, what a call of one does in `minigrad.call`, and the walk back that
calls the entries in `minigrad.autograd`.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar

from minigrad.call import OTHER_SPELLINGS, call_of, keeper, watcher

F = TypeVar("F", bound=Callable[..., Any])


class Plan:
    """What an op keeps, and which entries it calls, when a given set of arguments is tracked."""

    def __init__(self, op: Op, tracked: list[int]) -> None:
        self.op = op
        self.arguments = tracked
        entries = [op.entries[i] for i in tracked]
        read = dict.fromkeys(name for _, reads in entries for name in reads)  # each once, in order
        arrays = [name for name in read if name in op.slots]
        shapes = [name for name in read if name not in op.slots]
        self.names = (*arrays, *shapes)
        self.slots = [op.slots[name] for name in arrays]  # where they stand among all values
        #: all values and their versions -> what a node keeps of them
        self.keep = keeper(list(op.slots), arrays, [n.removesuffix("_shape") for n in shapes])
        #: what a node keeps -> whether an array of it was changed in place since
        self.changed = watcher(len(arrays), len(shapes))
        #: for each tracked argument its derivative, as a function of g and of what is kept
        self.derivatives = [
            _reading(derivative, [self.names.index(name) for name in reads])
            for derivative, reads in entries
        ]


def _reading(derivative: Callable[..., Any], places: list[int]) -> Callable[..., Any]:
    """Return ``lambda g, kept: derivative(g, kept[i], kept[j], ...)``, written out."""
    kept = "".join(f", kept[{i}]" for i in places)
    return eval(f"lambda g, kept: derivative(g{kept})", {"derivative": derivative})


class Op:
    """A function of arrays with its entries in the derivative table, read once, at import."""

    def __init__(self, function: Callable[..., Any], derivatives: dict[str, Callable[..., Any]]):
        self.function = function
        self.name = function.__name__
        signature = inspect.signature(function)
        self.parameters = list(signature.parameters)
        self.arity = len(self.parameters)
        for name, parameter in signature.parameters.items():
            if name == "y" or name.startswith("_"):
                raise TypeError(
                    f"{self.name}: an argument needs another name than {name!r} (y is the op's "
                    "output, and names that begin with _ are taken)"
                )
            if parameter.kind > inspect.Parameter.POSITIONAL_OR_KEYWORD:
                raise TypeError(f"{self.name}: an op's arguments are positional, {name} is not")
        self.defaults = [p.default for p in signature.parameters.values()]
        self.slots = {name: i for i, name in enumerate([*self.parameters, "y"])}
        self.entries: dict[int, tuple[Callable[..., Any], tuple[str, ...]]] = {}
        for argument, derivative in derivatives.items():
            reads = tuple(inspect.signature(derivative).parameters)[1:]  # the first is g itself
            for name in [argument, *(name.removesuffix("_shape") for name in reads)]:
                if name not in self.slots:
                    raise TypeError(f"{self.name} has no argument {name!r}: {self.parameters}")
            self.entries[self.slots[argument]] = (derivative, reads)
        self.plans: dict[int, Plan] = {}

    def plan(self, tracked: int) -> Plan:
        """Return the plan for the arguments whose bits are set in ``tracked``, made once each."""
        arguments = [i for i in range(self.arity) if tracked >> i & 1]
        if missing := [i for i in arguments if i not in self.entries]:
            names = ", ".join(self.parameters[i] for i in missing)
            raise TypeError(f"{self.name} has no derivative for {names}: detach() what is passed")
        plan = self.plans[tracked] = Plan(self, arguments)
        return plan


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
        TypeError: a derivative reads something that the function does not have; an argument is
            called y, has a name that begins with an underscore, or cannot be given by position.

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
        call: Any = functools.update_wrapper(call_of(op), function)
        call.op = op
        return call

    return decorate


_SPELLINGS = {other: name for name, other in OTHER_SPELLINGS.items()}


def numpy_keywords(function: F) -> F:
    """Let a function of ``dim`` and ``keepdim`` take ``axis`` and ``keepdims`` too, as ops do."""

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **{_SPELLINGS.get(k, k): v for k, v in kwargs.items()})

    return wrapper  # type: ignore[return-value]
