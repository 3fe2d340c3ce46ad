"""The devices that kernels are tested on: this CPU, always, and a GPU where there is one."""

from __future__ import annotations

import os
from typing import Any

import pytest

from minigrad.device import cuda_status
from minigrad.kernels import Launcher
from tests.kernels import cuda_on_cpu
from tests.kernels.cuda_on_gpu import Gpu


@pytest.fixture
def cpu() -> cuda_on_cpu.Device:
    """A GPU made of this CPU; without g++, the test that asks is skipped."""
    if reason := cuda_on_cpu.missing():
        pytest.skip(reason)
    return cuda_on_cpu.Device()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run what asks for a ``device`` on the GPU too, if there is one or has to be one."""
    if "device" in metafunc.fixturenames:
        here = pytest.param("on the CPU", id=getattr(pytest, "HIDDEN_PARAM", "CPU"))
        devices: list[Any] = [here]
        if cuda_status()[0] or os.environ.get("MINIGRAD_REQUIRE_GPU") == "1":
            devices.append(pytest.param("on a GPU", id="GPU", marks=pytest.mark.gpu))
        metafunc.parametrize("device", devices, indirect=True)


@pytest.fixture
def device(request: pytest.FixtureRequest) -> Any:
    """What a kernel is tested on."""
    return request.getfixturevalue("cpu") if request.param == "on the CPU" else gpu()


def gpu() -> Gpu:
    """Return the GPU; without one, fail if it has to be there, else skip."""
    usable, reason = cuda_status()
    if not usable:
        (pytest.fail if os.environ.get("MINIGRAD_REQUIRE_GPU") == "1" else pytest.skip)(reason)
    return Gpu()


@pytest.fixture
def launch(device: Any) -> Launcher:
    """A launcher for the device."""
    return Launcher(device.load)
