"""Fashion-MNIST as torchvision has it: images one by one, each through a transform."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

import data.fashion_mnist as source
from examples.d2l.vision.transforms import Compose, Resize, ToTensor


@lru_cache(maxsize=1)  # both halves are read at once, and each object wants one
def _halves(folder: str | None) -> tuple[source.FashionMNIST, source.FashionMNIST]:
    return source.load_fashion_mnist(folder)


def _is_idle(step: Any) -> bool:
    """Return whether a transform gives images the size that they have."""
    return isinstance(step, Resize) and step.size in (28, [28, 28], (28, 28))


class FashionMNIST:
    """One half of Fashion-MNIST.

    Args:
        root: for torchvision's signature: `data.fashion_mnist` finds the data itself.
        train: whether it is the training half.
        transform: from a PIL image to what the data set gives; None for the image itself.
        target_transform: likewise of the class number.
        download: for torchvision's signature.

    Attributes:
        gathers: whether whole batches are gathered at once: where ``transform`` comes to no more
            than `ToTensor`, that gives the same, much faster.
        classes: the names of the classes, torchvision's.
    """

    classes = (
        "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
        "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
    )  # fmt: skip

    def __init__(
        self,
        root: Any = None,
        train: bool = True,
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[int], Any] | None = None,
        download: bool = False,
    ) -> None:
        self._half = _halves(os.environ.get("MINIGRAD_DATA") or None)[0 if train else 1]
        self.train = train
        self.transform = transform
        self.target_transform = target_transform
        steps = transform.transforms if isinstance(transform, Compose) else [transform]
        steps = [step for step in steps if not _is_idle(step)]
        self.gathers = [type(step) for step in steps] == [ToTensor] and target_transform is None

    def __len__(self) -> int:
        return len(self._half)

    def __getitem__(self, index: Any) -> tuple[Any, Any]:
        if self.gathers:
            X, y = self._half[index]
            return X, int(y.item()) if np.ndim(index) == 0 else y
        from PIL import Image

        image: Any = Image.fromarray(self._half.images[index])
        label = int(self._half.labels[index])
        if self.transform is not None:
            image = self.transform(image)
        return image, label if self.target_transform is None else self.target_transform(label)
