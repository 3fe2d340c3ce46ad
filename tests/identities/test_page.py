"""docs/identities.md: its examples run, and it leaves no identity out."""

import doctest
import re
from pathlib import Path

FOLDER = Path(__file__).parent
PAGE = FOLDER.parents[1] / "docs" / "identities.md"


def test_every_example_on_the_page_prints_what_the_page_says():
    failures, examples = doctest.testfile(str(PAGE), module_relative=False)
    assert examples > 10
    assert failures == 0


def test_every_identity_tested_is_on_the_page_and_the_other_way_round():
    sources = "".join(file.read_text() for file in FOLDER.glob("test_*.py"))
    tested = {f"I{number}" for number in re.findall(r"^def test_i(\d+)_", sources, re.MULTILINE)}
    listed = re.findall(r"^\| (I\d+) \|", PAGE.read_text(), re.MULTILINE)
    assert len(listed) == len(set(listed))
    assert set(listed) == tested
