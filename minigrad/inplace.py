"""Changing a tensor in place, such that its history stays true or the change is refused.

Most ops know nothing of it: their result is computed beside the tensor, and copied over. relu and
setitem are given the target's array to write into, as their argument ``out``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad.grad_mode import is_grad_enabled
from minigrad.graph import NEVER_STALE, Node, TensorBase
from minigrad.hooks import Hooks


def write(target: TensorBase, op: Callable[..., Any], *args: Any) -> Any:
    """Let the result of ``op(target, *args)`` take the place of ``target``'s contents and history.

    Raises:
        RuntimeError: while recording, ``target`` is a leaf that requires grad, or has views or is
            one (whose history would silently be wrong); or the result does not fit into it.
    """
    tracked = any(isinstance(a, TensorBase) and a._requires_grad for a in (target, *args))
    if recording := is_grad_enabled() and tracked:
        if target._requires_grad and target.grad_fn is None:
            raise RuntimeError(
                "a leaf Variable that requires grad is being used in an in-place operation. "
                "Put it into `with no_grad():`, or use the out-of-place form."
            )
        if target._storage.viewed:
            raise RuntimeError(
                "an in-place operation on a tensor that is a view, or has views, cannot be "
                "recorded: their history would be wrong. Change a clone() instead."
            )
    result = op(target, *args)
    within = result.array is target.array
    node = result.grad_fn if recording else None
    if not within:
        if result.shape != target.shape:
            raise RuntimeError(
                f"output with shape {target.shape} doesn't match the broadcast shape {result.shape}"
            )
        if not np.can_cast(result.dtype, target.dtype, "same_kind"):
            raise RuntimeError(
                f"result type {result.dtype} can't be cast to the desired output type "
                f"{target.dtype}"
            )
        if node is not None:  # what it keeps of the target is the input, as it was
            node.keep_instead(target.array, target.array.copy(), NEVER_STALE)
        np.copyto(target.array, result.array)
    target._storage.change()
    if node is not None:
        if within:  # what it keeps of the target is the output, as it is now
            node.keep_instead(target.array, target.array, target._storage.stale)
        node.dtype = target.dtype
    if recording:
        _follow(target, node)
    return target


def _follow(target: TensorBase, node: Node | None) -> None:
    """Let ``target`` be the output of ``node``, or a constant where the op has no derivative.

    If ``target`` retains its gradient, it is that of its new value from now on.
    """
    before = target.grad_fn and target.grad_fn.hooks
    if node and before and before.retaining() is target:
        before.retain(None)
        node.hooks = Hooks()
        node.hooks.retain(target)
    target._requires_grad, target.grad_fn = node is not None, node
