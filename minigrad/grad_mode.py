"""Whether what is computed is recorded: a switch for each thread."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])


class _Mode(threading.local):
    recording = True


mode = _Mode()


def is_grad_enabled() -> bool:
    """Return whether this thread records what it computes."""
    return mode.recording


class _GradMode(contextlib.ContextDecorator):
    """Recording on or off for a ``with`` block or a function, restored also by an exception."""

    def __init__(self, mode: bool) -> None:
        self.mode = bool(mode)
        self.outer: list[bool] = []  # a stack, since one object may be entered within itself

    def __enter__(self) -> None:
        self.outer.append(mode.recording)
        mode.recording = self.mode

    def __exit__(self, *exc: object) -> None:
        mode.recording = self.outer.pop()

    def _recreate_cm(self) -> _GradMode:  # a decorated function may run in several threads
        return _GradMode(self.mode)


class no_grad(_GradMode):  # noqa: N801  (named as in PyTorch)
    """Do not record: ``with no_grad(): ...`` or ``@no_grad()`` above a function.

    Only what is computed inside is affected; ``backward()`` works here as anywhere.
    """

    def __init__(self) -> None:
        super().__init__(False)


class enable_grad(_GradMode):  # noqa: N801
    """Record again inside a `no_grad` block; a context manager and a decorator."""

    def __init__(self) -> None:
        super().__init__(True)


class set_grad_enabled(_GradMode):  # noqa: N801
    """Switch recording on or off, at once; in a ``with`` statement, until the block ends.

    Args:
        mode: True to record, False not to.
    """

    def __init__(self, mode: bool) -> None:
        super().__init__(mode)
        super().__enter__()

    def __exit__(self, *exc: object) -> None:
        super().__exit__(*exc)
        mode.recording = self.outer[-1]

    def __call__(self, function: F) -> F:
        mode.recording = self.outer[-1]  # a decorator switches nothing but its function
        return super().__call__(function)
