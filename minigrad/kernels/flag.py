"""A word on the device in which kernels leave what was out of range, to be read much later.

Asking after each step whether all labels were in range would make the host wait for the device at
each step. Instead a kernel that meets a wrong index writes down the largest of them, with negative
ones above all others; 0, which is never wrong, stands for none.
"""

from __future__ import annotations


def index_in(word: int) -> int:
    """Return the index that a flag's word stands for."""
    return word - 2**64 if word >= 2**63 else word
