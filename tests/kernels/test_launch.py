"""Launching: what compiles is asked once, and what is in the files is what is announced."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minigrad.kernels
from minigrad.kernels import (
    OPTIONS,
    SOURCES,
    Launcher,
    Plan,
    check_indices,
    masked_scale,
    sgd_step,
)
from minigrad.kernels.index import INDICES
from minigrad.kernels.launch import check, contiguous, groups, layout
from minigrad.kernels.sgd import TENSORS
from tests.kernels.cuda_on_cpu import Device
from tests.kernels.definitions import new_flag, set_flag, wrong_index

FOLDER = Path(minigrad.kernels.__file__).parent


class Recorder:
    """What compiles, and a module; it writes down what it is asked."""

    def __init__(self) -> None:
        self.loads: list[tuple[str, tuple[str, ...], tuple[str, ...]]] = []
        self.functions: list[str] = []
        self.launches: list[tuple[Any, ...]] = []

    def load(self, *arguments: Any) -> Recorder:
        self.loads.append(arguments)
        return self

    def get_function(self, name: str) -> Any:
        self.functions.append(name)
        return lambda *arguments: self.launches.append((name, *arguments))


def test_a_file_is_compiled_when_first_needed_and_once() -> None:
    recorder = Recorder()
    launch = Launcher(recorder.load)
    assert not recorder.loads
    source = SOURCES[0]
    for kernel in source.kernels[:2] * 3:
        launch(Plan(source, kernel, (2,), (32,), (np.int64(2),)), (1,), (np.int32(3),))
    assert recorder.loads == [(source.text(), OPTIONS, source.kernels)]
    assert recorder.functions == list(source.kernels[:2])
    assert recorder.launches == [(k, (2,), (32,), (1, 2, 3)) for k in source.kernels[:2] * 3]
    launch(Plan(SOURCES[1], SOURCES[1].kernels[0], (1,), (1,)), ())
    assert len(recorder.loads) == 2


def test_an_empty_grid_is_not_launched() -> None:
    recorder = Recorder()
    for grid in (0,), (0, 3), (3, 0):
        Launcher(recorder.load)(Plan(SOURCES[0], SOURCES[0].kernels[0], grid, (32,)), ())
    assert not recorder.launches


def test_every_file_and_every_kernel_in_it_is_announced() -> None:
    assert {source.file for source in SOURCES} == {path.name for path in FOLDER.glob("*.cu")}
    for source in SOURCES:
        defined = set(re.findall(r"__global__ void (\w+)\(", source.text()))
        assert {name.partition("<")[0] for name in source.kernels} == defined
        assert len(set(source.kernels)) == len(source.kernels)


def test_no_source_includes_anything() -> None:
    for source in SOURCES:
        assert "#include" not in source.text()


@pytest.mark.parametrize(("n", "size", "count"), [(0, 8, 0), (1, 8, 1), (8, 8, 1), (9, 8, 2)])
def test_groups_hold_what_is_to_be_held(n: int, size: int, count: int) -> None:
    assert groups(n, size) == count


def test_arrays_on_different_devices_are_refused() -> None:
    x, y = (layout(Device(number).array(np.zeros(3))) for number in (0, 1))
    check("f", x=x, y=x, z=None)
    with pytest.raises(RuntimeError, match=r"two devices, cuda:0 and cuda:1! \(argument y of f\)"):
        check("f", x=x, y=y)


def test_a_plan_for_one_layout_is_none_for_another() -> None:
    """Each differs from the first in one respect only; what was found out of it must not do."""
    launch, device = Launcher(Recorder().load), Device()
    x = device.array(np.zeros((4, 4), np.float32))
    keep, elsewhere = (Device(i).array(np.ones((4, 4), np.bool_)) for i in (0, 1))
    integers = device.array(np.zeros((4, 4), np.int32))
    view = device.array(np.zeros((8, 4), np.float32))[::2]
    for _ in range(2):
        masked_scale(launch, x, keep, 1.0)
        with pytest.raises(TypeError, match="int32"):
            masked_scale(launch, integers, keep, 1.0)
        with pytest.raises(ValueError, match="C-contiguous"):
            masked_scale(launch, view, keep, 1.0)
        with pytest.raises(RuntimeError, match="same device"):
            masked_scale(launch, x, elsewhere, 1.0)


def test_a_launch_has_addresses_of_its_own_though_plans_are_shared_by_threads() -> None:
    recorder, device = Recorder(), Device()
    launch, flag = Launcher(recorder.load), device.array(np.zeros(1, np.uint64))
    integers = [device.array(np.zeros(3, np.int64)) for _ in range(2)]
    floats = [device.array(np.zeros(3, np.float32)) for _ in range(2)]
    for index, x in zip(integers, floats, strict=True):
        check_indices(launch, [index], [3], flag)
        sgd_step(launch, [x], [x], None, (), 0.1)
    tables = [arguments[0] for *_, arguments in recorder.launches]
    assert [t.view(INDICES)["at"][0] for t in tables[::2]] == [i.data.ptr for i in integers]
    assert [t.view(TENSORS)["parameter"][0] for t in tables[1::2]] == [x.data.ptr for x in floats]


@pytest.mark.parametrize(
    ("wrong", "reported"),
    [([], None), ([5], 5), ([5, 9, 7], 9), ([-1], -1), ([-7, 3, -2], -2), ([2**63 - 1], 2**63 - 1),
     ([-(2**63)], -(2**63))],
)  # fmt: skip
def test_a_flag_holds_the_largest_wrong_index_negative_ones_above_all(
    wrong: list[int], reported: int | None
) -> None:
    flag = new_flag(np.zeros(()))
    set_flag(flag, np.array(wrong, np.int64))
    assert wrong_index(flag) == reported
    set_flag(flag, np.zeros(0, np.int64))
    assert wrong_index(flag) == reported


A = np.zeros((4, 3, 2, 5), np.float32)


@pytest.mark.parametrize(
    "view",
    [
        *(A, A.T, A[::2], A[:, :1], A[..., ::-1], A[1:2], A[:, 0], A[..., 0], A[..., :1]),
        *(A[:1, :1, :1, :1], A[0, 0, 0, 0], A[:0], A[:, :, :0].T, A.swapaxes(1, 2), A[:, None]),
        *(np.broadcast_to(A, (2, *A.shape)), np.broadcast_to(A, (1, *A.shape))),
    ],
    ids=lambda view: f"shape {view.shape} strides {view.strides}",
)
def test_contiguous_is_what_numpy_says(view: np.ndarray) -> None:
    array = view.dtype, view.shape, view.strides, 0
    assert contiguous(array) == view.flags.c_contiguous
