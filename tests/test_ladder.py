"""The ladder: each step computes what minigrad and PyTorch compute, and goes one idea further."""

from __future__ import annotations

import ast
import contextlib
import gc
import importlib
import itertools
import re
import runpy
import sys
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad
from examples.ladder import step1_scalars, step5_higher, step6_inplace, step7_dropout
from minigrad import masks, ops, philox
from minigrad.inplace import write
from minigrad.nn import functional as F
from tests.reference import scaled
from tests.test_packaging import code_lines

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / "examples/ladder").glob("step*.py"))
STEPS = [importlib.import_module(f"examples.ladder.{path.stem}") for path in FILES]
PAGE = (ROOT / "docs/ladder.md").read_text(encoding="utf-8")
_PARTS = re.split(r"^## .*?`(step\d_\w+)\.py`", PAGE, flags=re.MULTILINE)[1:]
SECTIONS = dict(zip(_PARTS[::2], _PARTS[1::2], strict=True))  # of the page, by the step
ARRAYS, RECORDING, HIGHER = STEPS[1:], STEPS[3:], STEPS[4:]


def name(step: Any) -> str:
    return step.__name__.rpartition(".")[2]


# ------------------------------------------------------------------------- programs

SHAPES = [(), (3,), (1, 3), (2, 1), (2, 3), (3, 3), (3, 2)]
Program = Callable[[Sequence[Any]], Any]


def drawn(rng: np.random.Generator, change: bool = False) -> tuple[list[np.ndarray], Program]:
    """Return some leaves, and a program that computes a number from them in any engine.

    Args:
        rng: where both are drawn from.
        change: whether results are changed in place, too.
    """
    shapes = [SHAPES[i] for i in rng.permutation(len(SHAPES))[:4]]
    leaves = [rng.normal(size=shape) for shape in shapes]
    steps: list[tuple[str, int, int]] = []
    while len(steps) < 8:
        i, j = map(int, rng.integers(len(shapes), size=2))
        op = str(rng.choice(["+", "-", "*", "@", "tanh", "sum", "2 *"]))
        if change and i >= len(leaves) and rng.random() < 0.4:
            op = str(rng.choice(["add_", "mul_", "tanh_"]))
        try:
            shape = shape_of(op, shapes[i], shapes[j])
        except ValueError:
            continue  # they do not fit
        steps.append((op, i, j))
        shapes.append(shape)

    def program(given: Sequence[Any]) -> Any:
        registers = [*given]
        for op, i, j in steps:
            registers.append(run(op, registers[i], registers[j]))
        return sum((register.sum() for register in registers[-3:]), start=registers[0].sum())

    return leaves, program


def shape_of(op: str, a: tuple[int, ...], b: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape of a result; ValueError if the operands do not fit."""
    if op in ("tanh", "tanh_", "2 *"):
        return a
    if op == "sum":
        return ()
    if op == "@":
        if len(a) < 2 or len(b) < 2:
            raise ValueError("minigrad's first steps multiply matrices only")
        return np.shape(np.empty(a) @ np.empty(b))
    shape = np.broadcast_shapes(a, b)
    if op.endswith("_") and shape != a:
        raise ValueError("it does not fit in place")
    return shape


def run(op: str, a: Any, b: Any) -> Any:
    """Run one step of a program, in whatever engine the operands are of."""
    match op:
        case "+":
            return a + b
        case "-":
            return a - b
        case "*":
            return a * b
        case "2 *":
            return 2 * a
        case "@":
            return a @ b
        case "add_" | "mul_":
            return getattr(a, op)(b)
        case "tanh_" if isinstance(a, minigrad.Tensor):
            return write(a, ops.tanh)
    return getattr(a, op)()


def in_step(step: Any, arrays: Sequence[np.ndarray]) -> list[Any]:
    needs = [True] if step in RECORDING else []
    return [step.Tensor(array.copy(), *needs) for array in arrays]


def in_minigrad(arrays: Sequence[np.ndarray]) -> list[Any]:
    return [minigrad.tensor(a, dtype=minigrad.float64, requires_grad=True) for a in arrays]


def in_torch(arrays: Sequence[np.ndarray]) -> list[Any]:
    torch = pytest.importorskip("torch")
    return [torch.tensor(array, requires_grad=True) for array in arrays]


def array_of(g: Any, like: np.ndarray) -> np.ndarray:
    """Return a gradient of any engine; None stands for a leaf that is not used."""
    if g is None:
        return np.zeros_like(like)
    return np.asarray(getattr(g, "array", g.detach() if hasattr(g, "detach") else g), float)


def first_order(leaves: Sequence[Any], program: Program, backward: Any = None) -> list[Any]:
    y = program(leaves)
    (backward or type(y).backward)(y)
    return [leaf.grad for leaf in leaves]


def assert_close(got: Sequence[Any], expected: Sequence[Any], arrays: Sequence[Any]) -> None:
    for g, e, array in zip(got, expected, arrays, strict=True):
        assert array_of(g, array).shape == array.shape
        np.testing.assert_allclose(array_of(g, array), array_of(e, array), rtol=1e-9, atol=1e-9)


# ------------------------------------------------------------------------- the steps


@pytest.mark.parametrize("step", ARRAYS, ids=name)
def test_gradients_of_random_programs_are_minigrads_and_pytorchs(step: Any) -> None:
    for seed in range(scaled(100)):
        arrays, program = drawn(np.random.default_rng(seed))
        got = first_order(in_step(step, arrays), program, step.backward)
        assert_close(got, first_order(in_minigrad(arrays), program), arrays)
        if seed % 4 == 0:
            assert_close(got, first_order(in_torch(arrays), program), arrays)


def test_gradients_of_scalars_are_minigrads_and_pytorchs() -> None:
    for seed in range(scaled(100)):
        rng = np.random.default_rng(seed)
        arrays = [*rng.normal(size=4)]
        ops = rng.choice(["+", "*", "tanh"], size=8)
        steps = [(str(op), *rng.integers(4 + i, size=2)) for i, op in enumerate(ops)]

        def program(given: Sequence[Any], steps: Any = steps) -> Any:
            registers = [*given]
            for op, i, j in steps:
                registers.append(run(op, registers[i], registers[j]))
            return registers[-1] + registers[-2] * registers[0]

        leaves = [step1_scalars.Tensor(value) for value in arrays]
        got = first_order(leaves, program, step1_scalars.backward)
        assert_close(got, first_order(in_minigrad(arrays), program), arrays)
        assert_close(got, first_order(in_torch(arrays), program), arrays)


@pytest.mark.parametrize("step", STEPS, ids=name)
def test_gradients_add_up_in_the_leaves_also_of_a_graph_that_is_walked_twice(step: Any) -> None:
    (x,) = in_step(step, [np.asarray(3.0)])
    y = x * x + x
    again = {"retain_graph": True} if step in RECORDING else {}
    step.backward(y, **again)
    step.backward(y)
    assert float(x.grad) == 14  # and no gradient of a product in between is left over


@pytest.mark.parametrize("step", STEPS, ids=name)
def test_a_long_chain_is_no_special_case(step: Any) -> None:
    (x,) = in_step(step, [np.asarray(1.0)])
    y = x
    for _ in range(5_000):  # five times as deep as Python calls itself
        y = y + x
    step.backward(y)
    assert float(x.grad) == 5_001


@pytest.mark.parametrize("step", STEPS, ids=name)
def test_each_node_is_visited_once_when_its_gradient_is_complete(step: Any) -> None:
    (x,) = in_step(step, [np.asarray(0.1)])
    y = x
    for _ in range(14):  # from x to y lead 2¹⁴ ways
        y = y.tanh() + y
    calls = 0

    def count(frame: FrameType, event: str, _: object) -> None:
        nonlocal calls
        calls += event == "call" and frame.f_code.co_name == "<lambda>"

    sys.setprofile(count)
    try:
        step.backward(y)
    finally:
        sys.setprofile(None)
    assert calls < 300


@pytest.mark.parametrize("step", ARRAYS, ids=name)
def test_no_two_gradients_share_memory(step: Any) -> None:
    x, y = leaves = in_step(step, [np.ones(3), np.ones(3)])
    step.backward((x + y).sum())
    leaves[0].grad[:] = 7
    assert (y.grad == 1).all()


def test_the_table_holds_formulas_that_compute_by_themselves() -> None:
    for step in STEPS[2:]:
        (x,) = in_step(step, [np.ones((2, 2))])
        y = x @ x
        op = y.op if step is STEPS[2] else y.grad_fn.op
        assert {name: names for name, (_, names) in op.derivatives.items()} == {
            "a": ["b"],
            "b": ["a"],
        }
        g, b = np.ones((2, 2)), np.array([[1.0, 2.0], [3.0, 4.0]])
        assert (op.derivatives["a"][0](g, b) == g @ b.T).all()


# ------------------------------------------------------------------------- from step 4 on


@pytest.mark.parametrize("step", RECORDING, ids=name)
def test_a_graph_keeps_what_minigrads_keeps_and_lets_it_go(step: Any) -> None:
    def kept(x: Any, c: np.ndarray) -> list[list[str]]:
        results = [x * x, x * c, x + x, x @ c.T, c.T @ x, x.tanh(), x.sum()]
        return [sorted(set(result.grad_fn.saved) - KEYWORDS) for result in results]

    KEYWORDS = {"dim", "keepdim", "shape"}  # of minigrad's sum
    c = np.ones((3, 3))
    (x,), (same,) = in_step(step, [c]), in_minigrad([c])
    assert kept(x, c) == kept(same, c)
    y = (x * x).tanh().sum()
    step.backward(y, retain_graph=True)
    step.backward(y)
    assert y.grad_fn.saved is None
    with pytest.raises(RuntimeError, match="freed by an earlier backward"):
        step.backward(y)


@pytest.mark.parametrize("step", RECORDING, ids=name)
def test_what_no_formula_reads_is_freed_at_once_and_the_rest_with_the_walk(step: Any) -> None:
    (x,) = in_step(step, [np.ones(3)])
    gc.collect()
    gc.disable()
    try:
        between = x * 2
        memory = weakref.ref(between.array)
        y = between + 1
        del between
        assert memory() is None
        z = y.tanh()
        memory = weakref.ref(z.array)
        loss = z.sum()
        del z
        assert memory() is not None
        step.backward(loss)
        assert memory() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("step", RECORDING, ids=name)
def test_what_needs_no_gradient_is_neither_recorded_nor_given_one(step: Any) -> None:
    c = step.Tensor(np.ones(3))
    (x,) = in_step(step, [np.ones(3)])
    assert (c * c).grad_fn is None
    y = c * x
    assert list(y.grad_fn.sources) == ["b"]
    step.backward(y.sum())
    assert c.grad is None


# ------------------------------------------------------------------------- from step 5 on


@pytest.mark.parametrize("step", HIGHER, ids=name)
def test_gradients_of_gradients_of_random_programs_are_minigrads_and_pytorchs(step: Any) -> None:
    def third(leaves: Sequence[Any], y: Any, grad: Any) -> Any:
        for _ in range(2):  # the gradient's square is differentiated, and its gradient's again
            gradients = [g for g in grad(y, leaves) if g is not None]
            y = sum((0.1 * (g * g).sum() for g in gradients), start=(leaves[0] * leaves[0]).sum())
        return y

    def ours(y: Any, leaves: Sequence[Any]) -> Any:
        grads = step.walk(y, True, create_graph=True)
        return [grads.get(leaf) for leaf in leaves]

    def minigrads(y: Any, leaves: Sequence[Any]) -> Any:
        return minigrad.grad(y, leaves, create_graph=True, allow_unused=True)

    def pytorchs(y: Any, leaves: Sequence[Any]) -> Any:
        import torch

        return torch.autograd.grad(y, leaves, create_graph=True, allow_unused=True)

    for seed in range(scaled(40)):
        arrays, program = drawn(np.random.default_rng(seed))
        small = [0.3 * array for array in arrays]  # products of products stay of a size

        def order_3(leaves: Sequence[Any], grad: Any, program: Any = program) -> Any:
            return third(leaves, program(leaves), grad)

        got = first_order(in_step(step, small), lambda x: order_3(x, ours), step.backward)
        expected = first_order(in_minigrad(small), lambda x: order_3(x, minigrads))
        assert_close(got, expected, small)
        if seed % 4 == 0:
            expected = first_order(in_torch(small), lambda x: order_3(x, pytorchs))
            assert_close(got, expected, small)


@pytest.mark.parametrize("step", HIGHER, ids=name)
def test_derivatives_of_a_power_go_on_to_any_order(step: Any) -> None:
    (x,) = in_step(step, [np.asarray(2.0)])
    y, found = x * x * x * x, []
    for _ in range(4):
        (y,) = step.grad(y, [x], create_graph=True)
        found.append(float(y.array))
    assert found == [32, 48, 48, 24]  # 4x³, 12x², 24x, 24
    (plain,) = step.grad(x * x, [x])
    assert plain.grad_fn is None


# ------------------------------------------------------------------------- from step 6 on


@pytest.mark.parametrize("step", STEPS[5:], ids=name)
def test_changes_in_place_give_minigrads_gradients_or_its_refusals(
    step: Any,
) -> None:
    def outcome(leaves: Sequence[Any], program: Program, backward: Any = None) -> list[Any] | None:
        with contextlib.suppress(RuntimeError):
            return first_order(leaves, program, backward)
        return None  # the change was refused

    refused = agreed = 0
    for seed in range(scaled(300)):
        arrays, program = drawn(np.random.default_rng(seed), change=True)
        got = outcome(in_step(step, arrays), program, step.backward)
        expected = outcome(in_minigrad(arrays), program)
        assert (got is None) == (expected is None), seed
        refused += got is None
        if got is not None and expected is not None:
            assert_close(got, expected, arrays)
            torchs = outcome(in_torch(arrays), program) if seed % 4 == 0 else None
            if torchs is not None:
                assert_close(got, torchs, arrays)
                agreed += 1
    assert refused >= scaled(300) // 20
    assert agreed >= scaled(300) // 20


@pytest.mark.parametrize("step", STEPS[5:], ids=name)
def test_a_change_after_the_gradient_was_recorded_is_noticed_by_its_derivative(step: Any) -> None:
    x, w, v = in_step(step, [np.asarray(2.0)] * 3)
    between = x * 1
    (dw,) = step.grad(between * w * v, [w], create_graph=True)  # v · between
    between.add_(1)
    with pytest.raises(RuntimeError, match="changed in place after it was kept"):
        step.backward(dw)


@pytest.mark.parametrize("step", STEPS[5:], ids=name)
def test_a_leaf_that_needs_a_gradient_is_not_changed_in_place(step: Any) -> None:
    (x,) = in_step(step, [np.ones(3)])
    with pytest.raises(RuntimeError, match="a leaf"):
        x.add_(1)
    assert (x.array == 1).all()
    x.change(x.array + 1)  # but for an update, which is no part of the history
    assert (x.array == 2).all()
    assert x.grad_fn is None


# ------------------------------------------------------------------------- step 7

WORDS = st.integers(0, 2**64 - 1)
PS = st.floats(0, 1) | st.sampled_from([0.0, 0.5, 1.0, 1 / 256, 255 / 256, 0.1, 2**-32])


@given(WORDS, WORDS, st.integers(0, 2**128 - 1), st.integers(0, 40), st.integers(0, 2**64 - 1))
def test_philox_is_numpys(seed: int, stream: int, offset: int, n: int, purpose: int) -> None:
    expected = philox.philox(seed, stream, offset, n, purpose)
    if offset + (n + 3) // 4 < 2**128:
        assert step7_dropout.philox(seed, stream, offset, n, purpose) == expected.tolist()


@given(st.tuples(WORDS, WORDS, WORDS), st.integers(0, 700), PS)
def test_masks_are_minigrads_bit_for_bit(state: tuple[int, int, int], n: int, p: float) -> None:
    got, expected = step7_dropout.keep_mask(state, n, p), masks.keep_mask(state, n, p)
    assert got.dtype == bool
    assert (got == expected).all()


def test_dropout_is_minigrads_call_by_call() -> None:
    ours, theirs = step7_dropout.Generator(5), minigrad.Generator(5)
    rng = np.random.default_rng(0)
    for shape, p in itertools.product([(7,), (33, 5), (2, 3, 40)], [0.0, 0.1, 0.5, 1.0]):
        array = rng.normal(size=shape)
        (x,), (same,) = in_step(step7_dropout, [array]), in_minigrad([array])
        y = step7_dropout.dropout(x, p, ours)
        expected = F.dropout(same, p, generator=theirs)
        assert (y.array == expected.array).all()
        step7_dropout.backward((y * y).sum())
        (expected * expected).sum().backward()
        assert_close([x.grad], [same.grad], [array])
        if p == 1:
            theirs.set_state(ours.state)  # of p = 1, minigrad knows without drawing
        assert ours.state == theirs.get_state()
        assert step7_dropout.dropout(x, p, ours, training=False) is x


def test_the_last_step_says_of_each_file_of_the_engine_what_it_adds() -> None:
    told = re.findall(r"[\w/]+(?:\.py|/)(?=[,:])", step7_dropout.__doc__ or "")
    assert [file for file in told if not (ROOT / "minigrad" / file).exists()] == []
    heart = {"table", "graph", "autograd", "inplace", "grad_mode", "hooks", "philox", "masks"}
    assert {f"{file}.py" for file in heart} <= set(told)


# ------------------------------------------------------------------------- each of them


def with_omissions(shown: str) -> str:
    """Return a pattern of what is printed where ``...`` stands for one line or several."""
    lines = shown.splitlines()
    return "".join("(.*\n)+" if line == "..." else re.escape(line) + "\n" for line in lines)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
@pytest.mark.filterwarnings("error")
def test_each_step_is_complete_and_shows_what_it_learned(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    imported = {
        alias.name if isinstance(node, ast.Import) else node.module
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    standard = {"__future__", "inspect", "itertools", "math", "random", "typing", "collections.abc"}
    assert imported <= standard | {"numpy"}
    runpy.run_path(str(path), run_name="__main__")
    printed = capsys.readouterr()
    assert printed.err == ""
    assert printed.out.startswith("The graph of ")
    assert "#0 " in printed.out
    for shown in re.findall(r"```text\n(.*?)```", SECTIONS[path.stem], re.DOTALL):  # on the page
        command, _, output = shown.partition("\n")
        assert command == f"$ python -m examples.ladder.{path.stem}"
        assert re.fullmatch(with_omissions(output), printed.out)


def test_the_first_step_is_forty_lines(tmp_path: Path) -> None:
    engine, _ = FILES[0].read_text().split("# ---", 1)
    path = tmp_path / "engine.py"
    path.write_text(engine)
    assert code_lines(path) <= 40


@pytest.mark.parametrize("step", STEPS[:4], ids=name)
def test_a_few_hundred_updates_bring_the_loss_down(step: Any) -> None:
    first, *_, last = step.train()
    assert last < 0.02 < 1 < first


def test_a_network_that_is_held_to_an_equation_becomes_the_sine() -> None:
    (first, *_, last), off = step5_higher.train()
    assert last < 0.01 < first
    assert off < 0.02


def test_an_echo_is_understood_from_a_state_that_is_changed_in_place() -> None:
    (first, *_, last), decay, gain = step6_inplace.train()
    assert last < 1e-4 < first
    assert abs(decay - 0.8) < 0.01
    assert abs(gain - 0.5) < 0.01


def test_dropout_learns_less_by_heart_and_more_for_others() -> None:
    seen, others = np.mean([train_pair(seed) for seed in range(4)], axis=0).T
    assert seen[0] > seen[1]
    assert others[0] < others[1]


def train_pair(seed: int) -> list[list[float]]:
    return [step7_dropout.train(p, seed) for p in (0.0, 0.5)]


# ------------------------------------------------------------------------- the page


def test_the_page_shows_lines_that_are_in_the_files_and_changes_that_are_made() -> None:
    """Of one file they follow each other, but for where ``...`` stands."""
    assert [*SECTIONS] == [path.stem for path in FILES]
    before: list[str] = []
    for path in FILES:
        lines = [line.strip() for line in path.read_text().splitlines()]
        blocks = re.findall(r"```(diff|python)\n(.*?)```", SECTIONS[path.stem], re.DOTALL)
        assert blocks, path.stem
        for language, block in blocks:
            for part in block.split("...\n"):
                shown = part.splitlines()
                if language == "python":
                    assert follow([line.strip() for line in shown], lines), part
                    continue
                assert {line[:1] for line in shown} <= {"-", "+"}, part
                old, new = ([li[1:].strip() for li in shown if li[0] == s] for s in "-+")
                assert follow(old, before), part
                assert follow(new, lines), part
                assert not {*old} & {*lines}, part
                assert not {*new} & {*before}, part
        before = lines


def follow(shown: list[str], lines: list[str]) -> bool:
    """Return whether lines stand in a file one after the other."""
    return any(lines[i : i + len(shown)] == shown for i in range(len(lines)))
