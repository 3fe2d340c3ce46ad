"""Whether ops are recorded: a switch that each thread, and each task of asyncio, has for itself.

The switch is a stack of modes, and the mode on top counts. ``with no_grad():`` pushes one and pops
it again. The stack belongs to the context of whoever runs, not to the object ``no_grad()``: so two
threads may share one object, and blocks may nest in any way.
"""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Callable, Generator
from contextvars import ContextVar
from typing import Any, TypeVar

__all__ = ["enable_grad", "inference_mode", "is_grad_enabled", "no_grad", "set_grad_enabled"]

F = TypeVar("F", bound=Callable[..., Any])

modes: ContextVar[tuple[bool, ...]] = ContextVar("modes", default=(True,))


def is_grad_enabled() -> bool:
    """Return whether ops are recorded here."""
    return modes.get()[-1]


class _GradMode:
    """Recording on or off for a ``with`` block or a function, restored also by an exception."""

    mode: bool

    def __init__(self, mode: bool) -> None:
        if not isinstance(mode, bool):
            raise TypeError(f"a grad mode is True or False, not {mode!r}")
        self.mode = mode

    def __enter__(self) -> None:
        modes.set((*modes.get(), self.mode))

    def __exit__(self, *exc: object) -> None:
        modes.set(modes.get()[:-1] or (True,))

    def __call__(self, function: F) -> F:
        """Return the function with this mode inside: a decorator.

        A generator or coroutine has the mode while it runs, and whoever resumes it has their own
        mode back in between.

        Raises:
            TypeError: it is an asynchronous generator, or no function at all.
        """
        if not callable(function):
            raise TypeError(f"a grad mode decorates a function, not {function!r}")
        if inspect.isasyncgenfunction(function):
            raise TypeError(
                f"{function.__name__} is an asynchronous generator, which a grad mode cannot "
                "decorate: put `with` blocks inside it, around what does not yield"
            )
        if inspect.isgeneratorfunction(function):

            @functools.wraps(function)
            def within(*args: Any, **kwargs: Any) -> Any:
                return (yield from _resumed_in(self.mode, function(*args, **kwargs)))

        elif inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def within(*args: Any, **kwargs: Any) -> Any:
                return await types.coroutine(_resumed_in)(self.mode, function(*args, **kwargs))

        else:

            @functools.wraps(function)
            def within(*args: Any, **kwargs: Any) -> Any:
                with _GradMode(self.mode):
                    return function(*args, **kwargs)

        return within  # type: ignore[return-value]


def _resumed_in(mode: bool, running: Any) -> Generator[Any, Any, Any]:
    """Run a generator or coroutine to its end, with a stack of modes of its own while it runs."""
    inside: tuple[bool, ...] = (mode,)
    resume, value = running.send, None
    while True:
        outside = modes.get()
        modes.set(inside)
        try:
            result = resume(value)
        except StopIteration as end:
            return end.value
        finally:
            inside = modes.get()
            modes.set(outside)
        try:
            resume, value = running.send, (yield result)
        except BaseException as error:
            resume, value = running.throw, error


class _Fixed(_GradMode):
    """A mode that needs no argument, and so no brackets as a decorator."""

    def __new__(cls, function: Callable[..., Any] | None = None) -> Any:
        return super().__new__(cls) if function is None else cls()(function)

    def __init__(self) -> None:
        pass  # the mode is the class's


class no_grad(_Fixed):  # noqa: N801  (named as in PyTorch)
    """Do not record: ``with no_grad(): ...``, or ``@no_grad()`` or ``@no_grad`` above a function.

    Only what is computed inside is affected; ``backward()`` works here as anywhere.
    """

    mode = False


class enable_grad(_Fixed):  # noqa: N801
    """Record again inside a `no_grad` block; a context manager and a decorator, as that is."""

    mode = True


class inference_mode(_GradMode):  # noqa: N801
    """Do not record, as `no_grad`; with ``mode=False``, change nothing.

    PyTorch forbids results of this mode in later recorded ops. Here they are constants.

    Args:
        mode: whether recording is off; or the function that is decorated without brackets.
    """

    def __new__(cls, mode: Any = True) -> Any:
        return cls()(mode) if callable(mode) else super().__new__(cls)

    def __init__(self, mode: bool = True) -> None:
        super().__init__(mode)
        self.mode = not mode and is_grad_enabled()


class set_grad_enabled(_GradMode):  # noqa: N801
    """Switch recording on or off, at once; in a ``with`` statement, until the block ends.

    Args:
        mode: True to record, False not to.
    """

    def __init__(self, mode: bool) -> None:
        super().__init__(mode)
        *below, self.before = modes.get()
        modes.set((*below, self.mode))

    def __enter__(self) -> None:
        modes.set((*modes.get()[:-1], self.before, self.mode))

    def __call__(self, function: F) -> F:
        modes.set((*modes.get()[:-1], self.before))  # a decorator switches only its function
        return super().__call__(function)
