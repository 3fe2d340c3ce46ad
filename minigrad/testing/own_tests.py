"""The laws in a test file of one's own: `laws_of` and `any_shape_and_p_of`.

from minigrad.testing import laws_of
test_my_dropout = laws_of(my_dropout)
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from minigrad.testing.laws import BUG, LAWS, BrokenLaw, Law, Trial
from minigrad.testing.laws.checks import check_support
from minigrad.testing.subjects import Subject, UsageError
from minigrad.testing.verdicts import BROKEN, EXEMPT, NOT_APPLICABLE, check_usage, judge


def laws_of(
    dropout: Any,
    framework: str | None = None,
    *,
    only: Sequence[str] = (),
    skip: Sequence[str] = (),
    strict: bool = False,
    quick: bool = False,
    seed: int = 0,
    **declared: Any,
) -> Callable[..., None]:
    """Return a test of a dropout, parametrised: one for each law.

    A law that does not apply is skipped with the reason. A broken edge or contract is an expected
    failure, unless ``strict``; so is a law from which the dropout is exempt.

    Args:
        dropout: a function (x, p, training) -> y, a layer, a class of layers, or a `Subject`.
        framework: whose tensors it takes; None: found by a first try.
        only: the names of the laws to try; all by default.
        skip: the names of those to leave out.
        strict: whether edges and contracts count as bugs do.
        quick: draw less, which sees less.
        seed: of inputs and masks.
        declared: what else a `Subject` says: ``noise=``, ``units=``, ``domain=``, ``exempt=``, ...

    Returns:
        A function that pytest collects under the name it is given. Its tests have the names of the
        laws as ids (``-k rate``) and their tiers as marks (``-m "not contract"``).

    Raises:
        UsageError: the dropout cannot be judged as it is given; there is no such law.

    Examples:
        >>> from minigrad.nn.functional import dropout
        >>> test_my_dropout = laws_of(dropout)
        >>> [mark.name for mark in test_my_dropout.pytestmark]
        ['parametrize']
    """
    subject = _subject(dropout, framework, declared)
    for name in (*only, *skip):
        if name not in LAWS:
            raise UsageError(f"there is no law {name!r}; the laws are {', '.join(LAWS)}")
    chosen = [
        pytest.param(law, id=name, marks=getattr(pytest.mark, law.tier))
        for name, law in LAWS.items()
        if (not only or name in only) and name not in skip
    ]

    @pytest.mark.parametrize("law", chosen)
    def test(law: Law) -> None:
        __tracebackhide__ = True
        verdict = judge(subject, law, seed, quick)
        said = f"{law.statement}\n{verdict.reason}"
        if verdict.outcome == NOT_APPLICABLE:
            pytest.skip(f"{law.name}: {verdict.reason}")
        if verdict.outcome == EXEMPT:
            pytest.xfail(said)
        if verdict.outcome == BROKEN:
            if strict or law.tier == BUG:
                pytest.fail(said, pytrace=False)
            pytest.xfail(f"{law.tier}: {said}")

    return _at_home(test, f"The laws of dropout, on {subject.name}.")


def any_shape_and_p_of(
    dropout: Any, framework: str | None = None, **declared: Any
) -> Callable[[], None]:
    """Return a hypothesis test of a dropout: values and gradient are right for any shape and p.

    What holds is exact, whatever the draw: each element becomes what its noise makes of it, and
    backward has the zeros and the scale of its own forward.

    Args:
        dropout: as for `laws_of`.
        framework: as for `laws_of`.
        declared: as for `laws_of`.

    Returns:
        A test without parameters. ``hypothesis.settings`` can be put on it.

    Raises:
        UsageError: the dropout cannot be judged as it is given, or its noise is continuous.

    Examples:
        >>> from minigrad.nn.functional import dropout
        >>> test_my_dropout_anywhere = any_shape_and_p_of(dropout)
        >>> test_my_dropout_anywhere()
    """
    from hypothesis import given
    from hypothesis import strategies as st
    from hypothesis.extra.numpy import array_shapes

    subject = _subject(dropout, framework, declared)
    if subject.noise.variance is not None:
        raise UsageError(f"{subject.name}'s noise is continuous: nothing about it is exact")
    shapes = array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=7)

    @given(shape=shapes, p=st.floats(0, 0.99), seed=st.integers(0, subject.domain.seeds - 1))
    def test(shape: tuple[int, ...], p: float, seed: int) -> None:
        __tracebackhide__ = True
        check = functools.partial(_check_exactly, shape=shape, p=p)
        try:
            Law("any_shape_and_p", "Values and gradient are right.", check)(subject, seed)
        except BrokenLaw as broken:
            pytest.fail(str(broken), pytrace=False)

    return _at_home(test, f"Values and gradient, for any shape and p, of {subject.name}.")


def _check_exactly(trial: Trial, shape: tuple[int, ...], p: float) -> None:
    array, g = trial.numbers(shape), trial.numbers(shape)
    x = trial.tensor(array)
    result, y = trial.apply(x, p)
    check_support(y, array, p, noise=trial.noise)
    if trial.subject.gradients:
        dx = trial.gradient(result, x, g)
        check_support(dx, g, p, "the incoming gradient", trial.noise.of_the_gradient)
        wrong = (dx == 0) != trial.noise.is_dropped(y, array, p)
        if wrong.any():
            at = tuple(map(int, np.argwhere(wrong)[0]))
            raise BrokenLaw(
                f"p = {p!r}: in {int(wrong.sum())} of {y.size} places, the first is {at}, the "
                "gradient and the result are not 0 together"
            )


def _subject(dropout: Any, framework: str | None, declared: dict[str, Any]) -> Subject:
    if isinstance(dropout, Subject):
        subject = dropout
    else:
        name = getattr(dropout, "__name__", type(dropout).__name__)
        subject = Subject(name, dropout, framework, **declared)
    check_usage(subject)
    return subject


def _at_home(test: Callable[..., None], doc: str) -> Callable[..., None]:
    """Make a test one of the file that asked for it, so that pytest shows that file."""
    frame = inspect.currentframe()
    caller = frame.f_back.f_back if frame and frame.f_back else None
    if caller is not None:
        test.__module__ = caller.f_globals.get("__name__", test.__module__)
    test.__doc__ = doc
    return test
