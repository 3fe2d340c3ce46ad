"""Tensors in what a function returns: alone, or in tuples, lists and dictionaries."""

from __future__ import annotations

from typing import Any

from minigrad.tensor import Tensor


def tensors_in(value: Any) -> list[Tensor]:
    """Return the tensors in a value, in order; nothing else is looked into.

    Examples:
        >>> import minigrad
        >>> a, b = minigrad.ones(1), minigrad.ones(2)
        >>> [t.shape for t in tensors_in({"loss": a, "rest": (b, 3)})]
        [(1,), (2,)]
    """
    if isinstance(value, Tensor):
        return [value]
    inner = value.values() if isinstance(value, dict) else value
    several = isinstance(value, dict | list | tuple)
    return [tensor for part in inner for tensor in tensors_in(part)] if several else []
