"""To infinity and back, and sums of thousands: where gradients must not spread, or not get lost."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from minigrad.testing.programs import Ref
from minigrad.testing.programs.builder import Builder
from minigrad.testing.programs.forms import Form

TALL = (3000, 70_001)  # rows: more than halves count one by one, and more than they reach

#: what has zeros where x is off, and a gradient that must not reach x there
_SELECTING: dict[str, Callable[[Builder, Ref, Ref], Ref]] = {
    "relu": lambda b, x, zero: b.add("relu", x),
    "a limit": lambda b, x, zero: b.add("clamp", x, min=0),
    "two limits": lambda b, x, zero: b.add("clamp", x, min=0, max=1),
    "a tensor as limit": lambda b, x, zero: b.add("clamp", x, min=zero),
    "maximum": lambda b, x, zero: b.add("maximum", x, zero),
    "minimum": lambda b, x, zero: b.add("sub", 0, b.add("minimum", x, zero)),  # not -0
    "max of two": lambda b, x, zero: b.add("max", x, zero),
    "a choice": lambda b, x, zero: b.add("where", b.add("gt", x, zero), x, zero),
}


def _steep(b: Builder) -> None:
    """Draw a leaf, what selects some of its elements, and what is steep where these are not."""
    x = b.leaf((b.integer(1, 4),), b.choose([d for d in b.dtypes if d.startswith("float")]))
    zero = b.add("tensor", np.zeros_like(b.value(x)))
    y = _SELECTING[b.choose(list(_SELECTING))](b, x, zero)
    way = b.integer(0, 3)
    if way == 0:
        b.add("sqrt", y)
    elif way == 1:
        b.add("log", y)
    elif way == 2:
        b.add("pow", y, -1)
    else:
        b.add("pow", y, 0.5)


#: what is made of columns of thousands of equal numbers, and of their factors; no std, whose
#: derivative at 0 is that of PyTorch's rounding errors
_REDUCING: dict[str, Callable[[Builder, Ref, int], Ref]] = {
    **{
        op: lambda b, x, dim, op=op: b.add(op, x, dim=dim)  # type: ignore[misc]
        for op in ("sum", "mean", "var", "amax", "amin", "logsumexp")
    },
    "all": lambda b, x, dim: b.add("mean", x),
    "the largest of all": lambda b, x, dim: b.add("max", x),
    "softmax": lambda b, x, dim: b.add("softmax", x, dim),
    "log_softmax": lambda b, x, dim: b.add("log_softmax", x, dim),
}


def _tall(b: Builder) -> None:
    """Draw thousands of rows or columns, times a factor for each column or row, and reduce them."""
    dtype = b.choose([d for d in b.dtypes if d.startswith("float")])
    op, dim = b.choose(list(_REDUCING)), b.integer(0, 1)
    wide = op in ("sum", "mean", "all", "the largest of all")  # where PyTorch counts further, too
    k, n = b.integer(1, 3), b.choose(TALL) if wide else TALL[0]
    one, many = ((1, k), (n, k)) if dim == 0 else ((k, 1), (k, n))
    y = b.add("expand", b.leaf(one, dtype), many)
    if b.flag():
        y = b.add(b.choose(["mul", "add", "maximum"]), y, b.leaf(one, dtype))
    _REDUCING[op](b, y, dim)


#: what leads to infinite values and gradients
EDGES: dict[str, Form] = {"steep": _steep}
#: what leads to sums of thousands
HEAPS: dict[str, Form] = {"tall": _tall}
