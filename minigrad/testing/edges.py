"""To infinity and back: steps after which a gradient is infinite where it must reach nothing."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from minigrad.testing.builder import Builder
from minigrad.testing.forms import Form
from minigrad.testing.programs import Ref

#: what has zeros where x is off, and a gradient that must not reach x there
_SELECTING: dict[str, Callable[[Builder, Ref, Ref], Ref]] = {
    "relu": lambda b, x, zero: b.add("relu", x),
    "a limit": lambda b, x, zero: b.add("clamp", x, min=0),
    "two limits": lambda b, x, zero: b.add("clamp", x, min=0, max=1),
    "a tensor as limit": lambda b, x, zero: b.add("clamp", x, min=zero),
    "maximum": lambda b, x, zero: b.add("maximum", x, zero),
    "minimum": lambda b, x, zero: b.add("neg", b.add("minimum", x, zero)),
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


#: what leads to infinite values and gradients
EDGES: dict[str, Form] = {"steep": _steep}
