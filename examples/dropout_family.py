"""The family of dropout in one picture: what each does to the same activations.

    python -m examples.dropout_family                      # writes docs/family.png

Three samples of four channels; below each, its mean and variance over many draws.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import minigrad
from minigrad import Generator, Tensor
from minigrad.nn import functional as F
from minigrad.utils.files import replacing

P = 0.5
SHAPE = (3, 4, 6, 6)
DRAWS = 400
DROPPED = "#0072B2"
Call = Callable[[Tensor, Generator], Any]
MEMBERS: dict[str, Call] = {
    "x": lambda x, g: x,
    "Dropout": lambda x, g: F.dropout(x, P, generator=g),
    "Dropout2d": lambda x, g: F.dropout2d(x, P, generator=g),
    "DropPath": lambda x, g: F.drop_path(x, P, generator=g),
    "AlphaDropout": lambda x, g: F.alpha_dropout(x, P, training=True, generator=g),
    "GaussianDropout": lambda x, g: F.gaussian_dropout(x, P, generator=g),
}


def main(arguments: list[str] | None = None) -> None:
    """Draw and save; ``arguments`` default to the command line's."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    parser = argparse.ArgumentParser(prog="python -m examples.dropout_family")
    parser.add_argument("--out", type=Path, default=Path("docs/family.png"))
    args = parser.parse_args(arguments)
    figure = Figure(figsize=(11, 2.1), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    draw(figure)
    with replacing(args.out) as path:
        form = args.out.suffix[1:] or "png"
        figure.savefig(path, format=form, metadata={"Software": None} if form == "png" else None)
    print(f"wrote {args.out}")


def table() -> dict[str, tuple[np.ndarray, float, float]]:
    """Return for each member a draw, and mean and variance over all elements and many draws."""
    x = minigrad.randn(*SHAPE, generator=Generator(1))
    found = {}
    for name, call in MEMBERS.items():
        generator = Generator(2)
        draws = np.array([call(x, generator).numpy() for _ in range(DRAWS)])
        found[name] = draws[0], float(draws.mean()), float(draws.var())
    return found


def draw(figure: Any) -> None:
    """Draw a column for each member, a row of channels for each sample; dropped is blue."""
    import matplotlib

    grey = matplotlib.colormaps["gray"].with_extremes(bad=DROPPED)
    dropped = F.alpha_dropout(minigrad.zeros(1), P, training=True, mask=[False]).item()
    for panel, (name, (seen, mean, variance)) in zip(
        figure.subplots(1, len(MEMBERS)), table().items(), strict=True
    ):
        n, c, height, width = SHAPE
        tiles = seen.transpose(0, 2, 1, 3).reshape(n * height, c * width)
        hidden = np.isclose(tiles, dropped if name == "AlphaDropout" else 0, atol=1e-6)
        panel.imshow(np.ma.masked_array(tiles, hidden), cmap=grey, vmin=-4, vmax=4)
        for line in range(1, n):
            panel.axhline(line * height - 0.5, color="white")
        for line in range(1, c):
            panel.axvline(line * width - 0.5, color="white")
        panel.set(xticks=[], yticks=[], title=name)
        panel.set_xlabel(f"mean {mean:.2f}, variance {variance:.2f}", fontsize="small")


if __name__ == "__main__":
    main()
