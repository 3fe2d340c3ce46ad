"""What the tests run on several ranks: ``mpiexec -n R python -m tests.distributed.programs NAME``.

Each program returns arrays by name, which every rank writes into its own file.
"""

from __future__ import annotations

import copy
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad import distributed, nn, optim
from minigrad.distributed import DataParallel, shard
from minigrad.parts import micro_batches
from minigrad.training import fit
from minigrad.utils.data import DataLoader, TensorDataset
from tests import fake_cupy
from tests.gpu.definitions import Definitions

EXAMPLES, BATCH, SIZE = 59, 14, 4  # batches of 14, a last one of 3 rows; pieces of 4


class Noted(mg.Generator):
    """A generator that keeps the masks it has drawn."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.drawn: list[np.ndarray] = []

    def keep_mask(self, *args: Any) -> Any:
        keep = super().keep_mask(*args)
        self.drawn.append(np.asarray(keep.get() if hasattr(keep, "get") else keep))
        return keep


class Net(nn.Module):
    """Dropout of elements and of weights, a layer that is not used, and a buffer."""

    def __init__(self, masks: mg.Generator) -> None:
        super().__init__()
        rank = distributed.rank()  # the ranks begin with other weights: rank 0's count
        with mg.fork_rng():
            mg.manual_seed(5 + rank)
            self.first = nn.Linear(8, 16)
            self.weights = nn.DropConnect(16, 12, p=0.3, generator=masks)
            self.last = nn.Linear(12, 3)
            self.unused = nn.Linear(2, 2)
        self.masks = masks
        self.dropped = nn.Dropout(0.3, generator=masks)
        self.by_default = nn.Dropout(0.5)
        self.register_buffer("scale", mg.tensor([1.0 + rank]))

    def forward(self, x: Any) -> Any:
        h = self.dropped(self.first(x).relu())
        h = self.by_default(self.weights(h).relu())
        return self.last(h) * self.scale


def batches(shuffling: int = 3, block: int = 1) -> DataLoader:
    rng = np.random.default_rng(1)
    x = mg.tensor(rng.normal(size=(EXAMPLES, 8)), dtype=mg.float32)
    y = mg.tensor(rng.integers(0, 3, EXAMPLES))
    order = mg.Generator(shuffling)
    return shard(DataLoader(TensorDataset(x, y), BATCH, shuffle=True, generator=order), block)


def trained(
    ordered: bool = False, size: int | None = None, device: str = "cpu"
) -> tuple[DataParallel, Noted]:
    """Train for two epochs, in pieces if a size is given."""
    mg.manual_seed(11)
    masks = Noted(7)
    net = DataParallel(Net(masks).to(device), ordered=ordered)
    loss, optimizer = nn.CrossEntropyLoss(), optim.SGD(net.parameters(), lr=0.3, momentum=0.9)
    for _ in range(2):
        for whole in batches(block=size or 1):
            x, y = (t.to(device) for t in whole)
            optimizer.zero_grad()
            if size is None:
                loss(net(x), y).backward()
            else:
                for u, v, weight in net.micro_batches(x, y, size=size):
                    (loss(net(u), v) * weight).backward()
            assert net.module.unused.weight.grad is None
            optimizer.step()
    return net, masks


def kept(prefix: str, net: DataParallel, masks: Noted) -> Iterator[tuple[str, np.ndarray]]:
    """Yield parameters and buffers, masks as they were drawn, and where the generators are."""
    for name, t in net.state_dict().items():
        yield f"{prefix} {name}", t.cpu().numpy()
    for i, mask in enumerate(masks.drawn):
        yield f"{prefix} mask {i:03}", mask
    states = masks.get_state(), mg.random.get_rng_state()
    yield f"{prefix} states", np.array(states, np.uint64)


def training() -> dict[str, np.ndarray]:
    found = dict(kept("whole", *trained()))
    found |= kept("pieces", *trained(size=SIZE))
    found |= kept("ordered", *trained(ordered=True, size=SIZE))
    found |= kept("rank order", *trained(ordered=True))
    return found


def collectives() -> dict[str, np.ndarray]:
    rank, size = distributed.rank(), distributed.world_size()
    shapes = [(), (3, 4), (0,), (100_000,), (7,)]
    dtypes = [mg.float32, mg.float64, mg.float16, mg.float32, mg.int64]

    def made(r: int) -> list[Any]:
        rng = np.random.default_rng(r)
        return [
            mg.tensor(np.asarray(rng.integers(-9, 9, s)), dtype=d)
            for s, d in zip(shapes, dtypes, strict=True)
        ]

    sums = [np.sum([made(r)[i].numpy() for r in range(size)], axis=0) for i in range(len(shapes))]
    for ordered in False, True:
        tensors = made(rank)
        assert distributed.all_reduce(tensors, ordered=ordered) is tensors
        for t, s in zip(tensors, sums, strict=True):
            assert t.dtype == s.dtype or t.dtype == mg.int64
            np.testing.assert_array_equal(t.numpy(), s)
        floats = made(rank)[:4]
        distributed.all_reduce(floats, "mean", ordered=ordered)
        for t, s in zip(floats, sums, strict=False):
            np.testing.assert_allclose(t.numpy(), (s / size).astype(t.dtype), rtol=1e-3)
    t = made(rank)[1].T  # not contiguous
    distributed.all_reduce(t)
    np.testing.assert_array_equal(t.numpy(), sums[1].T)
    for src in range(size):
        tensors = made(rank)
        distributed.broadcast(tensors, src)
        for a, b in zip(tensors, made(src), strict=True):
            np.testing.assert_array_equal(a.numpy(), b.numpy())
    one = mg.tensor([float(rank)])
    assert distributed.all_reduce(one) is one
    assert one.tolist() == [size * (size - 1) / 2]
    distributed.barrier()
    return {}


def buffers() -> dict[str, np.ndarray]:
    """Make them differ, before the first forward and after it."""
    net = DataParallel(Net(mg.Generator(1)))
    found = {"made": net.module.scale.numpy().copy()}
    x = mg.ones(2, 8)
    for _ in range(2):
        net.module.scale.add_(distributed.rank() + 1)
        net.eval()(x)
        found["evaluated"] = net.module.scale.numpy().copy()
        net.train()(x)
        found["trained"] = net.module.scale.numpy().copy()
    return found


def refusals() -> dict[str, np.ndarray]:
    """Do what is refused, on all ranks."""
    rank = distributed.rank()
    with pytest.raises(RuntimeError, match="differ in the names or shapes"):
        DataParallel(nn.Linear(2 + rank, 1))
    net = DataParallel(nn.Linear(2, 1))
    with pytest.raises(TypeError, match="needs a tensor with the rows"):
        net(3)
    with pytest.raises(ValueError, match="without any row, on all ranks"):
        net(mg.ones(0, 2))
    for x, _ in micro_batches(mg.ones(4, 2), size=3):
        with pytest.raises(RuntimeError, match=r"its own micro_batches\(\)"):
            net(x)
    with pytest.raises(RuntimeError, match="gradients that have a graph"):
        (net(mg.ones(4, 2)) ** 2).sum().backward(create_graph=True)
    with pytest.raises(RuntimeError, match="have gradients already"):
        next(net.micro_batches(mg.ones(4, 2), size=3))
    net.zero_grad()
    for x, _ in net.micro_batches(mg.ones(3, 2), size=3):  # one piece on each rank
        net(x).sum().backward()
        again = net(x).sum()
        with pytest.raises(RuntimeError, match="room for one backward"):
            again.backward()
    return {}


class Several(nn.Linear):
    """What it returns is in a dictionary of lists."""

    def __init__(self) -> None:
        super().__init__(2, 1)

    def forward(self, x: Any) -> Any:
        return {"mean": [super().forward(x).mean()], "rows": len(x)}


class Counted(nn.Module):
    """It returns no tensor."""

    def forward(self, x: Any) -> Any:
        return len(x)


class DyingRank(DataParallel):
    """Rank 2 is killed when it has computed so many batches; others go on as long as they can.

    It waits until a checkpoint of the second epoch is on the disk, which another rank writes.
    """

    def __init__(self, module: nn.Module, batches: int, checkpoint: str | None) -> None:
        super().__init__(module)
        self.left, self.checkpoint = batches, checkpoint

    def forward(self, *args: Any) -> Any:
        if self.training and distributed.rank() == 2:
            self.left -= 1
            if not self.left:
                while not mg.load(self.checkpoint)["parts"]["history"]["train_loss"]:
                    time.sleep(0.01)
                os.kill(os.getpid(), signal.SIGKILL)
        return super().forward(*args)


def fitted(checkpoint: str | None = None, dies_after: str = "0") -> dict[str, np.ndarray]:
    """Train by `fit`; with a checkpoint every three batches, or go on with it."""
    mg.manual_seed(11)
    masks = mg.Generator(7)
    net = DyingRank(Net(masks), int(dies_after), checkpoint)
    optimizer = optim.SGD(net.parameters(), lr=0.3, momentum=0.9)
    schedule = optim.lr_scheduler.StepLR(optimizer, 1, 0.9)
    batch = batches()
    time.sleep(0.3 * distributed.rank())  # rank 0 writes as soon as it may
    history = fit(
        net, batch, batch.in_order(), nn.CrossEntropyLoss(), 3, optimizer,
        scheduler=schedule, checkpoint=checkpoint, every=None if checkpoint is None else 3,
        resume=checkpoint is not None and dies_after == "0",
    )  # fmt: skip
    found = {name: t.numpy() for name, t in net.state_dict().items()}
    measures = {f"{k} measured": np.array(v) for k, v in vars(history).items() if k != "seconds"}
    states = np.array([masks.get_state(), mg.random.get_rng_state()], np.uint64)
    return found | measures | {"states": states}


def shares() -> dict[str, np.ndarray]:
    """Gradients where the shares of the rows are not simply those of the last forward."""
    rank = distributed.rank()
    rows = [mg.arange(14.0).reshape(7, 2)[:4], mg.arange(14.0).reshape(7, 2)[4:]][rank]
    found = {}

    def gradient(net: DataParallel) -> np.ndarray:
        net.zero_grad()
        net(rows).mean().backward()
        return net.module.weight.grad.numpy().copy()

    net = DataParallel(nn.Linear(2, 1))
    found["training"] = gradient(net)
    found["evaluation"] = gradient(net.eval())
    net.train()
    net(rows[: 1 + rank])  # another share, and let go of
    output = net(rows)
    with mg.no_grad():
        net(rows[: 1 + rank])  # another share, and no gradient of it
    net(rows[: 1 + rank])
    net.zero_grad()
    output.mean().backward()
    found["another without gradient"] = net.module.weight.grad.numpy().copy()
    with pytest.raises(RuntimeError, match="several forward passes are alive"):
        (net(rows).mean() + net(rows[: 1 + rank]).mean()).backward()
    found["a deep copy"] = gradient(copy.deepcopy(net))
    several = DataParallel(Several())
    several.zero_grad()
    several(rows)["mean"][0].backward()
    found["in a dictionary"] = several.module.weight.grad.numpy().copy()
    with pytest.raises(TypeError, match="returned a int without tensors"):
        DataParallel(Counted())(rows)
    frozen = nn.Linear(2, 1).requires_grad_(False)
    thawed = DataParallel(frozen)
    frozen.requires_grad_(True)
    found["thawed"] = gradient(thawed)
    lazy = DataParallel(nn.LazyLinear(3))
    found["lazy"] = (lazy(rows).sum(), lazy.module.weight.detach().numpy().copy())[1]
    loader = batches()
    with pytest.raises(TypeError, match="each would train a net of its own"):
        fit(nn.Linear(8, 3), loader, loader, nn.CrossEntropyLoss(), 1, optim.SGD([mg.ones(1)]))
    return found


def on_the_fake() -> dict[str, np.ndarray]:
    """Train on the fake CuPy; note what one step copies between host and device."""
    with fake_cupy.installed(Definitions):
        found = dict(kept("whole", *trained(device="cuda")))
        found |= kept("ordered", *trained(ordered=True, size=SIZE, device="cuda"))
        t = mg.ones(5, device="cuda") * (distributed.rank() + 1)
        distributed.all_reduce(t, "mean")
        distributed.broadcast(t)
        assert t.device.type == "cuda"
        found["mean"] = t.cpu().numpy()
        many = [mg.ones(n, device="cuda") for n in (3, 4, 5)]
        with fake_cupy.counting() as counts:
            distributed.all_reduce(many)
        found["copies"] = np.array([len(counts.downloads), len(counts.uploads)])
    return found


PROGRAMS = {
    "training": training,
    "collectives": collectives,
    "fitted": fitted,
    "on_the_fake": on_the_fake,
    "buffers": buffers,
    "refusals": refusals,
    "shares": shares,
}


def main(name: str, folder: str, *arguments: str) -> None:
    distributed.init(timeout=60)
    found = PROGRAMS[name](*arguments)  # type: ignore[operator]
    np.savez(Path(folder) / f"{distributed.rank()}.npz", **found)


if __name__ == "__main__":
    main(*sys.argv[1:])
