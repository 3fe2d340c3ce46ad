"""Hooks on the walk back, beside PyTorch: what they see, what they change, and when they go."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad import autograd

torch = pytest.importorskip("torch")


def a_leaf(m: Any, x: Any, log: list[Any]) -> Any:
    x.register_hook(lambda g: log.append(g.tolist()))
    return (x * x).sum() + x.sum()


def an_intermediate(m: Any, x: Any, log: list[Any]) -> Any:
    y = x * 3
    y.register_hook(lambda g: log.append(g.tolist()))
    return (y * y).sum() + y[0]


def several_in_order(m: Any, x: Any, log: list[Any]) -> Any:
    y = x * 3
    y.register_hook(lambda g: g * 2)
    y.register_hook(lambda g: log.append(g.tolist()))
    y.register_hook(lambda g: g + 1)
    x.register_hook(lambda g: g * 10)
    return (y * y).sum()


def one_that_is_removed(m: Any, x: Any, log: list[Any]) -> Any:
    handle = x.register_hook(lambda g: g * 100)
    with x.register_hook(lambda g: g * 7):
        pass
    handle.remove()
    handle.remove()
    return (x * x).sum()


def one_that_removes_itself(m: Any, x: Any, log: list[Any]) -> Any:
    y = x * 1
    handles: list[Any] = []

    def once(g: Any) -> Any:
        handles[0].remove()
        return g * 5

    handles.append(y.register_hook(once))
    y.register_hook(lambda g: log.append(g.tolist()))
    return y.sum()


def before_a_change_in_place(m: Any, x: Any, log: list[Any]) -> Any:
    y = x * 2
    y.register_hook(lambda g: g * 10)
    y.mul_(3)
    y.register_hook(lambda g: g * 100)
    return y.sum()


def a_retained_gradient(m: Any, x: Any, log: list[Any]) -> Any:
    y = x * 2
    y.retain_grad()
    y.retain_grad()
    y.register_hook(lambda g: g * 4)
    z = (y * y).sum()
    z.backward(retain_graph=True)
    log.append(y.grad.tolist())
    z.backward(retain_graph=True)
    log.append(y.grad.tolist())
    return z


def a_retained_gradient_of_what_is_changed(m: Any, x: Any, log: list[Any]) -> Any:
    y = x * 2
    y.retain_grad()
    y.mul_(3)
    (y * 5).sum().backward()
    log.append((y.grad.tolist(), y.retains_grad, x.retains_grad))
    return x.sum()


def a_hook_of_a_gradient(m: Any, x: Any, log: list[Any]) -> Any:
    x.register_hook(lambda g: g * g)
    (dx,) = m.autograd.grad((x**3).sum(), x, create_graph=True)
    log.append(dx.tolist())
    return dx.sum()


PROGRAMS = [
    a_leaf, an_intermediate, several_in_order, one_that_is_removed, one_that_removes_itself,
    before_a_change_in_place, a_retained_gradient, a_retained_gradient_of_what_is_changed,
    a_hook_of_a_gradient,
]  # fmt: skip


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: p.__name__)
def test_hooks_see_and_change_what_they_do_in_pytorch(program: Callable[..., Any]) -> None:
    seen = []
    for m in mg, torch:
        log: list[Any] = []
        x = m.tensor([1.0, -2.0, 3.0], requires_grad=True)
        program(m, x, log).backward()
        seen.append((log, x.grad.tolist()))
    ours, theirs = seen
    assert ours == theirs


def test_grad_gives_what_hooks_leave_and_touches_only_what_retains() -> None:
    for m in mg, torch:
        x = m.tensor([1.0, 2.0], requires_grad=True)
        y = x * 2
        y.register_hook(lambda g: g * 5)
        y.retain_grad()
        (dy,) = m.autograd.grad(y.sum(), y, retain_graph=True)
        (dx,) = m.autograd.grad(y.sum(), x)
        assert (dy.tolist(), dx.tolist()) == ([5, 5], [10, 10])
        assert y.grad.tolist() == [10, 10]  # added up, twice
        assert x.grad is None


def test_a_hooked_gradient_is_nobody_elses_memory() -> None:
    constant = mg.ones(2)
    x = mg.tensor([1.0, 2.0], requires_grad=True)
    x.register_hook(lambda g: constant)
    for _ in range(2):
        (x * x).sum().backward()
    assert x.grad.tolist() == [2, 2]
    assert constant.tolist() == [1, 1]


def test_a_hook_that_returns_what_does_not_fit_is_an_error_and_touches_no_gradient() -> None:
    for result, error, words in (
        ("a", TypeError, "return None or a Tensor, got str"),
        (mg.ones(3), RuntimeError, r"changed the shape of the gradient from \(2,\) to \(3,\)"),
        (mg.ones(2).double(), RuntimeError, "changed the dtype .* from float32 to float64"),
    ):
        x, other = (mg.tensor([1.0, 2.0], requires_grad=True) for _ in range(2))
        y = x * 2
        y.register_hook(lambda g, result=result: result)
        with pytest.raises(error, match=words):
            (y * other).sum().backward()
        assert (x.grad, other.grad) == (None, None)


def test_what_needs_no_gradient_takes_no_hook() -> None:
    for m in mg, torch:
        for call in (lambda m: m.ones(2).retain_grad(), lambda m: m.ones(2).register_hook(print)):
            with pytest.raises(RuntimeError, match=r"requires_grad=False|require gradient"):
                call(m)


def test_a_hook_that_is_no_function_is_refused_at_once() -> None:
    with pytest.raises(TypeError, match="a hook has to be a function of the gradient, got 3"):
        mg.ones(2, requires_grad=True).register_hook(3)  # type: ignore[arg-type]


def test_a_handle_in_a_with_statement_is_what_register_hook_returned() -> None:
    x = mg.ones(1, requires_grad=True)
    handle = x.register_hook(lambda g: 2 * g)
    with handle as inside:
        assert inside is handle
    (3 * x).backward()
    assert x.grad.tolist() == [3.0]


def test_hooks_make_no_cycles() -> None:
    x = mg.tensor([1.0, 2.0], requires_grad=True)
    gc.collect()
    gc.disable()
    try:
        y = x * 2
        y.retain_grad()
        handle = y.register_hook(lambda g: g)
        array = weakref.ref(y.array)
        y.sum().backward()
        del y
        assert array() is None
        handle.remove()  # of a tensor that is gone
    finally:
        gc.enable()


def test_an_op_of_any_number_of_tensors_has_as_many_next_functions() -> None:
    x, y = mg.ones(1, requires_grad=True), mg.ones(1)
    functions = mg.cat([x, y, x * 2]).grad_fn.next_functions
    names = [node and node.name() for node, _ in functions]
    assert names == ["AccumulateGrad", None, "MulBackward"]


def test_a_node_has_pytorchs_next_functions() -> None:
    found = []
    for m in mg, torch:
        x = m.tensor([1.0, 2.0], requires_grad=True)
        y = (x * 3.0).sum()
        ((inner, place),) = y.grad_fn.next_functions
        (leaf, _), nothing = inner.next_functions
        assert leaf.variable is x
        assert leaf.name().endswith("AccumulateGrad")
        found.append((place, nothing, len(leaf.next_functions)))
    assert found[0] == found[1] == (0, (None, 0), 0)


def test_backward_of_several_and_into_some() -> None:
    found = []
    for m in mg, torch:
        x, w = (m.tensor(v, requires_grad=True) for v in ([1.0, 2.0], [3.0, 4.0]))
        y, z = x * w, x * x
        m.autograd.backward([y, z.sum()], [m.tensor([1.0, 10.0]), None], retain_graph=True)
        first = x.grad.tolist(), w.grad.tolist()
        (x * w).sum().backward(inputs=[w])
        y.retain_grad()
        (y * y).sum().backward(inputs=[x, y])
        found.append((first, x.grad.tolist(), w.grad.tolist(), y.grad.tolist()))
    ours, theirs = found
    assert ours == theirs


def test_grad_gives_zeros_for_what_is_unused_if_asked() -> None:
    x, unused = mg.tensor([1.0], requires_grad=True), mg.ones(2, 3, requires_grad=True)
    dx, nothing, again = mg.grad((x * x).sum(), [x, unused, unused], materialize_grads=True)
    assert dx.tolist() == [2]
    assert nothing.tolist() == np.zeros((2, 3)).tolist()
    assert not np.shares_memory(nothing.array, again.array)
    with pytest.raises(ValueError, match="allow_unused"):
        mg.grad(x.sum(), x, allow_unused=False, materialize_grads=True)


def test_the_names_of_autograd_are_pytorchs() -> None:
    assert set(autograd.__all__) <= set(dir(torch.autograd)) | {"enable_grad", "no_grad"}
    assert mg.autograd is autograd


# ------------------------------------------------------------------------- the end of a pass


def test_what_comes_after_a_pass_is_called_once_when_all_gradients_are_there():
    a, b, c = (mg.tensor([1.0, 2.0], requires_grad=True) for _ in range(3))
    seen = []

    def note():
        seen.append([None if t.grad is None else t.grad.tolist() for t in (a, b, c)])

    handles = [t._hooks().add_after(note) for t in (a, b, c)]
    (a * b).sum().backward()
    assert seen == [[[1.0, 2.0], [1.0, 2.0], None]]
    (c * 2).sum().backward()
    assert seen[1:] == [[[1.0, 2.0], [1.0, 2.0], [2.0, 2.0]]]
    mg.grad((a * b).sum(), a)  # adds to no grad
    assert len(seen) == 2
    for handle in handles[:2]:
        handle.remove()
    (a * b).sum().backward()
    assert len(seen) == 2
