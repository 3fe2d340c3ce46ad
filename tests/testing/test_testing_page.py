"""docs/testing.md shows what the commands in it print now; pytest runs its examples itself."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from minigrad.testing import matrix
from minigrad.testing.__main__ import main
from minigrad.testing.laws import LAWS
from minigrad.testing.verdicts import judge_all
from minigrad.testing.zoo.kills import KILLS

PAGE = Path(__file__).parents[2] / "docs" / "testing.md"
COMMAND = r"^```text\n\$ python -m minigrad\.testing ?([^\n]*)\n(.*?)^```$"
SHOWN = {
    arguments: output.splitlines()
    for arguments, output in re.findall(COMMAND, PAGE.read_text(encoding="utf-8"), re.M | re.S)
}
KILL_MATRIX = ""  # the command without arguments


def about(arguments: str) -> str:
    """Return the first argument in a word."""
    return arguments.split()[0].rpartition(":")[2]


def printed(arguments: str, capsys: pytest.CaptureFixture[str]) -> list[str]:
    main(arguments.split())
    return capsys.readouterr().out.splitlines()


@pytest.mark.parametrize("arguments", sorted(SHOWN.keys() - {KILL_MATRIX}), ids=about)
def test_the_commands_on_the_page_print_what_it_shows(
    arguments: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """If not, put their output there, without the spaces at the ends of lines."""
    assert [line.rstrip() for line in printed(arguments, capsys)] == SHOWN[arguments]


def test_the_page_shows_the_kill_matrix_of_today(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    pytestconfig: pytest.Config,
) -> None:
    """All of it with the profile ``long``; else its columns for the laws that are exact.

    Those cost a tenth. What the others make of each bug is seldom news: the one that names it is
    tried in test_zoo.
    """
    laws = list(LAWS.values())
    if pytestconfig.getoption("--hypothesis-profile") != "long":
        laws = [law for law in laws if not law.alpha]

    def judge_some(subject: Any, seed: int) -> Any:
        return judge_all(subject, seed, laws)

    monkeypatch.setattr(matrix, "judge_all", judge_some)
    lines = printed(KILL_MATRIX, capsys)
    height = max(map(len, LAWS))
    rows, shown = lines[height : lines.index("")], SHOWN[KILL_MATRIX]
    shown = shown[height : shown.index("")]
    assert len(shown) == len(rows)
    places = [i for i, law in enumerate(LAWS.values()) if law in laws]
    name = len(rows[0]) - (2 * len(laws) - 1)
    for row, line in zip(rows, shown, strict=True):
        cells = line.ljust(name + 2 * len(LAWS))[name::2]
        assert (line[:name], [cells[i] for i in places]) == (row[:name], list(row[name::2]))
        if line[:3].strip():
            assert matrix.kills(cells[: len(LAWS)]) == KILLS[int(line[:3])]


def test_the_page_shows_the_laws_and_a_trial() -> None:
    assert "--list" in SHOWN
    assert any(arguments.startswith("minigrad.testing.zoo") for arguments in SHOWN)
