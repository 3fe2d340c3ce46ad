"""The kernels of the rectifier: max(x, 0), and the way back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import minigrad
from minigrad.kernels import Launcher, relu
from minigrad.kernels.relu import relu_backward, relu_forward
from tests.kernels import definitions
from tests.kernels.arrays import SIZES, assert_same_bits, awkward, numbers

FLOATS = (np.float32, np.float64)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("n", SIZES)
def test_both_are_those_of_the_definition_in_one_launch_each(
    device: Any, launch: Launcher, n: int, dtype: Any
) -> None:
    x, g = numbers(n, dtype), numbers(n, dtype, 1)
    y = relu_forward(launch, device.array(x))
    assert_same_bits(y.get(), definitions.relu_forward(x))
    dx = relu_backward(launch, device.array(g), y)
    assert_same_bits(dx.get(), definitions.relu_backward(g, y.get()))
    assert len(device.launched) == 2 * (n > 0)


def test_shapes_are_kept(device: Any, launch: Launcher) -> None:
    for shape in ((), (3, 4), (2, 3, 5)):
        x = device.array(numbers(shape, np.float32))
        assert relu_forward(launch, x).shape == relu_backward(launch, x, x).shape == shape


def test_the_definitions_are_the_rectifier_of_the_engine() -> None:
    x, g = numbers((5, 4), np.float64), numbers((5, 4), np.float64, 1)
    tx = minigrad.tensor(x, requires_grad=True)
    ty = minigrad.relu(tx)
    ty.backward(minigrad.tensor(g))
    assert_same_bits(definitions.relu_forward(x), ty.detach().numpy())
    assert_same_bits(definitions.relu_backward(g, ty.detach().numpy()), tx.grad.numpy())


@pytest.mark.parametrize("dtype", FLOATS)
def test_nan_and_inf_go_as_on_the_cpu(device: Any, launch: Launcher, dtype: Any) -> None:
    x, g = (a.copy() for a in np.broadcast_arrays(awkward(dtype)[:, None], awkward(dtype)))
    y = relu_forward(launch, device.array(x))
    expected = definitions.relu_forward(x)
    np.testing.assert_array_equal(y.get(), expected)  # of -0, NumPy itself knows two answers
    with np.errstate(all="ignore"):
        wanted = definitions.relu_backward(g, expected)
    assert_same_bits(relu_backward(launch, device.array(g), device.array(expected)).get(), wanted)


def test_forward_works_in_place_and_from_any_address(device: Any, launch: Launcher) -> None:
    x = numbers((9, 40), np.float32)
    there = device.array(x, 3)
    assert relu_forward(launch, there, there) is there
    assert_same_bits(there.get(), definitions.relu_forward(x))


def test_wrappers_name_what_they_cannot_take(cpu: Any) -> None:
    launch = Launcher(cpu.load)
    x, half = cpu.array(numbers((6, 4), np.float32)), cpu.array(numbers((6, 4), np.float16))
    cases: list[tuple[Any, type[Exception], str]] = [
        (lambda: relu_forward(launch, half), TypeError, "x of dtype float32 or float64"),
        (lambda: relu_forward(launch, x[:, :2]), ValueError, "C-contiguous x"),
        (lambda: relu_forward(launch, x, x[:3]), ValueError, r"out of shape \(6, 4\)"),
        (lambda: relu_backward(launch, x, x[:3]), ValueError, r"y of shape \(6, 4\)"),
        (lambda: relu_backward(launch, x, half), TypeError, "y of dtype float32, got float16"),
        (lambda: relu_backward(launch, x, np.ones(3)), TypeError, "of a device, got ndarray"),
    ]
    for call, error, words in cases:
        with pytest.raises(error, match=words):
            call()
    assert not cpu.launched


def test_every_kernel_of_the_file_is_launched_by_some_wrapper(cpu: Any) -> None:
    launch = Launcher(cpu.load)
    for dtype in FLOATS:
        x = cpu.array(numbers((2, 3), dtype))
        relu_backward(launch, x, relu_forward(launch, x))
    assert set(cpu.launched) == set(relu.SOURCE.kernels)
