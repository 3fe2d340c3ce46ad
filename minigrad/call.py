"""The call of an op, written out for its own arguments: what runs when ``mul(a, b)`` does.

A general call would go over ``*args`` in a loop, and that loop would be most of what a small op
costs. So the text below is filled in for each op of the table when it is declared, as
`dataclasses` does for ``__init__``: ``minigrad.ops.mul.text`` is what came of it, and a debugger
steps through it.
"""

from __future__ import annotations

import inspect
import itertools
import linecache
from collections.abc import Callable, Sequence
from types import FunctionType
from typing import Any

import numpy as np

from minigrad import graph
from minigrad.device import common_device, device_of
from minigrad.grad_mode import mode
from minigrad.graph import CONSTANT, Node, TensorBase, Version

FLOAT32 = np.dtype(np.float32)
MISSING = inspect.Parameter.empty
OTHER_SPELLINGS = {"dim": "axis", "keepdim": "keepdims", "correction": "unbiased"}

# An op's author may name it and its arguments as anything, and its arguments not with an underscore
# in front. So in these texts all that is ours begins with one, and even what is built in is ours.
CALL = """\
def {name}({signature}):
    _first, _tracked, _parents = None, 0, []{spellings}{arguments}
    if _first is None:
        return _function({names})
    try:
        _y = _function({values})
    except _errors:
        _moved = _with_numbers_moved(({names}), ({values}))
        if _moved is None:
            raise
        return _again(*_moved)
    _dtype = _y.dtype
    if _dtype is not _FLOAT32 or _type(_y) is not _ndarray:
        _y, _dtype = _settled(_y, ({values}))
    if _y.base is None and _y is not _first.array:
        _version = _new(_Version)
        _version.count, _version.viewed, _version.mark = 0, False, _bytearray()
    else:
        _version = _shared_version(_y, _first)
    _result = _new(_graph.result_class)
    _result.array, _result.grad, _result._version = _y, None, _version{recording}
    _result.grad_fn, _result._requires_grad = None, False
    return _result
"""

SPELLING = """
    if {other} is not _MISSING:
        if {name} is not _default_{name}:
            raise _TypeError("{op}() got multiple values for argument '{name}': {other} is one")
        {name} = {other}"""

REQUIRED = """
    if {name} is _MISSING:
        raise _TypeError("{op}() missing 1 required positional argument: '{name}'")"""

ARGUMENT = """
    if _isinstance({name}, _Variable):
        _value_{name}, _version_{name} = {name}.array, {name}._version
        if _first is None:
            _first = {name}
        if {name}._requires_grad:
            _tracked |= {bit}
            _parents.append({name}.grad_fn or {name})
    else:  # NumPy's scalars are strongly typed where Python's are not
        _value_{name} = {name}.item() if _isinstance({name}, _generic) else {name}
        _version_{name} = _CONSTANT"""

RECORDING = """
    if _tracked and _mode.recording and _dtype.kind == "f":
        _plan = _plans.get(_tracked) or _new_plan(_tracked)
        _node = _Node(_parents)
        _node.seq, _node.plan = _next(_seq), _plan
        _node.shape, _node.dtype = _y.shape, _dtype
        _node.kept = _plan.names and _plan.keep({values}_y, {versions}_version)
        _result.grad_fn, _result._requires_grad = _node, True
        return _result"""

KEEP = """\
def keep({values}, {versions}):
    return ({kept}{marks})
"""

CHANGED = """\
def changed(_kept):
    return {marks}
"""

_seq = itertools.count(0, -1)  # downwards, so that a heap gives the newest node first


def call_of(op: Any) -> Callable[..., Any]:
    """Return the function that runs an op on arrays or tensors, and records it.

    Args:
        op: a `minigrad.table.Op`.
    """
    names, signature, spellings, keywords = op.parameters, [], "", []
    defaults: dict[str, Any] = {}
    for name, default in zip(names, op.defaults, strict=True):
        other = OTHER_SPELLINGS.get(name)
        other = None if other in names else other
        if default is not MISSING or other or defaults:
            defaults[f"_default_{name}"] = default
        signature.append(f"{name}=_default_{name}" if f"_default_{name}" in defaults else name)
        if other:
            keywords.append(f"{other}=_MISSING")
            spellings += SPELLING.format(name=name, other=other, op=op.name)
        if f"_default_{name}" in defaults and default is MISSING:
            spellings += REQUIRED.format(name=name, op=op.name)
    values = "".join(f"_value_{name}, " for name in names)
    versions = "".join(f"_version_{name}, " for name in names)
    own = op.name if op.name.isidentifier() else "call"  # a lambda has no name to define
    text = CALL.format(
        name=own,
        signature=", ".join([*signature, *(["*", *keywords] if keywords else [])]),
        spellings=spellings,
        arguments="".join(ARGUMENT.format(name=name, bit=1 << i) for i, name in enumerate(names)),
        names="".join(f"{name}, " for name in names),
        values=values,
        recording=RECORDING.format(values=values, versions=versions) if op.entries else "",
    )
    ours = {
        **defaults,
        "_function": op.function, "_plans": op.plans, "_new_plan": op.plan,
        "_mode": mode, "_graph": graph, "_seq": _seq, "_new": object.__new__,
        "_Variable": TensorBase, "_Version": Version, "_Node": Node, "_CONSTANT": CONSTANT,
        "_MISSING": MISSING, "_FLOAT32": FLOAT32, "_ndarray": np.ndarray, "_generic": np.generic,
        "_isinstance": isinstance, "_type": type, "_next": next, "_bytearray": bytearray,
        "_TypeError": TypeError, "_errors": (TypeError, ValueError),
        "_settled": _settled, "_shared_version": _shared_version,
        "_with_numbers_moved": _with_numbers_moved,
    }  # fmt: skip
    return compiled(text, own, ours)


def keeper(parameters: Sequence[str], arrays: Sequence[str], shapes: Sequence[str]) -> Any:
    """Return a function that picks what a node's derivatives will read.

    It returns one tuple: the values of ``arrays``, the shapes, and the marks of the versions of
    ``arrays``.

    Args:
        parameters: the names of all values that it is called with, and then of their versions.
        arrays: the names of what is kept.
        shapes: the names of what only the shape is kept of.
    """
    text = KEEP.format(
        values=", ".join(f"_value_{name}" for name in parameters),
        versions=", ".join(f"_version_{name}" for name in parameters),
        kept="".join(
            [f"_value_{name}, " for name in arrays]
            + [f"_shape(_value_{name}), " for name in shapes]
        ),
        marks="".join(f"_version_{name}.mark, " for name in arrays),
    )
    return compiled(text, "keep", {"_shape": np.shape})


def watcher(arrays: int, shapes: int) -> Any:
    """Return a function that tells whether an array was changed in place since it was kept.

    Args:
        arrays, shapes: how many of each stand in the tuple from `keeper` that it is called with.
    """
    marks = [f"_kept[{arrays + shapes + i}]" for i in range(arrays)]
    return compiled(CHANGED.format(marks=" or ".join(marks) or "False"), "changed", {})


_texts = itertools.count()


def compiled(text: str, name: str, names: dict[str, Any]) -> Any:
    """Return the function ``name`` that ``text`` defines, with its text at hand for tracebacks.

    It is compiled when it is first called: most of the table is not, in most programs.
    """

    def compile_and_call(*args: Any, **kwargs: Any) -> Any:
        file = f"<{name}, written by minigrad.call: {next(_texts)}>"
        found: dict[str, Any] = {}
        exec(compile(text, file, "exec"), names, found)
        linecache.cache[file] = len(text), None, text.splitlines(keepends=True), file
        full = found[name]
        function.__defaults__, function.__kwdefaults__ = full.__defaults__, full.__kwdefaults__
        function.__code__ = full.__code__  # last: until now, another thread compiles it too
        return function(*args, **kwargs)

    function: Any = FunctionType(_not_yet_compiled.__code__, names, name)
    names["_again"], names["_compile_and_call"] = function, compile_and_call
    function.text = text
    return function


def _not_yet_compiled(*args: Any, **kwargs: Any) -> Any:
    return _compile_and_call(*args, **kwargs)  # type: ignore[name-defined]  # noqa: F821


def _settled(y: Any, values: tuple[Any, ...]) -> tuple[Any, np.dtype[Any]]:
    """Return a result as an array, float64 or float16 only if that came in, and its dtype."""
    if isinstance(y, np.generic):  # what NumPy makes of 0-d arrays
        y = np.asarray(y)
    dtype = y.dtype
    if dtype.kind == "f" and dtype != FLOAT32 and not _came_in(dtype, values):
        return y.astype(FLOAT32), FLOAT32
    return y, dtype


def _came_in(dtype: np.dtype[Any], values: tuple[Any, ...]) -> bool:
    """Return whether an array of a dtype is among ``values``, or the dtype itself, asked for."""
    return any(
        isinstance(own, np.dtype) and own == dtype
        for own in (getattr(value, "dtype", value) for value in values)
    )


def _shared_version(y: Any, first: TensorBase) -> Version:
    """Return the version that a result shares with the tensor it is a view of, or a new one.

    That is an op's first tensor, for every op here.
    """
    if y is first.array:
        return first._version
    empty = not y.size  # and shares no memory, though it may be a view
    if not (_owner(y) is _owner(first.array) if empty else np.may_share_memory(y, first.array)):
        return Version()
    first._version.viewed = True
    return first._version


def _owner(array: Any) -> Any:
    """Return the array that the memory of a view belongs to."""
    return array if array.base is None else array.base


def _with_numbers_moved(args: tuple[Any, ...], values: tuple[Any, ...]) -> tuple[Any, ...] | None:
    """Return an op's arguments with tensors of one number on the GPU where the others are.

    None means that all are where they should be.

    Raises:
        RuntimeError: the arguments live on several devices.
    """
    home = common_device(values)
    strangers = [isinstance(a, TensorBase) and device_of(a.array) != home for a in args]
    if not any(strangers):
        return None
    return tuple(a.to(home) if s else a for a, s in zip(args, strangers, strict=True))
