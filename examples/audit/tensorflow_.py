"""TensorFlow's: functions, for p in [0, 1)."""

from __future__ import annotations

from typing import Any

from examples.audit.entry import Entry
from minigrad.testing.subjects import Domain, Subject

PACKAGES = ("tensorflow",)


def entries() -> list[Entry]:
    """Return the stateful and the stateless one."""
    import tensorflow as tf

    def stateful(x: Any, p: float, training: bool) -> Any:
        return tf.nn.dropout(x, p) if training else x

    def stateless(seed: int, x: Any, p: float, training: bool) -> Any:
        return tf.nn.experimental.stateless_dropout(x, p, seed=[seed, 0]) if training else x

    half_open = Domain(one=False)
    return [
        Entry(Subject("nn.dropout", stateful, "tensorflow", domain=half_open)),
        Entry(
            Subject(
                "nn.experimental.stateless_dropout", stateless, "tensorflow",
                domain=Domain(one=False, seeds=2**31),
            )
        ),
    ]  # fmt: skip
