"""What every optimiser has: groups of parameters with settings, and a state for each parameter."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from minigrad.tensor import Tensor


class Optimizer:
    """The base of optimisers; a subclass defines ``step``.

    Args:
        params: the parameters, or dictionaries each with ``"params"`` and settings of its own.
        defaults: the settings of parameters that have no other.

    Attributes:
        param_groups: a list of dictionaries: the parameters under ``"params"``, and each setting.
        state: for each parameter, what the optimiser remembers of it.

    Raises:
        ValueError: there are no parameters, or one is in two groups.
        TypeError: something else than a leaf tensor is to be optimised.
    """

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
        listed = [group["params"]] if isinstance(group["params"], Tensor) else list(group["params"])
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

    def step(self) -> None:
        """Change the parameters by one step along their gradients."""
        raise NotImplementedError(f"{type(self).__name__} must define step()")

    def state_dict(self) -> dict[str, Any]:
        """Return settings and state, with parameters by number, in the order of the groups."""
        numbers = {p: i for i, p in enumerate(self._parameters())}
        groups = [{**g, "params": [numbers[p] for p in g["params"]]} for g in self.param_groups]
        return {
            "state": {numbers[p]: dict(values) for p, values in self.state.items()},
            "param_groups": groups,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over settings and state that `state_dict` returned; tensors are copied, to
        where the parameters are.

        Raises:
            ValueError: the groups have other sizes; then nothing has been changed.
        """
        saved = state_dict["param_groups"]
        sizes, own = ([len(g["params"]) for g in gs] for gs in (saved, self.param_groups))
        if sizes != own:
            raise ValueError(f"loaded state dict has groups of {sizes} parameters, not {own}")
        parameters = self._parameters()
        state = {
            parameters[int(i)]: {
                k: v.detach().clone().to(parameters[int(i)].device) if isinstance(v, Tensor) else v
                for k, v in values.items()
            }
            for i, values in state_dict["state"].items()
        }
        for group, settings in zip(self.param_groups, saved, strict=True):
            group.update({k: v for k, v in settings.items() if k != "params"})
        self.state = state

    def _parameters(self) -> list[Tensor]:
        return [p for group in self.param_groups for p in group["params"]]

    def __repr__(self) -> str:
        lines = [f"{type(self).__name__} ("]
        for i, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {i}")
            lines += [f"    {k}: {v}" for k, v in sorted(group.items()) if k != "params"]
        return "\n".join([*lines, ")"])
