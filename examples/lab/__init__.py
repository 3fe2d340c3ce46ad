"""The dropout laboratory: each claim of the chapter as an experiment with a verdict.

    python -m examples.lab                     # the experiments, and what they said last
    python -m examples.lab run NAME --quick    # one of them, in a minute or so
    python -m examples.lab run all --full      # all of them, an hour or so: says how long, goes on
    python -m examples.lab report              # report.html and report.md of all results so far
    python -m examples.lab publish             # docs/laboratory.md and the verdicts in the READMEs

An experiment is a file here that ends in ``EXPERIMENT = Experiment(...)``: the claim, the criterion
for its verdict (fixed before there is data), the runs it needs, how to judge and how to draw them.
`EXPERIMENTS` lists the files; `frame` says what an experiment is; `execute` runs it; `progress`
knows how long that takes; `report` and `publish` write what came out.
"""

from __future__ import annotations

import importlib

from examples.lab.frame import Experiment

#: the modules, in the order of the report
EXPERIMENTS = [
    "with_without",
    "stability",
    "sweep",
    "regimes",
    "activations",
    "ensemble",
    "weight_decay",
    "tikhonov",
    "width",
    "robustness",
    "variants",
    "normal_noise",
]


def load(name: str) -> Experiment:
    """Return an experiment by the name of its module.

    Raises:
        KeyError: there is none of that name.
    """
    if name not in EXPERIMENTS:
        raise KeyError(f"no experiment {name!r}: choose from {', '.join(EXPERIMENTS)}")
    return importlib.import_module(f"examples.lab.{name}").EXPERIMENT
