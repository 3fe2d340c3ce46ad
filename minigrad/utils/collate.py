"""Examples put together into a batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from minigrad.creation import as_tensor
from minigrad.ops import stack
from minigrad.tensor import Tensor, tensor


def default_collate(batch: Sequence[Any]) -> Any:
    """Put examples together as PyTorch does: tensors are stacked, containers keep their form.

    Args:
        batch: the examples, alike: tensors, arrays or numbers; strings or bytes; or dictionaries,
            tuples, named tuples and lists of these.

    Returns:
        For tensors and arrays, a tensor with a new first dimension; for numbers, a tensor (of
        Python's floats one of float64); for strings, themselves; for dictionaries and named tuples,
        one of batches; for tuples and lists, a list of batches.

    Raises:
        RuntimeError: the examples have different shapes or lengths.
        TypeError: an example is of another type.

    Examples:
        >>> default_collate([(1, "a"), (2, "b")])
        [tensor([1, 2]), ('a', 'b')]
    """
    first = batch[0]
    if isinstance(first, Tensor):
        return _stacked(batch)
    if isinstance(first, np.ndarray | np.generic) and first.dtype.kind in "fiub":
        return _stacked([as_tensor(np.asarray(example)) for example in batch])
    if isinstance(first, float):
        return tensor(list(batch), dtype=np.dtype(np.float64))
    if isinstance(first, int):
        return tensor(list(batch))
    if isinstance(first, str | bytes):
        return batch
    if isinstance(first, Mapping):
        return {key: default_collate([example[key] for example in batch]) for key in first}
    if isinstance(first, tuple | list):
        if any(len(example) != len(first) for example in batch):
            raise RuntimeError(
                "each element in list of batch should be of equal size, got lengths "
                f"{sorted({len(example) for example in batch})}: pass a collate_fn to the loader"
            )
        columns = [default_collate(column) for column in zip(*batch, strict=True)]
        return type(first)(*columns) if hasattr(first, "_fields") else columns
    raise TypeError(
        "default_collate: batch must contain tensors, numpy arrays, numbers, dicts or lists; found "
        f"{type(first)}: pass a collate_fn to the loader"
    )


def _stacked(batch: Sequence[Tensor]) -> Tensor:
    for i, example in enumerate(batch):
        if example.shape != batch[0].shape:
            raise RuntimeError(
                f"stack expects each tensor to be equal size, but got {list(batch[0].shape)} at "
                f"entry 0 and {list(example.shape)} at entry {i}"
            )
    return stack(list(batch))
