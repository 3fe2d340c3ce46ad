"""What the laws say of a dropout, law by law and all together, in words.

A bug means that the noise is wrong, and settles the verdict. Edges and contracts are told apart:
many a good library breaks one.
"""

from __future__ import annotations

import math
import textwrap
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from minigrad.testing import diagnosis
from minigrad.testing.laws import BUG, CONTRACT, EDGE, LAWS, TIERS, BrokenLaw, Law, Trial
from minigrad.testing.subjects import Subject, UsageError

HOLDS, BROKEN, NOT_APPLICABLE, EXEMPT = "holds", "BROKEN", "n/a", "exempt"


@dataclass(frozen=True)
class Verdict:
    """What one law says of a subject.

    Args:
        law: the law.
        outcome: `HOLDS`, `BROKEN`, `NOT_APPLICABLE`, or `EXEMPT`: broken, as its subject declares.
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


def judge(
    subject: Subject,
    law: Law,
    seed: int = 0,
    quick: bool = False,
    trial_of: Callable[..., Trial] = Trial,
) -> Verdict:
    """Try a subject by a law, with inputs and randomness that follow from ``seed``."""
    if missing := law.missing(subject):
        return Verdict(law, NOT_APPLICABLE, missing)
    reason = subject.exempt.get(law.name)
    try:
        rng = np.random.default_rng([seed, zlib.crc32(law.name.encode())])
        law(subject, rng, quick, trial_of)
    except BrokenLaw as broken:
        if reason is None:
            return Verdict(law, BROKEN, broken.reason)
        return Verdict(law, EXEMPT, f"{reason}\n{broken.reason}")
    return Verdict(law, HOLDS, f"though it is exempt: {reason}" if reason else "")


def judge_all(
    subject: Subject, seed: int = 0, laws: Iterable[Law] = tuple(LAWS.values()), quick: bool = False
) -> list[Verdict]:
    """Try a subject by all laws."""
    return [judge(subject, law, seed, quick) for law in laws]


def check_usage(subject: Subject) -> None:
    """Call a subject for a first time.

    Raises:
        UsageError: it cannot be judged as it is given; or it is exempt from a law that is none.
    """
    for name in subject.exempt:
        if name not in LAWS:
            raise UsageError(
                f"{subject.name} is exempt from {name!r}, which is no law; the laws are "
                f"{', '.join(LAWS)}"
            )
    subject.first_try()


# ------------------------------------------------------------------------- all together


def broken_in(verdicts: Iterable[Verdict], *tiers: str) -> list[Verdict]:
    """Return what is broken, of some tiers or of all."""
    return [v for v in verdicts if v.outcome == BROKEN and v.law.tier in (tiers or TIERS)]


def condemned(verdicts: Sequence[Verdict], strict: bool = False) -> bool:
    """Return whether a bug is found; with ``strict``, whether any law is broken."""
    return bool(broken_in(verdicts) if strict else broken_in(verdicts, BUG))


def report(subject: Subject, verdicts: Sequence[Verdict], strict: bool = False) -> str:
    """Return the verdict, what it rests on, and what else was found, the worst first."""
    bugs = broken_in(verdicts, BUG)
    found = looks_like(subject, verdicts)
    paragraphs = [headline(verdicts, strict)]
    if found:
        paragraphs[0] += f"\n{found}"
    told = diagnosis.telling(found, [v.law.name for v in bugs])
    by_name = {v.law.name: v for v in bugs}
    if bugs:
        paragraphs.append("\n".join(str(by_name[name]) for name in told[:2]))
    if told[2:]:
        paragraphs.append(textwrap.fill(f"Broken, too: {', '.join(told[2:])}.", 100))
    for tier, title in (EDGE, "Edges"), (CONTRACT, "Contracts"):
        if some := broken_in(verdicts, tier):
            paragraphs.append(f"{title}: {TIERS[tier]}\n" + "\n".join(map(str, some)))
    spared = [v for v in verdicts if v.outcome == EXEMPT or (v.outcome == HOLDS and v.reason)]
    if spared:
        paragraphs.append("\n".join(map(str, spared)))
    for outcome, title in (HOLDS, "Hold"), (NOT_APPLICABLE, "Do not apply"):
        if names := [v.law.name for v in verdicts if v.outcome == outcome]:
            paragraphs.append(textwrap.fill(f"{title}: {', '.join(names)}.", 100))
    return "\n\n".join(paragraphs)


def looks_like(subject: Subject, verdicts: Sequence[Verdict]) -> diagnosis.Diagnosis | None:
    """Return the bugs of the zoo that break the same laws; None if there are none."""
    broken = {v.law.name for v in broken_in(verdicts)}
    return diagnosis.diagnose(subject, broken, {v.law.name for v in verdicts if _ran(v)})


def _ran(verdict: Verdict) -> bool:
    return verdict.outcome != NOT_APPLICABLE


def headline(verdicts: Sequence[Verdict], strict: bool) -> str:
    """Return the verdict in a sentence or two, and what it is worth."""
    bugs, others = broken_in(verdicts, BUG), broken_in(verdicts, EDGE, CONTRACT)
    hold = sum(v.outcome == HOLDS for v in verdicts)
    alpha = math.fsum(v.law.alpha for v in verdicts if _ran(v))
    chance = f" A correct dropout breaks one with a probability of at most {alpha:.2g}."
    if bugs:
        told = f"Verdict: bug. The noise is wrong: {_laws(len(bugs))} broken, {hold} hold.{chance}"
    elif others:
        word = "not strictly correct" if strict else "no bug"
        rest = f"of edges and contracts {_laws(len(others))} broken"
        told = f"Verdict: {word}. {hold} laws hold; {rest}."
    else:
        told = f"Verdict: no bug. No law is broken, {hold} hold."
    return textwrap.fill(told, 100)


def _laws(n: int) -> str:
    return f"{n} law{'s are' if n > 1 else ' is'}"


def table_of_laws(laws: Iterable[Law]) -> str:
    """Return every law with its statement, its false-alarm probability and what it surely sees."""
    lines: list[str] = []
    tier = ""
    for law in laws:
        if law.tier != tier:
            tier = law.tier
            lines += [*[""] * bool(lines), f"{tier}: {TIERS[tier]}", ""]
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
