"""How long the page takes for a step of a large graph: ``python -m tests.explain.fluid [ops]``.

It prints milliseconds from one frame to the next, median and 95th percentile of 200: playing near
the step, playing with the whole graph in sight, and dragging. It needs Playwright and chromium.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import minigrad
from minigrad.explain import explain
from tests.chromium import started

FRAMES = """async (act) => {
  const act_ = { play: (i) => go(N - 100 + i), drag: () => { view.x += 3; look(); } }[act];
  const times = [];
  let last = performance.now();
  for (let i = 0; i < 200; i++) {
    act_(i);
    await new Promise(requestAnimationFrame);
    times.push(performance.now() - last);
    last = performance.now();
  }
  times.sort((a, b) => a - b);
  return [times[100], times[190]];
}"""


def main(ops: int = 1000) -> None:
    """Measure a recurrent net of about so many ops."""
    w = minigrad.randn(8, 8, requires_grad=True)
    b = minigrad.zeros(8, requires_grad=True)
    h = minigrad.ones(2, 8)
    for _ in range(ops // 3):
        h = (h @ w + b).tanh()
    with tempfile.TemporaryDirectory() as folder, started() as browser:
        explanation = explain(h.sum())
        explanation.save(f"{folder}/walk.html")
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.goto(Path(folder, "walk.html").as_uri())
        print(f"{len(explanation.steps)} ops, ms from frame to frame: median, 95th percentile")
        for what, act in (("playing", "play"), ("dragging", "drag")):
            print(f"  {what}: {', '.join(f'{ms:.0f}' for ms in page.evaluate(FRAMES, act))}")
        page.evaluate("fitAll(), (reveal = () => {})")
        milliseconds = ", ".join(f"{ms:.0f}" for ms in page.evaluate(FRAMES, "play"))
        print(f"  playing, all in sight: {milliseconds}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
