"""Running tests against mutants: each mutant in a fork of a process that has collected the tests.

At first the tests run as things are, and what each takes and calls is noted. A mutant of a function
meets only tests that call it: first those that killed others of that function, then the quick ones.
What survives meets the slow ones, and the properties again, with `MORE` times as many examples.
"""

from __future__ import annotations

import contextlib
import gc
import io
import os
import re
import resource
import signal
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, Pipe, wait
from typing import Any

import pytest
from hypothesis import Phase, settings

from tests.equivalents import ELSEWHERE, EQUIVALENT, HARMLESS
from tests.mutants import CALLERS, Mutant
from tests.slips import Slip, watch

EXAMPLES = 20  # of each property, at first
MORE = 10
SLOW = 2  # seconds, from which on a test is for what has survived the others
PATIENCE = 5, 20  # seconds that a test may compute, and times what it takes as things are
MEMORY = 4 * 2**30  # bytes


@dataclass
class Trial:
    """A run of some tests.

    Attributes:
        tests: the files or folders with them.
        mutant: what is planted; None: nothing, and all has to pass.
        killer: the test that failed; "" if none did.
        message: what it said.
        seconds: how long that took.
        again: whether this is the second try, with slow tests and more examples.
    """

    tests: tuple[str, ...]
    mutant: Mutant | Slip | None = None
    killer: str = ""
    message: str = ""
    seconds: float = 0.0
    again: bool = False

    @property
    def fate(self) -> str:
        """What became of the mutant: killed, equivalent, elsewhere or alive."""
        if self.killer or self.same:
            return "killed" if self.killer else "equivalent"
        places = ELSEWHERE.get(self.owner[0], {}).values()
        elsewhere = any(str(self.mutant).startswith(beginnings) for beginnings in places)
        return "elsewhere" if elsewhere else "alive"

    @property
    def same(self) -> bool:
        """Whether the mutant is known to compute the same."""
        slip = isinstance(self.mutant, Slip)
        known = HARMLESS.get(self.mutant.module, {}) if slip else EQUIVALENT
        return any(str(self.mutant) in shown for shown in known.values())

    @property
    def owner(self) -> tuple[str, str]:
        """The file and the function that the mutant is in."""
        where = self.mutant if isinstance(self.mutant, Slip) else self.mutant.formula
        return where.module, where.owner


Place = tuple[str, str]  # of a function: its file, and its name


@dataclass
class Known:
    """What is known of the tests, from the run without a mutant.

    Attributes:
        seconds: what each test takes.
        calls: which of the functions that have mutants each test calls; and under a file's name,
            which of them are called by what sets up its tests.
    """

    seconds: Counter[str] = field(default_factory=Counter)
    calls: dict[str, set[Place]] = field(default_factory=dict)


# ------------------------------------------------------------------------- which tests, in order


def chosen(
    items: Sequence[pytest.Item], trial: Trial, known: Known, kills: Counter[str]
) -> list[pytest.Item]:
    """Return the tests that are to kill a mutant, the most promising first.

    Args:
        items: all tests.
        trial: with the mutant.
        known: what is known of the tests.
        kills: how many mutants of the same function each test has killed.
    """
    own = [item for item in items if item.nodeid.startswith(trial.tests)]
    if trial.mutant is None:
        return own
    if isinstance(trial.mutant, Slip):
        place = trial.owner
        useful = {i for i in own if any(place in known.calls.get(k, ()) for k in _names(i))}
    else:
        formula = trial.mutant.formula  # a function that entries call is tested by all of its file
        names = CALLERS.get(formula.owner, (formula.owner,))
        useful = {i for i in own if not formula.entry or op_of(i) in (None, *names)}
    slow = {item for item in useful if known.seconds[item.nodeid] > SLOW}
    if trial.again:  # with more examples, a property may call more
        useful = slow | ({*filter(_property, own)} if isinstance(trial.mutant, Slip) else useful)
        useful = {item for item in useful if item in slow or _property(item)}
    else:
        useful -= slow

    def promise(item: pytest.Item) -> float:
        name = item.nodeid
        of_derivatives = re.search("gradient|derivative", name) and isinstance(trial.mutant, Mutant)
        return (1 + 20 * kills[name] + 10 * bool(of_derivatives)) / (known.seconds[name] + 1e-3)

    return sorted((item for item in own if item in useful), key=promise, reverse=True)


def op_of(item: pytest.Item) -> str | None:
    """Return the op whose case a test is; None for a test that is no op's in particular."""
    if not hasattr(item.cls, "cases"):
        return None
    return item.callspec.id.partition(":")[0] if hasattr(item, "callspec") else ""


def _names(item: pytest.Item) -> tuple[str, str]:
    """Return the names under which `Known.calls` has what a test calls."""
    return item.nodeid, item.nodeid.partition("::")[0]


def _property(item: pytest.Item) -> Any:
    """Return the function of a test that hypothesis gives examples to; None for other tests."""
    function = getattr(item.obj, "__func__", item.obj)
    return function if getattr(function, "is_hypothesis_test", False) else None


def _with_more_examples(items: Sequence[pytest.Item]) -> None:
    for function in {_property(item) for item in items} - {None}:
        ours = function._hypothesis_internal_use_settings
        more = settings(ours, max_examples=MORE * ours.max_examples)
        function._hypothesis_internal_use_settings = more


# ------------------------------------------------------------------------- running them


@dataclass
class Forks:
    """A pytest plugin that runs the collected tests once for each trial, each time in a fork."""

    trials: Sequence[Trial]
    jobs: int
    note: Callable[[Trial], None]
    known: Known = field(default_factory=Known)
    kills: dict[tuple[str, str], Counter[str]] = field(default_factory=dict)
    waiting: deque[Trial] = field(default_factory=deque)
    running: dict[Connection, tuple[Trial, int]] = field(default_factory=dict)
    parent: Connection | None = None  # in a fork: where to report to
    called: dict[str, set[Place]] | None = None  # in a fork without a mutant, by test
    calling: set[Place] = field(default_factory=set)  # the latest of these

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool | None:
        """Start a fork for each trial; in the forks, let pytest's own loop go on from here."""
        gc.freeze()  # what is there stays: forks need not look through it
        self.waiting.extend(self.trials)
        while self.waiting or self.running:
            if not self.waiting or len(self.running) >= (self.jobs if self._sound() else 1):
                self._hear()
                continue
            trial = self.waiting.popleft()
            trial.seconds -= time.monotonic()
            ours, theirs = Pipe(duplex=False)
            if child := os.fork():
                theirs.close()
                self.running[ours] = trial, child
                continue
            self.parent = theirs
            self._prepare(session, trial)
            return None
        return True

    def _sound(self) -> bool:
        """Return whether all that runs has a mutant; until then, nobody knows what takes long."""
        return all(trial.mutant for trial, _ in self.running.values())

    def _prepare(self, session: pytest.Session, trial: Trial) -> None:
        """In a fork, choose its tests and plant its mutant."""
        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
        kills = self.kills.get(trial.owner, Counter()) if trial.mutant else Counter()
        session.items[:] = chosen(session.items, trial, self.known, kills)
        if trial.again:
            _with_more_examples(session.items)
        if trial.mutant:
            trial.mutant.plant()
            return
        self.called = {}
        for module in {t.mutant.module for t in self.trials if isinstance(t.mutant, Slip)}:
            watch(module, lambda place: self.calling.add(place))

    def _hear(self) -> None:
        """Wait until forks report, and note what they say."""
        for pipe in wait(list(self.running)):
            trial, child = self.running.pop(pipe)
            try:
                trial.killer, trial.message, known = pipe.recv()
            except EOFError:
                trial.killer, trial.message, known = "?", "crashed, or came to no end", Known()
            trial.seconds += time.monotonic()
            pipe.close()
            os.waitpid(child, 0)
            if trial.mutant is None:
                self.known.seconds |= known.seconds
                self.known.calls.update(known.calls)
                if trial.killer:  # then nothing can be said of mutants
                    waiting = [other for other in self.waiting if other.tests != trial.tests]
                    self.waiting = deque(waiting)
                continue
            self.note(trial)
            if trial.killer:
                self.kills.setdefault(trial.owner, Counter())[trial.killer] += 1
            elif not trial.again:
                trial.again = True
                self.waiting.append(trial)

    # ----- in the forks

    def _say(self, killer: str, message: str) -> None:
        known = Known()
        if self.called is not None:
            known = Known(self.known.seconds, self.called)
        self.parent.send((killer, message, known))
        os._exit(0)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Note what fixtures call: it serves, perhaps, all tests of the file."""
        if self.called is not None:
            self.calling = self.called.setdefault(_names(item)[1], set())

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_call(self, item: pytest.Item) -> None:
        """Note what the test calls."""
        if self.called is not None:
            self.calling = self.called.setdefault(item.nodeid, set())

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Limit how long the next test may take, with a mutant."""
        if self.called is None:
            used = resource.getrusage(resource.RUSAGE_SELF)
            limit = PATIENCE[0] + PATIENCE[1] * self.known.seconds[nodeid]
            soft = int(used.ru_utime + used.ru_stime + limit) + 1
            resource.setrlimit(resource.RLIMIT_CPU, (soft, resource.RLIM_INFINITY))
            signal.alarm(int(10 * limit))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note how long each test took."""
        if self.called is not None:
            self.known.seconds[report.nodeid] += report.duration

    def pytest_exception_interact(self, node: pytest.Item, call: pytest.CallInfo) -> None:
        """In a fork, report the first failure, and end."""
        if self.parent:
            self._say(node.nodeid, call.excinfo.exconly().partition("\n")[0])

    def pytest_internalerror(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """In a fork, report that pytest itself broke, which nobody overlooks, and end."""
        if self.parent:
            self._say("?", excinfo.exconly().partition("\n")[0])

    def pytest_sessionfinish(self) -> None:
        """In a fork, report that no test has failed, and end."""
        if self.parent:
            self._say("", "")


def run(trials: Sequence[Trial], jobs: int, note: Callable[[Trial], None]) -> None:
    """Run all trials; what becomes of them is written into them, and ``note`` is called for each.

    Raises:
        SystemExit: pytest could not collect the tests.
    """
    settings.register_profile(
        "mutation",
        deadline=None,
        derandomize=True,
        database=None,
        max_examples=EXAMPLES,
        report_multiple_bugs=False,
        phases=[Phase.explicit, Phase.generate],  # a failure is enough: it need not be small
    )
    options = ["-s", "--seed=0", "-p", "no:cacheprovider", "-o", "addopts=--import-mode=importlib"]
    options.append("--hypothesis-profile=mutation")
    files = dict.fromkeys(file for trial in trials for file in trial.tests)
    with contextlib.redirect_stdout(io.StringIO()) as out:
        status = pytest.main([*options, *files], plugins=[Forks(trials, jobs, note)])
    if status != pytest.ExitCode.OK:
        raise SystemExit(out.getvalue())
