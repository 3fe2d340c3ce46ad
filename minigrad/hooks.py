"""Hooks: functions that see a gradient on the walk back, and may put another in its place."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any


class Hooks:
    """The hooks of one tensor, in the order in which they were registered.

    Attributes:
        functions: by their handles.
        after: what is called at the end of a pass that gets to the tensor, likewise.
        retaining: the tensor whose ``grad`` keeps the gradient of an intermediate result, or None;
            a weak reference, since graphs never point at results.
    """

    __slots__ = ("__weakref__", "after", "functions", "retaining")

    def __init__(self) -> None:
        self.functions: dict[RemovableHandle, Callable[[Any], Any]] = {}
        self.after: dict[RemovableHandle, Callable[[], object]] = {}
        self.retaining: Callable[[], Any] = lambda: None

    def add(self, function: Callable[[Any], Any]) -> RemovableHandle:
        """Let a function be called with the gradient, after those that are here already."""
        handle = RemovableHandle(self)
        self.functions[handle] = function
        return handle

    def add_after(self, function: Callable[[], object]) -> RemovableHandle:
        """Let a function be called once at the end of each `autograd.backward` that gets here.

        All gradients have then been added to. A function that several tensors have is called once.
        """
        handle = RemovableHandle(self)
        self.after[handle] = function
        return handle

    def retain(self, tensor: Any) -> None:
        """Let the gradient be kept in ``tensor.grad``, after all functions; None: no longer."""
        self.retaining = weakref.ref(tensor) if tensor is not None else lambda: None

    def run(self, g: Any) -> Any:
        """Return the gradient that the functions leave of ``g``, a tensor.

        Raises:
            TypeError: a function returned something that is no tensor.
            RuntimeError: it returned a tensor of another shape, dtype or device.
        """
        for function in [*self.functions.values()]:  # one of them may remove itself
            result = function(g)
            if result is not None:
                _check(result, g)
                g = result
        if (tensor := self.retaining()) is not None:
            tensor._grad = g.clone() if tensor._grad is None else tensor._grad + g
        return g


class RemovableHandle:
    """What `register_hook` returns: it takes the hook away again, by ``remove()`` or ``with``."""

    def __init__(self, hooks: Hooks) -> None:
        self._hooks = weakref.ref(hooks)

    def remove(self) -> None:
        """Take the hook away; once is enough."""
        if (hooks := self._hooks()) is not None:
            hooks.functions.pop(self, None)
            hooks.after.pop(self, None)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *exc: object) -> None:
        self.remove()


def _check(result: Any, g: Any) -> None:
    if not isinstance(result, type(g)):
        raise TypeError(f"a hook has to return None or a Tensor, got {type(result).__name__}")
    for what in "shape", "dtype", "device":
        got, expected = getattr(result, what), getattr(g, what)
        if got != expected:
            raise RuntimeError(
                f"a hook has changed the {what} of the gradient from {expected} to {got}"
            )
