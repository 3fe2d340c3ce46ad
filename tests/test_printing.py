"""Tensors as text, beside PyTorch's: the same for any numbers, shapes and options."""

from __future__ import annotations

import re
from typing import Any

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import minigrad
from minigrad.printing import options as in_force
from tests.reference import scaled


@pytest.fixture(scope="module")
def torch() -> Any:
    return pytest.importorskip("torch")


def named_alike(text: str) -> str:
    """Return text without what only says whose it is; notes may then break a line elsewhere."""
    text = re.sub(r",\s+(?=dtype|requires_grad|grad_fn|size)", ", ", text)
    return text.replace("torch.", "minigrad.").replace("Backward0>", "Backward>")


#: numbers of one size, of all sizes, whole ones, few different ones
ELEMENTS = st.one_of(
    st.floats(-10, 10, width=16),
    st.floats(width=16),
    st.integers(-2000, 2000).map(float),
    st.sampled_from([0.0, -0.0, 1.0, 0.1, 1e-3, 1e-4, 5e4, np.inf, -np.inf, np.nan]),
)
SHAPES = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=8)
ARRAYS = st.one_of(
    st.sampled_from(["float32", "float64", "float16"]).flatmap(
        lambda dtype: hnp.arrays(dtype, SHAPES, elements=ELEMENTS)
    ),
    st.sampled_from(["int64", "int32", "uint8", "bool"]).flatmap(
        lambda dtype: hnp.arrays(dtype, SHAPES)
    ),
)
OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "precision": st.integers(0, 8),
        "threshold": st.integers(0, 200),
        "edgeitems": st.integers(1, 4),
        "linewidth": st.integers(20, 120),
        "sci_mode": st.sampled_from([None, True, False]),
        "profile": st.sampled_from(["default", "short", "full"]),
    },
)


@settings(max_examples=scaled(300), deadline=None)
@given(array=ARRAYS, options=OPTIONS)
@example(array=np.float32([1e-5, 1.0, 1e5]), options={})
@example(array=np.float32([[1.5, np.nan], [-np.inf, 0.0]]), options={})
@example(array=np.arange(1001.0, dtype=np.float32), options={})
@example(array=np.ones((2, 3, 200), dtype=np.float32), options={})
@example(array=np.float64([1e20, 1.0]), options={})
@example(array=np.array([True, False]), options={})
def test_tensors_print_as_pytorchs(array: np.ndarray, options: dict[str, Any], torch: Any) -> None:
    try:
        minigrad.set_printoptions(**options)
        torch.set_printoptions(**options)
        ours, theirs = repr(minigrad.from_numpy(array)), repr(torch.from_numpy(array.copy()))
    finally:
        minigrad.set_printoptions(profile="default")
        torch.set_printoptions(profile="default")
    assert named_alike(ours) == named_alike(theirs)


def test_history_is_noted_and_long_notes_have_a_line_of_their_own(torch: Any) -> None:
    def texts(m: Any) -> list[str]:
        x = m.ones(20, requires_grad=True)
        y = m.linspace(0, 1, 9, requires_grad=True) * 1
        return [repr(t) for t in (x, y, m.zeros(2, 0), m.zeros(0, dtype=m.int64))]

    ours = [
        t.replace("minigrad.", "torch.").replace("Backward>", "Backward0>") for t in texts(minigrad)
    ]
    assert ours == texts(torch)
    assert "\n       grad_fn=" in ours[1]


def test_what_is_set_stays_until_it_is_set_again_and_profiles_reset_all() -> None:
    before = dict(vars(in_force))
    try:
        minigrad.set_printoptions(precision=2, edgeitems=1)
        minigrad.set_printoptions(threshold=3)
        assert repr(minigrad.tensor([0.5, 1, 2, 3])) == "tensor([0.50,  ..., 3.00])"
        with pytest.raises(ValueError, match=r"profile is one of .*'short'.*, got 'tiny'"):
            minigrad.set_printoptions(profile="tiny", precision=7)
        assert in_force.precision == 2
    finally:
        minigrad.set_printoptions(profile="default")
    assert dict(vars(in_force)) == before


def test_a_format_of_a_number_is_pythons() -> None:
    x = minigrad.tensor(1 / 3)
    assert f"{x:.2f} {x}" == "0.33 0.3333333432674408"
