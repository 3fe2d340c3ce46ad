"""Changing a tensor in place, such that its history stays true or the change is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad.grad_mode import mode
from minigrad.graph import CONSTANT, Node, Variable


def write(target: Variable, op: Callable[..., Any], *args: Any) -> Any:
    """Let the result of ``op(target, *args)`` take the place of ``target``'s contents and history.

    An op that is given ``target.data`` to write into does so; any other result is copied over.

    Raises:
        RuntimeError: while recording, ``target`` is a leaf that requires grad, or has views or is
            one (whose history would silently be wrong).
    """
    tracked = any(isinstance(a, Variable) and a._requires_grad for a in (target, *args))
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
    within = result.data is target.data
    node = result.grad_fn if recording else None
    if node is not None:
        _rebase(node, target, within)
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
        np.copyto(target.data, result.data)
    if node is not None:
        node.dtype = target.dtype
        target._requires_grad, target.grad_fn = True, node
    target._version.count += 1
    return target


def _rebase(node: Node, target: Variable, within: bool) -> None:
    """Set right what ``node`` keeps of the memory of ``target``, which is about to change."""
    kept, versions = list(node._kept or ()), list(node._versions)
    counts = list(node._counts)
    for slot, value in enumerate(kept[: len(versions)]):
        if value is target.data and within:  # the output, as it will be
            versions[slot], counts[slot] = target._version, target._version.count + 1
        elif value is target.data:  # the input, as it was
            kept[slot], versions[slot], counts[slot] = value.copy(), CONSTANT, 0
    node._kept, node._versions, node._counts = tuple(kept), tuple(versions), tuple(counts)
