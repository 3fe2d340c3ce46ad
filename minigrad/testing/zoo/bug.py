"""What an entry of the zoo is, and the decorator that puts it there."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

import minigrad as mg
from minigrad.nn.dropping import checked_probability
from minigrad.testing.frameworks import MINIGRAD
from minigrad.testing.subjects import Subject

W = TypeVar("W", bound=Callable[..., Any])


@dataclass(frozen=True)
class Bug:
    """A wrong dropout.

    Args:
        number: its place in the zoo, from 1.
        name: what is wrong, in a few words.
        seen_in: where it was seen; "invented" for what nobody owned up to.
        law: the name of the law that must catch it; others may as well.
        make: return a new subject.
    """

    number: int
    name: str
    seen_in: str
    law: str
    make: Callable[[], Subject]

    @property
    def subject(self) -> Subject:
        """The wrong dropout, made anew, so that nothing is left over from an earlier run."""
        return self.make()


#: every bug, in reading order
ZOO: list[Bug] = []


def bug(law: str, seen_in: str) -> Callable[[W], W]:
    """Put a wrong dropout into the zoo.

    Its name is that of the function or class; its parameters tell what it is. ``(x, p)``: wrong in
    training at 0 < p < 1, right otherwise. ``(x, p, training)``: all of a dropout. ``(x, p, u)``: a
    dropout in training that is given its uniform numbers. A class: a module. No parameters: returns
    one of these, or a whole `Subject`, with a memory of its own.

    Args:
        law: the name of the law that must catch it.
        seen_in: where it was seen.
    """

    def decorate(wrong: W) -> W:
        name = re.sub("(?<!^)(?=[A-Z])", "_", wrong.__name__).lower().replace("_", " ")
        make = functools.partial(_subject, name, wrong)
        ZOO.append(Bug(len(ZOO) + 1, name, seen_in, law, make))
        return wrong

    return decorate


def _subject(name: str, wrong: Callable[..., Any]) -> Subject:
    parameters = list(inspect.signature(wrong).parameters)
    if inspect.isclass(wrong) or parameters[2:3] == ["training"]:
        return Subject(name, wrong, MINIGRAD)
    if not parameters:
        made = wrong()
        return made if isinstance(made, Subject) else _subject(name, made)
    if parameters[2:3] == ["u"]:
        return Subject(name, drawing(wrong), MINIGRAD, from_uniforms=wrong)
    return Subject(name, otherwise_right(wrong), MINIGRAD)


def otherwise_right(wrong: Callable[[Any, float], Any]) -> Callable[[Any, float, bool], Any]:
    """Return a dropout that is right in evaluation, at p = 0, at p = 1 and at a p that is none."""

    def dropout(x: Any, p: float, training: bool) -> Any:
        p = checked_probability(p)
        if not training or p == 0:
            return x
        return wrong(x, p) if p < 1 else x * 0.0

    return dropout


#: a right dropout, in the words of most of the wrong ones
right = otherwise_right(lambda x, p: x * (mg.rand(x.shape) >= p) / (1 - p))


def drawing(wrong: Callable[[Any, float, np.ndarray], Any]) -> Callable[[Any, float, bool], Any]:
    """Return a dropout that draws the uniform numbers which ``wrong`` is to be given."""

    def dropout(x: Any, p: float, training: bool) -> Any:
        p = checked_probability(p)
        if not training or p == 0:
            return x
        return wrong(x, p, mg.rand(x.shape, dtype=np.float64).numpy())

    return dropout


def kept_where(u: np.ndarray, x: Any, p: float) -> Any:
    """Return what is right for these uniform numbers; the bug is in how they came about."""
    return x * mg.as_tensor(u.reshape(x.shape) >= p) * scale(p)


def scale(p: float) -> float:
    """Return the factor of what is kept: at p = 1 nothing should be, and is seen if it is."""
    return 1 / (1 - p) if p < 1 else 1.0
