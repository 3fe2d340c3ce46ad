"""The kernel that sums over rows, as the gradient of a bias is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from minigrad.kernels import Launcher, sums
from minigrad.kernels.sums import sum_rows
from tests.kernels import definitions
from tests.kernels.arrays import numbers

FLOATS = (np.float32, np.float64)
SHAPES = [(1, 1), (4, 0), (3, 7), (7, 3), (8, 32), (9, 33), (31, 31), (33, 65), (256, 256)]
SHAPES += [(1023, 2), (2, 1023), (2, 3, 5), (8192, 1)]


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", SHAPES)
def test_sums_are_those_of_the_definition_in_one_launch(
    device: Any, launch: Launcher, shape: tuple[int, ...], dtype: Any
) -> None:
    x = numbers(shape, dtype)
    for lead in range(1, len(shape)):
        found, defined = (
            sum_rows(launch, device.array(x), lead).get(),
            definitions.sum_rows(x, lead),
        )
        assert (found.shape, found.dtype) == (defined.shape, dtype)
        exact = definitions.sum_rows(x.astype(np.longdouble), lead)
        in_a_row = definitions.sum_rows(np.abs(x).astype(np.longdouble), lead)
        # no sum is of more than 2**8 in a row and 2**5 in a tree
        assert (np.abs(found - exact) <= 300 * np.finfo(dtype).eps * in_a_row).all()
    assert len(device.launched) == (len(shape) - 1 if x.size else 0)


def test_a_nan_reaches_the_sum_of_its_column_and_no_other(device: Any, launch: Launcher) -> None:
    x = numbers((70, 40), np.float32)
    x[69, 33] = np.nan
    found = sum_rows(launch, device.array(x, 1), 1).get()
    assert np.flatnonzero(np.isnan(found)).tolist() == [33]


def test_wrappers_name_what_they_cannot_take(cpu: Any) -> None:
    launch = Launcher(cpu.load)
    x, half = cpu.array(numbers((6, 4), np.float32)), cpu.array(numbers((6, 4), np.float16))
    tall = cpu.array(numbers((8193, 1), np.float32))
    cases: list[tuple[Any, type[Exception], str]] = [
        (lambda: sum_rows(launch, half, 1), TypeError, "x of dtype float32 or float64"),
        (lambda: sum_rows(launch, x[:, :2], 1), ValueError, "C-contiguous x"),
        (lambda: sum_rows(launch, x, 0), ValueError, "over its first 0"),
        (lambda: sum_rows(launch, x, 2), ValueError, "leaves some"),
        (lambda: sum_rows(launch, x[:0], 1), ValueError, "1 to 8192 rows"),
        (lambda: sum_rows(launch, tall, 1), ValueError, "1 to 8192 rows"),
    ]
    for call, error, words in cases:
        with pytest.raises(error, match=words):
            call()
    assert not cpu.launched


def test_every_kernel_of_the_file_is_launched_by_some_wrapper(cpu: Any) -> None:
    for dtype in FLOATS:
        sum_rows(Launcher(cpu.load), cpu.array(numbers((2, 3), dtype)), 1)
    assert set(cpu.launched) == set(sums.SOURCE.kernels)
