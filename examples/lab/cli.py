"""What the commands of the laboratory do."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from data.fashion_mnist import ADVICE
from examples.lab import (
    EXPERIMENTS,
    criteria,
    execute,
    images,
    load,
    publish,
    report,
    storage,
    table,
    workers,
)
from examples.lab.frame import Arms, Experiment, Results, Run, Scale
from examples.lab.progress import Progress, duration, estimate, measure
from examples.lab.table import Row
from examples.lab.training import TRAIN
from minigrad.device import move
from minigrad.utils.files import replacing


def main(arguments: Sequence[str] | None = None) -> None:
    """Do what the command line says.

    Raises:
        KeyError, ImportError, LookupError, OSError, RuntimeError, ValueError: it cannot be done;
            the message says why.
    """
    args = parse(arguments)
    commands = {"run": run, "report": write_report, "publish": write_published, "pilot": pilot}
    if args.command == "recompute":
        say_published(publish.publish(table.read(args.root / publish.TABLE), args.root))
    elif args.command in commands:
        commands[args.command](args)
    else:
        show_list(args.results)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the command line's arguments."""
    parser = argparse.ArgumentParser(prog="python -m examples.lab")
    results: dict[str, Any] = {"type": Path, "default": storage.RESULTS}
    parser.add_argument("--results", **results, help="folder of results (default: %(default)s)")
    commands = parser.add_subparsers(dest="command")
    commands.add_parser("list", help="the experiments, and what they said last; the default")
    for name, words in (
        ("run", "do an experiment's runs, judge"),
        ("report", "write a report of all experiments whose runs are there"),
        ("publish", "write docs/laboratory.md, its table, and the verdicts in the READMEs"),
        ("recompute", "write them again from the table alone"),
        ("pilot", "train once with settings of your choice, measured on validation images"),
    ):
        command = commands.add_parser(name, help=words)
        if name == "pilot":
            command.add_argument("settings", nargs="*", metavar="NAME=VALUE", help="of `Recipe`")
            command.add_argument("--seed", type=int, default=1000, help="1000 or more")
        if name in ("publish", "recompute"):
            root: dict[str, Any] = {"type": Path, "default": publish.ROOT}
            command.add_argument("--root", **root, help="of the repository (default: this one)")
        if name == "report":
            command.add_argument("--out", type=Path, help="folder (default: that of the results)")
        if name in ("run", "report", "publish"):
            _add_scale(command, name)
        if name in ("run", "report", "pilot", "publish"):
            command.add_argument(
                "--sample", action="store_true", help="use the repository's sample"
            )
        if name == "run":
            command.add_argument("name", help=f"all, or one of {', '.join(EXPERIMENTS)}")
            command.add_argument("--workers", type=int, help="processes (default: one a core)")
            command.add_argument("--dask", metavar="SCHEDULER", help="address of a Dask scheduler")
    args = parser.parse_args(arguments)
    for option, least in (("seeds", 2), ("workers", 1)):
        value = getattr(args, option, None)
        if value is not None and value < least:
            parser.error(f"--{option} {value}: at least {least}")
    if args.command == "pilot" and args.seed < 1000:
        parser.error(f"--seed {args.seed}: seeds below 1000 are those of the experiments")
    return args


def _add_scale(command: argparse.ArgumentParser, name: str) -> None:
    size = command.add_mutually_exclusive_group()
    size.add_argument("--quick", dest="full", action="store_false", help="a look; the default")
    size.add_argument("--full", action="store_true", help="as the criteria ask")
    command.set_defaults(full=name == "publish")
    command.add_argument("--seeds", type=int, help="runs of each arm, 2 or more")
    command.add_argument("--device", default="cpu", help="cpu or cuda (default: cpu)")


def scale_of(args: argparse.Namespace) -> Scale:
    """Return the scale that was asked for, on the images that are here.

    Raises:
        ValueError: the full scale was asked for, and here is the sample only.
        RuntimeError: the device cannot be used.
    """
    found = images.found(args.sample)
    if args.full and not args.sample and found == images.found(sample=True):
        raise ValueError(
            f"--full needs the whole set, and here are {found.words}. {ADVICE}; or ask for the "
            "sample by name: --sample"
        )
    move(np.zeros(0), args.device)
    return Scale(args.full, found.sha256, args.seeds, args.device)


@dataclass(frozen=True)
class Work:
    """How runs get done.

    Attributes:
        folder: where results are.
        workers: who does them.
        progress: is told.
    """

    folder: Path
    workers: workers.Workers
    progress: Progress

    def results(self, arms: Sequence[Arms]) -> Results:
        """Return the results of all runs of some experiments, doing those that are missing."""
        runs = [r for each in arms for r in _longest_first(each)]

        def tell(finished: int, number: int, run: Run | None) -> None:
            self.progress(finished, number, run)

        return Results(execute.execute(runs, self.folder, self.workers, tell))


def _longest_first(arms: Arms) -> list[Run]:
    """Return an experiment's runs, so that workers end together."""
    return sorted((r for runs in arms.values() for r in runs), key=estimate, reverse=True)


def run(args: argparse.Namespace) -> None:
    """Do the runs of some experiments, and print the verdicts."""
    names = EXPERIMENTS if args.name == "all" else [args.name]
    experiments = [load(name) for name in names]
    who = workers.dask_cluster(args.dask) if args.dask else workers.processes(args.workers)
    storage.check(args.results)
    scale = scale_of(args)
    print(f"data: {images.found(args.sample).words}")
    wanted = {r.key: r for x in experiments for rs in x.all_arms(scale).values() for r in rs}
    missing = [r for r in wanted.values() if not storage.record(r, args.results)]
    number = min(args.workers or workers.cores(), workers.cores())
    progress = Progress(missing, measure() / number if missing and not args.dask else 1.0)
    if missing:
        on = "on one core" if args.dask else f"with {args.workers or number} workers"
        print(
            f"{len(missing)} of {len(wanted)} runs are to be done: about "
            f"{duration(progress.left())} {on}, if nothing else runs. They may be interrupted: "
            "what is done is kept.",
            flush=True,
        )
    work = Work(args.results, who, progress)
    first = work.results([x.arms(scale) for x in experiments])
    work.results([x.then(first, scale) for x in experiments if x.then])
    progress.clear()
    rows, _ = collected(names, scale, args)
    for entry in report.entries(rows, draw=False):
        remember(entry, args)
        said = (
            f"{entry.verdict.verdict}: {entry.verdict.summary}" if entry.verdict else "no verdict"
        )
        print(f"{entry.name}: {entry.experiment.claim}\n  {said}", flush=True)
    kind = " --full" if args.full else ""
    print(f"with figures: python -m examples.lab report{kind}{' --sample' * args.sample}")


def collected(
    names: Sequence[str], scale: Scale, args: argparse.Namespace
) -> tuple[list[Row], list[str]]:
    """Return the rows of the experiments whose runs are all there, and the names of the others."""
    rows: list[Row] = []
    left_out: list[str] = []
    records: dict[str, dict[str, Any]] = {}
    for name in names:
        experiment = load(name)
        found = _records(experiment.arms(scale), args.results)
        if experiment.then and all(found.values()):
            later = experiment.then(_results(found), scale)
            found |= _records(later, args.results)
        if not all(found.values()):
            left_out.append(name)
            continue
        rows += experiment.rows(_results(found), scale)
        records |= found
    return about(records, scale, args) + rows if records else rows, left_out


def _records(arms: Arms, folder: Path) -> dict[str, dict[str, Any]]:
    return {run.key: storage.record(run, folder) for runs in arms.values() for run in runs}


def _results(records: Mapping[str, dict[str, Any]]) -> Results:
    return Results({key: record["result"] for key, record in records.items()})


def about(records: Mapping[str, Any], scale: Scale, args: argparse.Namespace) -> list[Row]:
    """Return rows that say what all runs share."""
    kept = list(records.values())

    def each(of: Any) -> str:
        return ", ".join(sorted({str(of(record)) for record in kept if of(record) != ""}))

    facts = {
        "scale": "full" if scale.full else "quick",
        "seeds": "those of the criteria" if scale.seeds is None else str(scale.seeds),
        "data": images.found(args.sample).words,
        "sample": str(images.found(args.sample) == images.found(sample=True)),
        "dates": each(lambda r: r["made"]["date"]),
        "commits": each(lambda r: r["made"]["commit"]),
        "criteria": each(lambda r: r["made"]["criteria"]),
        "versions": each(
            lambda r: (
                f"minigrad {r['made']['minigrad']} (numerics {r['identity']['numerics']}), "
                f"numpy {r['identity']['numpy']}"
            )
        ),
        "runs": f"{len(kept)}",
        "core hours": f"{sum(record['seconds'] for record in kept) / 3600:.1f}",
    }
    return [Row(table.ABOUT, name, "", "", value) for name, value in facts.items()]


def write_report(args: argparse.Namespace) -> None:
    """Write the report of all experiments whose runs are all there."""
    rows, left_out = collected(EXPERIMENTS, scale_of(args), args)
    kind = "full" if args.full else "quick"
    sample = " --sample" * args.sample
    for name in left_out:
        print(f"{name}: left out; its runs: python -m examples.lab run {name} --{kind}{sample}")
    if not rows:
        raise LookupError(
            f"there is nothing to report yet: python -m examples.lab run all --{kind}{sample}"
        )
    out = args.out or args.results
    report.write(rows, out)
    print(f"wrote report.html, report.md and results.csv to {out}/")


def write_published(args: argparse.Namespace) -> None:
    """Write the published table, and all that comes from it."""
    rows, left_out = collected(EXPERIMENTS, scale_of(args), args)
    if left_out:
        raise LookupError(
            f"runs are missing of {', '.join(left_out)}: python -m examples.lab run all --full"
        )
    say_published(publish.publish(rows, args.root))


def say_published(pages: Sequence[Path]) -> None:
    """Print which files were written."""
    print(f"wrote {', '.join(map(str, pages))} and figures")


def pilot(args: argparse.Namespace) -> None:
    """Train once, measured on validation images; print the curves and which images were seen."""
    settings = dict(_setting(text) for text in args.settings)
    found = images.found(args.sample)
    settings |= {"held_out": "validation", "seed": args.seed}
    run = Run(TRAIN, settings, found.sha256)
    storage.check(args.results)
    result = execute.execute([run], args.results, workers.processes(1))[run.key]
    print(f"data: {found.words}; {result['images']}")
    for epoch, train_acc, acc in zip(
        result["epochs"], result["train_acc"], result["test_acc"], strict=True
    ):
        print(f"epoch {epoch}: train accuracy {train_acc:.4f}, validation accuracy {acc:.4f}")


def _setting(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals:
        raise ValueError(f"a setting is NAME=VALUE, got {text!r}")
    if name == "held_out":
        raise ValueError("a pilot is measured on validation images, whatever the settings")
    try:
        return name, json.loads(value)
    except json.JSONDecodeError:
        return name, value


def remember(entry: report.Entry, args: argparse.Namespace) -> None:
    """Keep an experiment's last verdict for the list."""
    said = {
        "scale": "full" if args.full else "quick",
        "data": images.found(args.sample).words,
        "verdict": entry.verdict.verdict if entry.verdict else "no verdict",
        "criteria": criteria.fingerprint(),
    }
    with replacing(args.results / "verdicts" / f"{entry.name}.json") as path:
        path.write_text(json.dumps(said), encoding="utf-8")


def show_list(folder: Path) -> None:
    """Print the experiments and their last verdicts."""
    for name in EXPERIMENTS:
        experiment: Experiment = load(name)
        print(f"{name:14}{experiment.claim}")
        try:
            last = json.loads((folder / "verdicts" / f"{name}.json").read_text(encoding="utf-8"))
            print(f"{'':14}{last['verdict']} ({last['scale']}, {last['data']})")
        except FileNotFoundError:
            runs = [r for rs in experiment.all_arms(Scale(True)).values() for r in rs]
            work = duration(sum(map(estimate, runs)))
            print(f"{'':14}not run yet: about {work} of one core in full")
        except (OSError, ValueError, TypeError, LookupError):
            print(f"{'':14}its last verdict is damaged: run it again", file=sys.stderr)
