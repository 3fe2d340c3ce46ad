"""The suite's own habits: what leaks is caught, and what the report says; in runs of their own."""

from __future__ import annotations

import itertools
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.leaks import GLOBALS
from tests.processes import environment
from tests.titles import LONGEST, name_of, titles

ROOT = Path(__file__).parents[1]
PREAMBLE = """
import gc, os, sys, warnings
import numpy as np
import minigrad
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
"""
LEAKS = {
    "minigrad's grad mode": "minigrad.set_grad_enabled(False)",
    "the default generator's seed and stream": "minigrad.manual_seed(3)",
    "NumPy's error state": "np.seterr(divide='ignore')",
    "NumPy's print options": "np.set_printoptions(precision=3)",
    "minigrad's print options": "minigrad.set_printoptions(precision=3)",
    "the environment": "os.environ['MINIGRAD_LEAK'] = '1'",
    "the working directory": "os.chdir('/')",
    "sys.path": "sys.path.append('leak')",
    "whether garbage is collected": "gc.disable()",
    "PyTorch's default dtype": "torch().set_default_dtype(torch().float64)",
    "PyTorch's grad mode": "torch().set_grad_enabled(False)",
    "PyTorch's seed": "torch().manual_seed(3)",
}


def suite(folder: Path, code: str, *options: str) -> tuple[int, str]:
    """Run tests under the suite's conftest; return the exit status and what was printed."""
    (folder / "test_inner.py").write_text(PREAMBLE + code)
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-ptests.conftest", "-pno:cacheprovider", *options],
        cwd=folder, env=environment(COLUMNS="200"),
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    return run.returncode, run.stdout


FILTERS = """
def test_filters_are_changed():
    warnings.simplefilter("error")

def test_filters_are_as_ever():
    warnings.warn("harmless")
"""
INNOCENT = """
def test_drawing():
    minigrad.rand(3)

def test_seeding_and_giving_back():
    with minigrad.fork_rng():
        minigrad.manual_seed(3)

@minigrad.fork_rng()
def test_a_decorator_that_gives_back():
    minigrad.manual_seed(3)

def test_monkeypatch(monkeypatch, tmp_path):
    monkeypatch.setenv("MINIGRAD_LEAK", "1")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)

def test_contexts():
    with np.errstate(all="ignore"), minigrad.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")

@pytest.mark.filterwarnings("ignore")
def test_a_mark():
    pass
"""


def test_every_leak_fails_the_test_that_leaks_and_is_mended_for_the_next(tmp_path: Path) -> None:
    """Drawing, giving back and filters of warnings are no leaks: these tests pass beside them."""
    assert LEAKS.keys() == GLOBALS.keys()
    there = [what for what in LEAKS if "PyTorch" not in what or find_spec("torch")]
    code = FILTERS + INNOCENT + "def torch():\n    import torch\n    return torch\n"
    code += "from tests.leaks import GLOBALS\nBEFORE = {k: g.read() for k, g in GLOBALS.items()}\n"
    for i, what in enumerate(there):
        code += f"def test_{i}():\n    {LEAKS[what]}\n"
        code += f"def test_after_{i}():\n    what = {what!r}\n"
        code += "    assert 'seed' in what or GLOBALS[what].read() == BEFORE[what]\n"
    status, out = suite(tmp_path, code, "-q")
    assert status == pytest.ExitCode.TESTS_FAILED
    for i, what in enumerate(there):
        assert f"test_inner.py::test_{i} leaks\n    {what}: was " in out
    others = (FILTERS + INNOCENT).count("def test_")
    counts = rf"{2 * len(there) + others} passed, (\d+ warnings?, )?{len(there)} errors"
    assert re.search(counts, out)


DRAWS = """
from minigrad.random import get_rng_state

@pytest.mark.parametrize("i", range(2))
def test_draw(i):
    print("drawn", i, get_rng_state(), minigrad.rand(2).tolist())
"""


def drawn(folder: Path, *options: str) -> list[str]:
    _, out = suite(folder, DRAWS, "-s", "-v", *options)
    return [line[line.index("drawn") :] for line in out.splitlines() if "drawn" in line]


def test_a_test_draws_the_same_with_the_same_seed_also_alone_and_else_differently(
    tmp_path: Path,
) -> None:
    both = drawn(tmp_path, "--seed=5")
    assert both[0][8:] != both[1][8:]
    assert drawn(tmp_path, "--seed=5", "-k1") == both[1:]
    assert drawn(tmp_path) != both


PROPERTY = """
from tests.failures import noting
from tests.reference import scaled

def test_scale():
    print("scale", scaled(15))

@settings(max_examples=20)
@given(st.integers())
def test_property(n):
    assert n < 5

def check(a, b):
    np.testing.assert_allclose(a, b)

def test_arrays():
    for size in 1, 2, 3:
        with noting(size=size):
            check(np.arange(size), np.zeros(size))

def test_functions():
    assert [check] == []

def test_code_that_was_made_from_a_text():
    exec("def inverse(x):\\n    return 1 / x", made := {})
    made["inverse"](0)
"""


@pytest.mark.parametrize(
    ("options", "profile", "scale"),
    [([], "ci", 15), (["--hypothesis-profile=long"], "long", 750)],
    ids=["by default", "long"],
)
def test_a_profile_scales_the_examples_and_a_failure_prints_what_repeats_it(
    options: list[str], profile: str, scale: int, tmp_path: Path
) -> None:
    status, out = suite(tmp_path, PROPERTY, "-s", "--seed=5", *options)
    assert status == pytest.ExitCode.TESTS_FAILED
    assert f"profile {profile}, --seed=5\n" in out
    assert "is repeated by --seed=5\n" in out
    assert f"scale {scale}\n" in out
    assert "@reproduce_failure(" in out
    for said in (
        "assert 5 < 5\nwith, the smallest that was found\n    n=5,\nat\n    test_inner.py:",
        ": assert n < 5\nagain\n    python -m pytest ",
        "with\n    size = 2\nat\n    test_inner.py:",
        ": check(np.arange(size), np.zeros(size))\n    test_inner.py:",
        "assert [<function ch...>] == []\n",
        "one more item: <function check>\n",
        "ZeroDivisionError: division by zero\nat\n    test_inner.py:",
    ):
        assert said in out
    assert "site-packages" not in out


ABSENT = """
def test_that_needs_a_package():
    pytest.importorskip("tqdm")

def test_that_says_what_it_needs():
    pytest.skip("needs a GPU")
"""
SKIPS = """
@pytest.mark.gpu
def test_on_a_gpu():
    pytest.skip("a tool is missing")

def test_elsewhere():
    pytest.skip("a tool is missing")
"""
CHARGES = """
from minigrad.testing.statistics import assert_binomial

def test_a_coin():
    for alpha in ({alphas}):
        assert_binomial(50, n=100, p=0.5, alpha=alpha, what="a coin")
"""


def test_the_report_says_what_was_skipped_and_why_and_what_chance_may_have_failed(
    tmp_path: Path,
) -> None:
    code = ABSENT + SKIPS + CHARGES.format(alphas="1e-7, 2e-7")
    status, out = suite(tmp_path, code, "--without=tqdm")
    assert status == pytest.ExitCode.OK
    assert "tqdm absent" in out
    assert "tests skipped: 4\n" in out
    for line in "1 needs tqdm", "1 needs a GPU", "2 a tool is missing":
        assert f"{line}\n" in out
    assert "1 passed, 4 skipped" in out
    assert "a false alarm has at most the probability 3e-07, 1e-06 allowed" in out
    assert "a coin" not in out


def test_where_a_gpu_is_required_its_tests_cannot_be_skipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MINIGRAD_REQUIRE_GPU", "1")
    status, out = suite(tmp_path, SKIPS)
    assert status == pytest.ExitCode.TESTS_FAILED
    assert "MINIGRAD_REQUIRE_GPU is set, but: Skipped: a tool is missing" in out
    assert "1 failed, 1 skipped" in out


def test_a_run_fails_whose_tests_may_raise_too_many_false_alarms(tmp_path: Path) -> None:
    status, out = suite(tmp_path, CHARGES.format(alphas="9e-7, 2e-7"))
    assert status == pytest.ExitCode.TESTS_FAILED
    assert "a false alarm has at most the probability 1.1e-06, 1e-06 allowed" in out
    assert "1.1e-06  a coin" in out
    assert "1 passed" in out


UNREADABLE = """
class TestText:
    @pytest.mark.parametrize("text", ["word " * 30, "and so on...", "a\\nb", "a word"])
    def test_text(self, text):
        pass

class TestAlike:
    @pytest.mark.parametrize("x", [1, 1])
    def test_alike(self, x):
        pass
"""


def test_what_has_an_unreadable_name_is_not_collected_and_the_reason_is_said(
    tmp_path: Path,
) -> None:
    status, out = suite(tmp_path, UNREADABLE)
    assert status == pytest.ExitCode.INTERRUPTED
    assert f"test_text[{'word ' * 30}]\n    has 186 characters, more than {LONGEST}: " in out
    for case in ("and so on...", r"a\nb"):
        assert f"test_text[{case}]\n    has been cut off or escaped: say" in out
    assert "test_text[a word]" not in out
    assert "TestAlike::test_alike: 2 cases are called 'x=1': say in words which it is" in out


def test_what_the_tests_of_others_are_called_is_their_affair(tmp_path: Path) -> None:
    (tmp_path / "test_inner.py").write_text(PREAMBLE + UNREADABLE)
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-pno:cacheprovider", "-q", "--collect-only",
         "tests/test_device.py", str(tmp_path)],
        cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert run.returncode == pytest.ExitCode.OK, run.stdout
    assert "TestAlike::test_alike[1_0]" in run.stdout


@pytest.mark.parametrize("above", ["", "work/minigrad/"], ids=["here", "in a folder above"])
def test_a_name_is_as_long_wherever_pytest_is_run(above: str) -> None:
    item: Any = SimpleNamespace(path=Path(__file__), nodeid=f"{above}tests/test_habits.py::A::t[:]")
    assert name_of(item) == "tests/test_habits.py::A::t[:]"


def test_a_case_is_called_by_what_goes_in_and_no_two_alike() -> None:
    for argnames, cases, expected in (
        ("x", [1, None, "", "word"], ["x=1", "x=None", "x=", "word"]),
        ("x", [(2,), slice(1, None)], ["x=(2,)", "x=1:"]),
        ("x", [2**64 - 1, -(2**63), 1 - 2.0**-32], ["x=2**64-1", "x=-2**63", "x=1-2**-32"]),
        ("x", [1 + 2.0**-24, 1 / 3, "+"], ["x=1+2**-24", "x=0.333333", "x=+"]),
        ("x", [np.zeros(2), lambda x: x + 1], ["x of float64 (2,)", "x + 1"]),
        ("x", [{"a": 1, "b": "c"}, ["--lr", "1"]], ["a=1, b=c", "--lr 1"]),
        ("x", [1, pytest.param(2, id="two"), pytest.param(3, id="3")], ["x=1", "two", "x=3"]),
        ("x, y", [(1, "a"), (1, "b")], ["x=1-a", "x=1-b"]),
        ("x, message", [(1, "a"), (2, "a")], ["x=1", "x=2"]),
        (("x", "message"), [(1, "a"), (1, "b"), (2, "b")], ["x=1-a", "x=1-b", "x=2"]),
        ("message", ["a", "b"], ["a", "b"]),
    ):
        assert titles(argnames, cases) == expected
    assert titles("x, y", [("a", 2), ("b", 2)], str) == ["a-y=2", "b-y=2"]
    for ids, message in ((["True", "b"], "a case is called 'True'"), (["b", "b"], "2 cases are")):
        with pytest.raises(ValueError, match=message):
            titles("x, y", [(1, 2), (3, 4)], ids)
    endless = (f"case {letter}" for letter in itertools.cycle("ab"))
    assert titles("x", [1, 2], endless) == ["case a", "case b"]


def test_cases_without_ids_or_values_of_their_own_are_refused() -> None:
    for ids in (["a"], ["a", "b", "c"], iter(["a"])):
        with pytest.raises(ValueError, match=r"2 cases have [13] ids"):
            titles("x", [1, 2], ids)
    for cases in ([(1, 2), (3,)], [(1, 2, 3)]):
        with pytest.raises(ValueError, match=r"a case has [13] values for 2 arguments"):
            titles("x, y", cases)


def test_other_processes_find_this_checkout_and_then_what_is_on_pythonpath(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PYTHONPATH", "elsewhere")
    assert environment(X="1")["PYTHONPATH"] == f"{ROOT}{os.pathsep}elsewhere"
    monkeypatch.delenv("PYTHONPATH")
    assert environment()["PYTHONPATH"] == str(ROOT)
    files = {p for p in (ROOT / "tests").rglob("*.py") if '"PYTHONPATH":' in p.read_text("utf-8")}
    assert {p.name for p in files} == {"processes.py", "test_habits.py"}
