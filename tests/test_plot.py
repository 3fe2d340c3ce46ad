"""Pictures: curves that hold the history's numbers, and the drawing of a graph."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.plot import CURVES, Animator, draw_graph, plot_comparison, plot_history
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


# ------------------------------------------------------------------------- graphs


def small() -> tuple[mg.Tensor, dict[str, mg.Tensor]]:
    """Return a graph in which one tensor is used twice, and the names of its leaves."""
    x = mg.tensor([[1.0, 2.0]], dtype=mg.float64, requires_grad=True)
    b = mg.tensor([0.5, 0.5], dtype=mg.float64, requires_grad=True)
    h = (x + b).exp()
    return (h * h).reshape(2), {"x": x, "b": b}


def test_the_text_of_a_small_graph() -> None:
    y, names = small()
    assert str(draw_graph(y, names)) == "\n".join(
        [
            "  #4 ReshapeBackward          (2,)         from #3; keeps x_shape=(1, 2)",
            "  #3 MulBackward              (1, 2)       from #2, #2; keeps b 16 B, a 16 B",
            "  #2 ExpBackward              (1, 2)       from #1; keeps y 16 B",
            "  #1 AddBackward              (1, 2)       from x, b; keeps nothing",
            "     x                        (1, 2)       a leaf, float64",
            "     b                        (2,)         a leaf, float64",
        ]
    )


def test_ops_stand_newest_first_also_where_a_short_branch_meets_a_long_one() -> None:
    x = mg.ones(2, requires_grad=True)
    short = x * 2
    text = draw_graph(short + short.exp().log(), {"x": x}).text
    heads = [line.split()[:2] for line in text.splitlines()[:-1]]
    names = ["AddBackward", "LogBackward", "ExpBackward", "MulBackward"]
    assert heads == [[f"#{4 - i}", name] for i, name in enumerate(names)]


def test_a_leaf_and_a_constant_are_drawn_as_leaves() -> None:
    assert draw_graph(mg.ones(2)).text == (
        "     leaf0                    (2,)         a leaf, float32"
    )
    w = mg.ones(3, requires_grad=True)
    assert draw_graph(w, {"w": w}).text.split()[0] == "w"


def test_leaves_come_in_the_order_in_which_the_graph_names_them() -> None:
    leaves = [mg.ones(1, requires_grad=True) for _ in range(12)]
    y = mg.cat(leaves)
    order = [line.split()[0] for line in draw_graph(y).text.split("\n")]
    assert order == ["#1", *[f"leaf{i}" for i in range(12)]]
    names = {f"w{i}": leaf for i, leaf in enumerate(leaves)}
    text = draw_graph(y, names).text
    assert [line.split()[0] for line in text.split("\n")] == ["#1", *names]
    assert f"from {', '.join(names)};" in text


def test_what_a_node_had_kept_is_shown_as_freed_after_backward_or_changed_in_place() -> None:
    y, names = small()
    y.sum().backward()
    assert draw_graph(y, names).text.count("freed, or changed since") == 3  # all but add's
    x = mg.ones(2, requires_grad=True)
    square = x * x
    with mg.no_grad():
        x.add_(1)
    assert "freed, or changed since" in draw_graph(square).text


def test_names_may_be_a_modules_parameters() -> None:
    net = nn.Sequential(nn.Linear(2, 3), nn.Dropout(0.5), nn.Linear(3, 1, bias=False))
    text = draw_graph(net(mg.ones(4, 2)), dict(net.named_parameters())).text
    leaves = [line.split()[0] for line in text.split("\n") if "a leaf" in line]
    assert sorted(leaves) == ["0.bias", "0.weight", "2.weight"]
    assert re.search(r"MaskedScaleBackward +\(4, 3\) +from #1; keeps keep 12 B, scale=2\.0", text)


def test_drawing_changes_nothing() -> None:
    y, names = small()
    drawing = draw_graph(y, names)
    assert str(drawing) == repr(drawing) == drawing.text
    y.sum().backward()
    e2 = np.exp(2 * (np.array([[1.0, 2.0]]) + 0.5))
    np.testing.assert_allclose(names["x"].grad.numpy(), 2 * e2, rtol=1e-14)


def test_a_chain_of_fifty_thousand_ops_is_drawn_without_recursion() -> None:
    n = 50_000
    y = mg.ones(1, requires_grad=True)
    for _ in range(n):
        y = y + 1
    lines = draw_graph(y).text.split("\n")
    assert len(lines) == n + 1
    assert lines[0].split()[0] == f"#{n}"
    assert lines[-2].split()[0] == "#1"


def test_dot_holds_every_node_and_every_edge() -> None:
    pytest.importorskip("graphviz")
    y, names = small()
    source = draw_graph(y, names).dot
    nodes = re.findall(r'^\t(n\d+) \[label="?(\w+)', source, re.MULTILINE)
    assert sorted(name for _, name in nodes) == ["Add", "Exp", "Mul", "Reshape", "b", "x"]
    name_of = dict(nodes)
    edges = [(name_of[a], name_of[b]) for a, b in re.findall(r"(n\d+) -> (n\d+)", source)]
    expected = ["x Add", "b Add", "Add Exp", "Exp Mul", "Exp Mul", "Mul Reshape"]
    assert sorted(f"{a} {b}" for a, b in edges) == sorted(expected)


@pytest.mark.parametrize(
    ("name", "start"), [("g.txt", "  #4 Resh"), ("g.dot", "digraph"), ("g.gv", "digraph")]
)
def test_text_and_dot_are_saved_without_the_dot_program(
    name: str, start: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("graphviz")
    monkeypatch.setenv("PATH", str(tmp_path))
    draw_graph(*small()).save(tmp_path / name)
    assert (tmp_path / name).read_text().startswith(start)
    assert os.listdir(tmp_path) == [name]


@pytest.mark.skipif(shutil.which("dot") is None, reason="needs Graphviz's dot program")
@pytest.mark.parametrize("suffix", MAGIC)
def test_a_picture_is_saved_in_the_format_of_its_suffix(suffix: str, tmp_path: Path) -> None:
    pytest.importorskip("graphviz")
    drawing = draw_graph(*small())
    drawing.save(tmp_path / f"graph{suffix}")
    assert (tmp_path / f"graph{suffix}").read_bytes().startswith(MAGIC[suffix])
    assert "<svg" in drawing._repr_svg_()


def test_without_the_graphviz_package_the_error_says_what_to_install_and_what_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "graphviz", None)
    drawing = draw_graph(*small())
    for draw in (
        lambda: drawing.dot,
        lambda: drawing.save(tmp_path / "g.svg"),
        lambda: drawing.save(tmp_path / "g.dot"),
    ):
        with pytest.raises(ImportError, match=r"pip install graphviz.*print\(draw_graph\(t\)\)"):
            draw()
    assert os.listdir(tmp_path) == []
    drawing.save(tmp_path / "g.txt")
    assert (tmp_path / "g.txt").read_text() == f"{drawing}\n"


def test_without_the_dot_program_the_error_says_what_to_install_and_no_file_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("graphviz")
    monkeypatch.setenv("PATH", str(tmp_path))
    drawing = draw_graph(*small())
    with pytest.raises(RuntimeError, match="dot program was not found: apt-get install graphv"):
        drawing.save(tmp_path / "g.svg")
    assert os.listdir(tmp_path) == []


def test_without_the_dot_program_a_notebook_shows_the_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("graphviz")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert draw_graph(*small())._repr_svg_() is None


def test_the_source_of_a_drawing_is_the_same_in_every_run() -> None:
    pytest.importorskip("graphviz")
    assert draw_graph(*small()).dot == draw_graph(*small()).dot


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
