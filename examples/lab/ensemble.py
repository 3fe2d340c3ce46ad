"""Experiment 6: many networks in one. Averaging over masks against scaling the weights."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from scipy import ndimage

import minigrad
from examples.lab.frame import Experiment, Finding, Results, Run, Scale
from examples.lab.statistics import Interval, equivalence, mean
from examples.lab.training import halves, settled, trained
from minigrad.nn import functional

PASSES = 100
CLOSE = 0.005  # half a point of accuracy
UNITS = 10  # of the small network whose masks are all enumerated
ANGLES = (0, 15, 30, 45, 60, 90)
FEW = 500  # images that are turned, or have their pixels shuffled


def average(seed: int, images: int, passes: int, **settings: Any) -> dict[str, Any]:
    """Train with dropout; compare weight scaling with averages over 1 to ``passes`` masks.

    Returns:
        ``scaled``: test accuracy in evaluation mode; ``averaged``: that of the averaged
        probabilities of 1, 2, ... passes with masks; ``entropy``: for each rotation of the images,
        and then for images with their pixels shuffled, the mean entropy in nats of the averaged
        probabilities; ``entropy_scaled``: the same in evaluation mode.
    """
    net, _, _ = trained(seed, **settings)
    test = halves()[1]
    pictures, labels = test.images[:images] / np.float32(255), test.labels[:images]

    def probabilities(x: Any) -> Any:
        with minigrad.no_grad():
            return functional.softmax(net(minigrad.from_numpy(x)), dim=1).numpy()

    def over_masks(x: Any, count: int) -> Any:
        return sum(probabilities(x) for _ in range(count)) / count

    turned = [
        ndimage.rotate(pictures[:FEW], angle, axes=(1, 2), reshape=False, order=1)
        for angle in ANGLES
    ]
    shuffled = np.random.default_rng(seed).permuted(pictures[:FEW].reshape(FEW, -1), axis=1)
    strange = [x.astype(np.float32) for x in (*turned, shuffled.reshape(FEW, 28, 28))]

    net.eval()
    scaled = float((probabilities(pictures).argmax(axis=1) == labels).mean())
    entropy_scaled = [entropy(probabilities(x)) for x in strange]
    net.train()
    total, averaged = 0, []
    for _ in range(passes):
        total = total + probabilities(pictures)
        averaged.append(float((total.argmax(axis=1) == labels).mean()))

    return {
        "scaled": scaled,
        "averaged": averaged,
        "entropy": [entropy(over_masks(x, min(passes, 30))) for x in strange],
        "entropy_scaled": entropy_scaled,
    }


def entropy(p: Any) -> float:
    """Return the mean entropy of distributions, rows of ``p``, in nats."""
    return float(-(p * np.log(np.maximum(p, 1e-30))).sum(axis=1).mean())


def enumerate_masks(seed: int, **settings: Any) -> dict[str, float]:
    """Train a network with a hidden layer of ten units; average over all its 1,024 masks.

    Returns:
        The test accuracy by weight scaling, by the arithmetic mean of the probabilities of all
        sub-networks and by their normalised geometric mean; and the largest difference between a
        probability by weight scaling and the geometric mean: 0, as the output layer is a softmax.
    """
    p = 0.5
    net, _, _ = trained(seed, [p], [UNITS], **settings)
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
    fixed = {"images": images, "passes": passes, **settled(scale)}
    name = "examples.lab.ensemble:average"
    return [Run(name, {**fixed, "seed": seed}) for seed in range(scale.seeds)]


def enumerations(scale: Scale) -> list[Run]:
    """Return the runs that enumerate all masks."""
    fixed = {**settled(scale), "train_size": 5_000}
    name = "examples.lab.ensemble:enumerate_masks"
    return [Run(name, {**fixed, "seed": seed}) for seed in range(scale.seeds)]


def runs(scale: Scale) -> list[Run]:
    """Return all runs."""
    return averages(scale) + enumerations(scale)


def judge(results: Results, scale: Scale, level: float) -> Finding:
    """Compare weight scaling with the average over the most masks, pair by pair."""
    table: list[dict[str, str]] = []
    found = [results[run] for run in averages(scale)]
    small = [results[run] for run in enumerations(scale)]
    passes = len(found[0]["averaged"])

    def row(measure: str, differences: list[float], factor: float, unit: str) -> Interval:
        interval = mean(differences, level)
        text = interval.text(factor, unit)
        table.append({"average over masks minus weight scaling": measure, "difference": text})
        return interval

    for k in [*(k for k in (1, 3, 10, 30) if k < passes), passes]:
        gains = [r["averaged"][k - 1] - r["scaled"] for r in found]
        closest = row(f"test accuracy, {k} mask{'s' * (k > 1)}", gains, 100, "points")
    for name in ("arithmetic", "geometric"):
        words = f"test accuracy, all 1,024 masks of a small net, {name} mean"
        row(words, [r[name] - r["scaled"] for r in small], 100, "points")
    for i, words in ((0, "test images"), (ANGLES.index(90), "turned by 90°"), (-1, "shuffled")):
        nats = [r["entropy"][i] - r["entropy_scaled"][i] for r in found]
        row(f"entropy, {words}", nats, 1, "nats")
    gap = max(r["gap"] for r in small)
    summary = (
        f"averaged over {passes} masks minus weight scaling: {closest.text(100, 'points')} seeds; "
        f"the geometric mean over all masks of a small net differs from weight scaling by {gap:.1g}"
        " at most"
    )
    return Finding(equivalence(closest, CLOSE), summary, table)


def draw(results: Results, scale: Scale, figure: Any) -> None:
    """Draw test error over the number of masks, and entropy over the rotation."""
    left, right = figure.subplots(1, 2)
    found = [results[run] for run in averages(scale)]
    errors = 100 * (1 - np.array([r["averaged"] for r in found]))
    k = np.arange(1, errors.shape[1] + 1)
    left.plot(k, errors.mean(axis=0), color="#0072B2", label="average over k masks")
    spread = errors.std(axis=0, ddof=1)
    middle = errors.mean(axis=0)
    left.fill_between(k, middle - spread, middle + spread, color="#0072B2", alpha=0.2, lw=0)
    scaled = 100 * (1 - np.mean([r["scaled"] for r in found]))
    left.axhline(scaled, color="#D55E00", ls="--", label="weight scaling")
    left.set_xscale("log")
    ticks = [n for n in (1, 3, 10, 30, 100) if n <= k[-1]]
    left.set_xticks(ticks, map(str, ticks))
    left.set_xticks([], minor=True)
    left.set(xlabel="k, masks averaged over", ylabel="test error, % (mean, standard deviation)")
    left.legend()
    for key, words, color, style in (
        ("entropy", "average over masks", "#0072B2", "-"),
        ("entropy_scaled", "weight scaling", "#D55E00", "--"),
    ):
        nats = np.array([r[key] for r in found])
        middle, spread = nats.mean(axis=0), nats.std(axis=0, ddof=1)
        look = {"color": color, "capsize": 2}
        right.errorbar(ANGLES, middle[:-1], spread[:-1], marker="o", ls=style, label=words, **look)
        right.errorbar([105], middle[-1:], spread[-1:], marker="s", ls="", **look)
    right.axhline(np.log(10), color="0.6", lw=1)
    right.set_xticks([*ANGLES, 105], [*map(str, ANGLES), "pixels\nshuffled"])
    right.set(xlabel="rotation of the test images, degrees", ylabel="entropy, nats (mean, s. d.)")
    right.set_ylim(bottom=0)
    right.legend(loc="lower right")


EXPERIMENT = Experiment(
    title="An ensemble of sub-networks",
    claim="Scaling the weights stands in for averaging over the sub-networks of all masks.",
    source="Hinton et al., 2012; Srivastava et al., 2014, figure 11; d2l.ai, exercise 4",
    settings=(
        "784-256-256-10 with dropout .2/.5, first 10,000 images, 25 epochs in batches of 64, "
        f"learning rate falling from 0.2 to 0; averages of the probabilities of 1 to {PASSES} "
        "passes with masks on all test images. All 1,024 masks are enumerated for 784-10-10 "
        "(5,000 images), where theory says that the normalised geometric mean equals weight "
        "scaling. The grey line is the entropy of knowing nothing, ln 10."
    ),
    criterion=(
        f"The paired difference in test accuracy between the average over {PASSES} masks and "
        "weight scaling: supported if its interval lies within half a point of 0, refuted if it "
        "lies beyond that on either side, else not supported."
    ),
    runs=runs,
    judge=judge,
    draw=draw,
)
