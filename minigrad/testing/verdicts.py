"""What the laws say of a dropout, in words."""

from __future__ import annotations

import math
import textwrap
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from minigrad.testing.laws import LAWS, BrokenLaw, Law
from minigrad.testing.subjects import Subject

HOLDS, BROKEN, NOT_APPLICABLE = "holds", "BROKEN", "n/a"


@dataclass(frozen=True)
class Verdict:
    """What one law says of a subject.

    Args:
        law: the law.
        outcome: `HOLDS`, `BROKEN` or `NOT_APPLICABLE`.
        reason: why it does not hold or apply.
    """

    law: Law
    outcome: str
    reason: str = ""

    def __str__(self) -> str:
        lines = [f"{self.outcome:<8}{self.law.name:<17}{self.law.statement}"]
        for line in self.reason.splitlines():
            lines += textwrap.wrap(line, 96, initial_indent=" " * 25, subsequent_indent=" " * 25)
        return "\n".join(lines)


def judge(subject: Subject, law: Law, seed: int = 0) -> Verdict:
    """Try a subject by a law, with inputs and randomness that follow from ``seed``."""
    if missing := law.missing(subject):
        return Verdict(law, NOT_APPLICABLE, missing)
    try:
        law(subject, np.random.default_rng([seed, zlib.crc32(law.name.encode())]))
    except BrokenLaw as broken:
        return Verdict(law, BROKEN, broken.reason)
    return Verdict(law, HOLDS)


def judge_all(
    subject: Subject, seed: int = 0, laws: Iterable[Law] = tuple(LAWS.values())
) -> list[Verdict]:
    """Try a subject by all laws."""
    return [judge(subject, law, seed) for law in laws]


def summary(verdicts: Sequence[Verdict]) -> str:
    """Return the verdict of all laws together, and what it is worth."""
    broken = [verdict.law.name for verdict in verdicts if verdict.outcome == BROKEN]
    hold = sum(verdict.outcome == HOLDS for verdict in verdicts)
    other = sum(verdict.outcome == NOT_APPLICABLE for verdict in verdicts)
    rest = f"; {other} do not apply" if other else ""
    if not broken:
        return f"Verdict: no law is broken. {hold} hold{rest}."
    alpha = math.fsum(v.law.alpha for v in verdicts if v.outcome != NOT_APPLICABLE)
    lines = [
        f"Verdict: not a correct dropout. {_laws(len(broken))} broken, {hold} hold{rest}.",
        f"Begin with {broken[0]!r}"
        + (f", then {', '.join(map(repr, broken[1:]))}" if broken[1:] else "")
        + f". A correct dropout breaks one with a probability of at most {alpha:.2g}.",
    ]
    if not hold:
        lines.append("None holds: does it take this framework's tensors? See --framework.")
    return "\n".join(textwrap.fill(line, 100) for line in lines)


def _laws(n: int) -> str:
    return f"{n} law{'s are' if n > 1 else ' is'}"


def table_of_laws(laws: Iterable[Law]) -> str:
    """Return every law with its statement, its false-alarm probability and what it surely sees."""
    lines = []
    for law in laws:
        lines.append(f"{law.name:<17}{law.statement}")
        if law.detects:
            chance = f"alpha {law.alpha:.0e}, detects {law.detects()}"
            lines += textwrap.wrap(chance, 100, initial_indent=" " * 17, subsequent_indent=" " * 17)
    total = math.fsum(law.alpha for law in laws)
    lines += [
        "",
        "alpha: the probability that a correct dropout breaks the law; 0 where none is given.",
        "detects: what is seen with a probability of at least 1 - 1e-06.",
        f"All laws together: {total:.2g}.",
    ]
    return "\n".join(lines)
