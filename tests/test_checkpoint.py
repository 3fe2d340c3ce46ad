"""Checkpoints of a training: it goes on bit for bit from anywhere, or says why it cannot."""

from __future__ import annotations

import inspect
import os
import re
import signal
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad import checkpoint, determinism, nn, optim
from minigrad.checkpoint import Checkpoint
from minigrad.nn import functional as F
from minigrad.training import History, Interrupted, Running, fit
from minigrad.utils.data import DataLoader, TensorDataset
from tests.processes import ROOT, environment

BATCHES, EPOCHS = 5, 3  # of 16 examples, the last of 6


class PowerError(Exception):
    """Something has gone wrong: as if the power had failed."""


class Training:
    """A training with dropout from two generators, momentum, a schedule and shuffling."""

    def __init__(self, seed: int = 0, sampled: bool = False, **loader: Any) -> None:
        rng = np.random.default_rng(0)
        x = mg.tensor(rng.normal(size=(70, 4)), dtype=mg.float32)
        self.data = TensorDataset(x, mg.tensor(rng.integers(0, 3, 70)))
        self.net = network(seed)
        self.optimizer: Any = optim.SGD(self.net.parameters(), lr=0.3, momentum=0.9)
        self.scheduler: Any = optim.lr_scheduler.StepLR(self.optimizer, 1, 0.7)
        shuffling = mg.Generator(seed + 2)
        sampler = {"sampler": Drawn(shuffling)} if sampled else {"shuffle": True}
        options = {"batch_size": 16, "generator": shuffling, **sampler, **loader}
        self.loader: Any = DataLoader(self.data, **options)
        self.fails_at = 0  # which batch, from 1
        self.batches = 0

    def loss(self, scores: Any, y: Any) -> Any:
        if mg.is_grad_enabled():
            self.batches += 1
            if self.batches == self.fails_at:
                raise PowerError
        return F.cross_entropy(scores, y)

    def fit(self, epochs: int = EPOCHS, **options: Any) -> History:
        test = DataLoader(self.data, 32, shuffle=True)  # draws from the default generator
        options = {"scheduler": self.scheduler, **options}
        return fit(self.net, self.loader, test, self.loss, epochs, self.optimizer, **options)

    def end(self, history: History) -> Any:
        """Return all that a training ends in, but for its seconds."""
        state = [
            self.net.state_dict(generators=True) if isinstance(self.net, nn.Module) else {},
            *(self.optimizer.state_dict(), self.loader.state_dict(), mg.random.get_rng_state()),
            self.scheduler.state_dict() if self.scheduler else None,
        ]
        return bits([*state, {**history.state_dict(), "seconds": None}])


class Drawn:
    """A sampler that draws a new order each loop, some examples twice."""

    def __init__(self, generator: mg.Generator) -> None:
        self.generator = generator

    def __iter__(self) -> Iterator[int]:
        return iter(mg.randint(70, (70,), generator=self.generator).tolist())

    def __len__(self) -> int:
        return 70


def network(seed: int = 0, p: float = 0.3, hidden: int = 8) -> nn.Sequential:
    with mg.fork_rng():
        mg.manual_seed(seed)
        dropout = nn.Dropout(p, generator=mg.Generator(seed + 1))
        layers = nn.Linear(4, hidden), nn.ReLU(), dropout, nn.Linear(hidden, 3), nn.Dropout(0.1)
        return nn.Sequential(*layers)


def bits(value: Any) -> Any:
    """Return a state with the bytes of its tensors."""
    if isinstance(value, mg.Tensor):
        return value.shape, value.numpy().tobytes()
    if isinstance(value, dict):
        return {key: bits(part) for key, part in value.items()}
    return list(map(bits, value)) if isinstance(value, list | tuple) else value


@pytest.fixture(scope="module")
def undisturbed() -> Any:
    with mg.fork_rng():
        mg.manual_seed(3)
        training = Training()
        return training.end(training.fit())


def stopped(path: Path, batch: int, every: Any, **options: Any) -> Training:
    """Train, and stop in the middle of a batch."""
    mg.manual_seed(3)
    training = Training(**options)
    training.fails_at = batch
    with pytest.raises(PowerError):
        training.fit(checkpoint=path, every=every)
    return training


def resumed(path: Path, **options: Any) -> Any:
    """Go on in a training that began with other weights and seeds; return what it ends in."""
    mg.manual_seed(99)
    training = Training(seed=50, **options)
    return training.end(training.fit(checkpoint=path, resume=True))


# ------------------------------------------------------------------------- going on


@pytest.mark.parametrize(
    "every", [1, 2, pytest.param(timedelta(microseconds=1), id="always"), None]
)
@mg.fork_rng()
def test_a_training_that_was_stopped_in_any_batch_ends_as_if_it_had_not_been(
    every: Any, tmp_path: Path, undisturbed: Any
) -> None:
    for batch in range(1, BATCHES * EPOCHS + 1):
        path = tmp_path / f"{batch}.safetensors"
        stopped(path, batch, every)
        assert resumed(path) == undisturbed


@mg.fork_rng()
def test_it_may_be_stopped_again_and_again(tmp_path: Path, undisturbed: Any) -> None:
    path = tmp_path / "run.safetensors"
    for attempt in range(7):
        mg.manual_seed(3 if attempt == 0 else 99)
        training = Training(seed=0 if attempt == 0 else 50)
        training.fails_at = 3
        with pytest.raises(PowerError):
            training.fit(checkpoint=path, every=1, resume="auto")
    history = mg.load(path)["parts"]["history"]
    assert len(history["test_acc"]) == 7 * 2 // BATCHES
    assert resumed(path) == undisturbed


@pytest.mark.parametrize("options", [{"sampled": True}, {"shuffle": False}, {"drop_last": True}])
@mg.fork_rng()
def test_any_loader_goes_on_where_it_was(options: dict[str, Any], tmp_path: Path) -> None:
    mg.manual_seed(3)
    training = Training(**options)
    expected = training.end(training.fit())
    for batch in 2, 4, 5, 6, 8:
        path = tmp_path / f"{batch}.safetensors"
        stopped(path, batch, 1, **options)
        mg.manual_seed(99)
        assert resumed(path, **options) == expected


@mg.fork_rng()
def test_one_generator_may_be_shared_by_all_that_draws(tmp_path: Path) -> None:
    def shared(seed: int) -> Training:
        training = Training(seed)
        training.loader.generator = training.net[2].generator
        return training

    mg.manual_seed(3)
    training = shared(0)
    expected = training.end(training.fit())
    mg.manual_seed(3)
    training = shared(0)
    training.fails_at = 8
    with pytest.raises(PowerError):
        training.fit(checkpoint=tmp_path / "run", every=1)
    training = shared(50)
    assert training.end(training.fit(checkpoint=tmp_path / "run", resume=True)) == expected


@mg.fork_rng()
def test_a_training_that_is_finished_is_not_trained_again_but_may_go_on_for_longer(
    tmp_path: Path, undisturbed: Any
) -> None:
    mg.manual_seed(3)
    longer = Training()
    expected = longer.end(longer.fit(EPOCHS + 1))
    mg.manual_seed(3)
    first, path = Training(), tmp_path / "run.safetensors"
    assert first.end(first.fit(checkpoint=path)) == undisturbed
    again = Training(seed=50)
    assert again.end(again.fit(checkpoint=path, resume=True)) == undisturbed
    assert again.batches == 0
    again = Training(seed=50)
    assert again.end(again.fit(EPOCHS + 1, checkpoint=path, resume=True)) == expected
    assert again.batches == BATCHES


@mg.fork_rng()
def test_keeping_a_checkpoint_changes_no_bit(tmp_path: Path, undisturbed: Any) -> None:
    for every in 1, None:
        mg.manual_seed(3)
        training = Training()
        history = training.fit(checkpoint=tmp_path / str(every), every=every)
        assert training.end(history) == undisturbed


@mg.fork_rng()
def test_a_function_goes_on_with_the_parameters_of_its_optimiser(tmp_path: Path) -> None:
    def linear() -> Training:
        training = Training()
        w = mg.zeros(4, 3, requires_grad=True)
        training.net = lambda x: F.dropout(x, 0.2) @ w  # type: ignore[assignment]
        training.optimizer = optim.SGD([w], lr=0.3, momentum=0.9)
        training.scheduler = None
        return training

    mg.manual_seed(3)
    training = linear()
    history = training.fit()
    expected = training.end(history), training.optimizer.param_groups[0]["params"][0].tolist()
    mg.manual_seed(3)
    training = linear()
    training.fails_at = 8
    with pytest.raises(PowerError):
        training.fit(checkpoint=tmp_path / "run", every=1)
    mg.manual_seed(99)
    training = linear()
    history = training.fit(checkpoint=tmp_path / "run", resume=True)
    w = training.optimizer.param_groups[0]["params"][0]
    assert (training.end(history), w.tolist()) == expected


@mg.fork_rng()
def test_the_seconds_of_an_epoch_are_those_before_the_stop_and_after(tmp_path: Path) -> None:
    path = tmp_path / "run"
    stopped(path, 4, 1)
    state = mg.load(path)
    assert state["parts"]["running"]["batches"] == 3
    state["parts"]["running"]["seconds"] = 1000.0
    mg.save(state, path)
    training = Training()
    seconds = training.fit(checkpoint=path, resume=True).seconds
    assert 1000 < seconds[0] < 1100
    assert seconds[1] < 100


@mg.fork_rng()
def test_going_on_warns_of_no_schedule_that_came_too_early(tmp_path: Path) -> None:
    stopped(tmp_path / "run", BATCHES, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        resumed(tmp_path / "run")


# ------------------------------------------------------------------------- when it is written


def places(path: Path, **options: Any) -> list[int]:
    """Train, and return after how many batches what was written."""
    seen: list[int] = []
    submit = checkpoint.save

    def noted(state: Any, where: Any) -> None:
        parts = state["parts"]
        seen.append(len(parts["history"]["seconds"]) * BATCHES + parts["running"]["batches"])
        submit(state, where)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoint, "save", noted)
        Training().fit(checkpoint=path, **options)
    return seen


@pytest.mark.parametrize(
    ("every", "expected"),
    [
        (None, [0, 5, 10, 15]),
        (1, [*range(16), 15]),
        (4, [0, 4, 8, 12, 15]),
        (100, [0, 15]),
        pytest.param(timedelta(hours=1), [0, 15], id="each hour"),
        pytest.param(timedelta(microseconds=1), [*range(16), 15], id="always"),
    ],
)
@mg.fork_rng()
def test_the_file_is_written_at_first_as_often_as_asked_and_in_the_end(
    every: Any, expected: list[int], tmp_path: Path
) -> None:
    assert places(tmp_path / "run", every=every) == expected


@mg.fork_rng()
def test_a_time_is_counted_from_the_last_writing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, after_batch = [0.0], Checkpoint.after_batch

    def a_second_later(self: Checkpoint) -> None:
        now[0] += 1
        after_batch(self)

    monkeypatch.setattr(checkpoint, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(Checkpoint, "after_batch", a_second_later)
    every = timedelta(seconds=4)
    assert places(tmp_path / "run", every=every) == [0, 4, 8, 12, 15]


@pytest.mark.parametrize(
    "every", [1, timedelta(microseconds=1), None], ids=["each batch", "any time", "each epoch"]
)
@mg.fork_rng()
def test_a_rank_that_is_not_to_write_leaves_no_file(every: Any, tmp_path: Path) -> None:
    training = Training()
    parts = {"net": training.net, "updater": training.optimizer, "train_iter": training.loader}
    with Checkpoint(tmp_path / "run", every, parts, writes=False) as kept:
        kept.after_batch()
        kept.after_epoch(last=True)
    assert os.listdir(tmp_path) == []


@mg.fork_rng()
def test_what_is_written_is_not_changed_by_training_that_goes_on_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go, states = threading.Event(), []
    save = checkpoint.save

    def slow(state: Any, path: Any) -> None:
        if state["parts"]["running"]["batches"] == 2:
            go.wait(10)
        states.append(bits(state["parts"]["net"]))
        save(state, path)

    training = Training()
    after_batch = Checkpoint.after_batch

    def noted(self: Checkpoint) -> None:
        if training.batches == 2:
            states.append(bits(training.net.state_dict(generators=True)))
        after_batch(self)
        if training.batches == 3:
            go.set()

    monkeypatch.setattr(checkpoint, "save", slow)
    monkeypatch.setattr(Checkpoint, "after_batch", noted)
    training.fit(1, checkpoint=tmp_path / "run", every=2)
    assert states[1] == states[2] != states[3]


@mg.fork_rng()
def test_a_path_that_cannot_be_written_is_an_error_before_training(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    for path in tmp_path / "file" / "run", tmp_path / "folder", Path("/dev/null"):
        for resume in False, "auto":
            training = Training()
            with pytest.raises(OSError, match=re.escape(str(path))):
                training.fit(checkpoint=path, resume=resume)
            assert training.batches == 0
    assert sorted(os.listdir(tmp_path)) == ["file", "folder"]


@mg.fork_rng()
def test_a_disk_that_becomes_full_ends_the_training_with_its_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, training = tmp_path / "run", Training()
    training.fit(1, checkpoint=path)
    before = path.read_bytes()
    replace = os.replace

    def full(*given: Any) -> None:
        if training.batches >= 3:
            raise OSError("the disk is full")
        replace(*given)

    training = Training()
    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="the disk is full"):
        training.fit(2, checkpoint=path, resume=True, every=3)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["run"]


@pytest.mark.parametrize("failing", [1, 2, 3, 4], ids=lambda n: f"writing {n} of 4 fails")
@mg.fork_rng()
def test_a_file_that_could_not_be_written_once_ends_the_training(
    failing: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[int] = []
    save = checkpoint.save

    def noted(*args: Any) -> None:
        done.append(1)
        if len(done) == failing:
            raise OSError("the disk is full")
        save(*args)

    monkeypatch.setattr(checkpoint, "save", noted)
    with pytest.raises(OSError, match="the disk is full"):
        Training().fit(checkpoint=tmp_path / "run")  # writes at first and after each epoch
    assert len(done) == failing


@mg.fork_rng()
def test_an_error_in_training_is_not_hidden_by_one_in_writing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    training, save = Training(), checkpoint.save
    training.fails_at = 3

    def full(*args: Any) -> None:
        if training.batches:
            raise OSError("the disk is full")
        save(*args)

    monkeypatch.setattr(checkpoint, "save", full)
    with pytest.raises(PowerError):
        training.fit(checkpoint=tmp_path / "run", every=2)


def test_a_path_that_cannot_be_written_leaves_no_thread(tmp_path: Path) -> None:
    parts = {"net": nn.Linear(1, 1), "updater": None, "train_iter": DataLoader([1])}
    kept, before = Checkpoint(tmp_path, None, parts), threading.active_count()
    with pytest.raises(IsADirectoryError), kept:
        pass
    assert threading.active_count() == before


@mg.fork_rng()
def test_two_trainings_in_threads_with_one_file_leave_one_that_is_whole(tmp_path: Path) -> None:
    path, raised = tmp_path / "run", []

    def train() -> None:
        try:
            Training().fit(checkpoint=path, every=1, resume="auto")
        except BaseException as error:
            raised.append(error)

    mg.save({}, path)
    path.unlink()
    threads = [threading.Thread(target=train) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert raised == []
    assert os.listdir(tmp_path) == ["run"]
    assert len(Training().fit(checkpoint=path, resume=True)) == EPOCHS


# ------------------------------------------------------------------------- signals


def signalled(training: Training, batch: int, *numbers: int) -> None:
    """Have a training get signals in a batch."""
    loss = training.loss

    def and_signals(scores: Any, y: Any) -> Any:
        losses = loss(scores, y)
        if training.batches == batch:
            for number in numbers:
                signal.raise_signal(number)
        return losses

    training.loss = and_signals  # type: ignore[method-assign]


@pytest.mark.parametrize("batch", [1, 5, 7, 15])
@mg.fork_rng()
def test_an_interrupt_keeps_the_history_and_writes_the_file_after_the_batch(
    batch: int, tmp_path: Path, undisturbed: Any
) -> None:
    path = tmp_path / "run.safetensors"
    handlers = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
    mg.manual_seed(3)
    training = Training()
    signalled(training, batch, signal.SIGINT)
    with pytest.raises(KeyboardInterrupt, match=f"resume=True goes on with {path}") as raised:
        training.fit(checkpoint=path)
    assert isinstance(raised.value, Interrupted)
    finished = (batch - 1) // BATCHES
    assert len(raised.value.history) == finished
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == handlers
    parts = mg.load(path)["parts"]
    assert parts["running"]["batches"] == batch - finished * BATCHES
    assert resumed(path) == undisturbed


@mg.fork_rng()
def test_without_a_file_an_interrupt_keeps_the_history_too() -> None:
    training = Training()
    signalled(training, 7, signal.SIGINT)
    with pytest.raises(Interrupted, match=r"interrupted in epoch 2$") as raised:
        training.fit()
    assert [len(measure) for measure in vars(raised.value.history).values()] == [1] * 6


@mg.fork_rng()
def test_sigterm_writes_the_file_and_ends_the_process_as_shells_expect(
    tmp_path: Path, undisturbed: Any
) -> None:
    mg.manual_seed(3)
    training, path = Training(), tmp_path / "run"
    signalled(training, 7, signal.SIGTERM)
    with pytest.raises(SystemExit) as raised:
        training.fit(checkpoint=path, every=timedelta(hours=1))
    assert raised.value.code == 128 + signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    assert resumed(path) == undisturbed


@mg.fork_rng()
def test_a_second_signal_does_not_wait(tmp_path: Path) -> None:
    training, path = Training(), tmp_path / "run"
    signalled(training, 7, signal.SIGINT, signal.SIGINT)
    with pytest.raises(Interrupted):
        training.fit(checkpoint=path)
    assert mg.load(path)["parts"]["running"]["batches"] == 0  # as after the first epoch


@mg.fork_rng()
def test_a_handler_of_ones_own_is_called_once_the_file_is_written(
    tmp_path: Path, undisturbed: Any
) -> None:
    path, seen = tmp_path / "run", []
    handler: Callable[..., Any] = lambda number, frame: seen.append(  # noqa: E731
        (number, mg.load(path)["parts"]["running"]["batches"])
    )
    before = signal.signal(signal.SIGTERM, handler)
    try:
        mg.manual_seed(3)
        training = Training()
        signalled(training, 7, signal.SIGTERM)
        assert training.end(training.fit(checkpoint=path)) == undisturbed  # it goes on
        assert signal.getsignal(signal.SIGTERM) is handler
    finally:
        signal.signal(signal.SIGTERM, before)
    assert seen == [(signal.SIGTERM, 2)]


@mg.fork_rng()
def test_signals_are_held_back_again_after_a_handler_that_returns(tmp_path: Path) -> None:
    path, seen = tmp_path / "run", []

    def handler(number: int, frame: Any) -> None:
        seen.append((number, mg.load(path)["parts"]["running"]["batches"]))

    before = {n: signal.signal(n, handler) for n in (signal.SIGHUP, signal.SIGTERM)}
    try:
        training = Training()
        for batch in 2, 4, 8:
            signalled(training, batch, signal.SIGTERM)
        training.fit(checkpoint=path)
    finally:
        for number, was in before.items():
            signal.signal(number, was)
    assert seen == [(signal.SIGTERM, n) for n in (2, 4, 3)]  # each time the file is of just then


@mg.fork_rng()
def test_a_signal_that_is_ignored_stays_ignored(tmp_path: Path) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        training = Training()
        signalled(training, 7, signal.SIGINT)
        assert len(training.fit(checkpoint=tmp_path / "run")) == EPOCHS
    finally:
        signal.signal(signal.SIGINT, before)


# ------------------------------------------------------------------------- what cannot go on


def another(**attributes: Any) -> Callable[[], Training]:
    """Return what makes a training with other parts."""

    def make() -> Training:
        training = Training()
        for name, value in attributes.items():
            setattr(training, name, value(training) if callable(value) else value)
        return training

    return make


def parameters(t: Training) -> Any:
    return t.net.parameters()


MISFITS: dict[str, tuple[Callable[[], Training], str]] = {
    "dropout": (
        another(net=lambda t: network(p=0.5)),
        r"as net it has\n    \(2\): Dropout\(p=0\.3.*\nand this one has\n    .*Dropout\(p=0\.5",
    ),
    "width": (
        another(net=lambda t: network(hidden=9)),
        r"\(0\): Linear\(in_features=4, out_features=8.*\n.*\n.*out_features=9",
    ),
    "no scheduler": (another(scheduler=None), r"as scheduler it has\n    StepLR\n.*\n    none"),
    "another scheduler": (
        another(scheduler=lambda t: optim.lr_scheduler.CosineAnnealingLR(t.optimizer, 3)),
        r"as scheduler it has\n    StepLR\nand this one has\n    CosineAnnealingLR",
    ),
    "another optimiser": (
        another(optimizer=lambda t: Other(t.net.parameters(), {"lr": 1.0})),
        r"as updater it has\n    SGD\nand this one has\n    Other",
    ),
    "groups": (
        another(
            optimizer=lambda t: optim.SGD([{"params": [p]} for p in parameters(t)], lr=0.3),
            scheduler=lambda t: optim.lr_scheduler.StepLR(t.optimizer, 1),
        ),
        r"groups of \[4\] parameters, not \[1, 1, 1, 1\]",
    ),
    "batch size": (lambda: Training(batch_size=8), "batch_size is 16 there, and 8 here"),
    "order": (lambda: Training(shuffle=False), "shuffle is True there, and False here"),
    "last batch": (lambda: Training(drop_last=True), "drop_last is False there, and True here"),
    "generator": (lambda: Training(generator=None), "has none for a generator, and the state one"),
    "less data": (another(loader=lambda t: less(t)), "examples is 70 there, and 60 here"),
}


class Other(optim.Optimizer):
    def step(self, closure: Any = None) -> None: ...


def less(t: Training) -> DataLoader:
    data = TensorDataset(*(tensor[:60] for tensor in t.data.tensors))
    return DataLoader(data, 16, shuffle=True, generator=mg.Generator(2))


@pytest.mark.parametrize("what", MISFITS)
@mg.fork_rng()
def test_a_training_of_something_else_is_refused_and_nothing_is_changed(
    what: str, tmp_path: Path
) -> None:
    path = tmp_path / "run.safetensors"
    stopped(path, 7, 1)
    make, message = MISFITS[what]
    training, before = make(), path.read_bytes()
    state = training.end(History())
    with pytest.raises(ValueError, match=f"(?s)cannot go on with {path}.*{message}"):
        training.fit(checkpoint=path, resume=True)
    assert training.end(History()) == state
    assert (training.batches, path.read_bytes()) == (0, before)


@mg.fork_rng()
def test_resuming_needs_a_file_and_beginning_needs_none(tmp_path: Path) -> None:
    path = tmp_path / "run"
    with pytest.raises(FileNotFoundError, match=rf"no checkpoint {path} .*resume='auto' begins"):
        Training().fit(checkpoint=path, resume=True)
    assert not path.exists()
    Training().fit(1, checkpoint=path, resume="auto")
    before = path.read_bytes()
    with pytest.raises(FileExistsError, match=rf"{path} exists, and would be lost: resume=True"):
        Training().fit(checkpoint=path)
    assert path.read_bytes() == before
    with pytest.raises(ValueError, match=r"resume=True needs a file.*checkpoint="):
        Training().fit(resume=True)
    with pytest.raises(ValueError, match=r"every=3 needs a file.*checkpoint="):
        Training().fit(every=3)


@pytest.mark.parametrize(
    ("every", "error"),
    [
        *((0, ValueError), (-1, ValueError), (timedelta(0), ValueError)),
        *((True, TypeError), (1.5, TypeError), ("1 minute", TypeError)),
    ],
)
def test_how_often_is_a_positive_number_or_time(every: Any, error: Any, tmp_path: Path) -> None:
    with pytest.raises(error, match=re.escape(f"got {every!r}")):
        Training().fit(checkpoint=tmp_path / "run", every=every)
    assert os.listdir(tmp_path) == []


@mg.fork_rng()
def test_fewer_epochs_than_are_over_are_refused(tmp_path: Path) -> None:
    stopped(tmp_path / "run", 7, 1)
    for epochs in 0, 1:
        with pytest.raises(ValueError, match=f"in epoch 2 already.*at least 2, got {epochs}"):
            Training().fit(epochs, checkpoint=tmp_path / "run", resume=True)
    assert len(Training().fit(2, checkpoint=tmp_path / "run", resume=True)) == 2


@mg.fork_rng()
def test_what_has_no_state_to_keep_is_refused_before_training(tmp_path: Path) -> None:
    training = Training()
    training.loader = list(training.loader)
    with pytest.raises(TypeError, match=r"know where they stand: a DataLoader.*got a list"):
        training.fit(checkpoint=tmp_path / "run")
    training = another(net=lambda t: lambda x: x, optimizer=lambda t: lambda n: None)()
    with pytest.raises(TypeError, match=r"needs the parameters.*got the function"):
        training.fit(checkpoint=tmp_path / "run", scheduler=None)
    assert os.listdir(tmp_path) == []


@mg.fork_rng()
def test_a_file_of_something_else_is_refused_with_what_to_do_with_it(tmp_path: Path) -> None:
    path = tmp_path / "weights"
    for value in network().state_dict(), [1, 2], {"what": "else"}:
        mg.save(value, path)
        with pytest.raises(ValueError, match=rf"{path} is no checkpoint.*net\.load_state_dict"):
            Training().fit(checkpoint=path, resume=True)


@pytest.mark.parametrize("shape", [(1, 3), (4, 1), (3, 4), (4, 3, 1)], ids=str)
@mg.fork_rng()
def test_a_function_with_parameters_of_other_shapes_is_refused(
    shape: tuple[int, ...], tmp_path: Path
) -> None:
    def linear() -> tuple[Training, mg.Tensor]:
        training, w = Training(), mg.zeros(4, 3, requires_grad=True)
        training.net = lambda x: x @ w  # type: ignore[assignment]
        training.optimizer, training.scheduler = optim.SGD([w], lr=0.3), None
        return training, w

    path = tmp_path / "run"
    linear()[0].fit(1, checkpoint=path)
    state = mg.load(path)
    state["parts"]["net"] = {"0": mg.ones(shape)}  # some of these could be broadcast
    mg.save(state, path)
    training, w = linear()
    message = re.escape(f"parameters of the shapes [{shape}], and this training [(4, 3)]")
    with pytest.raises(ValueError, match=message):
        training.fit(2, checkpoint=path, resume=True)
    assert not w.detach().numpy().any()


@mg.fork_rng()
def test_a_net_with_more_random_streams_than_the_file_is_refused(tmp_path: Path) -> None:
    def without(training: Training) -> Training:
        training.net[2].generator = None
        return training

    path = tmp_path / "run"
    without(Training()).fit(1, checkpoint=path)
    with pytest.raises(ValueError, match=r"no state for the random stream 2\.generator"):
        Training().fit(checkpoint=path, resume=True)
    path.unlink()
    Training().fit(1, checkpoint=path)
    with pytest.raises(ValueError, match=r"Unexpected key\(s\) in state_dict: .2\.generator"):
        without(Training()).fit(checkpoint=path, resume=True)


@mg.fork_rng()
def test_one_flipped_byte_anywhere_in_a_checkpoint_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "run.safetensors"
    Training().fit(1, checkpoint=path)
    whole = path.read_bytes()
    places = np.unique(np.linspace(0, len(whole) - 1, 400).astype(int))
    for place in [*range(16), *places]:
        spoilt = bytearray(whole)
        spoilt[place] ^= 1 << place % 8
        path.write_bytes(spoilt)
        with pytest.raises(ValueError, match=rf"cannot go on: {path} is not a whole.*remove it"):
            Training().fit(checkpoint=path, resume=True)


# ------------------------------------------------------------------------- what bits depend on


@mg.fork_rng()
def test_a_checkpoint_says_what_its_bits_depend_on_and_going_on_elsewhere_warns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "run"
    Training().fit(1, checkpoint=path)
    found = mg.load(path)["surroundings"]
    assert found == determinism.surroundings()
    assert (found["blas_threads"], found["numerics"]) == (1, mg.__numerics__)
    there = {**found, "blas_threads": 7, "blas_threads_from": "OMP_NUM_THREADS", "minigrad": "0.0"}
    monkeypatch.setattr(checkpoint, "surroundings", lambda: there)
    with pytest.warns(UserWarning, match=r"elsewhere: blas_threads 1 then, 7 now\. ") as warned:
        Training().fit(2, checkpoint=path, resume=True)
    assert [Path(w.filename).name for w in warned] == [Path(__file__).name]


@mg.fork_rng()
def test_going_on_on_another_device_warns_where_fit_is_called(tmp_path: Path) -> None:
    path = tmp_path / "run"
    Training().fit(1, checkpoint=path)
    mg.save({**mg.load(path), "device": "cuda:0"}, path)
    expected = "elsewhere: device 'cuda:0' then, 'cpu' now"
    with pytest.warns(UserWarning, match=expected) as warned:
        Training().fit(2, checkpoint=path, resume=True)
    lines, first = inspect.getsourcelines(Training.fit)
    assert warned[0].filename == __file__
    assert "return fit(" in lines[warned[0].lineno - first]


@pytest.mark.parametrize("threads", [1, 2])
def test_the_threads_that_products_are_divided_among_are_asked_for(threads: int) -> None:
    run = subprocess.run(
        [sys.executable, "-c", "from minigrad.determinism import *; print(blas_threads())"],
        env=environment(OPENBLAS_NUM_THREADS=str(threads)),
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    if "OpenBLAS" in run.stdout or determinism.blas_threads()[1] == "library":
        assert run.stdout == f"({min(threads, len(os.sched_getaffinity(0)))}, 'library')\n"


def test_where_the_library_does_not_tell_its_variable_does_and_else_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(determinism, "_call", lambda names, result: None)
    for name in "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS":
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(determinism, "_blas", lambda: ("scipy-openblas", "0.3"))
    assert determinism.blas_threads() == (None, None)
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert determinism.blas_threads() == (3, "OMP_NUM_THREADS")
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "4")
    assert determinism.blas_threads() == (4, "OPENBLAS_NUM_THREADS")
    assert determinism.surroundings()["blas_kernels"] is None
    monkeypatch.setattr(determinism, "_blas", lambda: ("mkl-sdl", "2024"))
    assert determinism.blas_threads() == (3, "OMP_NUM_THREADS")
    monkeypatch.setattr(determinism, "_blas", lambda: ("unknown", ""))
    assert determinism.blas_threads() == (None, None)


# ------------------------------------------------------------------------- killed


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs processes that fork")
@pytest.mark.parametrize("device", [[], ["--fake-device"]], ids=["on the host", "on a fake device"])
def test_trainings_killed_at_random_moments_end_in_the_undisturbed_bits(
    device: list[str], request: pytest.FixtureRequest
) -> None:
    kills, seed = ["--kills", "10" if device else "20"], str(request.config.option.seed)
    run = subprocess.run(
        [sys.executable, "-m", "tests.kill_training", *kills, "--seed", seed, *device],
        cwd=ROOT, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout.startswith(f"{kills[1]} kills of ")


# ------------------------------------------------------------------------- states by themselves


def test_the_state_of_a_history_is_a_copy_and_what_is_none_is_refused() -> None:
    history, other = History(), History()
    measures = {name: float(i) for i, name in enumerate(vars(history))}
    history.add(**measures)
    state = history.state_dict()
    history.add(**measures)
    other.load_state_dict(state)
    assert len(other) == 1
    state["test_acc"].append(1.0)
    assert other.rows() == [{"epoch": 1, **measures}]
    for wrong in {}, {**state}, {**history.state_dict(), "more": [1.0, 2.0]}:
        with pytest.raises(ValueError, match="not the state of a History: expected train_loss"):
            other.load_state_dict(wrong)
        assert other.rows() == [{"epoch": 1, **measures}]


def test_running_means_are_those_of_all_examples() -> None:
    running = Running()
    for loss, correct, examples in (6.0, 1, 3), (1.0, 2, 2):
        running.add(loss, correct, examples)
    other = Running()
    other.load_state_dict(running.state_dict())
    assert other.means("train") == (7 / 5, 3 / 5)
    running.clear()
    assert running == Running()
    with pytest.raises(ValueError, match="cannot train on no examples"):
        running.means("train")


@pytest.mark.parametrize("resume", ["no", 0, 1, None])
def test_a_resume_that_says_neither_yes_nor_no_is_refused(resume: Any, tmp_path: Path) -> None:
    path = tmp_path / "run.safetensors"
    with pytest.raises(ValueError, match=r"True, False or 'auto', got"):
        Checkpoint(
            path, None, {"net": nn.Linear(1, 1), "updater": None, "train_iter": DataLoader([1])}
        ).resume(resume)


def test_a_parameter_that_only_the_optimiser_has_goes_on_too(tmp_path: Path) -> None:
    def ends(*epochs: int, path: Path) -> Any:
        for until in epochs:
            with mg.fork_rng():
                mg.manual_seed(3)
                training = Training()
                scale = nn.Parameter(mg.tensor(1.0))
                training.optimizer.add_param_group({"params": [scale]})
                training.loss = lambda scores, y, s=scale: F.cross_entropy(scores * s, y)
                training.scheduler = None
                history = training.fit(until, checkpoint=path, resume="auto")
        return training.end(history), scale.item()

    whole = ends(2, path=tmp_path / "whole.safetensors")
    assert ends(1, 2, path=tmp_path / "parts.safetensors") == whole
    assert whole[1] != 1


class LazyTraining(Training):
    """A training of layers that learn the size of their inputs from the first batch."""

    def __init__(self, seed: int = 0, hidden: int = 8, called: bool = False) -> None:
        super().__init__(seed)
        dropout = nn.Dropout(0.3, generator=mg.Generator(seed + 1))
        self.net = nn.Sequential(nn.LazyLinear(hidden), nn.ReLU(), dropout, nn.LazyLinear(3))
        if called:
            self.net(mg.ones(1, 4))
        self.optimizer = optim.SGD(self.net.parameters(), lr=0.3, momentum=0.9)
        self.scheduler = None


@pytest.mark.parametrize("batch", [1, 2, 7])
@pytest.mark.parametrize("called", [False, True])
@mg.fork_rng()
def test_lazy_layers_are_resumed_before_and_after_their_first_call(
    batch: int, called: bool, tmp_path: Path
) -> None:
    mg.manual_seed(3)
    training = LazyTraining()
    expected = training.end(training.fit())
    mg.manual_seed(3)
    training = LazyTraining()
    training.fails_at = batch
    with pytest.raises(PowerError):
        training.fit(checkpoint=tmp_path / "run", every=1)
    mg.manual_seed(99)
    again = LazyTraining(seed=50, called=called)
    if called and batch == 1:  # the file is of layers without weights
        with pytest.raises(ValueError, match=r"as net it has\s+\(0\): LazyLinear\(in_features=0"):
            again.fit(checkpoint=tmp_path / "run", resume=True)
    else:
        assert again.end(again.fit(checkpoint=tmp_path / "run", resume=True)) == expected


@mg.fork_rng()
def test_lazy_layers_that_do_not_fit_the_file_are_refused_and_stay_lazy(tmp_path: Path) -> None:
    training = LazyTraining()
    training.fit(1, checkpoint=tmp_path / "run")
    other = LazyTraining(hidden=9)
    with pytest.raises(ValueError, match=r"out_features=8.*\s+and this one has\s+.*features=9"):
        other.fit(2, checkpoint=tmp_path / "run", resume=True)
    other.net[3] = nn.LazyLinear(4)
    other.net[0] = nn.LazyLinear(8)
    with pytest.raises(
        ValueError, match=r"3\): Linear.*_features=3,.*\s+and .*\s+\(3\): Lazy.*s=4,"
    ):
        other.fit(2, checkpoint=tmp_path / "run", resume=True)
    groups = LazyTraining()
    weights = [{"params": [p]} for p in groups.net.parameters()]
    groups.optimizer = optim.SGD(weights, lr=0.3, momentum=0.9)
    before = groups.end(History())
    with pytest.raises(ValueError, match="group"):
        groups.fit(2, checkpoint=tmp_path / "run", resume=True)
    assert groups.end(History()) == before
    assert [p.numel() for p in groups.net.parameters()] == [0] * 4
    assert groups.net(mg.ones(2, 5)).shape == (2, 3)


def test_a_net_of_another_dtype_is_another_training(tmp_path: Path) -> None:
    def kept(net: nn.Module) -> Checkpoint:
        parts = {"net": net, "updater": None, "train_iter": DataLoader([1])}
        return Checkpoint(tmp_path / "run.safetensors", None, parts)

    with kept(nn.Linear(4, 2).double()):
        pass
    with pytest.raises(ValueError, match=r"float64\nand this one has\n *float32"):
        kept(nn.Linear(4, 2)).resume(True)
