"""Bugs planted in the real kernels: the harness stops each of them, or its result is wrong."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pytest

from minigrad.kernels import (
    SOURCES,
    Launcher,
    check_indices,
    cross_entropy_backward,
    cross_entropy_forward,
    gather_rows,
    keep_mask,
    masked_scale,
    relu_forward,
    sgd_step,
    sum_rows,
)
from tests.kernels.arrays import numbers
from tests.kernels.cuda_on_cpu import Device, KernelError, Module
from tests.kernels.definitions import new_flag

TEXT = {source.file: source.text() for source in SOURCES}


def mask(cpu: Device, launch: Launcher) -> None:
    keep_mask(launch, cpu.empty((901,), np.bool_), (1, 2, 3), 0.3)


def skewed_mask(cpu: Device, launch: Launcher) -> None:
    keep_mask(launch, cpu.empty((1024,), np.bool_, 4), (1, 2, 3), 0.3)


def scale(cpu: Device, launch: Launcher) -> None:
    keep = cpu.array(np.ones(901, np.bool_))
    masked_scale(launch, cpu.array(numbers(901, np.float32)), keep, 2.0)


def skewed_scale(cpu: Device, launch: Launcher) -> None:
    keep = cpu.array(np.ones(1024, np.bool_))
    masked_scale(launch, cpu.array(numbers(1024, np.float32), 1), keep, 2.0)


def cross_entropy(cpu: Device, launch: Launcher) -> None:
    x = cpu.array(numbers((5, 10), np.float32))
    labels = cpu.array(np.array([0, 1, -100, 9, 12]))
    weight = cpu.array(np.ones(10, np.float32))
    cross_entropy_forward(launch, x, labels, new_flag(x), weight)
    cross_entropy_backward(launch, cpu.array(np.float32(1)), x, labels, weight)


def sgd(cpu: Device, launch: Launcher) -> None:
    some = [[cpu.array(numbers(n, np.float32)) for n in (5, 2049)] for _ in range(2)]
    buffers = [cpu.empty((n,), np.float32) for n in (5, 2049)]
    sgd_step(launch, *some, buffers, [True, True], lr=0.1, momentum=0.9)


def relu(cpu: Device, launch: Launcher) -> None:
    relu_forward(launch, cpu.array(numbers(70, np.float32)))


def sums(cpu: Device, launch: Launcher) -> None:
    sum_rows(launch, cpu.array(numbers((70, 33), np.float32)), 1)


def gather(cpu: Device, launch: Launcher) -> None:
    data = cpu.array(np.zeros((5, 300), np.uint8))
    gather_rows(launch, data, cpu.array(np.array([0, 4, 5])), new_flag(data))


def index(cpu: Device, launch: Launcher) -> None:
    wrong = new_flag(cpu.array(np.zeros(1)))
    check_indices(launch, [cpu.array(np.arange(300)), cpu.array(np.zeros(5, int))], [300, 2], wrong)


EARLY = "with no barrier in between|nobody has written"
SYNC = "    __syncthreads();\n"
READ = "  // the last sum has been read\n"
HALF = "        if ((int)threadIdx.y < half)\n"
#: In which file stands what, what takes its place, what use shows it, and as what.
BUGS = {
    "a whole pack of the mask beyond its end": (
        *("dropout.cu", "first + N <= end &&", "first < end &&", mask, "which has 901"),
    ),
    "a whole pack of the values beyond their end": (
        *("dropout.cu", "first + N <= end &&", "first < end &&", scale, "which has 901"),
    ),
    "a mask beyond its end": (
        *("dropout.cu", "if (first + j < end) array", "array", mask, "byte 901 of argument 0"),
    ),
    "values beyond their end": (
        *("dropout.cu", "if (first + j < end) array", "array", scale, "byte 3604 of argument 2"),
    ),
    "a mask read beyond its end": (
        *("dropout.cu", "if (first + j < end) pack", "pack", scale, "byte 901 of argument 1"),
    ),
    "a pack of a mask that is not aligned": (
        *("dropout.cu", "% sizeof(Pack<T, N>) == 0", "% 4 == 0", skewed_mask, "not aligned"),
    ),
    "a pack of values that are not aligned": (
        *("dropout.cu", "% sizeof(Pack<T, N>) == 0", "% 4 == 0", skewed_scale, "not aligned"),
    ),
    "no barrier before the last sum": (
        *("cross_entropy.cu", SYNC + "    double total", "    double total", cross_entropy, EARLY),
    ),
    "no barrier after the last sum": (
        *("cross_entropy.cu", "    __syncthreads();" + READ, ""),
        *(cross_entropy, "no barrier in between"),
    ),
    "a row too many": (
        *("cross_entropy.cu", "if (row >= rows)", "if (row > rows)", cross_entropy, "byte 40 of"),
    ),
    "a class too large": (
        *("cross_entropy.cu", "label < classes", "label < classes + 9"),
        *(cross_entropy, "byte 48 of argument 2"),
    ),
    "all threads write what one has to": (
        *("cross_entropy.cu", "    if (threadIdx.x != 0) return;\n", ""),
        *(cross_entropy, "what thread"),
    ),
    "a chunk beyond the end of its tensor": (
        *("sgd.cu", "start + CHUNK < all.size[t]", "start + CHUNK"),
        *(sgd, "of argument 0, which has 20"),
    ),
    "a fresh buffer that is read": ("sgd.cu", "= fresh ?", "= !fresh ?", sgd, "nobody has written"),
    "an element too many": (
        *("relu.cu", "if (i < n) y", "if (i <= n) y", relu, "byte 280 of argument 0"),
    ),
    "no barrier before the halves": ("sums.cu", "    " + SYNC, "", sums, EARLY),
    "a barrier for half of the threads": (
        *("sums.cu", "    " + SYNC + HALF, HALF + "    " + SYNC + HALF, sums, "is stuck"),
    ),
    "columns beyond the last": ("sums.cu", "    if (c < columns)\n", "", sums, "argument 0"),
    "each row writes the sum": (
        *("sums.cu", "threadIdx.y == 0 && ", "", sums, "reads what thread .* writes"),
    ),
    "a column too many": (
        *("gather.cu", "(j >= columns)", "(j > columns)", gather, "at byte|writes what thread"),
    ),
    "an index too many": (
        *("index.cu", "i < all.count[a];", "i <= all.count[a];"),
        *(index, "reads 8 bytes at byte 40 of"),
    ),
    "an index one too large": (
        *("gather.cu", "row >= rows", "row > rows", gather, "byte 1500 of argument 0"),
    ),
}
USES = {use.__name__: use for *_, use, _ in BUGS.values()}


@pytest.mark.parametrize("name", USES)
def test_without_a_bug_nothing_is_stopped(cpu: Device, name: str) -> None:
    USES[name](cpu, Launcher(cpu.load))


@pytest.mark.parametrize(("file", "there", "instead", "use", "message"), BUGS.values(), ids=BUGS)
def test_a_bug_in_a_kernel_is_stopped(
    cpu: Device,
    file: str,
    there: str,
    instead: str,
    use: Callable[[Device, Launcher], None],
    message: str,
) -> None:
    assert TEXT[file].count(there) == 1

    def load(source: str, options: tuple[str, ...], names: tuple[str, ...]) -> Module:
        used = [n for n in names if not re.search("double|float16|int", n)]  # quicker to compile
        return cpu.load(source.replace(there, instead), options, tuple(used))

    with pytest.raises(KernelError, match=message) as stopped:
        use(cpu, Launcher(load))
    assert "g++" not in str(stopped.value)
