"""Stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from minigrad import kernels
from minigrad.device import device_of, now
from minigrad.fused import fused
from minigrad.graph import wrap
from minigrad.kernels.sgd import settings_in_memory
from minigrad.optim.optimizer import Optimizer
from minigrad.tensor import Tensor


def one_step(
    p: Any,
    g: Any,
    b: Any,
    fresh: bool,
    lr: float,
    momentum: float,
    dampening: float,
    weight_decay: float,
    nesterov: bool,
    maximize: bool,
) -> None:
    """Change one parameter and its momentum buffer in place, by a step of `SGD`.

    Args:
        p, g: the parameter and its gradient, arrays.
        b: the buffer; None, and only then, without momentum.
        fresh: whether the buffer is yet to be filled; what it holds is not read then.
        lr, momentum, dampening, weight_decay, nesterov, maximize: as of `SGD`.
    """
    if maximize:
        g = -g
    if weight_decay:
        g = g + weight_decay * p
    if b is not None:
        if fresh:
            b[...] = g
        else:
            b *= momentum
            b += (1 - dampening) * g
        g = g + momentum * b if nesterov else b
    p -= lr * g


@fused(kernels.sgd_step)
def update(
    parameters: list[Any],
    gradients: list[Any],
    buffers: list[Any] | None,
    fresh: list[bool],
    *settings: Any,
) -> None:
    """Change all parameters of a group, by `one_step`: on a GPU, in one launch.

    Args:
        parameters, gradients, buffers, fresh: lists of what `one_step` takes; without momentum
            ``buffers`` is None, and ``fresh`` empty.
        settings: what else `one_step` takes, in its order; in a CUDA graph, the same in memory too.
    """
    if len(settings) > 6:
        raise RuntimeError(
            "in a CUDA graph, SGD changes contiguous parameters of float32 or float64 on the GPU; "
            f"the first here has dtype {parameters[0].dtype} on {device_of(parameters[0])}"
        )
    for i, p in enumerate(parameters):
        buffer = None if buffers is None else buffers[i]
        one_step(p, gradients[i], buffer, buffers is not None and fresh[i], *settings)


class SGD(Optimizer):
    """Stochastic gradient descent: p ← p - lr · g.

    With weight decay λ, g is ∂L/∂p + λp. With momentum μ a buffer b ← μb + (1 - dampening) g (at
    first b = g) takes the place of g, or, in Nesterov's form, g + μb does.

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

    Source:
        Robbins and Monro, "A stochastic approximation method", 1951; Sutskever et al., "On the
        importance of initialization and momentum in deep learning", 2013.

    Examples:
        >>> import minigrad
        >>> p = minigrad.tensor([1.0, 2.0], requires_grad=True)
        >>> optimizer = SGD([p], lr=0.1)
        >>> (p * p).sum().backward()
        >>> optimizer.step()
        >>> p
        tensor([0.8000, 1.6000], requires_grad=True)
    """

    capturable = True
    moments = ("momentum_buffer",)

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

    def change(self, moving: list[Tensor], group: dict[str, Any]) -> None:
        momentum = float(group["momentum"])
        buffers, fresh = None, []
        if momentum:
            known = [self.state.get(p, {}).get("momentum_buffer") for p in moving]
            fresh = [b is None for b in known]
            buffers = [
                np.empty_like(p.array) if b is None else b.array
                for p, b in zip(moving, known, strict=True)
            ]
        settings = settings_of(group)
        if now.captured is not None:
            settings += (self._captured(moving, group),)
        arrays, gradients = [p.array for p in moving], [p.grad.array for p in moving]
        update(arrays, gradients, buffers, fresh, *settings)
        for i, p in enumerate(moving):
            p._storage.change()
            if buffers is not None and fresh[i]:
                self.state.setdefault(p, {})["momentum_buffer"] = wrap(buffers[i])

    def _captured(self, moving: list[Tensor], group: dict[str, Any]) -> Any:
        """Return the settings in memory, where each replay of a CUDA graph finds those of the day.

        Raises:
            RuntimeError: later, before a replay: what the graph was captured with is gone.
        """
        arrays, momentum = [p.array for p in moving], bool(group["momentum"])

        def current() -> tuple[float, ...]:
            if any(p.array is not array for p, array in zip(moving, arrays, strict=True)):
                raise RuntimeError(
                    "a parameter's memory was replaced after its step became a CUDA graph: change "
                    "parameters in place (`with no_grad(): p.copy_(...)`), or make a new graph"
                )
            if bool(group["momentum"]) != momentum:
                raise RuntimeError(
                    f"momentum became {group['momentum']} after the step became a CUDA graph, "
                    f"which was captured {'with' if momentum else 'without'}: make a new graph"
                )
            return settings_in_memory(*settings_of(group))

        def changed() -> None:
            for p in moving:
                p._storage.change()

        now.captured.at_replay(changed)
        return now.captured.numbers(("SGD", id(group)), current, np.float64).array


def settings_of(group: dict[str, Any]) -> tuple[Any, ...]:
    """Return the settings of a group, in the order of `one_step`."""
    return (
        float(group["lr"]),
        float(group["momentum"]),
        float(group["dampening"]),
        float(group["weight_decay"]),
        group["nesterov"],
        group["maximize"],
    )
