"""What a library's file returns: its dropouts, stated as subjects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from minigrad.testing.subjects import Subject

#: what can be asked of a mask alone, where x and p go a longer way than the usual one
OF_THE_MASK = ("rate", "positions", "counts", "units", "calls", "layers", "seeds", "seed_steps",
               "seed", "bad_p")  # fmt: skip


@dataclass(frozen=True)
class Entry:
    """A dropout to be tried.

    Args:
        subject: the dropout; its name is the library's for it.
        only: the names of the laws to try; all by default.
        quick: draw less: for frameworks that compile for each shape.
    """

    subject: Subject
    only: Sequence[str] = ()
    quick: bool = False
