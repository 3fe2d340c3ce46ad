"""Schedules beside PyTorch's: alone, several at once, rates set by hand, and continued."""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad as mg

EPOCHS = 50
RATES = [0.5, 0.01, 3.0]

Make = Callable[[Any, Any], Any]
SCHEDULES: dict[str, Make] = {
    "StepLR": lambda s, o: s.StepLR(o, step_size=7, gamma=0.5),
    "StepLR by default": lambda s, o: s.StepLR(o, 30),
    "StepLR each epoch": lambda s, o: s.StepLR(o, 1, 0.9),
    "StepLR that rises": lambda s, o: s.StepLR(o, 20, 2.0),
    "cosine": lambda s, o: s.CosineAnnealingLR(o, T_max=50),
    "cosine with a floor": lambda s, o: s.CosineAnnealingLR(o, 20, eta_min=0.001),
    "cosine of an odd length": lambda s, o: s.CosineAnnealingLR(o, 13, 0.005),
    "one function": lambda s, o: s.LambdaLR(o, lambda epoch: 0.95**epoch),
    "a function a group": lambda s, o: s.LambdaLR(
        o, [lambda e: 1 / (1 + e), lambda e: 1.0, lambda e: (e % 5) / 5]
    ),
}


def optimizer(m: Any) -> Any:
    return m.optim.SGD([{"params": [m.ones(1)], "lr": rate} for rate in RATES], lr=1.0)


def rates(schedule: Any, optimizer: Any, epochs: int) -> list[list[float]]:
    """Return every group's rate at the start and after each epoch."""
    seen = []
    for _ in range(epochs):
        seen.append([group["lr"] for group in optimizer.param_groups])
        assert schedule.get_last_lr() == seen[-1]
        optimizer.step()
        schedule.step()
    return seen


@pytest.mark.parametrize("make", SCHEDULES.values(), ids=SCHEDULES)
def test_fifty_epochs_of_three_groups_are_pytorchs(make: Make) -> None:
    torch = pytest.importorskip("torch")
    ours, theirs = optimizer(mg), optimizer(torch)
    actual = rates(make(mg.optim.lr_scheduler, ours), ours, EPOCHS)
    expected = rates(make(torch.optim.lr_scheduler, theirs), theirs, EPOCHS)
    for a, b in zip(actual, expected, strict=True):
        assert a == pytest.approx(b, rel=1e-9, abs=1e-12)


def test_the_formulas_at_a_few_epochs() -> None:
    def at(epoch: int, make: Callable[[Any], Any]) -> float:
        one = mg.optim.SGD([mg.ones(1)], lr=2.0)
        schedule = make(one)
        for _ in range(epoch):
            one.step()
            schedule.step()
        return one.param_groups[0]["lr"]

    s = mg.optim.lr_scheduler
    assert [at(e, lambda o: s.StepLR(o, 3)) for e in (0, 2, 3, 5, 6)] == pytest.approx(
        [2, 2, 0.2, 0.2, 0.02]
    )
    half = [at(e, lambda o: s.CosineAnnealingLR(o, 10, 1.0)) for e in (0, 5, 10, 20)]
    assert half == pytest.approx([2, 1.5, 1, 2])
    assert [at(e, lambda o: s.LambdaLR(o, lambda n: n + 1)) for e in (0, 4)] == [2, 10]


@pytest.mark.parametrize("make", SCHEDULES.values(), ids=SCHEDULES)
@pytest.mark.parametrize("through_a_file", [False, True], ids=["in memory", "in a file"])
def test_a_restored_schedule_continues_where_it_stood(
    make: Make, through_a_file: bool, tmp_path: Path
) -> None:
    def carried(state: Any) -> Any:
        if not through_a_file:
            return state
        mg.save(state, tmp_path / "state")
        return mg.load(tmp_path / "state")

    straight = optimizer(mg)
    expected = rates(make(mg.optim.lr_scheduler, straight), straight, 30)[13:]

    stopped = optimizer(mg)
    schedule = make(mg.optim.lr_scheduler, stopped)
    rates(schedule, stopped, 13)
    resumed = mg.optim.SGD([{"params": [mg.ones(1)]} for _ in RATES], lr=9.0)
    again = make(mg.optim.lr_scheduler, resumed)
    resumed.load_state_dict(carried(stopped.state_dict()))
    again.load_state_dict(carried(schedule.state_dict()))
    assert again.last_epoch == 13
    assert rates(again, resumed, 17) == expected


def test_a_schedule_sets_the_rate_that_the_optimiser_steps_with() -> None:
    p = mg.zeros(1, requires_grad=True)
    sgd = mg.optim.SGD([p], lr=1.0)
    schedule = mg.optim.lr_scheduler.StepLR(sgd, 2, 0.1)
    values = []
    for _ in range(5):
        p.grad = -mg.ones(1)
        sgd.step()
        schedule.step()
        values.append(p.item())
    assert values == pytest.approx([1, 2, 2.1, 2.2, 2.21])


@pytest.mark.parametrize("count", [0, 1, 2, 4])
def test_as_many_functions_as_groups_are_required(count: int) -> None:
    with pytest.raises(ValueError, match=f"Expected 3 lr_lambdas, but got {count}"):
        mg.optim.lr_scheduler.LambdaLR(optimizer(mg), [math.sqrt] * count)


def test_a_schedule_without_a_rate_says_which() -> None:
    class Vague(mg.optim.lr_scheduler.LRScheduler):
        pass

    with pytest.raises(NotImplementedError, match="Vague must define get_lr"):
        Vague(optimizer(mg))


# ------------------------------------------------------------------------- several at once


def epochs(
    m: Any, schedules: Callable[[Any, Any], list[Any]], count: int, lr: float
) -> list[float]:
    """Return the rate in each of some epochs; ``m`` is minigrad or PyTorch."""
    sgd = m.optim.SGD([m.ones(1)], lr=lr)
    made, seen = schedules(m.optim.lr_scheduler, sgd), []
    for _ in range(count):
        sgd.step()
        for schedule in made:
            schedule.step()
        seen.append(sgd.param_groups[0]["lr"])
    return seen


def test_two_schedules_of_one_optimiser_act_together() -> None:
    both = epochs(mg, lambda s, o: [s.StepLR(o, 2, 0.1), s.CosineAnnealingLR(o, 10)], 5, 1.0)
    assert both == pytest.approx([0.97553, 0.090451, 0.079389, 0.0065451, 0.005], rel=1e-4)
    both = epochs(mg, lambda s, o: [s.LambdaLR(o, lambda e: 0.5**e), s.StepLR(o, 1, 0.1)], 3, 1.0)
    assert both == pytest.approx([0.05, 0.025, 0.0125])


@pytest.mark.parametrize(
    ("step_size", "gamma", "by_hand", "expected"), [(1, 0.5, 10.0, 5.0), (2, 0.1, 0.5, 0.05)]
)
def test_a_rate_that_is_set_by_hand_stays_in_force(
    step_size: int, gamma: float, by_hand: float, expected: float
) -> None:
    sgd = mg.optim.SGD([mg.ones(1)], lr=1.0)
    schedule = mg.optim.lr_scheduler.StepLR(sgd, step_size, gamma)
    sgd.step()
    schedule.step()
    sgd.param_groups[0]["lr"] = by_hand
    schedule.step()
    assert sgd.param_groups[0]["lr"] == pytest.approx(expected)


SUBJECTS: dict[str, Callable[[Any, Any, int], Any]] = {
    "StepLR": lambda s, o, last: s.StepLR(o, 2, 0.3, last_epoch=last),
    "StepLR each epoch": lambda s, o, last: s.StepLR(o, 1, 1.1, last_epoch=last),
    "cosine": lambda s, o, last: s.CosineAnnealingLR(o, 5, 0.01, last_epoch=last),
    "short cosine": lambda s, o, last: s.CosineAnnealingLR(o, 1, last_epoch=last),
    "one function": lambda s, o, last: s.LambdaLR(o, lambda e: 0.9**e + 0.1, last_epoch=last),
}
steps = st.one_of(
    st.just(("epoch",)),
    st.just(("epoch",)),
    st.tuples(st.just("make"), st.sampled_from(sorted(SUBJECTS)), st.sampled_from([-1, -1, 0, 4])),
    st.tuples(st.just("by hand"), st.integers(0, 1), st.floats(1e-3, 10)),
    st.tuples(st.just("one schedule"), st.integers(0, 3)),
    st.just(("save and load",)),
    st.just(("load the schedules alone",)),
    st.just(("exchange",)),
)


class Run:
    """One optimiser of two groups and its schedules, in minigrad (``m``) or in PyTorch."""

    def __init__(self, m: Any) -> None:
        self.m = m
        self.kinds: list[str] = []
        self.start()

    def start(self) -> None:
        groups = [{"params": [self.m.ones(1)], "lr": lr} for lr in (0.5, 2.0)]
        self.optimizer = self.m.optim.SGD(groups, lr=1.0)
        self.schedules = [self.made(kind, -1) for kind in self.kinds]

    def made(self, kind: str, last: int) -> Any:
        return SUBJECTS[kind](self.m.optim.lr_scheduler, self.optimizer, last)

    def do(self, what: str, *how: Any) -> None:
        if what == "epoch":
            self.optimizer.step()
            for schedule in self.schedules:
                schedule.step()
        elif what == "make":
            kind, last = how
            self.schedules.append(self.made(kind, last if self.schedules else -1))
            self.kinds.append(kind)
        elif what == "by hand":
            self.optimizer.param_groups[how[0]]["lr"] = how[1]
        elif what == "one schedule" and self.schedules:
            self.schedules[how[0] % len(self.schedules)].step()
        elif what != "one schedule":
            saved = self.optimizer.state_dict(), [s.state_dict() for s in self.schedules]
            self.load(saved, with_rates=what == "save and load")

    def load(self, saved: Any, with_rates: bool) -> None:
        self.start()
        if with_rates:
            self.optimizer.load_state_dict(saved[0])
        for schedule, state in zip(self.schedules, saved[1], strict=True):
            schedule.load_state_dict(state)

    def rates(self) -> list[float]:
        lasts = [rate for schedule in self.schedules for rate in schedule.get_last_lr()]
        return [group["lr"] for group in self.optimizer.param_groups] + lasts

    def states(self) -> list[dict[str, Any]]:
        return [
            {k: v for k, v in schedule.state_dict().items() if k == "_step_count" or k[0] != "_"}
            for schedule in self.schedules
        ]


@settings(deadline=None)
@given(program=st.lists(steps, max_size=14))
def test_random_sequences_have_pytorchs_rates_and_states(program: list[tuple[Any, ...]]) -> None:
    torch = pytest.importorskip("torch")
    ours, theirs = Run(mg), Run(torch)
    for what, *how in program:
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            if what == "exchange":
                saved = [(r.optimizer.state_dict(), [s.state_dict() for s in r.schedules])
                         for r in (ours, theirs)]  # fmt: skip
                ours.load(saved[1], with_rates=True)
                theirs.load(saved[0], with_rates=True)
            else:
                ours.do(what, *how)
                own = len(said)
                theirs.do(what, *how)
                if what != "one schedule":
                    assert own == len(said) - own
        assert ours.rates() == pytest.approx(theirs.rates(), rel=1e-9, abs=1e-12)
        assert ours.states() == theirs.states()


# ------------------------------------------------------------------------- what a state holds


def test_a_state_brings_the_settings_under_pytorchs_names() -> None:
    s = mg.optim.lr_scheduler
    source, target = optimizer(mg), optimizer(mg)
    saved = s.StepLR(source, 10, 0.5).state_dict()
    assert {k: v for k, v in saved.items() if not k.startswith("_")} == {
        "step_size": 10, "gamma": 0.5, "last_epoch": 0, "base_lrs": RATES
    }  # fmt: skip
    loaded = s.StepLR(target, 1, 0.1)
    loaded.load_state_dict(saved)
    assert (loaded.step_size, loaded.gamma) == (10, 0.5)
    cosine = s.CosineAnnealingLR(target, 3)
    cosine.load_state_dict(s.CosineAnnealingLR(source, 8, 0.25).state_dict())
    assert (cosine.T_max, cosine.eta_min) == (8, 0.25)


def test_a_callable_object_is_saved_by_its_attributes_and_a_function_is_not() -> None:
    class Decay:
        def __init__(self, factor: float) -> None:
            self.factor = factor

        def __call__(self, epoch: int) -> float:
            return self.factor**epoch

    def make(factor: float) -> Any:
        functions = [Decay(factor), lambda e: 1.0, math.exp]
        return mg.optim.lr_scheduler.LambdaLR(optimizer(mg), functions)

    saved = make(0.5).state_dict()
    assert saved["lr_lambdas"] == [{"factor": 0.5}, None, {}]
    other = make(0.9)
    other.load_state_dict(saved)
    assert other.lr_lambdas[0].factor == 0.5
    with pytest.raises(ValueError, match=r"lr_lambdas\[2\] is \{'a': 1\}"):
        other.load_state_dict({**saved, "lr_lambdas": [{"factor": 0.1}, None, {"a": 1}]})
    assert other.lr_lambdas[0].factor == 0.5


BAD: dict[str, Any] = {
    "no dictionary": [1, 2],
    "step_size is missing": lambda s: {k: v for k, v in s.items() if k != "step_size"},
    "last_epoch is missing": lambda s: {k: v for k, v in s.items() if k != "last_epoch"},
    "another schedule's": lambda s: {**s, "T_max": 5},
    "fewer groups": lambda s: {**s, "base_lrs": [1.0]},
    "more groups": lambda s: {**s, "base_lrs": [1.0] * 4},
    "no list of rates": lambda s: {**s, "base_lrs": 1.0},
    "a rate that is none": lambda s: {**s, "base_lrs": [1.0, "x", 1.0]},
    "a setting out of range": lambda s: {**s, "step_size": 0},
    "a setting of another type": lambda s: {**s, "gamma": "0.1"},
    "an epoch that is none": lambda s: {**s, "last_epoch": 2.5},
    "fewer last rates": lambda s: {**s, "_last_lr": [1.0]},
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_states_that_do_not_fit_are_refused_and_change_nothing(bad: Any) -> None:
    sgd = optimizer(mg)
    schedule = mg.optim.lr_scheduler.StepLR(sgd, 1, 0.1)
    state = mg.optim.lr_scheduler.StepLR(optimizer(mg), 10, 0.5).state_dict()
    before = schedule.state_dict()
    with pytest.raises((TypeError, ValueError), match=r"StepLR|step_size"):
        schedule.load_state_dict(bad(state) if callable(bad) else bad)
    assert schedule.state_dict() == before
    assert [g["lr"] for g in sgd.param_groups] == RATES


def test_numpys_numbers_in_a_state_are_numbers() -> None:
    schedule = mg.optim.lr_scheduler.StepLR(optimizer(mg), 1)
    state = {**schedule.state_dict(), "gamma": np.float32(0.5), "step_size": np.int64(3)}
    schedule.load_state_dict(state)
    assert (schedule.gamma, schedule.step_size) == (0.5, 3)


# ------------------------------------------------------------------------- where it begins


@pytest.mark.parametrize("last", [0, 3, 9])
@pytest.mark.parametrize("kind", SUBJECTS)
def test_last_epoch_continues_an_earlier_run_as_pytorch_does(kind: str, last: int) -> None:
    torch = pytest.importorskip("torch")
    runs = []
    for m in mg, torch:
        group = {"params": [m.ones(1)], "lr": 0.2, "initial_lr": 0.7}
        sgd, seen = m.optim.SGD([group], lr=1.0), []
        schedule = SUBJECTS[kind](m.optim.lr_scheduler, sgd, last)
        for _ in range(12):
            seen.append(sgd.param_groups[0]["lr"])
            sgd.step()
            schedule.step()
        runs.append((seen, schedule.last_epoch, schedule.base_lrs))
    assert runs[0][0] == pytest.approx(runs[1][0], rel=1e-9, abs=1e-12)
    assert runs[0][1:] == runs[1][1:]


def test_an_earlier_run_without_initial_rates_is_refused_as_in_pytorch() -> None:
    message = r"'initial_lr' is not specified in param_groups\[0\]"
    for m in mg, pytest.importorskip("torch"):
        sgd = m.optim.SGD([m.ones(1)], lr=1.0)
        with pytest.raises(KeyError, match=message):
            m.optim.lr_scheduler.StepLR(sgd, 1, last_epoch=3)
        with pytest.raises(TypeError, match="list is not an Optimizer"):
            m.optim.lr_scheduler.StepLR([sgd], 1)


@pytest.mark.parametrize(
    "make", [lambda s, o: s.StepLR(o, 0), lambda s, o: s.CosineAnnealingLR(o, 0)]
)
def test_a_length_of_no_epochs_is_refused(make: Make) -> None:
    with pytest.raises(ValueError, match=r"(step_size|T_max) should be at least 1, got 0"):
        make(mg.optim.lr_scheduler, optimizer(mg))


def test_groups_that_are_added_later_are_scheduled_from_their_own_rate() -> None:
    s, sgd = mg.optim.lr_scheduler, mg.optim.SGD([mg.ones(1)], lr=1.0)
    schedules = [s.LambdaLR(sgd, lambda e: 0.5**e), s.StepLR(sgd, 2, 0.1)]
    sgd.step()
    schedules[0].step()
    schedules[1].step()
    sgd.add_param_group({"params": [mg.ones(1)], "lr": 8.0})
    for schedule in schedules:
        schedule.step()
    assert [g["lr"] for g in sgd.param_groups] == pytest.approx([0.025, 0.2])
    assert [g["initial_lr"] for g in sgd.param_groups] == [1.0, 8.0]
    assert all(schedule.base_lrs == [1.0, 8.0] for schedule in schedules)
    one_each = s.LambdaLR(sgd, [lambda e: 1.0, lambda e: 2.0])
    sgd.step()
    sgd.add_param_group({"params": [mg.ones(1)], "lr": 4.0})
    with pytest.raises(ValueError, match="append theirs to its lr_lambdas"):
        one_each.step()
    assert one_each.last_epoch == 0


@pytest.mark.parametrize("kind", SUBJECTS)
def test_a_state_has_groups_added_just_before_and_stays_as_it_is(kind: str) -> None:
    s, one, more = mg.optim.lr_scheduler, {"params": [mg.ones(1)], "lr": 1.0}, {"lr": 8.0}
    sgd = mg.optim.SGD([{**one}])
    schedule = SUBJECTS[kind](s, sgd, -1)
    sgd.add_param_group({"params": [mg.ones(1)], **more})
    state = schedule.state_dict()
    before = copy.deepcopy(state)
    other = mg.optim.SGD([{**one}, {"params": [mg.ones(1)], **more}])
    twin = SUBJECTS[kind](s, other, -1)
    twin.load_state_dict(state)
    assert twin.get_last_lr() == schedule.get_last_lr()
    for of in schedule, twin:
        of.optimizer.add_param_group({"params": [mg.ones(1)], "lr": 3.0})
        of.optimizer.step()
        of.step()
    assert [g["lr"] for g in other.param_groups] == [g["lr"] for g in sgd.param_groups]
    assert state == before


# ------------------------------------------------------------------------- the order of the steps


def test_a_schedule_that_is_stepped_before_its_optimiser_warns_once() -> None:
    for m in mg, pytest.importorskip("torch"):
        sgd = m.optim.SGD([m.ones(1)], lr=1.0)
        schedule = m.optim.lr_scheduler.StepLR(sgd, 3)
        words = r"`lr_scheduler.step\(\)` before `optimizer.step"
        with pytest.warns(UserWarning, match=words) as said:
            schedule.step()
        assert m is not mg or said[0].filename == __file__
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            schedule.step()


@pytest.mark.filterwarnings("error")
def test_a_schedule_that_was_loaded_does_not_miss_the_steps_of_an_earlier_run() -> None:
    schedules = [
        kind(mg.optim.SGD([mg.ones(1)], lr=1.0), argument)
        for kind, argument in (
            (mg.optim.lr_scheduler.StepLR, 3),
            (mg.optim.lr_scheduler.LambdaLR, lambda epoch: 1.0),
        )
        for _ in range(2)
    ]
    for trained, loaded in zip(schedules[::2], schedules[1::2], strict=True):
        trained.optimizer.step()
        loaded.load_state_dict(trained.state_dict())
        loaded.step()


@pytest.mark.filterwarnings("error")
def test_an_optimiser_of_ones_own_is_seen_to_step() -> None:
    class Own(mg.optim.Optimizer):
        def step(self, closure: Any = None) -> Any:
            return "done"

    class Derived(Own):
        def step(self, closure: Any = None) -> Any:
            return super().step()

    for kind in Own, Derived:
        own = kind([mg.ones(1)], {"lr": 1.0})
        schedule = mg.optim.lr_scheduler.StepLR(own, 1)
        assert own.step() == "done"
        schedule.step()
        assert own.param_groups[0]["lr"] == pytest.approx(0.1)
