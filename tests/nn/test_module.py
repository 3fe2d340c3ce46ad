"""Modules: what is found in a tree of them, how it is walked, changed, saved, copied and printed.

Many tests build one tree twice, from minigrad's classes and from PyTorch's, and compare the two.
"""

from __future__ import annotations

import copy
import re
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn


def tree(m: Any) -> Any:
    """Return a net with all that a module can have, in minigrad (``m``) or in PyTorch."""

    class Block(m.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.drop = m.nn.Dropout(0.25)
            self.fc = m.nn.Linear(4, 4)
            self.gain = m.nn.Parameter(m.ones(4))

        def forward(self, x: Any) -> Any:
            return self.fc(self.drop(x)) * self.gain

    class Net(m.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = m.nn.Sequential(
                m.nn.Flatten(),
                m.nn.Linear(6, 4),
                m.nn.Sequential(m.nn.ReLU(inplace=True), m.nn.Linear(4, 4, bias=False)),
            )
            self.bias = m.nn.Parameter(m.zeros(3))
            self.register_buffer("mean", m.full((4,), 0.5))
            self.register_buffer("nothing", None)
            self.blocks = m.nn.ModuleList([Block(), m.nn.Tanh(), Block()])
            self.count = 3
            self.head = m.nn.Linear(4, 3, bias=False)
            self.missing = None

        def forward(self, x: Any) -> Any:
            x = self.body(x) - self.mean
            for block in self.blocks:
                x = block(x)
            return self.head(x) + self.bias

    return Net()


def pytorch() -> Any:
    return pytest.importorskip("torch")


class Leaf(nn.Module):
    """A module with one parameter; its forward multiplies by it."""

    def __init__(self, value: float = 1.0) -> None:
        super().__init__()
        self.w = nn.Parameter(mg.tensor([value]))

    def forward(self, x: Any) -> Any:
        return x * self.w


def snapshot(net: nn.Module) -> dict[str, list[Any]]:
    return {name: t.tolist() for name, t in net.state_dict().items()}


# ------------------------------------------------------------------------- what is found


def test_names_and_order_of_everything_in_a_tree_are_pytorchs() -> None:
    ours, theirs = tree(mg), tree(pytorch())
    for walk in "named_parameters", "named_buffers", "named_modules", "named_children":
        expected = [name for name, _ in getattr(theirs, walk)()]
        assert [name for name, _ in getattr(ours, walk)()] == expected
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert [tuple(p.shape) for p in ours.parameters()] == [
        tuple(p.shape) for p in theirs.parameters()
    ]
    without = [name for name, _ in ours.named_parameters(recurse=False)]
    assert without == [name for name, _ in theirs.named_parameters(recurse=False)] == ["bias"]
    with_prefix = [name for name, _ in ours.named_parameters(prefix="net")]
    assert with_prefix == [name for name, _ in theirs.named_parameters(prefix="net")]


def test_state_dict_keys_are_those_of_the_tree_written_out() -> None:
    assert list(tree(mg).state_dict()) == [
        *("bias", "mean", "body.1.weight", "body.1.bias", "body.2.1.weight"),
        *("blocks.0.gain", "blocks.0.fc.weight", "blocks.0.fc.bias"),
        *("blocks.2.gain", "blocks.2.fc.weight", "blocks.2.fc.bias", "head.weight"),
    ]


def test_walks_without_names_yield_the_objects_of_the_walks_with_names() -> None:
    net = tree(mg)
    for walk in "parameters", "buffers", "modules", "children":
        named = [value for _, value in getattr(net, f"named_{walk}")()]
        plain = list(getattr(net, walk)())
        assert len(plain) == len(named)
        assert all(a is b for a, b in zip(plain, named, strict=True))
    assert next(iter(net.modules())) is net


def test_what_is_below_a_module_is_left_out_if_one_asks_for_its_own() -> None:
    net = nn.Sequential(Leaf(), Leaf())
    net.w = nn.Parameter(mg.ones(1))
    for module in (net, net[0]):
        module.register_buffer("b", mg.zeros(1))
    assert [name for name, _ in net.named_parameters(recurse=False)] == ["w"]
    assert [id(p) for p in net.parameters(recurse=False)] == [id(net.w)]
    assert [name for name, _ in net.named_buffers(recurse=False)] == ["b"]
    assert [id(b) for b in net.buffers(recurse=False)] == [id(net.b)]
    assert [id(b) for b in net.buffers()] == [id(net.b), id(net[0].b)]


def test_a_shared_parameter_is_learned_once_and_saved_under_both_names() -> None:
    net = nn.Sequential(Leaf(), Leaf(), Leaf())
    net[2].w = net[0].w
    net.append(net[1])
    assert [name for name, _ in net.named_parameters()] == ["0.w", "1.w"]
    assert [name for name, _ in net.named_modules()] == ["", "0", "1", "2"]
    assert list(net.state_dict()) == ["0.w", "1.w", "2.w", "3.w"]
    net(mg.tensor([3.0])).backward()
    assert [p.grad.item() for p in net.parameters()] == [6.0, 6.0]  # of 3 a² b² at a = b = 1


def test_an_attribute_is_a_parameter_only_if_it_is_a_parameter() -> None:
    net = nn.Module()
    net.constant, net.learned = mg.ones(2), nn.Parameter(mg.ones(2))
    net.flag, net.number, net.text = True, 3, "three"
    assert [name for name, _ in net.named_parameters()] == ["learned"]
    assert list(net.state_dict()) == ["learned"]


def test_a_replaced_module_takes_the_place_of_the_old_one() -> None:
    net = tree(mg)
    names = list(net.state_dict())
    net.body = nn.Sequential(nn.Flatten(), nn.Linear(6, 4), nn.Sequential(nn.ReLU(), Leaf()))
    expected = ["body.2.1.w" if name == "body.2.1.weight" else name for name in names]
    assert list(net.state_dict()) == expected


@pytest.mark.parametrize("value", [mg.ones(1), np.ones(1), 1.0, [1.0]])
def test_only_a_parameter_or_none_takes_the_place_of_a_parameter(value: Any) -> None:
    net = Leaf()
    kept = net.w
    with pytest.raises(
        TypeError, match=rf"cannot assign a {type(value).__name__} as parameter 'w'"
    ):
        net.w = value
    assert net.w is kept
    net.w = None
    assert list(net.parameters()) == []
    assert list(net.state_dict()) == []
    net.w = nn.Parameter(mg.zeros(1))
    assert [name for name, _ in net.named_parameters()] == ["w"]


@pytest.mark.parametrize(
    ("kind", "children"),
    [("list", [Leaf()]), ("tuple", (Leaf(), 1)), ("dict", {"a": Leaf()})],
)
def test_modules_in_a_plain_container_bring_a_warning_that_names_it(
    kind: str, children: Any
) -> None:
    net = nn.Module()
    net.layers = children
    with pytest.warns(
        UserWarning, match=rf"Module\.layers is a plain {kind} of modules.*ModuleLis"
    ):
        assert list(net.parameters()) == []
    with pytest.warns(UserWarning, match="Use nn.ModuleList or nn.Sequential"):
        net.train()


@pytest.mark.filterwarnings("error")
def test_plain_containers_of_other_things_bring_no_warning() -> None:
    net = nn.Module()
    net.sizes, net.names, net.options = [1, 2], ("a",), {"p": 0.5}
    assert list(net.parameters()) == []


def test_a_parameter_shares_the_memory_of_the_tensor_it_is_made_of_and_its_version() -> None:
    t = mg.ones(2)
    p = nn.Parameter(t)
    assert p.array is t.array
    assert p.requires_grad
    assert p.is_leaf
    assert not t.requires_grad
    square = (p * p).sum()
    t.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        square.backward()
    assert not nn.Parameter(mg.ones(2), requires_grad=False).requires_grad
    assert repr(p) == "Parameter containing:\ntensor([2., 2.], requires_grad=True)"


def test_a_module_that_is_used_twice_is_met_once_by_every_walk() -> None:
    def shared(m: Any) -> Any:
        once, twice = m.nn.Linear(2, 2), m.nn.Linear(2, 2)
        net = m.nn.Sequential(once, m.nn.ReLU(), once, m.nn.Sequential(twice, once), twice)
        net.mean = m.nn.Module()
        net.mean.register_buffer("value", m.ones(1))
        net.mean.register_buffer("again", net.mean.value)
        return net

    ours, theirs = shared(mg), shared(pytorch())
    for walk in "named_children", "named_modules", "named_parameters", "named_buffers":
        found = [name for name, _ in getattr(ours, walk)()]
        assert found == [name for name, _ in getattr(theirs, walk)()]
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert repr(ours) == repr(theirs)
    assert len(ours) == len(theirs) == 6
    assert [type(module).__name__ for module in ours] == [type(m).__name__ for m in theirs]


def test_apply_calls_its_function_once_for_each_module_children_first() -> None:
    shared = Leaf()
    net = nn.Sequential(shared, nn.Sequential(shared, nn.ReLU()), shared)
    seen: list[Any] = []
    net.apply(seen.append)
    assert seen == [shared, net[1][1], net[1], net]


def test_a_stream_of_the_root_has_no_dot_in_its_name() -> None:
    generator = mg.Generator(1)
    drop = nn.Dropout(0.5, generator=generator)
    assert list(drop.named_generators()) == [("generator", generator)]
    assert [name for name, _ in nn.Sequential(drop).named_generators()] == ["0.generator"]


def test_a_buffer_that_is_deleted_frees_its_name_and_leaves_the_others() -> None:
    net = nn.Module()
    for name in "one", "two":
        net.register_buffer(name, mg.ones(1))
    del net.one
    net.one = 3
    assert [name for name, _ in net.named_buffers()] == ["two"]


def test_parts_are_found_by_their_dotted_names_as_in_pytorch() -> None:
    ours, theirs = tree(mg), tree(pytorch())
    assert ours.get_submodule("") is ours
    assert ours.get_submodule("body.2.1") is ours.body[2][1]
    assert ours.get_parameter("blocks.0.fc.weight") is ours.blocks[0].fc.weight
    assert ours.get_buffer("mean") is ours.mean
    for get, name in (
        ("get_submodule", "body.7"), ("get_submodule", "bias"), ("get_submodule", "count.x"),
        ("get_parameter", "mean"), ("get_parameter", "body.1.nothing"), ("get_buffer", "bias"),
        ("get_buffer", "nothing.x"),
    ):  # fmt: skip
        for net in ours, theirs:
            with pytest.raises(AttributeError):
                getattr(net, get)(name)


# ------------------------------------------------------------------------- becoming part of it

WRONG_NAMES = [("", KeyError), ("a.b", KeyError), (3, TypeError), (None, TypeError)]
TAKEN = ["training", "forward", "weight", "act", "flag"]  # of all kinds; each kind has one
REGISTER = {
    "register_buffer": (lambda m: m.ones(1), "mean"),
    "register_parameter": (lambda m: m.nn.Parameter(m.ones(1)), "weight"),
    "add_module": (lambda m: m.nn.Tanh(), "act"),
    "register_module": (lambda m: m.nn.Tanh(), "act"),
}


def occupied(m: Any) -> Any:
    net = m.nn.Linear(2, 2)
    net.act, net.flag = m.nn.ReLU(), True
    net.register_buffer("mean", m.zeros(1))
    return net


@pytest.mark.parametrize("register", REGISTER)
def test_names_that_are_taken_or_cannot_be_saved_are_refused_as_in_pytorch(register: str) -> None:
    make, own = REGISTER[register]
    for m in mg, pytorch():
        net = occupied(m)
        before = list(net.state_dict()), repr(net)
        for name, error in [*WRONG_NAMES, *((name, KeyError) for name in {*TAKEN, "mean"} - {own})]:
            with pytest.raises(error, match=r"name|exists"):
                getattr(net, register)(name, make(m))
        for wrong in 3, "x", [m.ones(1)], m.ones(1) if "buffer" not in register else object():
            with pytest.raises(TypeError, match=r"cannot assign|not a Module"):
                getattr(net, register)("new", wrong)
        assert (list(net.state_dict()), repr(net)) == before
        value = make(m)
        getattr(net, register)(own, value)
        assert getattr(net, own) is value
        for name, later in (("late", None), ("late", value)):
            getattr(net, register)(name, later)
            assert net.late is later


def test_what_is_assigned_has_a_name_that_can_be_saved_and_fits_what_it_replaces() -> None:
    net = occupied(mg)
    for name, value, kind in (
        ("a.b", nn.Parameter(mg.ones(1)), "parameter"),
        ("", nn.ReLU(), "module"),
    ):
        with pytest.raises(KeyError, match=f"{kind} name can"):
            setattr(net, name, value)
    for m in mg, pytorch():
        net = occupied(m)
        for name, value in (("mean", 3), ("mean", "x"), ("act", 3), ("weight", m.ones(1))):
            with pytest.raises(TypeError, match="cannot assign"):
                setattr(net, name, value)
        net.mean, net.act = m.nn.Parameter(m.ones(1)), m.nn.Parameter(m.ones(1))
        assert [name for name, _ in net.named_buffers()] == []
        assert {name for name, _ in net.named_parameters()} == {"weight", "bias", "mean", "act"}
        del net.mean
        net.mean = m.ones(1)
        assert "mean" not in net.state_dict()


def test_sequential_refuses_names_that_would_hide_its_own() -> None:
    for m in mg, pytorch():
        for name in "forward", "a.b", "":
            with pytest.raises(KeyError):
                m.nn.Sequential(OrderedDict({name: m.nn.ReLU()}))


# ------------------------------------------------------------------------- buffers


def test_a_parameter_that_is_registered_as_a_buffer_is_one() -> None:
    for m in mg, pytorch():
        net = m.nn.Module()
        net.register_buffer("b", m.nn.Parameter(m.ones(1)))
        assert [name for name, _ in net.named_buffers()] == ["b"]
        assert list(net.parameters()) == []
        assert list(net.state_dict()) == ["b"]


def test_a_buffer_is_saved_and_cast_but_not_learned() -> None:
    net = Leaf()
    net.register_buffer("seen", mg.tensor([1.0, 2.0]))
    net.register_buffer("steps", mg.tensor(3))
    net.register_buffer("later", None)
    assert [name for name, _ in net.named_buffers()] == ["seen", "steps"]
    assert [name for name, _ in net.named_parameters()] == ["w"]
    assert list(net.state_dict()) == ["w", "seen", "steps"]
    net.double()
    assert (net.seen.dtype, net.steps.dtype) == (np.float64, np.int64)
    net.later = mg.ones(1)
    assert [name for name, _ in net.named_buffers()] == ["seen", "steps", "later"]


def test_a_buffer_that_is_registered_again_is_found_once() -> None:
    net = nn.Module()
    net.register_buffer("b", mg.ones(1))
    net.register_buffer("b", mg.zeros(1))
    assert [(name, b.tolist()) for name, b in net.named_buffers()] == [("b", [0.0])]


def test_a_buffer_of_one_module_is_not_one_of_another() -> None:
    a, b = nn.Module(), nn.Module()
    a.register_buffer("x", mg.ones(1))
    assert list(b.buffers()) == []
    b.x = mg.ones(1)
    assert b.state_dict() == {}


# ------------------------------------------------------------------------- acting on all of it


def test_apply_visits_children_before_their_parent_and_returns_the_module() -> None:
    def order(net: Any) -> list[str]:
        seen: list[Any] = []
        assert net.apply(seen.append) is net
        return [type(module).__name__ for module in seen]

    ours = order(tree(mg))
    assert ours[-1] == "Net"
    assert ours[:2] == ["Flatten", "Linear"]
    assert ours == order(tree(pytorch()))


def test_train_and_eval_set_every_module_and_return_the_root() -> None:
    net = tree(mg)
    assert all(module.training for module in net.modules())
    assert net.eval() is net
    assert not any(module.training for module in net.modules())
    assert net.train() is net
    assert all(module.training for module in net.modules())
    net.blocks.eval()
    modes = {name: module.training for name, module in net.named_modules()}
    assert {name for name, mode in modes.items() if not mode} == {
        name for name in modes if name.startswith("blocks")
    }


@pytest.mark.parametrize("mode", ["no", "abc", "False", 0, 1, None, np.bool_(True), mg.ones(1)])
def test_a_mode_that_is_no_boolean_is_refused_as_in_pytorch(mode: Any) -> None:
    for m in mg, pytorch():
        net = m.nn.Sequential(m.nn.Dropout()).eval()
        with pytest.raises(ValueError, match="training mode is expected to be boolean"):
            net.train(mode)
        assert not net.training
        assert not net[0].training


def test_a_new_module_trains_whatever_others_do() -> None:
    Leaf().eval()
    assert Leaf().training


def test_zero_grad_forgets_gradients_or_fills_them_with_zeros() -> None:
    net = nn.Sequential(Leaf(2.0), Leaf(3.0))
    net(mg.tensor([1.0])).backward()
    grads = [p.grad for p in net.parameters()]
    net.zero_grad(set_to_none=False)
    assert [p.grad.tolist() for p in net.parameters()] == [[0.0], [0.0]]
    assert all(g.tolist() == [0.0] for g in grads)
    net.zero_grad()
    assert [p.grad for p in net.parameters()] == [None, None]
    net.zero_grad(set_to_none=False)
    assert [p.grad for p in net.parameters()] == [None, None]


def test_zeros_for_a_gradient_that_was_recorded_have_no_history() -> None:
    net = Leaf(2.0)
    (net(mg.tensor([1.0])) ** 2).sum().backward(create_graph=True)
    (g,) = [p.grad for p in net.parameters()]
    assert g.requires_grad
    net.zero_grad(set_to_none=False)
    (zeros,) = [p.grad for p in net.parameters()]
    assert zeros.tolist() == [0.0]
    assert not zeros.requires_grad


def test_a_notebook_shows_names_shapes_and_sizes_with_nothing_taken_for_markup() -> None:
    class Named(nn.Module):
        def extra_repr(self) -> str:
            return "<b>p & q</b>"

    net = nn.Sequential(Named(), nn.Linear(3, 2))
    setattr(net, "<i>", nn.Linear(2, 1, bias=False))
    shown = net._repr_html_()
    assert "Named(&lt;b&gt;p &amp; q&lt;/b&gt;)" in shown
    assert "<td>1.weight</td><td>(2, 3)</td><td>6</td>" in shown
    assert "<td>&lt;i&gt;.weight</td><td>(1, 2)</td><td>2</td>" in shown
    assert "10 elements" in shown
    assert set(re.findall("</?([a-z]+)", shown)) == {"pre", "table", "tr", "th", "td"}


def test_requires_grad_freezes_and_thaws_all_parameters() -> None:
    net = nn.Sequential(Leaf(2.0), Leaf(3.0))
    assert net.requires_grad_(False) is net
    assert not net(mg.tensor([1.0])).requires_grad
    net[1].requires_grad_()
    net(mg.tensor([1.0])).backward()
    assert net[0].w.grad is None
    assert net[1].w.grad.tolist() == [2.0]


@pytest.mark.parametrize(
    ("cast", "dtype"),
    [
        (lambda net: net.double(), np.float64),
        (lambda net: net.double().float(), np.float32),
        (lambda net: net.to(mg.float64), np.float64),
        (lambda net: net.to(np.float16), np.float16),
        (lambda net: net.half(), np.float16),
        (lambda net: net.to("cpu"), np.float32),
        (lambda net: net.cpu(), np.float32),
        (lambda net: net.to(mg.device("cpu")), np.float32),
        (lambda net: net.to("cpu", np.float64), np.float64),
        (lambda net: net.to(device="cpu", dtype=np.float64), np.float64),
        (lambda net: net.to(dtype=np.float16), np.float16),
        (lambda net: net.to(mg.ones(1, dtype=np.float64)), np.float64),
    ],
)
def test_a_cast_or_move_keeps_the_parameter_objects(cast: Any, dtype: Any) -> None:
    net = tree(mg)
    net.register_buffer("steps", mg.tensor(7))
    net(mg.ones(2, 2, 3)).sum().backward()
    before = list(net.parameters())
    values = snapshot(net)
    assert cast(net) is net
    assert all(a is b for a, b in zip(before, net.parameters(), strict=True))
    assert {p.dtype for p in before} == {p.grad.dtype for p in before} == {np.dtype(dtype)}
    assert net.mean.dtype == dtype
    assert net.steps.dtype == np.int64
    for name, value in snapshot(net).items():
        np.testing.assert_allclose(value, values[name], rtol=1e-3)


@pytest.mark.parametrize("dtype", [np.int64, np.bool_, mg.uint8])
def test_a_module_is_not_cast_to_integers(dtype: Any) -> None:
    net = tree(mg)
    with pytest.raises(TypeError, match=r"only accepts floating point dtypes, but got .*dtype="):
        net.to(dtype)
    assert {p.dtype for p in net.parameters()} == {np.dtype(np.float32)}


def test_an_optimiser_made_before_a_cast_trains_the_cast_module() -> None:
    net = Leaf()
    optimizer = mg.optim.SGD(net.parameters(), lr=0.5)
    net.double()
    net(mg.ones(1, dtype=np.float64)).backward()
    optimizer.step()
    assert net.w.tolist() == [0.5]
    assert net.w.dtype == np.float64


def test_a_module_without_a_forward_says_which() -> None:
    class Half(nn.Module):
        pass

    for module in Half(), nn.ModuleList([Leaf()]):
        with pytest.raises(NotImplementedError, match=rf"{type(module).__name__} must define forw"):
            module(mg.ones(1))


def test_call_passes_all_arguments_to_forward() -> None:
    class Weighted(nn.Module):
        def forward(self, x: Any, y: Any, *, weight: float = 1.0) -> Any:
            return x + y * weight

    assert Weighted()(1, 2) == 3
    assert Weighted()(1, y=2, weight=10.0) == 21


# ------------------------------------------------------------------------- saving


def test_a_state_dict_shares_memory_with_the_parameters_and_has_no_history() -> None:
    net = Leaf()
    state = net.state_dict()
    assert not state["w"].requires_grad
    assert np.shares_memory(state["w"].array, net.w.array)
    square = (net.w * net.w).sum()
    state["w"].fill_(5.0)
    assert net.w.tolist() == [5.0]
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        square.backward()


def test_load_state_dict_copies_all_values_and_keeps_the_parameters() -> None:
    source, net = tree(mg), tree(mg)
    before = list(net.parameters())
    result = net.load_state_dict(source.state_dict())
    assert result == ([], [])
    assert (result.missing_keys, result.unexpected_keys) == ([], [])
    assert snapshot(net) == snapshot(source)
    assert all(a is b for a, b in zip(before, net.parameters(), strict=True))
    with mg.no_grad():
        source.bias.fill_(9.0)
    assert net.bias.tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize(
    "convert",
    [
        lambda t: t.numpy(),
        lambda t: t.double(),
        lambda t: nn.Parameter(t),
        lambda t: t.detach().requires_grad_(),
    ],
    ids=["array", "float64", "parameter", "leaf"],
)
def test_load_state_dict_takes_arrays_and_tensors_and_casts_to_the_parameters_dtype(
    convert: Any,
) -> None:
    source, net = tree(mg), tree(mg)
    net.load_state_dict({name: convert(t) for name, t in source.state_dict().items()})
    assert snapshot(net) == snapshot(source)
    assert {p.dtype for p in net.parameters()} == {np.dtype(np.float32)}
    assert all(p.is_leaf and p.requires_grad for p in net.parameters())


def test_load_state_dict_takes_pytorchs_tensors_and_then_computes_what_pytorch_does() -> None:
    torch = pytorch()
    theirs, ours = tree(torch).eval(), tree(mg).eval()
    for state in (
        theirs.state_dict(),
        dict(theirs.named_parameters()) | dict(theirs.named_buffers()),
    ):
        assert ours.load_state_dict(state) == ([], [])
        x = np.random.default_rng(0).normal(size=(5, 2, 3)).astype(np.float32)
        np.testing.assert_allclose(
            ours(mg.from_numpy(x)).detach().numpy(),
            theirs(torch.from_numpy(x)).detach().numpy(),
            rtol=1e-5,
            atol=1e-6,
        )
        with torch.no_grad():
            theirs.bias.add_(1)


def dropouts(seed: int) -> nn.Sequential:
    """Return a net whose dropouts share a generator, have one of their own, and have none."""
    shared, own = mg.Generator(seed), mg.Generator(seed + 1)
    inner = nn.Sequential(nn.Dropout(0.5, generator=shared), nn.DropConnect(3, 3, generator=own))
    return nn.Sequential(nn.Dropout(0.5, generator=shared), inner, nn.Dropout(0.5))


def test_random_streams_are_saved_under_names_and_go_on_in_another_net(tmp_path: Path) -> None:
    net, other = dropouts(1), dropouts(50)
    assert [name for name, _ in net.named_generators()] == ["0.generator", "1.1.generator"]
    streams = {"0.generator", "1.0.generator", "1.1.generator"}
    x = mg.ones(4, 3)
    net(x)
    state = net.state_dict(generators=True)
    assert state.keys() - net.state_dict().keys() == streams
    mg.save(state, tmp_path / "net.safetensors")
    assert other.load_state_dict(mg.load(tmp_path / "net.safetensors")) == ([], [])
    with mg.fork_rng():
        expected = net(x).tolist()
    assert other(x).tolist() == expected


def test_names_are_pytorchs_unless_random_streams_are_asked_for() -> None:
    torch = pytorch()
    layers = lambda m, **options: m.nn.Sequential(  # noqa: E731
        m.nn.Linear(3, 3), m.nn.Dropout(0.5, **options)
    )
    ours, theirs = layers(mg, generator=mg.Generator(1)), layers(torch)
    before = ours[1].generator.get_state()
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert ours.load_state_dict(theirs.state_dict()) == ([], [])
    state = {name: torch.from_numpy(t.numpy()) for name, t in ours.state_dict().items()}
    assert theirs.load_state_dict(state).missing_keys == []
    assert ours[1].generator.get_state() == before


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("0.generator", mg.tensor([9, 9, 9]), "is shared here, and has several states"),
        ("1.1.generator", mg.tensor([1.0, 0.0, 0.0]), "expected its seed, stream and offset"),
        ("1.1.generator", mg.tensor([1, 0]), "expected its seed, stream and offset"),
        ("1.1.generator", mg.tensor([1, 0, -1]), "expected its seed, stream and offset"),
        ("2.generator", mg.tensor([1, 0, 0]), "Unexpected key.*2.generator"),
        ("1.1.generator", object(), "a object"),
    ],
)
def test_unfit_generator_states_are_refused_and_change_nothing(
    name: str, value: Any, message: str
) -> None:
    net, other = dropouts(1), dropouts(50)
    state = other.state_dict(generators=True)
    before = [tensor.tolist() for tensor in other.state_dict(generators=True).values()]
    with pytest.raises(RuntimeError, match=message):
        other.load_state_dict({**net.state_dict(generators=True), name: value})
    assert [tensor.tolist() for tensor in other.state_dict(generators=True).values()] == before
    assert [tensor.tolist() for tensor in state.values()] == before


def test_all_that_does_not_fit_is_listed_at_once_and_nothing_is_changed() -> None:
    net = tree(mg)
    before = snapshot(net)
    state: dict[str, Any] = {name: t.clone() + 1 for name, t in net.state_dict().items()}
    del state["bias"], state["head.weight"]
    state["extra"] = mg.ones(1)
    state["body.1.bias"] = mg.ones(5)
    state["mean"] = mg.ones(4, 1)
    with pytest.raises(RuntimeError) as raised:
        net.load_state_dict(state)
    assert str(raised.value).split("\n\t") == [
        "Error(s) in loading state_dict for Net:",
        "Missing key(s) in state_dict: 'bias', 'head.weight'.",
        "Unexpected key(s) in state_dict: 'extra'.",
        "size mismatch for mean: copying a param with shape (4, 1) from checkpoint, the shape in "
        "current model is (4,).",
        "size mismatch for body.1.bias: copying a param with shape (5,) from checkpoint, the shape "
        "in current model is (4,).",
    ]
    assert snapshot(net) == before


def test_not_strict_loads_what_there_is_and_returns_the_rest() -> None:
    net = nn.Sequential(Leaf(1.0), Leaf(2.0))
    result = net.load_state_dict({"1.w": mg.tensor([7.0]), "2.w": mg.ones(1)}, strict=False)
    assert result == (["0.w"], ["2.w"])
    assert snapshot(net) == {"0.w": [1.0], "1.w": [7.0]}


def test_what_loading_returns_says_whether_all_went_well() -> None:
    net = nn.Linear(1, 1, bias=False)
    good = net.load_state_dict(net.state_dict())
    assert repr(good) == "<All keys matched successfully>"
    w = net.weight.detach()
    for state, missing, unexpected in (
        ({}, ["weight"], []),
        ({"weight": w, "v": w}, [], ["v"]),
        ({"v": w}, ["weight"], ["v"]),
    ):
        found = repr(net.load_state_dict(state, strict=False))
        assert found == f"LoadResult(missing_keys={missing}, unexpected_keys={unexpected})"


def test_not_strict_still_refuses_a_wrong_size_and_changes_nothing() -> None:
    net = nn.Sequential(Leaf(1.0), Leaf(2.0))
    with pytest.raises(RuntimeError, match=r"size mismatch for 1\.w"):
        net.load_state_dict({"0.w": mg.tensor([7.0]), "1.w": mg.ones(2)}, strict=False)
    assert snapshot(net) == {"0.w": [1.0], "1.w": [2.0]}


class Lazy(dict[str, Any]):
    """A dictionary whose last value cannot be read."""

    def __getitem__(self, key: str) -> Any:
        if key == list(self)[-1]:
            raise OSError("the disk is gone")
        return super().__getitem__(key)


BAD_ENTRIES: dict[str, Any] = {
    "another shape": mg.ones(9),
    "more dimensions": lambda t: t.unsqueeze(0),
    "fewer dimensions": mg.tensor(1.0),
    "a string": "x",
    "an array of strings": np.array(["x"]),
    "an array of objects": np.array([None, {}], dtype=object),
    "complex numbers": lambda t: t.numpy().astype(complex),
    "a dictionary": {"a": 1},
    "a ragged list": [[1.0], [2.0, 3.0]],
    "nothing": None,
    "dates": lambda t: t.numpy().astype("M8[s]"),
}
ENTRIES = list(tree(mg).state_dict())


@pytest.mark.parametrize("kind", BAD_ENTRIES)
@pytest.mark.parametrize("strict", [True, False])
def test_one_bad_entry_anywhere_is_named_and_nothing_is_changed(kind: str, strict: bool) -> None:
    net, bad = tree(mg), BAD_ENTRIES[kind]
    before = snapshot(net)
    for name in ENTRIES:
        state: dict[str, Any] = {name: t.clone() + 1 for name, t in net.state_dict().items()}
        state[name] = bad(state[name]) if callable(bad) else bad
        with pytest.raises(RuntimeError, match=rf"state_dict for Net:\n\t.*{name}") as raised:
            net.load_state_dict(state, strict)
        assert str(raised.value).count("\n\t") == 1
        assert snapshot(net) == before, name


@pytest.mark.parametrize("position", range(len(ENTRIES)), ids=ENTRIES)
def test_memory_that_cannot_be_written_is_found_before_anything_is_changed(position: int) -> None:
    net = tree(mg)
    state = {name: t.clone() + 1 for name, t in net.state_dict().items()}
    before = snapshot(net)
    dict(net._tensors())[ENTRIES[position]].array.flags.writeable = False
    with pytest.raises(RuntimeError, match=rf"memory of {ENTRIES[position]} is read-only"):
        net.load_state_dict(state)
    assert snapshot(net) == before


def test_a_state_that_cannot_be_read_to_its_end_changes_nothing() -> None:
    net = tree(mg)
    before = snapshot(net)
    with pytest.raises(OSError, match="the disk is gone"):
        net.load_state_dict(Lazy({name: t + 1 for name, t in net.state_dict().items()}))
    with pytest.raises(TypeError, match="Expected state_dict to be dict-like, got <class 'list'>"):
        net.load_state_dict([1])
    assert snapshot(net) == before


@pytest.mark.filterwarnings("error")
def test_a_value_beyond_the_parameters_range_becomes_infinite_as_in_pytorch() -> None:
    for m in mg, pytorch():
        net = m.nn.Linear(1, 1).to(m.float16)
        net.load_state_dict({"weight": m.full((1, 1), 1e9), "bias": m.ones(1)})
        assert net.weight.tolist() == [[np.inf]]


# ------------------------------------------------------------------------- as text, as a copy


def test_repr_of_a_tree_is_pytorchs() -> None:
    assert repr(tree(mg)) == repr(tree(pytorch()))


def test_repr_shows_settings_and_children_and_indents_each_level() -> None:
    class Scaled(nn.Sequential):
        def extra_repr(self) -> str:
            return "scale=2"

    assert repr(Scaled(nn.Sequential(nn.ReLU(), nn.Softmax(dim=1)), nn.Flatten())) == (
        "Scaled(\n"
        "  scale=2\n"
        "  (0): Sequential(\n"
        "    (0): ReLU()\n"
        "    (1): Softmax(dim=1)\n"
        "  )\n"
        "  (1): Flatten(start_dim=1, end_dim=-1)\n"
        ")"
    )
    assert repr(nn.Sequential()) == "Sequential()"


def test_a_deep_copy_computes_the_same_and_shares_nothing() -> None:
    net = tree(mg).eval()
    net.blocks[2].gain = net.blocks[0].gain
    x = mg.ones(2, 2, 3)
    net(x).sum().backward()
    twin = copy.deepcopy(net)
    assert repr(twin) == repr(net)
    assert twin(x).tolist() == net(x).tolist()
    assert not any(module.training for module in twin.modules())
    assert twin.blocks[2].gain is twin.blocks[0].gain
    for a, b in zip(net.parameters(), twin.parameters(), strict=True):
        assert a is not b
        assert type(b) is nn.Parameter
        assert not np.shares_memory(a.array, b.array)
        assert not np.shares_memory(a.grad.array, b.grad.array)
        assert a.grad.tolist() == b.grad.tolist()
    before = snapshot(net)
    mg.optim.SGD(twin.parameters(), lr=1.0).step()
    assert snapshot(net) == before
    assert snapshot(twin) != before


# ------------------------------------------------------------------------- Sequential, ModuleList


def test_sequential_is_its_modules_one_after_the_other() -> None:
    x = mg.tensor([1.0, -2.0])
    assert nn.Sequential(Leaf(3.0), nn.ReLU(), Leaf(2.0))(x).tolist() == [6.0, 0.0]
    assert nn.Sequential()(x) is x


@pytest.mark.parametrize("make", [nn.Sequential, lambda *modules: nn.ModuleList(modules)])
def test_numbered_containers_have_length_order_index_and_append(make: Any) -> None:
    a, b, c = Leaf(), nn.ReLU(), Leaf()
    net = make(a, b)
    assert net.append(c) is net
    assert len(net) == 3
    assert list(net) == [a, b, c]
    assert (net[0], net[-1], net[np.int64(1)]) == (a, c, b)
    assert list(net.state_dict()) == ["0.w", "2.w"]
    assert net.extend([nn.Tanh()]) is net
    assert len(net) == 4
    assert b in net
    with pytest.raises(IndexError):
        net[4]
    with pytest.raises(TypeError, match=r"(Sequential|ModuleList) holds modules, got function"):
        net.append(lambda x: x)
    assert len(net) == 4


@pytest.mark.parametrize(
    "part",
    [slice(1, None), slice(-2, None), slice(0, 2), slice(3, 0, -2)],
    ids=["part=1:", "part=-2:", "part=0:2", "part=3:0:-2"],
)
def test_a_slice_is_a_container_of_the_same_modules_named_as_pytorch_names_them(
    part: slice,
) -> None:
    def modules(m: Any) -> list[Any]:
        return [m.nn.Linear(2, 2), m.nn.ReLU(), m.nn.Linear(2, 2), m.nn.Linear(2, 2)]

    ours = modules(mg)
    for whole in nn.Sequential(*ours), nn.ModuleList(ours):
        assert type(whole[part]) is type(whole)
        assert list(whole[part]) == ours[part]
    torch = pytorch()
    theirs = modules(torch)
    assert list(nn.ModuleList(ours)[part].state_dict()) == list(
        torch.nn.ModuleList(theirs)[part].state_dict()
    )
    assert list(nn.Sequential(*ours)[part].state_dict()) == list(
        torch.nn.Sequential(*theirs)[part].state_dict()
    )


@pytest.mark.parametrize("kind", [dict, OrderedDict])
def test_sequential_takes_a_dictionary_of_names(kind: Any) -> None:
    net = nn.Sequential(kind(first=Leaf(2.0), act=nn.ReLU(), last=Leaf(3.0)))
    assert list(net.state_dict()) == ["first.w", "last.w"]
    assert net(mg.tensor([1.0])).tolist() == [6.0]
    assert net.first is net[0]
    assert net.append(Leaf())[3].w.tolist() == [1.0]
