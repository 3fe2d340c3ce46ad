"""The training loop: what it measures, what it leaves as it was, and when it stops."""

from __future__ import annotations

import copy
import itertools
import math
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from examples import d2l
from minigrad import nn, optim
from minigrad.nn import functional as F
from minigrad.training import History, evaluate, evaluate_accuracy, fit
from minigrad.utils.data import DataLoader, TensorDataset

MEASURES = ["train_loss", "train_acc", "train_acc_eval", "test_loss", "test_acc"]


def clouds(n: int = 90, seed: int = 0) -> TensorDataset:
    """Return points around three corners, and which corner: easy, but not separable."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 3
    x = np.eye(3)[y] * 2 + rng.normal(size=(n, 3)) * 0.7
    return TensorDataset(mg.tensor(x, dtype=mg.float32), mg.tensor(y))


@mg.fork_rng()
def network(p: float = 0.0, seed: int = 1) -> nn.Sequential:
    """Return a small net, with dropout that draws from a generator of its own."""
    mg.manual_seed(seed)
    dropout = nn.Dropout(p, generator=mg.Generator(seed))
    return nn.Sequential(nn.Linear(3, 16), nn.ReLU(), dropout, nn.Linear(16, 3))


def shuffled(data: Any, batch_size: int = 16) -> DataLoader:
    return DataLoader(data, batch_size, shuffle=True, generator=mg.Generator(2))


def in_order(data: Any, batch_size: int = 32) -> DataLoader:
    return DataLoader(data, batch_size)


def train(
    net: Any, epochs: int = 3, loss: Any = None, updater: Any = None, **options: Any
) -> History:
    updater = updater or optim.SGD(net.parameters(), lr=0.2)
    loss = loss or nn.CrossEntropyLoss()
    return fit(net, shuffled(clouds()), in_order(clouds(30, 1)), loss, epochs, updater, **options)


def weights(net: nn.Module) -> list[np.ndarray]:
    return [p.detach().numpy().copy() for p in net.parameters()]


def without_time(history: History) -> dict[str, list[float]]:
    return {name: getattr(history, name) for name in MEASURES}


# ------------------------------------------------------------------------- what is measured


def test_training_lowers_the_loss_and_learns_what_can_be_learned() -> None:
    history = train(network(0.2), epochs=15)
    assert history.train_loss[-1] < 0.5 * history.train_loss[0]
    assert history.test_loss[-1] < 0.5 * history.test_loss[0]
    assert min(history.train_acc[-1], history.train_acc_eval[-1], history.test_acc[-1]) > 0.85


@pytest.mark.parametrize("epochs", [0, 1, 3])
def test_every_measure_has_one_entry_for_each_epoch(epochs: int) -> None:
    history = train(network(), epochs)
    assert len(history) == epochs
    assert {len(values) for values in vars(history).values()} == {epochs}
    rows = history.rows()
    assert [row["epoch"] for row in rows] == list(range(1, epochs + 1))
    for name in (*MEASURES, "seconds"):
        assert [row[name] for row in rows] == getattr(history, name)
        assert all(type(row[name]) is float for row in rows)
    assert all(seconds > 0 for seconds in history.seconds)


def test_the_history_holds_what_a_loop_written_out_by_hand_measures() -> None:
    net, twin = network(0.5), network(0.5)
    history = train(net, epochs=2)

    optimizer, loader, data, test = (
        optim.SGD(twin.parameters(), lr=0.2), shuffled(clouds()), clouds().tensors,
        clouds(30, 1).tensors,
    )  # fmt: skip
    for epoch in range(2):
        losses, hits = 0.0, 0
        for x, y in loader:
            scores = twin(x)
            loss = F.cross_entropy(scores, y)
            losses += loss.item() * len(y)
            hits += int((scores.argmax(dim=1) == y).sum())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        twin.eval()
        assert history.train_loss[epoch] == pytest.approx(losses / 90, rel=1e-6)
        assert history.train_acc[epoch] == hits / 90
        of_train, of_test = twin(data[0]), twin(test[0])
        assert history.train_acc_eval[epoch] == (of_train.argmax(dim=1) == data[1]).numpy().mean()
        assert history.test_acc[epoch] == (of_test.argmax(dim=1) == test[1]).numpy().mean()
        expected = F.cross_entropy(of_test, test[1]).item()
        assert history.test_loss[epoch] == pytest.approx(expected, rel=1e-5)
        twin.train()
    for a, b in zip(weights(net), weights(twin), strict=True):
        assert a.tobytes() == b.tobytes()


def test_accuracy_in_training_has_the_noise_on_and_in_evaluation_off() -> None:
    net = network(0.0)
    train(net, epochs=15)
    net[2].p = 0.9
    history = train(net, epochs=1, updater=lambda batch_size: None)
    assert history.train_acc[0] < history.train_acc_eval[0] - 0.1


def test_the_same_seeds_give_the_same_history() -> None:
    assert without_time(train(network(0.5))) == without_time(train(network(0.5)))
    assert without_time(train(network(0.5))) != without_time(train(network(0.5, seed=3)))


@pytest.mark.parametrize("updater", ["optimizer", "function"])
def test_losses_not_reduced_are_reported_as_their_mean(updater: str) -> None:
    nets = [network(0.5) for _ in range(2)]
    histories = []
    for net, reduction in zip(nets, ["mean", "none"], strict=True):
        update = optim.SGD(net.parameters(), lr=0.2)
        if updater == "function":
            update = lambda batch_size: None  # noqa: E731
        loss = nn.CrossEntropyLoss(reduction=reduction)
        histories.append(without_time(train(net, loss=loss, updater=update)))
    for name in MEASURES:
        assert histories[0][name] == pytest.approx(histories[1][name], rel=1e-5)
    for a, b in zip(*map(weights, nets), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def sgd(params: Any, lr: float, batch_size: int) -> None:
    """d2l's own function for minibatch stochastic gradient descent."""
    with mg.no_grad():
        for param in params:
            param -= lr * param.grad / batch_size
            param.grad.zero_()


def test_an_updater_may_be_a_function_of_the_batch_size_as_in_d2l() -> None:
    by_optimizer, by_function = network(0.5), network(0.5)
    sizes: list[int] = []

    def updater(batch_size: int) -> None:
        sizes.append(batch_size)
        sgd(list(by_function.parameters()), 0.2, batch_size)

    loss = nn.CrossEntropyLoss(reduction="none")
    expected = without_time(train(by_optimizer, 2, loss))
    actual = without_time(train(by_function, 2, loss, updater))
    assert sizes == [16, 16, 16, 16, 16, 10] * 2
    for name in MEASURES:
        assert actual[name] == pytest.approx(expected[name], rel=1e-4)
    for a, b in zip(weights(by_optimizer), weights(by_function), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_a_net_may_be_any_function() -> None:
    w = mg.zeros(3, 3, requires_grad=True)
    net = lambda x: x @ w  # noqa: E731
    data = clouds()
    history = fit(net, in_order(data), in_order(data), F.cross_entropy, 5, optim.SGD([w], lr=0.5))
    assert history.train_loss[0] > history.train_loss[-1]
    assert evaluate_accuracy(net, in_order(data)) == history.test_acc[-1] > 0.8


def test_after_each_epoch_a_function_gets_the_history_so_far() -> None:
    seen: list[Any] = []
    history = train(network(), on_epoch=lambda h: seen.append((h, len(h))))
    assert seen == [(history, 1), (history, 2), (history, 3)]


def test_a_file_within_an_epoch_has_the_seconds_so_far(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = itertools.count(10)
    monkeypatch.setattr("time.perf_counter", lambda: next(clock))
    calls: list[int] = []

    def loss(y_hat: Any, y: Any) -> Any:
        calls.append(1)
        if len(calls) > 2:
            raise RuntimeError("the third batch")
        return nn.functional.cross_entropy(y_hat, y)

    with pytest.raises(RuntimeError, match="the third batch"):
        train(network(), loss=loss, checkpoint=tmp_path / "file", every=1)
    assert mg.load(tmp_path / "file")["parts"]["running"]["seconds"] == 2


def test_batches_may_come_from_any_iterable() -> None:
    batches = [(x, y) for x, y in in_order(clouds(), 16)]
    net, twin = network(), network()
    actual = fit(net, batches, batches, F.cross_entropy, 2, optim.SGD(net.parameters(), lr=0.2))
    data = in_order(clouds(), 16)
    expected = fit(twin, data, data, F.cross_entropy, 2, optim.SGD(twin.parameters(), lr=0.2))
    assert without_time(actual) == without_time(expected)


def test_batches_are_moved_to_the_device_that_is_named() -> None:
    assert without_time(train(network(), device="cpu")) == without_time(train(network()))


# ------------------------------------------------------------------------- what is left as it was


@pytest.mark.parametrize("mode", [True, False])
def test_every_modules_own_mode_is_restored(mode: bool) -> None:
    net = network(0.5).train(mode)
    net[2].train(not mode)
    before = [module.training for module in net.modules()]
    train(net, epochs=1)
    evaluate(net, in_order(clouds()), nn.CrossEntropyLoss())
    assert [module.training for module in net.modules()] == before


@pytest.mark.parametrize("during", ["training", "evaluation"])
def test_modes_are_restored_also_after_an_error(during: str) -> None:
    net = network(0.5).eval()
    net[0].train()
    before = [module.training for module in net.modules()]

    def fail(scores: Any, y: Any) -> Any:
        raise KeyError("no such loss")

    calls = {
        "training": lambda: train(net, loss=fail),
        "evaluation": lambda: evaluate(net, in_order(clouds()), fail),
    }
    with pytest.raises(KeyError, match="no such loss"):
        calls[during]()
    assert [module.training for module in net.modules()] == before
    assert mg.is_grad_enabled()


def test_training_trains_in_training_mode_and_evaluates_in_evaluation_mode() -> None:
    modes: list[tuple[bool, bool]] = []

    class Spy(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(3, 3)

        def forward(self, x: mg.Tensor) -> mg.Tensor:
            modes.append((self.training, mg.is_grad_enabled()))
            assert self.fc.training == self.training
            return self.fc(x)

    train(Spy().eval(), epochs=1)
    assert modes == [(True, True)] * 6 + [(False, False)] * (6 + 1)


def test_evaluation_draws_no_random_numbers_and_changes_no_parameter_or_gradient() -> None:
    net = network(0.5)
    net(clouds().tensors[0]).sum().backward()
    before = weights(net), [p.grad.numpy().copy() for p in net.parameters()]
    states = net[2].generator.get_state(), mg.random.get_rng_state()
    loader = in_order(clouds())
    first = evaluate(net, loader, nn.CrossEntropyLoss())
    assert evaluate(net, loader, nn.CrossEntropyLoss()) == first
    assert (net[2].generator.get_state(), mg.random.get_rng_state()) == states
    after = weights(net), [p.grad.numpy().copy() for p in net.parameters()]
    for a, b in zip(before, after, strict=True):
        assert [x.tobytes() for x in a] == [x.tobytes() for x in b]


def test_training_draws_only_one_order_an_epoch_and_one_mask_a_batch() -> None:
    net = network(0.5)
    default, loader = mg.random.get_rng_state(), shuffled(clouds())
    updater = optim.SGD(net.parameters(), lr=0.2)
    fit(net, loader, in_order(clouds(30, 1)), nn.CrossEntropyLoss(), 3, updater)
    orders, masks = mg.Generator(2), mg.Generator(1)
    for _ in range(3):
        mg.randperm(90, generator=orders)
        for size in 16, 16, 16, 16, 16, 10:
            masks.keep_mask((size, 16), 0.5)
    assert loader.generator.get_state() == orders.get_state()
    assert net[2].generator.get_state() == masks.get_state()
    assert mg.random.get_rng_state() == default


def test_evaluating_the_training_set_leaves_nothing_out_and_does_not_shuffle_it() -> None:
    seen: list[int] = []
    data = TensorDataset(mg.arange(10).float().reshape(10, 1), mg.zeros(10, dtype=mg.int64))

    def net(x: mg.Tensor) -> mg.Tensor:
        if not mg.is_grad_enabled():
            seen.extend(int(v) for v in x.numpy().ravel())
        return mg.cat([x, x], 1) * w

    w = mg.ones(2, requires_grad=True)
    loader = DataLoader(data, 4, shuffle=True, drop_last=True, generator=mg.Generator(0))
    updater = optim.SGD([w], lr=0.0)
    fit(net, loader, in_order(data), nn.CrossEntropyLoss(), 1, updater)
    assert seen == [*range(10), *range(10)]


# ------------------------------------------------------------------------- what is left from before


def test_a_gradient_from_before_the_training_does_not_enter_it() -> None:
    net, twin = network(), network()
    nn.CrossEntropyLoss()(net(mg.ones(3, 3)), mg.tensor([0, 1, 2])).backward()
    train(net, epochs=1)
    train(twin, epochs=1)
    for a, b in zip(weights(net), weights(twin), strict=True):
        assert a.tobytes() == b.tobytes()


def test_seconds_count_the_training_pass_and_not_the_evaluations(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [0.0]
    monkeypatch.setattr("minigrad.training.time.perf_counter", lambda: now[0])

    def net(x: mg.Tensor) -> mg.Tensor:
        now[0] += 1.0 if mg.is_grad_enabled() else 1000.0
        return x * w

    w = mg.ones(3, requires_grad=True)
    history = train(net, epochs=2, updater=optim.SGD([w], lr=0.0))
    assert history.seconds == [6.0, 6.0]  # 90 examples in batches of 16


# ------------------------------------------------------------------------- schedules


def test_the_schedule_is_stepped_once_after_each_epoch() -> None:
    net = network()
    optimizer = optim.SGD(net.parameters(), lr=1.0)
    schedule = optim.lr_scheduler.StepLR(optimizer, 2, 0.1)
    rates: list[float] = []

    def loss(scores: mg.Tensor, y: mg.Tensor) -> mg.Tensor:
        if mg.is_grad_enabled():
            rates.append(optimizer.param_groups[0]["lr"])
        return F.cross_entropy(scores, y)

    train(net, 5, loss, optimizer, scheduler=schedule)
    assert rates[::6] == pytest.approx([1, 1, 0.1, 0.1, 0.01])
    assert schedule.last_epoch == 5


# ------------------------------------------------------------------------- when it stops


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("updater", ["optimizer", "function"])
@pytest.mark.parametrize(("batch", "epoch"), [(1, 1), (3, 1), (2, 2)])
@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_a_loss_not_finite_stops_training_before_a_step(
    value: float, updater: str, batch: int, epoch: int, reduction: str
) -> None:
    net = network(0.5)
    seen: list[list[np.ndarray]] = []

    def loss(scores: mg.Tensor, y: mg.Tensor) -> mg.Tensor:
        losses = F.cross_entropy(scores, y, reduction=reduction)
        if mg.is_grad_enabled():
            seen.append(weights(net))
            if len(seen) == (epoch - 1) * 6 + batch:
                return losses * value
        return losses

    update: Any = optim.SGD(net.parameters(), lr=0.2, momentum=0.9)
    if updater == "function":
        update = lambda batch_size: sgd(list(net.parameters()), 0.2, batch_size)  # noqa: E731
    with pytest.raises(FloatingPointError, match=rf"batch {batch} of epoch {epoch}: training stop"):
        train(net, 3, loss, update)
    assert len(seen) == (epoch - 1) * 6 + batch
    for a, b in zip(weights(net), seen[-1], strict=True):
        assert a.tobytes() == b.tobytes()
        assert np.isfinite(a).all()


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_divergence_is_noticed_and_the_message_says_what_to_try() -> None:
    net = network()
    with pytest.raises(FloatingPointError, match=r"became (nan|inf) in.*smaller learning rate"):
        train(net, 50, updater=optim.SGD(net.parameters(), lr=1e30))
    assert all(module.training for module in net.modules())


@pytest.mark.parametrize("empty", [[], in_order(clouds(0))])
def test_no_examples_are_refused_instead_of_divided_by(empty: Any) -> None:
    net = network()
    with pytest.raises(ValueError, match="cannot evaluate on no examples"):
        evaluate(net, empty, nn.CrossEntropyLoss())
    with pytest.raises(ValueError, match="cannot evaluate on no examples"):
        evaluate_accuracy(net, empty)
    with pytest.raises(ValueError, match="cannot train on no examples"):
        fit(net, empty, empty, nn.CrossEntropyLoss(), 1, optim.SGD(net.parameters()))


# ------------------------------------------------------------------------- evaluate


def constant(x: mg.Tensor) -> mg.Tensor:
    """Always say class 1."""
    return mg.tensor([[0.0, 1.0, 0.0]] * len(x))


@pytest.mark.parametrize("batch_size", [1, 7, 90])
def test_evaluate_weighs_every_example_alike_whatever_the_batches(batch_size: int) -> None:
    data = clouds()
    for reduction in "mean", "none":
        result = evaluate(
            constant, in_order(data, batch_size), nn.CrossEntropyLoss(reduction=reduction)
        )
        expected = F.cross_entropy(constant(data.tensors[0]), data.tensors[1]).item()
        assert result == pytest.approx((expected, 1 / 3), rel=1e-6)


def test_evaluate_without_a_loss_gives_nan_and_the_accuracy() -> None:
    loss, accuracy = evaluate(constant, in_order(clouds()))
    assert math.isnan(loss)
    assert accuracy == evaluate_accuracy(constant, in_order(clouds())) == 1 / 3


# ------------------------------------------------------------------------- what is printed


def test_train_ch3_trains_like_fit_and_prints_how_it_ended(
    capsys: pytest.CaptureFixture[str],
) -> None:
    net = network(0.5)
    twin = copy.deepcopy(net)
    args: Callable[[Any], tuple[Any, ...]] = lambda net: (  # noqa: E731
        *(net, shuffled(clouds()), in_order(clouds(30, 1)), nn.CrossEntropyLoss()),
        *(2, optim.SGD(net.parameters(), lr=0.2)),
    )
    history = d2l.train_ch3(*args(net))
    out = capsys.readouterr().out
    assert without_time(history) == without_time(fit(*args(twin)))
    last = history.rows()[-1]
    assert out == (
        f"epoch 2: train loss {last['train_loss']:.3f}, train acc {last['train_acc']:.3f} "
        f"({last['train_acc_eval']:.3f} in eval mode), test acc {last['test_acc']:.3f}\n"
    )


@pytest.mark.parametrize("progress", [None, False])
def test_nothing_is_printed_where_there_is_no_terminal(
    progress: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    train(network(), progress=progress)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("progress", [None, True, False], ids=["if it can", "yes", "no"])
def test_a_terminal_shows_a_bar_unless_none_is_wanted(
    progress: bool | None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("tqdm")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    train(network(), 1, progress=progress, name="my arm")
    assert ("my arm, 1 epochs" in capsys.readouterr().err) is (progress is not False)


def test_progress_shows_a_bar_with_its_name_and_the_last_measures(
    capsys: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip("tqdm")
    history = train(network(), 2, progress=True, name="my arm")
    out, err = capsys.readouterr()
    assert out == ""
    assert "my arm, 2 epochs" in err
    assert f"test acc {history.test_acc[-1]:.3f}" in err
    assert re.search(r"12 batches|12it", err)  # six an epoch


def test_progress_without_tqdm_is_silent_and_trains_the_same(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = without_time(train(network()))
    monkeypatch.setitem(sys.modules, "tqdm", None)
    assert without_time(train(network(), progress=True)) == expected
    assert capsys.readouterr() == ("", "")


def test_a_history_starts_empty_and_is_not_shared() -> None:
    a = History()
    a.train_loss.append(1.0)
    assert len(History()) == 0
    assert History().rows() == []


def batches_that_end() -> Iterator[tuple[mg.Tensor, mg.Tensor]]:
    yield from in_order(clouds())


def test_an_iterator_that_can_be_read_only_once_is_not_taken_for_a_data_set() -> None:
    net = network()
    with pytest.raises(ValueError, match="no examples"):
        fit(
            *(net, batches_that_end(), in_order(clouds()), nn.CrossEntropyLoss(), 1),
            optim.SGD(net.parameters()),
        )
