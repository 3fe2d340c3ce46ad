"""Try a dropout by the laws, or the laws by the zoo.

python -m minigrad.testing                                 the kill matrix: bugs by laws
python -m minigrad.testing mypackage.layers:my_dropout     the laws on a dropout of yours
python -m minigrad.testing mypackage.layers:my_dropout --html verdict.html    with pictures
"""

from __future__ import annotations

import argparse
import functools
import importlib
import importlib.util
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from minigrad.testing.frameworks import FRAMEWORKS
from minigrad.testing.subjects import Subject, UsageError
from minigrad.utils.files import replacing

if TYPE_CHECKING:
    from minigrad.testing.laws import Law


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; ``arguments`` default to the command line's.

    Returns:
        The exit status: 0 if no bug is found (with ``--strict``: no law is broken), or if every bug
        of the zoo is killed by the law that names it; 1 if not.

    Raises:
        SystemExit: with status 2, if there is nothing that can be judged: no such dropout, law or
            framework, or a dropout that cannot be called.
    """
    parser = _parser()
    args = parser.parse_args(arguments)
    if importlib.util.find_spec("scipy") is None:
        parser.error('the laws need scipy: pip install "minigrad[testing]"')
    from minigrad.testing import laws, matrix, verdicts, zoo

    if unknown := [name for name in (*args.only, *args.skip) if name not in laws.LAWS]:
        parser.error(f"there is no law {unknown[0]!r}; the laws are {', '.join(laws.LAWS)}")
    chosen = [
        law
        for name, law in laws.LAWS.items()
        if (not args.only or name in args.only) and name not in args.skip
    ]
    if args.list:
        print(verdicts.table_of_laws(chosen))
        return 0
    if args.html and (args.dropout is None or args.runs > 1):
        parser.error("--html writes the verdict of one run on a dropout")
    if args.dropout is None:
        return 0 if matrix.print_kill_matrix(zoo.ZOO, args.seed) else 1
    try:
        subject = find(args.dropout, args.framework)
        verdicts.check_usage(subject)
    except UsageError as error:
        parser.error(str(error))

    quick = ", quick" if args.quick else ""
    print(f"{subject.name} on {subject.framework.name}'s tensors, seed {args.seed}{quick}\n")
    if args.runs > 1:
        return _many_runs(subject, range(args.seed, args.seed + args.runs), chosen, args)
    if args.html is None:
        return _one_run(subject, chosen, args)
    try:
        with replacing(args.html) as path:
            status = _one_run(subject, chosen, args, path)
    except OSError as error:
        parser.error(f"cannot write {args.html}: {error.strerror or error}")
    print(f"\nwrote {args.html}")
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m minigrad.testing",
        usage="%(prog)s [module:name] [options]",
        description="Try a dropout by the laws of dropout; without a name, print which law "
        "catches which bug of the zoo. Exit status: 0 no bug, 1 a bug, 2 nothing to judge.",
    )
    parser.add_argument(
        "dropout",
        nargs="?",
        metavar="module:name",
        help="a function (x, p, training) -> y, a layer, a class of layers, or a "
        "minigrad.testing Subject",
    )
    parser.add_argument(
        "--framework",
        choices=FRAMEWORKS,
        help="whose tensors it takes (default: found by a first try); numpy: arrays",
    )
    parser.add_argument("--seed", type=_from(0), default=0, help="of inputs and masks (default: 0)")
    parser.add_argument(
        "--runs", type=_from(1), default=1, help="try it with so many seeds, one after another"
    )
    parser.add_argument(
        "--only", action="append", default=[], metavar="LAW", help="try this one; can be repeated"
    )
    parser.add_argument(
        "--skip", action="append", default=[], metavar="LAW", help="leave it out; can be repeated"
    )
    parser.add_argument(
        "--strict", action="store_true", help="count edges and contracts as bugs are counted"
    )
    parser.add_argument(
        "--quick", action="store_true", help="draw an eighth, and fewer shapes: sees less"
    )
    parser.add_argument(
        "--html", type=Path, metavar="FILE", help="write the verdict with pictures, as a page"
    )
    parser.add_argument("--verbose", action="store_true", help="show every law, one by one")
    parser.add_argument("--list", action="store_true", help="print the laws and what they detect")
    return parser


def _from(first: int) -> Callable[[str], int]:
    def integer(text: str) -> int:
        if not text.isdecimal() or int(text) < first:
            raise argparse.ArgumentTypeError(f"expected an integer from {first} on, got {text!r}")
        return int(text)

    return integer


def find(name: str, framework: str | None = None) -> Subject:
    """Return the subject that ``module:name`` stands for.

    Raises:
        UsageError: there is no such thing, it is no dropout, or its framework is not installed.
    """
    path, colon, attribute = name.partition(":")
    if not (path and colon and attribute):
        raise UsageError(f"expected module:name, as in mypackage.layers:my_dropout, got {name!r}")
    try:
        found = functools.reduce(getattr, attribute.split("."), importlib.import_module(path))
        return found if isinstance(found, Subject) else Subject(name, found, framework)
    except UsageError:
        raise
    except (Exception, SystemExit) as error:  # whatever a learner's file does when it is imported
        raise UsageError(f"cannot try {name}: {error or type(error).__name__}") from error


def _one_run(
    subject: Subject, chosen: Sequence[Law], args: argparse.Namespace, path: Path | None = None
) -> int:
    """Print the verdict, and write it to ``path`` as a page; return the exit status."""
    from minigrad.testing import page, verdicts

    found, tried = [], []
    for law in chosen:
        if path is None:
            found.append(verdicts.judge(subject, law, args.seed, args.quick))
        else:
            tried.append(page.watch(subject, law, args.seed, args.quick))
            found.append(tried[-1].verdict)
        if args.verbose:
            print(found[-1], flush=True)
    print(("\n" if args.verbose else "") + verdicts.report(subject, found, args.strict))
    if path is not None:
        path.write_text(page.page(subject, tried, args.seed, args.strict), encoding="utf-8")
    return int(verdicts.condemned(found, args.strict))


def _many_runs(
    subject: Subject, seeds: range, chosen: Sequence[Law], args: argparse.Namespace
) -> int:
    """Print how often each law was broken; return the exit status."""
    from minigrad.testing import verdicts

    broken: Counter[str] = Counter()
    status = 0
    for seed in seeds:
        found = verdicts.judge_all(subject, seed, chosen, args.quick)
        status |= verdicts.condemned(found, args.strict)
        for verdict in verdicts.broken_in(found):
            broken[verdict.law.name] += 1
            print(f"seed {seed}\n{verdict}", flush=True)
    counts = ", ".join(f"{name} {count} times" for name, count in broken.items())
    print(f"{len(seeds)} runs of {len(chosen)} laws; broken: {counts or 'none'}.")
    return int(status)


if __name__ == "__main__":
    raise SystemExit(main())
