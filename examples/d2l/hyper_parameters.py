"""What the English form builds its classes with: add_to_class and HyperParameters."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any


def add_to_class(cls: type) -> Callable[[Callable[..., Any]], None]:
    """Return a decorator that makes a function a method of a class that exists already.

    Examples:
        >>> class A:
        ...     b = 1
        >>> a = A()
        >>> @add_to_class(A)
        ... def double(self):
        ...     return 2 * self.b
        >>> a.double()
        2
    """

    def add(function: Callable[..., Any]) -> None:
        setattr(cls, function.__name__, function)

    return add


class HyperParameters:
    """A base for classes whose constructors keep their arguments as attributes."""

    hparams: dict[str, Any]

    if TYPE_CHECKING:  # attributes come from the arguments of each class's constructor

        def __getattr__(self, name: str) -> Any: ...

    def save_hyperparameters(self, ignore: Sequence[str] = ()) -> None:
        """Make attributes of the arguments of the method that calls this.

        They stand in the dictionary ``hparams`` too.

        Args:
            ignore: names to leave out.

        Examples:
            >>> class B(HyperParameters):
            ...     def __init__(self, a, b):
            ...         self.save_hyperparameters(ignore=["b"])
            >>> b = B(1, b=2)
            >>> b.a, hasattr(b, "b"), b.hparams
            (1, False, {'a': 1})
        """
        frame = inspect.currentframe()
        assert frame is not None  # CPython has frames
        assert frame.f_back is not None
        names, args, kwargs, values = inspect.getargvalues(frame.f_back)
        given = {name: values[name] for name in names[1:]}
        given |= dict.fromkeys([args], values[args]) if args else {}
        given |= values[kwargs] if kwargs else {}
        left_out = {*ignore, "self"}
        self.hparams = {
            k: v for k, v in given.items() if k not in left_out and not k.startswith("_")
        }
        for name, value in self.hparams.items():
            setattr(self, name, value)
