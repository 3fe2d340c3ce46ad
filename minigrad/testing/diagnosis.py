"""What a broken dropout looks like: the bug of the zoo that breaks the same laws."""

from __future__ import annotations

import contextlib
import textwrap
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from minigrad.testing.laws import BUG, LAWS, Trial
from minigrad.testing.subjects import Subject
from minigrad.testing.zoo import ZOO, Bug
from minigrad.testing.zoo.kills import KILLS

ALIKE = 0.6  # of the laws that either of the two breaks, both break so many at least
NEAR = 0.1  # figures of the same bug differ by no more
RATES, SHAPE = (0.1, 0.3, 0.8), (64, 1024)


@dataclass(frozen=True)
class Diagnosis:
    """The bugs of the zoo that a dropout looks like.

    Args:
        bugs: the likeliest first.
        same: whether it breaks the same laws as the first, not only most of them.
    """

    bugs: Sequence[Bug]
    same: bool

    def __str__(self) -> str:
        names = " or ".join(f'zoo bug {bug.number}, "{bug.name}"' for bug in self.bugs)
        laws = "the same laws" if self.same else "nearly the same laws"
        return textwrap.fill(f"It looks like {names}: broken are {laws}.", 100)


def diagnose(subject: Subject, broken: set[str], tried: set[str]) -> Diagnosis | None:
    """Return what a dropout looks like; None if no bug is found, or none is like it.

    Args:
        subject: the dropout.
        broken: the names of the laws that it breaks.
        tried: of those that were tried.
    """
    tried = {name for name in tried if LAWS[name].tier == BUG}  # the others tell little
    broken = broken & tried
    if not broken:
        return None
    likeness = {}
    for bug in ZOO:
        kills = KILLS[bug.number] & tried
        if bug.law in broken and kills:
            likeness[bug.number] = len(kills & broken) / len(kills | broken)
    best = max(likeness.values(), default=0.0)
    if best < ALIKE:
        return None
    tied = [bug for bug in ZOO if likeness.get(bug.number, 0.0) >= best - 0.1]
    seen = _figures(subject)
    distances = {bug.number: _distance(seen, _figures(bug.subject)) for bug in tied}
    tied.sort(key=lambda bug: distances[bug.number] - likeness[bug.number])
    least = distances[tied[0].number]
    near = [bug for bug in tied if distances[bug.number] <= least + NEAR][:3]
    return Diagnosis(near, likeness[near[0].number] == 1)


def telling(found: Diagnosis | None, broken: Sequence[str]) -> list[str]:
    """Return broken laws, the most telling first: the bug's own, then from the concrete on."""
    home, order = [bug.law for bug in found.bugs] if found else [], list(LAWS)
    return sorted(broken, key=lambda name: (name not in home, name != "rate", order.index(name)))


def _figures(subject: Subject) -> np.ndarray:
    """Return a few figures of a dropout, by which bugs that break the same laws differ.

    They are, at some p and in evaluation, how many are dropped and how much the rest is scaled; and
    how often the masks agree of neighbouring rows, of neighbouring columns, and of two calls.
    """
    found: list[float] = []
    calls: Iterable[tuple[float, bool]] = [*((p, True) for p in RATES), (0.5, False)]
    with warnings.catch_warnings(), np.errstate(all="ignore"), _as_found(subject):
        warnings.simplefilter("ignore")
        trial = Trial(subject, np.random.default_rng(0))
        x = np.full(SHAPE, 1.5, trial.usual)
        for p, training in calls:
            try:
                ratios = np.asarray(trial.apply(trial.constant(x), p, training)[1], float) / 1.5
                kept = ratios[ratios != 0]
                found += [float((ratios == 0).mean()), float(kept.mean()) if kept.size else 0.0]
            except Exception:
                found += [np.nan, np.nan]
        try:
            one, two = trial.dropped(SHAPE, 0.5), trial.dropped(SHAPE, 0.5)
            pairs = (one[1:], one[:-1]), (one[:, 1:], one[:, :-1]), (one, two)
            found += [float((a == b).mean()) for a, b in pairs]
        except Exception:
            found += [np.nan] * 3
    return np.array(found)


@contextlib.contextmanager
def _as_found(subject: Subject) -> Iterator[None]:
    """Leave the framework's randomness where it was."""
    framework = subject.framework
    state = framework.state() if framework.state else None
    try:
        yield
    finally:
        if state is not None and framework.set_state:
            framework.set_state(state)


def _distance(a: np.ndarray, b: np.ndarray) -> float:
    """Return by how much the figure differs that differs most; of large ones, relatively."""
    both = ~(np.isnan(a) | np.isnan(b))
    if not both.any():
        return 0.0
    a, b = a[both], b[both]
    return float(np.max(np.abs(a - b) / np.maximum(1, np.maximum(np.abs(a), np.abs(b)))))
