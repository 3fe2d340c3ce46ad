"""The kernel that gathers a batch of a data set of bytes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from minigrad.kernels import Launcher, gather, wrong_row
from minigrad.kernels.gather import gather_rows
from tests.kernels import definitions
from tests.kernels.arrays import assert_same_bits
from tests.kernels.definitions import new_flag, wrong_index

INDICES = (np.int32, np.int64)


def images(n: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(n).integers(0, 256, (n, *shape), np.uint8)


@pytest.mark.parametrize("dtype", INDICES)
@pytest.mark.parametrize("batch", [0, 1, 3, 4, 7, 33])
@pytest.mark.parametrize("shape", [(28, 28), (1,), (3,), (257,), (), (0,)])
def test_a_batch_is_that_of_the_definition_in_one_launch(
    device: Any, launch: Launcher, shape: tuple[int, ...], batch: int, dtype: Any
) -> None:
    data = images(50, *shape)
    index = np.random.default_rng(batch).integers(-50, 50, batch).astype(dtype)
    there = device.array(data)
    wrong = new_flag(there)
    out = gather_rows(launch, there, device.array(index), wrong)
    assert_same_bits(out.get(), definitions.gather_rows(data, index, np.zeros(1, np.uint64)))
    assert len(device.launched) == (out.size > 0)
    assert wrong_index(wrong) is None


def test_all_bytes_become_what_the_data_set_makes_of_them(device: Any, launch: Launcher) -> None:
    data = np.arange(256, dtype=np.uint8).reshape(256, 1)
    there = device.array(data)
    out = gather_rows(launch, there, device.array(np.arange(256)), new_flag(there))
    assert_same_bits(out.get(), data / np.float32(255))
    out = gather_rows(launch, there, device.array(np.arange(256)), new_flag(there), divisor=3.0)
    assert_same_bits(out.get(), data / np.float32(3))


def test_a_row_may_have_more_pieces_than_a_grid_is_high() -> None:
    """Nothing is launched: 16 TB are planned for; a grid's second dimension ends at 65,535."""
    index, flag = (np.dtype(np.int64), (5,), (8,), 0), (np.dtype(np.uint64), (1,), (8,), 0)
    for columns, pieces in (2**40, 2**32), (256 * 70_000 - 3, 70_000):
        images = np.dtype(np.uint8), (9, columns), (columns, 1), 0
        plan = gather._plan(images, index, flag, 255.0)
        assert plan.grid == (5 * pieces,)


@pytest.mark.parametrize("dtype", INDICES)
@pytest.mark.parametrize(
    ("bad", "reported"), [([50], 50), ([50, 99, 51], 99), ([-51], -51), ([-53, 99, -51], -51)]
)
def test_an_index_out_of_range_does_not_wrap(
    device: Any, launch: Launcher, bad: list[int], reported: int, dtype: Any
) -> None:
    data, index = images(50, 300), np.array([0, *bad, 49], dtype)
    there, expected = device.array(data), np.zeros(1, np.uint64)
    wrong = new_flag(there)
    out = gather_rows(launch, there, device.array(index), wrong).get()
    assert_same_bits(out, definitions.gather_rows(data, index, expected))
    assert_same_bits(wrong.get(), expected)
    assert np.isnan(out[1:-1]).all()
    assert not np.isnan(out[[0, -1]]).any()
    message = f"index {reported} is out of bounds for a data set of 50 examples"
    assert str(wrong_row(50)(int(wrong.get()[0]))) == message


def test_wrappers_name_what_they_cannot_take(cpu: Any) -> None:
    launch = Launcher(cpu.load)
    data, index = cpu.array(images(6, 4)), cpu.array(np.zeros(3, np.int64))
    wrong = new_flag(data)
    cases: list[tuple[tuple[Any, ...], type[Exception], str]] = [
        ((cpu.array(np.ones((6, 4))), index, wrong), TypeError, "data of dtype uint8, got float64"),
        (
            (data, cpu.array(np.zeros(3, np.uint8)), wrong),
            TypeError,
            "index of dtype int32 or int64",
        ),
        ((data, cpu.array(np.zeros((3, 1), int)), wrong), ValueError, "1-D index"),
        ((cpu.array(images(0, 4)), index, wrong), ValueError, "data with rows"),
        ((data[:, :2], index, wrong), ValueError, "C-contiguous data"),
        ((data, index, index), TypeError, "wrong of dtype uint64, got int64"),
    ]
    for arguments, error, words in cases:
        with pytest.raises(error, match=words):
            gather_rows(launch, *arguments)
    assert not cpu.launched


def test_every_kernel_of_the_file_is_launched_by_some_wrapper(cpu: Any) -> None:
    data = cpu.array(images(6, 4))
    for dtype in INDICES:
        gather_rows(Launcher(cpu.load), data, cpu.array(np.zeros(3, dtype)), new_flag(data))
    assert set(cpu.launched) == set(gather.SOURCE.kernels)
