"""`minigrad.fused`: a kernel under a function, and when which of them runs."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import minigrad
from minigrad import ops, optim
from minigrad.fused import fused, launch
from minigrad.kernels import RefusedError
from tests import fake_cupy
from tests.gpu.definitions import Definitions


class Kernel:
    """A kernel that notes its calls, and refuses what is not float32."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def __call__(self, *arguments: Any) -> str:
        self.calls.append(arguments)
        first = arguments[1][0] if isinstance(arguments[1], list) else arguments[1]
        if first.dtype != np.float32:
            raise RefusedError("float32 only")
        return "the kernel"


@pytest.fixture
def kernel() -> Kernel:
    return Kernel()


@pytest.fixture
def function(kernel: Kernel) -> Callable[..., Any]:
    @fused(kernel)
    def function(x: Any, more: int = 0) -> str:
        """Return who has run."""
        return "the function"

    return function


@pytest.fixture
def gpu() -> Iterator[Any]:
    with fake_cupy.installed(Definitions) as cupy:
        yield cupy


@pytest.mark.parametrize(
    "first",
    [
        *(np.ones(3), np.ones(3).view(np.recarray), np.float32(1), 1.0, None),
        *([], [np.ones(3)], minigrad.ones(3), minigrad.ones(3, requires_grad=True)),
    ],
    ids=[
        *("an array", "a recarray", "a NumPy float", "a float", "nothing"),
        *("an empty list", "a list", "a tensor", "a tensor that requires grad"),
    ],
)
def test_the_function_runs_for_whatever_is_not_on_a_gpu(
    first: Any, function: Callable[..., Any], kernel: Kernel
) -> None:
    assert function(first) == "the function"
    assert not kernel.calls


def test_the_kernel_gets_the_arguments_of_an_array_or_a_list_of_arrays_on_a_gpu(
    gpu: Any, function: Callable[..., Any], kernel: Kernel
) -> None:
    x = gpu.asarray(np.ones(3, np.float32))
    assert function(x, 5) == function([x], 6) == "the kernel"
    assert kernel.calls == [(launch, x, 5), (launch, [x], 6)]


def test_the_function_runs_for_what_the_kernel_refuses(
    gpu: Any, function: Callable[..., Any], kernel: Kernel
) -> None:
    assert function(gpu.asarray(np.ones(3))) == "the function"
    assert len(kernel.calls) == 1


def test_another_error_of_the_kernel_is_not_hidden(gpu: Any) -> None:
    @fused(lambda launch, x: 1 / 0)
    def function(x: Any) -> None: ...

    with pytest.raises(ZeroDivisionError):
        function(gpu.asarray(np.ones(3)))


def test_the_function_keeps_its_name_its_text_and_its_signature(
    function: Callable[..., Any],
) -> None:
    assert function.__name__ == "function"
    assert function.__doc__ == "Return who has run."
    assert list(inspect.signature(function).parameters) == ["x", "more"]


# ------------------------------------------------------------------------- under the ops


def launched(call: Callable[[], Any]) -> list[str]:
    with fake_cupy.counting() as counts:
        call()
    return [name.partition("<")[0] for name in counts.launches]


def there(array: Any) -> Any:
    return minigrad.tensor(array, device="cuda")


X = np.random.default_rng(0).normal(size=(4, 6)).astype(np.float32)
KEEP = X > 0
REFUSED: dict[str, Callable[[], Any]] = {
    "a view": lambda: (there(X)[:, ::2], there(KEEP)[:, ::2].array),
    "transposed": lambda: (there(X).T, there(KEEP).T.array),
    "a mask that broadcasts": lambda: (there(X), there(KEEP)[:1].array),
    "a mask of numbers": lambda: (there(X), there(KEEP).float().array),
}


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
def test_what_the_kernel_of_masked_scale_refuses_is_computed_all_the_same(
    gpu: Any, case: Callable[[], Any]
) -> None:
    x, keep = case()
    y = ops.masked_scale(x, keep, 2.0)
    expected = ops.masked_scale(x.cpu(), keep.get(), 2.0)
    np.testing.assert_array_equal(y.cpu().numpy(), expected.numpy())
    assert launched(lambda: ops.masked_scale(x, keep, 2.0)) == ["multiply", "multiply"]


def test_a_scale_on_the_gpu_is_no_number_for_the_kernel(gpu: Any) -> None:
    scale = there(2.0)
    y = ops.masked_scale(there(X), there(KEEP), scale)
    np.testing.assert_array_equal(y.cpu().numpy(), X * KEEP * 2)


@pytest.mark.parametrize("scale", [1e5, -1e5])
def test_a_scale_beyond_float16_drops_to_zero_on_a_gpu_too(gpu: Any, scale: float) -> None:
    x = np.float16(2.0**-14) * np.ones((4, 6), np.float16)
    y = ops.masked_scale(there(x), there(KEEP), scale)
    np.testing.assert_array_equal(y.cpu().numpy(), (x * np.float32(scale) * KEEP).astype(x.dtype))


def test_the_mask_of_a_view_is_the_mask_of_its_copy(gpu: Any) -> None:
    for x in (minigrad.tensor(X).T, there(X).T):
        y = minigrad.nn.functional.dropout(x, 0.5, generator=minigrad.Generator(3))
        copy = minigrad.nn.functional.dropout(x.clone(), 0.5, generator=minigrad.Generator(3))
        assert y.tolist() == copy.tolist()


def test_a_refused_step_of_the_optimiser_is_taken_by_numpys_text(gpu: Any) -> None:
    found = []
    for place in ("cuda", "cpu"):
        p = minigrad.tensor(X.astype(np.float16), device=place, requires_grad=True)
        q = minigrad.tensor(X, device=place, requires_grad=True)
        optimizer = optim.SGD([p, q], lr=0.5, momentum=0.5)
        for _ in range(2):
            p.grad, q.grad = p.detach() * 2, q.detach() * 3
            optimizer.step()
        found.append([t.tolist() for t in (p, q)])
    assert found[0] == found[1]


def test_a_group_is_updated_in_one_launch(gpu: Any) -> None:
    parameters = [there(X).requires_grad_() for _ in range(5)]
    for settings in ({}, {"momentum": 0.9, "weight_decay": 0.1, "nesterov": True}):
        optimizer = optim.SGD(parameters, lr=0.1, **settings)
        for p in parameters[:4]:
            p.grad = p.detach() * 1
        assert launched(optimizer.step) == ["sgd_step"]
        assert launched(optimizer.step) == ["sgd_step"]
        assert parameters[4].tolist() == X.tolist()


def test_what_an_update_changes_is_noticed_by_the_graph(gpu: Any) -> None:
    p = there(X).requires_grad_()
    y = (p * p).sum()
    p.grad = p.detach() * 1
    optim.SGD([p], lr=0.1).step()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.backward()


def test_a_label_is_named_once_it_is_read_and_the_word_costs_one_launch(gpu: Any) -> None:
    x, labels = there(X), there(np.array([0, 1, 7, 2]))
    loss = minigrad.nn.functional.cross_entropy

    def ask() -> None:
        loss(x, labels)

    minigrad.cuda.synchronize()
    assert launched(ask) == ["zeros_like", "cross_entropy_forward"]
    assert launched(ask) == ["cross_entropy_forward"]
    with pytest.raises(IndexError, match=r"Target 7 is out of bounds: .* from 0 to 5, or"):
        minigrad.cuda.synchronize()
    minigrad.cuda.synchronize()
    assert launched(ask) == ["zeros_like", "cross_entropy_forward"]
    with pytest.raises(IndexError, match="Target 7"):
        minigrad.cuda.synchronize()


def test_labels_that_the_kernel_refuses_are_checked_too(gpu: Any) -> None:
    x, labels = there(X), there(np.array([0, 1, 7, 2], np.uint8))
    minigrad.nn.functional.cross_entropy(x, labels)
    with pytest.raises(IndexError, match="out of bounds: expected class indices from 0 to 5"):
        minigrad.cuda.synchronize()
