"""Figures grow in a notebook: one under each cell, whatever was printed before stays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")
pytest.importorskip("ipykernel")
pytest.importorskip("matplotlib")

ROOT = Path(__file__).parents[2]
CELLS = [
    f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
    "import minigrad as torch\nfrom examples import d2l",
    "print('said before')\n"
    "animator = d2l.Animator(xlabel='epoch', legend=['a', 'b'])\n"
    "animator.fig.set_layout_engine('none')  # which moves by a pixel, drawing by drawing\n"
    "for i in range(40):\n    animator.add(i, (i, i * i))\n",
    "data = d2l.SyntheticRegressionData(torch.tensor([2, -3.4]), 4.2, num_train=64, num_val=32)\n"
    "model = d2l.LinearRegressionScratch(2, lr=0.1)\n"
    "model.board.figure().set_layout_engine('none')\n"
    "d2l.Trainer(max_epochs=3).fit(model, data)\n"
    "print(len(model.board.data['val_loss']))",
    "animator.fig",
    "model.board.figure()",
    "d2l.plot([1, 2, 3])",
]


@pytest.fixture(scope="module")
def outputs() -> list[list[Any]]:
    cells = [nbformat.v4.new_code_cell(code) for code in CELLS]
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("OPENBLAS_NUM_THREADS", "1")
        notebook = nbformat.v4.new_notebook(cells=cells)
        done = nbclient.NotebookClient(notebook, timeout=300).execute()
    return [cell.outputs for cell in done.cells]


def test_an_animator_has_one_figure_below_what_was_printed(outputs: list[list[Any]]) -> None:
    assert [o.output_type for o in outputs[1]] == ["stream", "display_data"]
    assert outputs[1][0].text == "said before\n"


def test_the_last_points_are_seen_however_soon_they_came(outputs: list[list[Any]]) -> None:
    pictures = [cell[0].data["image/png"] for cell in outputs[2:5]]
    assert outputs[1][1].data["image/png"] == pictures[1]
    assert pictures[0] == pictures[2]


def test_a_trainer_shows_one_board(outputs: list[list[Any]]) -> None:
    assert [o.output_type for o in outputs[2]] == ["display_data", "stream"]
    assert outputs[2][1].text == "3\n"


def test_a_notebooks_figures_are_drawn_as_svg(outputs: list[list[Any]]) -> None:
    assert [o.output_type for o in outputs[5]] == ["display_data"]
    assert "image/svg+xml" in outputs[5][0].data
