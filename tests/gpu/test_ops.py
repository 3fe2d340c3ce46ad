"""The table of derivatives on a device: every case of every op gives what it gives on the host."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import minigrad
from tests.gpu.backend import DEVICE_FRAMEWORK, HOST_FRAMEWORK, Backend, on_device, on_host
from tests.ops import (
    test_accumulation,
    test_arithmetic,
    test_composed,
    test_cross_entropy,
    test_elementwise,
    test_linalg,
    test_neural_ops,
    test_reduction,
    test_shape,
)
from tests.reference import (
    Case,
    Extreme,
    Tabled,
    Tie,
    analytic,
    assert_subgradients,
    assert_truth,
    drawn,
    scaled,
    with_cotangent,
)

MODULES = (
    *(test_arithmetic, test_elementwise, test_linalg, test_accumulation, test_composed),
    *(test_cross_entropy, test_neural_ops, test_reduction, test_shape),
)
FRAMEWORKS = (DEVICE_FRAMEWORK, HOST_FRAMEWORK)
examples = settings(
    deadline=None,
    max_examples=scaled(5),
    suppress_health_check=[HealthCheck.differing_executors, HealthCheck.too_slow],
)


class TestOps(Tabled):
    cases: ClassVar[dict[str, Case]] = {
        name: case for module in MODULES for name, case in module.CASES.items()
    }
    ties: ClassVar[dict[str, Tie]] = {
        name: tie for module in MODULES for name, tie in getattr(module, "TIES", {}).items()
    }
    extremes: ClassVar[dict[str, Extreme]] = {
        name: case for module in MODULES for name, case in getattr(module, "EXTREMES", {}).items()
    }

    @examples
    @given(st.data())
    def test_values_and_derivatives_are_the_hosts(
        self, backend: Backend, case: Case, data: st.DataObject
    ) -> None:
        example = data.draw(drawn(case)).astype(data.draw(st.sampled_from(["float64", "float32"])))
        y, expected = (example.value(framework) for framework in FRAMEWORKS)
        assert y.device.type == "cuda"
        backend.assert_same(y, expected, exact=False)  # sums are folded on the host alone
        if case.smooth:
            arrays = with_cotangent(example)
            for order in range(1, case.order + 1):
                pairs = (analytic(example, framework, arrays, order) for framework in FRAMEWORKS)
                for actual, wanted in zip(*pairs, strict=True):
                    backend.assert_same(actual, wanted, exact=False)

    def test_subgradient_is_the_documented_one(self, backend: Backend, tie: Tie) -> None:
        assert_subgradients(tie, DEVICE_FRAMEWORK)

    def test_no_digit_is_lost(self, backend: Backend, extreme: Extreme) -> None:
        assert_truth(extreme, DEVICE_FRAMEWORK, np.float64, rtol=1e-14)


# ------------------------------------------------------------------------- indices


@pytest.mark.parametrize("index", test_shape.INDICES.values(), ids=test_shape.INDICES)
def test_an_index_of_the_host_means_the_same_on_a_device(backend: Backend, index: Any) -> None:
    array = np.random.default_rng(0).normal(size=(2, 3, 4))
    x, expected = on_device(array).requires_grad_(), on_host(array).requires_grad_()
    backend.assert_same(x[index], expected[index])
    for t in (x, expected):
        (t[index] * t[index]).sum().backward()
    backend.assert_same(x.grad, expected.grad)
    with minigrad.no_grad():
        x[index] = expected[index] = -1.5
    backend.assert_same(x, expected)


@pytest.mark.parametrize(
    "index",
    [
        [0, 3],
        [-4],
        (0, [1, 3]),
        pytest.param(([[0], [2]], slice(None), [0]), id="index=([[0], [2]], :, [0])"),
    ],
)
def test_an_index_of_the_host_is_checked_before_a_device_wraps_it(
    backend: Backend, index: Any
) -> None:
    for x in (minigrad.ones(2, 3, 2), minigrad.ones(2, 3, 2, device="cuda")):
        with pytest.raises(IndexError, match="out of bounds"):
            x[index]
        with pytest.raises(IndexError, match="out of bounds"):
            x[index] = 0


# ------------------------------------------------------------------------- dtypes


FUNCTIONS: dict[str, Any] = {
    "exp": minigrad.exp,
    "sigmoid": minigrad.sigmoid,
    "sqrt": minigrad.sqrt,
    "halved": lambda x: x / 2,
    "times a float": lambda x: x * 1.5,
    "plus an int": lambda x: x + 1,
    "a power of 2": lambda x: 2**x,
    "divided by itself plus 1": lambda x: x / (x + 1),
    "sum": minigrad.sum,
    "largest": minigrad.amax,
    "argmax": minigrad.argmax,
    "relu": minigrad.relu,
    "floor": minigrad.floor,
    "clamp": lambda x: x.clamp(0, 0.5),
    "compared": lambda x: x > 0.5,
    "cast": lambda x: x.float(),
    "where": lambda x: minigrad.where(x > 0, x, 2),
    "where, of numbers": lambda x: minigrad.where(x > 0, 1.0, 2.0),
}


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int32", "int64", "float16", "float64"])
@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)
def test_the_dtype_of_a_result_is_that_of_the_host(
    backend: Backend, function: Any, dtype: str
) -> None:
    array = np.array([1, 0, 1]).astype(dtype)
    y, expected = function(on_device(array)), function(on_host(array))
    assert y.dtype == expected.dtype
    np.testing.assert_allclose(y.cpu().numpy(), expected.numpy(), rtol=2e-3)
