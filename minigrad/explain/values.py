"""What of a tensor's values is shown: all of a small one, statistics of a large one."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from minigrad.device import move

SIDE = 32  # at most so many rows and columns are shown value by value
BINS = 24  # of the histogram of a large one


@dataclass(frozen=True)
class Picture:
    """What was seen of an array at a moment; it holds none of its memory.

    Attributes:
        shape, dtype: the array's.
        rows: of a small one, its values as a matrix: all dimensions but the last are made rows.
        statistics: of a large one, ``mean``, ``std``, ``min``, ``max`` of its finite values, and
            how many are ``nan`` and ``inf``.
        histogram: of a large one, how many are in equal bins from ``min`` to ``max``.
    """

    shape: tuple[int, ...]
    dtype: str
    rows: list[list[Any]] | None = None
    statistics: dict[str, float] = field(default_factory=dict)
    histogram: list[int] = field(default_factory=list)


Seen: TypeAlias = Picture | str | None  # of an array; of anything else its repr; nothing


def look(value: Any, cells: int = SIDE * SIDE) -> Seen:
    """Return what is to be shown of a value.

    Args:
        value: an array on any device, or anything else.
        cells: an array with more elements, or with more than 32 rows or columns, is large.
    """
    if not (hasattr(value, "dtype") and hasattr(value, "nbytes")):
        text = repr(value)
        return text if len(text) <= 60 else text[:57] + "..."
    values = np.asarray(value if isinstance(value, np.generic) else move(value, "cpu"))
    rows = _as_rows(values) if values.size <= cells else None
    if rows is not None:
        return Picture(values.shape, str(values.dtype), rows)
    numbers = values.astype(np.float64) if values.dtype.kind in "fiub" else np.zeros(0)
    finite = numbers[np.isfinite(numbers)]
    histogram: list[int] = []
    if finite.size and math.isfinite(float(np.ptp(finite))):
        histogram = np.histogram(finite, BINS)[0].tolist()
    return Picture(values.shape, str(values.dtype), None, statistics(numbers), histogram)


def statistics(numbers: np.ndarray) -> dict[str, float]:
    """Return mean, std, min, max of the finite numbers, and how many are nan and inf."""
    finite = numbers[np.isfinite(numbers)].astype(np.float64)
    found = {"nan": float(np.isnan(numbers).sum()), "inf": float(np.isinf(numbers).sum())}
    if finite.size:
        with np.errstate(all="ignore"):
            for name in "mean", "std", "min", "max":
                found[name] = float(getattr(finite, name)())
    return found


def _as_rows(values: np.ndarray) -> list[list[Any]] | None:
    """Return a small array as a list of rows; None if it has too many rows or columns."""
    if not values.size:
        return []
    columns = values.shape[-1] if values.ndim else 1
    if values.ndim == 1 and columns > SIDE:
        flat = values.tolist()
        return [flat[i : i + SIDE] for i in range(0, len(flat), SIDE)]
    if columns > SIDE or values.size // columns > SIDE:
        return None
    return values.reshape(-1, columns).tolist()


def short(seen: Seen, most: int = 8) -> str:
    """Return what was seen in a few characters: a small array's elements, else its statistics.

    Examples:
        >>> short(look(np.array([[1.0, 0.5]]))), short(look(2.0)), short(look(np.zeros((2, 0))))
        ('[[1. 0.5]]', '2.0', 'no element')
        >>> short(look(np.arange(100)))
        '0 ... 99, mean 49.5'
    """
    if not isinstance(seen, Picture):
        return seen or ""
    if seen.rows == []:
        return "no element"
    found = seen.statistics
    if seen.rows is not None:
        array = np.array([v for row in seen.rows for v in row], seen.dtype).reshape(seen.shape)
        if array.size <= most:
            text = np.array2string(array, precision=4, separator=" ", suppress_small=True)
            return _tidy(text)
        found = statistics(array)
    parts = []
    if "mean" in found:
        parts = [f"{found['min']:.4g} ... {found['max']:.4g}", f"mean {found['mean']:.4g}"]
    parts += [f"{found[what]:.0f} {what}" for what in ("nan", "inf") if found[what]]
    return ", ".join(parts)


def _tidy(text: str) -> str:
    """Return NumPy's text of an array on one line, without padding."""
    return re.sub(r"\s+(?=\])|(?<=\[)\s+", "", re.sub(r"\s+", " ", text))


def size_text(n: int) -> str:
    """Return a number of bytes in words.

    Examples:
        >>> size_text(8), size_text(40_000), size_text(25_000_000)
        ('8 B', '40 kB', '25 MB')
    """
    if n < 10_000:
        return f"{n} B"
    return f"{n / 1000:.0f} kB" if n < 10_000_000 else f"{n / 1e6:.0f} MB"
