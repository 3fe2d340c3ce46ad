"""The published table: a few numbers of each run, from which all that is said can be recomputed."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from minigrad.utils.files import replacing

COLUMNS = ("experiment", "arm", "seed", "measure", "values")
BROKEN = "broke down"  # the measure of a run that was not finite, and so has no other
ABOUT = "about"  # the experiment's name in rows about all of them


class Row(NamedTuple):
    """A measure of a run: a number or several; -inf is an accuracy after a collapse."""

    experiment: str
    arm: str
    seed: str
    measure: str
    values: tuple[float, ...] | str


def rounded(value: float) -> str:
    """Return a number with the six digits that are published."""
    return f"{value:.6g}"


class Table:
    """The rows of one experiment.

    Args:
        rows: of any experiments.
        experiment: the one whose rows are wanted.
    """

    def __init__(self, rows: Iterable[Row], experiment: str) -> None:
        self._values: dict[tuple[str, str], dict[str, tuple[float, ...]]] = {}
        for row in rows:
            if row.experiment == experiment and not isinstance(row.values, str):
                self._values.setdefault((row.arm, row.measure), {})[row.seed] = row.values

    def __contains__(self, key: tuple[str, str]) -> bool:
        return key in self._values

    @property
    def arms(self) -> list[str]:
        """The arms that have seeds, in the order of the runs."""
        return list(dict.fromkeys(arm for (arm, _), rows in self._values.items() if "" not in rows))

    @property
    def broken(self) -> int:
        """How many seeds have a run, in any arm, that was not finite and could not be measured."""
        runs = [rows for (_, measure), rows in self._values.items() if measure == BROKEN]
        return len({seed for rows in runs for seed in rows})

    def all(self, arm: str, measure: str) -> np.ndarray:
        """Return a measure of several numbers: (seeds, numbers); NaN where a run has fewer.

        Raises:
            KeyError: there is none.
        """
        rows = list(self._values[arm, measure].values())
        length = max(map(len, rows))
        return np.array([[*row, *[np.nan] * (length - len(row))] for row in rows], dtype=float)

    def one(self, arm: str, measure: str, place: int = 0) -> np.ndarray:
        """Return a number of each seed."""
        return self.all(arm, measure)[:, place]

    def pairs(self, a: str, b: str, measure: str, place: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """Return a number of each seed that both arms have, in the same order."""
        first, second = self._values[a, measure], self._values[b, measure]
        seeds = [seed for seed in first if seed in second]
        return (
            np.array([first[seed][place] for seed in seeds], dtype=float),
            np.array([second[seed][place] for seed in seeds], dtype=float),
        )


def write(rows: Sequence[Row], path: Path) -> None:
    """Write a table as CSV."""
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for row in rows:
            values = (
                row.values if isinstance(row.values, str) else " ".join(map(rounded, row.values))
            )
            writer.writerow([*row[:4], values])


def read(path: Path) -> list[Row]:
    """Read a table that `write` wrote.

    Raises:
        ValueError: it is not one; says in which line.
    """
    found = []
    with path.open(newline="", encoding="utf-8") as file:
        lines = csv.reader(file)
        if tuple(next(lines, ())) != COLUMNS:
            raise ValueError(f"{path}: the first line must be {','.join(COLUMNS)}")
        for line in lines:
            try:
                experiment, arm, seed, measure, text = line
                values = text if experiment == ABOUT else tuple(map(float, text.split()))
            except ValueError as error:
                raise ValueError(f"{path}, line {lines.line_num}: {error}") from None
            found.append(Row(experiment, arm, seed, measure, values))
    return found
