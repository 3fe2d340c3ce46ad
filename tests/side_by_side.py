"""One program in minigrad and in PyTorch: how ops are spelled there, and a register in both."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

torch = pytest.importorskip("torch")

# ------------------------------------------------------------------------- PyTorch's spelling


def _setitem_(x: Any, value: Any, index: Any) -> Any:
    x[index] = value.to(x.dtype) if torch.is_tensor(value) else value
    return x


def _copy_(x: Any, source: Any) -> Any:
    return x.copy_(source) if torch.is_tensor(source) else x.fill_(source)


def _remainder(a: Any, b: Any) -> Any:
    return (a if torch.is_tensor(a) else torch.full_like(b, a, dtype=torch.result_type(a, b))) % b


def _clamp(x: Any, min: Any = None, max: Any = None) -> Any:
    limits = [limit for limit in (min, max) if torch.is_tensor(limit)]
    if not limits:
        return torch.clamp(x, min, max)
    # PyTorch cannot differentiate its clamp where x itself is broadcast
    x = x.expand(torch.broadcast_shapes(x.shape, *[limit.shape for limit in limits]))
    if min is not None and max is not None:
        min, max = (
            t if torch.is_tensor(t) else torch.full_like(limits[0], t, dtype=x.dtype)
            for t in (min, max)
        )
    return torch.clamp(x, min, max)


def _over(name: str) -> Callable[..., Any]:
    """Return a reduction that means all dimensions by None."""

    def call(x: Any, dim: Any = None, **options: Any) -> Any:
        return getattr(torch, name)(x, tuple(range(x.ndim)) if dim is None else dim, **options)

    return call


def _constant(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that needs no gradient."""
    return lambda *args: function(*[a.detach() if torch.is_tensor(a) else a for a in args])


def _whether(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function whose result is a boolean, of bytes too."""
    return lambda *args, **options: function(*args, **options).bool()


def _product(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a matrix product of any dtypes."""

    def call(a: Any, b: Any, *bias: Any) -> Any:
        dtype = torch.promote_types(a.dtype, b.dtype)
        return function(*[t.to(dtype) for t in (a, b, *bias)])

    return call


def _comparison(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a comparison of numbers themselves; PyTorch wraps them into the dtype first."""

    def compare(a: Any, b: Any) -> Any:
        if int in (type(a), type(b)):
            a, b = (
                t.long() if torch.is_tensor(t) and not t.is_floating_point() else t for t in (a, b)
            )
        return function(a, b)

    return compare


def _split(x: Any, size: int, dim: int) -> tuple[Any, ...]:
    """Return what torch.split does; its own views are not even read once the memory was changed."""
    n = x.shape[dim]
    return tuple(x.narrow(dim, i, min(size, n - i)) for i in range(0, max(n, 1), size))


#: what is not torch.NAME; for a change in place, what is no method of that name
SPELLINGS: dict[str, Callable[..., Any]] = {
    **{op: getattr(operator, op) for op in ("add", "sub", "mul", "pow")},
    **{op: _comparison(getattr(operator, op)) for op in ("eq", "ne", "lt", "le", "gt", "ge")},
    **{op: _over(op) for op in ("logsumexp", "var", "std", "amax", "amin")},
    **{op: _constant(getattr(torch, op)) for op in ("sign", "floor")},
    **{op: _whether(getattr(torch, op)) for op in ("any", "all")},
    "floor_divide": _constant(operator.floordiv),
    "div": operator.truediv,
    "remainder": _remainder,
    "clamp": _clamp,
    "matmul": _product(torch.matmul),
    "linear": _product(torch.nn.functional.linear),
    "tensor": lambda array, requires_grad=False: array.requires_grad_(requires_grad),
    "cast": lambda x, dtype: x.to(getattr(torch, dtype), copy=True),
    "expand": lambda x, shape: x.expand(shape),
    "split": _split,
    "getitem": lambda x, index: x[index],
    "setitem": lambda x, value, index: _setitem_(x.clone(), value, index),
    "setitem_": _setitem_,
    "overwrite": lambda x, source: _copy_(x.clone(), source),
    "copy_": _copy_,
    "masked_scale": lambda x, keep, scale: x * keep * scale,
    "softmax_cross_entropy": lambda x, q, dim: -(q * torch.log_softmax(x, dim)).sum(dim),
    "class_cross_entropy": torch.nn.functional.cross_entropy,
    "logsigmoid": torch.nn.functional.logsigmoid,
}


def torch_call(op: str, *args: Any, **options: Any) -> Any:
    """Run an op of a program in PyTorch."""
    args, options = _with_tensors((args, options))
    if op in SPELLINGS:
        y = SPELLINGS[op](*args, **options)
    elif op.endswith("_"):
        y = getattr(args[0], op)(*args[1:], **options)
    else:
        y = getattr(torch, op)(*args, **options)
    if not torch.is_grad_enabled():
        return tuple(map(_unrecorded, y)) if type(y) is tuple else _unrecorded(y)
    return y


def _unrecorded(y: Any) -> Any:
    """Return a result that was not recorded; of a view, PyTorch says that it requires grad."""
    return y.detach() if torch.is_tensor(y) and y.is_leaf and y._is_view() else y


def _with_tensors(value: Any) -> Any:
    """Return a value with tensors in place of the arrays in it."""
    if isinstance(value, dict):
        return {name: _with_tensors(v) for name, v in value.items()}
    if type(value) in (tuple, list):
        return type(value)(map(_with_tensors, value))
    return torch.from_numpy(value.copy()) if isinstance(value, np.ndarray) else value


#: ops whose result has the dtype to which all operands are promoted
PROMOTING = {
    *("add", "sub", "mul", "div", "pow", "maximum", "minimum", "remainder", "floor_divide"),
    *("eq", "ne", "lt", "le", "gt", "ge", "max", "min", "clamp", "where", "concatenate", "stack"),
    *("bitwise_and", "bitwise_or", "bitwise_xor", "softmax_cross_entropy"),
}


def promoted(tensors: list[Any]) -> list[Any]:
    """Return operands cast such that a tensor without dimensions counts as any other does."""
    for kind in (torch.Tensor.is_floating_point, lambda t: t.dtype in (torch.int64, torch.int32)):
        wide = [t.dtype for t in tensors if kind(t) and not t.ndim and t.dtype.itemsize == 8]
        if wide:
            tensors = [t.to(wide[0]) if kind(t) and t.ndim else t for t in tensors]
    return tensors


def apart(operand: Any, target: Any) -> Any:
    """Return an operand of a change of ``target``, copied if it overlaps that in part.

    Where PyTorch does not see that it does, it reads elements that it has changed.
    """
    places = [(t.untyped_storage().data_ptr(), t.nbytes > 0) for t in (operand, target)]
    layouts = [(t.shape, t.stride(), t.storage_offset()) for t in (operand, target)]
    shared = places[0] == places[1] == (places[0][0], True)
    return operand.clone() if shared and layouts[0] != layouts[1] else operand


def changed_since(*outputs: Any) -> set[str]:
    """Return the names of PyTorch's nodes behind some outputs whose saved tensors were changed."""
    nodes, names = [y.grad_fn for y in outputs if y.grad_fn is not None], set()
    for node in nodes:  # the list grows while it is read
        nodes += [n for n, _ in node.next_functions if n is not None and n not in nodes]
        for name in dir(node):
            if name.startswith("_saved_"):
                try:
                    getattr(node, name)
                except RuntimeError as error:
                    if "modified by an inplace operation" in str(error):
                        names.add(node.name())
    return names


# ------------------------------------------------------------------------- a register in both


class Pair(NamedTuple):
    """A register: the same tensor in both frameworks."""

    ours: Any
    theirs: Any

    @property
    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        return self.ours.array, self.theirs.detach().numpy()

    def problem(self, tolerance: float) -> str | None:
        """Say in what the two differ; None if in nothing.

        Elements may differ by ``tolerance`` times the largest one's size, or times 1.
        """
        ours, theirs = self.arrays
        for one, other, names in (
            (ours, theirs, ("dtype", "shape")),
            (self.ours, self.theirs, ("requires_grad", "is_leaf")),
        ):
            for name in names:
                if getattr(one, name) != getattr(other, name):
                    return f"has {name} {getattr(one, name)}; PyTorch: {getattr(other, name)}"
        if ours.dtype.kind == "f":
            # which zero a tie of 0 and -0 gives is not said, and so not which infinity 1/0 is
            both = np.isinf(ours) & np.isinf(theirs) if ours.shape == theirs.shape else False
            ours, theirs = np.where(both, 0, ours), np.where(both, 0, theirs)
            finite = np.abs(theirs[np.isfinite(theirs)])
            scale = max(1.0, float(finite.max(initial=0.0)))
            same = np.allclose(ours, theirs, rtol=0, atol=tolerance * scale, equal_nan=True)
        else:
            same = np.array_equal(ours, theirs)
        return None if same else f"is\n{ours!r}\nPyTorch:\n{theirs!r}"

    def level(self) -> None:
        """Give ours PyTorch's last bits, so that rounding never decides a later comparison."""
        ours, theirs = self.arrays
        if ours.flags.writeable:
            ours[...] = theirs


# ------------------------------------------------------------------------- what both refuse

#: what minigrad says ("Type: message"), and what PyTorch says
REFUSALS: dict[str, tuple[str, str]] = {
    "a dimension out of range": (
        r"^(IndexError: Dimension|AxisError: axis) .*out of (range|bounds)",
        r"^IndexError: Dimension out of range",
    ),
    "an index out of range": (r"^IndexError: index .* is out of bounds",) * 2,
    "more indices than dimensions": (r"^IndexError: too many indices",) * 2,
    "a mask that does not fit": (r"^IndexError: The shape of the mask",) * 2,
    "arrays of places that do not fit each other": (
        r"^IndexError: shape mismatch: indexing arrays could not be broadcast",
        r"^IndexError: shape mismatch: indexing tensors could not be broadcast",
    ),
    "a value that does not fit where it is to go": (
        r"^RuntimeError: shape mismatch: value tensor",
        r"^RuntimeError: (shape mismatch: value tensor|The expanded size of the tensor|expand\()",
    ),
    "an integer divided by 0": (r"^\w+: ZeroDivisionError",) * 2,
    "shapes that do not broadcast": (
        r"^(Value|Runtime)Error: .*could not (be )?broadcast|"
        r"^RuntimeError: (The size of|output with shape)",
        r"^RuntimeError: (The size of tensor a|The expanded size of the tensor|output with shape)",
    ),
    "an expansion that is none": (
        r"^RuntimeError: expand: a tensor of shape",
        r"^RuntimeError: (The expanded size|expand\()",
    ),
    "matrices that do not fit": (
        r"^RuntimeError: .*(cannot be multiplied|size mismatch|inconsistent tensor size|"
        r"at least 1D|must match the size)|^RuntimeError: Expected size for first two dimensions",
    )
    * 2,
    "another number of elements": (
        r"^RuntimeError: (shape '|only one dimension can be inferred|cannot reshape tensor of 0)",
    )
    * 2,
    "joining what does not fit": (
        r"^RuntimeError: Sizes of tensors must match",
        r"^RuntimeError: (stack expects|Tensors must have same number|Sizes of tensors must)",
    ),
    "a permutation that is none": (
        r"^RuntimeError: (permute|dim .* appears multiple times)",
        r"^RuntimeError: permute",
    ),
    "to flatten backwards": (r"start_dim.* cannot come after",) * 2,
    "a dimension named twice": (r"appears multiple times",) * 2,
    "the extreme of nothing": (r"Expected reduction dim",) * 2,
    "a dtype that the op is not for": (
        r"^(UFunc)?TypeError: .*(not supported|Cannot cast)|^RuntimeError: mean\(\)|"
        r"^NotImplementedError: .* is not implemented for",
        r"not implemented for|not supported|^RuntimeError: mean\(\)|only implemented on integer",
    ),
    "a result that the target cannot hold": (r"can't be cast", r"can't be cast|with a bool tensor"),
    "a change of a leaf that requires grad": (
        r"a leaf Variable that requires grad",
        r"a (view of a )?leaf Variable that requires grad",
    ),
    "a place that is none, in such a leaf": (
        r"^(Index|Runtime)Error: (The shape of the mask|index .* out of bounds|too many|shape mis)",
        r"a (view of a )?leaf Variable that requires grad",
    ),
    "writing where memory is shared": (r"read-only", r"more than one element of the written-to"),
    "what was saved is gone, or changed": (
        r"modified by an inplace operation|through the graph a second time",
    )
    * 2,
}


def refused_alike(ours: Exception, theirs: Exception) -> bool:
    """Return whether two exceptions are of one kind."""
    a, b = (f"{type(e).__name__}: {e}" for e in (ours, theirs))
    return any(re.search(x, a) and re.search(y, b) for x, y in REFUSALS.values())
