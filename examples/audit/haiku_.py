"""Haiku's: a function of a key, for training alone, and for p in [0, 1)."""

from __future__ import annotations

from examples.audit.entry import Entry
from minigrad.testing.subjects import Domain, Subject

PACKAGES = ("haiku", "jax")


def entries() -> list[Entry]:
    """Return its function."""
    import haiku

    subject = Subject("dropout", haiku.dropout, "jax", domain=Domain(one=False))
    return [Entry(subject, quick=True)]
