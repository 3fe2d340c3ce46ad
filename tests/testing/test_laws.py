"""The laws of dropout: correct dropouts obey, and what the zoo does not hold is caught as well."""

from __future__ import annotations

import itertools
import math
import re
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.nn.functional import dropout as functional
from minigrad.testing import laws, statistics
from minigrad.testing.frameworks import MINIGRAD, NUMPY
from minigrad.testing.laws import LAWS, BrokenLaw, Law, frequencies, independence
from minigrad.testing.laws.checks import is_kept, kept_values
from minigrad.testing.subjects import Subject
from minigrad.testing.verdicts import BROKEN, judge, judge_all
from models import dropout_layer

Mask = Callable[[Any, tuple[int, ...], float], np.ndarray]


@pytest.fixture
def apart() -> Iterator[None]:
    """Charge nothing to the run: what is tried here is meant to fail, or cannot."""
    with statistics.Budget(apart=True):
        yield


def with_mask(draw: Mask, scale: Callable[[np.ndarray, float], float] | None = None) -> Subject:
    """Return a dropout of NumPy arrays, right but for the mask, True where an element is kept.

    Args:
        draw: (rng, shape, p) -> mask.
        scale: (mask, p) -> the factor of what is kept; by default 1/(1 - p).
    """
    rng = np.random.default_rng()
    states: dict[str, Any] = {}

    def reseed(seed: int) -> None:
        rng.bit_generator.state = np.random.PCG64(seed).state
        states.clear()

    def dropout(x: np.ndarray, p: float, training: bool) -> np.ndarray:
        if not 0 <= p <= 1:
            raise ValueError(f"p = {p}")
        p = float(p)
        if not training or p == 0:
            return x
        if p == 1:
            return np.zeros_like(x)
        keep = np.asarray(draw(rng, x.shape, p)).reshape(x.shape)
        return x * keep * (scale(keep, p) if scale else 1 / (1 - p))

    return Subject(
        "by NumPy", dropout, NUMPY, seed=reseed, state=lambda: str(rng.bit_generator.state),
        set_state=lambda text: setattr(rng.bit_generator, "state", eval(text)),
    )  # fmt: skip


def uniform(rng: Any, shape: tuple[int, ...], p: float) -> np.ndarray:
    return rng.random(shape) >= p


right = with_mask(uniform)
statistical = [law for law in LAWS.values() if law.alpha]


# ------------------------------------------------------------------------- correct ones


def test_a_correct_dropout_of_numpy_arrays_obeys_every_law_that_applies() -> None:
    assert [str(v) for v in judge_all(right) if v.outcome == BROKEN] == []


def test_drawing_in_another_way_breaks_no_law() -> None:
    """The laws ask for a distribution, not for `u >= p`."""

    def by_binomial(rng: Any, shape: tuple[int, ...], p: float) -> np.ndarray:
        return rng.binomial(1, 1 - p, shape) == 1

    def by_count_and_places(rng: Any, shape: tuple[int, ...], p: float) -> np.ndarray:
        n = math.prod(shape)
        keep = np.ones(n, bool)
        keep[rng.permutation(n)[: rng.binomial(n, p)]] = False
        return keep

    for draw in by_binomial, by_count_and_places:
        assert [str(v) for v in judge_all(with_mask(draw)) if v.outcome == BROKEN] == []


@pytest.mark.parametrize(
    ("subject", "missing"),
    [
        (Subject("F.dropout", functional, MINIGRAD), {"containers", "blocks"}),
        (Subject("nn.Dropout", nn.Dropout, MINIGRAD), {"blocks"}),
        (
            Subject("dropout_layer", dropout_layer, MINIGRAD),
            {"blocks", "containers", "evaluation", "inplace"},
        ),
        (
            right,
            {"blocks", "containers", "inplace", "boundary", "streams", "ranks", "rows"}
            | {"backward_mask", "backward_scale", "backward_again", "no_grad"},
        ),
    ],
    ids=lambda s: getattr(s, "name", ""),
)
def test_a_law_is_left_out_only_where_there_is_nothing_to_try(
    subject: Subject, missing: set[str]
) -> None:
    assert {law.name for law in LAWS.values() if law.missing(subject)} == missing


@pytest.mark.parametrize("law", statistical, ids=lambda law: law.name)
def test_false_alarms_are_as_rare_as_a_law_says(
    law: Law, apart: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a large alpha, its tests fail no more often than that.

    Here 12 runs are to fail with a probability of up to 2 % each: that more than 8 of them do has a
    probability below 3e-13. (It has been tried with thousands of runs, too.)
    """
    subject = Subject("F.dropout", functional, MINIGRAD) if law.name == "streams" else right
    for module in frequencies, independence:
        for name in list(vars(module)):
            if name.endswith("_ALPHA"):
                monkeypatch.setattr(module, name, getattr(module, name) * 2e7)
    monkeypatch.setattr(laws.law, "Budget", lambda limit, apart: statistics.Budget(1.0, apart))
    runs = [judge(subject, law, seed).outcome for seed in range(12)]
    assert runs.count(BROKEN) <= 8


# ------------------------------------------------------------------------- biased rates

AT = sorted({**frequencies.CALLS, **frequencies.COARSE})


@pytest.mark.parametrize("p", list(frequencies.CALLS))
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("of", ["dropped", "kept"])
def test_a_rate_wrong_by_2_percent_of_itself_is_caught_at_each_p(
    p: float, sign: int, of: str, apart: None
) -> None:
    wrong = p * (1 + 0.02 * sign) if of == "dropped" else 1 - (1 - p) * (1 + 0.02 * sign)
    biased = with_mask(lambda rng, shape, q: rng.random(shape) >= (wrong if q == p else q))
    with pytest.raises(BrokenLaw, match=f"dropped at p = {p:g}"):
        laws.rate(biased)


@pytest.mark.parametrize(
    "rounded",
    [
        lambda p: round(p * 256) / 256,
        lambda p: math.floor(p * 256) / 256,
        lambda p: math.ceil(p * 256) / 256,
        lambda p: round(p * 255) / 255,
        lambda p: min(max(round(p * 128), 0), 127) / 128,
        pytest.param(
            lambda p: math.ldexp(round(math.frexp(p)[0] * 256) / 256, math.frexp(p)[1]),
            id="bfloat16",
        ),
    ],
)
def test_a_p_rounded_to_8_bits_is_caught(rounded: Callable[[float], float], apart: None) -> None:
    with pytest.raises(BrokenLaw, match="elements dropped at p = 0"):
        laws.rate(with_mask(lambda rng, shape, p: rng.random(shape) >= rounded(p)))


def test_uniform_numbers_of_float16_for_float16_are_caught(apart: None) -> None:
    def draw(rng: Any, shape: tuple[int, ...], p: float) -> np.ndarray:
        return np.floor(rng.random(shape) * 2048) / 2048 >= p

    def dropout(x: np.ndarray, p: float, training: bool) -> np.ndarray:
        return (coarse if x.dtype == np.float16 else right).dropout(x, p, training)

    coarse = with_mask(draw)
    with pytest.raises(BrokenLaw, match=r"float16 elements dropped at p = 0\.000244141"):
        laws.rate(Subject("coarse in half precision", dropout, NUMPY, seed=coarse.seed))


def test_a_p_that_never_falls_below_a_floor_is_caught(apart: None) -> None:
    floor = with_mask(lambda rng, shape, p: rng.random(shape) >= max(p, 0.005))
    with pytest.raises(BrokenLaw, match="dropped at p = 1e-09"):
        laws.rate(floor)


def test_what_the_laws_say_they_detect_is_what_was_asked_for() -> None:
    for p, n in frequencies.CALLS.items():
        below, above = statistics.binomial_detects(n * frequencies.SIZE, p, frequencies.RATE_ALPHA)
        assert max(below, above) <= 0.02 * min(p, 1 - p)
    for p, n in frequencies.COARSE.items():
        below, above = statistics.binomial_detects(n * frequencies.SIZE, p, frequencies.RATE_ALPHA)
        assert max(below, above) <= 0.5 / 256  # as far as rounding to 8 bits moves it
    never, always = statistics.binomial_detects(frequencies.REPEATS, 0.5, frequencies.PLACE_ALPHA)
    assert max(never, always) < 0.5


# ------------------------------------------------------------------------- counts


def exact_share(rng: Any, shape: tuple[int, ...], p: float, rounding: Any = round) -> np.ndarray:
    n = math.prod(shape)
    keep = np.ones(n, bool)
    keep[rng.permutation(n)[: rounding(n * p)]] = False
    return keep


def random_rounding(rng: Any) -> Any:
    return lambda number: math.floor(number + rng.random())


def exact_share_of_rows(rng: Any, shape: tuple[int, ...], p: float) -> np.ndarray:
    *lead, n = shape or (1,)
    order = rng.random((*lead, n)).argsort(-1)
    return order >= math.floor(n * p + rng.random())


def spared(rng: Any, shape: tuple[int, ...], p: float) -> np.ndarray:
    keep = np.asarray(uniform(rng, shape, p)).ravel()
    if keep.size > 1 and not keep.any():
        keep[rng.integers(keep.size)] = True
    return keep


@pytest.mark.parametrize(
    "draw",
    [
        exact_share,
        lambda rng, shape, p: exact_share(rng, shape, p, random_rounding(rng)),
        exact_share_of_rows,
        lambda rng, shape, p: exact_share_of_rows(rng, shape[::-1], p).T,
        spared,
    ],
    ids=["of a tensor", "rounded at random", "of each row", "of each column", "one is spared"],
)
def test_an_exact_share_instead_of_independent_draws_is_caught(draw: Mask, apart: None) -> None:
    with pytest.raises(BrokenLaw):
        laws.counts(with_mask(draw))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("tensor", "elements dropped in each of 256 calls of 1000"),
        ("row", "elements dropped in each row of 256 x 512"),
        ("column", "elements dropped in each column of 256 x 512"),
    ],
)
def test_an_exact_share_of_what_is_long_alone_is_caught(
    name: str, message: str, apart: None
) -> None:
    def draw(rng: Any, shape: tuple[int, ...], p: float) -> np.ndarray:
        if name == "tensor" and math.prod(shape) == 1000:
            return exact_share(rng, shape, p)
        if name == "row" and shape[-1:] == (512,):
            return exact_share_of_rows(rng, shape, p)
        if name == "column" and shape[:1] == (256,):
            return exact_share_of_rows(rng, shape[::-1], p).T
        return uniform(rng, shape, p)

    with pytest.raises(BrokenLaw, match=message):
        laws.counts(with_mask(draw))


# ------------------------------------------------------------------------- dependence


def pairs(equal: bool) -> Mask:
    """Return masks in which the elements 2i and 2i + 1 are alike, or opposite."""

    def draw(rng: Any, shape: tuple[int, ...], p: float) -> np.ndarray:
        n = math.prod(shape)
        u = rng.random((n + 1) // 2)
        return np.stack([u, u if equal else 1 - u], -1).ravel()[:n] >= p

    return draw


def along(axis: int, equal: bool = True) -> Mask:
    """Return masks whose second half along an axis is as the first, or its opposite."""

    def draw(rng: Any, shape: tuple[int, ...], p: float) -> np.ndarray:
        if len(shape) <= axis:
            return uniform(rng, shape, p)
        u, n = rng.random(shape), shape[axis] // 2
        first = np.take(u, range(n), axis)
        index = [slice(None)] * len(shape)
        index[axis] = slice(n, 2 * n)
        u[tuple(index)] = first if equal else 1 - first
        return u >= p

    return draw


def shared(axis: int) -> Mask:
    """Return masks that are one mask along an axis."""

    def draw(rng: Any, shape: tuple[int, ...], p: float) -> np.ndarray:
        if len(shape) <= axis:
            return uniform(rng, shape, p)
        one = [1 if i == axis else n for i, n in enumerate(shape)]
        return np.broadcast_to(rng.random(one) >= p, shape)

    return draw


@pytest.mark.parametrize("equal", [True, False])
def test_neighbours_alike_or_opposite_are_caught(equal: bool, apart: None) -> None:
    with pytest.raises(BrokenLaw, match="1 places apart"):
        laws.units(with_mask(pairs(equal)))


@pytest.mark.parametrize("axis", [0, 1, 2, 3])
@pytest.mark.parametrize("equal", [True, False])
def test_halves_of_an_axis_alike_or_opposite_are_caught(
    axis: int, equal: bool, apart: None
) -> None:
    with pytest.raises(BrokenLaw):
        laws.units(with_mask(along(axis, equal)))


@pytest.mark.parametrize(
    ("axis", "name"), [(0, "batch"), (1, "channel"), (2, "row"), (3, "column")]
)
def test_one_mask_along_an_axis_is_caught_and_the_axis_named(
    axis: int, name: str, apart: None
) -> None:
    with pytest.raises(BrokenLaw, match=rf"neighbours along the axis {name}\b"):
        laws.units(with_mask(shared(axis)))


def test_dependence_that_shows_at_other_p_than_a_half_is_caught(apart: None) -> None:
    def draw(rng: Any, shape: tuple[int, ...], p: float) -> np.ndarray:
        return (uniform if p == 0.5 else pairs(True))(rng, shape, p)

    with pytest.raises(BrokenLaw, match=r"p = 0\.2: even and odd places along the axis column"):
        laws.units(with_mask(draw))


def repeating(use: Callable[[np.ndarray], np.ndarray]) -> Subject:
    """Return a dropout that draws in every other call, and makes the next draw of that one."""
    last: dict[tuple[int, ...], tuple[int, np.ndarray]] = {}

    def draw(rng: Any, shape: tuple[int, ...], p: float) -> np.ndarray:
        count, u = last.get(shape, (0, np.empty(0)))
        u = use(u) if count % 2 else rng.random(shape)
        last[shape] = count + 1, u
        return u >= p

    return with_mask(draw)


@pytest.mark.parametrize(
    "use",
    [
        lambda u: u,
        lambda u: 1 - u,
        lambda u: np.roll(u, 1),
        lambda u: np.roll(u, -5, axis=0),
    ],
    ids=["equal", "opposite", "shifted", "shifted by rows"],
)
def test_calls_alike_or_opposite_or_shifted_are_caught(use: Any, apart: None) -> None:
    with pytest.raises(BrokenLaw):
        laws.calls(repeating(use))


def test_calls_that_are_tied_at_other_p_than_a_half_are_caught(apart: None) -> None:
    tied, rng = repeating(lambda u: u).dropout, np.random.default_rng(0)

    def dropout(x: np.ndarray, p: float, training: bool) -> np.ndarray:
        return x * (rng.random(x.shape) >= p) if p == 0.5 else tied(x, p, training)

    with pytest.raises(BrokenLaw, match=r"p = 0\.2: each call and the next"):
        laws.calls(Subject("tied", dropout, NUMPY))


def test_two_calls_alike_among_many_are_caught_and_named(apart: None) -> None:
    def draw(rng: Any, shape: tuple[int, ...], p: float) -> np.ndarray:
        if shape == independence.MASK and next(calls) in (16, 76):
            return np.random.default_rng(7).random(shape) >= p
        return uniform(rng, shape, p)

    calls = itertools.count()
    with pytest.raises(BrokenLaw, match="call 17 and call 77"):
        laws.calls(with_mask(draw))


@pytest.mark.parametrize(
    ("source", "layer", "steps", "message"),
    [
        (0, 1, 1, r"layer 1 \(p = 0\.5\) and layer 2 \(p = 0\.2\)"),
        (1, 0, 1, r"layer 2 \(p = 0\.2\) and layer 1 \(p = 0\.5\) in the next step"),
        (1, 1, 2, r"layer 2 \(p = 0\.2\) in a step and in the next"),
        (0, 2, 1, r"layer 1 \(p = 0\.5\) in step \d+ and layer 3 \(p = 0\.5\) in step \d+"),
    ],
)
def test_layers_that_take_over_the_draws_of_another_are_caught(
    source: int, layer: int, steps: int, message: str, apart: None
) -> None:
    """In every step, or in every other one, the layer takes what the source drew last."""
    calls, last = itertools.count(), [np.empty(0)] * 3

    def draw(rng: Any, shape: tuple[int, ...], p: float) -> np.ndarray:
        step, now = divmod(next(calls), 3)
        takes_over = now == layer and last[source].size and step % steps == steps - 1
        last[now] = last[source] if takes_over else rng.random(shape)
        return last[now] >= p

    with pytest.raises(BrokenLaw, match=message):
        laws.layers(with_mask(draw))


@pytest.mark.parametrize(
    ("both", "message"), [(False, "each stream and the next"), (True, "the first 8 streams")]
)
def test_streams_tied_at_other_p_than_a_half_are_caught(
    both: bool, message: str, apart: None
) -> None:
    """Those that are spawned together, or those of one time and of the next."""
    states = itertools.cycle([(1, i, 0) for i in range(8 if both else 1)])

    def spawn(n: int) -> list[Any]:
        tied, free = [mg.Generator() for _ in range(n)], mg.random.default_generator.spawn(n)
        for generator in tied:
            generator.set_state(next(states))
        return [
            lambda x, p, t, i=i: functional(x, p, generator=(free if p == 0.5 else tied)[i])
            for i in range(n)
        ]

    with pytest.raises(BrokenLaw, match=message):
        laws.streams(Subject("tied", functional, spawn=spawn))


def seeded(start: Callable[[int], tuple[int, int]]) -> Subject:
    """Return a dropout that begins at the (stream, place) which a function of the seed says."""
    rng = np.random.default_rng()

    def reseed(seed: int) -> None:
        stream, place = start(seed)
        rng.bit_generator.state = np.random.PCG64(stream).advance(place).state

    def dropout(x: np.ndarray, p: float, training: bool) -> np.ndarray:
        return x * (rng.random(x.shape) >= p)

    return Subject("seeded", dropout, NUMPY, seed=reseed)


SEEN = int(re.sub(r".* up to ([\d,]+) .*", r"\1", LAWS["seeds"].detects() or "").replace(",", ""))


@pytest.mark.parametrize("shift", [1, 4, 1000, independence.SEED_N, SEEN])
@pytest.mark.parametrize("sign", [1, -1], ids=["later", "earlier"])
def test_neighbouring_seeds_with_shifted_masks_are_caught(
    shift: int, sign: int, apart: None
) -> None:
    with pytest.raises(BrokenLaw, match=r"of seed \d|places apart, counted on through 2 calls"):
        laws.seeds(seeded(lambda seed: (0, sign * shift * seed)))


@pytest.mark.parametrize("like", [6, 7, 12])
@pytest.mark.parametrize("calls", [0, 1])
def test_two_seeds_alike_or_a_call_apart_among_many_are_caught_and_named(
    like: int, calls: int, apart: None
) -> None:
    """The fifth takes over the stream of another."""
    counter = itertools.count()

    def start(seed: int) -> tuple[int, int]:
        i = next(counter)
        return (like, calls * independence.SEED_N) if i == 5 else (i, 0)

    with pytest.raises(BrokenLaw, match=r"call [12] of seed \d+ and call [12] of seed"):
        laws.seeds(seeded(start))


def test_neighbouring_seeds_with_streams_of_their_own_are_right() -> None:
    laws.seeds(seeded(lambda seed: (seed, 0)))


def test_a_mask_that_looks_at_its_input_is_caught(apart: None) -> None:
    rng = np.random.default_rng(0)

    def signed(x: np.ndarray, p: float, training: bool) -> np.ndarray:
        return x * (rng.random(x.shape) >= p + 0.04 * np.sign(x)) / (1 - p)

    with pytest.raises(BrokenLaw, match="x positive"):
        laws.blind(Subject("by sign", signed, NUMPY, seed=lambda seed: None))


# ------------------------------------------------------------------------- places


@pytest.mark.parametrize(
    "place", [0, -1, 1, -2, 1000, "middle", "row", "column"], ids=lambda place: f"place {place}"
)
@pytest.mark.parametrize("kept", [True, False])
def test_one_element_never_or_always_dropped_is_caught(place: Any, kept: bool, apart: None) -> None:
    def draw(rng: Any, shape: tuple[int, ...], p: float) -> np.ndarray:
        keep = np.array(uniform(rng, shape, p))
        if place in ("row", "column"):
            if keep.ndim > 1:
                keep[(..., -1) if place == "column" else -1] = kept
            return keep
        index = keep.size // 2 if place == "middle" else place
        if -keep.size <= index < keep.size:
            keep.flat[index] = kept
        return keep

    with pytest.raises(BrokenLaw, match="dropped at p"):
        laws.positions(with_mask(draw))


def test_a_rate_that_varies_from_place_to_place_is_caught(apart: None) -> None:
    def draw(rng: Any, shape: tuple[int, ...], p: float) -> np.ndarray:
        u = rng.random(shape)
        return u >= p + (np.linspace(-0.1, 0.1, shape[-1]) if shape and 0.1 < p < 0.9 else 0)

    with pytest.raises(BrokenLaw, match=r"column \d+ of|the first of"):
        laws.positions(with_mask(draw))


# ------------------------------------------------------------------------- values


def test_rescaling_by_the_realised_rate_is_caught(apart: None) -> None:
    subject = with_mask(uniform, scale=lambda keep, p: keep.size / max(1, keep.sum()))
    with pytest.raises(BrokenLaw, match="expected 0 or"):
        laws.support(subject)


@pytest.mark.parametrize(
    ("factor", "hint"),
    [
        (lambda p: 1.0, "not rescaled"),
        (lambda p: 1 / p, "scaled by 1/p"),
        (lambda p: 1 - p, "scaled by 1 - p"),
        (lambda p: (1 - p) ** -2, "scaled twice"),
    ],
)
def test_a_wrong_scale_is_recognised(factor: Any, hint: str, apart: None) -> None:
    with pytest.raises(BrokenLaw, match=re.escape(hint)):
        laws.support(with_mask(uniform, scale=lambda keep, p: factor(p)))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("p", [0.1, 0.3, 0.5, 0.9])
def test_both_documented_forms_are_right_and_a_bit_more_or_less_is_wrong(
    dtype: Any, p: float
) -> None:
    x = np.random.default_rng(0).uniform(0.5, 2, 5000).astype(dtype)
    for y in x * dtype(1 / (1 - p)), x / dtype(1 - p):
        assert is_kept(y, x, p).all()
    allowed = np.array(kept_values(x, p))
    for limit, ends in (np.inf, allowed.max(0)), (0, allowed.min(0)):
        wrong = np.nextafter(ends, dtype(limit))
        assert not is_kept(wrong, x, p).any()
    ulps = (allowed.max(0) - allowed.min(0)) / np.spacing(allowed.min(0))
    rounded = 1 - float(np.float32(p)) if dtype != np.float64 else 1 - p  # p in float32
    away = abs(rounded / (1 - p) - 1) / np.finfo(dtype).eps
    assert ulps.max() <= (0 if p == 0.5 else 3 + 2 * away)


@pytest.mark.parametrize("bad", [-0.1, 1 + 1e-9, 2, math.nan, math.inf, "0.5", None])
def test_each_p_that_is_no_probability_must_be_refused(bad: Any, apart: None) -> None:
    def lenient(x: np.ndarray, p: Any, training: bool) -> np.ndarray:
        if p is bad or p == bad or (bad != bad and p != p):
            return x
        return right.dropout(x, p, training)

    with pytest.raises(BrokenLaw, match=r"expected a ValueError, but got a result"):
        laws.bad_p(Subject("lenient", lenient, NUMPY))


@pytest.mark.parametrize("error", [ValueError, RuntimeError, AssertionError])
def test_p_may_be_refused_as_pytorch_or_the_chapter_does(error: type[Exception]) -> None:
    def refusing(x: np.ndarray, p: Any, training: bool) -> np.ndarray:
        if not (isinstance(p, int | float) and 0 <= p <= 1):
            raise error(f"p = {p}")
        return right.dropout(x, p, training)

    laws.bad_p(Subject("refusing", refusing, NUMPY))


def test_to_stumble_over_p_is_not_to_refuse_it(apart: None) -> None:
    def stumbling(x: np.ndarray, p: float, training: bool) -> np.ndarray:
        return x * [][int(p)]

    with pytest.raises(
        BrokenLaw, match=r"it raised IndexError: .* \(line \d+ of .*test_laws\.py\)"
    ):
        laws.bad_p(Subject("stumbling", stumbling, NUMPY))


@pytest.mark.parametrize(
    ("u", "comparison", "message"),
    [
        ("u > p", lambda u, p: u > p, " = p: expected the element to be kept"),
        ("u - ε", lambda u, p: u - 2.0**-24 >= p, " = p: expected the element to be kept"),
        ("u + ε", lambda u, p: u + 2.0**-24 >= p, "expected the element to be dropped"),
    ],
    ids=["u > p", "u a step low", "u a step high"],
)
def test_a_boundary_off_by_one_step_is_caught(
    u: str, comparison: Any, message: str, apart: None
) -> None:
    def injected(x: Any, p: float, u: np.ndarray) -> Any:
        if p in (0, 1):
            return functional(x, p)
        return functional(x, p, mask=comparison(u, p))

    with pytest.raises(BrokenLaw, match=re.escape(message)):
        laws.boundary(Subject(u, functional, from_uniforms=injected))


@pytest.mark.parametrize(
    ("kept", "word"), [(True, "kept"), (False, "dropped")], ids=["kept", "dropped"]
)
def test_a_number_without_dimensions_that_has_no_chance_is_caught(
    kept: bool, word: str, apart: None
) -> None:
    def draw(rng: Any, shape: tuple[int, ...], p: float) -> np.ndarray:
        return np.asarray(uniform(rng, shape, p) if shape else kept)

    with pytest.raises(BrokenLaw, match=f"of 64 numbers without dimensions, .* all {word}"):
        laws.shape(with_mask(draw))


# ------------------------------------------------------------------------- memory


def test_a_result_in_the_memory_of_x_is_caught(apart: None) -> None:
    def overwriting(x: np.ndarray, p: float, training: bool) -> np.ndarray:
        x[...] = right.dropout(x, p, training)
        return x

    with pytest.raises(BrokenLaw, match="the result shares memory with x"):
        laws.aliasing(Subject("overwriting", overwriting, NUMPY))


def test_a_result_that_a_later_call_overwrites_is_caught(apart: None) -> None:
    buffer = np.empty((31, 33), np.float32)

    def reusing(x: np.ndarray, p: float, training: bool) -> np.ndarray:
        buffer[...] = right.dropout(x, p, training)
        return buffer

    with pytest.raises(BrokenLaw, match=r"a result after another call: .* elements differ"):
        laws.aliasing(Subject("reusing", reusing, NUMPY))


def test_a_gradient_that_reads_the_result_is_caught(apart: None) -> None:
    @mg.differentiable(x=lambda g, y, scale: g * (y != 0) * scale)
    def masked(x: Any, keep: Any, scale: float) -> Any:
        return x * keep * scale

    def reading(x: Any, p: float, training: bool) -> Any:
        return masked(x, mg.rand(x.shape) >= p, 1 / (1 - p))

    with pytest.raises(BrokenLaw, match="the gradient, after the result was written over"):
        laws.aliasing(Subject("reading", reading))


def test_an_inplace_form_that_makes_a_copy_is_caught(apart: None) -> None:
    def copying(x: Any, p: float, training: bool) -> Any:
        return functional(x, p, training, inplace=True) * 1

    with pytest.raises(BrokenLaw, match="expected the result in x's memory, got another array"):
        laws.inplace(Subject("copying", functional, inplace=copying))


# ------------------------------------------------------------------------- replay


@pytest.mark.parametrize("used", [lambda seed: 0, lambda seed: seed >> 1, lambda seed: seed & 255])
def test_another_seed_that_gives_the_same_masks_is_caught(used: Any, apart: None) -> None:
    def reseed(seed: int) -> None:
        mg.manual_seed(used(seed))

    with pytest.raises(
        BrokenLaw, match=r"seeds \d+ and \d+ should give other masks, but are alike"
    ):
        laws.seed(Subject("few seeds", functional, seed=reseed))


def test_a_draw_in_evaluation_is_seen_by_the_masks_that_follow_where_no_state_is_given(
    apart: None,
) -> None:
    def drawing(x: Any, p: float, training: bool) -> Any:
        y = functional(x, p)
        return y if training else x

    with pytest.raises(BrokenLaw, match="the next mask is not the one that would have come"):
        laws.quiet(Subject("drawing", drawing, seed=mg.manual_seed))


def stateful(dropout: Any) -> Subject:
    """Return a subject whose state is minigrad's, and how often it was called."""
    calls = [0]

    def counting(x: Any, p: float, training: bool) -> Any:
        calls[0] += 1
        return dropout(x, p, training)

    return Subject(
        "counting", counting, seed=mg.manual_seed,
        state=lambda: (mg.random.get_rng_state(), calls[0]),
        set_state=lambda state: mg.random.set_rng_state(state[0]),
    )  # fmt: skip


def test_a_state_that_moves_in_evaluation_is_seen_where_the_masks_stay(apart: None) -> None:
    with pytest.raises(BrokenLaw, match="expected the stream of random numbers not to move"):
        laws.quiet(stateful(functional))


def test_a_state_that_is_not_all_restored_is_caught(apart: None) -> None:
    with pytest.raises(BrokenLaw, match="same calls from the same state should end in the same"):
        laws.state(stateful(functional))


def test_a_state_that_never_moves_is_caught(apart: None) -> None:
    def always(x: Any, p: float, training: bool) -> Any:
        return functional(x, p, training, generator=mg.Generator(1))

    with pytest.raises(BrokenLaw, match="expected the stream of random numbers to have moved"):
        laws.state(Subject("always", always))


# ------------------------------------------------------------------------- gradients


def test_backward_after_another_forward_is_tried(apart: None) -> None:
    """A layer that keeps the mask of its last call, as layers with a hand-written backward do."""
    last: list[np.ndarray] = []

    @mg.differentiable(x=lambda g: g * last[-1])
    def multiply(x: Any, scaled: Any) -> Any:
        return x * scaled

    def forgetful(x: Any, p: float, training: bool) -> Any:
        last.append(np.float32(mg.rand(x.shape).numpy() >= p) / np.float32(1 - p))
        return multiply(x, last[-1])

    with pytest.raises(BrokenLaw, match="backward of call 1 of 2"):
        laws.backward_mask(Subject("forgetful", forgetful))


def test_a_gradient_that_is_missing_is_no_gradient_of_zeros(apart: None) -> None:
    def cut_off(x: Any, p: float, training: bool) -> Any:
        return mg.zeros(x.shape, dtype=x.dtype) if p == 1 else functional(x, p, training)

    with pytest.raises(BrokenLaw, match="got none: y is cut off from it"):
        laws.p_one(Subject("cut off", cut_off))


def test_a_gradient_by_division_is_caught_where_x_is_0(apart: None) -> None:
    @mg.differentiable(x=lambda g, x, y: g * y / x)
    def masked(x: Any, keep: Any, scale: float) -> Any:
        return x * keep * scale

    def dividing(x: Any, p: float, training: bool) -> Any:
        return masked(x, mg.rand(x.shape) >= p, 1 / (1 - p))

    with pytest.raises(BrokenLaw, match=r"of the incoming gradient is .* got nan"):
        laws.backward_scale(Subject("dividing", dividing))


def under_no_grad(wrong: Callable[[Any, float], Any]) -> Subject:
    """Return minigrad's dropout, but for training where nothing is recorded."""

    def dropout(x: Any, p: float, training: bool) -> Any:
        off = training and not mg.is_grad_enabled()
        return wrong(x, p) if off else functional(x, p, training)

    return Subject("under no_grad", dropout)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda x, p: x * 1, "expected noise, but nothing was dropped: does it take"),
        (lambda x, p: x * (mg.rand(x.shape) >= p), r"it was not rescaled\?"),
        (lambda x, p: functional(x, p, generator=mg.Generator(0)), "the same seed should give the"),
    ],
    ids=["off", "not rescaled", "another mask"],
)
def test_what_is_different_under_no_grad_is_caught(wrong: Any, message: str, apart: None) -> None:
    with pytest.raises(BrokenLaw, match=message):
        laws.no_grad(under_no_grad(wrong))


def test_masks_that_no_seed_replays_are_no_fault_of_no_grad(apart: None) -> None:
    own = mg.Generator(0)
    laws.no_grad(Subject("own", lambda x, p, t: functional(x, p, t, generator=own)))


# ------------------------------------------------------------------------- the laws themselves


def test_the_laws_stand_in_the_page_that_lists_them() -> None:
    listed = re.findall("``(\\w+)``", laws.__doc__ or "")
    assert listed == list(LAWS)


def test_all_laws_together_raise_a_false_alarm_with_a_probability_of_13e_9() -> None:
    assert math.fsum(law.alpha for law in LAWS.values()) == pytest.approx(1.3e-8, rel=1e-9)
    with statistics.Budget(apart=True) as budget:
        judge_all(right)
    applied = [law for law in LAWS.values() if not law.missing(right)]
    assert budget.total == pytest.approx(math.fsum(law.alpha for law in applied))


def test_every_statistical_law_says_what_it_detects() -> None:
    for law in LAWS.values():
        assert bool(law.alpha) == bool(law.detects)
        if law.detects:
            assert re.search(r"\d", law.detects())
            assert "inf" not in law.detects()


def test_a_law_leaves_the_randomness_of_the_framework_where_it_was(apart: None) -> None:
    for subject in (
        Subject("F.dropout", functional, MINIGRAD),
        Subject("np", lambda x, p, t: x * (np.random.rand(*x.shape) >= p), NUMPY),  # noqa: NPY002
    ):
        before = subject.framework.state()
        judge_all(subject)
        assert subject.framework.state() == before


def test_the_same_seed_gives_the_same_trial_and_another_seed_another(apart: None) -> None:
    broken = Subject("normal", lambda x, p: x * (mg.randn(x.shape) > p) / (1 - p), MINIGRAD)
    first, again, other = (judge(broken, laws.rate, seed).reason for seed in (1, 1, 2))
    assert first == again != other
    rng = np.random.default_rng([1, zlib.crc32(b"rate")])
    with pytest.raises(BrokenLaw, match=re.escape(first)):
        laws.rate(broken, rng)


def test_a_law_that_does_not_apply_says_why() -> None:
    with pytest.raises(ValueError, match="'streams' does not apply to by NumPy: it spawns no"):
        laws.streams(right)


def test_a_broken_law_names_statement_input_and_what_was_expected(apart: None) -> None:
    with pytest.raises(BrokenLaw) as raised:
        laws.shape(Subject("flat", lambda x, p, t: x.reshape(-1)))
    assert str(raised.value) == (
        "Any shape will do: no dimensions, no elements, one, many.\n"
        "expected a result of x's shape (), got (1,)\n"
        "last call: dropout(x, p=0.3, training=True) with x of shape (), float32"
    )


def test_a_file_of_a_package_is_named_from_the_package_on() -> None:
    names: dict[str, Any] = {}
    source = "def dropout(x, p, training):\n    raise IndexError('deep in it')"
    exec(compile(source, "/opt/lib/python3.12/site-packages/pkg/layers.py", "exec"), names)
    subject = Subject("pkg", names["dropout"], MINIGRAD)
    with pytest.raises(BrokenLaw, match=r"deep in it \(line 2 of pkg/layers\.py\)"):
        LAWS["rate"](subject)
