"""The laboratory's frame: every run once, wherever it is done; nothing lost; honest verdicts."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest

from examples.lab import execute, report, statistics
from examples.lab.frame import Experiment, Finding, Results, Run, Scale
from examples.lab.statistics import Interval

HERE = "tests.test_lab"


def count(n: int, journal: str) -> dict[str, Any]:
    """A run that leaves a trace of having been done."""
    with open(journal, "a") as file:
        file.write(f"{n}\n")
    rng = np.random.default_rng(n)
    a = rng.standard_normal((200, 200))
    return {"n": n, "sum": float((a @ a.T).sum())}


def die_once(n: int, journal: str) -> int:
    """A run whose process is killed the first time."""
    marker = Path(f"{journal}.{n}")
    if not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return n


def die(journal: str) -> None:
    """A run whose process is always killed."""
    os.kill(os.getpid(), signal.SIGKILL)


def slowly(n: int, journal: str) -> int:
    """A run of which there is time to kill the worker; notes which worker has it."""
    with open(journal, "a") as file:
        file.write(f"{n} {os.getpid()}\n")
    time.sleep(1.0)
    return n


def runs(function: Callable[..., Any], number: int, journal: Path) -> list[Run]:
    name = f"{HERE}:{function.__name__}"
    return [Run(name, {"n": n, "journal": str(journal)}) for n in range(number)]


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "journal"


@contextmanager
def in_this_process() -> Iterator[Any]:
    """An executor that needs no other process."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as pool:
        yield pool


def test_a_run_that_is_stored_is_never_done_again(tmp_path: Path, journal: Path) -> None:
    wanted = runs(count, 3, journal)
    first = execute.execute(wanted, tmp_path, in_this_process)
    again = execute.execute([*wanted, *wanted], tmp_path, in_this_process)
    assert first == again
    assert sorted(journal.read_text().split()) == ["0", "1", "2"]


def test_equal_runs_are_done_once(tmp_path: Path, journal: Path) -> None:
    execute.execute(runs(count, 2, journal) * 3, tmp_path, in_this_process)
    assert sorted(journal.read_text().split()) == ["0", "1"]


def test_a_changed_setting_is_another_run() -> None:
    a = Run("m:f", {"lr": 0.5, "seed": 1})
    assert a.key == Run("m:f", {"seed": 1, "lr": 0.5}).key
    others = [Run("m:f", {"lr": 0.5, "seed": 2}), Run("m:g", dict(a.settings)), Run("m:f", {})]
    assert len({a.key, *(other.key for other in others)}) == 4


def test_a_damaged_file_counts_as_no_result(tmp_path: Path, journal: Path) -> None:
    (run,) = runs(count, 1, journal)
    whole = execute.execute([run], tmp_path, in_this_process)
    path = execute.path_of(run, tmp_path)
    path.write_text(path.read_text()[:-10])
    assert execute.stored(run, tmp_path) is None
    assert execute.execute([run], tmp_path, in_this_process) == whole
    assert json.loads(path.read_text())["settings"] == dict(run.settings)


def test_what_was_finished_before_an_interruption_is_kept(tmp_path: Path, journal: Path) -> None:
    wanted = runs(count, 4, journal)

    def interrupt(done: int, whole: int, seconds: float) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        execute.execute(wanted, tmp_path, in_this_process, interrupt)
    kept = [run for run in wanted if execute.stored(run, tmp_path) is not None]
    assert len(kept) == 2
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.json")}
    execute.execute(wanted, tmp_path, in_this_process)
    assert all(path.stat().st_mtime_ns == time for path, time in before.items())


def test_progress_counts_up_to_all(tmp_path: Path, journal: Path) -> None:
    seen: list[tuple[int, int]] = []
    execute.execute(
        runs(count, 3, journal), tmp_path, in_this_process, lambda d, w, s: seen.append((d, w))
    )
    assert seen == [(0, 3), (1, 3), (2, 3), (3, 3)]


def test_processes_give_the_same_bits_whatever_their_number(tmp_path: Path, journal: Path) -> None:
    wanted = runs(count, 4, journal)
    one = execute.execute(wanted, tmp_path / "a", execute.processes(1))
    two = execute.execute(wanted, tmp_path / "b", execute.processes(2))
    here = execute.execute(wanted, tmp_path / "c", in_this_process)
    assert one == two == here


def test_what_a_killed_process_had_not_finished_is_done_again(
    tmp_path: Path, journal: Path
) -> None:
    wanted = runs(die_once, 1, journal)
    results = execute.execute(wanted, tmp_path, execute.processes(1))
    assert list(results.values()) == [0]


def test_a_run_that_always_kills_its_process_ends_with_advice(
    tmp_path: Path, journal: Path
) -> None:
    run = Run(f"{HERE}:die", {"journal": str(journal)})
    with pytest.raises(RuntimeError, match=r"workers died 3 times .*--workers"):
        execute.execute([run], tmp_path, execute.processes(1))


@mock.patch.dict("os.environ")  # which the cluster adds to
def test_a_cluster_that_loses_a_worker_gives_the_same_results(
    tmp_path: Path, journal: Path
) -> None:
    distributed = pytest.importorskip("distributed")
    wanted = runs(slowly, 4, journal)
    killed = []

    def kill_one(done: int, whole: int, seconds: float) -> None:
        if done == 1 and not killed:  # others are under way: one of their workers dies
            running = [line.split() for line in journal.read_text().splitlines()]
            here = {key for key, run in by_number.items() if execute.stored(run, tmp_path) is None}
            killed.append(next(int(pid) for n, pid in running if n in here))
            os.kill(killed[0], signal.SIGKILL)

    by_number = {str(run.settings["n"]): run for run in wanted}
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None
    ) as cluster:
        executor = execute.dask_cluster(cluster.scheduler_address)
        results = execute.execute(wanted, tmp_path, executor, kill_one)
    assert killed
    assert sorted(results.values()) == [0, 1, 2, 3]
    done = [line.split()[0] for line in journal.read_text().splitlines()]
    assert len(done) == 5  # the run whose worker was killed was begun twice


@mock.patch.dict("os.environ")  # which the cluster adds to
def test_a_cluster_gives_the_bits_of_local_processes(tmp_path: Path, journal: Path) -> None:
    distributed = pytest.importorskip("distributed")
    wanted = runs(count, 3, journal)
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, dashboard_address=None
    ) as cluster:
        there = execute.execute(
            wanted, tmp_path / "a", execute.dask_cluster(cluster.scheduler_address)
        )
    assert there == execute.execute(wanted, tmp_path / "b", execute.processes(1))


@pytest.mark.parametrize(
    ("interval", "sign", "least", "expected"),
    [
        ((0.1, 0.3), +1, 0.0, "supported"),
        ((0.1, 0.3), -1, 0.0, "refuted"),
        ((-0.3, -0.1), -1, 0.0, "supported"),
        ((-0.1, 0.3), +1, 0.0, "not supported"),
        ((0.1, 0.3), +1, 0.2, "not supported"),
        ((0.1, 0.3), +1, 0.4, "refuted"),
    ],
)
def test_a_verdict_is_read_off_the_whole_interval(
    interval: tuple[float, float], sign: int, least: float, expected: str
) -> None:
    low, high = interval
    assert statistics.verdict(Interval((low + high) / 2, low, high, 9), sign, least) == expected


def test_the_interval_of_a_mean_covers_it_as_often_as_it_says() -> None:
    # 4,000 intervals at 90 %: outside [3,450, 3,750] with a probability below 1e-12 (binomial)
    rng = np.random.default_rng(0)
    hits = 0
    for values in rng.normal(3.0, 2.0, (4000, 5)):
        interval = statistics.mean(values, 0.9)
        hits += interval.low <= 3.0 <= interval.high
    assert 3450 <= hits <= 3750


def test_an_interval_needs_two_values() -> None:
    with pytest.raises(ValueError, match="at least two values, got 1"):
        statistics.mean([1.0], 0.95)


def test_a_verdict_has_one_of_four_names() -> None:
    with pytest.raises(ValueError, match="a verdict is one of"):
        Finding("maybe", "", [])


def test_the_report_is_one_file_with_claim_verdict_figure_and_numbers(tmp_path: Path) -> None:
    experiment = Experiment(
        title="A <title>",
        claim="Two is more than one.",
        source="anon",
        settings="none",
        criterion="if so",
        runs=lambda scale: [],
        judge=lambda results, scale, level: Finding("supported", "2 > 1", [{"x": 1.0, "y": "z"}]),
        draw=lambda results, scale, figure: figure.subplots().plot([1, 2]),
        minutes=0,
    )
    entry = report.entry("numbers", experiment, Results({}), Scale(False, 2), 0.95)
    report.write([entry], tmp_path, "heading")
    page = (tmp_path / "report.html").read_text()
    assert "data:image/png;base64," in page
    assert "A &lt;title&gt;" in page
    assert 'src="figures' not in page
    markdown = (tmp_path / "report.md").read_text()
    assert "**Verdict: supported.** 2 > 1" in markdown
    assert (tmp_path / "figures" / "numbers.png").read_bytes()[:4] == b"\x89PNG"
