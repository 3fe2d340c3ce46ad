"""The dropout kernels: the masks of `minigrad.Generator`, bit for bit, and x · keep · scale."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import minigrad
from minigrad.kernels import Launcher, dropout
from minigrad.kernels.dropout import dropout_forward, keep_mask, masked_scale
from minigrad.nn import functional
from tests.kernels import definitions
from tests.kernels.arrays import SIZES, assert_same_bits, awkward, numbers

FLOATS = (np.float16, np.float32, np.float64)
LAST = 2**64 - 1
STATES = [(0, 0, 0), (7, 2, 5), (LAST, LAST, 0), (1, LAST, LAST - 1), (3, 1, LAST), (5, 0, 2**32)]
THRESHOLDS = [0, 1, round(0.2 * 2**32), 2**31, 2**32 - 1, 2**32]


def generator_at(state: tuple[int, int, int]) -> minigrad.Generator:
    generator = minigrad.Generator(0)
    generator.set_state(state)
    return generator


def drawn(n: int, state: tuple[int, int, int]) -> np.ndarray:
    """Return the 32-bit numbers of a mask."""
    upper, lower = generator_at(state).mask_numbers(n)
    return upper.astype(np.int64) << 24 | lower(np.arange(n)).astype(np.int64)


# ------------------------------------------------------------------------- masks


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("state", STATES)
def test_the_definition_is_the_generators_own_mask(n: int, state: tuple[int, int, int]) -> None:
    numbers = drawn(n, state)
    for p in (0.0, 2.0**-32, 0.2, 0.5, 1.0, *((numbers[[0, n // 2, -1]] / 2**32) if n else ())):
        expected = generator_at(state).keep_mask((n,), p)
        assert_same_bits(definitions.keep_mask((n,), state, round(p * 2**32)), expected)
        assert_same_bits(numbers >= round(p * 2**32), expected)


@pytest.mark.parametrize("n", SIZES)
def test_a_mask_is_that_of_the_definition(device: Any, launch: Launcher, n: int) -> None:
    for i, state in enumerate(STATES if n < 65536 else STATES[-3:-2]):
        threshold = THRESHOLDS[2 + i % 2]
        out = keep_mask(launch, device.empty((n,), np.bool_), state, threshold)
        assert_same_bits(out.get(), definitions.keep_mask((n,), state, threshold))


@pytest.mark.parametrize("threshold", THRESHOLDS)
def test_a_mask_knows_every_threshold(device: Any, launch: Launcher, threshold: int) -> None:
    out = keep_mask(launch, device.empty((2048,), np.bool_), (1, 2, 3), threshold)
    assert_same_bits(out.get(), definitions.keep_mask((2048,), (1, 2, 3), threshold))
    if threshold in (0, 2**32):
        assert out.get().all() == (threshold == 0)
        assert out.get().any() == (threshold == 0)


@pytest.mark.parametrize("state", [(11, 0, 0), (5, 6, LAST - 1)])  # with a carry after a block
def test_where_the_upper_bits_tie_the_lower_ones_decide(
    device: Any, launch: Launcher, state: tuple[int, int, int]
) -> None:
    numbers = drawn(64, state)
    for i in (0, 1, 6, 7, 15, 16, 33, 63):
        number = int(numbers[i])
        for threshold in number - 1, number, number + 1, number >> 24 << 24:
            out = keep_mask(launch, device.empty((64,), np.bool_), state, threshold)
            assert_same_bits(out.get(), numbers >= threshold)


@pytest.mark.parametrize("dtype", FLOATS)
def test_forward_decides_ties_too(device: Any, launch: Launcher, dtype: Any) -> None:
    state, x = (5, 6, LAST - 20), np.ones(1001, dtype)
    numbers = drawn(1001, state)
    for i in (0, 499, 1000):
        for threshold in int(numbers[i]), int(numbers[i]) + 1:
            y, keep = dropout_forward(launch, device.array(x), state, threshold, 2.0)
            assert_same_bits(keep.get(), numbers >= threshold)
            assert_same_bits(y.get(), dtype(2) * (numbers >= threshold))


def test_a_counter_beyond_64_bits_carries(device: Any, launch: Launcher) -> None:
    n, state = 256, (5, 6, LAST - 3)  # blocks 2**64 - 3, ..., 2**64 + 4
    out = keep_mask(launch, device.empty((n,), np.bool_), state, 2**31).get()
    assert_same_bits(out, definitions.keep_mask((n,), state, 2**31))
    assert not np.array_equal(out[128:], definitions.keep_mask((128,), (5, 6, 0), 2**31))


@pytest.mark.parametrize("skew", [1, 2, 4, 7])
def test_a_mask_may_begin_anywhere(device: Any, launch: Launcher, skew: int) -> None:
    out = keep_mask(launch, device.empty((5, 60), np.bool_, skew), (1, 2, 3), 2**31)
    assert_same_bits(out.get(), definitions.keep_mask((5, 60), (1, 2, 3), 2**31))


# ------------------------------------------------------------------------- forward


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("n", SIZES)
def test_forward_is_that_of_the_definition_in_one_launch(
    device: Any, launch: Launcher, n: int, dtype: Any
) -> None:
    x, state, threshold = numbers(n, dtype), STATES[n % len(STATES)], round(0.3 * 2**32)
    y, keep = dropout_forward(launch, device.array(x), state, threshold, 1 / 0.7)
    expected, mask = definitions.dropout_forward(x, state, threshold, 1 / 0.7)
    assert_same_bits(keep.get(), mask)
    assert_same_bits(y.get(), expected)
    assert len(device.launched) == (n > 0)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("skew", [1, 2, 3])
def test_forward_takes_arrays_that_begin_anywhere(
    device: Any, launch: Launcher, skew: int, dtype: Any
) -> None:
    x = numbers(600, dtype)
    out = device.empty((600,), dtype, skew=3 - skew)
    y, keep = dropout_forward(launch, device.array(x, skew), (1, 2, 3), 2**31, 2.0, out)
    expected, mask = definitions.dropout_forward(x, (1, 2, 3), 2**31, 2.0)
    assert y is out
    assert_same_bits(y.get(), expected)
    assert_same_bits(keep.get(), mask)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("p", [0.0, 2.0**-32, 0.2, 0.5, 1 - 2.0**-32, 1.0])
def test_forward_is_what_dropout_computes(
    device: Any, launch: Launcher, dtype: Any, p: float
) -> None:
    x, state = np.concatenate([awkward(dtype), numbers(500, dtype)]).reshape(8, 64), (3, 4, 5)
    scale = 1 / (1 - p) if p < 1 else 0.0
    if scale > np.finfo(dtype).max:
        pytest.skip("the op refuses this kernel there")
    with np.errstate(all="ignore"):
        expected = functional.dropout(
            minigrad.tensor(x),
            p,
            generator=generator_at(state),
            mask=minigrad.ones(1, dtype=bool) if p == 0 else None,
        ).numpy()
        y, _ = dropout_forward(launch, device.array(x), state, round(p * 2**32), scale)
    assert_same_bits(y.get(), expected)


@pytest.mark.parametrize("dtype", FLOATS)
def test_forward_works_in_place(device: Any, launch: Launcher, dtype: Any) -> None:
    x = numbers(1000, dtype)
    there = device.array(x)
    y, keep = dropout_forward(launch, there, (1, 2, 3), 2**31, 2.0, out=there)
    assert y is there
    assert_same_bits(y.get(), x * keep.get() * dtype(2))


# ------------------------------------------------------------------------- backward


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("n", SIZES)
def test_masked_scale_is_that_of_the_definition_in_one_launch(
    device: Any, launch: Launcher, n: int, dtype: Any
) -> None:
    g, keep = numbers(n, dtype), numbers(n, float, 1) > 0
    out = masked_scale(launch, device.array(g), device.array(keep), 1.25)
    assert_same_bits(out.get(), definitions.masked_scale(g, keep, 1.25))
    assert len(device.launched) == (n > 0)


@pytest.mark.parametrize("dtype", FLOATS)
def test_a_dropped_nan_or_infinity_is_nan_and_zeros_keep_their_sign(
    device: Any, launch: Launcher, dtype: Any
) -> None:
    x = np.repeat(awkward(dtype), 2)
    keep = np.arange(x.size) % 2 == 0
    for scale in (0.0, 1.0, 1.25):
        with np.errstate(all="ignore"):
            expected = minigrad.ops.masked_scale(x, keep, scale)
        y = masked_scale(launch, device.array(x), device.array(keep), scale).get()
        assert_same_bits(y, expected)
        assert np.isnan(y[~keep & ~np.isfinite(x)]).all()


@pytest.mark.parametrize("skews", [(1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 1), (2, 4, 2)])
def test_masked_scale_takes_arrays_that_begin_anywhere(
    device: Any, launch: Launcher, skews: tuple[int, int, int]
) -> None:
    x, keep = numbers(1023, np.float32), numbers(1023, float, 1) > 0
    out = device.empty(x.shape, x.dtype, skews[2])
    masked_scale(launch, device.array(x, skews[0]), device.array(keep, skews[1]), 1.25, out)
    assert_same_bits(out.get(), definitions.masked_scale(x, keep, 1.25))


@pytest.mark.parametrize("scale", [1.0, 1.25, 1.0002, 3e-4, 6e-8, 60000.0, 0.0])
def test_half_precision_is_rounded_as_numpy_rounds_it_for_all_its_numbers(
    device: Any, launch: Launcher, scale: float
) -> None:
    device.flush = True  # as CuPy does, with floats; these must not suffer
    x = np.arange(2**16, dtype=np.uint16).view(np.float16)
    with np.errstate(all="ignore"):
        expected = definitions.masked_scale(x, np.ones(x.shape, np.bool_), scale)
    y = masked_scale(launch, device.array(x), device.array(np.ones(x.shape, np.bool_)), scale)
    assert_same_bits(y.get(), expected)


# ------------------------------------------------------------------------- what wrappers refuse


def test_wrappers_name_what_they_cannot_take(cpu: Any) -> None:
    launch = Launcher(cpu.load)
    x, keep = cpu.array(numbers(6, np.float32)), cpu.array(np.ones(6, np.bool_))
    integers, state = cpu.array(np.arange(6)), (1, 2, 3)
    cases: list[tuple[Any, type[Exception], str]] = [
        (lambda: dropout_forward(launch, integers, state, 0, 1.0), TypeError, "float16 or float32"),
        (lambda: dropout_forward(launch, x[::2], state, 0, 1.0), ValueError, "C-contiguous x"),
        (lambda: dropout_forward(launch, x, state, 2**32 + 1, 1.0), ValueError, "4294967297"),
        (lambda: dropout_forward(launch, x, state, -1, 1.0), ValueError, "got -1"),
        (
            lambda: dropout_forward(launch, x, state, 0, 1.0, keep),
            TypeError,
            "out of dtype float32",
        ),
        (lambda: masked_scale(launch, x, keep[:3], 1.0), ValueError, r"keep of shape \(6,\)"),
        (lambda: masked_scale(launch, x, x, 1.0), TypeError, "keep of dtype bool, got float32"),
        (lambda: masked_scale(launch, x, keep, 1.0, x[:3]), ValueError, "out of shape"),
        (lambda: keep_mask(launch, x, state, 0), TypeError, "out of dtype bool, got float32"),
        (lambda: keep_mask(launch, keep[::2], state, 0), ValueError, "make a .copy"),
    ]
    for call, error, words in cases:
        with pytest.raises(error, match=words):
            call()
    assert not cpu.launched


def test_every_kernel_of_the_file_is_launched_by_some_wrapper(cpu: Any) -> None:
    launch, state = Launcher(cpu.load), (1, 2, 3)
    for dtype in FLOATS:
        x = cpu.array(numbers(6, dtype))
        _, keep = dropout_forward(launch, x, state, 0, 1.0)
        masked_scale(launch, x, keep, 1.0)
    keep_mask(launch, keep, state, 0)
    assert set(cpu.launched) == set(dropout.SOURCE.kernels)
