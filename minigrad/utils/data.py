"""Data sets, and loaders that walk through them in batches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np

from minigrad import kernels
from minigrad.device import CPU, device, move, watched
from minigrad.fused import fused
from minigrad.kernels import Launcher
from minigrad.random import Generator, randperm
from minigrad.tensor import Tensor


class Dataset(Protocol):
    """What a `DataLoader` asks of a data set.

    One whose examples live on a GPU says so by an attribute ``device``; its indices live there too.
    """

    def __len__(self) -> int: ...

    def __getitem__(self, index: Any) -> tuple[Tensor, ...]:
        """Return the examples at an array of indices, all in one gather."""


class TensorDataset:
    """Examples that lie side by side in tensors: example i is ``(t[i] for t in tensors)``.

    Args:
        tensors: tensors whose first dimensions are equal.

    Raises:
        ValueError: they are not.
    """

    def __init__(self, *tensors: Tensor) -> None:
        if len({len(t) for t in tensors}) != 1:
            raise ValueError(f"Size mismatch between tensors: {[t.shape for t in tensors]}")
        self.tensors = tensors

    @property
    def device(self) -> device:
        """Where the examples are."""
        return self.tensors[0].device

    def to(self, target: Any) -> TensorDataset:
        """Return the data set on another device."""
        return TensorDataset(*(t.to(target) for t in self.tensors))

    def __len__(self) -> int:
        return len(self.tensors[0])

    def __getitem__(self, index: Any) -> tuple[Tensor, ...]:
        return tuple(t[index] for t in self.tensors)


def _gathered(launch: Launcher, data: Any, index: Any, divisor: float) -> Any:
    wrong = watched(data, kernels.wrong_row(len(data)))
    return kernels.gather_rows(launch, data, index, wrong, divisor)


@fused(_gathered)
def gather_scaled(data: Any, index: Any, divisor: float) -> Any:
    """Return examples that are kept as bytes as floats: ``data[index] / divisor``, rounded once.

    Args:
        data: uint8, an array whose first dimension is that of the examples.
        index: an int, a slice, or an array of integers that lives where the data does. On a GPU,
            one that is out of range raises IndexError with the next thing that is read.
        divisor: what the bytes are divided by, in float32.
    """
    return data[index] / np.float32(divisor)


class DataLoader:
    """Batches of a data set, anew in each ``for`` loop.

    Each batch is one vectorised gather, ``dataset[indices]``.

    Args:
        dataset: has ``len()`` and can be indexed with an array of int64 indices.
        batch_size: examples in a batch, >= 1; the last batch may be smaller.
        shuffle: whether each loop goes through the examples in a new random order.
        drop_last: whether to leave out a smaller last batch.
        generator: where orders are drawn from, one draw each loop; None for the default generator.

    Raises:
        ValueError: ``batch_size`` is no positive integer.

    Examples:
        >>> import minigrad
        >>> numbers = TensorDataset(minigrad.arange(5))
        >>> [batch.tolist() for (batch,) in DataLoader(numbers, batch_size=2)]
        [[0, 1], [2, 3], [4]]
    """

    def __init__(
        self,
        dataset: Dataset,
        batch_size: int = 1,
        shuffle: bool = False,
        drop_last: bool = False,
        generator: Generator | None = None,
    ) -> None:
        if not isinstance(batch_size, int | np.integer) or batch_size < 1:
            raise ValueError(f"batch_size should be a positive integer value, got {batch_size!r}")
        self.dataset = dataset
        self.batch_size = int(batch_size)
        self.shuffle = shuffle
        self.drop_last = drop_last
        self.generator = generator

    def in_order(self) -> DataLoader:
        """Return a loader of the same data that neither shuffles nor leaves anything out."""
        return DataLoader(self.dataset, self.batch_size)

    def __len__(self) -> int:
        """Return the number of batches."""
        whole, rest = divmod(len(self.dataset), self.batch_size)
        return whole + (rest > 0 and not self.drop_last)

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        n = len(self.dataset)
        order = randperm(n, generator=self.generator).numpy() if self.shuffle else np.arange(n)
        order = move(order, getattr(self.dataset, "device", CPU))  # a GPU gathers: one copy a loop
        for i in range(len(self)):
            yield self.dataset[order[i * self.batch_size : (i + 1) * self.batch_size]]
