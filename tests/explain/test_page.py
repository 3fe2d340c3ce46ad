"""The page: what it is given, and how it behaves in a real browser."""

from __future__ import annotations

import itertools
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.explain import Explanation, explain, recording
from minigrad.explain.page import SCRIPTS
from minigrad.nn import functional as F
from tests.chromium import browser

__all__ = ["browser"]  # a fixture

PAGE = Path(mg.__file__).parent / "explain" / "page"
EVIL = "<script>alert('x')</script><img src=x onerror=alert(1)>"


def data_in(page: str) -> Any:
    """Return the data that a page holds."""
    found = re.search(r'id="data">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    return json.loads(found[1], parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(3, 4), nn.Linear(4, 3)
        self.drop = nn.Dropout(0.5, generator=mg.Generator(3))

    def forward(self, x: Any) -> Any:
        return x + self.drop(self.second(self.first(x).relu()))


def small() -> tuple[Explanation, dict[str, Any]]:
    """Return the explanation of a net with a skip connection, and the true gradients."""
    with mg.fork_rng():
        mg.manual_seed(2)
        net = nn.Sequential(nn.Linear(2, 3), Block(), nn.Linear(3, 2))
        x = mg.randn(5, 2)
        with recording():
            loss = F.cross_entropy(net(x), mg.tensor([0, 1, 0, 1, 1]))
    explanation = explain(loss, names=dict(net.named_parameters()))
    loss.backward()
    return explanation, {name: p.grad.numpy() for name, p in net.named_parameters()}


# ------------------------------------------------------------------------- without a browser


def test_the_page_holds_the_walk_and_asks_for_nothing() -> None:
    explanation, gradients = small()
    page = explanation.html
    assert re.findall(r"""(?:src|href)=["']?([^"' >]+)""", page) == ["data:,"]
    assert not re.search(
        r"(?<!w3\.org/2000/svg)\bimport\(|fetch\(|XMLHttp|https?://(?!www.w3)", page
    )
    data = data_in(page)
    assert [step["number"] for step in data["steps"]] == list(range(1, len(explanation.steps) + 1))
    for leaf in data["leaves"]:
        np.testing.assert_allclose(
            np.ravel(leaf["grad"]["rows"]), gradients[leaf["name"]].ravel(), rtol=1e-5
        )


def test_what_is_no_number_in_json_is_a_word() -> None:
    values = [float("nan"), float("inf"), -float("inf"), 1.0]
    x = mg.tensor(values, requires_grad=True)
    big = mg.tensor(values * 500, requires_grad=True)
    data = data_in(explain((x * 2).sum() + (big * 2).sum(), names={"x": x, "big": big}).html)
    small_one, large = sorted(data["leaves"], key=lambda leaf: leaf["name"] == "big")
    assert small_one["value"]["rows"] == [["nan", "inf", "-inf", 1.0]]
    assert large["value"]["rows"] is None
    assert large["value"]["statistics"] | {"std": 0} == {
        "nan": 500, "inf": 1000, "mean": 1.0, "std": 0, "min": 1.0, "max": 1.0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("shape", "rows"),
    [
        ((32, 32), 32), ((33, 2), None), ((2, 33), None), ((4, 8, 32), 32), ((1024,), 32),
        ((1025,), None), ((), 1), ((5,), 1), ((0, 3), 0),
    ],
)  # fmt: skip
def test_small_tensors_are_shown_whole_and_large_ones_by_statistics(
    shape: tuple[int, ...], rows: int | None
) -> None:
    x = mg.tensor(np.arange(np.prod(shape), dtype=np.float32).reshape(shape), requires_grad=True)
    (leaf,) = data_in(explain(x * 2, names={"x": x}).html)["leaves"]
    value = leaf["value"]
    if rows is None:
        assert value["rows"] is None
        assert sum(value["histogram"]) == x.numel()
        assert value["statistics"]["max"] == x.numel() - 1
    else:
        assert len(value["rows"]) == rows
        assert [v for row in value["rows"] for v in row] == list(range(int(np.prod(shape))))


def test_names_are_never_markup() -> None:
    x = mg.ones(2, requires_grad=True)
    explanation = explain(x * 2, names={EVIL: x})
    for page in explanation.html, explanation._repr_html_():
        assert "<script>alert" not in page
        assert "<img" not in page
    assert data_in(explanation.html)["leaves"][0]["name"] == EVIL


def test_the_suffix_says_what_is_saved(tmp_path: Path) -> None:
    x = mg.ones(2, requires_grad=True)
    explanation = explain(x * 2)
    explanation.save(tmp_path / "walk.html")
    explanation.save(tmp_path / "walk.txt")
    assert (tmp_path / "walk.html").read_text() == explanation.html
    assert (tmp_path / "walk.txt").read_text() == f"{explanation}\n"
    with pytest.raises(ValueError, match=r"\.html or \.txt, got '\.svg'"):
        explanation.save(tmp_path / "walk.svg")


def luminance(colour: str) -> float:
    """Return the relative luminance of WCAG 2."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(a: str, b: str) -> float:
    low, high = sorted([luminance(a), luminance(b)])
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", [0, 1])
def test_colours_can_be_read_in_both_themes(theme: int) -> None:
    block = re.findall(r":root.*?\{(.*?)\}", (PAGE / "walk.css").read_text(), re.DOTALL)[theme]
    colours = dict(re.findall(r"--(\w+): (#\w{6})", block))
    for ground in "paper", "panel", "box":
        for text in "ink", "soft":
            assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground)
        for mark in "forward", "back":
            assert contrast(colours[mark], colours[ground]) >= 3, (mark, ground)
    for ground in "hit", "on":
        assert contrast(colours["ink"], colours[ground]) >= 4.5


def test_the_colours_of_values_get_lighter_and_lighter() -> None:
    found = re.search(r"const SCALE = (.*?);", (PAGE / "cells.js").read_text(), re.DOTALL)
    assert found is not None
    shades = [luminance("#" + "".join(f"{v:02x}" for v in rgb)) for rgb in json.loads(found[1])]
    assert all(b > a + 0.015 for a, b in itertools.pairwise(shades))


def test_every_file_of_the_page_is_used() -> None:
    assert {path.name for path in PAGE.iterdir()} == {"walk.html", "walk.css", *SCRIPTS}


# ------------------------------------------------------------------------- in a browser


class Opened:
    """A page that was opened, and what it complained of and asked for."""

    def __init__(self, browser: Any, file: Path, **options: Any) -> None:
        options = {"viewport": {"width": 1280, "height": 800}} | options
        self.page = browser.new_page(**options)
        self.problems: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.problems.append(message.text))
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("dialog", lambda dialog: self.problems.append(dialog.message))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(file.as_uri())

    def card(self) -> str:
        return str(self.page.inner_text("#card"))

    def wait(self, condition: str) -> None:
        """Wait until a condition holds in the page, whose policy forbids Playwright's own way."""
        end = time.monotonic() + 60
        while not self.page.evaluate(condition):
            assert time.monotonic() < end, condition
            time.sleep(0.02)

    def cells(self, label: str) -> list[str]:
        """Return the numbers under a label of the card."""
        box = self.page.locator("#card .seen", has=self.page.locator(f"text=/^{label}$/")).first
        if box.locator("details").count():
            box.locator("summary").click()
        return list(box.locator("td").all_inner_texts())

    def find(self, words: str) -> None:
        """Search, and look at what is found first."""
        self.page.fill("#search", words)
        self.page.press("#search", "Enter")


@pytest.fixture
def opened(browser: Any, tmp_path: Path) -> Iterator[tuple[Opened, Explanation, dict[str, Any]]]:
    explanation, gradients = small()
    file = tmp_path / "walk.html"
    explanation.save(file)
    page = Opened(browser, file)
    yield page, explanation, gradients
    assert page.problems == []
    assert page.requests == [file.as_uri()]
    page.page.close()


def test_played_to_the_end_the_leaves_show_grad(opened: Any) -> None:
    page, explanation, gradients = opened
    page.page.select_option("#speed", "20")
    page.page.click("#play")
    page.wait("t === END")
    assert (
        page.page.inner_text("#where") == f"back {len(explanation.steps)}/{len(explanation.steps)}"
    )
    assert page.page.get_attribute("#play", "aria-label") == "Play"
    for name, gradient in gradients.items():
        page.find(name)
        assert page.card().startswith(name)
        shown = page.cells("gradient so far")
        assert len(shown) == gradient.size
        for text, value in zip(shown, gradient.ravel(), strict=True):
            assert float(text) == pytest.approx(float(f"{value:.5g}"), rel=2e-5), name


def test_a_gradient_that_comes_in_pieces_is_added_up_in_the_leaf(
    browser: Any, tmp_path: Path
) -> None:
    x = mg.tensor(3.0, requires_grad=True)
    y = x * x + x.exp() * 2
    explain(y).save(tmp_path / "walk.html")
    page = Opened(browser, tmp_path / "walk.html")
    seen = []
    for _ in range(2 * 4):
        page.page.keyboard.press("ArrowRight")
        page.page.keyboard.press("0")
        line = page.page.locator(".node.leaf text.small").last.inner_html()
        seen += [line] if line not in seen else []
    y.backward()
    e = 2 * float(np.exp(np.float32(3)))
    assert [float(line.removeprefix("g = ")) for line in seen if line] == pytest.approx(
        [e, e + 6], rel=1e-4
    )
    assert float(seen[-1].removeprefix("g = ")) == pytest.approx(x.grad.item(), rel=1e-4)
    page.page.close()


def test_each_step_shows_the_formula_the_values_and_where_they_go(opened: Any) -> None:
    page, explanation, _ = opened
    page.page.keyboard.press("End")
    assert page.card().startswith(f"{len(explanation.steps)}. linear")
    for step in reversed(explanation.steps):
        text = page.card()
        assert text.startswith(f"{step.number}. {step.op}")
        for piece in step.pieces:
            assert piece.formula in text
            assert f"for {piece.argument}" in text
        assert page.page.locator(".node.now").count() == 1
        assert page.page.locator(".edge.flow").count() == len({p.target for p in step.pieces})
        page.page.keyboard.press("ArrowLeft")


def test_single_numbers_are_put_into_the_formula(browser: Any, tmp_path: Path) -> None:
    x = mg.tensor(-3.0, requires_grad=True)
    explain((x * 2).exp() * 4, names={"x": x}).save(tmp_path / "walk.html")
    page = Opened(browser, tmp_path / "walk.html")
    said = []
    for _ in range(6):
        page.page.keyboard.press("ArrowRight")
        said += page.page.locator(".formula .numbers").all_inner_texts()
    assert [line.strip() for line in said] == [
        "1 * 4 = 4", "4 * 0.0024788 = 0.009915", "0.009915 * 2 = 0.01983",
    ]  # fmt: skip
    page.page.close()


def test_memory_follows_the_curve(opened: Any) -> None:
    page, explanation, _ = opened
    for kept in explanation.curve:
        page.page.keyboard.press("ArrowRight")
        assert page.page.inner_text("#memory").startswith(f"kept now: {kept} B;")
    assert "at most" in page.page.inner_text("#memory")


def test_everything_works_from_the_keyboard(opened: Any) -> None:
    page, explanation, _ = opened
    keys, n = page.page.keyboard, len(explanation.steps)
    keys.press("ArrowRight")
    keys.press("ArrowRight")
    assert page.page.evaluate("t") == 2
    keys.press("ArrowLeft")
    assert page.page.evaluate("t") == 1
    keys.press("End")
    assert page.page.evaluate("t") == 2 * n
    keys.press("Home")
    assert page.page.evaluate("t") == 0
    keys.press("+")
    assert page.page.input_value("#speed") == "2"
    keys.press("Space")
    page.wait("t >= 2")
    keys.press("Space")
    assert page.page.evaluate("timer") is None
    keys.press("/")
    keys.type("class_cross")
    keys.press("Enter")
    assert page.page.inner_text("#hits") == "1 found"
    assert "1. class_cross_entropy" in page.card()
    keys.press("Escape")
    keys.press("End")
    for _ in range(40):  # into the graph, whose one node with a tab stop is where the walk is
        keys.press("Tab")
        if page.page.evaluate("document.activeElement.classList.contains('node')"):
            break
    keys.press("Enter")
    assert f"{n}. linear" in page.card()
    keys.press("ArrowDown")
    assert page.page.evaluate("document.activeElement.dataset.id") != f"op{n}"
    assert page.page.evaluate("chosen") == page.page.evaluate("document.activeElement.dataset.id")
    keys.press("ArrowUp")
    assert page.page.evaluate("document.activeElement.dataset.id") == f"op{n}"


def test_modules_fold_and_unfold_from_mouse_and_keyboard(opened: Any) -> None:
    page, explanation, gradients = opened
    whole = page.page.evaluate("boxes.size")
    assert whole == len(explanation.steps) + len(gradients)
    page.page.click("#fold")
    folded = page.page.evaluate("boxes.size")
    assert folded < whole
    page.page.keyboard.press("End")
    assert page.page.locator(".node.now").count() == 1  # the step is in a folded box
    handle = page.page.locator(".node", has_text="Block")
    handle.click()
    page.page.click("#card button")
    assert folded < page.page.evaluate("boxes.size") < whole
    page.page.click("#fold")
    assert page.page.evaluate("boxes.size") == whole
    page.page.focus("[data-fold]")
    page.page.keyboard.press("Enter")
    assert page.page.evaluate("boxes.size") < whole


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 768, 1280])
def test_nothing_is_cut_off_on_phone_tablet_and_desktop(
    browser: Any, tmp_path: Path, theme: str, width: int
) -> None:
    explanation, _ = small()
    explanation.save(tmp_path / "walk.html")
    size = {"width": width, "height": 844}
    page = Opened(
        browser, tmp_path / "walk.html", viewport=size, color_scheme=theme, has_touch=width < 700
    )
    assert page.page.evaluate("document.documentElement.dataset.theme") == theme
    page.page.keyboard.press("End")
    assert page.page.evaluate("document.documentElement.scrollWidth") <= width
    for control in page.page.locator("header button:visible, footer button").all():
        box = control.bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width
        assert min(box["width"], box["height"]) >= 32
    if width < 700:
        page.page.keyboard.press("0")
        page.page.locator(".node.now").tap()
        assert page.page.locator(".node.chosen").count() == 1
    assert page.problems == []
    page.page.close()


def test_boxes_do_not_overlap_and_edges_go_down(opened: Any) -> None:
    page, *_ = opened
    boxes = page.page.evaluate("[...boxes.values()].map((b) => [b.x, b.y])")
    assert len({tuple(box) for box in boxes}) == len(boxes)
    for i, (x, y) in enumerate(boxes):
        for u, v in boxes[:i]:
            assert v != y or abs(u - x) >= 150 - 1e-6
    ends = page.page.evaluate("drawnEdges.map((e) => [e.points[0][1], e.points.at(-1)[1]])")
    assert all(above < below for above, below in ends)


def test_odd_walks_are_shown(browser: Any, tmp_path: Path) -> None:
    x = mg.tensor([float("nan"), float("inf"), 1.0], requires_grad=True)
    freed = (x * x).sum()
    freed.backward()
    many = mg.tensor(np.r_[np.nan, np.arange(39.0)], requires_grad=True)
    empty = mg.ones(0, 3, requires_grad=True)
    cases = {
        "leaf": x, "nan": (x * 2).sum(), "freed": freed, "empty": empty * 2, "many": many * many,
        "large": mg.ones(50, 50, requires_grad=True) * 2, "half": x.half() * 3,
        "evil": mg.ones(1, requires_grad=True) * 2,
    }  # fmt: skip
    for name, y in cases.items():
        file = tmp_path / f"{name}.html"
        names = {EVIL: y.grad_fn.parents[0]} if name == "evil" else None
        explain(y, names=names).save(file)
        page = Opened(browser, file)
        for _ in range(2 * 2 + 1):
            page.page.keyboard.press("ArrowRight")
        if name == "freed":
            assert "The walk would stop here. RuntimeError" in page.card()
        if name == "evil":
            page.find("alert")
            assert page.card().startswith(EVIL)
        assert page.problems == [], name
        page.page.close()


def test_of_a_large_graph_only_what_is_in_sight_is_in_the_document(
    browser: Any, tmp_path: Path
) -> None:
    w = mg.ones(3, 3, requires_grad=True)
    h = mg.ones(1, 3)
    for _ in range(500):
        h = (h @ w).tanh()
    explanation = explain(h.sum(), names={"w": w})
    assert len(explanation.steps) == 1001
    explanation.save(tmp_path / "walk.html")
    page = Opened(browser, tmp_path / "walk.html")
    assert page.page.evaluate("boxes.size") == 1002
    for _ in range(5):
        page.page.keyboard.press("ArrowRight")
        assert page.page.evaluate("document.querySelectorAll('#graph *').length") < 500
        assert page.page.locator(".node.now").count() == 1
    assert page.problems == []
    page.page.close()


def test_a_notebooks_frame_plays_too(browser: Any, tmp_path: Path) -> None:
    x = mg.tensor(2.0, requires_grad=True)
    file = tmp_path / "notebook.html"
    file.write_text(f"<!DOCTYPE html><title>notebook</title>{explain(x * 3)._repr_html_()}")
    page = Opened(browser, file)
    frame = page.page.frame_locator("iframe")
    frame.locator("#last").click()
    assert "lambda g, b: g * b" in frame.locator("#card").inner_text()
    assert page.problems == []
    page.page.close()
