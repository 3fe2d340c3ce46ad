"""Tensors as text, as PyTorch writes them: aligned, in one notation, and the middle left out."""

from __future__ import annotations

import math
import types
from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad.device import device_of, move
from minigrad.graph import TensorBase

_INDENT = len("tensor(")
_PROFILES: dict[str, dict[str, Any]] = {
    "default": {"precision": 4, "threshold": 1000, "edgeitems": 3, "linewidth": 80},
    "short": {"precision": 2, "threshold": 1000, "edgeitems": 2, "linewidth": 80},
    "full": {"precision": 4, "threshold": math.inf, "edgeitems": 3, "linewidth": 80},
}
#: what is in force; `set_printoptions` says what it means
options = types.SimpleNamespace(**_PROFILES["default"], sci_mode=None)


def set_printoptions(
    precision: int | None = None,
    threshold: float | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
    profile: str | None = None,
    sci_mode: bool | None = None,
) -> None:
    """Change how tensors are printed, from now on; what is None stays as it is.

    Args:
        precision: how many digits stand after the point; 4 at first.
        threshold: with more elements, the middle of each dimension is left out; 1000 at first.
        edgeitems: how many stay at each end then; 3 at first.
        linewidth: how many characters a line has; 80 at first.
        profile: ``"default"``, ``"short"`` or ``"full"``, to set all of these before.
        sci_mode: whether numbers have exponents; None lets the numbers decide, again.

    Raises:
        ValueError: there is no such profile.

    Examples:
        >>> import minigrad
        >>> minigrad.set_printoptions(precision=2)
        >>> minigrad.tensor([1 / 3, 100.0])
        tensor([  0.33, 100.00])
        >>> minigrad.set_printoptions(profile="default")
    """
    if profile is not None and profile not in _PROFILES:
        raise ValueError(f"profile is one of {[*_PROFILES]}, got {profile!r}")
    given = {"precision": precision, "threshold": threshold}
    given |= {"edgeitems": edgeitems, "linewidth": linewidth}
    vars(options).update(_PROFILES.get(profile or "", {}), sci_mode=sci_mode)
    vars(options).update({name: value for name, value in given.items() if value is not None})


def text_of(tensor: TensorBase) -> str:
    """Return ``tensor(elements, note, note)``, broken into lines."""
    array, notes = move(tensor.array, "cpu"), []
    if not isinstance(tensor.array, np.ndarray):
        notes.append(f"device='{device_of(tensor.array)}'")
    if not array.size and array.ndim != 1:
        notes.append(f"size={array.shape}")
    if array.dtype not in (np.float32, np.int64, np.bool_)[: 3 if array.size else 1]:
        notes.append(f"dtype=minigrad.{array.dtype}")
    if tensor.grad_fn is not None:
        notes.append(f"grad_fn={tensor.grad_fn}")
    elif tensor._requires_grad:
        notes.append("requires_grad=True")
    text = f"tensor({_elements(array)}"
    column = len(text) - text.rfind("\n") - _INDENT + 1
    for note in notes:
        fits = column + len(note) + 2 <= options.linewidth
        text += f", {note}" if fits else f",\n{' ' * _INDENT}{note}"
        column = column + len(note) + 2 if fits else _INDENT + len(note)
    return text + ")"


def _elements(array: np.ndarray) -> str:
    if not array.size:
        return "[]"
    shortened = array.size > options.threshold
    shown = array[np.ix_(*map(_ends, array.shape))] if shortened else array
    return _nested(array, _INDENT, shortened, *_format(shown))


def _ends(n: int) -> list[int]:
    """Return which of n indices are shown where the middle is left out."""
    k = options.edgeitems
    return list(range(n) if n <= 2 * k else [*range(k), *range(n - k, n)])


def _format(shown: np.ndarray) -> tuple[Callable[[Any], str], int]:
    """Return the function that writes an element, and the width of the widest."""
    if shown.dtype.kind != "f":
        return str, max((len(str(v)) for v in shown.ravel().tolist()), default=1)
    values = shown.astype(np.float64).ravel()
    values = values[np.isfinite(values) & (values != 0)]
    if not values.size:
        return _notation(whole=True, exponents=False), 1
    whole = bool((values == np.ceil(values)).all())
    largest, smallest = float(np.abs(values).max()), float(np.abs(values).min())
    wide = largest / smallest > 1000 or largest > 1e8
    exponents = wide or (not whole and smallest < 1e-4)
    write = _notation(whole, exponents if options.sci_mode is None else options.sci_mode)
    return write, max(map(len, map(write, values.tolist())))


def _notation(whole: bool, exponents: bool) -> Callable[[float], str]:
    if exponents:
        return f"{{:.{options.precision}e}}".format
    if whole:
        return lambda v: f"{v:.0f}." if math.isfinite(v) else str(v)
    return f"{{:.{options.precision}f}}".format


def _nested(
    array: np.ndarray, indent: int, shortened: bool, write: Callable[[Any], str], width: int
) -> str:
    """Return an array as brackets within brackets, whose first opens at column ``indent``."""
    if not array.ndim:
        return write(array.item()).rjust(width)
    left_out = shortened and len(array) > 2 * options.edgeitems
    rows = [array[i] for i in (_ends(len(array)) if left_out else range(len(array)))]
    parts = [_nested(row, indent + 1, shortened, write, width) for row in rows]
    vector = array.ndim == 1
    if left_out:
        parts.insert(options.edgeitems, " ..." if vector else "...")
    if vector:
        count = max(1, math.floor((options.linewidth - indent) / (width + 2)))
        parts = [", ".join(parts[i : i + count]) for i in range(0, len(parts), count)]
    between = "\n" * max(array.ndim - 1, 1) + " " * (indent + 1)
    return "[" + ("," + between).join(parts) + "]"
