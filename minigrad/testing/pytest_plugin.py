"""What pytest loads: marks for the tiers of laws, and the account of false alarms of the session.

The account is checked when the session ends, over all processes of pytest-xdist: if the tests of
what is random could raise a false alarm with a probability above 1e-6, the session fails.
"""

from __future__ import annotations

import sys
from typing import Any

import pytest

MARKS = {
    "bug": "a law of dropout: if it is broken, the noise is wrong",
    "edge": "a law of dropout at the ends of p, for dtypes, shapes, in place",
    "contract": "a law of dropout that libraries differ about for good reasons",
}
CARRIED = "minigrad: false alarms"


def pytest_configure(config: pytest.Config) -> None:
    for mark, meaning in MARKS.items():
        config.addinivalue_line("markers", f"{mark}: {meaning}")


def _budget() -> Any:
    """Return the account of false-alarm probabilities, if any test has made use of it."""
    statistics = sys.modules.get("minigrad.testing.statistics")
    return statistics and statistics.RUN


def _overdrawn(budget: Any) -> bool:
    try:
        budget.check()
    except AssertionError:
        return True
    return False


def pytest_sessionfinish(session: pytest.Session) -> None:
    budget = _budget()
    if budget and hasattr(session.config, "workeroutput"):  # one of several processes
        session.config.workeroutput[CARRIED] = dict(budget.spent)
    elif budget and _overdrawn(budget):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Add what another process has spent."""
    for what, alpha in getattr(node, "workeroutput", {}).get(CARRIED, {}).items():
        from minigrad.testing.statistics import RUN

        RUN.charge(what, alpha)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    budget = _budget()
    if not budget or not budget.spent:
        return
    spent = f"{budget.total:.2g}, {budget.limit:g} allowed"
    terminalreporter.section("chance", sep="-")
    terminalreporter.write_line(
        f"tests of what is random: a false alarm has at most the probability {spent}"
    )
    if _overdrawn(budget):
        terminalreporter.write_line(str(budget), red=True)
