"""The verdict as a page: each law with pictures of what it has seen, in one file of HTML."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from html import escape
from typing import Any, NamedTuple

from minigrad.testing import diagnosis, verdicts
from minigrad.testing.laws import BUG, LAWS, TIERS, Law
from minigrad.testing.pictures import pictures
from minigrad.testing.subjects import Subject
from minigrad.testing.verdicts import BROKEN, EXEMPT, HOLDS, NOT_APPLICABLE, Verdict
from minigrad.testing.watched import Watched
from minigrad.testing.zoo import Bug

MARKS = {HOLDS: "✓", BROKEN: "✗", NOT_APPLICABLE: "–", EXEMPT: "○"}
STYLE = """
:root { color-scheme: light dark; --ground: #fff; --panel: #f3f4f6; --ink: #16181d;
  --quiet: #5a606b; --line: #c9ced6; --band: #cfe3f2; --wrong: #c24a00;
  --dropped: #3a4250; --kept: #dfe3e9; }
@media (prefers-color-scheme: dark) { :root { --ground: #14161a; --panel: #1f232a; --ink: #eceef2;
  --quiet: #a5acb8; --line: #3d434d; --band: #1f4059; --wrong: #ffae66; --dropped: #050608;
  --kept: #6b7380; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 72rem; background: var(--ground);
  color: var(--ink); font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; margin: 0; } h2 { font-size: 1.15rem; margin: 1.5rem 0 0.3rem; }
h3 { font-size: 1rem; margin: 0.5rem 0; } p { margin: 0.3rem 0; }
.verdict { border-left: 0.4rem solid var(--band); padding-left: 0.7rem; }
.verdict.bug { border-color: var(--wrong); }
details { border-bottom: 1px solid var(--line); padding: 0.35rem 0; }
summary { cursor: pointer; } summary b { display: inline-block; min-width: 10rem; }
summary i { font-style: normal; display: inline-block; min-width: 5.5rem; }
.BROKEN > summary i { color: var(--wrong); font-weight: 700; }
.n\\/a > summary, .quiet { color: var(--quiet); }
:focus-visible { outline: 3px solid var(--wrong); outline-offset: 2px; }
pre { background: var(--panel); padding: 0.6rem; overflow-x: auto; font-size: 0.85rem;
  white-space: pre-wrap; margin: 0.4rem 0; }
.pictures { display: flex; flex-wrap: wrap; gap: 0.8rem; margin: 0.5rem 0; }
figure { margin: 0; flex: 0 1 17rem; } figure.wide { flex: 1 1 100%; }
figcaption { font-size: 0.8rem; line-height: 1.35; color: var(--quiet); }
.cells, .plot { display: block; width: 100%; background: var(--kept); }
.plot { background: var(--panel); } .band { fill: var(--band); }
.stem { stroke: var(--ink); fill: var(--ink); } .dropped { fill: var(--dropped); }
.wrong { fill: var(--wrong); stroke: var(--wrong); stroke-width: 1.5; }
.cells .wrong { stroke-width: 0; }
ul { list-style: none; margin: 0.2rem 0; padding: 0; }
li { display: flex; gap: 0.7rem; align-items: center; font-size: 0.8rem; }
.dot { flex: 0 0 9rem; height: 1rem; background: var(--panel); }
.pair { display: grid; gap: 1rem;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 20rem), 1fr)); }
"""


class Tried(NamedTuple):
    """A law, what it says of a dropout, and pictures of what it has seen."""

    verdict: Verdict
    pictures: list[str]


def watch(subject: Subject, law: Law, seed: int = 0, quick: bool = False) -> Tried:
    """Try a subject by a law, as `minigrad.testing.verdicts.judge` does, and keep what is seen."""
    trials: list[Watched] = []

    def trial_of(*args: Any) -> Watched:
        trials.append(Watched(*args))
        return trials[-1]

    verdict = verdicts.judge(subject, law, seed, quick, trial_of)
    return Tried(verdict, pictures(trials[-1]) if trials else [])


def page(subject: Subject, tried: Sequence[Tried], seed: int = 0, strict: bool = False) -> str:
    """Return the verdict as HTML that needs nothing else.

    Args:
        subject: the dropout.
        tried: what `watch` returned for each law.
        seed: of the inputs and masks, as for `watch`.
        strict: whether edges and contracts count as bugs.
    """
    found = [one.verdict for one in tried]
    bad = verdicts.condemned(found, strict)
    like = verdicts.looks_like(subject, found)
    parts = [
        f"<h1>{escape(subject.name)}</h1>",
        f'<p class="quiet">on {escape(subject.framework.name)}\'s tensors, seed {seed}</p>',
        f'<p class="verdict{" bug" if bad else ""}">{escape(verdicts.headline(found, strict))}</p>',
        _legend(),
        *_diagnosis(like, tried, seed),
        *(_tier(tier, tried) for tier in TIERS),
    ]
    return _document(f"Verdict: {subject.name}", "\n".join(parts))


def _document(title: str, body: str) -> str:
    policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        f'<link rel="icon" href="data:,">\n<title>{escape(title)}</title>\n'
        f"<style>{STYLE}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


# ------------------------------------------------------------------------- law by law


def _tier(tier: str, tried: Iterable[Tried]) -> str:
    order = [BROKEN, EXEMPT, HOLDS, NOT_APPLICABLE]
    some = sorted(
        (one for one in tried if one.verdict.law.tier == tier),
        key=lambda one: order.index(one.verdict.outcome),
    )
    laws = "\n".join(map(_law, some))
    title = f"<h2>{tier.capitalize()}: {TIERS[tier]}</h2>"
    return f"<section>\n{title}\n{laws}\n</section>" if some else ""


def _law(tried: Tried) -> str:
    verdict, law = tried.verdict, tried.verdict.law
    reason = f"<pre>{escape(verdict.reason)}</pre>" if verdict.reason else ""
    sees = ""
    if law.detects:
        sees = '<p class="quiet">A correct dropout breaks it with a probability of at most '
        sees += f"{law.alpha:g}. It is sure to see {escape(law.detects())}.</p>"
    return (
        f'<details class="{verdict.outcome}"{" open" * (verdict.outcome == BROKEN)}>'
        f"<summary><i>{MARKS[verdict.outcome]} {verdict.outcome}</i> <b>{law.name}</b> "
        f"{escape(law.statement)}</summary>\n{reason}{sees}{_row(tried.pictures)}</details>"
    )


def _row(found: Sequence[str]) -> str:
    return f'<div class="pictures">{"".join(found)}</div>' if found else ""


def _legend() -> str:
    return (
        '<p class="quiet">In pictures of masks, what was dropped is dark, what was kept is pale, '
        "and what the noise could not make of x is orange. In plots the band is what chance "
        "leaves, but for the law's probability; what lies outside is orange.</p>"
    )


# ------------------------------------------------------------------------- the diagnosis


def _diagnosis(
    like: diagnosis.Diagnosis | None, tried: Sequence[Tried], seed: int
) -> Iterable[str]:
    """Yield what the dropout looks like, its pictures beside those of the zoo's bug."""
    if like is None:
        return
    broken = [v.law.name for v in verdicts.broken_in((one.verdict for one in tried), BUG)]
    law = LAWS[diagnosis.telling(like, broken)[0]]
    own = next(one for one in tried if one.verdict.law is law)
    bug = like.bugs[0]
    theirs = watch(bug.subject, law, seed)
    yield (
        f"<section>\n<h2>What it looks like</h2>\n<p>{escape(str(like))}</p>\n"
        f'<div class="pair"><div><h3>This dropout, by the law {law.name}</h3>'
        f"{_row(own.pictures)}</div>\n<div><h3>Zoo bug {bug.number}, {escape(bug.name)}</h3>"
        f"{_row(theirs.pictures)}</div></div>\n"
        f'<p class="quiet">Seen in: {escape(bug.seen_in)}</p>\n'
        f"<pre>{escape(source_of(bug))}</pre>\n</section>"
    )


def source_of(bug: Bug) -> str:
    """Return the code of a bug of the zoo."""
    make: Any = bug.make
    wrong: Callable[..., Any] = make.args[1]
    return inspect.getsource(wrong).rstrip()
