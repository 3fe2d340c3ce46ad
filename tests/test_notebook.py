"""The notebook runs from top to bottom, and shows what it says it shows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

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
    assert len(outputs(executed, "image/png")) == 3  # both trainings, and the comparison


def test_a_module_shows_its_parameters(executed: Any) -> None:
    (table,) = outputs(executed, "text/html")
    assert "269,322 elements" in table


def test_a_graph_is_shown_as_text_at_least(executed: Any) -> None:
    assert any("MaskedScaleBackward" in text for text in outputs(executed, "text/plain"))


def test_the_file_holds_no_outputs() -> None:
    nbformat = pytest.importorskip("nbformat")
    cells = nbformat.read(NOTEBOOK, as_version=4).cells
    assert not any(cell.get("outputs") for cell in cells)
