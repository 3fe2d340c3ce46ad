"""The graph: what is recorded of a computation, and what it asks of a tensor.

A `Node` stands for one op that was run. It knows the nodes and leaves that gradients go on to, and
keeps what its derivatives will read, with the version of each array: whether it was changed in
place since is checked before it is used.
"""

from __future__ import annotations

from typing import Any, TypeAlias, TypeVar

import numpy as np

Array: TypeAlias = Any  # a numpy.ndarray or a cupy.ndarray
V = TypeVar("V", bound="Variable")


class Version:
    """What all views of a storage share: how often it was changed in place, and if views exist."""

    count = 0  # the class holds the initial state, so that making one costs next to nothing
    viewed = False


CONSTANT = Version()  # of what is no tensor, and not watched


class Variable:
    """What the engine asks of a tensor: `minigrad.Tensor` is the one that people meet."""

    __slots__ = ("__weakref__", "_requires_grad", "_version", "data", "grad", "grad_fn")

    data: Array
    grad: Any  # the gradient of a leaf, itself a tensor
    grad_fn: Node | None  # the op that made it; None for a leaf
    _requires_grad: bool
    _version: Version

    @property
    def shape(self) -> tuple[int, ...]:
        return self.data.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.data.dtype


result_class: type[Variable] = Variable  # what ops return; minigrad.tensor puts Tensor here


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
    tensor.data = data
    tensor.grad = None
    tensor.grad_fn = grad_fn
    tensor._requires_grad = requires_grad
    tensor._version = version or Version()
    return tensor


class Node:
    """One recorded op: where its gradient goes next, and what that computation will read.

    Nodes point back towards the leaves only, never at an intermediate tensor and never forward:
    no reference cycles, so that memory is freed the moment the last user lets go of the result.
    """

    __slots__ = (
        *("seq", "plan", "parents", "shape", "dtype"),
        *("_kept", "_versions", "_counts", "__weakref__"),
    )

    seq: int  # counts down; from the newest node to the oldest is a reverse topological order
    plan: Any  # a minigrad.table.Plan: what the op keeps, and its derivatives
    parents: list[Node | Variable]  # one for each of the plan's derivatives
    shape: tuple[int, ...]  # of the op's output, hence of the gradient that arrives here
    dtype: np.dtype[Any]
    _kept: tuple[Any, ...] | None  # by the plan's names; None once freed
    _versions: tuple[Version, ...]  # of what is kept, shapes aside,
    _counts: tuple[int, ...]  # and what they counted then

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
        return dict(zip(self.plan.names, self.unpack(), strict=True))

    def unpack(self) -> tuple[Any, ...]:
        """Return what is kept, by the plan's names.

        Raises:
            RuntimeError: it was freed by a backward pass, or changed in place since.
        """
        kept = self._kept
        if kept is None:
            raise RuntimeError(
                "Trying to backward through the graph a second time: what "
                f"{self.name} had saved was freed by the first backward pass. Specify "
                "retain_graph=True there if you need to go through the graph again."
            )
        for slot, version in enumerate(self._versions):
            if version.count != self._counts[slot]:
                raise RuntimeError(
                    "one of the variables needed for gradient computation has been modified by an "
                    f"inplace operation: {self.plan.names[slot]} of {self.name}, a "
                    f"{kept[slot].dtype} tensor of shape {kept[slot].shape}, is at version "
                    f"{version.count}; expected version {self._counts[slot]} instead. Use the "
                    "out-of-place form of that operation, or change a clone()."
                )
        return kept

    def unpack_as_variables(self) -> tuple[Any, ...]:
        """Return what is kept with its history, so that derivatives are recorded in their turn."""
        kept, op = list(self.unpack()), self.plan.op
        sources = dict(zip(self.plan.arguments, self.parents, strict=True))
        for slot, i in enumerate(self.plan.slots):
            source = self if i == op.arity else sources.get(i)
            if isinstance(source, Node):
                kept[slot] = wrap(kept[slot], True, source, self._versions[slot])
            elif source is not None:
                kept[slot] = source
        return tuple(kept)

    def __repr__(self) -> str:
        return f"<{self.name}>"
