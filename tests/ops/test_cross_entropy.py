"""Softmax cross-entropy, of probabilities and of class indices: values, derivatives, extremes."""

from __future__ import annotations

import itertools
import math
from typing import Any

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import strategies as st

import minigrad
from minigrad.ops import cross_entropy
from tests.failures import noting
from tests.reference import (
    MINIGRAD,
    Case,
    Extreme,
    ExtremeProperties,
    OpProperties,
    Tie,
    TieProperties,
    pytorch,
    shapes,
    to_array,
)

INF = np.inf


@st.composite
def classifications(draw: st.DrawFn) -> Any:
    """Draw logits and weights of one shape, and the dimension of the classes, which has a class."""
    shape = draw(shapes(min_dims=1))
    dim = draw(st.integers(-len(shape), len(shape) - 1))
    places = range(len(shape))
    shape = tuple(max(n, 1) if i == places[dim] else n for i, n in enumerate(shape))
    return [shape, shape], {"dim": dim}


@st.composite
def labelled(draw: st.DrawFn) -> Any:
    """Draw logits, their labels, and every option of the loss; a class may count for nothing."""
    shape = draw(shapes(min_dims=1))
    dim = min(len(shape) - 1, 1)
    classes = max(shape[dim], 1)
    shape = (*shape[:dim], classes, *shape[dim + 1 :])
    ignored = draw(st.sampled_from([-7, -7, 0]))
    some = st.integers(0, classes - 1) | st.just(ignored)
    labels = draw(hnp.arrays(np.int64, shape[:dim] + shape[dim + 1 :], elements=some))
    weights = hnp.arrays(np.float64, classes, elements=st.floats(0.25, 2))
    means = ["mean"] * bool((labels != ignored).any())  # of nothing it is NaN
    return [shape], {
        "labels": labels,
        "weight": draw(st.none() | weights),
        "ignore_index": ignored,
        "label_smoothing": draw(st.sampled_from([0.0, 0.0, 0.3, 1.0])),
        "reduction": draw(st.sampled_from([*means, "sum", "none"])),
    }


def of_labels(m: Any, x: Any, labels: Any, weight: Any, **options: Any) -> Any:
    weight = None if weight is None else weight.astype(x.dtype)
    return m.class_cross_entropy(x, labels, weight, **options)


def of_labels_in_pytorch(t: Any, x: Any, labels: Any, weight: Any, **options: Any) -> Any:
    weight = None if weight is None else weight.to(x.dtype)
    return t.nn.functional.cross_entropy(x, labels, weight, **options)


CASES = {
    "class_cross_entropy": Case(
        of_labels, labelled(), domains=[(-2, 2)], torch=of_labels_in_pytorch, order=3
    ),
    "softmax_cross_entropy": Case(
        lambda m, x, q, dim: m.softmax_cross_entropy(x, q, dim),
        classifications(),
        domains=[(-2, 2), (0.1, 1)],
        torch=lambda t, x, q, dim: -(q * t.log_softmax(x, dim)).sum(dim),
        order=3,
    ),
}
TIES = {
    "weights of 0 and 1": Tie(
        lambda m, x, q: (
            m.softmax_cross_entropy(x, q, 0) if m is minigrad else -(q * m.log_softmax(x, 0)).sum(0)
        ),
        [[0, 0], [0, 1]],
        [[0.5, -0.5], [math.log(2), math.log(2)]],
    ),
}


def entropy_of_class(target: int) -> dict[str, Any]:
    """Return the cross-entropy of one class, in minigrad and in PyTorch."""
    q = np.eye(3)[target]
    return {
        "call": lambda m, x: m.softmax_cross_entropy(x, m.tensor(q, dtype=x.dtype), 0),
        "torch": lambda t, x: t.nn.functional.cross_entropy(x, t.tensor(target)),
    }


EXTREMES = {
    "a certain and right answer": Extreme(
        argument=[1e4, 0, -1e4], value=0, gradient=[0, 0, 0], **entropy_of_class(0)
    ),
    "a certain and wrong answer": Extreme(
        argument=[1e4, 0, -1e4], value=1e4, gradient=[1, -1, 0], **entropy_of_class(1)
    ),
    "a certain, very wrong answer": Extreme(
        argument=[1e4, 0, -1e4], value=2e4, gradient=[1, 0, -1], **entropy_of_class(2)
    ),
    "an excluded class": Extreme(
        argument=[1e4, 1e4, -INF], value=math.log(2), gradient=[-0.5, 0.5, 0], **entropy_of_class(0)
    ),
}


class TestCrossEntropy(OpProperties):
    module = "cross_entropy"
    cases = CASES


class TestTies(TieProperties):
    ties = TIES


class TestExtremes(ExtremeProperties):
    extremes = EXTREMES


def test_the_entropy_of_an_excluded_class_is_infinite() -> None:
    loss = minigrad.softmax_cross_entropy(
        minigrad.tensor([0.0, -INF]), minigrad.tensor([0.0, 1.0]), 0
    )
    assert loss.item() == INF


def test_cross_entropy_keeps_nothing_but_its_arguments() -> None:
    x, q = minigrad.rand(2, 3).requires_grad_(), minigrad.rand(2, 3)
    saved = minigrad.softmax_cross_entropy(x, q, 1).grad_fn.saved
    assert saved.keys() == {"x", "q", "dim"}
    assert saved["x"] is x.array
    assert saved["q"] is q.array


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_floats_keep_their_dtype(dtype: str) -> None:
    for shape in ((2, 3), (3,)):
        x = MINIGRAD.leaf(np.ones(shape, dtype))
        dropped = minigrad.masked_scale(x, np.ones(3, np.bool_), np.float64(2))
        loss = minigrad.softmax_cross_entropy(x, np.ones(shape, dtype), -1)
        for y in (dropped, loss):
            assert y.dtype == dtype
            assert minigrad.grad(y.sum(), x)[0].dtype == dtype


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("weight", [None, np.float64([1, 2, 3])], ids=["even", "weighted"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_the_loss_of_labels_keeps_its_dtype(
    dtype: str, weight: Any, smoothing: float, reduction: str
) -> None:
    x, labels = MINIGRAD.leaf(np.ones((2, 3), dtype)), np.array([0, 2])
    loss = minigrad.class_cross_entropy(x, labels, weight, -100, smoothing, reduction)
    (dx,) = minigrad.grad(loss.sum(), x, create_graph=True)
    (ddx,) = minigrad.grad(dx.sum(), x)
    assert {loss.dtype, dx.dtype, ddx.dtype} == {np.dtype(dtype)}


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("weight", [None, [1.0, 0.5, 2.0, 0.25]], ids=["even", "weighted"])
def test_every_loss_of_labels_has_pytorchs_value_and_first_two_gradients(
    weight: Any, reduction: str
) -> None:
    every = [[3, 2, 1, 0], [[3, 2], [1, 0], [2, 3]], 3]
    for labels, ignored, smoothing in itertools.product(every, [-7, 2], [0.0, 0.3]):
        with noting(labels=labels, ignored=ignored, smoothing=smoothing):
            assert_loss_of_labels(labels, weight, ignored, smoothing, reduction)


def assert_loss_of_labels(
    labels: Any, weight: Any, ignored: int, smoothing: float, reduction: str
) -> None:
    rng = np.random.default_rng(0)
    options = {"labels": np.array(labels), "weight": weight and np.array(weight)}
    options |= {"ignore_index": ignored, "label_smoothing": smoothing, "reduction": reduction}
    shape = options["labels"].shape
    logits, v = rng.normal(size=(2, *shape[:1], 4, *shape[1:]))
    into = np.array(rng.normal(size=shape if reduction == "none" else ()))
    results = []
    for m, call in (MINIGRAD, of_labels), (pytorch(), of_labels_in_pytorch):
        x, g = m.leaf(logits), m.leaf(into)
        loss = call(m.module, x, **m.constants(options))
        (dx,) = m.grad((loss * g).sum(), x, create_graph=True)
        second = m.grad((dx * m.tensor(v)).sum(), [x, g])
        results.append([to_array(t) for t in (loss, dx, *second)])
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("weight", [None, np.float64([1, 2, 3])], ids=["even", "weighted"])
@pytest.mark.parametrize(
    "labels", [np.array([-7, -7]), np.empty(0, np.int64)], ids=["ignored", "none"]
)
def test_the_mean_loss_of_nothing_is_nan_and_its_derivatives_are_zeros(
    labels: Any, weight: Any
) -> None:
    x = MINIGRAD.leaf(np.ones((len(labels), 3)))
    loss = minigrad.class_cross_entropy(x, labels, weight, ignore_index=-7)
    assert math.isnan(loss.item())
    (dx,) = minigrad.grad(loss, x, create_graph=True)
    (ddx,) = minigrad.grad(dx, x, minigrad.ones(dx.shape, dtype=np.float64))
    np.testing.assert_array_equal(to_array(dx), np.zeros(x.shape), strict=True)
    np.testing.assert_array_equal(to_array(ddx), np.zeros(x.shape), strict=True)


@pytest.mark.filterwarnings("error")
def test_the_mean_loss_of_no_example_is_nan_without_a_warning() -> None:
    x = minigrad.ones(0, 3, requires_grad=True)
    loss = minigrad.class_cross_entropy(x, minigrad.zeros(0, dtype=minigrad.int64))
    loss.backward()
    assert np.isnan(loss.item())
    assert x.grad.shape == (0, 3)


@pytest.mark.parametrize("label", [3, -1])
def test_a_label_that_is_no_class_is_named(label: int) -> None:
    with pytest.raises(IndexError, match=f"Target {label} is out of bounds"):
        minigrad.class_cross_entropy(minigrad.ones(2, 3), minigrad.tensor([0, label]))


@pytest.mark.parametrize("dim", [2, -3])
def test_a_dimension_out_of_range_is_named(dim: int) -> None:
    x = minigrad.ones(2, 3)
    with pytest.raises(IndexError, match=f"but got {dim}"):
        minigrad.softmax_cross_entropy(x, x, dim)


def test_weights_of_another_shape_are_refused() -> None:
    with pytest.raises(RuntimeError, match="do not broadcast"):
        minigrad.softmax_cross_entropy(minigrad.ones(2, 3), minigrad.ones(2, 4), 1)


@pytest.mark.parametrize("create_graph", [False, True])
def test_class_cross_entropy_is_its_definition(create_graph: bool) -> None:
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(6, 4)), minigrad.from_numpy(rng.integers(0, 4, 6))
    values = []
    for one_op in True, False:
        x = MINIGRAD.leaf(logits)
        if one_op:
            loss = minigrad.class_cross_entropy(x, labels)
        else:
            log_p = minigrad.log_softmax(x, dim=1)
            picked = minigrad.take_along_dim(log_p, labels[:, None], dim=1)
            losses = -picked.squeeze(1)
            loss = losses.mean()
        found = [loss]
        for _ in range(3 if create_graph else 1):
            (g,) = minigrad.grad(found[-1].sum(), x, create_graph=create_graph)
            found.append(g * g)  # Σ g is 0 by itself
        values.append([to_array(t.detach()) for t in found])
    for ours, definition in zip(*values, strict=True):
        np.testing.assert_allclose(ours, definition, rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize("ignored", [-1, 0, 1, 2, 3])
def test_any_label_can_be_the_ignored_one_also_that_of_a_class(ignored: int) -> None:
    labels = np.array([0, 1, 2, 1, 0])
    found = []
    for framework in (MINIGRAD, pytorch()):
        loss = framework.module.nn.functional.cross_entropy
        x = framework.leaf(np.linspace(-2, 2, 15).reshape(5, 3) ** 3)
        y = loss(x, framework.tensor(labels), ignore_index=ignored)
        found.append([to_array(t) for t in (y, *framework.grad(y, [x]))])
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12)


def test_many_classes_in_float16_are_summed_in_float32() -> None:
    x = minigrad.zeros(4, 8192, dtype=minigrad.float16).requires_grad_()
    loss = minigrad.class_cross_entropy(x, minigrad.zeros(4, dtype=minigrad.int64))
    loss.backward()
    assert loss.item() == np.float16(math.log(8192))
    assert x.grad[0, 1].item() == np.float16(1 / 8192 / 4)


@pytest.mark.parametrize("count", [70_000, 100_000])
def test_weights_of_more_examples_than_float16_can_count_are_right(count: int) -> None:
    x = minigrad.zeros(count, 2, dtype=minigrad.float16).requires_grad_()
    weight = minigrad.ones(2, dtype=minigrad.float16)
    loss = minigrad.class_cross_entropy(x, minigrad.zeros(count, dtype=minigrad.int64), weight)
    loss.backward(minigrad.tensor(1000.0, dtype=minigrad.float16))
    assert loss.item() == pytest.approx(math.log(2), rel=1e-3)
    assert x.grad[0].tolist() == pytest.approx([-500 / count, 500 / count], rel=1e-2)


def test_the_mean_of_more_examples_than_float16_can_count_is_right() -> None:
    x = minigrad.zeros(70_000, 4, dtype=minigrad.float16).requires_grad_()
    loss = minigrad.class_cross_entropy(x, minigrad.zeros(70_000, dtype=minigrad.int64))
    loss.backward(minigrad.tensor(1000.0, dtype=minigrad.float16))
    assert loss.item() == pytest.approx(math.log(4), rel=1e-3)
    assert x.grad[0].tolist() == pytest.approx([-0.75 / 70, *[0.25 / 70] * 3], rel=1e-2)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("label_smoothing", [0.0, 0.25])
def test_shares_of_classes_are_in_a_dtype_that_holds_sums(
    dtype: str, label_smoothing: float
) -> None:
    x = np.zeros((2, 3), dtype)
    q, _ = cross_entropy.class_shares(x, np.array([0, -100]), None, -100, label_smoothing)
    assert q.dtype == np.promote_types(dtype, np.float32)
    assert q.sum() == pytest.approx(1, rel=1e-3)
