"""Batches that are shared out: each rank gets its rows of the batch that one worker would get."""

from __future__ import annotations

from typing import Any

from minigrad.device import CPU
from minigrad.distributed.world import rank, same_generators, world_size
from minigrad.utils.collate import default_collate
from minigrad.utils.data import DataLoader, Dataset


def shard(loader: DataLoader, block: int = 1) -> DataLoader:
    """Return a loader that gives this rank its rows of each of ``loader``'s batches.

    The batches, their order and their number are the loader's, on every rank: so is the position in
    an epoch, whatever the number of ranks. Rows stay together: rank 0 has the first, rank 1 the
    next. They are shared out as evenly as possible, the first ranks having a row more; of a last
    batch with fewer rows than ranks, the last ranks have none, a batch of no rows.

    Args:
        loader: a loader of whole batches, alike on every rank. Its generator gets the state that
            rank 0's has.
        block: rows that are not torn apart, >= 1: ranks begin at multiples of it. Pieces of this
            size (`DataParallel.micro_batches`) are then the same for every number of ranks.

    Returns:
        A new loader; on one rank the very same, whose batches are whole.

    Raises:
        ValueError: ``block`` is below 1, or the loader is shared out already.
    """
    if block < 1:
        raise ValueError(f"a block has at least one row, got block={block}")
    if isinstance(loader.dataset, Shard):
        raise ValueError("the loader is shared out among the ranks already")
    if world_size() == 1:
        return loader
    if loader.generator is not None:
        same_generators([loader.generator])
    return DataLoader(
        Shard(loader.dataset, loader.collate_fn, block),
        loader.batch_size,
        loader.shuffle,
        loader.drop_last,
        loader.generator,
        sampler=loader.sampler,
    )


def is_shared(batches: Any) -> bool:
    """Return whether batches are of a loader that `shard` has made."""
    return isinstance(getattr(batches, "dataset", None), Shard)


def share(rows: int, block: int = 1) -> tuple[int, int]:
    """Return the first row of this rank, and the one after its last, of a batch of so many.

    Examples:
        >>> share(5)                      # one rank has them all
        (0, 5)
    """
    each, more = divmod(-(-rows // block), world_size())
    before = rank() * each + min(rank(), more)
    after = before + each + (rank() < more)
    return min(rows, before * block), min(rows, after * block)


class Shard(Dataset):
    """A data set that is asked for whole batches, and returns the rows of this rank.

    Args:
        dataset: the whole data set.
        collate_fn: makes a batch of examples where the data set does not gather.
        block: as for `shard`.
    """

    gathers = True

    def __init__(self, dataset: Any, collate_fn: Any, block: int) -> None:
        self.dataset = dataset
        self.collate_fn = collate_fn
        self.block = block

    @property
    def device(self) -> Any:
        """Where the examples are, if the data set gathers; the indices have to be there too."""
        return getattr(self.dataset, "device", CPU) if self._whole() else CPU

    def _whole(self) -> bool:
        return self.collate_fn is None and getattr(self.dataset, "gathers", False)

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, indices: Any) -> Any:
        start, stop = share(len(indices), self.block)
        if self._whole():
            return self.dataset[indices[start:stop]]
        collate = self.collate_fn or default_collate
        if start < stop:
            return collate([self.dataset[i] for i in indices[start:stop].tolist()])
        return _without_rows(collate([self.dataset[int(indices[0])]]))


def _without_rows(batch: Any) -> Any:
    """Return a batch of no rows that is otherwise like the given one."""
    if isinstance(batch, dict):
        return {name: _without_rows(value) for name, value in batch.items()}
    if isinstance(batch, tuple | list) and not all(isinstance(value, str) for value in batch):
        return [_without_rows(value) for value in batch]
    return batch[:0]
