"""The dropout laboratory: each claim of the chapter as an experiment with a verdict.

    python -m examples.lab                     # the experiments, and what they said last
    python -m examples.lab run NAME --quick    # one of them, in a minute or so
    python -m examples.lab run all --full      # all of them, hours: says how long, goes on
    python -m examples.lab report              # report.html and report.md of all results so far
    python -m examples.lab publish             # docs/laboratory.md, its table, verdicts in READMEs
    python -m examples.lab recompute           # the same, from the published table alone
    python -m examples.lab pilot epochs=50     # a look at settings, on validation images alone

An experiment is a file here that ends in ``EXPERIMENT = Experiment(...)``: the claim, the runs it
needs, the numbers it keeps of each, its effects and its figure. `EXPERIMENTS` lists the files;
`frame` says what an experiment is; `criteria` what was fixed before there was data; `identity`
what a result depends on. `training` and `probes` do the computing; `execute`, `workers` and
`storage` see that it is done once and kept. `table` is what gets published; `statistics` and
`verdicts` read it; `report` and `publish` write what comes out.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from examples.lab.frame import Experiment

#: the modules, in the order of the report
EXPERIMENTS = [
    "with_without",
    "stability",
    "regimes",
    "sweep",
    "activations",
    "coadaptation",
    "averaging",
    "weight_decay",
    "width",
    "robustness",
    "variants",
    "normal_noise",
    "tikhonov",
    "calibration",
    "schedule",
    "inputs",
]


def load(name: str) -> Experiment:
    """Return an experiment by the name of its module.

    Raises:
        KeyError: there is none of that name.
    """
    if name not in EXPERIMENTS:
        raise KeyError(f"no experiment {name!r}: choose from {', '.join(EXPERIMENTS)}")
    experiment: Experiment = importlib.import_module(f"examples.lab.{name}").EXPERIMENT
    return experiment
