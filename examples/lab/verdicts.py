"""From effects to verdicts: five of them, over all primary claims together."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from examples.lab.criteria import CRITERIA, LEVEL, SAME, first_step, looks_at
from examples.lab.statistics import (
    Interval,
    Numbers,
    differences,
    equivalence_test,
    holm,
    mcnemar,
    pairs_needed,
    rank_test,
    signed_rank,
)

YES, SMALL, OPPOSITE, NONE, UNDECIDED = VERDICTS = (
    "yes",
    "yes, but below the smallest effect",
    "the opposite",
    "practically none",
    "undecided",
)


@dataclass(frozen=True)
class Effect:
    """An effect that a claim rests on, positive if as claimed.

    Attributes:
        name: which, if the claim has several; else "".
        interval: at 95 %, of this effect alone.
        least: the smallest effect worth the name, or the margin.
        unit, scale: in which it is told, and how many of these make one of the data's.
        p_for, p_against: exact, one-sided, for it being above 0 and below.
        p_none: for it lying within ``least`` of 0.
        p_beyond: one-sided, for it lying beyond ``least``, on the side where it is.
        needed: pairs that would show an effect of ``least`` at the level of the first step.
    """

    name: str
    interval: Interval
    least: float
    unit: str
    scale: float
    p_for: float
    p_against: float
    p_none: float
    p_beyond: float
    needed: int = 0

    @property
    def text(self) -> str:
        """The effect with its interval in words."""
        return f"{self.name and self.name + ' '}{self.interval.text(self.scale, self.unit)}"


def paired(name: str, experiment: str, a: Numbers, b: Numbers, part: int = 0) -> Effect:
    """Return the effect a - b of an experiment's criterion, by signed ranks.

    Args:
        name: which effect it is, if there are several.
        experiment: whose criterion gives the smallest effect and the unit.
        a, b: of the same seeds; -inf for a collapse.
        part: the place of the effect in the criterion.
    """
    d = differences(a, b)
    criterion = CRITERIA[experiment]
    least, (unit, scale) = criterion.least[part], criterion.unit[part]
    beyond = min(rank_test(d, least), rank_test(-d, least))
    return Effect(
        *(name, signed_rank(d), least, unit, scale, rank_test(d), rank_test(-d)),
        *(equivalence_test(d, least), beyond, pairs_needed(d, least, first_step(experiment))),
    )


def risk(experiment: str, first: np.ndarray, second: np.ndarray) -> Effect:
    """Return the effect of how much oftener something happens in the first arm, by McNemar's test.

    That it lies within the smallest effect is read off Newcombe's interval, at the level of a first
    step over all claims; so p is 0 or 1 there.
    """
    criterion = CRITERIA[experiment]
    least, (unit, scale) = criterion.least[0], criterion.unit[0]
    found = mcnemar(first, second)
    strict = mcnemar(first, second, 1 - 2 * first_step(experiment)).difference
    none = 0.0 if max(-strict.low, strict.high) < least else 1.0
    beyond = 0.0 if max(strict.low, -strict.high) > least else 1.0
    d = np.asarray(first, dtype=float) - np.asarray(second, dtype=float)
    needed = pairs_needed(d, least, first_step(experiment))
    return Effect(
        *("", found.difference, least, unit, scale, found.p_more, found.p_fewer),
        *(none, beyond, needed),
    )


@dataclass(frozen=True)
class Verdict:
    """What the data say about a primary claim.

    Attributes:
        verdict: one of `VERDICTS`.
        effects: what it rests on.
        p: adjusted, to be read against the level of all claims together.
        remark: which part decided, or what it would take to decide; "" if there is nothing to say.
    """

    verdict: str
    effects: tuple[Effect, ...]
    p: float
    remark: str = ""

    @property
    def summary(self) -> str:
        """Effects, p and remark in a sentence."""
        p = "p < 0.0001" if self.p < 1e-4 else f"p = {self.p:.2g}"
        parts = "; ".join(e.text for e in self.effects)
        return f"{parts} ({p} over all claims){self.remark and '; ' + self.remark}"


def judge(effects: Mapping[str, Sequence[Effect]], gates: Mapping[str, str]) -> dict[str, Verdict]:
    """Return the verdict on each claim, over all primary claims together.

    Args:
        effects: of the experiments that were run, by name. Claims of which there are none count as
            p = 1, so that a verdict never gets firmer by leaving others out.
        gates: by name, why a claim cannot be asked; "" if it can.
    """
    p = {
        name: 1.0 if gates.get(name) else min(1.0, looks_at(name) * _p(name, parts))
        for name, parts in effects.items()
    }
    adjusted = holm(p, len(CRITERIA))
    return {
        name: replace(_verdict(name, parts, adjusted[name]), remark=gates[name])
        if gates.get(name)
        else _verdict(name, parts, adjusted[name])
        for name, parts in effects.items()
    }


def _p(name: str, effects: Sequence[Effect]) -> float:
    """Return a claim's p of one look, before adjustment.

    A claim of several effects stands if each does: its p is the largest (Berger, 1982). Against it
    speaks one effect that is contrary, at its p times their number.
    """
    if CRITERIA[name].kind == SAME:
        return max(e.p_none for e in effects)
    against = len(effects) * min(e.p_against for e in effects)
    return min(1.0, 2 * max(e.p_for for e in effects), 2 * against)


def _verdict(name: str, effects: Sequence[Effect], p: float) -> Verdict:
    kept, parts, family = tuple(effects), len(effects), len(CRITERIA) * looks_at(name)

    def first(attribute: str) -> tuple[float, Effect]:
        """Return the smallest p over the parts, for all claims and parts together, and its part."""
        part = min(effects, key=lambda e: getattr(e, attribute))
        return min(1.0, family * parts * getattr(part, attribute)), part

    def named(part: Effect) -> str:
        return f"so it is for: {part.name}" if parts > 1 else ""

    if CRITERIA[name].kind == SAME:
        if p <= LEVEL:
            return Verdict(YES, kept, p)
        beyond, part = first("p_beyond")
        if 2 * beyond <= LEVEL:
            return Verdict(OPPOSITE, kept, p, named(part))
        return Verdict(UNDECIDED, kept, p, _wanted(effects))
    if p <= LEVEL and max(e.p_for for e in effects) <= 0.5:
        enough = all(e.interval.estimate >= e.least for e in effects)
        return Verdict(YES if enough else SMALL, kept, p)
    if p <= LEVEL:
        return Verdict(OPPOSITE, kept, p, named(min(effects, key=lambda e: e.p_against)))
    none, part = first("p_none")
    if none <= LEVEL:
        return Verdict(NONE, kept, p, named(part))
    return Verdict(UNDECIDED, kept, p, _wanted(effects))


def _wanted(effects: Sequence[Effect]) -> str:
    """Return what it would take to decide."""
    needed = max(e.needed for e in effects)
    n = min(e.interval.n for e in effects)
    if math.isinf(max(abs(e.interval.estimate) for e in effects)) or not needed:
        return "too many collapses to say what it would take"
    if needed > n:
        return f"about {needed} pairs would show the smallest effect, and there are {n}"
    return "the effect lies near the smallest one that counts: many more pairs would be needed"
