"""Layers: their values, shapes, settings and initial weights, beside PyTorch's."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy.stats import ks_2samp, kstest

import minigrad as mg
from minigrad import nn
from minigrad.nn import functional as F


def pytorch() -> Any:
    return pytest.importorskip("torch")


def numbers(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def value_and_gradients(m: Any, layer: Any, x: np.ndarray) -> list[np.ndarray]:
    """Return a layer's output and the gradients of a random projection of it, in float64."""
    tensor = m.from_numpy(x.copy()).requires_grad_()
    y = layer(tensor)
    y.backward(m.from_numpy(numbers(*y.shape, seed=1)))
    return [t.detach().numpy() for t in (y, tensor.grad, *[p.grad for p in layer.parameters()])]


def assert_like_pytorch(ours: Any, theirs: Any, x: np.ndarray) -> None:
    expected = value_and_gradients(pytorch(), theirs, x)
    for a, b in zip(value_and_gradients(mg, ours, x), expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-14, strict=True)


# ------------------------------------------------------------------------- Linear


@pytest.mark.parametrize(
    "shape", [(5, 4), (4,), (2, 3, 4), (1, 4), (0, 4), (2, 0, 4), (2, 1, 3, 4)]
)
@pytest.mark.parametrize("bias", [True, False])
def test_linear_maps_the_last_dimension_as_pytorch_does(shape: Any, bias: bool) -> None:
    torch = pytorch()
    ours = nn.Linear(4, 3, bias=bias).double()
    theirs = torch.nn.Linear(4, 3, bias=bias).double()
    ours.load_state_dict(theirs.state_dict())
    assert_like_pytorch(ours, theirs, numbers(*shape))


def test_linear_is_x_times_the_transposed_weight_plus_bias() -> None:
    layer = nn.Linear(3, 2)
    layer.load_state_dict({"weight": [[1, 2, 3], [4, 5, 6]], "bias": [10, 20]})
    assert layer(mg.tensor([[1.0, 0.0, -1.0], [0.0, 1.0, 0.0]])).tolist() == [[8, 18], [12, 25]]


def test_linear_without_bias_has_none_and_says_so() -> None:
    layer = nn.Linear(3, 2, bias=False)
    assert layer.bias is None
    assert list(layer.state_dict()) == ["weight"]
    assert repr(layer) == "Linear(in_features=3, out_features=2, bias=False)"
    assert repr(nn.Linear(3, 2)) == "Linear(in_features=3, out_features=2, bias=True)"


@pytest.mark.parametrize(("inputs", "outputs"), [(0, 3), (3, 0)])
def test_linear_of_no_features_works(inputs: int, outputs: int) -> None:
    y = nn.Linear(inputs, outputs)(mg.ones(2, inputs))
    assert y.shape == (2, outputs)
    assert not y.detach().numpy().any()


@pytest.mark.parametrize(("inputs", "outputs"), [(1, 200), (50, 400), (784, 256)])
@mg.fork_rng()
def test_linear_starts_uniform_within_one_over_the_root_of_its_inputs(
    inputs: int, outputs: int
) -> None:
    """Kolmogorov and Smirnov's test at α = 1e-4, on a fixed seed.

    With 20,000 weights or more, a bound that is 2 % off, or a normal distribution, would fail.
    """
    mg.manual_seed(0)
    layer = nn.Linear(inputs, outputs)
    bound = 1 / math.sqrt(inputs)
    for values in layer.weight.detach().numpy(), layer.bias.detach().numpy():
        assert values.dtype == np.float32
        assert np.abs(values).max() <= np.float32(bound)
        assert kstest(values.ravel() / bound, "uniform", args=(-1, 2)).pvalue > 1e-4


@mg.fork_rng()
def test_linear_starts_distributed_as_pytorchs_does() -> None:
    torch = pytorch()
    mg.manual_seed(0)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        ours, theirs = nn.Linear(50, 400), torch.nn.Linear(50, 400)
    for name in "weight", "bias":
        samples = [getattr(layer, name).detach().numpy().ravel() for layer in (ours, theirs)]
        assert ks_2samp(*samples).pvalue > 1e-4


@mg.fork_rng()
def test_linear_draws_its_weights_from_the_default_generator_and_anew_each_time() -> None:
    def values(layer: nn.Linear) -> list[Any]:
        return [p.tolist() for p in layer.parameters()]

    mg.manual_seed(3)
    first, second = values(nn.Linear(4, 3)), values(nn.Linear(4, 3))
    mg.manual_seed(3)
    layer = nn.Linear(4, 3)
    assert values(layer) == first
    layer.reset_parameters()
    assert values(layer) == second != first
    assert first[0][0][:3] != first[1]  # weights and biases are different numbers


# ------------------------------------------------------------------------- the others


@pytest.mark.parametrize(
    "make",
    [
        lambda m: m.nn.ReLU(),
        lambda m: m.nn.Sigmoid(),
        lambda m: m.nn.Tanh(),
        lambda m: m.nn.Identity(),
        lambda m: m.nn.Flatten(),
        lambda m: m.nn.Flatten(0),
        lambda m: m.nn.Flatten(0, 1),
        lambda m: m.nn.Flatten(-2, -1),
        lambda m: m.nn.Softmax(dim=0),
        lambda m: m.nn.Softmax(dim=1),
        lambda m: m.nn.Softmax(dim=-1),
    ],
)
@pytest.mark.parametrize("shape", [(2, 3), (3, 1, 4), (2, 3, 4, 5), (0, 3)])
def test_layers_without_parameters_are_pytorchs(make: Any, shape: Any) -> None:
    assert_like_pytorch(make(mg), make(pytorch()), numbers(*shape))
    assert repr(make(mg)) == repr(make(pytorch()))


@pytest.mark.parametrize("name", ["relu", "sigmoid", "tanh", "softmax", "log_softmax", "linear"])
def test_functional_forms_are_pytorchs(name: str) -> None:
    def call(m: Any) -> np.ndarray:
        tensors = [m.from_numpy(numbers(*s)) for s in ((4, 3), (2, 3), (2,))]
        function = getattr(m.nn.functional, name)
        if name == "linear":
            return function(*tensors).numpy()
        return function(tensors[0], *([1] if "softmax" in name else [])).numpy()

    np.testing.assert_allclose(call(mg), call(pytorch()), rtol=1e-13)


def test_flatten_makes_all_dimensions_but_the_first_one() -> None:
    x = mg.arange(12).reshape(2, 3, 1, 2)
    assert nn.Flatten()(x).tolist() == [[0, 1, 2, 3, 4, 5], [6, 7, 8, 9, 10, 11]]


def test_identity_returns_its_input_and_ignores_what_it_is_made_with() -> None:
    x = mg.ones(2)
    assert nn.Identity(54, unused="argument")(x) is x


def test_softmax_sums_to_one_also_for_huge_inputs() -> None:
    y = nn.Softmax(dim=1)(mg.tensor([[1e4, -1e4, 1e4], [0.0, 1.0, 2.0]])).numpy()
    np.testing.assert_allclose(y.sum(axis=1), [1, 1], rtol=1e-6)
    assert y[0].tolist() == [0.5, 0.0, 0.5]


def test_relu_in_place_overwrites_its_input_and_has_the_same_gradient() -> None:
    grads = []
    for inplace in False, True:
        leaf = mg.tensor([-1.0, 0.0, 2.0], requires_grad=True)
        x = leaf * 3
        version = x._version
        y = nn.ReLU(inplace=inplace)(x)
        assert (y is x) == inplace
        assert x._version - version == inplace
        assert y.tolist() == [0.0, 0.0, 6.0]
        (y * y).sum().backward()
        grads.append(leaf.grad.tolist())
    assert grads == [[0.0, 0.0, 36.0]] * 2
    assert repr(nn.ReLU()) == "ReLU()"
    assert repr(nn.ReLU(inplace=True)) == "ReLU(inplace=True)"


def test_relu_in_place_on_a_leaf_is_refused() -> None:
    x = mg.tensor([-1.0], requires_grad=True)
    with pytest.raises(RuntimeError, match="a leaf Variable that requires grad"):
        F.relu(x, inplace=True)
    assert x.tolist() == [-1.0]


def test_functions_of_the_namespace_are_all_listed() -> None:
    assert sorted(F.__all__) == F.__all__
    assert all(callable(getattr(F, name)) for name in F.__all__)
