"""What all ranks do together: each of these functions is called by every rank, in the same order.

Tensors of one dtype and device travel together, flattened into buckets, for a message costs time
before its first byte. MPI may reach into a GPU's memory (`gpu_aware`); if it does not, what is on a
GPU goes through the host's.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from minigrad.device import device_of, fetch, move, on_device_of
from minigrad.distributed.world import World, joined
from minigrad.seeds import listed

BUCKET = 25 * 2**20  # bytes that travel together, as in PyTorch
SEGMENT = 2**18  # bytes of a message in an ordered sum: one is under way while the next is added


def all_reduce(tensors: Any, op: str = "sum", *, ordered: bool = False) -> Any:
    """Replace the elements of tensors by their sums, or means, over all ranks, in place.

    Args:
        tensors: a tensor or a list of them, of the same shapes and dtypes on each rank.
        op: ``"sum"`` or ``"mean"``.
        ordered: add in the order of the ranks, whatever the MPI: the bits are then the same with
            every MPI and every topology. The sum passes from rank to rank, R - 1 messages deep,
            and comes back from the last.

    Returns:
        ``tensors``, the very same. On one rank nothing happens to them.

    Raises:
        ValueError: there is no such ``op``.
        TypeError: the mean of tensors that are not floating-point; a tensor of booleans.
    """
    several = listed(tensors)
    if op not in ("sum", "mean"):
        raise ValueError(f"all_reduce knows op='sum' and op='mean', got {op!r}")
    for t in several:
        if t.dtype.kind not in ("f" if op == "mean" else "fiu"):
            raise TypeError(f"all_reduce cannot take the {op} of {t.dtype}")
    if (world := joined()) is not None:
        sum_arrays([t.array for t in several], ordered)
        for t in several:
            if op == "mean":
                t.array[...] /= world.size
            t._storage.change()
    return tensors


def broadcast(tensors: Any, src: int = 0) -> Any:
    """Replace the elements of tensors by those of rank ``src``, in place.

    Args:
        tensors: a tensor or a list of them, of the same shapes and dtypes on each rank.
        src: the rank whose elements all shall have.

    Returns:
        ``tensors``, the very same.

    Raises:
        ValueError: there is no such rank.
    """
    several = listed(tensors)
    world = joined()
    if not 0 <= src < (world.size if world else 1):
        raise ValueError(f"there is no rank {src} of {world.size if world else 1}")
    if world is not None:
        _together(
            [t.array for t in several],
            lambda flat: world.wait(world.comm.Ibcast(_bytes(flat), src), "broadcast"),
        )
        for t in several:
            t._storage.change()
    return tensors


def barrier() -> None:
    """Wait until every rank has come here."""
    if (world := joined()) is not None:
        world.wait(world.comm.Ibarrier(), "barrier")


def sum_arrays(arrays: Sequence[Any], ordered: bool = False) -> None:
    """Replace arrays by their sums over all ranks."""
    if (world := joined()) is None:
        return
    if ordered:
        _together(arrays, lambda flat: add_in_order(world, [flat], flat))
    else:
        _together(arrays, functools.partial(_sum, world))


def _sum(world: World, flat: Any) -> None:
    if flat.dtype == np.float16:  # MPI knows none
        wide = flat.astype(np.float32)
        _sum(world, wide)
        flat[...] = wide
    else:
        world.wait(world.comm.Iallreduce(world.mpi.IN_PLACE, flat), "all_reduce")


def add_in_order(world: World, addends: Sequence[np.ndarray], out: np.ndarray) -> None:
    """Put ((a₀ + a₁) + a₂) + ... into ``out``: first rank 0's addends, then rank 1's, and so on.

    The partial sum passes from rank to rank, in segments, and comes back from the last. Where a
    batch is cut into the same pieces whatever the number of ranks, so are the bits of the sum.

    Args:
        world: the job.
        addends: flat arrays of this rank, none or more, on the host.
        out: a flat array of their shape and dtype; it may be one of them.
    """
    comm, last, sent = world.comm, world.size - 1, []
    step = max(1, SEGMENT // out.dtype.itemsize)
    for i in range(0, len(out), step):
        part = slice(i, i + step)
        total = np.full_like(out[part], -0.0)  # -0.0 + a is a, also for a = -0.0; 0.0 + a is not
        if world.rank:
            request = comm.Irecv(_bytes(total), world.rank - 1)
            world.wait(request, "an ordered sum")
        for a in addends:
            total = total + a[part]
        if world.rank < last:
            sent.append((comm.Isend(_bytes(total), world.rank + 1), total))
        out[part] = total
    for request, _ in sent:
        world.wait(request, "an ordered sum")
    world.wait(comm.Ibcast(_bytes(out), last), "an ordered sum")


def _bytes(array: Any) -> Any:
    """Return an array as MPI takes it: of bytes, since it does not know every dtype by name."""
    return array.view(np.uint8) if isinstance(array, np.ndarray) else array


# ------------------------------------------------------------------------- buckets


def _together(arrays: Sequence[Any], do: Callable[[Any], None]) -> None:
    """Do something in place to flat arrays of the host, or of a GPU, that hold all elements."""
    for bucket in _buckets(arrays):
        with on_device_of(bucket[0]):
            whole = len(bucket) == 1 and bucket[0].flags.c_contiguous
            flat = bucket[0].reshape(-1) if whole else np.concatenate([a.ravel() for a in bucket])
            if isinstance(flat, np.ndarray) or gpu_aware():
                _finished(flat)
                do(flat)
            else:
                host = fetch(flat)
                do(host)
                flat[...] = move(host, device_of(flat))
            if not whole:
                ends = np.cumsum([a.size for a in bucket]).tolist()
                for a, end in zip(bucket, ends, strict=True):
                    a[...] = flat[end - a.size : end].reshape(a.shape)


def _buckets(arrays: Sequence[Any]) -> Iterator[list[Any]]:
    """Yield arrays of one dtype and device, as many together as fit into a bucket, in order."""
    kinds: dict[Any, list[Any]] = {}
    for a in arrays:
        kinds.setdefault((a.dtype, device_of(a)), []).append(a)
    for kind in kinds.values():
        bucket: list[Any] = []
        size = 0
        for a in kind:
            if bucket and size + a.nbytes > BUCKET:
                yield bucket
                bucket, size = [], 0
            bucket.append(a)
            size += a.nbytes
        yield bucket


def _finished(flat: Any) -> None:
    """Wait until a GPU has computed an array that MPI is to read."""
    if not isinstance(flat, np.ndarray):
        fetch(flat[:1])


@functools.cache
def gpu_aware() -> bool:
    """Return whether MPI says that it takes arrays of a GPU."""
    if (world := joined()) is None:
        return False
    library, found = ctypes.CDLL(world.mpi.__file__), ctypes.c_int(0)
    if hasattr(library, "MPIX_Query_cuda_support"):  # Open MPI, and MPICH since 4.1
        return library.MPIX_Query_cuda_support() == 1
    if hasattr(library, "MPIX_GPU_query_support"):  # MPICH: 0 asks for CUDA
        library.MPIX_GPU_query_support(0, ctypes.byref(found))
    return found.value == 1
