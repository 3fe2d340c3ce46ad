"""Many networks instead of one: all masks of a small net, nets of other seeds, unknown classes."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from scipy import stats

import minigrad
from examples.lab import images
from examples.lab.networks import linears
from examples.lab.probes import accuracy, aside, entropy, probabilities, scores
from examples.lab.recipe import Recipe
from examples.lab.training import labels, trained
from minigrad.nn import functional
from minigrad.utils.data import DataLoader

UNITS = 10  # of the small network whose masks are all enumerated
FEW = 2_000  # images that its masks are tried on
PASSES = 30
STRANGERS = (8, 9)  # classes that a network has never seen: bags and ankle boots


def all_masks(seed: int, **recipe: Any) -> dict[str, Any]:
    """Train a network with a hidden layer of ten units; average over all its 1,024 masks.

    Returns:
        The test accuracy by weight scaling, by the arithmetic mean of the probabilities of all
        sub-networks and by their normalised geometric mean; and the largest difference between a
        probability by weight scaling and the geometric mean: 0, as the output layer is a softmax.
    """
    p = 0.5
    run = trained(seed, Recipe(**{**recipe, "hiddens": [UNITS], "dropout": [p]}))
    judged = images.part(run.split.judged, np.arange(min(FEW, len(run.split.judged))))
    y = labels(judged)
    first, out = linears(run.net)
    with minigrad.no_grad():
        x, _ = next(iter(DataLoader(judged, len(judged))))
        hidden = minigrad.relu(first(x.reshape(len(x), -1)))
        scaled = functional.softmax(out(hidden), dim=1).numpy().astype(np.float64)
        arithmetic, logs = np.zeros_like(scaled), np.zeros_like(scaled)
        for bits in itertools.product([False, True], repeat=UNITS):
            mask = minigrad.tensor(list(bits))
            logits = out(functional.dropout(hidden, p, mask=mask)).double()
            log_p = functional.log_softmax(logits, dim=1).numpy()
            arithmetic += np.exp(log_p) / 2**UNITS
            logs += log_p / 2**UNITS
    geometric = np.exp(logs)
    geometric /= geometric.sum(axis=1, keepdims=True)
    means = {"scaled": scaled, "arithmetic": arithmetic, "geometric": geometric}
    right = {name: accuracy(q, y) for name, q in means.items()}
    return {**right, "gap": float(np.abs(scaled - geometric).max()), "broke_down": run.broke_down}


def committee(seed: int, members: int, **recipe: Any) -> list[float]:
    """Train networks of other seeds; return accuracy, NLL and calibration error of their mean."""
    total: Any = 0.0
    judged: Any = None
    for member in range(members):
        run = trained(1_000_000 + seed * members + member, Recipe(**recipe))
        run.net.eval()
        with minigrad.no_grad():
            total = total + probabilities(run.net, run.split.judged)
        judged = run.split.judged
    return scores(total / members, labels(judged))


def strangers(seed: int, **recipe: Any) -> dict[str, float]:
    """Train without two classes; return how well doubt tells their images from the others.

    Returns:
        The area under the ROC curve of ``confidence``, one minus the largest probability, and of
        ``entropy``, both by weight scaling; and of ``entropy over masks``, of the probabilities
        averaged over `PASSES` masks (Gal and Ghahramani, 2016). 1/2 is guessing.
    """
    run = trained(seed, Recipe(**{**recipe, "left_out": list(STRANGERS)}))
    strange = np.isin(labels(run.split.judged), STRANGERS)
    with aside(run):
        run.net.eval()
        scaled = probabilities(run.net, run.split.judged)
        run.net.train()
        mean = sum(probabilities(run.net, run.split.judged) for _ in range(PASSES)) / PASSES
    doubts = {
        "confidence": 1 - scaled.max(axis=1),
        "entropy": entropy(scaled),
        "entropy over masks": entropy(np.asarray(mean)),
    }
    return {name: _area(doubt[strange], doubt[~strange]) for name, doubt in doubts.items()}


def _area(above: np.ndarray, below: np.ndarray) -> float:
    """Return the probability that a value of the first kind is larger, ties halved."""
    ranks = stats.rankdata(np.concatenate([above, below]))[: len(above)]
    return float((ranks.mean() - (len(above) + 1) / 2) / len(below))
