"""From results to what is published: all from one small table, by criteria that were first."""

from __future__ import annotations

import base64
import itertools
import json
import math
import re
import zlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from examples import lab
from examples.lab import (
    EXPERIMENTS,
    cli,
    common,
    criteria,
    execute,
    figures,
    images,
    load,
    probes,
    publish,
    report,
    table,
    verdicts,
    width,
    workers,
)
from examples.lab.__main__ import main
from examples.lab.frame import Results, Run, Scale
from examples.lab.progress import estimate
from examples.lab.table import Row, Table

ROOT = Path(__file__).parents[1]
FULL, QUICK = Scale(True, "made up"), Scale(False, "made up")
JUDGED = 2_000  # images, of which there are 10,000 in truth


def made_up(run: Run) -> Any:
    """Return a result as a run might have, in a moment; dropout is a little better in it."""
    settings = run.identity["settings"]
    text = json.dumps([run.function, settings], sort_keys=True)
    rng = np.random.default_rng(zlib.crc32(text.encode()))
    kind = run.function.partition(":")[2]
    if kind == "descend":
        distance = np.linspace(0.1, 0.002, 20)
        return {"steps": list(range(1, 21)), "distance": [*distance], "plain": 0.04}
    if kind == "all_masks":
        return {"scaled": 0.8, "arithmetic": rng.normal(0.79, 0.01), "geometric": 0.8, "gap": 1e-7}
    if kind == "committee":
        return [0.87, 0.4, 0.01]
    if kind == "strangers":
        names = ("confidence", "entropy", "entropy over masks")
        return {name: rng.uniform(0.6, 0.9) for name in names}
    epochs = [e for e in range(1, settings["epochs"] + 1) if e % settings["every"] == 0]
    dropout = any(settings["dropout"])
    gain = 0.02 * dropout
    test = 0.85 + gain + rng.normal(0, 0.004, len(epochs))
    if settings["lr"] == 0.5 and not dropout and rng.random() < 0.4:
        test[rng.integers(8, len(epochs)) :] = 0.1
    p = np.mean(settings["dropout"])
    fit = np.full(len(epochs), 0.995 - 0.2 * p) + rng.normal(0, 0.002, len(epochs))
    right = rng.random(JUDGED) < test[-1]
    follow = {
        f"{name} {n}": [*(0.5 - gain + rng.normal(0, 0.01, len(epochs)))]
        for name, n in itertools.product(("active", "mean", "variance", "noisy variance"), (1, 2))
    }
    scaled = np.array([0.86, 0.4, 0.02])
    masks = {str(k): [*(scaled + rng.normal(0, 1e-3, 3))] for k in probes.SHOWN}
    return {
        **follow,
        "epochs": epochs,
        "train_acc": [*fit],
        "train_nll": [*(1 - fit)],
        "test_acc": [*test],
        "test_nll": [*(1 - test)],
        "broke_down": None,
        "right": base64.b64encode(np.packbits(right).tobytes()).decode(),
        "judged": JUDGED,
        "weights": {
            "log norm": 2.6 + gain + rng.normal(0, 0.002),
            "layers": [*rng.normal(9, 0.1, 3)],
            "participation": rng.normal(200, 5),
        },
        "averaging": {"scaled": [*scaled], "masks": masks if dropout else {}},
        "robustness": [*(np.arange(1, 6) * (0.01 - gain / 2) + rng.normal(0, 1e-3, 5))],
        "deletion": [*rng.normal(0.03 - gain, 0.002, 5)],
    }


def results_of(scale: Scale) -> dict[str, Results]:
    """Return made-up results of all experiments at a scale."""
    found = {}
    for name in EXPERIMENTS:
        x = load(name)
        first = {r.key: made_up(r) for runs in x.arms(scale).values() for r in runs}
        later = x.then(Results(first), scale) if x.then else {}
        found[name] = Results(first | {r.key: made_up(r) for rs in later.values() for r in rs})
    return found


FACTS = {
    "scale": "full",
    "sample": "False",
    "criteria": criteria.fingerprint(),
    "data": "made-up images",
    "dates": "2026-01-01",
    "versions": "minigrad 0",
    "commits": "abc",
    "runs": "7",
    "core hours": "4.0",
}


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    """The rows of a full run, on made-up results."""
    found = [Row(table.ABOUT, name, "", "", value) for name, value in FACTS.items()]
    for name, results in results_of(FULL).items():
        found += load(name).rows(results, FULL)
    return found


@pytest.fixture(scope="module")
def entries(rows: list[Row]) -> list[report.Entry]:
    return report.entries(rows, draw=False)


def changed(rows: Sequence[Row], **facts: str) -> list[Row]:
    """Return the rows with other facts about all of them."""
    return [
        row._replace(values=facts[row.arm])
        if row.experiment == table.ABOUT and row.arm in facts
        else row
        for row in rows
    ]


# ------------------------------------------------------------------------- experiments


@pytest.mark.parametrize("name", EXPERIMENTS)
@pytest.mark.parametrize("scale", [FULL, QUICK], ids=["full", "quick"])
def test_an_experiment_says_all_before_there_is_data(name: str, scale: Scale) -> None:
    x = load(name)
    assert x.name == name
    assert (name in criteria.CRITERIA) == (x.effects is not None)
    runs = [r for found in x.all_arms(scale).values() for r in found]
    assert runs
    for run in runs:
        assert 0 < estimate(run) < 300
        assert run.data == ("" if name == "tikhonov" else "made up")
        pilot = run.identity["settings"].get("held_out") == "validation"
        assert pilot == (run.settings["seed"] >= 1000)


def test_the_committed_criteria_are_those_that_run() -> None:
    for name in criteria.CRITERIA:
        arms = load(name).all_arms(FULL).items()
        sizes = [len(runs) for arm, runs in arms if not arm.startswith("pilot")]
        for pairs in criteria.pairs_of(name):
            assert sizes.count(pairs) >= (1 if name == "averaging" else 2), (name, sizes)
    settings = {n: load(n).all_arms(FULL) for n in ("stability", "with_without", "normal_noise")}
    chapter = settings["with_without"][common.WITH][0].identity["settings"]
    assert (chapter["epochs"], chapter["lr"], chapter["batch_size"]) == (25, 0.5, 256)
    assert (chapter["size"], chapter["dropout"], chapter["decay"]) == (0, [0.2, 0.5], False)
    slip = settings["normal_noise"]["normal noise"][0].identity["settings"]
    assert (slip["epochs"], slip["noise"]) == (10, "normal noise")


def test_one_training_serves_all_claims_that_need_it() -> None:
    def keys(name: str) -> set[str]:
        return {r.key for runs in load(name).arms(FULL).values() for r in runs}

    settled = ("activations", "coadaptation", "robustness")
    assert len({frozenset(keys(name)) for name in settled}) == 1
    assert keys("activations") <= keys("weight_decay") & keys("calibration")
    assert keys("with_without") <= keys("stability")
    assert len(keys("variants") & keys("regimes")) == 2 * 24
    assert len(keys("normal_noise") & keys("with_without")) == 26


def test_arms_are_paired_by_seed() -> None:
    arms = common.chapter_arms(FULL)
    for x, y in zip(arms[common.WITH], arms[common.WITHOUT], strict=True):
        assert {k for k in x.settings if x.settings[k] != y.settings[k]} == {"dropout"}


def test_what_is_chosen_is_best_on_validation_images_and_judged_on_others() -> None:
    results = results_of(QUICK)["width"]
    for arm in width.names(QUICK):
        settings, score = width.best(results, QUICK, arm)
        scores = [
            np.mean([results[r]["test_acc"][-1] for r in width.tuning(QUICK, arm, s)])
            for s in width.candidates(QUICK, arm)
        ]
        assert score == pytest.approx(max(scores))
        assert settings == width.candidates(QUICK, arm)[int(np.argmax(scores))]
    judging = [r for runs in width.then(results, QUICK).values() for r in runs]
    assert {r.identity["settings"]["held_out"] for r in judging} == {"test"}


def test_quick_fits_into_the_sample() -> None:
    sizes = [
        run.identity["settings"].get("size", 0)
        for name in EXPERIMENTS
        for runs in load(name).all_arms(QUICK).values()
        for run in runs
    ]
    assert max(sizes) <= 8_000  # of 10,000, the last 2,000 are for validation


def test_a_gate_closes_where_dropout_gains_nothing(rows: list[Row]) -> None:
    found = load("variants")
    assert found.gate
    assert found.gate(Table(rows, "variants")) == ""
    swap = {"dropout": "no noise", "no noise": "dropout"}
    swapped = [row._replace(arm=swap.get(row.arm, row.arm)) for row in rows]
    assert "nothing to be shared" in found.gate(Table(swapped, "variants"))


# ------------------------------------------------------------------------- the table


def test_a_table_is_read_as_it_was_written(rows: list[Row], tmp_path: Path) -> None:
    table.write(rows, tmp_path / "t.csv")
    assert table.read(tmp_path / "t.csv") == rows
    assert (tmp_path / "t.csv").stat().st_size < 400_000


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n", "the first line must be experiment,arm,seed,measure,values"),
        ("experiment,arm,seed,measure,values\nx,y,0,z,one\n", "line 2: could not convert"),
        ("experiment,arm,seed,measure,values\nx,y\n", "line 2: not enough values"),
    ],
    ids=["another first line", "a value that is no number", "too few values"],
)
def test_a_damaged_table_is_refused_by_its_line(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        table.read(path)


def test_collapses_are_in_the_table_as_such(rows: list[Row]) -> None:
    test = Table(rows, "with_without").one(common.WITHOUT, "test")
    first = Table(rows, "with_without").one(common.WITHOUT, "collapse")
    assert 0 < np.isneginf(test).sum() < len(test)
    np.testing.assert_array_equal(np.isneginf(test), (first > 0) & (first <= 10))


def test_a_run_that_was_not_finite_leaves_its_pair_out_and_that_is_said() -> None:
    x, found = load("coadaptation"), results_of(FULL)["coadaptation"]
    (broken, *_), _ = x.arms(FULL).values()
    result = {**found[broken], "broke_down": 3}
    del result["deletion"], result["weights"]
    rows = x.rows(Results({**found._by_key, broken.key: result}), FULL)
    (entry,) = report.entries(rows, draw=False)
    assert entry.verdict.effects[0].interval.n == 27
    assert entry.result.endswith("; 1 pairs left out: a loss was not finite")
    with pytest.raises(KeyError):
        x.rows(Results({**found._by_key, broken.key: {**result, "broke_down": None}}), FULL)


# ------------------------------------------------------------------------- verdicts, otherwise


def by_fourier(d: np.ndarray) -> float:
    """Return Wilcoxon's exact one-sided p through the characteristic function, in plain NumPy."""
    order = np.argsort(np.argsort(np.abs(d)))
    ranks = np.array([np.mean(order[np.abs(d) == v]) + 1 for v in np.abs(d)])[d != 0]
    whole = np.rint(2 * ranks).astype(int)
    n = int(whole.sum()) + 1
    angles = 2j * np.pi * np.arange(n) / n
    transform = np.prod([(1 + np.exp(-angles * r)) / 2 for r in whole], axis=0)
    probability = np.fft.ifft(transform).real
    return float(probability[int(whole[d[d != 0] > 0].sum()) :].sum())


def recomputed(rows: Sequence[Row]) -> dict[str, tuple[float, float]]:
    """Return estimate and p of two claims, computed from the rows by other means."""
    values = {(r.experiment, r.arm, r.seed, r.measure): r.values for r in rows}

    def column(experiment: str, arm: str, measure: str) -> np.ndarray:
        seeds = sorted(
            (s for e, a, s, m in values if (e, a, m) == (experiment, arm, measure)), key=int
        )
        return np.array([values[experiment, arm, s, measure][0] for s in seeds])

    a, b = (column("with_without", arm, "test") for arm in ("with dropout", "without"))
    with np.errstate(invalid="ignore"):
        d = np.where(a == b, 0.0, a - b)
        means = ((d[:, None] + d[None, :]) / 2)[np.triu_indices(len(d))]
    means = np.nan_to_num(means, posinf=9, neginf=-9)
    gain = float(np.median(means)), 2 * min(by_fourier(d), by_fourier(-d))
    x, y = (
        column("stability", f"{arm}, 0.5", "collapse") > 0 for arm in ("without", "with dropout")
    )
    more, fewer = int((x & ~y).sum()), int((y & ~x).sum())
    n = more + fewer
    tail = [sum(math.comb(n, k) for k in range(m, n + 1)) / 2**n for m in (more, fewer)]
    return {"with_without": gain, "stability": ((more - fewer) / len(x), 2 * min(tail))}


def check_by_other_means(rows: Sequence[Row]) -> None:
    found = {e.name: e.verdict for e in report.entries(rows, draw=False)}
    for name, (middle, p) in recomputed(rows).items():
        (effect,) = found[name].effects
        assert effect.interval.estimate == pytest.approx(middle)
        assert min(1.0, 2 * min(effect.p_for, effect.p_against)) == pytest.approx(p, abs=1e-12)
        assert found[name].p >= p - 1e-12


def test_two_verdicts_are_recomputed_by_other_means(rows: list[Row]) -> None:
    check_by_other_means(rows)


PUBLISHED = ROOT / publish.TABLE


@pytest.mark.skipif(not PUBLISHED.exists(), reason="no results of today's criteria are published")
def test_what_is_published_is_recomputed_from_its_table() -> None:
    published = table.read(PUBLISHED)
    publish.check(published)
    check_by_other_means(published)
    document = (ROOT / publish.DOCUMENT).read_text(encoding="utf-8")
    for e in report.entries(published, draw=False):
        assert report._markdown_table(e.details) in document
        if e.verdict:
            assert f"**Verdict: {e.verdict.verdict}.** {e.result}" in document


# ------------------------------------------------------------------------- pages


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    for name in "README.md", "README.zh.md":
        marks = "\n".join(publish.MARKS)
        (tmp_path / name).write_text(f"before\n{marks}\nafter\n", encoding="utf-8")
    return tmp_path


@pytest.fixture
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw nothing: pictures take seconds, and are looked at elsewhere."""
    monkeypatch.setattr(figures, "drawn", lambda draw, size=None: b"\x89PNG, or so")


def files(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_all_that_is_published_is_recomputed_from_the_table_alone(
    rows: list[Row], repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = repository / "docs" / "laboratory" / "old.png"
    old.parent.mkdir(parents=True)
    old.touch()
    publish.publish(rows, repository)
    assert not old.exists()
    written = files(repository)
    document = written[repository / publish.DOCUMENT].decode()
    for name in EXPERIMENTS:
        assert f"](laboratory/{name}.png)" in document
        assert written[repository / "docs" / "laboratory" / f"{name}.png"][:4] == b"\x89PNG"
    english, chinese = (written[repository / n].decode() for n in ("README.md", "README.zh.md"))
    for text in english, chinese:
        assert text.startswith("before\n")
        assert text.endswith("\nafter\n")
        assert "docs/laboratory/forest.png" in text
        assert text.count("| **") == len(criteria.CRITERIA)
    assert "(docs/laboratory.md#the-slip-with-randn)" in english
    for path in written:
        if path.name != "results.csv" and "README" not in path.name:
            path.unlink()
    main(["recompute", "--root", str(repository)])
    assert files(repository) == written
    assert "wrote" in capsys.readouterr().out


def test_publishing_again_keeps_what_was_written_by_hand(
    rows: list[Row], repository: Path, no_pictures: None
) -> None:
    publish.publish(rows, repository)
    path, start = repository / publish.DOCUMENT, publish.BY_HAND[0]
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace(start, f"{start}\nNothing stands."), encoding="utf-8")
    once = files(repository)
    publish.publish(rows, repository)
    assert files(repository) == once
    assert b"Nothing stands." in once[path]


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"scale": "quick"}, "scale must be full, and the runs have quick"),
        ({"sample": "True"}, "sample must be False, and the runs have True"),
        ({"criteria": "0123"}, "criteria must be .*, and the runs have 0123"),
    ],
)
def test_what_did_not_run_as_the_criteria_say_is_not_published(
    facts: dict[str, str], message: str, rows: list[Row], repository: Path
) -> None:
    before = files(repository)
    with pytest.raises(ValueError, match=message):
        publish.publish(changed(rows, **facts), repository)
    fewer = [r for r in rows if not (r.experiment == "with_without" and r.seed == "5")]
    with pytest.raises(ValueError, match="with_without: the criterion asks for 64 pairs, 63 ran"):
        publish.publish(fewer, repository)
    with pytest.raises(ValueError, match="there are no results of tikhonov"):
        publish.publish([r for r in rows if r.experiment != "tikhonov"], repository)
    assert files(repository) == before


def test_publishing_without_marks_or_with_a_large_figure_changes_nothing(
    rows: list[Row], repository: Path, monkeypatch: pytest.MonkeyPatch, no_pictures: None
) -> None:
    (repository / "README.zh.md").write_text("no marks", encoding="utf-8")
    before = files(repository)
    with pytest.raises(ValueError, match=r"the marks .* must be there, each once"):
        publish.publish(rows, repository)
    monkeypatch.setattr(publish, "LARGEST", 10)
    with pytest.raises(ValueError, match=r"has [\d,]+ bytes, more than 10"):
        publish.publish(rows, repository)
    assert files(repository) == before


def test_the_report_is_one_file_with_claims_verdicts_figures_and_numbers(
    rows: list[Row], entries: list[report.Entry], tmp_path: Path
) -> None:
    page = report.as_html(entries, report.heading(rows), report.forest(entries))
    assert page.count("data:image/png;base64,") == len(EXPERIMENTS) + 1
    assert 'src="figures' not in page
    assert "made-up images" in page
    for e in entries:
        assert report._escape(e.experiment.claim) in page
        assert all(report._escape(str(v)) in page for row in e.details for v in row.values())
    assert "A quick look" not in page
    quick = report.heading(changed(rows, scale="quick"))
    assert "A quick look" in quick


def test_whatever_is_in_the_report_is_escaped(rows: list[Row], entries: list[report.Entry]) -> None:
    evil = "<script>&\"'"
    e = next(e for e in entries if e.verdict)
    fields = dict.fromkeys(("title", "claim", "source", "settings"), evil)
    verdict = replace(e.verdict, remark=evil)
    spoilt = replace(
        e, experiment=replace(e.experiment, **fields), verdict=verdict, details=[{evil: evil}]
    )
    page = report.as_html([spoilt], evil, b"")
    assert "<script" not in page
    assert page.count("&lt;script&gt;&amp;&quot;&#x27;") >= 10


def test_the_report_fits_a_phone() -> None:
    assert "max-width: 100%" in report.STYLE
    assert "overflow-x: auto" in report.STYLE
    assert not re.search(r"(?<![-\w])(?:min-)?width:\s*(?:[4-9]\d\d|\d{4,})px", report.STYLE)


def test_verdicts_have_colours_and_words_in_both_languages() -> None:
    assert set(report.COLORS) == set(verdicts.VERDICTS) == set(publish.VERDICTS_IN_CHINESE)
    assert set(publish.CLAIMS_IN_CHINESE) == set(criteria.CRITERIA) == set(report.SHORT)
    for color in report.COLORS.values():  # white letters on it: WCAG's contrast of 4.5
        r, g, b = (int(color[i : i + 2], 16) / 255 for i in (1, 3, 5))
        linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in (r, g, b)]
        light = float(np.dot(linear, (0.2126, 0.7152, 0.0722)))
        assert 1.05 / (light + 0.05) >= 4.5


def test_quick_rows_are_judged_and_drawn_too() -> None:
    rows: list[Row] = []
    for name, results in results_of(QUICK).items():
        rows += load(name).rows(results, QUICK)
    found = report.entries(rows)
    assert [e.name for e in found] == EXPERIMENTS
    assert {e.verdict.verdict for e in found if e.verdict} <= {verdicts.UNDECIDED, verdicts.NONE}


# ------------------------------------------------------------------------- the command line


def test_list_says_what_each_experiment_last_said_and_survives_damage(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["--results", str(tmp_path), "list"])
    out = capsys.readouterr().out
    assert out.count("not run yet: about") == len(EXPERIMENTS)
    (tmp_path / "verdicts").mkdir()
    (tmp_path / "verdicts" / "sweep.json").write_text("5")
    (tmp_path / "verdicts" / "width.json").write_bytes(b"\xff")
    (tmp_path / "verdicts" / "regimes.json").write_text(
        '{"verdict": "yes", "scale": "full", "data": "images"}'
    )
    main(["--results", str(tmp_path)])
    printed = capsys.readouterr()
    assert printed.err.count("is damaged: run it again") == 2
    assert "yes (full, images)" in printed.out


def test_a_report_of_nothing_says_how_to_run(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"nothing to report yet: python -m examples\.lab run all"):
        main(["--results", str(tmp_path), "report", "--sample"])
    with pytest.raises(SystemExit, match="error: runs are missing of with_without"):
        main(["--results", str(tmp_path), "publish", "--sample", "--root", str(tmp_path)])
    with pytest.raises(SystemExit, match="error: no experiment 'x': choose from"):
        main(["--results", str(tmp_path), "run", "x", "--sample"])


def test_run_says_where_the_data_are_from_and_how_to_see_the_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "processes", lambda count=None: workers.here)
    monkeypatch.setattr(cli, "measure", lambda: 1.0)
    monkeypatch.setattr(lab, "EXPERIMENTS", ["tikhonov"])
    monkeypatch.setattr(cli, "EXPERIMENTS", ["tikhonov"])
    main(["--results", str(tmp_path), "run", "tikhonov", "--sample"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("data: 10,000 training and 2,000 test images of Fashion-MNIST (SHA-")
    assert lines[-1] == "with figures: python -m examples.lab report --sample"
    main(["--results", str(tmp_path), "report", "--sample"])
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert images.found(sample=True).words in text
    assert "**A quick look**" in text
    assert execute.execute([], tmp_path) == {}
