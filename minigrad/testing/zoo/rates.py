"""Wrong shares: too many are dropped, too few, never the same ones, or always exactly as many."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import minigrad as mg
from minigrad.testing.zoo.bug import bug, kept_where


@bug("rate", "copies of d2l.ai's chapter; ShusenTang/Dive-into-DL-PyTorch#38: drops 57.9 % at 0.2")
def randn_for_rand(x: Any, p: float) -> Any:
    return x * (mg.randn(x.shape) > p) / (1 - p)


@bug("rate", "smolgrad: Bernoulli(½) is compared with p, which drops a half at every p")
def fair_coin_compared_with_p(x: Any, p: float) -> Any:
    return x * (mg.bernoulli(mg.full(x.shape, 0.5)) > p) / (1 - p)


@bug("rate", "google/jax#849, hassony2/kinetics_i3d_pytorch#6; right at p = 0.5 alone")
def p_is_the_probability_to_keep(x: Any, p: float) -> Any:
    return x * (mg.rand(x.shape) < p) / p


@bug("rate", "ooples/AiDotNet.Tensors#732: the kernel that fills the mask never ran")
def mask_never_filled(x: Any, p: float) -> Any:
    return x * mg.zeros(x.shape, dtype=np.bool_) / (1 - p)


@bug("rate", "SKaiNET-developers/SKaiNET#861: a placeholder, tested for its shape alone")
def does_nothing(x: Any, p: float) -> Any:
    return x * 1.0


@bug("rate", "invented")
def two_percent_too_many(x: Any, p: float) -> Any:
    return x * (mg.rand(x.shape) >= 1.02 * p) / (1 - p)


@bug("rate", "invented")
def two_percent_too_few(x: Any, p: float) -> Any:
    return x * (mg.rand(x.shape) >= 0.98 * p) / (1 - p)


@bug("rate", "NVIDIA/apex#1614, NVIDIA/TransformerEngine#2014: random bytes are quick")
def p_rounded_to_8_bits(x: Any, p: float) -> Any:
    return x * (mg.randint(256, x.shape) >= round(256 * p)) / (1 - p)


@bug("positions", "invented: an index that starts at 1")
def first_element_never_dropped(x: Any, p: float) -> Any:
    u = mg.rand(x.numel()).numpy()
    u[:1] = 1.0
    return kept_where(u, x, p)


@bug("positions", "invented: eight lanes at a time, and the rest is forgotten")
def tail_never_dropped(x: Any, p: float) -> Any:
    u = mg.rand(x.numel()).numpy()
    u[x.numel() // 8 * 8 :] = 1.0
    return kept_where(u, x, p)


@bug("positions", "invented: right on average over the elements, for none of them")
def rate_drifts_along_the_input(x: Any, p: float) -> Any:
    drift = np.linspace(-0.5, 0.5, x.numel()) * p * (1 - p)
    return kept_where(mg.rand(x.numel(), dtype=np.float64).numpy() - drift, x, p)


@bug("counts", "invented: a share of exactly p, by a random permutation")
def exact_share(x: Any, p: float) -> Any:
    rank = mg.randperm(x.numel()).reshape(x.shape)
    return x * (rank >= round(p * x.numel())) / (1 - p)


@bug("counts", "invented: a low-discrepancy sequence (Weyl's), which integrates better than chance")
def evenly_spread(x: Any, p: float) -> Any:
    steps = np.arange(x.numel()) * (math.sqrt(5) - 1) / 2
    return kept_where((mg.rand(1).item() + steps) % 1, x, p)
