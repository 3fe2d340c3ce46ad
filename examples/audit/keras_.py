"""Keras's, on the backend that KERAS_BACKEND names."""

from __future__ import annotations

from typing import Any

from examples.audit.entry import Entry
from minigrad.testing.subjects import Domain, Subject

PACKAGES = ("keras",)
SEEDS = 2**31 - 1  # its seeds become int32


class Seeded:
    """A layer with a seed, made anew when it is seeded; its p is set for each call."""

    def __init__(self, layers: Any) -> None:
        self.layers = layers
        self.seed(0)

    def seed(self, number: int) -> None:
        self.layer = self.layers.Dropout(0.5, seed=number)

    def __call__(self, x: Any, p: float, training: bool) -> Any:
        self.layers.Dropout(p)  # refuses what is no probability
        self.layer.rate = p
        return self.layer(x, training=training)


def entries() -> list[Entry]:
    """Return its layer with a seed, and without one."""
    import keras

    seeded = Seeded(keras.layers)
    made: dict[str, Any] = {}

    def unseeded(x: Any, p: float, training: bool) -> Any:
        if repr(p) not in made:
            made[repr(p)] = keras.layers.Dropout(p)
        return made[repr(p)](x, training=training)

    def seed(number: int) -> None:
        made.clear()
        keras.utils.set_random_seed(number % 2**31)

    domain = Domain(dtypes=("float32",), seeds=SEEDS)
    quick = keras.backend.backend() == "jax"
    return [
        Entry(
            Subject("Dropout(seed=int)", seeded, "keras", domain=domain, seed=seeded.seed),
            quick=quick,
        ),
        Entry(Subject("Dropout()", unseeded, "keras", domain=domain, seed=seed), quick=quick),
    ]
