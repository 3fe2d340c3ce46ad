"""The dropout kernels: the masks of `minigrad.Generator`, bit for bit, and x · keep · scale."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import minigrad
from minigrad import masks
from minigrad.kernels import Launcher, RefusedError, dropout
from minigrad.kernels.dropout import advance, keep_mask, keep_mask_after, masked_scale
from minigrad.nn import functional
from tests.contract import mask_numbers
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


# ------------------------------------------------------------------------- masks


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("state", STATES)
def test_the_definition_is_the_mask_of_a_generator(n: int, state: tuple[int, int, int]) -> None:
    numbers = mask_numbers(state, n)
    for p in (0.0, 2.0**-32, 0.2, 0.5, 1.0, *((numbers[[0, n // 2, -1]] / 2**32) if n else ())):
        expected = definitions.keep_mask((n,), state, round(p * 2**32))
        assert_same_bits(generator_at(state).keep_mask((n,), p), expected)
        assert_same_bits(masks.keep_mask(state, n, p), expected)


@pytest.mark.parametrize("n", SIZES)
def test_a_mask_is_that_of_the_definition_in_one_launch(
    device: Any, launch: Launcher, n: int
) -> None:
    for i, state in enumerate(STATES if n < 65536 else STATES[-3:-2]):
        threshold = THRESHOLDS[2 + i % 2]
        out = device.empty((n,), np.bool_)
        assert keep_mask(launch, out, state, threshold / 2**32) is out
        assert_same_bits(out.get(), definitions.keep_mask((n,), state, threshold))
    assert len(device.launched) == (n > 0) * (i + 1)


@pytest.mark.parametrize("threshold", THRESHOLDS)
def test_a_mask_knows_every_threshold(device: Any, launch: Launcher, threshold: int) -> None:
    out = keep_mask(launch, device.empty((2048,), np.bool_), (1, 2, 3), threshold / 2**32)
    assert_same_bits(out.get(), definitions.keep_mask((2048,), (1, 2, 3), threshold))
    if threshold in (0, 2**32):
        assert out.get().all() == (threshold == 0)
        assert out.get().any() == (threshold == 0)


@pytest.mark.parametrize("state", [(11, 0, 0), (5, 6, LAST - 1)])  # with a carry after a block
def test_where_the_upper_bits_tie_the_lower_ones_decide(
    device: Any, launch: Launcher, state: tuple[int, int, int]
) -> None:
    numbers = mask_numbers(state, 64)
    for i in (0, 1, 6, 7, 15, 16, 33, 63):
        number = int(numbers[i])
        for threshold in number - 1, number, number + 1, number >> 24 << 24:
            out = keep_mask(launch, device.empty((64,), np.bool_), state, threshold / 2**32)
            assert_same_bits(out.get(), numbers >= threshold)


def test_ties_are_decided_in_every_block_and_across_the_carry(
    device: Any, launch: Launcher
) -> None:
    state = (5, 6, LAST - 20)
    numbers = mask_numbers(state, 1001)
    for i in (0, 499, 1000):
        for threshold in int(numbers[i]), int(numbers[i]) + 1:
            out = device.empty((1001,), np.bool_)
            keep_mask(launch, out, state, threshold / 2**32)
            assert_same_bits(out.get(), numbers >= threshold)


def test_a_counter_beyond_64_bits_carries(device: Any, launch: Launcher) -> None:
    n, state = 256, (5, 6, LAST - 3)  # blocks 2**64 - 3, ..., 2**64 + 4
    out = keep_mask(launch, device.empty((n,), np.bool_), state, 0.5).get()
    assert_same_bits(out, definitions.keep_mask((n,), state, 2**31))
    assert not np.array_equal(out[128:], definitions.keep_mask((128,), (5, 6, 0), 2**31))


@pytest.mark.parametrize("skew", [1, 2, 4, 7])
def test_a_mask_may_begin_anywhere(device: Any, launch: Launcher, skew: int) -> None:
    out = keep_mask(launch, device.empty((5, 60), np.bool_, skew), (1, 2, 3), 0.5)
    assert_same_bits(out.get(), definitions.keep_mask((5, 60), (1, 2, 3), 2**31))


@pytest.mark.parametrize("shape", [(), (3, 5, 70)])
def test_a_mask_has_the_shape_that_is_asked_for(
    device: Any, launch: Launcher, shape: tuple[int, ...]
) -> None:
    out = keep_mask(launch, device.empty(shape, np.bool_), (1, 2, 3), 0.3)
    assert_same_bits(out.get(), generator_at((1, 2, 3)).keep_mask(shape, 0.3))


# ------------------------------------------------------------------------- states in memory


@pytest.mark.parametrize("p", [0.0, 0.3, 0.5, 1.0])
@pytest.mark.parametrize("state", [(1, 2, 3), (2**64 - 1, 0, 2**64 - 2), (7, 2**63, 0)])
def test_a_state_in_memory_gives_a_later_states_mask(
    device: Any, launch: Launcher, state: tuple[int, int, int], p: float
) -> None:
    seed, stream, offset = state
    memory = device.array(np.array(state, np.uint64))
    for blocks in (0, 1, 9, 2**64 - 5):
        later = seed, stream, (offset + blocks) % 2**64
        out = keep_mask_after(launch, device.empty((3, 901), np.bool_), memory, blocks, p)
        assert_same_bits(out.get(), definitions.keep_mask((3, 901), later, round(p * 2**32)))
        assert_same_bits(memory.get(), np.array(state, np.uint64))


def test_a_state_in_memory_moves_on_and_wraps(device: Any, launch: Launcher) -> None:
    memory = device.array(np.array([1, 2, 2**64 - 2], np.uint64))
    for offset in (1, 4, 7):
        advance(launch, memory, 3)
        assert_same_bits(memory.get(), np.array([1, 2, offset], np.uint64))


# ------------------------------------------------------------------------- what a mask leaves


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


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("skews", [(1, 0), (0, 1), (1, 1), (2, 4), (3, 2)])
def test_masked_scale_takes_arrays_that_begin_anywhere(
    device: Any, launch: Launcher, skews: tuple[int, int], dtype: Any
) -> None:
    x, keep = numbers(1023, dtype), numbers(1023, float, 1) > 0
    there = device.array(x, skews[0])
    out = masked_scale(launch, there, device.array(keep, skews[1]), 1.25)
    assert_same_bits(out.get(), definitions.masked_scale(x, keep, 1.25))
    assert_same_bits(there.get(), x)


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


P = [0.0, 2.0**-32, 0.2, 0.5, 1 - 2.0**-32, 1.0]
WITHIN = [(d, p) for d in FLOATS for p in P if p == 1 or 1 / (1 - p) <= float(np.finfo(d).max)]


@pytest.mark.parametrize(("dtype", "p"), WITHIN)
def test_the_two_kernels_are_what_dropout_computes(
    device: Any, launch: Launcher, dtype: Any, p: float
) -> None:
    x, state = np.concatenate([awkward(dtype), numbers(500, dtype)]).reshape(8, 64), (3, 4, 5)
    scale = 1 / (1 - p) if p < 1 else 0.0
    with np.errstate(all="ignore"):
        expected = functional.dropout(
            minigrad.tensor(x),
            p,
            generator=generator_at(state),
            mask=minigrad.ones(1, dtype=bool) if p == 0 else None,
        ).numpy()
        keep = keep_mask(launch, device.empty(x.shape, np.bool_), state, p)
        y = masked_scale(launch, device.array(x), keep, scale)
    assert_same_bits(y.get(), expected)
    assert len(device.launched) == 2


# ------------------------------------------------------------------------- what wrappers refuse


@pytest.mark.parametrize("scale", [2.0**32, 65504.1, -1e5, float("inf"), 70000])
def test_a_scale_that_float16_does_not_hold_is_refused_for_float16_alone(
    cpu: Any, scale: float
) -> None:
    """It would be infinite, and 0 · ∞ is NaN: what is dropped would not be 0."""
    launch, keep = Launcher(cpu.load), cpu.array(np.array([True, False]))
    with pytest.raises(RefusedError, match=f"scale of {scale} is beyond the range of float16"):
        masked_scale(launch, cpu.array(np.ones(2, np.float16)), keep, scale)
    assert not cpu.launched
    for dtype, most in (np.float16, 65504.0), (np.float32, scale), (np.float64, scale):
        with np.errstate(invalid="ignore"):
            y = masked_scale(launch, cpu.array(np.ones(2, dtype)), keep, most).get()
            assert_same_bits(y, definitions.masked_scale(np.ones(2, dtype), keep.get(), most))


def test_wrappers_name_what_they_cannot_take(cpu: Any) -> None:
    launch = Launcher(cpu.load)
    x, keep = cpu.array(numbers(6, np.float32)), cpu.array(np.ones(6, np.bool_))
    integers, state = cpu.array(np.arange(6)), (1, 2, 3)
    cases: list[tuple[Any, type[Exception], str]] = [
        (lambda: masked_scale(launch, integers, keep, 1.0), TypeError, "float16 or float32"),
        (lambda: masked_scale(launch, x[::2], keep[:3], 1.0), ValueError, "C-contiguous x"),
        (lambda: masked_scale(launch, x[:3], keep[::2], 1.0), ValueError, "C-contiguous keep"),
        (lambda: masked_scale(launch, x, keep[:3], 1.0), ValueError, r"keep of shape \(6,\)"),
        (lambda: masked_scale(launch, x, x, 1.0), TypeError, "keep of dtype bool, got float32"),
        (lambda: masked_scale(launch, x, keep, x), TypeError, "a number as scale, got"),
        (lambda: keep_mask(launch, keep, state, 1.1), ValueError, "p from 0 to 1, got 1.1"),
        (lambda: keep_mask(launch, keep, state, -0.1), ValueError, "got -0.1"),
        (lambda: keep_mask(launch, keep, state, float("nan")), ValueError, "got nan"),
        (lambda: keep_mask(launch, x, state, 0.0), TypeError, "out of dtype bool, got float32"),
        (lambda: keep_mask(launch, keep[::2], state, 0.0), ValueError, "make a .copy"),
        (lambda: keep_mask_after(launch, keep, x, 0, 0.0), TypeError, "state of dtype uint64"),
        (lambda: keep_mask_after(launch, keep, keep, 0, 2.0), ValueError, "p from 0 to 1, got 2"),
        (lambda: advance(launch, x, 1), TypeError, "state of dtype uint64, got float32"),
    ]
    for call, error, words in cases:
        with pytest.raises(error, match=words):
            call()
    assert not cpu.launched


def test_every_kernel_of_the_file_is_launched_by_some_wrapper(cpu: Any) -> None:
    launch = Launcher(cpu.load)
    keep = keep_mask(launch, cpu.empty((6,), np.bool_), (1, 2, 3), 0.0)
    keep_mask_after(launch, keep, memory := cpu.array(np.zeros(3, np.uint64)), 0, 0.0)
    advance(launch, memory, 1)
    for dtype in FLOATS:
        masked_scale(launch, cpu.array(numbers(6, dtype)), keep, 1.0)
    assert set(cpu.launched) == set(dropout.SOURCE.kernels)
