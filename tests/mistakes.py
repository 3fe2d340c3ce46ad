"""What cannot be done, drawn at random: steps that every engine has to refuse."""

from __future__ import annotations

import math

import numpy as np

from minigrad.testing.programs import Ref
from minigrad.testing.programs.builder import Array, Builder, Shape
from minigrad.testing.programs.forms import Form


def _wide(b: Builder, changing: bool = False) -> tuple[Ref, Shape]:
    """Draw a register whose last side is at least 2, and its shape."""

    def wide(a: Array) -> bool:
        return a.dtype.kind == "f" and a.ndim > 0 and a.size > 0 and a.shape[-1] >= 2

    x = b.target(wide) if changing else b.pick(wide)
    return x, b.value(x).shape


def _other(b: Builder, shape: Shape) -> Ref:
    """Add a leaf whose shape does not broadcast with one whose last side is at least 2."""
    return b.leaf((*shape[:-1], shape[-1] + 2))


def _off(b: Builder, ndim: int) -> int:
    """Draw a dimension that is out of range."""
    return int(b.choose([ndim, ndim + 1, -ndim - 1, -ndim - 2]))


def wrong_operand(b: Builder) -> None:
    x, shape = _wide(b)
    b.add(b.choose(["add", "mul", "maximum", "lt", "overwrite"]), x, _other(b, shape))


def wrong_source(b: Builder) -> None:
    x, shape = _wide(b, changing=True)
    b.add(b.choose(["add_", "mul_", "copy_"]), x, _other(b, shape))


def wrong_growth(b: Builder) -> None:
    x = b.target()
    b.add("add_", x, b.leaf((2, *b.value(x).shape)))


def wrong_memory(b: Builder) -> None:
    x = b.pick(lambda a: a.size and a.ndim < 3, kinds="f")
    b.add("add_", b.add("expand", x, (b.integer(1, 2), *b.value(x).shape)), 1)


def wrong_classes(b: Builder) -> None:
    x, shape = _wide(b)
    b.add("softmax_cross_entropy", x, _other(b, shape), -1)


def wrong_dim(b: Builder) -> None:
    x = b.pick(lambda a: a.ndim, kinds="f")
    over_several = ["sum", "mean", "amax", "var", "std", "any", "logsumexp", "squeeze"]
    over_one = ["max", "argmin", "softmax", "log_softmax"]
    b.add(b.choose(over_several + over_one), x, _off(b, b.value(x).ndim))


def wrong_dims(b: Builder) -> None:
    x = b.pick(lambda a: a.ndim and a.size, kinds="f")
    b.add(b.choose(["sum", "amax", "var"]), x, b.choose([(0, 0), (-1, b.value(x).ndim - 1)]))


def wrong_place(b: Builder) -> None:
    x = b.pick(lambda a: a.ndim, kinds="f")
    n = b.value(x).ndim
    places = {
        "transpose": [(0, _off(b, n))],
        "permute": [(tuple(range(1, n + 1)),), ((0,) * (n + 1),), (range(n)[1:],)],
        "flatten": [(0, n), (n, n), *([(n - 1, 0)] if n > 1 else [])],
        "unsqueeze": [(n + 1,), (-n - 2,)],
    }
    op = b.choose(list(places))
    b.add(op, x, *[tuple(p) if isinstance(p, range) else p for p in b.choose(places[op])])


def wrong_joint(b: Builder) -> None:
    x, shape = _wide(b)
    n = len(shape)
    op, parts, dim = b.choose(
        [
            ("stack", [x, x], n + 1),
            ("stack", [x, x], -n - 2),
            ("concatenate", [x, x], _off(b, n)),
            ("stack", [x, None], 0),
            ("concatenate", [x, None], 0),
        ]
    )
    other = (2, *shape) if op == "concatenate" else (*shape[:-1], shape[-1] + 1)
    b.add(op, [b.leaf(other) if p is None else p for p in parts], dim)


def wrong_size(b: Builder) -> None:
    x, shape = _wide(b)
    size = math.prod(shape)
    op, target = b.choose(
        [
            ("reshape", (size + 1,)),
            ("reshape", (-1, size + 1)),
            ("reshape", (-1, -1)),
            ("expand", (*shape[:-1], shape[-1] + 1)),
            ("expand", shape[1:]),
            ("expand", (-1, *shape)),
        ]
    )
    b.add(op, x, target)


def wrong_matrix(b: Builder) -> None:
    x, shape = _wide(b)
    n = shape[-1] + 1
    op, other = b.choose([("matmul", (n,)), ("matmul", (n, 2)), ("matmul", ()), ("linear", (2, n))])
    b.add(op, x, b.leaf(other))


def wrong_index(b: Builder) -> None:
    changing = b.flag()
    x, shape = _wide(b, changing)
    n = shape[0]
    index = b.choose(
        [n, -n - 1, (0,) * (len(shape) + 1), (..., shape[-1]), np.array([n]), np.ones(n + 1, bool)]
    )
    if changing:
        b.add("setitem_", x, 0, index)
    else:
        b.add("getitem", x, index)


def wrong_value(b: Builder) -> None:
    x, shape = _wide(b, changing=True)
    b.add("setitem_", x, b.leaf((shape[-1] + 1,)), (..., slice(None)))


def wrong_dtype(b: Builder) -> None:
    x = b.pick(kinds="f")
    ops = ["bitwise_and", "bitwise_or", "bitwise_xor", "bitwise_not", "mean", "add_", "div_"]
    op = b.choose(ops)
    if op == "mean":
        b.add(op, b.leaf(b.value(x).shape, b.choose(["int64", "bool"])))
    elif op.endswith("_"):
        b.add(op, b.leaf(b.value(x).shape, "int64"), x)
    else:
        b.add(op, x, *([] if op == "bitwise_not" else [x]))


def wrong_emptiness(b: Builder) -> None:
    x = b.leaf((0, 2))
    b.add(b.choose(["amax", "amin", "argmax", "max"]), x, *b.choose([(), (0,)]))


#: by name, as forms are
MISTAKES: dict[str, Form] = {
    name: form for name, form in globals().items() if name.startswith("wrong_")
}
