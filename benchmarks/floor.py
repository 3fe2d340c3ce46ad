"""What no engine can save: the matrix products of a training step, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np


def matrix_products(widths: Sequence[int], batch: int) -> Callable[[], None]:
    """Return a function that computes the products of one step, into arrays that lie ready.

    For each layer of ``y = x Wᵀ`` these are y itself, dL/dW = gᵀ x and, but for the first layer,
    dL/dx = g W. Shapes and memory layout are those of the training.

    Args:
        widths: of the input and of each layer.
        batch: rows of x.
    """
    rng = np.random.default_rng(0)
    products = []
    for i, (inputs, outputs) in enumerate(pairwise(widths)):
        x = rng.standard_normal((batch, inputs), np.float32)
        w = rng.standard_normal((outputs, inputs), np.float32)
        g = rng.standard_normal((batch, outputs), np.float32)
        products += [(x, w.T, np.empty_like(g)), (g.T, x, np.empty_like(w))]
        if i:
            products.append((g, w, np.empty_like(x)))

    def run() -> None:
        for a, b, out in products:
            np.matmul(a, b, out=out)

    return run
