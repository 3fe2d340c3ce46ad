"""The graph: what is recorded of a computation, and what it asks of a tensor.

A `Node` stands for one op that was run. It knows the nodes and leaves that gradients go on to, and
keeps what its derivatives will read. Beside each array it keeps the mark of its version, which a
change in place leaves its trace in: that is looked at before the array is used.
"""

from __future__ import annotations

from typing import Any, TypeAlias, TypeVar

import numpy as np

Array: TypeAlias = Any  # a numpy.ndarray or a cupy.ndarray
V = TypeVar("V", bound="TensorBase")


class Version:
    """What all views of a storage share: how often it was changed in place, and if views exist.

    Attributes:
        count: changes in place so far.
        viewed: whether there are views.
        mark: empty until the next change in place. Graphs keep it, and not the version: a bytearray
            is nothing that Python's collector of cycles would have to look at, again and again.
    """

    __slots__ = ("count", "mark", "viewed")

    def __init__(self, mark: bytearray | None = None) -> None:
        self.count, self.viewed = 0, False
        self.mark = bytearray() if mark is None else mark

    def change(self) -> None:
        """Note a change in place: what was kept before it is out of date."""
        self.count += 1
        self.mark.append(True)
        self.mark = bytearray()


CONSTANT = Version()  # of what is no tensor, and not watched


class TensorBase:
    """What the engine asks of a tensor: `minigrad.Tensor` is the one that people meet."""

    __slots__ = ("__weakref__", "_requires_grad", "_version", "array", "grad", "grad_fn")

    array: Array
    grad: Any  # the gradient of a leaf, itself a tensor
    grad_fn: Node | None  # the op that made it; None for a leaf
    _requires_grad: bool
    _version: Version

    @property
    def shape(self) -> tuple[int, ...]:
        return self.array.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.array.dtype


result_class: type[TensorBase] = TensorBase  # what ops return; minigrad.tensor puts Tensor here


def result_type(cls: type[V]) -> type[V]:
    """Make ``cls`` the class of what an op returns (a decorator; the engine imports no Tensor)."""
    global result_class
    result_class = cls
    return cls


def wrap(
    data: Array,
    requires_grad: bool = False,
    grad_fn: Node | None = None,
    version: Version | None = None,
) -> Any:
    """Return a tensor around an array, which is neither converted nor copied."""
    if isinstance(data, np.generic):  # what NumPy makes of 0-d arrays
        data = np.asarray(data)
    tensor = object.__new__(result_class)
    tensor.array = data
    tensor.grad = None
    tensor.grad_fn = grad_fn
    tensor._requires_grad = requires_grad
    tensor._version = version or Version()
    return tensor


class Node(list[Any]):
    """One recorded op: where its gradient goes next, and what that computation will read.

    It is itself the list of its parents, one for each of the plan's derivatives: so in a long graph
    Python's collector of cycles looks at one object for each op, and not at two.

    Nodes point back towards the leaves only, never at an intermediate tensor and never forward:
    no reference cycles, so that memory is freed the moment the last user lets go of the result.
    """

    __slots__ = ("__weakref__", "dtype", "kept", "plan", "seq", "shape")
    __hash__ = object.__hash__  # type: ignore[assignment]
    __eq__, __ne__ = object.__eq__, object.__ne__  # nodes are told apart by identity

    seq: int  # counts down; from the newest node to the oldest is a reverse topological order
    plan: Any  # a minigrad.table.Plan: what the op keeps, and its derivatives
    shape: tuple[int, ...]  # of the op's output, hence of the gradient that arrives here
    dtype: np.dtype[Any]
    #: what the plan names, then the marks of the arrays among it; None once freed
    kept: tuple[Any, ...] | None

    @property
    def parents(self) -> list[Node | TensorBase]:
        """Where gradients go on to: nodes, and leaves."""
        return list(self)

    @property
    def name(self) -> str:
        """The op's name in PyTorch's style: ``MulBackward``."""
        return "".join(part.capitalize() for part in self.plan.op.name.split("_")) + "Backward"

    @property
    def saved(self) -> dict[str, Any]:
        """What the graph keeps for this node, by the names that its derivative uses.

        Raises:
            RuntimeError: it was freed by a backward pass, or changed in place since.
        """
        return dict(zip(self.plan.names, self.unpack(), strict=False))

    def unpack(self) -> tuple[Any, ...]:
        """Return what is kept, in the order of the plan's names.

        Raises:
            RuntimeError: it was freed by a backward pass, or changed in place since.
        """
        kept, plan = self.kept, self.plan
        if kept is None:
            raise RuntimeError(
                "Trying to backward through the graph a second time: what "
                f"{self.name} had saved was freed by the first backward pass. Specify "
                "retain_graph=True there if you need to go through the graph again."
            )
        if kept and plan.changed(kept):
            slot = next(i for i, mark in enumerate(kept[len(plan.names) :]) if mark)
            raise RuntimeError(
                "one of the variables needed for gradient computation has been modified by an "
                f"inplace operation: {plan.names[slot]} of {self.name}, a {kept[slot].dtype} "
                f"tensor of shape {kept[slot].shape}, after it was saved. Use the out-of-place "
                "form of that operation, or change a clone()."
            )
        return kept

    def unpack_as_variables(self) -> tuple[Any, ...]:
        """Return what is kept with its history, so that derivatives are recorded in their turn."""
        kept, plan = list(self.unpack()), self.plan
        sources = dict(zip(plan.arguments, self, strict=True))
        for slot, i in enumerate(plan.slots):
            source = self if i == plan.op.arity else sources.get(i)
            if isinstance(source, Node):
                version = Version(kept[len(plan.names) + slot])
                kept[slot] = wrap(kept[slot], True, source, version)
            elif source is not None:
                kept[slot] = source
        return tuple(kept)

    def __repr__(self) -> str:
        return f"<{self.name}>"
