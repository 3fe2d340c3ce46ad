"""The harness: every mistake that it is for is caught, and what is right is left alone."""

from __future__ import annotations

import platform
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minigrad.kernels import OPTIONS
from minigrad.kernels.launch import NULL
from tests.kernels.arrays import numbers
from tests.kernels.conftest import gpu
from tests.kernels.cuda_on_cpu import CANARY, GUARD, Device, KernelError, Module
from tests.kernels.definitions import new_flag

BUGS = (Path(__file__).parent / "bugs.cu").read_text()
NAMES = tuple(re.findall(r"^__global__ void (\w+)\(", BUGS, re.MULTILINE))
BLOCK = 64
#: What a read before a barrier that is missing is called, after the write and before it.
EARLY = r"what thread .* writes, with no barrier in between|reads what nobody has written"


@pytest.fixture
def bugs(cpu: Device) -> Module:
    return cpu.load(BUGS, OPTIONS, NAMES)


def line_of(text: str, after: str) -> int:
    """Return the number of the first line with a text, from a function's own on."""
    lines = BUGS.splitlines()
    start = next(i for i, line in enumerate(lines) if after in line)
    return next(i for i, line in enumerate(lines, 1) if i > start and text in line)


# ------------------------------------------------------------------------- memory


def on_two(cpu: Device, bugs: Module, name: str, n: int = 100, **skews: int) -> np.ndarray:
    """Run a kernel of (x, y, n) on one array read and one array written."""
    x = cpu.array(numbers(n, np.float32), skews.get("x", 0))
    y = cpu.empty((n,), np.float32, skews.get("y", 0))
    bugs.get_function(name)((4,), (32,), (x, y, np.int32(n)))
    np.testing.assert_array_equal(y.get(), x.get())
    return y.get()


@pytest.mark.parametrize("n", [1, 3, 100, 128])
def test_a_right_kernel_passes(cpu: Device, bugs: Module, n: int) -> None:
    on_two(cpu, bugs, "copied", n, x=1, y=3)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "copied_one_too_many",
            "thread (4, 0, 0) of block (3, 0, 0) writes 4 bytes at byte 400 of",
        ),
        pytest.param(
            *("copied_one_too_many", "of argument 1, which has 400"),
            id="copied_one_too_many, and what it holds",
        ),
        ("read_one_too_many", "reads 4 bytes at byte 400 of argument 0, which has 400"),
        (
            "written_before_the_start",
            "thread (0, 0, 0) of block (0, 0, 0) writes 4 bytes at byte -4",
        ),
        ("written_to_what_is_const", "writes to argument 0, which is const"),
        ("written_from_afar", "thread (0, 0, 0) of block (0, 0, 0) writes 4 bytes at byte "),
        ("set_one_too_many", "writes outside of its arrays"),
        ("read_before_it_is_written", "reads what nobody has written"),
    ],
)
def test_an_access_that_no_kernel_may_make_is_caught(
    cpu: Device, bugs: Module, name: str, message: str
) -> None:
    with pytest.raises(KernelError, match=re.escape(message)):
        on_two(cpu, bugs, name)


def test_an_access_through_null_is_caught(cpu: Device, bugs: Module) -> None:
    kernel, y = bugs.get_function("through_null"), cpu.empty((3,), np.float32)
    with pytest.raises(KernelError, match=r"null or not aligned|reads 4 bytes"):
        kernel((1,), (32,), (NULL, y, np.int32(3)))


def test_a_host_array_is_no_device_array(cpu: Device, bugs: Module) -> None:
    kernel, x = bugs.get_function("copied"), cpu.array(numbers(3, np.float32))
    with pytest.raises(TypeError, match="argument 1 of copied, float\\*: got ndarray"):
        kernel((1,), (32,), (x, numbers(3, np.float32), np.int32(3)))


def test_a_bad_access_is_stopped_before_it_happens(cpu: Device, bugs: Module) -> None:
    x, y = cpu.array(np.ones(100, np.float32)), cpu.array(np.zeros(100, np.float32))
    with pytest.raises(KernelError, match="byte 200 of argument 1"):
        bugs.get_function("copied_one_too_many")((4,), (32,), (x, y[:50], np.int32(50)))
    assert y.get()[49] == 1
    assert y.get()[50] == 0


@pytest.mark.parametrize("skew", [0, 1, 2, 3])
def test_moving_sixteen_bytes_at_once_needs_their_alignment(
    cpu: Device, bugs: Module, skew: int
) -> None:
    if skew == 0:
        on_two(cpu, bugs, "copied_by_fours")
        on_two(cpu, bugs, "copied_by_fours", x=4, y=8)
        return
    for skews in {"x": skew}, {"y": skew}:
        with pytest.raises(KernelError, match="pointer that is null or not aligned at line"):
            on_two(cpu, bugs, "copied_by_fours", **skews)


def test_moving_at_once_is_checked_to_its_last_byte(cpu: Device, bugs: Module) -> None:
    with pytest.raises(KernelError, match=r"of argument \d, which has 396"):
        on_two(cpu, bugs, "copied_by_fours", n=99)


def test_undefined_behavior_is_caught(cpu: Device, bugs: Module) -> None:
    x, y = cpu.array(np.zeros(64, np.float32)), cpu.empty((64,), np.float32)
    cases = [
        ("indexed_beyond_a_local_array", 4, "array index out of range"),
        ("shifted_too_far", 32, "shift out of range"),
    ]
    for name, n, message in cases:
        line = line_of("[n +" if n == 4 else "<< n", name)
        with pytest.raises(KernelError, match=f"{message} at line {line}"):
            bugs.get_function(name)((1,), (1,), (x, y, np.int32(n)))


def test_what_nobody_has_written_cannot_be_fetched(cpu: Device, bugs: Module) -> None:
    x, y = cpu.array(numbers(100, np.float32)), cpu.empty((100,), np.float32)
    bugs.get_function("copied")((3,), (32,), (x, y, np.int32(100)))
    assert y[:96].get().shape == (96,)
    with pytest.raises(KernelError, match="nobody has written some elements"):
        y.get()


def test_canaries_sit_on_both_sides(cpu: Device) -> None:
    allocation = cpu.empty((5,), np.float32, skew=1).allocation
    assert allocation.begin % 256 == 4
    for side, where in (allocation._outside[0], -1), (allocation._outside[1], 0):
        assert side.size >= GUARD
        assert allocation.intact
        side[where] ^= 1
        assert not allocation.intact
        side[where] = CANARY


# ------------------------------------------------------------------------- barriers and warps


def on_one(cpu: Device, bugs: Module, name: str, blocks: int = 1) -> np.ndarray:
    """Run a kernel of (x), on a block of 64."""
    x = cpu.array(np.arange(BLOCK, dtype=np.float32))
    bugs.get_function(name)((blocks,), (BLOCK,), (x,))
    return x.get()


def test_barriers_and_shuffles_do_what_they_are_for(cpu: Device, bugs: Module) -> None:
    i = np.arange(BLOCK)
    expected = {
        "reversed_with_a_barrier": BLOCK - 1 - i,
        "turned_by_shuffles": i // 32 * 32 + (i + 1) % 32,
        "halves_shuffle_apart": i ^ np.where(i % 32 < 16, 1, 2),
        "neighbors_with_a_barrier": i ^ 1,
    }
    for name, x in expected.items():
        np.testing.assert_array_equal(on_one(cpu, bugs, name), x)


@pytest.mark.parametrize(
    "name",
    [
        "reversed_without_a_barrier",
        "summed_without_a_barrier",
        "neighbors_without_a_barrier",
        "a_warp_barrier_for_two_warps",
    ],
)
def test_a_missing_barrier_is_caught(cpu: Device, bugs: Module, name: str) -> None:
    with pytest.raises(KernelError, match=EARLY):
        on_one(cpu, bugs, name)


def test_a_missing_barrier_is_caught_even_where_the_schedule_hides_it(
    cpu: Device, bugs: Module
) -> None:
    cpu.schedules = [1]  # backwards: the thread that sums is the last to run
    with pytest.raises(KernelError, match=r"reads what thread .* writes, with no barrier"):
        on_one(cpu, bugs, "summed_without_a_barrier")


@pytest.mark.parametrize("schedule", range(3))
def test_a_write_is_kept_from_reads_before_it_as_from_reads_after_it(
    cpu: Device, bugs: Module, schedule: int
) -> None:
    cpu.schedules = [schedule]
    x = cpu.array(np.zeros(BLOCK, np.float32))
    for name, threads in (
        ("moved_in_place", BLOCK),
        ("written_while_the_warp_reads", 32),
        ("written_while_another_warp_reads", BLOCK),
    ):
        with pytest.raises(KernelError, match=r"(reads|writes) what .* with no barrier in between"):
            bugs.get_function(name)((1,), (threads,), (x,))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("half_of_a_barrier", "waits at the barrier of line LINE, and thread .* has returned"),
        ("left_before_the_barrier", r"barrier of line LINE, and thread \(5, 0, 0\) has returned"),
        ("left_between_two_rounds", r"barrier of line LINE, and thread \(5, 0, 0\) has returned"),
        ("two_barriers_at_once", r"barrier of line \d+, and thread .* barrier of line LINE"),
        ("shuffled_without_the_others", "shuffle of line LINE, and thread .* has returned"),
        ("shuffled_from_outside_the_mask", "line LINE lane 0 asks lane 16, which is not in"),
        ("shuffled_outside_the_own_mask", "waits at line LINE, but is not in its own mask"),
    ],
)
def test_waiting_for_who_never_comes_is_caught(
    cpu: Device, bugs: Module, name: str, message: str
) -> None:
    line = line_of("_sync" if "shuffled" in name else "__syncthreads", name)
    with pytest.raises(KernelError, match=message.replace("LINE", str(line))):
        on_one(cpu, bugs, name)


def test_shared_memory_is_new_in_each_block(cpu: Device, bugs: Module) -> None:
    with pytest.raises(KernelError, match=r"of block \(1, 0, 0\) reads what nobody has written"):
        on_one(cpu, bugs, "shared_memory_of_the_block_before", blocks=2)


def test_a_launch_after_a_failed_one_is_as_good_as_new(cpu: Device, bugs: Module) -> None:
    for name in "half_of_a_barrier", "reversed_without_a_barrier", "shuffled_without_the_others":
        with pytest.raises(KernelError):
            on_one(cpu, bugs, name)
        reverse = on_one(cpu, bugs, "reversed_with_a_barrier")
        np.testing.assert_array_equal(reverse, np.arange(BLOCK)[::-1])


# ------------------------------------------------------------------------- blocks and atomics


def test_blocks_that_write_the_same_word_are_caught(cpu: Device, bugs: Module) -> None:
    x, kernel = cpu.array(np.zeros(4, np.int32)), bugs.get_function("blocks_share_a_word")
    kernel((1,), (32,), (x,))
    with pytest.raises(KernelError, match=r"block \(1, 0, 0\) writes what .* of block \(0, 0, 0\)"):
        kernel((2,), (32,), (x,))


def test_atomics_of_many_blocks_are_right(cpu: Device, bugs: Module) -> None:
    x = cpu.array(np.zeros(1, np.int32))
    bugs.get_function("counted")((5,), (100,), (x,))
    assert x.get()[0] == 500
    flag = new_flag(x)
    bugs.get_function("largest")((5,), (100,), (flag,))
    assert flag.get()[0] == 100


def test_what_is_touched_atomically_is_not_to_be_read_meanwhile(cpu: Device, bugs: Module) -> None:
    x = cpu.array(np.zeros(2, np.int32))
    for schedule, words in enumerate(("writes what .* reads", "reads what .* writes")):
        cpu.schedules = [schedule]
        with pytest.raises(KernelError, match=words):
            bugs.get_function("counted_and_read")((2,), (1,), (x,))


def test_a_result_that_depends_on_the_order_of_arrival_is_caught(cpu: Device, bugs: Module) -> None:
    kernel = bugs.get_function("placed_by_arrival")
    for grid, block in ((1,), (32,)), ((32,), (1,)):
        x = cpu.array(np.zeros(33, np.int32))
        with pytest.raises(KernelError, match="the result depends on the schedule"):
            kernel(grid, block, (x,))


def test_the_schedules_order_threads_and_blocks_in_three_ways(cpu: Device, bugs: Module) -> None:
    kernel = bugs.get_function("placed_by_arrival")
    for grid, block in ((1,), (48,)), ((48,), (1,)), ((6,), (8,)):
        orders = []
        for schedule in range(3):
            cpu.schedules = [schedule]
            x = cpu.array(np.zeros(49, np.int32))
            kernel(grid, block, (x,))
            orders.append(tuple(x.get()[1:]))
        assert all(sorted(order) == list(range(48)) for order in orders)
        assert len(set(orders)) == 3
        assert orders[0] == tuple(range(48))
        assert orders[1] == tuple(range(47, -1, -1))


def test_an_atomic_on_floats_does_not_compile(cpu: Device) -> None:
    source = "__global__ void total(float* x) { atomicAdd(x, 1.0f); }"
    with pytest.raises(KernelError, match="no atomics on floats"):
        cpu.load(source, OPTIONS, ("total",))


# ------------------------------------------------------------------------- arguments


def test_an_argument_of_another_type_is_refused(cpu: Device, bugs: Module) -> None:
    kernel = bugs.get_function("copied")
    x, y, n = cpu.array(numbers(8, np.float32)), cpu.empty((8,), np.float32), np.int32(8)
    double, integers = cpu.array(numbers(8, np.float64)), cpu.array(np.zeros(8, np.int32))
    cases: list[tuple[tuple[Any, ...], str]] = [
        ((x, y, 8), r"argument 2 of copied, int: needs np\.int32, got int"),
        ((x, y, np.int64(8)), r"needs np\.int32, got int64"),
        ((x, y, np.uint32(8)), r"needs np\.int32, got uint32"),
        ((x, y, 8.0), r"needs np\.int32, got float"),
        ((double, y, n), r"argument 0 of copied, const float\*: got an array of float64"),
        ((x, integers, n), r"argument 1 of copied, float\*: got an array of int32"),
        ((x[::2], y, n), "not contiguous"),
        ((x, None, n), "got NoneType"),
        ((x, np.uint64(1), n), "got uint64"),
        ((x, y), "takes 3 arguments, got 2"),
        ((x, y, n, n), "takes 3 arguments, got 4"),
    ]
    for arguments, message in cases:
        with pytest.raises(TypeError, match=message):
            kernel((1,), (32,), arguments)


def test_structs_and_scalars_arrive_as_they_are(cpu: Device, bugs: Module) -> None:
    kernel = bugs.get_function("by_value")
    y = cpu.array(np.zeros(5, np.float32))
    pair = np.zeros((), np.dtype([("y", "u8"), ("n", "i4"), ("flag", "?")], align=True))
    pair["y"], pair["n"], pair["flag"] = y.data.ptr, 3, True
    scalars = np.float64(1.5), np.bool_(True), np.uint64(2**20), np.uint8(255)
    kernel((1,), (32,), (pair, *scalars))
    np.testing.assert_array_equal(y.get(), [2**20 + 256.5] * 3 + [0, 0])
    pair["n"] = 6
    with pytest.raises(KernelError, match="writes 4 bytes at byte 20 of argument 0, which has 20"):
        kernel((1,), (32,), (pair, *scalars))
    packed = np.zeros((), np.dtype([("y", "u8"), ("n", "i4"), ("flag", "?")]))
    with pytest.raises(TypeError, match="argument 0 of by_value, Pair: needs a 0-d NumPy array of"):
        kernel((1,), (32,), (packed, *scalars))


def test_grids_and_blocks_have_three_dimensions(cpu: Device, bugs: Module) -> None:
    x = cpu.empty((2 * 3 * 4, 5 * 6 * 7), np.int32)
    bugs.get_function("three_dimensions")((2, 3, 4), (5, 6, 7), (x,))
    np.testing.assert_array_equal(x.get(), np.add.outer(1000 * np.arange(24), np.arange(210)))


@pytest.mark.parametrize(
    ("grid", "block"),
    [((1,), (1025,)), ((1,), (32, 33)), ((1,), (1, 1, 65)), ((1, 65536), (1,)), ((0,), (32,))],
)
def test_a_launch_that_no_gpu_takes_is_refused(
    cpu: Device, bugs: Module, grid: tuple[int, ...], block: tuple[int, ...]
) -> None:
    x = cpu.array(np.zeros(1, np.int32))
    with pytest.raises(ValueError, match="no GPU launches"):
        bugs.get_function("counted")(grid, block, (x,))


def test_more_arguments_than_a_gpu_takes_are_refused(cpu: Device) -> None:
    source = "struct Big { char at[4090]; }; __global__ void big(Big, long long) {}"
    kernel = cpu.load(source, OPTIONS, ("big",))
    with pytest.raises(ValueError, match="more than 4096 bytes"):
        kernel.get_function("big")((1,), (1,), (np.zeros((), "V4090"), np.int64(0)))


@pytest.mark.skipif(platform.machine() != "x86_64", reason="flushing is done by SSE")
def test_denormals_are_flushed_where_that_is_asked_for(cpu: Device, bugs: Module) -> None:
    for block, flush in (3, True), (3, False), (5, False), (5, True), (3, True):
        cpu.flush = flush
        x = cpu.array(np.ones(block, np.float32))
        bugs.get_function("halved_often")((1,), (block,), (x, np.int32(130)))
        assert (x.get() == (0 if flush else 2.0**-130)).all()
    assert np.float32(2.0**-100) * np.float32(2.0**-30) > 0  # here nothing is flushed


def test_wrappers_can_use_no_more_of_numpy_than_they_say(cpu: Device) -> None:
    x = cpu.array(numbers(3, np.float32))
    assert type(x)((2, 2), np.bool_).shape == (2, 2)
    assert not np.zeros_like(x).get().any()
    for use in (lambda: np.sum(x), lambda: np.ones_like(x), lambda: np.add(x, x), lambda: x + x):
        with pytest.raises(TypeError):
            use()


@pytest.mark.gpu
def test_the_gpu_can_be_used() -> None:
    """Where it can, all tests of kernels run on it too."""
    assert gpu().array(numbers(3, np.float32)).get().shape == (3,)
