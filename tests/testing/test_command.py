"""``python -m minigrad.testing``: what it prints, and its exit status."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from minigrad.testing import matrix, statistics, verdicts, zoo
from minigrad.testing.__main__ import main
from minigrad.testing.frameworks import MINIGRAD
from minigrad.testing.laws import LAWS
from minigrad.testing.subjects import Subject

#: a learner's file: one right dropout, some that are not, and things that are none
MINE = """
import numpy as np

import minigrad
from minigrad import nn
from minigrad.testing.subjects import Subject


def right(x, p, training):
    if not 0 <= p <= 1:
        raise ValueError(p)
    if not training or p == 0:
        return x
    return x * (minigrad.rand(x.shape) >= p) / (1 - p) if p < 1 else x * 0


def normal(x, p, training):
    return x * (minigrad.randn(x.shape) > p) / (1 - p) if 0 < p < 1 else right(x, p, training)


def lenient(x, p):
    return right(x, min(max(float(p), 0.0), 1.0), True)


def by_numpy(x, p, training):
    assert 0 <= p <= 1
    p = float(p)
    if not training or p == 0:
        return x
    return x * (np.random.rand(*x.shape) >= p) / (1 - p) if p < 1 else np.zeros_like(x)


def half_scaled_by_numpy(x, p, training):
    return by_numpy(x, p, training) * 2


class Nested:
    dropout = staticmethod(right)


subject = Subject("with its spawn", right, spawn=lambda n: [right] * n)
number = 3
"""


@pytest.fixture(autouse=True)
def apart() -> Iterator[None]:
    """Charge nothing to the run: few laws are tried, and what is wrong should fail."""
    with statistics.Budget(apart=True):
        yield


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    (tmp_path / "mine_for_a_test.py").write_text(MINE)
    (tmp_path / "mine_for_a_test_that_exits.py").write_text("raise SystemExit('enough')")
    monkeypatch.syspath_prepend(tmp_path)
    yield "mine_for_a_test"
    sys.modules.pop("mine_for_a_test", None)


Run = Any


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    """Return the exit status, and what was printed."""
    try:
        status = main(list(arguments))
    except SystemExit as exit:
        status = int(exit.code or 0)
    printed = capsys.readouterr()
    return status, printed.out + printed.err


QUICK = ("--only", "support", "--only", "bad_p", "--only", "rate", "--only", "backward_mask")


# ------------------------------------------------------------------------- a named dropout


def test_a_right_dropout_ends_with_status_0_and_says_that_no_law_is_broken(
    mine: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status, printed = run(capsys, f"{mine}:right", "--seed", "5")
    lines = printed.splitlines()
    assert status == 0
    assert lines[0] == f"{mine}:right on minigrad's tensors, seed 5"
    assert lines[2] == "Verdict: no bug. No law is broken, 29 hold."
    told = " ".join(lines[4:]).replace("Hold: ", "").replace("Do not apply: ", "")
    assert set(re.findall(r"\w+", told)) == set(LAWS)


def test_a_wrong_dropout_ends_with_status_1_and_says_what_was_expected_and_got(
    mine: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status, printed = run(capsys, f"{mine}:normal", *QUICK)
    assert status == 1
    assert "BROKEN  rate             Each element is dropped with probability p.\n" in printed
    words = " ".join(printed.split())
    assert "float32 elements dropped at p = 0.00585938 got: 131" in words
    assert "expected: 1536, give or take 39.1" in words
    assert "last call: dropout(x, p=0.005859375, training=True) with x of shape (256, 512)" in words
    assert "Verdict: bug. The noise is wrong: 1 law is broken, 3 hold. A correct dropout" in printed
    assert 'It looks like zoo bug 1, "randn for rand"' in words


def test_a_function_without_a_mode_is_tried_in_training_alone(
    mine: str, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--only", "bad_p", "--only", "evaluation", "--verbose")
    status, printed = run(capsys, f"{mine}:lenient", *options)
    assert status == 0
    assert "it takes no mode, and is for training alone" in printed
    assert "p = -0.1: expected a ValueError, but got a result" in printed
    assert run(capsys, f"{mine}:lenient", *options, "--strict")[0] == 1


def test_numpy_functions_are_tried_by_the_forward_laws_alone(
    mine: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status, printed = run(capsys, f"{mine}:by_numpy", "--verbose")
    assert status == 0
    assert printed.count("there are no gradients") == 4
    assert "on numpy's tensors" in printed
    status, printed = run(capsys, f"{mine}:half_scaled_by_numpy", "--framework", "numpy", *QUICK)
    assert status == 1
    assert "BROKEN  support" in printed


def test_pytorch_is_tried_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch")
    laws = ("--only", "containers", "--only", "backward_mask")
    status, printed = run(capsys, "torch.nn:Dropout", "--framework", "torch", *laws)
    assert status == 0
    assert "Verdict: no bug. No law is broken, 2 hold." in printed


def test_what_cannot_be_called_is_one_error_and_not_a_list_of_broken_laws(
    mine: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status, printed = run(capsys, "os.path:join", "--framework", "minigrad")
    assert status == 2
    assert "os.path:join should take (x, p, training), but takes (a): there is no p." in printed
    status, printed = run(capsys, "shutil:copyfileobj", "--framework", "minigrad")
    assert status == 2
    assert "shutil:copyfileobj cannot be judged with minigrad's tensors: it raised" in printed


def test_a_subject_can_be_named_with_all_that_it_offers(
    mine: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(capsys, f"{mine}:subject", "--only", "streams")[0] == 0
    assert run(capsys, f"{mine}:Nested.dropout", *QUICK)[0] == 0


def test_another_seed_gives_other_trials(mine: str, capsys: pytest.CaptureFixture[str]) -> None:
    def reason(seed: str) -> str:
        printed = run(capsys, f"{mine}:normal", "--only", "rate", "--seed", seed)[1]
        return printed[printed.index("got:") :]

    assert reason("1") == reason("1") != reason("2")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("dropout", "expected module:name, as in mypackage.layers:my_dropout, got 'dropout'"),
        (":right", "expected module:name"),
        ("{mine}:", "expected module:name"),
        ("no_such_module_at_all:right", "cannot try no_such_module_at_all:right: No module named"),
        ("{mine}:wrong", "module '{mine}' has no attribute 'wrong'"),
        ("{mine}:number", "{mine}:number is int, which cannot be called"),
        ("{mine}:Nested", "is a class, but not one of layers"),
        ("{mine}_that_exits:right", "cannot try {mine}_that_exits:right: enough"),
    ],
)
def test_a_bad_name_ends_with_status_2_and_a_clear_message(
    mine: str, name: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status, printed = run(capsys, name.format(mine=mine))
    assert status == 2
    assert message.format(mine=mine) in " ".join(printed.split())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--framework", "caffe"), "invalid choice: 'caffe'"),
        (("--only", "gravity"), "there is no law 'gravity'; the laws are support, blocks,"),
        (("--seed", "-1"), "argument --seed: expected an integer from 0 on, got '-1'"),
        (("--runs", "0"), "argument --runs: expected an integer from 1 on, got '0'"),
    ],
)
def test_bad_options_end_with_status_2_and_a_clear_message(
    arguments: tuple[str, str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status, printed = run(capsys, "minigrad.nn:Dropout", *arguments)
    assert status == 2
    assert message in " ".join(printed.split())


def test_a_framework_that_is_not_installed_ends_with_status_2(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    status, printed = run(capsys, "minigrad.nn:Dropout", "--framework", "torch")
    assert status == 2
    assert "cannot try minigrad.nn:Dropout: import of torch halted" in printed


def test_without_scipy_the_way_out_is_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    status, printed = run(capsys)
    assert status == 2
    assert 'pip install "minigrad[testing]"' in printed


def test_the_command_runs_from_a_shell_and_its_status_is_the_verdict(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(MINE)
    for name, status in ("right", 0), ("lenient", 1), ("nothing", 2):
        command = [sys.executable, "-m", "minigrad.testing", f"mine:{name}", "--strict"]
        command += ["--only", "bad_p"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == status, done.stderr


# ------------------------------------------------------------------------- many runs


def test_many_runs_are_counted_and_broken_ones_shown_with_their_seed(
    mine: str, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--only", "rate", "--only", "support", "--runs", "3", "--seed", "7")
    status, printed = run(capsys, f"{mine}:right", *options)
    assert status == 0
    assert printed.endswith("3 runs of 2 laws; broken: none.\n")
    status, printed = run(capsys, f"{mine}:normal", *options)
    assert status == 1
    assert [line for line in printed.splitlines() if line.startswith("seed ")] == [
        "seed 7",
        "seed 8",
        "seed 9",
    ]
    assert printed.endswith("3 runs of 2 laws; broken: rate 3 times.\n")


# ------------------------------------------------------------------------- laws and matrix


def test_the_list_gives_every_law_its_statement_and_what_it_detects(
    capsys: pytest.CaptureFixture[str],
) -> None:
    status, printed = run(capsys, "--list")
    assert status == 0
    words = " ".join(printed.split())
    for law in LAWS.values():
        assert f"{law.name} {law.statement}" in words
        if law.detects:
            assert f"alpha 1e-09, detects {law.detects()}" in words
    assert printed.endswith("All laws together: 1.3e-08.\n")


def test_lines_of_verdicts_and_laws_fit_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    for line in run(capsys, "--list")[1].splitlines():
        assert len(line) <= 100
    for law in LAWS.values():
        verdict = verdicts.Verdict(law, verdicts.BROKEN, "far " * 100)
        assert max(map(len, str(verdict).splitlines())) <= 100


def a_small_zoo(monkeypatch: pytest.MonkeyPatch) -> list[zoo.Bug]:
    names = {"mask of the last call", "scaled twice"}
    bugs = [bug for bug in zoo.ZOO if bug.name in names]
    laws = {name: LAWS[name] for name in ("support", "boundary", "backward_mask")}
    monkeypatch.setattr(zoo, "ZOO", bugs)
    monkeypatch.setattr(matrix, "LAWS", laws)
    monkeypatch.setattr(
        matrix, "judge_all", lambda subject, seed: verdicts.judge_all(subject, seed, laws.values())
    )
    return bugs


def test_the_matrix_shows_what_killed_each_bug_and_that_the_correct_ones_live(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = a_small_zoo(monkeypatch)
    status, printed = run(capsys)
    lines = printed.splitlines()
    width = len(second.name) + 5
    columns = ["".join(line[width:][i : i + 1] for line in lines[:13]).strip() for i in (0, 2, 4)]
    assert status == 0
    assert columns == ["support", "boundary", "backward_mask"]
    assert lines[13] == f"{first.number:>3} {first.name:<{width - 4}}X   ."
    assert lines[14] == f"{second.number:>3} {second.name:<{width - 4}}.   X"
    assert lines[15].endswith(". . .")
    assert lines[16].endswith(". . .")
    assert "2 of 2 bugs are killed by the law that names them; 0 of 2 correct" in lines[-1]


def test_a_bug_that_escapes_is_shown_and_makes_the_status_1(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    a_small_zoo(monkeypatch)
    right = Subject("right", matrix.CORRECT[0].dropout, MINIGRAD)
    for law, cells in ("support", "!   ."), ("boundary", ". ! ."):
        bug = zoo.Bug(1, "right", "nowhere", law, lambda: right)
        monkeypatch.setattr(zoo, "ZOO", [bug])
        status, printed = run(capsys)
        assert status == 1
        assert f"  1 right {cells}" in printed
        assert "0 of 1 bugs are killed" in printed


def test_a_correct_dropout_that_is_condemned_makes_the_status_1(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    a_small_zoo(monkeypatch)
    wrong = Subject("wrong", lambda x, p, training: x, MINIGRAD)
    monkeypatch.setattr(matrix, "CORRECT", (wrong, wrong))
    status, printed = run(capsys)
    assert status == 1
    assert "2 of 2 correct dropouts are condemned" in printed


def test_what_kills_a_bug_in_the_matrix_is_charged_as_no_false_alarm() -> None:
    with statistics.Budget() as budget:
        matrix.row(matrix.CORRECT[0])
    assert budget.total == 0
