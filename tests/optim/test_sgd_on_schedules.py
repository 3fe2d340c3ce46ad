"""Fifty steps of SGD, with any settings, on any schedule, are PyTorch's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.failures import compare
from tests.reference import MINIGRAD, PYTORCH, Framework, pytorch, scaled, to_array

STEPS = 50
SHAPES = [(4, 3), (3,), ()]
Schedule = Callable[[Any, Any], Any]  # of a module of schedules and an optimiser


@st.composite
def settings_of_a_group(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a learning rate and all other settings of SGD."""
    momentum = draw(st.sampled_from([0, 0.5, 0.9]))
    nesterov = momentum > 0 and draw(st.booleans())
    return {
        "lr": draw(st.floats(1e-3, 0.02)),
        "momentum": momentum,
        "dampening": 0 if nesterov else draw(st.sampled_from([0, 0.3, 1])),
        "weight_decay": draw(st.sampled_from([0, 0.05])),
        "nesterov": nesterov,
        "maximize": draw(st.booleans()),
    }


@st.composite
def step_lr(draw: st.DrawFn) -> Schedule:
    size, gamma = draw(st.integers(1, 20)), draw(st.floats(0.1, 1))
    return lambda s, o: s.StepLR(o, size, gamma)


@st.composite
def cosine(draw: st.DrawFn) -> Schedule:
    length, floor = draw(st.integers(1, 60)), draw(st.sampled_from([0.0, 1e-4]))
    return lambda s, o: s.CosineAnnealingLR(o, length, floor)


@st.composite
def functions(draw: st.DrawFn) -> Schedule:
    halves = draw(st.lists(st.integers(1, 40), min_size=len(SHAPES), max_size=len(SHAPES)))
    return lambda s, o: s.LambdaLR(o, [lambda n, h=half: 1 / (1 + n / h) for half in halves])


def trained(
    framework: Framework, groups: list[dict[str, Any]], schedule: Schedule, every: int, seed: int
) -> list[np.ndarray]:
    """Return all parameters, each in a group of its own, and the rates, after each step."""
    rng, m = np.random.default_rng(seed), framework.module
    w, b, c = params = [framework.leaf(np.asarray(rng.normal(size=s))) for s in SHAPES]
    optimizer = m.optim.SGD(
        [{"params": [p], **group} for p, group in zip(params, groups, strict=True)], lr=9.0
    )
    scheduler = schedule(m.optim.lr_scheduler, optimizer)
    seen = []
    for step in range(1, STEPS + 1):
        optimizer.zero_grad()
        ((w * b).sin().sum() + b.cos().sum() * 0.3 + (c * b.sum()).cos()).backward()
        optimizer.step()
        if step % every == 0:
            scheduler.step()
        seen += [to_array(p) for p in params]
        seen.append(np.array([group["lr"] for group in optimizer.param_groups]))
    return seen


@settings(deadline=None, max_examples=scaled(40))
@given(
    groups=st.lists(settings_of_a_group(), min_size=len(SHAPES), max_size=len(SHAPES)),
    schedule=st.one_of(step_lr(), cosine(), functions()),
    every=st.sampled_from([1, 1, 3]),
    seed=st.integers(0, 2**32 - 1),
)
def test_fifty_steps_of_three_groups_on_a_schedule_are_pytorchs(
    groups: list[dict[str, Any]], schedule: Schedule, every: int, seed: int
) -> None:
    given = {"groups": groups, "every": every, "seed": seed}
    runs = [trained(f, groups, schedule, every, seed) for f in (MINIGRAD, pytorch())]
    for i, (ours, theirs) in enumerate(zip(*runs, strict=True)):
        step, which = divmod(i, len(SHAPES) + 1)
        what = f"{['w', 'b', 'c', 'the rates'][which]} after step {step + 1}"
        compare(ours, theirs, 1e-7, 1e-7, what, PYTORCH, given, derivative=False)
