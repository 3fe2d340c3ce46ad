"""Classic dropout, which scales in testing, and inverted dropout, which scales in training.

Classic dropout trains on m h and tests with qW (Hinton et al., 2012); inverted dropout trains on
m h/q and tests with W (Srivastava et al., 2014, section 10). They are one method in two units:

    W of inverted dropout = q times W of classic dropout

makes both compute the same function, in training (with the same masks) and in testing. In the unit
that is q times as large, gradients are 1/q times as large; so a step of gradient descent leaves the
weights equal, unit for unit, if the learning rate is q² lr and the weight decay λ/q². Momentum is a
sum of gradients and grows with them: μ stays, and so do dampening and Nesterov's form. All this is
about the weights that a dropout feeds; biases and other layers stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad as mg
from minigrad import nn, ops, optim
from minigrad.nn import functional as F
from tests.identities.enumeration import assert_gap, assert_identity, linear, probabilities
from tests.reference import scaled

OPTIONS: list[dict[str, Any]] = [
    {},
    {"momentum": 0.9},
    {"momentum": 0.9, "dampening": 0.3},
    {"momentum": 0.9, "nesterov": True},
]


class ClassicDropout(nn.Module):
    """Drop in training, and do not rescale; multiply by q in evaluation."""

    def __init__(self, p: float, *, generator: mg.Generator) -> None:
        super().__init__()
        self.p, self.generator = p, generator

    def forward(self, x: Any) -> Any:
        if self.training:
            return ops.masked_scale(x, self.generator.keep_mask(x.shape, self.p), 1.0)
        return (1 - self.p) * x


def network(dropout: Any, rates: tuple[float, float], activation: Any) -> nn.Sequential:
    """Return three layers, always of the same weights, with dropout between them."""
    rng = np.random.default_rng(0)
    first, second, third = (
        linear(rng.normal(size=(outputs, inputs)), rng.normal(size=outputs))
        for outputs, inputs in [(5, 4), (5, 5), (3, 5)]
    )
    drops = [dropout(p, generator=mg.Generator(seed)) for seed, p in enumerate(rates)]
    return nn.Sequential(first, activation, drops[0], second, activation, drops[1], third)


def trained(
    net: nn.Sequential, units: dict[str, float], lr: float, weight_decay: float, **options: Any
) -> Iterator[dict[str, np.ndarray]]:
    """Train for 50 steps, and say after each what the network is, in the units of classic dropout.

    ``units`` has the unit of each parameter; the weights are converted to it at the start, and
    ``lr`` and ``weight_decay`` are in classic units, too.
    """
    parameters = [(p, units.get(name, 1.0), name) for name, p in net.named_parameters()]
    with mg.no_grad():
        for p, unit, _ in parameters:
            p.mul_(unit)
    optimizer = optim.SGD(
        [
            {"params": p, "lr": unit**2 * lr, "weight_decay": weight_decay / unit**2}
            for p, unit, _ in parameters
        ],
        **options,
    )
    rng = np.random.default_rng(1)
    for _ in range(50):
        x, labels = mg.from_numpy(rng.normal(size=(8, 4))), mg.from_numpy(rng.integers(3, size=8))
        optimizer.zero_grad()
        F.cross_entropy(net.train()(x), labels).backward()
        optimizer.step()
        state = {name: p.detach().numpy() / unit for p, unit, name in parameters}
        yield state | {"output in evaluation": net.eval()(x).detach().numpy()}


def both(
    rates: tuple[float, float], activation: Any, *rate_and_decay: float, **options: Any
) -> Any:
    """Return step by step what classic and inverted dropout have trained."""
    units = {"3.weight": 1 - rates[0], "6.weight": 1 - rates[1]}  # what the two dropouts feed
    classic = trained(network(ClassicDropout, rates, activation), {}, *rate_and_decay, **options)
    inverted = trained(network(nn.Dropout, rates, activation), units, *rate_and_decay, **options)
    return zip(classic, inverted, strict=True)


@settings(max_examples=scaled(25))  # each trains two networks
@given(
    st.tuples(probabilities, probabilities),
    st.floats(1e-3, 0.1),
    st.floats(0, 0.1),
    st.sampled_from(OPTIONS),
)
def test_i8_classic_and_inverted_dropout_take_the_same_way(rates, lr, weight_decay, options):
    """W = q W at every step, with q² lr and λ/q²; and the same outputs in evaluation.

    With V = qW the networks agree: V (m h/q) = W (m h). So ∂L/∂V = (1/q) ∂L/∂W, and
    V - q² lr (1/q) ∂L/∂W = q (W - lr ∂L/∂W). Decay adds λW to ∂L/∂W and (λ/q²) V = λW/q to ∂L/∂V:
    the factor 1/q again. A momentum buffer is linear in the gradients, and has the factor as well.
    """
    for classic, inverted in both(rates, nn.Tanh(), lr, weight_decay, **options):
        for name, value in classic.items():
            assert_identity("I8", inverted[name], value)


@pytest.mark.parametrize("options", OPTIONS)
def test_i8_where_q_is_a_power_of_two_they_agree_exactly(options):
    """q = 1/2 and 1/4 change exponents and no digit: 50 steps, ReLU and all, without a rounding."""
    for classic, inverted in both((0.5, 0.75), nn.ReLU(), 0.1, 0.01, **options):
        for name, value in classic.items():
            assert_identity("I8", inverted[name], value, tolerance=0)


def test_i8_at_the_same_learning_rate_inverted_steps_are_larger_by_1_over_q2():
    """f = w x', x = 1, L = f², p = 1/2, unit kept, lr 0.1: from 1 to 0.8 (classic, f = w).

    Inverted: f = 2w, from 1/2 with the gradient 8w = 4 to 0.1, where half of 0.8 was due; lr/4
    takes it there. Who compares the two methods at one learning rate compares learning rates.
    """
    x, kept = mg.ones(1).double(), np.array([True])

    def step(w: float, lr: float) -> Any:
        weight = mg.tensor([w], dtype=np.float64, requires_grad=True)
        ((weight * F.dropout(x, 0.5, mask=kept)) ** 2).sum().backward()
        optim.SGD([weight], lr=lr).step()
        return weight

    assert_identity("I8", step(0.5, lr=0.1 / 4), [0.4])
    assert_gap("I8: one step at the same learning rate", step(0.5, lr=0.1), [0.4], least=0.2999)
