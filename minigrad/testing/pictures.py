"""Pictures of what a law has seen, as SVG: masks, gradients, agreement over distances, figures.

Colours are named by classes, which the page's style sheet knows. Nothing here draws random numbers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from itertools import pairwise

import numpy as np
from scipy import special

from minigrad.testing.laws import ALPHA
from minigrad.testing.statistics import Figure
from minigrad.testing.watched import Call, Watched, right_places

SIDE = 64  # cells of a picture of a mask, at most
BINS = 160
ROWS = 10  # figures that are shown, the most telling ones
END = 3.0  # of the axis, in units of where the law draws the line


def pictures(trial: Watched) -> list[str]:
    """Return the pictures of what a law has seen, the most telling first; each is a figure."""
    found = [*_figures(trial.figures), *_calls(trial)]
    if sum(map(np.size, trial.coins)) >= 1000:
        found.append(_distances(trial.coins))
    return found


# ------------------------------------------------------------------------- masks


def _calls(trial: Watched) -> list[str]:
    """Return pictures of the last call with a result: of this, and of its gradient if any."""
    if not trial.calls:  # the law calls a form of its own
        return []
    count = _number(trial.count, "call")
    for call in reversed(trial.calls):
        with np.errstate(all="ignore"):
            places = right_places(trial.noise, call)
            if places is not None and places[0].size > 1:
                found = [_cells(*places, f"{count}; here {call.words}")]
                return found + _gradient(trial, call, places[0])
    items = ""
    for call in trial.calls:
        end = "raised" if call.y is None else "returned"
        items += f"<li>{escape(call.words)} with x of shape {call.x.shape}: {end}</li>"
    told = f"{count}; the last ones, with nothing to look at"
    return [f"<figure><figcaption>{told}</figcaption><ul>{items}</ul></figure>"]


def _gradient(trial: Watched, call: Call, dropped: np.ndarray) -> list[str]:
    """Return a picture of where the gradient is as the mask of its forward would have it."""
    if call.dx is None or call.g is None:
        return []
    back = Call(call.words, call.g, call.p, call.training, call.dx)
    places = right_places(trial.noise.of_the_gradient, back)
    if places is None or places[0].shape != dropped.shape:
        return []
    right = places[1] & (places[0] == dropped)
    return [_cells(places[0], right, "its gradient, by the forward's mask")]


def _cells(dropped: np.ndarray, right: np.ndarray, title: str) -> str:
    """Return a picture of a mask: what was dropped is dark, and what is wrong stands out."""
    n, wrong = dropped.size, int(np.count_nonzero(~right))
    told = f"{title}: {np.count_nonzero(dropped)} of {n} dropped"
    told += f", {wrong} wrong" if wrong else ""
    dark, fine = _shown(dropped), _shown(right)
    told += f"; {dark.size} are shown" if dark.size < n else ""
    paths = (
        f'<path class="dropped" d="{_runs(dark & fine)}"/><path class="wrong" d="{_runs(~fine)}"/>'
    )
    rows, columns = dark.shape
    box = f'class="cells" viewBox="0 0 {columns} {rows}" shape-rendering="crispEdges"'
    return _figure(box, paths, told)


def _shown(cells: np.ndarray) -> np.ndarray:
    """Return the upper left corner of an array's first plane; of a row, what fills a square."""
    if cells.ndim < 2:
        columns = min(cells.size, SIDE)
        return cells.ravel()[: cells.size // columns * columns].reshape(-1, columns)[:SIDE]
    return cells.reshape(-1, *cells.shape[-2:])[0, :SIDE, :SIDE]


def _runs(cells: np.ndarray) -> str:
    """Return a path around cells, one piece for each run of them in a row."""
    parts = []
    for row, line in enumerate(cells.astype(np.int8)):
        steps = np.diff(line, prepend=0, append=0)
        for a, b in zip(np.flatnonzero(steps == 1), np.flatnonzero(steps == -1), strict=True):
            parts.append(f"M{a} {row}h{b - a}v1h-{b - a}z")
    return "".join(parts)


# ------------------------------------------------------------------------- distances


def _distances(masks: Sequence[np.ndarray]) -> str:
    """Return a plot of how far elements agree more or less often than coins, by their distance."""
    bits = np.concatenate([mask.ravel() for mask in masks])
    n = bits.size
    signs = np.where(bits, 1.0, -1.0)
    sums = np.fft.irfft(np.abs(np.fft.rfft(signs, 2 * n)) ** 2, 2 * n)[1:n]
    z = sums / np.sqrt(n - np.arange(1, n))
    edges = np.unique(np.geomspace(1, n, BINS + 1).astype(int) - 1)
    worst = [z[a:b][np.abs(z[a:b]).argmax()] for a, b in pairwise(edges)]
    band = _deviation(ALPHA / n)
    top = max(2 * band, *np.abs(worst))

    def up(value: float) -> float:  # such that the band takes half of the height
        size = abs(value) / band
        share = size / 2 if size <= 1 else 0.5 + 0.45 * math.log(size) / math.log(top / band)
        return 60 - 58 * math.copysign(share, value)

    across = [10 + 380 * math.log(a + 1) / math.log(n) for a in edges[:-1]]
    stems = "".join(
        f'<path class="{_class(abs(value) > band)}" d="M{x:.1f} 60V{up(value):.1f}"/>'
        for x, value in zip(across, worst, strict=True)
    )
    beyond = int(np.count_nonzero(np.abs(z) > band))
    far = int(np.abs(z).argmax()) + 1
    told = f"agreement of elements 1 to {n - 1} places apart, counted on through "
    told += _number(len(masks), "mask")
    told += f": {beyond} distances leave the band, most of all {far}" if beyond else ": like coins"
    body = f'<rect class="band" x="0" y="31" width="400" height="58"/>{stems}'
    return _figure('class="plot" viewBox="0 0 400 120"', body, told)


def _class(wrong: bool) -> str:
    return "wrong" if wrong else "stem"


def _deviation(alpha: float) -> float:
    """Return how many standard deviations a normal number exceeds with probability alpha."""
    return float(-special.ndtri(max(alpha, 1e-300) / 2))


# ------------------------------------------------------------------------- figures


def _figures(figures: Sequence[Figure]) -> list[str]:
    """Return the law's own tests of chance as dots, and where it draws the line for each."""
    if not figures:
        return []
    worst = sorted(figures, key=_ratio, reverse=True)[:ROWS]
    items = "".join(_item(figure) for figure in worst)
    told = f"{_number(len(figures), 'figure')}, against the band that chance leaves "
    told += "with a probability of alpha"
    rest = f"; the {len(worst)} farthest out" if len(worst) < len(figures) else ""
    return [f'<figure class="wide"><figcaption>{told}{rest}</figcaption><ul>{items}</ul></figure>']


def _ratio(figure: Figure) -> float:
    """Return how far a figure lies from what was expected: 1 where the law draws the line."""
    return _deviation(figure.p_value) / _deviation(figure.alpha)


def _item(figure: Figure) -> str:
    ratio = _ratio(figure)
    wrong = figure.p_value <= figure.alpha
    at = 100 * min(ratio, END) / END
    shape = f'<circle cx="{at:.1f}" cy="5" r="3"/>'
    if wrong:
        shape = f'<path d="M{at - 4:.1f} 1L{at:.1f} 5L{at - 4:.1f} 9z"/>'
    chance = "less than 1e-300" if figure.p_value < 1e-300 else f"{figure.p_value:.2g}"
    return (
        f'<li><svg class="dot" viewBox="-4 0 108 10" aria-hidden="true">'
        f'<rect class="band" x="-4" y="0" width="{4 + 100 / END:.1f}" height="10"/>'
        f'<g class="{_class(wrong)}">{shape}</g></svg>'
        f"<p>{escape(figure.what)}: <b>{escape(figure.got)}</b>; expected "
        f"{escape(figure.expected)}. Chance: {chance}.</p></li>"
    )


def _number(n: int, what: str) -> str:
    return f"{n} {what}{'s' * (n != 1)}"


def _figure(attributes: str, body: str, told: str) -> str:
    words = escape(told)
    return (
        f'<figure><svg {attributes} role="img" aria-label="{words}">{body}</svg>'
        f"<figcaption>{words}</figcaption></figure>"
    )
