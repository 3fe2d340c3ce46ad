"""From images to tensors: ToTensor, Resize, Normalize, Compose."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import minigrad
from minigrad import Tensor


class Compose:
    """One function after the other.

    Args:
        transforms: functions of one argument; the first is called first.
    """

    def __init__(self, transforms: Sequence[Callable[[Any], Any]]) -> None:
        self.transforms = list(transforms)

    def __call__(self, image: Any) -> Any:
        for transform in self.transforms:
            image = transform(image)
        return image


class ToTensor:
    """An image of bytes becomes float32 in [0, 1], channels first: (C, height, width)."""

    def __call__(self, image: Any) -> Tensor:
        pixels = np.asarray(image)
        pixels = pixels[None] if pixels.ndim == 2 else np.moveaxis(pixels, -1, 0)
        scale = np.float32(255 if pixels.dtype == np.uint8 else 1)
        return minigrad.as_tensor(np.ascontiguousarray(pixels, dtype=np.float32) / scale)


class Resize:
    """A PIL image of another size, by linear interpolation.

    Args:
        size: (height, width); or a number, that the shorter side becomes.
    """

    def __init__(self, size: int | Sequence[int]) -> None:
        self.size = size

    def __call__(self, image: Any) -> Any:
        from PIL.Image import Resampling

        width, height = image.size
        if isinstance(self.size, int):
            short = min(width, height)
            new = (int(self.size * height / short), int(self.size * width / short))
        else:
            new = (self.size[0], self.size[1])
        return image.resize(new[::-1], Resampling.BILINEAR)


class Normalize:
    """(x - mean) / std of each channel of a tensor (C, height, width).

    Args:
        mean, std: a number for each channel.
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        self.mean = minigrad.tensor(mean, dtype=minigrad.float32).reshape(-1, 1, 1)
        self.std = minigrad.tensor(std, dtype=minigrad.float32).reshape(-1, 1, 1)

    def __call__(self, image: Tensor) -> Tensor:
        return (image - self.mean) / self.std
