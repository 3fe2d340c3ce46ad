"""The walk back: from a result to the leaves that it depends on, with the gradients.

Of the nodes that a gradient has come to, the newest is visited next. Whatever reads its output is
newer and has been visited, so its gradient is complete. The walk is a loop around a heap, not a
recursion: a chain of a million ops is no special case. At each node the entries of the table are
called with the gradient and with what was kept for them, which is let go at once.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from heapq import heappop, heappush
from typing import Any

import numpy as np

from minigrad import kernels
from minigrad.device import device_of
from minigrad.fused import fused
from minigrad.grad_mode import set_grad_enabled
from minigrad.graph import Node, TensorBase, wrap


def backward(
    tensor: TensorBase,
    gradient: TensorBase | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
) -> None:
    """Add the gradient of ``tensor`` to the ``grad`` of every leaf that it depends on.

    See `minigrad.Tensor.backward`.
    """
    seed = _seed(tensor, gradient, create_graph)
    found = _walk([(tensor, seed)], None, retain_graph, create_graph)
    for leaf, g in found.items():
        if leaf.grad is None:
            leaf.grad = g if create_graph else wrap(g)
        elif create_graph:
            with set_grad_enabled(True):
                leaf.grad = leaf.grad + g
        else:
            leaf.grad.array += g
            leaf.grad._version.change()


def grad(
    outputs: TensorBase | Sequence[TensorBase],
    inputs: TensorBase | Sequence[TensorBase],
    grad_outputs: TensorBase | Sequence[TensorBase | None] | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    allow_unused: bool = False,
) -> tuple[Any, ...]:
    """Return the gradients of (the sum of) ``outputs`` with respect to each of ``inputs``.

    No tensor's ``grad`` is touched, and only what lies between inputs and outputs is computed.

    Args:
        outputs: a tensor or several.
        inputs: tensors that ``outputs`` depend on; leaves or intermediate results.
        grad_outputs: the gradient that flows into each output, of its shape; None stands for 1
            and needs an output of one element.
        retain_graph: keep what the graph has saved, for another pass. Default: ``create_graph``.
        create_graph: record the derivative too, so that it can be differentiated again.
        allow_unused: give None for an input that no output depends on, instead of raising.

    Returns:
        A tensor of the input's shape and dtype for each input; none shares memory with another.

    Raises:
        RuntimeError: an output or input does not require grad; an input is not used; the graph was
            freed, or a saved tensor changed in place; ``grad_outputs`` has the wrong shape.

    Examples:
        >>> import minigrad
        >>> x = minigrad.tensor(3.0, requires_grad=True)
        >>> (dx,) = minigrad.grad(x**3, x, create_graph=True)
        >>> minigrad.grad(dx, x)            # the second derivative of x³ is 6x
        (tensor(18.),)
    """
    outputs = [outputs] if isinstance(outputs, TensorBase) else list(outputs)
    inputs = [inputs] if isinstance(inputs, TensorBase) else list(inputs)
    if grad_outputs is None or isinstance(grad_outputs, TensorBase):
        grad_outputs = [grad_outputs] * len(outputs)
    if len(grad_outputs) != len(outputs):
        raise RuntimeError(f"got {len(outputs)} outputs and {len(grad_outputs)} grad_outputs")
    if not all(x._requires_grad for x in inputs):
        raise RuntimeError("One of the differentiated Tensors does not require grad")

    seeds = [(y, _seed(y, g, create_graph)) for y, g in zip(outputs, grad_outputs, strict=True)]
    wanted = [x.grad_fn or x for x in inputs]
    found = _walk(seeds, set(wanted), retain_graph, create_graph)
    if not allow_unused and not all(w in found for w in wanted):
        raise RuntimeError(
            "One of the differentiated Tensors appears to not have been used in the graph. "
            "Set allow_unused=True if this is the desired behavior."
        )
    results: list[Any] = []
    given = set()
    for w in wanted:
        g = found.get(w)
        if g is not None and w in given:  # an input that is named twice
            with set_grad_enabled(create_graph):
                g = _copy(g)
        given.add(w)
        results.append(g if g is None or create_graph else wrap(g))
    return tuple(results)


def _seed(output: TensorBase, g: TensorBase | None, create_graph: bool) -> Any:
    """Return the gradient that the walk starts from: a tensor if it is to be recorded."""
    if not output._requires_grad:
        raise RuntimeError("the tensor does not require grad and does not have a grad_fn")
    if g is not None and not isinstance(g, TensorBase):
        raise TypeError(f"gradients can be either Tensors or None, but got {type(g).__name__}")
    if g is None:
        if output.array.size != 1:
            raise RuntimeError(
                "grad can be implicitly created only for scalar outputs; this one has shape "
                f"{output.shape}. Pass the gradient, or reduce it first: .sum()"
            )
        g = wrap(np.ones_like(output.array))
    elif device_of(g.array) != device_of(output.array):
        raise RuntimeError(
            f"Mismatch in device: the gradient is on {device_of(g.array)} and the output is on "
            f"{device_of(output.array)}"
        )
    if g.shape != output.shape:
        raise RuntimeError(
            f"Mismatch in shape: the gradient has a shape of {g.shape} and the output has a shape "
            f"of {output.shape}."
        )
    seed: Any = g if create_graph else g.array
    return seed if seed.dtype == output.dtype else seed.astype(output.dtype)


def _walk(
    seeds: list[tuple[TensorBase, Any]],
    wanted: set[Node | TensorBase] | None,
    retain_graph: bool | None,
    create_graph: bool,
) -> dict[Any, Any]:
    """Go from the outputs back to the leaves; return the gradients of ``wanted``, or of all leaves.

    Gradients are arrays, or tensors if ``create_graph``. None that is returned shares memory with
    another or with anything that the graph keeps.
    """
    retain = create_graph if retain_graph is None else retain_graph
    useful = None if wanted is None else _leading_to(wanted, seeds)
    grads: dict[Node | TensorBase, Any] = {}
    shared: set[Node | TensorBase] = set()  # whose gradient may be somebody else's memory too
    heap: list[tuple[int, Any]] = []  # the nodes that a gradient has come to, the newest on top
    for y, g in seeds:
        key = y.grad_fn or y
        if key in grads:
            grads[key] = grads[key] + g
        else:
            grads[key] = g
            if isinstance(key, Node):
                heappush(heap, (key.seq, key))
        shared.add(key)

    found: dict[Any, Any] = {}
    unpack = Node.unpack_as_variables if create_graph else Node.unpack
    with set_grad_enabled(create_graph):
        while heap:
            node = heappop(heap)[1]
            g = grads.pop(node)
            if wanted is not None and node in wanted:
                found[node] = _copy(g)
            if useful is not None and useful.isdisjoint(node):
                continue
            plan, kept = node.plan, node.kept
            if create_graph or kept is None or (kept and plan.changed(kept)):
                kept = unpack(node)  # as tensors; or it raises
            for parent, derivative in zip(node, plan.derivatives):  # noqa: B905
                if useful is not None and parent not in useful:
                    continue
                piece = derivative(g, kept)
                is_node = type(parent) is Node
                like = parent if is_node else parent.array
                if piece.shape != like.shape or piece.dtype is not like.dtype:
                    piece = _fit(piece, like.shape, like.dtype, node)
                if parent in grads:
                    grads[parent] = grads[parent] + piece
                    if parent in shared:
                        shared.remove(parent)
                else:
                    grads[parent] = piece
                    if is_node:
                        heappush(heap, (parent.seq, parent))
                    elif _may_share(piece, g, kept):
                        shared.add(parent)
            if kept and not retain:
                node.kept = None
        for leaf, g in grads.items():
            found[leaf] = _copy(g) if leaf in shared else g
    return found


def _leading_to(
    wanted: set[Node | TensorBase], seeds: list[tuple[TensorBase, Any]]
) -> set[Node | TensorBase]:
    """Return ``wanted`` and all nodes between them and the outputs."""
    nodes = list(dict.fromkeys(y.grad_fn for y, _ in seeds if y.grad_fn is not None))
    seen = set(nodes)
    for node in nodes:  # the list grows while it is read
        for parent in node:
            if isinstance(parent, Node) and parent not in seen:
                seen.add(parent)
                nodes.append(parent)
    useful = set(wanted)
    for node in sorted(nodes, key=operator.attrgetter("seq"), reverse=True):  # the oldest first
        if not useful.isdisjoint(node):
            useful.add(node)
    return useful


def _fit(g: Any, shape: tuple[int, ...], dtype: np.dtype[Any], node: Node) -> Any:
    """Undo broadcasting and promotion: sum ``g`` down to ``shape``, and cast it to ``dtype``."""
    given = g.shape
    if g.dtype == np.float16 and given != shape:
        g = g.astype(np.float32)  # halves cannot count beyond 2048
    lead = len(given) - len(shape)
    if lead > 0:
        g = _summed(g, lead)
    elif lead < 0:
        g = g.reshape((1,) * -lead + given)
    if g.shape != shape:
        stretched = tuple(i for i, n in enumerate(shape) if n == 1)
        g = g.sum(axis=stretched, keepdims=True)
    if g.shape != shape:
        raise RuntimeError(
            f"{node.name} returned a gradient of shape {given} for an argument of shape {shape}"
        )
    return g if g.dtype == dtype else g.astype(dtype)


@fused(kernels.sum_rows)
def _summed(g: Any, lead: int) -> Any:
    """Return the sum over the first dimensions."""
    if isinstance(g, np.ndarray) and g.ndim == 2 and lead == 1 and g.dtype.char in "fd":
        return np.ones(len(g), g.dtype) @ g  # a product, on all cores: a third of the time
    return g.sum(axis=tuple(range(lead)))


def _may_share(piece: Any, g: Any, kept: tuple[Any, ...]) -> bool:
    array = piece.array if isinstance(piece, TensorBase) else piece
    return piece is g or array.base is not None or id(piece) in map(id, kept)


def _copy(g: Any) -> Any:
    return operator.mul(g, 1) if isinstance(g, TensorBase) else g.copy()
