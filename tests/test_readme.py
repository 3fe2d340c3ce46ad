"""The README in two languages: the same commands, the same code, the same order of sections."""

from __future__ import annotations

import re
from pathlib import Path

from examples.lab import publish

ROOT = Path(__file__).parent.parent
ENGLISH, CHINESE = (
    (ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "README.zh.md")
)


def blocks(text: str, language: str) -> list[str]:
    """Return the code blocks of a language, comments and spaces before them left out."""
    found = re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)
    return [re.sub(r" *#.*", "", block) for block in found]


def test_both_have_the_same_commands() -> None:
    assert blocks(ENGLISH, "bash")
    assert blocks(CHINESE, "bash") == blocks(ENGLISH, "bash")


def test_both_have_the_same_code() -> None:
    assert blocks(ENGLISH, "python")
    assert blocks(CHINESE, "python") == blocks(ENGLISH, "python")


def test_both_have_as_many_sections() -> None:
    def levels(text: str) -> list[str]:
        return re.findall(r"^(#+) ", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.MULTILINE)

    assert levels(CHINESE) == levels(ENGLISH)


def test_what_both_link_to_exists() -> None:
    for text in ENGLISH, CHINESE:
        targets = re.findall(r"\]\((?!http|#)([^)#]+)", text)
        missing = [target for target in targets if not (ROOT / target).exists()]
        assert not missing


def test_every_file_of_the_map_is_on_both_maps() -> None:
    def files(text: str) -> set[str]:
        return set(re.findall(r"\[`[^`]*`\]\(([^)]+)\)", text))

    assert files(CHINESE) == files(ENGLISH)


def test_extras_are_those_of_the_project() -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    section = project.split("[project.optional-dependencies]")[1].split("\n[")[0]
    extras = set(re.findall(r"^(\w+) = \[", section, re.MULTILINE))
    for text in ENGLISH, CHINESE:
        assert extras <= set(re.findall(r"`\[(\w+)\]`", text))


#: verdicts of the laboratory's first version, which stand until those of the second are published
FIRST_VERSION = {
    "supported": "得到支持",
    "not supported": "未得到支持",
    "refuted": "被否定",
    "depends": "视情况而定",
}


def test_both_show_the_same_pictures_and_verdicts() -> None:
    def pictures(text: str) -> list[str]:
        return re.findall(r"!\[[^\]]*\]\(([^)]+)\)", text)

    assert pictures(CHINESE) == pictures(ENGLISH)
    chinese, found = {**FIRST_VERSION, **publish.VERDICTS_IN_CHINESE}, []
    for text in ENGLISH, CHINESE:
        rows = re.findall(r"\| \*\*([^*]+)\*\* \|", publish.marked(text, publish.MARKS))
        found.append([chinese.get(row, row) for row in rows])
    assert found[0] == found[1]


def test_pictures_are_small() -> None:
    large = [p for p in (ROOT / "docs").rglob("*.png") if p.stat().st_size > publish.LARGEST]
    assert not large
