"""An epoch of the chapter's training: minigrad, its rivals, and what the matrix products cost."""

from __future__ import annotations

from benchmarks.pairs import Result, compare
from benchmarks.trainers import contestants

IMAGES = 60_000


def run(quick: bool = False) -> list[Result]:
    """Measure an epoch with dropout and one without.

    Args:
        quick: fewer images and rounds.
    """
    images, repeats = (IMAGES // 10, 3) if quick else (IMAGES, 9)
    return [
        compare(task, contestants(images, p), repeats, warmup=1)
        for task, p in (("epoch, dropout .2/.5", (0.2, 0.5)), ("epoch, no dropout", (0.0, 0.0)))
    ]
