"""minigrad's own family."""

from __future__ import annotations

from examples.audit.entry import Entry
from minigrad import nn
from minigrad.nn import functional as F
from minigrad.testing.noise import ALPHA, GAUSSIAN
from minigrad.testing.subjects import Domain, Subject

PACKAGES = ("minigrad", "numpy")
N, C = "N", "C"


def entries() -> list[Entry]:
    """Return its functions and modules, each in its declared form."""
    half_open = Domain(one=False)
    subjects = [
        Subject("F.dropout", F.dropout, "minigrad"),
        Subject("nn.Dropout", nn.Dropout, "minigrad"),
        Subject("nn.Dropout1d", nn.Dropout1d, "minigrad", units=(N, C, 1)),
        Subject("nn.Dropout2d", nn.Dropout2d, "minigrad", units=(N, C, 1, 1)),
        Subject("nn.Dropout3d", nn.Dropout3d, "minigrad", units=(N, C, 1, 1, 1)),
        Subject("nn.AlphaDropout", nn.AlphaDropout, "minigrad", noise=ALPHA),
        Subject("nn.FeatureAlphaDropout", nn.FeatureAlphaDropout, "minigrad", noise=ALPHA,
                units=(N, C, 1, 1)),
        Subject("nn.GaussianDropout", nn.GaussianDropout, "minigrad", noise=GAUSSIAN,
                domain=half_open),
        Subject("nn.DropPath", nn.DropPath, "minigrad", units=(N, 1, ...)),
    ]  # fmt: skip
    return [Entry(subject) for subject in subjects]
