"""The report: verdicts first, then each experiment with claim, figure, numbers and settings."""

from __future__ import annotations

import base64
import html
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from examples.lab.frame import Experiment, Finding, Results, Scale
from minigrad.utils.files import replacing

COLORS = {  # of Okabe and Ito (2008), which the colour-blind tell apart
    "supported": "#009E73",
    "not supported": "#999999",
    "refuted": "#D55E00",
    "depends": "#0072B2",
}
STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem;
       color: #222; background: #fff }
table { border-collapse: collapse; margin: 1rem 0; display: block; overflow-x: auto }
th, td { border-bottom: 1px solid #ddd; padding: .3rem .7rem; text-align: left;
         vertical-align: top }
td.number { text-align: right; font-variant-numeric: tabular-nums }
img { max-width: 100% }
.verdict { color: #fff; border-radius: .3rem; padding: .1rem .5rem; white-space: nowrap }
"""


@dataclass(frozen=True)
class Entry:
    """An experiment with all that is shown of it."""

    name: str
    experiment: Experiment
    finding: Finding
    png: bytes


def entry(name: str, experiment: Experiment, results: Results, scale: Scale, level: float) -> Entry:
    """Judge an experiment and draw its figure."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    finding = experiment.judge(results, scale, level)
    figure = Figure(figsize=(8, 3.6), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    experiment.draw(results, scale, figure)
    for panel in figure.axes:
        if panel.get_xlabel().startswith(("epoch", "seed")):
            panel.xaxis.set_major_locator(MaxNLocator(integer=True))
    return Entry(name, experiment, finding, png(figure))


def png(figure: Any) -> bytes:
    """Return a figure as PNG in 256 colours: a third of the bytes, and no difference to see."""
    from PIL import Image

    drawn, picture = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format="png")
    few = Image.open(drawn).convert("RGB").quantize(256, dither=Image.Dither.NONE)
    few.save(picture, format="png", optimize=True)
    return picture.getvalue()


def write(entries: Sequence[Entry], folder: Path, heading: str) -> None:
    """Write ``report.html``, which needs no other file, and ``report.md`` with its figures.

    Args:
        entries: in the order of the report.
        folder: where both go; figures for the second go into ``figures`` below it.
        heading: the settings that all share: scale, seeds, versions, date, command.
    """
    with replacing(folder / "report.html") as path:
        path.write_text(as_html(entries, heading), encoding="utf-8")
    for e in entries:
        with replacing(folder / "figures" / f"{e.name}.png") as path:
            path.write_bytes(e.png)
    with replacing(folder / "report.md") as path:
        path.write_text(as_markdown(entries, heading), encoding="utf-8")


def as_markdown(
    entries: Sequence[Entry], heading: str, summary: str = "", figures: str = "figures"
) -> str:
    """Return the report as Markdown.

    Args:
        entries: in the order of the report.
        heading: the settings that all share.
        summary: what is said above the table.
        figures: the folder of the figures, as seen from the report.
    """
    lines = ["# The dropout laboratory", "", heading, ""]
    lines += [summary, ""] if summary else []
    lines.append(verdicts(entries))
    for e in entries:
        x = e.experiment
        lines += ["", f"## {x.title}", "", f"**Claim.** {x.claim} ({x.source})", ""]
        lines += [f"**Criterion.** {x.criterion}", ""]
        lines += [f"**Verdict: {e.finding.verdict}.** {e.finding.summary}", ""]
        lines += [f"![{x.title}]({figures}/{e.name}.png)", ""]
        lines += [_markdown_table(e.finding.table), "", f"**Settings.** {x.settings}"]
    return "\n".join(lines) + "\n"


def verdicts(entries: Sequence[Entry], document: str = "") -> str:
    """Return the table of verdicts as Markdown, with links into a document or this one."""
    lines = ["| claim | verdict | data |", "|---|---|---|"]
    for e in entries:
        title = f"[{e.experiment.claim}]({document}#{_anchor(e.experiment.title)})"
        lines.append(f"| {title} | **{e.finding.verdict}** | {e.finding.summary} |")
    return "\n".join(lines)


def as_html(entries: Sequence[Entry], heading: str) -> str:
    """Return the report as one HTML page with everything in it."""
    rows = "".join(
        f'<tr><td><a href="#{e.name}">{_escape(e.experiment.claim)}</a></td>'
        f"<td>{_badge(e.finding.verdict)}</td><td>{_escape(e.finding.summary)}</td></tr>"
        for e in entries
    )
    sections = "".join(_section(e) for e in entries)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>The dropout laboratory</title><style>{STYLE}</style></head><body>"
        f"<h1>The dropout laboratory</h1><p>{_code(_escape(heading))}</p>"
        f"<table><tr><th>claim</th><th>verdict</th><th>data</th></tr>{rows}</table>"
        f"{sections}</body></html>\n"
    )


def _section(e: Entry) -> str:
    x = e.experiment
    picture = base64.b64encode(e.png).decode()
    return (
        f'<h2 id="{e.name}">{_escape(x.title)} {_badge(e.finding.verdict)}</h2>'
        f"<p><b>Claim.</b> {_escape(x.claim)} ({_escape(x.source)})</p>"
        f"<p><b>Criterion.</b> {_escape(x.criterion)}</p>"
        f"<p><b>Result.</b> {_escape(e.finding.summary)}</p>"
        f'<img alt="{_escape(x.title)}" src="data:image/png;base64,{picture}">'
        f"{_html_table(e.finding.table)}<p><b>Settings.</b> {_escape(x.settings)}</p>"
    )


def _badge(verdict: str) -> str:
    return f'<span class="verdict" style="background:{COLORS[verdict]}">{verdict}</span>'


def _html_table(rows: Sequence[dict[str, Any]]) -> str:
    if not rows:
        return ""
    head = "".join(f"<th>{_escape(name)}</th>" for name in rows[0])
    body = "".join(
        "<tr>" + "".join(f"<td{_align(v)}>{_escape(_show(v))}</td>" for v in row.values()) + "</tr>"
        for row in rows
    )
    return f"<table><tr>{head}</tr>{body}</table>"


def _markdown_table(rows: Sequence[dict[str, Any]]) -> str:
    if not rows:
        return ""
    lines = [f"| {' | '.join(rows[0])} |", "|---" * len(rows[0]) + "|"]
    lines += [f"| {' | '.join(map(_show, row.values()))} |" for row in rows]
    return "\n".join(lines)


def _show(value: Any) -> str:
    return f"{value:#.4g}" if isinstance(value, float) else str(value)


def _align(value: Any) -> str:
    return ' class="number"' if isinstance(value, int | float) else ""


def _code(text: str) -> str:
    return re.sub("`(.*?)`", r"<code>\1</code>", text)


def _escape(text: str) -> str:
    return html.escape(text)


def _anchor(title: str) -> str:
    """Return what Markdown on the web makes of a heading."""
    kept = "".join(c for c in title.lower() if c.isalnum() or c in " -_")
    return kept.replace(" ", "-")
