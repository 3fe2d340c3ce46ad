"""docs/identities.md leaves no identity out; pytest runs its examples itself."""

import re
from pathlib import Path

FOLDER = Path(__file__).parent
PAGE = FOLDER.parents[1] / "docs" / "identities.md"


def test_every_identity_tested_is_on_the_page_and_the_other_way_round():
    sources = "".join(file.read_text() for file in FOLDER.glob("test_*.py"))
    tested = {f"I{number}" for number in re.findall(r"^def test_i(\d+)_", sources, re.MULTILINE)}
    listed = re.findall(r"^\| (I\d+) \|", PAGE.read_text(), re.MULTILINE)
    assert len(listed) == len(set(listed))
    assert set(listed) == tested
