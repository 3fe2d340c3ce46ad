"""The run that nearly all experiments are made of: one network trained on Fashion-MNIST."""

from __future__ import annotations

import base64
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import minigrad
from examples.lab import images
from examples.lab.networks import bound, network, switch
from examples.lab.recipe import Recipe
from minigrad import Generator, nn, optim
from minigrad.training import evaluate
from minigrad.utils.data import DataLoader

TRAIN = "examples.lab.training:train"  # for `Run`
FALL = 0.2  # of test accuracy, lost against the best epoch before: a collapse
IDLE = 0.5  # train accuracy that a net has at least from epoch `STARTED` on, or it never trained
STARTED = 5
BATCH = 1000  # of evaluations


@dataclass(frozen=True)
class Streams:
    """The random streams of a run: what one of them draws changes nothing of the others.

    Runs of one seed that differ in their noise alone begin with the same weights, learn from the
    same images and see the same batches.
    """

    weights: Generator
    shuffling: Generator
    masks: Generator
    subset: Generator
    probes: Generator

    @classmethod
    def of(cls, seed: int) -> Streams:
        """Return the streams of a seed."""
        return cls(*Generator(seed).spawn(5))


@dataclass
class Training:
    """A network that has been trained, or is being trained.

    Attributes:
        net, split, streams: the network, its images, its random streams.
        curves: lists by name: ``train_loss`` and ``noisy_acc`` of each epoch, with the noise on;
            ``epochs``, and of each of these epochs ``train_acc, train_nll, test_acc, test_nll``
            with the noise off (``test`` is what the run is measured on).
        broke_down: the epoch, from 1, in which the loss stopped being finite, or None.
    """

    net: nn.Sequential
    split: images.Split
    streams: Streams
    curves: dict[str, list[Any]] = field(default_factory=dict)
    broke_down: int | None = None

    def add(self, **values: Any) -> None:
        """Append to curves."""
        for name, value in values.items():
            self.curves.setdefault(name, []).append(value)


def trained(
    seed: int, recipe: Recipe, at_marks: Callable[[Training], object] | None = None
) -> Training:
    """Train a network by a recipe.

    Args:
        seed: of all streams.
        recipe: the settings.
        at_marks: is called after each epoch that is measured.
    """
    streams = Streams.of(seed)
    split = images.split(
        recipe.size, recipe.held_out, recipe.subset, streams.subset, recipe.left_out
    ).to(recipe.device)
    net = network(recipe, streams.weights, streams.masks)
    net.to(recipe.device)
    run = Training(net, split, streams)
    loader = DataLoader(split.train, recipe.batch_size, shuffle=True, generator=streams.shuffling)
    updater = optim.SGD(
        net.parameters(), recipe.lr, recipe.momentum, weight_decay=recipe.weight_decay
    )
    scheduler = optim.lr_scheduler.CosineAnnealingLR(updater, recipe.epochs)
    with np.errstate(over="ignore", invalid="ignore"):
        for epoch in range(1, recipe.epochs + 1):
            early = 2 * epoch <= recipe.epochs
            switch(net, recipe.schedule == "always" or (recipe.schedule == "early") == early)
            loss, accuracy = _one_epoch(net, loader, updater, recipe.max_norm)
            if not math.isfinite(loss):
                run.broke_down = epoch
                break
            run.add(train_loss=loss, noisy_acc=accuracy)
            if epoch % recipe.every == 0 or epoch == recipe.epochs:
                _measure(run, epoch)
                if at_marks:
                    at_marks(run)
            if recipe.decay:
                scheduler.step()
    return run


def _one_epoch(
    net: nn.Module, loader: DataLoader, updater: optim.SGD, max_norm: float
) -> tuple[float, float]:
    """Go through the data once; return mean loss and accuracy, NaN after a loss not finite."""
    cross_entropy = nn.CrossEntropyLoss()
    total, correct, count = 0.0, 0, 0
    net.train()
    for x, y in loader:
        logits = net(x)
        loss = cross_entropy(logits, y)
        value = loss.item()
        if not math.isfinite(value):
            return math.nan, math.nan
        updater.zero_grad()
        loss.backward()
        updater.step()
        if max_norm:
            bound(net, max_norm)
        total += value * len(y)
        correct += int((logits.detach().argmax(dim=1) == y).sum().item())
        count += len(y)
    return total / count, correct / count


def _measure(run: Training, epoch: int) -> None:
    cross_entropy = nn.CrossEntropyLoss()
    train_nll, train_acc = evaluate(run.net, DataLoader(run.split.train, BATCH), cross_entropy)
    test_nll, test_acc = evaluate(run.net, DataLoader(run.split.judged, BATCH), cross_entropy)
    run.add(epochs=epoch, train_acc=train_acc, train_nll=train_nll)
    run.add(test_acc=test_acc, test_nll=test_nll)


def train(seed: int, probes: Sequence[str] = (), **recipe: Any) -> dict[str, Any]:
    """Train a network; return its curves, which images it got right, and what probes found.

    Args:
        seed: of all streams.
        probes: names in `examples.lab.probes.PROBES`; they look at the network at the end, and
            draw from a stream of their own.
        recipe: see `Recipe`.

    Returns:
        The curves of `Training`, ``broke_down``, ``right`` (a bit for each image it is measured on,
        see `unpacked`), ``images`` in words, ``seconds``, and by its name what each probe found;
        nothing of a probe where the loss stopped being finite.
    """
    from examples.lab.probes import PROBES  # they look at trainings: imported below them

    start = time.perf_counter()
    settings = Recipe(**recipe)
    along = [PROBES[name] for name in probes if PROBES[name].along]
    at_end = {name: PROBES[name] for name in probes if not PROBES[name].along}
    run = trained(seed, settings, lambda run: [probe.look(run) for probe in along])
    found = {}
    if run.broke_down is None:
        found = {name: probe.look(run) for name, probe in at_end.items()}
    right = predictions(run) == labels(run.split.judged)
    return {
        **run.curves,
        **found,
        "broke_down": run.broke_down,
        "right": base64.b64encode(np.packbits(right).tobytes()).decode(),
        "images": run.split.seen,
        "judged": len(right),
        "seconds": time.perf_counter() - start,
    }


def unpacked(result: Any) -> np.ndarray:
    """Return, for each image that a run was measured on, whether it was right at the end."""
    bits = np.frombuffer(base64.b64decode(result["right"]), dtype=np.uint8)
    return np.unpackbits(bits)[: result["judged"]].astype(bool)


def predictions(run: Training) -> np.ndarray:
    """Return the class that a network names for each image it is measured on."""
    run.net.eval()
    with minigrad.no_grad(), np.errstate(over="ignore", invalid="ignore"):
        parts = [
            run.net(x).argmax(dim=1).cpu().numpy() for x, _ in DataLoader(run.split.judged, BATCH)
        ]
    return np.concatenate(parts)


def labels(data: Any) -> np.ndarray:
    """Return the class numbers of a data set, in this machine's memory."""
    return minigrad.as_tensor(data.labels).cpu().numpy()


def collapsed(result: Any, upto: int | None = None) -> int | None:
    """Return the epoch of the first collapse up to an epoch, that one included, or None.

    A collapse is a loss that is not finite, a test accuracy `FALL` below the best epoch before, or
    a net that never trained: train accuracy below `IDLE` in epoch `STARTED` or later.
    """
    last = math.inf if upto is None else upto
    found = [e for e in [result["broke_down"]] if e is not None and e <= last]
    best = -math.inf
    for epoch, test, train_acc in zip(
        result.get("epochs", []), result.get("test_acc", []), result.get("train_acc", []),
        strict=True,
    ):  # fmt: skip
        if epoch <= last and (
            test <= best - FALL + 1e-12 or (epoch >= STARTED and train_acc < IDLE)
        ):
            found.append(epoch)
        best = max(best, test)
    return min(found, default=None)


def final(result: Any, measure: str, epochs: int = 1, upto: int | None = None) -> float:
    """Return the mean of a measure over the last epochs that were measured; -inf for a collapse.

    Args:
        result: of `train`.
        measure: a curve in it.
        epochs: how many are averaged: single epochs swing by points at a bold learning rate.
        upto: the epoch that counts as the last, None for the last there is.

    A collapse up to then ranks below every accuracy. Of a measure where more is worse it is +inf.
    """
    if collapsed(result, upto) is not None:
        return math.inf if "nll" in measure or "loss" in measure else -math.inf
    values = [
        v
        for e, v in zip(result["epochs"], result[measure], strict=True)
        if upto is None or e <= upto
    ]
    return float(np.mean(values[-epochs:]))
