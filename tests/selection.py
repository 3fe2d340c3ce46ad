"""Which tests there are to choose from, in which order they run, and what is said of the others.

``-m quick`` runs what is for a first look, with the profile ``dev``, and reads no other file.
``-m "not stand_in"`` leaves out what runs on a GPU that this CPU plays. What is made of other
things is tested after them, so that ``-x`` shows what is wrong before what follows from it: values
of ops, their derivatives, what else holds for ops, then layers, optimisers, and all the rest.
"""

from __future__ import annotations

import functools
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.failures import COMPARING
from tests.mutants import ROOT

QUICK = ("ops", "nn", "optim", "identities", "testing/test_laws.py")  # in the order of the run
OPS = (  # files of ops: what stands later is made of what stands before
    "elementwise", "arithmetic", "shape", "reduction", "linalg", "neural_ops", "cross_entropy",
    "accumulation", "composed",
)  # fmt: skip
STAND_INS = ("gpu", "kernels", "cupy_on_cpu", "test_fake_cupy.py")
PLAYED_GPU = "tests.cupy_on_cpu.plugin"
LEFT_OUT = pytest.StashKey[Counter[str]]()
BEGAN = pytest.StashKey[float]()
TIMES = "minigrad/seconds"  # in pytest's cache: by command, how long it took


def pytest_configure(config: pytest.Config) -> None:
    config.stash[LEFT_OUT], config.stash[BEGAN] = Counter(), time.monotonic()
    if getattr(config.option, "dist", "no") == "load" and "--dist" not in _command(config):
        # each process takes one part of the list, so that only one makes what a module makes once
        config.option.dist = "worksteal"


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Do not even read what ``-m quick`` leaves out: that would take a third of its time."""
    unread = config.option.markexpr == "quick" and collection_path.is_file()
    return True if unread and not _lies_in(collection_path, QUICK) else None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests by where they are, before ``-m`` looks at marks; put causes first."""
    for item in items:
        if _lies_in(item.path, QUICK):
            item.add_marker("quick")
        if _lies_in(item.path, STAND_INS) and not item.get_closest_marker("gpu"):
            item.add_marker("stand_in")
    items.sort(key=rank)


@functools.cache
def _lies_in(path: Path, places: tuple[str, ...]) -> bool:
    return any(path.is_relative_to(ROOT / "tests" / place) for place in places)


def rank(item: Any) -> tuple[int, ...]:
    """Return where a test stands in the run: the places of `QUICK` in turn, then all others."""
    place = next((i for i, place in enumerate(QUICK) if _lies_in(item.path, (place,))), len(QUICK))
    kinds = ("test_value_matches", "test_derivatives_match")
    kind = next((i for i, start in enumerate(kinds) if item.name.startswith(start)), len(kinds))
    if place or kind == len(kinds):
        return place, kind
    comparing = item.name.endswith(tuple(f"[{op}]" for op in COMPARING))
    file = item.path.stem.removeprefix("test_")
    return place, kind, not comparing, OPS.index(file) if file in OPS else len(OPS)


# ------------------------------------------------------------------------- what is left out


def pytest_deselected(items: Sequence[pytest.Item]) -> None:
    for item in items:
        item.config.stash[LEFT_OUT][_reason(item)] += 1


def _reason(item: pytest.Item) -> str:
    """Return why a test was left out."""
    marks, config = {mark.name for mark in item.iter_markers()}, item.config
    if "hardware" in marks and config.pluginmanager.has_plugin(PLAYED_GPU):
        return "need a GPU that is one"
    for option, value in {"-m": config.option.markexpr, "-k": config.option.keyword}.items():
        if value and "two_gpus" not in marks:
            return f"left out by {option} {value!r}"
    return "need two GPUs" if "two_gpus" in marks else "need a GPU"


def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workeroutput"):  # one of several processes
        session.config.workeroutput["left out"] = dict(session.config.stash[LEFT_OUT])
    elif cache := _cache(session.config):
        seconds = round(time.monotonic() - session.config.stash[BEGAN])
        cache.set(TIMES, cache.get(TIMES, {}) | {_command(session.config): seconds})


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Hear from another process what is left out; all say the same."""
    node.config.stash[LEFT_OUT] = Counter(getattr(node, "workeroutput", {}).get("left out", {}))


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    if config.option.markexpr == "quick":
        terminalreporter.write_line("files left out by -m quick: all but " + ", ".join(QUICK))
    if left_out := config.stash[LEFT_OUT]:
        terminalreporter.write_line(f"tests left out: {left_out.total()}")
        for reason, count in left_out.most_common():
            terminalreporter.write_line(f"{count:6} {reason}")


# ------------------------------------------------------------------------- how long it takes


def pytest_report_header(config: pytest.Config) -> list[str]:
    seconds = (cache := _cache(config)) and cache.get(TIMES, {}).get(_command(config))
    return [f"the last time this took {seconds} s here"] if seconds else []


def _cache(config: pytest.Config) -> Any:
    """Return pytest's cache; None where it is switched off."""
    return getattr(config, "cache", None)


def _command(config: pytest.Config) -> str:
    return " ".join(map(str, config.invocation_params.args))
