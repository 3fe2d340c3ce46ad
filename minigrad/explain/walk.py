"""The walk back, gone through once more and written down.

It is the walk of `minigrad.autograd`: the newest node first, each entry of the table called with
the gradient and with what the graph keeps for it. But nothing is freed, no ``grad`` is touched and
no hook is run. Where the walk would fail, this one ends, and says why.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import Any

import numpy as np

from minigrad.autograd import fitted
from minigrad.device import gpus, on_device_of, use_device_of
from minigrad.explain.draws import draw_of
from minigrad.explain.formulas import formula_text
from minigrad.explain.memory import Ledger, arrays_in
from minigrad.explain.recording import notes, parameter_names
from minigrad.explain.records import Leaf, Piece, Read, Step, Walk
from minigrad.explain.values import Seen
from minigrad.grad_mode import no_grad
from minigrad.graph import Node, TensorBase

Place = Node | TensorBase
State = tuple[int, int, int]


class Walker:
    """Goes through the walk from a tensor back to its leaves, and writes it down.

    Args:
        root: where it starts.
        names: of leaves, by their id.
        look: returns what is to be shown of a value.
        states: of the generators that masks may come from.
    """

    def __init__(
        self,
        root: TensorBase,
        names: Mapping[int, str],
        look: Callable[[Any], Seen],
        states: Sequence[State],
    ) -> None:
        self._root, self._look, self._states = root, look, states
        self._nodes, self._ends = reached(root.grad_fn or root)
        self._number: dict[Node, int] = {node: i for i, node in enumerate(self._nodes, 1)}
        self._name = _named(self._ends, names)
        self._leaves = [self._leaf(leaf) for leaf in self._ends]
        self._ledger = self._count()
        self._steps = [self._step(node) for node in self._nodes]
        self._find_values()

    def walk(self, gradient: Any) -> Walk:
        """Let a gradient, an array, flow from the root to the leaves; return what was written."""
        self._go(gradient)
        numbers, ledger = range(1, len(self._nodes) + 1), self._ledger
        curve = ledger.curve(reversed(numbers), numbers)
        kept, own = ledger.total(own=False), ledger.total(own=True)
        return Walk(self._steps, self._leaves, kept, own, curve)

    def _leaf(self, leaf: TensorBase) -> Leaf:
        return Leaf(
            self._name[leaf], leaf.shape, str(leaf.dtype), self._look(leaf.array),
            hooks=_hooks(leaf), adds=leaf._grad is not None,
        )  # fmt: skip

    # ------------------------------------------------------------------ what stands before it

    def _count(self) -> Ledger:
        ledger = Ledger(leaf.array for leaf in self._ends)
        for node in self._nodes:
            for value in (_saved(node) or {}).values():
                for array in arrays_in(value):
                    ledger.keep(self._number[node], array)
        return ledger

    def _step(self, node: Node) -> Step:
        """Return a visit as far as it is known before a gradient comes."""
        number = self._number[node]
        step = Step(number, node.op.name, node.shape, str(node.dtype), _hooks(node))
        saved, note = _saved(node), notes.get(node)
        if note is not None:
            step.value, step.calls, step.where = note.value, note.calls, note.where
        for argument, derivative, source in entries(node):
            reads = [self._read(number, read.name, saved) for read in derivative.reads]
            text = formula_text(derivative.formula)
            step.pieces.append(Piece(argument, text, reads, self._target(source)))
        for name, value in (saved or {}).items():
            if getattr(value, "dtype", None) == np.bool_:
                draw = draw_of(value, (saved or {}).get("scale"), self._states)
                if draw is not None:
                    step.draws[name] = draw
        return step

    def _read(self, number: int, name: str, saved: Mapping[str, Any] | None) -> Read:
        if saved is None:
            return Read(name, None, 0, False, [])
        value, ledger = saved[name], self._ledger
        arrays = list(arrays_in(value))
        others = {other for array in arrays for other in ledger.others(number, array)}
        own = bool(arrays) and all(map(ledger.is_own, arrays))
        return Read(name, self._look(value), sum(map(ledger.size, arrays)), own, sorted(others))

    def _target(self, source: Place) -> int | str:
        return self._number[source] if isinstance(source, Node) else self._name[source]

    def _find_values(self) -> None:
        """Show the results that were not recorded where somebody keeps them."""
        root = self._root
        known: dict[Node, Any] = {} if root.grad_fn is None else {root.grad_fn: root.array}
        for node in self._nodes:
            saved = _saved(node) or {}
            if "y" in saved:
                known[node] = saved["y"]
            for name, source in zip(node.op.parameters, node.sources, strict=False):
                if isinstance(source, Node) and name in saved:
                    known[source] = saved[name]
        for node, step in zip(self._nodes, self._steps, strict=True):
            if step.value is None and node in known:
                step.value = self._look(known[node])

    # ------------------------------------------------------------------ the walk itself

    def _go(self, gradient: Any) -> None:
        grads: dict[Place, Any] = {self._root.grad_fn or self._root: gradient}
        with no_grad(), np.errstate(all="ignore"), on_device_of(gradient):
            for node, step in zip(self._nodes, self._steps, strict=True):
                self._visit(node, step, grads)
                if step.stop:
                    return
        for leaf, of_leaf in zip(self._ends, self._leaves, strict=True):
            of_leaf.grad = self._look(grads[leaf])

    def _visit(self, node: Node, step: Step, grads: dict[Place, Any]) -> None:
        g = np.asarray(g) if isinstance(g := grads.pop(node), np.generic) else g
        step.seen = self._look(g)
        if gpus.several:
            use_device_of(g)
        for piece, (_, derivative, source) in zip(step.pieces, entries(node), strict=True):
            like = source if isinstance(source, Node) else source.array
            try:
                part = derivative.formula(g, *map(node.saved.get, derivative.names))
                piece.shape, piece.dtype = part.shape, str(part.dtype)
                part = fitted(part, like, node)
            except Exception as error:  # a formula is anybody's code
                step.stop = f"{type(error).__name__}: {error}"
                return
            piece.summed = None if piece.shape == like.shape else like.shape
            piece.cast = None if piece.dtype == like.dtype else str(like.dtype)
            piece.seen = self._look(part)
            if source in grads:
                piece.added = True
                part = grads[source] + part
                piece.total = self._look(part)
            grads[source] = part


def reached(start: Place) -> tuple[list[Node], list[TensorBase]]:
    """Return the nodes that a walk from ``start`` visits, in its order, and the leaves."""
    found: list[Place] = [start]
    seen = set(found)
    for place in found:  # the list grows while it is read
        for source in place.parents if isinstance(place, Node) else ():
            if source not in seen:
                seen.add(source)
                found.append(source)
    nodes = [place for place in found if isinstance(place, Node)]
    nodes.sort(key=attrgetter("seq"))  # it counts down: the newest first
    return nodes, [place for place in found if not isinstance(place, Node)]


def _named(leaves: Sequence[TensorBase], names: Mapping[int, str]) -> dict[TensorBase, str]:
    """Return a name for each leaf, no two the same: two nets may both have a ``0.weight``."""
    known = [names.get(id(leaf)) or parameter_names.of(leaf) for leaf in leaves]
    used = {name for name in known if name}
    free = (name for i in itertools.count() if (name := f"leaf{i}") not in used)
    found: dict[TensorBase, str] = {}
    count: Counter[str] = Counter()
    for leaf, given in zip(leaves, known, strict=True):
        name = given or next(free)
        count[name] += 1
        found[leaf] = name if count[name] == 1 else f"{name} ({count[name]})"
    return found


def entries(node: Node) -> list[tuple[str, Any, Place]]:
    """Return for each argument that a gradient goes to: its name, its entry, where it came from."""
    names = [*node.op.parameters]
    first = len(names) - 1  # of an op of any number of tensors, the last parameter is all of them
    if node.op.any_number:
        last = names.pop()
        names += [f"{last}[{i}]" for i in range(len(node.sources) - first)]
    triples = zip(names, node.op.derivatives, node.sources, strict=False)
    return [(n, d, s) for n, d, s in triples if s is not None]


def _saved(node: Node) -> dict[str, Any] | None:
    """Return what is kept for a node; None if it was freed, or changed in place."""
    try:
        return node.saved
    except RuntimeError:
        return None


def _hooks(place: Place) -> int:
    return 0 if place.hooks is None else len(place.hooks.functions)
