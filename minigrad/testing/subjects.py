"""What is under test: a dropout, and the framework whose tensors it takes.

The laws see nothing else: arrays go in and come out, gradients are asked for, randomness is
restarted. So they are the same for minigrad, for PyTorch and for a learner's NumPy.
"""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np

import minigrad
from minigrad import nn
from minigrad.graph import TensorBase
from minigrad.random import Generator, get_rng_state, set_rng_state

#: a dropout: (x, p, training) -> y
Dropout = Callable[[Any, float, bool], Any]


@dataclass(frozen=True)
class Framework:
    """How to talk to a framework: all that the laws need of it.

    Args:
        name: what to call it.
        tensor: (array, requires_grad) -> a leaf of the array's dtype, shape and, if the framework
            can, strides and memory.
        memory: tensor -> the array of its elements, uncopied.
        seed: restart the framework's own randomness.
        state: return where that randomness is, as something that ``==`` compares.
        set_state: go back to what ``state`` returned.
        gradient: (y, x, g) -> the gradient of sum(g · y) with respect to x, as an array; None if y
            does not depend on x as far as the framework knows. The graph is kept, so that it can be
            asked for again. None for a framework without gradients.
        no_grad: return a context within which nothing is recorded. None as for ``gradient``.
        layers: return the namespace of ``Module``, ``Sequential`` and ``ModuleList``.
    """

    name: str
    tensor: Callable[[np.ndarray, bool], Any]
    memory: Callable[[Any], np.ndarray]
    seed: Callable[[int], Any]
    state: Callable[[], Any]
    set_state: Callable[[Any], Any]
    gradient: Callable[[Any, Any, np.ndarray], np.ndarray | None] | None = None
    no_grad: Callable[[], AbstractContextManager[Any]] | None = None
    layers: Callable[[], Any] | None = None

    def array(self, tensor: Any) -> np.ndarray:
        """Return a copy of a tensor's elements."""
        return np.array(self.memory(tensor))


def _minigrad_tensor(array: np.ndarray, requires_grad: bool) -> Any:
    return minigrad.from_numpy(array).requires_grad_(requires_grad)


def _minigrad_memory(tensor: Any) -> np.ndarray:
    return np.asarray(tensor.array if isinstance(tensor, TensorBase) else tensor)


def _minigrad_gradient(y: Any, x: Any, g: np.ndarray) -> np.ndarray | None:
    if not y.requires_grad:
        return None
    seed = minigrad.from_numpy(g)
    (dx,) = minigrad.grad(y, x, seed, retain_graph=True, allow_unused=True)
    return None if dx is None else np.array(dx.array)


def _torch_tensor(array: np.ndarray, requires_grad: bool) -> Any:
    import torch

    if any(stride < 0 for stride in array.strides):  # PyTorch has none
        array = array.copy()
    return torch.from_numpy(array).requires_grad_(requires_grad)


def _torch_memory(tensor: Any) -> np.ndarray:
    return np.asarray(tensor.detach().cpu().numpy())


def _torch_gradient(y: Any, x: Any, g: np.ndarray) -> np.ndarray | None:
    import torch

    if not y.requires_grad:
        return None
    seed = torch.from_numpy(g)
    (dx,) = torch.autograd.grad(y, x, seed, retain_graph=True, allow_unused=True)
    return None if dx is None else np.array(dx.numpy())


def _torch_seed(seed: int) -> None:
    import torch

    torch.manual_seed(seed)


def _torch_state() -> bytes:
    import torch

    return torch.get_rng_state().numpy().tobytes()


def _torch_set_state(state: bytes) -> None:
    import torch

    torch.set_rng_state(torch.frombuffer(bytearray(state), dtype=torch.uint8))


def _torch_no_grad() -> AbstractContextManager[Any]:
    import torch

    return torch.no_grad()


def _torch_layers() -> Any:
    import torch.nn

    return torch.nn


def _numpy_seed(seed: int) -> None:
    np.random.seed(seed % 2**32)  # noqa: NPY002  (the generator behind np.random.rand)


def _numpy_state() -> tuple[Any, ...]:
    name, key, *rest = np.random.get_state()  # noqa: NPY002
    return (name, np.asarray(key).tobytes(), *rest)


def _numpy_set_state(state: tuple[Any, ...]) -> None:
    name, key, *rest = state
    np.random.set_state((name, np.frombuffer(key, np.uint32), *rest))  # noqa: NPY002


MINIGRAD = Framework(
    "minigrad", _minigrad_tensor, _minigrad_memory, minigrad.manual_seed, get_rng_state,
    set_rng_state, _minigrad_gradient, minigrad.no_grad, lambda: nn,
)  # fmt: skip
#: imported when first used
TORCH = Framework(
    "torch", _torch_tensor, _torch_memory, _torch_seed, _torch_state, _torch_set_state,
    _torch_gradient, _torch_no_grad, _torch_layers,
)  # fmt: skip
#: arrays for tensors, no gradients; its randomness is that of ``np.random.rand``
NUMPY = Framework(
    "numpy", lambda array, requires_grad: array, np.asarray, _numpy_seed, _numpy_state,
    _numpy_set_state,
)  # fmt: skip
FRAMEWORKS = {framework.name: framework for framework in (MINIGRAD, TORCH, NUMPY)}


@dataclass(frozen=True)
class Subject:
    """A dropout under test, and whatever more it lets be tested.

    Laws that need what is not given are not applicable to the subject.

    Args:
        name: what to call it.
        dropout: (x, p, training) -> y, on the framework's tensors.
        framework: whose tensors those are.
        seed: restart the dropout's randomness; by default the framework's.
        state: return where that randomness is, as something that ``==`` compares; by default the
            framework's, unless ``seed`` says that the dropout has its own.
        set_state: go back to what ``state`` returned; by default as for ``state``.
        modes: whether ``dropout`` heeds its third argument; False if it is for training alone.
        module: p -> a new module of the framework's, with ``train()`` and ``eval()``.
        inplace: (x, p, training) -> y, the form that overwrites x.
        from_uniforms: (x, p, u) -> y, the dropout in training with its draw given. u is a float64
            array of x's shape, of multiples of 2⁻²⁴ in [0, 1), and an element is to be dropped
            where u < p. (A generator of 32-bit numbers is given u · 2³².)
        spawn: n -> as many dropouts like ``dropout``, of independent streams or workers, made after
            the randomness was restarted.
    """

    name: str
    dropout: Dropout
    framework: Framework = MINIGRAD
    seed: Callable[[int], Any] | None = None
    state: Callable[[], Any] | None = None
    set_state: Callable[[Any], Any] | None = None
    modes: bool = True
    module: Callable[[float], Any] | None = None
    inplace: Dropout | None = None
    from_uniforms: Callable[[Any, float, np.ndarray], Any] | None = None
    spawn: Callable[[int], Sequence[Dropout]] | None = None

    def __post_init__(self) -> None:
        if self.seed is None:
            for name in "seed", "state", "set_state":
                if getattr(self, name) is None:
                    object.__setattr__(self, name, getattr(self.framework, name))


class Injected(Generator):
    """A generator that draws the numbers it is given: for a dropout's ``generator=``.

    Args:
        u: multiples of 2⁻³² in [0, 1), drawn in C order, once.
    """

    def __init__(self, u: np.ndarray) -> None:
        super().__init__(0)
        self._lanes = (np.asarray(u, np.float64).ravel() * 2**32).astype(np.uint32)

    def lanes(self, n: int) -> np.ndarray:
        drawn, self._lanes = self._lanes[:n], self._lanes[n:]
        return drawn

    def keep_mask(self, shape: Sequence[int], p: float, device: Any = None) -> Any:
        return (self.lanes(math.prod(shape)) >= round(float(p) * 2**32)).reshape(shape)


#: what the parameter for the mode may be called
MODES = ("training", "train", "is_training", "is_train")


def subject_of(name: str, function: Callable[..., Any], framework: Framework) -> Subject:
    """Return the subject for a function or a module class, by what its signature offers.

    Args:
        name: what to call it.
        function: takes x, p and the mode. The mode is a parameter of one of the names in `MODES`,
            or a third one that is required or True or False by default; without it the function is
            for training alone. Parameters called ``inplace`` and (on minigrad's tensors)
            ``generator`` let more be tested. Or a class of modules, called with p.
        framework: whose tensors it takes.

    Raises:
        TypeError: it cannot be called so.
    """
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        raise TypeError(f"{name} does not tell what arguments it takes: wrap it in a def") from None
    names = [parameter.name for parameter in parameters]
    if inspect.isclass(function):
        if not hasattr(function, "train") or not names:
            raise TypeError(f"{name} is a class, but not one of modules: it lacks p, or train()")
        call, modes = _layer(function), True
    else:
        open_ended = any(q.kind is q.VAR_POSITIONAL for q in parameters)
        positional = [
            q for q in parameters if q.kind in (q.POSITIONAL_ONLY, q.POSITIONAL_OR_KEYWORD)
        ]
        if len(positional) < 2 and not open_ended:
            raise TypeError(f"{name} should take (x, p, training), but takes ({', '.join(names)})")
        mode = next((n for n in MODES if n in names), None)
        third = positional[2].default if len(positional) > 2 else None
        by_position = open_ended or third is inspect.Parameter.empty or isinstance(third, bool)
        call, modes = _function(function, mode, by_position), bool(mode or by_position)

    options: dict[str, Any] = {"module": function} if inspect.isclass(function) else {}
    if "inplace" in names:
        options["inplace"] = lambda x, p, training: call(x, p, training, inplace=True)
    if "generator" in names and framework is MINIGRAD:
        options["from_uniforms"] = lambda x, p, u: call(x, p, True, generator=Injected(u))
        options["spawn"] = lambda n: [
            functools.partial(call, generator=child)
            for child in minigrad.random.default_generator.spawn(n)
        ]
    return Subject(name, call, framework, modes=modes, **options)


def _function(
    function: Callable[..., Any], mode: str | None, by_position: bool
) -> Callable[..., Any]:
    def call(x: Any, p: float, training: bool, **options: Any) -> Any:
        if mode:
            return function(x, p, **{mode: training}, **options)
        if by_position:
            return function(x, p, training, **options)
        return function(x, p, **options) if training else x

    return call


def _layer(cls: Callable[..., Any]) -> Callable[..., Any]:
    """Return the call of a module: one for each p, as in a network, not a new one for each call."""
    made: dict[Any, Any] = {}

    def call(x: Any, p: float, training: bool, **options: Any) -> Any:
        key = (type(p), str(p), *options.values())
        if key not in made:
            made[key] = cls(p, **options)
        return made[key].train(training)(x)

    return call
