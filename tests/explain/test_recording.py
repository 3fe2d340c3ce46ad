"""What recording notes, and that it changes nothing."""

from __future__ import annotations

import gc
import inspect
import sys
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.explain import explain, recording
from minigrad.explain.__main__ import main
from minigrad.explain.recording import notes
from minigrad.nn import functional as F


class Cell(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(3, 3)

    def forward(self, x: Any) -> Any:
        return self.inner(x).tanh()


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cell = Cell()
        self.drop = nn.Dropout(0.5, generator=mg.Generator(7))

    def forward(self, x: Any) -> Any:
        return self.drop(self.cell(self.cell(x))).sum()


def test_each_op_knows_its_line_of_code() -> None:
    x = mg.ones(2, requires_grad=True)
    with recording():
        line = inspect.currentframe().f_lineno  # type: ignore[union-attr]
        h = x * 2
        y = F.softmax(h, 0).sum()
    *softmax, mul = explain(y).steps[1:]
    assert mul.where == f"test_recording.py:{line + 1}  h = x * 2"
    expected = f"test_recording.py:{line + 2}  y = F.softmax(h, 0).sum()"
    assert {step.where for step in softmax} == {expected}


def test_values_are_those_at_the_time() -> None:
    x = mg.tensor([1.0, 2.0], requires_grad=True)
    with recording():
        h = x + 1
        y = (h * 3).sum()
    with mg.no_grad():
        h.zero_()
    steps = explain(y, values=True).steps
    assert steps[2].value.rows == [[2.0, 3.0]]  # type: ignore[union-attr]


def test_without_recording_what_the_graph_keeps_is_shown_and_nothing_else() -> None:
    x = mg.tensor([1.0, 2.0], requires_grad=True)
    total, times, plus = explain(((x + 1) * x).sum()).steps
    assert (total.where, total.calls) == (None, ())
    assert total.value.rows == [[8.0]]  # type: ignore[union-attr]
    assert times.value is None
    assert plus.value.rows == [[2.0, 3.0]]  # type: ignore[union-attr]  # mul keeps it


def test_modules_are_told_by_their_calls() -> None:
    explanation = explain(Net(), mg.ones(4, 3))
    assert [(step.op, *step.calls) for step in explanation.steps] == [
        ("sum", "Net"),
        ("masked_scale", "Net", "drop Dropout"),
        ("tanh", "Net", "cell Cell, call 2"),
        ("linear", "Net", "cell Cell, call 2", "cell.inner Linear, call 2"),
        ("tanh", "Net", "cell Cell"),
        ("linear", "Net", "cell Cell", "cell.inner Linear"),
    ]
    assert {leaf.name for leaf in explanation.leaves} == {"cell.inner.weight", "cell.inner.bias"}


def test_leaves_have_the_names_of_the_callers_variables() -> None:
    weight = mg.ones(2, requires_grad=True)
    net = Net()
    y = net(mg.ones(1, 3)) + (weight * mg.ones(2, requires_grad=True)).sum()
    own = {"net.cell.inner.weight", "net.cell.inner.bias"}
    assert {leaf.name for leaf in explain(y).leaves} == {"weight", "leaf0", *own}
    names = {leaf.name for leaf in explain(y, names={"w": weight}).leaves}
    assert names == {"w", "leaf0", *own}


def two_nets() -> Any:
    with recording():
        return nn.Linear(2, 2)(nn.Linear(2, 2)(mg.ones(1, 2))).sum()


def test_no_two_leaves_have_the_same_name() -> None:
    y = two_nets()
    explanation = explain(y)
    assert sorted(leaf.name for leaf in explanation.leaves) == [
        "bias", "bias (2)", "weight", "weight (2)",
    ]  # fmt: skip
    targets = [p.target for step in explanation.steps for p in step.pieces]
    assert sorted(t for t in targets if isinstance(t, str)) == [
        "bias", "bias (2)", "weight", "weight (2)",
    ]  # fmt: skip


def test_a_mask_is_traced_to_its_seed_stream_and_offset() -> None:
    g = mg.Generator(5)
    g.set_state((5, 3, 17))
    x = mg.ones(4, 8, requires_grad=True)
    with recording():
        y = F.dropout(F.dropout2d(x.reshape(1, 4, 8, 1), 0.25, generator=g), 0.5, generator=g)
    first, second = (s.draws["keep"] for s in reversed(explain(y).steps) if s.draws)
    assert (first.state, first.p, first.n, first.found) == ((5, 3, 17), 0.25, 4, False)
    assert (second.state, second.p, second.n) == ((5, 3, 18), 0.5, 32)
    again = mg.Generator()
    again.set_state(second.state)
    kept = again.keep_mask((1, 4, 8, 1), second.p)
    assert (y.grad_fn.saved["keep"] == kept).all()
    assert "32 bits drawn from (seed 5, stream 3, offset 18) with p = 0.5" in str(explain(y))


def test_a_mask_that_was_not_recorded_is_found_by_drawing_again() -> None:
    x = mg.ones(500, requires_grad=True)
    drop = nn.Dropout(0.3, generator=mg.Generator(11))
    generator = drop.generator
    mg.rand(100, generator=generator)
    state = generator.get_state()
    y = drop(x)
    mg.rand(1_000_000, generator=generator)
    (step,) = explain(y).steps
    draw = step.draws["keep"]
    assert (draw.state, draw.p, draw.n, draw.found) == (state, 0.3, 500, True)
    assert "found by drawing again" in str(draw)


def test_no_origin_is_claimed_where_it_cannot_be_known() -> None:
    generator = mg.Generator(3)
    few = F.dropout(mg.ones(8, requires_grad=True), 0.5, generator=generator)
    assert explain(few).steps[0].draws == {}  # another draw might agree in 8 bits
    given = np.arange(500) % 3 == 0
    own = F.dropout(mg.ones(500, requires_grad=True), 0.5, mask=given)
    assert explain(own).steps[0].draws == {}


def test_a_recorded_mask_that_is_gone_is_forgotten() -> None:
    with recording():
        for _ in range(50):
            F.dropout(mg.ones(64, requires_grad=True), 0.5)
        before = len(notes)
    gc.collect()
    y = F.dropout(mg.ones(64, requires_grad=True), 0.5, mask=np.ones(64, bool))
    assert explain(y).steps[0].draws == {}
    assert len(notes) <= before


def test_recording_changes_neither_results_nor_draws_and_ends_with_its_block() -> None:
    def train() -> list[float]:
        with mg.fork_rng():
            mg.manual_seed(4)
            net = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.5), nn.Linear(4, 1))
            net(mg.randn(5, 3)).sum().backward()
            return [v for p in net.parameters() for v in p.grad.numpy().ravel().tolist()]

    plain = train()
    before = sys.getprofile()
    with recording(), recording():
        recorded = train()
    assert recorded == plain
    assert sys.getprofile() is before
    with pytest.raises(ZeroDivisionError), recording():
        _ = 1 / 0
    assert sys.getprofile() is before


def test_a_module_that_raises_leaves_no_trace_on_the_next() -> None:
    net = Net()
    with recording():
        with pytest.raises(RuntimeError):
            net(mg.ones(4, 2))
        y = net(mg.ones(4, 3))
        z = mg.ones(1, requires_grad=True) * 2
    assert explain(y).steps[0].calls == ("Net, call 2",)
    assert explain(z).steps[0].calls == ()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nope:x"], "No module named 'nope'"),
        (["minigrad:float32"], "and no function"),
        (["--save", "walk.pdf"], "saved as .html or .txt"),
    ],
    ids=["no module", "no function", "no suffix"],
)
def test_what_the_command_cannot_explain_is_an_error_in_one_line(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit:
        main(arguments)
    assert exit.value.code == 2
    assert words in capsys.readouterr().err.splitlines()[-1]
