"""The programs in examples/: what they print and write, and how they refuse bad options."""

from __future__ import annotations

import csv
import json
import os
import platform
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minigrad
from data.fashion_mnist import SAMPLE_DIR, FashionMNIST
from examples import (
    autograd_tour,
    dropout_at_a_glance,
    dropout_exercises,
    dropout_fashion_mnist,
    dropout_layer,
)
from minigrad.checkpoint import Checkpoint
from minigrad.determinism import surroundings
from minigrad.device import cuda_status
from tests.processes import environment

ROOT = SAMPLE_DIR.parent.parent
SMALL = ["--quick", "--quiet", "--train-size", "500", "--test-size", "200", "--epochs", "2"]
SMALL += ["--lr", "0.5", "--batch-size", "256"]
COLUMNS = ["arm", "epoch", "train_loss", "train_acc", "train_acc_eval", "test_loss", "test_acc"]


def run(program: str, *arguments: str, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run a program as a reader would, in a process of its own without a network."""
    variables = environment(MINIGRAD_OFFLINE="1")
    variables.pop("MINIGRAD_DATA", None)
    return subprocess.run(
        [sys.executable, "-m", f"examples.{program}", *arguments],
        cwd=folder, env=variables, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def compare(out: Path, *arguments: str) -> list[dict[str, str]]:
    """Run the chapter's experiment in this process, on little data; return its curves."""
    given = ["--data-dir", str(SAMPLE_DIR), "--out", str(out)]
    dropout_fashion_mnist.main([*SMALL, *given, *arguments])
    return curves(out)


def curves(out: Path) -> list[dict[str, str]]:
    """Return the rows of the curves without the one column that is never the same twice."""
    with (out / "curves.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert all(list(row) == [*COLUMNS, "seconds"] for row in rows)
    return [{name: row[name] for name in COLUMNS} for row in rows]


# ------------------------------------------------------------------------- the experiment


def test_the_quick_experiment_prints_a_table_and_writes_three_files(tmp_path: Path) -> None:
    image = pytest.importorskip("matplotlib.image")
    out = tmp_path / "new" / "out"
    given = "--data-dir", "data/sample", "--out", str(out)
    done = run("dropout_fashion_mnist", "--quick", "--quiet", *given)
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(os.listdir(out)) == ["comparison.png", "curves.csv", "settings.json"]

    rows = curves(out)
    arms = ["with dropout"] * 4 + ["without dropout"] * 4
    assert [(row["arm"], row["epoch"]) for row in rows] == list(zip(arms, "12341234", strict=True))
    for row in rows:
        assert 0 < float(row["train_loss"]) < 3
        assert all(0 <= float(row[name]) <= 1 for name in COLUMNS if "acc" in name)
    for i in (0, 1, 2, 4, 5, 6):
        assert float(rows[i + 1]["train_loss"]) < float(rows[i]["train_loss"])
    assert min(float(rows[i]["test_acc"]) for i in (3, 7)) > 0.6  # both are trained at least so far

    settings = json.loads((out / "settings.json").read_text())
    assert settings["versions"] == {
        "minigrad": minigrad.__version__,
        "numerics": minigrad.__numerics__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }
    expected = {
        "hiddens": [256, 256],
        "dropout": [0.2, 0.5],
        "lr": 0.1,
        "batch_size": 32,
        "epochs": 4,
        "train_size": 10_000,
        "test_size": 2_000,
        "seed": 0,
        "device": "cpu",
    }
    assert {name: settings[name] for name in expected} == expected
    assert settings["data"].startswith("10,000 training and 2,000 test images from")

    picture = image.imread(out / "comparison.png")
    height, width = picture.shape[:2]
    assert width > height > 300
    assert picture.min() < picture.max()

    lines = done.stdout.split("\n")
    assert re.fullmatch(r"last epoch +with dropout +without dropout +difference", lines[0])
    table = dict(re.split(r"  +", line, maxsplit=1) for line in lines[1:7])
    for words, name in (
        ("train loss in training mode", "train_loss"),
        ("train accuracy in training mode", "train_acc"),
        ("train accuracy in eval mode", "train_acc_eval"),
        ("test loss", "test_loss"),
        ("test accuracy", "test_acc"),
    ):
        left, right, difference = (float(number) for number in table[words].split())
        a, b = float(rows[3][name]), float(rows[7][name])
        assert (left, right) == (pytest.approx(a, abs=6e-5), pytest.approx(b, abs=6e-5))
        assert difference == pytest.approx(a - b, abs=6e-5)
    assert "What can be said: of 2,000 test images" in done.stdout
    assert "What cannot: whether dropout helps" in done.stdout


def test_the_interval_is_mcnemars(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    compare(tmp_path)
    text = " ".join(capsys.readouterr().out.split())
    found = re.search(
        r"of 200 test images, (\d+) are right only with dropout and (\d+) only without.*"
        r"is ([+-][\d.]+) points, 95 % interval ([+-][\d.]+) to ([+-][\d.]+)\.",
        text,
    )
    left, right, *points = (float(number) for number in found.groups())
    half = 1.96 * (left + right) ** 0.5
    expected = [left - right, left - right - half, left - right + half]
    assert points == pytest.approx([number / 2 for number in expected], abs=0.006)


@minigrad.fork_rng()
def test_the_same_seed_gives_the_same_curves_and_another_gives_others(tmp_path: Path) -> None:
    first = compare(tmp_path / "a", "--seed", "3")
    minigrad.manual_seed(99)
    minigrad.rand(5)
    assert compare(tmp_path / "b", "--seed", "3") == first
    assert compare(tmp_path / "c", "--seed", "4") != first


def test_without_dropout_both_arms_are_one_and_the_same(tmp_path: Path) -> None:
    rows = compare(tmp_path, "--dropout", "0", "0")
    for row in rows:
        del row["arm"]
    assert rows[:2] == rows[2:]


def test_dropout_changes_neither_the_order_of_the_batches_nor_the_initial_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    get = FashionMNIST.__getitem__

    def recorded(self: FashionMNIST, index: Any) -> Any:
        if self.train:
            asked.append(np.array(index).tolist())
        return get(self, index)

    monkeypatch.setattr(FashionMNIST, "__getitem__", recorded)
    rows = compare(tmp_path, "--dropout", "0.5", "0.5", "--lr", "0")  # weights stay initial
    half = len(asked) // 2
    assert asked[:half] == asked[half:]
    assert sorted(asked[0] + asked[1]) == list(range(500)) != asked[0] + asked[1]
    for name in "train_acc_eval", "test_loss", "test_acc":
        assert len({row[name] for row in rows}) == 1
    assert rows[0]["train_loss"] != rows[2]["train_loss"]


def test_switching_dropout_changes_one_arm_only(tmp_path: Path) -> None:
    weak = compare(tmp_path / "a", "--dropout", "0.1", "0.1")
    strong = compare(tmp_path / "b", "--dropout", "0.5", "0.5")
    assert weak[:2] != strong[:2]
    assert weak[2:] == strong[2:]


def test_settings_reach_the_run(tmp_path: Path) -> None:
    given = ["--hiddens", "20", "--dropout", "0.3", "--epochs", "3", "--lr", "0.1"]
    rows = compare(tmp_path, *given, "--batch-size", "50")
    assert [row["epoch"] for row in rows] == ["1", "2", "3"] * 2
    settings = json.loads((tmp_path / "settings.json").read_text())
    assert settings["hiddens"] == [20]
    assert (settings["train_size"], settings["test_size"]) == (500, 200)


def test_unless_quiet_the_data_and_the_files_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [argument for argument in SMALL if argument != "--quiet"]
    given = ["--data-dir", str(SAMPLE_DIR), "--out", str(tmp_path), "--epochs", "1"]
    dropout_fashion_mnist.main([*arguments, *given])
    out, err = capsys.readouterr()
    assert out.startswith(f"data: 10,000 training and 2,000 test images from data_dir={SAMPLE_DIR}")
    assert "used: the first 500 training and 200 test images" in out
    assert f"wrote comparison.png, curves.csv and settings.json to {tmp_path}/" in out
    assert err == ""


@pytest.mark.parametrize(
    ("arguments", "images", "expected", "said"),
    [
        ([], 60_000, (10, 0.5, 256), ""),
        ([], 10_000, (20, 0.1, 32), "recipe: 20 epochs in batches of 32 at learning rate 0.1"),
        (["--quick"], 10_000, (4, 0.1, 32), "recipe: 4 epochs in batches of 32"),
        (["--epochs", "3"], 10_000, (3, 0.1, 32), "recipe: 3 epochs in batches of 32"),
        (["--lr", "0.5", "--batch-size", "256"], 10_000, (20, 0.5, 256), ""),
        (["--epochs", "1"], 10_001, (1, 0.5, 256), ""),
    ],
)
def test_few_images_have_their_own_recipe_and_it_is_said(
    arguments: list[str], images: int, expected: tuple[int, float, int], said: str
) -> None:
    args = dropout_fashion_mnist.parse(arguments)
    words = dropout_fashion_mnist.choose_recipe(args, images)
    assert (args.epochs, args.lr, args.batch_size) == expected
    assert words.startswith(said)
    assert bool(words) == bool(said)
    assert "chosen on 2,000 of them held out" in words or not said


def interrupted(
    out: Path, batch: int, monkeypatch: pytest.MonkeyPatch, *arguments: str, number: int = 2
) -> int | str | None:
    """Run the experiment, and send it a signal in a batch; return its exit status."""
    done: list[None] = []
    after_batch = Checkpoint.after_batch

    def signalled(self: Checkpoint) -> None:
        done.append(None)
        if len(done) == batch:
            signal.raise_signal(number)
        after_batch(self)

    with monkeypatch.context() as patched:
        patched.setattr(Checkpoint, "after_batch", signalled)
        with pytest.raises(SystemExit) as exit_:
            compare(out, *arguments)
    assert len(done) == batch
    return exit_.value.code


@pytest.mark.parametrize(
    ("batch", "number", "resume"),
    [
        (1, signal.SIGTERM, ["--resume"]),
        (4, signal.SIGINT, []),
        (6, signal.SIGTERM, []),
        (11, signal.SIGINT, ["--resume"]),
    ],
    ids=[
        *("SIGTERM in batch 1, --resume", "SIGINT in batch 4", "SIGTERM in batch 6"),
        "SIGINT in batch 11, --resume",
    ],
)
def test_a_stopped_experiment_goes_on_and_ends_with_the_same_curves(
    batch: int, number: int, resume: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    given = ["--epochs", "3", "--seed", "5"]
    expected = compare(tmp_path / "a", *given)
    status = interrupted(tmp_path / "b", batch, monkeypatch, *given, number=number)
    assert status == 128 + number
    assert not (tmp_path / "b" / "curves.csv").exists()
    assert ("interrupted; the same command goes" in capsys.readouterr().err) == (status == 130)

    trained: list[None] = []
    after_batch = Checkpoint.after_batch
    monkeypatch.setattr(
        Checkpoint, "after_batch", lambda self: (trained.append(None), after_batch(self))
    )
    assert compare(tmp_path / "b", *given, *resume) == expected
    assert len(trained) == 12 - batch
    assert sorted(os.listdir(tmp_path / "b")) == ["comparison.png", "curves.csv", "settings.json"]


def test_an_unfinished_run_of_other_settings_is_begun_anew_and_not_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = compare(tmp_path / "a", "--seed", "5")
    out = tmp_path / "b"
    interrupted(out, 1, monkeypatch, "--seed", "6", "--lr", "0.25")
    with pytest.raises(SystemExit, match=r"is another one: it has lr 0\.25, seed 6$"):
        compare(out, "--seed", "5", "--resume")
    settings = json.loads((out / "unfinished" / "settings.json").read_text())
    dropout_fashion_mnist.begin(out / "unfinished", {**settings, "seed": 5, "quiet": False}, False)
    assert "begins anew: the unfinished run in" in capsys.readouterr().out
    assert sorted(os.listdir(out / "unfinished")) == ["settings.json"]
    assert compare(out, "--seed", "5") == expected


def test_there_is_nothing_to_resume_where_nothing_was_begun_or_all_was_finished(
    tmp_path: Path,
) -> None:
    for _ in range(2):
        with pytest.raises(SystemExit, match=r"^error: there is no unfinished run in .*unfinished"):
            compare(tmp_path, "--resume")
        compare(tmp_path)


@pytest.mark.parametrize("left", [-100, 0])
def test_a_damaged_checkpoint_is_refused_in_one_line_with_a_way_out(
    left: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupted(tmp_path, 1, monkeypatch)
    path = tmp_path / "unfinished" / "with_dropout.safetensors"
    path.write_bytes(path.read_bytes()[:left])
    with pytest.raises(SystemExit, match=r"with_dropout.safetensors is not a whole.*remove it$"):
        compare(tmp_path)


def test_the_settings_say_with_how_many_threads_products_were_computed(tmp_path: Path) -> None:
    compare(tmp_path)
    settings = json.loads((tmp_path / "settings.json").read_text())
    assert settings["surroundings"] == surroundings()
    assert "blas_threads" in settings["surroundings"]


# ------------------------------------------------------------------------- bad options


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--dropout", "0.2"], "--dropout needs 2 probabilities, one a hidden layer"),
        (["--dropout", "0.2", "1.5"], r"probabilities from 0 to 1, got \[0.2, 1.5\]"),
        (["--dropout", "0.2", "nan"], "probabilities from 0 to 1, got"),
        (["--epochs", "0"], "--epochs must be at least 1"),
        (["--batch-size", "-3"], "--batch-size must be at least 1"),
        (["--train-size", "0"], "--train-size must be at least 1"),
        (["--test-size", "0"], "--test-size must be at least 1"),
        (["--hiddens", "0", "5"], "--hiddens"),
        (["--hiddens", "-5", "5"], "--hiddens"),
        (["--epochs", "two"], "--epochs: invalid int value: 'two'"),
        (["--lr", "-1"], "-1"),
        (["--lr", "nan"], "nan"),
        (["--seed", "-1"], "-1"),
        (["--seed", str(2**64)], str(2**64)),
        (["--device", "tpu"], "unknown device 'tpu': expected 'cpu', 'cuda' or 'cuda:N'"),
        (["--data-dir", "/no/such/folder"], "/no/such/folder: missing: train-images-idx3-ubyte"),
        (["--wrong"], "unrecognized arguments: --wrong"),
    ],
)
def test_bad_options_are_refused_in_one_line_before_anything_is_written(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["--data-dir", str(SAMPLE_DIR), "--out", str(tmp_path / "out"), *arguments]
    with pytest.raises(SystemExit) as exit_:
        dropout_fashion_mnist.main([*SMALL, *given])
    out, err = capsys.readouterr()
    text = str(exit_.value.code) if isinstance(exit_.value.code, str) else err
    assert exit_.value.code not in (0, None)
    assert re.search(message, text.strip().split("\n")[-1])
    assert out == ""
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_written_is_refused_in_one_line_before_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dropout_fashion_mnist, "fit", lambda *a, **k: pytest.fail("it trained"))
    (tmp_path / "file").write_text("not a folder")
    given = ["--data-dir", str(SAMPLE_DIR), "--out", str(tmp_path / "file")]
    with pytest.raises(SystemExit, match=r"^error: .*file"):
        dropout_fashion_mnist.main([*SMALL, *given])


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_divergence_ends_the_run_with_the_arm_and_the_reason(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"^error: with dropout: the loss became (nan|inf) in b"):
        compare(tmp_path, "--lr", "1e30")


def test_an_error_in_a_process_of_its_own_shows_no_traceback(tmp_path: Path) -> None:
    done = run("dropout_fashion_mnist", "--quick", "--data-dir", str(tmp_path))
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith(f"error: {tmp_path}: missing: train-images")
    assert done.stderr.count("\n") == 1


@pytest.mark.skipif(cuda_status()[0], reason="there is a GPU")
def test_without_a_gpu_the_experiment_says_why_it_cannot_use_one(tmp_path: Path) -> None:
    given = ["--data-dir", str(SAMPLE_DIR), "--out", str(tmp_path / "out"), "--device", "cuda"]
    with pytest.raises(SystemExit) as exit_:
        dropout_fashion_mnist.main([*SMALL, *given])
    assert exit_.value.code == f"error: cannot use device 'cuda': {cuda_status()[1]}"
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(cuda_status()[0], reason="there is a GPU")
@pytest.mark.parametrize("program", [autograd_tour, dropout_layer])
def test_without_a_gpu_the_small_programs_say_why_and_how_to_install(
    program: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    with minigrad.fork_rng(), pytest.raises(SystemExit) as exit_:
        program.main(["--device", "cuda"])
    printed = capsys.readouterr()
    assert (exit_.value.code, printed.out) == (1, "")
    assert printed.err == f"error: cannot use device 'cuda': {cuda_status()[1]}\n"


# ------------------------------------------------------------------------- the tour


def numbers(text: str) -> list[float]:
    """Return the numbers in a tensor's text."""
    return [float(n) for n in re.findall(r"-?\d+\.?\d*(?:e[+-]\d+)?", text.split("grad_fn")[0])]


def said(output: str) -> list[tuple[str, str]]:
    """Return each line that the tour ran, with what came of it."""
    steps = re.split(r"^>>> ", re.sub(r"\n#[^\n]*", "", output), flags=re.MULTILINE)[1:]
    return [(code, result.strip("\n")) for code, _, result in (s.partition("\n") for s in steps)]


def test_the_tour_shows_what_it_claims() -> None:
    done = run("autograd_tour")
    assert (done.returncode, done.stderr) == (0, "")
    steps = said(done.stdout)
    ran = [code for _, lines in autograd_tour.STEPS for code in lines.strip().split("\n")]
    assert [code for code, _ in steps] == ran

    def after(code: str) -> tuple[str, str]:
        """Return what came of a line and of the next."""
        i = ran.index(code)
        return steps[i][1], steps[i + 1][1]

    # tensors are printed with four digits
    gradient, formula = map(numbers, after("x.grad"))
    assert gradient == pytest.approx(formula, abs=6e-5)
    x = np.array([0.5, 1.0, 1.5])
    assert gradient == pytest.approx(4 * x * np.exp(x * x), abs=6e-5)
    difference, exact = after("(f(v + e) - f(v - e)) / 2e-6")
    assert float(difference) == pytest.approx(float(exact), abs=6e-5)
    second, formula = map(numbers, after("minigrad.grad(dx.sum(), x)"))
    assert second == pytest.approx(formula, abs=6e-5)
    assert second == pytest.approx((4 + 8 * x * x) * np.exp(x * x), abs=6e-5)
    cubed = dict(steps)["minigrad.grad(cube(x).sum(), x)"]
    assert numbers(cubed) == pytest.approx(3 * x * x)

    assert dict(steps)["y.grad_fn"] == "<SumBackward>"
    walk = after("explain(y)")[0]
    assert re.search(r"4\. mul .*\n +a = lambda g, b: g \* b\n +reads b \(12 B of a leaf\)", walk)
    errors = [result for _, result in steps if "Error" in result]
    assert [re.match(r"RuntimeError: [\w ]+", error)[0] for error in errors] == [
        "RuntimeError: Trying to backward through the graph a second time",
        "RuntimeError: one of the variables needed for gradient computation has been modified by "
        "an inplace operation",
    ]


def test_the_tour_writes_its_last_walk_as_a_page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    autograd_tour.main(["--html", str(tmp_path / "walk.html")])
    assert (tmp_path / "walk.html").read_text().startswith("<!DOCTYPE html>")
    assert capsys.readouterr().out.endswith(f"wrote {tmp_path / 'walk.html'}\n")


# ------------------------------------------------------------------------- the dropout layer


def sections(output: str) -> dict[str, Any]:
    """Return the demonstration's tensors by the words before them."""
    found = re.findall(r"([^\n]*)=\n(tensor\(.*?\))(?=\n|$)", output, re.DOTALL)
    return {words.strip(): np.array(numbers(text)) for words, text in found}


def test_the_dropout_demonstration_shows_what_it_claims() -> None:
    done = run("dropout_layer", "--seed", "1")
    assert (done.returncode, done.stderr) == (0, "")
    out, shown, x = done.stdout, sections(done.stdout), np.arange(16.0)
    np.testing.assert_array_equal(shown["X"], x)
    np.testing.assert_array_equal(shown["from scratch, dropout_layer(X, 0.0)"], x)
    np.testing.assert_array_equal(shown["from scratch, dropout_layer(X, 1.0)"], 0 * x)
    half = shown["from scratch, dropout_layer(X, 0.5)"]
    module = shown["Dropout(p=0.5, inplace=False)(X)"]
    for y in half, module:
        assert set(y) <= {0, *(2 * x)}
        np.testing.assert_array_equal(y[y > 0], 2 * x[y > 0])
        assert 1 < (y == 0).sum() < 16
    keep = re.search(r"'keep': array\((.*?)\)", out, re.DOTALL)[1]
    mask = np.array([word == "True" for word in re.findall("True|False", keep)])
    np.testing.assert_array_equal(module, 2 * x * mask)
    assert "'scale': 2.0" in out
    np.testing.assert_array_equal(shown["X.grad"], 2 * mask)
    first, again = re.search(r"^(tensor\(.*?\)) == (tensor\(.*?\))$", out, re.MULTILINE).groups()
    assert first == again
    assert "the same object: True" in out
    assert "and draws nothing: True" in out
    mean = numbers(out[out.index("comes back to X") :].partition("\n")[2])
    np.testing.assert_allclose(mean, x, rtol=0.05)


@minigrad.fork_rng()
def test_the_dropout_demonstration_depends_on_its_seed_alone(
    capsys: pytest.CaptureFixture[str],
) -> None:
    texts = []
    for seed in "1", "1", "2":
        minigrad.rand(3)
        dropout_layer.main(["--seed", seed])
        texts.append(capsys.readouterr().out)
    assert texts[0] == texts[1] != texts[2]


# ------------------------------------------------------------------------- the exercises


@pytest.fixture
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the exercises train for a moment."""
    for name, value in (("IMAGES", 200), ("EPOCHS", 3), ("LONG", 4), ("SEEDS", (0, 1))):
        monkeypatch.setattr(dropout_exercises, name, value)
    monkeypatch.setattr(dropout_exercises, "PASSES", 3)
    for cached in dropout_exercises.images, dropout_exercises.chapter:
        cached.cache_clear()


def test_every_exercise_is_answered_by_a_sentence_and_a_figure(
    brief: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = pytest.importorskip("matplotlib.image")
    dropout_exercises.main(["--out", str(tmp_path)])
    out = capsys.readouterr().out
    assert out.startswith("data: 200 of 10,000 training and 2,000 test images from")
    for number in range(1, 10):
        question, answer, file = out.split(f"\n\n{number}. ")[1].split("\n")[:3]
        assert question.endswith("?")
        assert re.search(r"\d", answer)
        assert answer.endswith(".")
        assert str(tmp_path / f"{number}.png") in file
        picture = image.imread(tmp_path / f"{number}.png")
        assert picture.min() < picture.max()
    for cached in dropout_exercises.images, dropout_exercises.chapter:
        cached.cache_clear()


def test_one_exercise_may_be_asked_for_and_an_unknown_one_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dropout_exercises.main(["9", "--out", str(tmp_path)])
    assert os.listdir(tmp_path) == ["9.png"]
    with pytest.raises(SystemExit):
        dropout_exercises.main(["10", "--out", str(tmp_path)])
    assert "there is no exercise 10: choose from 1, 2, 3" in capsys.readouterr().err


def test_symmetric_units_part_by_dropout_alone(brief: None) -> None:
    said, _ = dropout_exercises.exercise_8()
    found = [float(n) for n in re.findall(r"by (?:up to )?([\d.e-]+) ", said)]
    assert said.startswith("Yes")
    assert found[0] > 0.01 > 1e-6 > found[1]


def test_exchanged_activations_are_those_of_the_batch_unit_by_unit() -> None:
    x = minigrad.rand(50, 20, generator=minigrad.Generator(0))
    layer = dropout_exercises.Exchange(0.3, minigrad.Generator(1))
    y = layer.train()(x).numpy()
    assert layer.eval()(x) is x
    for unit in range(20):
        assert set(y[:, unit].tolist()) <= set(x.numpy()[:, unit].tolist())
    assert 0.1 < (y != x.numpy()).mean() < 0.5


# ------------------------------------------------------------------------- at a glance


def test_at_a_glance_what_is_dropped_is_zero_both_ways_and_what_is_kept_is_doubled() -> None:
    x = minigrad.rand(1, 400, generator=minigrad.Generator(1)) + 0.5
    seen = dropout_at_a_glance.glance(x, lambda y: (y**2).sum())
    kept = seen["mask"]
    assert 0 < kept.sum() < kept.size
    np.testing.assert_array_equal(seen["y"], np.where(kept, 2 * seen["x"], 0))
    np.testing.assert_allclose(seen["gradient"], np.where(kept, 8 * seen["x"], 0))
    assert np.abs(seen["mean"] / seen["x"] - 1).max() < 0.5


def test_the_picture_at_a_glance_is_of_a_trained_network(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    done = run("dropout_at_a_glance", "--out", str(tmp_path / "x.png"))
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "x.png").read_bytes()[:4] == b"\x89PNG"
