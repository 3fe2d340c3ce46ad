"""From the command to the result: imports, installed size, and a user's first epoch.

Every run is a process of its own, started cold in turn with its rivals'. The first epoch is what
somebody waits for who follows the chapter: imports, the data read from its files, an epoch of
training with dropout, the accuracy on the test set. The scripts are in `benchmarks/first_epoch`,
the same line by line, and one by `minigrad.training.fit`, which does more.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

from benchmarks.pairs import Result, compare
from benchmarks.surroundings import RIVALS, version
from data.fashion_mnist import DEBIAN_DIR, SAMPLE_DIR

SCRIPTS = "benchmarks.first_epoch"
CHAPTER_WORKERS = "4"  # processes that load data, as in the chapter's helper


def run(quick: bool = False) -> list[Result]:
    """Measure imports, sizes and the first epoch: on all images where Debian's package has them.

    Args:
        quick: fewer rounds, and the first epoch on the sample of 10,000 images.
    """
    rivals = [package for package in RIVALS if version(package)]
    imports = {name: partial(_python, "-c", f"import {name}") for name in ("minigrad", *rivals)}
    imports["numpy"] = partial(_python, "-c", "import numpy")
    rounds = 7 if quick else 15
    results = [compare("import, with the interpreter's start", imports, rounds, 1, "ms")]
    sizes = {name: [installed_bytes(name)] for name in ("minigrad", "numpy", *rivals)}
    results.append(Result("own files on disk, dependencies not counted", "MB", sizes))

    folder = SAMPLE_DIR if quick or not DEBIAN_DIR.is_dir() else DEBIAN_DIR
    first = {"minigrad": partial(_python, "-m", f"{SCRIPTS}.with_minigrad", str(folder))}
    if "torch" in rivals:
        torch = partial(_python, "-m", f"{SCRIPTS}.with_pytorch", str(folder))
        first["PyTorch, 4 workers"] = partial(torch, CHAPTER_WORKERS)
        first["PyTorch, no workers"] = partial(torch, "0")
    first["minigrad's fit"] = partial(_python, "-m", f"{SCRIPTS}.with_fit", str(folder))
    images = "10,000 images" if folder == SAMPLE_DIR else "60,000 images"
    results.append(compare(f"first epoch from cold, {images}", first, 3 if quick else 7, 1))
    return results


def installed_bytes(package: str) -> float:
    """Return the size of a package's files, compiled Python not counted."""
    if package == "minigrad":  # which may be installed as a link to its source
        spec = importlib.util.find_spec(package)
        assert spec is not None
        assert spec.origin is not None
        files = list(Path(spec.origin).parent.rglob("*"))
    else:
        files = [Path(str(f.locate())) for f in importlib.metadata.files(package) or []]
    sources = [f for f in files if f.is_file() and "__pycache__" not in f.parts]
    return float(sum(f.stat().st_size for f in sources))


def _python(*arguments: str) -> None:
    # bytecode is kept, as it is of whatever pip has installed
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    run = [sys.executable, *arguments]
    subprocess.run(run, check=True, stdout=subprocess.DEVNULL, env=environment)
