"""Experiment 11: DropConnect and Gaussian dropout, written as a user would write a new layer."""

from __future__ import annotations

from typing import Any

import numpy as np

import minigrad
from examples.lab.frame import Experiment, Finding, Results, Run, Scale
from examples.lab.statistics import equivalence, paired, together
from examples.lab.training import curves, final, settled, streams, trained
from minigrad import Generator, Tensor, nn
from minigrad.nn import functional
from models import init_weights

P = (0.2, 0.5)
CLOSE = 0.01  # a point of accuracy


class DropConnect(nn.Linear):
    """A linear layer that drops weights instead of activations (Wan et al., 2013).

    One mask serves the whole batch. In evaluation the weights are all there, as with dropout.
    """

    def __init__(self, inputs: int, outputs: int, p: float, generator: Generator) -> None:
        super().__init__(inputs, outputs)
        self.p, self.generator = p, generator

    def forward(self, x: Tensor) -> Tensor:
        weight = functional.dropout(self.weight, self.p, self.training, generator=self.generator)
        return functional.linear(x, weight, self.bias)


class GaussianDropout(nn.Module):
    """Multiply by noise of mean 1 and dropout's variance, p/(1−p) (Srivastava et al., 2014)."""

    def __init__(self, p: float, generator: Generator) -> None:
        super().__init__()
        self.sigma, self.generator = (p / (1 - p)) ** 0.5, generator

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        return x * (1 + self.sigma * minigrad.randn(x.shape, generator=self.generator))


def network(kind: str, masks: Generator) -> nn.Sequential:
    """Return 784-256-256-10 with a kind of noise."""
    first, second = P
    if kind == "DropConnect":
        return nn.Sequential(
            *(nn.Flatten(), nn.Linear(784, 256), nn.ReLU()),
            *(DropConnect(256, 256, first, masks), nn.ReLU(), DropConnect(256, 10, second, masks)),
        )
    noise: Any = {"Gaussian dropout": GaussianDropout, "dropout": nn.Dropout}.get(kind)
    layers: list[nn.Module] = [nn.Flatten()]
    for inputs, p in ((784, first), (256, second)):
        layers += [nn.Linear(inputs, 256), nn.ReLU()]
        layers += [noise(p, generator=masks)] if noise else []
    return nn.Sequential(*layers, nn.Linear(256, 10))


def noisy(kind: str, seed: int, **settings: Any) -> dict[str, Any]:
    """Train a network with a kind of noise; return its test accuracy over the epochs."""
    weights, _, masks = streams(seed)
    with minigrad.fork_rng():
        minigrad.random.set_rng_state(weights.get_state())
        net = network(kind, masks).apply(init)
    _, history, broke_down = trained(seed, net=net, **settings)
    return {"test_acc": history.test_acc, "broke_down": broke_down}


def init(m: nn.Module) -> None:
    """Draw the weights of any linear layer as the chapter does."""
    if isinstance(m, DropConnect):
        nn.init.normal_(m.weight, std=0.01)
    init_weights(m)


KINDS = {
    "no noise": "#999999",
    "dropout": "#0072B2",
    "Gaussian dropout": "#009E73",
    "DropConnect": "#D55E00",
}


STYLES = {"no noise": ":", "dropout": "-", "Gaussian dropout": "--", "DropConnect": "-."}


def arm(kind: str, scale: Scale) -> list[Run]:
    """Return an arm's runs."""
    fixed = {"kind": kind, **settled(scale)}
    return [
        Run("examples.lab.variants:noisy", {**fixed, "seed": seed}) for seed in range(scale.seeds)
    ]


def runs(scale: Scale) -> list[Run]:
    """Return all arms."""
    return [run for kind in KINDS for run in arm(kind, scale)]


def judge(results: Results, scale: Scale, level: float) -> Finding:
    """Compare both variants with dropout, pair by pair."""
    accuracy = {kind: results.each(arm(kind, scale), final("test_acc")) for kind in KINDS}
    table, differences = [], {}
    for kind, values in accuracy.items():
        row: dict[str, Any] = {"noise": kind, "test accuracy": float(np.mean(values))}
        if kind != "dropout":
            differences[kind] = paired(values, accuracy["dropout"], level)
            row["minus dropout"] = differences[kind].text(100, "points")
        else:
            row["minus dropout"] = "–"
        table.append(row)
    gaussian, connect = differences["Gaussian dropout"], differences["DropConnect"]
    summary = (
        f"test accuracy minus that of dropout: Gaussian {gaussian.text(100, 'points')} seeds; "
        f"DropConnect {connect.text(100, 'points')}"
    )
    verdicts = [equivalence(difference, CLOSE) for difference in (gaussian, connect)]
    return Finding(together(verdicts), summary, table)


def draw(results: Results, scale: Scale, figure: Any) -> None:
    """Draw mean test accuracy over the epochs."""
    panel = figure.subplots()
    for kind, color in KINDS.items():
        mean = np.nanmean(curves(results, arm(kind, scale), "test_acc"), axis=0)
        panel.plot(range(1, len(mean) + 1), mean, color=color, ls=STYLES[kind], label=kind)
    panel.set(xlabel="epoch", ylabel="test accuracy, mean over seeds")
    panel.legend(loc="lower right")


EXPERIMENT = Experiment(
    title="Relatives: DropConnect and Gaussian dropout",
    claim="Dropping weights, or multiplying by Gaussian noise, does what dropout does.",
    source="d2l.ai, Dropout, exercises 6 and 7; Wan et al., 2013; Srivastava et al., 2014",
    settings=(
        "784-256-256-10, first 10,000 images, 25 epochs in batches of 64, learning rate falling "
        "from 0.2 to 0; noise of p = .2 and .5 on the hidden layers, for DropConnect on the "
        "weights that follow them."
    ),
    criterion=(
        "Paired differences in test accuracy to dropout: supported if both intervals lie within a "
        "point of 0, depends (on the noise) if one does, refuted if one lies wholly beyond a point "
        "and none within, else not supported."
    ),
    runs=runs,
    judge=judge,
    draw=draw,
    comparisons=2,
)
