"""Reading and writing at an index, as CuPy does: out-of-range integers wrap, masks make it wait."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from tests.fake_cupy import counts


class Index(NamedTuple):
    """An index for NumPy, and what arrays are in it.

    Attributes:
        parts: the index, its arrays replaced by NumPy's, with an Ellipsis: so results are arrays.
        integers: how many arrays of integers there are.
        masks: how many of booleans.
    """

    parts: tuple[Any, ...]
    integers: int
    masks: int

    @property
    def advanced(self) -> bool:
        return bool(self.integers or self.masks)

    def count(self, name: str) -> None:
        """Count what CuPy does to read or write at this index."""
        for _ in range(self.masks):  # how many places it has decides the shape of the result
            counts.launch("scan")
            counts.download(4)
        if self.integers + self.masks > 1:
            counts.launch("fill", *["array_indexing"] * (self.integers + self.masks))
        counts.launch(name)


def resolve(shape: tuple[int, ...], index: Any, host_of: Any) -> Index:
    """Return an index for NumPy's array of a shape.

    Args:
        shape: of what is indexed.
        index: as given in brackets.
        host_of: returns the memory of an array of the device, and None for anything else.

    Raises:
        TypeError: it holds an array or a list of the host, which CuPy would silently upload.
        IndexError: something else that is no index.
    """
    given = index if isinstance(index, tuple) else (index,)
    arrays = [host_of(part) for part in given]
    used = sum(
        array.ndim if array is not None and array.dtype == np.bool_ else 1
        for part, array in zip(given, arrays, strict=True)
        if not (part is None or part is Ellipsis)
    )
    parts, axis, integers, masks = [], 0, 0, 0
    for part, array in zip(given, arrays, strict=True):
        if isinstance(part, list | np.ndarray):
            raise TypeError(
                f"an index of the host, {part!r:.60}: CuPy would copy it to the device silently"
            )
        if isinstance(part, bool | np.bool_):
            raise TypeError("a boolean as an index makes CuPy copy it and wait")
        if array is not None and array.dtype == np.bool_:
            part, masks, axis = array, masks + 1, axis + array.ndim
        elif array is not None:
            size = shape[axis] if axis < len(shape) else 0
            part, integers, axis = array % size if size else array, integers + 1, axis + 1
        elif part is Ellipsis:
            axis += len(shape) - used
        elif part is not None:
            axis += 1
        parts.append(part)
    if not any(part is Ellipsis for part in parts):
        parts.append(Ellipsis)
    return Index(tuple(parts), integers, masks)


def check_places_differ(host: np.ndarray, index: Index) -> None:
    """Raise if an index names a place twice: which value it will have then is left to chance."""
    places = np.arange(host.size).reshape(host.shape)[index.parts].ravel()
    if len(np.unique(places)) < len(places):
        raise IndexError("several values for one place: CuPy leaves to chance which one stays")
