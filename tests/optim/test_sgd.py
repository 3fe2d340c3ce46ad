"""Stochastic gradient descent beside PyTorch's, its state, and what it refuses."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad.optim import SGD, Optimizer
from tests.failures import compare

OPTIONS = [
    {"momentum": m, "dampening": d, "weight_decay": w, "nesterov": n, "maximize": up}
    for m, d, w, n, up in itertools.product(
        [0, 0.9], [0, 0.3], [0, 0.05], [False, True], [False, True]
    )
    if not n or (m and not d)
]
SHAPES = [(4, 3), (3,), ()]


def names(options: dict[str, Any]) -> str:
    return ", ".join(name for name, value in options.items() if value) or "plain"


def parameters(m: Any, dtype: Any = np.float64) -> list[Any]:
    """Return the same leaves in minigrad (``m``) and in PyTorch."""
    rng = np.random.default_rng(0)
    arrays = [np.asarray(rng.normal(size=shape)).astype(dtype) for shape in SHAPES]
    return [m.from_numpy(array).requires_grad_() for array in arrays]


def loss(params: list[Any]) -> Any:
    """Return something with curvature in which all parameters meet; bounded, up and down."""
    w, b, c = params
    return (w * b).sin().sum() + b.cos().sum() * 0.3 + (c * b.sum()).cos()


def train(params: list[Any], optimizer: Any, steps: int) -> list[np.ndarray]:
    """Return copies of the parameters after each step."""
    seen = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss(params).backward()
        optimizer.step()
        seen += [p.detach().numpy().copy() for p in params]
    return seen


def assert_same_steps(ours: list[np.ndarray], theirs: list[np.ndarray]) -> None:
    """Assert that two results of `train` agree, or say which parameter does not, and since when."""
    assert len(ours) == len(theirs)
    for i, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        step, parameter = divmod(i, len(SHAPES))
        what = f"parameter {'wbc'[parameter]} after step {step + 1}"
        compare(a, b, 1e-10, 1e-10, what, "PyTorch", {}, derivative=False)


# ------------------------------------------------------------------------- the rule


@pytest.mark.parametrize("options", OPTIONS, ids=names)
def test_twenty_steps_are_pytorchs(options: dict[str, Any]) -> None:
    torch = pytest.importorskip("torch")
    runs = []
    for m in mg, torch:
        params = parameters(m)
        runs.append(train(params, m.optim.SGD(params, lr=0.05, **options), 20))
    assert_same_steps(*runs)


def test_groups_with_settings_of_their_own_are_trained_as_pytorchs() -> None:
    torch = pytest.importorskip("torch")
    runs = []
    for m in mg, torch:
        w, b, c = parameters(m)
        groups = [
            {"params": [w], "lr": 0.05, "weight_decay": 0.1},
            {"params": iter([b]), "momentum": 0.5, "nesterov": True},
        ]
        optimizer = m.optim.SGD(groups, lr=0.02, momentum=0.9)
        optimizer.add_param_group({"params": c, "maximize": True})
        runs.append(train([w, b, c], optimizer, 20))
    assert_same_steps(*runs)


def test_one_step_of_each_kind_by_hand() -> None:
    """p = 1, g = 2 twice, lr = 0.1; all numbers can be checked in one's head."""

    def two_steps(**options: Any) -> list[float]:
        p = mg.tensor(1.0, dtype=np.float64, requires_grad=True)
        optimizer = SGD([p], lr=0.1, **options)
        values = []
        for _ in range(2):
            p.grad = mg.tensor(2.0, dtype=np.float64)
            optimizer.step()
            values.append(p.item())
        return values

    assert two_steps() == pytest.approx([0.8, 0.6])
    assert two_steps(maximize=True) == pytest.approx([1.2, 1.4])
    assert two_steps(weight_decay=0.5) == pytest.approx([0.75, 0.5125])
    assert two_steps(momentum=0.5) == pytest.approx([0.8, 0.5])
    assert two_steps(momentum=0.5, dampening=0.5) == pytest.approx([0.8, 0.6])
    assert two_steps(momentum=0.5, nesterov=True) == pytest.approx([0.7, 0.35])


def test_the_default_learning_rate_is_pytorchs() -> None:
    torch = pytest.importorskip("torch")
    ours, theirs = (m.optim.SGD([m.ones(1)]).param_groups[0] for m in (mg, torch))
    assert {name: theirs[name] for name in ours if name != "params"} == {
        name: value for name, value in ours.items() if name != "params"
    }


# ------------------------------------------------------------------------- what a step touches


@pytest.mark.parametrize("options", OPTIONS, ids=names)
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_a_step_writes_into_parameters_alone(options: dict[str, Any], dtype: Any) -> None:
    params = parameters(mg, dtype)
    optimizer = SGD(params, lr=np.float64(0.1), **options)
    data = [p.array for p in params]
    for step in range(1, 4):
        optimizer.zero_grad()
        loss(params).backward()
        before = [p.grad.numpy().copy() for p in params]
        optimizer.step()
        for p, array, g in zip(params, data, before, strict=True):
            assert p.array is array
            assert p.dtype == p.grad.dtype == dtype
            assert p.is_leaf
            assert p.requires_grad
            assert p._version == step
            np.testing.assert_array_equal(p.grad.numpy(), g, strict=True)
            for buffer in optimizer.state.get(p, {}).values():
                assert buffer.dtype == dtype
                assert not np.shares_memory(buffer.array, p.grad.array)
                assert not np.shares_memory(buffer.array, p.array)


def test_a_parameter_without_gradient_stays_as_it_is() -> None:
    used, unused = mg.ones(2, requires_grad=True), mg.ones(2, requires_grad=True)
    optimizer = SGD([used, unused], lr=0.1, momentum=0.9, weight_decay=0.1)
    (used * 2).sum().backward()
    optimizer.step()
    assert unused.tolist() == [1.0, 1.0]
    assert unused._version == 0
    assert unused not in optimizer.state
    assert used.tolist() != [1.0, 1.0]


def test_a_step_records_nothing_and_works_inside_no_grad_too() -> None:
    p = mg.ones(2, requires_grad=True)
    optimizer = SGD([p], lr=0.5)
    (p * p).sum().backward()
    with mg.no_grad():
        optimizer.step()
    assert p.tolist() == [0.0, 0.0]
    assert p.grad_fn is None


def test_zero_grad_forgets_gradients_or_fills_them_with_zeros() -> None:
    p, q = mg.ones(2, requires_grad=True), mg.ones(2, requires_grad=True)
    optimizer = SGD([{"params": [p]}, {"params": [q]}], lr=0.1)
    (p * 3).sum().backward()
    g = p.grad
    optimizer.zero_grad(set_to_none=False)
    assert g.tolist() == p.grad.tolist() == [0.0, 0.0]
    assert q.grad is None
    optimizer.zero_grad()
    assert p.grad is None


def test_zeros_for_a_gradient_that_was_recorded_have_no_history() -> None:
    p = mg.ones(2, requires_grad=True)
    (p * p).sum().backward(create_graph=True)
    assert p.grad.requires_grad
    SGD([p], lr=0.1).zero_grad(set_to_none=False)
    assert p.grad.tolist() == [0.0, 0.0]
    assert not p.grad.requires_grad


def test_backward_after_a_step_over_a_retained_graph_is_refused() -> None:
    p = mg.ones(2, requires_grad=True)
    y = (p * p).sum()
    y.backward(retain_graph=True)
    SGD([p], lr=0.1).step()
    with pytest.raises(
        RuntimeError, match=r"modified by an inplace operation: [ab] of MulBackward"
    ):
        y.backward()


def test_two_optimisers_have_nothing_in_common() -> None:
    p = mg.ones(1, requires_grad=True)
    a, b = SGD([p], lr=0.1, momentum=0.9), SGD([p], lr=0.2)
    p.grad = mg.ones(1)
    a.step()
    assert not b.state
    assert b.param_groups[0]["lr"] == 0.2


# ------------------------------------------------------------------------- state


def through_a_dictionary(state: dict[str, Any], folder: Path) -> Any:
    return state


def through_a_file(state: dict[str, Any], folder: Path) -> Any:
    mg.save(state, folder / "state.safetensors")
    return mg.load(folder / "state.safetensors")


@pytest.mark.parametrize("options", OPTIONS, ids=names)
@pytest.mark.parametrize("carry", [through_a_dictionary, through_a_file], ids=["dict", "file"])
def test_a_restored_state_continues_to_the_bit(
    options: dict[str, Any], carry: Callable[..., Any], tmp_path: Path
) -> None:
    straight = parameters(mg, np.float32)
    expected = train(straight, SGD(straight, lr=0.1, **options), 12)[5 * len(SHAPES) :]

    first = parameters(mg, np.float32)
    optimizer = SGD(first, lr=0.1, **options)
    train(first, optimizer, 5)
    second = [mg.tensor(p.detach(), requires_grad=True) for p in first]
    resumed = SGD(second, lr=77.0)  # its own settings give way to the saved ones
    resumed.load_state_dict(carry(optimizer.state_dict(), tmp_path))
    train(first, optimizer, 3)  # must not reach into what was loaded
    for actual, wanted in zip(train(second, resumed, 7), expected, strict=True):
        assert actual.tobytes() == wanted.tobytes()


def test_a_state_dict_names_parameters_by_number_across_groups_as_pytorchs_does() -> None:
    torch = pytest.importorskip("torch")

    def state(m: Any) -> Any:
        w, b, c = parameters(m)
        optimizer = m.optim.SGD([{"params": [w, c]}, {"params": [b], "lr": 0.3}], 0.1, 0.9)
        loss([w, b, c]).backward()
        optimizer.step()
        return optimizer.state_dict()

    ours, theirs = state(mg), state(torch)
    assert [g["params"] for g in ours["param_groups"]] == [[0, 1], [2]]
    assert [g["params"] for g in theirs["param_groups"]] == [[0, 1], [2]]
    assert [g["lr"] for g in ours["param_groups"]] == [0.1, 0.3]
    assert ours["state"].keys() == theirs["state"].keys()
    for i, values in theirs["state"].items():
        assert ours["state"][i].keys() == values.keys()
        buffers = (s["state"][i]["momentum_buffer"].numpy() for s in (ours, theirs))
        np.testing.assert_allclose(*buffers, rtol=1e-12)


def test_what_is_done_to_a_state_dict_is_not_done_to_the_optimiser() -> None:
    w, b, c = parameters(mg)
    optimizer = SGD([w, b, c], 0.1, 0.9)
    loss([w, b, c]).backward()
    optimizer.step()
    state = optimizer.state_dict()
    state["param_groups"][0]["lr"] = 7.0
    state["param_groups"][0]["params"].clear()
    state["state"][0].clear()
    del state["state"][1]
    assert optimizer.param_groups[0]["lr"] == 0.1
    assert optimizer.param_groups[0]["params"] == [w, b, c]
    assert [set(optimizer.state[p]) for p in (w, b, c)] == [{"momentum_buffer"}] * 3


def test_a_loaded_state_takes_the_place_of_all_that_was_remembered() -> None:
    w, b, c = parameters(mg)
    optimizer = SGD([w, b, c], 0.1, 0.9)
    loss([w, b, c]).backward()
    optimizer.step()
    state = optimizer.state_dict()
    del state["state"][1]
    optimizer.load_state_dict(state)
    assert list(optimizer.state) == [w, c]


def test_a_state_for_other_groups_is_refused_and_changes_nothing() -> None:
    w, b, c = parameters(mg)
    optimizer = SGD([w, b], lr=0.1)
    other = SGD([{"params": [w]}, {"params": [b, c]}], lr=0.2).state_dict()
    with pytest.raises(ValueError, match=re.escape("groups of [1, 2] parameters, not [2]")):
        optimizer.load_state_dict(other)
    assert optimizer.param_groups[0]["lr"] == 0.1


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("convert", [lambda t: t, lambda t: t.numpy(), "torch"])
def test_a_loaded_buffer_has_its_parameters_dtype_as_in_pytorch(dtype: Any, convert: Any) -> None:
    torch = pytest.importorskip("torch")
    change = (lambda t: torch.from_numpy(t.numpy())) if convert == "torch" else convert
    runs = []
    for m in mg, torch:
        source = [m.from_numpy(np.ones(2, np.float32)).requires_grad_()]
        optimizer = m.optim.SGD(source, lr=0.1, momentum=0.9)
        source[0].grad = m.from_numpy(np.full(2, 1 / 3, np.float32))
        optimizer.step()
        state = optimizer.state_dict()
        if m is mg:
            state["state"][0]["momentum_buffer"] = change(state["state"][0]["momentum_buffer"])
        target = [m.from_numpy(np.ones(2, dtype)).requires_grad_()]
        other = m.optim.SGD(target, lr=0.5)
        other.load_state_dict(state)
        target[0].grad = m.from_numpy(np.full(2, 0.1, dtype))
        other.step()
        runs.append([target[0].detach().numpy(), other.state[target[0]]["momentum_buffer"].numpy()])
    for ours, theirs in zip(*runs, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2 * np.finfo(dtype).eps, strict=True)


def test_the_state_of_pytorchs_optimiser_is_taken() -> None:
    torch = pytest.importorskip("torch")
    theirs, ours = parameters(torch), parameters(mg)
    source, target = torch.optim.SGD(theirs, 0.05, 0.9), SGD(ours, lr=9.0)
    loss(theirs).backward()
    source.step()
    target.load_state_dict(source.state_dict())
    for p, q in zip(ours, theirs, strict=True):
        p.detach().copy_(mg.from_numpy(q.detach().numpy()))
    assert_same_steps(train(ours, target, 5), train(theirs, source, 5))


BAD_STATES: dict[str, Callable[[Any], Any]] = {
    "no dictionary": lambda s: [s],
    "no groups": lambda s: {"state": s["state"]},
    "no state": lambda s: {"param_groups": s["param_groups"]},
    "groups that are none": lambda s: {**s, "param_groups": 3},
    "a group that is none": lambda s: {**s, "param_groups": [3, 4]},
    "a group without parameters": lambda s: {**s, "param_groups": [{"lr": 1.0}, {"lr": 1.0}]},
    "one group": lambda s: {**s, "param_groups": s["param_groups"][:1]},
    "a state that is none": lambda s: {**s, "state": [1]},
    "a parameter's state that is none": lambda s: {**s, "state": {**s["state"], 1: 5}},
    "an unknown parameter": lambda s: {**s, "state": {**s["state"], 7: {}}},
}
for _i in range(3):
    for _name, _buffer in {
        "another shape": lambda: mg.ones(5),
        "more dimensions": lambda: mg.ones(1, 4, 3),
        "a number": lambda: 3.0,
        "an array of strings": lambda: np.array(["x"]),
        "a list": lambda: [1.0],
    }.items():
        BAD_STATES[f"{_name} for parameter {_i}"] = lambda s, i=_i, buffer=_buffer: {
            **s, "state": {**s["state"], i: {"momentum_buffer": buffer()}}
        }  # fmt: skip
for _i in range(2):
    for _name, _value in {"lr": -1.0, "momentum": math.nan, "weight_decay": "much"}.items():
        BAD_STATES[f"{_name} of group {_i}"] = lambda s, i=_i, new=(_name, _value): {
            **s,
            "param_groups": [
                {**g, **({new[0]: new[1]} if j == i else {})}
                for j, g in enumerate(s["param_groups"])
            ],
        }


@pytest.mark.parametrize("spoil", BAD_STATES.values(), ids=BAD_STATES)
def test_states_that_do_not_fit_are_refused_and_change_nothing(spoil: Any) -> None:
    def trained(lr: float) -> Any:
        w, b, c = params = parameters(mg)
        optimizer = SGD([{"params": [w, b]}, {"params": [c], "lr": 7.0}], lr=lr, momentum=0.9)
        train(params, optimizer, 1)
        return optimizer

    optimizer, state = trained(0.25), trained(0.5).state_dict()
    before = optimizer.state_dict()
    buffers = {p: id(values["momentum_buffer"]) for p, values in optimizer.state.items()}
    with pytest.raises((TypeError, ValueError)):
        optimizer.load_state_dict(spoil(state))
    assert optimizer.state_dict()["param_groups"] == before["param_groups"]
    assert {p: id(values["momentum_buffer"]) for p, values in optimizer.state.items()} == buffers
    optimizer.load_state_dict(state)
    assert optimizer.param_groups[0]["lr"] == 0.5


def test_what_is_no_state_is_refused_with_what_was_expected() -> None:
    optimizer = SGD(parameters(mg), 0.1)
    good = optimizer.state_dict()
    for state, words in (
        ([good], "expected a dictionary as the state of an optimiser, got list"),
        (["state", "param_groups"], "expected a dictionary as the state of an optimiser, got list"),
        ({**good, "param_groups": 3}, "expected a list as 'param_groups', got int"),
        ({**good, "state": [1]}, "expected a dictionary as 'state', got list"),
    ):
        with pytest.raises(TypeError, match=words):
            optimizer.load_state_dict(state)


def test_a_buffer_of_another_shape_is_named_with_both_shapes() -> None:
    source, target = mg.ones(2, requires_grad=True), mg.ones(3, requires_grad=True)
    one, other = SGD([source], 0.1, 0.9), SGD([target], 0.1, 0.9)
    source.grad = mg.ones(2)
    one.step()
    with pytest.raises(ValueError, match=r"parameter 0 .* shape \(2,\), .* the shape \(3,\)"):
        other.load_state_dict(one.state_dict())


# ------------------------------------------------------------------------- a closure


@pytest.mark.parametrize("recording", [True, False])
def test_a_closure_is_called_before_the_step_and_its_loss_returned(recording: bool) -> None:
    runs = []
    for m in mg, pytest.importorskip("torch"):
        p = m.tensor([1.0, 2.0], requires_grad=True)
        optimizer, seen = m.optim.SGD([p], lr=0.25), []

        def closure(p: Any = p, optimizer: Any = optimizer) -> Any:
            optimizer.zero_grad()
            total = (p * p).sum()
            total.backward()
            return total

        for _ in range(3):
            with m.set_grad_enabled(recording):
                seen += [optimizer.step(closure).item(), *p.tolist()]
        assert optimizer.step() is None
        runs.append(seen)
    assert runs[0] == runs[1] == [5.0, 0.5, 1.0, 1.25, 0.25, 0.5, 0.3125, 0.125, 0.25]


# ------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lr": -0.1}, "Invalid learning rate: -0.1"),
        ({"lr": math.nan}, "Invalid learning rate: nan"),
        ({"momentum": -0.5}, "Invalid momentum: -0.5"),
        ({"weight_decay": -1}, "Invalid weight_decay: -1"),
        ({"nesterov": True}, "Nesterov momentum requires a momentum and zero dampening"),
        ({"nesterov": True, "momentum": 0.9, "dampening": 0.1}, "Nesterov momentum requires"),
    ],
)
def test_settings_out_of_range_are_refused_in_any_group(
    options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        SGD([mg.ones(1)], **options)
    optimizer = SGD([mg.ones(1)])
    with pytest.raises(ValueError, match=message):
        optimizer.add_param_group({"params": [mg.ones(1)], **options})
    assert len(optimizer.param_groups) == 1


def test_what_cannot_be_optimised_is_refused() -> None:
    p = mg.ones(2, requires_grad=True)
    for params, error, message in (
        ([], ValueError, "empty parameter list"),
        (iter(()), ValueError, "empty parameter list"),
        (p, TypeError, "should be an iterable of Tensors or dicts"),
        ([{"params": [p]}, [p]], TypeError, "param_group must be a dict, but got list"),
        ([p, np.ones(2)], TypeError, "can only optimize Tensors, got ndarray"),
        ([p, p * 2], ValueError, "can't optimize a non-leaf Tensor"),
        ([p, p], ValueError, "appear more than once"),
        ([{"params": [p]}, {"params": [mg.ones(1), p]}], ValueError, "in more than one group"),
    ):
        with pytest.raises(error, match=message):
            SGD(params)


def test_parameters_with_equal_values_are_not_taken_for_one() -> None:
    p, q = mg.ones(2, requires_grad=True), mg.ones(2, requires_grad=True)
    optimizer = SGD([p, q], lr=0.5)
    (p.sum() + 2 * q.sum()).backward()
    optimizer.step()
    assert (p.tolist(), q.tolist()) == ([0.5, 0.5], [0.0, 0.0])


def test_an_option_of_a_subclass_that_nobody_takes_is_refused() -> None:
    with pytest.raises(TypeError, match="no keyword arguments"):
        type("Coloured", (SGD,), {}, colour="red")


def test_an_optimiser_without_a_step_says_which() -> None:
    class Idle(Optimizer):
        pass

    p = mg.ones(1, requires_grad=True)
    p.sum().backward()
    with pytest.raises(NotImplementedError, match=r"Idle must define change\(\) or step\(\)"):
        Idle([p], {}).step()


def test_repr_lists_the_settings_of_each_group() -> None:
    text = repr(SGD([{"params": [mg.ones(1)]}, {"params": [mg.ones(1)], "lr": 0.5}], lr=0.1))
    assert text.startswith("SGD (\nParameter Group 0\n    dampening: 0\n    lr: 0.1\n")
    assert "Parameter Group 1\n    dampening: 0\n    lr: 0.5\n" in text
    assert "params" not in text
