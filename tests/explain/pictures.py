"""The pictures of docs/explain.md: ``python -m tests.explain.pictures``, with a browser."""

from __future__ import annotations

import tempfile
from pathlib import Path

from minigrad.explain import explain, recording
from minigrad.explain.__main__ import example
from tests.chromium import started

FOLDER = Path(__file__).parents[2] / "docs" / "explain"
#: name: (width, height, theme, keys that are pressed)
PICTURES = {
    "step": (1100, 720, "light", ["ArrowRight"] * 8 + ["0"]),
    "phone": (390, 780, "dark", ["ArrowRight"] * 7),
}


def main() -> None:
    """Write them."""
    with recording():
        loss = example()
    with tempfile.TemporaryDirectory() as folder, started() as browser:
        explain(loss).save(f"{folder}/walk.html")
        for name, (width, height, theme, keys) in PICTURES.items():
            size = {"width": width, "height": height}
            page = browser.new_page(viewport=size, color_scheme=theme)
            page.goto(Path(folder, "walk.html").as_uri())
            for key in keys:
                page.keyboard.press(key)
            page.screenshot(path=FOLDER / f"{name}.png")


if __name__ == "__main__":
    main()
