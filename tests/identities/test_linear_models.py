"""What dropout does to linear models, where its whole effect is a penalty that can be written down.

Throughout, p is the probability to drop, q = 1 - p, and m a mask of independent units, each 1 with
probability q. Dropout makes h' = m h / q of h. Since m² = m, all that is needed is

    E h' = h,    Var h' = E m h²/q² - h² = (p/q) h²,    Cov(h'ᵢ, h'ⱼ) = 0 for i ≠ j.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad import nn, ops
from minigrad.nn import functional as F
from tests.identities.enumeration import (
    assert_gap,
    assert_identity,
    every_gaussian,
    every_mask,
    expectation,
    linear,
    order,
    probabilities,
    shapes,
    squared_error,
    tensors,
)


class Regression(NamedTuple):
    """Rows X with targets y, to be predicted as X w."""

    X: Any
    y: Any
    w: Any


@st.composite
def regressions(draw: st.DrawFn, units: int = 6) -> Regression:
    """Draw a regression with so many inputs at most, all rows together."""
    rows, features = draw(shapes(2, units))
    return Regression(*(draw(tensors(*s)) for s in [(rows, features), (rows,), (features,)]))


# ------------------------------------------------------------------------- I11: mean and variance


@given(shapes(1), probabilities, st.data())
def test_i11_dropout_keeps_the_mean_and_adds_uncorrelated_variance(shape, p, data):
    """E h' = h and Cov h' = (p/q) diag(h²)  (Srivastava et al., 2014).

    E m = q, so E mᵢhᵢ/q = hᵢ. For i ≠ j, E mᵢmⱼ = q² makes E h'ᵢh'ⱼ = hᵢhⱼ: no covariance. For
    i = j, E mᵢ² = E mᵢ = q makes E h'ᵢ² = hᵢ²/q, and 1/q - 1 = p/q.
    """
    h, masks = data.draw(tensors(*shape)), every_mask(p, *shape)

    def deviations(keep: np.ndarray) -> Any:
        deviation = F.dropout(h, p, mask=keep) - h
        return deviation.unsqueeze(1) * deviation

    assert_identity("I11", expectation(lambda keep: F.dropout(h, p, mask=keep), masks), h)
    assert_identity("I11", expectation(deviations, masks), p / (1 - p) * np.diag(h.numpy() ** 2))


@given(shapes(1), probabilities, st.data())
def test_i11_gradient_is_masked_and_scaled_as_the_output_was(shape, p, data):
    """∂L/∂x = (m/q) g, with the forward's own m, whatever g comes back; so E ∂L/∂x = g.

    mx/q is linear in x, with the matrix diag(m/q), and a diagonal matrix is its own transpose.
    """
    x, g = data.draw(tensors(*shape)).requires_grad_(), data.draw(tensors(*shape))

    def gradient(keep: np.ndarray) -> Any:
        (dx,) = mg.grad(F.dropout(x, p, mask=keep), x, g)
        assert_identity("I11", dx, keep / (1 - p) * g.numpy())
        return dx

    assert_identity("I11", expectation(gradient, every_mask(p, *shape)), g)


@given(shapes(2, 64), probabilities, st.integers(0, 2**64 - 1), st.data())
def test_i11_fed_its_own_input_backward_returns_the_output_exactly(shape, p, seed, data):
    """∂L/∂x = (m/q) g is mx/q for g = x: dropout's backward is dropout, with the mask drawn before.

    No expectation is needed, and so no mask to be injected: a backward that draws another mask, or
    forgets the scale, differs at once.
    """
    x = data.draw(tensors(*shape)).requires_grad_()
    y = nn.Dropout(p, generator=mg.Generator(seed))(x)
    y.backward(x.detach())
    assert_identity("I11", x.grad, y, tolerance=0)


# ------------------------------------------------------------------------- I1: linear regression


def ridge(X: Any, w: Any) -> Any:
    """Return wᵀ diag(XᵀX) w; of a matrix, the sum over its rows w."""
    return ((X * X) @ (w * w).T).sum()


@given(regressions(), probabilities)
def test_i1_expected_loss_of_linear_regression_is_that_of_ridge(problem, p):
    """E ‖y - X'w‖² = ‖y - Xw‖² + (p/q) wᵀ diag(XᵀX) w  (Srivastava et al., 2014, section 9.1).

    For row i the prediction is a random number with mean xᵢ·w, and E (y - Z)² = (y - E Z)² + Var Z.
    Its terms xᵢⱼwⱼmᵢⱼ/q are independent, so their variances add: Σⱼ (p/q) xᵢⱼ² wⱼ². Summed over the
    rows, xᵢⱼ² is the j-th diagonal element of XᵀX: ridge, in which a feature pays by its size.
    """
    X, y, w = problem
    loss = expectation(
        lambda keep: squared_error(F.dropout(X, p, mask=keep) @ w, y), every_mask(p, *X.shape)
    )
    assert_identity("I1", loss, squared_error(X @ w, y) + p / (1 - p) * ridge(X, w))


@given(regressions(), st.floats(0, 1))
def test_i1_without_rescaling_the_weights_shrink_and_the_penalty_is_pq(problem, p):
    """E ‖y - (m X) w‖² = ‖y - qXw‖² + pq wᵀ diag(XᵀX) w  (Srivastava et al., 2014, section 9.1).

    As before, with E m = q and Var m = pq. It is the other formula at qw: (p/q) q² = pq. Here p may
    be 1.
    """
    X, y, w = problem
    q = 1 - p
    loss = expectation(
        lambda keep: squared_error(ops.masked_scale(X, keep, 1.0) @ w, y), every_mask(p, *X.shape)
    )
    assert_identity("I1", loss, squared_error(X @ (q * w), y) + p * q * ridge(X, w))


@given(regressions(), probabilities)
def test_i1_gradient_of_the_expected_loss_is_that_of_ridge(problem, p):
    """∇ E ‖y - X'w‖² = 2 (XᵀX + (p/q) diag(XᵀX)) w - 2 Xᵀy, by backward through every mask."""
    X, y, w = problem
    w.requires_grad_()
    loss = expectation(
        lambda keep: squared_error(F.dropout(X, p, mask=keep) @ w, y), every_mask(p, *X.shape)
    )
    (gradient,) = mg.grad(loss, w)
    X, y, w = X.numpy(), y.numpy(), w.detach().numpy()
    normal = X.T @ X + p / (1 - p) * np.diag((X * X).sum(0))
    assert_identity("I1", gradient, 2 * (normal @ w - X.T @ y))


def test_i1_ridge_solution_is_where_the_expected_gradient_vanishes():
    """E ∇ ‖y - X'w‖² = 0 at w = (XᵀX + (p/q) diag(XᵀX))⁻¹ Xᵀy  (Srivastava et al., 2014).

    With twelve units all 4,096 gradients cancel, though their mean size is 3.9: a single step from
    the ridge solution leads away from it.
    """
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(4, 3)), rng.normal(size=4)
    normal = X.T @ X + 0.3 / 0.7 * np.diag((X * X).sum(0))
    w = mg.from_numpy(np.linalg.solve(normal, X.T @ y)).requires_grad_()

    def gradient(keep: np.ndarray) -> np.ndarray:
        dropped = F.dropout(mg.from_numpy(X), 0.3, mask=keep)
        (dw,) = mg.grad(squared_error(dropped @ w, mg.from_numpy(y)), w)
        return dw.numpy()

    masks = every_mask(0.3, 4, 3)
    assert_identity("I1", expectation(gradient, masks), np.zeros(3))
    size = expectation(lambda keep: np.linalg.norm(gradient(keep)), masks)
    assert_gap("I1: gradient of one mask at the ridge solution", size, 0.0, least=3.8)


def test_i1_expected_loss_cannot_tell_a_mask_shared_by_all_rows_but_its_variance_can():
    """The rows' losses add up, and E (A + B) = E A + E B whether A and B are independent or equal.

    Two rows x = 1 with w = 1, y = 0, p = 1/2: each loss is 0 or 4. Independent, the sum is 0, 4, 4
    or 8, with variance 8; with one mask for both it is 0 or 8, with variance 16. So no test of an
    expected loss, exact or not, finds the bug of one mask for the whole batch.
    """
    X, y, w = mg.ones(2, 1).double(), mg.zeros(2).double(), mg.ones(1).double()

    def variance(*mask_shape: int) -> float:
        def loss(keep: np.ndarray) -> Any:
            return squared_error(F.dropout(X, 0.5, mask=keep) @ w, y).item()

        masks = every_mask(0.5, *mask_shape)
        mean = expectation(loss, masks)
        assert_identity("I1", mean, 4.0)
        return expectation(lambda keep: (loss(keep) - mean) ** 2, masks)

    assert_identity("I1", variance(2, 1), 8.0)
    assert_gap("I1: variance of the loss, one mask for all rows", variance(1, 1), 8.0, least=8.0)


# ------------------------------------------------------------------------- I4: a hidden layer


@given(shapes(2), st.integers(1, 3), st.integers(1, 3), probabilities, st.data())
def test_i4_penalty_of_a_hidden_layer_couples_what_enters_and_leaves_a_unit(
    shape, inputs, outputs, p, data
):
    """E ‖Y - (X Vᵀ)' Uᵀ‖² = ‖Y - X Vᵀ Uᵀ‖² + (p/q) Σₖ ‖uₖ‖² vₖᵀ XᵀX vₖ  (Mianjy et al., 2018).

    By I1, with the hidden values hᵢₖ = vₖ·xᵢ as the features: output a pays (p/q) Σᵢₖ uₐₖ² hᵢₖ².
    Summed over the outputs, uₐₖ² becomes ‖uₖ‖², the squared norm of column k of U, and summed over
    the rows, hᵢₖ² becomes vₖᵀ XᵀX vₖ. With XᵀX = I each unit pays ‖uₖ‖²‖vₖ‖², a product and not a
    sum: the penalty wants these products small and equal, not the weights.
    """
    rows, hidden = shape
    X, Y = data.draw(tensors(rows, inputs)), data.draw(tensors(rows, outputs))
    first = linear(data.draw(tensors(hidden, inputs)))
    second = linear(data.draw(tensors(outputs, hidden)))
    loss = expectation(
        lambda keep: squared_error(second(F.dropout(first(X), p, mask=keep)), Y),
        every_mask(p, rows, hidden),
    )
    X_, V, U = X.numpy(), first.weight.detach().numpy(), second.weight.detach().numpy()
    penalty = sum(u @ u * (v @ X_.T @ X_ @ v) for u, v in zip(U.T, V, strict=True))
    assert_identity("I4", loss, squared_error(second(first(X)), Y) + p / (1 - p) * float(penalty))


# ------------------------------------------------------------------------- I5: DropConnect


@st.composite
def single_layers(draw: st.DrawFn) -> Regression:
    """Draw a regression with several outputs: ``w`` is a matrix, and y has a column for each."""
    rows, outputs, inputs = draw(shapes(3, 8))
    sizes = [(rows, inputs), (rows, outputs), (outputs, inputs)]
    return Regression(*(draw(tensors(*s)) for s in sizes))


def dropconnect(x: Any, weight: Any, p: float, keep: np.ndarray) -> Any:
    """Return W' x with weights of its own for each row x: keep is (rows, outputs, inputs)."""
    weights = F.dropout(weight.expand(*keep.shape), p, mask=keep)
    return (weights @ x.unsqueeze(2)).squeeze(2)


@given(single_layers(), probabilities)
def test_i5_dropconnect_has_the_expected_loss_of_dropout_on_the_input(problem, p):
    """E ‖Y - X W'ᵀ‖² = E ‖Y - X' Wᵀ‖² for a linear layer  (DropConnect: Wan et al., 2013).

    The output wₐ·x has the terms wₐⱼxⱼ. Dropout multiplies them by mⱼ/q and DropConnect by mₐⱼ/q:
    for one output, the same thing. The squared error is a sum over outputs and rows, so its
    expectation sees each output alone.
    """
    X, Y, W = problem
    of_weights = expectation(
        lambda keep: squared_error(dropconnect(X, W, p, keep), Y),
        every_mask(p, len(X), *W.shape),
    )
    of_inputs = expectation(
        lambda keep: squared_error(F.linear(F.dropout(X, p, mask=keep), W), Y),
        every_mask(p, *X.shape),
    )
    assert_identity("I5", of_weights, of_inputs)
    assert_identity("I5", of_weights, squared_error(F.linear(X, W), Y) + p / (1 - p) * ridge(X, W))


@given(shapes(2), probabilities, st.data())
def test_i5_dropconnect_leaves_outputs_uncorrelated_where_dropout_ties_them(shape, p, data):
    """Cov(oₐ, o_b) = (p/q) Σⱼ wₐⱼ w_bⱼ xⱼ² for dropout, and for DropConnect 0 unless a = b.

    In dropout the outputs share each mⱼ, and Var mⱼ/q = p/q; in DropConnect they share nothing.
    (Both sides are multiplied by q here, which keeps them of size 1 for every p.)
    """
    x, W = data.draw(tensors(1, shape[1])), data.draw(tensors(*shape))
    plain = F.linear(x, W)

    def covariance(output: Any, masks: Any) -> Any:
        def products(keep: np.ndarray) -> Any:
            deviation = (output(keep) - plain) * math.sqrt(1 - p)
            return deviation.T @ deviation

        return expectation(products, masks)

    terms = (W * x).numpy()
    of_inputs = covariance(
        lambda keep: F.linear(F.dropout(x, p, mask=keep), W), every_mask(p, *x.shape)
    )
    assert_identity("I5", of_inputs, p * terms @ terms.T)
    of_weights = covariance(lambda keep: dropconnect(x, W, p, keep), every_mask(p, 1, *shape))
    assert_identity("I5", of_weights, p * np.diag((terms * terms).sum(1)))


# ------------------------------------------------------------------------- I10: Gaussian noise


@given(regressions(units=5), st.floats(0, 10))
def test_i10_gaussian_input_noise_is_tikhonovs_penalty(problem, sigma):
    """E ‖y - (X + ε) w‖² = ‖y - Xw‖² + N σ² ‖w‖² for N rows and ε ~ N(0, σ²)  (Bishop, 1995).

    ε·w has mean 0 and variance σ²‖w‖², in each row. Here all weights pay alike, whatever the size
    of their features.
    """
    X, y, w = problem
    loss = expectation(lambda e: squared_error((X + e) @ w, y), every_gaussian(sigma, *X.shape))
    penalty = len(X) * sigma**2 * (w * w).sum()
    assert_identity("I10", loss, squared_error(X @ w, y) + penalty)


@given(regressions(units=5), probabilities)
def test_i10_gaussian_dropout_of_equal_variance_is_dropout(problem, p):
    """E ‖y - (X ε) w‖² with ε ~ N(1, p/q) is I1's loss  (Srivastava et al., 2014, section 10).

    A squared error of a linear model asks for no more than mean and variance, and ε shares them
    with m/q.
    """
    X, y, w = problem
    gaussian = expectation(
        lambda e: squared_error((X * (1 + e)) @ w, y),
        every_gaussian(math.sqrt(p / (1 - p)), *X.shape),
    )
    bernoulli = expectation(
        lambda keep: squared_error(F.dropout(X, p, mask=keep) @ w, y), every_mask(p, *X.shape)
    )
    assert_identity("I10", gaussian, bernoulli)
    assert_identity("I10", gaussian, squared_error(X @ w, y) + p / (1 - p) * ridge(X, w))


def test_i10_gaussian_dropout_differs_from_dropout_in_the_fourth_moment():
    """E (m/q)⁴ = 1/q³ is 8 for p = 1/2, but E ε⁴ = 1 + 6σ² + 3σ⁴ is 10 for σ² = p/q = 1.

    So the two are one for a linear model with a squared error, and not for networks.
    """
    one = mg.ones(1).double()
    bernoulli = expectation(lambda keep: F.dropout(one, 0.5, mask=keep) ** 4, every_mask(0.5, 1))
    gaussian = expectation(lambda e: (one * (1 + e)) ** 4, every_gaussian(1.0, 1))
    assert_identity("I10", bernoulli, [8.0])
    assert_identity("I10", gaussian, [10.0])
    assert_gap("I10: fourth moment, Gaussian dropout", gaussian, bernoulli, least=2.0)


def test_i10_for_a_network_small_noise_is_a_penalty_on_derivatives_to_fourth_order():
    """E (y - f(x + ε))² = (y - f)² + σ² (‖∇f‖² - (y - f) Δf) + O(σ⁴)  (Bishop, 1995).

    f(x + ε) = f + ∇f·ε + ½ εᵀ∇²f ε + ...; square, and take E εεᵀ = σ²I: the first-order term gives
    ‖∇f‖², the second-order one Δf, the trace of ∇²f, both from the graph here. Odd powers vanish in
    the mean, so halving σ leaves 1/16 of the error; without Δf (the usual Jacobian penalty, right
    where the network fits its targets) only 1/4.
    """
    rng = np.random.default_rng(0)
    net = nn.Sequential(linear(rng.normal(size=(3, 2)), rng.normal(size=3)), nn.Tanh())
    v, y = mg.from_numpy(rng.normal(size=3)), 1.5
    x = mg.from_numpy(rng.normal(size=2)).requires_grad_()

    f = net(x) @ v
    (slope,) = mg.grad(f, x, create_graph=True)
    laplacian = sum(mg.grad(slope[i], x, retain_graph=True)[0][i].item() for i in range(2))
    f, jacobian = f.item(), (slope * slope).sum().item()

    def error(sigma: float, curvature: float) -> float:
        noise = every_gaussian(sigma, 2, nodes=12)
        exact = expectation(lambda e: (y - (net(x.detach() + e) @ v).item()) ** 2, noise)
        return exact - (y - f) ** 2 - sigma**2 * (jacobian - (y - f) * curvature)

    assert abs(order(lambda sigma: error(sigma, laplacian), 0.05) - 4) < 0.05
    assert abs(order(lambda sigma: error(sigma, 0.0), 0.05) - 2) < 0.05
