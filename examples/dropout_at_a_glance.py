"""Dropout in one picture: what it does to an image and to a hidden layer, forward and backward.

    python -m examples.dropout_at_a_glance                 # writes docs/dropout.png

The network is trained for a moment, so that activations and gradients are those of a real one.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

import minigrad
from examples.lab.recipe import Recipe
from examples.lab.training import trained
from minigrad import Generator, Tensor, nn
from minigrad.utils.files import replacing

P = 0.5
PASSES = 500  # masks that are averaged over
IMAGE = 0  # of the test half
DROPPED = "#0072B2"
TITLES = ("x", "mask", "y = x · mask / (1 − p)", "∂loss/∂x", f"y, mean of {PASSES}")


def main(arguments: list[str] | None = None) -> None:
    """Train, draw, save; ``arguments`` default to the command line's."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    parser = argparse.ArgumentParser(prog="python -m examples.dropout_at_a_glance")
    parser.add_argument("--out", type=Path, default=Path("docs/dropout.png"))
    args = parser.parse_args(arguments)
    figure = Figure(figsize=(9, 4.2), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    draw(figure)
    with replacing(args.out) as path:
        form = args.out.suffix[1:] or "png"
        figure.savefig(path, format=form, metadata={"Software": None} if form == "png" else None)
    print(f"wrote {args.out}")


def rows() -> dict[str, dict[str, Any]]:
    """Return what is seen at two places of a network: its pixels, and its first hidden layer.

    Returns:
        By place: ``x``, ``mask``, ``y``, ``gradient`` (of the loss with respect to x) and ``mean``
        (of y over many masks), square arrays.
    """
    net: Any
    recipe = Recipe(dropout=(P, P), lr=0.1, epochs=3, size=10_000, batch_size=64, every=3)
    run = trained(0, recipe)
    net = run.net.eval()
    flatten, _, first, relu, _, second, _, _, last = net
    test = run.split.judged
    image, label = test[np.arange(IMAGE, IMAGE + 1)]
    pixels = flatten(image)

    def rest(hidden: Tensor) -> Tensor:
        return nn.functional.cross_entropy(last(relu(second(hidden))), label)

    with minigrad.no_grad():
        hidden = relu(first(pixels))
    return {
        "784 pixels": glance(pixels, lambda x: rest(relu(first(x)))),
        "256 hidden units": glance(hidden, rest),
    }


def glance(x: Tensor, loss: Any) -> dict[str, Any]:
    """Return x, a mask, x behind it, the gradient that comes back, and the mean over many masks."""
    generator = Generator(0)
    x = x.detach().requires_grad_()
    mask = minigrad.rand(x.shape, generator=generator) >= P
    y = nn.functional.dropout(x, P, mask=mask)
    (gradient,) = minigrad.grad(loss(y), x)
    with minigrad.no_grad():
        draws = (nn.functional.dropout(x, P, generator=generator) for _ in range(PASSES))
        mean = sum(draw.numpy() for draw in draws) / PASSES
    side = int(np.sqrt(x.numel()))
    seen = {"x": x, "mask": mask, "y": y, "gradient": gradient}
    arrays = {name: tensor.detach().numpy() for name, tensor in seen.items()} | {"mean": mean}
    return {name: array.reshape(side, side) for name, array in arrays.items()}


def draw(figure: Any) -> None:
    """Draw a row of five squares for each place; what is dropped is blue."""
    import matplotlib

    grey = matplotlib.colormaps["gray"].with_extremes(bad=DROPPED)
    found = rows()
    panels = figure.subplots(len(found), len(TITLES))
    for row, (place, seen) in zip(panels, found.items(), strict=True):
        top, steep = seen["x"].max(), np.abs(seen["gradient"]).max()
        limits = {"x": (0, top), "mask": (0, 1), "y": (0, 2 * top), "mean": (0, top)}
        for panel, (name, array) in zip(row, seen.items(), strict=True):
            low, high = limits.get(name, (-steep, steep))
            if name in ("mask", "y", "gradient"):
                array = np.ma.masked_array(array, ~seen["mask"])
            panel.imshow(array, cmap=grey, vmin=low, vmax=high)
            panel.set(xticks=[], yticks=[])
        row[0].set_ylabel(f"{place}, p = {P}")
        dropped = f"{(~seen['mask']).mean():.0%} dropped (blue)"
        words = ("0 black", dropped, "the others doubled", "0 grey; blue: exactly 0", "E[y] = x")
        for panel, text in zip(row, words, strict=True):
            panel.set_xlabel(text, fontsize="small")
    for panel, title in zip(panels[0], TITLES, strict=True):
        panel.set_title(title, fontsize="medium")


if __name__ == "__main__":
    main()
