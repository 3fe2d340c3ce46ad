"""How a dropout wants to be called: found out from the names of its parameters.

x comes first and p second, or under a name of `RATES`. The mode goes by name (`MODES`), or is a
third argument that has to be given. A ``key`` or ``seed`` stands for the randomness of a call, and
a ``g`` asks for the gradient too: the call then returns (y, dx).
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad.testing.frameworks import Framework, Recorded

#: what the parameter for the mode may be called, and what it is then in training
MODES = {
    **dict.fromkeys(("training", "train", "is_training", "is_train"), True),
    **dict.fromkeys(("deterministic", "inference", "is_test", "testing"), False),
}
#: what p may be called; the ones to keep are given 1 - p
RATES = ("p", "rate", "drop_prob", "drop_rate", "dropout", "dropout_rate", "dropout_p", "prob")
KEEPS = ("keep_prob", "keep_rate", "keep")
KEYS = ("key", "rng", "seed")
INPUTS = ("x", "X", "input", "inputs", "tensor")
GRADIENTS = ("g", "dy", "grad_output")
#: what computes a layer's output, beside __call__
FORWARD = ("forward", "call")
#: what no third argument without a known name may be taken for
OPTIONS = ("inplace", "generator", "mask", "noise_shape")


class Keys:
    """Where the keys of a dropout come from that has no randomness of its own.

    The first call after ``seed(n)`` gets n itself, those after it get numbers hashed from n and
    their place. So what neighbouring seeds give is left to the dropout.

    Args:
        limit: keys are below it.
    """

    def __init__(self, limit: int) -> None:
        self.limit, self.position = limit, (0, 0)

    def seed(self, number: int) -> None:
        """Begin anew."""
        self.position = (number, 0)

    def state(self) -> tuple[int, int]:
        """Return where in the sequence of keys we are."""
        return self.position

    def set_state(self, position: tuple[int, int]) -> None:
        """Go back to there."""
        self.position = position

    def next(self) -> int:
        """Return the key of the next call."""
        number, calls = self.position
        self.position = (number, calls + 1)
        if not calls:
            return number
        return int(np.random.SeedSequence(self.position).generate_state(1)[0]) % self.limit


class Signature:
    """What a function's parameters stand for.

    Attributes:
        names: the parameter for each role: x, p, mode, key, g; those that it lacks are absent.
        rest: what else it takes.
        plain: whether it is called as (x, p, training), for want of a signature that tells more.

    Raises:
        TypeError: it lacks x or p, or asks for more than can be given.
    """

    def __init__(self, name: str, function: Callable[..., Any], has_p: bool = True) -> None:
        self.names: dict[str, str] = {}
        self.rest: list[str] = []
        try:
            parameters = list(inspect.signature(function).parameters.values())
        except (TypeError, ValueError):
            parameters = []
        variable = {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}
        named = [q for q in parameters if q.kind not in variable]
        self.plain = not named
        if self.plain:
            return
        self.order = [q.name for q in named if q.kind is q.POSITIONAL_ONLY]
        roles = {"x": INPUTS, "p": (*RATES, *KEEPS), "mode": MODES, "key": KEYS, "g": GRADIENTS}
        for role, known in roles.items():
            if role != "p" or has_p:
                found = next((q.name for q in named if q.name in known), None)
                if found is not None:
                    self.names[role] = found
        free = [q for q in named if q.name not in self.names.values() and q.name not in OPTIONS]
        free = [q for q in free if q.kind is not q.KEYWORD_ONLY]
        for role in ("x", "p", "mode"):
            wanted = role not in self.names and (role != "p" or has_p)
            if wanted and free and (role != "mode" or free[0].default is free[0].empty):
                self.names[role] = free.pop(0).name
        missing = [role for role in ("x", "p") if role not in self.names and (role == "x" or has_p)]
        takes = ", ".join(q.name for q in named)
        if missing:
            raise TypeError(
                f"{name} should take (x, p, training), but takes ({takes}): there is no "
                f"{missing[0]}. Wrap it: def mine(x, p, training): return ..."
            )
        given = set(self.names.values())
        self.rest = [q.name for q in named if q.name not in given]
        needed = [q.name for q in named if q.name in self.rest and q.default is q.empty]
        if needed:
            raise TypeError(
                f"{name} takes ({takes}), and needs {needed[0]!r} beside x, p and the mode. Wrap "
                "it: def mine(x, p, training): return ..."
            )

    def arguments(self, **given: Any) -> tuple[list[Any], dict[str, Any]]:
        """Return the arguments for a call, by position where they have no other way."""
        values = {}
        for role, name in self.names.items():
            value = given[role]
            if role == "mode" and not MODES.get(name, True):
                value = not value
            if role == "p" and name in KEEPS:
                value = 1 - value
            values[name] = value
        return [values.pop(name) for name in self.order], values


Call = Callable[..., Any]


def of_function(
    name: str, function: Callable[..., Any], framework: Framework, keys: Keys
) -> tuple[Call, Signature]:
    """Return ``(x, p, training, **options) -> y`` for a function, and what its parameters are."""
    signature = Signature(name, function)
    if signature.plain:
        return function, signature

    def call(x: Any, p: Any, training: bool, **options: Any) -> Any:
        if not training and "mode" not in signature.names:
            return x
        given = {"x": x, "p": p, "mode": training}
        if "key" in signature.names:
            number = keys.next()
            given["key"] = number if signature.names["key"] == "seed" else framework.key(number)
        if "g" not in signature.names:
            args, named = signature.arguments(**given)
            return function(*args, **named, **options)

        def both(g: np.ndarray) -> Any:
            args, named = signature.arguments(**given, g=g)
            return function(*args, **named, **options)

        y = np.asarray(both(np.zeros_like(x))[0])
        return Recorded(y, lambda g: np.asarray(both(g)[1]))

    return call, signature


def of_class(
    name: str, cls: Any, framework: Framework, keys: Keys
) -> tuple[Call, Callable[[Any], Any], bool]:
    """Return the call of a class of layers, p -> a new layer, and whether layers have a mode.

    There is one layer for each p, as in a network, not a new one for each call. Whatever its making
    draws is given back: it is no part of a mask.

    Raises:
        TypeError: its layers cannot be called, or take no p.
    """
    bases = getattr(cls, "__mro__", ())
    if bases and not any(m in vars(base) for base in bases for m in (*FORWARD, "__call__")):
        raise TypeError(f"{name} is a class, but not one of layers: they cannot be called")
    made: dict[Any, Call] = {}
    parameter = _parameter_of_p(name, cls)

    def make(p: Any, **options: Any) -> Any:
        before = framework.state() if framework.state else None
        try:
            if parameter is None:
                return cls(p, **options)
            return cls(**{parameter: 1 - p if parameter in KEEPS else p}, **options)
        finally:
            if framework.set_state:
                framework.set_state(before)

    def call(x: Any, p: Any, training: bool, **options: Any) -> Any:
        key = (type(p), str(p), *options.values())
        if key not in made:
            made[key], _ = of_instance(name, make(p, **options), framework, keys)
        return made[key](x, p, training)

    return call, make, of_instance(name, make(0.5), framework, keys)[1]


def _parameter_of_p(name: str, cls: Callable[..., Any]) -> str | None:
    """Return the name of a constructor's p; None if it is the first of its arguments."""
    try:
        parameters = list(inspect.signature(cls).parameters.values())
    except (TypeError, ValueError):
        return None
    named = [q.name for q in parameters if q.kind not in (q.VAR_POSITIONAL, q.VAR_KEYWORD)]
    known = next((n for n in named if n in (*RATES, *KEEPS)), None)
    if known is None and not parameters:
        raise TypeError(f"{name} is a class, but not one of layers: its constructor takes no p")
    return known


def of_instance(name: str, layer: Any, framework: Framework, keys: Keys) -> tuple[Call, bool]:
    """Return the call of one layer, whose p is what it is; and whether it has a mode."""
    method = next(getattr(layer, m) for m in (*FORWARD, "__call__") if hasattr(layer, m))
    signature = Signature(name, method, has_p=False)
    switch = _switch(layer)
    modes = bool(switch or "mode" in signature.names)
    run = method if has_backward(layer) else layer

    def call(x: Any, p: Any, training: bool) -> Any:
        if not training and not modes:
            return x
        if switch:
            switch(training)
        given = {"x": x, "mode": training}
        if "key" in signature.names:
            given["key"] = framework.key(keys.next())
        args, named = signature.arguments(**given)
        y = run(*args, **named) if named and not signature.plain else run(x)
        if not has_backward(layer):
            return y
        then = copy.deepcopy(layer)  # it keeps the mask of its last call, and serves one at a time
        return Recorded(np.asarray(y), lambda g: np.asarray(then.backward(g)))

    return call, modes


def _switch(layer: Any) -> Callable[[bool], Any] | None:
    """Return what sets a layer's mode: train() and eval(), or an attribute."""
    if callable(getattr(layer, "train", None)):
        return lambda training: layer.train() if training else layer.eval()
    name = next((n for n in MODES if isinstance(getattr(layer, n, None), bool)), None)
    if name is None:
        return None
    return lambda training: setattr(layer, name, training == MODES[name])


def has_backward(thing: Any) -> bool:
    """Return whether this is a layer, or a class of layers, with a backward written by hand.

    Modules of a framework have none: theirs is recorded.
    """
    return all(callable(getattr(thing, method, None)) for method in ("forward", "backward"))


def with_p(layer: Any) -> Callable[[Any], Any]:
    """Return p -> a copy of a layer with another p.

    Raises:
        TypeError: it does not say where it keeps its p.
    """
    name = next((n for n in (*RATES, *KEEPS) if hasattr(layer, n)), None)
    if name is None:
        raise TypeError(
            f"{type(layer).__name__} keeps its p under none of the names {', '.join(RATES)}: give "
            "the class instead, or a function of (x, p, training)"
        )

    def make(p: Any) -> Any:
        made = copy.deepcopy(layer)
        setattr(made, name, 1 - p if name in KEEPS else p)
        return made

    return make


def is_layer(thing: Any) -> bool:
    """Return whether this is a layer, which has its p, and not a function or the like of one."""
    if inspect.isroutine(thing) or inspect.isclass(thing):
        return False
    return any(hasattr(thing, name) for name in (*FORWARD, *RATES, *KEEPS))
