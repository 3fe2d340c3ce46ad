"""The pages for users of PyTorch: the list of names is today's, and what is said of them holds."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests import names

DOCS = Path(__file__).parents[1] / "docs"


def test_the_list_of_names_is_what_the_command_writes() -> None:
    torch = pytest.importorskip("torch")
    assert names.PAGE.read_text() == names.page(torch), "python -m tests.names writes it anew"


def test_every_difference_is_of_a_name_that_is_listed() -> None:
    torch = pytest.importorskip("torch")
    listed = {f"{m}.{n}".lstrip(".") for m in names.MODULES for n in names.names_of(m, torch)}
    assert names.DIFFERENCES.keys() <= listed


def test_no_name_that_the_page_says_is_missing_is_listed() -> None:
    torch = pytest.importorskip("torch")
    text = (DOCS / "from_pytorch.md").read_text()
    table = text[text.index("## Not here") : text.index("## Back")]
    missing = set(
        re.findall(r"nn\.([A-Z]\w+)`?[,`( ]", "".join(re.findall(r"^\| `.*?\|", table, re.M)))
    )
    assert {"BatchNorm1d", "Embedding", "GELU", "BCELoss"} <= missing
    assert missing.isdisjoint(names.names_of("nn", torch))
