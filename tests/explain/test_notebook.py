"""In a notebook, and from the command line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import minigrad as mg
from minigrad import nn
from minigrad.explain import explain
from minigrad.explain.__main__ import example, main
from minigrad.explain.notebook import node_html, tensor_html
from tests.processes import environment


def test_after_loading_the_extension_ipython_shows_tensors_and_nodes() -> None:
    pytest.importorskip("IPython")
    from IPython.core.formatters import DisplayFormatter

    class Shell:
        display_formatter = DisplayFormatter()

    formatter = Shell.display_formatter.formatters["text/html"]
    x = nn.Parameter(mg.tensor([[1.0, 2.0]]))
    assert formatter(x) is None
    import minigrad.explain as extension

    extension.load_ipython_extension(Shell)
    assert formatter(x) == tensor_html(x)
    y = x * 3
    assert formatter(y.grad_fn) == node_html(y.grad_fn)
    assert "<iframe" in formatter(explain(y))


def test_a_tensor_is_shown_in_cells_and_its_odd_values_in_bold() -> None:
    text = tensor_html(mg.tensor([[1.0, float("nan")], [3.0, 2.0]]))
    assert text.startswith("<div>(2, 2) float32</div><table>")
    assert text.count("<td") == 4
    assert "<b>nan</b>" in text
    assert "rgb(0,34,78);color:#fff" in text
    assert "rgb(254,232,56);color:#000" in text


@pytest.mark.parametrize("shape", [(0,), (2, 0), (), (40, 40), (2, 3, 4)])
def test_every_shape_is_shown(shape: tuple[int, ...]) -> None:
    for dtype in mg.float16, mg.int64, mg.bool:
        assert str(shape) in tensor_html(mg.ones(shape, dtype=dtype))


def test_a_node_shows_its_formulas_as_text() -> None:
    x = mg.ones(1, requires_grad=True)
    assert node_html((x * x).grad_fn) == (
        "<b>MulBackward (1,) float32</b><pre>a = lambda g, b: g * b\nb = lambda g, a: g * a</pre>"
    )


def test_the_command_prints_or_saves_a_walk(tmp_path: Path, capsys: Any) -> None:
    main([])
    printed = capsys.readouterr().out
    assert "1. class_cross_entropy () float32" in printed
    assert "drawn from (seed 7, stream 0, offset 0) with p = 0.5" in printed
    main(["--save", str(tmp_path / "walk.html")])
    assert "open it in a browser" in capsys.readouterr().out
    assert (tmp_path / "walk.html").read_text().startswith("<!DOCTYPE html>")
    assert example().item() == example().item()


def test_the_command_explains_a_function_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "import minigrad\n"
        "def loss():\n"
        "    w = minigrad.tensor([1.0, 2.0], requires_grad=True)\n"
        "    return (w * w).sum()\n"
    )
    command = [sys.executable, "-m", "minigrad.explain", "mine:loss", "--values"]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, check=True,
        env=environment(PATH=""),
    )  # fmt: skip
    assert "made at mine.py:4  return (w * w).sum()" in done.stdout
    assert "gradient = [2. 4.]" in done.stdout


def test_the_command_refuses_what_names_no_function(capsys: Any) -> None:
    with pytest.raises(SystemExit):
        main(["mine"])
    assert "expected MODULE:FUNCTION, got 'mine'" in capsys.readouterr().err
