"""`fit` on several ranks: the measures of all rows, and a checkpoint for any number of ranks."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

import minigrad as mg
from minigrad import distributed, nn
from minigrad.distributed import DataParallel
from minigrad.training import fit
from tests.distributed import jobs
from tests.distributed.endings import LIMIT

Arrays = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Arrays:
    """What one worker has at the end."""
    return jobs.results(1, "fitted", tmp_path_factory.mktemp("undisturbed"))[0]


def check_close(found: list[Arrays], expected: Arrays) -> None:
    for arrays in found:
        for name, array in expected.items():
            if name == "states":
                np.testing.assert_array_equal(arrays[name], array)
            else:
                assert arrays[name].tobytes() == found[0][name].tobytes(), name
                np.testing.assert_allclose(arrays[name], array, 5e-5, 5e-6, err_msg=name)


@pytest.mark.parametrize("ranks", [2, 4])
def test_every_rank_has_the_measures_of_all_rows(
    undisturbed: Arrays, ranks: int, tmp_path: Path
) -> None:
    assert undisturbed["test_acc measured"].shape == (3,)
    check_close(jobs.results(ranks, "fitted", tmp_path), undisturbed)


def test_a_job_of_four_that_loses_a_rank_ends_and_goes_on_as_two_to_where_one_would_be(
    undisturbed: Arrays, tmp_path: Path
) -> None:
    """Killed in the middle of the second epoch, with a checkpoint in the middle of it."""
    program = "-m", "tests.distributed.programs", "fitted", str(tmp_path)
    checkpoint = str(tmp_path / "run.safetensors")
    start = time.perf_counter()
    status, said = jobs.finish(jobs.start(4, *program, checkpoint, "10"), timeout=LIMIT)
    assert status != 0, said
    assert time.perf_counter() - start < LIMIT
    assert not list(tmp_path.glob("*.npz"))
    saved = mg.load(checkpoint)["parts"]
    assert len(saved["history"]["train_loss"]) == 1
    assert saved["train_iter"]["position"] in (1, 4)
    check_close(jobs.results(2, "fitted", tmp_path, checkpoint), undisturbed)


def test_a_function_as_updater_is_refused_on_several_ranks(monkeypatch: pytest.MonkeyPatch) -> None:
    import minigrad.training

    net = DataParallel(nn.Linear(2, 2))
    monkeypatch.setattr(minigrad.training, "world_size", lambda: 2)
    with pytest.raises(TypeError, match="has to be an Optimizer"):
        fit(net, [], [], nn.CrossEntropyLoss(), 1, lambda batch_size: None)
    assert not distributed.is_initialized()
