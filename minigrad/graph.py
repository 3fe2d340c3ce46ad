"""The graph: what a recorded op leaves behind, and what the engine asks of a tensor.

A `Node` stands for one op that was run. It knows where the op's arguments came from, since
gradients go back there, and it keeps by name what the formulas of its derivatives read by name.
Beside each array it keeps a flag that any change in place sets; backward checks the flag before it
uses the array.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, TypeAlias, TypeVar

import numpy as np

from minigrad.hooks import Hooks

Array: TypeAlias = Any  # a numpy.ndarray or a cupy.ndarray
T = TypeVar("T", bound="TensorBase")


class Storage:
    """What all tensors of one memory share.

    Attributes:
        version: how often the memory was changed in place.
        viewed: whether one tensor of it is a view of another.
        stale: a flag, empty until the next change in place sets it. Nodes keep it. It is a
            bytearray, because the garbage collector does not track it.
    """

    __slots__ = ("stale", "version", "viewed")

    def __init__(self) -> None:
        self.version, self.viewed, self.stale = 0, False, bytearray()

    def change(self) -> None:
        """Note a change in place: what was saved before it is out of date."""
        self.version += 1
        self.stale.append(True)
        self.stale = bytearray()


NEVER_STALE = bytearray()  # the flag of what is not a tensor: nothing watches it


class TensorBase:
    """What the engine asks of a tensor; people meet `minigrad.Tensor`.

    Attributes:
        array: the array itself.
        grad_fn: the node of the op that made it; None for a leaf.
    """

    __slots__ = (
        "__weakref__", "_grad", "_requires_grad", "_storage", "array", "grad_fn", "hooks",
    )  # fmt: skip

    array: Array
    grad_fn: Node | None
    hooks: Hooks | None  # of a leaf; a node has the hooks of its output
    _grad: Any  # the gradient of a leaf, itself a tensor
    _requires_grad: bool
    _storage: Storage

    def _become(self, other: TensorBase) -> None:
        """Take everything from another tensor: what constructors do."""
        _, *slots = TensorBase.__slots__  # but for __weakref__
        for slot in slots:
            setattr(self, slot, getattr(other, slot))

    @property
    def shape(self) -> tuple[int, ...]:
        """The size of each dimension."""
        return self.array.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the elements."""
        return self.array.dtype

    @property
    def _version(self) -> int:
        """How often the memory was changed in place."""
        return self._storage.version


result_class: type[TensorBase] = TensorBase  # what ops return; minigrad.tensor puts Tensor here


def result_type(cls: type[T]) -> type[T]:
    """Make ``cls`` the class of what ops return (a decorator; the engine imports no Tensor)."""
    global result_class
    result_class = cls
    return cls


def wrap(
    array: Array,
    requires_grad: bool = False,
    grad_fn: Node | None = None,
    storage: Storage | None = None,
) -> Any:
    """Return a tensor around an array, which is neither converted nor copied."""
    if isinstance(array, np.generic):  # what NumPy makes of 0-d arrays
        array = np.asarray(array)
    tensor = _new(result_class)
    tensor.array, tensor.grad_fn, tensor._requires_grad = array, grad_fn, requires_grad
    tensor._storage = storage or Storage()
    tensor._grad = tensor.hooks = None
    return tensor


def sole_view(y: Any) -> Any:
    """Return a tensor that is a view of a result nobody else has: it may be changed in place."""
    if isinstance(y, TensorBase):
        y._storage.viewed = False
    return y


_new = object.__new__
_count = itertools.count(0, -1)


class Node:
    """One op that was run: where its gradients go on to, and what its derivatives read.

    Nodes point back towards the leaves only, never at an intermediate tensor and never forward. So
    there are no reference cycles, and memory is freed the moment the last user lets go of the
    result.

    Attributes:
        seq: counts down, so whatever reads this node's output has a lower one, and a heap gives the
            newest node first.
        op: a `minigrad.table.Op`.
        sources: for each of the op's arguments, the node or leaf that it came from; None where no
            gradient is needed.
        kept: by name, what the derivatives for these arguments read; None once it was freed.
        flags: for each item of ``kept``, the flag that a change in place sets.
        shape, dtype: of the output, and so of the gradient that arrives here.
        hooks: what is called with that gradient, if anything.
    """

    __slots__ = (
        "__weakref__", "dtype", "flags", "hooks", "kept", "op", "seq", "shape", "sources",
    )  # fmt: skip

    def __init__(
        self,
        op: Any,
        sources: Sequence[Node | TensorBase | None],
        kept: dict[str, Any],
        flags: Sequence[bytearray],
        y: Array,
    ) -> None:
        self.seq = next(_count)
        self.op, self.sources = op, tuple(sources)
        self.kept: dict[str, Any] | None = kept
        self.flags: tuple[bytearray, ...] = tuple(flags)
        self.shape, self.dtype = y.shape, y.dtype
        self.hooks: Hooks | None = None

    def name(self) -> str:
        """The op's name in PyTorch's style: ``MulBackward``."""
        return "".join(part.capitalize() for part in self.op.name.split("_")) + "Backward"

    @property
    def parents(self) -> list[Node | TensorBase]:
        """Where gradients go on to: nodes, and leaves."""
        return [source for source in self.sources if source is not None]

    @property
    def next_functions(self) -> tuple[tuple[Node | AccumulateGrad | None, int], ...]:
        """Where gradients go on to, as in PyTorch: a pair for each differentiable argument.

        The first of a pair is a node, `AccumulateGrad` of a leaf, or None where no gradient is
        needed. The second is 0, since ops have one output.
        """
        return tuple(
            (AccumulateGrad(s) if isinstance(s, TensorBase) else s, 0)
            for s, derivative in zip(self.sources, self.op.derivatives, strict=False)
            if derivative is not None
        )

    @property
    def saved(self) -> dict[str, Any]:
        """What the graph keeps for this node, by the names that its derivatives use.

        Raises:
            RuntimeError: a backward pass freed it, or it was changed in place.
        """
        if self.kept is not None and not any(self.flags):
            return self.kept
        if self.kept is None:
            raise RuntimeError(
                "Trying to backward through the graph a second time: what "
                f"{self.name()} had saved was freed by the first backward pass. Specify "
                "retain_graph=True there if you need to go through the graph again."
            )
        pairs = zip(self.kept.items(), self.flags, strict=True)
        name, value = next(item for item, stale in pairs if stale)
        raise RuntimeError(
            "one of the variables needed for gradient computation has been modified by an inplace "
            f"operation: {name} of {self.name()}, a {value.dtype} tensor of shape {value.shape}, "
            "after it was saved. Use the out-of-place form of that operation, or change a clone()."
        )

    @property
    def saved_with_history(self) -> dict[str, Any]:
        """The same as tensors that know where they came from: derivatives of these are recorded."""
        saved = dict(self.saved)
        flags = dict(zip(saved, self.flags, strict=True))
        for name, source in [*zip(self.op.parameters, self.sources, strict=False), ("y", self)]:
            if name not in saved or source is None:
                continue
            if isinstance(source, Node):
                saved[name] = wrap(saved[name], True, source)
                saved[name]._storage.stale = flags[name]  # a later change is one of it, too
            elif source.array is saved[name]:
                saved[name] = source
            else:
                raise RuntimeError(
                    f"{name} of {self.name()} is a leaf whose data was replaced after it was "
                    "saved: a derivative of the derivative would mix both"
                )
        return saved

    def let_go(self) -> None:
        """Free what is kept."""
        self.kept, self.flags = None, ()

    def keep_instead(self, array: Array, other: Array, stale: bytearray) -> None:
        """Keep ``other``, with its flag, wherever ``array`` is kept."""
        kept = self.kept or {}
        found = [value is array for value in kept.values()]
        flags = zip(found, self.flags, strict=True)
        self.flags = tuple(stale if same else flag for same, flag in flags)
        self.kept = {n: other if value is array else value for n, value in kept.items()}

    def __repr__(self) -> str:
        return f"<{self.name()}>"


class AccumulateGrad:
    """The end of a path in the graph: where a leaf's gradient is added up, as in PyTorch."""

    next_functions = ()

    def __init__(self, variable: TensorBase) -> None:
        self.variable = variable

    def name(self) -> str:
        """What PyTorch calls it."""
        return "AccumulateGrad"

    def __repr__(self) -> str:
        return "<AccumulateGrad>"
