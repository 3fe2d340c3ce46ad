"""What tests are called: ``--collect-only -q`` is to read like a specification, a line for each.

A test of several cases says in brackets which case it is: what goes in, ``dim=0-shape=(2, 3)``.
What comes out (`OUTCOMES`) is said only where nothing else tells the cases apart. Where that reads
badly, a test says it in words: ``pytest.param(..., id="a row of zeros")`` or ``ids=``. Nothing is
numbered and nothing is cut off: what does not read well is not collected, and the reason is given.
"""

from __future__ import annotations

import itertools
import linecache
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import Enum
from fractions import Fraction
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import numpy as np
import pytest

import minigrad

ROOT = Path(__file__).parents[1]
LONGEST = 120  # characters, with the file and the function
OUTCOMES = {"error", "expected", "kept", "launches", "message", "places", "remark", "reported"}
OUTCOMES |= {"said", "shares", "shown", "status", "text", "word", "words"}
BARE = re.compile(r"|[\W\d_]*\d[\W\d_]*|True|False|None|-?inf|nan")  # needs the argument's name
CASE = type(pytest.param())


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Iterator[None]:
    """Refuse tests whose names do not read well."""
    report = yield
    names = [name_of(node) for node in report.result or () if isinstance(node, pytest.Item)]
    if refused := [f"{name}\n    {reason}" for name in names if (reason := fault(name))]:
        report.outcome, report.longrepr = "failed", "\n".join(refused)
    return report


def name_of(item: pytest.Item) -> str:
    """Return a test's name as it is where pytest is run in this folder, wherever that is."""
    if not item.path.is_relative_to(ROOT):
        return item.nodeid
    _, *rest = item.nodeid.split("::")
    return "::".join([item.path.relative_to(ROOT).as_posix(), *rest])


def fault(name: str) -> str:
    """Return what keeps a test's name from reading well; "" if nothing does."""
    if len(name) > LONGEST:
        return f"has {len(name)} characters, more than {LONGEST}: shorten it, or the case, with id="
    if re.search(r"\.\.\.|\\", name.partition("[")[2]):
        return "has been cut off or escaped: say the case in words, with id="
    return ""


@pytest.hookimpl(tryfirst=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Have cases called by `titles`, whoever gives them: a mark, a fixture, another hook."""
    plain = metafunc.parametrize

    def parametrize(
        argnames: str | Sequence[str], argvalues: Iterable[Any], *rest: Any, **options: Any
    ) -> None:
        cases = list(argvalues)
        try:
            options["ids"] = titles(argnames, cases, options.get("ids"))
        except ValueError as e:
            raise pytest.Collector.CollectError(f"{metafunc.definition.nodeid}: {e}") from None
        plain(argnames, cases, *rest, **options)

    metafunc.parametrize = parametrize  # type: ignore[method-assign]


def titles(argnames: str | Sequence[str], cases: Sequence[Any], ids: Any = None) -> list[Any]:
    """Return what cases are called; arguments and results are as in pytest's ``parametrize``.

    Raises:
        ValueError: two cases are called alike, or one by a number or a flag without its name; there
            are more or fewer ids than cases, or values than arguments.
    """
    names = re.findall(r"\w+", argnames) if isinstance(argnames, str) else argnames
    alone = isinstance(argnames, str) and len(names) == 1
    say = ids if callable(ids) else None
    by_hand = [None] * len(cases) if ids is None or say else ids
    if not hasattr(by_hand, "__len__"):
        by_hand = list(itertools.islice(by_hand, len(cases)))  # there may be no end of them
    if len(by_hand) != len(cases):
        raise ValueError(f"{len(cases)} cases have {len(by_hand)} ids")
    parts: list[Any] = []  # of each case: what it is called by hand, or what each argument is
    for case, title in zip(cases, by_hand, strict=True):
        if not isinstance(case, CASE):
            case = pytest.param(case) if alone else pytest.param(*case)
        if len(case.values) != len(names):
            raise ValueError(f"a case has {len(case.values)} values for {len(names)} arguments")
        title = title if case.id is None else case.id
        if title is None:
            title = {n: called(v, n, say) for n, v in zip(names, case.values, strict=True)}
        elif alone and BARE.fullmatch(str(title)):
            title = f"{argnames}={title}"
        parts.append(title)
    silent = [name for name in names if name in OUTCOMES]
    found = [_joined(part, silent) for part in parts]
    while silent and (
        alike := {title for title, n in Counter(found).items() if n > 1 or not title}
    ):
        del silent[0]
        found = [
            _joined(part, silent) if title in alike else title
            for part, title in zip(parts, found, strict=True)
        ]
    for title, n in Counter(found).items():
        if n > 1 or BARE.fullmatch(str(title)):
            count = "a case is" if n == 1 else f"{n} cases are"
            raise ValueError(f"{count} called {str(title)!r}: say in words which it is, with id=")
    return found


def _joined(part: Any, silent: Sequence[str]) -> Any:
    if not isinstance(part, dict):
        return part
    return "-".join(text for name, text in part.items() if text and name not in silent)


def called(value: Any, argname: str, say: Callable[[Any], Any] | None = None) -> str:
    """Return what a value is called: ``dim=0``; what is a word needs no argument's name.

    Args:
        value: of the argument.
        argname: its name.
        say: what gives words for a value: "" where it need not be said, None if others are to be.
    """
    word = say(value) if say else None
    word = _word(value) if word is None else str(word)
    if word is None:
        array = isinstance(value, minigrad.Tensor | np.ndarray)
        return f"{argname}{' of ' if array else '='}{_written(value)}"
    nameless = BARE.fullmatch(word) or not re.search(r"[^\W\d_]", word)
    return f"{argname}={word}" if nameless and (word or not say) else word


def _word(value: Any) -> str | None:
    """Return what a value is called where that is a word; None if it is not."""
    if isinstance(value, str | bytes):
        return value if isinstance(value, str) else value.decode("latin-1")
    if isinstance(value, FunctionType) and value.__name__ == "<lambda>":
        return _body(value) or " ".join(value.__code__.co_names) or None
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        items = [f"{k}={v if isinstance(v, str) else _written(v)}" for k, v in value.items()]
        return ", ".join(items) or "plain"
    if isinstance(value, list | tuple) and all(isinstance(item, str) for item in value):
        return " ".join(value) if value and value[0].startswith("-") else None  # for a command
    if isinstance(value, Enum):
        return value.name
    named = isinstance(value, ModuleType) or callable(value)
    return getattr(value, "__name__", None) if named else None


def _written(value: Any) -> str:
    """Return how a value is written, the same in every process: ``[2**64-1, 0]``, ``1:``."""
    if isinstance(value, minigrad.Tensor | np.ndarray):
        return f"{value.dtype} {tuple(value.shape)}"
    if isinstance(value, set | frozenset):
        return repr(sorted(value, key=repr))
    if type(value) is list and len(value) > 2 and all(item is value[0] for item in value):
        return f"[{_written(value[0])}] * {len(value)}"
    if type(value) in (list, tuple):
        text = ", ".join(map(_written, value)) + "," * (type(value) is tuple and len(value) == 1)
        return f"[{text}]" if isinstance(value, list) else f"({text})"
    if isinstance(value, slice):
        ends = ["" if end is None else _written(end) for end in (value.start, value.stop)]
        return ":".join(ends) + ("" if value.step is None else f":{_written(value.step)}")
    if type(value) in (int, float) and len(repr(value)) > 9:
        return _near_a_power(value) or (repr(value) if type(value) is int else f"{value:.6g}")
    text = str(value) if isinstance(value, np.dtype) else repr(value)
    return type(value).__name__ if " at 0x" in text else text


def _near_a_power(value: float) -> str:
    """Return a number as a power of 2 and a little, ``1-2**-32``; "" if it is none."""
    for base in (0, 1, -1, 2, -2):
        rest = Fraction(value) - base
        above, below = abs(rest.numerator), rest.denominator
        if above and not above & (above - 1) and not below & (below - 1):
            power = f"{'-' if rest < 0 else ''}2**{above.bit_length() - below.bit_length()}"
            if not base:
                return power
            plus = "+" if rest > 0 else ""
            return f"{power}{base:+}" if abs(value) > 3 else f"{base}{plus}{power}"
    return ""


def _body(function: FunctionType) -> str:
    """Return what a lambda returns, as it is written; "" if it does not stand on one line."""
    code = function.__code__
    places = [p for p in code.co_positions() if p[0] and p[3]]  # of its instructions, if any
    lines = {line for place in places for line in place[:2]}
    if len(lines) != 1:
        return ""
    text = linecache.getline(code.co_filename, lines.pop() or 0).encode()
    return text[min(p[2] or 0 for p in places) : max(p[3] or 0 for p in places)].decode()
