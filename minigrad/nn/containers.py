"""Modules that hold other modules by number."""

from __future__ import annotations

from collections.abc import ItemsView, Iterable, Iterator, KeysView, Mapping, ValuesView
from typing import Any, Self, overload

from minigrad.nn.module import Module

__all__ = ["ModuleDict", "ModuleList", "Sequential"]


class _Numbered(Module):
    """Modules as attributes "0", "1", ...: the names that they have in the state dict."""

    def append(self, module: Module) -> Self:
        """Add a module at the end; return the container."""
        self._check(module)
        setattr(self, str(len(self)), module)
        return self

    def _check(self, module: Any) -> None:
        if not isinstance(module, Module):
            raise TypeError(f"{type(self).__name__} holds modules, got {type(module).__name__}")

    def extend(self, modules: Iterable[Module]) -> Self:
        """Add modules at the end; return the container."""
        for module in modules:
            self.append(module)
        return self

    def insert(self, index: int, module: Module) -> Self:
        """Add a module before the one at ``index``; return the container."""
        modules = [*self]
        if not -len(modules) <= index <= len(modules):
            raise IndexError(f"Index out of range: {index}, of {len(modules)} modules")
        modules.insert(index, module)
        return self._refill(modules)

    def pop(self, index: int = -1) -> Any:
        """Remove the module at ``index``, and return it."""
        found = self[index]
        del self[index]
        return found

    def _refill(self, modules: Iterable[Any]) -> Self:
        """Hold these modules instead, numbered from 0; nothing changes if one is no module."""
        modules = [*modules]
        for module in modules:
            self._check(module)
        for name in [name for name, _ in self._attributes()]:
            delattr(self, name)
        return self.extend(modules)

    def __setitem__(self, index: int, module: Module) -> None:
        names = [name for name, _ in self._attributes()]
        self._check(module)
        setattr(self, names[index], module)

    def __delitem__(self, index: int | slice) -> None:
        modules = [*self]
        del modules[index]
        self._refill(modules)

    def __iadd__(self, modules: Iterable[Module]) -> Self:
        return self.extend(modules)

    def __add__(self, modules: Iterable[Module]) -> Self:
        return type(self)().extend([*self, *modules])

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


class ModuleDict(Module):
    """Modules by name, whose parameters are found; it has no forward of its own.

    Args:
        modules: a dictionary, or pairs of names and modules.

    Raises:
        KeyError: a name is empty, has a dot in it, or is that of a method.

    Examples:
        >>> from minigrad import nn
        >>> heads = nn.ModuleDict({"mean": nn.Linear(2, 1), "scale": nn.Linear(2, 1)})
        >>> list(heads), "mean" in heads
        (['mean', 'scale'], True)
    """

    def __init__(
        self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]] | None = None
    ) -> None:
        super().__init__()
        self.update(modules or {})

    def update(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]]) -> None:
        """Add modules, or replace those of the same names."""
        for name, module in dict(modules).items():
            self[name] = module

    def __getitem__(self, name: str) -> Any:
        return self._modules[name]

    def __setitem__(self, name: str, module: Module) -> None:
        self.add_module(name, module)

    def __delitem__(self, name: str) -> None:
        del self._modules[name]

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __contains__(self, name: object) -> bool:
        return name in self._modules

    def keys(self) -> KeysView[str]:
        """Return the names."""
        return self._modules.keys()

    def values(self) -> ValuesView[Any]:
        """Return the modules."""
        return self._modules.values()

    def items(self) -> ItemsView[str, Any]:
        """Return pairs of names and modules."""
        return self._modules.items()

    def pop(self, name: str) -> Any:
        """Remove the module of a name, and return it."""
        return self._modules.pop(name)

    def clear(self) -> None:
        """Remove all modules."""
        self._modules.clear()
