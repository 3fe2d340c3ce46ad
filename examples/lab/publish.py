"""Publishing results: ``docs/laboratory.md`` with its figures, and the verdicts in both READMEs.

What is written by hand stays: in the document, the text between `BY_HAND`; in the READMEs,
everything outside `VERDICTS`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from examples.lab.report import Entry, as_markdown, verdicts
from minigrad.utils.files import replacing

ROOT = Path(__file__).parents[2]
DOCUMENT = "docs/laboratory.md"
BY_HAND = ("<!-- by hand: kept by `publish` -->", "<!-- end of what is by hand -->")
VERDICTS = ("<!-- verdicts: written by `publish` -->", "<!-- end of verdicts -->")
LARGEST = 150_000  # bytes of a figure: the repository is cloned by everybody

CLAIMS_IN_CHINESE = {
    "with_without": "在该章的设置下，暂退法使训练误差略高，测试精度也略高。",
    "stability": "学习率为 0.5 时，没有暂退法的训练会崩溃，有暂退法的不会。",
    "sweep": "p 越大，网络对训练集的拟合越弱。",
    "regimes": "只要训练得够久，无论数据多少，暂退法都提高测试精度。",
    "activations": "暂退法使隐藏层的激活更稀疏。",
    "ensemble": "缩放权重可以代替对所有掩码的子网络取平均。",
    "weight_decay": "暂退法像权重衰减一样使权重变小。",
    "tikhonov": "线性模型在输入上加噪声训练就是岭回归。",
    "width": "有暂退法的大网络胜过没有暂退法的小网络。",
    "robustness": "用暂退法训练的网络对输入噪声更稳健。",
    "variants": "丢弃权重，或者乘以高斯噪声，效果与暂退法相同。",
    "normal_noise": "把均匀噪声误写成正态噪声会降低测试精度。",
}
VERDICTS_IN_CHINESE = {
    "supported": "得到支持",
    "not supported": "未得到支持",
    "refuted": "被否定",
    "depends": "视情况而定",
}


def publish(entries: Sequence[Entry], heading: str, root: Path = ROOT) -> list[Path]:
    """Write the document, its figures and the READMEs' tables; return what was written.

    Args:
        entries: of all experiments, in the order of the report.
        heading: scale, seeds, versions, date, command.
        root: of the repository.

    Raises:
        ValueError: a figure is too large, or a README has lost its marks.
    """
    for e in entries:
        if len(e.png) > LARGEST:
            raise ValueError(f"figure {e.name} has {len(e.png):,} bytes, more than {LARGEST:,}")
    document = root / DOCUMENT
    text = document.read_text(encoding="utf-8") if document.exists() else "\n".join(BY_HAND)
    summary = "\n".join(["## What of the chapter stands", "", marked(text, BY_HAND), ""])
    figures = document.with_suffix("")
    pages = {
        document: as_markdown(entries, heading, f"{summary}\n## Verdicts", figures.name),
        **{
            root / name: replaced((root / name).read_text(encoding="utf-8"), VERDICTS, table)
            for name, table in (
                ("README.md", in_english(entries)),
                ("README.zh.md", in_chinese(entries)),
            )
        },
    }
    for e in entries:
        with replacing(figures / f"{e.name}.png") as path:
            path.write_bytes(e.png)
    for page, words in pages.items():
        with replacing(page) as path:
            path.write_text(words, encoding="utf-8")
    return list(pages)


def in_english(entries: Sequence[Entry]) -> str:
    """Return the main figure and the table of verdicts for ``README.md``."""
    first = entries[0]
    return f"{_figure(first, first.experiment.title)}\n\n{verdicts(entries, DOCUMENT)}"


def in_chinese(entries: Sequence[Entry]) -> str:
    """Return the same for ``README.zh.md``; the data are in the document."""
    lines = [_figure(entries[0], "有暂退法与无暂退法"), "", "| 论断 | 结论 |", "|---|---|"]
    for e in entries:
        verdict = VERDICTS_IN_CHINESE[e.finding.verdict]
        lines.append(f"| {CLAIMS_IN_CHINESE[e.name]} | **{verdict}** |")
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


def _figure(e: Entry, words: str) -> str:
    return f"![{words}](docs/laboratory/{e.name}.png)"
