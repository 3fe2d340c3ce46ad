"""A word on the device in which kernels leave what was out of range, to be read much later.

Asking after each step whether all labels were in range would make the host wait for the device at
each step. Instead a kernel that meets a wrong index writes down the largest of them, with negative
ones above all others; 0, which is never wrong, stands for none.
"""

from __future__ import annotations

from typing import Any

import numpy as np


def new_flag(like: Any) -> Any:
    """Return a flag that is not set, on the device of ``like``."""
    return np.zeros_like(like, shape=(1,), dtype=np.uint64)


def index_in(word: int) -> int:
    """Return the index that a flag's word stands for."""
    return word - 2**64 if word >= 2**63 else word


def wrong_index(flag: Any) -> int | None:
    """Return an index that was out of range, or None; this waits for the device."""
    return index_in(int(flag[0])) or None


def set_flag(flag: Any, wrong: Any) -> None:
    """Set a flag as kernels do: the definition.

    Args:
        flag: from `new_flag`.
        wrong: integers that were out of range, maybe none.
    """
    flag[0] = max([int(flag[0]), *(int(w) % 2**64 for w in wrong)])
