"""Data sets, and loaders that walk through them in batches."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minigrad import kernels
from minigrad.creation import from_numpy
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


@dataclass
class _Loop:
    """One way through the data: what its order follows from, and how many batches are given out.

    Attributes:
        order: the state of the generator that the order is drawn from; a sampler's indices; None
            for examples as they lie.
        position: how many batches have been given out.
    """

    order: tuple[int, int, int] | np.ndarray | None
    position: int = 0


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
        sampler: says which examples each loop has, and in which order: an iterable of integers that
            is gone through anew each loop. It excludes ``shuffle``.
        collate_fn: makes a batch of a list of examples; None for `default_collate`. With one, a
            data set that gathers is asked for single examples too.
        num_workers, pin_memory, persistent_workers: accepted as in PyTorch, and without effect:
            batches are made in the process that asks for them.

    Raises:
        TypeError: ``dataset`` has no length, or no examples at integers; ``generator`` is no
            Generator; ``sampler`` cannot be iterated over.
        ValueError: ``batch_size`` is no positive integer, or ``num_workers`` negative; there is a
            sampler and ``shuffle``; workers that are not there should be persistent.

    Examples:
        >>> import minigrad
        >>> numbers = TensorDataset(minigrad.arange(5))
        >>> [batch.tolist() for (batch,) in DataLoader(numbers, batch_size=2)]
        [[0, 1], [2, 3], [4]]
        >>> [batch.tolist() for batch in DataLoader([1, 2, 3], batch_size=2)]
        [[1, 2], [3]]
        >>> [batch.tolist() for batch in DataLoader([1, 2, 3], batch_size=2, sampler=[2, 0])]
        [[3, 1]]
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int = 1,
        shuffle: bool = False,
        drop_last: bool = False,
        generator: Generator | None = None,
        *,
        sampler: Iterable[int] | None = None,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        num_workers: int = 0,
        pin_memory: bool = False,
        persistent_workers: bool = False,
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
        if persistent_workers and not num_workers:
            raise ValueError("persistent_workers option needs num_workers > 0")
        if sampler is not None and shuffle:
            raise ValueError("sampler option is mutually exclusive with shuffle")
        if sampler is not None and (
            not hasattr(sampler, "__iter__") or hasattr(sampler, "__next__")
        ):
            raise TypeError(
                "sampler should be an iterable of integers that can be gone through again each "
                f"loop, got a {type(sampler).__name__}: make a list of it, or a class with __iter__"
            )
        generator_for("DataLoader", generator)
        self.dataset = dataset
        self.batch_size = int(batch_size)
        self.shuffle = shuffle
        self.drop_last = drop_last
        self.generator = generator
        self.sampler: Any = sampler
        self.collate_fn = collate_fn
        self._epoch = 0  # loops that have come to their end
        self._loop = _Loop(None)  # the one that was begun last, if it has not ended
        self._goes_on = False  # whether the next loop is the rest of that one

    def in_order(self) -> DataLoader:
        """Return a loader of the same data that neither shuffles nor leaves anything out."""
        return DataLoader(self.dataset, self.batch_size, collate_fn=self.collate_fn)

    def __len__(self) -> int:
        """Return the number of batches.

        Raises:
            TypeError: there is a sampler that has no length.
        """
        return self._batches(len(self.dataset if self.sampler is None else self.sampler))

    def _batches(self, examples: int) -> int:
        whole, rest = divmod(examples, self.batch_size)
        return whole + (rest > 0 and not self.drop_last)

    def __iter__(self) -> Iterator[Any]:
        loop, order = self._rest() if self._goes_on else self._begin()
        self._loop, self._goes_on = loop, False
        gathers = getattr(self.dataset, "gathers", False) and self.collate_fn is None
        if gathers:  # on a GPU, where the indices are copied to once a loop
            order = move(order, getattr(self.dataset, "device", CPU))
        collate = self.collate_fn or default_collate
        for i in range(loop.position, self._batches(len(order))):
            chosen = order[i * self.batch_size : (i + 1) * self.batch_size]
            if gathers:
                batch = self.dataset[chosen]
            else:
                batch = collate([self.dataset[k] for k in chosen.tolist()])
            loop.position = i + 1
            yield batch
        self._epoch += 1
        if self._loop is loop:
            self._loop = _Loop(None)

    def _begin(self) -> tuple[_Loop, np.ndarray]:
        """Return a new loop, and the indices of its examples."""
        n = len(self.dataset)
        if self.sampler is not None:
            order = np.array(list(self.sampler), np.int64)
            return _Loop(order), order
        if not self.shuffle:
            return _Loop(None), np.arange(n)
        generator = generator_for("DataLoader", self.generator)
        loop = _Loop(generator.get_state())
        return loop, randperm(n, generator=generator).numpy()

    def _rest(self) -> tuple[_Loop, np.ndarray]:
        """Return the loop whose rest is due, and its indices: nothing is drawn for them again."""
        n, order = len(self.dataset), self._loop.order
        if isinstance(order, tuple):
            generator = Generator(0)
            generator.set_state(order)
            return self._loop, randperm(n, generator=generator).numpy()
        return self._loop, np.arange(n) if order is None else order

    # ------------------------------------------------------------------ stopping and going on

    def state_dict(self) -> dict[str, Any]:
        """Return where the loader stands: its epoch, its place in it, and what its order is.

        A batch that has been given out counts as done. `minigrad.save` takes the state.

        Examples:
            >>> import minigrad
            >>> loader = DataLoader(list(range(6)), batch_size=2)
            >>> for batch in loader:
            ...     state = loader.state_dict()
            ...     break
            >>> loader.load_state_dict(state)
            >>> [batch.tolist() for batch in loader]
            [[2, 3], [4, 5]]
        """
        order, generator = self._loop.order, self.generator
        return {
            **self._settings(),
            "epoch": self._epoch,
            "position": self._loop.position,
            "order": from_numpy(order.copy()) if isinstance(order, np.ndarray) else order,
            "generator": None if generator is None else generator.state_dict(),
            "sampler": self.sampler.state_dict() if hasattr(self.sampler, "state_dict") else None,
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Stand where another loader stood: the next ``for`` loop gives the rest of its batches.

        Their order is the other's; for it nothing is drawn again.

        Raises:
            TypeError: ``state_dict`` is no dictionary.
            ValueError: it is that of a loader of other data or other batches; nothing has changed.
        """
        self._check(state_dict)
        if self.generator is not None:
            self.generator.load_state_dict(state_dict["generator"])
        if hasattr(self.sampler, "load_state_dict"):
            self.sampler.load_state_dict(state_dict["sampler"])
        order = state_dict["order"]
        order = order.numpy().astype(np.int64) if isinstance(order, Tensor) else order
        self._loop = _Loop(order, state_dict["position"])
        self._epoch = state_dict["epoch"]
        self._goes_on = self._loop.position > 0

    def _check(self, state: Any) -> None:
        """Raise if the state of another loader cannot be taken over."""
        if not isinstance(state, Mapping):
            raise TypeError(f"expected the state of a DataLoader, got a {type(state).__name__}")
        own = self.state_dict()
        if state.keys() != own.keys():
            names = ", ".join(map(str, state)) or "nothing"
            raise ValueError(
                f"not the state of a DataLoader: expected {', '.join(own)}, got {names}"
            )
        for name, value in self._settings().items():
            if state[name] != value:
                raise ValueError(
                    f"not a state for this DataLoader: {name} is {state[name]!r} there, and "
                    f"{value!r} here; give the loader the same data and settings"
                )
        order, position, epoch = state["order"], state["position"], state["epoch"]
        if (state["generator"] is None) != (self.generator is None):
            one, other = ("none", "one") if self.generator is None else ("one", "none")
            raise ValueError(f"this DataLoader has {one} for a generator, and the state {other}")
        counts = [n for n in (position, epoch) if type(n) is int and n >= 0]
        kind = Tensor if self.sampler is not None else tuple if self.shuffle else type(None)
        if len(counts) < 2 or not (isinstance(order, kind) or (order is None and not position)):
            raise ValueError(
                f"not the state of a DataLoader: it stands at batch {position!r} of epoch "
                f"{epoch!r}, in the order {order!r:.80}"
            )

    def _settings(self) -> dict[str, Any]:
        """Return what a loader must have in common with one whose state it takes over."""
        return {
            "examples": len(self.dataset),
            "batch_size": self.batch_size,
            "shuffle": bool(self.shuffle),
            "drop_last": bool(self.drop_last),
        }
