"""MindSpore's, for p in [0, 1), arrays in and arrays out; its gradients are not tried."""

from __future__ import annotations

from typing import Any

import numpy as np

from examples.audit.entry import Entry
from minigrad.testing.subjects import Domain, Subject

PACKAGES = ("mindspore",)


def entries() -> list[Entry]:
    """Return its function."""
    import mindspore
    from mindspore import ops

    def seed(number: int) -> None:
        mindspore.set_seed(number)
        mindspore.manual_seed(number)

    def dropout(x: np.ndarray, p: float, training: bool) -> Any:
        tensor = mindspore.Tensor(np.array(x, order="C"))
        return np.asarray(ops.dropout(tensor, p, training).asnumpy())

    domain = Domain(dtypes=("float16", "float32"), one=False, seeds=2**31)
    return [Entry(Subject("ops.dropout", dropout, "numpy", domain=domain, seed=seed), quick=True)]
