"""``python -m benchmarks.gpu``, rehearsed on the fake CuPy, with PyTorch on the CPU."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import benchmarks.__main__
from benchmarks import gpu
from benchmarks.pairs import Result
from minigrad import cuda
from tests.gpu.backend import Backend

SMALL = gpu.Scale(steps=((8, 4, 2), (16, 8, 1)), elements=((1000, 2),), rounds=2)
ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_why_and_fails() -> None:
    with pytest.raises(SystemExit) as exit_:
        gpu.main([])
    assert exit_.value.code == f"error: nothing to measure: {cuda.status()}"


@pytest.mark.filterwarnings("ignore:CUDA is not available:UserWarning")
def test_everything_is_measured_with_pytorch(fake: Backend) -> None:
    torch = pytest.importorskip("torch")
    scale = gpu.Scale(**{**vars(SMALL), "backend": "eager"})
    report, record = gpu.measure(scale, gpu.Rival(torch, "cpu"))
    assert len(record["steps"]) == len(record["launches"]) == 2
    for step in record["steps"].values():
        times = {name: len(rounds) for name, rounds in step["rounds"].items()}
        assert times == {gpu.OURS: 2, gpu.EAGER: 2, gpu.COMPILED: 2, gpu.GRAPH: 0}
    assert len(record["dropout"]) == 2 * len(SMALL.elements)
    for row in record["dropout"]:
        assert set(row["rounds"]) == {gpu.OURS, gpu.EAGER, gpu.COPY}
        assert all(seconds > 0 for rounds in row["rounds"].values() for seconds in rounds)
    for task in ("784-8-8-10, batches of 4", "forward, 1,000 elements", "backward, 1,000 elements"):
        assert f"| {task}" in report or f"| a step of {task}" in report
    assert report.count("of PyTorch's, eager") == 2
    json.dumps(record)


def test_everything_is_measured_without_pytorch(backend: Backend) -> None:
    report, record = gpu.measure(SMALL, None)
    for step in record["steps"].values():
        assert {name for name, rounds in step["rounds"].items() if rounds} == {gpu.OURS}
    assert "not counted" in report
    assert "PyTorch's, eager" not in report


def test_the_command_prints_keeps_and_documents(
    fake: Backend,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    page = tmp_path / "gpu.md"
    page.write_text("before\n<!-- gpu -->\nold\n<!-- end of gpu -->\nafter\n")
    monkeypatch.setattr(gpu, "PAGE", page)
    monkeypatch.setattr(gpu, "QUICK", SMALL)
    monkeypatch.setattr(gpu, "pytorch", lambda: (None, "it is not asked for here"))
    gpu.main(["--quick", "--docs", "--json", str(tmp_path / "all.json")])
    out = capsys.readouterr().out
    assert out.startswith("Fake GPU 0; Python ")
    assert "PyTorch is left out: it is not asked for here\n" in out
    written = page.read_text()
    assert "; `python -m benchmarks.gpu --quick`\n" in written
    assert "old" not in written
    assert written.startswith("before\n<!-- gpu -->\nFake GPU 0")
    assert written.endswith("<!-- end of gpu -->\nafter\n")
    record = json.loads((tmp_path / "all.json").read_text())
    assert record.keys() == {"machine", "command", "steps", "launches", "dropout"}


def test_the_page_has_a_place_for_the_tables() -> None:
    text = gpu.PAGE.read_text(encoding="utf-8")
    assert text.count("<!-- gpu -->\n") == text.count("<!-- end of gpu -->\n") == 1
    assert callable(benchmarks.__main__.put)


def test_what_was_aimed_at_is_judged_by_the_medians() -> None:
    def result(**rounds: list[float]) -> Result:
        names = {"ours": gpu.OURS, "eager": gpu.EAGER, "copy": gpu.COPY}
        return Result("task", "µs", {names[name]: values for name, values in rounds.items()})

    forward = Result(
        "forward, 8 elements", "µs", {gpu.OURS: [1.0], gpu.EAGER: [1.0], gpu.COPY: [0.8]}
    )
    assert gpu.shares(forward) == {gpu.OURS: pytest.approx(1.0), gpu.EAGER: pytest.approx(0.9)}
    steps = {"fast": result(ours=[1.0] * 3, eager=[2.0] * 3), "slow": result(ours=[3], eager=[2])}
    near = result(ours=[1.0, 1.0, 9.0], eager=[0.5, 0.5, 9.0], copy=[0.8, 0.8, 0.1])
    assert gpu.shares(near)[gpu.OURS] == pytest.approx(0.9)
    assert gpu.verdicts(steps, {10**8: near}) == [
        "a step of fast takes 0.50 of PyTorch's, eager: reached",
        "a step of slow takes 1.50 of PyTorch's, eager: NOT reached",
        "dropout of 1e8 elements moves 90% of what a copy moves, of 85 %: reached",
        "and takes 2.00 of PyTorch's time: NOT reached",
    ]


@pytest.mark.gpu
@pytest.mark.hardware
@pytest.mark.skipif(not cuda.is_available(), reason="no GPU")
def test_a_quick_look_on_a_gpu_finds_everybody(tmp_path: Path) -> None:
    record: dict[str, Any]
    command = [sys.executable, "-m", "benchmarks.gpu", "--quick", "--json", tmp_path / "all.json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    record = json.loads((tmp_path / "all.json").read_text())
    (step,) = record["steps"].values()
    assert {gpu.OURS, gpu.EAGER, gpu.COMPILED, gpu.GRAPH} == {
        k for k, v in step["rounds"].items() if v
    }
    (counts,) = record["launches"].values()
    assert all(sum(found.values()) for found in counts.values())
