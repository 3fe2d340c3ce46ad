"""Run benchmarks, print their tables, and keep what was measured.

    python -m benchmarks                       # all of them, about half an hour
    python -m benchmarks epoch dropout         # some
    python -m benchmarks --quick               # a look, in a few minutes; nothing to quote
    python -m benchmarks --docs                # put the tables into docs/performance.md as well

Times are taken in turn, round by round; a figure beside a rival's time is the median over the
rounds of minigrad's time divided by the rival's, with the quartiles: below 1, minigrad is ahead.
"""

from __future__ import annotations

import argparse
import importlib
import json
import re
import sys
from pathlib import Path

from benchmarks.pairs import Result, table
from benchmarks.surroundings import machine, missing, versions
from minigrad.utils.files import replacing

NAMES = ("epoch", "before", "dropout", "per_op", "growth", "startup", "checkpoint")
PAGE = Path(__file__).resolve().parent.parent / "docs" / "performance.md"


def main(arguments: list[str] | None = None) -> None:
    """Run what the command line names."""
    words = {"formatter_class": argparse.RawDescriptionHelpFormatter, "description": __doc__}
    parser = argparse.ArgumentParser(prog="python -m benchmarks", **words)  # type: ignore[arg-type]
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(NAMES))
    parser.add_argument("--quick", action="store_true", help="smaller sizes, fewer rounds")
    parser.add_argument("--json", type=Path, help="write every single measurement there")
    parser.add_argument("--docs", action="store_true", help=f"put the tables into {PAGE.name}")
    args = parser.parse_args(arguments)
    if unknown := [name for name in args.names if name not in NAMES]:
        parser.error(f"there is no benchmark {unknown[0]!r}: choose from {', '.join(NAMES)}")

    print(machine())
    if absent := missing():
        print(f"not installed, and so left out: {', '.join(absent)} (pip install -e '.[bench]')")
    records = {}
    for name in args.names or NAMES:
        results: list[Result] = importlib.import_module(f"benchmarks.{name}").run(args.quick)
        print(f"\n## {name}\n\n{table(results)}", flush=True)
        records[name] = [result.record() for result in results]
        if args.docs:
            put(name, f"{machine()}; `{_command(args.quick, name)}`\n\n{table(results)}")
    if args.json:
        with replacing(args.json) as path:
            whole = {"machine": machine(), "versions": versions(), "results": records}
            Path(path).write_text(json.dumps(whole, indent=1))


def put(name: str, text: str, page: Path = PAGE) -> None:
    """Replace what stands between the marks of a benchmark in the page."""
    marks = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end of {name} -->)", re.DOTALL)
    old = page.read_text(encoding="utf-8")
    new, found = marks.subn(lambda mark: f"{mark[1]}{text}\n{mark[2]}", old)
    if not found:
        sys.exit(f"error: {page} has no line '<!-- {name} -->' that says where the table goes")
    with replacing(page) as path:
        Path(path).write_text(new, encoding="utf-8")


def _command(quick: bool, name: str) -> str:
    return f"python -m benchmarks {name}{' --quick' if quick else ''}"


if __name__ == "__main__":
    main()
