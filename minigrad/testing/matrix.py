"""The kill matrix: which law catches which bug of the zoo."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from minigrad import nn
from minigrad.testing.frameworks import MINIGRAD
from minigrad.testing.laws import LAWS
from minigrad.testing.statistics import Budget
from minigrad.testing.subjects import Subject
from minigrad.testing.verdicts import BROKEN, NOT_APPLICABLE, judge_all

KILLED, KILLED_BY_ITS_LAW, SURVIVED, ESCAPED, NO_TRIAL = "x", "X", ".", "!", " "
LEGEND = (
    f"{KILLED_BY_ITS_LAW} killed by the law that names the bug   {KILLED} killed by another law   "
    f"{SURVIVED} survived\n{ESCAPED} escaped from the law that names it   (blank) does not apply"
)
CORRECT = (
    Subject("correct: F.dropout", nn.functional.dropout, MINIGRAD),
    Subject("correct: nn.Dropout", nn.Dropout, MINIGRAD),
)


class Entry(Protocol):
    """A bug of the zoo."""

    @property
    def number(self) -> int: ...
    @property
    def name(self) -> str: ...
    @property
    def law(self) -> str: ...
    @property
    def subject(self) -> Subject: ...


def row(subject: Subject, named: str = "", seed: int = 0) -> str:
    """Return a character for each law: what it makes of the subject.

    Args:
        subject: the dropout, wrong or right.
        named: the law that should catch it.
        seed: of inputs and randomness.
    """
    cells = ""
    with Budget(apart=True):  # what kills a bug raises no false alarm
        for verdict in judge_all(subject, seed):
            at_home = verdict.law.name == named
            if verdict.outcome == BROKEN:
                cells += KILLED_BY_ITS_LAW if at_home else KILLED
            elif at_home:
                cells += ESCAPED
            else:
                cells += NO_TRIAL if verdict.outcome == NOT_APPLICABLE else SURVIVED
    return cells


def header(width: int) -> str:
    """Return the names of the laws, written downwards."""
    height = max(map(len, LAWS))
    names = [name.rjust(height) for name in LAWS]
    return "\n".join(" " * width + " ".join(letters) for letters in zip(*names, strict=True))


def print_kill_matrix(bugs: Sequence[Entry], seed: int = 0) -> bool:
    """Print a row for each bug, then some correct dropouts for comparison.

    Args:
        bugs: the zoo.
        seed: of inputs and randomness.

    Returns:
        Whether every bug was killed by the law that names it, and the correct ones live.
    """
    width = max(len(bug.name) for bug in bugs) + 5
    print(header(width))
    escaped = condemned = 0
    for bug in bugs:
        cells = row(bug.subject, bug.law, seed)
        escaped += KILLED_BY_ITS_LAW not in cells
        print(f"{bug.number:>3} {bug.name:<{width - 4}}{' '.join(cells)}", flush=True)
    for subject in CORRECT:
        cells = row(subject, "", seed)
        condemned += KILLED in cells
        print(f"    {subject.name:<{width - 4}}{' '.join(cells)}", flush=True)
    print(f"\n{LEGEND}\n")
    print(
        f"{len(bugs) - escaped} of {len(bugs)} bugs are killed by the law that names them; "
        f"{condemned} of {len(CORRECT)} correct dropouts are condemned."
    )
    return not escaped and not condemned


def kills(cells: str) -> set[str]:
    """Return the names of the laws that a row says have killed."""
    return {
        name for name, cell in zip(LAWS, cells, strict=True) if cell in (KILLED, KILLED_BY_ITS_LAW)
    }
