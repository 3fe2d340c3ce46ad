"""What the book's cells import as d2l: counts, times, figures, data, classes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minigrad
from data.fashion_mnist import SAMPLE_DIR
from examples import d2l
from examples.d2l.distributions.multinomial import Multinomial
from examples.d2l.vision import datasets, transforms

plt = pytest.importorskip("matplotlib.pyplot")


@pytest.fixture(autouse=True)
def no_open_figures() -> Any:
    plt.switch_backend("agg")
    plt.close("all")
    with plt.rc_context():
        yield
    plt.close("all")


# ------------------------------------------------------------------ counts and times


def test_a_timer_sums_what_it_measured() -> None:
    timer = d2l.Timer()
    timer.times = [1.0, 2.0, 3.5]
    assert (timer.sum(), timer.avg(), timer.cumsum()) == (6.5, 6.5 / 3, [1.0, 3.0, 6.5])
    assert timer.stop() >= 0
    assert len(timer.times) == 4


def test_an_accumulator_adds_and_resets() -> None:
    sums = d2l.Accumulator(2)
    sums.add(minigrad.tensor(2.5), 1)
    sums.add(0.5, 2)
    assert [sums[0], sums[1]] == [3.0, 3.0]
    with pytest.raises(ValueError, match="shorter"):
        sums.add(1)
    sums.reset()
    assert sums.data == [0.0, 0.0]


def test_a_benchmark_says_how_long(capsys: pytest.CaptureFixture[str]) -> None:
    with d2l.Benchmark("nothing"):
        pass
    assert capsys.readouterr().out.startswith("nothing: 0.0")


@pytest.mark.parametrize("form", ["scores", "classes", "column"])
def test_accuracy_counts_the_right_ones(form: str) -> None:
    classes = minigrad.tensor([0, 2, 1])
    y_hat = {
        "scores": minigrad.tensor([[0.9, 0.1, 0.0], [0.0, 0.2, 0.7], [0.3, 0.6, 0.1]]),
        "classes": classes,
        "column": classes.reshape(3, 1),
    }[form]
    assert d2l.accuracy(y_hat, minigrad.tensor([0, 2, 2])) == 2


def test_nothing_to_count_is_an_error() -> None:
    def loss(y_hat: Any, y: Any) -> Any:
        return y_hat - y

    with pytest.raises(ValueError, match="no examples"):
        d2l.evaluate_loss(lambda X: X, [], loss)
    with pytest.raises(ValueError, match="no examples"):
        d2l.train_epoch_ch3(lambda X: X, [], loss, lambda size: None)


# ------------------------------------------------------------------ classes


def test_hyper_parameters_keep_what_the_constructor_got() -> None:
    class Kept(d2l.HyperParameters):
        def __init__(
            self, a: int, b: int, *more: int, c: int = 3, _d: int = 4, **others: int
        ) -> None:
            self.save_hyperparameters(ignore=["b"])

    kept = Kept(1, 2, 5, e=6)
    assert kept.hparams == {"a": 1, "more": (5,), "c": 3, "e": 6}
    assert (kept.a, kept.c, kept.e) == (1, 3, 6)
    assert not hasattr(kept, "b")


def test_a_method_is_added_to_a_class_that_has_instances() -> None:
    class Old:
        pass

    old = Old()

    @d2l.add_to_class(Old)
    def age(self: Old) -> int:
        return 3

    assert old.age() == 3  # type: ignore[attr-defined]


def test_base_classes_say_what_is_missing() -> None:
    for call in (
        lambda: d2l.Module()(minigrad.ones(2)),
        lambda: d2l.Module().loss(minigrad.ones(2), minigrad.ones(2)),
        lambda: d2l.DataModule().train_dataloader(),
    ):
        with pytest.raises(NotImplementedError, match="define"):
            call()
    with pytest.raises(RuntimeError, match="no trainer"):
        d2l.Module().plot("loss", minigrad.tensor(1.0), train=True)


# ------------------------------------------------------------------ figures


def lines(axes: Any) -> list[tuple[list[float], list[float]]]:
    return [(list(line.get_xdata()), list(line.get_ydata())) for line in axes.lines]


x = [0.0, 1.0, 2.0]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((x,), [([0, 1, 2], x)]),
        ((x, x), [(x, x)]),
        ((x, [x, x]), [(x, x), (x, x)]),
        (([x, x[:2]], [x, x[:2]]), [(x, x), (x[:2], x[:2])]),
        (([x, x],), [([0, 1, 2], x), ([0, 1, 2], x)]),
        ((minigrad.tensor(x, requires_grad=True), [minigrad.tensor(x)]), [(x, x)]),
        ((np.array(x), np.array(x)), [(x, x)]),
        ((x, minigrad.tensor([x, x])), [(x, x), (x, x)]),
        (([], []), [([], [])]),
        (([x, x], [[minigrad.tensor(v) for v in x], x]), [(x, x), (x, x)]),
    ],
    ids=[
        *("y", "x and y", "an x and two y", "two x and two y", "two y", "tensors", "arrays"),
        *("an x and the rows of a tensor", "no curve", "lists of tensors"),
    ],
)
def test_one_curve_or_several(arguments: tuple[Any, ...], expected: Any) -> None:
    d2l.plot(*arguments, xlabel="x", ylabel="y", legend=["a", "b"][: len(expected)])
    axes = plt.gca()
    assert lines(axes) == expected
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("x", "y")
    assert len(axes.get_legend().get_texts()) == len(expected)


def test_plotting_again_starts_anew_and_keeps_limits_and_scale() -> None:
    d2l.plot(x, x)
    d2l.plot(x, x, xlim=[0, 5], yscale="log", figsize=(6, 2))
    assert len(plt.gca().lines) == 1
    assert plt.gca().get_xlim() == (0, 5)
    assert plt.gca().get_yscale() == "log"
    assert tuple(plt.rcParams["figure.figsize"]) == (6, 2)


def test_as_many_curves_in_x_as_in_y() -> None:
    with pytest.raises(ValueError, match="2 curves in X but 3 in Y"):
        d2l.plot([x, x], [x, x, x])


def test_images_are_drawn_with_their_titles() -> None:
    axes = d2l.show_images(minigrad.rand(3, 4, 5), 2, 2, titles=["a", "b", "c"])
    assert [ax.get_title() for ax in axes] == ["a", "b", "c", ""]
    assert [len(ax.images) for ax in axes] == [1, 1, 1, 0]


def test_an_animator_draws_what_it_is_given_and_needs_no_notebook() -> None:
    animator = d2l.Animator(xlabel="epoch", legend=["loss", "acc"], xlim=[1, 3], ylim=[0, 1])
    animator.add(1, (0.5, None))
    animator.add(2, [0.25, minigrad.tensor(0.75)])
    assert (animator.X, animator.Y) == ([[1, 2], [2]], [[0.5, 0.25], [0.75]])
    assert lines(animator.axes[0]) == [([1, 2], [0.5, 0.25]), ([2], [0.75])]
    assert animator.axes[0].get_xlabel() == "epoch"
    single = d2l.Animator()
    single.add(1, 0.5)
    single.add(2, minigrad.tensor(0.25, requires_grad=True))
    assert single.Y == [[0.5, 0.25]]
    assert not plt.get_fignums()  # figures that live elsewhere are not shown by plt.show()


def test_a_progress_board_takes_means_of_every_n() -> None:
    board = d2l.ProgressBoard("x")
    for i in range(5):
        board.draw(i, 10 * i, "a", every_n=2)
        board.draw(i, minigrad.tensor(float(i), requires_grad=True), "b")
    assert board.data["a"] == [(0.5, 5.0), (2.5, 25.0)]
    assert board.data["b"] == [(i, i) for i in range(5)]
    assert board.fig is None  # nothing is drawn where nobody sees it
    figure = board.figure()
    assert lines(figure.axes[0])[0] == ([0.5, 2.5], [5.0, 25.0])
    assert board.figure() is figure
    assert len(figure.axes) == 1


def test_names_for_all_frameworks_are_functions_and_methods_of_tensors() -> None:
    t = minigrad.tensor([[0.5, -1.0]])
    assert d2l.reduce_sum(t, 1, keepdim=True).shape == (1, 1)
    assert d2l.reshape(t, (2, 1)).shape == d2l.transpose(t).shape == (2, 1)
    assert d2l.astype(t, d2l.int64).tolist() == [[0, -1]]
    assert d2l.concat([t, t]).shape == (2, 2)
    assert d2l.size(t) == 2
    assert type(d2l.numpy(t.requires_grad_())) is np.ndarray
    np.testing.assert_allclose(d2l.cosh(t).tolist(), np.cosh([[0.5, -1.0]]), rtol=1e-6)
    np.testing.assert_allclose(d2l.sinh(t).tolist(), np.sinh([[0.5, -1.0]]), rtol=1e-6)
    missing = [name for name in d2l.__all__ if not hasattr(d2l, name)]
    assert not missing


def test_a_trace_is_drawn_over_contours(capsys: pytest.CaptureFixture[str]) -> None:
    results = d2l.train_2d(lambda a, b, s, t, grad: (a / 2, b / 2, s, t), 3, f_grad=len)
    assert results == [(-5, -2), (-2.5, -1.0), (-1.25, -0.5), (-0.625, -0.25)]
    assert "epoch 3, x1: -0.625000, x2: -0.250000" in capsys.readouterr().out
    d2l.show_trace_2d(lambda a, b: a**2 + 2 * b**2, results)
    assert lines(plt.gca())[0][0] == [-5, -2.5, -1.25, -0.625]
    assert plt.gca().collections


# ------------------------------------------------------------------ data


@pytest.fixture
def sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINIGRAD_DATA", str(SAMPLE_DIR))


@pytest.mark.usefixtures("sample")
def test_batches_gathered_at_once_are_those_of_single_images() -> None:
    plain = transforms.Compose([transforms.ToTensor()])
    at_once = datasets.FashionMNIST(train=False, transform=plain)
    singly = datasets.FashionMNIST(train=False, transform=lambda image: plain(image))
    assert (at_once.gathers, singly.gathers) == (True, False)
    assert len(at_once) == len(singly) == 2000
    (X, y), (Z, t) = at_once[3], singly[3]
    assert X.shape == (1, 28, 28)
    assert np.array_equal(X.numpy(), Z.numpy())
    assert (y, type(y)) == (t, int)
    loaders = (d2l.FashionMNIST(batch_size=5).val_dataloader(), d2l.FashionMNIST(5))
    batch, labels = next(iter(loaders[0]))
    assert (batch.shape, labels.shape, labels.dtype) == ((5, 1, 28, 28), (5,), minigrad.int64)
    assert np.array_equal(batch[3].numpy(), Z.numpy())


@pytest.mark.usefixtures("sample")
def test_images_are_resized_one_by_one() -> None:
    data = d2l.FashionMNIST(batch_size=4, resize=(32, 36))
    X, y = next(iter(data.val_dataloader()))
    assert (X.shape, X.dtype) == ((4, 1, 32, 36), minigrad.float32)
    small = next(iter(d2l.FashionMNIST(batch_size=4).val_dataloader()))[0]
    assert abs(float(X.mean()) - float(small.mean())) < 0.01
    data.visualize([X, y], ncols=4)
    assert [ax.get_title() for ax in plt.gcf().axes] == data.text_labels(y)


def test_normalize_is_of_each_channel() -> None:
    image = minigrad.ones(2, 3, 3)
    scaled = transforms.Normalize([1.0, 0.0], [2.0, 4.0])(image)
    assert scaled[:, 0, 0].tolist() == [0.0, 0.25]


@pytest.mark.usefixtures("sample")
def test_predictions_are_drawn_below_the_truth() -> None:
    _, test = d2l.load_data_fashion_mnist(8, quiet=True)
    _, labels = next(iter(test))
    axes = d2l.predict_ch3(lambda X: minigrad.eye(10)[minigrad.zeros(len(X)).long()], test, n=3)
    true = d2l.get_fashion_mnist_labels(labels[:3])
    assert [ax.get_title() for ax in axes] == [f"{name}\nt-shirt" for name in true]


def test_a_multinomial_counts_uniform_draws() -> None:
    probs = minigrad.tensor([0.2, 0.0, 0.5, 0.3])
    with minigrad.fork_rng():
        minigrad.manual_seed(1)
        u = minigrad.rand(6, 50, dtype=minigrad.float64).numpy()
        minigrad.manual_seed(1)
        counts = Multinomial(50, probs).sample((2, 3))
    expected = [
        [
            sum(0 <= v < 0.2 for v in row),
            0,
            sum(0.2 <= v < 0.7 for v in row),
            sum(v >= 0.7 for v in row),
        ]
        for row in u
    ]
    assert counts.reshape(6, 4).tolist() == expected
    for bad in minigrad.tensor([-1.0, 2.0]), minigrad.zeros(2), minigrad.ones(2, 2):
        with pytest.raises(ValueError, match="probs must be"):
            Multinomial(1, bad)


def test_a_download_is_checked_and_kept(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import io

    from examples.d2l import files

    calls: list[str] = []

    def answer(url: str, timeout: float) -> io.BytesIO:
        calls.append(url)
        return io.BytesIO(b"abc")

    monkeypatch.setattr(files, "urlopen", answer)
    sha1 = "a9993e364706816aba3e25717850c26c9cd0d89d"
    for _ in range(2):
        path = d2l.download("http://nowhere/a.txt", str(tmp_path), sha1)
        assert Path(path).read_bytes() == b"abc"
    assert calls == ["http://nowhere/a.txt"]
    with pytest.raises(ValueError, match="expected SHA-1"):
        d2l.download("http://nowhere/b.txt", str(tmp_path), "0" * 40)
    assert not (tmp_path / "b.txt").exists()


def test_airfoils_are_made_up_where_there_is_no_network(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from examples.d2l import optimisation

    def nothing(name: str) -> str:
        raise OSError("no network")

    monkeypatch.setattr(optimisation, "download", nothing)
    loader, features = d2l.get_data_ch11(batch_size=100, n=600)
    assert (len(loader), features) == (6, 5)
    assert "made up" in capsys.readouterr().err
    d2l.train_concise_ch11(minigrad.optim.SGD, {"lr": 0.1}, loader, num_epochs=2)
    loss = float(capsys.readouterr().out.removeprefix("loss: ").partition(",")[0])
    assert 0.1 < loss < 0.45  # ten standard deviations around 0.24; at first it is 0.5
