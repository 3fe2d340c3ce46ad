"""The page on which dropout is seen: it draws minigrad's masks, and computes what minigrad does."""

from __future__ import annotations

import base64
import random
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minigrad
from data.fashion_mnist import SAMPLE_DIR, load_fashion_mnist
from examples.dropout_seen import __main__ as command
from examples.dropout_seen import page as pages
from minigrad import Generator
from minigrad.masks import keep_mask
from minigrad.nn import functional as F
from tests.chromium import WIDTHS, browser, opened

ROOT = SAMPLE_DIR.parent.parent
__all__ = ["browser"]  # a fixture


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the page of a network that was trained for one epoch."""
    path = tmp_path_factory.mktemp("page") / "seen.html"
    path.write_text(pages.made(epochs=1), encoding="utf-8")
    return path


@pytest.fixture
def page(browser: Any, written: Path) -> Iterator[Any]:
    with opened(browser, written) as page:
        yield page


# ------------------------------------------------------------------------- the masks


def cases() -> list[tuple[tuple[int, int, int], int, float]]:
    """Return states, sizes and probabilities, among them those at the edges."""
    rng = random.Random(0)
    words = [0, 1, 2**32 - 1, 2**32, 2**64 - 1]
    found = []
    for _ in range(400):
        state = [rng.choice([*words, rng.getrandbits(64), rng.getrandbits(20)]) for _ in range(3)]
        p = rng.choice([0, 0.1, 0.3, 0.5, 0.7, 1, 1 / 256, 2**-32, rng.random()])
        found.append((tuple(state), rng.choice([0, 1, 31, 256, 2000]), p))
    return found


def test_the_page_draws_minigrads_masks_bit_for_bit(page: Any) -> None:
    asked = [[[*map(str, state)], n, p] for state, n, p in cases()]
    drawn = page.evaluate(
        "asked => asked.map(([state, n, p]) => keepMask(state.map(wordOf), n, p).join(''))", asked
    )
    for (state, n, p), bits in zip(cases(), drawn, strict=True):
        expected = keep_mask(state, n, p)
        assert bits == "".join(map(str, expected.astype(int))), (state, n, p)


def test_the_masks_that_are_compared_have_many_ties() -> None:
    ties = 0
    for state, n, p in cases():
        high, low = divmod(round(p * 2**32), 2**24)
        upper = minigrad.masks.philox(*state, (n + 7) // 8).view(np.uint8)[:n]
        ties += int((upper == high).sum()) if low else 0
    assert ties > 300


def test_the_page_rounds_as_python_does(page: Any) -> None:
    numbers = [0, 0.4, 0.5, 0.6, 1.5, 2.5, 3.5, 2**31 + 0.5, 2**32 - 0.5, 2**32, 1234567.25]
    got = page.evaluate("numbers => numbers.map(rounded)", numbers)
    assert got == [round(number) for number in numbers]


def test_a_generator_of_the_page_moves_on_as_minigrads(page: Any) -> None:
    sizes = [1, 31, 32, 33, 256, 0, 7]
    states = page.evaluate(
        """sizes => {
            const g = new Generator(wordOf("7"), wordOf("5"), wordOf("18446744073709551610"));
            return sizes.map((n) => (g.keepMask(n, 0.5), g.state.map(digitsOf)));
        }""",
        sizes,
    )
    generator = Generator(7)
    generator.set_state((7, 5, 2**64 - 6))
    for n, state in zip(sizes, states, strict=True):
        generator.keep_mask((n,), 0.5)
        assert tuple(map(int, state)) == generator.get_state()


# ------------------------------------------------------------------------- the network


def in_python(page: Any, p: float, state: tuple[int, int, int]) -> list[dict[str, np.ndarray]]:
    """Run the page's network and image in minigrad; return what is seen of each hidden layer."""
    data = page.evaluate("data")
    image, label = page.evaluate("[Array.from(pixels()), label()]")
    generator = Generator()
    generator.set_state(state)
    x, found, seen = minigrad.tensor([image], dtype=minigrad.float64), [], []
    for layer in data["layers"]:
        integers = np.frombuffer(base64.b64decode(layer["weight"]), "<i2").astype(float)
        weight = integers.reshape(layer["outputs"], layer["inputs"]) * layer["factor"]
        z = F.linear(x, minigrad.as_tensor(weight), minigrad.as_tensor(np.array(layer["bias"])))
        if layer is data["layers"][-1]:
            break
        h = F.relu(z).detach().requires_grad_() if not found else F.relu(z)
        h.retain_grad()
        y = F.dropout(h, p, generator=generator)
        if y is h:
            y = h * 1
        y.retain_grad()
        found.append((h, y))
        x = y
    F.cross_entropy(z, minigrad.tensor([label])).backward()
    for h, y in found:
        arrays = {"h": h, "y": y, "front": h.grad, "behind": y.grad}
        seen.append({name: t.detach().numpy()[0] for name, t in arrays.items() if t is not None})
    seen.append({"probabilities": F.softmax(z, -1).detach().numpy()[0]})
    return seen


@pytest.mark.parametrize("p", [0.0, 0.2, 0.5, 0.9, 1.0])
def test_forward_and_backward_are_minigrads_with_the_same_masks(page: Any, p: float) -> None:
    page.evaluate("p => { now.p = p; now.image = 3; restart([48, 0]); }", p)
    expected = in_python(page, p, (0, 0, 48))
    names = "['h', 'y', 'front', 'behind']"
    lists = f"(layer) => Object.fromEntries({names}.map((n) => [n, [...layer[n]]]))"
    seen = page.evaluate(
        f"[...pass.hidden.map({lists}), {{probabilities: [...pass.probabilities]}}]"
    )
    for one, other in zip(seen, expected, strict=True):
        for name, array in other.items():
            np.testing.assert_allclose(one[name], array, rtol=1e-9, atol=1e-12, err_msg=name)
            assert ((np.array(one[name]) == 0) == (array == 0)).all()


def test_the_weights_on_the_page_are_the_networks_to_sixteen_bits() -> None:
    layer = minigrad.nn.Linear(7, 5)
    packed = pages.packed(layer)
    integers = np.frombuffer(base64.b64decode(packed["weight"]), "<i2").reshape(5, 7)
    off = np.abs(integers * packed["factor"] - layer.weight.detach().numpy())
    assert off.max() <= 0.51 * packed["factor"]
    assert np.allclose(packed["bias"], layer.bias.detach().numpy())


def test_the_mean_of_many_sub_networks_comes_nearer_to_weight_scaling(page: Any) -> None:
    first, last = page.evaluate(
        """() => {
            const ends = data.labels.map((_, i) => {
                now.image = i; restart([0, 0]); again(200);
                return [distances[0], distances.at(-1)];
            });
            return [0, 1].map((end) => ends.reduce((sum, pair) => sum + pair[end], 0));
        }"""
    )
    assert last < first / 2


# ------------------------------------------------------------------------- the controls


def test_the_code_on_the_page_gives_the_masks_on_the_page(page: Any) -> None:
    page.fill("#seed", "18446744073709551615")
    page.press("#seed", "Enter")
    page.click("#again")
    lines = page.inner_text("#code").splitlines()
    scope: dict[str, Any] = {}
    for line in lines:
        exec(line.removeprefix(">>> "), scope)
    shown = page.evaluate("pass.hidden.map((layer) => [...layer.keep])")
    assert [scope["first"][0].tolist(), scope["second"][0].tolist()] == [
        [bool(keep) for keep in layer] for layer in shown
    ]
    assert page.inner_text("#state") == (
        "Pass 2: the masks of seed 18446744073709551615, stream 0, offset 16."
    )


def test_everything_is_done_from_the_keyboard(page: Any) -> None:
    page.keyboard.press("d")
    assert page.evaluate("passes") == 2
    page.keyboard.press("m")
    assert page.evaluate("passes") == 102
    page.keyboard.press("r")
    assert page.evaluate("[passes, digitsOf(now.offset)]") == [1, "0"]
    page.keyboard.press("p")
    assert page.get_attribute("#play", "aria-pressed") == "true"
    page.evaluate("new Promise((done) => setInterval(() => passes > 2 && done(), 50))")
    page.keyboard.press("p")
    assert page.get_attribute("#play", "aria-pressed") == "false"
    page.focus("#p")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("now.p") == 0.51
    assert page.inner_text("#p-value") == "0.51"
    page.focus("#seed")
    page.keyboard.type("d")  # in a field, a letter is a letter
    assert page.evaluate("passes") == 1
    reached = set()
    for _ in range(40):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.id || document.activeElement.ariaLabel"))
    assert {"p", "again", "play", "many", "restart", "seed"} <= reached
    assert sum(str(one).startswith("image ") for one in reached) == pages.IMAGES


def test_with_more_dropped_what_was_dropped_stays_so(page: Any) -> None:
    masks = []
    for p in 0.2, 0.5, 0.8:
        page.evaluate("p => { const s = byId('p'); s.value = p; s.oninput({ target: s }); }", p)
        masks.append(np.array(page.evaluate("[...pass.hidden[0].keep]")))
    assert (masks[0] >= masks[1]).all()
    assert (masks[1] >= masks[2]).all()
    assert masks[0].sum() > masks[1].sum() > masks[2].sum() > 0


@pytest.mark.parametrize("seed", ["-1", "1.5", "18446744073709551616", "x", ""])
def test_what_is_no_seed_is_refused_and_said(page: Any, seed: str) -> None:
    page.fill("#seed", seed or "7")
    page.press("#seed", "Enter")
    if not seed:
        page.fill("#seed", "")
        page.press("#seed", "Enter")
    assert page.evaluate("byId('seed').validationMessage") == "an integer from 0 to 2⁶⁴ − 1"
    assert page.evaluate("digitsOf(now.seed)") == ("7" if not seed else "0")


def test_pictures_have_words(page: Any) -> None:
    words = page.evaluate(
        "[...document.querySelectorAll('canvas[role=img]')].map((c) => c.ariaLabel)"
    )
    assert len(words) == 11
    dropped = page.evaluate("pass.hidden[0].keep.reduce((n, keep) => n + !keep, 0)")
    assert f"hidden layer 1, the mask; {dropped} of 256 dropped" in words
    assert f"hidden layer 1, through the same mask; {dropped} of 256 are 0" in words


# ------------------------------------------------------------------------- the page itself


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_it_fits_phone_tablet_and_desktop_in_both_themes(
    browser: Any, written: Path, width: int, scheme: str
) -> None:
    with opened(browser, written, width, scheme) as page:
        page.click("#many")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
        light = sum(map(int, ground.removeprefix("rgb(").rstrip(")").split(","))) > 3 * 128
        assert light == (scheme == "light")


def test_the_page_is_one_file_below_two_megabytes(written: Path) -> None:
    html = written.read_text()
    assert len(html.encode()) < 2e6
    assert "http:" not in html
    assert "https:" not in html
    assert "/* data */" not in html


def test_the_images_are_of_all_classes() -> None:
    _, test = load_fashion_mnist(SAMPLE_DIR, quiet=True)
    places = pages.chosen(test)
    assert test.labels[places[:10]].tolist() == [*range(10)]
    assert len(set(places.tolist())) == pages.IMAGES


def test_what_cannot_be_written_is_refused_in_one_line_before_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "made", lambda *args: pytest.fail("trained"))
    with pytest.raises(SystemExit) as stopped:
        command.main(["--out", str(tmp_path)])
    assert stopped.value.code == 1
    assert re.fullmatch(rf"error: cannot write {tmp_path}: .*\n", capsys.readouterr().err)


def test_the_command_writes_the_page(tmp_path: Path) -> None:
    out = tmp_path / "seen.html"
    done = subprocess.run(
        [sys.executable, "-m", "examples.dropout_seen", "--out", str(out), "--epochs", "1"],
        cwd=ROOT, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"wrote {out}, {out.stat().st_size / 1e6:.1f} MB: open it in a browser\n"
