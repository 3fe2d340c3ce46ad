"""Changing a tensor in place, such that its history stays true or the change is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad.grad_mode import mode
from minigrad.graph import CONSTANT, Node, TensorBase


def write(target: TensorBase, op: Callable[..., Any], *args: Any) -> Any:
    """Let the result of ``op(target, *args)`` take the place of ``target``'s contents and history.

    An op that is given ``target.array`` to write into does so; any other result is copied over.

    Raises:
        RuntimeError: while recording, ``target`` is a leaf that requires grad, or has views or is
            one (whose history would silently be wrong).
    """
    tracked = any(isinstance(a, TensorBase) and a._requires_grad for a in (target, *args))
    if recording := mode.recording and tracked:
        if target._requires_grad and target.grad_fn is None:
            raise RuntimeError(
                "a leaf Variable that requires grad is being used in an in-place operation. "
                "Put it into `with no_grad():`, or use the out-of-place form."
            )
        if target._version.viewed:
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
            _mark_anew(node, target.array, CONSTANT.mark, copy=True)
        np.copyto(target.array, result.array)
    target._version.change()
    if node is not None:
        if within:  # what it keeps of the target is the output, as it is now
            _mark_anew(node, target.array, target._version.mark, copy=False)
        node.dtype = target.dtype
        target._requires_grad, target.grad_fn = True, node
    return target


def _mark_anew(node: Node, array: Any, mark: bytearray, copy: bool) -> None:
    """Let ``node`` keep ``array``, or a copy of it, with another mark, if it keeps it at all."""
    kept, names = list(node.kept or ()), len(node.plan.names)
    for slot in range(len(kept) - names):
        if kept[slot] is array:
            kept[slot], kept[names + slot] = array.copy() if copy else array, mark
    node.kept = tuple(kept)
