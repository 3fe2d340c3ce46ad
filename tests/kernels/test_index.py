"""The kernel that checks indices: those out of range are found, whatever their dtype and number."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from minigrad.kernels import Launcher, check_indices, index, wrong_place
from tests.kernels import definitions
from tests.kernels.definitions import new_flag, wrong_index

DTYPES = (np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64)


def flags(device: Any, launch: Launcher, indices: list[Any], sizes: list[int]) -> tuple[Any, Any]:
    """Return the word that the kernel leaves, and the one of the definition."""
    there = [device.array(i) for i in indices]
    wrong, expected = new_flag(there[0]), np.zeros(1, np.uint64)
    check_indices(launch, there, sizes, wrong)
    definitions.check_indices(indices, sizes, expected)
    return wrong.get(), expected


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [0, 1, 255, 257, 1000])
def test_the_flag_is_that_of_the_definition(
    device: Any, launch: Launcher, n: int, dtype: Any
) -> None:
    info = np.iinfo(dtype)
    for size, low, high in ((100, -100, 99), (1, -1, 0), (90, -100, 99)):
        values = np.random.default_rng(n).integers(max(low, info.min), high, n, endpoint=True)
        found, expected = flags(device, launch, [values.astype(dtype)], [size])
        assert found == expected
        assert (found == 0) == (size != 90 or n == 0 or bool((np.abs(values) < 90).all()))


@pytest.mark.parametrize(
    ("values", "size", "reported"),
    [([0, 3], 3, 3), ([-4, 9], 3, -4), ([-3, 2], 3, None), ([7, 5, 6], 5, 7), ([1], 1, 1)],
)
def test_the_largest_wrong_index_is_reported_negative_ones_first(
    device: Any, launch: Launcher, values: list[int], size: int, reported: int | None
) -> None:
    flag, _ = flags(device, launch, [np.array(values)], [size])
    assert wrong_index(flag) == reported
    assert len(device.launched) == 1


def test_many_arrays_are_checked_in_one_launch_each_for_its_own_size(
    device: Any, launch: Launcher
) -> None:
    indices = [np.full((2, 3), i, np.int32 if i % 2 else np.int64) for i in range(index.MOST)]
    sizes = [i + 1 for i in range(index.MOST)]
    found, expected = flags(device, launch, indices, sizes)
    assert found == expected == 0
    sizes[3] = 3
    found, expected = flags(device, launch, indices, sizes)
    assert found == expected == 3
    assert len(device.launched) == 2


def test_integers_of_every_size_are_read_to_their_last_bit(device: Any, launch: Launcher) -> None:
    for dtype in DTYPES:
        info = np.iinfo(dtype)
        ends = np.array([info.min, info.max], dtype)
        found, expected = flags(device, launch, [ends], [1])
        assert found == expected != 0


def test_the_message_names_the_dimension_and_both_where_it_may_be_either() -> None:
    error = wrong_place(((0, 3), (2, 10)))
    assert str(error(5)) == "index 5 is out of bounds for dimension 0 with size 3"
    assert str(error(2**64 - 11)) == (
        "index -11 is out of bounds for dimension 0 with size 3 or 2 with size 10"
    )
    assert isinstance(error(5), IndexError)


def test_the_wrapper_names_what_it_cannot_take(cpu: Any) -> None:
    launch, i = Launcher(cpu.load), cpu.array(np.zeros(3, np.int64))
    wrong = new_flag(i)
    cases: list[tuple[tuple[Any, ...], str]] = [
        (([cpu.array(np.zeros(3))], [4], wrong), "takes integers .* got indices.0. of dtype float"),
        (([i], [0], wrong), "sizes of at least 1"),
        (([], [], wrong), "takes 1 to 8 arrays, got 0"),
        (([i] * 9, [3] * 9, wrong), "takes 1 to 8 arrays, got 9"),
        (([i[::2]], [3], wrong), r"C-contiguous indices\[0\]"),
        (([i], [3], i), "wrong of dtype uint64"),
    ]
    for arguments, words in cases:
        with pytest.raises((TypeError, ValueError), match=words):
            check_indices(launch, *arguments)
    assert not cpu.launched


def test_every_kernel_of_the_file_is_launched_by_some_wrapper(cpu: Any) -> None:
    i = cpu.array(np.zeros(3, np.int64))
    check_indices(Launcher(cpu.load), [i], [3], new_flag(i))
    assert set(cpu.launched) == set(index.SOURCE.kernels)
