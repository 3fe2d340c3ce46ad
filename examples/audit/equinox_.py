"""Equinox's: a key for each call."""

from __future__ import annotations

from typing import Any

from examples.audit.entry import Entry
from minigrad.testing.subjects import Subject

PACKAGES = ("equinox", "jax")


def entries() -> list[Entry]:
    """Return its module."""
    import equinox

    def dropout(key: Any, x: Any, p: float, training: bool) -> Any:
        return equinox.nn.Dropout(p)(x, key=key, inference=not training)

    return [Entry(Subject("nn.Dropout", dropout, "jax"), quick=True)]
