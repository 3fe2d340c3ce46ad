"""Are the tests worth anything? Falsify what they test, one thing at a time, and see them fail.

    python -m tests.mutation [--op NAME] [--jobs N] [--out docs/mutation.md]
    python -m tests.mutation --package [--file PATH] [--jobs N]

The first falsifies derivatives, the second any line of the files in `PACKAGE`, by `tests.slips`.

Each mutant of `tests.mutants` is planted in a process of its own, a fork of one that has collected
the tests, and the op's tests (those of its file that are not cases of other ops) run until one
fails. A mutant that none kills is a hole in the tests, unless it computes the same: such ones are
listed in `tests.equivalents`, with the reason, and have to survive.

Exit status 0 says that the tests pass as things are, and fail with each mutant. Hypothesis draws
the same examples in every run, as many as in the profile ``ci``. Needs PyTorch and ``os.fork``.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import io
import os
import re
import resource
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, Pipe, wait
from pathlib import Path

import pytest
from hypothesis import Phase, settings

from tests.equivalents import EQUIVALENT, HARMLESS
from tests.mutants import CALLERS, Mutant, formulas, mutants
from tests.slips import Slip, slips

ENGINE = (
    "tests/test_inplace.py", "tests/test_hooks.py", "tests/test_grad_mode.py",
    "tests/test_autograd.py", "tests/test_tensor_data.py", "tests/test_tensor.py",
)  # fmt: skip
#: where the formulas of each file are tested
TESTS = {
    "minigrad/ops/accumulation.py": "tests/ops/test_accumulation.py",
    "minigrad/ops/arithmetic.py": "tests/ops/test_arithmetic.py",
    "minigrad/ops/elementwise.py": "tests/ops/test_elementwise.py",
    "minigrad/ops/linalg.py": "tests/ops/test_linalg.py",
    "minigrad/ops/cross_entropy.py": "tests/ops/test_cross_entropy.py",
    "minigrad/ops/neural.py": "tests/ops/test_neural_ops.py",
    "minigrad/ops/reduction.py": "tests/ops/test_reduction.py",
    "minigrad/ops/selecting.py": "tests/ops/test_elementwise.py",
    "minigrad/ops/shape.py": "tests/ops/test_shape.py",
}
#: the tests that are to notice a slip in a file
PACKAGE = {
    "minigrad/graph.py": ENGINE,
    "minigrad/autograd.py": ENGINE,
    "minigrad/inplace.py": ENGINE,
    "minigrad/hooks.py": ENGINE,
    "minigrad/grad_mode.py": ENGINE,
    "minigrad/nn/module.py": ("tests/nn/test_module.py", "tests/test_serialization.py"),
    "minigrad/optim/optimizer.py": ("tests/optim",),
    "minigrad/optim/lr_scheduler.py": ("tests/optim",),
    "minigrad/optim/sgd.py": ("tests/optim",),
    "minigrad/utils/data.py": ("tests/test_utils_data.py",),
    "minigrad/utils/files.py": ("tests/test_serialization.py",),
    "minigrad/serialization.py": ("tests/test_serialization.py",),
    "minigrad/training.py": ("tests/test_training.py",),
    "minigrad/random.py": ("tests/test_random.py", "tests/nn/test_dropout.py"),
    "minigrad/masks.py": ("tests/test_random.py", "tests/nn/test_dropout.py"),
    "data/idx.py": ("tests/data/test_idx.py", "tests/data/test_fashion_mnist.py"),
    "examples/lab/statistics.py": ("tests/test_lab_statistics.py",),
    "examples/lab/training.py": ("tests/test_lab_training.py",),
}
PATIENCE = 120  # seconds of computing, after which a mutant that makes the tests hang is killed
MEMORY = 8 * 2**30  # bytes


@dataclass
class Trial:
    """A run of some tests.

    Attributes:
        tests: the files or folders with them.
        mutant: what is planted; None: nothing, and all has to pass.
        killer: the test that failed; "" if none did.
        message: what it said.
    """

    tests: tuple[str, ...]
    mutant: Mutant | Slip | None = None
    killer: str = ""
    message: str = ""

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


# ------------------------------------------------------------------------- running the tests


@dataclass
class Forks:
    """A pytest plugin that runs the collected tests once for each trial, each time in a fork."""

    trials: Sequence[Trial]
    jobs: int
    running: dict[Connection, tuple[Trial, int]] = field(default_factory=dict)
    parent: Connection | None = None  # in a fork: where to report to
    seconds: dict[str, float] = field(default_factory=dict)  # that each test takes, as things are

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool | None:
        """Start a fork for each trial; in the forks, let pytest's own loop go on from here."""
        gc.freeze()  # what is there stays: forks need not look through it
        for trial in self.trials:
            while len(self.running) >= (self.jobs if self._sound() else 1):
                self._hear()
            ours, theirs = Pipe(duplex=False)
            if child := os.fork():
                theirs.close()
                self.running[ours] = trial, child
                continue
            self.parent = theirs
            resource.setrlimit(resource.RLIMIT_CPU, (PATIENCE, PATIENCE))
            resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
            signal.alarm(10 * PATIENCE)
            session.items[:] = chosen(session.items, trial, self.seconds)
            if trial.mutant:
                trial.mutant.plant()
            return None
        while self.running:
            self._hear()
        return True

    def _sound(self) -> bool:
        """Return whether all that runs has a mutant; until then, nobody knows what takes long."""
        return all(trial.mutant for trial, _ in self.running.values())

    def _hear(self) -> None:
        """Wait until forks report, and note what they say."""
        for pipe in wait(list(self.running)):
            trial, child = self.running.pop(pipe)
            try:
                trial.killer, trial.message, seconds = pipe.recv()
                self.seconds |= seconds if trial.mutant is None else {}
            except EOFError:
                trial.killer, trial.message = " ".join(trial.tests), "crashed, or came to no end"
            pipe.close()
            os.waitpid(child, 0)

    def _say(self, killer: str, message: str) -> None:
        self.parent.send((killer, message, self.seconds))
        os._exit(0)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note how long each test took."""
        self.seconds[report.nodeid] = self.seconds.get(report.nodeid, 0) + report.duration

    def pytest_exception_interact(self, node: pytest.Item, call: pytest.CallInfo) -> None:
        """In a fork, report the first failure, and end."""
        if self.parent:
            self._say(node.nodeid, call.excinfo.exconly().partition("\n")[0])

    def pytest_sessionfinish(self) -> None:
        """In a fork, report that no test has failed, and end."""
        if self.parent:
            self._say("", "")


def chosen(
    items: Sequence[pytest.Item], trial: Trial, seconds: dict[str, float]
) -> list[pytest.Item]:
    """Return the tests that are to kill a mutant, those of derivatives first, or those that are
    quick."""
    own = [item for item in items if item.nodeid.startswith(trial.tests)]
    if trial.mutant is None:
        return own
    if isinstance(trial.mutant, Slip):
        return sorted(own, key=lambda item: seconds.get(item.nodeid, 0))
    formula = trial.mutant.formula
    if formula.entry:  # a function that entries call is tested by all ops of its file
        names = CALLERS.get(formula.owner, (formula.owner,))
        own = [item for item in own if op_of(item) in (None, *names)]
    return sorted(own, key=lambda item: not re.search("gradient|derivative", item.name))


def op_of(item: pytest.Item) -> str | None:
    """Return the op whose case a test is; None for a test that is no op's in particular."""
    if not hasattr(item.cls, "cases"):
        return None
    return item.callspec.id.partition(":")[0] if hasattr(item, "callspec") else ""


def run(trials: Sequence[Trial], jobs: int, examples: int = 100) -> None:
    """Run all trials; what becomes of them is written into them."""
    settings.register_profile(
        "mutation",
        deadline=None,
        derandomize=True,
        database=None,
        max_examples=examples,
        report_multiple_bugs=False,
        phases=[Phase.explicit, Phase.generate],  # a failure is enough: it need not be small
    )
    options = ["-s", "-p", "no:cacheprovider", "-o", "addopts=--import-mode=importlib"]
    options.append("--hypothesis-profile=mutation")
    files = dict.fromkeys(file for trial in trials for file in trial.tests)
    with contextlib.redirect_stdout(io.StringIO()) as out:
        status = pytest.main([*options, *files], plugins=[Forks(trials, jobs)])
    if status != pytest.ExitCode.OK:
        raise SystemExit(out.getvalue())


# ------------------------------------------------------------------------- what is found

PAGE = """\
# The tests of the derivatives, tested

Each formula in the table of derivatives is changed in one place, in all the ways of the second
table, and the tests of its op have to fail. A formula is an entry of the table, or a function
that entries call and that is no public op.

Of {all} mutants the tests kill {killed}; {alive} live, and {equivalent} compute the same as the
right formula, for the reasons at the end.

    {command}

Not in it: the gradient of a move between devices (`minigrad/tensor.py`), which only a machine with
a GPU computes.
"""


def report(trials: Sequence[Trial], command: str) -> str:
    """Return what was found, as a page in Markdown."""
    fates = {"all": len(trials), "killed": 0, "equivalent": 0, "alive": 0}
    fates |= Counter(trial.fate for trial in trials)
    parts = [PAGE.format(command=command, **fates)]
    parts.append(table(trials, "file", lambda mutant: f"`{mutant.formula.module}`"))
    parts.append("## By what was changed\n")
    parts.append(table(trials, "change", lambda mutant: mutant.kind))
    for file in dict.fromkeys(trial.mutant.formula.module for trial in trials):
        own = [trial for trial in trials if trial.mutant.formula.module == file]
        parts.append(f"## `{file}`\n")
        parts.append(table(own, "op or function", lambda mutant: f"`{mutant.formula.owner}`"))
    parts.append("## Mutants that compute the same\n")
    there = {str(trial.mutant) for trial in trials}
    for reason, shown in EQUIVALENT.items():
        if same := [f"  - `{mutant}`" for mutant in shown if mutant in there]:
            parts.append("\n".join([f"- {reason}:", *same]))
    return "\n".join(parts) + "\n"


def report_of_package(trials: Sequence[Trial]) -> str:
    """Return what became of slips: a table of files, and those that live."""
    lines = ["| file | slips | killed | equivalent | alive |", "|---|---:|---:|---:|---:|"]
    for file in dict.fromkeys(trial.mutant.module for trial in trials):
        fates = Counter(trial.fate for trial in trials if trial.mutant.module == file)
        cells = [fates.total(), *(fates[fate] for fate in ("killed", "equivalent", "alive"))]
        lines.append("| " + " | ".join([f"`{file}`", *map(str, cells)]) + " |")
    reasons = [r for file, r in HARMLESS.items() if any(file == t.mutant.module for t in trials)]
    for reason, shown in [item for by_reason in reasons for item in by_reason.items()]:
        if same := [f"  - `{t.mutant}`" for t in trials if str(t.mutant) in shown]:
            lines += ["", f"- {reason}:", *same]
    return "\n".join(lines) + "\n"


def table(trials: Sequence[Trial], head: str, key: Callable[[Mutant], str]) -> str:
    """Return a table in Markdown: a row for each key, and one for all together."""
    groups: dict[str, list[Trial]] = {}
    for trial in trials:
        groups.setdefault(key(trial.mutant), []).append(trial)
    lines = [
        f"| {head} | entries | functions | mutants | killed | equivalent | alive |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for name, group in [*groups.items(), ("together", trials)]:
        entries = Counter(bool(f.entry) for f in {trial.mutant.formula for trial in group})
        fates = Counter(trial.fate for trial in group)
        cells = [entries[True], entries[False], len(group)]
        cells += [fates[fate] for fate in ("killed", "equivalent", "alive")]
        lines.append("| " + " | ".join([name, *map(str, cells)]) + " |")
    return "\n".join(lines) + "\n"


def main() -> int:
    if "OMP_NUM_THREADS" not in os.environ:  # begin again on one thread, since forks share none
        os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        os.execv(sys.executable, [sys.executable, "-m", "tests.mutation", *sys.argv[1:]])
    import torch  # noqa: F401  (without it, most tests would be skipped)

    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--op", help="only the formulas of this op or function")
    parser.add_argument("--package", action="store_true", help="the files of PACKAGE instead")
    parser.add_argument(
        "--file", choices=PACKAGE, help="of the package, only this", action="append"
    )
    parser.add_argument("--jobs", type=int, default=2, help="how many mutants at a time")
    parser.add_argument("--out", type=Path, help="where to write the report to")
    args = parser.parse_args()

    start = time.monotonic()
    if args.package:
        files = args.file or list(PACKAGE)
        trials = [Trial(PACKAGE[file], slip) for file in files for slip in slips(file)]
        sound = [Trial(tests) for tests in dict.fromkeys(trial.tests for trial in trials)]
        run([*sound, *trials], args.jobs, examples=20)
        page = report_of_package(trials)
    else:
        found = [f for module in TESTS for f in formulas(module) if args.op in (None, f.owner)]
        if not found:
            parser.error(f"no formula of a derivative belongs to {args.op!r}")
        trials = [Trial((TESTS[f.module],), mutant) for f in found for mutant in mutants(f)]
        sound = [Trial(tests) for tests in dict.fromkeys(trial.tests for trial in trials)]
        run([*sound, *trials], args.jobs)
        option = f" --op {args.op}" if args.op else ""
        page = report(trials, f"python -m tests.mutation{option}")
    print(page)
    if args.out:
        args.out.write_text(page, encoding="utf-8")
    wrong = [f"fails without a mutant: {t.killer}: {t.message}" for t in sound if t.killer]
    for trial in trials:
        if trial.fate == "alive":
            wrong.append(f"alive: {trial.mutant}")
        elif trial.killer and trial.same:
            wrong.append(f"not equivalent: {trial.mutant}: {trial.killer}: {trial.message}")
    print(*wrong, f"{time.monotonic() - start:.0f} seconds", sep="\n", file=sys.stderr)
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
