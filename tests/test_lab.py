"""The laboratory's frame: every run once, wherever it is done; nothing lost; honest verdicts."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest

import minigrad
from examples import dropout_at_a_glance
from examples.lab import (
    EXPERIMENTS,
    execute,
    load,
    publish,
    report,
    statistics,
    training,
    width,
    with_without,
)
from examples.lab.__main__ import gather
from examples.lab.frame import Experiment, Finding, Results, Run, Scale
from examples.lab.progress import Progress, estimate
from examples.lab.statistics import Interval

HERE = "tests.test_lab"
NOTHING = Experiment(
    title="A <title>",
    claim="Two is more than one.",
    source="anon",
    settings="none",
    criterion="if so",
    runs=lambda scale: [],
    judge=lambda results, scale, level: Finding("supported", "2 > 1", [{"x": 1.0, "y": "z"}]),
    draw=lambda results, scale, figure: figure.subplots().plot([1, 2]),
)
SCALE = Scale(False, 2)


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


def test_workers_end_when_the_laboratory_is_killed(tmp_path: Path, journal: Path) -> None:
    program = (
        "from tests import test_lab as t\n"
        "from pathlib import Path\n"
        "from examples.lab import execute\n"
        f"journal = Path({str(journal)!r})\n"
        "if __name__ == '__main__':\n"
        "    runs = t.runs(t.slowly, 30, journal)\n"
        "    execute.execute(runs, journal.parent, execute.processes(1))\n"
    )
    script = tmp_path / "laboratory.py"
    script.write_text(program)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    laboratory = subprocess.Popen([sys.executable, str(script)], env=environment)
    wait_until(lambda: journal.exists() and journal.read_text().endswith("\n"))
    worker = int(journal.read_text().split()[1])
    laboratory.kill()
    laboratory.wait()
    wait_until(lambda: not alive(worker), 20.0)


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
        time.sleep(0.05)


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
    killed: list[str] = []  # the number of the run that dies

    def kill_one(done: int, whole: int, seconds: float) -> None:
        if done == 1 and not killed:  # others are under way: one of their workers dies
            running = [line.split() for line in journal.read_text().splitlines()]
            here = {key for key, run in by_number.items() if execute.stored(run, tmp_path) is None}
            n, pid = next((n, pid) for n, pid in running if n in here)
            killed.append(n)
            os.kill(int(pid), signal.SIGKILL)

    by_number = {str(run.settings["n"]): run for run in wanted}
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None
    ) as cluster:
        executor = execute.dask_cluster(cluster.scheduler_address)
        results = execute.execute(wanted, tmp_path, executor, kill_one)
    assert killed
    assert sorted(results.values()) == [0, 1, 2, 3]
    done = [line.split()[0] for line in journal.read_text().splitlines()]
    assert done.count(killed[0]) == 2
    assert len(done) <= 6  # on a busy machine the scheduler moves another run away once


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
    entry = report.entry("numbers", NOTHING, Results({}), SCALE, 0.95)
    report.write([entry], tmp_path, "heading")
    page = (tmp_path / "report.html").read_text()
    assert "data:image/png;base64," in page
    assert "A &lt;title&gt;" in page
    assert 'src="figures' not in page
    markdown = (tmp_path / "report.md").read_text()
    assert "**Verdict: supported.** 2 > 1" in markdown
    assert (tmp_path / "figures" / "numbers.png").read_bytes()[:4] == b"\x89PNG"


def test_a_later_stage_is_chosen_by_the_results_of_the_first(tmp_path: Path, journal: Path) -> None:
    first = runs(count, 2, journal)
    third = Run(f"{HERE}:count", {"n": 7, "journal": str(journal)})

    def then(results: Results, scale: Scale) -> list[Run]:
        return [third] if first[0] in results and results[first[0]]["n"] == 0 else first

    experiment = dataclasses.replace(NOTHING, runs=lambda scale: first, then=then)
    progress = Progress(experiment.all_runs(SCALE), 1.0, io.StringIO())
    found = gather("x", experiment, SCALE, tmp_path, in_this_process, progress)
    assert found[third]["n"] == 7
    assert third not in Results({})


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        (["supported", "supported"], "supported"),
        (["supported", "not supported"], "depends"),
        (["supported", "refuted"], "depends"),
        (["refuted", "not supported"], "refuted"),
        (["not supported", "not supported"], "not supported"),
    ],
)
def test_a_claim_about_several_effects_stands_if_it_does_for_each(
    verdicts: list[str], expected: str
) -> None:
    assert statistics.together(verdicts) == expected


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (-0.5, 0.5, "supported"),
        (-1.5, 0.5, "not supported"),
        (-0.5, 1.5, "not supported"),
        (1.5, 2.0, "refuted"),
        (-2.0, -1.5, "refuted"),
    ],
)
def test_no_effect_is_claimed_only_where_the_interval_excludes_one(
    low: float, high: float, expected: str
) -> None:
    assert statistics.equivalence(Interval((low + high) / 2, low, high, 9), 1.0) == expected


def test_a_measure_after_a_breakdown_is_that_of_guessing_and_before_it_what_it_was() -> None:
    result = {"test_acc": [0.5, 0.6, 0.7, 0.8], "test_loss": [1.0] * 4, "broke_down": 5}
    assert training.final("test_acc")(result) == training.CHANCE
    assert np.isnan(training.final("test_loss")(result))
    assert training.final("test_acc", 2, upto=3)(result) == pytest.approx(0.65)
    assert training.final("test_acc", 2)({**result, "broke_down": None}) == pytest.approx(0.75)


def test_curves_that_end_early_are_nan_from_there() -> None:
    whole, broken = Run("m:f", {"seed": 0}), Run("m:f", {"seed": 1})
    results = Results({whole.key: {"x": [1, 2, 3]}, broken.key: {"x": [1]}})
    found = training.curves(results, [whole, broken], "x")
    np.testing.assert_array_equal(found, [[1, 2, 3], [1, np.nan, np.nan]])


def test_time_left_goes_by_the_work_left_not_by_the_number_of_runs() -> None:
    long, short = (
        Run("m:f", {"seed": 0, "epochs": epochs, "train_size": 10_000}) for epochs in (90, 10)
    )
    progress = Progress([long, short], 0.5, io.StringIO())
    whole = progress.left()
    assert whole == pytest.approx(0.5 * (estimate(long) + estimate(short)), rel=0.01)
    progress("x", 1, 2, long)
    assert progress.left() < 0.15 * whole


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_experiment_says_all_before_there_is_data(name: str) -> None:
    experiment = load(name)
    assert "upported if" in experiment.criterion
    assert name in publish.CLAIMS_IN_CHINESE
    assert experiment.comparisons >= 1
    for scale in Scale(False, 3), Scale(True, 10):
        wanted = experiment.all_runs(scale)
        assert all(0 < estimate(run) < 300 for run in wanted)
        assert {run.settings.get("held_out", "test") for run in wanted} <= {"test", "validation"}
        assert all(json.loads(json.dumps(dict(run.settings))) for run in wanted)


def test_arms_are_paired_by_seed() -> None:
    scale = Scale(True, 10)
    a, b = (with_without.arm(name, scale) for name in with_without.ARMS)
    differ = [
        {k for k in x.settings if x.settings[k] != y.settings[k]} for x, y in zip(a, b, strict=True)
    ]
    assert differ == [{"dropout"}] * len(a)


def test_what_chooses_a_learning_rate_never_sees_the_test_set() -> None:
    scale = Scale(True, 10)
    choosing, judging = width.runs(scale), width.then(Results({}), scale)
    assert {run.settings["held_out"] for run in choosing} == {"validation"}
    assert {run.settings["held_out"] for run in judging} == {"test"}
    seeds = [{run.settings["seed"] for run in some} for some in (choosing, judging)]
    assert not set.intersection(*seeds)


@pytest.fixture
def published(tmp_path: Path) -> Path:
    for name in "README.md", "README.zh.md":
        marks = "\n".join(publish.VERDICTS)
        (tmp_path / name).write_text(f"before\n{marks}\nafter\n", encoding="utf-8")
    entry = report.entry("with_without", NOTHING, Results({}), SCALE, 0.95)
    publish.publish([entry], "heading", tmp_path)
    return tmp_path


def test_publishing_writes_the_document_its_figures_and_both_tables(published: Path) -> None:
    document = (published / publish.DOCUMENT).read_text(encoding="utf-8")
    assert "](laboratory/with_without.png)" in document
    assert (published / "docs/laboratory/with_without.png").read_bytes()[:4] == b"\x89PNG"
    english, chinese = (
        (published / name).read_text(encoding="utf-8") for name in ("README.md", "README.zh.md")
    )
    assert "(docs/laboratory.md#a-title)" in english
    assert f"| **{publish.VERDICTS_IN_CHINESE['supported']}** |" in chinese
    for text in english, chinese:
        assert text.startswith("before\n")
        assert text.endswith("\nafter\n")


def test_publishing_again_keeps_what_was_written_by_hand(published: Path) -> None:
    path = published / publish.DOCUMENT
    start = publish.BY_HAND[0]
    path.write_text(
        path.read_text(encoding="utf-8").replace(start, f"{start}\nNothing stands."),
        encoding="utf-8",
    )
    once = {page: page.read_text(encoding="utf-8") for page in published.rglob("*.md")}
    entry = report.entry("with_without", NOTHING, Results({}), SCALE, 0.95)
    publish.publish([entry], "heading", published)
    assert "Nothing stands." in once[path]
    assert {page: page.read_text(encoding="utf-8") for page in published.rglob("*.md")} == once


def test_publishing_without_marks_is_refused_and_changes_nothing(published: Path) -> None:
    (published / "README.zh.md").write_text("no marks", encoding="utf-8")
    before = {page: page.read_bytes() for page in published.rglob("*") if page.is_file()}
    entry = report.entry("with_without", NOTHING, Results({}), SCALE, 0.95)
    with pytest.raises(ValueError, match=r"the marks .* must be there, each once"):
        publish.publish([entry], "another", published)
    assert {page: page.read_bytes() for page in published.rglob("*") if page.is_file()} == before


def test_a_figure_that_is_too_large_is_not_published(tmp_path: Path) -> None:
    entry = report.entry("with_without", NOTHING, Results({}), SCALE, 0.95)
    large = dataclasses.replace(entry, png=bytes(publish.LARGEST + 1))
    with pytest.raises(ValueError, match="has 150,001 bytes, more than 150,000"):
        publish.publish([large], "heading", tmp_path)


def test_at_a_glance_what_is_dropped_is_zero_both_ways_and_what_is_kept_is_doubled() -> None:
    x = minigrad.rand(1, 400, generator=minigrad.Generator(1)) + 0.5
    seen = dropout_at_a_glance.glance(x, lambda y: (y**2).sum())
    kept = seen["mask"]
    assert 0 < kept.sum() < kept.size
    np.testing.assert_array_equal(seen["y"], np.where(kept, 2 * seen["x"], 0))
    np.testing.assert_allclose(seen["gradient"], np.where(kept, 8 * seen["x"], 0))
    assert np.abs(seen["mean"] / seen["x"] - 1).max() < 0.5
