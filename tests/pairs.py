"""Fewer combinations than all: each two values meet."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any


def pairwise(*factors: Sequence[Any]) -> list[tuple[Any, ...]]:
    """Return combinations of the factors' values, so that any two of two factors are in one.

    What is wrong for some values of two options is found as it is by all combinations, in the
    number of the two largest factors' pairs, about. Each is the first that has the most new pairs.

    Examples:
        >>> pairwise("ab", [0, 1], [False, True])
        [('a', 0, False), ('a', 1, True), ('b', 0, True), ('b', 1, False)]
    """
    rows = list(itertools.product(*(range(len(factor)) for factor in factors)))
    left = {row: set(itertools.combinations(enumerate(row), 2)) for row in rows}
    chosen: list[tuple[int, ...]] = []
    while any(left.values()):
        best = max(rows, key=lambda row: len(left[row]))
        new = set(left[best])
        chosen.append(best)
        for pairs in left.values():
            pairs -= new
    return [tuple(f[i] for f, i in zip(factors, row, strict=True)) for row in chosen]
