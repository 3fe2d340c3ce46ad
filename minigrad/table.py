"""The table of derivatives: how an op is declared, and what a call of it does.

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

An op of any number of tensors, ``*tensors``, has one entry for all of them, ``lambda i: lambda g:
...``: the i-th tensor's is what it returns for i.

A formula is written with operators, methods, NumPy functions and other ops. Given arrays it
computes; given tensors it is recorded like any other computation, and *that* is differentiation to
any order.

The ops are in `minigrad.ops`. What a recorded call leaves behind is in `minigrad.graph`, and the
walk back that calls the entries in `minigrad.autograd`.
"""

from __future__ import annotations

import functools
import inspect
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np

from minigrad.device import gpus, on_device_of
from minigrad.grad_mode import modes
from minigrad.graph import NEVER_STALE, Node, Storage, TensorBase, wrap
from minigrad.misfits import in_pytorchs_words, on_one_device, wrapped
from minigrad.spellings import bind

F = TypeVar("F", bound=Callable[..., Any])
FLOAT32 = np.dtype(np.float32)


OUTPUT = -1


class Read(NamedTuple):
    """Something that a formula reads.

    Attributes:
        name: what the formula calls it.
        place: which argument of the op it is; OUTPUT for ``y``.
        only_shape: whether the formula wants its shape, and not itself.
    """

    name: str
    place: int
    only_shape: bool


class Derivative(NamedTuple):
    """An entry of the table: the gradient for one argument of an op.

    Attributes:
        formula: returns that gradient, given ``g`` and what it reads.
        names: the names of what it reads, in order.
        reads: what it reads.
    """

    formula: Callable[..., Any]
    names: tuple[str, ...]
    reads: tuple[Read, ...]


class Op:
    """A function of arrays with its entries in the table, read once, at import.

    Attributes:
        parameters: those of the function.
        defaults: by the names of the parameters that have one.
        entries: by the names of the arguments that have one.
        derivatives: the same in the order of the arguments; None for an argument without.
        arity: how many arguments there are; None for any number.
    """

    def __init__(self, function: Callable[..., Any], formulas: dict[str, Callable[..., Any]]):
        self.function, self.name = function, function.__name__
        self.parameters = inspect.signature(function).parameters
        given = self.parameters.items()
        self.defaults = {name: p.default for name, p in given if p.default is not p.empty}
        for name, parameter in self.parameters.items():
            if name == "y":
                raise TypeError(f"{self.name}: y is the op's output, and no argument's name")
            if parameter.kind > inspect.Parameter.VAR_POSITIONAL:
                raise TypeError(f"{self.name}: an op's arguments are positional, {name} is not")
        self.any_number = any(p.kind == p.VAR_POSITIONAL for p in self.parameters.values())
        self.arity = None if self.any_number else len(self.parameters)
        self.entries: dict[str, Derivative] = {}
        self.derivatives: Iterable[Derivative | None] = ()
        for argument, formula in formulas.items():
            self.enter(argument, formula)

    def enter(self, argument: str, formula: Callable[..., Any]) -> None:
        """Put the formula for an argument into the table."""
        of_each = self.any_number and argument == [*self.parameters][-1]
        parameters = inspect.signature(formula(0) if of_each else formula).parameters
        if not parameters:
            raise TypeError(f"{self.name}: the formula for {argument} has no parameter for g")
        _, *names = parameters  # the first is g itself
        places = {name: place for place, name in enumerate(self.parameters)} | {"y": OUTPUT}
        arrays = [name if name in places else name.removesuffix("_shape") for name in names]
        for name in [argument, *arrays]:
            if name not in places:
                raise TypeError(f"{self.name} has no argument {name!r}: {[*self.parameters]}")
        reads = [Read(n, places[a], a != n) for n, a in zip(names, arrays, strict=True)]
        self.entries[argument] = Derivative(formula, tuple(names), tuple(reads))
        self.derivatives = [self.entries.get(name) for name in self.parameters]
        if self.any_number:
            self.derivatives = _OfAnyNumber(self.derivatives)


class _OfAnyNumber:
    """The derivatives of an op of any number of tensors: the last entry gives one for each."""

    def __init__(self, derivatives: Sequence[Derivative | None]) -> None:
        self.derivatives = derivatives

    def __iter__(self) -> Iterator[Derivative | None]:
        *first, last = self.derivatives
        yield from first
        for i in itertools.count():
            yield last and last._replace(formula=last.formula(i))


def differentiable(**derivatives: Callable[..., Any]) -> Callable[[F], F]:
    """Put a function of arrays into the table of derivatives.

    Called with arrays, the decorated function returns an array; with at least one tensor, a tensor,
    recorded if an argument that needs a gradient is among the keys. Python scalars take the
    tensor's dtype, as do NumPy's; float64 or float16 appears in the result only if it came in.

    Args:
        derivatives: for each differentiable argument, by name, a function ``(g, ...)`` that returns
            the gradient for that argument. It need not sum over broadcast dimensions: the engine
            does. Its further parameters are the names of what it reads: an argument (``b``), the
            op's own output (``y``), or an argument's shape (``x_shape``).

    Raises:
        TypeError: a derivative reads something that the function does not have; an argument is
            called y, or cannot be given by position.

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
        arity = op.arity

        @functools.wraps(function)
        def run(*args: Any, **kwargs: Any) -> Any:
            if len(args) != arity or kwargs:
                args = bind(op, args, kwargs)
            return call(op, args)

        run.op = op  # type: ignore[attr-defined]
        return run  # type: ignore[return-value]

    return decorate


def call(op: Op, args: Sequence[Any]) -> Any:
    """Run an op on arrays or tensors, and record it.

    Args:
        op: an entry of the table.
        args: all arguments of its function, by position.
    """
    # unwrap the tensors
    values: list[Any] = []
    sources: list[Node | TensorBase | None] = []
    any_tensor = needed = False
    for arg in args:
        source = None
        if isinstance(arg, TensorBase):
            values.append(arg.array)
            any_tensor = True
            if arg._requires_grad:
                source, needed = arg.grad_fn or arg, True
        else:  # NumPy's scalars are strongly typed where Python's are not
            values.append(arg.item() if isinstance(arg, np.generic) else arg)
        sources.append(source)
    if not any_tensor:
        return op.function(*args)

    # compute
    try:
        if gpus.several:
            with on_device_of(*values):  # CuPy computes on the current GPU: be it theirs
                y = op.function(*values)
        else:
            y = op.function(*values)
    except (TypeError, ValueError, OverflowError) as error:
        if mended := on_one_device(args, values) or wrapped(op.name, args, values):
            return call(op, mended)
        raise in_pytorchs_words(error, values) from error
    if y.dtype is not FLOAT32 or isinstance(y, np.generic):
        y = _settled(y, values)

    # wrap the result, and record where it came from
    owns_memory = y.base is None and id(y) not in map(id, values)
    storage = Storage() if owns_memory else _shared_storage(y, args)
    if needed and op.entries and y.dtype.kind == "f" and modes.get()[-1]:
        return wrap(y, True, _record(op, args, values, sources, y, storage), storage)
    return wrap(y, False, None, storage)


def _record(
    op: Op,
    args: Sequence[Any],
    values: Sequence[Any],
    sources: list[Node | TensorBase | None],
    y: Any,
    storage: Storage,
) -> Node:
    """Return a node that keeps what the entries for the arguments with a source read."""
    kept: dict[str, Any] = {}
    flags: list[bytearray] = []
    for derivative, source in zip(op.derivatives, sources):  # noqa: B905
        if source is None:
            continue
        if derivative is None:
            pairs = zip(op.parameters, sources, strict=False)
            names = ", ".join(n for n, s in pairs if s is not None and n not in op.entries)
            raise TypeError(f"{op.name} has no derivative for {names}: detach() what is passed")
        for name, place, only_shape in derivative.reads:
            if name in kept:
                continue
            if place == OUTPUT:
                value, flag = y, storage.stale
            else:
                value, arg = values[place], args[place]
                flag = arg._storage.stale if isinstance(arg, TensorBase) else NEVER_STALE
            if only_shape:
                value, flag = np.shape(value), NEVER_STALE
            kept[name] = value
            flags.append(flag)
    return Node(op, sources, kept, flags, y)


def _settled(y: Any, values: list[Any]) -> Any:
    """Return a result as an array, and in float64 or float16 only if that came in."""
    if isinstance(y, np.generic):  # what NumPy makes of 0-d arrays
        y = np.asarray(y)
    if y.dtype.kind == "f" and y.dtype != FLOAT32:
        came_in = [getattr(value, "dtype", value) for value in values]  # or a dtype, asked for
        if not any(isinstance(dtype, np.dtype) and dtype == y.dtype for dtype in came_in):
            return y.astype(FLOAT32)
    return y


def _shared_storage(y: Any, args: Sequence[Any]) -> Storage:
    """Return the storage of the tensor whose memory an op returned, or a new one if none is."""
    for tensor in args:
        if not isinstance(tensor, TensorBase):
            continue
        if y is tensor.array:
            return tensor._storage
        if _owner(y) is _owner(tensor.array):
            tensor._storage.viewed = True
            return tensor._storage
    return Storage()


def _owner(array: Any) -> Any:
    """Return the array, or what else it is, that the memory of a view belongs to."""
    while getattr(array, "base", None) is not None:
        array = array.base
    return array
