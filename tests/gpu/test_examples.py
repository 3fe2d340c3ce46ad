"""The small programs of examples/ on a device: they show what they show on the host."""

from __future__ import annotations

import re
from typing import Any

import pytest

import minigrad
from examples import autograd_tour, dropout_layer
from tests.gpu.backend import Backend

PROGRAMS = {"autograd_tour": autograd_tour, "dropout_layer": dropout_layer}
NUMBER = r"-?\d+\.?\d*(?:e[+-]\d+)?"


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
def test_a_program_shows_the_same_on_each_device(
    backend: Backend, program: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = []
    for place in ("cuda", "cpu"):
        with minigrad.fork_rng():
            program.main(["--device", place])
        text = capsys.readouterr().out
        assert ("device='cuda:0'" in text) == (place == "cuda")
        text = re.sub(r",\s+device='cuda(:0)?'", "", text)
        shown.append((re.sub(rf"\s+|{NUMBER}", "", text), re.findall(NUMBER, text)))
    (there, numbers_there), (here, numbers_here) = shown
    assert there == here
    for actual, expected in zip(map(float, numbers_there), map(float, numbers_here), strict=True):
        assert actual == pytest.approx(expected, rel=0 if backend.fake else 1e-4, abs=1e-6)
