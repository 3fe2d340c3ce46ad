"""Data-parallel training on MPI: several processes, the ranks, share the rows of each batch.

    mpiexec -n 4 python train.py

Each rank computes its rows, draws their rows of the masks that one worker would have drawn, and
the gradients are averaged: see docs/distributed.md. ``pip install "minigrad[mpi]"``.

==============  ================================================================================
`world`         who is here, how ranks wait for each other, and how they end together
`collectives`   what they do together: `all_reduce`, `broadcast`, `barrier`
`sharding`      a `DataLoader` that gives each rank its rows of every batch
`parallel`      `DataParallel`: a module whose gradients are averaged
==============  ================================================================================
"""

from minigrad.distributed.collectives import all_reduce, barrier, broadcast
from minigrad.distributed.parallel import DataParallel
from minigrad.distributed.sharding import shard
from minigrad.distributed.world import (
    get_rank,
    get_world_size,
    init,
    is_available,
    is_initialized,
    launched,
    rank,
    world_size,
)

__all__ = ["DataParallel", "all_reduce", "barrier", "broadcast"]
__all__ += ["get_rank", "get_world_size", "init", "is_available"]
__all__ += ["is_initialized", "launched", "rank", "shard", "world_size"]
