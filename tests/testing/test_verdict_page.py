"""The verdict as a page: it shows what the laws have seen, and nothing else than they said."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minigrad
from minigrad import nn
from minigrad.nn.functional import dropout
from minigrad.testing import pictures, statistics
from minigrad.testing.__main__ import main
from minigrad.testing.laws import LAWS, TIERS
from minigrad.testing.noise import ALPHA, GAUSSIAN
from minigrad.testing.page import Tried, page, source_of, watch
from minigrad.testing.statistics import Figure
from minigrad.testing.subjects import Subject
from minigrad.testing.verdicts import BROKEN, HOLDS, NOT_APPLICABLE, judge
from minigrad.testing.zoo import ZOO
from tests.chromium import WIDTHS, browser, opened

__all__ = ["browser"]  # a fixture
RIGHT = Subject("minigrad's", dropout)
BUGS = {bug.name: bug for bug in ZOO}
WRONG = 'class="wrong" d="M'


@pytest.fixture(autouse=True)
def apart() -> Iterator[None]:
    """Charge nothing to the run: what is wrong should fail."""
    with statistics.Budget(apart=True):
        yield


def tried(subject: Subject) -> list[Tried]:
    return [watch(subject, law, quick=True) for law in LAWS.values()]


def shown(subject: Subject, law: str) -> str:
    """Return the pictures of one law."""
    return "".join(watch(subject, LAWS[law]).pictures)


@pytest.fixture(scope="module")
def verdict(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the page of a bug of the zoo."""
    path = tmp_path_factory.mktemp("page") / "verdict.html"
    with statistics.Budget(apart=True):
        subject = BUGS["fresh mask in backward"].subject
        path.write_text(page(subject, tried(subject)), encoding="utf-8")
    return path


# ------------------------------------------------------------------------- what is seen


@pytest.mark.parametrize(
    "subject",
    [
        RIGHT,
        BUGS["fresh mask in backward"].subject,
        Subject("of channels", nn.Dropout2d, units=("N", "C", 1, 1)),
        Subject("for SELU", nn.AlphaDropout, noise=ALPHA),
        Subject("normal noise", nn.GaussianDropout, noise=GAUSSIAN),
    ],
    ids=lambda subject: subject.name,
)
def test_to_be_watched_changes_no_verdict(subject: Subject) -> None:
    for law in LAWS.values():
        seen, unseen = watch(subject, law, quick=True).verdict, judge(subject, law, quick=True)
        assert (seen.outcome, seen.reason) == (unseen.outcome, unseen.reason), law.name


def test_each_law_that_applies_has_a_picture_or_says_that_nothing_came_back() -> None:
    for verdict, found in tried(RIGHT):
        if verdict.outcome == NOT_APPLICABLE or verdict.law.name == "boundary":
            assert not found  # boundary gives the random numbers itself, to a form of its own
        else:
            assert found, verdict.law.name
            drawn = "<svg" in "".join(found)
            assert drawn or verdict.law.name in ("bad_p", "shape"), verdict.law.name
    assert re.search(r"dropout\(x, p=.*, training=True\) .*: raised", shown(RIGHT, "bad_p"))


def test_where_a_value_is_wrong_the_picture_of_the_mask_says_so() -> None:
    unscaled = Subject("unscaled", lambda x, p, training: x * (minigrad.rand(x.shape) >= p))
    found = shown(unscaled, "support")
    assert WRONG in found
    assert re.search(r"\d+ of 1023 dropped, \d+ wrong", found)
    assert WRONG not in shown(RIGHT, "support")


def test_a_gradient_with_a_mask_of_its_own_is_seen_beside_a_forward_that_is_right() -> None:
    forward, backward = watch(
        BUGS["fresh mask in backward"].subject, LAWS["backward_mask"]
    ).pictures
    assert WRONG not in forward
    assert WRONG in backward
    forward, backward = watch(RIGHT, LAWS["backward_mask"]).pictures
    assert WRONG not in forward + backward
    assert re.findall(r"\d+ of 1023 dropped", forward) == re.findall(
        r"\d+ of 1023 dropped", backward
    )


def test_agreement_that_is_more_than_chance_leaves_the_band_at_its_distance() -> None:
    found = shown(BUGS["one mask for all rows"].subject, "units")
    assert "distances leave the band, most of all 64" in found
    assert "like coins" in shown(RIGHT, "units")


def test_a_picture_of_a_mask_has_each_dropped_cell_and_no_other() -> None:
    rng = np.random.default_rng(0)
    for shape in (5, 7), (1,), (70,), (2, 3, 4), (100, 90), (33, 1):
        cells = rng.random(shape) < 0.4
        corner = pictures._shown(cells)
        drawn = np.zeros(corner.shape, bool)
        for left, top, width in re.findall(r"M(\d+) (\d+)h(\d+)v1h-\3z", pictures._runs(corner)):
            drawn[int(top), int(left) : int(left) + int(width)] = True
        assert (drawn == corner).all()
        assert corner.size == min(cells.size, 64) if cells.ndim == 1 else corner.size <= 64**2


@pytest.mark.parametrize("p_value", [1.0, 1e-3, 1.0001e-9, 1e-9, 1e-12, 1e-200, 0.0])
def test_a_figure_lies_outside_the_band_just_if_the_law_is_broken(p_value: float) -> None:
    figure = Figure("what", p_value, 1e-9, "got", "expected")
    assert (pictures._ratio(figure) >= 1) == (p_value <= figure.alpha)
    assert ("wrong" in pictures._item(figure)) == (p_value <= figure.alpha)


def test_the_figures_of_a_law_are_all_that_it_tested_up_to_where_it_broke() -> None:
    assert "<li>" not in shown(RIGHT, "support")
    found = shown(RIGHT, "rate")
    assert found.count("<li>") == pictures.ROWS
    assert '<g class="wrong">' not in found
    subject = BUGS["one mask for all rows"].subject
    found = shown(subject, "rate")
    assert found.count('<g class="wrong">') == 1
    (got,) = re.findall("got: (.*)", judge(subject, LAWS["rate"]).reason)
    assert f"<b>{got}</b>" in found


# ------------------------------------------------------------------------- the page


def test_the_page_says_what_the_laws_say(verdict: Path) -> None:
    subject = BUGS["fresh mask in backward"].subject
    html = verdict.read_text()
    assert "Verdict: bug. The noise is wrong" in html
    assert "It looks like zoo bug" in html
    assert "def fresh_mask_in_backward" in html
    for tier in TIERS:
        assert f"<h2>{tier.capitalize()}: {TIERS[tier]}</h2>" in html
    for law in LAWS.values():
        outcome = judge(subject, law, quick=True).outcome
        opened = " open" if outcome == BROKEN else ""
        assert re.search(rf'<details class="{outcome}"{opened}><summary>.*<b>{law.name}</b>', html)


def test_a_dropout_without_bugs_looks_like_none() -> None:
    html = page(RIGHT, [watch(RIGHT, LAWS["rate"])])
    assert "Verdict: no bug" in html
    assert "looks like" not in html
    assert f'<details class="{HOLDS}">' in html


def test_names_and_reasons_are_escaped() -> None:
    def hostile(x: Any, p: float, training: bool) -> Any:
        if training:
            raise ValueError("<script>alert('reason')</script>")
        return x

    name = "<script>alert('name')</script><img src=x onerror=alert(1)>"
    subject = Subject(name, hostile, "minigrad", exempt={"rate": "<b>so</b>"})
    html = page(subject, [watch(subject, LAWS[law]) for law in ("support", "rate", "bad_p")])
    assert "alert(&#x27;name&#x27;)" in html
    assert "alert(&#x27;reason&#x27;)" in html
    assert "<script" not in html
    assert "<img" not in html
    assert "<b>so" not in html


def test_every_bug_of_the_zoo_can_be_read_on_the_page() -> None:
    for bug in ZOO:
        assert re.search(r"^(def|class) \w+", source_of(bug), re.MULTILINE), bug.name


def test_the_command_writes_the_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "new" / "verdict.html"
    some = ["--only", "support", "--only", "rate", "--quick"]
    assert main(["minigrad.nn.functional:dropout", *some, "--html", str(out)]) == 0
    told = capsys.readouterr().out
    assert told.endswith(f"\nwrote {out}\n")
    assert "Verdict: no bug" in told
    html = out.read_text()
    assert "<title>Verdict: minigrad.nn.functional:dropout</title>" in html
    assert html.count("<details") == 2


@pytest.mark.parametrize(
    "options",
    [[], ["minigrad.nn.functional:dropout", "--runs", "2"]],
    ids=["alone", "with options"],
)
def test_a_page_is_of_one_run_on_one_dropout(
    options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([*options, "--html", str(tmp_path / "verdict.html")])
    assert stopped.value.code == 2
    assert "--html writes the verdict of one run on a dropout" in capsys.readouterr().err
    assert not any(tmp_path.iterdir())


def test_what_cannot_be_written_is_refused_before_a_law_is_tried(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["minigrad.nn.functional:dropout", "--html", str(tmp_path)])
    told = capsys.readouterr()
    assert stopped.value.code == 2
    assert f"cannot write {tmp_path}" in told.err
    assert "Verdict" not in told.out


# ------------------------------------------------------------------------- in a browser


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_the_page_fits_phone_tablet_and_desktop_in_both_themes(
    browser: Any, verdict: Path, width: int, scheme: str
) -> None:
    with opened(browser, verdict, width, scheme) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        unnamed = (
            "[...document.querySelectorAll('svg')].filter((s) => !s.ariaLabel && !s.ariaHidden)"
        )
        assert page.evaluate(f"{unnamed}.length") == 0


def test_laws_open_from_the_keyboard(browser: Any, verdict: Path) -> None:
    with opened(browser, verdict) as page:
        page.focus(f"details.{HOLDS} > summary")
        page.keyboard.press("Enter")
        assert page.evaluate(f"document.querySelector('details.{HOLDS}').open")
