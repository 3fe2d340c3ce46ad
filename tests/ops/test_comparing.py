"""What kind of number an element is, and what is equal or nearly so: as in PyTorch."""

from __future__ import annotations

import math
from typing import Any

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad
from tests.reference import pytorch, scaled

SPECIAL = st.sampled_from([0.0, 1.0, 1 + 1e-6, 1 + 1e-4, -1.0, math.inf, -math.inf, math.nan])
PAIRS = hnp.array_shapes(min_dims=0, max_dims=2, min_side=0, max_side=3).flatmap(
    lambda shape: st.tuples(*[hnp.arrays(np.float64, shape, elements=SPECIAL)] * 2)
)


@settings(max_examples=scaled(100), deadline=None)
@given(pair=PAIRS, equal_nan=st.booleans(), same=st.booleans())
def test_infinite_and_nan_elements_are_close_to_what_they_are_in_pytorch(
    pair: Any, equal_nan: bool, same: bool
) -> None:
    a, b = (pair[0], pair[0].copy()) if same else pair

    def answers(m: Any) -> list[Any]:
        x, y = m.from_numpy(a), m.from_numpy(b)
        return [
            m.isclose(x, y, equal_nan=equal_nan).tolist(),
            m.allclose(x, y, equal_nan=equal_nan),
            m.equal(x, y),
            x.isnan().tolist(),
            x.isinf().tolist(),
            x.isfinite().tolist(),
        ]

    assert answers(minigrad) == answers(pytorch().module)


def test_tensors_of_other_shapes_are_not_equal_and_of_other_dtypes_not_comparable() -> None:
    assert not minigrad.equal(minigrad.ones(2), minigrad.ones(3))
    assert not minigrad.ones(2).equal(minigrad.ones(1, 2))
    with pytest.raises(RuntimeError, match=r"float32 did not match float64: cast .* \.to\(\)"):
        minigrad.isclose(minigrad.ones(2), minigrad.ones(2, dtype=minigrad.float64))
    with pytest.raises(RuntimeError, match=r"rtol must be greater .* but got -1"):
        minigrad.allclose(minigrad.ones(2), minigrad.ones(2), rtol=-1)


def test_integers_and_booleans_may_be_asked() -> None:
    for x in (minigrad.tensor([1, 0]), minigrad.tensor([True, False])):
        assert x.isclose(x).all()
        assert not x.isnan().any()
        assert not x.isinf().any()
        assert x.isfinite().all()
