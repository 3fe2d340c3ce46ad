"""The family of dropout: held by the laws in its declared form, and equal to PyTorch's."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.nn import functional as F
from minigrad.testing import statistics
from minigrad.testing.frameworks import MINIGRAD
from minigrad.testing.laws import BUG, LAWS
from minigrad.testing.noise import ALPHA, GAUSSIAN
from minigrad.testing.subjects import Domain, Injected, Subject
from minigrad.testing.verdicts import BROKEN, judge, judge_all
from tests.failures import noting
from tests.side_by_side import torch

SAMPLES, CHANNELS = ("N", 1, ...), ("N", "C")


def connected(w: Any, p: float, training: bool, **options: Any) -> Any:
    """Return the weights that DropConnect multiplies by: those of the identity matrix's rows."""
    column = w.reshape(-1, 1)
    one = mg.ones(1, 1, dtype=w.dtype)
    return F.drop_connect(one, column, None, p, training, **options).reshape(w.shape)


class Connected(nn.Module):
    """DropConnect as a dropout of one row of weights."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.inner = nn.DropConnect(1, 1, bias=False, p=p)

    def forward(self, w: Any) -> Any:
        return connected(w, self.inner.p, self.training)


FAMILY = {
    "dropout1d": Subject("F.dropout1d", F.dropout1d, MINIGRAD, units=(*CHANNELS, 1)),
    "dropout2d": Subject("F.dropout2d", F.dropout2d, MINIGRAD, units=(*CHANNELS, 1, 1)),
    "dropout3d": Subject("F.dropout3d", F.dropout3d, MINIGRAD, units=(*CHANNELS, 1, 1, 1)),
    "alpha_dropout": Subject("F.alpha_dropout", F.alpha_dropout, MINIGRAD, noise=ALPHA),
    "feature_alpha_dropout": Subject(
        "F.feature_alpha_dropout", F.feature_alpha_dropout, MINIGRAD, noise=ALPHA,
        units=(*CHANNELS, 1, 1),
    ),
    "gaussian_dropout": Subject(
        "F.gaussian_dropout", F.gaussian_dropout, MINIGRAD, noise=GAUSSIAN, domain=Domain(one=False)
    ),
    "drop_path": Subject("F.drop_path", F.drop_path, MINIGRAD, units=SAMPLES),
    "drop_connect": Subject("F.drop_connect", connected, MINIGRAD),
    "Dropout1d": Subject("nn.Dropout1d", nn.Dropout1d, MINIGRAD, units=(*CHANNELS, 1)),
    "Dropout2d": Subject("nn.Dropout2d", nn.Dropout2d, MINIGRAD, units=(*CHANNELS, 1, 1)),
    "Dropout3d": Subject("nn.Dropout3d", nn.Dropout3d, MINIGRAD, units=(*CHANNELS, 1, 1, 1)),
    "AlphaDropout": Subject("nn.AlphaDropout", nn.AlphaDropout, MINIGRAD, noise=ALPHA),
    "FeatureAlphaDropout": Subject(
        "nn.FeatureAlphaDropout", nn.FeatureAlphaDropout, MINIGRAD, noise=ALPHA,
        units=(*CHANNELS, 1, 1),
    ),
    "GaussianDropout": Subject(
        "nn.GaussianDropout", nn.GaussianDropout, MINIGRAD, noise=GAUSSIAN,
        domain=Domain(one=False),
    ),
    "DropPath": Subject("nn.DropPath", nn.DropPath, MINIGRAD, units=SAMPLES),
    "DropConnect": Subject("nn.DropConnect", Connected, MINIGRAD),
}  # fmt: skip
#: the layers, and the functions that they call
LAYERS = {
    name: re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()
    for name in FAMILY
    if name[0].isupper() and name != "DropConnect"
}
MODULES = ("Dropout1d", "Dropout2d", "Dropout3d", "AlphaDropout", "FeatureAlphaDropout", "DropPath")


@pytest.fixture
def apart() -> Iterator[None]:
    with statistics.Budget(apart=True):
        yield


# ------------------------------------------------------------------------- the laws


@pytest.mark.parametrize("name", FAMILY)
def test_every_member_obeys_every_law_that_applies(name: str) -> None:
    """Layers with an eighth of the draws: to the bit they do what their functions do."""
    verdicts = judge_all(FAMILY[name], quick=name in LAYERS)
    broken = [str(v) for v in verdicts if v.outcome == BROKEN]
    assert not broken, "\n".join(broken)
    assert len([v for v in verdicts if v.outcome == "holds"]) >= 20


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("dropout2d", lambda x, p, training: F.dropout(x, p, training)),
        ("dropout2d", lambda x, p, training: F.drop_path(x, p, training)),
        ("alpha_dropout", lambda x, p, training: F.dropout(x, p, training)),
        ("drop_path", lambda x, p, training: F.dropout2d(x, p, training)),
        ("gaussian_dropout", lambda x, p, training: F.gaussian_dropout(x, p / 2, training)),
    ],
    ids=[
        *("dropout2d as dropout", "dropout2d as drop_path", "alpha_dropout as dropout"),
        *("drop_path as dropout2d", "gaussian_dropout at half of p"),
    ],
)
def test_a_member_that_does_what_another_does_is_caught(
    name: str, wrong: Callable[..., Any], apart: None
) -> None:
    declared = FAMILY[name]
    subject = Subject(
        "wrong", wrong, MINIGRAD, noise=declared.noise, units=declared.units, domain=declared.domain
    )
    bugs = (law for law in LAWS.values() if law.tier == BUG)
    assert any(judge(subject, law).outcome == BROKEN for law in bugs)  # the first one is enough


# ------------------------------------------------------------------------- masks


SHAPES = {
    "dropout1d": [(4, 5, 6), (5, 6)],
    "dropout2d": [(4, 5, 6, 7), (4, 5, 6), (4, 5), (2, 3, 4, 5, 6)],
    "dropout3d": [(2, 3, 4, 5, 6), (3, 4, 5, 6), (4, 5, 6)],
    "alpha_dropout": [(4, 5), (3,)],
    "feature_alpha_dropout": [(4, 5, 6, 7), (4, 5)],
}


def units_of(name: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape of the draws in PyTorch's own account of the shape."""
    if name == "alpha_dropout":
        return shape
    unbatched = (name, len(shape)) == ("dropout1d", 2) or (name == "dropout3d" and len(shape) != 5)
    lead = 1 if unbatched else 2
    return (*shape[:lead], *[1] * (len(shape) - lead))


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("p", [0.0, 0.25, 0.7, 1.0])
def test_given_a_mask_it_is_pytorchs_forward_and_backward(name: str, p: float) -> None:
    """PyTorch's mask is read off its result, at the shape of its units."""
    ours, theirs = getattr(F, name), getattr(torch.nn.functional, name)
    for shape in SHAPES[name]:
        array = np.random.default_rng(0).uniform(1, 2, shape).astype(np.float32)
        g = np.random.default_rng(1).uniform(1, 2, shape).astype(np.float32)
        x = torch.from_numpy(array).clone().requires_grad_()
        with warnings.catch_warnings(), torch.random.fork_rng():
            warnings.simplefilter("ignore")
            torch.manual_seed(7)
            y = theirs(x, p, True)
        y.backward(torch.from_numpy(g))
        first = tuple(slice(0, n) for n in units_of(name, shape))
        keep = (x.grad != 0)[first].numpy()
        leaf = mg.from_numpy(array.copy()).requires_grad_()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            result = ours(leaf, p, True, mask=keep)
        result.backward(mg.from_numpy(g))
        np.testing.assert_allclose(
            result.detach().numpy(), y.detach().numpy(), rtol=3e-6, atol=3e-6
        )
        np.testing.assert_allclose(leaf.grad.numpy(), x.grad.numpy(), rtol=3e-6, atol=3e-6)


@pytest.mark.parametrize(("layer", "function"), LAYERS.items(), ids=LAYERS)
def test_a_layer_is_its_function_at_its_p_to_the_bit(layer: str, function: str) -> None:
    for p in 0.1, 0.5, 0.8:
        for shape in SHAPES.get(function, [(4, 5, 6)]):
            x, results = mg.from_numpy(np.random.default_rng(0).normal(size=shape)), []
            for call in getattr(nn, layer)(p), lambda x, p=p: getattr(F, function)(x, p, True):
                with mg.fork_rng(), warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    mg.manual_seed(3)
                    results.append(call(x).numpy())
            with noting(p=p, shape=shape):
                np.testing.assert_array_equal(*results, strict=True)


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("dropout1d", (5,)),
        ("dropout1d", (2, 3, 4, 5)),
        ("dropout2d", (2, 3, 4)),
        ("dropout2d", (2, 3)),
        ("dropout2d", (2,)),
        ("dropout3d", (2, 3, 4)),
        ("feature_alpha_dropout", (3,)),
    ],
)
def test_shapes_bring_pytorchs_warnings_and_errors(name: str, shape: tuple[int, ...]) -> None:
    def said(library: Any, functional: Any) -> tuple[list[str], str]:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                getattr(functional, name)(library.ones(*shape), 0.5, True)
            except RuntimeError as error:
                return [str(w.message) for w in caught], str(error)
        return [str(w.message) for w in caught], ""

    with torch.random.fork_rng():
        assert said(mg, F) == said(torch, torch.nn.functional)


@pytest.mark.parametrize("name", [*SHAPES, "drop_path"])
def test_masks_are_drawn_at_the_shape_of_units_from_the_generator(name: str) -> None:
    shape = (3, 4, 2, 2, 2) if name == "dropout3d" else (3, 4, 2)
    if name == "dropout2d":
        shape = (3, 4, 2, 2)
    units = (3, 1, 1) if name == "drop_path" else units_of(name, shape)
    keep = mg.Generator(5).keep_mask(units, 0.4)
    x = mg.ones(*shape)
    drawn = getattr(F, name)(x, 0.4, True, generator=mg.Generator(5))
    given = getattr(F, name)(x, 0.4, True, mask=keep)
    np.testing.assert_array_equal(drawn.numpy(), given.numpy(), strict=True)


def test_drop_connect_is_linear_with_dropped_weights_and_its_bias_is_kept() -> None:
    x, w, b = mg.rand(5, 3), mg.rand(2, 3), mg.rand(2)
    keep = mg.rand(2, 3) >= 0.5
    expected = x.numpy() @ (w.numpy() * keep.numpy() * 2).T + b.numpy()
    got = F.drop_connect(x, w, b, 0.5, mask=keep)
    np.testing.assert_allclose(got.numpy(), expected, rtol=1e-6)
    layer = nn.DropConnect(30, 2, p=0.5)  # that none of 60 is dropped has the probability 1e-18
    x = mg.rand(5, 30)
    assert isinstance(layer, nn.Linear)
    plain = F.linear(x, layer.weight, layer.bias)
    assert not (layer(x) == plain).all()
    assert (layer.eval()(x) == plain).all()
    layer.train()(x).sum().backward()
    assert layer.weight.grad is not None
    assert (layer.weight.grad == 0).any()


def test_gaussian_noise_can_be_given_and_is_that_of_the_generator() -> None:
    x = mg.rand(4, 5, requires_grad=True)
    noise = mg.Generator(3).normal(20).reshape(4, 5).astype(np.float32)
    given = F.gaussian_dropout(x, 0.3, noise=noise)
    drawn = F.gaussian_dropout(x, 0.3, generator=mg.Generator(3))
    np.testing.assert_array_equal(given.detach().numpy(), drawn.detach().numpy(), strict=True)
    given.sum().backward()
    factor = 1 + noise * np.float32((0.3 / 0.7) ** 0.5)
    np.testing.assert_allclose(x.grad.numpy(), factor, rtol=1e-6)


# ------------------------------------------------------------------------- the contract


@pytest.mark.parametrize("name", [*SHAPES, "drop_path", "gaussian_dropout"])
def test_evaluation_and_p_0_return_the_same_tensor_and_draw_nothing(name: str) -> None:
    x = mg.ones(2, 3, 4, 5) if name != "dropout1d" else mg.ones(2, 3, 4)
    before = mg.random.get_rng_state()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert getattr(F, name)(x, 0.5, False) is x
        assert getattr(F, name)(x, 0.0, True) is x
    assert mg.random.get_rng_state() == before


@pytest.mark.parametrize("name", MODULES)
def test_a_module_is_in_place_and_says_so_as_pytorchs(name: str) -> None:
    cls: Any = getattr(nn, name)
    layer = cls(0.5, inplace=True, generator=mg.Generator(0))
    assert repr(layer) == f"{name}(p=0.5, inplace=True)"
    if hasattr(torch.nn, name):
        assert repr(getattr(torch.nn, name)(0.5, inplace=True)) == repr(layer)
    x = mg.ones(8, 4, 3) if name == "Dropout1d" else mg.ones(8, 4, 3, 2, 2)
    if name == "Dropout2d":
        x = mg.ones(8, 4, 3, 2)
    y = layer(x)
    assert y is x
    assert set(np.unique(x.numpy()).tolist()) != {1.0}


@pytest.mark.parametrize("p", [-0.1, 1.1, float("nan")])
def test_a_p_that_is_none_is_refused_when_the_layer_is_made(p: float) -> None:
    for name in (*MODULES, "GaussianDropout"):
        with pytest.raises(ValueError, match="dropout probability has to be between 0 and 1, but"):
            getattr(nn, name)(p)
    with pytest.raises(ValueError, match="dropout probability has to be between 0 and 1, but"):
        nn.DropConnect(2, 3, p=p)
    with pytest.raises(ValueError, match="below 1"):
        nn.GaussianDropout(1.0)


def test_a_mask_that_does_not_fit_and_integers_are_refused() -> None:
    with pytest.raises(ValueError, match=r"mask of shape \(3,\) does not broadcast"):
        F.dropout2d(mg.ones(2, 2, 2, 2), mask=[True, False, True])
    with pytest.raises(TypeError, match="must be boolean"):
        F.drop_path(mg.ones(2, 2), mask=[[1], [0]])
    for name in "drop_path", "alpha_dropout", "gaussian_dropout":
        with pytest.raises(TypeError, match="needs a floating-point tensor"):
            getattr(F, name)(mg.ones(2, 2, dtype=np.int64), 0.5, True)
    with pytest.raises(RuntimeError, match="expected an input of shape"):
        F.drop_path(mg.tensor(1.0))


def test_the_boundary_of_a_draw_is_that_of_dropout() -> None:
    u = np.array([0.2499, 0.25, 0.2501])
    y = F.drop_path(mg.ones(3, 2), 0.25, generator=Injected(u))
    assert (y == 0).numpy().tolist() == [[True, True], [False, False], [False, False]]


@pytest.mark.filterwarnings("ignore:dropout2d")  # it takes the first of three for a batch
@pytest.mark.parametrize("training", ["False", 1, 0, None])
def test_a_mode_that_is_no_boolean_is_refused_by_every_dropout(training: Any) -> None:
    x = mg.ones(2, 3, 4)
    for call in (
        F.dropout, F.dropout1d, F.dropout2d, F.alpha_dropout, F.feature_alpha_dropout,
        F.gaussian_dropout, F.drop_path,
    ):  # fmt: skip
        with pytest.raises(
            TypeError, match=f"training has to be True or False, but got {training!r}"
        ):
            call(x, 0.5, training)
    with pytest.raises(TypeError, match="True or False"):
        F.drop_connect(mg.ones(2, 3), mg.ones(4, 3), None, 0.5, training)
