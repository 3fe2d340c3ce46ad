"""What is looked at in a trained network. A probe changes nothing of the training it looks at.

It draws from a stream of its own, and gives the network back in the mode that it was in.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

import minigrad
from examples.lab.networks import DropConnect, Noise, hidden, linears
from examples.lab.training import BATCH, Training, labels
from minigrad import nn
from minigrad.nn import functional
from minigrad.utils.data import DataLoader

NOISES = (0.1, 0.2, 0.3, 0.4, 0.5)  # standard deviations, of pixels from 0 to 1
DELETED, DRAWS = 0.3, 5  # share of the hidden units, and how often other ones
PASSES = 100
SHOWN = (1, 3, 10, 30, PASSES)  # numbers of masks that are averaged over
BINS = 15  # of confidence (Guo et al., 2017)
FEATURES = 8  # units whose weights are drawn


@contextmanager
def aside(run: Training) -> Iterator[None]:
    """Look at a network: nothing is recorded, masks come from the probes' stream, modes return."""
    modes = [(m, m.training) for m in run.net.modules()]
    state = run.streams.masks.get_state()
    run.streams.masks.set_state(run.streams.probes.get_state())
    try:
        with minigrad.no_grad():
            yield
    finally:
        run.streams.probes.set_state(run.streams.masks.get_state())
        run.streams.masks.set_state(state)
        for module, mode in modes:
            module.training = mode


def probabilities(net: nn.Module, data: Any) -> np.ndarray:
    """Return the network's probabilities of the classes for each image, float64."""
    parts = [functional.softmax(net(x), dim=1).cpu().numpy() for x, _ in DataLoader(data, BATCH)]
    return np.concatenate(parts).astype(np.float64)


def accuracy(p: np.ndarray, y: np.ndarray) -> float:
    """Return the share of images whose most probable class is right."""
    return float((p.argmax(axis=1) == y).mean())


def log_loss(p: np.ndarray, y: np.ndarray) -> float:
    """Return the mean negative logarithm of the right class's probability, in nats."""
    return float(-np.log(np.maximum(p[np.arange(len(y)), y], 1e-30)).mean())


def calibration_error(p: np.ndarray, y: np.ndarray) -> float:
    """Return the expected calibration error: |confidence − accuracy|, averaged over `BINS` bins."""
    sure, right = p.max(axis=1), p.argmax(axis=1) == y
    of_bin = np.minimum((sure * BINS).astype(int), BINS - 1)
    gaps = [abs(float((sure[b] - right[b]).sum())) for i in range(BINS) for b in [of_bin == i]]
    return sum(gaps) / len(y)


def entropy(p: np.ndarray) -> np.ndarray:
    """Return the entropy of each row, in nats."""
    return -(p * np.log(np.maximum(p, 1e-30))).sum(axis=1)


def activity(run: Training) -> None:
    """Follow the hidden layers: share above 0, mean, variance, variance behind the noise."""
    x, _ = next(iter(DataLoader(run.split.judged, BATCH)))
    with aside(run):
        for noisy in (False, True):
            run.net.train(noisy)
            for layer, (clean, behind) in enumerate(hidden(run.net, x), start=1):
                c, b = clean.cpu().numpy(), behind.cpu().numpy()
                found = {"noisy variance": float(b.var(axis=0).mean())}
                if not noisy:
                    found = {"active": float((c > 0).mean()), "mean": float(c.mean())}
                    found["variance"] = float(c.var(axis=0).mean())
                run.add(**{f"{name} {layer}": value for name, value in found.items()})


def weights(run: Training) -> dict[str, Any]:
    """Measure the weights: norms, and on how many inputs a unit relies.

    ``log norm`` is of all matrices together; ``layers`` the norm of each; ``participation`` is
    (Σw²)²/Σw⁴ over a first hidden unit's incoming weights, averaged; ``features``: the weights of
    some units, as small integers.
    """
    matrices = [m.weight.detach().cpu().numpy().astype(np.float64) for m in linears(run.net)]
    squares = [float((w**2).sum()) for w in matrices]
    first = matrices[0]
    largest = np.abs(first[:FEATURES]).max(axis=1, keepdims=True)
    return {
        "log norm": math.log(sum(squares)) / 2,
        "layers": [math.sqrt(s) for s in squares],
        "participation": float(((first**2).sum(1) ** 2 / (first**4).sum(1)).mean()),
        "features": np.rint(99 * first[:FEATURES] / largest).astype(int).tolist(),
    }


def averaging(run: Training) -> dict[str, Any]:
    """Compare weight scaling with averages over 1 to `PASSES` masks: accuracy, NLL, calibration."""
    y = labels(run.split.judged)
    with aside(run):
        run.net.eval()
        scaled = probabilities(run.net, run.split.judged)
        found: dict[str, Any] = {"scaled": scores(scaled, y), "masks": {}}
        if not any(isinstance(m, Noise | DropConnect) and m.p for m in run.net.modules()):
            return found
        run.net.train()
        total = np.zeros_like(scaled)
        for k in range(1, PASSES + 1):
            total += probabilities(run.net, run.split.judged)
            if k in SHOWN:
                found["masks"][str(k)] = scores(total / k, y)
    return found


def scores(p: np.ndarray, y: np.ndarray) -> list[float]:
    """Return accuracy, NLL and calibration error."""
    return [accuracy(p, y), log_loss(p, y), calibration_error(p, y)]


def robustness(run: Training) -> list[float]:
    """Return the accuracy lost to each strength of Gaussian noise, the same noise in every run."""
    judged = run.split.judged
    y = labels(judged)
    clean = minigrad.as_tensor(judged.images).cpu().numpy().astype(np.float32) / 255
    noise = np.random.default_rng(0).standard_normal(clean.shape, dtype=np.float32)
    device = linears(run.net)[0].weight.device

    def accuracy_at(strength: float) -> float:
        hits = 0
        for start in range(0, len(y), BATCH):
            some = slice(start, start + BATCH)
            x = minigrad.from_numpy(clean[some] + np.float32(strength) * noise[some]).to(device)
            hits += int((run.net(x).argmax(dim=1).cpu().numpy() == y[some]).sum())
        return hits / len(y)

    with aside(run):
        run.net.eval()
        unspoilt = accuracy_at(0.0)
        return [unspoilt - accuracy_at(strength) for strength in NOISES]


def deletion(run: Training) -> list[float]:
    """Return the accuracy lost when hidden units are deleted, for each of `DRAWS` choices.

    `DELETED` of all hidden units are deleted for good, the rest scaled to keep the mean: what a
    network loses whose units lean on each other.
    """
    y = labels(run.split.judged)
    rng = np.random.default_rng(0)  # the same units in every run: they have no order
    matrices = [linear.weight for linear in linears(run.net)[1:]]
    with aside(run):
        run.net.eval()
        before = accuracy(probabilities(run.net, run.split.judged), y)
        lost = []
        for _ in range(DRAWS):
            whole = [w.detach().clone() for w in matrices]
            for w in matrices:
                keep = rng.permutation(w.shape[1]) >= round(DELETED * w.shape[1])
                scale = minigrad.from_numpy(keep.astype(np.float32) / np.float32(keep.mean()))
                w *= scale.to(w.device)
            lost.append(before - accuracy(probabilities(run.net, run.split.judged), y))
            for w, saved in zip(matrices, whole, strict=True):
                w[...] = saved
    return lost


@dataclass(frozen=True)
class Probe:
    """A look at a network.

    Attributes:
        look: takes the training; returns what JSON can hold, or adds to the curves.
        along: whether it looks at each epoch that is measured, instead of once at the end.
    """

    look: Callable[[Training], Any]
    along: bool = False


PROBES = {
    "activity": Probe(activity, along=True),
    "weights": Probe(weights),
    "averaging": Probe(averaging),
    "robustness": Probe(robustness),
    "deletion": Probe(deletion),
}
