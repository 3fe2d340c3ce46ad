"""Masks with the right rate that know of each other, of their own elements, or of the input."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

import minigrad as mg
from minigrad import Generator, nn
from minigrad.random import get_rng_state, set_rng_state
from minigrad.testing.frameworks import MINIGRAD
from minigrad.testing.subjects import Subject
from minigrad.testing.zoo.bug import bug, kept_where, otherwise_right

# ------------------------------------------------------------------------- within a mask


@bug("units", "np.random.rand(1, n) for a batch; clab/dynet#812")
def one_mask_for_all_rows(x: Any, p: float) -> Any:
    return x * (mg.rand(x.shape[-1:]) >= p) / (1 - p)


@bug("units", "dropout of whole rows (cf. pytorch/pytorch#69801), where elements are meant")
def one_draw_per_row(x: Any, p: float) -> Any:
    return x * (mg.rand((*x.shape[:1], *[1] * (x.ndim - 1))) >= p) / (1 - p)


@bug("units", "invented: one draw for every two elements")
def equal_neighbours(x: Any, p: float) -> Any:
    u = mg.rand((x.numel() + 1) // 2, dtype=np.float64).numpy()
    return kept_where(np.repeat(u, 2)[: x.numel()], x, p)


@bug("units", "invented: u and 1 - u, as antithetic variates are drawn")
def opposite_neighbours(x: Any, p: float) -> Any:
    u = mg.rand((x.numel() + 1) // 2, dtype=np.float64).numpy()
    return kept_where(np.stack([u, 1 - u], axis=-1).ravel()[: x.numel()], x, p)


@bug("units", "invented: every tenth element takes over the draw of the one before it")
def weakly_tied_neighbours(x: Any, p: float) -> Any:
    u, tied = mg.rand(2, x.numel(), dtype=np.float64).numpy()
    u[1:] = np.where(tied[1:] < 0.1, u[:-1], u[1:])
    return kept_where(u, x, p)


@bug("counts", "invented: the second half of a batch mirrors the first")
def opposite_halves(x: Any, p: float) -> Any:
    u = mg.rand((x.numel() + 1) // 2, dtype=np.float64).numpy()
    return kept_where(np.concatenate([u, 1 - u])[: x.numel()], x, p)


@bug("units", "pytorch/pytorch#188015: an offset wraps around, and the same numbers come again")
def short_period(x: Any, p: float) -> Any:
    return kept_where(np.resize(mg.rand(2**16, dtype=np.float64).numpy(), x.numel()), x, p)


@bug("blind", "invented, after adaptive dropout: the rate depends on the element, and is p for 1")
def small_elements_first(x: Any, p: float) -> Any:
    size = np.abs(x.array) / (1 + np.abs(x.array))  # ½ for an element of ±1
    rate = p + (1 - 2 * size) * p * (1 - p)
    return kept_where(mg.rand(x.shape, dtype=np.float64).numpy() - rate + p, x, p)


# ------------------------------------------------------------------------- from call to call


@bug("calls", "d2l.ai's JAX tab: a key as default argument; pytorch/pytorch#84614, Paddle#7796")
def same_mask_every_call() -> Any:
    masks: dict[Any, Any] = {}

    def dropout(x: Any, p: float) -> Any:
        keep = masks.setdefault((x.shape, p), mg.rand(x.shape) >= p)
        return x * keep / (1 - p)

    return dropout


@bug("calls", "PaddlePaddle/Paddle#24177: the seed is set again in every forward pass")
def reseeded_in_forward(x: Any, p: float) -> Any:
    always = Generator(mg.initial_seed())
    return x * (mg.rand(x.shape, generator=always) >= p) / (1 - p)


@bug("calls", "invented: a mask serves for two calls, as for the two halves of a batch")
def mask_serves_twice() -> Any:
    calls = itertools.count()
    masks: dict[Any, Any] = {}

    def dropout(x: Any, p: float) -> Any:
        if next(calls) % 2 == 0:
            masks.clear()
        keep = masks.setdefault((x.shape, p), mg.rand(x.shape) >= p)
        return x * keep / (1 - p)

    return dropout


@bug("calls", "invented: every other call takes 1 - u of the call before")
def opposite_calls() -> Any:
    last: dict[Any, np.ndarray] = {}

    def dropout(x: Any, p: float) -> Any:
        u = last.pop(x.shape, None)
        if u is None:
            u = last[x.shape] = mg.rand(x.shape, dtype=np.float64).numpy()
            return kept_where(u, x, p)
        return kept_where(1 - u, x, p)

    return dropout


@bug("calls", "pytorch/pytorch#125224, #50110: the offset moves on by less than was drawn")
def offset_moves_too_little(x: Any, p: float) -> Any:
    seed, stream, offset = get_rng_state()
    y = x * (mg.rand(x.shape) >= p) / (1 - p)
    set_rng_state((seed, stream, offset + 20))
    return y


@bug("calls", "invented: eight masks drawn in advance, and taken in turn")
def masks_from_a_pool() -> Any:
    pools: dict[Any, Any] = {}

    def dropout(x: Any, p: float) -> Any:
        if (x.shape, p) not in pools:
            pools[x.shape, p] = itertools.cycle([mg.rand(x.shape) >= p for _ in range(8)])
        return x * next(pools[x.shape, p]) / (1 - p)

    return dropout


# ------------------------------------------------------------------------- layers and workers


@bug("layers", "d2l.ai's JAX tab at p = .5/.5; layers that are all seeded alike")
class SeededAlike(nn.Module):
    def __init__(self, p: float) -> None:
        super().__init__()
        self.drop = nn.Dropout(p, generator=Generator(mg.initial_seed()))

    def forward(self, x: Any) -> Any:
        return self.drop(x)


def worker(seed: int, stream: int, offset: int) -> Any:
    """Return a dropout that draws from a generator of its own, in this state."""
    generator = Generator(seed)
    generator.set_state((seed, stream, offset))
    return lambda x, p, training: nn.functional.dropout(x, p, training, generator=generator)


@bug("streams", "huggingface/transformers#31412, pytorch/pytorch#5059: workers inherit one seed")
def workers_seeded_alike() -> Any:
    def spawn(n: int) -> Any:
        return [worker(*get_rng_state()) for _ in range(n)]

    return Subject("workers seeded alike", nn.functional.dropout, MINIGRAD, spawn=spawn)


@bug("streams", "AMReX-Codes/amrex#5662: each worker is one step ahead of the one before")
def workers_overlap() -> Any:
    def spawn(n: int) -> Any:
        seed, stream, offset = get_rng_state()
        return [worker(seed, stream, offset + i) for i in range(n)]

    return Subject("workers overlap", nn.functional.dropout, MINIGRAD, spawn=spawn)


# ------------------------------------------------------------------------- seeds


@bug("seeds", "invented, after amrex#5662: the seed is where to begin in the one stream there is")
def seed_is_an_offset() -> Any:
    return Subject(
        "seed is an offset", nn.functional.dropout, MINIGRAD,
        seed=lambda number: set_rng_state((0, 0, number)), state=get_rng_state,
        set_state=set_rng_state,
    )  # fmt: skip


@bug("seeds", "invented: each call seeds anew, with the seed and its own number, added up")
def seed_plus_number_of_calls() -> Any:
    state = {"seed": 0, "calls": 0}

    def dropout(x: Any, p: float) -> Any:
        state["calls"] += 1
        own = Generator(state["seed"] + state["calls"])
        return x * (mg.rand(x.shape, generator=own) >= p) / (1 - p)

    return Subject(
        "seed plus number of calls", otherwise_right(dropout), MINIGRAD,
        seed=lambda number: state.update(seed=number, calls=0), state=state.copy,
        set_state=state.update,
    )  # fmt: skip
