"""Training on a device: the host's results, without waiting for the device at every step."""

from __future__ import annotations

import csv
import gc
import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minigrad
from data.fashion_mnist import FashionMNIST
from examples.dropout_fashion_mnist import main
from minigrad import Generator, nn, optim
from minigrad.training import evaluate, fit
from minigrad.utils.data import DataLoader, TensorDataset
from models import Net, mlp
from tests import fake_cupy
from tests.gpu.backend import Backend

N, BATCH = 70, 16  # of which the last batch has 6
IMAGES = np.random.default_rng(0).integers(0, 256, (N, 1, 4, 5), np.uint8)
LABELS = np.random.default_rng(1).integers(0, 3, N)


class Bytes:
    """Pictures that are kept as bytes, where they are looked at: the chapter's, in small."""

    gathers = True

    def __init__(self, place: str) -> None:
        self.images = minigrad.tensor(IMAGES, device=place)
        self.labels = minigrad.tensor(LABELS, device=place)
        self.device = self.images.device

    def __len__(self) -> int:
        return N

    def __getitem__(self, index: Any) -> tuple[Any, Any]:
        return self.images[index] / 255, self.labels[index]


def loader(place: str) -> DataLoader:
    return DataLoader(Bytes(place), BATCH, shuffle=True, generator=Generator(1))


def network(place: str) -> nn.Sequential:
    """Return the chapter's network, in small, with the same weights and masks wherever it is."""
    with minigrad.fork_rng():
        minigrad.manual_seed(0)
        return mlp(20, 3, (16, 8), (0.2, 0.5), generator=Generator(2)).to(place)


def step(net: Any, optimizer: Any, x: Any, y: Any) -> Any:
    loss = nn.functional.cross_entropy(net(x), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.detach()


def stepper(place: str) -> Any:
    """Return a function that takes one step, after two that have compiled what is to be."""
    net = network(place)
    optimizer = optim.SGD(net.parameters(), lr=0.1)
    x, y = Bytes(place)[minigrad.arange(BATCH, device=place)]
    for _ in range(2):
        step(net, optimizer, x, y)
    return lambda: step(net, optimizer, x, y)


# ------------------------------------------------------------------- the same results


@pytest.mark.parametrize("momentum", [0, 0.9])
def test_training_with_dropout_is_the_hosts(backend: Backend, momentum: float) -> None:
    histories, nets = [], []
    for place in ("cuda", "cpu"):
        net = network(place)
        optimizer = optim.SGD(net.parameters(), lr=0.1, momentum=momentum)
        test = DataLoader(Bytes(place), BATCH)
        loss = nn.CrossEntropyLoss()
        history = fit(net, loader(place), test, loss, 3, optimizer, progress=False)
        history.seconds.clear()
        histories.append(history)
        nets.append(net)
    for actual, expected in zip(*(net.parameters() for net in nets), strict=True):
        backend.assert_same(actual, expected, rtol=1e-3, exact=False)
    for there, here in zip(*(vars(history).values() for history in histories), strict=True):
        np.testing.assert_allclose(there, here, rtol=1e-4)


def test_three_hundred_steps_with_dropout_stay_near_the_hosts(backend: Backend) -> None:
    widths = (20, 3, (16, 8)) if backend.fake else (784, 10, (256, 256))
    rng = np.random.default_rng(3)
    images = rng.random((300, BATCH, widths[0]), np.float32)
    labels = rng.integers(0, widths[1], (300, BATCH))
    losses, nets = [], []
    for place in ("cuda", "cpu"):
        with minigrad.fork_rng():
            minigrad.manual_seed(0)
            net = mlp(*widths, (0.2, 0.5), generator=Generator(2)).to(place)
        optimizer = optim.SGD(net.parameters(), lr=0.1)
        total = minigrad.zeros((), device=place)
        for x, y in zip(images, labels, strict=True):
            x, y = (minigrad.tensor(a, device=place) for a in (x, y))
            total += step(net, optimizer, x, y)
        losses.append(total.item() / 300)
        nets.append(net)
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    for there, here in zip(*(net.parameters() for net in nets), strict=True):
        difference = there.detach().cpu() - here.detach()
        assert (difference * difference).mean() <= 1e-6 * (here * here).mean()


def test_the_network_from_scratch_trains_there_too(backend: Backend) -> None:
    outputs = []
    for place in ("cuda", "cpu"):
        with minigrad.fork_rng():
            minigrad.manual_seed(0)
            net = Net(20, 3, 16, 8, generator=Generator(2)).to(place)
        optimizer = optim.SGD(net.parameters(), lr=0.1)
        x, y = Bytes(place)[np.arange(BATCH)]
        for _ in range(3):
            step(net, optimizer, x, y)
        outputs.append(net.eval()(x))
    backend.assert_same(*outputs)


def test_batches_from_the_host_are_moved_by_fit(backend: Backend) -> None:
    histories = []
    for place in ("cuda", "cpu"):
        net = network(place)
        history = fit(
            *(net, loader("cpu"), DataLoader(Bytes("cpu"), BATCH), nn.CrossEntropyLoss(), 2),
            *(optim.SGD(net.parameters(), lr=0.1),),
            device=place,
            progress=False,
        )
        histories.append(history.test_acc)
    assert histories[0] == histories[1]


@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_what_is_measured_is_the_hosts(backend: Backend, reduction: str) -> None:
    loss = nn.CrossEntropyLoss(reduction=reduction)
    there, here = (
        evaluate(network(place), DataLoader(Bytes(place), BATCH), loss) for place in ("cuda", "cpu")
    )
    np.testing.assert_allclose(there, here, rtol=0 if backend.fake else 1e-5)


def test_a_loss_that_is_not_finite_stops_training_after_the_epoch(backend: Backend) -> None:
    net = network("cuda")
    optimizer = optim.SGD(net.parameters(), lr=1e30)
    arguments = loader("cuda"), loader("cuda"), nn.CrossEntropyLoss(), 3, optimizer
    with pytest.raises(FloatingPointError, match="became nan in epoch 1: training stopped"):
        fit(net, *arguments, progress=False)


def test_the_chapters_images_are_gathered_where_they_are_and_stay_bytes(backend: Backend) -> None:
    images = np.random.default_rng(0).integers(0, 256, (N, 28, 28), np.uint8)
    here = FashionMNIST(images, LABELS, train=True, source="made up")
    there = here.to("cuda")
    assert (str(here.device), str(there.device)) == ("cpu", "cuda:0")
    assert there.images.dtype == np.uint8
    for shuffle in (True, False):
        batches = [
            list(DataLoader(data, BATCH, shuffle, generator=Generator(1))) for data in (there, here)
        ]
        for actual, expected in zip(*batches, strict=True):
            assert {str(t.device) for t in actual} == {"cuda:0"}
            for a, b in zip(actual, expected, strict=True):
                backend.assert_same(a, b)


def test_the_chapters_experiment_runs_on_a_device(
    backend: Backend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("matplotlib")
    monkeypatch.setenv("MINIGRAD_OFFLINE", "1")
    sizes = ["--epochs", "1", "--train-size", "600", "--test-size", "300", "--hiddens", "16", "8"]
    curves = []
    for place in ("cuda", "cpu"):
        main([*sizes, "--quiet", "--device", place, "--out", str(tmp_path / place)])
        rows = csv.DictReader((tmp_path / place / "curves.csv").open())
        curves.append([{k: v for k, v in row.items() if k != "seconds"} for row in rows])
    for actual, expected in zip(*curves, strict=True):
        for name in actual.keys() - {"arm"}:
            within = 1e-5 if backend.fake else 0.02
            assert float(actual[name]) == pytest.approx(float(expected[name]), abs=within)


# ------------------------------------------------------------------- without waiting


def test_a_step_neither_waits_nor_copies(backend: Backend) -> None:
    take_step = stepper("cuda")
    with backend.unwaited():
        losses = [take_step() for _ in range(5)]
    assert all(np.isfinite(loss.item()) for loss in losses)


#: what a step with its batch launches, by the ops that it is made of; docs/gpu.md shows it
LAUNCHES = """
batch: gather_rows take
forward: matmul relu_forward keep_mask masked_scale
         matmul relu_forward keep_mask masked_scale
         matmul
loss: cross_entropy_forward
backward: fill cross_entropy_backward
          matmul matmul sum_rows masked_scale relu_backward
          matmul matmul sum_rows masked_scale relu_backward
          matmul sum_rows
update: sgd_step
"""
STEP = 25  # without the batch


def names(launches: list[str]) -> list[str]:
    """Return the names without the types that templates were compiled for."""
    return [name.partition("<")[0] for name in launches]


def test_a_step_launches_what_is_written_here_and_no_more(fake: Backend) -> None:
    take_step = stepper("cuda")
    with fake.unwaited() as counts:
        take_step()
    batch, step = LAUNCHES.split("forward:")
    assert Counter(names(counts.launches)) == Counter(re.sub(r"\w+:", "", step).split())
    assert len(counts.launches) == STEP

    images = np.zeros((N, 28, 28), np.uint8)
    data = FashionMNIST(images, LABELS, train=True, source="made up").to("cuda")
    batches = iter(DataLoader(data, BATCH, shuffle=True))
    next(batches)
    with fake.unwaited() as counts:
        next(batches)
    assert f"batch: {' '.join(names(counts.launches))}" == batch.strip()


def test_the_page_shows_what_a_step_launches() -> None:
    page = (Path(__file__).parents[2] / "docs" / "gpu.md").read_text(encoding="utf-8")
    assert LAUNCHES.strip() in page
    assert f"{STEP} launches" in page


#: what is read in an epoch, however many batches it has: sums, and whether a label was wrong or an
#: index of the batches
READS = {"training": 2 + 2, "accuracy on the training set": 1 + 1, "loss and accuracy": 2 + 2}


def test_an_epoch_copies_the_order_once_and_reads_its_sums_once(fake: Backend) -> None:
    net = network("cuda")
    optimizer = optim.SGD(net.parameters(), lr=0.1)
    data = loader("cuda")
    minigrad.cuda.synchronize()  # reads what is left to be read
    found = []
    for _ in range(2):
        with fake_cupy.counting() as counts:
            fit(net, data, data, nn.CrossEntropyLoss(), 1, optimizer, progress=False)
        found.append(counts)
    assert len(data) == 5
    for counts in found:  # three passes: training, and two evaluations
        assert counts.uploads == [8 * N] * 3
        assert set(counts.downloads) <= {8, 1}  # a sum, or whether a label was wrong
        assert len(counts.downloads) == counts.syncs == sum(READS.values())


def test_an_epoch_of_the_loader_gathers_on_the_device(backend: Backend) -> None:
    data = DataLoader(TensorDataset(*minigrad_tensors("cuda")), BATCH)
    batches = iter(data)
    next(batches)
    with backend.unwaited():
        rest = list(batches)
    assert [len(y) for _, y in rest] == [16, 16, 16, 6]
    here = list(DataLoader(TensorDataset(*minigrad_tensors("cpu")), BATCH))[1:]
    for actual, expected in zip(rest, here, strict=True):
        for a, b in zip(actual, expected, strict=True):
            backend.assert_same(a, b)


def minigrad_tensors(place: str) -> list[Any]:
    return [minigrad.tensor(array, device=place) for array in (IMAGES, LABELS)]


def test_a_data_set_moves_to_a_device(backend: Backend) -> None:
    data = TensorDataset(*minigrad_tensors("cpu"))
    moved = data.to("cuda")
    assert (str(data.device), str(moved.device)) == ("cpu", "cuda:0")
    assert moved[np.array([3])][1].tolist() == [LABELS[3]]


# ------------------------------------------------------------------- interrupted and resumed


def test_a_training_resumed_in_the_middle_of_an_epoch_is_the_uninterrupted_one(
    backend: Backend, tmp_path: Path
) -> None:

    def train(fails_at: int = 0, seed: int = 0, **options: Any) -> Any:
        """Train, or fail in a batch; return what it ends in."""
        with minigrad.fork_rng():
            minigrad.manual_seed(seed)
            masks, shuffling = Generator(2 + seed), Generator(1 + seed)
            net = mlp(20, 3, (16, 8), (0.2, 0.5), generator=masks).to("cuda")
        optimizer = optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
        scheduler = optim.lr_scheduler.StepLR(optimizer, 1, 0.9)
        batches = DataLoader(Bytes("cuda"), BATCH, shuffle=True, generator=shuffling)
        done = []

        def loss(scores: Any, y: Any) -> Any:
            done.extend([None] * minigrad.is_grad_enabled())
            if minigrad.is_grad_enabled() and len(done) == fails_at:
                raise ArithmeticError
            return nn.functional.cross_entropy(scores, y)

        options |= {"scheduler": scheduler}
        history = fit(net, batches, DataLoader(Bytes("cuda"), BATCH), loss, 2, optimizer, **options)
        state = [*net.state_dict(generators=True).values()]
        state += [values["momentum_buffer"] for values in optimizer.state.values()]
        measures = {**history.state_dict(), "seconds": len(history)}
        return [t.cpu().tolist() for t in state], batches.state_dict(), measures

    expected = train()  # on a GPU too: no order is left to chance
    for fails_at, every in (1, 1), (3, 1), (5, 2), (6, None), (9, 3):
        path = tmp_path / f"{fails_at}.safetensors"
        with pytest.raises(ArithmeticError):
            train(fails_at, checkpoint=path, every=every)
        assert train(seed=7, checkpoint=path, resume=True) == expected


# ------------------------------------------------------------------- memory


def test_memory_does_not_grow_over_steps(backend: Backend) -> None:
    take_step = stepper("cuda")
    gc.collect()
    used = []
    for _ in range(100 if backend.fake else 1000):
        take_step()
        used.append((minigrad.cuda.memory_allocated(), minigrad.cuda.memory_reserved()))
    assert len(set(used[1:])) == 1


def test_a_step_leaves_parameters_and_gradients_behind_and_nothing_else(backend: Backend) -> None:
    minigrad.cuda.synchronize()  # lets go of what was left to be asked for later
    before = minigrad.cuda.memory_allocated()
    take_step = stepper("cuda")
    take_step()
    assert minigrad.cuda.memory_allocated() > before
    del take_step
    minigrad.cuda.synchronize()
    assert minigrad.cuda.memory_allocated() == before
