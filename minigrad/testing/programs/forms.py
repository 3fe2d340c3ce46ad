"""How each op is called in a random program: on which registers, with which options.

A form draws the arguments of one op such that they fit its shapes and its domain.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minigrad.testing.programs import Ref
from minigrad.testing.programs.builder import LARGEST, Array, Builder, NoFit, Shape, broadcast

Form = Callable[[Builder], Any]


# ------------------------------------------------------------------------- element by element


def _unary(op: str, domain: Callable[[Builder, Ref], Ref] = lambda b, x: x) -> Form:
    return lambda b: b.add(op, domain(b, b.pick()))


def _binary(op: str, numbers: bool = True, nonzero: bool = False) -> Form:
    def form(b: Builder) -> None:
        left = b.pick()
        right = b.partner(left, numbers=numbers)
        if not isinstance(right, Ref) and b.flag():
            left, right = right, left
        if nonzero and not (b.edges and op != "div" and _is_integer(b, left, right)):
            right = b.nonzero(right)
        b.add(op, left, right)

    return form


def _is_integer(b: Builder, *operands: Any) -> bool:
    """Return whether all operands are integers: then a division by 0 is refused."""
    return all(np.asarray(b.value(x)).dtype.kind in "iu" for x in operands)


def _pow(b: Builder) -> None:
    way = b.integer(0, 3)
    x = b.pick()
    if way == 0:
        b.add("pow", b.choose([1.5, 2, 0.5]), b.small(x))
    elif way == 1:
        b.add("pow", b.positive(b.small(x)), b.choose([0.5, -1, -2, -0.5, 1.5]))
    elif way == 2:
        b.add("pow", b.nonzero(b.small(x)), b.choose([0, 1, 2, 3, 2.0, 3.0]))
    else:
        exponent = b.pick(lambda a: broadcast(b.value(x).shape, a.shape), kinds="f")
        b.add("pow", b.positive(b.small(x)), b.nonzero(b.small(exponent)))


def _bitwise(op: str) -> Form:
    def form(b: Builder) -> None:
        try:
            left = b.pick(kinds="b" if b.kinds == "f" else "biu")
        except NoFit:
            left = b.add(b.choose(["lt", "ge"]), b.pick(), 0.5)
        shape, kinds = b.value(left).shape, b.value(left).dtype.kind
        if op == "bitwise_not":
            b.add(op, left)
        else:
            right = b.pick(lambda a: broadcast(shape, a.shape) is not None, kinds)
            b.add(op, left, right)

    return form


def _clamp(b: Builder) -> None:
    x = b.pick()
    low: Any = b.choose([None, -1, -0.5, 0])
    high: Any = b.choose([0.5, 1, 2] if low is None else [None, 0.5, 1, 2])
    if b.flag():  # tensors as limits
        both = low is not None and high is not None  # then they have to fit each other, too
        low, high = (None if limit is None else b.partner(x, both) for limit in (low, high))
    options = {"min": low, "max": high}
    b.add("clamp", x, **{k: v for k, v in options.items() if v is not None})


def _cast(b: Builder) -> None:
    b.add("cast", b.pick(kinds="fiub"), b.choose(b.dtypes))


def _where(b: Builder) -> None:
    x = b.pick()
    both = [x, b.partner(x)]
    condition = b.condition(x)
    b.add("where", condition, *(both if b.flag() else both[::-1]))


def _overwrite(b: Builder) -> None:
    x = b.pick()
    b.add("overwrite", x, b.partner(x, within=True))


def _masked_scale(b: Builder) -> None:
    x = b.pick(kinds="f")
    b.add("masked_scale", x, b.condition(x), b.choose([2.0, 1.25, 1.0, 0.0]))


# ------------------------------------------------------------------------- linear algebra


def _matmul(b: Builder) -> None:
    x = b.pick(lambda a: a.ndim >= 1, kinds="f")
    shape = b.value(x).shape
    n = shape[-1]

    def fits(a: Array) -> bool:
        if not a.ndim or a.shape[-2:][0] != n:
            return False
        stack = broadcast(shape[:-2], a.shape[:-2])
        return stack is not None and 9 * math.prod(stack) <= LARGEST

    way = b.integer(0, 3)
    if way == 0 and len(shape) >= 2:
        other = b.add("transpose", x, -1, -2)
    elif way == 1:
        stacks = [(2, n, 3)] if len(shape) <= 2 else [(1, n, 1), (*shape[:-2], n, 2)]
        other = b.leaf(b.choose([(n,), (n, 2), *stacks]))
    else:
        other = b.pick(fits, kinds="f")
    b.add("matmul", x, other)


def _linear(b: Builder) -> None:
    x = b.pick(lambda a: a.ndim >= 1, kinds="f")
    size, dtype = b.value(x).shape[-1], b.value(x).dtype
    if not b.integer(0, 4):  # a weight of one row
        b.add("linear", x, b.of_shape((size,), dtype.name))
        return
    try:
        weight = b.pick(lambda a: a.ndim == 2 and a.shape[1] == size and a.dtype == dtype)
    except NoFit:
        weight = b.leaf((b.integer(1, 3), size), dtype.name)
    bias = [b.of_shape(b.value(weight).shape[:1], dtype.name)] if b.flag() else []
    b.add("linear", x, weight, *bias)


def _softmax_cross_entropy(b: Builder) -> None:
    x = b.pick(lambda a: a.ndim >= 1 and a.size, kinds="f")
    q = b.of_shape(b.value(x).shape, b.value(x).dtype.name)
    dim = b.dim(b.value(x).ndim)
    b.add("softmax_cross_entropy", x, b.add("softmax", q, dim) if b.flag() else q, dim)


def _class_cross_entropy(b: Builder) -> None:
    x = b.pick(lambda a: a.ndim >= 1 and a.size, kinds="f")
    shape = b.value(x).shape
    dim = min(len(shape) - 1, 1)
    rest = shape[:dim] + shape[dim + 1 :]
    labels = [b.integer(0, shape[dim] - 1) for _ in range(math.prod(rest))]
    if b.flag():
        labels[0] = -100
    options: dict[str, Any] = {"reduction": b.choose(["mean", "sum", "none"])}
    if b.flag():
        options["label_smoothing"] = 0.25
    if options["reduction"] == "mean" and set(labels) == {-100}:
        raise NoFit  # NaN
    b.add("class_cross_entropy", x, np.array(labels, np.int64).reshape(rest), **options)


# ------------------------------------------------------------------------- reductions


def _some_dims(b: Builder, ndim: int, forms: str = "nit") -> Any:
    """Draw ``dim``: none, an int, or a tuple, as the letters of ``forms`` allow."""
    form = b.choose(forms)
    if form == "n":
        return None
    if form == "i":
        return b.dim(ndim)
    if not ndim:
        return (b.dim(0),)
    return tuple(i - ndim * b.flag() for i in range(ndim) if b.flag()) or (b.dim(ndim),)


def _count(shape: Shape, dim: Any) -> int:
    """Return how many elements go into each element of the result."""
    dims = range(len(shape)) if dim is None else np.atleast_1d(dim)
    return math.prod(shape[d] for d in dims) if shape else 1


def _reduction(
    op: str,
    forms: str = "nit",
    least: int = 1,
    kinds: str | None = None,
    whole: bool = True,
    **drawn: Sequence[Any],
) -> Form:
    """Return the form of a reduction of at least ``least`` elements to one.

    Without ``whole`` there is no ``keepdim``; other keywords are options, with what to draw from.
    """

    def form(b: Builder) -> None:
        x = b.pick(kinds=kinds, large=True)
        shape = b.value(x).shape
        dim = _some_dims(b, len(shape), forms)
        if _count(shape, dim) < least and not b.edges:
            raise NoFit
        options = {name: b.choose(values) for name, values in drawn.items()}
        keepdim = {"keepdim": True} if whole and dim is not None and b.flag() else {}
        b.add(op, x, **({} if dim is None else {"dim": dim}), **options, **keepdim)

    return form


def _prod(b: Builder) -> None:
    x = b.small(b.pick(lambda a: a.size < 30, kinds="f"))
    dim = _some_dims(b, b.value(x).ndim, "ni")
    b.add("prod", x, **({} if dim is None else {"dim": dim, "keepdim": b.flag()}))


def _extreme(op: str) -> Form:
    def form(b: Builder) -> None:
        x = b.pick()
        way = b.integer(0, 2)
        if way == 0:
            b.add(op, x, b.partner(x, numbers=False))
        elif not b.value(x).size and not b.edges:
            raise NoFit
        elif way == 1:
            b.add(op, x)
        else:
            dim = b.dim(b.value(x).ndim)
            b.add(op, x, dim, **({"keepdim": True} if b.flag() else {}), part=b.integer(0, 1))

    return form


# ------------------------------------------------------------------------- shapes


def _reshape(b: Builder) -> None:
    x = b.pick(kinds="fiub")
    shape = b.value(x).shape
    targets = [shape[::-1], (1, *shape), (*shape, 1), (math.prod(shape),), (-1,)]
    if math.prod(shape):
        targets += [(1, -1), (-1, *shape[-1:]), (*shape[:1], -1, 1)]
    b.add("reshape", x, b.choose(targets))


def _split(b: Builder) -> None:
    x = b.pick(lambda a: a.ndim >= 1, kinds="fiub")
    dim = b.dim(b.value(x).ndim)
    parts = max(-(-b.value(x).shape[dim] // 2), 1)
    b.add("split", x, 2, dim, part=b.integer(0, parts - 1))


def _flatten(b: Builder) -> None:
    x = b.pick(kinds="fiub")
    ndim = max(b.value(x).ndim, 1)
    start = b.integer(0, ndim - 1)
    b.add("flatten", x, start, b.integer(start, ndim - 1) - ndim * b.flag())


def _squeeze(b: Builder) -> None:
    x = b.pick(kinds="fiub")
    dim = _some_dims(b, b.value(x).ndim)
    b.add("squeeze", x, **({} if dim is None else {"dim": dim}))


def _unsqueeze(b: Builder) -> None:
    x = b.pick(lambda a: a.ndim < 4, kinds="fiub")
    b.add("unsqueeze", x, b.dim(b.value(x).ndim + 1))


def _permute(b: Builder) -> None:
    x = b.pick(kinds="fiub")
    ndim = b.value(x).ndim
    left = list(range(ndim))
    order = [left.pop(b.integer(0, len(left) - 1)) for _ in range(ndim)]
    b.add("permute", x, tuple(d - ndim * b.flag() for d in order))


def _transpose(b: Builder) -> None:
    x = b.pick(kinds="fiub")
    b.add("transpose", x, b.dim(b.value(x).ndim), b.dim(b.value(x).ndim))


def _expand(b: Builder) -> None:
    x = b.pick(lambda a: a.size <= 9 and a.ndim <= 3)
    sides = [b.integer(1, 3) if n == 1 else b.choose([n, -1]) for n in b.value(x).shape]
    b.add("expand", x, (*b.shape(0, 1), *sides))


def _concatenate(b: Builder) -> None:
    x = b.pick(lambda a: a.ndim >= 1)
    shape, dim = b.value(x).shape, b.dim(b.value(x).ndim)

    def fits(a: Array) -> bool:
        return a.ndim == len(shape) and np.delete(a.shape, dim) == np.delete(shape, dim)

    b.add("concatenate", [x, *(_likes(b, fits, 2))], dim)


def _stack(b: Builder) -> None:
    x = b.pick(lambda a: a.ndim < 4)
    shape = b.value(x).shape
    parts = [x, *_likes(b, lambda a: a.shape == shape, 2)]
    b.add("stack", parts, b.dim(len(shape) + 1))


def _likes(b: Builder, fits: Callable[[Array], Any], most: int) -> list[Ref]:
    return [b.pick(lambda a: np.all(fits(a))) for _ in range(b.integer(0, most))]


# ------------------------------------------------------------------------- choosing elements


def _index(b: Builder, shape: Shape, repeats: bool = True) -> Any:
    """Draw an index; with ``repeats`` also arrays of integers, which may name a place twice."""
    if not shape:
        return b.choose([..., (), None, True, np.array(True), np.array(0, np.uint8)])
    way = b.integer(0, 4 if repeats else 2)
    if way == 1 or (way >= 3 and not all(shape)):
        masked = shape[: b.integer(1, len(shape))]
        return _mask(b, masked)
    count = b.integer(1, len(shape))
    if way == 2:
        return (..., *[_basic(b, n) for n in shape[len(shape) - count :]])
    parts = [_basic(b, n) for n in shape[:count]]
    if way >= 3:
        length = b.integer(0, 4)
        for place in {b.integer(0, count - 1) for _ in range(way - 2)}:
            parts[place] = _places(b, shape[place], length)
        if b.flag():
            extra = b.choose([None, ...])
            fits = extra is None or count == len(shape)  # or the rest would be for other dimensions
            parts.insert(b.integer(0, count) if fits else count, extra)
    return tuple(parts)


def _places(b: Builder, n: int, length: int) -> Any:
    """Draw an array, a list or a tuple of places, or a mask, for a dimension of size n."""
    if not b.integer(0, 3):
        return _mask(b, (n,))
    places = [b.integer(-n, n - 1) for _ in range(length)]
    return b.choose([np.array(places, np.int64), np.array(places, np.int64), places, tuple(places)])


def _mask(b: Builder, shape: Shape) -> Array:
    """Draw a mask of booleans, or of bytes."""
    drawn = np.array([b.flag() for _ in range(math.prod(shape))], np.bool_).reshape(shape)
    return drawn if b.integer(0, 2) else drawn.astype(np.uint8)


def _basic(b: Builder, n: int) -> Any:
    way = b.integer(0, 3)
    if way == 0 and n:
        place = b.integer(-n, n - 1)
        return b.choose([place, place, np.int64(place), np.array(place)])
    return [slice(None), slice(None), slice(1, None), slice(None, None, 2)][way]


def _getitem(b: Builder) -> None:
    x = b.pick(kinds="fiub", large=True)
    shape = b.value(x).shape
    try:
        mask = b.pick(lambda a: a.ndim and a.shape == shape[: a.ndim], kinds="b")
        index = mask if b.flag() else _index(b, shape)
    except NoFit:
        index = _index(b, shape)
    b.add("getitem", x, index)


def _setitem(b: Builder, op: str = "setitem", x: Ref | None = None) -> None:
    x = b.pick() if x is None else x
    index = _index(b, b.value(x).shape, repeats=False)
    there = b.registers[x][index].shape
    value: Any = b.choose([0, 1.5])
    if b.integer(0, 2):
        try:
            value = b.pick(lambda a: broadcast(a.shape, there) == there)
        except NoFit:
            value = b.leaf(there)
    b.add(op, x, value, index)


def _take_along_dim(b: Builder) -> None:
    x = b.pick(lambda a: a.ndim >= 1 and a.size)
    shape = b.value(x).shape
    dim = b.dim(len(shape))
    if b.flag():
        indices: Any = b.add("argmax", x, dim=dim, keepdim=True)
    else:
        sides = [n if b.flag() else 1 for n in shape]
        sides[dim] = b.integer(1, 3)
        drawn = [b.integer(0, shape[dim] - 1) for _ in range(math.prod(sides))]
        indices = np.array(drawn, np.int64).reshape(sides)
    b.add("take_along_dim", x, indices, dim)


#: how each op is drawn
FORMS: dict[str, Form] = {
    **{op: _binary(op) for op in ("add", "sub", "mul", "eq", "ne", "lt", "le", "gt", "ge")},
    **{op: _binary(op, nonzero=True) for op in ("div", "remainder", "floor_divide")},
    **{op: _binary(op, numbers=False) for op in ("maximum", "minimum")},
    **{f"bitwise_{op}": _bitwise(f"bitwise_{op}") for op in ("and", "or", "xor", "not")},
    **{op: _unary(op) for op in ("neg", "sin", "cos", "tanh", "sigmoid", "clone")},
    **{op: _unary(op) for op in ("isnan", "isinf", "isfinite")},
    "logsigmoid": lambda b: b.add("logsigmoid", b.pick(kinds="f")),
    **{op: _unary(op) for op in ("abs", "sign", "floor", "relu")},
    **{op: _unary(op, Builder.small) for op in ("exp", "expm1")},
    **{op: _unary(op, Builder.positive) for op in ("log", "log1p", "sqrt")},
    "pow": _pow,
    "clamp": _clamp,
    "cast": _cast,
    "where": _where,
    "overwrite": _overwrite,
    "masked_fill": lambda b: b.add("masked_fill", x := b.pick(), b.condition(x), -1),
    "masked_scale": _masked_scale,
    "matmul": _matmul,
    "linear": _linear,
    "softmax_cross_entropy": _softmax_cross_entropy,
    "class_cross_entropy": _class_cross_entropy,
    "sum": _reduction("sum", least=0, kinds="fiub"),
    "mean": _reduction("mean", kinds="f"),
    "cumsum": _reduction("cumsum", "i", least=0, kinds="f", whole=False),
    "prod": _prod,
    **{op: _reduction(op, least=2, kinds="f", correction=[0, 1]) for op in ("var", "std")},
    **{op: _reduction(op) for op in ("amax", "amin")},
    **{op: _reduction(op, "ni") for op in ("argmax", "argmin")},
    **{op: _reduction(op, least=0, kinds="fiub") for op in ("any", "all")},
    "logsumexp": _reduction("logsumexp", kinds="fu"),
    **{op: _reduction(op, "i", kinds="f", whole=False) for op in ("softmax", "log_softmax")},
    **{op: _extreme(op) for op in ("max", "min")},
    "reshape": _reshape,
    "flatten": _flatten,
    "squeeze": _squeeze,
    "unsqueeze": _unsqueeze,
    "permute": _permute,
    "transpose": _transpose,
    "expand": _expand,
    "t": lambda b: b.add("t", b.pick(lambda a: a.ndim <= 2, kinds="fiub")),
    "split": _split,
    "concatenate": _concatenate,
    "stack": _stack,
    "getitem": _getitem,
    "setitem": _setitem,
    "take_along_dim": _take_along_dim,
}


# ------------------------------------------------------------------------- in place


def _inplace(op: str, nonzero: bool = False) -> Form:
    def form(b: Builder) -> None:
        x = b.target()
        other = b.partner(x, within=True)
        if op == "copy_" and isinstance(other, Ref) and other == x:
            raise NoFit
        b.add(op, x, b.nonzero(other) if nonzero else other)

    return form


def _setitem_(b: Builder) -> None:
    _setitem(b, "setitem_", b.target())


#: how each change in place is drawn
CHANGES: dict[str, Form] = {
    **{op: _inplace(op) for op in ("add_", "sub_", "mul_", "copy_")},
    "div_": _inplace("div_", nonzero=True),
    "relu_": lambda b: b.add("relu_", b.target()),
    "zero_": lambda b: b.add("zero_", b.target()),
    "fill_": lambda b: b.add("fill_", b.target(), b.choose([0.5, 2])),
    "setitem_": _setitem_,
}
