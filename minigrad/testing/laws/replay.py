"""Laws of replay: what was random once can be had again, also by several that share the work."""

from __future__ import annotations

import numpy as np

from minigrad.testing.laws.law import BUG, law
from minigrad.testing.laws.trial import BrokenLaw, Trial
from minigrad.testing.laws.values import SHAPE

#: as the calls of a network: several shapes and probabilities
CALLS = ((SHAPE, 0.5), ((7,), 0.5), (SHAPE, 0.3), ((2, 3, 5), 0.5), (SHAPE, 0.5))


def _masks(trial: Trial, backward: bool = False) -> list[np.ndarray]:
    """Draw a mask for each of `CALLS`; with ``backward``, ask for each one's gradient, too."""
    masks = []
    for shape, p in CALLS:
        ones = np.ones(shape, trial.usual)
        x = trial.tensor(ones)
        result, y = trial.apply(x, p)
        masks.append(trial.noise.is_dropped(y, ones, p))
        if backward:
            trial.gradient(result, x, ones)
    return masks


def _check_replay(got: list[np.ndarray], expected: list[np.ndarray], after: str) -> None:
    for i, (again, mask) in enumerate(zip(got, expected, strict=True)):
        if (again != mask).any():
            raise BrokenLaw(
                f"{after}, call {i + 1} of {len(expected)} should give the same mask as the first "
                f"time, but {int((again != mask).sum())} of {mask.size} places differ: does the "
                "dropout draw its numbers from elsewhere?"
            )


@law("The same seed gives the same masks, another seed gives others.",
     BUG, ("seed",))  # fmt: skip
def seed(trial: Trial) -> None:
    number = trial.reseed()
    first = _masks(trial)
    trial.seed(number)
    _check_replay(_masks(trial), first, f"after seed {number} was set again")
    trial.dropped((5, 5), 0.9)
    trial.seed(number)
    _check_replay(_masks(trial), first, f"after another call, and seed {number} set again")
    others = {number ^ 1, number ^ 2**16, 0, 1}
    for other in sorted(n for n in others if n < trial.domain.seeds):
        trial.seed(other)
        if other != number and (_masks(trial)[0] == first[0]).all():
            raise BrokenLaw(f"seeds {number} and {other} should give other masks, but are alike")


@law("The state, saved and restored, replays the masks; backward draws nothing.",
     BUG, ("seed", "state"))  # fmt: skip
def state(trial: Trial) -> None:
    read, write = trial.subject.state, trial.subject.set_state
    assert read
    assert write
    trial.dropped((9, 9), 0.5)
    before = read()
    first = _masks(trial)
    after = read()
    if after == before:
        raise BrokenLaw("expected the stream of random numbers to have moved in training")
    write(before)
    _check_replay(_masks(trial), first, "after the state was restored")
    if read() != after:
        raise BrokenLaw("the same calls from the same state should end in the same state")
    if trial.subject.gradients:
        write(before)
        _check_replay(_masks(trial, backward=True), first, "with a backward after each call")
        if read() != after:
            raise BrokenLaw("expected backward to draw nothing, but the stream moved")


#: what four workers have of batches that follow each other, from row to row; the third is small
SHARES = ((0, 4, 8, 12, 16), (0, 1, 9, 9, 11), (0, 1, 1, 2, 2), (0, 4, 8, 12, 16))
ROW = 33


@law("Workers that share a batch draw the rows of the mask that one would draw.",
     BUG, ("rows", "seed"))  # fmt: skip
def rows(trial: Trial) -> None:
    share = trial.subject.rows
    assert share
    rest = () if trial.units and len(trial.units.named) == 1 else (ROW,)  # a unit is a row, or not
    number = trial.reseed()
    expected = [trial.dropped((cuts[-1], *rest), 0.3) for cuts in SHARES]
    for worker in range(4):
        trial.seed(number)
        for step, cuts in enumerate(SHARES):
            start, stop = cuts[worker : worker + 2]
            with share(start, stop, cuts[-1]):
                got = trial.dropped((stop - start, *rest), 0.3)
            wrong = int((got != expected[step][start:stop]).sum())
            if wrong:
                first = (got == expected[step][: stop - start]).all()
                raise BrokenLaw(
                    f"rows {start} to {stop} of batch {step + 1} should have the mask that they "
                    f"have in the whole batch of {cuts[-1]}, but {wrong} of {got.size} places "
                    "differ" + (": they have that of the first rows" if first else "")
                )
