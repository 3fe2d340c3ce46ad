"""Try the dropouts of libraries by the laws, and keep what was found.

python -m examples.audit torch jax keras-torch ...     # those named, where they are installed
python -m examples.audit --page                        # docs/audit.md from what was kept

Each library is tried in a process of its own, and writes docs/audit/LIBRARY.json: versions, date,
and what each law said. ``jax`` stands for flax, equinox and haiku, ``keras`` for its backends.
"""

from __future__ import annotations

import argparse
import datetime
import importlib
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import minigrad
from examples.audit import page
from minigrad.testing.laws import LAWS
from minigrad.testing.statistics import Budget
from minigrad.testing.verdicts import check_usage, judge_all

FOLDER = Path("docs/audit")
KERAS = ("keras-jax", "keras-tensorflow", "keras-torch")
LIBRARIES = ("minigrad", "torch", "inductor", "timm", "geometric", "flax", "equinox", "haiku",
             *KERAS, "tensorflow", "mlx", "tinygrad", "paddle", "mindspore")  # fmt: skip
GROUPS = {"jax": ("flax", "equinox", "haiku"), "keras": KERAS}
#: the names under which they are installed, where those are others
DISTRIBUTIONS = {"haiku": "dm-haiku", "tensorflow": "tensorflow-cpu", "paddle": "paddlepaddle"}


def main(arguments: list[str] | None = None) -> int:
    """Run the command; ``arguments`` default to the command line's."""
    parser = argparse.ArgumentParser(prog="python -m examples.audit")
    parser.add_argument("libraries", nargs="*", metavar="LIBRARY", help=", ".join(LIBRARIES))
    parser.add_argument("--page", action="store_true", help="make docs/audit.md")
    parser.add_argument("--here", action="store_true", help="in this process: one library")
    parser.add_argument("--out", type=Path, default=FOLDER, help="where the results go")
    args = parser.parse_args(arguments)
    names = [name for asked in args.libraries for name in GROUPS.get(asked, (asked,))]
    if unknown := [name for name in names if name not in LIBRARIES]:
        parser.error(f"there is no library {unknown[0]!r}; there are {', '.join(LIBRARIES)}")
    if args.here:
        try_library(names[0], args.out)
        return 0
    failed = 0
    for name in names:
        environment = dict(os.environ)
        if name in KERAS:
            environment["KERAS_BACKEND"] = name.removeprefix("keras-")
        command = [sys.executable, "-m", "examples.audit", "--here", name, "--out", str(args.out)]
        failed += subprocess.run(command, env=environment, check=False).returncode != 0
    if args.page:
        page.write(FOLDER, Path("docs/audit.md"))
    return int(bool(failed))


def try_library(name: str, out: Path) -> None:
    """Try the dropouts of a library, and write what was found."""
    module = importlib.import_module(f"examples.audit.{name.partition('-')[0]}_")
    packages = [*module.PACKAGES, *([name.removeprefix("keras-")] if name in KERAS else [])]
    found: dict[str, Any] = {
        "library": name,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "versions": {package: version(package) for package in packages},
        "python": platform.python_version(),
        "subjects": [],
    }
    for entry in module.entries():
        check_usage(entry.subject)
        start = time.perf_counter()
        laws = [law for law in LAWS.values() if not entry.only or law.name in entry.only]
        with Budget(apart=True):
            verdicts = judge_all(entry.subject, 0, laws, entry.quick)
        found["subjects"].append(
            {
                "name": entry.subject.name,
                "quick": entry.quick,
                "laws": {v.law.name: [v.outcome, v.reason] for v in verdicts},
            }
        )
        broken = [v.law.name for v in verdicts if v.outcome == "BROKEN"]
        seconds = time.perf_counter() - start
        print(f"{name}: {entry.subject.name}: {seconds:.0f} s; broken: {broken}", flush=True)
    out.mkdir(parents=True, exist_ok=True)
    text = json.dumps(found, indent=1, ensure_ascii=False)
    (out / f"{name}.json").write_text(text + "\n", encoding="utf-8")


def version(package: str) -> str:
    """Return the version of a package that is installed; minigrad may lie in a folder."""
    if package == "minigrad":
        return minigrad.__version__
    return importlib.metadata.version(DISTRIBUTIONS.get(package, package))


if __name__ == "__main__":
    raise SystemExit(main())
