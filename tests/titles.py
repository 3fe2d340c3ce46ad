"""What tests are called: ``--collect-only -q`` is to read like a specification, a line for each.

A test of several cases says in brackets which case it is: what goes in, ``dim=0-shape=(2, 3)``.
What comes out (`OUTCOMES`) is said only where nothing else tells the cases apart. Where that reads
badly, a test says it in words: ``pytest.param(..., id="a row of zeros")`` or ``ids=``. Nothing is
numbered and nothing is cut off: what does not read well is not collected, and the reason is given.
"""

from __future__ import annotations

import linecache
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import Enum
from types import FunctionType
from typing import Any

import numpy as np
import pytest

import minigrad

LONGEST = 120  # characters, with the file and the function
OUTCOMES = {"error", "expected", "kept", "launches", "message", "places", "remark", "reported"}
OUTCOMES |= {"said", "shares", "shown", "status", "text", "word", "words"}
BARE = re.compile(r"[\W\d_]*|True|False|None|-?inf|nan")  # says nothing without the argument's name
CASE = type(pytest.param())


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Iterator[None]:
    """Refuse tests whose names do not read well."""
    report = yield
    names = [node.nodeid for node in report.result or () if isinstance(node, pytest.Item)]
    if refused := [f"{name}\n    {reason}" for name in names if (reason := fault(name))]:
        report.outcome, report.longrepr = "failed", "\n".join(refused)
    return report


def fault(name: str) -> str:
    """Return what keeps a test's name from reading well; "" if nothing does."""
    if len(name) > LONGEST:
        return f"has {len(name)} characters, not {LONGEST}: say the case in words, with id="
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
        ValueError: two cases are called alike, or one by a number or a flag without its name.
    """
    names = re.findall(r"\w+", argnames) if isinstance(argnames, str) else argnames
    alone = isinstance(argnames, str) and len(names) == 1
    say = ids if callable(ids) else None
    by_hand = [None] * len(cases) if ids is None or say else list(ids)
    parts: list[Any] = []  # of each case: what it is called by hand, or what each argument is
    for case, title in zip(cases, by_hand, strict=True):
        if not isinstance(case, CASE):
            case = pytest.param(case) if alone else pytest.param(*case)
        title = title if case.id is None else case.id
        if title is None:
            title = {n: called(v, n, say) for n, v in zip(names, case.values, strict=True)}
        elif len(names) == 1 and BARE.fullmatch(str(title)):
            title = f"{names[0]}={title}"
        parts.append(title)
    silent = [name for name in names if name in OUTCOMES]
    found = [_joined(part, silent) for part in parts]
    while silent and (
        alike := {title for title, n in Counter(found).items() if n > 1 or not title}
    ):
        del silent[0]
        found = [
            _joined(part, silent) if found[i] in alike else found[i] for i, part in enumerate(parts)
        ]
    for title, count in Counter(found).items():
        if count > 1 or BARE.fullmatch(str(title)):
            alike = f"{count} cases are" if count > 1 else "a case is"
            raise ValueError(f"{alike} called {title!r}: say in words which it is, with id=")
    return found


def _joined(part: Any, silent: Sequence[str]) -> Any:
    if not isinstance(part, dict):
        return part
    return "-".join(text for name, text in part.items() if text and name not in silent)


def called(value: Any, argname: str, say: Callable[[Any], Any] | None = None) -> str:
    """Return what a value is called: ``dim=0``; what is a word needs no argument's name."""
    word = say(value) if say else None
    word = _word(value) if word is None else str(word)
    if word is None or (BARE.fullmatch(word) and (word or not say)):
        word = f"{argname}={_written(value) if word is None else word}"
    return "".join(c if c.isascii() and c.isprintable() else ascii(c)[1:-1] for c in word)


def _word(value: Any) -> str | None:
    """Return what a value is called where that is a word; None if it is not."""
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return value.decode("latin-1")
    if isinstance(value, FunctionType) and value.__name__ == "<lambda>":
        return _body(value) or " ".join(value.__code__.co_names) or None
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return ", ".join(f"{key}={_written(item)}" for key, item in value.items()) or "plain"
    if isinstance(value, list | tuple) and all(isinstance(item, str) for item in value):
        return " ".join(value) if value and value[0].startswith("-") else None  # as in a command
    if isinstance(value, minigrad.Tensor | np.ndarray):
        return None
    return value.name if isinstance(value, Enum) else getattr(value, "__name__", None)


def _written(value: Any) -> str:
    """Return how a value is written, the same in every process; 2**64 - 1 so."""
    if isinstance(value, minigrad.Tensor | np.ndarray):
        return f"{value.dtype}{tuple(value.shape)}"
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
    if type(value) is int and abs(value) > 2**30:
        power = round(math.log2(abs(value)))
        beyond = abs(value) - 2**power
        if abs(beyond) < 10:
            return "-" * (value < 0) + f"2**{power}" + (f"{beyond:+}" if beyond else "")
    text = str(value) if isinstance(value, np.dtype) else repr(value)
    return type(value).__name__ if " at 0x" in text else text


def _body(function: FunctionType) -> str:
    """Return what a lambda returns, as it is written; "" if it does not stand on one line."""
    code = function.__code__
    places = [p for p in code.co_positions() if p[0] and p[3]]  # of its instructions, if any
    lines = {line for place in places for line in place[:2]}
    if len(lines) != 1:
        return ""
    text = linecache.getline(code.co_filename, lines.pop() or 0).encode()
    return text[min(p[2] or 0 for p in places) : max(p[3] or 0 for p in places)].decode()
