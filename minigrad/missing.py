"""What a name of PyTorch's that is not here says: where to read what is left out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def missing_from(module: str) -> Callable[[str], Any]:
    """Return the ``__getattr__`` of a module, which is asked for the names that it has not."""

    def __getattr__(name: str) -> Any:  # noqa: N807  (a module's own)
        hint = (
            ": minigrad leaves out convolutions, recurrent nets, einsum and much else of PyTorch; "
            "docs/from_pytorch.md says what there is, and what to write instead"
        )
        raise AttributeError(
            f"module {module!r} has no attribute {name!r}{'' if name[:1] == '_' else hint}"
        )

    return __getattr__
