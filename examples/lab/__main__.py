"""The laboratory's command line: ``python -m examples.lab [run NAME|all | report | publish]``."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from examples.lab import EXPERIMENTS, execute, load, publish, report
from examples.lab.frame import Experiment, Results, Run, Scale
from examples.lab.progress import Progress, duration, estimate
from examples.lab.training import halves
from minigrad.utils.files import replacing

SEEDS = {"quick": 4, "full": 10}
FAMILY = 0.95  # the probability that all intervals of the laboratory hold


def main(arguments: Sequence[str] | None = None) -> None:
    """Do what the command line says."""
    args = parse(arguments)
    try:
        if args.command == "run":
            names = EXPERIMENTS if args.name == "all" else [args.name]
            run(names, args)
        elif args.command in ("report", "publish"):
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
    for name, words in (
        ("run", "do an experiment's runs, judge"),
        ("report", "write a report"),
        ("publish", "write docs/laboratory.md and the verdicts in the READMEs"),
    ):
        command = commands.add_parser(name, help=words)
        size = command.add_mutually_exclusive_group()
        size.add_argument("--quick", dest="full", action="store_false", help="a look; the default")
        size.add_argument("--full", action="store_true", help="enough seeds to conclude from")
        command.set_defaults(full=name == "publish")
        command.add_argument("--seeds", type=int, help="runs of each arm, 2 or more")
        if name == "run":
            command.add_argument("name", help=f"all, or one of {', '.join(EXPERIMENTS)}")
            command.add_argument("--workers", type=int, help="processes (default: one a core)")
            command.add_argument("--dask", metavar="SCHEDULER", help="address of a Dask scheduler")
        elif name == "publish":
            root: dict[str, Any] = {"type": Path, "default": publish.ROOT}
            command.add_argument("--root", **root, help="of the repository (default: this one)")
        else:
            command.add_argument("--out", type=Path, help="folder (default: that of the results)")
    args = parser.parse_args(arguments)
    if getattr(args, "seeds", None) is not None and args.seeds < 2:
        parser.error(f"--seeds {args.seeds}: an interval needs at least 2")
    return args


def scale_of(args: argparse.Namespace) -> Scale:
    """Return the scale that was asked for."""
    return Scale(args.full, args.seeds or SEEDS["full" if args.full else "quick"])


def level(scale: Scale) -> float:
    """Return the confidence of a single interval.

    At full scale it is such that all intervals that verdicts rest on hold together (Bonferroni).
    """
    if not scale.full:
        return FAMILY
    return 1 - (1 - FAMILY) / sum(load(name).comparisons for name in EXPERIMENTS)


def run(names: Sequence[str], args: argparse.Namespace) -> None:
    """Do the runs of some experiments, and print the verdicts."""
    scale = scale_of(args)
    experiments = {name: load(name) for name in names}
    executor = execute.dask_cluster(args.dask) if args.dask else execute.processes(args.workers)
    train, _ = halves()  # before any work is handed out: says what is wrong with the data
    print(f"data: {train.source}")
    wanted = {r.key: r for x in experiments.values() for r in x.all_runs(scale)}
    missing = [r for r in wanted.values() if execute.stored(r, args.results) is None]
    rate = 1.0
    if missing and not args.dask:
        workers = args.workers or os.cpu_count() or 1
        rate = execute.speed(executor, workers) / min(workers, os.cpu_count() or 1)
    progress = Progress(missing, rate)
    if missing:
        on = "all in all on one core" if args.dask else f"with {workers} workers"
        print(
            f"{len(missing)} of {len(wanted)} runs are to be done: about "
            f"{duration(progress.left())} {on}, if nothing else runs. They may be interrupted: "
            "what is done is kept.",
            flush=True,
        )
    for name, experiment in experiments.items():
        results = gather(name, experiment, scale, args.results, executor, progress)
        finding = experiment.judge(results, scale, level(scale))
        remember(name, scale, finding.verdict, finding.summary, args.results)
        progress.clear()
        print(f"{name}: {experiment.claim}\n  {finding.verdict}: {finding.summary}", flush=True)


def gather(
    name: str, experiment: Experiment, scale: Scale, folder: Path, executor: Any, progress: Progress
) -> Results:
    """Return the results of an experiment's runs, done where they are missing."""

    def tell(finished: int, number: int, run: Run | None) -> None:
        progress(name, finished, number, run)

    def done(runs: list[Run]) -> dict[str, Any]:
        longest_first = sorted(runs, key=estimate, reverse=True)  # so that workers end together
        return execute.execute(longest_first, folder, executor, tell)

    results = done(experiment.runs(scale))
    if experiment.then:
        results |= done(experiment.then(Results(results), scale))
    return Results(results)


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
            work = sum(map(estimate, experiment.all_runs(Scale(True, SEEDS["full"]))))
            print(f"{'':14}not run yet: about {duration(work)} of one core in full")


def finished(name: str, scale: Scale, folder: Path) -> tuple[Results, list[dict[str, Any]]]:
    """Return the results of an experiment, and what is kept of its runs.

    Raises:
        LookupError: some of the runs are missing.
    """
    experiment = load(name)
    kept = {r.key: execute.record(r, folder) for r in experiment.runs(scale)}
    if experiment.then and all(kept.values()):
        first = Results({key: record["result"] for key, record in kept.items()})
        kept |= {r.key: execute.record(r, folder) for r in experiment.then(first, scale)}
    if not all(kept.values()):
        kind = f"{'--full' if scale.full else '--quick'} --seeds {scale.seeds}"
        raise LookupError(f"runs are missing: python -m examples.lab run {name} {kind}")
    return Results({key: record["result"] for key, record in kept.items()}), list(kept.values())


def write_report(args: argparse.Namespace) -> None:
    """Write the report of all experiments whose runs are all there, or publish that of all."""
    scale, entries = scale_of(args), []
    records: list[dict[str, Any]] = []
    for name in EXPERIMENTS:
        try:
            results, kept = finished(name, scale, args.results)
        except LookupError as error:
            if args.command == "publish":
                raise RuntimeError(f"{name}: {error.args[0]}") from None
            print(f"{name}: left out, {error.args[0]}")
            continue
        entries.append(report.entry(name, load(name), results, scale, level(scale)))
        records += kept
    if not entries:
        raise RuntimeError("there is nothing to report yet: python -m examples.lab run all --quick")
    if args.command == "publish":
        pages = publish.publish(entries, heading(scale, records), args.root)
        print(f"wrote {', '.join(map(str, pages))} and figures")
        return
    out = args.out or args.results
    report.write(entries, out, heading(scale, records))
    print(f"wrote report.html and report.md to {out}/")


def heading(scale: Scale, records: Sequence[dict[str, Any]]) -> str:
    """Return what all experiments share: scale, seeds, dates, versions, intervals."""
    dates = sorted({record["date"] for record in records})
    versions = sorted({" ".join(f"{k} {v}" for k, v in r["versions"].items()) for r in records})
    hours = sum(record["seconds"] for record in records) / 3600
    kind = "full" if scale.full else "quick"
    together = (
        f"Intervals are at {level(scale):.2%} each, so that all those that verdicts rest on hold "
        f"together with {FAMILY:.0%} (Bonferroni)."
        if scale.full
        else f"A quick look: intervals are at {FAMILY:.0%} each, so that some verdicts are luck. "
        "Settings are described as full mode has them; a quick look takes fewer images, epochs and "
        "arms."
    )
    return (
        f"`python -m examples.lab run all --{kind} --seeds {scale.seeds}`, "
        f"{' to '.join(dict.fromkeys([dates[0], dates[-1]]))}, {'; '.join(versions)}; "
        f"{hours:.1f} hours of one core. {scale.seeds} seeds an arm where nothing else is said. "
        f"{together}"
    )


if __name__ == "__main__":
    main()
