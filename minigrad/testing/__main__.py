"""Try a dropout by the laws, or the laws by the zoo.

python -m minigrad.testing                                 the kill matrix: bugs by laws
python -m minigrad.testing mypackage.layers:my_dropout     the laws on a dropout of yours
"""

from __future__ import annotations

import argparse
import functools
import importlib
import importlib.util
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from minigrad.testing.subjects import FRAMEWORKS, Framework, Subject, subject_of

if TYPE_CHECKING:
    from minigrad.testing.laws import Law


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; ``arguments`` default to the command line's.

    Returns:
        The exit status: 0 if every law holds, or if every bug of the zoo is killed by the law that
        names it; 1 if not.

    Raises:
        SystemExit: with status 2, if there is no such dropout, law or framework.
    """
    parser = _parser()
    args = parser.parse_args(arguments)
    if importlib.util.find_spec("scipy") is None:
        parser.error('the laws need scipy: pip install "minigrad[testing]"')
    from minigrad.testing import laws, matrix, verdicts, zoo

    if unknown := [name for name in args.law if name not in laws.LAWS]:
        parser.error(f"there is no law {unknown[0]!r}; the laws are {', '.join(laws.LAWS)}")
    chosen = [law for name, law in laws.LAWS.items() if not args.law or name in args.law]
    if args.list:
        print(verdicts.table_of_laws(chosen))
        return 0
    if args.dropout is None:
        return 0 if matrix.print_kill_matrix(zoo.ZOO, args.seed) else 1
    try:
        subject = find(args.dropout, FRAMEWORKS[args.framework])
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        parser.error(str(error))

    print(f"{subject.name} on {subject.framework.name}'s tensors, seed {args.seed}\n")
    if args.runs > 1:
        return _many_runs(subject, range(args.seed, args.seed + args.runs), chosen)
    found = []
    for law in chosen:
        found.append(verdicts.judge(subject, law, args.seed))
        print(found[-1], flush=True)
    print(f"\n{verdicts.summary(found)}")
    return int(any(verdict.outcome == verdicts.BROKEN for verdict in found))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m minigrad.testing",
        description="Try a dropout by the laws of dropout; without a name, print which law "
        "catches which bug of the zoo.",
    )
    parser.add_argument(
        "dropout",
        nargs="?",
        metavar="module:name",
        help="a function (x, p, training) -> y, a class of modules, or a minigrad.testing Subject",
    )
    parser.add_argument(
        "--framework",
        choices=FRAMEWORKS,
        default="minigrad",
        help="whose tensors it takes (default: minigrad); numpy: no laws of the gradient",
    )
    parser.add_argument("--seed", type=_from(0), default=0, help="of inputs and masks (default: 0)")
    parser.add_argument(
        "--runs", type=_from(1), default=1, help="try it with so many seeds, one after another"
    )
    parser.add_argument(
        "--law", action="append", default=[], metavar="NAME", help="try this one; can be repeated"
    )
    parser.add_argument("--list", action="store_true", help="print the laws and what they detect")
    return parser


def _from(first: int) -> Callable[[str], int]:
    def integer(text: str) -> int:
        if not text.isdecimal() or int(text) < first:
            raise argparse.ArgumentTypeError(f"expected an integer from {first} on, got {text!r}")
        return int(text)

    return integer


def find(name: str, framework: Framework) -> Subject:
    """Return the subject that ``module:name`` stands for.

    Raises:
        ImportError: there is no such module, or the framework is not installed.
        AttributeError: the module has nothing of that name.
        TypeError: it is no dropout: it cannot be called with (x, p, training).
        ValueError: the name is not of that form.
    """
    path, colon, attribute = name.partition(":")
    if not (path and colon and attribute):
        raise ValueError(f"expected module:name, as in mypackage.layers:my_dropout, got {name!r}")
    try:
        framework.state()  # imports it
        found = functools.reduce(getattr, attribute.split("."), importlib.import_module(path))
    except ImportError as error:
        raise ImportError(f"cannot try {name}: {error}") from error
    if isinstance(found, Subject):
        return found
    if not callable(found):
        raise TypeError(f"{name} is {type(found).__name__}, which cannot be called")
    return subject_of(name, found, framework)


def _many_runs(subject: Subject, seeds: range, chosen: Sequence[Law]) -> int:
    """Print how often each law was broken; return the exit status."""
    from minigrad.testing import verdicts

    broken: Counter[str] = Counter()
    for seed in seeds:
        for verdict in verdicts.judge_all(subject, seed, chosen):
            if verdict.outcome == verdicts.BROKEN:
                broken[verdict.law.name] += 1
                print(f"seed {seed}\n{verdict}", flush=True)
    counts = ", ".join(f"{name} {count} times" for name, count in broken.items())
    print(f"{len(seeds)} runs of {len(chosen)} laws; broken: {counts or 'none'}.")
    return int(bool(broken))


if __name__ == "__main__":
    raise SystemExit(main())
