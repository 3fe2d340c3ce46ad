"""Figures of lines and of images: set_figsize, set_axes, plot, show_images, show_trace_2d."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import minigrad
from examples.d2l.notebook import notebook

FORMATS = ("-", "m--", "g-.", "r:")


def pyplot() -> Any:
    """Return matplotlib.pyplot, imported now: it takes a while, and not every chapter draws."""
    try:
        return importlib.import_module("matplotlib.pyplot")
    except ImportError:
        raise ImportError("plotting needs matplotlib: pip install matplotlib") from None


def use_svg_display() -> None:
    """Show the figures of a notebook as SVG; elsewhere, do nothing."""
    if notebook() is not None:
        importlib.import_module("matplotlib_inline.backend_inline").set_matplotlib_formats("svg")


def set_figsize(figsize: tuple[float, float] = (3.5, 2.5)) -> None:
    """Set the size of the figures to come, in inches."""
    use_svg_display()
    pyplot().rcParams["figure.figsize"] = figsize


def set_axes(
    axes: Any,
    xlabel: str | None,
    ylabel: str | None,
    xlim: Any,
    ylim: Any,
    xscale: str,
    yscale: str,
    legend: Sequence[str] | None,
) -> None:
    """Set labels, limits, scales and legend of matplotlib axes; None leaves the limits free."""
    axes.set(xlabel=xlabel, ylabel=ylabel, xscale=xscale, yscale=yscale)
    axes.set(xlim=array(xlim), ylim=array(ylim))
    if legend:
        axes.legend(legend)
    axes.grid()


def array(value: Any) -> Any:
    """Return the values of a tensor, or of a list of them, as an array; all else as it is."""
    if isinstance(value, list | tuple):
        return type(value)(array(item) for item in value)
    return value.detach().cpu().numpy() if hasattr(value, "detach") else value


def curves(data: Any) -> list[Any]:
    """Return a list of one-dimensional curves, of one curve, of several, or of a matrix's rows."""
    if data is None:
        return []
    values = array(data)
    several = np.ndim(values[0]) > 0 if len(values) else False
    return list(values) if several else [values]


def plot(
    X: Any,
    Y: Any = None,
    xlabel: str | None = None,
    ylabel: str | None = None,
    legend: Sequence[str] = (),
    xlim: Any = None,
    ylim: Any = None,
    xscale: str = "linear",
    yscale: str = "linear",
    fmts: Sequence[str] = FORMATS,
    figsize: tuple[float, float] = (3.5, 2.5),
    axes: Any = None,
) -> None:
    """Draw one curve or several: into the current figure of matplotlib, or into ``axes``.

    Args:
        X: the points of one curve, or a list of those of each; one for several in Y is shared.
        Y: the values likewise; None to draw X against 0, 1, 2, ...
        xlabel, ylabel, legend, xlim, ylim, xscale, yscale: as in `set_axes`.
        fmts: matplotlib's formats, used in turn.
        figsize: the size of a new figure, in inches.
        axes: where to draw; None for the current axes.

    Raises:
        ValueError: there are as many curves in X as in Y neither, nor one.
    """
    set_figsize(figsize)
    axes = pyplot().gca() if axes is None else axes
    xs, ys = curves(X), curves(Y)
    if not ys:
        xs, ys = [np.arange(len(values)) for values in xs], xs
    if len(xs) == 1:
        xs *= len(ys)
    if len(xs) != len(ys):
        raise ValueError(f"plot: {len(xs)} curves in X but {len(ys)} in Y; give as many, or one X")
    axes.cla()
    for i, (x, y) in enumerate(zip(xs, ys, strict=True)):
        axes.plot(x, y, fmts[i % len(fmts)])
    set_axes(axes, xlabel, ylabel, xlim, ylim, xscale, yscale, legend)


def show_images(
    imgs: Any,
    num_rows: int,
    num_cols: int,
    titles: Sequence[str] | None = None,
    scale: float = 1.5,
) -> Any:
    """Draw images in rows and columns.

    Args:
        imgs: tensors, arrays or PIL images: (height, width), or (height, width, 3).
        num_rows, num_cols: how they are laid out; what is left over stays empty.
        titles: above each.
        scale: the size of one, in inches.

    Returns:
        The matplotlib axes, a flat array.
    """
    size = (num_cols * scale, num_rows * scale)
    _, axes = pyplot().subplots(num_rows, num_cols, figsize=size, squeeze=False)
    axes = axes.flatten()
    for ax in axes:
        ax.axis("off")
    for i, (ax, image) in enumerate(zip(axes, imgs, strict=False)):
        ax.imshow(array(image))
        if titles:
            ax.set_title(titles[i])
    return axes


def train_2d(
    trainer: Callable[..., tuple[Any, ...]],
    steps: int = 20,
    f_grad: Callable[..., Any] | None = None,
) -> list[tuple[Any, Any]]:
    """Walk over a plane from (-5, -2), and return the places passed.

    Args:
        trainer: (x1, x2, s1, s2) -> the next four; s1 and s2 are what a method remembers. With
            ``f_grad``, it gets that as a fifth argument.
        steps: how many.
        f_grad: the gradient, (x1, x2) -> its two components.
    """
    state: tuple[Any, ...] = (-5, -2, 0, 0)
    results = [(state[0], state[1])]
    more = () if f_grad is None else (f_grad,)
    for _ in range(steps):
        state = trainer(*state, *more)
        results.append((state[0], state[1]))
    print(f"epoch {steps}, x1: {float(state[0]):f}, x2: {float(state[1]):f}")
    return results


def show_trace_2d(f: Callable[[Any, Any], Any], results: Sequence[tuple[Any, Any]]) -> None:
    """Draw the places passed over the contours of f."""
    set_figsize()
    axes = pyplot().gca()
    xs, ys = ([float(place[i]) for place in results] for i in (0, 1))
    axes.plot(xs, ys, "-o", color="#ff7f0e")
    x1, x2 = np.meshgrid(np.arange(-5.5, 1.0, 0.1), np.arange(-3.0, 1.0, 0.1))
    heights = f(*(minigrad.as_tensor(x.astype(np.float32)) for x in (x1, x2)))
    axes.contour(x1, x2, array(heights), colors="#1f77b4")
    axes.set(xlabel="x1", ylabel="x2")
