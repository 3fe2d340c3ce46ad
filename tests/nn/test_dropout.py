"""Dropout: which elements are dropped, what becomes of the others, how the gradient flows back.

Masks are compared bit for bit with what NumPy's own Philox gives, so that next to nothing is left
to statistics: the drop rate and the independence of masks, by exact tests on fixed seeds.
"""

from __future__ import annotations

import copy
import math
import re
import warnings
from typing import Any

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

import minigrad as mg
from minigrad import nn
from minigrad.nn import functional as F
from tests.contract import mask_numbers
from tests.reference import scaled

examples = settings(max_examples=scaled(60))

DTYPES = [np.float16, np.float32, np.float64]
RATES = [0.05, 0.2, 0.5, 0.9]
NO_PROBABILITY = [-1e-9, -1, 1 + 1e-9, 2, math.nan, math.inf, -math.inf, np.float32("nan")]

WORD = 2**64 - 1
states = st.tuples(st.integers(0, WORD), st.integers(0, WORD), st.integers(0, 2**62))
shapes = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=7)
#: from all of (0, 1), and with a threshold next to the first or last of the 2³² numbers
probabilities = st.one_of(
    st.floats(0, 1, exclude_min=True, exclude_max=True),
    st.sampled_from([*RATES, 1e-12, 2**-33, 2**-32, 1 - 2**-32, 1 - 2**-33]),
)
#: how the same elements can lie in memory
layouts = st.sampled_from(
    [
        lambda a: a.copy(order="C"),
        lambda a: a.copy(order="F"),
        lambda a: np.repeat(a[..., None], 2, axis=-1)[..., 0],
        lambda a: a[..., ::-1].copy()[..., ::-1] if a.ndim else a,
    ]
)
mild = st.floats(0, 0.99, exclude_min=True)  # 1/(1-p) is no problem for float16


def contract(state: tuple[int, int, int], shape: tuple[int, ...], p: float) -> np.ndarray:
    """Return the mask that a generator in this state owes."""
    return (mask_numbers(state, math.prod(shape)) >= round(p * 2**32)).reshape(shape)


def generator_at(state: tuple[int, int, int]) -> mg.Generator:
    generator = mg.Generator(0)
    generator.set_state(state)
    return generator


def numbers(shape: tuple[int, ...], seed: int, dtype: Any = np.float32) -> np.ndarray:
    """Return random numbers of both signs, none near 0."""
    rng = np.random.default_rng(seed)
    sign = rng.choice([-1.0, 1.0], size=shape)
    return np.asarray(sign * rng.uniform(0.5, 2.0, size=shape)).astype(dtype)


def bits(array: Any) -> tuple[Any, Any, bytes]:
    """Return what is equal for two arrays only if no bit differs, not even the sign of a 0."""
    array = array.array if isinstance(array, mg.Tensor) else array
    return array.dtype, array.shape, array.tobytes()


class Counting(mg.Generator):
    """A generator that remembers how many masks were drawn from it."""

    draws = 0

    def keep_mask(self, *args: Any, **kwargs: Any) -> Any:
        self.draws += 1
        return super().keep_mask(*args, **kwargs)


# ------------------------------------------------------------------------- where it does nothing


@pytest.mark.parametrize(
    ("p", "training"),
    [(0, True), (0.0, True), (np.float64(0), True), (0.5, False), (1, False), (0, False)],
)
@pytest.mark.parametrize("inplace", [False, True])
def test_without_noise_the_same_tensor_is_returned(p: float, training: bool, inplace: bool) -> None:
    generator, x = mg.Generator(1), mg.tensor([1.0, -2.0], requires_grad=True)
    before = generator.get_state(), mg.random.get_rng_state(), x._version
    assert F.dropout(x, p, training, inplace, generator=generator) is x
    assert F.dropout(x, p, training, inplace) is x
    for layer in nn.Dropout(p, inplace, generator=generator), nn.Dropout(p, inplace):
        assert layer.train(training)(x) is x
    assert (generator.get_state(), mg.random.get_rng_state(), x._version) == before


def test_a_tiny_probability_takes_no_shortcut_and_still_drops_next_to_nothing() -> None:
    x = mg.ones(100_000)
    y = F.dropout(x, 1e-9, generator=mg.Generator(0))
    assert y is not x
    assert int((y == 0).sum()) == 0  # normal noise instead of uniform would have dropped half


# ------------------------------------------------------------------------- p = 1


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("p", [1, 1.0, np.float32(1)])
@pytest.mark.parametrize("inplace", [False, True])
def test_all_dropped_gives_zeros_and_gradients_of_zero(dtype: Any, p: float, inplace: bool) -> None:
    leaf = mg.tensor([1.0, -2.0, 0.0, 3e4], dtype=dtype, requires_grad=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for layer in nn.Dropout(p, inplace), lambda x: F.dropout(x, p, inplace=inplace):
            leaf.grad = None
            y = layer(leaf * 1)
            y.sum().backward()
            assert y.dtype == leaf.grad.dtype == dtype
            assert not y.detach().numpy().any()
            assert not leaf.grad.numpy().any()


@pytest.mark.parametrize("name", [
    "dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_alpha_dropout",
])  # fmt: skip
def test_where_everything_is_dropped_nothing_is_drawn(name: str) -> None:
    generator = mg.Generator(3)
    state = generator.get_state()
    shape = {"dropout1d": (2, 3, 4), "dropout3d": (1, 2, 2, 2, 2)}.get(name, (2, 3, 4, 4))
    y = getattr(F, name)(mg.ones(shape), 1.0, training=True, generator=generator)
    assert not y.numpy().any()
    assert generator.get_state() == state


# ------------------------------------------------------------------------- which p are taken


@pytest.mark.parametrize("p", NO_PROBABILITY)
@pytest.mark.parametrize("training", [True, False])
def test_what_is_no_probability_is_refused_with_its_value(p: float, training: bool) -> None:
    message = f"between 0 and 1, but got {re.escape(str(p))}$"
    with pytest.raises(ValueError, match=message):
        F.dropout(mg.ones(2), p, training)
    with pytest.raises(ValueError, match=message):
        F.dropout(mg.ones(2), p, training, mask=mg.tensor([True, False]))
    with pytest.raises(ValueError, match=message):
        nn.Dropout(p)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "p",
    [
        *(0.2, np.float16(0.2), np.float32(0.2), np.array(0.2), np.float64(0.2)),
        pytest.param(np.array([0.2])[0], id="an element of an array"),
    ],
)
def test_no_type_of_p_promotes_the_result(dtype: Any, p: Any) -> None:
    x = mg.tensor(numbers((5, 3), 0), dtype=dtype, requires_grad=True)
    y = F.dropout(x, p, generator=mg.Generator(3))
    y.sum().backward()
    assert y.dtype == x.grad.dtype == dtype
    assert bits(y) == bits(F.dropout(x, float(p), generator=mg.Generator(3)))
    assert nn.Dropout(p)(x).dtype == dtype
    with mg.no_grad():
        assert F.dropout(x * 1, p, inplace=True).dtype == dtype


@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.uint8, np.bool_])
@pytest.mark.parametrize("mask", [None, mg.tensor([True, False])])
def test_integers_are_refused_by_name_where_noise_is_asked_for(dtype: Any, mask: Any) -> None:
    x = mg.tensor([1, 0], dtype=dtype)
    for p in 0.5, 1:
        with pytest.raises(TypeError, match=rf"floating-point tensor, got {np.dtype(dtype)};"):
            F.dropout(x, p, mask=mask)
    assert nn.Dropout().eval()(x) is x


# ------------------------------------------------------------------------- values


@examples
@given(state=states, p=mild, shape=shapes, dtype=st.sampled_from(DTYPES))
def test_elements_are_dropped_to_zero_or_multiplied_by_the_scale_to_the_bit(
    state: tuple[int, int, int], p: float, shape: tuple[int, ...], dtype: Any
) -> None:
    x = numbers(shape, 0, dtype)
    y = F.dropout(mg.from_numpy(x), p, generator=generator_at(state)).numpy()
    kept = np.asarray(x * dtype(float(1 / (1 - p))))
    expected = np.where(contract(state, shape, p), kept, dtype(0))
    np.testing.assert_array_equal(y, expected, strict=True)


@examples
@given(
    state=states, p=probabilities, shape=shapes, layout=layouts,
    as_layer=st.booleans(),
)  # fmt: skip
def test_the_kept_elements_are_those_of_the_documented_random_function(
    state: tuple[int, int, int], p: float, shape: tuple[int, ...], layout: Any, as_layer: bool
) -> None:
    generator, x = generator_at(state), mg.from_numpy(layout(numbers(shape, 0, float)))
    layer = nn.Dropout(p, generator=generator)
    y = layer(x) if as_layer else F.dropout(x, p, generator=generator)
    np.testing.assert_array_equal(y.numpy() != 0, contract(state, shape, p), strict=True)
    blocks = -(-math.prod(shape) // 32)  # of thirty-two bytes
    assert generator.get_state() == (*state[:2], state[2] + blocks)


@pytest.mark.parametrize("place", [0, 1, 31, 32, 299])
def test_a_number_on_the_threshold_is_kept_and_the_one_below_is_dropped(place: int) -> None:
    state = (8, 0, 1)
    number = int(mask_numbers(state, 300)[place])
    for more, expected in (-1, True), (0, True), (0.49, True), (0.51, False), (1, False):
        p = (number + more) / 2**32  # its threshold is p · 2³², rounded
        y = F.dropout(mg.ones(300, dtype=np.float64), p, generator=generator_at(state))
        assert bool(y[place] != 0) is expected


@pytest.mark.filterwarnings("ignore:invalid value encountered in multiply:RuntimeWarning")
def test_a_dropped_element_is_x_times_zero_as_documented_for_nan_and_infinity() -> None:
    x = mg.tensor([-1.0, 1.0, math.nan, math.inf, -math.inf])
    dropped = F.dropout(x, 0.5, mask=mg.zeros(5, dtype=mg.bool)).numpy()
    np.testing.assert_array_equal(dropped, [-0.0, 0.0, math.nan, math.nan, math.nan])
    assert np.signbit(dropped[:2]).tolist() == [True, False]
    kept = F.dropout(x, 0.5, mask=mg.ones(5, dtype=mg.bool)).numpy()
    np.testing.assert_array_equal(kept, [-2.0, 2.0, math.nan, math.inf, -math.inf])


@pytest.mark.filterwarnings("ignore:invalid value encountered in multiply:RuntimeWarning")
@pytest.mark.parametrize("value", [-1.0, 1.0, math.nan, math.inf, -math.inf])
def test_pytorch_makes_the_same_of_nan_infinity_and_negative_numbers(value: float) -> None:
    torch = pytest.importorskip("torch")
    ours = F.dropout(mg.full(64, value), 0.5, generator=mg.Generator(0)).numpy()
    theirs = torch.nn.functional.dropout(torch.full((64,), value), 0.5).numpy()
    as_text = [{str(v) for v in outcome} for outcome in (ours, theirs)]
    assert as_text[0] == as_text[1]


# ------------------------------------------------------------------------- gradients


@examples
@given(
    state=states, p=mild, shape=shapes, dtype=st.sampled_from(DTYPES),
    layout=layouts, inplace=st.booleans(),
)  # fmt: skip
def test_backward_reuses_the_forwards_mask_and_scale_to_the_bit(
    state: tuple[int, int, int], p: float, shape: tuple[int, ...],
    dtype: Any, layout: Any, inplace: bool,
) -> None:  # fmt: skip
    leaf = mg.from_numpy(layout(numbers(shape, 0, dtype))).requires_grad_()
    generator = generator_at(state)
    y = F.dropout(leaf * 1 if inplace else leaf, p, inplace=inplace, generator=generator)
    after, default = generator.get_state(), mg.random.get_rng_state()
    g = numbers(shape, 1, dtype)
    y.backward(mg.from_numpy(g))
    expected = np.asarray(g * contract(state, shape, p))
    expected = np.asarray(expected * dtype(1 / (1 - p)))
    assert bits(leaf.grad) == bits(expected)
    assert (generator.get_state(), mg.random.get_rng_state()) == (after, default)


@mg.fork_rng()
def test_what_is_drawn_between_forward_and_backward_does_not_change_the_gradient() -> None:
    x = mg.ones(1000, requires_grad=True)
    mg.manual_seed(0)
    y = F.dropout(x, 0.5)
    F.dropout(x, 0.2)
    mg.manual_seed(99)
    y.sum().backward()
    assert bits(x.grad) == bits(y)


def test_a_second_pass_through_a_retained_graph_gives_the_same_gradient() -> None:
    x = mg.ones(100, requires_grad=True)
    y = F.dropout(x, 0.3, generator=mg.Generator(0)).sum()
    first, second = (mg.grad(y, x, retain_graph=True)[0] for _ in range(2))
    assert bits(first) == bits(second)


def test_the_graph_keeps_the_mask_as_booleans_and_the_scale_but_not_the_input() -> None:
    saved = F.dropout(mg.ones(8, requires_grad=True), 0.5).grad_fn.saved
    assert {name: getattr(v, "dtype", v) for name, v in saved.items()} == {
        "keep": np.bool_,
        "scale": 2.0,
    }


@examples
@given(state=states, p=mild, shape=shapes)
def test_the_second_derivative_passes_the_same_mask_twice(
    state: tuple[int, int, int], p: float, shape: tuple[int, ...]
) -> None:
    x = mg.from_numpy(numbers(shape, 0, np.float64)).requires_grad_()
    factor = contract(state, shape, p) / (1 - p)
    y = (F.dropout(x, p, generator=generator_at(state)) ** 3).sum()
    (first,) = mg.grad(y, x, create_graph=True)
    (second,) = mg.grad(first.sum(), x)
    a = x.detach().numpy()
    np.testing.assert_allclose(first.detach().numpy(), 3 * a**2 * factor**3, rtol=1e-12)
    np.testing.assert_allclose(second.numpy(), 6 * a * factor**3, rtol=1e-12)


def test_the_gradient_of_the_gradient_with_respect_to_what_flows_in_is_masked_too() -> None:
    x, v = (mg.from_numpy(numbers((50,), seed)).requires_grad_() for seed in (0, 1))
    y = F.dropout(x, 0.5, generator=mg.Generator(0))
    (dx,) = mg.grad(y, x, v, create_graph=True)
    (dv,) = mg.grad(dx.sum(), v)
    assert bits(dv) == bits(contract((0, 0, 0), (50,), 0.5) * np.float32(2))


# ------------------------------------------------------------------------- mask=

KEEP = [[True, False, True], [False, False, True]]


@pytest.mark.parametrize("make", [mg.tensor, np.array, list], ids=["tensor", "array", "list"])
@pytest.mark.parametrize(("p", "scale"), [(0.0, 1.0), (0.5, 2.0), (0.75, 4.0), (1.0, 0.0)])
def test_a_given_mask_is_used_with_the_scale_of_p(make: Any, p: float, scale: float) -> None:
    x = mg.tensor(numbers((2, 3), 0), requires_grad=True)
    y = F.dropout(x, p, mask=make(KEEP))
    y.sum().backward()
    factor = np.array(KEEP) * np.float32(scale)
    np.testing.assert_array_equal(y.detach().numpy(), x.detach().numpy() * factor, strict=True)
    np.testing.assert_array_equal(x.grad.numpy(), factor, strict=True)


@pytest.mark.parametrize("p", [0, 0.5, 1])
def test_with_a_given_mask_no_generator_advances_and_the_mask_stays_as_it_was(p: float) -> None:
    generator, keep = mg.Generator(0), mg.tensor(KEEP)
    before = generator.get_state(), mg.random.get_rng_state()
    for inplace in False, True:
        F.dropout(mg.ones(2, 3), p, inplace=inplace, mask=keep, generator=generator)
        F.dropout(mg.ones(2, 3), p, inplace=inplace, mask=keep)
    assert (generator.get_state(), mg.random.get_rng_state()) == before
    assert keep.tolist() == KEEP


def test_in_evaluation_a_given_mask_is_ignored() -> None:
    x = mg.ones(2, 3)
    assert F.dropout(x, 0.5, training=False, mask=mg.tensor(KEEP)) is x


@pytest.mark.parametrize("shape", [(4, 1), (1, 3), (3,), (1,), (), (4, 3)])
@pytest.mark.parametrize("inplace", [False, True])
def test_a_mask_broadcasts_and_a_column_drops_whole_rows(shape: Any, inplace: bool) -> None:
    keep = np.random.default_rng(4).random(shape) < 0.5
    x = mg.tensor(numbers((4, 3), 0), requires_grad=True)
    y = F.dropout(x * 1, 0.5, inplace=inplace, mask=keep)
    y.backward(mg.from_numpy(numbers((4, 3), 1)))
    factor = np.broadcast_to(keep, (4, 3)) * np.float32(2)
    np.testing.assert_array_equal(y.detach().numpy(), x.detach().numpy() * factor, strict=True)
    np.testing.assert_array_equal(x.grad.numpy(), numbers((4, 3), 1) * factor, strict=True)
    if shape == (4, 1):
        assert {row.any() == row.all() for row in y.detach().numpy() != 0} == {True}


@pytest.mark.parametrize("shape", [(2,), (4,), (3, 1), (2, 4), (1, 2, 3), (0,)])
def test_a_mask_that_does_not_fit_is_refused_with_both_shapes(shape: tuple[int, ...]) -> None:
    message = rf"mask of shape {re.escape(str(shape))} does not broadcast to \(2, 3\)"
    with pytest.raises(ValueError, match=message):
        F.dropout(mg.ones(2, 3), 0.5, mask=np.ones(shape, np.bool_))


@pytest.mark.parametrize("dtype", [np.float32, np.int64, np.uint8])
def test_a_mask_that_is_not_boolean_is_refused_with_its_dtype(dtype: Any) -> None:
    with pytest.raises(TypeError, match=rf"must be boolean \(True keeps\), got {np.dtype(dtype)}"):
        F.dropout(mg.ones(2), 0.5, mask=mg.ones(2, dtype=dtype))


def test_a_mask_tensor_that_is_changed_before_backward_is_noticed() -> None:
    x, keep = mg.ones(2, requires_grad=True), mg.tensor([True, True])
    y = F.dropout(x, 0.5, mask=keep).sum()
    keep[0] = False
    with pytest.raises(RuntimeError, match=r"keep of MaskedScaleBackward.*after it was saved"):
        y.backward()


# ------------------------------------------------------------------------- where masks come from


@mg.fork_rng()
def test_draws_come_from_the_given_generator_only_or_else_from_the_default_one() -> None:
    generator, x = mg.Generator(5), mg.ones(100)
    default = mg.manual_seed(5)
    given_one = F.dropout(x, 0.5, generator=generator), nn.Dropout(generator=generator)(x)
    assert default.get_state() == (5, 0, 0)
    by_default = F.dropout(x, 0.5), nn.Dropout()(x)
    assert generator.get_state() == default.get_state() != (5, 0, 0)
    assert list(map(bits, given_one)) == list(map(bits, by_default))


@pytest.mark.parametrize("others", [[], [0.5], [0.2, 0.9, 1.0]])
@mg.fork_rng()
def test_the_same_seed_gives_the_same_mask_whatever_was_drawn_before(others: list[float]) -> None:
    x = mg.ones(8, 9)
    mg.manual_seed(11)
    first = F.dropout(x, 0.5)
    for p in others:
        F.dropout(mg.ones(3), p)
    mg.manual_seed(11)
    assert bits(F.dropout(x, 0.5)) == bits(first)


@examples
@given(state=states, p=mild, shape=shapes)
def test_a_restored_state_replays_the_masks_that_followed_it(
    state: tuple[int, int, int], p: float, shape: tuple[int, ...]
) -> None:
    layer, x = nn.Dropout(p, generator=generator_at(state)), mg.from_numpy(numbers(shape, 0))
    layer(x)
    saved = layer.generator.get_state()
    first = [bits(layer(x)) for _ in range(3)]
    elsewhere = nn.Dropout(p, generator=generator_at(saved))
    assert [bits(elsewhere(x)) for _ in range(3)] == first


def agreements_are_as_rare_as_chance(a: np.ndarray, b: np.ndarray, p: float) -> bool:
    """Independent masks agree in Binomial(n, p² + (1-p)²) places; on fixed seeds, no flakiness.

    With n = 20,000 a correlation of 0.05 between two masks would fail at every p used here.
    """
    agree = int((a == b).sum())
    return bool(binomtest(agree, a.size, p * p + (1 - p) ** 2).pvalue > 1e-6)


@pytest.mark.parametrize("p", [0.2, 0.5])
def test_successive_calls_draw_independent_masks(p: float) -> None:
    layer, x = nn.Dropout(p, generator=mg.Generator(0)), mg.ones(100, 200)
    masks = [layer(x).numpy() != 0 for _ in range(3)]
    for i, j in (0, 1), (1, 2), (0, 2):
        assert agreements_are_as_rare_as_chance(masks[i], masks[j], p)


@pytest.mark.parametrize("own", [False, True], ids=["default generator", "spawned generators"])
@mg.fork_rng()
def test_the_layers_of_a_network_draw_independent_masks(own: bool) -> None:
    mg.manual_seed(0)
    sources = mg.Generator(0).spawn(2) if own else [None, None]

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.drop1, self.drop2 = (nn.Dropout(0.5, generator=source) for source in sources)

        def forward(self, x: mg.Tensor) -> tuple[mg.Tensor, mg.Tensor]:
            return self.drop1(x), self.drop2(x)

    a, b = (y.numpy() != 0 for y in Net()(mg.ones(100, 200)))
    assert agreements_are_as_rare_as_chance(a, b, 0.5)


def test_rows_and_columns_of_one_mask_are_independent() -> None:
    mask = F.dropout(mg.ones(200, 200), 0.2, generator=mg.Generator(0)).numpy() != 0
    for m in mask, mask.T:
        assert agreements_are_as_rare_as_chance(m[::2], m[1::2], 0.2)


@pytest.mark.parametrize("p", RATES)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_drop_rate_is_p_by_an_exact_binomial_test(p: float, seed: int) -> None:
    """n = 200,000 and α = 1e-6, on fixed seeds: a rate that is off by 0.006 fails at every p."""
    n = 200_000
    dropped = int((F.dropout(mg.ones(n), p, generator=mg.Generator(seed)) == 0).sum())
    assert binomtest(dropped, n, p).pvalue > 1e-6


# ------------------------------------------------------------------------- in place or not


@examples
@given(p=st.floats(0, 1), shape=shapes, layout=layouts)
def test_the_input_keeps_every_byte_unless_inplace_is_asked_for(
    p: float, shape: tuple[int, ...], layout: Any
) -> None:
    array = layout(numbers(shape, 0, np.float64))
    x, before = mg.from_numpy(array).requires_grad_(), array.copy()
    y = F.dropout(x, p)
    y.sum().backward()
    if y is not x:
        assert not np.shares_memory(y.array, array)
        assert not np.shares_memory(x.grad.array, y.array)
    assert bits(array) == bits(before)
    assert x._version == 0


@pytest.mark.parametrize("shape", [(), (7,), (3, 4), (0, 2)])
@pytest.mark.parametrize("p", [0.3, 1.0])
def test_inplace_writes_the_same_values_into_the_same_memory_as_a_new_version(
    shape: tuple[int, ...], p: float
) -> None:
    x = mg.from_numpy(numbers(shape, 0))
    expected = bits(F.dropout(x, p, generator=mg.Generator(2)))
    data, version = x.array, x._version
    assert F.dropout(x, p, inplace=True, generator=mg.Generator(2)) is x
    assert x.array is data
    assert bits(data) == expected
    assert x._version == version + 1


@pytest.mark.parametrize("inplace", [False, True])
def test_inplace_has_the_gradient_of_the_other_form(inplace: bool) -> None:
    x = mg.tensor([[1.0, -2.0, 3.0]], requires_grad=True)
    layer = nn.Linear(3, 4)
    with mg.no_grad():
        layer.weight.copy_(mg.arange(12).reshape(4, 3))
    h = F.dropout(layer(x), 0.5, inplace=inplace, mask=[True, False, True, True])
    (h * h).sum().backward()
    with mg.no_grad():
        dh = 8 * layer(x).numpy() * [1, 0, 1, 1]  # of (2 m z)², at m = 0 or 1
    np.testing.assert_allclose(x.grad.numpy(), dh @ layer.weight.detach().numpy(), rtol=1e-6)


def test_inplace_on_a_leaf_is_refused_and_leaves_it_as_it_was() -> None:
    x = mg.ones(4, requires_grad=True)
    with pytest.raises(RuntimeError, match="a leaf Variable that requires grad is being used"):
        F.dropout(x, 0.5, inplace=True)
    assert x.tolist() == [1, 1, 1, 1]
    assert x._version == 0
    with mg.no_grad():
        assert nn.Dropout(0.5, inplace=True)(x) is x


def test_inplace_over_what_a_derivative_needs_raises_in_backward_instead_of_a_wrong_gradient() -> (
    None
):
    x = mg.ones(4, requires_grad=True)
    y = nn.Dropout(0.5, inplace=True)(x.exp())
    with pytest.raises(RuntimeError, match=r"modified by an inplace.* y of ExpBackward"):
        y.sum().backward()


# ------------------------------------------------------------------------- the module


def test_the_module_has_pytorchs_defaults_and_repr() -> None:
    layer = nn.Dropout()
    assert (layer.p, layer.inplace, layer.generator, layer.training) == (0.5, False, None, True)
    assert repr(layer) == "Dropout(p=0.5, inplace=False)"
    assert repr(nn.Dropout(0.2, inplace=True)) == "Dropout(p=0.2, inplace=True)"
    torch = pytest.importorskip("torch")
    for args in (), (0.2,), (0.25, True):
        assert repr(nn.Dropout(*args)) == repr(torch.nn.Dropout(*args))


def test_the_module_has_nothing_to_learn_or_to_save() -> None:
    layer = nn.Dropout(generator=mg.Generator(0))
    assert list(layer.parameters()) == []
    assert layer.state_dict() == {}


def test_train_and_eval_reach_dropout_at_any_depth() -> None:
    class Deep(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Sequential(nn.Identity(), nn.Sequential(nn.Dropout(0.5)))
            self.rest = nn.ModuleList([nn.Dropout(0.2), nn.ModuleList([nn.Dropout(0.9)])])

        def forward(self, x: mg.Tensor) -> mg.Tensor:
            return self.rest[1][0](self.rest[0](self.first(x)))

    net, x = Deep(), mg.ones(10_000)
    layers = [module for module in net.modules() if isinstance(module, nn.Dropout)]
    assert len(layers) == 3
    for mode in False, True, False:
        net.train(mode)
        assert {layer.training for layer in layers} == {mode}
        state = mg.random.get_rng_state()
        assert (net(x) is x) == (not mode)
        assert (mg.random.get_rng_state() == state) == (not mode)
        for layer in layers:
            assert (layer(x) is x) == (not mode)


def test_the_module_draws_one_mask_for_each_call_in_training_and_none_for_backward() -> None:
    layer = nn.Dropout(0.5, generator=Counting(0))
    x = mg.ones(3, requires_grad=True)
    for calls in 1, 2, 3:
        layer(x).sum().backward()
        assert layer.generator.draws == calls


def test_a_deep_copy_has_a_generator_of_its_own_in_the_same_state() -> None:
    layer, x = nn.Dropout(0.5, generator=mg.Generator(3)), mg.ones(50)
    layer(x)
    twin = copy.deepcopy(layer)
    expected = bits(layer(x))
    assert bits(twin(x)) == expected
