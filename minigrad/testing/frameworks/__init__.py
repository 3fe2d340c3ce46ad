"""The frameworks whose dropouts can be tried, by name; each is imported when it is first used."""

from __future__ import annotations

from minigrad.testing.frameworks.eager import CUPY, MINIGRAD, NUMPY, PADDLE, TORCH
from minigrad.testing.frameworks.framework import Framework, Recorded, dtype_named, eps
from minigrad.testing.frameworks.functional import JAX, KERAS, MLX, TENSORFLOW, TINYGRAD

FRAMEWORKS: dict[str, Framework] = {
    framework.name: framework
    for framework in (
        *(MINIGRAD, TORCH, NUMPY, JAX, KERAS, TENSORFLOW),
        *(MLX, TINYGRAD, PADDLE, CUPY),
    )
}

__all__ = [
    "CUPY",
    "FRAMEWORKS",
    "JAX",
    "KERAS",
    "MINIGRAD",
    "MLX",
    "NUMPY",
    "PADDLE",
    "TENSORFLOW",
    "TINYGRAD",
    "TORCH",
    "Framework",
    "Recorded",
    "dtype_named",
    "eps",
]
