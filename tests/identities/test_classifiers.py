"""What dropout does to a softmax layer: a geometric mean, and a penalty that knows no label.

Throughout, z = Wx + b are the logits, z' = Wx' + b those under one mask, A(z) = log Σ_c exp z_c,
so that log softmax(z) = z - A(z). As x' has the mean x, z' has the mean z.
"""

from __future__ import annotations

from typing import Any, NamedTuple

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
    order,
    probabilities,
    shapes,
    tensors,
)


class Classifier(NamedTuple):
    """A softmax layer and an input."""

    layer: nn.Linear
    x: Any

    def expectation(self, f: Any, p: float) -> Any:
        """Return E f(z') over the masks on the input."""
        return expectation(
            lambda keep: f(self.layer(F.dropout(self.x, p, mask=keep))), every_mask(p, len(self.x))
        )

    def penalty(self, p: float) -> Any:
        """Return E A(z') - A(z)."""
        return self.expectation(lambda z: z.logsumexp(0), p) - self.layer(self.x).logsumexp(0)


@st.composite
def classifiers(draw: st.DrawFn) -> Classifier:
    """Draw a softmax layer of 1 to 5 classes on 1 to 6 inputs."""
    classes, inputs = draw(st.integers(1, 5)), draw(st.integers(1, 6))
    layer = linear(draw(tensors(classes, inputs)), draw(tensors(classes)))
    return Classifier(layer, draw(tensors(inputs)))


def classifier(weight: Any, x: Any) -> Classifier:
    """Return a softmax layer without bias."""
    return Classifier(linear(np.array(weight, float)), mg.from_numpy(np.array(x, float)))


# ------------------------------------------------------------------------- I2: the geometric mean


@given(classifiers(), probabilities)
def test_i2_normalized_geometric_mean_over_the_masks_is_the_weight_scaled_softmax(model, p):
    """Π softmax(z')_c^P(mask), normalized over c, is softmax(z)_c  (Hinton et al., 2012).

    The log of the product is E log softmax(z')_c = E z'_c - E A(z') = z_c - E A(z'). The second
    term is the same for every class, and normalizing removes it. So one pass without dropout says
    what 2ⁿ sub-networks say, if opinions are averaged as logarithms.
    """
    log_mean = model.expectation(lambda z: z.log_softmax(0), p)
    assert_identity("I2", log_mean.softmax(0), model.layer(model.x).softmax(0))


@given(shapes(1), st.floats(0, 0.9), st.data())
def test_i2_holds_for_a_logistic_unit(shape, p, data):
    """G₁ / (G₁ + G₀) = σ(z), where G₁ and G₀ are the geometric means of σ(z') and 1 - σ(z').

    log σ(z) - log σ(-z) = z, so log G₁ - log G₀ = E z' = z  (Baldi & Sadowski, 2013).
    """
    unit = Classifier(linear(data.draw(tensors(1, *shape))), data.draw(tensors(*shape)))
    g1 = unit.expectation(lambda z: z.sigmoid().log(), p).exp()
    g0 = unit.expectation(lambda z: (-z).sigmoid().log(), p).exp()
    assert_identity("I2", g1 / (g1 + g0), unit.layer(unit.x).sigmoid())


def test_i2_arithmetic_mean_is_another():
    """One input, ten classes, logits (40, 0, ..., 0), p = 1/2: the gap is p (1 - 1/10) = 0.45.

    With the input dropped, all classes have probability 1/10; kept, the first has 1, as it has
    without dropout. The mean is 0.55.
    """
    model = classifier([[40.0]] + 9 * [[0.0]], [1.0])
    mean = model.expectation(lambda z: z.softmax(0), 0.5)
    assert_identity("I2", mean[0], 0.55)
    assert_gap("I2: arithmetic mean", mean, model.layer(model.x).softmax(0), least=0.449)


def past_a_hidden_relu(keep: np.ndarray | None) -> Any:
    """Return the logits (8h, 0), h = relu(x₁ - x₂), of x = (1, 1), under a mask with p = 1/2."""
    x = mg.ones(2).double()
    x = x if keep is None else F.dropout(x, 0.5, mask=keep)
    hidden = linear(np.array([[1.0, -1.0]]))(x).relu()
    return linear(np.array([[8.0], [0.0]]))(hidden)


def test_i2_does_not_hold_past_a_hidden_relu():
    """Without dropout the logits are (0, 0); with it, their mean is (4, 0): 0.98 in place of 0.5.

    The input of relu is 0, 2, -2 or 0, so E h' = 1/2. The geometric mean is softmax(E z'), and z'
    no longer has the mean z. (Measured on small ReLU networks: Warde-Farley et al., 2013.)
    """
    log_mean = expectation(lambda keep: past_a_hidden_relu(keep).log_softmax(0), every_mask(0.5, 2))
    scaled = past_a_hidden_relu(None).softmax(0)
    assert_gap("I2: geometric mean past ReLU", log_mean.softmax(0), scaled, least=0.48)


# ------------------------------------------------------------------------- I3: the penalty


@given(classifiers(), probabilities, st.data())
def test_i3_penalty_of_cross_entropy_is_the_same_for_every_label_and_never_negative(model, p, data):
    """E loss' - loss = E A(z') - A(z) >= 0 for every target  (Wager, Wang & Liang, 2013).

    For a target t that sums to 1 the loss is A(z) - t·z, and E t·z' = t·z: what is left has no t.
    A is convex and z' has the mean z: Jensen. Labels that are shared out (soft labels) count, too.
    """
    classes = len(model.layer.bias)
    soft = data.draw(tensors(classes)).softmax(0)
    targets = mg.from_numpy(np.vstack([np.eye(classes), soft.numpy()]))

    def losses(z: Any) -> Any:
        return F.cross_entropy(z.expand(*targets.shape), targets, reduction="none")

    penalty = model.penalty(p).item()
    by_target = model.expectation(losses, p) - losses(model.layer(model.x))
    assert_identity("I3", by_target, np.full(classes + 1, penalty))
    assert penalty >= -TOLERANCE


@given(classifiers(), probabilities)
def test_i3_gradient_of_the_penalty_needs_no_label_either(model, p):
    """∇_W (E loss' - loss) = E π' x'ᵀ - π xᵀ with π = softmax(z), by backward through every mask.

    A's gradient is softmax. So the effect of dropout on a softmax layer can be had from images
    nobody has labelled.
    """
    layer, x = model

    def loss(z: Any, label: int) -> Any:
        return F.cross_entropy(z, mg.tensor(label))

    def outer(keep: np.ndarray) -> np.ndarray:
        dropped = F.dropout(x, p, mask=keep)
        return np.outer(layer(dropped).softmax(0).detach().numpy(), dropped.numpy())

    plain = np.outer(layer(x).softmax(0).detach().numpy(), x.numpy())
    expected = expectation(outer, every_mask(p, len(x))) - plain
    for label in range(len(layer.bias)):
        penalty = model.expectation(lambda z, c=label: loss(z, c), p) - loss(layer(x), label)
        assert_identity("I3", mg.grad(penalty, layer.weight)[0], expected)


@given(classifiers(), probabilities)
def test_i3_penalty_is_what_the_geometric_mean_lacks_of_one(model, p):
    """Σ_c G_c = exp(-penalty), where G_c is the geometric mean of I2 before it is normalized.

    log G_c = z_c - E A(z'); summing exp of it over c gives exp(A(z) - E A(z')). The more the
    sub-networks disagree, the more mass is lost, and the higher the price.
    """
    log_mean = model.expectation(lambda z: z.log_softmax(0), p)
    assert_identity("I3", log_mean.logsumexp(0), -model.penalty(p))


def test_i3_past_a_hidden_relu_the_penalty_knows_the_label():
    """E t·z' = t·z is what removed the label. Where E z' - z is (4, 0), label 0 pays 4 less."""

    def penalty(label: int) -> Any:
        def loss(keep: np.ndarray | None) -> Any:
            return F.cross_entropy(past_a_hidden_relu(keep), mg.tensor(label))

        return expectation(loss, every_mask(0.5, 2)) - loss(None)

    assert_identity("I3", penalty(1) - penalty(0), 4.0)
    assert_gap("I3: penalty by label past ReLU", penalty(1), penalty(0), least=4 - TOLERANCE)


# ------------------------------------------------------------------------- I3: its quadratic form


def quadratic(model: Classifier, p: float) -> float:
    """Return ½ (p/q) Σⱼ xⱼ² wⱼᵀ H wⱼ with H = diag(π) - ππᵀ, the Hessian of A at z."""
    W, x = model.layer.weight.detach().numpy(), model.x.numpy()
    pi = model.layer(model.x).softmax(0).detach().numpy()
    variances = pi @ (W - pi @ W) ** 2  # wⱼᵀHwⱼ is the variance of w_cⱼ where c has probability π_c
    return 0.5 * p / (1 - p) * float(x**2 @ variances)


def fixed(scale: float) -> Classifier:
    """Return three classes on four inputs, with all weights multiplied by ``scale``."""
    rng = np.random.default_rng(0)
    layer = linear(scale * rng.normal(size=(3, 4)), rng.normal(size=3))
    return Classifier(layer, mg.from_numpy(rng.normal(size=4)))


@given(classifiers(), probabilities)
def test_i3_quadratic_form_is_off_by_at_most_the_cubed_spread_of_the_logits_noise(model, p):
    """|penalty - quadratic form| <= E r³/24, r = max_c δ_c - min_c δ_c of the noise δ = z' - z.

    Taylor: A(z + δ) = A(z) + π·δ + ½ δᵀHδ + D/6, where D is the third central moment of δ_c for
    classes drawn with some probabilities. The first-order term has the mean 0, the second the mean
    ½ Σⱼ (p/q) xⱼ² wⱼᵀHwⱼ, the form of Wager, Wang & Liang (2013). And |D| <= r · Var <= r · r²/4.
    """
    z = model.layer(model.x)

    def cubed_spread(noisy: Any) -> Any:
        delta = (noisy - z).detach().numpy()
        return np.ptp(delta) ** 3

    bound = model.expectation(cubed_spread, p) / 24
    error = abs(model.penalty(p).item() - quadratic(model, p))
    assert error <= bound * (1 + TOLERANCE) + TOLERANCE


@pytest.mark.parametrize(("p", "rate"), [(0.2, 1), (0.5, 2), (0.8, 1)])
def test_i3_quadratic_form_becomes_exact_as_the_weights_shrink(p, rate):
    """penalty / quadratic form = 1 + O(c) for weights cW, and 1 + O(c²) if p = 1/2.

    The form is O(c²); the next term is E D/6, with E (m/q - 1)³ = q (p/q)³ - p = p (p - q)/q² for
    each unit: O(c³), and 0 for p = 1/2, where dropout's noise is symmetric.
    """

    def error(scale: float) -> float:
        return fixed(scale).penalty(p).item() / quadratic(fixed(scale), p) - 1

    assert abs(order(error, 2**-6) - rate) < 0.05
    assert abs(error(2**-10)) < 1e-3


@pytest.mark.parametrize(
    ("model", "limit"),
    [(classifier([[4.0], [0.0]], [1.0]), 4.2678), (fixed(4.0), 2.9383)],
    ids=["one input", "four inputs"],
)
def test_i3_quadratic_form_does_not_become_exact_as_p_goes_to_0(model, limit):
    """penalty / quadratic form -> Σⱼ D(z - xⱼwⱼ, z) / Σⱼ ½ (xⱼwⱼ)ᵀH(xⱼwⱼ) as p -> 0, and not 1.

    Small p is rare noise, not small noise. To first order in p one unit at a time is dropped, while
    all others are scaled by 1/q = 1 + p, so that the penalty is p Σⱼ [A(z - xⱼwⱼ) - A(z) + π·xⱼwⱼ].
    The bracket is D, the Bregman divergence of A; the quadratic form has its second-order term.
    """
    z, A = model.layer(model.x), lambda z: z.logsumexp(0).item()
    pi, terms = z.softmax(0), (model.layer.weight * model.x).T
    divergences = sum(A(z - term) - A(z) + (pi @ term).item() for term in terms)
    at_0 = divergences / quadratic(model, 0.5)  # where p/q = 1

    def ratio(p: float) -> float:
        return model.penalty(p).item() / quadratic(model, p)

    assert abs(at_0 - limit) < 1e-4
    assert abs(order(lambda p: ratio(p) - at_0, 1e-3) - 1) < 0.05
    assert abs(ratio(1e-6) - at_0) < 1e-4
    assert_gap("I3: penalty / quadratic form as p -> 0", ratio(1e-6), 1.0, least=1.9)
