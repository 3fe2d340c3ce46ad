"""The notebook runs from top to bottom, and shows what it says it shows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import minigrad
from examples import d2l
from minigrad import nn, optim
from minigrad.utils.data import DataLoader, TensorDataset

NOTEBOOK = Path(__file__).parent.parent / "examples" / "dropout.ipynb"


@pytest.fixture(scope="module")
def executed() -> Any:
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    where = {"metadata": {"path": str(NOTEBOOK.parent)}}
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("MINIGRAD_OFFLINE", "1")
        environment.setenv("OPENBLAS_NUM_THREADS", "1")  # others may be at work on the same cores
        return nbclient.NotebookClient(notebook, timeout=600, resources=where).execute()


def outputs(executed: Any, kind: str) -> list[str]:
    """Return all outputs of a MIME type."""
    cells = (cell for cell in executed.cells if cell.cell_type == "code")
    found = (o.get("data", {}).get(kind) for cell in cells for o in cell.outputs)
    return [output for output in found if output]


def test_it_draws_curves_that_end_after_ten_epochs(executed: Any) -> None:
    # both trainings, the comparison, and the chapter's helper
    assert len(outputs(executed, "image/png")) == 4


def cell(executed: Any, start: str) -> Any:
    """Return the cell whose code has a line that starts like this."""
    return next(
        c
        for c in executed.cells
        if c.cell_type == "code" and any(line.startswith(start) for line in c.source.splitlines())
    )


def printed(of: Any) -> str:
    return "".join(o.get("text", "") for o in of.outputs if o.output_type == "stream")


def test_where_the_data_came_from_stays_on_the_page(executed: Any) -> None:
    assert "training and" in printed(cell(executed, "train_iter, test_iter = load_data"))


def test_the_chapters_helper_draws_its_figure_and_says_how_it_ended(executed: Any) -> None:
    outputs = cell(executed, "d2l.train_ch3(").outputs
    assert [o.output_type for o in outputs] == ["display_data", "execute_result"]
    assert "image/png" in outputs[0].data
    assert outputs[1].data["text/plain"].startswith("epoch 10: train loss 0.")


CELL = """
import sys
sys.path.insert(0, {root!r})
import minigrad
from data.fashion_mnist import SAMPLE_DIR, FashionMNIST, load_fashion_mnist
from minigrad import nn, optim
from minigrad.utils.data import DataLoader
from examples import d2l
train, _ = load_fashion_mnist(SAMPLE_DIR, quiet=True)
few = DataLoader(FashionMNIST(train.images[:50], train.labels[:50], True, ""), 25)
print("said before")
net = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
history = d2l.train_ch3(
    net, few, few, nn.CrossEntropyLoss(), 3, optim.SGD(net.parameters(), lr=0.1)
)
print(len(history), "epochs")
"""


def test_the_figure_that_grows_erases_nothing_and_is_one() -> None:
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    code = nbformat.v4.new_code_cell(CELL.format(root=str(NOTEBOOK.parents[1])))
    notebook = nbformat.v4.new_notebook(cells=[code])
    (done,) = nbclient.NotebookClient(notebook, timeout=120).execute().cells
    assert [o.output_type for o in done.outputs] == ["stream", "display_data", "stream"]
    assert printed(done) == "said before\n3 epochs\n"


def test_outside_a_notebook_the_helper_prints_how_it_ended(
    capsys: pytest.CaptureFixture[str],
) -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    data = TensorDataset(minigrad.rand(6, 4), minigrad.tensor([0, 1, 0, 1, 0, 1]))
    few = DataLoader(data, 3)
    sgd = optim.SGD(net.parameters(), lr=0.1)
    history = d2l.train_ch3(net, few, few, nn.CrossEntropyLoss(), 2, sgd)
    assert capsys.readouterr().out.startswith("epoch 2: train loss")
    assert len(history) == 2


def test_a_module_shows_its_parameters(executed: Any) -> None:
    assert any("269,322 elements" in text for text in outputs(executed, "text/html"))


def test_the_walk_is_shown_as_a_player_and_as_text(executed: Any) -> None:
    data = cell(executed, "explain(loss)").outputs[0].data
    assert data["text/html"].startswith("<iframe")
    assert "2 Dropout" in data["text/html"]
    assert "masked_scale (5, 3) float32" in data["text/plain"]
    assert "to small.0.weight" in data["text/plain"]


def test_the_file_holds_no_outputs() -> None:
    nbformat = pytest.importorskip("nbformat")
    cells = nbformat.read(NOTEBOOK, as_version=4).cells
    assert not any(cell.get("outputs") for cell in cells)
