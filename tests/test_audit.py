"""The audit: its page is made from what is kept, and its reproductions stand by themselves."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import pytest

from examples.audit import page
from examples.audit.__main__ import FOLDER, LIBRARIES, main
from examples.audit.faults import FAULTS, OUTPUTS
from minigrad.testing import statistics
from minigrad.testing.laws import LAWS
from minigrad.testing.verdicts import judge

ROOT = Path(__file__).parents[1]


def test_the_page_is_what_the_results_give(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If not: python -m examples.audit --page."""
    monkeypatch.chdir(ROOT)
    page.write(FOLDER, tmp_path / "audit.md")
    made = (tmp_path / "audit.md").read_text(encoding="utf-8")
    assert made == Path("docs/audit.md").read_text(encoding="utf-8")


def test_every_reproduction_is_short_and_knows_nothing_of_minigrad() -> None:
    kept = json.loads((ROOT / OUTPUTS).read_text(encoding="utf-8"))
    assert set(kept) == {fault.name for fault in FAULTS}
    for fault in FAULTS:
        assert len(fault.code.splitlines()) <= 10, fault.name
        assert "minigrad" not in fault.code
        assert kept[fault.name].strip()
        compile(fault.code, fault.name, "exec")


def test_results_name_laws_that_there_are_and_versions() -> None:
    for path in (ROOT / FOLDER).glob("*.json"):
        if path.name == OUTPUTS.name:
            continue
        result = json.loads(path.read_text(encoding="utf-8"))
        assert result["library"] == path.stem
        assert path.stem in LIBRARIES
        assert all(result["versions"].values())
        for subject in result["subjects"]:
            assert set(subject["laws"]) <= set(LAWS)


@pytest.mark.parametrize("library", ["minigrad", "torch"])
def test_the_files_of_libraries_that_are_here_can_be_judged(library: str) -> None:
    pytest.importorskip(library)
    for entry in importlib.import_module(f"examples.audit.{library}_").entries():
        law = LAWS["units" if entry.only else "seed"]
        with statistics.Budget(apart=True):
            assert judge(entry.subject, law, quick=True).outcome == "holds", entry.subject.name


def test_a_library_that_there_is_not_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit:
        main(["caffe"])
    assert exit.value.code == 2
    assert "there is no library 'caffe'; there are minigrad, torch," in capsys.readouterr().err
