"""The memory that a graph keeps: each piece once, however many nodes and views share it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any


def owner(array: Any) -> Any:
    """Return the array whose memory an array is a view of: keeping a view keeps all of that."""
    while hasattr(getattr(array, "base", None), "nbytes"):
        array = array.base
    return array


def arrays_in(value: Any) -> Iterator[Any]:
    """Yield the arrays that something kept is, or holds: an index may be a tuple of them."""
    if hasattr(value, "nbytes") and hasattr(value, "dtype"):
        yield value
    elif isinstance(value, tuple | list):
        for item in value:
            yield from arrays_in(item)


class Ledger:
    """Who keeps which memory.

    Args:
        own: arrays whose memory is there anyway: the leaves'. It is counted apart.
    """

    def __init__(self, own: Iterable[Any]) -> None:
        self.own = {id(owner(array)) for array in own}
        self.keepers: dict[int, set[int]] = {}  # by the id of an owner: the numbers of its keepers
        self.sizes: dict[int, int] = {}
        self._alive: list[Any] = []  # so that no id is used again

    def keep(self, keeper: int, array: Any) -> None:
        """Note that a node keeps an array."""
        memory = owner(array)
        self._alive.append(memory)
        self.keepers.setdefault(id(memory), set()).add(keeper)
        self.sizes[id(memory)] = int(memory.nbytes)

    def is_own(self, array: Any) -> bool:
        """Return whether an array is a leaf's own memory."""
        return id(owner(array)) in self.own

    def size(self, array: Any) -> int:
        """Return the bytes that keeping an array keeps: of a view, those of the whole memory."""
        return int(owner(array).nbytes)

    def others(self, keeper: int, array: Any) -> list[int]:
        """Return who else keeps the same memory."""
        return sorted(self.keepers.get(id(owner(array)), set()) - {keeper})

    def total(self, own: bool) -> int:
        """Return the bytes kept: of the leaves' own memory, or of all other."""
        return sum(n for key, n in self.sizes.items() if (key in self.own) == own)

    def curve(self, made: Iterable[int], freed: Iterable[int]) -> list[int]:
        """Return the bytes kept, but for the leaves' own, after each node is made, then freed.

        Args:
            made: all nodes in the order in which they were made.
            freed: the nodes in the order in which the walk lets go of what they keep.
        """
        of_node: dict[int, list[int]] = {}
        for key, keepers in self.keepers.items():
            for keeper in keepers:
                of_node.setdefault(keeper, []).append(key)
        users: dict[int, int] = {}
        total, points = 0, []
        for step, nodes in ((1, made), (-1, freed)):
            for node in nodes:
                for key in of_node.get(node, []):
                    before = users.get(key, 0)
                    users[key] = before + step
                    if key not in self.own and 0 in (before, users[key]):
                        total += step * self.sizes[key]
                points.append(total)
        return points
