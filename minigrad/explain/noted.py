"""Notes on objects that compare element by element, and so cannot be the keys of a dictionary."""

from __future__ import annotations

import weakref
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Noted(Generic[T]):
    """A note for each of some objects, by identity; it is gone with the object."""

    def __init__(self) -> None:
        self._notes: dict[int, tuple[weakref.ref[Any], T]] = {}

    def note(self, thing: Any, note: T) -> None:
        """Note something of an object, in place of what was noted before."""
        key = id(thing)
        self._notes[key] = (weakref.ref(thing, lambda _: self._notes.pop(key, None)), note)

    def of(self, thing: Any) -> T | None:
        """Return what was noted of an object; None if nothing was."""
        reference, note = self._notes.get(id(thing), (None, None))
        return note if reference is not None and reference() is thing else None
