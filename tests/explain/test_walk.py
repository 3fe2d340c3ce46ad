"""The walk that is shown is the walk that autograd makes: its order, gradients and memory."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad import differentiable
from minigrad.explain import explain, recording
from minigrad.explain.values import Picture
from minigrad.explain.walk import reached
from minigrad.nn import functional as F
from tests import fake_cupy
from tests.gpu.definitions import Definitions


def rows(array: Any) -> list[Any]:
    """Return the elements in order."""
    return np.asarray(array).ravel().tolist()


def shown(seen: Any) -> list[Any]:
    assert isinstance(seen, Picture)
    assert seen.rows is not None
    return [value for row in seen.rows for value in row]


# ------------------------------------------------------------------------- random programs

BINARY = [
    lambda a, b: a * b,
    lambda a, b: a + b,
    lambda a, b: a - b,
    lambda a, b: mg.cat([a.reshape(-1), b.reshape(-1)])[:2] * 1,
]
UNARY = [
    lambda a: a.tanh(),
    lambda a: a.exp().sum(0, keepdim=True) * 0.1,
    lambda a: a.reshape(-1).sum(),
    lambda a: F.dropout(a, 0.5) if a.ndim else a * 2,
    lambda a: a.clone().mul_(3),
    lambda a: a.to(mg.float64),
]
STEPS = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 99), st.integers(0, 99)), min_size=1)


def run(steps: list[tuple[int, int, int]]) -> tuple[Any, list[Any], list[Any]]:
    """Run a program; return a scalar that depends on all of it, its leaves, all intermediates."""
    leaves = [
        mg.tensor([[0.5, -0.25], [0.75, 1.5], [2.0, -1.0]], requires_grad=True),
        mg.tensor([0.3, 0.7], requires_grad=True),
        mg.tensor(1.25, requires_grad=True),
    ]
    pool, made = [*leaves], []
    for kind, i, j in steps:
        a, b = pool[i % len(pool)], pool[j % len(pool)]
        if kind < len(BINARY):
            if kind == len(BINARY) - 1:
                a, b = a * 1, b * 1
                made += [a, b]
            try:
                new = BINARY[kind](a, b)
            except (RuntimeError, ValueError):
                continue  # the shapes do not fit
        else:
            new = UNARY[kind - len(BINARY)](a)
        pool.append(new)
        made.append(new)
    y = leaves[0].sum()
    for item in pool[len(leaves) :]:
        y = y + item.sum() * 0.5
    return y, leaves, made


@given(STEPS)
def test_the_steps_are_the_visits_that_hooks_see_and_the_gradients_are_grad(
    steps: list[tuple[int, int, int]],
) -> None:
    y, leaves, made = run(steps)
    explanation = explain(y, names=dict(zip("xbs", leaves, strict=True)))
    nodes, _ = reached(y.grad_fn)
    number = {node: i for i, node in enumerate(nodes)}
    visits: list[tuple[int, list[Any]]] = []
    watched = {t.grad_fn: t for t in made}
    for node, tensor in watched.items():
        tensor.register_hook(lambda g, node=node: visits.append((number[node], rows(g))))
    y.backward()
    assert [i for i, _ in visits] == sorted(
        number[t.grad_fn] for t in {t.grad_fn: t for t in made}.values()
    )
    for i, g in visits:
        step = explanation.steps[i]
        assert (step.number, step.op, step.shape) == (i + 1, nodes[i].op.name, nodes[i].shape)
        assert str(shown(step.seen)) == str(g)  # NaN is NaN, too
    for told in explanation.leaves:
        leaf = leaves["xbs".index(told.name)]
        assert (told.shape, told.dtype) == (leaf.shape, str(leaf.dtype))
        assert str(shown(told.grad)) == str(rows(leaf.grad))


def test_explaining_changes_nothing() -> None:
    x = mg.tensor([1.0, 2.0], requires_grad=True)
    seen: list[Any] = []
    h = x * x
    h.register_hook(seen.append)
    h.retain_grad()
    y = h.exp().sum()
    state = mg.random.get_rng_state()
    explain(y, values=True)
    assert (x.grad, h.grad, seen) == (None, None, [])
    assert mg.random.get_rng_state() == state
    y.backward()
    assert len(seen) == 1
    np.testing.assert_allclose(x.grad.numpy(), 2 * np.exp([1.0, 4.0]) * [1, 2], rtol=1e-6)


def test_an_explanation_keeps_nothing_of_the_graph_alive() -> None:
    x = mg.ones(3, requires_grad=True)
    with recording():
        y = (x * 2).exp().sum()
    node, memory = weakref.ref(y.grad_fn), weakref.ref(y.grad_fn.sources[0].saved["y"])
    explanation = explain(y)
    text = str(explanation)
    gc.disable()
    try:
        del y
        assert node() is None
        assert memory() is None
    finally:
        gc.enable()
    assert str(explanation) == text
    assert "exp" in explanation.html


# ------------------------------------------------------------------------- what a step says


def test_a_shared_node_is_visited_after_all_that_read_it_and_what_comes_is_added() -> None:
    x = mg.tensor(2.0, requires_grad=True)
    h = x * 3
    left, right = h.exp(), h * 5
    steps = explain(left * right).steps
    assert [step.op for step in steps] == ["mul", "mul", "exp", "mul"]
    (to_left, to_right), (from_right,), (from_left,), _ = (step.pieces for step in steps)
    assert (to_left.target, to_right.target) == (3, 2)
    assert (from_right.target, from_right.added) == (4, False)
    assert (from_left.target, from_left.added) == (4, True)
    assert shown(from_left.total) == pytest.approx(
        [shown(from_left.seen)[0] + shown(from_right.seen)[0]]
    )
    assert shown(steps[3].seen) == shown(from_left.total)


def test_a_leaf_that_is_used_twice_adds_up() -> None:
    x = mg.tensor(3.0, requires_grad=True)
    explanation = explain(x * x)
    first, second = explanation.steps[0].pieces
    assert (first.target, first.added, second.target, second.added) == ("x", False, "x", True)
    assert shown(second.total) == shown(explanation.leaves[0].grad) == [6.0]


def test_summing_and_casting_on_the_way_are_told() -> None:
    x = mg.ones(4, 3, requires_grad=True)
    b = mg.ones(3, requires_grad=True, dtype=mg.float16)
    (step,) = explain(x + b, gradient=mg.ones(4, 3)).steps
    to_x, to_b = step.pieces
    assert (to_x.summed, to_x.cast) == (None, None)
    assert (to_b.shape, to_b.dtype, to_b.summed, to_b.cast) == ((4, 3), "float32", (3,), "float16")
    assert shown(to_b.seen) == [4.0, 4.0, 4.0]
    text = str(explain(x + b))
    assert "summed from (4, 3) to (3,), cast from float32 to float16, to b" in text


def test_the_graph_of_a_gradient_is_explained_like_any_other() -> None:
    x = mg.tensor([1.0, 2.0], requires_grad=True)
    (dx,) = mg.grad((x**4).sum(), x, create_graph=True)
    explanation = explain(dx)
    (leaf,) = explanation.leaves
    (second,) = mg.grad(dx.sum(), x)
    assert shown(leaf.grad) == rows(second) == [12.0, 48.0]
    assert len(explanation.steps) > 2


def test_an_op_of_any_number_of_tensors_names_each() -> None:
    leaves = [mg.ones(n, requires_grad=True) for n in (1, 2, 3)]
    names = {"p": leaves[0], "q": leaves[1], "r": leaves[2]}
    step = explain(mg.cat([*leaves, leaves[1]]), names=names).steps[0]
    assert [(p.argument, p.target, p.added) for p in step.pieces] == [
        ("tensors[0]", "p", False), ("tensors[1]", "q", False), ("tensors[2]", "r", False),
        ("tensors[3]", "q", True),
    ]  # fmt: skip
    assert step.pieces[0].formula.startswith("lambda g, dim, ends: getitem(")


def test_a_history_of_changes_in_place_is_followed() -> None:
    x = mg.tensor([-1.0, 2.0], requires_grad=True)
    with recording():
        h = x * 2
        h.relu_()
        k = h.clone()
        k[0] = x[1]
        y = k.sum()
    explanation = explain(y)
    assert {"setitem", "relu", "mul"} <= {step.op for step in explanation.steps}
    values = {step.op: shown(step.value) for step in explanation.steps}
    assert values["mul"] == [-2.0, 4.0]
    assert values["relu"] == [0.0, 4.0]
    y.backward()
    assert shown(explanation.leaves[0].grad) == rows(x.grad)


def test_a_freed_graph_is_explained_up_to_where_the_walk_would_stop() -> None:
    x = mg.ones(2, requires_grad=True)
    y = (x * 3).exp().sum() + 1
    y.backward()
    explanation = explain(y)
    assert [step.stop is None for step in explanation.steps] == [True, False, True, True]
    assert "reads x_shape, dim, keepdim: freed, or changed in place since" in str(explanation)
    assert "freed by the first backward pass" in str(explanation.steps[1].stop)
    text = str(explanation)
    assert "The walk would stop here. RuntimeError: Trying to backward through the graph" in text
    assert "Not reached: 2 ops." in text
    assert "reads y: freed, or changed in place since" not in text  # never come to
    assert explanation.leaves[0].grad is None
    assert explanation.kept == 0


def test_what_was_changed_in_place_since_stops_the_walk() -> None:
    x = mg.ones(2, requires_grad=True)
    h = x * 2
    y = (h * h).sum()
    h.add_(1)
    assert "modified by an inplace operation" in str(explain(y))


def test_an_op_with_a_wrong_derivative_is_told_as_backward_would() -> None:
    @differentiable(x=lambda g: mg.ones(5).array)
    def wrong(x: Any) -> Any:
        return x * 1

    y = wrong(mg.ones(2, requires_grad=True)).sum()
    with pytest.raises(RuntimeError) as raised:
        y.backward(retain_graph=True)
    assert explain(y).steps[1].stop == f"RuntimeError: {raised.value}"


def test_a_formula_that_raises_is_told() -> None:
    @differentiable(x=lambda g: 1 // 0)
    def broken(x: Any) -> Any:
        return x * 1

    (step,) = explain(broken(mg.ones(1, requires_grad=True))).steps
    assert step.stop is not None
    assert step.stop.startswith("ZeroDivisionError")


def test_hooks_are_counted_and_not_run() -> None:
    x = mg.ones(1, requires_grad=True)
    x.register_hook(lambda g: g * 100)
    h = x * 2
    h.register_hook(lambda g: g * 100)
    h.register_hook(print)
    explanation = explain(h * 3)
    assert explanation.steps[1].hooks == 2
    assert explanation.leaves[0].hooks == 1
    assert shown(explanation.leaves[0].grad) == [6.0]
    assert "2 hooks will see g first" in str(explanation)


def test_a_leaf_itself_has_no_steps() -> None:
    x = mg.tensor(3.0, requires_grad=True)
    explanation = explain(x)
    assert explanation.steps == []
    assert shown(explanation.leaves[0].grad) == [1.0]
    assert "0 ops, 1 leaf" in str(explanation)


def test_what_cannot_be_explained_is_refused_by_name() -> None:
    x = mg.ones(2, requires_grad=True)
    with pytest.raises(RuntimeError, match=r"does not require grad.*no_grad"):
        explain(mg.ones(2))
    with pytest.raises(RuntimeError, match="Mismatch in shape"):
        explain(x * 2, gradient=mg.ones(3))
    with pytest.raises(TypeError, match=r"needs one tensor or a module.*got 3"):
        explain(3)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="inputs for a module only"):
        explain(x * 2, x)


# ------------------------------------------------------------------------- memory


def test_memory_is_counted_once_however_many_keep_it() -> None:
    x = mg.ones(1000, requires_grad=True)
    h = x.exp()  # keeps its result, 4000 B
    y = (h * h).sum() + (h.reshape(10, 100) * 2).sum() + h.tanh().sum()
    explanation = explain(y)
    assert explanation.kept == 8000  # h, which exp and mul keep, and tanh's result
    assert max(explanation.curve) == 8000
    assert explanation.curve[-1] == 0
    mul = next(s for s in explanation.steps if s.op == "mul" and len(s.pieces) == 2)
    exp = next(s for s in explanation.steps if s.op == "exp")
    assert mul.pieces[0].reads[0].others == [exp.number]
    assert f"(4000 B, the same as {mul.number} keeps)" in str(explanation)


def test_the_leaves_own_memory_is_told_apart_and_a_view_counts_as_what_it_holds() -> None:
    w = mg.ones(100, requires_grad=True)
    explanation = explain((w * w).sum())
    assert explanation.kept == 0
    assert explanation.curve == [0] * 4
    assert "keeps 0 B, and 400 B of the leaves' own" in str(explanation)
    big = mg.ones(1000)
    (step,) = explain(mg.ones(10, requires_grad=True) * big[:10]).steps
    assert step.pieces[0].reads[0].nbytes == 4000


def test_the_curve_rises_as_ops_are_run_and_falls_as_the_walk_frees() -> None:
    x = mg.ones(100, requires_grad=True)
    explanation = explain(x.exp().tanh().sigmoid().sum())
    assert explanation.curve == [400, 800, 1200, 1200, 1200, 800, 400, 0]


def test_an_index_that_is_kept_counts() -> None:
    x = mg.ones(10, requires_grad=True)
    index = mg.tensor([1, 2, 3])
    assert explain(x[index]).kept == 24


# ------------------------------------------------------------------------- odd values


@pytest.mark.parametrize("dtype", [mg.float16, mg.float32, mg.float64])
def test_nan_and_infinity_are_shown(dtype: Any) -> None:
    x = mg.tensor([0.0, float("nan"), float("inf"), 1.0], dtype=dtype, requires_grad=True)
    explanation = explain(x * x, values=True)
    assert "value = [0. nan inf 1.]" in str(explanation)
    explanation.html  # noqa: B018  (it has to be JSON)


@pytest.mark.parametrize("shape", [(0,), (3, 0), (), (1, 1, 1)])
def test_every_shape_is_shown(shape: tuple[int, ...]) -> None:
    x = mg.ones(*shape, requires_grad=True) if shape else mg.tensor(1.0, requires_grad=True)
    explanation = explain(x * 2, values=True)
    assert ("no element" in str(explanation)) == (0 in shape)
    explanation.html  # noqa: B018


def test_a_walk_on_a_gpu_is_shown_with_its_numbers() -> None:
    with fake_cupy.installed(Definitions):
        x = mg.tensor([[1.0, 2.0]], device="cuda", requires_grad=True)
        b = mg.tensor(3.0, device="cuda", requires_grad=True)
        with recording():
            y = F.dropout((x * b).exp().sum(0), 0.5, generator=mg.Generator(1)).sum()
        explanation = explain(y, values=True)
        y.backward()
        gradients = {"x": x.grad, "b": b.grad}
        for leaf in explanation.leaves:
            assert shown(leaf.grad) == rows(gradients[leaf.name].cpu())
        assert explanation.steps[1].draws["keep"].state == (1, 0, 0)
        assert explanation.kept > 0
        assert len(explanation.html) > 10_000


def test_a_long_chain_is_explained_without_recursion() -> None:
    y = x = mg.ones(1, requires_grad=True)
    for _ in range(6000):
        y = y + 1
    explanation = explain(y, names={"x": x})
    assert [step.number for step in explanation.steps] == list(range(1, 6001))
    assert "\n... 5,980 ops are left out here: .text has them all\n\n5991. add" in str(explanation)
    assert "\n10. add (1,)" in str(explanation)
    assert "\n11. add (1,)" not in str(explanation)
    assert explanation.text.count(". add (1,)") == 6000
    with pytest.raises(ValueError, match=r"at most 5,000 ops, and this graph has 6,000.*a part"):
        explanation.save("never.html")
    assert "6,000" in explanation._repr_html_()
