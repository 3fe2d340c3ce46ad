"""Un-broadcasting: the way back from the shape of a result to the shape of an argument."""

from __future__ import annotations

from typing import Any

from minigrad import kernels
from minigrad.fused import fused
from minigrad.ops.summing import total


def unbroadcast(g: Any, shape: tuple[int, ...]) -> Any:
    """Return ``g`` summed over the dimensions along which an argument of ``shape`` was repeated.

    Args:
        g: the gradient, in the shape that the argument was broadcast to.
        shape: the argument's own. Where ``g`` does not come from it, the result has another.
    """
    lead = g.ndim - len(shape)
    if lead > 0:
        g = _sum_leading(g, lead)
    elif lead < 0:
        g = g.reshape((1,) * -lead + g.shape)
    if g.shape != shape:
        g = total(g, tuple(i for i, n in enumerate(shape) if n == 1), keepdims=True)
    return g


@fused(kernels.sum_rows)
def _sum_leading(g: Any, lead: int) -> Any:
    """Return the sum over the first dimensions."""
    return total(g, tuple(range(lead)))
