"""Which tests there are to choose from, in which order they run, and what is said of the others.

``-m quick`` runs what is for a first look, with the profile ``quick``, and reads no other file.
``-m "not stand_in"`` leaves out what runs on a GPU that this CPU plays. Values of ops
are tested first and derivatives next, so that ``-x`` shows a wrong one before what follows from it.
"""

from __future__ import annotations

import functools
import linecache
import re
import time
from collections import Counter
from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from types import FunctionType
from typing import Any

import numpy as np
import pytest

import minigrad
from tests.mutants import ROOT

QUICK = ("ops", "nn", "optim", "identities", "testing/test_laws.py")
STAND_INS = ("gpu", "kernels", "cupy_on_cpu", "test_fake_cupy.py")
PLAYED_GPU = "tests.cupy_on_cpu.plugin"
LEFT_OUT = pytest.StashKey[Counter[str]]()
BEGAN = pytest.StashKey[float]()
WIDTH = 32  # of a value in a test's name
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
    """Mark tests by where they are, before ``-m`` looks at marks; put derivatives first."""
    for item in items:
        if _lies_in(item.path, QUICK):
            item.add_marker("quick")
        if _lies_in(item.path, STAND_INS) and not item.get_closest_marker("gpu"):
            item.add_marker("stand_in")
    items.sort(key=_rank)


@functools.cache
def _lies_in(path: Path, places: tuple[str, ...]) -> bool:
    return any(path.is_relative_to(ROOT / "tests" / place) for place in places)


def _rank(item: pytest.Item) -> int:
    """Values come before derivatives, and these before what follows from them."""
    first = ("test_value", "test_derivatives")
    in_ops = _lies_in(item.path, ("ops",))
    return next((i for i, name in enumerate(first) if in_ops and item.name.startswith(name)), 2)


def pytest_make_parametrize_id(val: Any, argname: str) -> str | None:
    """Return what a value is called in a test's name, in words: ``dim=0``, ``shape=(2, 3)``."""
    if isinstance(val, str):
        bare = re.fullmatch(r"[\W\d]*|True|False|None", val)
        return _short(f"{argname}={val}") if bare else _short(val) if len(val) > WIDTH else None
    if isinstance(val, FunctionType) and val.__name__ == "<lambda>":
        return _short(_body(val) or " ".join(val.__code__.co_names)) or argname
    if isinstance(val, dict) and all(isinstance(key, str) for key in val):
        return _short(", ".join(f"{key}={value}" for key, value in val.items()) or "plain")
    if hasattr(val, "__name__") or isinstance(val, bytes | Enum):
        return None  # pytest's own is a name
    if isinstance(val, minigrad.Tensor | np.ndarray):
        return f"{argname} of {val.dtype}, {tuple(val.shape)}"
    if isinstance(val, set | frozenset):
        val = sorted(val, key=repr)  # in every process the same
    text = str(val) if isinstance(val, np.dtype) else repr(val)
    if type(val) is float and len(text) > 12:
        text = f"{val:.6g}"
    return _short(f"{argname}={type(val).__name__ if ' at 0x' in text else text}")


def _body(function: FunctionType) -> str:
    """Return what a lambda returns, as it is written; "" if it does not stand on one line."""
    code = function.__code__
    places = [p for p in code.co_positions() if p[0] and p[3]]  # of its instructions, if any
    lines = {line for place in places for line in place[:2]}
    if len(lines) != 1:
        return ""
    text = linecache.getline(code.co_filename, lines.pop() or 0).encode()
    return text[min(p[2] or 0 for p in places) : max(p[3] or 0 for p in places)].decode()


def _short(text: str) -> str:
    """Return a text that can stand in a name, whatever the terminal, and not all of a long one."""
    text = "".join(c if c.isascii() and c.isprintable() else ascii(c)[1:-1] for c in text)
    return text if len(text) <= WIDTH else text[: WIDTH - 3] + "..."


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
