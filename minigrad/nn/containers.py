"""Modules that hold other modules by number."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Self, overload

from minigrad.nn.module import Module


class _Numbered(Module):
    """Modules as attributes "0", "1", ...: the names that they have in the state dict."""

    def append(self, module: Module) -> Self:
        """Add a module at the end; return the container."""
        if not isinstance(module, Module):
            raise TypeError(f"{type(self).__name__} holds modules, got {type(module).__name__}")
        setattr(self, str(len(self)), module)
        return self

    def extend(self, modules: Iterable[Module]) -> Self:
        """Add modules at the end; return the container."""
        for module in modules:
            self.append(module)
        return self

    def __len__(self) -> int:
        return sum(1 for _ in self._attributes())

    def __iter__(self) -> Iterator[Module]:
        return (module for _, module in self._attributes())

    @overload
    def __getitem__(self, index: int) -> Any: ...

    @overload
    def __getitem__(self, index: slice) -> Self: ...

    def __getitem__(self, index: int | slice) -> Any:
        found = list(self)[index]
        return type(self)().extend(found) if isinstance(found, list) else found


class Sequential(_Numbered):
    """Modules in a row: the output of each is the input of the next.

    Args:
        modules: the modules in order, or one dictionary of names and modules.

    Examples:
        >>> from minigrad import nn
        >>> nn.Sequential(nn.Linear(2, 1), nn.ReLU())
        Sequential(
          (0): Linear(in_features=2, out_features=1, bias=True)
          (1): ReLU()
        )
    """

    def __init__(self, *modules: Module | Mapping[str, Module]) -> None:
        super().__init__()
        if len(modules) == 1 and isinstance(modules[0], Mapping):
            for name, module in modules[0].items():
                self.add_module(name, module)
        else:
            self.extend(modules)  # type: ignore[arg-type]

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):  # a part keeps its names, as in PyTorch
            return type(self)(dict(list(self._attributes())[index]))
        return super().__getitem__(index)

    def forward(self, x: Any) -> Any:
        for module in self:
            x = module(x)
        return x


class ModuleList(_Numbered):
    """A list of modules whose parameters are found; it has no forward of its own.

    Args:
        modules: the modules in order.
    """

    def __init__(self, modules: Iterable[Module] = ()) -> None:
        super().__init__()
        self.extend(modules)
