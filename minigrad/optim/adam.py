"""Adam, and AdamW, whose weight decay does not pass through the moments."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from minigrad.graph import wrap
from minigrad.optim.optimizer import Optimizer
from minigrad.tensor import Tensor


class Adam(Optimizer):
    """Adam: p ← p - lr · m̂ / (√v̂ + ε).

    m ← β₁m + (1 - β₁) g and v ← β₂v + (1 - β₂) g² are running means that start at 0; divided by
    1 - β₁ᵗ and 1 - β₂ᵗ at step t they are m̂ and v̂. With weight decay λ, g is ∂L/∂p + λp.

    Args:
        params: the parameters, or dictionaries of groups with settings of their own.
        lr: the learning rate, >= 0.
        betas: β₁ and β₂, each in [0, 1).
        eps: ε, >= 0.
        weight_decay: λ, >= 0.
        amsgrad: whether the largest v so far takes the place of v.
        maximize: go up instead of down.

    Raises:
        ValueError: a setting is out of range; see also `minigrad.optim.Optimizer`.

    Source:
        Kingma and Ba, "Adam: A method for stochastic optimization", 2015; for ``amsgrad`` Reddi,
        Kale and Kumar, "On the convergence of Adam and beyond", 2018.

    Examples:
        >>> import minigrad
        >>> p = minigrad.tensor([1.0, -2.0], requires_grad=True)
        >>> optimizer = Adam([p], lr=0.1)
        >>> (p * p).sum().backward()
        >>> optimizer.step()                    # the first step is lr for each, whatever g is
        >>> p
        tensor([ 0.9000, -1.9000], requires_grad=True)
    """

    moments = ("exp_avg", "exp_avg_sq", "max_exp_avg_sq")  # m, v, and the largest v
    decoupled = False  # whether weight decay shrinks p itself, and leaves g alone

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        settings = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        super().__init__(params, settings | {"amsgrad": amsgrad, "maximize": maximize})

    def check(self, settings: dict[str, Any]) -> None:
        names = ("lr", "learning rate"), ("eps", "epsilon value"), ("weight_decay",) * 2
        for name, words in names:
            if not settings[name] >= 0:
                raise ValueError(f"Invalid {words}: {settings[name]}; it must be >= 0")
        for i, beta in enumerate(settings["betas"]):
            if not 0 <= beta < 1:
                raise ValueError(
                    f"Invalid beta parameter at index {i}: {beta}; it must be in [0, 1)"
                )

    def change(self, moving: list[Tensor], group: dict[str, Any]) -> None:
        for p in moving:
            self._change(p, group)

    def _change(self, p: Tensor, group: dict[str, Any]) -> None:
        state = self.state.setdefault(p, {})
        names = self.moments[: 2 + group["amsgrad"]]
        for name in names:
            if name not in state:
                state[name] = wrap(np.zeros_like(p.array))
        t = float(state.get("step", 0.0)) + 1
        state["step"] = wrap(np.array(t, np.float32))
        (beta1, beta2), lr, decay = group["betas"], group["lr"], group["weight_decay"]
        g, (m, v, *largest) = p.grad.array, [state[name].array for name in names]
        if group["maximize"]:
            g = -g
        if decay and self.decoupled:
            p.array *= 1 - lr * decay
        elif decay:
            g = g + decay * p.array
        m += (1 - beta1) * (g - m)
        v *= beta2
        v += (1 - beta2) * g * g
        for top in largest:
            np.maximum(top, v, out=top)
            v = top
        root = np.sqrt(v) / (1 - beta2**t) ** 0.5
        p.array -= lr / (1 - beta1**t) * (m / (root + group["eps"]))
        p._storage.change()


class AdamW(Adam):
    """Adam with decoupled weight decay: p ← (1 - lr λ) p before each step, and g is ∂L/∂p alone.

    Args:
        params, lr, betas, eps, weight_decay, amsgrad, maximize: as of `Adam`; λ is 0.01 by default.

    Source:
        Loshchilov and Hutter, "Decoupled weight decay regularization", 2019.
    """

    decoupled = True

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, maximize=maximize)
