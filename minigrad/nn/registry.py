"""A module's attributes as the registry in which code for PyTorch looks for them."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from typing import Any


class Registry(MutableMapping[str, Any]):
    """A module's attributes of one kind, as PyTorch's code finds them in a registry."""

    def __init__(self, module: Any, kind: type) -> None:
        self.module, self.kind = module, kind

    def __getitem__(self, name: str) -> Any:
        found = vars(self.module)[name]
        if not isinstance(found, self.kind):
            raise KeyError(name)
        return found

    def __setitem__(self, name: str, value: Any) -> None:
        setattr(self.module, name, value)

    def __delitem__(self, name: str) -> None:
        _ = self[name]  # another kind of attribute is not found
        delattr(self.module, name)

    def __iter__(self) -> Iterator[str]:
        return (name for name, v in vars(self.module).items() if isinstance(v, self.kind))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        return repr(dict(self))
