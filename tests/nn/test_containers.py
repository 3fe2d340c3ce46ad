"""Containers changed after they were made, beside PyTorch's; lazy layers; registries as views."""

from __future__ import annotations

import copy
import operator
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad
from minigrad import nn, optim
from tests.reference import pytorch, scaled

# ------------------------------------------------------------------------- any changes, in both

INDEX = st.integers(-6, 5)
CHANGES = st.lists(
    st.one_of(
        st.tuples(st.just("append")),
        st.tuples(st.just("extend"), st.integers(0, 2)),
        st.tuples(st.sampled_from(["add", "iadd"]), st.integers(0, 2)),
        st.tuples(st.just("insert"), INDEX),
        st.tuples(st.just("pop"), INDEX),
        st.tuples(st.just("del"), INDEX),
        st.tuples(st.just("del"), st.slices(5)),
        st.tuples(st.just("set"), INDEX),
        st.tuples(st.just("part"), st.slices(5)),
    ),
    max_size=5,
)


def changed(m: Any, kind: str, changes: list[Any]) -> list[Any]:
    """Return what a container of layers looks like after each change; IndexError where refused."""
    sizes = iter(range(1, 100))

    def layer() -> Any:
        return m.nn.Linear(1, next(sizes))

    first = [layer() for _ in range(3)]
    box = m.nn.Sequential(*first) if kind == "Sequential" else m.nn.ModuleList(first)
    seen = []
    for what, *args in changes:
        try:
            match what:
                case "append":
                    box.append(layer())
                case "extend":
                    box.extend([layer() for _ in range(args[0])])
                case "iadd":
                    more = [layer() for _ in range(args[0])]
                    box += m.nn.Sequential(*more) if kind == "Sequential" else more
                case "add":
                    more = [layer() for _ in range(args[0])]
                    box = box + (m.nn.Sequential(*more) if kind == "Sequential" else more)
                case "insert":
                    counted = kind == "ModuleList"  # PyTorch's list breaks at any other index
                    box.insert(args[0] % (len(box) + 1) if counted else args[0], layer())
                case "pop":
                    seen.append(repr(box.pop(args[0])))
                case "del":
                    del box[args[0]]
                case "set":
                    box[args[0]] = layer()
                case "part":
                    seen.append(repr(box[args[0]]))
        except IndexError:
            seen.append("IndexError")
        seen += [repr(box), list(box.state_dict()), len(box)]
    return seen


@settings(max_examples=scaled(100), deadline=None)
@given(kind=st.sampled_from(["Sequential", "ModuleList"]), changes=CHANGES)
def test_any_changes_give_pytorchs_container(kind: str, changes: list[Any]) -> None:
    assert changed(minigrad, kind, changes) == changed(pytorch().module, kind, changes)


@pytest.mark.parametrize("change", [
    lambda box: operator.setitem(box, 0, 3), lambda box: box.insert(0, "x"),
    lambda box: box.extend([nn.ReLU(), 3]),
])  # fmt: skip
def test_what_is_no_module_is_refused(change: Callable[[Any], Any]) -> None:
    box = nn.ModuleList([nn.ReLU()])
    with pytest.raises(TypeError, match=r"ModuleList holds modules, got (int|str)"):
        change(box)


def test_a_replaced_layer_is_trained_and_the_removed_one_is_not() -> None:
    net = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1))
    old = net[2]
    net[-1] = nn.Linear(2, 3)
    assert not any(p is old.weight for p in net.parameters())
    assert net(minigrad.ones(1, 2)).shape == (1, 3)


# ------------------------------------------------------------------------- by name


def by_name(m: Any) -> list[Any]:
    box = m.nn.ModuleDict({"a": m.nn.Linear(1, 1), "b": m.nn.ReLU()})
    seen = [repr(box), list(box), list(box.keys()), len(box), "a" in box, "c" in box]
    box["c"] = m.nn.Linear(1, 2)
    box.update([["d", m.nn.Tanh()], ["a", m.nn.Sigmoid()]])
    seen += [repr(box), [repr(v) for v in box.values()], [k for k, _ in box.items()]]
    seen += [repr(box.pop("b")), list(box.state_dict())]
    del box["d"]
    seen.append(repr(box))
    for wrong in (lambda: box["x"], lambda: box.pop("x"), lambda: operator.delitem(box, "x")):
        with pytest.raises(KeyError):
            wrong()
    for name in ("keys", "", "x.y"):
        with pytest.raises(KeyError):
            box[name] = m.nn.ReLU()
    box.clear()
    return [*seen, repr(box), len(box)]


def test_a_dictionary_of_modules_is_pytorchs() -> None:
    assert by_name(minigrad) == by_name(pytorch().module)


def test_registries_are_views_through_which_modules_can_be_set() -> None:
    class Chain(nn.Module):
        def __init__(self, *layers: nn.Module) -> None:
            super().__init__()
            for i, layer in enumerate(layers):
                self._modules[str(i)] = layer

        def forward(self, x: Any) -> Any:
            for layer in self._modules.values():
                x = layer(x)
            return x

    net = Chain(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    assert net(minigrad.ones(4, 2)).shape == (4, 1)
    assert list(net.state_dict()) == ["0.weight", "0.bias", "2.weight", "2.bias"]
    layer = net._modules["0"]
    assert list(layer._parameters) == ["weight", "bias"]
    layer._parameters["bias"] = None
    assert list(layer._parameters) == ["weight"]
    net._modules["1"] = nn.Sequential()  # which is empty, and so is false
    del net._modules["1"]
    assert list(net._modules) == ["0", "2"]
    with pytest.raises(KeyError):
        layer._parameters["in_features"]
    with pytest.raises(KeyError):
        del net._modules["1"]


# ------------------------------------------------------------------------- lazy layers


def test_a_lazy_layer_becomes_a_linear_at_the_first_call_with_the_weights_it_would_have() -> None:
    with minigrad.fork_rng():
        minigrad.manual_seed(3)
        lazy = nn.LazyLinear(3)
        assert repr(lazy) == "LazyLinear(in_features=0, out_features=3, bias=True)"
        lazy(minigrad.ones(2, 4))
        minigrad.manual_seed(3)
        linear = nn.Linear(4, 3)
    assert type(lazy) is nn.Linear
    assert repr(lazy) == repr(linear)
    for name in "weight", "bias":
        assert type(getattr(lazy, name)) is nn.Parameter
        assert minigrad.equal(getattr(lazy, name), getattr(linear, name))


def test_an_optimiser_that_was_made_before_trains_it() -> None:
    net = nn.Sequential(nn.LazyLinear(3, bias=False), nn.ReLU(), nn.LazyLinear(1))
    optimizer = optim.SGD(net.parameters(), lr=0.1)
    net(minigrad.ones(2, 4)).sum().backward()
    before = [p.detach().clone() for p in net.parameters()]
    optimizer.step()
    assert not minigrad.equal(before[-1], net[2].bias)
    assert sum(p.numel() for p in net.parameters()) == 12 + 3 + 1


@pytest.mark.parametrize("called", [False, True])
def test_state_dicts_load_before_and_after_the_first_call(called: bool) -> None:
    trained, lazy = nn.Linear(4, 3), nn.LazyLinear(3)
    if called:
        lazy(minigrad.ones(1, 4))
    lazy.load_state_dict(trained.state_dict())
    x = minigrad.rand(2, 4)
    assert minigrad.equal(lazy(x), trained(x))
    assert type(lazy) is nn.Linear
    assert lazy.in_features == 4
    with minigrad.no_grad():
        lazy.weight.zero_()
    assert not (trained.weight == 0).all()


def test_a_state_dict_from_before_the_first_call_leaves_a_lazy_layer_as_it_is(
    tmp_path: Path,
) -> None:
    minigrad.save(nn.LazyLinear(3).state_dict(), tmp_path / "lazy.safetensors")
    state = minigrad.load(tmp_path / "lazy.safetensors")
    assert {name: t.numel() for name, t in state.items()} == {"weight": 0, "bias": 0}
    lazy, twin = nn.LazyLinear(3), nn.LazyLinear(3)
    assert not any(lazy.load_state_dict(state))
    for layer in lazy, twin:
        with minigrad.fork_rng():
            minigrad.manual_seed(3)
            layer(minigrad.ones(2, 4))
    assert minigrad.equal(lazy.weight, twin.weight)
    assert minigrad.equal(lazy.bias, twin.bias)
    with pytest.raises(RuntimeError) as error:
        lazy.load_state_dict(state)
    for words in ("size mismatch for weight", "for bias", "saved before it had a shape"):
        assert words in str(error.value)
    assert minigrad.equal(lazy.weight, twin.weight)


def test_a_lazy_layer_has_the_dtype_that_was_asked_for_and_can_be_copied() -> None:
    lazy = nn.LazyLinear(3, dtype=minigrad.float64)
    for twin in (copy.deepcopy(lazy), pickle.loads(pickle.dumps(lazy))):
        assert twin(minigrad.ones(2, 5, dtype=minigrad.float64)).dtype == np.float64
        assert twin.weight.shape == (3, 5)
    assert lazy.double() is lazy
    assert nn.Linear(2, 1, dtype=minigrad.float16).bias.dtype == np.float16


# ------------------------------------------------------------------------- what is not there


@pytest.mark.parametrize(("module", "name"), [(nn, "Conv2d"), (nn, "LSTM"), (minigrad, "einsum")])
def test_a_name_that_is_not_here_says_where_to_read_on(module: Any, name: str) -> None:
    with pytest.raises(AttributeError, match=rf"{name}.*docs/from_pytorch\.md") as error:
        getattr(module, name)
    assert f"module '{module.__name__}' has no attribute '{name}'" in str(error.value)
    assert not hasattr(module, name)


# ------------------------------------------------------------------------- state dicts, moves


def test_a_state_dict_may_have_a_prefix_and_keep_the_parameters_themselves() -> None:
    net = nn.Sequential(nn.Linear(2, 1))
    assert list(net.state_dict(prefix="net.")) == ["net.0.weight", "net.0.bias"]
    kept = net.state_dict(keep_vars=True)
    assert kept["0.weight"] is net[0].weight
    assert not net.state_dict()["0.weight"].requires_grad


def test_a_state_dict_comes_back_in_the_order_in_which_it_was_saved(tmp_path: Any) -> None:
    net = nn.Sequential()
    for name in ("z", "a", "10", "9"):
        net.add_module(name, nn.Linear(1, 1))
    state = net.state_dict()
    minigrad.save(state, tmp_path / "net.safetensors")
    assert list(minigrad.load(tmp_path / "net.safetensors")) == list(state)


@pytest.mark.parametrize(
    "move",
    [
        lambda t, m: t.to(m.float64), lambda t, m: t.to("cpu", m.float64),
        lambda t, m: t.to(m.device("cpu"), m.float64, False), lambda t, m: t.to(m.float64, True),
        pytest.param(
            lambda t, m: t.to(device="cpu", dtype=m.float64, non_blocking=True), id="by names"
        ),
        lambda t, m: t.to(m.ones(1, dtype=m.float64)), lambda t, m: t.double(),
        lambda t, m: t.type(m.float64), lambda t, m: t.to(device=None, dtype=m.float64),
    ],
)  # fmt: skip
def test_tensors_and_modules_move_as_pytorchs_do(move: Any) -> None:
    for m in (minigrad, pytorch().module):
        assert move(m.ones(2), m).dtype == m.float64
        layer = m.nn.Linear(1, 1)
        weight = layer.weight
        assert move(layer, m) is layer
        assert layer.weight is weight
        assert weight.dtype == m.float64


def test_a_copy_may_be_asked_for_by_position() -> None:
    for m in (minigrad, pytorch().module):
        x = m.ones(2)
        assert x.to("cpu", m.float32, False, False) is x
        assert x.to("cpu", m.float32, False, True) is not x
        assert x.to(m.float32, False, True) is not x
        assert x.to(m.float32, True) is x


def test_what_would_be_lost_at_the_first_call_is_refused() -> None:
    lazy = nn.LazyLinear(3)
    for parameter in lazy.parameters():
        with pytest.raises(ValueError, match=r"uninitialized parameter.*Call the module once"):
            nn.init.constant_(parameter, 7.0)
    lazy(minigrad.ones(1, 2))
    nn.init.constant_(lazy.weight, 7.0)
    assert lazy.weight.tolist() == [[7, 7]] * 3
