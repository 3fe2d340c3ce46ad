"""Curves that grow while a network trains: Animator, and the English form's ProgressBoard."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np

from examples.d2l.figures import FORMATS, array, pyplot, set_axes
from examples.d2l.hyper_parameters import HyperParameters
from examples.d2l.notebook import Canvas

#: the least time between two pictures of one figure
SECONDS = 0.25


class Animator:
    """Draw curves point by point: live in a notebook; elsewhere once, when the figure is saved.

    Args:
        xlabel, ylabel, legend, xlim, ylim, xscale, yscale: as in `examples.d2l.set_axes`.
        fmts: matplotlib's formats, one for each curve.
        nrows, ncols: how many axes; the curves go into the first.
        figsize: in inches.

    Attributes:
        fig, axes: matplotlib's figure, and a list of its axes.
        X, Y: the points of each curve so far: a list of lists.
    """

    def __init__(
        self,
        xlabel: str | None = None,
        ylabel: str | None = None,
        legend: Sequence[str] | None = None,
        xlim: Any = None,
        ylim: Any = None,
        xscale: str = "linear",
        yscale: str = "linear",
        fmts: Sequence[str] = FORMATS,
        nrows: int = 1,
        ncols: int = 1,
        figsize: tuple[float, float] = (3.5, 2.5),
    ) -> None:
        self.fig, axes = pyplot().subplots(
            nrows, ncols, figsize=figsize, squeeze=False, layout="constrained"
        )
        pyplot().close(self.fig)  # it lives here, not in pyplot's list of open figures
        self.axes: list[Any] = list(axes.flatten())
        self.fmts = fmts
        self.X: list[list[float]] = []
        self.Y: list[list[float]] = []
        self._settings = (xlabel, ylabel, xlim, ylim, xscale, yscale, legend or [])
        self._canvas = Canvas(SECONDS)
        self._draw()

    def add(self, x: Any, y: Any) -> None:
        """Add a point to each curve.

        Args:
            x: where, for all curves or for each.
            y: the values, one for each curve, or a number if there is one curve; None leaves a
                curve as it is.
        """
        ys = list(y) if np.ndim(array(y)) else [y]
        xs = list(x) if np.ndim(array(x)) else [x] * len(ys)
        while len(self.X) < len(ys):
            self.X.append([])
            self.Y.append([])
        for i, (a, b) in enumerate(zip(xs, ys, strict=True)):
            if a is not None and b is not None:
                self.X[i].append(float(a))
                self.Y[i].append(float(b))
        self._draw()
        self._canvas.show(lambda: self.fig)

    def config_axes(self) -> None:
        """Set labels, limits, scales and legend of the first axes anew."""
        set_axes(self.axes[0], *self._settings)

    def _draw(self) -> None:
        self.axes[0].cla()
        for i, (x, y) in enumerate(zip(self.X, self.Y, strict=True)):
            self.axes[0].plot(x, y, self.fmts[i % len(self.fmts)])
        self.config_axes()


class ProgressBoard(HyperParameters):
    """The board of the English form, that curves are drawn on by name.

    Args:
        xlabel, ylabel, xlim, ylim, xscale, yscale: as in `examples.d2l.set_axes`.
        ls, colors: line styles and colours, used in turn.
        fig, axes: where to draw; None for a new figure.
        figsize: in inches.
        display: whether to show it in a notebook while it grows.

    Attributes:
        data: the points of each curve, by its label: a list of (x, y).
    """

    def __init__(
        self,
        xlabel: str | None = None,
        ylabel: str | None = None,
        xlim: Any = None,
        ylim: Any = None,
        xscale: str = "linear",
        yscale: str = "linear",
        ls: Sequence[str] = ("-", "--", "-.", ":"),
        colors: Sequence[str] = ("C0", "C1", "C2", "C3"),
        fig: Any = None,
        axes: Any = None,
        figsize: tuple[float, float] = (3.5, 2.5),
        display: bool = True,
    ) -> None:
        self.save_hyperparameters()
        self.fig: Any = fig
        self.data: dict[str, list[tuple[float, float]]] = {}
        self._waiting: dict[str, list[tuple[float, float]]] = defaultdict(list)
        self._canvas = Canvas(SECONDS)

    def draw(self, x: Any, y: Any, label: str, every_n: int = 1) -> None:
        """Add a point to a curve: each ``every_n`` of them become one, their mean."""
        points = self.data.setdefault(label, [])
        waiting = self._waiting[label]
        waiting.append((float(x), float(array(y))))
        if len(waiting) < every_n:
            return
        mean = np.mean(waiting, axis=0)
        waiting.clear()
        points.append((float(mean[0]), float(mean[1])))
        if self.display:
            self._canvas.show(self.figure)

    def figure(self) -> Any:
        """Draw the curves and return matplotlib's figure."""
        if self.fig is None:
            self.fig = pyplot().figure(figsize=self.figsize, layout="constrained")
            pyplot().close(self.fig)
        axes = self.axes or (self.fig.axes[0] if self.fig.axes else self.fig.add_subplot())
        axes.cla()
        for i, (label, points) in enumerate(self.data.items()):
            style = {"ls": self.ls[i % len(self.ls)], "color": self.colors[i % len(self.colors)]}
            axes.plot(*np.reshape(points, (-1, 2)).T, label=label, **style)
        set_axes(
            *(axes, self.xlabel, self.ylabel, self.xlim, self.ylim, self.xscale, self.yscale, None)
        )
        if self.data:
            axes.legend()
        return self.fig
