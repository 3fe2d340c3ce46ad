"""Runs of the laboratory: each once, wherever it is done; nothing that finished is ever lost."""

from __future__ import annotations

import io
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest

import minigrad
from examples.lab import cli, execute, identity, images, storage, workers
from examples.lab.__main__ import main
from examples.lab.frame import Run, Scale
from examples.lab.progress import Progress, estimate
from examples.lab.training import TRAIN
from tests.lab_runs import count, die_once, fail, no_room, slowly
from tests.processes import environment

HERE = "tests.lab_runs"
ROOT = Path(__file__).parents[1]


def runs(function: Callable[..., Any], number: int, journal: Path, **more: Any) -> list[Run]:
    name = f"{HERE}:{function.__name__}"
    return [Run(name, {"n": n, "journal": str(journal), **more}) for n in range(number)]


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "journal"


# ------------------------------------------------------------------------- what a run is


def test_a_changed_setting_is_another_run(journal: Path) -> None:
    a = Run(TRAIN, {"lr": 0.5, "seed": 1})
    assert a.key == Run(TRAIN, {"seed": 1, "lr": 0.5}).key
    others = [
        Run(TRAIN, {"lr": 0.5, "seed": 2}),
        Run(TRAIN, {"lr": 0.5, "seed": 1, "epochs": 11}),
        Run("examples.lab.ensembles:strangers", dict(a.settings)),
        Run(TRAIN, dict(a.settings), "another data set"),
    ]
    assert len({a.key, *(other.key for other in others)}) == 5


def test_defaults_are_part_of_a_run_whether_or_not_they_are_spelt_out() -> None:
    short, long = Run(TRAIN, {"seed": 0}), Run(TRAIN, {"seed": 0, "lr": 0.5, "hiddens": (256, 256)})
    assert short.key == long.key
    assert short.identity["settings"]["batch_size"] == 256
    assert short.identity["settings"]["probes"] == []


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"seed": 0, "learning_rate": 1}, "learning_rate"),
        ({"lr": 1.0}, "missing.*seed"),
        ({"seed": 0, "noise": "loud"}, "noise must be one of dropout, .*, got 'loud'"),
        ({"seed": 0, "dropout": [0.5]}, "2 hidden layers need as many probabilities"),
    ],
)
def test_a_run_of_unknown_or_missing_settings_is_refused(
    settings: dict[str, Any], message: str
) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        _ = Run(TRAIN, settings).key


@pytest.mark.parametrize("what", ["numerics", "numpy", "threads", "code"])
def test_a_result_of_other_arithmetic_is_that_of_another_run(
    what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = Run(TRAIN, {"seed": 0}).key
    if what == "numerics":
        monkeypatch.setattr(minigrad, "__numerics__", minigrad.__numerics__ + 1)
    elif what == "numpy":
        monkeypatch.setattr(np, "__version__", "9.9")
    elif what == "threads":
        monkeypatch.setattr(identity, "BLAS_THREADS", 2)
    else:
        monkeypatch.setattr(identity, "code", lambda: "another")
    assert Run(TRAIN, {"seed": 0}).key != before


def test_the_code_that_computes_counts_and_its_comments_do_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = []
    for source in (
        "def f(x):\n    return x\n",
        'def f(x):\n    """Say."""\n    return x  # so\n',
        "def f(x):\n    return -x\n",
    ):
        monkeypatch.setattr(identity.inspect, "getsource", lambda module, s=source: s)
        found.append(identity.code.__wrapped__())
    monkeypatch.undo()
    assert found[0] == found[1] != found[2]
    assert identity.code() == identity.code.__wrapped__() not in found


def test_the_key_hangs_on_the_images(tmp_path: Path) -> None:
    whole, sample = (Scale(True, sha).train([0])[0] for sha in ("a", images.found(True).sha256))
    assert whole.key != sample.key


# ------------------------------------------------------------------------- each run once


def test_a_run_that_is_stored_is_never_done_again(tmp_path: Path, journal: Path) -> None:
    wanted = runs(count, 3, journal)
    first = execute.execute(wanted, tmp_path, workers.here)
    again = execute.execute([*wanted, *wanted], tmp_path, workers.here)
    assert first == again
    assert sorted(journal.read_text().split()) == ["0", "1", "2"]


def test_equal_runs_are_done_once(tmp_path: Path, journal: Path) -> None:
    execute.execute(runs(count, 2, journal) * 3, tmp_path, workers.here)
    assert sorted(journal.read_text().split()) == ["0", "1"]


DAMAGES: dict[str, Callable[[str], bytes]] = {
    "cut off": lambda text: text[:-10].encode(),
    "empty": lambda text: b"",
    "not UTF-8": lambda text: b"\xff\xfe" + text.encode(),
    "a number": lambda text: b"5",
    "null": lambda text: b"null",
    "a string": lambda text: b'"done"',
    "a list": lambda text: b"[1]",
    "without a result": lambda text: _without(text, "result"),
    "without an identity": lambda text: _without(text, "identity"),
    "without the seconds": lambda text: _without(text, "seconds"),
    "of another run": lambda text: text.replace('"n": 0', '"n": 7').encode(),
    "nested without end": lambda text: b"[" * 200_000,
}


def _without(text: str, name: str) -> bytes:
    return json.dumps({k: v for k, v in json.loads(text).items() if k != name}).encode()


@pytest.mark.parametrize("damage", [*DAMAGES, "a folder"])
def test_a_damaged_record_counts_as_none_and_is_named(
    damage: str, tmp_path: Path, journal: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (run,) = runs(count, 1, journal)
    whole = execute.execute([run], tmp_path, workers.here)
    path = storage.path_of(run, tmp_path)
    text = path.read_text()
    if damage == "a folder":
        path.unlink()
        path.mkdir()
        (path / "kept").touch()
    else:
        path.write_bytes(DAMAGES[damage](text))
    assert storage.stored(run, tmp_path) is None
    assert f"{path} is damaged (" in capsys.readouterr().err
    assert execute.execute([run], tmp_path, workers.here) == whole
    assert json.loads(path.read_text())["result"] == json.loads(text)["result"]
    if damage == "a folder":
        assert len(list(tmp_path.rglob("kept"))) == 1


def test_a_record_says_where_its_result_comes_from(tmp_path: Path, journal: Path) -> None:
    (run,) = runs(count, 1, journal)
    execute.execute([run], tmp_path, workers.here)
    kept = storage.record(run, tmp_path)
    assert kept["identity"] == run.identity
    assert {"date", "minigrad", "python", "machine", "commit", "criteria"} == set(kept["made"])
    assert kept["identity"]["numerics"] == minigrad.__numerics__


def test_progress_counts_up_to_all(tmp_path: Path, journal: Path) -> None:
    seen: list[tuple[int, int]] = []
    execute.execute(
        runs(count, 3, journal), tmp_path, workers.here, lambda d, w, r: seen.append((d, w))
    )
    assert seen == [(0, 3), (1, 3), (2, 3), (3, 3)]


def test_processes_give_the_same_bits_whatever_their_number(tmp_path: Path, journal: Path) -> None:
    wanted = runs(count, 4, journal)
    one = execute.execute(wanted, tmp_path / "a", workers.processes(1))
    two = execute.execute(wanted, tmp_path / "b", workers.processes(2))
    here = execute.execute(wanted, tmp_path / "c", workers.here)
    assert one == two == here


# ------------------------------------------------------------------------- what may happen


def test_what_a_killed_process_had_not_finished_is_done_again(
    tmp_path: Path, journal: Path
) -> None:
    wanted = runs(die_once, 3, journal)
    results = execute.execute(wanted, tmp_path, workers.processes(2))
    assert sorted(results.values()) == [0, 1, 2]


def test_a_run_that_always_kills_its_process_ends_with_advice(
    tmp_path: Path, journal: Path
) -> None:
    run = Run(f"{HERE}:die", {"journal": str(journal)})
    with pytest.raises(RuntimeError, match=r"its worker died 3 times .*--workers"):
        execute.execute([run], tmp_path, workers.processes(1))


def test_when_a_run_fails_the_others_are_kept_and_the_work_ends_at_once(
    tmp_path: Path, journal: Path
) -> None:
    wanted = runs(fail, 4, journal)
    start = time.monotonic()
    with pytest.raises(RuntimeError, match=r"fail\(n=2, .*: Arithm.*: no such number; 2 runs"):
        execute.execute(wanted, tmp_path, workers.processes(2))
    assert time.monotonic() - start < 30  # and not the minute of the last run
    kept = [run.settings["n"] for run in wanted if storage.stored(run, tmp_path) is not None]
    assert kept == [0, 1]
    pids = [int(line.split()[1]) for line in journal.read_text().splitlines()]
    wait_until(lambda: not any(map(alive, pids)), 10.0)


def test_on_a_full_disk_the_work_ends_and_what_was_stored_stays(
    tmp_path: Path, journal: Path
) -> None:
    pytest.importorskip("resource")
    wanted = runs(no_room, 2, journal)
    with pytest.raises(RuntimeError, match=r"no_room\(n=1, .*failed: OSError: .*File too large"):
        execute.execute(wanted, tmp_path, workers.processes(1))
    assert storage.stored(wanted[0], tmp_path) == 0
    assert storage.record(wanted[1], tmp_path) == {}


LABORATORY = """
if __name__ == "__main__":
    import sys
    from types import ModuleType
    import examples.lab as lab
    from examples.lab import cli, progress
    from examples.lab.__main__ import main
    from examples.lab.frame import Experiment, Run

    def run(n):
        settings = {{"n": n, "journal": {journal!r}, "seconds": {seconds}}}
        return Run("tests.lab_runs:slowly", settings | {{"seed": n}})

    fake = ModuleType("examples.lab.fake")
    fake.EXPERIMENT = Experiment(
        "fake", "t", "c", "s", "w",
        arms=lambda scale: {{"arm": [run(n) for n in range({number})]}},
        measures=lambda arm, result: {{"x": result}}, details=lambda table: [],
        draw=lambda table, figure: None,
    )
    sys.modules["examples.lab.fake"] = fake
    lab.EXPERIMENTS[:] = ["fake"]
    cli.estimate = progress.estimate = lambda run: 1.0
    cli.measure = lambda: 1.0
    main(["--results", {folder!r}, "run", "all", "--workers", "2", "--sample"])
"""


def laboratory(journal: Path, number: int = 30, seconds: float = 0.3) -> subprocess.Popen[str]:
    """Begin a run of all experiments, there being one of slow runs, in a process of its own."""
    script = journal.parent / "laboratory.py"
    folder = str(journal.parent / "results")
    script.write_text(
        LABORATORY.format(journal=str(journal), folder=folder, number=number, seconds=seconds)
    )
    return subprocess.Popen(
        [sys.executable, str(script)], env=environment(), text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def stored_in(journal: Path) -> list[Path]:
    return [p for p in (journal.parent / "results").glob("*slowly/*.json") if p.name[0] != "."]


def begun(journal: Path) -> list[tuple[int, int]]:
    """Return the runs that have been begun, with their workers."""
    lines = journal.read_text().splitlines() if journal.exists() else []
    return [(int(n), int(pid)) for n, pid in (line.split() for line in lines)]


@pytest.mark.parametrize(
    ("signals", "to_group", "status"),
    [
        ([signal.SIGINT], False, 130),
        ([signal.SIGINT], True, 130),
        ([signal.SIGINT, signal.SIGINT], True, 130),
        ([signal.SIGTERM], False, 143),
    ],
    ids=["SIGINT to the parent", "SIGINT to the group", "SIGINT twice", "SIGTERM"],
)
def test_interrupted_the_laboratory_ends_in_a_sentence_and_loses_nothing(
    signals: list[int], to_group: bool, status: int, journal: Path
) -> None:
    running = laboratory(journal)
    wait_until(lambda: len(stored_in(journal)) >= 3 or running.poll() is not None)
    send = os.killpg if to_group else os.kill
    for number in signals:
        send(running.pid, number)
    out, err = running.communicate(timeout=10)
    assert running.returncode == status
    assert "Traceback" not in err + out
    assert err.strip().split("\n")[-1].startswith("interrupted; finished runs are kept")
    assert not any(alive(pid) for _, pid in begun(journal))
    kept = stored_in(journal)
    assert 3 <= len(kept) < 30
    assert all(json.loads(path.read_text())["result"] in range(30) for path in kept)


def test_killed_again_and_again_it_ends_with_the_results_of_an_undisturbed_run(
    journal: Path, tmp_path: Path
) -> None:
    rng, wanted = random.Random(0), 12
    kills = 0
    while True:
        running = laboratory(journal, wanted, 0.3)
        before = len(begun(journal))
        until = before + rng.randrange(3, 6)
        while running.poll() is None and len(begun(journal)) < until:
            time.sleep(0.01)
        if running.poll() is not None:
            break
        time.sleep(rng.random() * 0.1)
        running.kill()
        running.communicate()
        kills += 1
    assert running.communicate()[0].splitlines()[-1].startswith("with figures:")
    assert kills >= 2
    kept = {json.loads(path.read_text())["result"] for path in stored_in(journal)}
    assert kept == set(range(wanted))


def test_workers_end_when_the_laboratory_is_killed(journal: Path) -> None:
    running = laboratory(journal, seconds=60.0)
    wait_until(lambda: len(begun(journal)) == 2 or running.poll() is not None)
    running.kill()
    running.communicate()
    wait_until(lambda: not any(alive(pid) for _, pid in begun(journal)), 20.0)


def alive(pid: int) -> bool:
    """Whether a process is there, and is no corpse that nobody has collected."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_folder_that_cannot_be_written_is_refused_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr(cli, "measure", lambda: pytest.fail("work was begun"))
    with pytest.raises(SystemExit, match=r"error: .*file"):
        main(["--results", str(tmp_path / "file" / "r"), "run", "tikhonov", "--sample"])


# ------------------------------------------------------------------------- which images


def test_the_sample_is_taken_for_the_whole_set_only_by_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(images, "found", lambda sample=False: FOUND)
    arguments = cli.parse(["run", "all", "--full"])
    with pytest.raises(ValueError, match=r"--full needs the whole set, .*--sample"):
        cli.scale_of(arguments)
    assert cli.scale_of(cli.parse(["run", "all", "--full", "--sample"])).full
    assert not cli.scale_of(cli.parse(["run", "all"])).full


FOUND = images.found(sample=True)


def test_a_run_refuses_other_images_than_those_asked_for() -> None:
    with pytest.raises(ValueError, match=r"asks for the images with SHA-256 abc, and here are"):
        Run(f"{HERE}:data_of", {"n": 5}, "abc").perform()
    assert Run(f"{HERE}:data_of", {"n": 5}, FOUND.sha256).perform() == [2_000]


def test_without_an_extra_the_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(arguments: Any) -> None:
        raise ModuleNotFoundError("No module named 'scipy'", name="scipy")

    monkeypatch.setattr(cli, "main", absent)
    with pytest.raises(SystemExit, match=r"needs scipy: pip install 'minigrad\[lab\]'"):
        main([])


def test_a_device_that_cannot_be_used_is_refused_in_a_sentence(tmp_path: Path) -> None:
    command = ["--results", str(tmp_path), "run", "tikhonov", "--sample", "--device", "tpu"]
    with pytest.raises(SystemExit, match=r"error: unknown device 'tpu'"):
        main(command)


def test_a_pilot_sees_validation_images_whatever_is_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["--results", str(tmp_path), "pilot", "--sample", "size=200", "epochs=2"]
    main([*command, "dropout=[0,0]", "lr=0.1", "batch_size=50"])
    out = capsys.readouterr().out
    assert "learned from the first 200, measured on training images 8,001 to 10,000" in out
    assert out.count("validation accuracy") == 2
    with pytest.raises(SystemExit, match="a pilot is measured on validation images"):
        main([*command, "held_out=test"])
    with pytest.raises(SystemExit):
        main([*command, "--seed", "3"])  # a seed of the experiments
    (kept,) = tmp_path.glob("*train/*.json")
    assert "measured on training images" in json.loads(kept.read_text())["result"]["images"]


# ------------------------------------------------------------------------- how long it takes


def test_time_left_goes_by_the_work_left_not_by_the_number_of_runs() -> None:
    long, short = (Run(TRAIN, {"seed": 0, "epochs": epochs, "size": 5_000}) for epochs in (90, 10))
    progress = Progress([long, short], 0.5, io.StringIO())
    whole = progress.left()
    assert whole == pytest.approx(0.5 * (estimate(long) + estimate(short)), rel=0.01)
    progress(1, 2, long)
    assert progress.left() < 0.15 * whole


# ------------------------------------------------------------------------- on a cluster


@mock.patch.dict("os.environ")  # which the cluster adds to
def test_a_cluster_that_loses_a_worker_gives_the_same_results(
    tmp_path: Path, journal: Path
) -> None:
    distributed = pytest.importorskip("distributed")
    wanted = runs(slowly, 4, journal, seconds=0.5)
    killed: list[int] = []  # the run that dies

    def unfinished() -> list[tuple[int, int]]:
        """Return what was begun and is not stored: under way, or kept by its worker alone."""
        left = {r.settings["n"] for r in wanted if storage.stored(r, tmp_path) is None}
        return [(n, pid) for n, pid in begun(journal) if n in left]

    def kill_one(done: int, whole: int, run: Run | None) -> None:
        if done == 1 and not killed:
            wait_until(lambda: bool(unfinished()))  # which worker takes it, and when, is Dask's
            n, pid = unfinished()[0]
            killed.append(n)
            os.kill(pid, signal.SIGKILL)

    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None
    ) as cluster:
        dask = workers.dask_cluster(cluster.scheduler_address)
        results = execute.execute(wanted, tmp_path, dask, kill_one)
    assert killed
    assert sorted(results.values()) == [0, 1, 2, 3]
    assert [n for n, _ in begun(journal)].count(killed[0]) >= 2


@mock.patch.dict("os.environ")  # which the cluster adds to
def test_a_cluster_gives_the_bits_of_local_processes_and_refuses_other_images(
    tmp_path: Path, journal: Path
) -> None:
    distributed = pytest.importorskip("distributed")
    wanted = runs(count, 3, journal)
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, dashboard_address=None
    ) as cluster:
        dask = workers.dask_cluster(cluster.scheduler_address)
        there = execute.execute(wanted, tmp_path / "a", dask)
        with pytest.raises(RuntimeError, match="asks for the images with SHA-256 abc"):
            execute.execute([Run(f"{HERE}:data_of", {"n": 5}, "abc")], tmp_path, dask)
    assert there == execute.execute(wanted, tmp_path / "b", workers.processes(1))
