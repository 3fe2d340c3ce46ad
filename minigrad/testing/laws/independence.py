"""Laws of independence: no draw knows of another.

At p = 1/2, whether two independent elements agree is a fair coin; and the agreements of elements a
fixed distance apart, (i, i + k) for all i, are independent of each other. So every distance can be
tested exactly, and one Fourier transform counts them all.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minigrad.testing.laws.law import ALPHA, BUG, law
from minigrad.testing.laws.trial import Trial
from minigrad.testing.statistics import assert_binomial, assert_independent, binomial_detects
from minigrad.testing.subjects import Dropout


def check_distances(
    bits: np.ndarray, alpha: float, describe: Callable[[int], str] = "{} places apart".format
) -> None:
    """Check that elements agree half of the time, at any distance.

    Args:
        bits: independent fair coins, if all is right.
        alpha: the false-alarm probability for all distances together.
        describe: says what a distance means.
    """
    signs = np.where(bits.ravel(), 1.0, -1.0)
    n = signs.size
    distances = np.arange(1, n)
    spectrum = np.fft.rfft(signs, 2 * n)
    sums = np.fft.irfft(np.abs(spectrum) ** 2, 2 * n)[distances].round().astype(int)
    pairs = n - distances
    worst = int(np.argmax(np.abs(sums) / np.sqrt(pairs)))
    _check_agreement(sums, pairs, worst, alpha, f"elements {describe(int(distances[worst]))}")


def check_pairs(rows: np.ndarray, alpha: float, name: Callable[[int], str]) -> None:
    """Check that any two rows agree in half of their places.

    Args:
        rows: (masks, elements) of independent fair coins, if all is right.
        alpha: the false-alarm probability for all pairs together.
        name: says what a row is.
    """
    signs = np.where(rows, 1.0, -1.0)
    first, second = np.triu_indices(len(rows), 1)
    sums = (signs @ signs.T)[first, second].round().astype(int)
    worst = int(np.abs(sums).argmax())
    what = f"{name(int(first[worst]))} and {name(int(second[worst]))}, place by place"
    _check_agreement(sums, np.full(sums.size, rows.shape[1]), worst, alpha, what)


def _check_agreement(
    sums: np.ndarray, pairs: np.ndarray, worst: int, alpha: float, what: str
) -> None:
    """Test the most extreme of many sums of products of signs, at its share of alpha."""
    n = int(pairs[worst])
    agree = (n + int(sums[worst])) // 2
    assert_binomial(agree, n, 0.5, alpha / sums.size, f"{what}: agreement of the masks at p = 0.5")


def _pairs_detect(n: int, pairs: int, alpha: float) -> float:
    """Return the correlation that is seen for sure in one among many pairs of masks."""
    return 2 * max(binomial_detects(n, 0.5, alpha / pairs))


# ------------------------------------------------------------------------- within a mask

UNITS = (8, 8, 32, 64)  # of even numbers, whose masks have even and odd places
AXES = ("batch", "channel", "row", "column")
UNITS_ALPHA = ALPHA / (1 + len(AXES))


def _units_detects() -> str:
    n = int(np.prod(UNITS))
    found = _pairs_detect(n // 2, n - 1, UNITS_ALPHA)
    return f"a correlation of {found:.3f} between elements at any distance up to half of all"


@law("Elements of a mask are independent: neighbours, rows, columns, channels.",
     BUG, (), ALPHA, _units_detects)  # fmt: skip
def units(trial: Trial) -> None:
    steps = np.cumprod((1, *UNITS[:0:-1]))
    along = dict(zip(map(int, steps), reversed(AXES), strict=True))

    def describe(distance: int) -> str:
        axis = f" (neighbours along the axis {along[distance]})" if distance in along else ""
        return f"{distance} places apart{axis} in shape {UNITS}"

    check_distances(trial.dropped(UNITS, 0.5), UNITS_ALPHA, describe)
    mask = trial.dropped(UNITS, 0.2)
    for axis, name in enumerate(AXES):
        even, odd = (np.take(mask, range(k, UNITS[axis], 2), axis) for k in (0, 1))
        what = f"p = 0.2: even and odd places along the axis {name} of shape {UNITS}"
        assert_independent(even, odd, UNITS_ALPHA, what)


# ------------------------------------------------------------------------- between masks

MASK = (31, 33)
N = MASK[0] * MASK[1]
MASKS = 128
PAIRS = MASKS * (MASKS - 1) // 2


def _masks(trial: Trial, p: float, calls: Sequence[Any] = (None,) * MASKS) -> np.ndarray:
    """Return (calls, elements): a mask from each of some dropouts, None for the subject itself."""
    return np.array([trial.dropped(MASK, p, dropout=call).ravel() for call in calls])


CALLS_ALPHA = ALPHA / 3


def _calls_detects() -> str:
    one = _pairs_detect(N, PAIRS, CALLS_ALPHA)
    every = _pairs_detect(MASKS * N // 2, MASKS * N - 1, CALLS_ALPHA)
    return f"a correlation of {one:.2f} between two calls, of {every:.3f} between any call and next"


@law("Each call draws a mask of its own: not an earlier one, nor its opposite.",
     BUG, (), ALPHA, _calls_detects)  # fmt: skip
def calls(trial: Trial) -> None:
    rows = _masks(trial, 0.5)
    check_pairs(rows, CALLS_ALPHA, lambda i: f"call {i + 1}")
    check_distances(
        rows, CALLS_ALPHA, lambda d: f"{d} places apart, counted on through calls of {N} elements"
    )
    rows = _masks(trial, 0.2)
    assert_independent(rows[::2], rows[1::2], CALLS_ALPHA, "p = 0.2: each call and the next")


LAYERS = (0.5, 0.2, 0.5)
STEPS = MASKS // 2
LAYERS_ALPHA = ALPHA / 4


def _layers_detects() -> str:
    one = _pairs_detect(N, PAIRS, LAYERS_ALPHA)
    return f"a correlation of {one:.2f} between two layers in one step"


@law("Layers called in turn, with backward between, draw independent masks.",
     BUG, (), ALPHA, _layers_detects)  # fmt: skip
def layers(trial: Trial) -> None:
    made = [trial.subject.module(p) for p in LAYERS] if trial.subject.module else [None] * 3
    masks = []
    for _ in range(STEPS):
        results = []
        for p, layer in zip(LAYERS, made, strict=True):
            ones = np.ones(MASK, trial.usual)
            x = trial.tensor(ones)
            result, y = trial.apply(x, p, True, None if layer is None else _in_training(layer))
            results.append((result, x))
            masks.append(trial.noise.is_dropped(y, ones, p).ravel())
        if trial.subject.gradients:
            for result, x in reversed(results):
                trial.gradient(result, x, ones)
    first, second, third = (np.array(masks[i::3]) for i in range(3))
    rows = np.stack([first, third], 1).reshape(MASKS, N)
    names = "layer 1 (p = 0.5)", "layer 3 (p = 0.5)"
    check_pairs(rows, LAYERS_ALPHA, lambda i: f"{names[i % 2]} in step {i // 2 + 1}")
    for a, b, what in (
        (first, second, "layer 1 (p = 0.5) and layer 2 (p = 0.2)"),
        (second[:-1], first[1:], "layer 2 (p = 0.2) and layer 1 (p = 0.5) in the next step"),
        (second[::2], second[1::2], "layer 2 (p = 0.2) in a step and in the next"),
    ):
        assert_independent(a, b, LAYERS_ALPHA, what)


def _in_training(layer: Any) -> Dropout:
    return lambda x, p, training: layer.train(training)(x)


STREAMS = 8
STREAMS_ALPHA = ALPHA / 4


def _streams_detects() -> str:
    return f"a correlation of {_pairs_detect(N, PAIRS, STREAMS_ALPHA):.2f} between two streams"


@law("Streams spawned for workers are independent of each other.",
     BUG, ("spawn",), ALPHA, _streams_detects)  # fmt: skip
def streams(trial: Trial) -> None:
    assert trial.subject.spawn
    workers = [*trial.subject.spawn(STREAMS), *trial.subject.spawn(STREAMS)]
    calls = [w for w in workers for _ in range(MASKS // len(workers))]

    def name(i: int) -> str:
        worker, call = divmod(i, MASKS // len(workers))
        return f"call {call + 1} of stream {worker + 1}"

    rows = _masks(trial, 0.5, calls)
    check_pairs(rows, STREAMS_ALPHA, name)
    check_distances(
        rows, STREAMS_ALPHA, lambda d: f"{d} places apart, counted on through all streams"
    )
    rows = _masks(trial, 0.2, calls).reshape(len(workers), -1)
    for a, b, what in (
        (rows[::2], rows[1::2], "p = 0.2: each stream and the next"),
        (rows[:STREAMS], rows[STREAMS:], f"p = 0.2: the first {STREAMS} streams and those after"),
    ):
        assert_independent(a, b, STREAMS_ALPHA, what)


SEEDS = 16  # that follow each other
SEED_CALLS, SEED_MASK = 2, (32, 512)
SEED_ROWS, SEED_N = SEEDS * SEED_CALLS, SEED_MASK[0] * SEED_MASK[1]
SEEDS_ALPHA = ALPHA / 2


def _seeds_detects() -> str:
    one = _pairs_detect(SEED_N, SEED_ROWS * (SEED_ROWS - 1) // 2, SEEDS_ALPHA)
    return (
        f"a correlation of {one:.2f} between the calls of two seeds; the first "
        f"{SEED_CALLS * SEED_N:,} elements of each seed being those of the one before, up to "
        f"{_shift_detects():,} earlier or later"
    )


def _shift_detects() -> int:
    """Return by how many elements the masks of each seed may be those of the one before, shifted.

    They overlap in the rest of them. Of all pairs at the distance at which that shows, those of one
    seed and the next agree; of the others a half does, by chance.
    """
    total, drawn = SEED_ROWS * SEED_N, SEED_CALLS * SEED_N
    correlation = _pairs_detect(total - drawn, total - 1, SEEDS_ALPHA)
    overlap = math.ceil(correlation * total / (SEEDS - 1))
    return drawn - overlap


@law("Neighbouring seeds give masks of their own, not the same ones shifted.",
     BUG, ("seed",), ALPHA, _seeds_detects)  # fmt: skip
def seeds(trial: Trial) -> None:
    first = int(trial.rng.integers(trial.domain.seeds - SEEDS))
    rows = []
    for i in range(SEEDS):
        trial.seed(first + i)
        rows += [trial.dropped(SEED_MASK, 0.5).ravel() for _ in range(SEED_CALLS)]

    def name(i: int) -> str:
        return f"call {i % SEED_CALLS + 1} of seed {first + i // SEED_CALLS}"

    check_pairs(np.array(rows), SEEDS_ALPHA, name)
    check_distances(
        np.array(rows),
        SEEDS_ALPHA,
        lambda d: (
            f"{d} places apart, counted on through {SEED_CALLS} calls of {SEED_N} elements "
            f"for each of the seeds {first} to {first + SEEDS - 1}"
        ),
    )


# ------------------------------------------------------------------------- a step apart

STEP_SEEDS, STEP_CALLS = 5, 9
STEP_PAIRS = (STEP_SEEDS - 1) * (STEP_CALLS - 1)
STEP_ALPHA = ALPHA / 2


def _steps_detects() -> str:
    every = 2 * max(binomial_detects(STEP_PAIRS * N, 0.5, STEP_ALPHA))
    return f"a correlation of {every:.3f} between any mask and the next seed's, a step apart"


@law("A seed's masks are not the next seed's, a call later or earlier.",
     BUG, ("seed",), ALPHA, _steps_detects)  # fmt: skip
def seed_steps(trial: Trial) -> None:
    first = int(trial.rng.integers(trial.domain.seeds - STEP_SEEDS))
    masks = []
    for i in range(STEP_SEEDS):
        trial.seed(first + i)
        masks.append([trial.dropped(MASK, 0.5).ravel() for _ in range(STEP_CALLS)])
    _check_steps(np.array(masks), "seed", STEP_ALPHA)


def _check_steps(masks: np.ndarray, what: str, alpha: float) -> None:
    """Check (sources, calls, elements) for masks that come again a call later, or earlier."""
    for ours, theirs, which in (
        (masks[:-1, 1:], masks[1:, :-1], "of the call before"),
        (masks[:-1, :-1], masks[1:, 1:], "of the call after"),
    ):
        agree = int((ours == theirs).sum())
        told = f"the mask of a {what} and that {which} of the next {what}: places alike, p = 0.5"
        assert_binomial(agree, ours.size, 0.5, alpha, told)


RANK_CALLS = 9
RANK_ALPHA = ALPHA / 3


def _ranks_detects() -> str:
    n = (STREAMS - 1) * (RANK_CALLS - 1) * N
    return (
        f"a correlation of {2 * max(binomial_detects(n, 0.5, RANK_ALPHA)):.3f} between each rank "
        "and the next, in one step or a step apart"
    )


@law("Ranks that step together share no mask, in one step or a step apart.",
     BUG, ("spawn",), ALPHA, _ranks_detects)  # fmt: skip
def ranks(trial: Trial) -> None:
    assert trial.subject.spawn
    workers = trial.subject.spawn(STREAMS)
    masks = np.empty((STREAMS, RANK_CALLS, N), bool)
    for step in range(RANK_CALLS):
        for rank, worker in enumerate(workers):
            masks[rank, step] = trial.dropped(MASK, 0.5, dropout=worker).ravel()
    agree = int((masks[:-1] == masks[1:]).sum())
    told = "the masks of a rank and the next, in one step: places alike, p = 0.5"
    assert_binomial(agree, masks[1:].size, 0.5, RANK_ALPHA, told)
    _check_steps(masks, "rank", RANK_ALPHA)


# ------------------------------------------------------------------------- mask and input

BLIND = (256, 512)
BLIND_ALPHA = ALPHA / 4


def _blind_detects() -> str:
    n = BLIND[0] * BLIND[1]
    return f"a correlation of {_pairs_detect(n, 1, BLIND_ALPHA):.3f} with x's sign or size"


@law("The mask does not depend on x: neither on its sign nor on its size.",
     BUG, (), ALPHA, _blind_detects)  # fmt: skip
def blind(trial: Trial) -> None:
    for p in 0.2, 0.5:
        sizes = trial.rng.choice(np.array([1e-3, 1e3]), BLIND)
        x = (trial.numbers(BLIND).astype(np.float64) * sizes).astype(trial.usual)
        _, y = trial.apply(trial.constant(x), p)
        dropped = trial.noise.is_dropped(y, x, p)
        assert_independent(dropped, x > 0, BLIND_ALPHA, f"p = {p:g}: dropped, and x positive")
        assert_independent(dropped, abs(x) > 1, BLIND_ALPHA, f"p = {p:g}: dropped, and x large")
