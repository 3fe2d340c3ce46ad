"""Data sets, and loaders that walk through them in batches."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from minigrad import kernels
from minigrad.device import CPU, device, move, watched
from minigrad.fused import fused
from minigrad.kernels import Launcher
from minigrad.random import Generator, generator_for, randperm
from minigrad.tensor import Tensor
from minigrad.utils.collate import default_collate


class Dataset:
    """The base of data sets: they have a length, and an example at each integer from 0 on.

    A data set need not be derived from it: a list will do.

    Attributes:
        gathers: whether the data set can also be indexed with an array of integers, and then
            returns a whole batch by one gather. If its examples live on a GPU, it says so by an
            attribute ``device``, and the indices live there too.
    """

    gathers = False

    def __len__(self) -> int:
        raise NotImplementedError(f"{type(self).__name__} must define __len__()")

    def __getitem__(self, index: Any) -> Any:
        """Return the example at an index."""
        raise NotImplementedError(f"{type(self).__name__} must define __getitem__()")


class TensorDataset(Dataset):
    """Examples that lie side by side in tensors: example i is ``(t[i] for t in tensors)``.

    Args:
        tensors: tensors whose first dimensions are equal.

    Raises:
        ValueError: they are not.
    """

    gathers = True

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


class Subset(Dataset):
    """A part of a data set: example i is that at ``indices[i]`` of the whole.

    Args:
        dataset: the whole.
        indices: which examples, in which order.
    """

    def __init__(self, dataset: Any, indices: Sequence[int]) -> None:
        self.dataset = dataset
        self.indices = indices
        self._places = np.asarray(indices, dtype=np.int64)
        self.gathers = getattr(dataset, "gathers", False)

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, index: Any) -> Any:
        places = self._places[index]
        if np.ndim(places):
            return self.dataset[move(places, getattr(self.dataset, "device", CPU))]
        return self.dataset[int(places)]


def random_split(
    dataset: Any, lengths: Sequence[float], generator: Generator | None = None
) -> list[Subset]:
    """Split a data set at random into parts that have nothing in common.

    Args:
        dataset: the whole.
        lengths: of the parts, as numbers of examples that sum up to the whole; or as shares that
            sum up to 1. What is left by rounding these down goes to the parts in turn, one each.
        generator: where the order is drawn from; None for the default generator.

    Raises:
        TypeError: ``generator`` is no Generator.
        ValueError: the lengths do not sum up to the whole, or one is negative.

    Examples:
        >>> import minigrad
        >>> [len(part) for part in random_split(range(10), [0.75, 0.25], minigrad.Generator(0))]
        [8, 2]
    """
    generator = generator_for("random_split", generator)
    n = len(dataset)
    if any(not length >= 0 for length in lengths):
        raise ValueError(f"lengths should not be negative, got {list(lengths)}")
    sizes = [math.floor(length) for length in lengths]
    whole = sizes == list(lengths)
    if math.isclose(sum(lengths), 1):
        sizes, whole = [math.floor(n * share) for share in lengths], True
        for i in range(n - sum(sizes)):
            sizes[i % len(sizes)] += 1
    if not whole or sum(sizes) != n:
        raise ValueError(
            f"Sum of input lengths does not equal the length of the input dataset! {list(lengths)} "
            f"for {n} examples"
        )
    order = randperm(n, generator=generator).numpy()
    ends = np.cumsum(sizes)
    return [
        Subset(dataset, order[end - size : end].tolist())
        for end, size in zip(ends, sizes, strict=True)
    ]


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

    Examples are taken one by one, ``dataset[i]``, and put together by ``collate_fn``. A data set
    that ``gathers``, as `TensorDataset` does, gives each batch at once: ``dataset[indices]``.

    Args:
        dataset: has ``len()`` and an example at each integer, such as a list; see `Dataset`.
        batch_size: examples in a batch, >= 1; the last batch may be smaller.
        shuffle: whether each loop goes through the examples in a new random order.
        drop_last: whether to leave out a smaller last batch.
        generator: where orders are drawn from, one draw each loop; None for the default generator.
        collate_fn: makes a batch of a list of examples; None for `default_collate`. With one, a
            data set that gathers is asked for single examples too.
        num_workers, pin_memory: accepted as in PyTorch, and without effect: batches are made in the
            process that asks for them.

    Raises:
        TypeError: ``dataset`` has no length, or no examples at integers; ``generator`` is no
            Generator.
        ValueError: ``batch_size`` is no positive integer, or ``num_workers`` negative.

    Examples:
        >>> import minigrad
        >>> numbers = TensorDataset(minigrad.arange(5))
        >>> [batch.tolist() for (batch,) in DataLoader(numbers, batch_size=2)]
        [[0, 1], [2, 3], [4]]
        >>> [batch.tolist() for batch in DataLoader([1, 2, 3], batch_size=2)]
        [[1, 2], [3]]
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int = 1,
        shuffle: bool = False,
        drop_last: bool = False,
        generator: Generator | None = None,
        *,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        num_workers: int = 0,
        pin_memory: bool = False,
    ) -> None:
        if not (hasattr(dataset, "__len__") and hasattr(dataset, "__getitem__")):
            raise TypeError(
                f"DataLoader needs a data set with len() and an example at each integer, got a "
                f"{type(dataset).__name__}: make a list of it, or a class with __len__ and "
                "__getitem__"
            )
        if isinstance(batch_size, bool) or not (
            isinstance(batch_size, int | np.integer) and batch_size >= 1
        ):
            raise ValueError(f"batch_size should be a positive integer value, got {batch_size!r}")
        if num_workers < 0:
            raise ValueError(f"num_workers option should be non-negative, got {num_workers}")
        generator_for("DataLoader", generator)
        self.dataset = dataset
        self.batch_size = int(batch_size)
        self.shuffle = shuffle
        self.drop_last = drop_last
        self.generator = generator
        self.collate_fn = collate_fn

    def in_order(self) -> DataLoader:
        """Return a loader of the same data that neither shuffles nor leaves anything out."""
        return DataLoader(self.dataset, self.batch_size, collate_fn=self.collate_fn)

    def __len__(self) -> int:
        """Return the number of batches."""
        whole, rest = divmod(len(self.dataset), self.batch_size)
        return whole + (rest > 0 and not self.drop_last)

    def __iter__(self) -> Iterator[Any]:
        n = len(self.dataset)
        order = randperm(n, generator=self.generator).numpy() if self.shuffle else np.arange(n)
        gathers = getattr(self.dataset, "gathers", False) and self.collate_fn is None
        if gathers:  # on a GPU, where the indices are copied to once a loop
            order = move(order, getattr(self.dataset, "device", CPU))
        collate = self.collate_fn or default_collate
        for i in range(len(self)):
            chosen = order[i * self.batch_size : (i + 1) * self.batch_size]
            if gathers:
                yield self.dataset[chosen]
            else:
                yield collate([self.dataset[k] for k in chosen.tolist()])
