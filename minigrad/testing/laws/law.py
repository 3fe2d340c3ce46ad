"""What a law is, when it applies, and what it weighs."""

from __future__ import annotations

import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from minigrad.testing.laws.trial import BrokenLaw, Trial
from minigrad.testing.noise import INVERTED
from minigrad.testing.statistics import Budget, charge
from minigrad.testing.subjects import Subject

#: the false-alarm probability of a statistical law, for all of its tests together
ALPHA = 1e-9


#: what a broken law says of a dropout, the worst first
BUG, EDGE, CONTRACT = "bug", "edge", "contract"
TIERS = {
    BUG: "the noise is wrong",
    EDGE: "the ends of p, dtypes, shapes, in place",
    CONTRACT: "what libraries do differently for good reasons",
}


@dataclass(frozen=True)
class Law:
    """A property that every correct dropout has, with the check of it.

    Args:
        name: what to call it.
        statement: what holds, in a sentence.
        check: raises AssertionError if it does not.
        tier: what it means that it does not hold: of `TIERS`.
        needs: what it takes to tell, of `LACKS`.
        alpha: the probability that a correct dropout fails; the rest of what an exact law leaves
            to chance has a probability below 2⁻⁶⁰, which is not counted.
        detects: returns what it is sure to see, with a probability of at least 1 - 10⁻⁶.
    """

    name: str
    statement: str
    check: Callable[[Trial], None]
    tier: str = BUG
    needs: tuple[str, ...] = ()
    alpha: float = 0.0
    detects: Callable[[], str] | None = None

    def __call__(
        self,
        subject: Subject,
        rng: np.random.Generator | int = 0,
        quick: bool = False,
        trial_of: Callable[..., Trial] = Trial,
    ) -> None:
        """Check that the subject obeys.

        The law's ``alpha`` is charged to the run, and the framework's randomness is left as found.

        Args:
            subject: the dropout under test.
            rng: where inputs and seeds come from, or a seed for that.
            quick: draw less, which sees less, and use fewer shapes; alpha is the same.
            trial_of: makes the trial; `Trial`, or one that is watched.

        Raises:
            BrokenLaw: it does not; or it raised what no correct dropout raises.
            ValueError: the law does not apply to the subject.
        """
        if missing := self.missing(subject):
            raise ValueError(f"the law {self.name!r} does not apply to {subject.name}: {missing}")
        trial: Trial | None = None
        framework, state = subject.framework, None
        if self.alpha:
            charge(f"the law {self.name!r}", self.alpha)
        try:
            state = framework.state() if framework.state else None
            trial = trial_of(subject, np.random.default_rng(rng), quick)
            with Budget(self.alpha, apart=True) as trial.budget, warnings.catch_warnings():
                warnings.simplefilter("ignore")
                with np.errstate(all="ignore"):
                    self.check(trial)
        except Exception as error:
            call = trial.last_call if trial else "none"
            raise BrokenLaw(f"{_words(error)}\nlast call: {call}", self.statement) from error
        finally:
            if state is not None and framework.set_state:
                framework.set_state(state)

    def missing(self, subject: Subject) -> str | None:
        """Return what the subject lacks for the law to apply; None if it applies."""
        found = (LACKS[need] for need in self.needs if not _has(subject, need))
        return next(found, None)


def _has(subject: Subject, need: str) -> bool:
    """Return whether a subject offers something, of `LACKS`."""
    framework, noise = subject.framework, subject.noise
    facts = {
        "gradient": subject.gradients,
        "no_grad": framework.no_grad is not None,
        "module": subject.module is not None and framework.layers is not None,
        "mask": noise.variance is None,
        "inverted": noise is INVERTED,
        "elements": subject.units is None,
        "own_draws": not subject.keyed,
    }
    if need in facts:
        return facts[need]
    if need in ("seed", "state"):
        offers = subject.seed if need == "seed" else (subject.state and subject.set_state)
        return bool(offers) and _is_reached_by_seeds(subject)
    return bool(getattr(subject, need))


#: what a law may need, and what to say where it is missing
LACKS = {
    "gradient": "there are no gradients",
    "no_grad": "there are no gradients whose recording could be turned off",
    "modes": "it takes no mode, and is for training alone",
    "module": "it is no module",
    "inplace": "it has no in-place form",
    "from_uniforms": "its random numbers cannot be given to it",
    "spawn": "it spawns no streams",
    "rows": "it cannot be told which rows of a batch it is given",
    "seed": "it draws from a generator of its own, which cannot be seeded from here",
    "state": "the state of its generator cannot be read and restored",
    "mask": "its noise drops nothing",
    "inverted": "its noise is another than 0 or x/(1 - p)",
    "units": "each element has a fate of its own",
    "elements": "its elements share their fate with others",
    "own_draws": "its random numbers follow from the key of each call",
}


def _words(error: Exception) -> str:
    """Return what a check found, or what was raised, and where."""
    if isinstance(error, AssertionError):
        return str(error) or "an assertion failed"
    *_, (frame, line) = traceback.walk_tb(error.__traceback__)
    file = frame.f_code.co_filename.rpartition("site-packages/")[-1]
    return f"it raised {type(error).__name__}: {error} (line {line} of {file})"


def _is_reached_by_seeds(subject: Subject) -> bool:
    """Return whether the framework's seed reaches the dropout, where that is in doubt.

    NumPy's functions may draw from generators of their own. Those that do leave ``np.random`` where
    it was.
    """
    framework = subject.framework
    if subject.seeded or not framework.private_generators or framework.state is None:
        return True
    before = framework.state()
    try:
        subject.dropout(framework.tensor(np.ones((8, 8), np.float32), False), 0.5, True)
    except Exception:
        return True  # the law will say so
    moved = bool(framework.state() != before)
    if framework.set_state:
        framework.set_state(before)
    return moved


def law(
    statement: str,
    tier: str,
    needs: tuple[str, ...] = (),
    alpha: float = 0.0,
    detects: Callable[[], str] | None = None,
) -> Callable[[Callable[[Trial], None]], Law]:
    """Make a check a law, under its own name; arguments as for `Law`."""
    return lambda check: Law(check.__name__, statement, check, tier, needs, alpha, detects)
