"""PyTorch Geometric's: dropout of edges and of nodes, whose masks are put on x."""

from __future__ import annotations

from typing import Any

from examples.audit.entry import OF_THE_MASK, Entry
from minigrad.testing.subjects import Subject

PACKAGES = ("torch_geometric", "torch")


def entries() -> list[Entry]:
    """Return what drops edges and nodes."""
    import torch
    from torch_geometric.utils import dropout_edge, dropout_node

    def edges(x: Any, p: float, training: bool) -> Any:
        none = torch.zeros(2, x.numel(), dtype=torch.long)
        return x * dropout_edge(none, p=p, training=training)[1].reshape(x.shape)

    def nodes(x: Any, p: float, training: bool) -> Any:
        edge = torch.zeros(2, 1, dtype=torch.long)
        keep = dropout_node(edge, p=p, num_nodes=x.numel(), training=training)[2]
        return x * keep.reshape(x.shape)

    return [
        Entry(Subject("dropout_edge", edges, "torch"), only=OF_THE_MASK),
        Entry(Subject("dropout_node", nodes, "torch"), only=OF_THE_MASK),
    ]
