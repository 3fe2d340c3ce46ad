"""Flax's, of both kinds: linen is given a key for each call, nnx takes its randomness from Rngs."""

from __future__ import annotations

from typing import Any

from examples.audit.entry import Entry
from minigrad.testing.subjects import Subject

PACKAGES = ("flax", "jax")


def entries() -> list[Entry]:
    """Return linen's and nnx's."""
    from flax import linen, nnx

    def in_linen(key: Any, x: Any, p: float, training: bool) -> Any:
        layer = linen.Dropout(p, deterministic=not training)
        return layer.apply({}, x, rngs={"dropout": key})

    def in_nnx(key: Any, x: Any, p: float, training: bool) -> Any:
        return nnx.Dropout(p, deterministic=not training)(x, rngs=nnx.Rngs(key))

    return [
        Entry(Subject("linen.Dropout", in_linen, "jax"), quick=True),
        Entry(Subject("nnx.Dropout", in_nnx, "jax"), quick=True),
    ]
