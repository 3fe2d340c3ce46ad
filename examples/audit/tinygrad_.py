"""tinygrad's: a method of tensors, active where training is switched on."""

from __future__ import annotations

from typing import Any

from examples.audit.entry import Entry
from minigrad.testing.subjects import Subject

PACKAGES = ("tinygrad",)


def entries() -> list[Entry]:
    """Return its method."""
    from tinygrad import Context

    def dropout(x: Any, p: float, training: bool) -> Any:
        with Context(TRAINING=int(training)):
            return x.dropout(p)

    return [Entry(Subject("Tensor.dropout", dropout, "tinygrad"), quick=True)]
