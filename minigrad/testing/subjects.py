"""What is under test: a dropout, what it is, and whatever more it lets be tested.

A `Subject` is stated by what the dropout *is*: how it is called, what noise it makes, which
elements share a fate, for which p and dtypes it is meant. The laws see nothing else: arrays go in
and come out, gradients are asked for, randomness is restarted. So they are the same for every
framework.
"""

from __future__ import annotations

import functools
import inspect
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import minigrad
from minigrad.parts import part_of_batch
from minigrad.random import Generator
from minigrad.testing import calls
from minigrad.testing.frameworks import FRAMEWORKS, MINIGRAD, Framework, Recorded
from minigrad.testing.noise import INVERTED, Noise
from minigrad.testing.units import Units

#: a dropout: (x, p, training) -> y
Dropout = Callable[[Any, float, bool], Any]


class UsageError(Exception):
    """A dropout cannot be judged as it is given: its signature, or the framework, is another."""


@dataclass(frozen=True)
class Domain:
    """What a dropout is meant for.

    Args:
        dtypes: the names of floating-point types; None for those of its framework.
        one: whether p = 1 is a probability for it: False for p in [0, 1).
        seeds: seeds are below this.
    """

    dtypes: Sequence[str] | None = None
    one: bool = True
    seeds: int = 2**32


@dataclass(frozen=True, eq=False)
class Subject:
    """A dropout under test.

    The first six say what it is. The others let more be tested: laws that need what is not given
    are not applicable. Most follow from ``call`` by themselves.

    Args:
        name: what to call it.
        call: (x, p, training) -> y on a framework's tensors; or with a ``key`` or ``seed`` among
            its parameters; or with ``g`` too, arrays in and (y, dx) out; a layer, or a class of
            layers, those with a backward written by hand among them. `minigrad.testing.calls` has
            the names of parameters.
        framework: whose tensors it takes, or the name of that; None: found by a first try.
        noise: what a dropped and a kept element become.
        units: which elements share a fate, as a pattern: ``("N", "C", 1, 1)``; None: none do.
        domain: for which p, dtypes and seeds it is meant.
        exempt: the names of laws that it breaks, each with the reason why that is meant so.
        seed: restart the dropout's randomness; by default the framework's.
        state: return where that randomness is, as something that ``==`` compares; by default the
            framework's, unless ``seed`` says that the dropout has its own.
        set_state: go back to what ``state`` returned; by default as for ``state``.
        modes: whether it heeds the mode; by default whether it has a parameter for it, or is a
            layer that can be set.
        module: p -> a new module of the framework's, with ``train()`` and ``eval()``.
        inplace: (x, p, training) -> y, the form that overwrites x.
        from_uniforms: (x, p, u) -> y, the dropout in training with its draw given. u is a float64
            array of x's shape, of multiples of 2⁻²⁴ in [0, 1), and an element is to be dropped
            where u < p. (A generator of 32-bit numbers is given u · 2³².)
        spawn: n -> as many dropouts like ``call``, of independent streams or workers, made after
            the randomness was restarted.
        rows: (start, stop, whole) -> a context in which a call is given these rows of a batch, as
            a worker would be that shares it with others.

    Attributes:
        dropout: (x, p, training) -> y, whatever the form of ``call``.
        seeded: whether its randomness is restarted in a way of its own.
        gradients: whether it has any.
        keyed: whether each call is given its randomness.

    Raises:
        UsageError: ``call`` cannot be called so, or no framework's tensors suit it.
    """

    name: str
    call: Any
    framework: Any = None
    noise: Noise = INVERTED
    units: Sequence[Any] | Units | None = None
    domain: Domain = Domain()
    exempt: Mapping[str, str] = field(default_factory=dict)
    seed: Callable[[int], Any] | None = None
    state: Callable[[], Any] | None = None
    set_state: Callable[[Any], Any] | None = None
    modes: bool | None = None
    module: Callable[[float], Any] | None = None
    inplace: Dropout | None = None
    from_uniforms: Callable[[Any, float, np.ndarray], Any] | None = None
    spawn: Callable[[int], Sequence[Dropout]] | None = None
    rows: Callable[[int, int, int], AbstractContextManager[Any]] | None = None
    dropout: Dropout = field(init=False)
    seeded: bool = field(init=False)
    gradients: bool = field(init=False)
    keyed: bool = field(init=False)

    def __post_init__(self) -> None:
        if not callable(self.call) and not calls.has_backward(self.call):
            kind = type(self.call).__name__
            raise UsageError(f"{self.name} is {kind}, which cannot be called")
        if self.units is not None and not isinstance(self.units, Units):
            self._set(units=Units(self.units))
        self._set(seeded=self.seed is not None)
        if isinstance(self.framework, str):
            if self.framework not in FRAMEWORKS:
                raise UsageError(
                    f"there is no framework {self.framework!r}; there are {', '.join(FRAMEWORKS)}"
                )
            self._set(framework=FRAMEWORKS[self.framework])
        if self.framework is None:
            self._set(framework=self._guess())
        self._understand(self.framework)

    def _set(self, **values: Any) -> None:
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def _understand(self, framework: Framework) -> None:
        """Fill in what follows from the call and the framework."""
        keys = calls.Keys(self.domain.seeds)
        try:
            found = _form(self.name, self.call, framework, keys)
        except TypeError as error:
            raise UsageError(str(error)) from None
        if found.keyed and not self.seeded:
            self._set(seed=keys.seed, state=keys.state, set_state=keys.set_state, seeded=True)
        if self.seed is None:
            for name in "seed", "state", "set_state":
                if getattr(self, name) is None:
                    self._set(**{name: getattr(framework, name)})
        records = framework.gradient is not None or framework.record is not None
        gradients = found.returns_gradient or records
        self._set(dropout=found.call, gradients=gradients, keyed=found.keyed)
        for name in "modes", "module", "inplace", "from_uniforms", "spawn", "rows":
            if getattr(self, name) is None:
                self._set(**{name: getattr(found, name)})

    # --------------------------------------------------------------------- the first try

    def first_try(self) -> None:
        """Call the dropout once, before any law does.

        Raises:
            UsageError: it raises for whatever is given, or returns no tensor of the framework's.
        """
        if (problem := self._problem(self.framework)) is None:
            return
        message = f"{self.name} cannot be judged with {self.framework.name}'s tensors: {problem}"
        try:
            other = replace_framework(self, None).framework.name
        except UsageError:
            other = self.framework.name
        if other != self.framework.name:
            message += f". It takes {other}'s: --framework {other}, or framework={other!r}"
        else:
            message += ". Wrap it: def mine(x, p, training): return ..."
        raise UsageError(message)

    def _problem(self, framework: Framework) -> str | None:
        """Return why a call fails, whatever the shape of x; None if it does not."""
        problem, before = "", framework.state() if framework.state else None
        try:
            for shape in (4, 6), (24,), (2, 3, 4, 5):
                try:
                    problem = self._try(framework, shape)
                except Exception as error:
                    problem = f"it raised {type(error).__name__}: {str(error).strip()[:300]}"
                if not problem:
                    return None
        finally:
            if framework.set_state:
                framework.set_state(before)
        return problem

    def _try(self, framework: Framework, shape: tuple[int, ...]) -> str:
        dtypes = self.domain.dtypes or framework.dtypes()
        array = np.ones(shape, "float32" if "float32" in dtypes else dtypes[0])
        if isinstance(self.units, Units):
            array = self.units.spread(array)
        call = _form(self.name, self.call, framework, calls.Keys(self.domain.seeds)).call
        x = framework.tensor(array, False)
        y: Any
        if framework.record is not None and self.call is not None:
            y = framework.record(lambda leaf: call(leaf, 0.5, True), x)
        else:
            y = call(x, 0.5, True)
        value = y.value if isinstance(y, Recorded) else y
        if framework.owns(value):
            return ""
        return f"it returned {type(value).__name__}, and no tensor of {framework.name}'s"

    def _guess(self) -> Framework:
        """Return the framework whose tensors the dropout takes and gives back."""
        tried = {}
        for name in _suspects(self.call):
            try:
                problem = self._problem(FRAMEWORKS[name])
            except ImportError:
                continue
            except TypeError as error:  # what its parameters are, no framework will change
                raise UsageError(str(error)) from None
            if problem is None:
                return FRAMEWORKS[name]
            tried[name] = problem
        name, problem = next(iter(tried.items()), ("any framework", "none is there"))
        raise UsageError(
            f"{self.name} cannot be judged: with {name}'s tensors, {problem}. Wrap it: "
            "def mine(x, p, training): return ..., or name its framework"
        )


def replace_framework(subject: Subject, framework: Framework | str | None) -> Subject:
    """Return the same dropout on another framework's tensors."""
    own = {"noise", "units", "domain", "exempt"}
    return Subject(
        subject.name, subject.call, framework, **{name: getattr(subject, name) for name in own}
    )


def _suspects(call: Any) -> list[str]:
    """Return the names of frameworks, first those that the dropout's code speaks of."""
    told: list[str] = []
    if "g" in _parameters(call) or calls.has_backward(call):
        return ["numpy"]
    for module in _modules_of(call):
        root = module.partition(".")[0]
        name = {"flax": "jax", "equinox": "jax", "haiku": "jax", "tf_keras": "keras"}.get(
            root, root
        )
        if name in FRAMEWORKS and name not in told:
            told.append(name)
    told.sort(key=["minigrad", "numpy"].count)  # what else is spoken of goes first
    told.sort(key=["numpy"].count)
    loaded = [name for name in FRAMEWORKS if name in sys.modules and name not in told]
    return [*told, *loaded]


def _parameters(call: Any) -> Sequence[str]:
    try:
        return list(inspect.signature(call).parameters)
    except (TypeError, ValueError):
        return []


def _modules_of(call: Any) -> Iterator[str]:
    """Yield the modules that an object's class or a function's code come from or speak of."""
    function = call
    while isinstance(function, functools.partial):
        function = function.func
    if inspect.isclass(function) or not inspect.isroutine(function):
        cls = function if inspect.isclass(function) else type(function)
        for base in cls.__mro__:
            yield base.__module__
        function = getattr(cls, "forward", None) or vars(cls).get("__call__")
    code = getattr(function, "__code__", None)
    if code is not None:
        spoken_of = [function.__globals__.get(name) for name in code.co_names]
        spoken_of += [cell.cell_contents for cell in function.__closure__ or ()]
        for value in spoken_of:
            yield value.__name__ if inspect.ismodule(value) else _module_of(value)
    yield getattr(function, "__module__", "") or ""


def _module_of(value: Any) -> str:
    plain = inspect.isclass(value) or inspect.isroutine(value)
    return getattr(value if plain else type(value), "__module__", "") or ""


# ------------------------------------------------------------------------- the forms of a call


@dataclass
class _Form:
    call: Any
    modes: bool = True
    keyed: bool = False
    returns_gradient: bool = False
    module: Any = None
    inplace: Any = None
    from_uniforms: Any = None
    spawn: Any = None
    rows: Any = None


def _form(name: str, thing: Any, framework: Framework, keys: calls.Keys) -> _Form:
    """Return how to call a function, a layer or a class of layers.

    Raises:
        TypeError: it is none, by its parameters.
    """
    if inspect.isclass(thing) or calls.is_layer(thing):
        make = thing
        if not inspect.isclass(thing):
            make = calls.with_p(thing)
        elif not callable(thing):
            raise TypeError(f"{name} is a class, but not one of layers")
        call, module, modes = calls.of_class(name, make, framework, keys)
        form = _Form(call, modes, returns_gradient=calls.has_backward(thing))
        if hasattr(thing, "train") and not form.returns_gradient:
            form.module = module
        options = _parameters(thing) if inspect.isclass(thing) else []
    else:
        call, signature = calls.of_function(name, thing, framework, keys)
        form = _Form(call, signature.plain or "mode" in signature.names)
        form.keyed = "key" in signature.names
        form.returns_gradient = "g" in signature.names
        options = signature.rest
    if "inplace" in options:
        form.inplace = lambda x, p, training: call(x, p, training, inplace=True)
    if "generator" in options and framework is MINIGRAD:
        form.from_uniforms = lambda x, p, u: call(x, p, True, generator=Injected(u))
        form.spawn = lambda n: [
            functools.partial(call, generator=child)
            for child in minigrad.random.default_generator.spawn(n)
        ]
        form.rows = part_of_batch
    return form


class Injected(Generator):
    """A generator that draws the numbers it is given: for a dropout's ``generator=``.

    Args:
        u: multiples of 2⁻³² in [0, 1), drawn in C order, once.
    """

    def __init__(self, u: np.ndarray) -> None:
        super().__init__(0)
        self._lanes = (np.asarray(u, np.float64).ravel() * 2**32).astype(np.uint32)

    def lanes(self, n: int, *part: int) -> np.ndarray:
        drawn, self._lanes = self._lanes[:n], self._lanes[n:]
        return drawn

    def keep_mask(self, shape: Sequence[int], p: float, device: Any = None) -> Any:
        return (self.lanes(math.prod(shape)) >= round(float(p) * 2**32)).reshape(shape)
