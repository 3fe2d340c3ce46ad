"""The walk as data: visits, what each sends on, and the leaves. None holds a tensor or a node."""

from __future__ import annotations

from dataclasses import dataclass, field

from minigrad.explain.draws import Draw
from minigrad.explain.values import Seen


@dataclass
class Read:
    """Something that a formula reads.

    Attributes:
        name: what the formula calls it.
        seen: what is shown of its value; None if that was freed, or changed in place since.
        nbytes: the memory that keeping it keeps; 0 for what is no array.
        own: whether that is a leaf's own memory, which is there anyway.
        others: the numbers of the other nodes that keep the same memory.
    """

    name: str
    seen: Seen
    nbytes: int
    own: bool
    others: list[int]


@dataclass
class Piece:
    """What one entry of the table sends on to one source.

    Attributes:
        argument: the op's argument that the entry is for.
        formula: the entry's own text.
        reads: what it reads.
        target: where the result goes: the number of a node, or the name of a leaf.
        shape, dtype: of the formula's result.
        summed: the shape that un-broadcasting left, if it summed.
        cast: the dtype that the result was cast to, if it was.
        added: whether a gradient was there already, and this one is added to it.
        seen: what is shown of what is sent on, and of the sum if it is added.
    """

    argument: str
    formula: str
    reads: list[Read]
    target: int | str
    shape: tuple[int, ...] = ()
    dtype: str = ""
    summed: tuple[int, ...] | None = None
    cast: str | None = None
    added: bool = False
    seen: Seen = None
    total: Seen = None


@dataclass
class Step:
    """A visit of a node.

    Attributes:
        number: 1 for the first; the node is known by it.
        op: the op's name.
        shape, dtype: of the op's result, and so of the gradient that arrives.
        hooks: how many functions will see that gradient first, and may replace it.
        pieces: what it sends on.
        seen: what is shown of that gradient; None for a visit that the walk does not come to.
        draws: by name, where masks among what is kept were drawn.
        value: what is shown of the op's result, where it is known.
        calls: the calls of modules that it was part of, outermost first, where it was recorded.
        where: the line of code that called for it, where it was recorded.
        stop: why the walk would stop here, if it would.
    """

    number: int
    op: str
    shape: tuple[int, ...]
    dtype: str
    hooks: int
    pieces: list[Piece] = field(default_factory=list)
    seen: Seen = None
    draws: dict[str, Draw] = field(default_factory=dict)
    value: Seen = None
    calls: tuple[str, ...] = ()
    where: str | None = None
    stop: str | None = None


@dataclass
class Leaf:
    """The end of a path: where a gradient is added up.

    Attributes:
        name: as given, or ``leaf0``, ``leaf1``, ...
        shape, dtype: of the leaf.
        value, grad: what is shown of them; no ``grad`` if none comes to it.
        hooks: how many functions will see the gradient, and may replace it.
        adds: whether the leaf has a ``grad`` already, which backward would add to.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    value: Seen
    grad: Seen = None
    hooks: int = 0
    adds: bool = False


@dataclass
class Walk:
    """A walk from a tensor back to its leaves.

    Attributes:
        steps: the visits, in their order.
        leaves: the leaves, in the order in which the graph names them.
        kept, own: the bytes that the graph keeps: but for the leaves' own memory, and of that.
        curve: the former after each op was run, then after each visit.
    """

    steps: list[Step]
    leaves: list[Leaf]
    kept: int
    own: int
    curve: list[int]

    @property
    def stop(self) -> str | None:
        """Why the walk would stop before its end, if it would."""
        return next((step.stop for step in self.steps if step.stop), None)
