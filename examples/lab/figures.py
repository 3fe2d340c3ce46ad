"""What the figures share: colours and markers that survive grey, and their usual panels."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from examples.lab.statistics import Interval
from examples.lab.verdicts import Effect

WITH, WITHOUT, THIRD, FOURTH = "#0072B2", "#D55E00", "#009E73", "#999999"  # Okabe and Ito, 2008
ARMS = {"with dropout": WITH, "without": WITHOUT}
STYLES = {"with dropout": "-", "without": "--"}
SIZE, DOTS = (6.8, 3.6), 140  # inches, and dots of each: letters that a phone still shows
REACH = 6.0  # of the forest, in smallest effects


def drawn(draw: Callable[[Any], None], size: tuple[float, float] = SIZE) -> bytes:
    """Return a figure as PNG in 256 colours: a third of the bytes, and no difference to see."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from PIL import Image

    figure = Figure(figsize=size, dpi=DOTS, layout="constrained")
    FigureCanvasAgg(figure)
    draw(figure)
    canvas, picture = io.BytesIO(), io.BytesIO()
    figure.savefig(canvas, format="png")
    few = Image.open(canvas).convert("RGB").quantize(256, dither=Image.Dither.NONE)
    few.save(picture, format="png", optimize=True)
    return picture.getvalue()


def legend_above(panel: Any, columns: int = 2) -> None:
    """Put the legend above the panel, where it hides no data."""
    panel.legend(
        loc="lower left", bbox_to_anchor=(0, 1), ncols=columns, frameon=False, fontsize="small",
        borderaxespad=0.2,
    )  # fmt: skip


def interval(
    panel: Any,
    place: float,
    found: Interval,
    scale: float = 1.0,
    upright: bool = False,
    color: str = "black",
) -> None:
    """Draw an estimate and its interval; a hollow point has no finite interval.

    Args:
        panel: matplotlib axes.
        place: on the other axis.
        found: what is drawn.
        scale: how many of the axis's units make one of the interval's.
        upright: whether the interval lies along the y axis.
        color: of both.
    """
    ends = scale * np.array([found.low, found.high])
    finite = bool(np.isfinite(ends).all())

    def plot(values: Any, *style: Any, **look: Any) -> None:
        along = [place] * len(values)
        panel.plot(*((along, values) if upright else (values, along)), *style, color=color, **look)

    if finite:
        plot(ends, lw=2.5, solid_capstyle="butt")
    if np.isfinite(found.estimate):
        plot([scale * found.estimate], "o", mfc=color if finite else "white")


def effects(panel: Any, found: Sequence[Effect], names: Sequence[str] | None = None) -> None:
    """Draw effects of one unit with their intervals, and the smallest that counts as a band."""
    rows = range(len(found))
    scale = found[0].scale
    panel.axvline(0, color="0.4", lw=1)
    for row, e in zip(rows, found, strict=True):
        least = e.least * scale
        panel.fill_betweenx([row - 0.45, row + 0.45], -least, least, color="0.88", lw=0)
        interval(panel, row, e.interval, scale)
    panel.set_yticks(list(rows), list(names or [e.name for e in found]))
    panel.set_ylim(len(found) - 0.4, -0.6)
    panel.set_xlabel(f"{found[0].unit}, 95 %; grey: below what counts")


def sorted_pairs(panel: Any, d: np.ndarray, e: Effect) -> None:
    """Draw each pair's difference, sorted; collapses as arrows at the margin, with their number."""
    scale = e.scale
    finite = np.sort(d[np.isfinite(d)]) * scale
    panel.axhspan(-e.least * scale, e.least * scale, color="0.9", lw=0)
    panel.axhline(0, color="0.4", lw=1)
    below = int((d == -np.inf).sum())
    panel.plot(below + 1 + np.arange(len(finite)), finite, "o", color=WITH, ms=3.5)
    low, high = e.interval.low * scale, e.interval.high * scale
    edge = 1.4 * max([abs(v) for v in [*finite, low, high] if np.isfinite(v)] + [e.least * scale])
    panel.set_ylim(-edge, edge)
    for side, count, place in (
        (1, int((d == np.inf).sum()), len(d) - 1),
        (-1, below, 2),
    ):
        if count:
            panel.annotate(
                f"{count} collapsed",
                *((place, side * edge), (len(d) / 2, side * edge * 0.9)),
                ha="center",
                va="center",
                arrowprops={"arrowstyle": "->"},
                fontsize="small",
            )
    interval(panel, len(d) + 1.5, e.interval, scale, upright=True)
    panel.set_xlabel("pairs, sorted; black: 95 %")


def over(
    panel: Any, x: Sequence[float], lines: Mapping[str, np.ndarray], every: bool = False
) -> None:
    """Draw medians over the seeds of each arm, and all seeds faintly.

    Args:
        panel: matplotlib axes.
        x: the places of the columns.
        lines: by arm (seeds, places); a collapse must be a number here, or NaN.
        every: whether to draw all seeds too.
    """
    colors = [WITH, WITHOUT, THIRD, FOURTH]
    for i, (name, values) in enumerate(lines.items()):
        color = ARMS.get(name, colors[i % 4])
        style = STYLES.get(name, ["-", "--", "-.", ":"][i % 4])
        if every:
            panel.plot(x, values.T, color=color, alpha=0.15, lw=0.7)
        middle = np.median(values, axis=0)
        panel.plot(x, middle, style, color=color, lw=2, label=name, marker="os^D"[i % 4], ms=3.5)


def survival(panel: Any, firsts: Mapping[str, np.ndarray], epochs: int, note: str = "") -> None:
    """Draw the share of seeds that have not collapsed by each epoch (Kaplan and Meier, 1958).

    All seeds are followed to the end, so it is the share of those that are left.

    Args:
        panel: matplotlib axes.
        firsts: by arm, the epoch of each seed's collapse, 0 for none.
        epochs: how long they are followed.
        note: above the panel.
    """
    for name, first in firsts.items():
        gone = [(first > 0) & (first <= e) for e in range(epochs + 1)]
        share = [1 - float(np.mean(g)) for g in gone]
        label = f"{name}: {int(gone[-1].sum())} of {len(first)} gone"
        panel.step(
            range(epochs + 1), share, where="post", color=ARMS[name], ls=STYLES[name], lw=2,
            label=label,
        )  # fmt: skip
    panel.set(xlabel="epoch", ylim=(-0.03, 1.03), xlim=(0, epochs))
    legend_above(panel, 1)
    if note:
        panel.set_ylabel(f"share not collapsed, {note}")


def forest(figure: Any, rows: Sequence[tuple[str, str, Sequence[Effect]]]) -> None:
    """Draw primary effects over their smallest effect: (claim, verdict, effects) in each row."""
    panel = figure.subplots()
    panel.axvspan(-1, 1, color="0.9", lw=0)
    panel.axvline(0, color="0.4", lw=1)
    place, ticks, names = 0, [], []
    for title, verdict, parts in rows:
        for i, e in enumerate(parts):
            low, middle, high = (
                np.clip(v / e.least, -REACH, REACH)
                for v in (e.interval.low, e.interval.estimate, e.interval.high)
            )
            panel.plot([low, high], [place, place], color="black", lw=2, solid_capstyle="butt")
            inside = abs(middle) < REACH
            marker = "o" if inside else (">" if middle > 0 else "<")
            panel.plot([middle], [place], marker, color="black", ms=5, clip_on=False)
            ticks.append(place)
            part = f"{': ' if i == 0 else ''}{e.name}" if len(parts) > 1 else ""
            names.append(title + part if i == 0 else part)
            if i == 0:
                panel.text(REACH * 1.03, place, verdict, va="center", fontsize="small")
            place += 1
    panel.set_yticks(ticks, names, fontsize="small")
    panel.set(ylim=(place - 0.4, -0.6), xlim=(-REACH, REACH))
    panel.set_xlabel("effect over the smallest that counts, 95 %; arrow: beyond the axis")
