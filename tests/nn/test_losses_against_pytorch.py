"""Losses of any shape with any options are PyTorch's, and so are first and second derivatives."""

from __future__ import annotations

from typing import Any

import hypothesis.extra.numpy as hnp
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.reference import (
    MINIGRAD,
    Case,
    Example,
    assert_derivative_is_pytorchs,
    assert_same,
    pytorch,
    scaled,
    to_array,
)

seeds = st.integers(0, 2**32 - 1).map(np.random.default_rng)
reductions = st.sampled_from(["none", "mean", "sum"])


def loss(name: str, arrays: list[np.ndarray], **options: Any) -> Example:
    """Return a loss as a function of its floating-point arguments; other arrays are constants."""

    def call(m: Any, *tensors: Any, **options: Any) -> Any:
        return getattr(m.nn.functional, name)(*tensors, **options)

    return Example(Case(call, st.nothing()), arrays, options)


def assert_like_pytorch(example: Example) -> None:
    values = [to_array(example.value(framework)) for framework in (MINIGRAD, pytorch())]
    assert_same(*values, rtol=1e-10, atol=1e-12)
    for order in (1, 2):
        assert_derivative_is_pytorchs(example, order)


@st.composite
def classifications(draw: st.DrawFn, name: str) -> tuple[Any, tuple[int, ...], int, dict[str, Any]]:
    """Draw a source of numbers, the shape of logits, the dimension of classes, and options.

    The shape is (C,), (N, C) or (N, C, d1, ...).
    """
    shape = draw(hnp.array_shapes(min_dims=1, max_dims=4, min_side=1, max_side=4))
    dim = min(1, len(shape) - 1)
    rng = draw(seeds)
    options: dict[str, Any] = {"reduction": draw(reductions)}
    if draw(st.booleans()):
        options["weight"] = rng.choice([0.5, 1.0, 3.0], size=shape[dim])
        options["weight"][1:] *= draw(st.sampled_from([0, 1]))
    if name == "cross_entropy":
        options["label_smoothing"] = draw(st.sampled_from([0.0, 0.1, 0.7, 1.0]))
    return rng, shape, dim, options


@st.composite
def with_labels(draw: st.DrawFn, name: str) -> Example:
    """Draw a loss of class indices; any share of the examples is ignored, but not all."""
    rng, shape, dim, options = draw(classifications(name))
    labels = np.asarray(rng.integers(shape[dim], size=shape[:dim] + shape[dim + 1 :]))
    ignored = draw(st.sampled_from([-100, -1, *range(1, shape[dim])]))
    labels[rng.random(labels.shape) < draw(st.sampled_from([0, 0.3, 0.9]))] = ignored
    labels.flat[0] = 0
    logits = np.asarray(draw(st.sampled_from([0.1, 3.0, 100.0])) * rng.normal(size=shape))
    return loss(name, [logits], target=labels, ignore_index=ignored, **options)


@st.composite
def with_probabilities(draw: st.DrawFn) -> Example:
    """Draw a cross-entropy with weights of the classes as target, which need not sum to 1."""
    rng, shape, dim, options = draw(classifications("cross_entropy"))
    q = np.asarray(rng.random(shape))
    if draw(st.booleans()):
        q /= q.sum(axis=dim, keepdims=True)
    return loss("cross_entropy", [np.asarray(3 * rng.normal(size=shape)), q], **options)


@st.composite
def regressions(draw: st.DrawFn) -> Example:
    shape = draw(hnp.array_shapes(min_dims=0, max_dims=3, min_side=1, max_side=4))
    rng = draw(seeds)
    arrays = [np.asarray(rng.normal(size=shape)) for _ in range(2)]
    return loss("mse_loss", arrays, reduction=draw(reductions))


examples = settings(deadline=None, max_examples=scaled(60))


@examples
@given(with_labels("cross_entropy"))
def test_cross_entropy_of_labels_is_pytorchs(example: Example) -> None:
    assert_like_pytorch(example)


@examples
@given(with_probabilities())
def test_cross_entropy_of_probabilities_is_pytorchs(example: Example) -> None:
    assert_like_pytorch(example)


@examples
@given(with_labels("nll_loss"))
def test_nll_loss_is_pytorchs(example: Example) -> None:
    assert_like_pytorch(example)


@examples
@given(regressions())
def test_mse_loss_is_pytorchs(example: Example) -> None:
    assert_like_pytorch(example)
