"""The engine: a table of derivatives, the graph of what was computed, one walk back through it.

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

This file knows no op and no tensor library; `Variable` is all it asks of a tensor.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import itertools
import operator
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias, TypeVar

import numpy as np

Array: TypeAlias = Any  # a numpy.ndarray or a cupy.ndarray
F = TypeVar("F", bound=Callable[..., Any])
V = TypeVar("V", bound="Variable")

_FLOAT64 = np.dtype(np.float64)
_ALIASES = {"axis": "dim", "keepdims": "keepdim", "unbiased": "correction"}  # other spellings


# ------------------------------------------------------------------------- whether to record


class _Mode(threading.local):
    recording = True


_mode = _Mode()


def is_grad_enabled() -> bool:
    """Return whether this thread records what it computes."""
    return _mode.recording


class _GradMode(contextlib.ContextDecorator):
    """Recording on or off for a ``with`` block or a function, restored also by an exception."""

    def __init__(self, mode: bool) -> None:
        self.mode = bool(mode)
        self.outer: list[bool] = []  # a stack, since one object may be entered within itself

    def __enter__(self) -> None:
        self.outer.append(_mode.recording)
        _mode.recording = self.mode

    def __exit__(self, *exc: object) -> None:
        _mode.recording = self.outer.pop()

    def _recreate_cm(self) -> _GradMode:  # a decorated function may run in several threads
        return _GradMode(self.mode)


class no_grad(_GradMode):  # noqa: N801  (named as in PyTorch)
    """Do not record: ``with no_grad(): ...`` or ``@no_grad()`` above a function.

    Only what is computed inside is affected; ``backward()`` works here as anywhere.
    """

    def __init__(self) -> None:
        super().__init__(False)


class enable_grad(_GradMode):  # noqa: N801
    """Record again inside a `no_grad` block; a context manager and a decorator."""

    def __init__(self) -> None:
        super().__init__(True)


class set_grad_enabled(_GradMode):  # noqa: N801
    """Switch recording on or off, at once; in a ``with`` statement, until the block ends.

    Args:
        mode: True to record, False not to.
    """

    def __init__(self, mode: bool) -> None:
        super().__init__(mode)
        super().__enter__()

    def __exit__(self, *exc: object) -> None:
        super().__exit__(*exc)
        _mode.recording = self.outer[-1]

    def __call__(self, function: F) -> F:
        _mode.recording = self.outer[-1]  # a decorator switches nothing but its function
        return super().__call__(function)


# ------------------------------------------------------------------------- what is recorded


class Version:
    """What all views of one storage share: how often it was changed in place, and if views exist."""

    count = 0  # the class holds the initial state, so that making one costs next to nothing
    viewed = False


_CONSTANT = Version()  # of what is no tensor, and not watched


class Variable:
    """What the engine asks of a tensor. `minigrad.Tensor` is the one that people meet."""

    __slots__ = ("__weakref__", "_requires_grad", "_version", "data", "grad", "grad_fn")

    data: Array
    grad: Any  # the gradient of a leaf, itself a tensor
    grad_fn: Node | None  # the op that made it; None for a leaf
    _requires_grad: bool
    _version: Version

    @property
    def shape(self) -> tuple[int, ...]:
        return self.data.shape  # type: ignore[no-any-return]

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.data.dtype  # type: ignore[no-any-return]


_result_type: type[Variable] = Variable
_new = object.__new__


def result_type(cls: type[V]) -> type[V]:
    """Make ``cls`` the class of what an op returns (a decorator; the engine imports no Tensor)."""
    global _result_type
    _result_type = cls
    return cls


def wrap(
    data: Array,
    requires_grad: bool = False,
    grad_fn: Node | None = None,
    version: Version | None = None,
) -> Any:
    """Return a tensor around an array, which is neither converted nor copied."""
    if isinstance(data, np.generic):  # what NumPy makes of 0-d arrays
        data = np.asarray(data)
    tensor = _new(_result_type)
    tensor.data = data
    tensor.grad = None
    tensor.grad_fn = grad_fn
    tensor._requires_grad = requires_grad
    tensor._version = version or Version()
    return tensor


class Node:
    """One recorded op: where its gradient goes next, and what that computation will read.

    Nodes point back towards the leaves only, never at an intermediate tensor and never forward:
    no reference cycles, so that memory is freed the moment the last user lets go of the result.
    """

    __slots__ = (
        *("seq", "plan", "parents", "shape", "dtype"),
        *("_kept", "_versions", "_counts", "__weakref__"),
    )

    seq: int  # the order of creation: descending, it is a reverse topological order
    plan: Plan
    parents: list[Node | Variable]  # one for each of the plan's derivatives
    shape: tuple[int, ...]  # of the op's output, hence of the gradient that arrives here
    dtype: np.dtype[Any]
    _kept: tuple[Any, ...] | None  # by the plan's names; None once freed
    _versions: tuple[Version, ...]  # of what is kept, shapes aside,
    _counts: list[int]  # and what they counted then

    @property
    def name(self) -> str:
        """The op's name in PyTorch's style: ``MulBackward``."""
        return "".join(part.capitalize() for part in self.plan.op.name.split("_")) + "Backward"

    @property
    def saved(self) -> dict[str, Any]:
        """What the graph keeps for this node, by the names that its derivative uses.

        Raises:
            RuntimeError: it was freed by a backward pass, or changed in place since.
        """
        return dict(zip(self.plan.names, self._unpack(), strict=True))

    def _unpack(self) -> tuple[Any, ...]:
        if self._kept is None:
            raise RuntimeError(
                "Trying to backward through the graph a second time: what "
                f"{self.name} had saved was freed by the first backward pass. Specify "
                "retain_graph=True there if you need to go through the graph again."
            )
        counts = [version.count for version in self._versions]
        if counts != self._counts:
            slot = [now == then for now, then in zip(counts, self._counts, strict=True)].index(False)
            value = self._kept[slot]
            raise RuntimeError(
                "one of the variables needed for gradient computation has been modified by an "
                f"inplace operation: {self.plan.names[slot]} of {self.name}, a {value.dtype} tensor "
                f"of shape {value.shape}, is at version {counts[slot]}; expected version "
                f"{self._counts[slot]} instead. Use the out-of-place form of that operation, or "
                "change a clone()."
            )
        return self._kept

    def _unpack_as_variables(self) -> tuple[Any, ...]:
        """Return what is kept with its history, so that derivatives are recorded in their turn."""
        kept, op = list(self._unpack()), self.plan.op
        sources = dict(zip(self.plan.arguments, self.parents, strict=True))
        for slot, i in enumerate(self.plan.keep):
            source = self if i == op.arity else sources.get(i)
            if isinstance(source, Node):
                kept[slot] = wrap(kept[slot], True, source, self._versions[slot])
            elif source is not None:
                kept[slot] = source
        return tuple(kept)

    def __repr__(self) -> str:
        return f"<{self.name}>"


class Plan:
    """What an op must keep, and which entries it calls, when a given set of arguments is tracked."""

    def __init__(self, op: Op, tracked: list[int]) -> None:
        self.op = op
        self.arguments = tracked
        entries = [op.entries[i] for i in tracked]
        read = dict.fromkeys(name for _, reads in entries for name in reads)  # each once, in order
        arrays = [name for name in read if name in op.slots]
        shapes = [name for name in read if name not in op.slots]
        self.names = arrays + shapes
        self.keep = [op.slots[name] for name in arrays]
        self.pick = _generate("values", [f"values[{i}]" for i in self.keep], tuple)
        self.shapes = [op.slots[name.removesuffix("_shape")] for name in shapes]
        #: for each tracked argument its derivative, as a function of g and of what is kept
        self.derivatives = [
            _generate("g, kept", ["g", *[f"kept[{self.names.index(n)}]" for n in reads]], derivative)
            for derivative, reads in entries
        ]


def _generate(parameters: str, values: list[str], function: Callable[..., Any]) -> Any:
    """Return ``lambda parameters: function(*values)``, written out: quicker than any loop over them."""
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
        """Return all arguments by position; ``axis`` and ``keepdims`` mean ``dim`` and ``keepdim``."""
        names = {_ALIASES.get(name, name): value for name, value in kwargs.items()}
        bound = [*args, *self.defaults[len(args) :]]
        try:
            for name, value in names.items():
                bound[self.slots[name]] = value
            regular = len(bound) == self.arity and all(value is not inspect.Parameter.empty for value in bound)
        except LookupError:
            regular = False
        if not regular or not names.keys().isdisjoint(self.parameters[: len(args)]):
            try:
                self.signature.bind(*args, **names)
            except TypeError as error:
                raise TypeError(f"{self.name}(): {error}") from None
        return tuple(bound)


_seq = itertools.count()


def differentiable(**derivatives: Callable[..., Any]) -> Callable[[F], F]:
    """Put a function of arrays into the table of derivatives.

    Called with arrays, the decorated function returns an array; with at least one tensor, a tensor,
    recorded if an argument that needs a gradient is among the keys. Python scalars take the
    tensor's dtype, as do NumPy's; float64 appears in the result only if it came in.

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
            values, versions, first, tracked, bit = [], [], None, 0, 1
            for a in args:
                if isinstance(a, Variable):
                    values.append(a.data)
                    versions.append(a._version)
                    if first is None:
                        first = a
                    if a._requires_grad:
                        tracked |= bit
                else:  # NumPy's scalars are strongly typed where Python's are not
                    values.append(a.item() if isinstance(a, np.generic) else a)
                    versions.append(_CONSTANT)
                bit <<= 1
            if first is None:
                return function(*args)

            y = function(*values)
            if type(y) is not np.ndarray and isinstance(y, np.generic):
                y = np.asarray(y)
            if y.dtype is _FLOAT64 and not any(_is_float64(v) for v in values):
                y = y.astype(np.float32)
            if y.base is None:
                version = Version()
            else:  # a view: of the first tensor's storage, for every op of the table
                version = first._version
                version.viewed = True
            result = _new(_result_type)
            result.data, result.grad, result._version = y, None, version
            plan = None
            if tracked and _mode.recording:
                plan = plans[tracked] if tracked in plans else op.plan(tracked)
            if plan is None:
                result.grad_fn, result._requires_grad = None, False
                return result

            node = _new(Node)
            result.grad_fn, result._requires_grad = node, True
            node.seq = next(_seq)
            node.plan = plan
            node.parents = [args[i].grad_fn or args[i] for i in plan.arguments]
            node.shape, node.dtype = y.shape, y.dtype
            values.append(y)
            versions.append(version)
            node._kept = plan.pick(values)
            node._versions = plan.pick(versions)
            node._counts = [v.count for v in node._versions]
            if plan.shapes:
                node._kept += tuple([np.shape(values[i]) for i in plan.shapes])
            return result

        apply.op = op  # type: ignore[attr-defined]
        return apply  # type: ignore[return-value]

    return decorate


def numpy_keywords(function: F) -> F:
    """Let a function of ``dim`` and ``keepdim`` take ``axis`` and ``keepdims`` too, as ops do."""

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **{_ALIASES.get(k, k): v for k, v in kwargs.items()})

    return wrapper  # type: ignore[return-value]


def _is_float64(value: Any) -> bool:
    dtype = getattr(value, "dtype", value)
    return isinstance(dtype, np.dtype) and dtype == _FLOAT64


def write(target: Variable, op: Callable[..., Any], *args: Any) -> Any:
    """Let the result of ``op(target, *args)`` take the place of ``target``'s contents and history.

    An op that is given ``target.data`` to write into does so; any other result is copied over.

    Raises:
        RuntimeError: while recording, ``target`` is a leaf that requires grad, or has views or is
            one (whose history would silently be wrong).
    """
    tracked = any(isinstance(a, Variable) and a._requires_grad for a in (target, *args))
    if recording := _mode.recording and tracked:
        if target._requires_grad and target.grad_fn is None:
            raise RuntimeError(
                "a leaf Variable that requires grad is being used in an in-place operation. "
                "Put it into `with no_grad():`, or use the out-of-place form."
            )
        if target._version.viewed:
            raise RuntimeError(
                "an in-place operation on a tensor that is a view, or has views, cannot be "
                "recorded: their history would be wrong. Change a clone() instead."
            )
    result = op(target, *args)
    within = result.data is target.data
    node = result.grad_fn if recording else None
    if node is not None:
        _rebase(node, target, within)
        target._requires_grad, target.grad_fn = True, node
    if not within:
        np.copyto(target.data, result.data, casting="same_kind")
    target._version.count += 1
    return target


def _rebase(node: Node, target: Variable, within: bool) -> None:
    """Set right what ``node`` keeps of the memory of ``target``, which is about to be written to."""
    kept, versions = list(node._kept or ()), list(node._versions)
    for slot, value in enumerate(kept[: len(versions)]):
        if value is target.data and within:  # the output, as it will be
            versions[slot] = target._version
            node._counts[slot] = target._version.count + 1
        elif value is target.data:  # the input, as it was
            kept[slot], versions[slot], node._counts[slot] = value.copy(), _CONSTANT, 0
    node._kept, node._versions = tuple(kept), tuple(versions)


# ------------------------------------------------------------------------- the walk back


def backward(
    tensor: Variable,
    gradient: Variable | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
) -> None:
    """Add the gradient of ``tensor`` to the ``grad`` of every leaf that it depends on.

    See `minigrad.Tensor.backward`.
    """
    seed = _seed(tensor, gradient, create_graph)
    found = _walk([(tensor, seed)], None, retain_graph, create_graph)
    for leaf, g in found.items():
        if leaf.grad is None:
            leaf.grad = g if create_graph else wrap(g)
        elif create_graph:
            leaf.grad = leaf.grad + g
        else:
            leaf.grad.data += g
            leaf.grad._version.count += 1


def grad(
    outputs: Variable | Sequence[Variable],
    inputs: Variable | Sequence[Variable],
    grad_outputs: Variable | Sequence[Variable | None] | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    allow_unused: bool = False,
) -> tuple[Any, ...]:
    """Return the gradients of (the sum of) ``outputs`` with respect to each of ``inputs``.

    No tensor's ``grad`` is touched, and only what lies between inputs and outputs is computed.

    Args:
        outputs: a tensor or several.
        inputs: tensors that ``outputs`` depend on; leaves or intermediate results.
        grad_outputs: the gradient that flows into each output, of its shape; None stands for 1
            and needs an output of one element.
        retain_graph: keep what the graph has saved, for another pass. Default: ``create_graph``.
        create_graph: record the derivative too, so that it can be differentiated again.
        allow_unused: give None for an input that no output depends on, instead of raising.

    Returns:
        A tensor of the input's shape and dtype for each input; none shares memory with another.

    Raises:
        RuntimeError: an output or input does not require grad; an input is not used; the graph was
            freed, or a saved tensor changed in place; ``grad_outputs`` has the wrong shape.

    Examples:
        >>> import minigrad
        >>> x = minigrad.tensor(3.0, requires_grad=True)
        >>> (dx,) = minigrad.grad(x**3, x, create_graph=True)
        >>> minigrad.grad(dx, x)            # the second derivative of x³ is 6x
        (tensor(18.),)
    """
    outputs = [outputs] if isinstance(outputs, Variable) else list(outputs)
    inputs = [inputs] if isinstance(inputs, Variable) else list(inputs)
    if grad_outputs is None or isinstance(grad_outputs, Variable):
        grad_outputs = [grad_outputs] * len(outputs)
    if len(grad_outputs) != len(outputs):
        raise RuntimeError(f"got {len(outputs)} outputs and {len(grad_outputs)} grad_outputs")
    if not all(x._requires_grad for x in inputs):
        raise RuntimeError("One of the differentiated Tensors does not require grad")

    seeds = [(y, _seed(y, g, create_graph)) for y, g in zip(outputs, grad_outputs, strict=True)]
    wanted = [x.grad_fn or x for x in inputs]
    found = _walk(seeds, set(wanted), retain_graph, create_graph)
    if not allow_unused and not all(w in found for w in wanted):
        raise RuntimeError(
            "One of the differentiated Tensors appears to not have been used in the graph. "
            "Set allow_unused=True if this is the desired behavior."
        )
    if create_graph:
        return tuple(found.get(w) for w in wanted)
    return tuple(wrap(found[w]) if w in found else None for w in wanted)


def _seed(output: Variable, g: Variable | None, create_graph: bool) -> Any:
    """Return the gradient that the walk starts from: a tensor if it is to be recorded."""
    if not output._requires_grad:
        raise RuntimeError("the tensor does not require grad and does not have a grad_fn")
    if g is None:
        if output.data.size != 1:
            raise RuntimeError(
                "grad can be implicitly created only for scalar outputs; this one has shape "
                f"{output.shape}. Pass the gradient, or reduce it first: .sum()"
            )
        g = wrap(np.ones_like(output.data))
    if g.shape != output.shape:
        raise RuntimeError(
            f"Mismatch in shape: the gradient has a shape of {g.shape} and the output has a shape "
            f"of {output.shape}."
        )
    if not create_graph:
        return g.data.astype(output.dtype, copy=False)
    return g


def _walk(
    seeds: list[tuple[Variable, Any]],
    wanted: set[Node | Variable] | None,
    retain_graph: bool | None,
    create_graph: bool,
) -> dict[Node | Variable, Any]:
    """Go from the outputs back to the leaves; return the gradients of ``wanted``, or of all leaves.

    Gradients are arrays, or tensors if ``create_graph``. None that is returned shares memory with
    another or with anything that the graph keeps.
    """
    retain = create_graph if retain_graph is None else retain_graph
    order = _reachable([y.grad_fn for y, _ in seeds if y.grad_fn is not None])
    useful = None if wanted is None else _leading_to(wanted, order)
    grads: dict[Node | Variable, Any] = {}
    shared: set[Node | Variable] = set()  # whose gradient may be somebody else's memory too
    for y, g in seeds:
        key = y.grad_fn or y
        grads[key] = grads[key] + g if key in grads else g
        shared.add(key)

    found: dict[Node | Variable, Any] = {}
    with set_grad_enabled(create_graph):
        while order:
            node = order.pop()
            g = grads.pop(node, None)
            if g is None:
                continue
            if wanted is not None and node in wanted:
                found[node] = _copy(g)
            if useful is not None and useful.isdisjoint(node.parents):
                continue
            kept = node._unpack_as_variables() if create_graph else node._unpack()
            for parent, derivative in zip(node.parents, node.plan.derivatives):  # noqa: B905
                if useful is not None and parent not in useful:
                    continue
                piece = derivative(g, kept)
                if piece.shape != parent.shape or piece.dtype is not parent.dtype:
                    piece = _fit(piece, parent.shape, parent.dtype)
                if parent in grads:
                    grads[parent] = grads[parent] + piece
                    shared.discard(parent)
                else:
                    grads[parent] = piece
                    if isinstance(parent, Variable) and _may_share(piece, g, kept):
                        shared.add(parent)
            if kept and not retain:
                node._kept = None
        for leaf, g in grads.items():
            found[leaf] = _copy(g) if leaf in shared else g
    return found


def _reachable(roots: Iterable[Node]) -> list[Node]:
    """Return all nodes that the roots depend on, in the order of their creation."""
    stack = list(roots)
    seen = set(stack)
    for node in stack:  # the list grows while it is read
        for parent in node.parents:
            if isinstance(parent, Node) and parent not in seen:
                seen.add(parent)
                stack.append(parent)
    stack.sort(key=operator.attrgetter("seq"))
    return stack


def _leading_to(wanted: set[Node | Variable], order: list[Node]) -> set[Node | Variable]:
    """Return ``wanted`` and the nodes of ``order`` (oldest first) that depend on any of it."""
    useful = set(wanted)
    for node in order:
        if any(parent in useful for parent in node.parents):
            useful.add(node)
    return useful


def _fit(g: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Any:
    """Undo broadcasting and promotion: sum ``g`` down to ``shape``, and cast it to ``dtype``."""
    lead = g.ndim - len(shape)
    stretched = [lead + i for i, n in enumerate(shape) if n == 1 and g.shape[lead + i] != 1]
    axes = (*range(lead), *stretched)
    if axes:
        g = g.sum(axis=axes, keepdims=True).reshape(shape)
    return g if g.dtype == dtype else g.astype(dtype)


def _may_share(piece: Any, g: Any, kept: tuple[Any, ...]) -> bool:
    array = getattr(piece, "data", piece) if isinstance(piece, Variable) else piece
    return piece is g or array.base is not None or any(piece is value for value in kept)


def _copy(g: Any) -> Any:
    return g.clone() if isinstance(g, Variable) else g.copy()
