"""The exercises of d2l.ai's dropout chapter, each answered with a figure and a sentence.

    python -m examples.dropout_exercises          # all of them, on the sample, within two minutes
    python -m examples.dropout_exercises 3 6      # some of them

1 to 7 are the chapter's; 8 and 9 are asked of dropout in two chapters beside it. What is printed is
computed from the runs that it speaks of: few seeds and few images, a look. The laboratory
(`python -m examples.lab`) asks the questions that are worth many seeds.
"""

from __future__ import annotations

import argparse
import functools
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import minigrad
from data.fashion_mnist import SAMPLE_DIR, FashionMNIST, load_fashion_mnist
from examples.lab.networks import DropConnect
from minigrad import Generator, Tensor, nn, optim
from minigrad.nn import functional
from minigrad.training import History, fit
from minigrad.utils.data import DataLoader
from minigrad.utils.files import replacing
from models import mlp

P = (0.2, 0.5)
NONE = (0.0, 0.0)
SEEDS = (0, 1, 2)
IMAGES, EPOCHS, BATCH, LR = 4_000, 10, 32, 0.1
LONG = 40  # epochs of exercise 2
DECAY = 1e-3
PASSES = 50
COLORS = ("#0072B2", "#D55E00", "#009E73", "#999999")  # Okabe and Ito, 2008
STYLES = ("-", "--", "-.", ":")

Answer = tuple[str, Callable[[Any], None]]  # a sentence, and what draws the figure


@functools.cache
def images() -> tuple[FashionMNIST, FashionMNIST]:
    """Return some of the sample's training images, and its test images."""
    train, test = load_fashion_mnist(SAMPLE_DIR, quiet=True)
    return FashionMNIST(train.images[:IMAGES], train.labels[:IMAGES], True, train.source), test


Build = Callable[[Generator], nn.Sequential]


def perceptron(p: tuple[float, float]) -> Build:
    """Return what builds the chapter's network with these probabilities."""
    return lambda masks: mlp(784, 10, (256, 256), p, generator=masks)


def train(
    build: Build,
    seed: int = 0,
    epochs: int = EPOCHS,
    weight_decay: float = 0.0,
    look: Callable[[nn.Sequential], None] | None = None,
) -> tuple[nn.Sequential, History]:
    """Train a network; those of a seed begin with the same weights and see the same batches."""
    weights, shuffling, masks = Generator(seed).spawn(3)
    with minigrad.fork_rng():
        minigrad.random.set_rng_state(weights.get_state())
        net = build(masks)
        for module in net.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=0.01)
    train_half, test_half = images()
    history = fit(
        net,
        DataLoader(train_half, BATCH, shuffle=True, generator=shuffling),
        DataLoader(test_half, 1000),
        nn.CrossEntropyLoss(),
        epochs,
        optim.SGD(net.parameters(), lr=LR, weight_decay=weight_decay),
        on_epoch=(lambda so_far: look(net)) if look else None,
        progress=False,
    )
    return net, history


@functools.cache
def chapter(p: tuple[float, float], seed: int, decay: float = 0.0, epochs: int = EPOCHS) -> History:
    """Return the history of the chapter's network, trained once for all exercises."""
    return train(perceptron(p), seed, epochs, decay)[1]


def settled(history: History, measure: str = "test_acc") -> float:
    """Return a measure in percent, over the last three epochs."""
    return 100 * float(np.mean(getattr(history, measure)[-3:]))


def spread(values: list[float]) -> str:
    """Return the differences of the seeds in words."""
    return f"{np.mean(values):+.1f} points ({min(values):+.1f} to {max(values):+.1f} in the seeds)"


def dots(panel: Any, found: dict[str, list[float]], words: str) -> None:
    """Draw each seed's number, and the mean, by arm."""
    for i, values in enumerate(found.values()):
        panel.plot([i] * len(values), values, "o", color=COLORS[i % 4], alpha=0.7)
        panel.plot([i - 0.2, i + 0.2], [np.mean(values)] * 2, color="black")
    panel.set_xticks(range(len(found)), list(found))
    panel.set_ylabel(words)


def curves(panel: Any, found: dict[str, list[float]], words: str) -> None:
    """Draw a line over the epochs by arm."""
    for i, (name, values) in enumerate(found.items()):
        x = range(1, len(values) + 1)
        panel.plot(x, values, STYLES[i % 4], color=COLORS[i % 4], label=name)
    panel.set(xlabel="epoch", ylabel=words)
    panel.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, frameon=False)


def exercise_1() -> Answer:
    """What happens if the probabilities of the two layers are changed, or switched?"""
    pairs = ((0.2, 0.5), (0.5, 0.2), (0.2, 0.2), (0.5, 0.5))
    runs = {p: [chapter(p, seed) for seed in SEEDS] for p in pairs}
    accuracy = {f"{p:g}/{q:g}": [settled(h) for h in runs[p, q]] for p, q in pairs}
    gaps = [b - a for a, b in zip(accuracy["0.2/0.5"], accuracy["0.5/0.2"], strict=True)]
    fits = {p: np.mean([settled(h, "train_acc_eval") for h in runs[p]]) for p in pairs}
    said = (
        f"Switched to .5/.2, test accuracy changes by {spread(gaps)}; train accuracy, noise off, "
        f"is {fits[0.2, 0.2]:.1f} % with .2/.2 and {fits[0.5, 0.5]:.1f} % with .5/.5."
    )
    return said, lambda figure: dots(figure.subplots(), accuracy, "test accuracy, %")


def exercise_2() -> Answer:
    """What does dropout change when training goes on for more epochs?"""
    arms = {"with dropout": chapter(P, 0, epochs=LONG), "without": chapter(NONE, 0, epochs=LONG)}
    gaps = {n: settled(h, "train_acc_eval") - settled(h) for n, h in arms.items()}
    a, b = (settled(h) for h in arms.values())
    said = (
        f"After {LONG} epochs train accuracy is ahead of test accuracy by "
        f"{gaps['with dropout']:.1f} points with dropout and by {gaps['without']:.1f} without; "
        f"test accuracy is {a:.1f} % and {b:.1f} %."
    )

    def draw(figure: Any) -> None:
        left, right = figure.subplots(1, 2, sharey=True)
        curves(left, {n: h.train_acc_eval for n, h in arms.items()}, "train accuracy, noise off")
        curves(right, {n: h.test_acc for n, h in arms.items()}, "test accuracy")

    return said, draw


def exercise_3() -> Answer:
    """How does the variance of the hidden activations evolve, with and without dropout?"""
    x, _ = images()[1][np.arange(500)]
    found: dict[str, list[list[float]]] = {}

    def looker(kept: list[list[float]]) -> Callable[[Any], None]:
        def look(net: Any) -> None:
            net.eval()
            with minigrad.no_grad():
                first = net[2](net[1](net[0](x)))
                second = net[5](net[4](first))
            kept.append([float(h.numpy().var(axis=0).mean()) for h in (first, second)])

        return look

    for name, p in (("with dropout", P), ("without", NONE)):
        found[name] = []
        train(perceptron(p), look=looker(found[name]))
    lines = {
        f"{name}, layer {n + 1}": [v[n] for v in kept]
        for n in (0, 1)
        for name, kept in found.items()
    }
    a, b = found["with dropout"][-1], found["without"][-1]
    said = (
        f"Noise off, after {EPOCHS} epochs the variance over images is {a[0]:.2f} and {a[1]:.2f} "
        f"in the two layers with dropout, {b[0]:.2f} and {b[1]:.2f} without; noise on, an "
        "activation h adds p/(1−p)·h² to it."
    )
    return said, lambda figure: curves(figure.subplots(), lines, "variance over images")


def exercise_4() -> Answer:
    """Why is dropout not used at test time?"""
    net, history = train(perceptron(P))
    test = images()[1]
    x, y = test[np.arange(len(test))]
    net.train()
    with minigrad.no_grad():
        logits = [net(x) for _ in range(PASSES)]
    guesses = np.array([z.argmax(dim=1).numpy() for z in logits])
    single = [100 * float((g == y.numpy()).mean()) for g in guesses]
    mean = sum(functional.softmax(z, dim=1).numpy() for z in logits)
    averaged = 100 * float((np.asarray(mean).argmax(axis=1) == y.numpy()).mean())
    scaled = 100 * history.test_acc[-1]
    unsteady = 100 * float((guesses != guesses[0]).any(axis=0).mean())
    said = (
        f"With masks on, one net answers {unsteady:.0f} % of the images differently in {PASSES} "
        f"passes and is right in {np.mean(single):.1f} %; without masks it gives one answer, right "
        f"in {scaled:.1f} %, as the average over all passes is ({averaged:.1f} %)."
    )

    def draw(figure: Any) -> None:
        panel = figure.subplots()
        panel.hist(single, bins=15, color=COLORS[0], alpha=0.6)
        top = panel.get_ylim()[1]
        for value, words, style in ((scaled, "no masks", "-"), (averaged, "average", "--")):
            panel.axvline(value, color="black", ls=style)
            panel.annotate(words, (value, top * (0.9 if style == "-" else 0.8)), ha="right")
        panel.set(xlabel="test accuracy of a pass with masks, %", ylabel="passes")

    return said, draw


def exercise_5() -> Answer:
    """What do dropout, weight decay, and both do?"""
    arms = {
        "neither": (NONE, 0.0),
        "dropout": (P, 0.0),
        "weight decay": (NONE, DECAY),
        "both": (P, DECAY),
    }
    found = {
        name: [settled(chapter(p, seed, decay)) for seed in SEEDS]
        for name, (p, decay) in arms.items()
    }
    gains = {
        name: [a - b for a, b in zip(values, found["neither"], strict=True)]
        for name, values in found.items()
    }
    dropout, decay, both = (spread(gains[name]) for name in ("dropout", "weight decay", "both"))
    said = (
        f"Over neither, dropout gains {dropout}, weight decay of {DECAY:g} gains {decay}, both "
        f"gain {both}."
    )
    return said, lambda figure: dots(figure.subplots(), found, "test accuracy, %")


def exercise_6() -> Answer:
    """What if weights are dropped instead of activations (DropConnect; Wan et al., 2013)?"""

    def build(masks: Generator) -> nn.Sequential:
        return nn.Sequential(
            *(nn.Flatten(), nn.Linear(784, 256), nn.ReLU()),
            *(DropConnect(256, 256, P[0], masks), nn.ReLU(), DropConnect(256, 10, P[1], masks)),
        )

    found = {
        "dropout": [settled(chapter(P, seed)) for seed in SEEDS],
        "DropConnect": [settled(train(build, seed)[1]) for seed in SEEDS],
        "none": [settled(chapter(NONE, seed)) for seed in SEEDS],
    }
    gaps = [a - b for a, b in zip(found["DropConnect"], found["dropout"], strict=True)]
    said = f"DropConnect's test accuracy minus that of dropout is {spread(gaps)}."
    return said, lambda figure: dots(figure.subplots(), found, "test accuracy, %")


class Exchange(nn.Module):
    """Noise that drops nothing: an activation is exchanged for that of another image of the batch.

    Mean and variance of a unit over the batch stay what they are; what breaks is which activations
    go together.
    """

    def __init__(self, p: float, generator: Generator) -> None:
        super().__init__()
        self.p, self.generator = p, generator

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        keep = (minigrad.rand(x.shape, generator=self.generator) >= self.p).float()
        other = minigrad.randperm(len(x), generator=self.generator)
        return keep * x + (1 - keep) * x[other]


def exercise_7() -> Answer:
    """Invent another noise: does it outperform dropout?"""

    def build(masks: Generator) -> nn.Sequential:
        return nn.Sequential(
            *(nn.Flatten(), nn.Linear(784, 256), nn.ReLU(), Exchange(P[0] / 2, masks)),
            *(nn.Linear(256, 256), nn.ReLU(), Exchange(P[1] / 2, masks), nn.Linear(256, 10)),
        )

    found = {
        "dropout": [settled(chapter(P, seed)) for seed in SEEDS],
        "exchange": [settled(train(build, seed)[1]) for seed in SEEDS],
        "none": [settled(chapter(NONE, seed)) for seed in SEEDS],
    }
    gaps = [a - b for a, b in zip(found["exchange"], found["dropout"], strict=True)]
    better = sum(gap > 0 for gap in gaps)
    said = (
        "Activations are exchanged between the images of a batch: minus dropout this is "
        f"{spread(gaps)}; it outperforms dropout in {better} of {len(gaps)} seeds."
    )
    return said, lambda figure: dots(figure.subplots(), found, "test accuracy, %")


def exercise_8() -> Answer:
    """Does dropout alone break the symmetry of units that begin with equal weights?"""
    x, y = images()[0][np.arange(min(500, IMAGES))]
    found = {}
    for name, p in (("with dropout", 0.5), ("without", 0.0)):
        net: Any = mlp(784, 10, (32,), (p,), generator=Generator(0))
        for parameter in net.parameters():
            nn.init.constant_(parameter, 0.01)
        optimizer = optim.SGD(net.parameters(), lr=0.5)
        apart, loss = [], minigrad.zeros(())
        for _ in range(100):
            optimizer.zero_grad()
            loss = functional.cross_entropy(net(x), y)
            loss.backward()
            optimizer.step()
            w = net[1].weight.detach().numpy()
            apart.append(float(np.abs(w - w.mean(axis=0)).max()))
        found[name] = (apart, loss.item())
    broken = found["with dropout"][0][-1] > 100 * found["without"][0][-1]
    said = (
        f"{'Yes' if broken else 'No'}: after 100 steps the weights of two units differ by up to "
        f"{found['with dropout'][0][-1]:.2g} from their mean with dropout (loss "
        f"{found['with dropout'][1]:.2f}), by {found['without'][0][-1]:.1g} without (loss "
        f"{found['without'][1]:.2f})."
    )

    def draw(figure: Any) -> None:
        panel = figure.subplots()
        curves(panel, {name: apart for name, (apart, _) in found.items()}, "")
        panel.set(xlabel="step", ylabel="largest distance of a weight\nfrom the mean of the units")

    return said, draw


def exercise_9() -> Answer:
    """On 200 inputs and 20 examples, what do weight decay's λ and dropout's p do?"""
    rng = np.random.default_rng(0)  # the weight decay chapter's problem
    n, features, fresh = 20, 200, 1000
    x, x_test = rng.normal(size=(n, features)), rng.normal(size=(fresh, features))
    w = np.full(features, 0.01)
    y = x @ w + 0.05 + 0.01 * rng.normal(size=n)
    y_test = x_test @ w + 0.05

    def error(penalty: Any) -> float:
        """Return the test error of the minimum of ‖y − Xw‖² + Σ penalty·w²."""
        center = y.mean()
        solution = np.linalg.solve(
            x.T @ x + np.diag(penalty + np.zeros(features)), x.T @ (y - center)
        )
        return float(np.mean((x_test @ solution + center - y_test) ** 2))

    decays = np.geomspace(1, 1e4, 13)
    drops = np.array([0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98])
    by_decay = [error(decay) for decay in decays]
    by_drop = [error(p / (1 - p) * (x**2).sum(axis=0)) for p in drops]
    k, j = int(np.argmin(by_decay)), int(np.argmin(by_drop))
    said = (
        f"Both shrink: the best λ, {decays[k]:.3g}, has a test error of {by_decay[k]:.4f}, the "
        f"best p, {drops[j]:g}, one of {by_drop[j]:.4f}. In a linear model dropout is weight decay "
        "with λ = p/(1−p)·Σx² for each input; here all inputs have about the same Σx²."
    )

    def draw(figure: Any) -> None:
        left, right = figure.subplots(1, 2, sharey=True)
        left.plot(decays, by_decay, "o-", color=COLORS[0])
        left.set(xscale="log", xlabel="λ (logarithmic)", ylabel="test error")
        right.plot(drops, by_drop, "s--", color=COLORS[1])
        right.set(xlabel="p, on the inputs")

    return said, draw


EXERCISES: dict[int, Callable[[], Answer]] = {
    1: exercise_1, 2: exercise_2, 3: exercise_3, 4: exercise_4, 5: exercise_5,
    6: exercise_6, 7: exercise_7, 8: exercise_8, 9: exercise_9,
}  # fmt: skip


def main(arguments: list[str] | None = None) -> None:
    """Answer the exercises of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m examples.dropout_exercises", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("exercise", type=int, nargs="*", help="numbers (default: all)")
    parser.add_argument("--out", type=Path, default=Path("out/exercises"), help="of the figures")
    args = parser.parse_args(arguments)
    if unknown := [n for n in args.exercise if n not in EXERCISES]:
        known = ", ".join(map(str, EXERCISES))
        parser.error(f"there is no exercise {unknown[0]}: choose from {known}")
    try:
        args.out.mkdir(parents=True, exist_ok=True)
        print(f"data: {IMAGES:,} of {images()[0].source}")
        for number in args.exercise or EXERCISES:
            answer(number, args.out)
    except OSError as error:
        sys.exit(f"error: {error}")
    except ModuleNotFoundError as error:
        sys.exit(f"error: figures need {error.name}: pip install 'minigrad[examples]'")


def answer(number: int, folder: Path) -> None:
    """Print question and answer of an exercise, and write its figure."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    start = time.perf_counter()
    print(f"\n{number}. {(EXERCISES[number].__doc__ or '').strip()}", flush=True)
    said, draw = EXERCISES[number]()
    figure = Figure(figsize=(6.4, 3.4), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    draw(figure)
    with replacing(folder / f"{number}.png") as path:
        figure.savefig(path, format="png")
    seconds = time.perf_counter() - start
    print(f"   {said}\n   {folder / f'{number}.png'}, {seconds:.0f} s", flush=True)


if __name__ == "__main__":
    main()
