"""What the laws found in libraries in use, each fault in a few lines of minigrad's."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

import minigrad as mg
from minigrad import Generator, nn
from minigrad.nn.dropping import checked_probability
from minigrad.random import get_rng_state
from minigrad.testing.frameworks import MINIGRAD
from minigrad.testing.subjects import Subject
from minigrad.testing.zoo.bug import bug, kept_where, otherwise_right, right
from minigrad.testing.zoo.gradients import dropped


@bug("rate", "TensorFlow 2.21: the uniform numbers are drawn in the dtype of x, here float16")
def uniforms_in_the_dtype_of_x(x: Any, p: float) -> Any:
    u = mg.rand(x.shape, dtype=np.float64).numpy()
    return kept_where(np.floor(u * 1024) / 1024 if x.dtype == np.float16 else u, x, p)


@bug("backward_again", "MXNet 1.9: with retain_graph, a second backward has lost the mask")
def second_backward_forgets_the_mask(x: Any, p: float) -> Any:
    asked = itertools.count()

    def derivative(g: Any, keep: Any, p: float) -> Any:
        return g * (keep if next(asked) == 0 else 1.0) / (1 - p)

    return dropped(x, mg.rand(x.shape) >= p, p, derivative)


@bug("seed_steps", "Keras 3.15 on PyTorch: mask k + 1 of seed s is mask k of seed s + 1")
def a_step_behind_the_next_seed() -> Any:
    state = {"seed": 0, "calls": 0}

    def dropout(x: Any, p: float) -> Any:
        state["calls"] += 1
        own = Generator(state["seed"] + state["calls"])
        return x * (mg.rand(x.shape, generator=own) >= p) / (1 - p)

    return Subject(
        "a step behind the next seed", otherwise_right(dropout), MINIGRAD,
        seed=lambda number: state.update(seed=number, calls=0), state=state.copy,
        set_state=state.update,
    )  # fmt: skip


@bug("ranks", "invented, after Keras 3.15: each rank is given the seed plus its number")
def a_rank_repeats_the_next_a_step_later() -> Any:
    def member(seed: int, rank: int) -> Any:
        steps = itertools.count(rank)

        def dropout(x: Any, p: float, training: bool) -> Any:
            own = Generator(seed + next(steps))
            return nn.functional.dropout(x, p, training, generator=own)

        return dropout

    def spawn(n: int) -> Any:
        return [member(get_rng_state()[0], rank) for rank in range(n)]

    name = "a rank repeats the next a step later"
    return Subject(name, nn.functional.dropout, MINIGRAD, spawn=spawn)


@bug("p_one", "Equinox 0.13: zeros in forward, but 0/0 in the gradient")
def nan_gradient_at_p_one(x: Any, p: float, training: bool) -> Any:
    p = checked_probability(p)
    if not training or p < 1:
        return right(x, p, training)
    return dropped(x, mg.zeros(x.shape, dtype=np.bool_), 0.0, lambda g: g * np.nan)


@bug("blocks", "invented: Dropout2d that draws for each element, as Dropout does")
def channels_torn_apart() -> Any:
    units = ("N", "C", 1, 1)
    return Subject("channels torn apart", nn.functional.dropout, MINIGRAD, units=units)
