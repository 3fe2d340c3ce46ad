"""Losses: values and gradients beside PyTorch's for all combinations of options, and extremes."""

from __future__ import annotations

import itertools
import math
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad as mg
from minigrad import nn
from minigrad.nn import functional as F
from tests.failures import compare
from tests.reference import scaled

C = 4
SHAPES = {"(C,)": (C,), "(N, C)": (5, C), "(N, C, d)": (2, C, 3), "(N, C, d, e)": (2, C, 3, 2)}
REDUCTIONS = ["none", "mean", "sum"]
WEIGHTS = {
    "even": None,
    "weighted": np.array([0.5, 2.0, 1.0, 3.0]),
    "a zero": np.array([1, 0, 2, 1.0]),
}
IGNORED = {"none ignored": 0.0, "some ignored": 0.4}


def pytorch() -> Any:
    return pytest.importorskip("torch")


def numbers(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.asarray(2 * np.random.default_rng(seed).normal(size=shape))


def labels_for(shape: tuple[int, ...], share: float = 0.0, ignore_index: int = -100) -> np.ndarray:
    """Return labels for logits of a shape, a share of them ignored; the first is 0."""
    rng = np.random.default_rng(7)
    where = shape[:1] + shape[2:] if len(shape) > 1 else ()
    labels = rng.integers(C, size=where)
    labels = np.asarray(np.where(rng.random(where) < share, ignore_index, labels))
    labels.flat[0] = 0
    return labels


def probabilities(shape: tuple[int, ...]) -> np.ndarray:
    q = np.random.default_rng(3).random(shape)
    return q / q.sum(axis=1 if len(shape) > 1 else 0, keepdims=True)


def run(m: Any, name: str, arrays: list[np.ndarray], **options: Any) -> list[np.ndarray]:
    """Return a loss and the gradients of a random projection of it for the float arguments."""
    tensors = [m.from_numpy(a.copy()) for a in arrays]
    leaves = [
        t.requires_grad_() for t, a in zip(tensors, arrays, strict=True) if a.dtype.kind == "f"
    ]
    options = {k: m.from_numpy(v) if isinstance(v, np.ndarray) else v for k, v in options.items()}
    loss = getattr(m.nn.functional, name)(*tensors, **options)
    loss.backward(m.from_numpy(numbers(tuple(loss.shape), seed=9)))
    return [loss.detach().numpy(), *[leaf.grad.numpy() for leaf in leaves]]


def assert_like_pytorch(name: str, arrays: list[np.ndarray], **options: Any) -> None:
    theirs = run(pytorch(), name, arrays, **options)
    ours = run(mg, name, arrays, **options)
    names = ["the loss", *(f"its gradient for argument {i}" for i in range(1, len(ours)))]
    for what, a, b in zip(names, ours, theirs, strict=True):
        given = {f"argument {i}": array for i, array in enumerate(arrays, 1)} | options
        compare(a, b, 1e-11, 1e-13, f"{name}: {what}", "PyTorch", given, derivative=False)


# ------------------------------------------------------------------------- cross_entropy


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("weight", WEIGHTS.values(), ids=WEIGHTS)
def test_cross_entropy_with_class_indices_is_pytorchs(reduction: str, weight: Any) -> None:
    for shape, share, smoothing, index in itertools.product(
        SHAPES.values(), IGNORED.values(), [0.0, 0.1, 1.0], [-100, 2]
    ):
        labels = labels_for(shape, share, index)
        assert_like_pytorch(
            "cross_entropy", [numbers(shape), labels], weight=weight, ignore_index=index,
            reduction=reduction, label_smoothing=smoothing,
        )  # fmt: skip


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("weight", WEIGHTS.values(), ids=WEIGHTS)
def test_cross_entropy_with_probabilities_is_pytorchs_for_both_arguments(
    reduction: str, weight: Any
) -> None:
    for shape, smoothing in itertools.product(SHAPES.values(), [0.0, 0.1, 1.0]):
        assert_like_pytorch(
            "cross_entropy", [numbers(shape), probabilities(shape)], weight=weight,
            reduction=reduction, label_smoothing=smoothing,
        )  # fmt: skip


@pytest.mark.parametrize("name", ["cross_entropy", "nll_loss"])
@pytest.mark.parametrize("reduction", ["none", "sum"])
@pytest.mark.parametrize("shape", [(5, C), (2, C, 3)])
def test_ignored_examples_lose_nothing_and_get_no_gradient(
    name: str, reduction: str, shape: Any
) -> None:
    labels = np.full(labels_for(shape).shape, -1)
    loss, gradient = run(mg, name, [numbers(shape), labels], ignore_index=-1, reduction=reduction)
    assert not loss.any()
    assert not gradient.any()


@pytest.mark.parametrize("name", ["cross_entropy", "nll_loss"])
def test_a_mean_over_only_ignored_examples_is_nan_with_zero_gradients_as_in_pytorch(
    name: str,
) -> None:
    arrays = [numbers((3, C)), np.full(3, -100)]
    for m in mg, pytorch():
        loss, gradient = run(m, name, arrays)
        assert np.isnan(loss)
        np.testing.assert_array_equal(gradient, np.zeros((3, C)))


@settings(max_examples=scaled(60))
@given(
    n=st.integers(1, 5), classes=st.integers(1, 6), seed=st.integers(0, 999),
    scale=st.sampled_from([1e-3, 1.0, 50.0]),
)  # fmt: skip
def test_gradient_of_cross_entropy_is_softmax_minus_one_hot(
    n: int, classes: int, seed: int, scale: float
) -> None:
    rng = np.random.default_rng(seed)
    x = mg.tensor(scale * rng.normal(size=(n, classes)), requires_grad=True)
    labels = rng.integers(classes, size=n)
    F.cross_entropy(x, mg.tensor(labels)).backward()
    e = np.exp(x.detach().numpy() - x.detach().numpy().max(axis=1, keepdims=True))
    expected = (e / e.sum(axis=1, keepdims=True) - np.eye(classes)[labels]) / n
    np.testing.assert_allclose(x.grad.numpy(), expected, rtol=1e-9, atol=1e-15)
    np.testing.assert_allclose(x.grad.numpy().sum(axis=1), 0, atol=1e-15)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("target", ["labels", "probabilities"])
@pytest.mark.parametrize("weighted", [False, True])
def test_losses_and_gradients_keep_the_dtype_of_the_logits(
    dtype: Any, target: str, weighted: bool
) -> None:
    x = mg.tensor(numbers((3, C)), dtype=dtype, requires_grad=True)
    y = labels_for((3, C)) if target == "labels" else probabilities((3, C)).astype(dtype)
    weight = mg.tensor(np.array([1, 2, 3, 4]), dtype=dtype) if weighted else None
    for reduction in REDUCTIONS:
        loss = F.cross_entropy(
            x, mg.from_numpy(y), weight, reduction=reduction, label_smoothing=0.1
        )
        assert loss.dtype == dtype
        loss.sum().backward()
        assert x.grad.dtype == dtype


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_huge_logits_neither_overflow_nor_lose_the_gradient(dtype: Any) -> None:
    logits = [[1e4, -1e4, 0.0], [1e4, -1e4, 0.0], [-1e4, -1e4, -1e4]]
    x = mg.tensor(logits, dtype=dtype, requires_grad=True)
    losses = F.cross_entropy(x, mg.tensor([0, 1, 2]), reduction="none")
    np.testing.assert_allclose(losses.detach().numpy(), [0, 2e4, math.log(3)], rtol=1e-6)
    losses.sum().backward()
    expected = [[0, 0, 0], [1, -1, 0], [1 / 3, 1 / 3, -2 / 3]]
    np.testing.assert_allclose(x.grad.numpy(), expected, rtol=1e-6)


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_a_class_ruled_out_by_minus_infinity_is_no_problem_unless_it_is_the_target() -> None:
    logits = np.array([[0.0, -np.inf, 1.0, 2.0], [-np.inf, 3.0, -np.inf, -np.inf]])
    for target in np.array([2, 1]), np.eye(C)[[2, 1]]:
        x = mg.tensor(logits, requires_grad=True)
        loss = F.cross_entropy(x, mg.tensor(target))
        loss.backward()
        gradient = x.grad.numpy()
        expected = (math.log(1 + math.e + math.e**2) - 1) / 2
        np.testing.assert_allclose(loss.item(), expected, rtol=1e-12)
        assert np.isfinite(gradient).all()
        assert gradient[np.isinf(logits)].tolist() == [0.0] * 4
    x = mg.tensor(logits)
    assert F.cross_entropy(x, mg.tensor([1, 1]), reduction="none").tolist() == [math.inf, 0.0]


def test_second_derivatives_of_cross_entropy_are_pytorchs() -> None:
    def second(m: Any) -> np.ndarray:
        x = m.from_numpy(numbers((3, C))).requires_grad_()
        loss = m.nn.functional.cross_entropy(x, m.tensor([0, 3, 1]), label_smoothing=0.1)
        grad = mg.grad if m is mg else m.autograd.grad
        (g,) = grad(loss, x, create_graph=True)
        return grad((g * m.from_numpy(numbers((3, C), seed=1))).sum(), x)[0].numpy()

    np.testing.assert_allclose(second(mg), second(pytorch()), rtol=1e-10, atol=1e-14)


# ------------------------------------------------------------------------- nll_loss, mse_loss


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("weight", WEIGHTS.values(), ids=WEIGHTS)
def test_nll_loss_is_pytorchs(reduction: str, weight: Any) -> None:
    for shape, share, index in itertools.product(SHAPES.values(), IGNORED.values(), [-100, 2]):
        arrays = [numbers(shape), labels_for(shape, share, index)]
        assert_like_pytorch(
            "nll_loss", arrays, weight=weight, ignore_index=index, reduction=reduction
        )


def test_nll_loss_of_log_softmax_is_cross_entropy() -> None:
    x, y = mg.tensor(numbers((5, C))), mg.tensor(labels_for((5, C)))
    np.testing.assert_allclose(
        F.nll_loss(F.log_softmax(x, 1), y).item(), F.cross_entropy(x, y).item(), rtol=1e-14
    )


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_nll_loss_does_not_touch_the_log_probabilities_of_other_classes() -> None:
    x = mg.tensor([[0.0, -math.inf], [-math.inf, -1.0]], requires_grad=True)
    loss = F.nll_loss(x, mg.tensor([0, 1]))
    loss.backward()
    assert loss.item() == 0.5
    assert x.grad.tolist() == [[-0.5, 0.0], [0.0, -0.5]]


@pytest.mark.parametrize(
    ("shape", "reduction"),
    [*itertools.product([(), (5,), (2, 3)], REDUCTIONS), ((2, 0), "sum"), ((2, 0), "none")],
)
def test_mse_loss_is_pytorchs_for_both_arguments(shape: Any, reduction: str) -> None:
    assert_like_pytorch("mse_loss", [numbers(shape), numbers(shape, seed=1)], reduction=reduction)


def test_mse_loss_of_shapes_that_only_broadcast_warns_with_both() -> None:
    with pytest.warns(
        UserWarning, match=r"target size \(\(3,\)\).*input size \(\(3, 1\)\)"
    ) as caught:
        loss = F.mse_loss(mg.ones(3, 1), mg.zeros(3), reduction="none")
    assert caught[0].filename == __file__
    assert loss.shape == (3, 3)


# ------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize("name", ["cross_entropy", "nll_loss"])
@pytest.mark.parametrize(("labels", "bad"), [([0, 3, 1], 3), ([0, 1, -1], -1), ([-100, 9, 0], 9)])
def test_a_label_out_of_range_is_named(name: str, labels: list[int], bad: int) -> None:
    with pytest.raises(IndexError, match=rf"Target {bad} is out of bounds.*from 0 to 2,.*=-100"):
        getattr(F, name)(mg.ones(3, 3), mg.tensor(labels))
    rest = [label for label in labels if label != -100]
    getattr(F, name)(mg.ones(len(rest), 3), mg.tensor(rest), ignore_index=bad)


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int32])
def test_labels_may_be_integers_of_any_size(dtype: Any) -> None:
    labels, x = labels_for((5, C)), mg.tensor(numbers((5, C)))
    expected = F.cross_entropy(x, mg.tensor(labels)).item()
    assert F.cross_entropy(x, mg.tensor(labels, dtype=dtype)).item() == expected
    with pytest.raises(IndexError, match="Target 4 is out of bounds"):
        F.cross_entropy(x, mg.tensor([0, 1, 4, 0, 0], dtype=dtype))


@pytest.mark.parametrize("name", ["cross_entropy", "nll_loss"])
@pytest.mark.parametrize(
    ("logits", "labels", "expected"),
    [
        ((2, 3), (3,), (2,)),
        ((2, 3), (2, 3), (2,)),
        ((2, 3), (2, 1), (2,)),
        ((3,), (1,), ()),
        ((2, 3, 4), (2, 3), (2, 4)),
    ],
)
def test_labels_of_a_wrong_shape_are_refused(
    name: str, logits: Any, labels: Any, expected: Any
) -> None:
    message = f"expected class indices of shape {expected}, got {labels}"
    with pytest.raises(ValueError, match=re.escape(message)):
        getattr(F, name)(mg.ones(logits), mg.zeros(labels, dtype=np.int64))


@pytest.mark.parametrize("shape", [(2, 4), (3, 2), (2, 3, 1)])
def test_probabilities_of_a_wrong_shape_are_refused_with_both_shapes(shape: Any) -> None:
    message = f"expected probabilities of shape (2, 3), got {shape}"
    with pytest.raises(ValueError, match=re.escape(message)):
        F.cross_entropy(mg.ones(2, 3), mg.zeros(shape))


def test_labels_in_floating_point_are_refused_with_what_to_do() -> None:
    with pytest.raises(RuntimeError, match=r"class indices as integers, got float32: .*\.long\(\)"):
        F.cross_entropy(mg.ones(2, 3), mg.tensor([0.0, 1.0]))


def test_a_class_to_ignore_is_refused_with_probabilities_as_in_pytorch() -> None:
    for m in mg, pytest.importorskip("torch"):
        x, q = m.ones(2, 3), m.ones(2, 3) / 3
        with pytest.raises(RuntimeError, match="ignore_index"):
            m.nn.functional.cross_entropy(x, q, ignore_index=0)
        assert m.nn.functional.cross_entropy(x, q, ignore_index=-1).item() > 0


def test_the_mean_over_no_class_is_nan_as_in_pytorch() -> None:
    for m in mg, pytest.importorskip("torch"):
        assert math.isnan(m.nn.functional.cross_entropy(m.ones(5, 0), m.ones(5, 0)).item())


@pytest.mark.parametrize("shape", [(1,), (2,), (4,), (3, 1), ()])
def test_a_weight_that_has_not_one_factor_for_each_class_is_refused(shape: Any) -> None:
    x, labels, q, weight = mg.ones(2, 3), mg.tensor([0, 1]), mg.ones(2, 3) / 3, mg.ones(shape)
    for call in (
        lambda: F.cross_entropy(x, labels, weight),
        lambda: F.cross_entropy(x, q, weight),
        lambda: F.nll_loss(x, labels, weight),
    ):
        with pytest.raises(ValueError, match=rf"\(3,\).*{re.escape(str(shape))}"):
            call()


@pytest.mark.parametrize("reduction", ["average", "", None, "Mean"])
def test_an_unknown_reduction_is_refused_by_functions_and_modules(reduction: Any) -> None:
    x, y = mg.ones(2, 3), mg.tensor([0, 1])
    message = rf"{reduction!r} is not a valid value for reduction: use 'none', 'mean' or 'sum'"
    for call in (
        lambda: F.cross_entropy(x, y, reduction=reduction),
        lambda: F.nll_loss(x, y, reduction=reduction),
        lambda: F.mse_loss(x, x, reduction=reduction),
        lambda: nn.CrossEntropyLoss(reduction=reduction),
        lambda: nn.NLLLoss(reduction=reduction),
        lambda: nn.MSELoss(reduction=reduction),
    ):
        with pytest.raises(ValueError, match=message):
            call()


@pytest.mark.parametrize("smoothing", [-0.1, 1.1, math.nan, math.inf])
def test_smoothing_out_of_range_is_refused_with_its_value(smoothing: float) -> None:
    x, y = mg.ones(2, 3), mg.tensor([0, 1])
    with pytest.raises(ValueError, match=rf"between 0\.0 and 1\.0\. Got: {smoothing}"):
        F.cross_entropy(x, y, label_smoothing=smoothing)
    with pytest.raises(ValueError, match="label_smoothing"):
        nn.CrossEntropyLoss(label_smoothing=smoothing)(x, y)


# ------------------------------------------------------------------------- modules


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("weight", [None, mg.tensor([1.0, 2.0, 3.0, 4.0])])
def test_modules_give_what_the_functions_give(reduction: str, weight: Any) -> None:
    x, y = mg.tensor(numbers((5, C)), dtype=mg.float32), mg.tensor(labels_for((5, C), 0.4, 2))
    options = {"weight": weight, "ignore_index": 2, "reduction": reduction}
    pairs = [
        (
            nn.CrossEntropyLoss(**options, label_smoothing=0.1)(x, y),
            F.cross_entropy(x, y, **options, label_smoothing=0.1),
        ),
        (nn.NLLLoss(**options)(x, y), F.nll_loss(x, y, **options)),
        (nn.MSELoss(reduction)(x, x * 2), F.mse_loss(x, x * 2, reduction)),
        (nn.CrossEntropyLoss()(x, y), F.cross_entropy(x, y)),
        (nn.MSELoss()(x, x + 1), mg.tensor(1.0)),
    ]
    for module, function in pairs:
        np.testing.assert_allclose(module.numpy(), function.numpy(), rtol=1e-6)


def test_a_losss_weight_is_saved_with_it_and_cast_with_it() -> None:
    loss = nn.CrossEntropyLoss(weight=mg.tensor([1.0, 2.0]))
    assert list(loss.state_dict()) == ["weight"]
    assert list(loss.parameters()) == []
    assert loss.double().weight.dtype == np.float64
    assert nn.NLLLoss().state_dict() == {}


def test_reprs_are_pytorchs() -> None:
    torch = pytorch()
    for name in "CrossEntropyLoss", "NLLLoss", "MSELoss":
        assert repr(getattr(nn, name)()) == repr(getattr(torch.nn, name)())


def test_labels_changed_after_the_loss_are_noticed() -> None:
    labels, weight = mg.tensor([0, 1]), mg.ones(C)
    for name, changed in (("labels", labels), ("weight", weight)):
        loss = F.cross_entropy(mg.ones(2, C).requires_grad_(), labels, weight)
        changed.add_(1)
        with pytest.raises(RuntimeError, match=f"inplace operation: {name} of ClassCrossEntropy"):
            loss.backward()


def test_a_weight_that_needs_a_gradient_is_refused() -> None:
    weight = mg.ones(C).requires_grad_()
    with pytest.raises(TypeError, match="class_cross_entropy has no derivative for weight"):
        F.cross_entropy(mg.ones(2, C), mg.tensor([0, 1]), weight)


@pytest.mark.parametrize("function", [F.cross_entropy, F.nll_loss])
@pytest.mark.parametrize(
    ("shape", "dtype", "error", "message"),
    [
        ((2, C), mg.int64, TypeError, r"floating-point scores, got int64; use \.float\(\)"),
        ((), mg.float32, ValueError, r"one or more classes, got \(\)"),
        ((2, 0), mg.float32, ValueError, r"one or more classes, got \(2, 0\)"),
    ],
)
def test_scores_that_are_none_are_refused(
    function: Any, shape: tuple[int, ...], dtype: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        function(mg.zeros(shape, dtype=dtype), mg.tensor([0, 1]))


def test_the_op_refuses_an_unknown_reduction_as_the_function_does() -> None:
    with pytest.raises(ValueError, match="'Mean' is not a valid value for reduction"):
        mg.class_cross_entropy(mg.ones(2, C), mg.tensor([0, 1]), reduction="Mean")


def test_labels_may_be_of_any_integer_dtype_and_an_index_in_range_ignored() -> None:
    x, labels = numbers((5, C)), np.array([0, 3, 1, 1, 2])
    expected = F.cross_entropy(mg.tensor(x), mg.tensor(labels), ignore_index=1).item()
    for dtype in ("int8", "uint8", "int16", "uint16", "int32", "uint64"):
        found = F.cross_entropy(mg.tensor(x), mg.tensor(labels.astype(dtype)), ignore_index=1)
        assert found.item() == expected
    with pytest.raises(IndexError, match="Target -1 is out of bounds"):
        F.cross_entropy(mg.tensor(x), mg.tensor(np.int8([0, 3, -1, 1, 2])))


@pytest.mark.parametrize("count", [65_504, 70_000, 100_000])
def test_means_of_more_examples_than_float16_can_count_are_right(count: int) -> None:
    x = mg.full((count, 2), -0.7, dtype=mg.float16, requires_grad=True)
    q = mg.full((count, 2), 0.5, dtype=mg.float16)
    assert F.cross_entropy(x, q).item() == pytest.approx(math.log(2), rel=2e-3)
    loss = F.nll_loss(x, mg.zeros(count, dtype=mg.int64))
    assert loss.item() == pytest.approx(0.7, rel=2e-3)
    loss.backward(mg.tensor(1000.0, dtype=mg.float16))
    assert x.grad[0].tolist() == pytest.approx([-1000 / count, 0], rel=1e-2)
