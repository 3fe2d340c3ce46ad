"""Publishing: the table, ``docs/laboratory.md`` with its figures, the verdicts in both READMEs.

Everything but the table is computed from the table. What is written by hand stays: in the document,
the text between `BY_HAND`; in the READMEs, everything outside `MARKS`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from examples.lab import EXPERIMENTS, criteria, table, verdicts
from examples.lab.report import FOREST, Entry, as_markdown, entries, forest, heading, verdict_table
from examples.lab.table import Row
from minigrad.utils.files import replacing

ROOT = Path(__file__).parents[2]
DOCUMENT = "docs/laboratory.md"
TABLE = "docs/laboratory/results.csv"
BY_HAND = ("<!-- by hand: kept by `publish` -->", "<!-- end of what is by hand -->")
MARKS = ("<!-- verdicts: written by `publish` -->", "<!-- end of verdicts -->")
LARGEST = 150_000  # bytes of a figure: the repository is cloned by everybody

CLAIMS_IN_CHINESE = {
    "with_without": "在该章的设置下，暂退法提高测试精度。",
    "stability": "学习率为 0.5 时，没有暂退法的训练会崩溃，有暂退法的不会。",
    "regimes": "训练到网络拟合为止，无论数据多少，暂退法都提高测试精度。",
    "sweep": "p 越大，网络对训练集的拟合越弱。",
    "activations": "暂退法使隐藏层的激活更稀疏。",
    "coadaptation": "暂退法使隐藏单元不再相互依赖。",
    "averaging": "缩放权重可以代替对所有掩码的子网络取平均。",
    "weight_decay": "暂退法像权重衰减一样使权重变小。",
    "width": "有暂退法的大网络胜过没有暂退法的小网络。",
    "robustness": "用暂退法训练的网络对输入噪声更稳健。",
    "variants": "丢弃权重，或者乘以高斯噪声，效果与暂退法相同。",
    "normal_noise": "把均匀噪声误写成正态噪声会降低测试精度。",
}
VERDICTS_IN_CHINESE = {
    verdicts.YES: "是",
    verdicts.SMALL: "是，但小于有意义的最小效应",
    verdicts.OPPOSITE: "相反",
    verdicts.NONE: "几乎没有",
    verdicts.UNDECIDED: "未定",
}


def publish(rows: Sequence[Row], root: Path = ROOT) -> list[Path]:
    """Write the table, the document, its figures and the READMEs' tables; return what was written.

    Args:
        rows: of all experiments.
        root: of the repository.

    Raises:
        ValueError: the rows are not of a full run by today's criteria, a figure is too large, or a
            README has lost its marks. Nothing is written then.
    """
    check(rows)
    found, folder = entries(rows), (root / DOCUMENT).with_suffix("")
    pictures = {**{e.name: e.png for e in found}, FOREST: forest(found)}
    for name, png in pictures.items():
        if len(png) > LARGEST:
            raise ValueError(f"figure {name} has {len(png):,} bytes, more than {LARGEST:,}")
    document = root / DOCUMENT
    text = document.read_text(encoding="utf-8") if document.exists() else "\n".join(BY_HAND)
    summary = "\n".join(["## What of the chapter stands", "", marked(text, BY_HAND), ""])
    pages = {
        document: as_markdown(found, heading(rows), f"{summary}\n## Verdicts", folder.name),
        **{
            root / name: replaced((root / name).read_text(encoding="utf-8"), MARKS, words)
            for name, words in (
                ("README.md", in_english(found)),
                ("README.zh.md", in_chinese(found)),
            )
        },
    }
    table.write(rows, root / TABLE)
    for old in folder.glob("*.png"):
        if old.stem not in pictures:
            old.unlink()
    for name, png in pictures.items():
        with replacing(folder / f"{name}.png") as path:
            path.write_bytes(png)
    for page, words in pages.items():
        with replacing(page) as path:
            path.write_text(words, encoding="utf-8")
    return [root / TABLE, *pages]


def check(rows: Sequence[Row]) -> None:
    """Refuse to publish what was not run as the criteria say.

    Raises:
        ValueError: says what is not as it should be.
    """
    facts = {row.arm: str(row.values) for row in rows if row.experiment == table.ABOUT}
    wanted = {"scale": "full", "sample": "False", "criteria": criteria.fingerprint()}
    for name, value in wanted.items():
        if facts.get(name) != value:
            raise ValueError(
                f"only a full run of the whole set by today's criteria is published: {name} must "
                f"be {value}, and the runs have {facts.get(name, 'none')}"
            )
    missing = [name for name in EXPERIMENTS if name not in {row.experiment for row in rows}]
    if missing:
        raise ValueError(f"there are no results of {', '.join(missing)}")
    for e in entries(rows, draw=False):
        if e.verdict is None:
            continue
        for effect, pairs in zip(e.verdict.effects, criteria.pairs_of(e.name), strict=True):
            if not pairs - e.broken <= effect.interval.n <= pairs:
                raise ValueError(
                    f"{e.name}: the criterion asks for {pairs} pairs, {effect.interval.n} ran"
                )


def in_english(found: Sequence[Entry]) -> str:
    """Return the main figure and the table of verdicts for ``README.md``."""
    picture = f"![All primary effects over the smallest that counts]({DOCUMENT[:-3]}/{FOREST}.png)"
    return f"{picture}\n\n{verdict_table(found, DOCUMENT)}"


def in_chinese(found: Sequence[Entry]) -> str:
    """Return the same for ``README.zh.md``; the effects are in the document."""
    picture = f"![各主要效应与有意义的最小效应之比]({DOCUMENT[:-3]}/{FOREST}.png)"
    lines = [picture, "", "| 论断 | 结论 |", "|---|---|"]
    lines += [
        f"| {CLAIMS_IN_CHINESE[e.name]} | **{VERDICTS_IN_CHINESE[e.verdict.verdict]}** |"
        for e in found
        if e.verdict
    ]
    return "\n".join([*lines, "", f"数字、置信区间和图见[实验室的结果]({DOCUMENT})（英文）。"])


def marked(text: str, marks: tuple[str, str]) -> str:
    """Return what stands between two marks, with them.

    Raises:
        ValueError: they are not there, each once and in this order.
    """
    start, end = marks
    if text.count(start) != 1 or text.count(end) != 1 or text.index(end) < text.index(start):
        raise ValueError(f"the marks {start!r} and {end!r} must be there, each once, in this order")
    return text[text.index(start) : text.index(end)] + end


def replaced(text: str, marks: tuple[str, str], new: str) -> str:
    """Return the text with something else between two marks; see `marked`."""
    start, end = marks
    return text.replace(marked(text, marks), f"{start}\n\n{new}\n\n{end}")
