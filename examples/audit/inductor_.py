"""PyTorch's function compiled: torch.compile with its default backend, which draws by itself."""

from __future__ import annotations

from examples.audit.entry import Entry
from minigrad.testing.subjects import Subject

PACKAGES = ("torch",)


def entries() -> list[Entry]:
    """Return the compiled function. A compiler of C++ must be there."""
    import torch

    torch._dynamo.config.recompile_limit = 10_000  # beyond it what runs is the eager function
    compiled = torch.compile(torch.nn.functional.dropout, dynamic=True)
    return [Entry(Subject("torch.compile(F.dropout)", compiled, "torch"), quick=True)]
