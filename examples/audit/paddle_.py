"""PaddlePaddle's."""

from __future__ import annotations

from examples.audit.entry import Entry
from minigrad.testing.noise import ALPHA, CLASSIC
from minigrad.testing.subjects import Domain, Subject

PACKAGES = ("paddle",)


def entries() -> list[Entry]:
    """Return dropout in both of its modes, of channels, and alpha dropout."""
    import paddle
    from paddle.nn import functional as F

    paddle.set_device("cpu")
    wide = Domain(dtypes=("float32", "float64"))

    def classic(x: object, p: float, training: bool) -> object:
        return F.dropout(x, p, training=training, mode="downscale_in_infer")

    subjects = [
        Subject("F.dropout", F.dropout, "paddle", domain=wide),
        Subject(
            "F.dropout(mode='downscale_in_infer')", classic, "paddle", domain=wide, noise=CLASSIC
        ),
        Subject("F.dropout2d", F.dropout2d, "paddle", domain=wide, units=("N", "C", 1, 1)),
        Subject("F.alpha_dropout", F.alpha_dropout, "paddle", domain=wide, noise=ALPHA),
    ]
    return [Entry(subject) for subject in subjects]
