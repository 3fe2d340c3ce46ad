"""Stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from minigrad.optim.optimizer import Optimizer
from minigrad.tensor import Tensor


class SGD(Optimizer):
    """Stochastic gradient descent: p ← p - lr · g.

    With weight decay λ, g is ∂L/∂p + λp. With momentum μ a buffer b ← μb + (1 - dampening) g (at
    first b = g) takes the place of g, or, in Nesterov's form, g + μb does (Sutskever et al., 2013).

    Args:
        params: the parameters, or dictionaries of groups with settings of their own.
        lr: the learning rate, >= 0.
        momentum: μ, >= 0.
        dampening: how much less of g enters the buffer.
        weight_decay: λ, >= 0.
        nesterov: whether to use Nesterov's form; it needs momentum and no dampening.
        maximize: go up instead of down.

    Raises:
        ValueError: a setting is out of range; see also `minigrad.optim.Optimizer`.

    Examples:
        >>> import minigrad
        >>> p = minigrad.tensor([1.0, 2.0], requires_grad=True)
        >>> optimizer = SGD([p], lr=0.1)
        >>> (p * p).sum().backward()
        >>> optimizer.step()
        >>> p
        tensor([0.8, 1.6], requires_grad=True)
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        settings = {"lr": lr, "momentum": momentum, "dampening": dampening}
        settings |= {"weight_decay": weight_decay, "nesterov": nesterov, "maximize": maximize}
        super().__init__(params, settings)

    def check(self, settings: dict[str, Any]) -> None:
        for name, words in ("lr", "learning rate"), ("momentum",) * 2, ("weight_decay",) * 2:
            if not settings[name] >= 0:
                raise ValueError(f"Invalid {words}: {settings[name]}; it must be >= 0")
        if settings["nesterov"] and not (settings["momentum"] > 0 and settings["dampening"] == 0):
            raise ValueError("Nesterov momentum requires a momentum and zero dampening")

    def step(self) -> None:
        """Change every parameter that has a gradient."""
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    self._update(p, group)

    def _update(self, p: Tensor, group: dict[str, Any]) -> None:
        g = p.grad.data
        if group["maximize"]:
            g = -g
        if group["weight_decay"]:
            g = g + float(group["weight_decay"]) * p.data
        if momentum := float(group["momentum"]):
            state = self.state.setdefault(p, {})
            if "momentum_buffer" not in state:
                state["momentum_buffer"] = p.grad.detach().clone()
                b = state["momentum_buffer"].data
                b[...] = g
            else:
                b = state["momentum_buffer"].data
                b *= momentum
                b += (1 - float(group["dampening"])) * g
            g = g + momentum * b if group["nesterov"] else b
        p.data -= float(group["lr"]) * g
        p._version.count += 1
