"""Wrong streams: what cannot be repeated, and what is drawn where nothing should be."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

import minigrad as mg
from minigrad import Generator
from minigrad.nn.dropping import checked_probability
from minigrad.random import default_generator, get_rng_state, set_rng_state
from minigrad.testing.frameworks import MINIGRAD
from minigrad.testing.subjects import Subject
from minigrad.testing.zoo.bug import bug, kept_where, otherwise_right, right


@bug("seed", "apache/mxnet#15662, pytorch/pytorch#74177: a generator made once, deaf to new seeds")
def seed_ignored() -> Any:
    cached = Generator(0)

    def dropout(x: Any, p: float) -> Any:
        return x * (mg.rand(x.shape, generator=cached) >= p) / (1 - p)

    return dropout


@bug("seed", "facebookresearch/xformers#173: the address of the seed, not the seed")
def seed_is_an_address() -> Any:
    allocated = itertools.count(0x7F3A_5C00_0000, 512)

    def dropout(x: Any, p: float) -> Any:
        address = Generator(next(allocated))
        return x * (mg.rand(x.shape, generator=address) >= p) / (1 - p)

    return dropout


@bug("state", "cupy/cupy#387: part of the state is out of reach, here the numbers drawn in advance")
def buffer_outside_the_state() -> Any:
    ahead: list[np.ndarray] = []

    def dropout(x: Any, p: float) -> Any:
        while sum(map(len, ahead)) < x.numel():
            ahead.append(default_generator.uniform(4096))
        u, rest = np.split(np.concatenate([np.zeros(0), *ahead]), [x.numel()])
        ahead[:] = [rest]
        return kept_where(u, x, p)

    def seed(number: int) -> None:
        ahead.clear()
        mg.manual_seed(number)

    return Subject(
        "buffer outside the state", otherwise_right(dropout), MINIGRAD,
        seed=seed, state=get_rng_state, set_state=set_rng_state,
    )  # fmt: skip


@bug("quiet", "google/trax#134: needs random numbers to do nothing")
def draws_in_evaluation(x: Any, p: float, training: bool) -> Any:
    p, keep = checked_probability(p), mg.rand(x.shape) >= p
    if not training or p == 0:
        return x
    return x * keep / (1 - p) if p < 1 else x * 0.0


@bug("quiet", "apache/mxnet#16705 and its kin: switching dropout off shifts every later draw")
def draws_at_p_zero(x: Any, p: float, training: bool) -> Any:
    if training and p == 0:
        mg.rand(x.shape)
    return right(x, p, training)
