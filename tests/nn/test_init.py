"""Initial values: bounds, distributions, fans and gains.

Distributions are tested by Kolmogorov and Smirnov's test at α = 1e-4 on fixed seeds. With the
40,000 numbers drawn here, a scale or a mean that is 3 % of the deviation off would fail.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from scipy.stats import kstest

import minigrad as mg
from minigrad.nn import init

SHAPES = [(200, 200), (100, 400), (400, 100), (50, 32, 5, 5), (16, 50, 50)]
GAINS = [("linear", None), ("sigmoid", None), ("tanh", None), ("relu", None)]
GAINS += [("leaky_relu", a) for a in (None, 0, 0.01, 0.2, math.sqrt(5), -0.5)]

FILLS: dict[str, Callable[..., mg.Tensor]] = {
    name: getattr(init, name)
    for name in (
        *("uniform_", "normal_", "xavier_uniform_", "xavier_normal_"),
        *("kaiming_uniform_", "kaiming_normal_"),
    )
}


def is_uniform(t: mg.Tensor, low: float, high: float) -> bool:
    values = t.detach().numpy().ravel()
    inside = values.min() >= np.float32(low) and values.max() <= np.float32(high)
    return inside and kstest(values, "uniform", args=(low, high - low)).pvalue > 1e-4


def is_normal(t: mg.Tensor, mean: float, std: float) -> bool:
    return bool(kstest((t.detach().numpy().ravel() - mean) / std, "norm").pvalue > 1e-4)


def fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """Return how many numbers each output sums, and how many outputs each input goes into."""
    return math.prod(shape[1:]), shape[0] * math.prod(shape[2:])


@pytest.fixture(autouse=True)
def _fixed_seed() -> Iterator[None]:
    with mg.fork_rng():
        mg.manual_seed(0)
        yield


# ------------------------------------------------------------------------- distributions


@pytest.mark.parametrize(("a", "b"), [(0, 1), (-3, -1), (-0.25, 0.75)])
def test_uniform_fills_the_interval_evenly(a: float, b: float) -> None:
    assert is_uniform(init.uniform_(mg.zeros(40_000), a, b), a, b)
    assert is_uniform(init.uniform_(mg.zeros(40_000)), 0, 1)


@pytest.mark.parametrize(("mean", "std"), [(0, 1), (-2, 0.01), (5, 3)])
def test_normal_has_the_mean_and_deviation_asked_for(mean: float, std: float) -> None:
    assert is_normal(init.normal_(mg.zeros(40_000), mean, std), mean, std)
    assert is_normal(init.normal_(mg.zeros(40_000)), 0, 1)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("gain", [1.0, 5 / 3])
def test_xavier_scales_by_the_sum_of_both_fans(shape: Any, gain: float) -> None:
    std = gain * math.sqrt(2 / sum(fans(shape)))
    bound = math.sqrt(3) * std
    assert is_uniform(init.xavier_uniform_(mg.zeros(shape), gain), -bound, bound)
    assert is_normal(init.xavier_normal_(mg.zeros(shape), gain), 0, std)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("mode", ["fan_in", "fan_out"])
@pytest.mark.parametrize(("nonlinearity", "a"), [("leaky_relu", 0), ("leaky_relu", 2), ("tanh", 0)])
def test_kaiming_scales_by_one_fan_and_the_gain(
    shape: Any, mode: str, nonlinearity: str, a: float
) -> None:
    gain = {"leaky_relu": math.sqrt(2 / (1 + a * a)), "tanh": 5 / 3}[nonlinearity]
    std = gain / math.sqrt(fans(shape)[mode == "fan_out"])
    bound = math.sqrt(3) * std
    options = {"a": a, "mode": mode, "nonlinearity": nonlinearity}
    assert is_uniform(init.kaiming_uniform_(mg.zeros(shape), **options), -bound, bound)
    assert is_normal(init.kaiming_normal_(mg.zeros(shape), **options), 0, std)


def test_kaiming_is_by_default_for_relu_and_fan_in() -> None:
    bound = math.sqrt(6 / 100)
    assert is_uniform(init.kaiming_uniform_(mg.zeros(400, 100)), -bound, bound)
    assert is_normal(init.kaiming_normal_(mg.zeros(400, 100)), 0, math.sqrt(2 / 100))


@pytest.mark.parametrize("shape", SHAPES)
def test_fans_are_those_that_pytorch_computes(shape: Any) -> None:
    torch = pytest.importorskip("torch")
    assert fans(shape) == torch.nn.init._calculate_fan_in_and_fan_out(torch.zeros(shape))


def test_constants_fill() -> None:
    t = mg.ones(2, 3)
    assert init.constant_(t, 0.5).tolist() == [[0.5] * 3] * 2
    assert init.zeros_(t).tolist() == [[0.0] * 3] * 2
    assert init.ones_(t).tolist() == [[1.0] * 3] * 2


# ------------------------------------------------------------------------- gains


@pytest.mark.parametrize(("nonlinearity", "param"), GAINS)
def test_gains_are_pytorchs(nonlinearity: str, param: Any) -> None:
    torch = pytest.importorskip("torch")
    ours = init.calculate_gain(nonlinearity, param)
    assert ours == pytest.approx(torch.nn.init.calculate_gain(nonlinearity, param), rel=1e-15)


def test_an_unknown_nonlinearity_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"'swish': expected one of linear,.*relu, leaky_relu"):
        init.calculate_gain("swish")
    with pytest.raises(ValueError, match="'swish'"):
        init.kaiming_normal_(mg.zeros(2, 2), nonlinearity="swish")


# ------------------------------------------------------------------------- what all fillers do


@pytest.mark.parametrize("name", FILLS)
def test_the_tensor_itself_is_filled_and_returned_even_if_it_is_a_leaf(name: str) -> None:
    t = mg.zeros(4, 5, requires_grad=True)
    data, version = t.array, t._version
    assert FILLS[name](t) is t
    assert t.array is data
    assert t._version == version + 1
    assert t.is_leaf
    assert t.requires_grad
    assert np.unique(data).size == 20


@pytest.mark.parametrize("name", ["constant_", "zeros_", "ones_"])
def test_constants_are_written_into_leaves_too(name: str) -> None:
    t = mg.full((2, 2), 7.0, requires_grad=True)
    assert getattr(init, name)(t, *([3.0] if name == "constant_" else [])) is t
    assert t.is_leaf
    assert t._version == 1


@pytest.mark.parametrize("name", FILLS)
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_the_dtype_stays_and_the_numbers_differ_by_rounding_only(name: str, dtype: Any) -> None:
    wide = FILLS[name](mg.zeros(4, 5, dtype=np.float64), generator=mg.Generator(1))
    t = FILLS[name](mg.zeros(4, 5, dtype=dtype), generator=mg.Generator(1))
    assert t.dtype == dtype
    np.testing.assert_array_equal(t.numpy(), wide.numpy().astype(dtype), strict=True)


@pytest.mark.parametrize("name", FILLS)
def test_numbers_come_from_the_given_generator_or_else_from_the_default_one(name: str) -> None:
    default = mg.manual_seed(8)
    given = FILLS[name](mg.zeros(4, 5), generator=mg.Generator(8)).tolist()
    assert default.get_state() == (8, 0, 0)
    assert FILLS[name](mg.zeros(4, 5)).tolist() == given
    assert default.get_state() != (8, 0, 0)
    assert FILLS[name](mg.zeros(4, 5)).tolist() != given


@pytest.mark.parametrize("name", FILLS)
def test_what_a_graph_has_saved_is_not_overwritten_unnoticed(name: str) -> None:
    t = mg.ones(4, 5, requires_grad=True)
    square = (t * t).sum()
    FILLS[name](t)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        square.backward()


@pytest.mark.parametrize("name", [name for name in FILLS if name[:2] in ("xa", "ka")])
@pytest.mark.parametrize("shape", [(), (5,)])
def test_a_tensor_without_fans_is_refused_with_its_shape(name: str, shape: Any) -> None:
    t = mg.ones(shape)
    with pytest.raises(ValueError, match=r"fewer than 2 dimensions.*has shape \((5,)?\)"):
        FILLS[name](t)
    assert t.numpy().all()


@pytest.mark.parametrize("name", ["kaiming_uniform_", "kaiming_normal_"])
def test_an_unknown_mode_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"'fan_avg' not supported.*'fan_in', 'fan_out'"):
        FILLS[name](mg.zeros(2, 2), mode="fan_avg")
