"""NumPy's spellings of PyTorch's keywords, and the binding of a call's arguments by name."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar

from minigrad.device import native

F = TypeVar("F", bound=Callable[..., Any])

#: ``unbiased`` is PyTorch's older word: as a correction, True is 1 and False is 0
OTHER_SPELLINGS = {"dim": "axis", "keepdim": "keepdims", "correction": "unbiased"}
_NAMES = {other: name for name, other in OTHER_SPELLINGS.items()}


def bind(op: Any, args: tuple[Any, ...], named: dict[str, Any]) -> tuple[Any, ...]:
    """Return all arguments of a call of an op in their order: those by name or left out, too.

    Args:
        op: a `minigrad.table.Op`.
        args: what was given by position.
        named: what was given by name.

    Raises:
        TypeError: they do not fit; Python's own words.
    """
    bound, named = list(args), dict(named)
    if op.arity is None and not named:
        return args
    for name in list(op.parameters)[len(args) :]:
        other = OTHER_SPELLINGS.get(name)
        if name in named:
            value = named.pop(name)
            bound.append(native(value) if name == "dtype" and value is not None else value)
        elif other in named and other not in op.parameters:
            bound.append(named.pop(other))
        elif name in op.defaults:
            bound.append(op.defaults[name])
        else:
            break
    if named or len(bound) != op.arity:  # the call itself says what is wrong
        named = {_NAMES.get(name, name): value for name, value in named.items()}
        inspect.unwrap(op.function)(*bound, **named)
    return tuple(bound)


def numpy_keywords(function: F) -> F:
    """Let a function of ``dim`` and ``keepdim`` take ``axis`` and ``keepdims`` too, as ops do."""

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **{_NAMES.get(k, k): v for k, v in kwargs.items()})

    return wrapper  # type: ignore[return-value]
