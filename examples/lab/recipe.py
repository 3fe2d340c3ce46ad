"""How a network is trained: the settings of a training, with the chapter's as their defaults."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

CHOICES = {
    "noise": (
        "dropout", "Gaussian", "DropConnect", "DropConnect per example", "from scratch",
        "normal noise",
    ),
    "schedule": ("always", "early", "late"),
    "subset": ("first", "random"),
    "held_out": ("test", "validation"),
}  # fmt: skip


@dataclass(frozen=True)
class Recipe:
    """The settings of a training.

    Attributes:
        hiddens: widths of the hidden layers.
        dropout: the probability after each hidden layer; 0 for none.
        input_dropout: the probability for the pixels.
        noise: what is drawn: ``"dropout"`` or a relative, see `examples.lab.networks`.
        schedule: when it is drawn: in all epochs, in the first half, or in the second.
        lr, epochs, batch_size, momentum, weight_decay: of the training, by SGD.
        max_norm: the largest norm of a hidden unit's incoming weights, kept after each step; 0 for
            no bound (Srivastava et al., 2014, section 5.1).
        decay: let the learning rate fall to 0 along half a cosine, epoch by epoch: the last epochs
            then no longer swing by points, and differences between arms show with fewer seeds.
        size: how many training images, 0 for all.
        subset: the first of them, or a random choice with equal classes, a new one for each seed.
        held_out: what is measured on: the test half, or the last training images.
        left_out: classes that the training does not see, of those it is measured on.
        every: measure after so many epochs, and after the last.
        device: where to train.
    """

    hiddens: Sequence[int] = (256, 256)
    dropout: Sequence[float] = (0.2, 0.5)
    input_dropout: float = 0.0
    noise: str = "dropout"
    schedule: str = "always"
    lr: float = 0.5
    epochs: int = 10
    batch_size: int = 256
    momentum: float = 0.0
    weight_decay: float = 0.0
    max_norm: float = 0.0
    decay: bool = False
    size: int = 0
    subset: str = "first"
    held_out: str = "test"
    left_out: Sequence[int] = ()
    every: int = 1
    device: str = "cpu"

    def __post_init__(self) -> None:
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                raise ValueError(
                    f"{name} must be one of {', '.join(choices)}, got {getattr(self, name)!r}"
                )
        if len(self.dropout) != len(self.hiddens):
            raise ValueError(
                f"{len(self.hiddens)} hidden layers need as many probabilities, got {self.dropout}"
            )
