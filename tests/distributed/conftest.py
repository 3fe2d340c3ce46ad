"""Tests of several ranks need mpi4py, and what starts them."""

from __future__ import annotations

import importlib.util

import pytest

from tests.distributed.jobs import MPIEXEC


@pytest.fixture(scope="session", autouse=True)
def _ranks_can_be_started() -> None:
    if importlib.util.find_spec("mpi4py") is None:
        pytest.skip('several ranks need mpi4py: pip install "minigrad[mpi]"')
    if MPIEXEC is None:
        pytest.skip('several ranks need mpiexec: pip install "minigrad[mpi]"')
