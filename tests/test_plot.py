"""Pictures: curves that hold the history's numbers."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad.plot import CURVES, Animator, plot_comparison, plot_history
from minigrad.training import History

PNG = b"\x89PNG\r\n\x1a\n"
MAGIC = {".png": PNG, ".svg": b"<?xml", ".pdf": b"%PDF-"}


@pytest.fixture
def plt() -> Iterator[Any]:
    """Pyplot without a screen; figures are closed afterwards."""
    matplotlib = pytest.importorskip("matplotlib")
    backend = matplotlib.get_backend()
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    yield plt
    plt.close("all")
    matplotlib.use(backend)


def history(epochs: int, seed: int = 0) -> History:
    rng = np.random.default_rng(seed)
    return History(*(list(rng.random(epochs)) for _ in range(6)))


def curves(ax: Any) -> dict[str, tuple[list[float], list[float]]]:
    """Return what is drawn: by its name in the legend, the coordinates of each line."""
    return {
        line.get_label(): (list(line.get_xdata()), list(line.get_ydata()))
        for line in ax.get_lines()
    }


# ------------------------------------------------------------------------- learning curves


@pytest.mark.parametrize("epochs", [1, 2, 10])
def test_a_history_is_drawn_as_lines_that_hold_its_numbers(plt: Any, epochs: int) -> None:
    h = history(epochs)
    ax = plot_history(h, title="with dropout")
    numbers = list(range(1, epochs + 1))
    assert curves(ax) == {
        "train loss": (numbers, h.train_loss),
        "train acc": (numbers, h.train_acc),
        "test acc": (numbers, h.test_acc),
    }
    assert ax.get_xlabel() == "epoch"
    assert ax.get_title() == "with dropout"
    assert [text.get_text() for text in ax.get_legend().get_texts()] == list(curves(ax))


def test_matplotlib_draws_tensors_as_arrays(plt: Any) -> None:
    matrix, numbers = mg.arange(6.0).reshape(3, 2), mg.arange(4.0)
    assert [line.get_ydata().tolist() for line in plt.plot(matrix)] == matrix.T.tolist()
    assert plt.hist(numbers, bins=2)[0].tolist() == [2, 2]
    assert plt.imshow(matrix).get_array().tolist() == matrix.tolist()
    assert plt.scatter(numbers, numbers).get_offsets()[:, 1].tolist() == numbers.tolist()


@pytest.mark.parametrize("history", [lambda x: x, lambda x: x * 2])
def test_matplotlib_is_refused_tensors_with_a_history(plt: Any, history: Any) -> None:
    x = mg.ones(2, requires_grad=True)
    with pytest.raises(RuntimeError, match=r"Use tensor\.detach\(\)\.numpy\(\)"):
        plt.plot(history(x))


def test_lines_differ_in_colour_and_in_style(plt: Any) -> None:
    lines = plot_history(history(3)).get_lines()
    assert len({line.get_color() for line in lines}) == len(CURVES)
    assert len({line.get_linestyle() for line in lines}) == len(CURVES)


def test_a_history_is_drawn_into_the_axes_that_are_given(plt: Any) -> None:
    figure, axes = plt.subplots(1, 2)
    assert plot_history(history(3), axes[1]) is axes[1]
    assert len(axes[0].get_lines()) == 0
    assert len(axes[1].get_lines()) == len(CURVES)
    assert plt.get_fignums() == [figure.number]


def test_an_empty_history_is_drawn_as_empty_axes(plt: Any) -> None:
    lines = plot_history(History()).get_lines()
    assert [len(line.get_xdata()) for line in lines] == [0] * len(CURVES)


def test_two_runs_are_drawn_side_by_side_on_the_same_axes(plt: Any) -> None:
    runs = history(4, 0), history(6, 1)
    figure = plot_comparison(*runs)
    left, right = figure.axes
    for ax, h in zip((left, right), runs, strict=True):
        assert [y for _, y in curves(ax).values()] == [h.train_loss, h.train_acc, h.test_acc]
    assert [ax.get_title() for ax in (left, right)] == ["with dropout", "without dropout"]
    assert left.get_ylim() == right.get_ylim()
    low, high = left.get_ylim()
    seen = [v for h in runs for name, *_ in CURVES for v in getattr(h, name)[1:]]
    assert low < min(seen)
    assert high > max(seen)
    titles = plot_comparison(*runs, titles=("p = 0.5", "p = 0")).axes
    assert [ax.get_title() for ax in titles] == ["p = 0.5", "p = 0"]


def test_the_comparison_shows_at_least_the_chapters_range(plt: Any) -> None:
    calm = History(*([0.5, 0.6] for _ in range(6)))
    low, high = plot_comparison(calm, calm).axes[0].get_ylim()
    assert low < 0.3
    assert high > 0.9


def test_a_first_epoch_far_above_the_others_does_not_flatten_the_comparison(plt: Any) -> None:
    steep = History(*([9.0, 0.6, 0.5] for _ in range(6)))
    late = History(*([0.5, 0.6, 9.0] for _ in range(6)))
    assert plot_comparison(steep, steep).axes[0].get_ylim()[1] < 1
    assert plot_comparison(steep, late).axes[0].get_ylim()[1] > 9


def test_the_comparison_is_saved_as_png_without_a_suffix(plt: Any, tmp_path: Path) -> None:
    plot_comparison(history(3), history(3), path=tmp_path / "comparison")
    assert (tmp_path / "comparison").read_bytes().startswith(PNG)


@pytest.mark.parametrize("suffix", MAGIC)
def test_the_comparison_is_saved_in_the_format_of_its_suffix(
    plt: Any, suffix: str, tmp_path: Path
) -> None:
    path = tmp_path / "new folder" / f"comparison{suffix}"
    plot_comparison(history(2), history(2), path=path)
    assert path.read_bytes().startswith(MAGIC[suffix])
    assert os.listdir(path.parent) == [path.name]


def test_a_picture_that_cannot_be_written_leaves_the_old_one(
    plt: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "comparison.png"
    plot_comparison(history(2), history(2), path=path)
    before = path.read_bytes()

    def fail(self: Any, file: Any, **options: Any) -> None:
        Path(file).write_bytes(b"half a pict")
        raise OSError("the disk is full")

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", fail)
    with pytest.raises(OSError, match="the disk is full"):
        plot_comparison(history(3), history(3), path=path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == [path.name]


def test_without_matplotlib_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    for draw in lambda: plot_history(history(2)), lambda: plot_comparison(history(2), history(2)):
        with pytest.raises(ImportError, match="plotting needs matplotlib: pip install matplotlib"):
            draw()


def test_an_animator_draws_each_epoch_in_place_of_the_one_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    display = pytest.importorskip("IPython.display")
    done: list[str] = []
    monkeypatch.setattr(display, "clear_output", lambda wait: done.append("clear"))
    monkeypatch.setattr(display, "display", lambda figure: done.append(type(figure).__name__))
    animator = Animator("a title")
    history = History([1.0], [0.5], [0.5], [1.0], [0.5], [0.1])
    animator(history)
    animator(history)
    assert done == ["clear", "Figure"] * 2
