"""Schedules: how the learning rate of each group changes from epoch to epoch.

A schedule multiplies the rate that it finds, as PyTorch's do, so that several schedules of one
optimiser act together and a rate that is set by hand stays in force.
"""

from __future__ import annotations

import math
import numbers
import types
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from minigrad.optim.optimizer import Optimizer

_EARLY = (
    "Detected call of `lr_scheduler.step()` before `optimizer.step()`: the first learning rate of "
    "the schedule is skipped. Call `optimizer.step()` first, then `lr_scheduler.step()`."
)


class LRScheduler:
    """The base of schedules: ``step()`` after each epoch sets every group's learning rate.

    A subclass defines ``get_lr``. Its attributes are its state, so they should be numbers, strings
    or lists and dictionaries of these.

    Args:
        optimizer: whose rates to set. Each group keeps its first rate under ``"initial_lr"``.
        last_epoch: the last epoch of an earlier run that is continued, whose rates the optimiser
            has; -1 to begin.

    Attributes:
        last_epoch: the number of the current epoch, from 0.
        base_lrs: the initial rate of each group.

    Raises:
        TypeError: ``optimizer`` is no optimiser.
        KeyError: an earlier run is continued, but a group has no ``"initial_lr"``.

    Note:
        Make the schedule first, then load the optimiser's state: making a schedule sets the rates.
    """

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"{type(optimizer).__name__} is not an Optimizer")
        if last_epoch != -1:
            for i, group in enumerate(optimizer.param_groups):
                if "initial_lr" not in group:
                    raise KeyError(
                        f"param 'initial_lr' is not specified in param_groups[{i}] when resuming "
                        f"a scheduler with last_epoch={last_epoch}. Load the optimiser's saved "
                        "state first, or leave last_epoch out to begin"
                    )
        self.optimizer = optimizer
        self.base_lrs: list[float] = []
        self._last_lr: list[float] = []
        self.last_epoch = last_epoch + 1
        self._step_count = 1  # 1 only until the first call of step()
        self._steps_before = optimizer.steps_taken
        self.check(vars(self))
        self._adopt()
        self._set(self.first_lr())

    def get_lr(self) -> list[float]:
        """Return the rate of each group in epoch ``last_epoch``, which has just begun."""
        raise NotImplementedError(f"{type(self).__name__} must define get_lr()")

    def first_lr(self) -> list[float]:
        """Return the rate of each group when the schedule is made; as in any epoch, if not said."""
        return self.get_lr()

    def check(self, settings: Mapping[str, Any]) -> None:
        """Raise ValueError if settings, given or loaded, are out of range; for subclasses."""

    def step(self) -> None:
        """Go to the next epoch; call it after the optimiser's own ``step()``."""
        if self._step_count == 1 and self.optimizer.steps_taken == self._steps_before:
            warnings.warn(_EARLY, UserWarning, stacklevel=2)
        self._adopt()
        self.last_epoch += 1
        self._step_count += 1
        self._set(self.get_lr())

    def get_last_lr(self) -> list[float]:
        """Return the rates that the schedule has set last."""
        return list(self._last_lr)

    def state_dict(self) -> dict[str, Any]:
        """Return the settings of the schedule and where it stands, as PyTorch names them."""
        self._adopt()
        return {
            name: list(value) if isinstance(value, list) else value
            for name, value in vars(self).items()
            if name not in ("optimizer", "_steps_before")
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over settings and place of a schedule; minigrad's or PyTorch's.

        The rates themselves are the optimiser's: they come with its state.

        Raises:
            TypeError: ``state_dict`` is no dictionary.
            ValueError: it is that of another kind of schedule, or has other numbers of groups; then
                nothing has been changed.
        """
        vars(self).update(self._fitting(state_dict))
        self._steps_before = -1  # the steps of an earlier run are not known, nor missed

    def _fitting(self, state_dict: Mapping[str, Any]) -> dict[str, Any]:
        """Return what to take over from a state, or raise."""
        kind = type(self).__name__
        if not isinstance(state_dict, Mapping):
            raise TypeError(f"expected the state of a {kind}, got a {type(state_dict).__name__}")
        own = self.state_dict()
        settings = {name for name in own if not name.startswith("_")}
        if missing := sorted(settings - state_dict.keys()):
            raise ValueError(f"not the state of a {kind}: it lacks {', '.join(missing)}")
        public = {str(name) for name in state_dict if not str(name).startswith("_")}
        if unexpected := sorted(public - settings - {"verbose"}):  # an option of older PyTorch
            raise ValueError(f"not the state of a {kind}: it has {', '.join(unexpected)}")
        taken = {name: state_dict[name] for name in own if name in state_dict}
        for name, value in taken.items():
            if wrong := _misfit(own[name], value):
                raise ValueError(f"not a state for this {kind}: {name} {wrong}")
        self.check(taken)
        return {n: list(v) if isinstance(v, list | tuple) else v for n, v in taken.items()}

    def _adopt(self) -> None:
        """Remember the rates of groups that are new."""
        for group in self.optimizer.param_groups[len(self.base_lrs) :]:
            self.base_lrs.append(group.setdefault("initial_lr", group["lr"]))
            self._last_lr.append(group["lr"])

    def _set(self, rates: list[float]) -> None:
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate
        self._last_lr = list(rates)

    def _rates(self) -> list[float]:
        return [group["lr"] for group in self.optimizer.param_groups]


class StepLR(LRScheduler):
    """Multiply the rate by ``gamma`` every ``step_size`` epochs.

    Args:
        optimizer: whose rates to set.
        step_size: the number of epochs, >= 1.
        gamma: the factor.
        last_epoch: as of `LRScheduler`.

    Raises:
        ValueError: ``step_size`` is less than 1.

    Examples:
        >>> import minigrad
        >>> sgd = minigrad.optim.SGD([minigrad.ones(1)], lr=0.5)
        >>> schedule = StepLR(sgd, step_size=2, gamma=0.5)
        >>> for _ in range(4):
        ...     sgd.step()
        ...     schedule.step()
        >>> sgd.param_groups[0]["lr"]
        0.125
    """

    def __init__(
        self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        self.step_size = step_size
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def check(self, settings: Mapping[str, Any]) -> None:
        if not settings["step_size"] >= 1:
            raise ValueError(f"step_size should be at least 1, got {settings['step_size']!r}")

    def get_lr(self) -> list[float]:
        due = self.last_epoch > 0 and self.last_epoch % self.step_size == 0
        return [rate * self.gamma if due else rate for rate in self._rates()]


class CosineAnnealingLR(LRScheduler):
    """Let the rate fall to ``eta_min`` in ``T_max`` epochs along half a cosine, and rise again.

    Each epoch takes the rate's distance from ``eta_min`` to its share on the curve, times the share
    of the epoch before. Loshchilov and Hutter, "SGDR: stochastic gradient descent with warm
    restarts", 2017.

    Args:
        optimizer: whose rates to set.
        T_max: the number of epochs, >= 1.
        eta_min: the lowest rate.
        last_epoch: as of `LRScheduler`.

    Raises:
        ValueError: ``T_max`` is less than 1.
    """

    def __init__(
        self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1
    ) -> None:
        self.T_max = T_max
        self.eta_min = eta_min
        super().__init__(optimizer, last_epoch)

    def check(self, settings: Mapping[str, Any]) -> None:
        if not settings["T_max"] >= 1:
            raise ValueError(f"T_max should be at least 1, got {settings['T_max']!r}")

    def first_lr(self) -> list[float]:
        return self._rates()

    def get_lr(self) -> list[float]:
        epoch, span = self.last_epoch, self.T_max
        if (epoch - 1 - span) % (2 * span) == 0:  # at the bottom: a ratio would be 0 / 0
            rise = (1 - math.cos(math.pi / span)) / 2
            return [
                rate + (base - self.eta_min) * rise
                for rate, base in zip(self._rates(), self.base_lrs, strict=True)
            ]
        ratio = self._height(epoch) / self._height(epoch - 1)
        return [ratio * (rate - self.eta_min) + self.eta_min for rate in self._rates()]

    def _height(self, epoch: int) -> float:
        return 1 + math.cos(math.pi * epoch / self.T_max)


class LambdaLR(LRScheduler):
    """Set the rate to the initial one times a function of the epoch.

    This schedule does not go on from the rate that it finds: put it before others.

    Args:
        optimizer: whose rates to set.
        lr_lambda: the function, or one for each group. A function is not saved with the state; of a
            callable object the attributes are.
        last_epoch: as of `LRScheduler`.

    Raises:
        ValueError: there are not as many functions as groups.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        lr_lambda: Callable[[int], float] | Sequence[Callable[[int], float]],
        last_epoch: int = -1,
    ) -> None:
        groups = len(optimizer.param_groups)
        self.lr_lambdas = [lr_lambda] * groups if callable(lr_lambda) else list(lr_lambda)
        if len(self.lr_lambdas) != groups:
            raise ValueError(f"Expected {groups} lr_lambdas, but got {len(self.lr_lambdas)}")
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        functions = zip(self.base_lrs, self.lr_lambdas, strict=True)
        return [base * function(self.last_epoch) for base, function in functions]

    def _adopt(self) -> None:
        new = len(self.optimizer.param_groups) - len(self.lr_lambdas)
        if new > 0 and any(f is not self.lr_lambdas[0] for f in self.lr_lambdas):
            raise ValueError(
                f"{new} groups have been added since this LambdaLR got one function for each of "
                f"{len(self.lr_lambdas)} groups: append theirs to its lr_lambdas"
            )
        self.lr_lambdas += self.lr_lambdas[:1] * new
        super()._adopt()

    def state_dict(self) -> dict[str, Any]:
        state = super().state_dict()  # groups that are new have functions from here on
        saved = [
            None if isinstance(f, types.FunctionType) else dict(getattr(f, "__dict__", {}))
            for f in self.lr_lambdas
        ]
        return {**state, "lr_lambdas": saved}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        fitting = self._fitting(state_dict)
        loaded = list(zip(self.lr_lambdas, fitting.pop("lr_lambdas"), strict=True))
        for i, (function, attributes) in enumerate(loaded):
            if attributes and not (isinstance(attributes, dict) and hasattr(function, "__dict__")):
                raise ValueError(f"not a state for this LambdaLR: lr_lambdas[{i}] is {attributes}")
        for function, attributes in loaded:
            if attributes:
                vars(function).update(attributes)
        vars(self).update(fitting)
        self._steps_before = -1


def _misfit(own: Any, value: Any) -> str:
    """Return how a loaded value differs in kind or length from what it is to replace; or ""."""
    if isinstance(own, list):
        if not isinstance(value, list | tuple):
            return f"is a {type(value).__name__}, not a list"
        if len(value) != len(own):
            return f"has {len(value)} entries, for {len(own)} groups"
        return next(filter(None, map(_misfit, own, value)), "")
    whole = isinstance(own, int) and not isinstance(own, bool)
    if not (whole or isinstance(own, float)) or isinstance(value, numbers.Integral):
        return ""
    if isinstance(value, numbers.Real) and (not whole or float(value).is_integer()):
        return ""
    return f"has {value!r} for a number like {own}"
