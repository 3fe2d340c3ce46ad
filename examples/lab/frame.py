"""What an experiment is: a claim, a criterion fixed before the data, runs, a verdict, a figure."""

from __future__ import annotations

import hashlib
import importlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

VERDICTS = ("supported", "not supported", "refuted", "depends")


@dataclass(frozen=True)
class Run:
    """One computation that the laboratory does at most once, wherever it is done.

    Attributes:
        function: where it is, ``"module:name"``: a function of the settings that returns what JSON
            can hold, and depends on nothing else.
        settings: its arguments by name: numbers, strings, lists of these.
    """

    function: str
    settings: Mapping[str, Any] = field(hash=False)

    @property
    def key(self) -> str:
        """A name for the run's file: equal for equal runs, different for different ones."""
        text = json.dumps([self.function, dict(self.settings)], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:24]

    def perform(self) -> Any:
        """Do the computation."""
        module, _, name = self.function.partition(":")
        return getattr(importlib.import_module(module), name)(**self.settings)


@dataclass(frozen=True)
class Scale:
    """How much is done: a quick look, or enough to conclude from.

    Attributes:
        full: False for the quick look.
        seeds: how many seeds each arm of an experiment is run with.
    """

    full: bool
    seeds: int

    def pick(self, quick: Any, full: Any) -> Any:
        """Return what applies at this scale."""
        return full if self.full else quick


class Results:
    """What the runs of an experiment returned."""

    def __init__(self, by_key: Mapping[str, Any]) -> None:
        self._by_key = by_key

    def __getitem__(self, run: Run) -> Any:
        return self._by_key[run.key]

    def __contains__(self, run: Run) -> bool:
        return run.key in self._by_key

    def each(self, runs: Iterable[Run], measure: Callable[[Any], float]) -> list[float]:
        """Return a measure of each run's result."""
        return [measure(self[run]) for run in runs]


@dataclass(frozen=True)
class Finding:
    """What the data say about a claim.

    Attributes:
        verdict: one of `VERDICTS`.
        summary: a sentence or two with the effect, its interval and the number of seeds.
        table: rows of numbers behind it, each a dictionary by column.
    """

    verdict: str
    summary: str
    table: list[dict[str, Any]]

    def __post_init__(self) -> None:
        if self.verdict not in VERDICTS:
            raise ValueError(f"a verdict is one of {VERDICTS}, got {self.verdict!r}")


@dataclass(frozen=True)
class Experiment:
    """A claim and how it is settled.

    Attributes:
        title: a few words.
        claim: what is claimed, in a sentence.
        source: who claims it.
        settings: what is run, in words.
        criterion: when the claim counts as supported, refuted, ...; fixed before there is data.
        runs: the runs needed at a scale.
        judge: (results, scale, level) -> the finding; ``level`` is the confidence of its intervals,
            at full scale set so that all intervals of the laboratory hold together with 95 %.
        draw: (results, scale, matplotlib figure) draws what is seen.
        then: (results, scale) -> runs that hang on the results of the first ones, if any. It is
            also asked with no results, for runs that cost as much.
        comparisons: how many intervals the verdict rests on.
    """

    title: str
    claim: str
    source: str
    settings: str
    criterion: str
    runs: Callable[[Scale], list[Run]]
    judge: Callable[[Results, Scale, float], Finding]
    draw: Callable[[Results, Scale, Any], None]
    then: Callable[[Results, Scale], list[Run]] | None = None
    comparisons: int = 1

    def all_runs(self, scale: Scale, results: Results | None = None) -> list[Run]:
        """Return the runs of both stages; without results, as many as there will be."""
        later = self.then(results or Results({}), scale) if self.then else []
        return self.runs(scale) + later
