"""Frameworks hand arrays over and back, replay their draws, and give gradients."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad.testing.frameworks import FRAMEWORKS, NUMPY, Framework, Recorded, dtype_named, eps

#: the module that must be there
MODULES = {**{name: name for name in FRAMEWORKS}, "mlx": "mlx.core"}
EAGER = ("minigrad", "torch", "numpy")


@pytest.fixture(params=list(FRAMEWORKS))
def framework(request: pytest.FixtureRequest) -> Framework:
    environment = dict(os.environ)
    try:
        pytest.importorskip(MODULES[request.param])
    finally:  # JAX and TensorFlow set variables when they are imported
        os.environ.clear()
        os.environ.update(environment)
    return FRAMEWORKS[request.param]


@pytest.fixture(params=EAGER)
def eager(request: pytest.FixtureRequest) -> Framework:
    pytest.importorskip(request.param)
    return FRAMEWORKS[request.param]


def test_memory_is_shared_where_the_framework_can(eager: Framework) -> None:
    array = np.arange(6, dtype=np.float64).reshape(2, 3).T
    tensor = eager.tensor(array, False)
    assert np.shares_memory(eager.memory(tensor), array)
    assert eager.memory(tensor).strides == array.strides


def test_arrays_of_each_dtype_come_back_as_they_were_in_memory_of_their_own(
    framework: Framework,
) -> None:
    for name in framework.dtypes():
        dtype = dtype_named(name)
        if dtype is None:
            continue
        array = np.arange(6).reshape(2, 3).astype(dtype)
        copy = framework.array(framework.tensor(array, False))
        assert not np.shares_memory(copy, array)
        assert copy.dtype == array.dtype
        np.testing.assert_array_equal(copy, array)


def test_any_strides_and_no_dimensions_will_do(framework: Framework) -> None:
    table = np.arange(12, dtype=np.float32).reshape(3, 4)
    for array in table[::-1, ::2], table.T, np.array(3.0, np.float32), np.zeros((0, 2), np.float32):
        tensor = framework.tensor(array, False)
        assert framework.owns(tensor)
        np.testing.assert_array_equal(framework.array(tensor), array, strict=True)


def test_nothing_else_is_taken_for_a_tensor(framework: Framework) -> None:
    for thing in None, 1.0, "x", (1, 2), object():
        assert not framework.owns(thing)


def test_seed_and_state_replay_the_draws(eager: Framework) -> None:
    def draw() -> float:
        if eager is NUMPY:
            return float(np.random.rand())  # noqa: NPY002
        library: Any = mg if eager.name == "minigrad" else pytest.importorskip("torch")
        return float(library.rand(1).item())

    assert eager.seed
    assert eager.state
    assert eager.set_state
    outer = eager.state()
    try:
        eager.seed(5)
        start = eager.state()
        first, second = draw(), draw()
        assert eager.state() != start
        eager.set_state(start)
        assert eager.state() == start
        assert (draw(), draw()) == (first, second)
        eager.seed(5)
        assert draw() == first != second
    finally:
        eager.set_state(outer)


def test_gradients_are_right_and_none_where_there_are_none(framework: Framework) -> None:
    array = np.array([1.0, 2.0], np.float32)
    g = np.array([10.0, 100.0], np.float32)
    x = framework.tensor(array, True)
    if framework.record is not None:
        recorded = framework.record(lambda leaf: leaf * leaf, x)
        assert isinstance(recorded, Recorded)
        np.testing.assert_array_equal(framework.array(recorded), [1.0, 4.0])
        for _ in range(2):
            np.testing.assert_array_equal(np.asarray(recorded.backward(g)), [20.0, 400.0])
    if framework.gradient is not None:
        unused = framework.tensor(array, True)
        y = x * x
        first = framework.gradient(y, x, g, True)
        np.testing.assert_array_equal(first, np.float32([20, 400]), strict=True)
        np.testing.assert_array_equal(framework.gradient(y, x, g, False), first, strict=True)
        assert framework.gradient(x * x, unused, g, False) is None
        assert framework.gradient(framework.tensor(g, False), x, g, False) is None


def test_a_graph_that_serves_once_is_enough() -> None:
    """Compiled functions and reentrant checkpoints keep no graph for a second backward."""
    torch = pytest.importorskip("torch")
    from torch.utils.checkpoint import checkpoint

    framework = FRAMEWORKS["torch"]
    x = framework.tensor(np.ones(3, np.float32), True)
    y = checkpoint(torch.square, x, use_reentrant=True)
    assert framework.gradient is not None
    np.testing.assert_array_equal(framework.gradient(y, x, np.ones(3, np.float32), False), [2] * 3)


def test_nothing_is_recorded_under_no_grad(eager: Framework) -> None:
    if eager.no_grad is None:
        assert eager.gradient is None
        return
    assert eager.gradient
    g = np.ones(2, np.float32)
    x = eager.tensor(g.copy(), True)
    with eager.no_grad():
        unrecorded = x * x
    assert eager.gradient(unrecorded, x, g, False) is None
    assert eager.gradient(x * x, x, g, False) is not None


def test_eps_is_the_step_above_1() -> None:
    for name in "float16", "float32", "float64", "bfloat16":
        dtype = dtype_named(name)
        if dtype is not None:
            one = np.ones((), dtype)
            assert one + np.asarray(eps(dtype), dtype) > one
            assert one + np.asarray(eps(dtype) / 4, dtype) == one
