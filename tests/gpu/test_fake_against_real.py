"""The fake CuPy against the real one: what becomes of an expression is the same on both.

Where the fake one is stricter by intent, it is listed, with what the real one does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minigrad
from tests import fake_cupy
from tests.fake_cupy.record import FINE, operands, outcome, probes

pytestmark = pytest.mark.gpu
A = np.arange(6, dtype=np.float32).reshape(2, 3)


@pytest.fixture
def cupy() -> Any:
    """The real CuPy, which has to be there, on a GPU or on the CPU."""
    if not minigrad.cuda.is_available():
        pytest.skip(f"no GPU: {minigrad.cuda.status()}")
    import cupy

    return cupy


@pytest.mark.parametrize("probe", probes())
def test_an_expression_becomes_of_both_what_it_becomes_of_one(probe: str, cupy: Any) -> None:
    real = outcome(probe, operands(cupy.asarray))
    assert outcome(probe, operands(fake_cupy.asarray)) == real


#: What only the fake one refuses, since it is hardly ever meant: each with the arrays' module.
STRICTER: dict[str, Callable[[Any, Any], Any]] = {
    "an index of the host is copied": lambda a, cp: a[np.array([0])],
    "a list as an index is copied": lambda a, cp: a[[0]],
    "a mask of the host is copied": lambda a, cp: a[A > 0],
    "the host writes at its own index": lambda a, cp: a.__setitem__(np.array([0]), 0),
    "a boolean is an index": lambda a, cp: a[True],
    "several values for one place": lambda a, cp: a.__setitem__(cp.asarray(np.array([1, 1])), a),
    "a copy within the same memory": lambda a, cp: a[:, 1:].__setitem__(..., a[:, :-1]),
}


@pytest.mark.parametrize("call", STRICTER.values(), ids=STRICTER)
def test_what_only_the_fake_one_refuses_the_real_one_does_silently(call: Any, cupy: Any) -> None:
    call(cupy.asarray(A), cupy)
    with pytest.raises((TypeError, ValueError, IndexError)):
        call(fake_cupy.asarray(A), fake_cupy)


#: What both do, or refuse, in ways that no probe tells.
ALIKE: dict[str, Callable[[Any, Any], Any]] = {
    "integers wrap": lambda a, cp: a[cp.asarray(np.array([2, 5, -3]))],
    "the shape of a number counts as none given": lambda a, cp: np.zeros_like(a, shape=()),
    "a number of a reduction": lambda a, cp: a.sum(),
    "the dtype of a number times a float": lambda a, cp: a.sum() * np.float64(2),
    "the dtype of a number of integers": lambda a, cp: a.astype("i")[0, 0] + 1.5,
    "a division by zero is silent": lambda a, cp: a / 0,
    "sums at an index": lambda a, cp: cp.add.at(a, (cp.asarray(np.array([1, 1])), ...), 1.0) or a,
    "the strides of a copy": lambda a, cp: np.array(cp.asarray(A.T).strides),
    "an empty extreme": lambda a, cp: a[:0].max(),
    "bytes cannot be added atomically": lambda a, cp: np.add.at(
        a.astype("b"), cp.asarray(np.array([0])), 1
    ),
    "an array of the host": lambda a, cp: a + A,
    "a number of the host in a comparison": lambda a, cp: a > np.array(1),
}


@pytest.mark.parametrize("call", ALIKE.values(), ids=ALIKE)
def test_both_give_the_same_array_or_the_same_error(call: Any, cupy: Any) -> None:
    results = []
    for module in (fake_cupy, cupy):
        try:
            found = call(module.asarray(A), module)
        except Exception as error:
            results.append(type(error).__name__)
        else:
            host = found if isinstance(found, np.ndarray) else found.get()
            results.append(f"{host.dtype} {host.tolist()}")
    assert results[0] == results[1] != FINE
