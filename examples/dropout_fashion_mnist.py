"""The chapter's experiment: an MLP with dropout beside the same MLP without, on Fashion-MNIST.

    python -m examples.dropout_fashion_mnist            # the chapter's settings, all images
    python -m examples.dropout_fashion_mnist --quick    # a moment's look: fewer images and epochs
    mpiexec -n 2 python -m examples.dropout_fashion_mnist   # two processes share each batch

Both arms start from the same weights and see the same batches in the same order: weights,
shuffling and dropout each have a random stream of their own, so that switching dropout off changes
neither of the others. Prints a table, and writes figure, curves and settings into ``--out``.
Killed or interrupted, the same command goes on within a minute of where it was, and ends in the
same bits; with ``--resume`` it is an error if there is nothing to go on with.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import platform
import shutil
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np

import minigrad
from data.fashion_mnist import FashionMNIST, load_fashion_mnist
from minigrad import distributed, nn, optim
from minigrad.determinism import surroundings
from minigrad.device import move
from minigrad.training import History, fit
from minigrad.utils.data import DataLoader
from minigrad.utils.files import replacing
from models import init_weights, mlp

CHAPTER = {"lr": 0.5, "batch_size": 256, "epochs": 10}
FEW = 10_000  # training images, for which the chapter's 40 updates an epoch are too few
#: of rates .05 to .3 and batches of 32 to 128 the best for either arm on the last 2,000 of the
#: sample's training images (8,000 to learn from, two seeds of their own, the mean of epochs 18-20)
FOR_FEW = {"lr": 0.1, "batch_size": 32, "epochs": 20}
QUICK_EPOCHS = 4
EVERY = timedelta(seconds=10)  # how much training a kill may cost
UNFINISHED = "unfinished"
#: settings that change what is shown or where, and not what is computed
_OUTWARD = ("out", "quiet", "surroundings", "world_size")


def main(arguments: list[str] | None = None) -> None:
    """Run the experiment; ``arguments`` default to the command line's."""
    args = parse(arguments)
    if distributed.launched():
        distributed.init()
        args.quiet |= distributed.rank() > 0
    try:
        _main(args)
    except KeyboardInterrupt:
        print("\ninterrupted; the same command goes on from here", file=sys.stderr)
        sys.exit(130)


def _main(args: argparse.Namespace) -> None:
    try:
        move(np.zeros(0), args.device)  # asks for the device before any work is done
        train, test = load_fashion_mnist(args.data_dir, quiet=True)
    except (RuntimeError, ValueError, OSError) as error:
        sys.exit(f"error: {error}")
    if not args.quiet:
        print(f"data: {train.source}")
    found = len(train), len(test)
    train = shorten(train, args.train_size).to(args.device)
    test = shorten(test, args.test_size).to(args.device)
    if not args.quiet and (len(train), len(test)) != found:
        print(f"used: the first {len(train):,} training and {len(test):,} test images")
    said = choose_recipe(args, len(train))
    if said and not args.quiet:
        print(said)
    out, first = Path(args.out), distributed.rank() == 0
    try:
        trial = out / f"settings.json.part{distributed.rank()}"
        with replacing(trial) as path:  # before any work is done
            path.touch()
        trial.unlink()
    except OSError as error:
        sys.exit(f"error: cannot write into {args.out}: {error}")

    settings = {
        **vars(args),
        "data": train.source,
        "train_size": len(train),
        "test_size": len(test),
        "versions": {
            "minigrad": minigrad.__version__,
            "numerics": minigrad.__numerics__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
        "surroundings": surroundings(),
        "world_size": distributed.world_size(),
    }
    del settings["resume"]
    none = [0.0] * len(args.dropout)
    nets: dict[str, nn.Sequential] = {}
    histories: dict[str, History] = {}
    try:
        if first:
            begin(out / UNFINISHED, settings, args.resume)
        distributed.barrier()
        for name, dropout in ("with dropout", args.dropout), ("without dropout", none):
            nets[name], histories[name] = run(args, name, dropout, train, test)
    except FloatingPointError as error:
        sys.exit(f"error: {name}: {error}")
    except (OSError, ValueError) as error:
        sys.exit(f"error: {error}")
    if not first:
        return  # rank 0 prints and writes
    print(table(histories))
    print(conclusion(histories, *(hits(net, test, args) for net in nets.values())))
    try:
        write(out, histories, settings)
        shutil.rmtree(out / UNFINISHED, ignore_errors=True)
    except OSError as error:
        sys.exit(f"error: cannot write into {args.out}: {error}")
    if not args.quiet:
        print(f"wrote comparison.png, curves.csv and settings.json to {args.out}/")


def choose_recipe(args: argparse.Namespace, images: int) -> str:
    """Fill in the settings that were not given; say so where they are not the chapter's."""
    few = images <= FEW
    recipe = dict(FOR_FEW if few else CHAPTER)
    if args.quick:
        recipe["epochs"] = QUICK_EPOCHS
    chosen = {name: value for name, value in recipe.items() if getattr(args, name) is None}
    for name, value in chosen.items():
        setattr(args, name, value)
    if not few or not chosen.keys() & {"lr", "batch_size"}:
        return ""
    return (
        f"recipe: {args.epochs} epochs in batches of {args.batch_size} at learning rate "
        f"{args.lr:g}, for {FEW:,} images, chosen on 2,000 of them held out;\nwith the chapter's "
        f"batches of {CHAPTER['batch_size']} at {CHAPTER['lr']:g} both nets would end half-trained"
    )


def begin(folder: Path, settings: dict[str, Any], resume: bool) -> None:
    """Make sure that what is unfinished in a folder is of these settings, or nothing.

    Raises:
        ValueError: there is nothing to ``resume``, or it is of other settings.
    """
    inner = {name: value for name, value in settings.items() if name not in _OUTWARD}
    inner = json.loads(json.dumps(inner))
    path = folder / "settings.json"
    found: Any = json.loads(path.read_text()) if path.exists() else {}
    if resume and not found:
        raise ValueError(f"there is no unfinished run in {folder}: begin one without --resume")
    if resume and found != inner:
        names = [name for name in inner if found.get(name) != inner[name]]
        there = ", ".join(f"{name} {found.get(name)}" for name in names)
        raise ValueError(f"the unfinished run in {folder} is another one: it has {there}")
    if found != inner:
        if found and not settings["quiet"]:
            print(f"begins anew: the unfinished run in {folder} was one of other settings")
        shutil.rmtree(folder, ignore_errors=True)
        with replacing(path) as new:
            new.write_text(json.dumps(inner, indent=2) + "\n")


def run(
    args: argparse.Namespace, name: str, dropout: list[float], train: Any, test: Any
) -> tuple[nn.Sequential, History]:
    """Train one arm, or go on with it; both get the same three streams."""
    weights, shuffling, masks = minigrad.Generator(args.seed).spawn(3)
    with minigrad.fork_rng():
        minigrad.random.set_rng_state(weights.get_state())
        net = mlp(784, 10, args.hiddens, dropout, generator=masks).apply(init_weights)
    net.to(args.device)
    path = Path(args.out, UNFINISHED, f"{name.replace(' ', '_')}.safetensors")
    if path.exists() and not args.quiet:
        print(f"{name}: goes on with {path}")
    history = fit(
        distributed.DataParallel(net),
        distributed.shard(DataLoader(train, args.batch_size, shuffle=True, generator=shuffling)),
        distributed.shard(DataLoader(test, args.batch_size)),
        nn.CrossEntropyLoss(),
        args.epochs,
        optim.SGD(net.parameters(), lr=args.lr),
        progress=False if args.quiet else None,
        name=name,
        checkpoint=path,
        every=EVERY,
        resume="auto",
    )
    return net, history


def hits(net: nn.Module, test: FashionMNIST, args: argparse.Namespace) -> np.ndarray:
    """Return, for each test image, whether the net names its class."""
    net.eval()
    with minigrad.no_grad():
        right = [
            (net(x).argmax(dim=1) == y).cpu().numpy() for x, y in DataLoader(test, args.batch_size)
        ]
    return np.concatenate(right)


def table(histories: dict[str, History]) -> str:
    """Return the last epoch's measures of both arms, and their difference."""
    last = {name: history.rows()[-1] for name, history in histories.items()}
    left, right = last.values()
    lines = ["{:34}{:>14}{:>17}{:>12}".format("last epoch", *last, "difference")]
    for measure, words in (
        ("train_loss", "train loss in training mode"),
        ("train_acc", "train accuracy in training mode"),
        ("train_acc_eval", "train accuracy in eval mode"),
        ("test_loss", "test loss"),
        ("test_acc", "test accuracy"),
    ):
        a, b = left[measure], right[measure]
        lines.append(f"{words:34}{a:14.4f}{b:17.4f}{a - b:+12.4f}")
    seconds = [sum(history.seconds) for history in histories.values()]
    return "\n".join([*lines, "{:34}{:14.1f}{:17.1f}".format("training time, seconds", *seconds)])


def conclusion(histories: dict[str, History], left: np.ndarray, right: np.ndarray) -> str:
    """Return what these two runs can say, and what they cannot.

    The interval is for the two trained nets on images like these: it comes from the images that
    exactly one of them gets right (McNemar, 1947).
    """
    n, difference = len(left), float(left.mean() - right.mean())
    only_left, only_right = int((left & ~right).sum()), int((right & ~left).sum())
    half = 1.96 * math.sqrt(only_left + only_right) / n
    late = [history.test_acc[-5:] for history in histories.values()]
    swing = max(max(accuracies) - min(accuracies) for accuracies in late)
    return f"""
What can be said: of {n:,} test images, {only_left:,} are right only with dropout and {only_right:,}
only without. For these two nets the difference in test accuracy is {100 * difference:+.2f} points,
95 % interval {100 * (difference - half):+.2f} to {100 * (difference + half):+.2f}.
What cannot: whether dropout helps. That interval knows only the luck of the images; another seed
draws other weights, batches and masks. Within the last {len(late[0])} epochs alone test accuracy
moved by up to {100 * swing:.2f} points. Compare many seeds (--seed) before believing either sign.
"""


def write(folder: Path, histories: dict[str, History], settings: dict[str, Any]) -> None:
    """Write the figure, the curves and the settings, each whole or not at all."""
    rows = [{"arm": name, **row} for name, history in histories.items() for row in history.rows()]
    with replacing(folder / "curves.csv") as path, path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    with replacing(folder / "settings.json") as path:
        path.write_text(json.dumps(settings, indent=2) + "\n")

    import matplotlib

    matplotlib.use("Agg")  # the figure goes into a file, whether or not there is a screen
    import matplotlib.pyplot as plt

    from minigrad.plot import plot_comparison

    left, right = histories.values()
    plt.close(plot_comparison(left, right, path=folder / "comparison.png"))


def shorten(data: FashionMNIST, size: int | None) -> FashionMNIST:
    """Return the first ``size`` images."""
    return replace(data, images=data.images[:size], labels=data.labels[:size])


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line; --quick changes defaults, and what is given explicitly wins."""
    parser = argparse.ArgumentParser(
        prog="python -m examples.dropout_fashion_mnist", description=(__doc__ or "").split("\n")[0]
    )
    add = parser.add_argument
    add("--hiddens", type=int, nargs="+", default=[256, 256], help="widths of the hidden layers")
    add("--dropout", type=float, nargs="+", default=[0.2, 0.5], help="a probability after each")
    add("--lr", type=float, help="learning rate (default: 0.5; up to 10,000 images 0.1)")
    add("--batch-size", type=int, help="images in a batch (default: 256; up to 10,000 images 32)")
    add("--epochs", type=int, help="default: 10; up to 10,000 images 20; with --quick 4")
    add("--train-size", type=int, help="use the first N training images; with --quick 10,000")
    add("--test-size", type=int, help="use the first N test images; with --quick 2,000")
    add("--seed", type=int, default=0, help="of all three random streams (default: 0)")
    add("--device", default="cpu", help="cpu or cuda (default: cpu)")
    add("--data-dir", help="a folder with Fashion-MNIST's four files (default: look for them)")
    add("--out", default="out", help="the folder to write into (default: out)")
    add("--resume", action="store_true", help="go on; an error if there is nothing to go on with")
    add("--quick", action="store_true", help="a first look: fewer images and epochs")
    add("--quiet", action="store_true", help="print results only, and no progress")
    args = parser.parse_args(arguments)
    for name, quick in (("train_size", FEW), ("test_size", 2_000)):
        if getattr(args, name) is None and args.quick:
            setattr(args, name, quick)
    if len(args.dropout) != len(args.hiddens):
        parser.error(f"--dropout needs {len(args.hiddens)} probabilities, one a hidden layer")
    if not all(0 <= p <= 1 for p in args.dropout):
        parser.error(f"--dropout takes probabilities from 0 to 1, got {args.dropout}")
    if args.lr is not None and not args.lr >= 0:
        parser.error(f"--lr must be at least 0, got {args.lr}")
    if not 0 <= args.seed < 2**64:
        parser.error(f"--seed must be from 0 to 2**64 - 1, got {args.seed}")
    if min(args.hiddens) < 1:
        parser.error(f"--hiddens must be at least 1, got {args.hiddens}")
    for name in ("epochs", "batch_size", "train_size", "test_size"):
        if getattr(args, name) is not None and getattr(args, name) < 1:
            parser.error(f"--{name.replace('_', '-')} must be at least 1")
    return args


if __name__ == "__main__":
    main()
