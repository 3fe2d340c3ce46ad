"""Training on several ranks is training on one: the masks to the bit, the weights to rounding."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad import distributed, nn, optim
from minigrad.distributed import DataParallel, collectives, shard
from minigrad.distributed.sharding import share
from minigrad.utils.data import DataLoader
from tests import fake_cupy
from tests.distributed import jobs, programs
from tests.gpu.definitions import Definitions

RANKS = (1, 2, 3, 4)
Found = dict[int, list[dict[str, np.ndarray]]]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Found:
    """What the program ``training`` has kept on each rank of jobs of one to four."""
    folders = {ranks: tmp_path_factory.mktemp(f"on{ranks}") for ranks in RANKS}
    return {ranks: jobs.results(ranks, "training", folder) for ranks, folder in folders.items()}


def named(arrays: dict[str, np.ndarray], prefix: str, *, masks: bool) -> dict[str, np.ndarray]:
    """Return the masks of one of the trainings, or its parameters and buffers."""
    own = {k: v for k, v in arrays.items() if k.startswith(prefix) and "states" not in k}
    return {k: v for k, v in own.items() if (" mask " in k) == masks}


def test_one_rank_is_a_plain_loop_to_the_bit(found: Found) -> None:
    masks = programs.Noted(7)
    with mg.fork_rng():
        net = programs.Net(masks)
        mg.manual_seed(11)
        loss, optimizer = nn.CrossEntropyLoss(), optim.SGD(net.parameters(), lr=0.3, momentum=0.9)
        for _ in range(2):
            for x, y in programs.batches():
                optimizer.zero_grad()
                loss(net(x), y).backward()
                optimizer.step()
        expected = dict(programs.kept("whole", net, masks))  # type: ignore[arg-type]
    for name, array in expected.items():
        assert array.tobytes() == found[1][0][name].tobytes(), name


@pytest.mark.parametrize("ranks", RANKS[1:])
def test_the_masks_of_the_ranks_row_after_row_are_those_of_one_worker(
    found: Found, ranks: int
) -> None:
    alone = named(found[1][0], "whole", masks=True)
    assert len(alone) == 2 * 2 * 5  # a mask of elements and one of weights in each of ten steps
    shared = [named(arrays, "whole", masks=True) for arrays in found[ranks]]
    for i, (name, mask) in enumerate(alone.items()):
        of_weights = i % 2
        if of_weights:
            assert all((arrays[name] == mask).all() for arrays in shared), name
        else:
            together = np.concatenate([arrays[name] for arrays in shared])
            np.testing.assert_array_equal(together, mask, name)
    rows = [len(arrays["whole mask 008"]) for arrays in shared]  # of the last batch of an epoch
    assert rows == {2: [2, 1], 3: [1, 1, 1], 4: [1, 1, 1, 0]}[ranks]


@pytest.mark.parametrize("ranks", RANKS[1:])
@pytest.mark.parametrize("prefix", ["whole", "pieces", "ordered", "rank order"])
def test_every_generator_ends_where_one_workers_would(
    found: Found, ranks: int, prefix: str
) -> None:
    for arrays in found[ranks]:
        np.testing.assert_array_equal(arrays[f"{prefix} states"], found[1][0]["whole states"])


@pytest.mark.parametrize("ranks", RANKS[1:])
@pytest.mark.parametrize("prefix", ["whole", "pieces", "ordered", "rank order"])
def test_all_ranks_have_one_workers_weights_within_rounding(
    found: Found, ranks: int, prefix: str
) -> None:
    alone = named(found[1][0], "whole", masks=False)
    for name, array in alone.items():
        name = name.replace("whole", prefix)
        first = found[ranks][0][name]
        assert all(arrays[name].tobytes() == first.tobytes() for arrays in found[ranks]), name
        np.testing.assert_allclose(first, array, rtol=2e-5, atol=2e-6, err_msg=name)


@pytest.mark.parametrize("ranks", RANKS[1:])
def test_pieces_added_in_order_give_the_same_bits_on_any_number_of_ranks(
    found: Found, ranks: int
) -> None:
    for name, array in named(found[1][0], "ordered", masks=False).items():
        assert array.tobytes() == found[ranks][0][name].tobytes(), name


@pytest.mark.parametrize("ranks", [2, 3])
def test_collectives_are_sums_means_and_copies_of_every_dtype_and_shape(
    ranks: int, tmp_path: Path
) -> None:
    jobs.results(ranks, "collectives", tmp_path)


def test_buffers_become_rank_0s_when_a_net_is_made_and_at_each_forward_in_training(
    tmp_path: Path,
) -> None:
    first, other = jobs.results(2, "buffers", tmp_path)
    assert [a["made"].item() for a in (first, other)] == [1.0, 1.0]
    assert [a["evaluated"].item() for a in (first, other)] == [3.0, 4.0]
    assert [a["trained"].item() for a in (first, other)] == [3.0, 3.0]


def test_each_gradient_counts_by_the_rows_that_it_comes_from(tmp_path: Path) -> None:
    """Rank 0 has four rows of seven, and in evaluation each rank counts alike."""
    first, other = jobs.results(2, "shares", tmp_path)
    x = np.arange(14.0).reshape(7, 2)
    of_all, of_each = x.mean(0), (x[:4].mean(0) + x[4:].mean(0)) / 2
    for name, gradient in first.items():
        np.testing.assert_array_equal(gradient, other[name])
        if name != "lazy":
            expected = of_each if name == "evaluation" else of_all
            np.testing.assert_allclose(gradient[0], expected, rtol=1e-6, err_msg=name)


def test_what_cannot_be_is_refused_on_all_ranks_by_name(tmp_path: Path) -> None:
    jobs.results(2, "refusals", tmp_path)


# ------------------------------------------------------------------------- on a GPU


def test_on_a_gpu_the_masks_are_the_cpus_and_gradients_travel_through_the_host(
    found: Found, tmp_path: Path
) -> None:
    ranks = jobs.results(2, "on_the_fake", tmp_path)
    for prefix in "whole", "ordered":
        for name, array in named(found[2][0], prefix, masks=False).items():
            np.testing.assert_allclose(ranks[0][name], array, 2e-5, 2e-6, err_msg=name)
    for arrays, on_cpu in zip(ranks, found[2], strict=True):
        for name, mask in named(on_cpu, "whole", masks=True).items():
            np.testing.assert_array_equal(arrays[name], mask, name)
        np.testing.assert_array_equal(arrays["whole states"], on_cpu["whole states"])
        assert arrays["mean"].tolist() == [1.5] * 5
        assert arrays["copies"].tolist() == [1, 1]  # one bucket, there and back


@pytest.mark.parametrize("aware", [False, True])
def test_mpi_gets_a_gpus_memory_only_if_it_can_reach_there(
    monkeypatch: pytest.MonkeyPatch, aware: bool
) -> None:
    given = []

    def doubled(flat: Any) -> None:
        given.append(type(flat))
        flat *= 2

    with fake_cupy.installed(Definitions) as cupy:
        monkeypatch.setattr(collectives, "gpu_aware", lambda: aware)
        arrays = [cupy.asarray(np.full(shape, 3.0)) for shape in [(2, 2), (5,), ()]]
        collectives._together(arrays, doubled)
        assert [a.get().tolist() for a in arrays] == [[[6.0] * 2] * 2, [6.0] * 5, 6.0]
        assert given == [cupy.ndarray if aware else np.ndarray]


# ------------------------------------------------------------------------- without MPI


def test_importing_minigrad_loads_nothing_of_this_and_importing_this_no_mpi() -> None:
    code = "import sys, minigrad; print('minigrad.distributed' in sys.modules);"
    code += "import minigrad.distributed; print('mpi4py' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=jobs.ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["False", "False"]


def test_one_rank_needs_no_mpi_and_changes_nothing() -> None:
    assert (distributed.rank(), distributed.world_size()) == (0, 1)
    assert distributed.get_rank is distributed.rank
    t = mg.tensor([1.0, 2.0])
    assert distributed.all_reduce(t, "mean") is t
    assert distributed.broadcast([t], 0)[0] is t
    distributed.barrier()
    assert t.tolist() == [1.0, 2.0]
    net = nn.Linear(3, 2)
    parallel = DataParallel(net)
    parallel.load_state_dict(net.state_dict())
    x = mg.ones(4, 3)
    assert (parallel(x) == net(x)).all()
    assert [(len(u), weight) for u, weight in parallel.micro_batches(x, size=3)] == [
        (3, 0.75),
        (1, 0.25),
    ]


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: distributed.all_reduce(mg.ones(2), "max"), ValueError, "knows op='sum' and"),
        (lambda: distributed.all_reduce(mg.arange(2), "mean"), TypeError, "the mean of int64"),
        (lambda: distributed.all_reduce(mg.ones(2) > 0), TypeError, "the sum of bool"),
        (lambda: distributed.broadcast(mg.ones(2), 1), ValueError, "no rank 1 of 1"),
        (lambda: distributed.init(timeout=0), ValueError, "timeout has to be positive, got 0"),
        (lambda: shard(DataLoader([1]), block=0), ValueError, "at least one row, got block=0"),
    ],
    ids=[
        *("another reduction", "the mean of integers", "the sum of booleans", "a rank too many"),
        *("no time", "blocks of no rows"),
    ],
)
def test_what_cannot_be_is_refused_by_name(call: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        call()


def test_an_order_of_additions_needs_one_dtype() -> None:
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2).to(mg.float64))
    with pytest.raises(ValueError, match=r"one dtype, got \['float32', 'float64'\]"):
        DataParallel(net, ordered=True)


@pytest.mark.parametrize("block", [1, 4])
def test_shares_are_neighbours_whole_blocks_and_as_even_as_can_be(
    monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    from minigrad.distributed import sharding

    for size in range(1, 6):
        for rows in range(30):
            shares = []
            for rank in range(size):
                monkeypatch.setattr(sharding, "rank", lambda rank=rank: rank)
                monkeypatch.setattr(sharding, "world_size", lambda size=size: size)
                shares.append(share(rows, block))
            assert [0, *(stop for _, stop in shares)] == [*(start for start, _ in shares), rows]
            assert all(start % block == 0 or start == rows for start, _ in shares)
            blocks = [-(-(stop - start) // block) for start, stop in shares]
            assert max(blocks) - min(blocks) <= 1


def test_a_loader_is_shared_out_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from minigrad.distributed import sharding

    loader = DataLoader([1])
    assert shard(loader) is loader
    monkeypatch.setattr(sharding, "world_size", lambda: 2)
    with pytest.raises(ValueError, match="shared out among the ranks already"):
        shard(shard(loader))


def test_a_data_set_of_single_examples_is_shared_out_too(monkeypatch: pytest.MonkeyPatch) -> None:
    from minigrad.distributed import sharding

    data = [({"x": mg.tensor([float(i)])}, f"name {i}") for i in range(5)]
    got = []
    for rank in range(3):
        monkeypatch.setattr(sharding, "rank", lambda rank=rank: rank)
        monkeypatch.setattr(sharding, "world_size", lambda: 3)
        batches = list(shard(DataLoader(data, 4)))
        got.append(
            [(tuple(x["x"].shape), x["x"].flatten().tolist(), list(names)) for x, names in batches]
        )
    assert got == [
        [((2, 1), [0.0, 1.0], ["name 0", "name 1"]), ((1, 1), [4.0], ["name 4"])],
        [((1, 1), [2.0], ["name 2"]), ((0, 1), [], [])],
        [((1, 1), [3.0], ["name 3"]), ((0, 1), [], [])],
    ]
