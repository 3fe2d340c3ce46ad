"""The cross-entropy kernels: `minigrad.nn.functional.cross_entropy`, and its gradient at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minigrad
from minigrad.kernels import Launcher, cross_entropy, new_flag
from minigrad.kernels.cross_entropy import (
    cross_entropy_backward,
    cross_entropy_backward_in_numpy,
    cross_entropy_reduce,
    cross_entropy_reduce_in_numpy,
    cross_entropy_rows,
    cross_entropy_rows_in_numpy,
    raise_wrong_label,
)
from minigrad.nn import functional
from tests.kernels.arrays import SIZES, assert_same_bits, numbers

FLOATS = (np.float32, np.float64)
LABELS = (np.int32, np.int64)
#: (examples, classes, inner): logits of shape (N, C, d), or (N, C) for an inner of 0
LAYOUTS = [(0, 10, 0), (1, 1, 0), (3, 2, 0), (4, 10, 0), (7, 32, 0), (5, 33, 0), (2, 1023, 0)]
LAYOUTS += [(3, 10, 1), (2, 5, 7), (0, 4, 3), (9, 3, 4)]
#: The ways to count: weights or not, and the smoothing of labels.
OPTIONS = [(weighted, smoothing) for weighted in (False, True) for smoothing in (0.0, 0.1, 1.0)]
IGNORED = -100


def logits(layout: tuple[int, int, int], dtype: Any, scale: float = 5.0) -> np.ndarray:
    n, classes, inner = layout
    return numbers((n, classes, inner) if inner else (n, classes), dtype) * dtype(scale)


def labels_for(x: np.ndarray, dtype: Any = np.int64) -> np.ndarray:
    """Random labels, a fourth of them to be ignored."""
    rng = np.random.default_rng(x.size)
    labels = rng.integers(0, x.shape[1], size=x.shape[:1] + x.shape[2:])
    return np.where(rng.random(labels.shape) < 0.25, IGNORED, labels).astype(dtype)


def weights_for(x: np.ndarray) -> np.ndarray:
    return np.abs(numbers(x.shape[1], x.dtype, 3)) + x.dtype.type(0.1)


def tolerance(dtype: Any) -> dict[str, float]:
    """A few hundred roundings: exp and log differ by some, sums are taken in another order."""
    eps = float(np.finfo(dtype).eps)
    return {"rtol": 200 * eps, "atol": 200 * eps}


def rows(
    device: Any, launch: Launcher, x: np.ndarray, labels: np.ndarray, *options: Any
) -> tuple[list[np.ndarray], Any]:
    """Return what the kernel returns, and the flag."""
    wrong = new_flag(device.empty((0,), np.float32))
    there = [device.array(a) if isinstance(a, np.ndarray) else a for a in (x, labels, *options)]
    results = cross_entropy_rows(launch, there[0], there[1], wrong, *there[2:])
    return [r.get() for r in results], wrong


def in_numpy(x: np.ndarray, labels: np.ndarray, *options: Any) -> tuple[list[np.ndarray], Any]:
    wrong = np.zeros(1, np.uint64)
    with np.errstate(all="ignore"):
        return list(cross_entropy_rows_in_numpy(x, labels, wrong, *options)), wrong


# ------------------------------------------------------------------------- the definitions


@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
@pytest.mark.parametrize(("weighted", "smoothing"), OPTIONS)
@pytest.mark.parametrize("layout", [(7, 10, 0), (3, 4, 5), (2, 1, 0)])
def test_the_definition_is_the_loss_and_gradient_of_the_engine(
    layout: tuple[int, int, int], weighted: bool, smoothing: float, reduction: str
) -> None:
    x = logits(layout, np.float64)
    labels, weight = labels_for(x), weights_for(x) if weighted else None
    (losses, counts, gradient), _ = in_numpy(x, labels, weight, IGNORED, smoothing)
    divisor = None
    if reduction != "none":
        losses, divisor = cross_entropy_reduce_in_numpy(losses, counts, reduction == "mean")
    g = numbers(losses.shape, np.float64, 5)

    t = minigrad.tensor(x, requires_grad=True)
    w = None if weight is None else minigrad.tensor(weight)
    loss = functional.cross_entropy(t, minigrad.tensor(labels), w, IGNORED, reduction, smoothing)
    loss.backward(minigrad.tensor(g))
    np.testing.assert_allclose(losses, loss.detach().numpy(), rtol=1e-12)
    dx = cross_entropy_backward_in_numpy(np.asarray(g), gradient, divisor)
    np.testing.assert_allclose(dx, t.grad.numpy(), rtol=1e-12, atol=1e-15)


# ------------------------------------------------------------------------- rows


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(("weighted", "smoothing"), OPTIONS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_rows_are_those_of_the_definition_in_one_launch(
    device: Any,
    launch: Launcher,
    layout: tuple[int, int, int],
    weighted: bool,
    smoothing: float,
    dtype: Any,
) -> None:
    x = logits(layout, dtype)
    labels, weight = labels_for(x, LABELS[weighted]), weights_for(x) if weighted else None
    options = (weight, IGNORED, smoothing)
    (losses, counts, gradient), wrong = rows(device, launch, x, labels, *options)
    (losses_, counts_, gradient_), _ = in_numpy(x, labels, *options)
    np.testing.assert_allclose(losses, losses_, **tolerance(dtype))
    np.testing.assert_allclose(gradient, gradient_, **tolerance(dtype))
    assert_same_bits(counts, counts_)
    assert losses.dtype == gradient.dtype == dtype
    assert not wrong.get()[0]
    assert len(device.launched) == (labels.size > 0)


def test_a_single_row_may_come_without_a_batch(device: Any, launch: Launcher) -> None:
    x, label = numbers(10, np.float32), np.array(3)
    (loss, count, gradient), _ = rows(device, launch, x, label)
    (loss_, count_, gradient_), _ = in_numpy(x, label)
    assert (loss.shape, count.shape, gradient.shape) == ((), (), (10,))
    np.testing.assert_allclose(loss, loss_, rtol=1e-5)
    np.testing.assert_allclose(gradient, gradient_, rtol=1e-5)
    assert count == count_ == 1


@pytest.mark.parametrize("dtype", FLOATS)
def test_logits_of_any_size_and_none_are_what_they_are_on_the_cpu(
    device: Any, launch: Launcher, dtype: Any
) -> None:
    inf, nan = np.inf, np.nan
    x = np.array(
        [
            *([1e4, -1e4, 0], [-1e30, -1e30, -1e30], [1e30, 1e30, 0], [80, -80, 0]),
            *([-inf, 0, 1], [0, -inf, 1], [-inf, -inf, -inf], [inf, 0, 1], [0, inf, 1]),
            *([nan, 0, 1], [0, nan, 1], [0, 1, nan], [nan, nan, nan], [inf, -inf, nan]),
        ],
        dtype,
    )
    for labels in (np.zeros(len(x), int), np.ones(len(x), int), np.full(len(x), IGNORED)):
        for smoothing in (0.0, 0.1):
            options = (None, IGNORED, smoothing)
            (losses, _, gradient), _ = rows(device, launch, x, labels, *options)
            (losses_, _, gradient_), _ = in_numpy(x, labels, *options)
            np.testing.assert_allclose(losses, losses_, **tolerance(dtype))
            np.testing.assert_allclose(gradient, gradient_, **tolerance(dtype))


def test_a_nan_anywhere_in_a_long_row_reaches_its_loss(device: Any, launch: Launcher) -> None:
    for place in (0, 1, 31, 32, 63, 99):
        x = numbers((1, 100), np.float32)
        x[0, place] = np.nan
        (losses, _, gradient), _ = rows(device, launch, x, np.array([5]))
        assert np.isnan(losses).all()
        assert np.isnan(gradient).all()


@pytest.mark.parametrize("ignored", [-100, 2, 0, 2**40])
def test_any_label_can_be_the_ignored_one(device: Any, launch: Launcher, ignored: int) -> None:
    x = numbers((6, 4), np.float32)
    labels = np.array([0, 1, 2, 3, ignored, 2])
    (losses, counts, gradient), wrong = rows(device, launch, x, labels, None, ignored)
    np.testing.assert_array_equal(counts, labels != ignored)
    np.testing.assert_array_equal(losses == 0, labels == ignored)
    np.testing.assert_array_equal((gradient == 0).all(axis=1), labels == ignored)
    assert not wrong.get()[0]


# ------------------------------------------------------------------------- labels out of range


@pytest.mark.parametrize("dtype", LABELS)
@pytest.mark.parametrize(
    ("bad", "reported"),
    [([4], 4), ([4, 99, 7], 99), ([-1], -1), ([-1, -5, 99], -1), ([np.iinfo(np.int32).max], None)],
)
def test_a_label_out_of_range_makes_no_gradient_and_is_reported(
    device: Any, launch: Launcher, bad: list[int], reported: int | None, dtype: Any
) -> None:
    x = numbers((3 + len(bad), 4), np.float32)
    labels = np.array([0, 3, *bad, IGNORED], dtype)
    weight = np.array([1, 2, 3, 4], np.float32)
    (losses, counts, gradient), wrong = rows(device, launch, x, labels, weight, IGNORED)
    (losses_, counts_, gradient_), wrong_ = in_numpy(x, labels, weight, IGNORED)
    np.testing.assert_allclose(losses, losses_, rtol=1e-5)
    np.testing.assert_allclose(gradient, gradient_, rtol=1e-5, atol=1e-6)
    assert_same_bits(counts, counts_)
    assert_same_bits(wrong.get(), wrong_)
    assert np.isnan(losses[2:-1]).all()
    assert not gradient[2:-1].any()
    assert not counts[2:].any()
    reported = bad[0] if reported is None else reported
    with pytest.raises(IndexError, match=f"Target {reported} is out of bounds"):
        raise_wrong_label(wrong, 4)


@pytest.mark.parametrize("label", [2**63 - 1, -(2**63), 2**32, 2**32 + 1])
def test_a_wide_label_is_not_cut(device: Any, launch: Launcher, label: int) -> None:
    _, wrong = rows(device, launch, numbers((2, 4), np.float32), np.array([0, label]))
    with pytest.raises(IndexError, match=f"Target {label} is"):
        raise_wrong_label(wrong, 4)


def test_a_flag_remembers_through_many_launches(device: Any, launch: Launcher) -> None:
    x = device.array(numbers((2, 4), np.float32))
    wrong = new_flag(x)
    raise_wrong_label(wrong, 4)
    for labels in ([0, 1], [9, 2], [3, 0], [5, 0]):
        cross_entropy_rows(launch, x, device.array(np.array(labels)), wrong)
    with pytest.raises(IndexError, match="Target 9 is out of bounds"):
        raise_wrong_label(wrong, 4)


def test_the_message_is_that_of_the_cpu() -> None:
    with pytest.raises(IndexError) as on_cpu:
        functional.cross_entropy(minigrad.zeros(2, 4), minigrad.tensor([1, 7]), ignore_index=-1)
    with pytest.raises(IndexError) as in_kernel:
        raise_wrong_label(np.array([7], np.uint64), 4, -1)
    assert str(in_kernel.value) == str(on_cpu.value)


# ------------------------------------------------------------------------- reduction


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("mean", [False, True])
@pytest.mark.parametrize("n", [1024, *SIZES])
def test_a_reduction_is_that_of_the_definition(
    device: Any, launch: Launcher, n: int, mean: bool, dtype: Any
) -> None:
    losses, counts = np.abs(numbers(n, dtype)), np.abs(numbers(n, dtype, 1))
    there = device.array(losses), device.array(counts)
    loss, divisor = (r.get() for r in cross_entropy_reduce(launch, *there, mean))
    loss_, divisor_ = cross_entropy_reduce_in_numpy(losses, counts, mean)
    np.testing.assert_allclose(loss, loss_, rtol=100 * np.finfo(dtype).eps)
    np.testing.assert_allclose(divisor, divisor_, rtol=100 * np.finfo(dtype).eps)
    assert (loss.shape, loss.dtype, divisor.shape) == ((), dtype, ())
    assert len(device.launched) == 1


def test_a_mean_of_nothing_is_nan_with_gradients_of_zeros(device: Any, launch: Launcher) -> None:
    x = device.array(numbers((3, 4), np.float32))
    wrong, labels = new_flag(x), device.array(np.full(3, IGNORED))
    losses, counts, gradient = cross_entropy_rows(launch, x, labels, wrong)
    loss, divisor = cross_entropy_reduce(launch, losses, counts, True)
    one = device.array(np.float32(1))
    dx = cross_entropy_backward(launch, one, gradient, divisor)
    assert np.isnan(loss.get())
    assert not dx.get().any()


# ------------------------------------------------------------------------- backward


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("each", [False, True])
@pytest.mark.parametrize("divided", [False, True])
def test_backward_is_that_of_the_definition_to_the_last_bit(
    device: Any,
    launch: Launcher,
    layout: tuple[int, int, int],
    each: bool,
    divided: bool,
    dtype: Any,
) -> None:
    gradient = logits(layout, dtype)
    g = numbers(labels_for(gradient).shape if each else (), dtype, 4)
    divisor = np.asarray(dtype(37)) if divided else None
    there = [None if a is None else device.array(a) for a in (g, gradient, divisor)]
    out = cross_entropy_backward(launch, *there)
    expected = cross_entropy_backward_in_numpy(np.asarray(g), gradient, divisor)
    assert_same_bits(out.get(), expected.astype(dtype))
    assert cross_entropy_backward(launch, *there, out=there[1]) is there[1]
    assert_same_bits(there[1].get(), expected)


# ------------------------------------------------------------------------- what wrappers refuse


def test_wrappers_name_what_they_cannot_take(cpu: Any) -> None:
    launch = Launcher(cpu.load)
    x, labels = cpu.array(numbers((6, 4), np.float32)), cpu.array(np.zeros(6, np.int64))
    wrong, doubles = new_flag(x), cpu.array(np.ones(4))
    half, words = cpu.array(numbers((6, 4), np.float16)), cpu.array(np.zeros(6, np.uint8))
    zero, some = cpu.array(np.float32(0)), cpu.array(numbers(6, np.float32))

    def forward(*arguments: Any) -> Callable[[], Any]:
        return lambda: cross_entropy_rows(launch, *arguments)

    def backward(*arguments: Any) -> Callable[[], Any]:
        return lambda: cross_entropy_backward(launch, *arguments)

    cases: list[tuple[Any, type[Exception], str]] = [
        (forward(half, labels, wrong), TypeError, "x of dtype float32 or float64, got float16"),
        (forward(x, words, wrong), TypeError, "labels of dtype int32 or int64, got uint8"),
        (forward(x, labels[:3], wrong), ValueError, r"labels of shape \(6,\), got \(3,\)"),
        (forward(x, labels, labels), TypeError, "wrong of dtype uint64"),
        (forward(x, labels, wrong, doubles), TypeError, "weight of dtype float32, got float64"),
        (forward(x, labels, wrong, some), ValueError, r"weight of shape \(4,\), got \(6,\)"),
        (forward(x[::2], labels[::2], wrong), ValueError, "C-contiguous x"),
        (forward(cpu.empty((6, 0), np.float32), labels, wrong), ValueError, "at least one class"),
        (backward(doubles, x), TypeError, "g of dtype float32"),
        (backward(some[:3], x), ValueError, r"g of shape \(6,\), got \(3,\)"),
        (backward(zero, x, some), ValueError, r"divisor of shape \(\)"),
        (lambda: cross_entropy_reduce(launch, some, some[:3], True), ValueError, "counts of shape"),
    ]
    for call, error, words in cases:
        with pytest.raises(error, match=words):
            call()
    assert not cpu.launched


def test_every_kernel_of_the_file_is_launched_by_some_wrapper(cpu: Any) -> None:
    launch = Launcher(cpu.load)
    for dtype in FLOATS:
        x = cpu.array(numbers((2, 3), dtype))
        for kind in LABELS:
            labels = cpu.array(np.zeros(2, kind))
            losses, counts, gradient = cross_entropy_rows(launch, x, labels, new_flag(x))
        _, divisor = cross_entropy_reduce(launch, losses, counts, True)
        cross_entropy_backward(launch, losses, gradient, divisor)
    assert set(cpu.launched) == set(cross_entropy.SOURCE.kernels)
