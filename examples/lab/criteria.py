"""The primary claims and their criteria: fixed before there is data.

Each record of a run keeps the fingerprint of this table as it stood, and nothing is published whose
criteria have been changed since. The numbers of pairs give 90 % power at the first step of Holm's
procedure, from the scatter that pilots with other seeds had shown.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

LEVEL = 0.05  # of all primary claims together
DIFFERENCE, SAME = "difference", "same"


@dataclass(frozen=True)
class Criterion:
    """When a claim stands.

    Attributes:
        kind: whether an effect is claimed, or that there is none beyond a margin.
        estimand: what is estimated, positive if as claimed.
        test: how, in words.
        least: the smallest effect worth the name, or the margin, of each part; see `unit`.
        unit: in which effects are told, and how many of them make one of the data's.
        pairs: seeds of each arm, for each part.
    """

    kind: str
    estimand: str
    test: str
    least: tuple[float, ...]
    unit: tuple[tuple[str, float], ...]
    pairs: tuple[int, ...]

    @property
    def words(self) -> str:
        """The criterion in a sentence or two."""
        parts = [
            f"{least * scale:g} {name}"
            for least, (name, scale) in dict(zip(self.least, self.unit, strict=True)).items()
        ]
        what = "smallest effect worth the name" if self.kind == DIFFERENCE else "margin"
        pairs = ", ".join(map(str, dict.fromkeys(self.pairs)))
        return f"{self.estimand}; {self.test}; {what} {', '.join(parts)}; {pairs} pairs"


RANK = "exact signed rank, Hodges and Lehmann's estimate; a collapse ranks lowest"
BOTH = f"{RANK}; in each part (intersection-union)"
TOST = "two one-sided exact signed-rank tests, in each part (intersection-union)"
POINTS = ("points", 100.0)

CRITERIA: dict[str, Criterion] = {
    "stability": Criterion(
        DIFFERENCE,
        "share of seeds that collapse within 25 epochs, without dropout minus with",
        "exact McNemar, Newcombe's paired interval",
        *((0.2,), (POINTS,), (64,)),
    ),
    "with_without": Criterion(
        DIFFERENCE,
        "test accuracy over epochs 6 to 10, with dropout minus without",
        *(RANK, (0.005,), (POINTS,), (64,)),
    ),
    "regimes": Criterion(
        DIFFERENCE,
        "test accuracy, with dropout minus without, at 1,000, at 10,000 and at all images, trained "
        "until the control fits",
        *(BOTH, (0.003,) * 3, (POINTS,) * 3, (28, 28, 12)),
    ),
    "sweep": Criterion(
        DIFFERENCE,
        "train accuracy (noise off) lost per tenth of p: a seed's slope over p = 0, .1, .3, .5",
        *(RANK, (0.01,), (POINTS,), (20,)),
    ),
    "activations": Criterion(
        DIFFERENCE,
        "share of activations above 0, without dropout minus with, in each hidden layer",
        *(BOTH, (0.015,) * 2, (POINTS,) * 2, (28, 28)),
    ),
    "averaging": Criterion(
        SAME,
        "average over 100 masks minus weight scaling: test accuracy, and log loss",
        *(TOST, (0.0025, 0.005), (POINTS, ("nats", 1.0)), (28, 28)),
    ),
    "weight_decay": Criterion(
        DIFFERENCE,
        "logarithm of the norm of all weights, without dropout minus with, at equal epochs",
        *(RANK, (0.01,), (("hundredths", 100.0),), (28,)),
    ),
    "width": Criterion(
        DIFFERENCE,
        "test accuracy at 1,000 images, 512 wide with dropout minus the better narrower net "
        "without, each as tuned on validation images",
        *(RANK, (0.003,), (POINTS,), (20,)),
    ),
    "robustness": Criterion(
        DIFFERENCE,
        "accuracy lost to Gaussian noise of 0.3 on the pixels, without dropout minus with",
        *(RANK, (0.005,), (POINTS,), (28,)),
    ),
    "variants": Criterion(
        SAME,
        "test accuracy at 1,000 images minus that of dropout, for Gaussian noise and for "
        "DropConnect; asked only if dropout beats no noise in the same runs",
        *(TOST, (0.0025,) * 2, (POINTS,) * 2, (24, 24)),
    ),
    "normal_noise": Criterion(
        DIFFERENCE,
        "test accuracy over epochs 6 to 10, uniform noise minus normal noise",
        *(RANK, (0.01,), (POINTS,), (26,)),
    ),
    "coadaptation": Criterion(
        DIFFERENCE,
        "accuracy lost when 30 % of the hidden units are deleted, without dropout minus with",
        *(RANK, (0.005,), (POINTS,), (28,)),
    ),
}

#: Pairs of claims that the first look at the data, on 2026-11-29, left undecided for want of pairs.
#: As there were two looks at such a claim, each p of it counts twice (Bonferroni).
SECOND_LOOK: dict[str, tuple[int, ...]] = {"regimes": (28, 28, 24)}


def pairs_of(name: str) -> tuple[int, ...]:
    """Return how many pairs each part of a claim has, after all looks at it."""
    return SECOND_LOOK.get(name, CRITERIA[name].pairs)


def looks_at(name: str) -> int:
    """Return how often the data of a claim were looked at: what each p of it is multiplied by."""
    return 1 + (name in SECOND_LOOK)


def first_step(name: str) -> float:
    """Return what a claim's p is read against if it is the smallest of all."""
    return LEVEL / len(CRITERIA) / looks_at(name)


def fingerprint() -> str:
    """Return a checksum of the criteria as they stood before there was data."""
    text = "\n".join(f"{name}: {c!r}" for name, c in CRITERIA.items()) + f"\n{LEVEL}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]
