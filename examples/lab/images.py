"""The images of a run: which, from where, and that they are those that were asked for.

A run names its data by a checksum. Whoever does it, here or on another machine, reads the images
that he finds and refuses others. A pilot chooses on validation images, and is never handed the test
half.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace

import numpy as np

import minigrad
from data.fashion_mnist import SAMPLE_DIR, FashionMNIST, load_fashion_mnist
from minigrad import Generator

VALIDATION = 10_000  # the last training images, or the last fifth where there are few
CLASSES = 10
#: the checksum that the images of the run in progress must have; "" for whatever is found
ASKED: ContextVar[str] = ContextVar("ASKED", default="")


@dataclass(frozen=True)
class Found:
    """A data set that was found.

    Attributes:
        sha256: of the bytes of images and labels, training half first.
        train, test: how many images each half has.
        source: where it came from.
    """

    sha256: str
    train: int
    test: int
    source: str

    @property
    def words(self) -> str:
        """The data in words, for reports."""
        return (
            f"{self.train:,} training and {self.test:,} test images of Fashion-MNIST "
            f"(SHA-256 {self.sha256[:12]})"
        )


@functools.cache
def _halves(sample: bool) -> tuple[FashionMNIST, FashionMNIST]:
    return load_fashion_mnist(SAMPLE_DIR if sample else None, quiet=True)


@functools.cache
def found(sample: bool = False) -> Found:
    """Return what is found here: the sample of the repository, or the best there is."""
    digest = hashlib.sha256()
    train, test = _halves(sample)
    for half in train, test:
        digest.update(half.images.tobytes())
        digest.update(half.labels.astype("<i8").tobytes())
    return Found(digest.hexdigest(), len(train), len(test), train.source)


@contextmanager
def asked(sha256: str) -> Iterator[None]:
    """Let the run in the block read images of this checksum alone."""
    token = ASKED.set(sha256)
    try:
        yield
    finally:
        ASKED.reset(token)


def _asked_halves() -> tuple[FashionMNIST, FashionMNIST]:
    sha256 = ASKED.get()
    if not sha256 or found().sha256 == sha256:
        return _halves(False)
    if found(sample=True).sha256 == sha256:
        return _halves(True)
    raise ValueError(
        f"the run asks for the images with SHA-256 {sha256[:12]}, and here are {found().words} and "
        "the sample: put the same four files on each machine, and name their folder by "
        "MINIGRAD_DATA"
    )


@dataclass(frozen=True)
class Split:
    """The images of a run.

    Attributes:
        train: what it learns from.
        judged: what it is measured on.
        seen: both in words; stored with the result.
    """

    train: FashionMNIST
    judged: FashionMNIST
    seen: str

    def to(self, device: str) -> Split:
        """Return the same images on another device."""
        if device == "cpu":
            return self
        return replace(self, train=self.train.to(device), judged=self.judged.to(device))


def split(
    size: int = 0,
    held_out: str = "test",
    subset: str = "first",
    generator: Generator | None = None,
    left_out: Sequence[int] = (),
) -> Split:
    """Return what a run learns from and what it is measured on.

    Args:
        size: how many training images; 0 for all there are, without those held out.
        held_out: ``"test"``, or ``"validation"`` for the last training images.
        subset: ``"first"``, or ``"random"`` for a choice in which all classes are equal.
        generator: where a random subset is drawn from.
        left_out: classes that are not learned.

    Raises:
        ValueError: there are not so many images, or these are not the images asked for.
    """
    whole, test = _asked_halves()
    pool, judged, words = whole, test, f"the {len(test):,} test images"
    if held_out == "validation":
        rest = len(whole) - min(VALIDATION, len(whole) // 5)
        pool, judged = part(whole, np.arange(rest)), part(whole, np.arange(rest, len(whole)))
        words = f"training images {rest + 1:,} to {len(whole):,}"
    del test  # a pilot goes on without it
    if size > len(pool):
        raise ValueError(
            f"{size:,} training images were asked for, and there are {len(pool):,}: {whole.source}"
        )
    size = size or len(pool)
    index, name = np.arange(size), f"the first {size:,}"
    if subset == "random":
        index, name = _stratified(pool.labels, size, generator), f"{size:,} random ones of"
        name += f" the first {len(pool):,}"
    if left_out:
        index = index[~np.isin(pool.labels[index], left_out)]
        name += f" without the classes {', '.join(map(str, left_out))}"
    return Split(part(pool, index), judged, f"learned from {name}, measured on {words}")


def _stratified(labels: np.ndarray, size: int, generator: Generator | None) -> np.ndarray:
    """Return the places of random examples, of each class as many as there are of the others.

    Where a class has too few, more of the others make up for it.
    """
    order = minigrad.randperm(len(labels), generator=generator).numpy()
    turn = np.empty(len(order), dtype=np.int64)  # how many of its class come before an example
    for c in range(CLASSES):
        of_class = labels[order] == c
        turn[of_class] = np.arange(of_class.sum())
    return np.sort(order[np.argsort(turn, kind="stable")[:size]])


def part(data: FashionMNIST, index: np.ndarray) -> FashionMNIST:
    """Return some of the images, as a data set of their own."""
    run = len(index) and index[-1] - index[0] + 1 == len(index)  # no copy of what lies in a row
    where = slice(int(index[0]), int(index[-1]) + 1) if run else index
    return FashionMNIST(data.images[where], data.labels[where], data.train, data.source)
