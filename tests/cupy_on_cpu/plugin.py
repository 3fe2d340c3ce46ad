"""For pytest: ``-p tests.cupy_on_cpu.plugin`` has the tests run on the real CuPy, on the CPU."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator

import pytest

from tests.cupy_on_cpu import install

#: How many launches of minigrad's kernels are watched in a test that is of something else: the
#: first step of a training says of its kernels what the hundredth would.
LOOKS = 100


@pytest.hookimpl(tryfirst=True)
def pytest_configure() -> None:
    install()


def pytest_report_header() -> str:
    import cupy

    count = cupy.cuda.runtime.getDeviceCount()
    return f"CuPy {cupy.__version__} on {count} devices that are this CPU"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what says something of a real GPU only."""
    left_out = [item for item in items if item.get_closest_marker("hardware")]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


@pytest.fixture(autouse=True)
def _closely_watched(request: pytest.FixtureRequest) -> Iterator[None]:
    """In tests of kernels watch all launches, and give each array memory whose bounds are known."""
    import cupy

    look_at = install().look_at
    look_at.argtypes = [ctypes.c_long]
    if "kernels" in request.path.parts:
        look_at(2**62)
        with cupy.cuda.using_allocator(None):
            yield
    else:
        look_at(LOOKS)
        yield
