"""What every optimiser has: groups of parameters with settings, and a state for each parameter."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import numpy as np

from minigrad.device import now
from minigrad.grad_mode import enable_grad
from minigrad.tensor import Tensor
from minigrad.utils.state import as_saved, like

T = TypeVar("T")


def _counted(step: Callable[..., T]) -> Callable[..., T]:
    """Return an optimiser's ``step``, counted in ``steps_taken``."""

    @functools.wraps(step)
    def counted(self: Any, *args: Any, **options: Any) -> T:
        self.steps_taken += 1
        if now.captured is not None:
            now.captured.takes_step(self)
        return step(self, *args, **options)

    return counted


class Optimizer:
    """The base of optimisers; a subclass defines ``change``, or ``step`` as a whole.

    Args:
        params: the parameters, or pairs (name, parameter) as of ``named_parameters()``, or
            dictionaries each with ``"params"`` and settings of its own.
        defaults: the settings of parameters that have no other.

    Attributes:
        param_groups: a list of dictionaries: the parameters under ``"params"``, and each setting.
        state: for each parameter, what the optimiser remembers of it.

    Raises:
        ValueError: there are no parameters, or one is in two groups.
        TypeError: something else than a leaf tensor is to be optimised.
    """

    steps_taken = 0  # how often step() has been called: a schedule asks whether it was
    capturable = False  # whether step() can be a part of a CUDA graph, settings and all
    moments: tuple[str, ...] = ()  # names in the state of tensors in the shape of the parameter

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "step" in vars(cls):
            cls.step = _counted(cls.step)  # type: ignore[method-assign]

    def __init__(self, params: Iterable[Any], defaults: dict[str, Any]) -> None:
        if isinstance(params, Tensor):
            raise TypeError("params should be an iterable of Tensors or dicts, got one Tensor")
        self.defaults = defaults
        self.param_groups: list[dict[str, Any]] = []
        self.state: dict[Tensor, dict[str, Any]] = {}
        groups = list(params)
        if not groups:
            raise ValueError("optimizer got an empty parameter list")
        for group in groups if isinstance(groups[0], dict) else [{"params": groups}]:
            self.add_param_group(group)

    def add_param_group(self, group: dict[str, Any]) -> None:
        """Add parameters with settings of their own, such as layers unfrozen later."""
        if not isinstance(group, dict):
            raise TypeError(f"param_group must be a dict, but got {type(group).__name__}")
        listed = [group["params"]] if isinstance(group["params"], Tensor) else list(group["params"])
        named = [item for item in listed if isinstance(item, tuple)]
        if named:
            if len(named) < len(listed):
                raise ValueError("all optimizer params should be with/without names")
            names, listed = map(list, zip(*named, strict=True))
            group = {**group, "param_names": names}
        known = {p for g in self.param_groups for p in g["params"]}
        for p in listed:
            if not isinstance(p, Tensor):
                raise TypeError(f"optimizer can only optimize Tensors, got {type(p).__name__}")
            if not p.is_leaf:
                raise ValueError("can't optimize a non-leaf Tensor")
        if len(set(listed)) < len(listed) or not known.isdisjoint(listed):
            raise ValueError("some parameters appear more than once, or in more than one group")
        settings = {**self.defaults, **group, "params": listed}
        self.check(settings)
        self.param_groups.append(settings)

    def check(self, settings: dict[str, Any]) -> None:
        """Raise ValueError if settings of a group are out of range; for subclasses."""

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients, or fill them with zeros."""
        for group in self.param_groups:
            for p in group["params"]:
                if set_to_none:
                    p.grad = None
                elif p.grad is not None:
                    p.grad = p.grad.detach().zero_()

    @_counted
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Change every parameter that has a gradient.

        Args:
            closure: computes the gradients anew, and returns the loss; called before the step, with
                recording on.

        Returns:
            What ``closure`` returned; None without one.
        """
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        for group in self.param_groups:
            if moving := [p for p in group["params"] if p.grad is not None]:
                self.change(moving, group)
        return loss

    def change(self, moving: list[Tensor], group: dict[str, Any]) -> None:
        """Change parameters of a group, those that have a gradient; for subclasses."""
        raise NotImplementedError(f"{type(self).__name__} must define change() or step()")

    def state_dict(self) -> dict[str, Any]:
        """Return settings and state, with parameters by number, in the order of the groups."""
        numbers = {p: i for i, p in enumerate(self._parameters())}
        groups = [{**g, "params": [numbers[p] for p in g["params"]]} for g in self.param_groups]
        return {
            "state": {numbers[p]: dict(values) for p, values in self.state.items()},
            "param_groups": groups,
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over settings and state that `state_dict` returned, minigrad's or PyTorch's.

        Tensors are copied to where the parameters are; those of floating-point parameters are cast
        to the parameter's dtype.

        Raises:
            TypeError: ``state_dict`` is not made of dictionaries and lists, or a setting or a state
                is of another type.
            ValueError: it has groups of other sizes, a setting that is out of range, or a state for
                an unknown parameter or of another shape. Whatever is raised, nothing has changed.
        """
        saved, remembered = _taken_apart(state_dict)
        sizes, own = ([len(g["params"]) for g in gs] for gs in (saved, self.param_groups))
        if sizes != own:
            raise ValueError(f"loaded state dict has groups of {sizes} parameters, not {own}")
        settings = [
            {**group, **new, "params": group["params"]}
            for group, new in zip(self.param_groups, saved, strict=True)
        ]
        for group in settings:
            self.check(group)
        names = [name for group in saved for name in group["params"]]
        places = dict(zip(names, self._parameters(), strict=True))
        if unknown := [name for name in remembered if name not in places]:
            raise ValueError(
                f"loaded state dict has a state for parameter {unknown[0]!r}, but its groups hold "
                f"the parameters {names}"
            )
        state = {}
        for name, values in remembered.items():
            p = places[name]
            state[p] = {key: _copied(key, value, p) for key, value in values.items()}
            self.check_state(p, state[p], f"loaded state dict: parameter {name!r}")
        for group, new in zip(self.param_groups, settings, strict=True):
            group.update(new)
        self.state = state

    def check_state(self, parameter: Tensor, values: dict[str, Any], what: str) -> None:
        """Raise TypeError or ValueError if a loaded state does not fit its parameter.

        Here the `moments` are looked at. ``what`` says in a message which parameter it is.
        """
        for name in self.moments:
            if (moment := values.get(name)) is None:
                continue
            if not isinstance(moment, Tensor):
                raise TypeError(f"{what} has a {type(moment).__name__} as its {name}")
            if moment.shape != parameter.shape:
                raise ValueError(
                    f"{what} has {name} of shape {moment.shape}, but the parameter here has the "
                    f"shape {parameter.shape}: is it the state of another network?"
                )

    def _parameters(self) -> list[Tensor]:
        return [p for group in self.param_groups for p in group["params"]]

    def __repr__(self) -> str:
        lines = [f"{type(self).__name__} ("]
        for i, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {i}")
            lines += [f"    {k}: {v}" for k, v in sorted(group.items()) if k != "params"]
        return "\n".join([*lines, ")"])


def _taken_apart(state_dict: Any) -> tuple[list[Any], Mapping[Any, Any]]:
    """Return the groups and the states in a state dict, once it is seen to be made of these."""

    def expect(kind: Any, value: Any, what: str) -> Any:
        if not isinstance(value, kind):
            wanted = "a dictionary" if kind is Mapping else "a list"
            raise TypeError(f"expected {wanted} as {what}, got {type(value).__name__}")
        return value

    expect(Mapping, state_dict, "the state of an optimiser")
    if missing := [name for name in ("state", "param_groups") if name not in state_dict]:
        raise ValueError(f"not the state of an optimiser: it lacks {missing[0]!r}")
    groups = list(expect(list | tuple, state_dict["param_groups"], "'param_groups'"))
    for i, group in enumerate(groups):
        expect(Mapping, group, f"param_groups[{i}]")
        expect(list | tuple, group.get("params"), f"param_groups[{i}]['params']")
    states = expect(Mapping, state_dict["state"], "'state'")
    for name, values in states.items():
        expect(Mapping, values, f"the state of parameter {name!r}")
    return groups, states


def _copied(key: Any, value: Any, parameter: Tensor) -> Any:
    """Return a copy of a value of a state: a tensor, also PyTorch's or an array, as one of ours."""
    if not (hasattr(value, "detach") or isinstance(value, np.ndarray)):
        return copy.deepcopy(value)
    saved = as_saved(value).clone()
    if parameter.dtype.kind != "f" or key == "step":  # a count of steps would not fit a half
        return saved.to(parameter.device)
    return like(saved, parameter)
