"""Schedules beside PyTorch's, for several groups, and continued from a saved state."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

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
@pytest.mark.parametrize("through_a_file", [False, True])
@pytest.mark.parametrize("schedule_first", [False, True])
def test_a_restored_schedule_continues_where_it_stood(
    make: Make, through_a_file: bool, schedule_first: bool, tmp_path: Path
) -> None:
    def carried(state: Any) -> Any:
        if not through_a_file:
            return state
        pytest.importorskip("safetensors")
        mg.save(state, tmp_path / "state")
        return mg.load(tmp_path / "state")

    straight = optimizer(mg)
    expected = rates(make(mg.optim.lr_scheduler, straight), straight, 30)[13:]

    stopped = optimizer(mg)
    schedule = make(mg.optim.lr_scheduler, stopped)
    rates(schedule, stopped, 13)
    resumed = mg.optim.SGD([{"params": [mg.ones(1)]} for _ in RATES], lr=9.0)
    if not schedule_first:
        resumed.load_state_dict(carried(stopped.state_dict()))
    again = make(mg.optim.lr_scheduler, resumed)
    if schedule_first:
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

    with pytest.raises(NotImplementedError, match="Vague must define rate"):
        Vague(optimizer(mg))
