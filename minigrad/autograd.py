"""The walk back: from results to the leaves that they depend on, with the gradients.

The walk visits the newest node first. Whatever reads a node's output is newer and was visited
before, so the node's gradient is complete. It is a loop, not a recursion: a chain of a million ops
is no special case. At each node the walk calls the entries of the table with the gradient and with
what was kept for them, and then lets that go.
"""

from __future__ import annotations

import operator
from collections.abc import Collection, Sequence
from heapq import heappop, heappush
from typing import Any

import numpy as np

from minigrad.device import gpus, on_device_of, use_device_of
from minigrad.grad_mode import enable_grad, inference_mode, no_grad, set_grad_enabled
from minigrad.graph import Node, TensorBase, wrap
from minigrad.ops.broadcast import unbroadcast
from minigrad.seeds import Gradients, Place, Tensors, listed, seeds_of

__all__ = ["backward", "enable_grad", "grad", "inference_mode", "no_grad", "set_grad_enabled"]


def backward(
    tensors: Tensors,
    grad_tensors: Gradients = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Tensors | None = None,
) -> None:
    """Add the gradient of (the sum of) ``tensors`` to the ``grad`` of the leaves they depend on.

    Args:
        tensors: a tensor or several.
        grad_tensors: the gradient that flows into each, of its shape; None stands for 1 and needs a
            tensor of one element.
        retain_graph: keep what the graph has saved, for another pass. Default: ``create_graph``.
        create_graph: record the derivative too, so that it can be differentiated again.
        inputs: the only tensors whose ``grad`` is added to; by default all leaves.

    Raises:
        RuntimeError: a tensor does not require grad; the graph was freed, or a saved tensor changed
            in place; a gradient is missing or has the wrong shape; there are no inputs, or one does
            not require grad. Then no leaf's ``grad`` has changed.
        TypeError: a gradient is no tensor.
    """
    if inputs is not None and not (inputs := _differentiated(inputs)):
        raise RuntimeError("'inputs' argument to backward() cannot be empty.")
    seeds = seeds_of(tensors, grad_tensors, create_graph)
    wanted = None if inputs is None else {x.grad_fn or x: x for x in inputs}
    found = _walk(seeds, wanted, retain_graph, create_graph)
    after: list[Any] = []
    for place, g in found.items():
        tensor: Any = place if wanted is None else wanted[place]
        if place.hooks is not None:
            after += place.hooks.after.values()
        if wanted is not None and tensor.retains_grad:
            continue  # its hook has seen to it
        if tensor._grad is None:
            tensor._grad = g if create_graph else wrap(g)
        elif create_graph:
            with set_grad_enabled(True):
                tensor._grad = tensor._grad + g
        else:
            tensor._grad.array += g
            tensor._grad._storage.change()
    for function in dict.fromkeys(after):  # each once
        function()


def grad(
    outputs: Tensors,
    inputs: Tensors,
    grad_outputs: Gradients = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    allow_unused: bool | None = None,
    materialize_grads: bool = False,
) -> tuple[Any, ...]:
    """Return the gradients of (the sum of) ``outputs`` with respect to each of ``inputs``.

    No leaf's ``grad`` changes, and only what lies between inputs and outputs is computed.

    Args:
        outputs: a tensor or several.
        inputs: tensors that ``outputs`` depend on; leaves or intermediate results.
        grad_outputs: the gradient that flows into each output, of its shape; None stands for 1
            and needs an output of one element.
        retain_graph: keep what the graph has saved, for another pass. Default: ``create_graph``.
        create_graph: record the derivative too, so that it can be differentiated again.
        allow_unused: give None for an input that no output depends on, instead of raising. Default:
            ``materialize_grads``.
        materialize_grads: give zeros for such an input.

    Returns:
        A tensor of the input's shape and dtype for each input; none shares memory with another.

    Raises:
        RuntimeError: an output or input does not require grad; an input is not used; the graph was
            freed, or a saved tensor changed in place; ``grad_outputs`` has the wrong shape.
        ValueError: ``materialize_grads`` without ``allow_unused``.

    Examples:
        >>> import minigrad
        >>> x = minigrad.tensor(3.0, requires_grad=True)
        >>> (dx,) = minigrad.grad(x**3, x, create_graph=True)
        >>> minigrad.grad(dx, x)            # the second derivative of x³ is 6x
        (tensor(18.),)
    """
    if materialize_grads and allow_unused is False:
        raise ValueError("Expected allow_unused to be True or not passed with materialize_grads")
    inputs = _differentiated(inputs)
    seeds = seeds_of(outputs, grad_outputs, create_graph)
    wanted = [x.grad_fn or x for x in inputs]
    found = _walk(seeds, set(wanted), retain_graph, create_graph)
    if not (allow_unused or materialize_grads) and not all(place in found for place in wanted):
        raise RuntimeError(
            "One of the differentiated Tensors appears to not have been used in the graph. "
            "Set allow_unused=True if this is the desired behavior."
        )
    results: dict[Place, Any] = {}
    gradients: list[Any] = []
    for x, place in zip(inputs, wanted, strict=True):
        g = found.get(place)
        if g is None and materialize_grads:
            g = np.zeros_like(x.array)
        if g is not None and place in results:  # an input that is named twice
            with set_grad_enabled(create_graph):
                g = _copy(g)
        results[place] = g
        gradients.append(g if g is None or isinstance(g, TensorBase) else wrap(g))
    return tuple(gradients)


def _differentiated(inputs: Tensors) -> list[TensorBase]:
    """Return one tensor or several as a list, once all are seen to require grad."""
    inputs = listed(inputs)
    if not all(x._requires_grad for x in inputs):
        raise RuntimeError("One of the differentiated Tensors does not require grad")
    return inputs


def _walk(
    seeds: list[tuple[Place, Any]],
    wanted: Collection[Place] | None,
    retain_graph: bool | None,
    create_graph: bool,
) -> dict[Any, Any]:
    """Go from the outputs back to the leaves; return the gradients of ``wanted``, or of all leaves.

    Gradients are arrays, or tensors if ``create_graph``. None that is returned shares memory with
    another or with anything that the graph keeps.
    """
    retain = create_graph if retain_graph is None else retain_graph
    useful = None if wanted is None else _leading_to(wanted, [place for place, _ in seeds])
    grads: dict[Place, Any] = {}
    heap: list[tuple[int, Node]] = []  # the nodes that a gradient has come to, the newest on top
    found: dict[Place, Any] = {}
    with set_grad_enabled(create_graph), on_device_of(*[g for _, g in seeds]):
        for place, g in seeds:
            if place in grads:
                grads[place] = grads[place] + g
            elif isinstance(place, Node):
                grads[place] = g
                heappush(heap, (place.seq, place))
            else:
                grads[place] = _copy(g)  # a leaf's gradient is nobody else's memory
        while heap:
            _, node = heappop(heap)
            g = grads.pop(node)
            if isinstance(g, np.generic):  # what NumPy makes of 0-d arrays
                g = np.asarray(g)
            if node.hooks is not None:
                g = _run_hooks(node, g)
            if wanted is not None and node in wanted:
                found[node] = _copy(g)
            if useful is not None and useful.isdisjoint(node.sources):
                continue
            if gpus.several:
                use_device_of(getattr(g, "array", g))
            saved = node.saved_with_history if create_graph else node.saved
            source: Any
            for derivative, source in zip(node.op.derivatives, node.sources):  # noqa: B905
                if source is None or (useful is not None and source not in useful):
                    continue
                piece = derivative.formula(g, *map(saved.get, derivative.names))
                is_node = type(source) is Node
                like = source if is_node else source.array
                if piece.shape != like.shape or piece.dtype is not like.dtype:
                    piece = fitted(piece, like, node)
                if source in grads:
                    grads[source] = grads[source] + piece
                elif is_node:
                    grads[source] = piece
                    heappush(heap, (source.seq, source))
                else:
                    grads[source] = _copy(piece) if _may_share(piece, g, saved) else piece
            if saved and not retain:
                node.let_go()
        for leaf, g in grads.items():
            if wanted is None or leaf in wanted:
                found[leaf] = g if leaf.hooks is None else _run_hooks(leaf, g)
    return found


def _leading_to(wanted: Collection[Place], starts: Sequence[Place]) -> set[Place]:
    """Return ``wanted`` and all nodes between them and where the walk starts."""
    nodes = list(dict.fromkeys(place for place in starts if isinstance(place, Node)))
    seen = set(nodes)
    for node in nodes:  # the list grows while it is read
        for source in node.sources:
            if type(source) is Node and source not in seen:
                seen.add(source)
                nodes.append(source)
    useful = set(wanted)
    for node in sorted(nodes, key=operator.attrgetter("seq"), reverse=True):  # the oldest first
        if not useful.isdisjoint(node.sources):
            useful.add(node)
    return useful


def fitted(g: Any, like: Any, node: Node) -> Any:
    """Undo broadcasting and promotion: return ``g`` in the shape and dtype of ``like``."""
    summed = unbroadcast(g, like.shape)
    if summed.shape != like.shape:
        raise RuntimeError(
            f"{node.name()} returned a gradient of shape {g.shape} for an argument of shape "
            f"{like.shape}"
        )
    return summed if summed.dtype == like.dtype else summed.astype(like.dtype)


def _run_hooks(place: Any, g: Any) -> Any:
    """Return the gradient that hooks leave: they see a tensor, the walk gets back what it has."""
    given = g if isinstance(g, TensorBase) else wrap(g)
    result = place.hooks.run(given)
    if result is given:
        return g
    return _copy(result if given is g else result.array)  # what a hook returns is its own


def _may_share(piece: Any, g: Any, saved: dict[str, Any]) -> bool:
    """Return whether a formula's result may be the memory of what it was given."""
    array = piece.array if isinstance(piece, TensorBase) else piece
    return array.base is not None or piece is g or any(piece is s for s in saved.values())


def _copy(g: Any) -> Any:
    """Return a gradient, a tensor or an array, in memory of its own."""
    return g.clone() if hasattr(g, "clone") else g.copy()
