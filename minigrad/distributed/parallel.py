"""`DataParallel`: a module of which every rank computes some rows, and all learn the same."""

from __future__ import annotations

import copy
import weakref
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from minigrad.device import device_of, move, on_device_of
from minigrad.distributed.collectives import add_in_order, broadcast, sum_arrays
from minigrad.distributed.world import World, gathered, joined, same_generators
from minigrad.graph import wrap
from minigrad.nn import Module
from minigrad.parts import checked_rows, here, part_of_batch, pieces
from minigrad.random import default_generator
from minigrad.tensor import Tensor
from minigrad.utils.nested import tensors_in


class DataParallel(Module):
    """A module whose ranks each compute some rows of a batch, and average the gradients.

    In training, what a rank is given are its rows of a batch: those of rank 0 come first, then
    those of rank 1, and so on. Each forward exchanges how many rows there are; dropout then draws
    the rows' part of the mask that one worker would have drawn (`minigrad.parts`). After
    ``backward`` every parameter's ``grad`` is, on all ranks, the gradient of the mean loss over the
    whole batch: each rank's counts by its share of the rows. Ranks may have different numbers of
    rows, also none.

    In evaluation it is the module itself, and nothing is exchanged; gradients, if there are any,
    count alike from all ranks.

    When it is made, parameters, buffers and the states of generators become those of rank 0, on
    every rank. Buffers become rank 0's again at each forward in training.

    Args:
        module: the module, alike on every rank.
        ordered: add gradients in the order of the ranks, or, with `micro_batches`, of the pieces.
            The bits then do not depend on the MPI; with pieces and ``shard(loader, block=size)``,
            neither on the number of ranks. See docs/distributed.md for what that costs.

    Raises:
        RuntimeError: the ranks' modules differ in their parameters.
        ValueError: ``ordered``, and the parameters are of several dtypes.

    Examples:
        >>> import minigrad
        >>> from minigrad import nn
        >>> net = DataParallel(nn.Linear(3, 1))             # one rank: the module itself
        >>> list(net.state_dict())
        ['weight', 'bias']
    """

    def __init__(self, module: Module, *, ordered: bool = False) -> None:
        super().__init__()
        self.module = module
        self.ordered = ordered
        self._weight = 1.0  # this rank's share of the rows
        self._forwards: list[tuple[Any, float]] = []  # nodes of outputs, weakly, and their shares
        self._watched: set[Tensor] = set()
        self._pieces: _Pieces | None = None
        self._streams = [generator for _, generator in module.named_generators()]
        dtypes = sorted({p.dtype.name for p in module.parameters()})
        if ordered and len(dtypes) > 1:
            raise ValueError(f"ordered=True needs parameters of one dtype, got {dtypes}")
        if joined() is None:
            return
        tensors = [*module.parameters(), *module.buffers()]
        shapes = repr([(name, p.shape, p.dtype.name) for name, p in module.named_parameters()])
        prints = gathered([zlib.crc32(shapes.encode())], "making a DataParallel")
        if (prints != prints[0]).any():
            raise RuntimeError("the ranks' modules differ in the names or shapes of parameters")
        broadcast(tensors)
        same_generators(self._streams)
        self._watch()

    def __deepcopy__(self, memo: dict[int, Any]) -> DataParallel:
        return DataParallel(copy.deepcopy(self.module, memo), ordered=self.ordered)

    def _watch(self) -> None:
        """Let gradients be averaged of all parameters that require them by now."""
        for p in self.module.parameters():
            if p.requires_grad and p not in self._watched:
                p._hooks().add_after(self._average)
                self._watched.add(p)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Compute this rank's rows: of the first tensor among the arguments, and so of all.

        Raises:
            RuntimeError: the generators of the ranks have come apart; or the batch is divided by
                other means than `micro_batches`.
            TypeError: no argument is a tensor, or nothing that the module returned.
        """
        if joined() is None or self._pieces is not None:
            return self.module(*args, **kwargs)
        self._watch()
        if not self.training:
            return self._counting(self.module(*args, **kwargs), 1 / _world().size)
        if here.part is not None:
            raise RuntimeError("divide the batch of a DataParallel by its own micro_batches()")
        tensors = [t for t in (*args, *kwargs.values()) if isinstance(t, Tensor)]
        if not tensors:
            raise TypeError("DataParallel needs a tensor with the rows of this rank as an argument")
        rows = len(tensors[0])
        start, whole = self._place(rows)
        with part_of_batch(start, start + rows, whole):
            return self._counting(self.module(*args, **kwargs), rows / whole)

    def _counting(self, output: Any, share: float) -> Any:
        """Return an output, whose gradients are to count by a share of the rows.

        Raises:
            TypeError: there are no tensors in it.
        """
        self._forwards = [(node, share) for node, share in self._forwards if node() is not None]
        found = tensors_in(output)
        if not found:
            raise TypeError(
                f"a DataParallel's module returned a {type(output).__name__} without tensors: it "
                "has to return a tensor, or a tuple, list or dictionary of them"
            )
        for tensor in found:
            if tensor.grad_fn is not None:
                self._forwards.append((weakref.ref(tensor.grad_fn), share))
        return output

    def micro_batches(self, *tensors: Any, size: int) -> Iterator[tuple[Any, ...]]:
        """Yield this rank's rows in pieces: `minigrad.parts.micro_batches` for several ranks.

        Pieces end at multiples of ``size`` from the first row of the whole batch, and their weights
        are shares of that. Gradients travel once, after the last piece's ``backward``::

            for x, y, weight in net.micro_batches(X, Y, size=64):
                (loss(net(x), y) * weight).backward()
            optimizer.step()

        Raises:
            ValueError: as of `minigrad.parts.micro_batches`.
            RuntimeError: parameters have gradients already.
        """
        rows = checked_rows(tensors)
        if joined() is None:
            yield from pieces(tensors, size, 0, rows)
            return
        if any(p.grad is not None for p in self.module.parameters()):
            raise RuntimeError("parameters have gradients already: call zero_grad() before")
        start, whole = self._place(rows)
        self._pieces = _Pieces()
        try:
            for piece in pieces(tensors, size, start, whole):
                part = here.part
                assert part is not None
                self._pieces.last = part.stop == start + rows
                self._pieces.rows = part.stop - part.start
                yield piece
        finally:
            self._pieces = None

    def _place(self, rows: int) -> tuple[int, int]:
        """Begin a step: tell the others how many rows there are here; take over rank 0's buffers.

        Ranks may have different numbers of pieces, so this is what a step does once.

        Returns:
            The place of the first row here in the whole batch, and how many rows that has.
        """
        states = repr([g.get_state() for g in (default_generator, *self._streams)])
        found = gathered([rows, zlib.crc32(states.encode())], "a forward pass")
        if (found[:, 1] != found[0, 1]).any():
            other = int((found[:, 1] != found[0, 1]).argmax())
            raise RuntimeError(
                f"the generators of rank {other} have another state than those of rank 0: one has "
                "drawn what the other has not. Draw on all ranks, or from a generator of its own"
            )
        rank = _world().rank
        start, whole = int(found[:rank, 0].sum()), int(found[:, 0].sum())
        if not whole:
            raise ValueError("a batch without any row, on all ranks")
        broadcast(list(self.module.buffers()))
        return start, whole

    # ------------------------------------------------------------------ after backward

    def _average(self) -> None:
        """Put the gradients of the whole batch where those of this rank's rows are."""
        parameters = [p for p in self.module.parameters() if p.requires_grad]
        for p in parameters:
            if p.grad is not None and p.grad.requires_grad:
                raise RuntimeError("DataParallel cannot average gradients that have a graph")
        if self._pieces is None:
            shares = {share for node, share in self._forwards if node() is not None}
            if len(shares) > 1:
                raise RuntimeError(
                    "the outputs of several forward passes are alive, of which this rank had "
                    f"different shares of the rows, {sorted(shares)}: call backward after each, "
                    "and evaluate with no_grad()"
                )
            self._weight = shares.pop() if shares else self._weight
            self._forwards.clear()
            self._gather(parameters, self._weight)
        elif self._pieces.last:
            if self._pieces.done:
                raise RuntimeError("the last micro-batch has room for one backward: add the losses")
            self._pieces.done = True
            if self.ordered:
                self._pieces.keep(parameters)
                self._gather_in_order(parameters, self._pieces.kept)
            else:
                self._gather(parameters, 1.0)
        elif self.ordered:
            self._pieces.keep(parameters)

    def _gather(self, parameters: list[Any], weight: float) -> None:
        arrays = _gradients(parameters)
        for a in arrays[1:]:
            a *= weight
        sum_arrays(arrays, self.ordered)
        _give(parameters, arrays)

    def _gather_in_order(self, parameters: list[Any], kept: list[np.ndarray]) -> None:
        arrays = _gradients(parameters)
        out = np.empty(sum(a.size for a in arrays), arrays[0].dtype)
        add_in_order(_world(), kept, out)
        ends = np.cumsum([a.size for a in arrays]).tolist()
        for i, (a, end) in enumerate(zip(arrays, ends, strict=True)):
            arrays[i] = move(out[end - a.size : end].reshape(a.shape).copy(), device_of(a))
        _give(parameters, arrays)

    # ------------------------------------------------------------------ the module's own names

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """Return the module's: a checkpoint is the same with and without `DataParallel`."""
        return self.module.state_dict(*args, **kwargs)

    def load_state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """Load the module's state, on every rank."""
        return self.module.load_state_dict(*args, **kwargs)


class _Pieces:
    """What is remembered from one piece of a batch to the next.

    Attributes:
        rows: how many the present one has.
        last: whether it is the last one of this rank.
        done: whether its gradients have travelled.
        kept: the gradients of each, flat, where they are added in order.
    """

    def __init__(self) -> None:
        self.rows, self.last, self.done = 0, False, False
        self.kept: list[np.ndarray] = []

    def keep(self, parameters: list[Any]) -> None:
        """Take the gradients away, to be added later; a piece without rows has none to add."""
        arrays = _gradients(parameters)
        if self.rows:
            self.kept.append(np.concatenate([move(a.ravel(), "cpu") for a in arrays]))
        for p in parameters:
            p.grad = None


def _world() -> World:
    world = joined()
    assert world is not None
    return world


def _gradients(parameters: list[Any]) -> list[Any]:
    """Return which parameters have a gradient, as numbers 1 and 0, and their gradients or zeros."""
    like = parameters[0].array
    has = np.array([p.grad is not None for p in parameters], like.dtype)
    arrays = [move(has, device_of(like))]
    for p in parameters:
        with on_device_of(p.array):
            arrays.append(np.zeros_like(p.array) if p.grad is None else p.grad.array)
    return arrays


def _give(parameters: list[Any], arrays: list[Any]) -> None:
    """Set the gradients that any rank has."""
    has = move(arrays[0], "cpu") > 0
    for p, a, some in zip(parameters, arrays[1:], has.tolist(), strict=True):
        if some:
            if p.grad is not None and p.grad.array is a:
                p.grad._storage.change()
            else:
                p.grad = wrap(a)
