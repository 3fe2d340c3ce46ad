"""PyTorch's."""

from __future__ import annotations

from typing import Any

from examples.audit.entry import OF_THE_MASK, Entry
from minigrad.testing.noise import ALPHA
from minigrad.testing.subjects import Subject

PACKAGES = ("torch",)
N, C = "N", "C"


def entries() -> list[Entry]:
    """Return its functions and modules, and what uses dropout inside."""
    import torch
    from torch import nn
    from torch.nn import functional as F
    from torch.utils.checkpoint import checkpoint

    def attention(x: Any, p: float, training: bool) -> Any:
        """Put x on the weights of attention: uniform ones, of keys as many as columns."""
        rows = x.reshape(-1, x.shape[-1]) if x.dim() else x.reshape(1, 1)
        n = rows.shape[1]
        q, k = torch.zeros(1, rows.shape[0], 1), torch.zeros(1, n, 1)
        value = torch.eye(n)[None]
        weights = F.scaled_dot_product_attention(q, k, value, dropout_p=p if training else 0.0)
        return (rows * weights[0] * n).reshape(x.shape)

    def reentrant(x: Any, p: float, training: bool) -> Any:
        return checkpoint(lambda leaf: F.dropout(leaf, p, training), x, use_reentrant=True)

    whole = [
        Subject("F.dropout", F.dropout, "torch"),
        Subject("nn.Dropout", nn.Dropout, "torch"),
        Subject("nn.Dropout1d", nn.Dropout1d, "torch", units=(N, C, 1)),
        Subject("nn.Dropout2d", nn.Dropout2d, "torch", units=(N, C, 1, 1)),
        Subject("nn.Dropout3d", nn.Dropout3d, "torch", units=(N, C, 1, 1, 1)),
        Subject("F.alpha_dropout", F.alpha_dropout, "torch", noise=ALPHA),
        Subject("F.feature_alpha_dropout", F.feature_alpha_dropout, "torch", noise=ALPHA,
                units=(N, C, 1, 1)),
        Subject("checkpoint(F.dropout), reentrant", reentrant, "torch"),
    ]  # fmt: skip
    sdpa = Subject("F.scaled_dot_product_attention", attention, "torch")
    return [*map(Entry, whole), Entry(sdpa, only=OF_THE_MASK)]
