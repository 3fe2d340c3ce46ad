"""Experiment 12: the slip in copies of the chapter, normal noise where uniform noise is meant.

``(torch.randn(X.shape) > p)`` drops with probability Φ(p): 57.9 % for 0.2 and 69.1 % for 0.5, and
scales as if it were p, so that activations shrink in training by factors of 0.53 and 0.62.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

import minigrad
from examples.lab.frame import Experiment, Finding, Results, Run, Scale
from examples.lab.statistics import paired, verdict
from examples.lab.training import CHAPTER_EPOCHS, chapter, curves, final, streams, trained
from minigrad import Generator, Tensor, nn
from models import dropout_layer, init_weights

LAST = 5  # epochs that are averaged
ARMS = {"uniform noise": "#0072B2", "normal noise": "#D55E00"}


class FromScratch(nn.Module):
    """The chapter's layer as a module, with either kind of noise."""

    def __init__(self, p: float, noise: str, generator: Generator) -> None:
        super().__init__()
        self.p, self.noise, self.generator = p, noise, generator

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        if self.noise == "uniform noise":
            return dropout_layer(x, self.p, self.generator)
        mask = (minigrad.randn(x.shape, generator=self.generator) > self.p).float()
        return mask * x / (1 - self.p)


def slip(
    noise: str, seed: int, dropout: Sequence[float] = (0.2, 0.5), **settings: Any
) -> dict[str, Any]:
    """Train the chapter's network with either noise; return accuracies over the epochs."""
    weights, _, masks = streams(seed)
    layers: list[nn.Module] = [nn.Flatten()]
    with minigrad.fork_rng():
        minigrad.random.set_rng_state(weights.get_state())
        for inputs, p in zip((784, 256), dropout, strict=True):
            layers += [nn.Linear(inputs, 256), nn.ReLU(), FromScratch(p, noise, masks)]
        net = nn.Sequential(*layers, nn.Linear(256, 10)).apply(init_weights)
    _, history, broke_down = trained(seed, net=net, **settings)
    measures = {name: getattr(history, name) for name in vars(history) if name != "seconds"}
    return {**measures, "broke_down": broke_down}


def arm(noise: str, scale: Scale) -> list[Run]:
    """Return an arm's runs."""
    fixed = {**chapter(scale), "epochs": CHAPTER_EPOCHS, "noise": noise}
    function = "examples.lab.normal_noise:slip"
    return [Run(function, {**fixed, "seed": seed}) for seed in range(scale.seeds)]


def runs(scale: Scale) -> list[Run]:
    """Return both arms."""
    return [run for noise in ARMS for run in arm(noise, scale)]


def judge(results: Results, scale: Scale, level: float) -> Finding:
    """Compare test accuracy, pair by pair."""
    table, intervals = [], {}
    for measure, words in (
        ("test_acc", "test accuracy"),
        ("test_loss", "test loss"),
        ("train_acc_eval", "train accuracy, noise off"),
        ("train_acc", "train accuracy, noise on"),
        ("train_loss", "train loss, noise on"),
    ):
        last = [results.each(arm(noise, scale), final(measure, LAST)) for noise in ARMS]
        right, wrong = np.array(last)[:, np.isfinite(last).all(axis=0)]
        intervals[measure] = paired(right, wrong, level)
        row: dict[str, Any] = {f"mean of the last {LAST} epochs": words}
        row |= {noise: float(np.mean(v)) for noise, v in zip(ARMS, (right, wrong), strict=True)}
        table.append({**row, "uniform minus normal": intervals[measure].text(digits=4)})
    lost = intervals["test_acc"]
    summary = (
        f"uniform minus normal noise: test accuracy {lost.text(100, 'points')} seeds; "
        f"test loss {intervals['test_loss'].text()}"
    )
    return Finding(verdict(lost, +1), summary, table)


def draw(results: Results, scale: Scale, figure: Any) -> None:
    """Draw train loss, test loss and test accuracy over the epochs."""
    panels = figure.subplots(1, 3)
    for panel, (measure, words) in zip(
        panels,
        (
            ("train_loss", "train loss, noise on"),
            ("test_loss", "test loss, noise off"),
            ("test_acc", "test accuracy"),
        ),
        strict=True,
    ):
        for noise, color in ARMS.items():
            values = curves(results, arm(noise, scale), measure)
            epochs = range(1, values.shape[1] + 1)
            panel.plot(epochs, values.T, color=color, alpha=0.3, lw=0.8)
            panel.plot(epochs, np.nanmean(values, axis=0), color=color, lw=2, label=noise)
        panel.set(xlabel="epoch", ylabel=words)
    for panel in panels[:2]:
        panel.set_yscale("log")
        panel.yaxis.set_minor_formatter("{x:g}")
        panel.yaxis.set_major_formatter("{x:g}")
    panels[2].set_ylim(0.5, 0.9)
    panels[2].legend(loc="lower right")


EXPERIMENT = Experiment(
    title="The slip with randn",
    claim="Normal noise where uniform noise is meant costs test accuracy.",
    source="copies of the chapter's code with torch.randn in dropout_layer",
    settings="784-256-256-10 at the chapter's settings, the layer from scratch with either noise.",
    criterion=(
        "The paired difference in test accuracy, uniform minus normal, averaged over the last "
        f"{LAST} epochs: supported if its interval lies above 0, refuted if below, else not "
        "supported."
    ),
    runs=runs,
    judge=judge,
    draw=draw,
)
