"""The chapter's experiment on two ranks: printed and written once, measured as by one."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from tests.distributed import jobs

GIVEN = ("--data-dir", "data/sample", "--train-size", "1000", "--test-size", "200")
GIVEN += ("--hiddens", "20", "--dropout", "0.3", "--epochs", "2", "--lr", "0.1")


def test_the_chapters_experiment_on_two_ranks_is_that_on_one(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    pytest.importorskip("tqdm")
    found = []
    for ranks in 1, 2:
        out = tmp_path / str(ranks)
        program = "-m", "examples.dropout_fashion_mnist", *GIVEN, "--out", str(out)
        status, said = jobs.finish(jobs.start(ranks, *program))
        assert status == 0, said
        assert said.count("last epoch") == 1
        assert said.count("wrote comparison.png") == 1
        assert json.loads((out / "settings.json").read_text())["world_size"] == ranks
        with (out / "curves.csv").open() as file:
            found.append(list(csv.DictReader(file)))
    for one, two in zip(*found, strict=True):
        for name in one.keys() - {"arm", "seconds"}:
            assert float(two[name]) == pytest.approx(float(one[name]), rel=1e-4, abs=0.006), name
