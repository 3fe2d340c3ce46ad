"""Wrong gradients: all of these compute the right output."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import minigrad as mg
from minigrad.random import default_generator
from minigrad.testing.zoo.bug import bug


def dropped(x: Any, keep: Any, p: float, derivative: Callable[..., Any]) -> Any:
    """Return the right output, recorded with this derivative."""

    @mg.differentiable(x=derivative)
    def op(x: Any, keep: Any, p: float) -> Any:
        return x * keep / (1 - p)

    return op(x, keep, p)


@bug("backward_mask", "openai/guided-diffusion#167, allenai/OLMo-core#828: recomputed, redrawn")
def fresh_mask_in_backward(x: Any, p: float) -> Any:
    def derivative(g: Any, p: float) -> Any:
        return g * default_generator.keep_mask(g.shape, p) / (1 - p)

    return dropped(x, mg.rand(x.shape) >= p, p, derivative)


@bug("no_grad", "invented: another routine where nothing is recorded; checkpoints redraw its mask")
def another_mask_under_no_grad(x: Any, p: float) -> Any:
    if mg.is_grad_enabled():
        return x * (mg.rand(x.shape) >= p) / (1 - p)
    return x * (mg.rand(x.shape, dtype=np.float64) >= p) / (1 - p)


@bug("backward_scale", "dX = mask * dY, in many a layer written from scratch")
def no_scale_in_backward(x: Any, p: float) -> Any:
    return dropped(x, mg.rand(x.shape) >= p, p, lambda g, keep: g * keep)


@bug("backward_mask", "nilbahaaeddine/M1_CNN: dOut - dOut * mask")
def gradient_of_what_was_dropped(x: Any, p: float) -> Any:
    return dropped(x, mg.rand(x.shape) >= p, p, lambda g, keep: g - g * keep)


@bug("backward_mask", "ddbourgin/numpy-ml#94: the gradient goes straight through")
def no_mask_in_backward(x: Any, p: float) -> Any:
    return dropped(x, mg.rand(x.shape) >= p, p, lambda g, p: g / (1 - p))


@bug("backward_scale", "kaldi-asr/kaldi#3890: dY · Y / X, and dY where X is 0 (behind a ReLU!)")
def mask_read_off_the_output(x: Any, p: float) -> Any:
    def derivative(g: Any, x: Any, y: Any) -> Any:
        return np.where(x == 0, g, g * y / np.where(x == 0, 1, x))

    return dropped(x, mg.rand(x.shape) >= p, p, derivative)


@bug("backward_mask", "from-scratch layers keep self.mask: wrong when a layer is used twice")
def mask_of_the_last_call() -> Any:
    layer: dict[str, np.ndarray] = {}

    def dropout(x: Any, p: float) -> Any:
        layer["mask"] = (mg.rand(x.shape) >= p).numpy()
        return dropped(x, layer["mask"], p, lambda g, p: g * layer["mask"] / (1 - p))

    return dropout


@bug("backward_mask", "TinyTorch returns a new Tensor from an array: the graph ends there")
def detached(x: Any, p: float) -> Any:
    return (x * (mg.rand(x.shape) >= p) / (1 - p)).detach()
