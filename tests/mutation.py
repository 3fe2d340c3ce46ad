"""Are the tests worth anything? Falsify what they test, one thing at a time, and see them fail.

    python -m tests.mutation [--op NAME] [--jobs N] [--record FILE]
    python -m tests.mutation --package [--file PATH] [--jobs N] [--record FILE]

The first falsifies derivatives, the second any line of the files in `PACKAGE`, by `tests.slips`.

Each mutant is planted in a process of its own, and the tests that are to notice it run until one
fails (`tests.trials`): of a derivative, those of its file that are not cases of other ops. A mutant
that none kills is a hole in the tests, unless it computes the same: such ones are listed in
`tests.equivalents`, with the reason, and have to survive.

With ``--record FILE`` what becomes of each is written down as it comes, and what was killed before,
in a file that has not changed since, is not run again.

Exit status 0 says that the tests pass as things are, and fail with each mutant. Hypothesis draws
the same examples in every run: as many as in the profile ``dev``, and ten times as many where a
mutant survives these. Needs PyTorch and ``os.fork``.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path

from tests.equivalents import EQUIVALENT, HARMLESS
from tests.mutants import ROOT, Mutant, formulas, mutants
from tests.slips import slips
from tests.trials import Trial, run

ENGINE = (
    "tests/test_inplace.py", "tests/test_hooks.py", "tests/test_grad_mode.py",
    "tests/test_autograd.py", "tests/test_tensor_data.py", "tests/test_tensor.py",
)  # fmt: skip
RANDOM = (
    "tests/test_random.py", "tests/test_sampling.py", "tests/test_parts.py",
    "tests/nn/test_dropout.py", "tests/nn/test_init.py", "tests/test_creation.py",
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
    "minigrad/nn/module.py": ("tests/nn/test_module.py", "tests/nn/test_containers.py"),
    "minigrad/optim/optimizer.py": ("tests/optim",),
    "minigrad/optim/adam.py": ("tests/optim",),
    "minigrad/optim/lr_scheduler.py": ("tests/optim",),
    "minigrad/optim/sgd.py": ("tests/optim",),
    "minigrad/utils/data.py": ("tests/test_utils_data.py",),
    "minigrad/utils/files.py": ("tests/test_serialization.py",),
    "minigrad/serialization.py": ("tests/test_serialization.py",),
    "minigrad/safetensors_format.py": ("tests/test_serialization.py",),
    "minigrad/training.py": ("tests/test_training.py", "tests/test_checkpoint.py"),
    "minigrad/checkpoint.py": ("tests/test_checkpoint.py", "tests/test_training.py"),
    "minigrad/random.py": RANDOM,
    "minigrad/masks.py": RANDOM,
    "data/fashion_mnist.py": ("tests/data",),
    "data/idx.py": ("tests/data",),
    "examples/lab/statistics.py": ("tests/test_lab_statistics.py",),
    "examples/lab/training.py": ("tests/test_lab_training.py",),
}


# ------------------------------------------------------------------------- what is found

PAGE = """\
# The tests of the derivatives, tested

Each formula in the table of derivatives is changed in one place, in all the ways of the second
table, and the tests of its op have to fail. A formula is an entry of the table, or a function
that entries call and that is no public op.

Of {all} mutants the tests kill {killed}; {alive} live, and {equivalent} compute the same as the
right formula, for the reasons below. `tests/equivalents.py` says which: they have to survive.

    {command}

Not in it: the gradient of a move between devices (`minigrad/tensor.py`), which only a machine with
a GPU computes.
"""


def report(trials: Sequence[Trial], options: str) -> str:
    """Return what was found, as a page in Markdown."""
    fates = {"all": len(trials), "killed": 0, "equivalent": 0, "alive": 0}
    fates |= Counter(trial.fate for trial in trials)
    parts = [PAGE.format(command=f"python -m tests.mutation{options}", **fates)]
    parts.append(table(trials, "file", lambda mutant: f"`{mutant.formula.module}`"))
    parts.append("## By what was changed\n")
    parts.append(table(trials, "change", lambda mutant: mutant.kind))
    if said := reasons(trials, EQUIVALENT):
        parts += ["## Why some compute the same\n", *said]
    return "\n".join(parts) + "\n"


def report_of_package(trials: Sequence[Trial]) -> str:
    """Return what became of slips: a table of files, and those that are harmless."""
    shown_fates = ("killed", "equivalent", "elsewhere", "alive")
    lines = [f"| file | slips | {' | '.join(shown_fates)} |", "|---|---:|---:|---:|---:|---:|"]
    for file in dict.fromkeys(trial.mutant.module for trial in trials):
        fates = Counter(trial.fate for trial in trials if trial.mutant.module == file)
        cells = [fates.total(), *(fates[fate] for fate in shown_fates)]
        lines.append("| " + " | ".join([f"`{file}`", *map(str, cells)]) + " |")
    for file, known in HARMLESS.items():
        own = [trial for trial in trials if trial.mutant.module == file]
        if said := reasons(own, known):
            lines += ["", f"`{file}`:", "", *said]
    return "\n".join(lines) + "\n"


def reasons(trials: Sequence[Trial], known: Mapping[str, Sequence[str]]) -> list[str]:
    """Return why some compute the same, and how many that are, as a list in Markdown."""
    counts = {
        why: sum(str(trial.mutant) in shown for trial in trials) for why, shown in known.items()
    }
    return [f"- {why} ({count})" for why, count in counts.items() if count]


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


# ------------------------------------------------------------------------- what was found before


class Record:
    """What became of mutants, in a file of one line for each.

    Args:
        path: the file, which need not be there yet; None: nothing is remembered.
        trials: all that are to run.
    """

    def __init__(self, path: Path | None, trials: Sequence[Trial]) -> None:
        self.path = path
        sources = {file: (ROOT / file).read_bytes() for file, _ in {t.owner for t in trials}}
        digests = {file: sha256(source).hexdigest()[:12] for file, source in sources.items()}
        self.names: dict[int, str] = {}
        count: Counter[str] = Counter()
        for trial in trials:
            file = trial.owner[0]
            name = f"{digests[file]} {file} {trial.mutant}"
            self.names[id(trial)] = f"{name} {count[name]}"  # two slips may read the same
            count[name] += 1
        lines = path.read_text("utf-8").splitlines() if path and path.exists() else []
        fates = {line["mutant"]: line for line in map(json.loads, lines)}
        for trial in trials:
            if line := fates.get(self.names[id(trial)]):
                trial.killer, trial.message = line["killer"], line["message"]

    def note(self, trial: Trial) -> None:
        """Write down what became of a mutant."""
        if self.path:
            line = {"mutant": self.names[id(trial)], "killer": trial.killer}
            line |= {"message": trial.message[:200], "seconds": round(trial.seconds, 2)}
            line["again"] = trial.again
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")


def main() -> int:
    if "OMP_NUM_THREADS" not in os.environ:  # begin again on one thread, since forks share none
        os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        os.execv(sys.executable, [sys.executable, "-m", "tests.mutation", *sys.argv[1:]])
    import torch  # noqa: F401  (without it, most tests would be skipped)

    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--op", help="only the formulas of this op or function")
    parser.add_argument("--package", action="store_true", help="the files of PACKAGE instead")
    parser.add_argument("--file", action="append", help="only what is in this file")
    parser.add_argument("--jobs", type=int, default=2, help="how many mutants at a time")
    parser.add_argument("--record", type=Path, help="what is remembered from run to run")
    parser.add_argument("--out", type=Path, help="where to write the report to")
    args = parser.parse_args()

    start = time.monotonic()
    if unknown := set(args.file or ()) - set(PACKAGE if args.package else TESTS):
        parser.error(f"there are no tests for {', '.join(unknown)}: see PACKAGE and TESTS")
    files = args.file or list(PACKAGE if args.package else TESTS)
    if args.package:
        trials = [Trial(PACKAGE[file], slip) for file in files for slip in slips(file)]
    else:
        found = [f for module in files for f in formulas(module) if args.op in (None, f.owner)]
        if not found:
            parser.error(f"no formula of a derivative belongs to {args.op!r}")
        trials = [Trial((TESTS[f.module],), mutant) for f in found for mutant in mutants(f)]
    record = Record(args.record, trials)
    left = [trial for trial in trials if not trial.killer]
    left.sort(key=lambda trial: trial.fate != "alive")  # those that are to survive come last
    sound = {trial.tests: Trial(trial.tests) for trial in left}
    groups = [[own, *(t for t in left if t.tests == tests)] for tests, own in sound.items()]
    if left:
        run([trial for group in groups for trial in group], args.jobs, record.note)
    options = "".join(f" --file {file}" for file in args.file or ())
    options += f" --op {args.op}" if args.op else ""
    page = report_of_package(trials) if args.package else report(trials, options)
    print(page)
    if args.out:
        args.out.write_text(page, encoding="utf-8")
    wrong = [f"fails without a mutant: {t.killer}: {t.message}" for t in sound.values() if t.killer]
    for trial in trials:
        if trial.fate == "alive":
            wrong.append(f"alive: {trial.owner[0]}: {trial.mutant}")
        elif trial.killer and trial.same:
            wrong.append(f"not equivalent: {trial.mutant}: {trial.killer}: {trial.message}")
    seconds = time.monotonic() - start
    print(*wrong, f"{len(left)} mutants in {seconds:.0f} seconds", sep="\n", file=sys.stderr)
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
