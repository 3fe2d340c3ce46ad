"""Pictures: learning curves, and two of them side by side. Graphs are for `minigrad.explain`."""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import Any

from minigrad.training import History
from minigrad.utils.files import replacing

#: (measure, its name in the legend, line style); colours that the colour-blind tell apart (Okabe
#: and Ito, 2008), and styles that survive a black-and-white printer
CURVES = [
    ("train_loss", "train loss", {"color": "#0072B2", "linestyle": "-"}),
    ("train_acc", "train acc", {"color": "#CC79A7", "linestyle": "--"}),
    ("test_acc", "test acc", {"color": "#009E73", "linestyle": "-."}),
]


def plot_history(history: History, ax: Any = None, *, title: str | None = None) -> Any:
    """Draw train loss, train accuracy (with the noise on) and test accuracy over the epochs.

    Args:
        history: what `minigrad.training.fit` returned.
        ax: matplotlib axes to draw into; None for a new figure.
        title: above the axes.

    Returns:
        The matplotlib axes.
    """
    if ax is None:
        _, ax = _pyplot().subplots(figsize=(4.5, 3.2), layout="constrained")
    epochs = range(1, len(history) + 1)
    for measure, label, style in CURVES:
        ax.plot(epochs, getattr(history, measure), label=label, **style)
    ax.set(xlabel="epoch", ylabel="loss, accuracy", title=title or "")
    ax.set_xlim(1, max(2, len(history)))
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.grid(color="0.9")
    ax.legend()
    return ax


def plot_comparison(
    left: History,
    right: History,
    titles: tuple[str, str] = ("with dropout", "without dropout"),
    path: str | os.PathLike[str] | None = None,
) -> Any:
    """Draw two runs side by side on the same axes, as the chapter does.

    Args:
        left, right: two runs.
        titles: above the panels.
        path: where to save the figure too; the suffix gives the format (.png, .svg, .pdf), and
            without one it is PNG.

    Returns:
        The matplotlib figure.
    """
    figure, axes = _pyplot().subplots(1, 2, figsize=(8, 3.2), sharey=True, layout="constrained")
    for ax, history, title in zip(axes, (left, right), titles, strict=True):
        plot_history(history, ax, title=title)
    # the chapter's axis; of a first epoch that starts far above it, only the end is of interest
    seen = [v for h in (left, right) for m, *_ in CURVES for v in getattr(h, m)[1:]]
    axes[0].set_ylim(min([0.3, *seen]) - 0.02, max([0.9, *seen]) + 0.02)
    axes[1].set_ylabel("")
    if path is not None:
        with replacing(path) as temporary:
            figure.savefig(temporary, dpi=150, format=Path(path).suffix[1:] or "png")
    return figure


class Animator:
    """Curves that grow in a notebook while a network trains: ``fit(..., on_epoch=Animator())``.

    Args:
        title: above the axes.
    """

    def __init__(self, title: str | None = None) -> None:
        self.title = title

    def __call__(self, history: History) -> None:
        """Draw the history in place of what was drawn before."""
        display: Any = importlib.import_module("IPython.display")
        axes = plot_history(history, title=self.title)
        display.clear_output(wait=True)
        display.display(axes.figure)
        _pyplot().close(axes.figure)


def _pyplot() -> Any:
    try:
        import matplotlib.pyplot as plt
    except ImportError:
        raise ImportError("plotting needs matplotlib: pip install matplotlib") from None
    return plt
