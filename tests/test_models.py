"""The chapter's networks: the dropout layer by hand, the net from scratch, and the concise one."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest, kstest

import minigrad as mg
from minigrad import nn
from minigrad.nn import functional as F
from models import Net, Net2, dropout_layer, init_weights, mlp
from tests.reference import scaled


def images(n: int = 5) -> mg.Tensor:
    return mg.rand(n, 1, 28, 28, generator=mg.Generator(0))


# ------------------------------------------------------------------------- dropout_layer


def test_without_dropout_the_layer_returns_its_input() -> None:
    X, state = mg.ones(3), mg.random.get_rng_state()
    assert dropout_layer(X, 0) is X
    assert mg.random.get_rng_state() == state


@pytest.mark.filterwarnings("error")
def test_with_everything_dropped_the_layer_gives_zeros_and_zero_gradients() -> None:
    X = mg.tensor([1.0, -2.0, 0.0], requires_grad=True)
    Y = dropout_layer(X, 1)
    assert (Y == 0).all()
    Y.sum().backward()
    assert X.grad.tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("dropout", [-0.1, 1.1, math.nan, math.inf])
def test_what_is_no_probability_is_refused_with_its_value(dropout: float) -> None:
    with pytest.raises(ValueError, match=f"from 0 to 1, got {dropout}"):
        dropout_layer(mg.ones(2), dropout)


@settings(max_examples=scaled(50))
@given(
    dropout=st.floats(0.01, 0.99), seed=st.integers(0, 999),
    shape=st.sampled_from([(), (7,), (3, 4), (2, 3, 4), (0, 2)]),
    dtype=st.sampled_from([np.float16, np.float32, np.float64]),
)  # fmt: skip
def test_elements_are_dropped_where_the_noise_is_below_and_divided_by_the_rest(
    dropout: float, seed: int, shape: tuple[int, ...], dtype: Any
) -> None:
    rng = np.random.default_rng(seed)
    X = mg.tensor(rng.uniform(1, 2, size=shape), dtype=dtype, requires_grad=True)
    noise = mg.rand(shape, generator=mg.Generator(seed)).numpy()
    Y = dropout_layer(X, dropout, mg.Generator(seed))
    Y.sum().backward()
    keep = noise >= dropout
    assert Y.dtype == X.grad.dtype == dtype
    rtol = 2 * np.finfo(dtype).eps
    x = X.detach().numpy()
    expected = np.where(keep, x, 0).astype(np.float64) / (1 - dropout)
    np.testing.assert_allclose(Y.detach().numpy(), expected, rtol=rtol)
    np.testing.assert_allclose(X.grad.numpy(), keep / (1 - dropout), rtol=rtol)


@pytest.mark.parametrize("dropout", [0.05, 0.2, 0.5, 0.9])
def test_the_layer_drops_its_share_by_an_exact_binomial_test(dropout: float) -> None:
    """n = 200,000, α = 1e-6, a fixed seed: normal noise instead of uniform fails at every rate."""
    n = 200_000
    dropped = int((dropout_layer(mg.ones(n), dropout, mg.Generator(0)) == 0).sum())
    assert binomtest(dropped, n, dropout).pvalue > 1e-6


@mg.fork_rng()
def test_the_layer_draws_from_its_generator_or_else_from_the_default_one() -> None:
    X = mg.ones(50)
    mg.manual_seed(6)
    by_default = [dropout_layer(X, 0.5).tolist() for _ in range(2)]
    generator = mg.Generator(6)
    assert [dropout_layer(X, 0.5, generator).tolist() for _ in range(2)] == by_default
    assert by_default[0] != by_default[1]


def test_the_layer_leaves_its_input_alone() -> None:
    X = mg.ones(20, requires_grad=True)
    dropout_layer(X, 0.5).sum().backward()
    assert X.tolist() == [1.0] * 20
    assert X._version == 0


# ------------------------------------------------------------------------- Net, Net2


@pytest.mark.parametrize("cls", [Net, Net2])
def test_the_nets_from_scratch_have_the_chapters_layers_and_names(cls: type[Net]) -> None:
    shapes = {name: p.shape for name, p in cls().named_parameters()}
    assert shapes == {
        "lin1.weight": (256, 784),
        "lin1.bias": (256,),
        "lin2.weight": (256, 256),
        "lin2.bias": (256,),
        "lin3.weight": (10, 256),
        "lin3.bias": (10,),
    }
    small = cls(6, 3, 5, 4)
    assert [tuple(p.shape) for p in small.parameters()] == [
        (5, 6),
        (5,),
        (4, 5),
        (4,),
        (3, 4),
        (3,),
    ]
    for shape in (2, 6), (2, 1, 2, 3), (2, 3, 2):
        assert small(mg.ones(shape)).shape == (2, 3)


@pytest.mark.parametrize("cls", [Net, Net2])
@pytest.mark.parametrize("is_training", [True, False])
def test_a_net_starts_in_the_mode_it_is_given_and_train_and_eval_change_it(
    cls: type[Net], is_training: bool
) -> None:
    net = cls(784, 10, 256, 256, is_training)
    assert net.training == is_training
    assert not net.eval().training
    assert net.train().training


def test_evaluation_is_deterministic_and_draws_nothing() -> None:
    for net in Net().eval(), mlp().eval(), Net2():
        state = mg.random.get_rng_state()
        assert net(images()).tolist() == net(images()).tolist()
        assert mg.random.get_rng_state() == state


def test_training_is_noisy_except_for_the_control() -> None:
    for net in Net(), mlp():
        assert net(images()).tolist() != net(images()).tolist()
    control = Net2()
    assert control(images()).tolist() == control(images()).tolist()


def test_the_control_is_the_net_in_evaluation() -> None:
    net, control = Net().eval(), Net2()
    control.load_state_dict(net.state_dict())
    assert control(images()).tolist() == net(images()).tolist()
    assert control.training


def test_a_net_from_scratch_applies_dropout_after_each_hidden_layers_activation() -> None:
    net = Net(6, 3, 5, 4, dropout1=0.3, dropout2=0.6, generator=mg.Generator(4))
    x, noise = mg.rand(8, 6, generator=mg.Generator(1)), mg.Generator(4)
    h1 = dropout_layer(F.relu(net.lin1(x)), 0.3, noise)
    h2 = dropout_layer(F.relu(net.lin2(h1)), 0.6, noise)
    assert net(x).tolist() == net.lin3(h2).tolist()
    assert net.generator.get_state() == noise.get_state()


def test_both_nets_of_the_same_weights_agree_in_evaluation() -> None:
    scratch, concise = Net().eval(), mlp().eval()
    names = {"lin1": "1", "lin2": "4", "lin3": "7"}
    state = {
        f"{names[layer]}.{kind}": t
        for layer, kind, t in ((*k.split("."), t) for k, t in scratch.state_dict().items())
    }
    assert concise.load_state_dict(state) == ([], [])
    assert concise(images()).tolist() == scratch(images()).tolist()


# ------------------------------------------------------------------------- mlp, init_weights


def test_the_concise_net_has_the_chapters_layers_and_pytorchs_names() -> None:
    net = mlp()
    assert repr(net) == (
        "Sequential(\n"
        "  (0): Flatten(start_dim=1, end_dim=-1)\n"
        "  (1): Linear(in_features=784, out_features=256, bias=True)\n"
        "  (2): ReLU()\n"
        "  (3): Dropout(p=0.2, inplace=False)\n"
        "  (4): Linear(in_features=256, out_features=256, bias=True)\n"
        "  (5): ReLU()\n"
        "  (6): Dropout(p=0.5, inplace=False)\n"
        "  (7): Linear(in_features=256, out_features=10, bias=True)\n"
        ")"
    )
    keys = ["1.weight", "1.bias", "4.weight", "4.bias", "7.weight", "7.bias"]
    assert list(net.state_dict()) == keys
    assert net(images(3)).shape == (3, 10)


def test_the_concise_net_is_pytorchs_to_the_letter_and_the_number() -> None:
    torch = pytest.importorskip("torch")
    n = torch.nn
    theirs = n.Sequential(
        *(n.Flatten(), n.Linear(784, 256), n.ReLU(), n.Dropout(0.2)),
        *(n.Linear(256, 256), n.ReLU(), n.Dropout(0.5), n.Linear(256, 10)),
    ).eval()
    ours = mlp().eval()
    assert repr(ours) == repr(theirs)
    assert ours.load_state_dict(theirs.state_dict()) == ([], [])
    np.testing.assert_allclose(
        ours(images()).detach().numpy(),
        theirs(torch.from_numpy(images().numpy())).detach().numpy(),
        rtol=1e-4,
        atol=1e-6,
    )


def test_the_concise_net_takes_any_widths_and_as_many_probabilities() -> None:
    net = mlp(4, 2, [3, 5, 6], [0.1, 0.2, 0.3])
    assert [m.p for m in net if isinstance(m, nn.Dropout)] == [0.1, 0.2, 0.3]
    assert [p.shape for p in net.parameters() if p.ndim == 2] == [(3, 4), (5, 3), (6, 5), (2, 6)]
    assert mlp(4, 2, [], [])[1].weight.shape == (2, 4)
    for dropout in [0.1], [0.1, 0.2, 0.3]:
        with pytest.raises(ValueError, match=r"2 hidden layers need as many dropout probabilities"):
            mlp(dropout=dropout)


def test_the_concise_net_draws_all_masks_from_its_generator() -> None:
    generator = mg.Generator(0)
    net, state = mlp(generator=generator), mg.random.get_rng_state()
    net(images())
    assert mg.random.get_rng_state() == state
    replay = mg.Generator(0)
    for p in 0.2, 0.5:
        replay.keep_mask((5, 256), p)
    assert generator.get_state() == replay.get_state()


@mg.fork_rng()
def test_init_weights_draws_weights_of_linear_layers_and_nothing_else() -> None:
    mg.manual_seed(0)
    net = mlp()
    before = {name: t.tolist() for name, t in net.state_dict().items()}
    assert net.apply(init_weights) is net
    for name, t in net.state_dict().items():
        if name.endswith("bias"):
            assert t.tolist() == before[name]
        else:
            assert kstest(t.numpy().ravel() / 0.01, "norm").pvalue > 1e-4
