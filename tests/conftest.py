"""How the suite runs: how many examples, from which seed, and what it says about itself.

Profiles of hypothesis, chosen by ``--hypothesis-profile``: ``dev`` for a first look, ``ci`` for
what has to pass, which is the default, and ``long`` for a night. Tests say how many examples they
take in ``ci`` (`tests.reference.scaled`); the others take a fifth, and fifty times as many.

No two runs are the same: what is drawn from minigrad's default generator follows from a seed that
stands at the head of the report, and ``--seed`` repeats it. What hypothesis draws is repeated by
the line that it prints with a failure. Where the variable CI is set, hypothesis draws the same in
every run, so that a change is judged by what it changes.

One thread for BLAS: the products here are small, and threads that wait for each other took a
seventh of the time. So this comes before NumPy is imported.
"""

from __future__ import annotations

import gc
import os

for _library in ("OPENBLAS", "OMP", "MKL"):
    os.environ[f"{_library}_NUM_THREADS"] = "1"

import re
import secrets
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import pytest
from hypothesis import Phase, settings

import minigrad
from minigrad.device import cuda_status
from minigrad.testing import pytest_plugin
from tests import selection, titles
from tests.failures import WrongError, shortened, told
from tests.leaks import guarded

OPTIONAL = ("torch", "safetensors", "playwright", "matplotlib", "tqdm", "build")

for _name, _examples in {"quick": 20, "dev": 20, "ci": 100, "long": 5000}.items():
    settings.register_profile(
        _name,
        max_examples=_examples,
        deadline=None,
        derandomize=bool(os.environ.get("CI")),
        print_blob=True,
        report_multiple_bugs=False,
        phases=set(Phase) - {Phase.explain},  # its lines are hypothesis's and NumPy's, too
    )


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("minigrad")
    group.addoption("--seed", type=int, help="of minigrad's default generator; shown in the head")
    group.addoption(
        "--without",
        metavar="PACKAGE",
        action="append",
        default=[],
        help="behave as if a package were not installed, to see that the suite can do without",
    )


def pytest_configure(config: pytest.Config) -> None:
    if not config.pluginmanager.has_plugin("minigrad"):  # it has, where minigrad is installed
        config.pluginmanager.register(pytest_plugin, "minigrad")
    if not config.pluginmanager.is_registered(selection):
        config.pluginmanager.register(selection)
    if not config.getoption("--hypothesis-profile"):
        settings.load_profile(_profile(config))
    if config.option.seed is None:
        config.option.seed = secrets.randbits(32)
    minigrad.manual_seed(config.option.seed)
    for name in config.option.without:
        sys.modules[name] = None  # type: ignore[assignment]
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # in the background of a shell's script
        signal.signal(signal.SIGINT, signal.default_int_handler)


# as hooks of this file they are for what lies beside it, and not for others' tests in the same run
pytest_make_collect_report = titles.pytest_make_collect_report
pytest_generate_tests = titles.pytest_generate_tests


def pytest_collection_finish() -> None:
    """Take the thousands of tests out of the garbage collector's sight, which tests call often."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _leaves_everything_as_it_was(request: pytest.FixtureRequest) -> Iterator[None]:
    with guarded(request.node.nodeid, request.config.option.seed):
        yield


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo) -> Iterator[None]:
    """Say of a failure what is wrong, unless --tb asks for more; make a skip a failure where a GPU
    has to be there and a test of it is skipped."""
    report = yield
    brief = item.config.option.tbstyle == "auto" and isinstance(item, pytest.Function)
    if call.excinfo and isinstance(call.excinfo.value, WrongError):
        report.longrepr = told(item, call.excinfo.value)
    elif call.excinfo and report.failed and brief:
        report.longrepr = shortened(item, call.excinfo)
    skipped = report.skipped and not hasattr(report, "wasxfail")
    if skipped and os.environ.get("MINIGRAD_REQUIRE_GPU") and item.get_closest_marker("gpu"):
        report.outcome = "failed"
        report.longrepr = f"MINIGRAD_REQUIRE_GPU is set, but: {report.longrepr[2]}"
    return report


# ------------------------------------------------------------------------- what is said


def pytest_report_header(config: pytest.Config) -> list[str]:
    found = {name: _version(name, config) for name in OPTIONAL}
    present, reason = cuda_status()
    found["a GPU"] = "present" if present else f"absent ({reason})"
    return [
        f"minigrad: profile {_profile(config)}, --seed={config.option.seed}",
        "beside it: " + ", ".join(f"{name} {state}" for name, state in found.items()),
    ]


def _profile(config: pytest.Config) -> str:
    chosen = config.getoption("--hypothesis-profile")
    return str(chosen or ("quick" if config.option.markexpr == "quick" else "ci"))


def _version(package: str, config: pytest.Config) -> str:
    try:
        return "absent" if package in config.option.without else version(package)
    except PackageNotFoundError:
        return "absent"


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    stats, write = terminalreporter.stats, terminalreporter.write_line
    terminalreporter.section("what the run was worth")
    skipped = [report.longrepr[2] for report in stats.get("skipped", [])]
    write(f"tests skipped: {len(skipped)}")
    for reason, count in Counter(map(_reason, skipped)).most_common():
        write(f"{count:6} {reason}")
    if stats.get("failed") or stats.get("error"):
        write(
            f"what was drawn from the default generator is repeated by --seed={config.option.seed}"
        )


def _reason(skipped: str) -> str:
    """Return why a test was skipped: what it needs, or what it says itself."""
    module = re.search(r"could not import '(\w+)", skipped)
    return f"needs {module[1]}" if module else skipped.removeprefix("Skipped: ")
