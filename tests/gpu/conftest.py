"""Where the tests of this folder run: on the fake CuPy, and on a GPU where there is one.

``pytest -m gpu`` runs the latter only; with MINIGRAD_REQUIRE_GPU=1 a missing GPU is a failure.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from minigrad import cuda
from tests import fake_cupy
from tests.gpu.backend import FAKE, GPU, Backend
from tests.gpu.definitions import Definitions

REQUIRED = bool(os.environ.get("MINIGRAD_REQUIRE_GPU"))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what needs more GPUs than there are; one may be asked for and be missed."""
    one = REQUIRED or config.getoption("markexpr") or cuda.is_available()
    lacking = {"gpu": not one, "two_gpus": cuda.device_count() < 2}
    left_out = [i for i in items if any(lacking.get(m.name) for m in i.iter_markers())]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


@pytest.fixture
def fake() -> Iterator[Backend]:
    """The fake CuPy, for what is counted there and nowhere else."""
    with fake_cupy.installed(Definitions):
        yield FAKE


@pytest.fixture(
    scope="module",
    params=[pytest.param(FAKE, id="fake"), pytest.param(GPU, id="gpu", marks=pytest.mark.gpu)],
)
def backend(request: pytest.FixtureRequest) -> Iterator[Backend]:
    """What ``"cuda"`` is while a test runs."""
    if request.param is FAKE:
        with fake_cupy.installed(Definitions):
            yield FAKE
    elif cuda.is_available():
        yield GPU
    elif REQUIRED:
        pytest.fail(f"MINIGRAD_REQUIRE_GPU is set, but {cuda.status()}")
    else:
        pytest.skip(f"no GPU: {cuda.status()}")
