"""What an index means: PyTorch's rules, in two steps that NumPy and CuPy take alike.

First come ints, slices, None and ``...``, which choose a view; then come the arrays, which choose
among the elements of that view. Were NumPy given both at once, an int beside an array would count
as an array, and the result would have its dimensions in another order:
``ones(2, 3, 4)[0, :, tensor([0, 1])]`` has the shape (3, 2) in PyTorch, and in NumPy (2, 3).
"""

from __future__ import annotations

import operator
from typing import Any, NamedTuple

import numpy as np

from minigrad.device import common_device, device_of, fetch, is_array, move, on_device_of, watched
from minigrad.fused import launch
from minigrad.graph import TensorBase
from minigrad.kernels.index import MOST, check_indices, wrong_place


class Index(NamedTuple):
    """An index in two steps; each is None if it chooses everything.

    Attributes:
        basic: ints, slices and None for the array, with ``...`` at its end, so that a view results.
        advanced: an array that chooses rows of that view; or slices and arrays for its dimensions.
    """

    basic: tuple[Any, ...] | None
    advanced: Any = None

    @property
    def may_repeat(self) -> bool:
        """Whether one place may be named twice: by an array of integers, not by a mask."""
        parts = self.advanced if isinstance(self.advanced, tuple) else (self.advanced,)
        return any(is_array(p) and p.dtype.kind != "b" for p in parts)


WHOLE = slice(None)


def index_of(index: Any, data: Any) -> Index:
    """Return what an index of the user's means for an array.

    Args:
        index: ints, slices, None, ``...``, tensors, arrays, lists; in a tuple, one for each
            dimension. Booleans, also as uint8, are masks. Arrays are copied.
        data: the array, NumPy's or CuPy's.

    Raises:
        IndexError: a mask has another shape than the dimensions that it is for; there are too many
            indices, or one that is none; of those from the host, one is out of range.
    """
    parts = index if isinstance(index, tuple) else (index,)
    if all(type(p) in (int, slice) for p in parts):
        return Index((*parts, ...))
    if not isinstance(data, np.ndarray):
        common_device([data, *(p.array for p in parts if isinstance(p, TensorBase))])
    plain = [_plain(p) for p in parts]
    used = sum(_dimensions(p) for p in plain)
    if used > data.ndim:
        raise IndexError(f"too many indices for tensor of dimension {data.ndim}: got {used}")
    basic: list[Any] = []
    advanced: list[Any] = []
    dim = 0
    for p in plain:
        if p is Ellipsis:
            left = data.ndim - used
            basic += [WHOLE] * left
            advanced += [WHOLE] * left
            dim, used = dim + left, data.ndim
        elif not is_array(p):
            basic.append(p)
            if not isinstance(p, int):
                advanced.append(WHOLE)
            dim += p is not None
        elif not p.ndim:  # a mask of no dimension: it adds one, of size 1 or 0
            basic.append(None)
            advanced.append(p.reshape((1,)))
        else:
            if p.dtype.kind == "b" and p.shape != data.shape[dim : dim + p.ndim]:
                raise IndexError(
                    f"The shape of the mask {list(p.shape)} at index {dim} does not match the "
                    f"shape of the indexed tensor {list(data.shape)} at index {dim}"
                )
            basic += [WHOLE] * _dimensions(p)
            advanced.append(p)
            dim += _dimensions(p)
    return _index(basic, _on_device(advanced, basic, data))


def _plain(part: Any) -> Any:
    """Return a part of an index: an int, or an array that is a copy; anything else as it is."""
    if isinstance(part, bool | np.bool_):
        return np.array(part)
    if isinstance(part, int | np.integer):
        return int(part)
    if isinstance(part, slice):
        ends = (part.start, part.stop, part.step)
        return slice(*(end if end is None else operator.index(end) for end in ends))
    if isinstance(part, list | tuple | range):
        part = np.array(part)
        part = part if part.size else part.astype(np.int64)
    if isinstance(part, TensorBase):
        part = part.array
    if not is_array(part):
        return part
    if part.dtype.kind not in "iub":
        raise IndexError(
            "tensors used as indices must be long, int, byte or bool tensors; this one is "
            f"{part.dtype}: use .long(), or .bool() for a mask"
        )
    if part.dtype == np.uint8:  # a mask, as in PyTorch
        return part.astype(np.bool_)
    if not part.ndim and part.dtype.kind != "b":
        return int(fetch(part))
    with on_device_of(part):
        return part.copy()


def _dimensions(part: Any) -> int:
    """Return how many dimensions a part of an index is for."""
    if is_array(part):
        return part.ndim if part.dtype.kind == "b" else 1
    return int(part is not None and part is not Ellipsis)


def _on_device(advanced: list[Any], basic: list[Any], data: Any) -> list[Any]:
    """Return the arrays of an index where ``data`` is.

    What comes from the host is checked there: a GPU would not raise, but wrap it.
    """
    arrays = [p for p in advanced if is_array(p)]
    if isinstance(data, np.ndarray) or not arrays:
        return advanced
    of_the_host = all(isinstance(p, np.ndarray) for p in arrays)
    if of_the_host:
        np.broadcast_to(np.False_, data.shape)[(*basic, ...)][tuple(advanced)]
    there = [move(p, device_of(data)) if isinstance(p, np.ndarray) else p for p in advanced]
    if not of_the_host:
        watch_index(data[(*basic, ...)], tuple(there))
    return there


def _index(basic: list[Any], advanced: list[Any]) -> Index:
    """Return an index without the steps, and the slices at the end, that choose everything."""
    while advanced and not is_array(advanced[-1]):
        advanced.pop()
    if not advanced:
        return Index((*basic, ...))
    chooses = None if all(p == WHOLE for p in basic) else (*basic, ...)
    only = len(advanced) == 1 and advanced[0].ndim == 1
    return Index(chooses, advanced[0] if only else tuple(advanced))


def watch_index(data: Any, index: Any) -> None:
    """Let the next thing that is read raise if an index on a GPU is out of range: one launch.

    CuPy would wrap it silently, and write elsewhere.

    Args:
        data: the array of a GPU that is to be indexed.
        index: what stands in the brackets: arrays of integers and masks, slices, ints, ``...`` and
            None.

    Raises:
        RuntimeError: an array of the index is elsewhere.
        IndexError: a dimension of size 0 is indexed.
    """
    parts = index if isinstance(index, tuple) else (index,)
    common_device((data, parts))
    found = []
    dim, used = 0, sum(_dimensions(part) for part in parts)
    for part in parts:
        if part is Ellipsis:
            dim += data.ndim - used
        elif is_array(part) and part.dtype.kind in "iu" and part.size and dim < data.ndim:
            if not data.shape[dim]:
                raise IndexError("index is out of bounds for dimension with size 0")
            part = part if part.flags.c_contiguous else part.copy()
            found.append((part, dim, data.shape[dim]))
        dim += _dimensions(part)
    for some in (found[i : i + MOST] for i in range(0, len(found), MOST)):
        arrays, dims, sizes = zip(*some, strict=True)
        wrong = watched(data, wrong_place(tuple(zip(dims, sizes, strict=True))))
        with on_device_of(data):
            check_indices(launch, arrays, sizes, wrong)
