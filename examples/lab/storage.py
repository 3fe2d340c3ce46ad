"""Finished runs on disk: a small JSON file each, named by the run's key, whole or not there."""

from __future__ import annotations

import datetime
import functools
import json
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import minigrad
from examples.lab import criteria
from examples.lab.frame import Run
from minigrad.utils.files import replacing

RESULTS = Path("lab-results")
FIELDS: dict[str, Any] = {
    "identity": dict,
    "made": dict,
    "seconds": (int, float),
    "result": (dict, list, int, float),
}


def path_of(run: Run, folder: Path) -> Path:
    """Return where a run's result is kept."""
    return folder / run.function.split(".")[-1].replace(":", ".") / f"{run.key}.json"


def record(run: Run, folder: Path) -> dict[str, Any]:
    """Return what is kept of a run that was finished, else {}.

    A record that is damaged, or that is of another run, counts as none; it is named on stderr.
    """
    path = path_of(run, folder)
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(found, dict):
            raise ValueError(f"it holds {found!r:.40}, not a record")
        for name, kind in FIELDS.items():
            if not isinstance(found.get(name), kind):
                raise ValueError(f"it lacks {name!r}")
        if found["identity"] != run.identity:
            raise ValueError("it is of another run")
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:  # UnicodeDecodeError is a ValueError
        print(f"{path} is damaged ({error}): it counts as none", file=sys.stderr)
        return {}
    return found


def stored(run: Run, folder: Path) -> Any | None:
    """Return the result of a run that was finished, else None."""
    return record(run, folder).get("result")


def written(run: Run, result: Any, seconds: float) -> dict[str, Any]:
    """Return the record of a run: what it came from, how it was made, what came out."""
    made = {
        "date": f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}",
        "minigrad": minigrad.__version__,
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "commit": commit(),
        "criteria": criteria.fingerprint(),
    }
    return {"identity": run.identity, "made": made, "seconds": round(seconds, 2), "result": result}


def store(run: Run, kept: dict[str, Any], folder: Path) -> None:
    """Keep the record of a run; a folder in its place is renamed, not lost."""
    target = path_of(run, folder)
    if target.is_dir():
        target.rename(target.with_suffix(f".{datetime.datetime.now():%Y%m%d%H%M%S%f}.damaged"))
    with replacing(target) as path:
        path.write_text(json.dumps(kept), encoding="utf-8")


def check(folder: Path) -> None:
    """Say before any work is done if results cannot be kept.

    Raises:
        OSError: the folder cannot be written.
    """
    with replacing(folder / "writable") as path:
        path.write_text("results can be kept here\n", encoding="utf-8")
    (folder / "writable").unlink()


@functools.cache
def commit() -> str:
    """Return the commit of the source, with a + if it has been changed since; "" if unknown."""
    here = Path(__file__).parent

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(here), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        return git("rev-parse", "--short=12", "HEAD") + "+" * bool(
            git("status", "--porcelain", "--untracked-files=no")
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
