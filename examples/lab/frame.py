"""What an experiment is: a claim, a criterion fixed before the data, runs, a verdict, a figure."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from examples.lab import identity, images
from examples.lab.table import BROKEN, Row, Table, rounded

if TYPE_CHECKING:  # a worker that trains needs no statistics
    from examples.lab.verdicts import Effect


@dataclass(frozen=True)
class Run:
    """One computation that the laboratory does at most once, wherever it is done.

    Attributes:
        function: where it is, ``"module:name"``: a function of the settings that returns what JSON
            can hold, and depends on nothing that `identity` does not hold.
        settings: its arguments by name: numbers, strings, lists of these.
        data: the SHA-256 of the images that it reads, see `images.found`; "" for none.
    """

    function: str
    settings: Mapping[str, Any] = field(hash=False)
    data: str = ""

    @functools.cached_property
    def identity(self) -> dict[str, Any]:
        """All that the result depends on."""
        return identity.of_run(self.function, self.settings, self.data)

    @functools.cached_property
    def key(self) -> str:
        """A name for the run's file: equal for equal runs, different for different ones."""
        text = json.dumps(self.identity, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:24]

    def perform(self) -> Any:
        """Do the computation.

        Raises:
            ValueError: the images here are not those that the run is about.
        """
        with images.asked(self.data):
            return identity.function(self.function)(**self.settings)


@dataclass(frozen=True)
class Scale:
    """How much is done, and on which images: a quick look, or enough to conclude from.

    Attributes:
        full: False for the quick look.
        data: the SHA-256 of the images.
        seeds: how many seeds each arm is run with, instead of those that the criteria ask for.
        device: where networks are trained.
    """

    full: bool
    data: str = ""
    seeds: int | None = None
    device: str = "cpu"

    def pick(self, quick: Any, full: Any) -> Any:
        """Return what applies at this scale."""
        return full if self.full else quick

    def pairs(self, full: int, quick: int = 6) -> range:
        """Return the seeds of an arm: as many as asked for, or as its criterion has."""
        return range(self.seeds or self.pick(quick, full))

    def train(self, seeds: Iterable[int], **settings: Any) -> list[Run]:
        """Return trainings that differ in their seeds alone."""
        if self.device != "cpu":
            settings["device"] = self.device
        name = "examples.lab.training:train"
        return [Run(name, {**settings, "seed": seed}, self.data) for seed in seeds]


Arms = dict[str, list[Run]]  # runs by the name of their arm, in the order of their seeds


class Results:
    """What runs returned."""

    def __init__(self, by_key: Mapping[str, Any]) -> None:
        self._by_key = by_key

    def __getitem__(self, run: Run) -> Any:
        return self._by_key[run.key]

    def __contains__(self, run: Run) -> bool:
        return run.key in self._by_key


@dataclass(frozen=True)
class Experiment:
    """A claim and how it is settled.

    A result is first boiled down to a few numbers, the rows of the published table. Effects, the
    figure and all that is said come from these rows alone.

    Attributes:
        name: of its module, and of its rows in the table.
        title: a few words.
        claim: what is claimed, in a sentence.
        source: who claims it.
        settings: what is run, in words.
        arms: the runs needed at a scale.
        measures: (arm, result) -> the numbers of a run that are published, by name.
        details: (table) -> rows of numbers behind it, each a dictionary by column.
        draw: (table, matplotlib figure) draws what is seen.
        effects: (table) -> the effects that the verdict rests on, each positive if as claimed; None
            for what is reported with intervals and without a verdict.
        then: (results, scale) -> runs that hang on the results of the first ones, if any. It is
            also asked with no results, for runs that cost as much.
        across: (results, arms) -> rows that no single run gives.
        gate: (table) -> what must hold for the claim to be asked at all; "" if it does.
    """

    name: str
    title: str
    claim: str
    source: str
    settings: str
    arms: Callable[[Scale], Arms]
    measures: Callable[[str, Any], Mapping[str, Any]]
    details: Callable[[Table], list[dict[str, Any]]]
    draw: Callable[[Table, Any], None]
    effects: Callable[[Table], list[Effect]] | None = None
    then: Callable[[Results, Scale], Arms] | None = None
    across: Callable[[Results, Arms], list[Row]] | None = None
    gate: Callable[[Table], str] | None = None

    def all_arms(self, scale: Scale, results: Results | None = None) -> Arms:
        """Return the runs of both stages; without results, as many as there will be."""
        later = self.then(results or Results({}), scale) if self.then else {}
        return {**self.arms(scale), **later}

    def rows(self, results: Results, scale: Scale) -> list[Row]:
        """Return the rows of the published table.

        A run whose loss stopped being finite has nothing that a probe would have found: it has a
        row that says so instead, and its pair is left out of what is compared.
        """
        arms = self.all_arms(scale, results)
        found = [
            Row(self.name, arm, str(run.settings["seed"]), measure, as_numbers(value))
            for arm, runs in arms.items()
            for run in runs
            for measure, value in self._measures(arm, results[run]).items()
        ]
        return found + (self.across(results, arms) if self.across else [])

    def _measures(self, arm: str, result: Any) -> Mapping[str, Any]:
        try:
            return self.measures(arm, result)
        except KeyError:
            if not isinstance(result, dict) or result.get("broke_down") is None:
                raise
            return {BROKEN: result["broke_down"]}


def as_numbers(value: Any) -> tuple[float, ...]:
    """Return a number, or a list of numbers, as a tuple of floats, with the digits published."""
    many: Sequence[Any] = value if isinstance(value, Sequence) else [value]
    return tuple(float(rounded(float(v))) for v in many)
