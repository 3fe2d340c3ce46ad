"""The walk as text: a paragraph for each visit."""

from __future__ import annotations

from collections.abc import Iterator

from minigrad.explain.records import Leaf, Piece, Read, Step, Walk
from minigrad.explain.values import short, size_text

FEW = 10  # visits that are shown at either end, where there are too many to show all


def text_of(walk: Walk, root: str, seed: str, values: bool, most: int | None = None) -> str:
    """Return the walk as text.

    Args:
        walk: the walk.
        root: where it starts, in words.
        seed: which gradient it starts with, in words.
        values: whether to show numbers.
        most: of more visits than that, only the first and last are shown.
    """
    kept = size_text(walk.kept)
    if walk.own:
        kept += f", and {size_text(walk.own)} of the leaves' own"
    lines = [
        f"The walk back from {root}, with g = {seed}.",
        f"{_many(len(walk.steps), 'op')}, {_many(len(walk.leaves), 'leaf', 'leaves')}; "
        f"the graph keeps {kept}.",
    ]
    of = {step.number: step for step in walk.steps}
    left_out = len(walk.steps) - 2 * FEW if most and len(walk.steps) > most else 0
    for step in walk.steps:
        if left_out and FEW < step.number <= len(walk.steps) - FEW:
            if step.number == FEW + 1:
                lines += ["", f"... {left_out:,} ops are left out here: .text has them all"]
            if not step.stop:
                continue
        lines += ["", *_step(step, of, values)]
        if step.stop:
            lines.append(f"   The walk would stop here. {step.stop}")
            if left := len(walk.steps) - step.number:
                lines.append(f"   Not reached: {_many(left, 'op')}.")
            break
    lines.append("")
    lines += [_leaf(leaf, walk.stop is not None, values) for leaf in walk.leaves]
    return "\n".join(lines)


def _step(step: Step, of: dict[int, Step], values: bool) -> Iterator[str]:
    yield f"{step.number}. {step.op} {step.shape} {step.dtype}"
    if step.where:
        yield f"   made at {step.where}"
    if step.hooks:
        yield f"   {_many(step.hooks, 'hook')} will see g first, and may replace it (not run here)"
    if values and step.value is not None:
        yield f"   y = {short(step.value)}"
    if values and step.seen is not None:
        yield f"   g = {short(step.seen)}"
    told: set[str] = set()
    for piece in step.pieces:
        first, *more = piece.formula.split("\n")
        yield f"   {piece.argument} = {first}"
        yield from (f"   {line}" for line in more)
        reads = [read for read in piece.reads if read.name not in told]
        told.update(read.name for read in piece.reads)
        if reads and reads[0].seen is None:
            names = ", ".join(read.name for read in reads)
            yield f"      reads {names}: freed, or changed in place since"
        elif reads:
            yield f"      reads {'; '.join(_read(read, values) for read in reads)}"
        for read in reads:
            if read.name in step.draws:
                yield f"      {read.name}: {step.draws[read.name]}"
        if not step.stop:
            yield f"      {_way(piece, of)}"
            if values:
                yield f"      = {short(piece.seen)}"
                if piece.added:
                    yield f"      sum so far {short(piece.total)}"


def _read(read: Read, values: bool) -> str:
    if isinstance(read.seen, str) and not read.nbytes:
        return f"{read.name} = {read.seen}"
    text = f"{read.name} ({size_text(read.nbytes)}"
    if read.own:
        text += " of a leaf"
    elif read.others:
        text += f", the same as {', '.join(map(str, read.others))} keeps"
    return text + (f") = {short(read.seen)}" if values else ")")


def _way(piece: Piece, of: dict[int, Step]) -> str:
    """Return where a piece goes, and what becomes of it on the way."""
    text = ""
    if piece.summed is not None:
        text += f"summed from {piece.shape} to {piece.summed}, "
    if piece.cast:
        text += f"cast from {piece.dtype} to {piece.cast}, "
    if isinstance(piece.target, int):
        goal = f"{piece.target}. {of[piece.target].op}"
    else:
        goal = piece.target
    return text + (f"added to what came to {goal}" if piece.added else f"to {goal}")


def _leaf(leaf: Leaf, stopped: bool, values: bool) -> str:
    text = f"{leaf.name} {leaf.shape} {leaf.dtype}, a leaf"
    if leaf.hooks:
        text += f", {_many(leaf.hooks, 'hook')} will see its gradient (not run here)"
    if leaf.adds:
        text += ", has a grad already: this will be added"
    if values:
        text += f"\n   value = {short(leaf.value)}"
        if leaf.grad is not None and not stopped:
            text += f"\n   gradient = {short(leaf.grad)}"
    return text


def _many(n: int, one: str, several: str | None = None) -> str:
    return f"{n} {one if n == 1 else several or one + 's'}"
