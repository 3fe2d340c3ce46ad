"""Initial values are the generator's numbers, shifted and stretched as PyTorch would ask for.

So their distribution is that of the generator, which is tested for itself, and the shift and the
scale are compared to the last digits: with what PyTorch's own functions pass on to ``uniform_`` and
``normal_`` for a weight of the same shape. How numbers are distributed is tested besides, on seeds
that nobody has chosen.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtr

import minigrad as mg
from minigrad import nn
from minigrad.testing.statistics import assert_uniform
from tests.reference import scaled, shapes

seeds = st.integers(0, 2**64 - 1)
NONLINEARITIES = ["linear", "sigmoid", "tanh", "relu", "leaky_relu"]
XAVIER = st.fixed_dictionaries({"gain": st.floats(0.1, 10)})
KAIMING = st.fixed_dictionaries(
    {
        "a": st.floats(-3, 3),
        "mode": st.sampled_from(["fan_in", "fan_out"]),
        "nonlinearity": st.sampled_from(NONLINEARITIES),
    }
)
OPTIONS = {
    "xavier_uniform_": XAVIER,
    "xavier_normal_": XAVIER,
    "kaiming_uniform_": KAIMING,
    "kaiming_normal_": KAIMING,
}


def asked_of_pytorch(name: str, shape: tuple[int, ...], options: dict[str, Any]) -> Any:
    """Return which distribution PyTorch's function fills with, and its two parameters."""
    torch = pytest.importorskip("torch")
    asked = []

    class Recorder(torch.Tensor):
        def uniform_(self, *parameters: float, generator: Any = None) -> Any:
            asked.append(("uniform", *parameters))
            return self

        def normal_(self, *parameters: float, generator: Any = None) -> Any:
            asked.append(("normal", *parameters))
            return self

    getattr(torch.nn.init, name)(torch.zeros(shape).as_subclass(Recorder), **options)
    (only,) = asked
    return only


@pytest.mark.parametrize("name", OPTIONS)
@settings(deadline=None, max_examples=scaled(50))
@given(data=st.data(), shape=shapes(min_dims=2, max_dims=4, min_side=1), seed=seeds)
def test_numbers_are_the_generators_scaled_as_pytorch_scales(
    name: str, data: st.DataObject, shape: tuple[int, ...], seed: int
) -> None:
    options = data.draw(OPTIONS[name])
    kind, first, second = asked_of_pytorch(name, shape, options)
    given, same = mg.Generator(seed), mg.Generator(seed)
    t = getattr(nn.init, name)(mg.zeros(shape, dtype=np.float64), **options, generator=given)
    drawn = getattr(same, kind)(math.prod(shape)).reshape(shape)
    scale = second - first if kind == "uniform" else second
    np.testing.assert_allclose(t.numpy(), first + scale * drawn, rtol=1e-13, atol=1e-15)
    assert given.get_state() == same.get_state()


@mg.fork_rng()
@settings(deadline=None, max_examples=scaled(50))
@given(n_in=st.integers(1, 50), n_out=st.integers(1, 50), seed=seeds)
def test_linear_starts_with_the_generators_numbers_scaled_as_pytorch_scales(
    n_in: int, n_out: int, seed: int
) -> None:
    mg.manual_seed(seed)
    layer, same = nn.Linear(n_in, n_out), mg.Generator(seed)
    asked = asked_of_pytorch("kaiming_uniform_", (n_out, n_in), {"a": math.sqrt(5)})
    assert asked == ("uniform", pytest.approx(-1 / math.sqrt(n_in)), pytest.approx(-asked[1]))
    for p in layer.parameters():  # the bias is drawn between the same bounds
        drawn = asked[1] + 2 * asked[2] * same.uniform(p.numel()).reshape(p.shape)
        np.testing.assert_allclose(p.detach().numpy(), drawn, rtol=1e-6, atol=1e-7)


# ------------------------------------------------------------------------- distributions

SHAPE = (200, 500)  # so many that every share is known to 2 %: `uniform_detects`
FILLERS = {
    # name: what is passed besides, and the lower bound and the width, or mean and deviation
    "uniform_": ((-1.0, 3.0), -1.0, 4.0),
    "xavier_uniform_": ((2.0,), -2 * math.sqrt(6 / 700), 4 * math.sqrt(6 / 700)),
    "kaiming_uniform_": ((0.5,), -math.sqrt(6 / 1.25 / 500), 2 * math.sqrt(6 / 1.25 / 500)),
    "normal_": ((5.0, 0.1), 5.0, 0.1),
    "xavier_normal_": ((2.0,), 0.0, 2 * math.sqrt(2 / 700)),
    "kaiming_normal_": ((0.5,), 0.0, math.sqrt(2 / 1.25 / 500)),
}


@pytest.mark.parametrize("name", FILLERS)
def test_numbers_are_distributed_as_they_should(name: str) -> None:
    """False alarms: 1e-9 each. A scale or a deviation off by 8 %, or a mean by 5 % of it, fails."""
    arguments, start, width = FILLERS[name]
    t = getattr(nn.init, name)(mg.zeros(SHAPE, dtype=np.float64), *arguments)
    z = (t.numpy() - start) / width
    assert_uniform(z if "uniform" in name else ndtr(z), what=f"nn.init.{name}")
