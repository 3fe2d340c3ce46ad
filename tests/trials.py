"""Running tests against mutants: each mutant in a fork of a process that has collected the tests.

At first the tests run as things are, and what each takes and calls is noted. A mutant of a function
meets only tests that call it: first those that killed others of that function, then the quick ones.
What survives meets the properties again, with `MORE` times as many examples.
"""

from __future__ import annotations

import contextlib
import gc
import io
import os
import re
import resource
import signal
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, Pipe, wait
from types import CodeType, FrameType
from typing import Any

import pytest
from hypothesis import Phase, settings

from tests.equivalents import EQUIVALENT, HARMLESS
from tests.mutants import CALLERS, ROOT, Mutant
from tests.slips import Slip

EXAMPLES = 20  # of each property, at first
MORE = 5
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
        again: whether this is the second try, with more examples.
    """

    tests: tuple[str, ...]
    mutant: Mutant | Slip | None = None
    killer: str = ""
    message: str = ""
    seconds: float = 0.0
    again: bool = False

    @property
    def fate(self) -> str:
        """What became of the mutant: killed, equivalent or alive."""
        return "killed" if self.killer else "equivalent" if self.same else "alive"

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


Place = tuple[str, int]  # of a function: its file, and the line where it begins


@dataclass
class Known:
    """What is known of the tests, from the run without a mutant.

    Attributes:
        seconds: what each test takes.
        calls: what each test calls, and under a file's name what fixtures of its tests call.
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
        code = trial.mutant.code
        place = code.co_filename, code.co_firstlineno
        if not trial.again:  # with more examples, a property may call more
            own = [i for i in own if any(place in known.calls.get(k, ()) for k in _names(i))]
    elif trial.mutant.formula.entry:  # a function that entries call is tested by all of its file
        formula = trial.mutant.formula
        names = CALLERS.get(formula.owner, (formula.owner,))
        own = [item for item in own if op_of(item) in (None, *names)]
    if trial.again:
        own = [item for item in own if _property(item)]

    def promise(item: pytest.Item) -> float:
        name = item.nodeid
        of_derivatives = re.search("gradient|derivative", name) and isinstance(trial.mutant, Mutant)
        return (1 + 20 * kills[name] + 10 * bool(of_derivatives)) / (known.seconds[name] + 1e-3)

    return sorted(own, key=promise, reverse=True)


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
    for function in {_property(item) for item in items}:
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
    running: dict[Connection, tuple[Trial, int]] = field(default_factory=dict)
    parent: Connection | None = None  # in a fork: where to report to
    called: dict[str, dict[int, CodeType]] | None = None  # in a fork without a mutant

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool | None:
        """Start a fork for each trial; in the forks, let pytest's own loop go on from here."""
        gc.freeze()  # what is there stays: forks need not look through it
        self.waiting = deque(self.trials)
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
        else:
            self.called = {}

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
                self.known.seconds.update(known.seconds)
                self.known.calls.update(known.calls)
            elif trial.killer or trial.again:
                self.kills.setdefault(trial.owner, Counter())[trial.killer] += 1
                self.note(trial)
            else:
                trial.again = True
                self.waiting.append(trial)

    # ----- in the forks

    def _say(self, killer: str, message: str) -> None:
        known = Known()
        if self.called is not None:
            sys.setprofile(None)
            known = Known(self.known.seconds, {k: _places(c) for k, c in self.called.items()})
        self.parent.send((killer, message, known))
        os._exit(0)

    @contextlib.contextmanager
    def _watched(self, name: str) -> Iterator[None]:
        """Note what is called meanwhile, in a fork without a mutant."""
        if self.called is not None:
            codes = self.called.setdefault(name, {})

            def look(frame: FrameType, event: str, _: Any) -> None:
                if event == "call":
                    codes[id(frame.f_code)] = frame.f_code

            threading.setprofile(look)
            sys.setprofile(look)
        yield

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Iterator[None]:
        """Note what fixtures call: it serves, perhaps, all tests of the file."""
        with self._watched(_names(item)[1]):
            return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Iterator[None]:
        """Note what the test calls."""
        with self._watched(item.nodeid):
            return (yield)

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

    def pytest_sessionfinish(self) -> None:
        """In a fork, report that no test has failed, and end."""
        if self.parent:
            self._say("", "")


def _places(codes: dict[int, CodeType]) -> set[Place]:
    """Return where functions of the repository begin."""
    files = str(ROOT)
    places = {(code.co_filename, code.co_firstlineno) for code in codes.values()}
    return {place for place in places if place[0].startswith(files)}


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
