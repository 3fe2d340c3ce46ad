"""The kernels at the end of a dense layer: max(x + bias, 0), and the way back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import minigrad
from minigrad.kernels import Launcher, bias_relu
from minigrad.kernels.bias_relu import (
    bias_relu_backward,
    bias_relu_backward_in_numpy,
    bias_relu_forward,
    bias_relu_forward_in_numpy,
)
from tests.kernels.arrays import assert_same_bits, awkward, numbers

FLOATS = (np.float32, np.float64)
SHAPES = [(0, 4), (4, 0), (1, 1), (3, 7), (7, 3), (8, 32), (9, 33), (31, 31), (33, 65), (256, 256)]
SHAPES += [(1023, 2), (2, 1023), (2, 3, 5), (5,)]


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", SHAPES)
def test_forward_is_that_of_the_definition_in_one_launch(
    device: Any, launch: Launcher, shape: tuple[int, ...], dtype: Any
) -> None:
    x, bias = numbers(shape, dtype), numbers(shape[-1], dtype, 1)
    y = bias_relu_forward(launch, device.array(x), device.array(bias))
    assert_same_bits(y.get(), bias_relu_forward_in_numpy(x, bias))
    assert len(device.launched) == (x.size > 0)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", SHAPES)
def test_backward_is_that_of_the_definition_in_one_launch(
    device: Any, launch: Launcher, shape: tuple[int, ...], dtype: Any
) -> None:
    g, y = numbers(shape, dtype), np.maximum(numbers(shape, dtype, 1), 0)
    dx, dbias = (r.get() for r in bias_relu_backward(launch, device.array(g), device.array(y)))
    dx_, dbias_ = bias_relu_backward_in_numpy(g, y)
    assert_same_bits(dx, dx_)
    exact = dx_.reshape(dx_.size // (shape[-1] or 1), shape[-1]).astype(np.longdouble)
    bound = (
        np.finfo(dtype).eps * np.abs(exact).sum(axis=0) * 8
    )  # 8: fewer than 2**8 summed in a row
    assert (np.abs(dbias - exact.sum(axis=0)) <= bound).all()
    assert (dbias.shape, dbias.dtype) == (dbias_.shape, dtype)
    assert len(device.launched) == (shape[-1] > 0)


def test_the_definitions_are_the_layer_of_the_engine() -> None:
    x, bias, g = (
        numbers((5, 4), np.float64),
        numbers(4, np.float64, 1),
        numbers((5, 4), np.float64, 2),
    )
    tx, tbias = (minigrad.tensor(a, requires_grad=True) for a in (x, bias))
    ty = minigrad.relu(tx + tbias)
    ty.backward(minigrad.tensor(g))
    y = bias_relu_forward_in_numpy(x, bias)
    dx, dbias = bias_relu_backward_in_numpy(g, y)
    assert_same_bits(y, ty.detach().numpy())
    assert_same_bits(dx, tx.grad.numpy())
    np.testing.assert_allclose(dbias, tbias.grad.numpy(), rtol=1e-13)


@pytest.mark.parametrize("dtype", FLOATS)
def test_nan_and_infinity_go_where_they_go_on_the_cpu(
    device: Any, launch: Launcher, dtype: Any
) -> None:
    x, bias = (a.copy() for a in np.broadcast_arrays(awkward(dtype)[:, None], awkward(dtype)))
    with np.errstate(all="ignore"):
        expected = bias_relu_forward_in_numpy(x, bias[0])
    y = bias_relu_forward(launch, device.array(x), device.array(bias[0]))
    np.testing.assert_array_equal(y.get(), expected)  # of -0 + -0, NumPy itself knows two answers
    with np.errstate(all="ignore"):
        dx_, dbias_ = bias_relu_backward_in_numpy(bias, expected)
    dx, dbias = bias_relu_backward(launch, device.array(bias), device.array(expected))
    assert_same_bits(dx.get(), dx_)
    np.testing.assert_array_equal(np.isnan(dbias.get()), np.isnan(dbias_))


def test_both_work_in_place(device: Any, launch: Launcher) -> None:
    x, bias, g = (
        numbers((9, 40), np.float32),
        numbers(40, np.float32, 1),
        numbers((9, 40), np.float32, 2),
    )
    there, above = device.array(x), device.array(g)
    assert bias_relu_forward(launch, there, device.array(bias), out=there) is there
    y = bias_relu_forward_in_numpy(x, bias)
    assert_same_bits(there.get(), y)
    assert bias_relu_backward(launch, above, there, out=above)[0] is above
    assert_same_bits(above.get(), bias_relu_backward_in_numpy(g, y)[0])


def test_arrays_may_begin_anywhere(device: Any, launch: Launcher) -> None:
    x, bias = numbers((5, 37), np.float32), numbers(37, np.float32, 1)
    there = device.array(x, 1), device.array(bias, 3)
    y = bias_relu_forward(launch, *there, device.empty(x.shape, x.dtype, 2))
    assert_same_bits(y.get(), bias_relu_forward_in_numpy(x, bias))


def test_wrappers_name_what_they_cannot_take(cpu: Any) -> None:
    launch = Launcher(cpu.load)
    x, bias = cpu.array(numbers((6, 4), np.float32)), cpu.array(numbers(4, np.float32))
    double, half = cpu.array(np.ones(4)), cpu.array(numbers((6, 4), np.float16))
    cases: list[tuple[Any, type[Exception], str]] = [
        (lambda: bias_relu_forward(launch, half, bias), TypeError, "x of dtype float32 or float64"),
        (lambda: bias_relu_forward(launch, x, double), TypeError, "bias of dtype float32"),
        (lambda: bias_relu_forward(launch, x, bias[:3]), ValueError, r"bias of shape \(4,\)"),
        (lambda: bias_relu_forward(launch, x[:, :2], bias[:2]), ValueError, "C-contiguous x"),
        (lambda: bias_relu_backward(launch, x, x[:3]), ValueError, r"y of shape \(6, 4\)"),
        (lambda: bias_relu_backward(launch, x, half), TypeError, "y of dtype float32, got float16"),
        (lambda: bias_relu_backward(launch, x, x, bias), ValueError, "out of shape"),
    ]
    for call, error, words in cases:
        with pytest.raises(error, match=words):
            call()
    assert not cpu.launched


def test_every_kernel_of_the_file_is_launched_by_some_wrapper(cpu: Any) -> None:
    launch = Launcher(cpu.load)
    for dtype in FLOATS:
        x, bias = cpu.array(numbers((2, 3), dtype)), cpu.array(numbers(3, dtype))
        bias_relu_backward(launch, x, bias_relu_forward(launch, x, bias))
    assert set(cpu.launched) == set(bias_relu.SOURCE.kernels)
