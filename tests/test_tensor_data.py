"""`Tensor.data` and `Tensor.grad` as attributes that are set: idioms of tutorials, and refusals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn, optim

torch = pytest.importorskip("torch")


def a_step_in_place(m: Any, w: Any) -> None:
    w.data -= 0.1 * w.grad


def a_step_by_assignment(m: Any, w: Any) -> None:
    w.data = w.data - 0.1 * w.grad


def zeros_in_place(m: Any, w: Any) -> None:
    w.data.zero_()


def a_fill(m: Any, w: Any) -> None:
    w.data.fill_(3)


def a_copy(m: Any, w: Any) -> None:
    w.data.copy_(m.ones(3) * 7)


def an_element(m: Any, w: Any) -> None:
    w.data[0] = 5


def a_draw(m: Any, w: Any) -> None:
    w.data.normal_(0, 1e-9)
    w.data.uniform_(1, 1 + 1e-9)


def a_gradient_of_zeros(m: Any, w: Any) -> None:
    w.grad.data.zero_()


def another_shape(m: Any, w: Any) -> None:
    w.grad = None
    w.data = m.ones(2, 2)


def another_dtype(m: Any, w: Any) -> None:
    w.grad = None
    w.data = w.data.double()


def statistics(m: Any, w: Any) -> None:
    w.data = w.data.std() * w.data + w.data.mean()


def while_recording(m: Any, w: Any) -> None:
    y = w * w
    w.data.mul_(2)
    w.data += 1
    assert not w.data.requires_grad
    y.sum().backward()


IDIOMS = [
    a_step_in_place, a_step_by_assignment, zeros_in_place, a_fill, a_copy, a_draw, an_element,
    a_gradient_of_zeros, another_shape, another_dtype, statistics, while_recording,
]  # fmt: skip


@pytest.mark.parametrize("idiom", IDIOMS, ids=lambda i: i.__name__)
def test_an_idiom_of_data_does_what_it_does_in_pytorch(idiom: Callable[..., Any]) -> None:
    found = []
    for m in mg, torch:
        w = m.tensor([1.0, 2.0, 3.0], requires_grad=True)
        (w * w).sum().backward()
        idiom(m, w)
        before = [] if w.grad is None else w.grad.tolist()
        (w * 2).sum().backward()
        state = w.is_leaf, w.requires_grad, str(w.dtype)[-7:], tuple(w.shape)
        found.append((state, [before, w.tolist(), w.grad.tolist()]))
    (ours, values), (theirs, expected) = found
    assert ours == theirs
    for value, right in zip(values, expected, strict=True):
        np.testing.assert_allclose(value, right, 1e-6)


def test_data_is_the_same_memory_and_its_changes_are_not_noticed() -> None:
    w = mg.tensor([1.0, 2.0], requires_grad=True)
    data = w.data
    assert isinstance(data, mg.Tensor)
    assert data.array is w.array
    assert (data.requires_grad, data.grad_fn, data.grad) == (False, None, None)
    data.add_(1)
    assert (w._version, data._version) == (0, 1)
    assert w.tolist() == [2, 3]


def test_what_holds_a_parameter_goes_on_with_its_new_data() -> None:
    layer = nn.Linear(2, 2)
    optimizer = optim.SGD(layer.parameters(), lr=1.0, momentum=0.9)
    for _ in range(2):
        layer.weight.data = mg.ones(2, 2)
        optimizer.zero_grad()
        layer(mg.ones(1, 2)).sum().backward()
        optimizer.step()
    np.testing.assert_allclose(layer.weight.array, 1 - 1.9, 1e-6)
    assert layer.state_dict()["weight"].tolist() == layer.weight.tolist()
    assert isinstance(layer.weight, nn.Parameter)


def test_a_view_of_old_data_and_the_new_data_are_watched_apart() -> None:
    w = mg.tensor([1.0, 2.0])
    view, x = w[:1], mg.tensor([2.0], requires_grad=True)
    y = x * view
    w.data = mg.tensor([5.0, 6.0])
    w.add_(1)  # of other memory than the view's
    y.backward()
    assert x.grad.item() == 1
    z = (x * w).sum()
    w.mul_(2)
    with pytest.raises(RuntimeError, match="inplace operation: b of MulBackward"):
        z.backward()


def test_a_graph_uses_the_data_that_it_was_recorded_with() -> None:
    w = mg.tensor([3.0], requires_grad=True)
    y = w * w
    w.data = mg.tensor([5.0])
    y.backward(retain_graph=True)
    assert w.grad.item() == 6  # PyTorch reads the new data of a leaf, and says 10
    with pytest.raises(RuntimeError, match="leaf whose data was replaced"):
        mg.grad(y, w, create_graph=True)


def test_an_array_is_taken_as_it_is() -> None:
    w, array = mg.zeros(2, requires_grad=True), np.array([1.0, 2.0])
    w.data = array
    assert w.array is array
    assert w.dtype == np.float64


@pytest.mark.parametrize(("value", "error", "words"), [
    ([1.0], TypeError, "a Tensor or an array, not to a list"),
    (2.0, TypeError, "not to a float"),
    (mg.tensor([1, 2]), RuntimeError, "must be floating-point, got int64"),
])  # fmt: skip
def test_data_refuses_what_it_cannot_be(value: Any, error: Any, words: str) -> None:
    w = mg.ones(2, requires_grad=True)
    with pytest.raises(error, match=words):
        w.data = value
    assert w.tolist() == [1, 1]


@pytest.mark.parametrize(("make", "words"), [
    (lambda m, x: 1.0, "expected to be a Tensor or None but got grad of type"),
    (lambda m, x: m.ones(3), r"attempting to assign a gradient of .*3.* to a tensor of .*2"),
    (lambda m, x: m.ones(2).double(), r"attempting to assign a gradient .*(64|double)"),
    (lambda m, x: x, "can't assign Variable as its own grad"),
])  # fmt: skip
def test_a_gradient_that_does_not_fit_is_refused_as_in_pytorch(
    make: Callable[..., Any], words: str
) -> None:
    for m in mg, torch:
        x = m.ones(2, requires_grad=True)
        with pytest.raises((TypeError, RuntimeError), match=words):
            x.grad = make(m, x)
        assert x.grad is None
        x.grad = m.ones(2) * 4
        (x * x).sum().backward()
        assert x.grad.tolist() == [6, 6]
        x.grad = None
        assert x.grad is None
