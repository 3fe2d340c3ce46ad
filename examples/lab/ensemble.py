"""Experiment 6: many networks in one. Averaging over masks against scaling the weights."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from scipy import ndimage

import minigrad
from examples.lab.frame import Experiment, Finding, Results, Run, Scale
from examples.lab.statistics import mean, paired
from examples.lab.training import halves, recipe, trained
from minigrad.nn import functional

PASSES = 100
CLOSE = 0.005  # half a point of accuracy
UNITS = 10  # of the small network whose masks are all enumerated
ANGLES = (0, 15, 30, 45, 60, 90)


def average(seed: int, images: int, passes: int, **settings: Any) -> dict[str, Any]:
    """Train with dropout; compare weight scaling with averages over 1 to ``passes`` masks.

    Returns:
        ``scaled``: test accuracy in evaluation mode; ``averaged``: that of the averaged
        probabilities of 1, 2, ... passes with masks; ``entropy``: for each rotation of the images
        the mean entropy of the averaged probabilities, in nats; ``foreign``: the same for noise.
    """
    net, _, _ = trained(seed, lr=0.1, **settings)
    test = halves()[1]
    pictures, labels = test.images[:images] / np.float32(255), test.labels[:images]

    def probabilities(x: Any) -> Any:
        with minigrad.no_grad():
            return functional.softmax(net(minigrad.from_numpy(x)), dim=1).numpy()

    def over_masks(x: Any, count: int) -> Any:
        return sum(probabilities(x) for _ in range(count)) / count

    net.eval()
    scaled = float((probabilities(pictures).argmax(axis=1) == labels).mean())
    net.train()
    total, averaged = 0, []
    for _ in range(passes):
        total = total + probabilities(pictures)
        averaged.append(float((total.argmax(axis=1) == labels).mean()))

    def entropy(p: Any) -> float:
        return float(-(p * np.log(np.maximum(p, 1e-30))).sum(axis=1).mean())

    turned = {
        angle: ndimage.rotate(pictures[:500], angle, axes=(1, 2), reshape=False, order=1)
        for angle in ANGLES
    }
    noise = np.random.default_rng(seed).permuted(pictures[:500].reshape(500, -1), axis=1)
    few = min(passes, 30)
    return {
        "scaled": scaled,
        "averaged": averaged,
        "entropy": [entropy(over_masks(x.astype(np.float32), few)) for x in turned.values()],
        "foreign": entropy(over_masks(noise.reshape(500, 28, 28), few)),
    }


def enumerate_masks(seed: int, **settings: Any) -> dict[str, float]:
    """Train a network with a hidden layer of ten units; average over all its 1,024 masks.

    Returns:
        The test accuracy by weight scaling, by the arithmetic mean of the probabilities of all
        sub-networks and by their normalised geometric mean; and the largest difference between a
        probability by weight scaling and the geometric mean: 0, as the output layer is a softmax.
    """
    p = 0.5
    net, _, _ = trained(seed, [p], [UNITS], lr=0.1, **settings)
    net.eval()
    test = halves()[1]
    x, y = test[np.arange(2_000)]
    layers: Any = net
    with minigrad.no_grad():
        hidden = layers[2](layers[1](layers[0](x)))
        out = layers[4]
        scaled = functional.softmax(out(hidden), dim=1).numpy().astype(np.float64)
        arithmetic, logs = np.zeros_like(scaled), np.zeros_like(scaled)
        for bits in itertools.product([False, True], repeat=UNITS):
            mask = minigrad.tensor(list(bits))
            logits = out(functional.dropout(hidden, p, mask=mask)).double()
            log_p = functional.log_softmax(logits, dim=1).numpy()
            weight = p ** bits.count(False) * (1 - p) ** bits.count(True)
            arithmetic += weight * np.exp(log_p)
            logs += weight * log_p
    geometric = np.exp(logs)
    geometric /= geometric.sum(axis=1, keepdims=True)
    right = {
        name: float((q.argmax(axis=1) == y.numpy()).mean())
        for name, q in (("scaled", scaled), ("arithmetic", arithmetic), ("geometric", geometric))
    }
    return {**right, "gap": float(np.abs(scaled - geometric).max())}


def averages(scale: Scale) -> list[Run]:
    """Return the runs that average over masks."""
    images, passes = scale.pick((1_000, 20), (10_000, PASSES))
    fixed = {"images": images, "passes": passes, **recipe(scale)}
    name = "examples.lab.ensemble:average"
    return [Run(name, {**fixed, "seed": seed}) for seed in range(scale.seeds)]


def enumerations(scale: Scale) -> list[Run]:
    """Return the runs that enumerate all masks."""
    fixed = {"train_size": 5_000, "batch_size": 32, "epochs": scale.pick(3, 20)}
    name = "examples.lab.ensemble:enumerate_masks"
    return [Run(name, {**fixed, "seed": seed}) for seed in range(scale.seeds)]


def runs(scale: Scale) -> list[Run]:
    """Return all runs."""
    return averages(scale) + enumerations(scale)


def judge(results: Results, scale: Scale, level: float) -> Finding:
    """Compare weight scaling with the average over the most masks, pair by pair."""
    scaled = results.each(averages(scale), lambda r: r["scaled"])
    table = []
    passes = len(results[averages(scale)[0]]["averaged"])
    for k in (1, 3, 10, 30, 100):
        if k <= passes:
            averaged = [results[run]["averaged"][k - 1] for run in averages(scale)]
            gain = paired(averaged, scaled, level).text(100, "points")
            table.append({"masks averaged over": k, "minus weight scaling": gain})
    small = [results[run] for run in enumerations(scale)]
    for name in ("arithmetic", "geometric"):
        difference = mean([r[name] - r["scaled"] for r in small], level)
        row = {"masks averaged over": f"all 1,024 of a small net, {name} mean"}
        table.append({**row, "minus weight scaling": difference.text(100, "points")})
    closest = paired(results.each(averages(scale), lambda r: r["averaged"][-1]), scaled, level)
    gap = max(r["gap"] for r in small)
    summary = (
        f"averaged over {passes} masks minus weight scaling: {closest.text(100, 'points')} seeds; "
        f"the geometric mean over all masks differs from weight scaling by {gap:.1g} at most"
    )
    if max(-closest.low, closest.high) < CLOSE:
        return Finding("supported", summary, table)
    apart = closest.low > CLOSE or closest.high < -CLOSE
    return Finding("refuted" if apart else "not supported", summary, table)


def draw(results: Results, scale: Scale, figure: Any) -> None:
    """Draw test error over the number of masks, and entropy over the rotation."""
    left, right = figure.subplots(1, 2)
    found = [results[run] for run in averages(scale)]
    errors = 100 * (1 - np.array([r["averaged"] for r in found]))
    k = np.arange(1, errors.shape[1] + 1)
    left.plot(k, errors.mean(axis=0), color="#0072B2", label="average over k masks")
    spread = errors.std(axis=0)
    middle = errors.mean(axis=0)
    left.fill_between(k, middle - spread, middle + spread, color="#0072B2", alpha=0.2, lw=0)
    scaled = 100 * (1 - np.mean([r["scaled"] for r in found]))
    left.axhline(scaled, color="#D55E00", ls="--", label="weight scaling")
    left.set_xscale("log")
    left.set(xlabel="k", ylabel="test error, % (mean, standard deviation)")
    left.legend()
    entropies = np.array([r["entropy"] for r in found])
    right.errorbar(
        ANGLES, entropies.mean(axis=0), entropies.std(axis=0), fmt="o-", color="#0072B2",
        capsize=2, label="turned test images",
    )  # fmt: skip
    foreign = np.mean([r["foreign"] for r in found])
    right.axhline(foreign, color="#009E73", ls=":", label="pixels shuffled")
    right.set(xlabel="rotation, degrees", ylabel="entropy of the averaged prediction, nats")
    right.set_ylim(bottom=0)
    right.legend()


EXPERIMENT = Experiment(
    title="An ensemble of sub-networks",
    claim="Scaling the weights stands in for averaging over the sub-networks of all masks.",
    source="Hinton et al., 2012; Srivastava et al., 2014, figure 11; d2l.ai, exercise 4",
    settings=(
        "784-256-256-10 with dropout .2/.5, learning rate 0.1, 10 epochs of 60,000 images; "
        f"averages of the probabilities of 1 to {PASSES} passes with masks on all test images. "
        "All 1,024 masks are enumerated for 784-10-10 (5,000 images, 20 epochs), where theory "
        "says that the normalised geometric mean equals weight scaling."
    ),
    criterion=(
        f"The paired difference in test accuracy between the average over {PASSES} masks and "
        "weight scaling: supported if its interval lies within half a point of 0, refuted if it "
        "lies beyond that on either side, else not supported."
    ),
    runs=runs,
    judge=judge,
    draw=draw,
    minutes=5,
)
