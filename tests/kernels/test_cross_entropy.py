"""The cross-entropy kernels: `minigrad.nn.functional.cross_entropy` of class indices."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import minigrad
from minigrad.kernels import Launcher, cross_entropy, wrong_label
from minigrad.kernels.cross_entropy import cross_entropy_backward, cross_entropy_forward
from minigrad.nn import functional
from tests.kernels import definitions
from tests.kernels.arrays import assert_same_bits, numbers
from tests.kernels.definitions import new_flag, wrong_index
from tests.pairs import pairwise

FLOATS = (np.float32, np.float64)
LABELS = (np.int32, np.int64)
REDUCTIONS = ("mean", "sum", "none")
#: (examples, classes, inner): logits of shape (N, C, d), or (N, C) for an inner of 0
LAYOUTS = [(0, 10, 0), (1, 1, 0), (3, 2, 0), (7, 10, 0), (33, 32, 0), (5, 33, 0), (2, 1023, 0)]
LAYOUTS += [(3, 10, 1), (2, 5, 7), (0, 4, 3), (9, 3, 4)]
#: The ways to count: weights or not, and the smoothing of labels.
OPTIONS = [(weighted, smoothing) for weighted in (False, True) for smoothing in (0.0, 0.1, 1.0)]
CASES = pairwise(LAYOUTS, (False, True), (0.0, 0.1, 1.0), REDUCTIONS, FLOATS)
IGNORED = -100


def words(weighted: bool, smoothing: float) -> str:
    return f"{'weighted' if weighted else 'even'}, smooth {smoothing}"


def case_in_words(layout: Any, weighted: bool, smoothing: float, reduction: str, dtype: Any) -> str:
    sizes = "x".join(str(size) for size in layout[: 3 if layout[2] else 2])
    return f"{sizes}, {words(weighted, smoothing)}, {reduction}, {dtype.__name__}"


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


def flow(labels: np.ndarray, reduction: str, dtype: Any) -> np.ndarray:
    """Return a gradient that flows in."""
    return np.asarray(numbers(labels.shape if reduction == "none" else (), dtype, 5))


def there(device: Any, *values: Any) -> list[Any]:
    return [device.array(v) if isinstance(v, np.ndarray) else v for v in values]


def forward(
    device: Any, launch: Launcher, x: np.ndarray, labels: np.ndarray, *options: Any
) -> tuple[np.ndarray, Any]:
    """Return what the kernel returns, and the flag."""
    wrong = new_flag(device.empty((0,), np.float32))
    x_, labels_, *options_ = there(device, x, labels, *options)
    return cross_entropy_forward(launch, x_, labels_, wrong, *options_).get(), wrong


def backward(device: Any, launch: Launcher, *arguments: Any) -> np.ndarray:
    return cross_entropy_backward(launch, *there(device, *arguments)).get()


def in_numpy(x: np.ndarray, labels: np.ndarray, *options: Any) -> tuple[np.ndarray, np.ndarray]:
    wrong = np.zeros(1, np.uint64)
    with np.errstate(all="ignore"):
        return definitions.cross_entropy_forward(x, labels, wrong, *options), wrong


# ------------------------------------------------------------------------- the definitions


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize(
    ("weighted", "smoothing"), OPTIONS, ids=[words(*options) for options in OPTIONS]
)
@pytest.mark.parametrize("layout", [(7, 10, 0), (3, 4, 5), (2, 1, 0)])
def test_the_definitions_are_the_engines(
    layout: tuple[int, int, int], weighted: bool, smoothing: float, reduction: str
) -> None:
    x = logits(layout, np.float64)
    labels, weight = labels_for(x), weights_for(x) if weighted else None
    options = (weight, IGNORED, smoothing, reduction)
    loss, _ = in_numpy(x, labels, *options)
    g = flow(labels, reduction, np.float64)
    dx = definitions.cross_entropy_backward(g, x, labels, *options)

    t = minigrad.tensor(x, requires_grad=True)
    w = None if weight is None else minigrad.tensor(weight)
    wanted = functional.cross_entropy(t, minigrad.tensor(labels), w, IGNORED, reduction, smoothing)
    wanted.backward(minigrad.tensor(g))
    np.testing.assert_allclose(loss, wanted.detach().numpy(), rtol=1e-12)
    np.testing.assert_allclose(dx, t.grad.numpy(), rtol=1e-12, atol=1e-15)


# ------------------------------------------------------------------------- loss and gradient


@pytest.mark.parametrize(
    ("layout", "weighted", "smoothing", "reduction", "dtype"),
    CASES,
    ids=[case_in_words(*case) for case in CASES],
)
def test_both_follow_the_definition(
    device: Any,
    launch: Launcher,
    layout: tuple[int, int, int],
    weighted: bool,
    smoothing: float,
    reduction: str,
    dtype: Any,
) -> None:
    x = logits(layout, dtype)
    labels, weight = labels_for(x, LABELS[weighted]), weights_for(x) if weighted else None
    options = (weight, IGNORED, smoothing, reduction)
    loss, wrong = forward(device, launch, x, labels, *options)
    loss_, _ = in_numpy(x, labels, *options)
    np.testing.assert_allclose(loss, loss_, **tolerance(dtype))
    assert (loss.dtype, loss.shape) == (dtype, labels.shape if reduction == "none" else ())
    assert not wrong.get()[0]
    g = flow(labels, reduction, dtype)
    dx = backward(device, launch, g, x, labels, *options)
    dx_ = definitions.cross_entropy_backward(g, x, labels, *options)
    np.testing.assert_allclose(dx, dx_, **tolerance(dtype))
    assert (dx.dtype, dx.shape) == (dtype, x.shape)
    assert len(device.launched) == (reduction != "none" or labels.size > 0) + (labels.size > 0)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("dtype", FLOATS)
def test_blocks_that_share_many_rows_come_to_one_sum(
    device: Any, launch: Launcher, dtype: Any, reduction: str
) -> None:
    x = logits((1000, 3, 0), dtype)  # 32 blocks, the last of them not full
    labels, weight = labels_for(x), weights_for(x)
    options = (weight, IGNORED, 0.1, reduction)
    loss, _ = forward(device, launch, x, labels, *options)
    np.testing.assert_allclose(loss, in_numpy(x, labels, *options)[0], **tolerance(dtype))
    names = [name.partition("<")[0] for name in device.launched]
    assert names == ["cross_entropy_forward", "cross_entropy_finish"]


@pytest.fixture
def low_limits(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A few rows are many."""
    limits = {"_ONE_BLOCK": 32, "_MOST_BLOCKS": 2, "_COUNTED_BY_ALL": 100}
    for name, limit in limits.items():
        monkeypatch.setattr(cross_entropy, name, limit)
    plans = cross_entropy._forward_plans, cross_entropy._backward_plans
    for function in plans:
        function.cache_clear()
    yield
    for function in plans:
        function.cache_clear()


@pytest.mark.usefixtures("low_limits")
def test_a_block_goes_on_to_further_rows_and_a_mean_over_many_is_counted_apart(
    device: Any, launch: Launcher
) -> None:
    x = logits((101, 3, 0), np.float32)
    labels, weight = labels_for(x), weights_for(x)
    options = (weight, IGNORED, 0.1, "mean")
    loss, _ = forward(device, launch, x, labels, *options)
    np.testing.assert_allclose(loss, in_numpy(x, labels, *options)[0], **tolerance(np.float32))
    one = np.ones((), np.float32)
    dx = backward(device, launch, one, x, labels, *options)
    dx_ = definitions.cross_entropy_backward(one, x, labels, *options)
    np.testing.assert_allclose(dx, dx_, **tolerance(np.float32))
    names = [name.partition("<")[0].removeprefix("cross_entropy_") for name in device.launched]
    assert names == ["forward", "finish", "divisor", "backward"]


def test_a_single_row_may_come_without_a_batch(device: Any, launch: Launcher) -> None:
    x, label = numbers(10, np.float32), np.array(3)
    for reduction in REDUCTIONS:
        options = (None, IGNORED, 0.0, reduction)
        loss, _ = forward(device, launch, x, label, *options)
        assert loss.shape == ()
        np.testing.assert_allclose(loss, in_numpy(x, label, *options)[0], rtol=1e-5)
        one = np.ones((), np.float32)
        dx = backward(device, launch, one, x, label, *options)
        wanted = definitions.cross_entropy_backward(one, x, label, *options)
        np.testing.assert_allclose(dx, wanted, rtol=1e-5)


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
    g = np.ones(len(x), dtype)
    for labels in (np.zeros(len(x), int), np.ones(len(x), int), np.full(len(x), IGNORED)):
        for smoothing in (0.0, 0.1):
            options = (None, IGNORED, smoothing, "none")
            losses, _ = forward(device, launch, x, labels, *options)
            np.testing.assert_allclose(losses, in_numpy(x, labels, *options)[0], **tolerance(dtype))
            dx = backward(device, launch, g, x, labels, *options)
            with np.errstate(all="ignore"):
                dx_ = definitions.cross_entropy_backward(g, x, labels, *options)
            np.testing.assert_allclose(dx, dx_, **tolerance(dtype))


def test_a_nan_anywhere_in_a_long_row_reaches_its_loss(device: Any, launch: Launcher) -> None:
    for place in (0, 1, 31, 32, 63, 99):
        x = numbers((1, 100), np.float32)
        x[0, place] = np.nan
        assert np.isnan(forward(device, launch, x, np.array([5]))[0])
        assert np.isnan(backward(device, launch, np.ones((), "f"), x, np.array([5]))).all()


@pytest.mark.parametrize("ignored", [-100, 2, 0, 2**40])
def test_any_label_can_be_the_ignored_one(device: Any, launch: Launcher, ignored: int) -> None:
    x = numbers((6, 4), np.float32)
    labels = np.array([0, 1, 2, 3, ignored, 2])
    losses, wrong = forward(device, launch, x, labels, None, ignored, 0.0, "none")
    np.testing.assert_array_equal(losses == 0, labels == ignored)
    dx = backward(device, launch, np.ones((), "f"), x, labels, None, ignored)
    np.testing.assert_array_equal((dx == 0).all(axis=1), labels == ignored)
    assert not wrong.get()[0]


def test_a_mean_of_nothing_is_nan_with_gradients_of_zeros(device: Any, launch: Launcher) -> None:
    for n in (0, 3):
        x, labels = numbers((n, 4), np.float32), np.full(n, IGNORED)
        assert np.isnan(forward(device, launch, x, labels)[0])
        assert forward(device, launch, x, labels, None, IGNORED, 0.0, "sum")[0] == 0
        assert not backward(device, launch, np.ones((), "f"), x, labels).any()


# ------------------------------------------------------------------------- labels out of range


@pytest.mark.parametrize("dtype", LABELS)
@pytest.mark.parametrize(
    ("bad", "reported"),
    [([4], 4), ([4, 99, 7], 99), ([-1], -1), ([-1, -5, 99], -1), ([np.iinfo(np.int32).max], None)],
)
def test_a_wrong_label_makes_no_gradient_and_is_reported(
    device: Any, launch: Launcher, bad: list[int], reported: int | None, dtype: Any
) -> None:
    x = numbers((3 + len(bad), 4), np.float32)
    labels = np.array([0, 3, *bad, IGNORED], dtype)
    weight = np.array([1, 2, 3, 4], np.float32)
    losses, wrong = forward(device, launch, x, labels, weight, IGNORED, 0.0, "none")
    losses_, wrong_ = in_numpy(x, labels, weight, IGNORED, 0.0, "none")
    np.testing.assert_allclose(losses, losses_, rtol=1e-5)
    assert np.isnan(losses[2:-1]).all()
    assert_same_bits(wrong.get(), wrong_)
    assert np.isnan(forward(device, launch, x, labels, weight)[0])
    one = np.ones((), np.float32)
    dx = backward(device, launch, one, x, labels, weight)
    dx_ = definitions.cross_entropy_backward(one, x, labels, weight)
    np.testing.assert_allclose(dx, dx_, rtol=1e-5, atol=1e-6)
    assert not dx[2:].any()
    reported = bad[0] if reported is None else reported
    assert f"Target {reported} is out of bounds" in str(wrong_label(4, IGNORED)(int(wrong_[0])))


@pytest.mark.parametrize("label", [2**63 - 1, -(2**63), 2**32, 2**32 + 1])
def test_a_wide_label_is_not_cut(device: Any, launch: Launcher, label: int) -> None:
    _, wrong = forward(device, launch, numbers((2, 4), np.float32), np.array([0, label]))
    assert wrong_index(wrong) == label


def test_a_flag_remembers_through_many_launches(device: Any, launch: Launcher) -> None:
    x = device.array(numbers((2, 4), np.float32))
    wrong = new_flag(x)
    assert wrong_index(wrong) is None
    for labels in ([0, 1], [9, 2], [3, 0], [5, 0]):
        cross_entropy_forward(launch, x, device.array(np.array(labels)), wrong)
    assert wrong_index(wrong) == 9


def test_the_message_is_that_of_the_cpu() -> None:
    with pytest.raises(IndexError) as on_cpu:
        functional.cross_entropy(minigrad.zeros(2, 4), minigrad.tensor([1, 7]), ignore_index=-1)
    assert str(wrong_label(4, -1)(7)) == str(on_cpu.value)


# ------------------------------------------------------------------------- what wrappers refuse


def test_wrappers_name_what_they_cannot_take(cpu: Any) -> None:
    launch = Launcher(cpu.load)
    x, labels = cpu.array(numbers((6, 4), np.float32)), cpu.array(np.zeros(6, np.int64))
    wrong, doubles = new_flag(x), cpu.array(np.ones(4))
    half, words = cpu.array(numbers((6, 4), np.float16)), cpu.array(np.zeros(6, np.uint8))
    one, some = cpu.array(np.float32(1)), cpu.array(numbers(6, np.float32))

    def loss(*arguments: Any) -> Callable[[], Any]:
        return lambda: cross_entropy_forward(launch, *arguments)

    def gradient(*arguments: Any) -> Callable[[], Any]:
        return lambda: cross_entropy_backward(launch, *arguments)

    each = (None, -100, 0.0, "none")
    cases: list[tuple[Any, type[Exception], str]] = [
        (loss(half, labels, wrong), TypeError, "x of dtype float32 or float64, got float16"),
        (loss(x, words, wrong), TypeError, "labels of dtype int32 or int64, got uint8"),
        (loss(x, labels[:3], wrong), ValueError, r"labels of shape \(6,\), got \(3,\)"),
        (loss(x, labels, labels), TypeError, "wrong of dtype uint64"),
        (loss(x, labels, wrong, doubles), TypeError, "weight of dtype float32, got float64"),
        (loss(x, labels, wrong, some), ValueError, r"weight of shape \(4,\), got \(6,\)"),
        (loss(x[::2], labels[::2], wrong), ValueError, "C-contiguous x"),
        (loss(cpu.empty((6, 0), np.float32), labels, wrong), ValueError, "at least one class"),
        (loss(one, labels[0], wrong), ValueError, "at least one class"),
        (gradient(doubles, x, labels), TypeError, "g of dtype float32"),
        (gradient(some, x, labels), ValueError, r"g of shape \(\), got \(6,\)"),
        (gradient(some[:3], x, labels, *each), ValueError, r"g of shape \(6,\), got \(3,\)"),
        (gradient(one, x, labels[:3]), ValueError, r"labels of shape \(6,\)"),
    ]
    for call, error, words_ in cases:
        with pytest.raises(error, match=words_):
            call()
    assert not cpu.launched


@pytest.mark.usefixtures("low_limits")
def test_every_kernel_of_the_file_is_launched_by_some_wrapper(cpu: Any) -> None:
    launch = Launcher(cpu.load)
    for dtype in FLOATS:
        x, one = cpu.array(np.zeros((101, 1), dtype)), cpu.array(np.ones((), dtype))
        for kind in LABELS:
            labels = cpu.array(np.zeros(101, kind))
            cross_entropy_forward(launch, x, labels, new_flag(x))
            cross_entropy_backward(launch, one, x, labels)
    assert set(cpu.launched) == set(cross_entropy.SOURCE.kernels)
