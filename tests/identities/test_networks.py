"""What dropout does to networks: what linear ones keep, what ReLU keeps, and what neither does."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad import nn
from minigrad.nn import functional as F
from tests.identities.enumeration import (
    TOLERANCE,
    assert_gap,
    assert_identity,
    every_mask,
    expectation,
    linear,
    probabilities,
    shapes,
    squared_error,
    tensors,
)

# ------------------------------------------------------------------------- I6: depth


@st.composite
def layers(draw: st.DrawFn) -> tuple[Any, list[nn.Linear]]:
    """Draw an input and one to three layers on it, of 6 inputs at most, all layers together."""
    widths = draw(st.lists(st.integers(1, 3), min_size=1, max_size=3).filter(lambda w: sum(w) <= 6))
    sizes = zip([*widths[1:], 2], widths, strict=True)
    net = [linear(draw(tensors(o, i)), draw(tensors(o))) for o, i in sizes]
    return draw(tensors(widths[0])), net


def with_dropout(net: list[nn.Linear], x: Any, rates: list[float], masks: Any) -> Any:
    """Return the output of a linear network with dropout before each layer."""
    for layer, p, keep in zip(net, rates, masks, strict=True):
        x = layer(F.dropout(x, p, mask=keep))
    return x


@given(layers(), st.lists(probabilities, min_size=3, max_size=3))
def test_i6_expected_output_of_a_deep_linear_network_is_that_without_dropout(drawn, rates):
    """E f'(x) = f(x) where masks of different layers are independent  (Baldi & Sadowski, 2013).

    Given all masks but the last layer's, E W h' + b = W h + b; then the same for the layer before,
    and so on. Independence is needed: it lets the last mask be averaged while others are fixed.
    """
    x, net = drawn
    rates = rates[: len(net)]
    draws = [every_mask(p, layer.in_features) for p, layer in zip(rates, net, strict=True)]
    mean = expectation(lambda *masks: with_dropout(net, x, rates, masks), *draws)
    assert_identity("I6", mean, nn.Sequential(*net)(x))


@given(st.integers(1, 5), st.floats(0, 0.9), tensors(1))
def test_i6_one_mask_in_every_layer_inflates_the_output(depth, p, x):
    """With layers of one unit and one mask for all, E f'(x) = f(x) / q^(L-1) for L layers.

    The factor is E (m/q)ᴸ = q/qᴸ, as mᴸ = m. A seed set anew in every layer does this.
    """
    net = [linear(np.ones((1, 1))) for _ in range(depth)]
    mean = expectation(
        lambda keep: with_dropout(net, x, [p] * depth, [keep] * depth), every_mask(p, 1)
    )
    assert_identity("I6", (1 - p) ** (depth - 1) * mean, x)


def test_i6_one_mask_in_two_layers_doubles_the_output_at_one_half():
    net = [linear(np.ones((1, 1)))] * 2
    mean = expectation(
        lambda keep: with_dropout(net, mg.ones(1).double(), [0.5] * 2, [keep] * 2),
        every_mask(0.5, 1),
    )
    assert_identity("I6", mean, [2.0])
    assert_gap("I6: one mask in two layers", mean, 1.0, least=1.0)


@given(shapes(1, 6), probabilities, st.data())
def test_i6_dropout_before_relu_can_only_raise_its_mean(shape, p, data):
    """E relu(w·x' + b) >= relu(w·x + b): relu is convex, and Jensen's inequality applies."""
    unit = linear(data.draw(tensors(1, *shape)), data.draw(tensors(1)))
    x = data.draw(tensors(*shape))
    mean = expectation(lambda keep: unit(F.dropout(x, p, mask=keep)).relu(), every_mask(p, *shape))
    assert (mean - unit(x).relu()).item() >= -TOLERANCE


def test_i6_expected_output_of_a_relu_network_is_another():
    """relu(x₁ - x₂) at x = (1, 1) is 0; with p = 1/2 its input is 0, 2, -2 or 0: its mean is 1/2.

    Hence a ReLU network that is trained with dropout and used without is not the mean of its
    sub-networks, even in its first hidden layer.
    """
    unit, x = linear(np.array([[1.0, -1.0]])), mg.ones(2).double()
    mean = expectation(lambda keep: unit(F.dropout(x, 0.5, mask=keep)).relu(), every_mask(0.5, 2))
    assert_identity("I6", mean, [0.5])
    assert_gap("I6: expected output of ReLU", mean, unit(x).relu(), least=0.5)


# ------------------------------------------------------------------------- I7: scale of the weights


@st.composite
def relu_networks(draw: st.DrawFn) -> tuple[Any, Any, list[Any]]:
    """Draw rows X, targets Y, and W₁, b₁, W₂, b₂ of a network with 8 hidden values at most."""
    rows, hidden = draw(shapes(2))
    sizes = [(hidden, 2), (hidden,), (2, hidden), (2,)]
    return (
        draw(tensors(rows, 2)),
        draw(tensors(rows, 2)),
        [draw(tensors(*size)) for size in sizes],
    )


def expected_loss(X: Any, Y: Any, weights: Any, p: float) -> Any:
    """Return E ‖Y - relu(X W₁ᵀ + b₁)' W₂ᵀ - b₂‖²."""
    W1, b1, W2, b2 = weights
    hidden = F.linear(X, W1, b1).relu()
    return expectation(
        lambda keep: squared_error(F.linear(F.dropout(hidden, p, mask=keep), W2, b2), Y),
        every_mask(p, *hidden.shape),
    )


@given(relu_networks(), probabilities, st.floats(1e-3, 1e3))
def test_i7_expected_loss_of_a_relu_network_is_blind_to_where_the_scale_sits(drawn, p, c):
    """W₁ -> cW₁, b₁ -> cb₁, W₂ -> W₂/c changes no loss, with any mask  (Helmbold & Long, 2018).

    relu(cz) = c relu(z) for c > 0, and dropout is linear: m c h/q · w/c = m h/q · w.
    """
    X, Y, (W1, b1, W2, b2) = drawn
    rescaled = expected_loss(X, Y, [c * W1, c * b1, W2 / c, b2], p)
    assert_identity("I7", rescaled, expected_loss(X, Y, [W1, b1, W2, b2], p))


@given(relu_networks(), probabilities)
def test_i7_gradients_of_the_two_layers_balance(drawn, p):
    """⟨W₁, ∂L/∂W₁⟩ + ⟨b₁, ∂L/∂b₁⟩ = ⟨W₂, ∂L/∂W₂⟩ for L = E loss'.

    L does not change with c, so dL/dc = 0 at c = 1, and the chain rule spells that out. (Both sides
    are multiplied by q here, which keeps them of moderate size for every p.)
    """
    X, Y, weights = drawn
    W1, b1, W2, _ = (w.requires_grad_() for w in weights)
    gradients = mg.grad((1 - p) * expected_loss(X, Y, weights, p), [W1, b1, W2])
    into, bias, out = ((w * g).sum() for w, g in zip([W1, b1, W2], gradients, strict=True))
    assert_identity("I7", into + bias, out)


def test_i7_weight_decay_does_see_where_the_scale_sits():
    """‖cW₁‖² + ‖W₂/c‖² is 16c² + 16/c² for two layers of norm 4: 32, and 1600.16 for c = 10."""
    W1, W2 = mg.ones(8, 2).double(), mg.ones(2, 8).double()

    def decay(c: float) -> Any:
        return ((c * W1) ** 2).sum() + ((W2 / c) ** 2).sum()

    assert_identity("I7", decay(10.0), 1600.16)
    assert_gap("I7: squared norm of the weights", decay(10.0), decay(1.0), least=1568.0)


# ------------------------------------------------------------------------- I9: before or after


@given(shapes(2, 64), probabilities, st.integers(0, 2**64 - 1), st.data())
@pytest.mark.parametrize("f", [nn.ReLU(), mg.abs], ids=["relu", "abs"])
def test_i9_dropout_commutes_with_relu_exactly(f, shape, p, seed, data):
    """relu(mz/q) = m relu(z)/q, since relu(az) = a relu(z) for a >= 0; the gradients agree, too.

    So `Linear, ReLU, Dropout` and `Linear, Dropout, ReLU` are one network. Nothing but that
    property of relu is needed, and |z| has it as well.
    """
    z = data.draw(tensors(*shape)).requires_grad_()
    before, after = (nn.Dropout(p, generator=mg.Generator(seed)) for _ in range(2))
    first, last = f(before(z)), after(f(z))
    gradients = [mg.grad(y.sum(), z)[0] for y in (first, last)]
    assert_identity("I9", first, last, tolerance=0)
    assert_identity("I9", *gradients, tolerance=0)


@pytest.mark.parametrize(
    ("f", "z", "gap"),
    # z = 0: always σ(0) = 1/2 against 0 or 1;   large z, kept: tanh(2z) = 1 against 2 tanh(z) = 2
    [(nn.Sigmoid(), 0.0, 0.5), (nn.Tanh(), 40.0, 1.0)],
    ids=["sigmoid", "tanh"],
)
def test_i9_dropout_commutes_with_neither_sigmoid_nor_tanh(f, z, gap):
    """σ(0) = 1/2 revives what was dropped. tanh(0) = 0 does not, but tanh(z/q) is not tanh(z)/q."""
    z = mg.tensor([z], dtype=np.float64)
    kept = np.array([True])
    first, last = f(F.dropout(z, 0.5, mask=kept)), F.dropout(f(z), 0.5, mask=kept)
    assert_gap(f"I9: {type(f).__name__} before dropout or after", first, last, least=gap)


def test_i9_sigmoid_after_dropout_does_not_even_have_the_same_mean():
    """E σ(z') = p/2 + q σ(z/q) tends to 1 - p/2 for large z, where E σ(z)' = σ(z) tends to 1."""
    z = mg.tensor([40.0], dtype=np.float64)
    mean = expectation(lambda keep: F.dropout(z, 0.5, mask=keep).sigmoid(), every_mask(0.5, 1))
    assert_identity("I9", mean, [0.75])
    assert math.isclose(z.sigmoid().item(), 1)
