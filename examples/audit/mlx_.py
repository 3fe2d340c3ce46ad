"""MLX's: modules, for p in [0, 1)."""

from __future__ import annotations

from examples.audit.entry import Entry
from minigrad.testing.subjects import Domain, Subject

PACKAGES = ("mlx",)


def entries() -> list[Entry]:
    """Return dropout of elements, and of channels, which stand last."""
    import mlx.core as mx
    from mlx import nn

    mx.set_default_device(mx.cpu)
    half_open = Domain(one=False)
    units = ("N", 1, 1, "C")
    return [
        Entry(Subject("nn.Dropout", nn.Dropout, "mlx", domain=half_open), quick=True),
        Entry(
            Subject("nn.Dropout2d", nn.Dropout2d, "mlx", domain=half_open, units=units), quick=True
        ),
    ]
