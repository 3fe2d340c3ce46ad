"""What is below a module, as a dictionary: ``_parameters`` and ``_modules`` of PyTorch's."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from typing import Any


class Attributes(MutableMapping[str, Any]):
    """A module's attributes of one kind: a view, in which they can be set and deleted, too."""

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
        del vars(self.module)[self[name] and name]

    def __iter__(self) -> Iterator[str]:
        return (name for name, v in vars(self.module).items() if isinstance(v, self.kind))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        return repr(dict(self))
