"""Scripts in the style of PyTorch's tutorials, run in both frameworks, but for the import the same.

The scripts are in ``tests/tutorials``. What is drawn at random is drawn alike in both: initial
weights, the order of batches and dropout's masks come from NumPy here, one generator for each run.
"""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minigrad
from minigrad import nn
from minigrad.utils import data

torch = pytest.importorskip("torch")

SCRIPTS = sorted((Path(__file__).parent / "tutorials").glob("*.py"))
IMPORT = re.compile(r"^(import|from) torch\b(.*)$", re.MULTILINE)
NUMBER = re.compile(r"-?\d+\.\d*(?:e[-+]\d+)?|-?\d+")
TOLERANCE = 5e-4  # of float32 after a hundred steps, in units of the larger of 1 and the value


def with_minigrad(source: str) -> str:
    """Return a script whose import lines name minigrad; nothing else is touched."""
    return IMPORT.sub(
        lambda line: f"{line[1]} minigrad{line[2] or ' as torch'}",
        source,
    )


@pytest.fixture
def drawn_alike(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Give both frameworks the same initial weights, orders and masks; returns what starts anew."""
    rng = np.random.default_rng(0)

    def restart() -> None:
        nonlocal rng
        rng = np.random.default_rng(0)

    def initial(layer: Any) -> None:
        if layer.in_features:
            bound = layer.in_features**-0.5
            m = minigrad if isinstance(layer, nn.Module) else torch
            with m.no_grad():
                for p in (layer.weight, layer.bias):
                    values = rng.uniform(-bound, bound, size=tuple(p.shape))
                    p.copy_(m.from_numpy(values.astype(np.float32)))

    def dropped(layer: Any, x: Any) -> Any:
        if not layer.training:
            return x
        keep = (rng.random(tuple(x.shape)) >= layer.p) / (1 - layer.p)
        m = minigrad if isinstance(layer, nn.Module) else torch
        return x * m.from_numpy(keep.astype(np.float32))

    def order(n: int, **options: Any) -> Any:
        return minigrad.from_numpy(rng.permutation(n))

    def walk(sampler: Any) -> Iterator[int]:
        return iter(rng.permutation(len(sampler.data_source)).tolist())

    monkeypatch.setattr(nn.Linear, "reset_parameters", initial)
    monkeypatch.setattr(torch.nn.Linear, "reset_parameters", initial)
    monkeypatch.setattr(nn.Dropout, "forward", dropped)
    monkeypatch.setattr(torch.nn.Dropout, "forward", dropped)
    monkeypatch.setattr(data, "randperm", order)
    monkeypatch.setattr(torch.utils.data.RandomSampler, "__iter__", walk)
    return restart


def run(source: str, name: str) -> tuple[str, dict[str, Any]]:
    """Run a script; return what it prints, and its variables."""
    variables: dict[str, Any] = {"__name__": "__main__"}
    with contextlib.redirect_stdout(io.StringIO()) as out:
        exec(compile(source, name, "exec"), variables)
    return out.getvalue(), variables


def numbers_in(value: Any) -> Any:
    """Return a variable's numbers as a list of floats, or None: of tensors, modules, lists."""
    if isinstance(value, nn.Module | torch.nn.Module):
        value = list(value.state_dict().values())
    if isinstance(value, minigrad.Tensor | torch.Tensor):
        return np.ravel(np.array(value.detach().tolist(), dtype=float)).tolist()
    if isinstance(value, bool | int | float):
        return [float(value)]
    if isinstance(value, list | tuple):
        found = [numbers_in(v) for v in value]
        return None if None in found else [n for numbers in found for n in numbers]
    return None


def assert_close(ours: list[float], theirs: list[float], what: str) -> None:
    assert len(ours) == len(theirs), what
    np.testing.assert_allclose(ours, theirs, rtol=TOLERANCE, atol=TOLERANCE, err_msg=what)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_for_pytorch_runs_unchanged_but_for_its_import(
    script: Path, drawn_alike: Any
) -> None:
    source = script.read_text()
    drawn_alike()
    said_there, there = run(source, script.name)
    drawn_alike()
    said_here, here = run(with_minigrad(source), script.name)
    assert here["torch"] is minigrad
    assert here.keys() == there.keys()
    compared = 0
    for name, value in there.items():
        numbers = numbers_in(value)
        if numbers is not None:
            assert_close(numbers_in(here[name]), numbers, name)
            compared += len(numbers)
    assert compared > 50
    assert NUMBER.sub("#", said_here) == NUMBER.sub("#", said_there)
    printed = ([float(n) for n in NUMBER.findall(text)] for text in (said_here, said_there))
    for a, b in zip(*printed, strict=True):
        assert abs(a - b) <= 2e-3 * max(1, abs(b)), said_here


def test_there_are_ten_scripts_and_only_their_imports_are_changed() -> None:
    assert len(SCRIPTS) == 10
    for script in SCRIPTS:
        before = script.read_text().split("\n")
        after = with_minigrad(script.read_text()).split("\n")
        changed = [old for old, new in zip(before, after, strict=True) if old != new]
        assert changed
        assert all(line.startswith(("import torch", "from torch")) for line in changed)
