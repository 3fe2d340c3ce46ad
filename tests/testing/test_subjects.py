"""A dropout is stated by what it is: how it is called, its noise, its units, its domain."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.nn.functional import dropout as functional
from minigrad.testing import laws, statistics
from minigrad.testing.calls import Keys
from minigrad.testing.frameworks import MINIGRAD, NUMPY
from minigrad.testing.laws import LAWS, BrokenLaw
from minigrad.testing.noise import ALPHA, CLASSIC, GAUSSIAN, INVERTED, Noise
from minigrad.testing.subjects import Domain, Injected, Subject, UsageError
from minigrad.testing.units import Units
from minigrad.testing.verdicts import BROKEN, EXEMPT, HOLDS, check_usage, judge, judge_all
from models import dropout_layer


@pytest.fixture(autouse=True)
def apart() -> Iterator[None]:
    with statistics.Budget(apart=True):
        yield


def broken(subject: Subject, seed: int = 0) -> list[str]:
    check_usage(subject)
    return [str(v) for v in judge_all(subject, seed) if v.outcome == BROKEN]


# ------------------------------------------------------------------------- forms of the call


def plain(x: Any, p: float, training: bool) -> Any:
    return functional(x, p, training)


@pytest.mark.parametrize(
    "call",
    [
        plain,
        lambda x, p, t: plain(x, p, t),
        lambda x, p, mode: plain(x, p, mode),
        lambda *args: plain(*args),
        lambda x, rate, deterministic=False: plain(x, rate, not deterministic),
        lambda x, *, drop_prob, is_training=True: plain(x, drop_prob, is_training),
        lambda p, training, x: plain(x, p, training),
        lambda x, keep_prob, train: plain(x, 1 - keep_prob, train),
        lambda x, p, *, inference=False, scaled=True: plain(x, p, not inference),
        nn.Dropout(0.5),
        nn.Dropout,
    ],
)
def test_x_p_and_the_mode_are_passed_under_any_name(call: Any) -> None:
    subject = Subject("f", call, MINIGRAD)
    x = mg.ones(1000)
    assert subject.modes
    assert subject.dropout(x, 0.9, False) is x
    assert 800 < int((subject.dropout(x, 0.9, True) == 0).sum()) < 990
    assert not subject.dropout(x, 1.0, True).any()


def test_an_object_that_is_called_as_a_function_is_one() -> None:
    class Callable:
        def __call__(self, x: Any, p: float, training: bool) -> Any:
            return plain(x, p, training)

    assert broken(Subject("callable", Callable(), MINIGRAD)) == []


def test_a_boolean_that_no_name_tells_is_no_mode() -> None:
    seen = []

    def scaled(x: Any, p: float, scaled: bool = True) -> Any:
        seen.append(scaled)
        return plain(x, p, True)

    subject = Subject("f", scaled, MINIGRAD)
    assert not subject.modes
    x = mg.ones(3)
    assert subject.dropout(x, 0.5, False) is x
    subject.dropout(x, 0.5, True)
    assert seen == [True]
    assert not Subject("f", dropout_layer, MINIGRAD).modes


def test_a_class_of_modules_is_one_layer_for_each_p() -> None:
    made = []

    class Layer(nn.Dropout):
        def __init__(self, p: float) -> None:
            super().__init__(p)
            made.append(p)

    subject = Subject("Layer", Layer, MINIGRAD)
    made.clear()
    for p in 0.5, 0.5, 0.2, 0.5:
        subject.dropout(mg.ones(3), p, True)
    assert made == [0.5, 0.2]
    assert subject.module


def keyed(x: np.ndarray, p: float, training: bool, seed: int, g: np.ndarray) -> Any:
    """Return (y, dx): arrays in, arrays out, and the randomness of a call in a number."""
    if not 0 <= p <= 1:
        raise ValueError(p)
    if not training or p == 0:
        return x, g
    keep = np.random.default_rng(seed).random(x.shape) >= p
    scale = x.dtype.type(1 / (1 - float(p)) if p < 1 else 0)
    return x * keep * scale, g * keep * scale


def test_arrays_with_a_seed_and_a_gradient_obey_every_law() -> None:
    subject = Subject("keyed", keyed)
    assert subject.framework is NUMPY
    assert subject.gradients
    assert broken(subject) == []
    missing = {law.name for law in LAWS.values() if law.missing(subject)}
    assert missing == {
        *("blocks", "containers", "no_grad", "streams", "ranks", "rows"),
        *("inplace", "boundary", "quiet"),
    }


def test_a_wrong_gradient_beside_a_seed_is_caught() -> None:
    def unscaled(x: Any, p: float, training: bool, seed: int, g: Any) -> Any:
        y, dx = keyed(x, p, training, seed, g)
        return y, dx * (1 - p)

    with pytest.raises(BrokenLaw, match="of the incoming gradient"):
        laws.backward_scale(Subject("unscaled", unscaled))


class Layer:
    """A learner's: it keeps its mask for the backward."""

    def __init__(self, p: float) -> None:
        if not 0 <= p <= 1:
            raise ValueError(p)
        self.p, self.training = p, True

    def forward(self, x: np.ndarray) -> np.ndarray:
        if not self.training or self.p == 0:
            self.mask = np.ones_like(x)
        else:
            keep = np.random.rand(*x.shape) >= self.p  # noqa: NPY002
            self.mask = np.asarray(keep / (1 - self.p) if self.p < 1 else keep * 0.0, x.dtype)
        return x * self.mask

    def backward(self, dy: np.ndarray) -> np.ndarray:
        return dy * self.mask


def test_a_class_with_a_backward_of_its_own_obeys_and_its_gradient_is_tried() -> None:
    subject = Subject("Layer", Layer)
    assert subject.gradients
    assert broken(subject) == []
    assert not LAWS["backward_mask"].missing(subject)


def test_a_wrong_backward_of_a_class_is_caught() -> None:
    class Wrong(Layer):
        def backward(self, dy: np.ndarray) -> np.ndarray:
            return dy * (self.mask != 0)

    with pytest.raises(BrokenLaw, match="it was not rescaled"):
        laws.backward_scale(Subject("Wrong", Wrong))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: x, r"f should take \(x, p, training\), but takes \(x\): there is no p"),
        (lambda x, p, training, temperature: x, "needs 'temperature' beside x, p and the mode"),
        (3, "f is int, which cannot be called"),
        (type("Plain", (), {}), "is a class, but not one of layers"),
    ],
    ids=["a function of x alone", "one more argument", "a number", "another class"],
)
def test_what_cannot_be_a_dropout_is_refused_with_the_way_out(call: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Subject("f", call, MINIGRAD)


# ------------------------------------------------------------------------- the framework


def by_numpy(x: Any, p: float, training: bool) -> Any:
    return x * (np.random.rand(*x.shape) >= p) / (1 - p)  # noqa: NPY002


def test_the_framework_is_found_by_what_the_code_speaks_of_and_a_first_try() -> None:
    torch = pytest.importorskip("torch")
    found = {
        "minigrad": [
            functional,
            nn.Dropout,
            nn.Dropout(0.5),
            lambda x, p: x * (mg.rand(x.shape) >= p),
        ],
        "torch": [torch.nn.functional.dropout, torch.nn.Dropout, torch.dropout],
        "numpy": [by_numpy, keyed, Layer],
    }
    for name, dropouts in found.items():
        for dropout in dropouts:
            assert Subject("f", dropout).framework.name == name


def test_the_first_try_leaves_the_randomness_where_it_was() -> None:
    before = mg.random.get_rng_state()
    check_usage(Subject("f", functional))
    assert mg.random.get_rng_state() == before


def test_the_wrong_framework_is_one_error_that_names_the_right_one() -> None:
    torch = pytest.importorskip("torch")
    subject = Subject("f", torch.nn.functional.dropout, "minigrad")
    with pytest.raises(UsageError, match=r"cannot be judged with minigrad's .* --framework torch"):
        check_usage(subject)
    pair = Subject("f", lambda x, p, training: torch.native_dropout(x, p, training), "torch")
    with pytest.raises(UsageError, match="it returned tuple, and no tensor of torch's"):
        check_usage(pair)
    with pytest.raises(UsageError, match="there is no framework 'caffe'; there are minigrad,"):
        Subject("f", functional, "caffe")


def test_what_raises_whatever_is_given_cannot_be_judged_and_what_takes_one_shape_can() -> None:
    def raising(x: Any, p: float, training: bool) -> Any:
        raise KeyError("state")

    with pytest.raises(UsageError, match="it raised KeyError: 'state'"):
        check_usage(Subject("raising", raising, MINIGRAD))

    def flat(x: Any, p: float, training: bool) -> Any:
        assert x.ndim == 1
        return functional(x, p, training)

    check_usage(Subject("flat", flat, MINIGRAD))


# ------------------------------------------------------------------------- the noise


def noisy(make: Callable[[np.ndarray, np.ndarray, float], Any], off: Any = None) -> Any:
    """Return a dropout of arrays that makes something of x, a mask of what is kept, and p."""

    def dropout(x: np.ndarray, p: float, training: bool) -> Any:
        if not 0 <= p <= 1:
            raise ValueError(p)
        p = float(p)
        if not training:
            return x if off is None else off(x, p)
        if p == 0:
            return x
        keep = np.random.rand(*x.shape) >= p  # noqa: NPY002
        return np.asarray(make(x, np.asarray(keep), p), x.dtype) if p < 1 else x * x.dtype.type(0)

    return dropout


def alpha(x: np.ndarray, keep: np.ndarray, p: float) -> np.ndarray:
    return np.where(keep, ALPHA.kept(x, p), ALPHA.dropped(p))


def test_noise_is_judged_as_it_is_declared() -> None:
    classic = noisy(lambda x, keep, p: x * keep, lambda x, p: x * x.dtype.type(1 - p))
    assert broken(Subject("classic", classic, NUMPY, noise=CLASSIC)) == []
    assert broken(Subject("alpha", noisy(alpha), NUMPY, noise=ALPHA)) == []
    assert broken(Subject("inverted", noisy(lambda x, k, p: x * k / (1 - p)), NUMPY)) == []


def test_noise_of_another_kind_than_declared_is_caught() -> None:
    for make, noise in (alpha, INVERTED), (alpha, CLASSIC), (lambda x, keep, p: x * keep, ALPHA):
        with pytest.raises(BrokenLaw, match=r"p = 0\.1: element"):
            laws.support(Subject("other", noisy(make), NUMPY, noise=noise))


def gaussian(spread: Callable[[float], float], mean: float = 1.0) -> Any:
    def dropout(x: np.ndarray, p: float, training: bool) -> Any:
        if not training or p == 0:
            return x
        factor = mean + spread(p) * np.random.randn(*x.shape)  # noqa: NPY002
        return np.asarray(x * factor, x.dtype)

    return dropout


def test_normal_noise_is_held_by_its_mean_and_its_variance() -> None:
    right = Subject("gauss", gaussian(lambda p: (p / (1 - p)) ** 0.5), NUMPY, noise=GAUSSIAN)
    assert [line for line in broken(right) if "bad_p" not in line] == []
    for wrong, law, message in (
        (gaussian(lambda p: p / (1 - p)), laws.variance, "a mean square of"),
        (gaussian(lambda p: (p / (1 - p)) ** 0.5, 1.01), laws.unbiased, r"a mean of 1\.0"),
    ):
        with pytest.raises(BrokenLaw, match=message):
            law(Subject("wrong", wrong, NUMPY, noise=GAUSSIAN))


def test_dropped_is_told_from_kept_where_dropped_is_not_0() -> None:
    x, keep = np.linspace(-2, 2, 9), np.arange(9) % 2 == 0
    for noise in ALPHA, Noise(shift=lambda p: 1.0, dropped=lambda p: -3.0), INVERTED:
        y = np.where(keep, noise.kept(x, 0.3), noise.dropped(0.3))
        expected = ~keep
        if noise is INVERTED:
            expected = expected | (x == 0)  # 0 is 0, kept or dropped
        assert (noise.is_dropped(y, x, 0.3) == expected).all()
        assert noise.allows(y, x, 0.3).all()
        assert not noise.allows(y * 1.01 + 0.01, x, 0.3).any()


# ------------------------------------------------------------------------- units


@pytest.mark.parametrize(
    ("pattern", "shape", "places", "block"),
    [
        (("N", "C", 1, 1), (5, 6), (5, 6, 1, 1), (1, 1, 2, 3)),
        (("N", "C", 1, 1), (5, 2, 3), (5, 6, 1, 1), (1, 1, 2, 3)),
        (("N", "C", 1, 1), (7,), (7, 1, 1, 1), (1, 1, 2, 3)),
        (("N", "C", 1, 1), (), (1, 1, 1, 1), (1, 1, 2, 3)),
        (("N", 1, ...), (4, 5), (20, 1, 1), (1, 2, 3)),
        (("N", 1, "C"), (4, 5), (4, 1, 5), (1, 2, 1)),
        (("N", 1), (0,), (0, 1), (1, 2)),
        (("rows", "columns"), (4, 5), (4, 5), (1, 1)),
    ],
    ids=[
        *("N C 1 1 in (5, 6)", "N C 1 1 in (5, 2, 3)", "N C 1 1 in (7,)", "N C 1 1 in ()"),
        *("N 1 and more in (4, 5)", "N 1 C in (4, 5)", "N 1 in (0,)", "rows columns in (4, 5)"),
    ],
)
def test_units_lie_as_their_pattern_says(pattern: Any, shape: Any, places: Any, block: Any) -> None:
    units = Units(pattern)
    assert units.places(shape) == places
    assert units.block() == block
    array = np.arange(np.prod(shape, dtype=int)).reshape(shape)
    assert units.spread(array).shape == tuple(a * b for a, b in zip(places, block, strict=True))
    np.testing.assert_array_equal(units.first(units.spread(array)).reshape(shape), array)


@pytest.mark.parametrize("pattern", [(), (1, 1), ("N", 2), (..., "N"), ("N", None)])
def test_what_is_no_pattern_is_refused(pattern: Any) -> None:
    with pytest.raises(ValueError, match="expected an axis"):
        Units(pattern)


def channels(x: Any, p: float, training: bool) -> Any:
    if not training or not 0 < p < 1:
        return functional(x, p, training)
    places = (*x.shape[:2], *[1] * (x.ndim - 2))
    return functional(x, p, mask=mg.random.default_generator.keep_mask(places, p))


def test_a_dropout_of_channels_obeys_in_its_units_and_in_no_other() -> None:
    assert broken(Subject("channels", channels, MINIGRAD, units=("N", "C", 1, 1))) == []
    torn = Subject("torn", channels, MINIGRAD, units=("N", 1, 1, 1))
    with pytest.raises(BrokenLaw, match=r"of a unit \('N', 1, 1, 1\) to be dropped together"):
        laws.blocks(torn)
    with pytest.raises(BrokenLaw, match="agreement of the masks"):
        laws.units(Subject("of elements?", channels, MINIGRAD))


def test_an_element_that_takes_its_neighbours_value_is_caught_within_a_block() -> None:
    def first(x: Any, p: float, training: bool) -> Any:
        return channels(x[:, :, :1] + x * 0, p, training)

    with pytest.raises(BrokenLaw, match="expected 0 or"):
        laws.blocks(Subject("first", first, MINIGRAD, units=("N", "C", 1, 1)))


# ------------------------------------------------------------------------- domain and exemptions


def test_a_p_outside_the_domain_is_expected_to_be_refused() -> None:
    def half_open(x: Any, p: float, training: bool) -> Any:
        if not 0 <= p < 1:
            raise ValueError(p)
        return functional(x, p, training)

    assert broken(Subject("half open", half_open, MINIGRAD, domain=Domain(one=False))) == []
    with pytest.raises(BrokenLaw, match=r"p = 1\.0: expected a ValueError"):
        laws.p_one(Subject("closed", functional, MINIGRAD, domain=Domain(one=False)))


def test_only_dtypes_and_seeds_of_the_domain_are_tried() -> None:
    seeds = []

    def single(x: Any, p: float, training: bool) -> Any:
        assert x.dtype == np.float32
        return functional(x, p, training)

    def seed(number: int) -> None:
        assert 0 <= number < 2**31
        seeds.append(number)
        mg.manual_seed(number)

    domain = Domain(dtypes=("float32",), seeds=2**31)
    subject = Subject(
        "single", single, MINIGRAD, domain=domain, seed=seed, state=mg.random.get_rng_state,
        set_state=mg.random.set_rng_state,
    )  # fmt: skip
    assert broken(subject) == []
    assert len(set(seeds)) > 20


def test_a_dropout_of_halves_alone_is_judged_in_halves() -> None:
    def half(x: Any, p: float, training: bool) -> Any:
        assert x.dtype == np.float16
        return functional(x, p, training)

    assert broken(Subject("half", half, MINIGRAD, domain=Domain(dtypes=("float16",)))) == []


def test_an_exempt_law_is_no_bug_and_one_that_holds_is_reported() -> None:
    subject = Subject(
        "lenient", lambda x, p, t: plain(x, min(max(p, 0.0), 1.0), t), MINIGRAD,
        exempt={"bad_p": "p is clipped, as documented", "rate": "for no reason"},
    )  # fmt: skip
    clipped, rate = judge(subject, LAWS["bad_p"]), judge(subject, LAWS["rate"])
    assert clipped.outcome == EXEMPT
    assert clipped.reason.startswith("p is clipped, as documented\np = -0.1: expected")
    assert (rate.outcome, rate.reason) == (HOLDS, "though it is exempt: for no reason")
    with pytest.raises(UsageError, match="exempt from 'gravity', which is no law"):
        check_usage(Subject("f", functional, exempt={"gravity": ""}))


# ------------------------------------------------------------------------- what else there is


def test_keys_begin_with_the_seed_and_replay() -> None:
    keys = Keys(1000)
    keys.seed(7)
    first = [keys.next() for _ in range(3)]
    assert first[0] == 7
    assert all(0 <= key < 1000 for key in first)
    keys.seed(7)
    assert [keys.next() for _ in range(3)] == first
    state = keys.state()
    following = keys.next()
    keys.set_state(state)
    assert keys.next() == following


def test_injected_numbers_come_back_from_a_generator_in_order() -> None:
    u = np.array([0.0, 0.25, 0.5, 1 - 2.0**-24])
    np.testing.assert_array_equal(mg.rand(4, generator=Injected(u)).numpy(), np.float32(u))
    generator = Injected(u)
    assert (generator.lanes(1)[0], generator.lanes(2)[0]) == (0, 2**30)
