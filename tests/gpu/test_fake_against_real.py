"""The fake CuPy against the real one: what it refuses, counts and waits for, tried on both."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import minigrad
from tests import fake_cupy
from tests.test_fake_cupy import LAUNCHES, REFUSED, STRICTER, A, alike, evaluate, waits

pytestmark = pytest.mark.gpu


@pytest.fixture
def cupy() -> Any:
    """The real CuPy, which has to be there, on a GPU or on the CPU."""
    if not minigrad.cuda.is_available():
        pytest.skip(f"no GPU: {minigrad.cuda.status()}")
    import cupy

    return cupy


@pytest.mark.parametrize("expression", REFUSED)
def test_both_refuse_it_with_the_same_error(expression: str, cupy: Any) -> None:
    with pytest.raises(REFUSED[expression]):
        evaluate(expression, cupy)


@pytest.mark.parametrize("expression", STRICTER)
def test_only_the_fake_one_refuses(expression: str, cupy: Any) -> None:
    evaluate(expression, cupy)


@pytest.mark.parametrize("expression", alike())
def test_both_give_the_same_array(expression: str, cupy: Any) -> None:
    fake, real = (evaluate(expression, module) for module in (fake_cupy, cupy))
    assert fake.strides == real.strides
    np.testing.assert_allclose(fake.get(), real.get(), rtol=1e-6, strict=True)


def test_both_lay_out_a_copy_alike(cupy: Any) -> None:
    for host in (A, A.T, A[::-1], A[:, ::2], A.T[:, ::2]):
        assert fake_cupy.asarray(host).strides == cupy.asarray(host).strides


@pytest.mark.parametrize("expression", waits())
def test_the_real_one_waits_where_the_fake_one_counts_it(expression: str, cupy: Any) -> None:
    import cupyx

    with pytest.raises(cupyx.DeviceSynchronized), cupyx.allow_synchronize(False):
        evaluate(expression, cupy)


@pytest.mark.parametrize("expression", LAUNCHES)
def test_the_real_one_waits_only_where_the_fake_does(expression: str, cupy: Any) -> None:
    import cupyx

    with cupyx.allow_synchronize(False):
        evaluate(expression, cupy)
