"""The laboratory's command line: ``python -m examples.lab [run NAME|all | report]``."""

from __future__ import annotations

import argparse
import datetime
import json
import platform
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import minigrad
from examples.lab import EXPERIMENTS, execute, load, report
from examples.lab.frame import Experiment, Results, Scale
from examples.lab.training import halves
from minigrad.utils.files import replacing

SEEDS = {"quick": 3, "full": 10}
FAMILY = 0.95  # the probability that all intervals of the laboratory hold


def main(arguments: Sequence[str] | None = None) -> None:
    """Do what the command line says."""
    args = parse(arguments)
    try:
        if args.command == "run":
            names = EXPERIMENTS if args.name == "all" else [args.name]
            run(names, args)
        elif args.command == "report":
            write_report(args)
        else:
            show_list(args.results)
    except (KeyError, ImportError, RuntimeError, ValueError) as error:
        sys.exit(f"error: {error.args[0]}")
    except KeyboardInterrupt:
        sys.exit("interrupted; finished runs are kept, and the same command goes on from there")


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the command line's arguments."""
    results: dict[str, Any] = {"type": Path, "default": execute.RESULTS}
    parser = argparse.ArgumentParser(prog="python -m examples.lab")
    parser.add_argument("--results", **results, help="folder of results (default: %(default)s)")
    commands = parser.add_subparsers(dest="command")
    for name, words in (("run", "do an experiment's runs, judge"), ("report", "write a report")):
        command = commands.add_parser(name, help=words)
        size = command.add_mutually_exclusive_group()
        size.add_argument("--quick", dest="full", action="store_false", help="a look; the default")
        size.add_argument("--full", action="store_true", help="enough seeds to conclude from")
        command.set_defaults(full=False)
        command.add_argument("--seeds", type=int, help="runs of each arm, 2 or more")
        if name == "run":
            command.add_argument("name", help=f"all, or one of {', '.join(EXPERIMENTS)}")
            command.add_argument("--workers", type=int, help="processes (default: one a core)")
            command.add_argument("--dask", metavar="SCHEDULER", help="address of a Dask scheduler")
        else:
            command.add_argument("--out", type=Path, help="folder (default: that of the results)")
    args = parser.parse_args(arguments)
    if getattr(args, "seeds", None) is not None and args.seeds < 2:
        parser.error(f"--seeds {args.seeds}: an interval needs at least 2")
    return args


def scale_of(args: argparse.Namespace) -> Scale:
    """Return the scale that was asked for."""
    return Scale(args.full, args.seeds or SEEDS["full" if args.full else "quick"])


def level() -> float:
    """Return the confidence of a single interval, so that all hold together (Bonferroni)."""
    return 1 - (1 - FAMILY) / sum(load(name).comparisons for name in EXPERIMENTS)


def run(names: Sequence[str], args: argparse.Namespace) -> None:
    """Do the runs of some experiments, and print the verdicts."""
    scale = scale_of(args)
    experiments = {name: load(name) for name in names}
    executor = execute.dask_cluster(args.dask) if args.dask else execute.processes(args.workers)
    train, _ = halves()  # before any work is handed out: says what is wrong with the data
    print(f"data: {train.source}")
    if scale.full:
        minutes = sum(x.minutes for x in experiments.values()) * scale.seeds / SEEDS["full"]
        print(f"about {minutes:.0f} minutes on two cores; may be interrupted, and goes on")
    for name, experiment in experiments.items():
        results = gather(name, experiment, scale, args.results, executor)
        finding = experiment.judge(results, scale, level())
        remember(name, scale, finding.verdict, finding.summary, args.results)
        print(f"{name}: {experiment.claim}\n  {finding.verdict}: {finding.summary}")


def gather(name: str, experiment: Experiment, scale: Scale, folder: Path, executor: Any) -> Results:
    """Return the results of an experiment's runs, done where they are missing."""
    from tqdm import tqdm

    with tqdm(desc=name, unit="run", disable=None) as bar:

        def progress(done: int, whole: int, seconds: float) -> None:
            bar.total = whole
            bar.update(done - bar.n)

        return Results(execute.execute(experiment.runs(scale), folder, executor, progress))


def remember(name: str, scale: Scale, verdict: str, summary: str, folder: Path) -> None:
    """Keep an experiment's last verdict for the list."""
    kind = "full" if scale.full else "quick"
    record = {"scale": kind, "seeds": scale.seeds, "verdict": verdict, "summary": summary}
    with replacing(folder / "verdicts" / f"{name}.json") as path:
        path.write_text(json.dumps(record), encoding="utf-8")


def show_list(folder: Path) -> None:
    """Print the experiments and their last verdicts."""
    for name in EXPERIMENTS:
        experiment = load(name)
        print(f"{name:14}{experiment.claim}")
        try:
            last = json.loads((folder / "verdicts" / f"{name}.json").read_text(encoding="utf-8"))
            print(f"{'':14}{last['verdict']} ({last['scale']}, {last['seeds']} seeds)")
        except FileNotFoundError:
            print(f"{'':14}not run yet: about {experiment.minutes:g} minutes in full")


def write_report(args: argparse.Namespace) -> None:
    """Write the report of all experiments whose runs are all there."""
    scale, entries = scale_of(args), []
    for name in EXPERIMENTS:
        experiment = load(name)
        found = {r.key: execute.stored(r, args.results) for r in experiment.runs(scale)}
        if any(result is None for result in found.values()):
            kind = "--full" if scale.full else "--quick"
            print(f"{name}: left out, runs are missing: python -m examples.lab run {name} {kind}")
            continue
        entries.append(report.entry(name, experiment, Results(found), scale, level()))
    if not entries:
        raise RuntimeError("there is nothing to report yet: python -m examples.lab run all --quick")
    heading = (
        f"{'Full' if scale.full else 'Quick'} mode, {scale.seeds} seeds an arm, "
        f"{datetime.date.today():%Y-%m-%d}; minigrad {minigrad.__version__}, NumPy "
        f"{np.__version__}, Python {platform.python_version()}. Intervals are at "
        f"{level():.2%} each, so that all together hold with {FAMILY:.0%}."
    )
    out = args.out or args.results
    report.write(entries, out, heading)
    print(f"wrote report.html and report.md to {out}/")


if __name__ == "__main__":
    main()
