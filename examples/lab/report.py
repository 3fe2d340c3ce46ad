"""The report: verdicts first, then each experiment with claim, figure, numbers and settings.

All of it is computed from the rows of the table.
"""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from examples.lab import EXPERIMENTS, figures, load, table, verdicts
from examples.lab.criteria import CRITERIA, SAME, SECOND_LOOK
from examples.lab.frame import Experiment
from examples.lab.table import Row, Table
from minigrad.utils.files import replacing

COLORS = {  # of Okabe and Ito (2008), which the colour-blind tell apart; dark enough for white text
    verdicts.YES: "#00734F",
    verdicts.SMALL: "#3F7D68",
    verdicts.OPPOSITE: "#A84600",
    verdicts.NONE: "#00538A",
    verdicts.UNDECIDED: "#666666",
}
STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem;
       color: #222; background: #fff; overflow-wrap: break-word }
table { border-collapse: collapse; margin: 1rem 0; display: block; overflow-x: auto }
th, td { border-bottom: 1px solid #ddd; padding: .3rem .7rem; text-align: left;
         vertical-align: top; min-width: 4.5rem }
img { max-width: 100%; height: auto }
.verdict { color: #fff; border-radius: .3rem; padding: .1rem .5rem; display: inline-block }
@media (max-width: 500px) {
  body { padding: 0 .6rem; margin: 1rem auto }
  h1 { font-size: 1.5rem } h2 { font-size: 1.2rem }
  table.verdicts, .verdicts tbody, .verdicts tr, .verdicts td { display: block }
  .verdicts th { display: none }
  .verdicts td { border: 0; padding: .1rem 0 } .verdicts tr { border-bottom: 1px solid #ddd }
}
"""
FOREST = "forest"
FOREST_SIZE = (6.8, 5.4)
SHORT = {
    "with_without": "raises accuracy",
    "stability": "prevents collapse",
    "regimes": "helps, images",
    "sweep": "larger p fits less",
    "activations": "sparser",
    "coadaptation": "less co-adaptation",
    "averaging": "scaling averages",
    "weight_decay": "shrinks weights",
    "width": "wide beats narrow",
    "robustness": "robust to noise",
    "variants": "relatives as good",
    "normal_noise": "randn costs",
}


@dataclass(frozen=True)
class Entry:
    """An experiment with all that is shown of it; ``verdict`` is None for a secondary one."""

    name: str
    experiment: Experiment
    verdict: verdicts.Verdict | None
    details: list[dict[str, Any]]
    png: bytes
    broken: int = 0  # pairs left out: a loss was not finite

    @property
    def criterion(self) -> str:
        """The criterion in words."""
        if self.name not in CRITERIA:
            return "None: reported with intervals, without a verdict."
        words = f"{CRITERIA[self.name].words[0].upper()}{CRITERIA[self.name].words[1:]}."
        if more := SECOND_LOOK.get(self.name):
            pairs = ", ".join(map(str, more))
            words += (
                f" The first look left it undecided for want of pairs: a second, with {pairs}, "
                "doubles each p of this claim."
            )
        return words

    @property
    def result(self) -> str:
        """The verdict's sentence."""
        left_out = f"; {self.broken} pairs left out: a loss was not finite" * bool(self.broken)
        return (self.verdict.summary if self.verdict else "See the table.") + left_out


def entries(rows: Sequence[Row], draw: bool = True) -> list[Entry]:
    """Judge all experiments of which there are rows, over all claims together; draw them."""
    present = {row.experiment for row in rows}
    found = [load(name) for name in EXPERIMENTS if name in present]
    tables = {x.name: Table(rows, x.name) for x in found}
    effects = {x.name: x.effects(tables[x.name]) for x in found if x.effects}
    gates = {x.name: x.gate(tables[x.name]) for x in found if x.gate}
    judged = verdicts.judge(effects, gates)

    def picture(x: Experiment) -> bytes:
        return figures.drawn(lambda figure: x.draw(tables[x.name], figure)) if draw else b""

    return [
        Entry(
            *(x.name, x, judged.get(x.name), x.details(tables[x.name]), picture(x)),
            broken=tables[x.name].broken,
        )
        for x in found
    ]


def forest(found: Sequence[Entry]) -> bytes:
    """Return the picture of all primary effects."""
    rows = [
        (
            SHORT[e.name] + " (within grey)" * (CRITERIA[e.name].kind == SAME),
            e.verdict.verdict.replace(", but", ",\nbut"),
            e.verdict.effects,
        )
        for e in found
        if e.verdict
    ]
    return figures.drawn(lambda figure: figures.forest(figure, rows), FOREST_SIZE)


def heading(rows: Sequence[Row]) -> str:
    """Return what all experiments share: data, dates, versions, what intervals mean."""
    facts = {row.arm: str(row.values) for row in rows if row.experiment == table.ABOUT}
    quick = (
        " **A quick look**: fewer images, epochs and seeds than the settings say, and no "
        "conclusion."
        if facts["scale"] != "full"
        else ""
    )
    return (
        f"{facts['runs']} runs on {facts['data']}, {facts['dates']}; {facts['versions']}; commit "
        f"{facts['commits'] or 'unknown'}; criteria {facts['criteria']}; {facts['core hours']} "
        f"hours of one core.{quick} Verdicts hold together over all {len(CRITERIA)} primary claims "
        "(Holm, 5 %); every interval shown is at 95 %, of its effect alone: Hodges and Lehmann's, "
        "by exact signed ranks, where nothing else is said."
    )


def write(rows: Sequence[Row], folder: Path) -> None:
    """Write ``report.html``, which needs no other file, ``report.md`` with figures, and the "
    "table."""
    found = entries(rows)
    picture = forest(found)
    with replacing(folder / "report.html") as path:
        path.write_text(as_html(found, heading(rows), picture), encoding="utf-8")
    for name, png in [(e.name, e.png) for e in found] + [(FOREST, picture)]:
        with replacing(folder / "figures" / f"{name}.png") as path:
            path.write_bytes(png)
    with replacing(folder / "report.md") as path:
        path.write_text(as_markdown(found, heading(rows)), encoding="utf-8")
    table.write(rows, folder / "results.csv")


def as_markdown(
    found: Sequence[Entry], head: str, summary: str = "", folder: str = "figures"
) -> str:
    """Return the report as Markdown.

    Args:
        found: in the order of the report.
        head: the settings that all share.
        summary: what is said above the table.
        folder: of the figures, as seen from the report.
    """
    lines = ["# The dropout laboratory", "", head, ""]
    lines += [summary, ""] if summary else []
    if any(e.verdict for e in found):
        lines += [f"![All primary effects]({folder}/{FOREST}.png)", "", verdict_table(found), ""]
    for e in found:
        x = e.experiment
        lines += [f"## {x.title}", "", f"**Claim.** {x.claim} ({x.source})", ""]
        lines += [f"**Criterion.** {e.criterion}", ""]
        if e.verdict:
            lines += [f"**Verdict: {e.verdict.verdict}.** {e.result}", ""]
        lines += [f"![{x.title}]({folder}/{e.name}.png)", ""]
        lines += [_markdown_table(e.details), "", f"**Settings.** {x.settings}", ""]
    return "\n".join(lines)


def verdict_table(found: Sequence[Entry], document: str = "") -> str:
    """Return the table of verdicts as Markdown, with links into a document or this one."""
    lines = ["| claim | verdict | effect, positive as claimed |", "|---|---|---|"]
    for e in found:
        if e.verdict:
            title = f"[{e.experiment.claim}]({document}#{_anchor(e.experiment.title)})"
            lines.append(f"| {title} | **{e.verdict.verdict}** | {e.verdict.summary} |")
    return "\n".join(lines)


def as_html(found: Sequence[Entry], head: str, picture: bytes) -> str:
    """Return the report as one HTML page with everything in it."""
    rows = "".join(
        f'<tr><td><a href="#{e.name}">{_escape(e.experiment.claim)}</a></td>'
        f"<td>{_badge(e.verdict)}</td><td>{_escape(e.verdict.summary)}</td></tr>"
        for e in found
        if e.verdict
    )
    verdict_rows = (
        f"{_image(picture, 'all primary effects')}<table class=verdicts><tr><th>claim</th>"
        f"<th>verdict</th><th>effect, positive as claimed</th></tr>{rows}</table>"
        if rows
        else ""
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>The dropout laboratory</title><style>{STYLE}</style></head><body>"
        f"<h1>The dropout laboratory</h1><p>{_escape(head.replace('**', ''))}</p>{verdict_rows}"
        f"{''.join(_section(e) for e in found)}</body></html>\n"
    )


def _section(e: Entry) -> str:
    x = e.experiment
    return (
        f'<h2 id="{e.name}">{_escape(x.title)} {_badge(e.verdict)}</h2>'
        f"<p><b>Claim.</b> {_escape(x.claim)} ({_escape(x.source)})</p>"
        f"<p><b>Criterion.</b> {_escape(e.criterion)}</p>"
        f"<p><b>Result.</b> {_escape(e.result)}</p>{_image(e.png, x.title)}"
        f"{_html_table(e.details)}<p><b>Settings.</b> {_escape(x.settings)}</p>"
    )


def _image(png: bytes, words: str) -> str:
    data = base64.b64encode(png).decode()
    return f'<img alt="{_escape(words)}" src="data:image/png;base64,{data}">'


def _badge(verdict: verdicts.Verdict | None) -> str:
    if verdict is None:
        return ""
    color = COLORS[verdict.verdict]
    return f'<span class="verdict" style="background:{color}">{_escape(verdict.verdict)}</span>'


def _html_table(rows: Sequence[dict[str, Any]]) -> str:
    if not rows:
        return ""
    head = "".join(f"<th>{_escape(name)}</th>" for name in rows[0])
    body = "".join(
        "<tr>" + "".join(f"<td>{_escape(str(v))}</td>" for v in row.values()) + "</tr>"
        for row in rows
    )
    return f"<table><tr>{head}</tr>{body}</table>"


def _markdown_table(rows: Sequence[dict[str, Any]]) -> str:
    if not rows:
        return ""
    lines = [f"| {' | '.join(rows[0])} |", "|---" * len(rows[0]) + "|"]
    return "\n".join(lines + [f"| {' | '.join(map(str, row.values()))} |" for row in rows])


def _escape(text: str) -> str:
    return html.escape(text)


def _anchor(title: str) -> str:
    """Return what Markdown on the web makes of a heading."""
    kept = "".join(c for c in title.lower() if c.isalnum() or c in " -_")
    return kept.replace(" ", "-")
