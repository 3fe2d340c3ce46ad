"""`laws_of` in somebody's own test file: what pytest collects, reports and charges."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from minigrad.testing import any_shape_and_p_of, laws_of
from minigrad.testing.laws import LAWS
from minigrad.testing.noise import GAUSSIAN
from minigrad.testing.subjects import UsageError
from tests.processes import environment

MINE = """
import minigrad
from minigrad.nn import functional as F
from minigrad.testing import any_shape_and_p_of, laws_of


def right(x, p, training):
    return F.dropout(x, p, training)


def rows(x, p, training):
    if not training or not 0 < p < 1:
        return F.dropout(x, p, training)
    return x * (minigrad.rand(x.shape[-1:]) >= p) / (1 - p)


def lenient(x, p, training):
    return F.dropout(x, min(max(p, 0.0), 1.0), training)

"""


def run(folder: Path, tests: str, *options: str) -> tuple[int, str]:
    """Run a test file; return the exit status and what was printed."""
    (folder / "test_mine.py").write_text(MINE + tests)
    plugin = [] if _installed() else ["-pminigrad.testing.pytest_plugin"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-pno:cacheprovider", "--strict-markers", *plugin,
         *options],
        cwd=folder, env=environment(COLUMNS="200"),
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def _installed() -> bool:
    from importlib.metadata import entry_points

    return any(e.value == "minigrad.testing.pytest_plugin" for e in entry_points(group="pytest11"))


def test_two_lines_are_a_test_for_each_law_and_those_that_do_not_apply_are_skipped(
    tmp_path: Path,
) -> None:
    status, out = run(tmp_path, "test_right = laws_of(right)\n", "-v", "-rs")
    assert status == 0, out
    for name in LAWS:
        assert f"test_mine.py::test_right[{name}]" in out
    assert "29 passed, 7 skipped" in out
    assert "containers: it is no module" in out
    assert "a false alarm has at most the probability 1.1e-08, 1e-06 allowed" in out


def test_a_law_is_chosen_by_its_name_and_a_tier_by_its_mark(tmp_path: Path) -> None:
    tests = "test_right = laws_of(right, quick=True)\n"
    tests += "test_some = laws_of(right, only=['rate', 'units'], skip=['units'], quick=True)\n"
    _, out = run(tmp_path, tests, "-v", "-k", "rate or some")
    assert "2 passed" in out
    assert "test_right[rate]" in out
    assert "test_some[rate]" in out
    assert "2 passed" in run(tmp_path, tests, "-m", "contract")[1]


def test_a_bug_fails_its_laws_and_shows_no_line_of_minigrads_files(tmp_path: Path) -> None:
    status, out = run(tmp_path, "test_rows = laws_of(rows, quick=True)\n", "-k", "units")
    assert status == pytest.ExitCode.TESTS_FAILED
    assert "Elements of a mask are independent: neighbours, rows, columns, channels." in out
    assert "agreement of the masks at p = 0.5" in out
    assert "minigrad/testing" not in out
    assert "Traceback" not in out


def test_an_edge_is_an_expected_failure_unless_all_is_strict(tmp_path: Path) -> None:
    tests = "test_lenient = laws_of(lenient, only=['bad_p'])\n"
    tests += "test_strict = laws_of(lenient, only=['bad_p'], strict=True)\n"
    tests += "test_exempt = laws_of(lenient, only=['bad_p'], strict=True, exempt={'bad_p': 'so'})\n"
    status, out = run(tmp_path, tests, "-v", "-rx")
    assert status == pytest.ExitCode.TESTS_FAILED
    for test, outcome in (("lenient", "XFAIL"), ("strict", "FAILED"), ("exempt", "XFAIL")):
        assert f"test_{test}[bad_p] {outcome}" in out
    assert "edge: What is no probability is refused" in out


@pytest.mark.skipif(find_spec("xdist") is None, reason="needs xdist")
def test_the_account_is_that_of_all_processes(tmp_path: Path) -> None:
    status, out = run(tmp_path, "test_right = laws_of(right, quick=True)\n", "-n", "2")
    assert status == 0, out
    assert "a false alarm has at most the probability 1.1e-08, 1e-06 allowed" in out


def test_a_session_fails_that_could_raise_too_many_false_alarms(tmp_path: Path) -> None:
    many = "import pytest\n@pytest.mark.parametrize('i', range(3))\ndef test_coins(i):\n"
    many += "    from minigrad.testing.statistics import charge\n    charge('a coin', 4e-7)\n"
    status, out = run(tmp_path, many)
    assert status == pytest.ExitCode.TESTS_FAILED
    assert "3 passed" in out
    assert "1.2e-06  a coin" in out


def test_any_shape_and_p_finds_what_is_wrong_somewhere_alone(tmp_path: Path) -> None:
    tests = """
test_right = any_shape_and_p_of(right)

def odd(x, p, training):
    y = F.dropout(x, p, training)
    return y * 2.0 if x.ndim > 1 else y

test_odd = any_shape_and_p_of(odd)
"""
    status, out = run(tmp_path, tests)
    assert status == pytest.ExitCode.TESTS_FAILED
    assert "1 failed, 1 passed" in out
    assert "expected 0 or" in out


def test_what_cannot_be_judged_is_an_error_where_it_is_named() -> None:
    with pytest.raises(UsageError, match="there is no p"):
        laws_of(lambda x: x)
    with pytest.raises(UsageError, match="there is no law 'gravity'"):
        laws_of(lambda x, p: x, "numpy", only=["gravity"])
    with pytest.raises(UsageError, match="noise is continuous"):
        any_shape_and_p_of(lambda x, p: x, "numpy", noise=GAUSSIAN)
