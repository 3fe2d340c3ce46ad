"""Random programs, step by step in minigrad and in PyTorch: only what is listed may differ.

Values, dtypes, shapes, gradients of first and higher order, and what is refused are compared after
every step. Elements may differ by a `Tolerance` times the largest one of the tensor (or 1), on
operands that are the same to the last bit.
"""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

import minigrad
from minigrad.testing.programs import Step, minigrad_call, text_of
from minigrad.testing.programs.builder import Builder
from minigrad.testing.programs.edges import EDGES, HEAPS, TALL
from minigrad.testing.programs.forms import CHANGES, FORMS, Form
from tests.differences import DIFFERENCES, Difference, refused_by_one
from tests.mistakes import MISTAKES
from tests.reference import scaled

torch = pytest.importorskip("torch")

from tests.side_by_side import (  # noqa: E402  (needs PyTorch too)
    PROMOTING,
    Pair,
    apart,
    changed_since,
    promoted,
    refused_alike,
    torch_call,
)


class Tolerance(NamedTuple):
    """How far elements may differ, in units of the largest."""

    op: float  # after one op
    gradient: float  # after a walk through the program


FLOAT64 = Tolerance(1e-12, 1e-9)
FLOAT32 = Tolerance(1e-5, 1e-4)
FLOAT16 = Tolerance(4e-3, 2e-2)
TALL_FLOAT32 = Tolerance(2e-3, 4e-3)  # PyTorch itself loses that in sums of 70,001


class Setting(NamedTuple):
    """What a program is made of: `minigrad.testing.programs.builder.Builder` says more."""

    dtypes: tuple[str, ...]  # of leaves
    kinds: str = "f"  # NumPy's letters of what arithmetic is done with
    tall: bool = False  # whether there may be thousands of rows


SETTINGS = [
    Setting(("float64",)),
    Setting(("float64",)),
    Setting(("float64", "float32")),
    Setting(("float32", "float64", "int64", "int32", "bool"), "fiub"),
    Setting(("float32", "uint8", "bool"), "fub"),
    Setting(("float16",), tall=True),
    Setting(("float32",), tall=True),
]
FAMILIES = {
    "arithmetic": "add sub mul div neg pow maximum minimum remainder",
    "elementwise": "exp expm1 log log1p sqrt sin cos tanh sigmoid logsigmoid abs relu clamp",
    "choice": "where overwrite getitem setitem take_along_dim cast clone masked_scale masked_fill",
    "constant": "eq ne lt le gt ge bitwise_and bitwise_or bitwise_xor bitwise_not floor_divide "
    "sign floor argmax argmin any all isnan isinf isfinite",
    "product": "matmul linear",
    "reduction": "sum mean var std amax amin max min cumsum prod",
    "probability": "logsumexp softmax log_softmax softmax_cross_entropy class_cross_entropy",
    "rearrangement": "reshape flatten squeeze unsqueeze permute transpose expand concatenate stack "
    "t split",
}
HEADER = "import numpy as np\nfrom minigrad import *\n"


def attempt(function: Callable[[], Any]) -> Any:
    """Return the result of a call, or the exception."""
    try:
        return function()
    except Exception as error:
        return error


def one_of(forms: Mapping[str, Form], name: str) -> Any:
    """Return a rule that draws one of several forms."""

    def draw(self: SideBySide, data: st.DataObject) -> None:
        self.draw(data, lambda b: forms[b.choose(list(forms))](b))
        self.steep |= forms is EDGES

    draw.__name__ = name
    return rule(data=st.data())(draw)


class SideBySide(RuleBasedStateMachine):
    """A program that is written and run in both frameworks at once."""

    def __init__(self) -> None:
        super().__init__()
        self.pairs: list[Pair] = []  # the registers
        self.versions: dict[int, int] = {}  # of each when it was made
        self.lines: list[str] = []  # the program so far, as Python
        self.blocks: list[contextlib.ExitStack] = []  # the ``with`` statements that are open
        self.setting = SETTINGS[0]
        self.unread: set[int] = set()  # registers that are read no more
        self.ops: set[str] = set()  # that have been called
        self.roots: list[Any] = []  # what is being differentiated, in PyTorch
        self.recorded = 0  # how many derivatives were: each may make the graph several times larger
        self.steep = False  # whether gradients may be infinite
        self.self_made = False  # whether a tensor was changed with the help of its own memory

    @property
    def tolerance(self) -> Tolerance:
        single = TALL_FLOAT32 if self.setting.tall else FLOAT32
        widths = {"float16": FLOAT16, "float32": single, "float64": FLOAT64}
        return max(widths[name] for name in self.setting.dtypes if name in widths)

    @property
    def stale(self) -> set[str]:
        """The names of the nodes that keep PyTorch from a walk back."""
        return changed_since(*self.roots)

    @property
    def views(self) -> bool:
        """Whether a tensor may have been seen in another shape, or in part."""
        memory = [p.theirs.untyped_storage().data_ptr() for p in self.pairs if p.theirs.numel()]
        nothing = any(p.theirs._is_view() for p in self.pairs if not p.theirs.numel())
        within = {"matmul", "stack", "max", "min"}
        return bool(len(set(memory)) < len(memory) or nothing or self.recorded or within & self.ops)

    # ------------------------------------------------------------------ the program as text

    def write(self, line: str) -> None:
        self.lines.append("    " * len(self.blocks) + line)

    def fail(self, problem: str) -> None:
        """Raise what is wrong, with the program that shows it."""
        raise AssertionError("\n".join([problem, "", HEADER, *self.lines]))

    # ------------------------------------------------------------------ one thing in both

    def both(self, line: str, ours: Callable[[], Any], theirs: Callable[[], Any]) -> Any:
        """Do one thing in both; return both results, or None if it was refused."""
        self.write(line)
        a = attempt(ours)
        if isinstance(a, Exception) and refused_by_one(a, None, self):
            b = a  # and PyTorch is not asked
        else:
            b = attempt(theirs)
            failed = [isinstance(result, Exception) for result in (a, b)]
            if not any(failed):
                return a, b
            if not (all(failed) and refused_alike(a, b)) and not refused_by_one(a, b, self):
                said = [
                    f"{type(r).__name__}: {r}" if f else "does it"
                    for r, f in zip((a, b), failed, strict=True)
                ]
                self.fail(f"minigrad: {said[0]}\nPyTorch: {said[1]}")
        self.lines[-1] = self.lines[-1].replace(line, f"# {line}  raises {type(b).__name__}")
        if not isinstance(a, Exception):
            self.give_up()
        return None

    def give_up(self) -> None:
        """Go on with new tensors: what one of the two has refused, the other may have done."""
        self.unread.update(range(len(self.pairs)))
        self.pairs = [Pair(minigrad.tensor(0.0), torch.tensor(0.0)) for _ in self.pairs]

    def put(self, register: int | None, pair: Pair, tolerance: float) -> None:
        """Put a result into a register (None: a new one), once it is seen to be the same."""
        pair = self.with_as_much_history(pair)
        if register is None:
            register = len(self.pairs)
            self.pairs.append(pair)
        self.pairs[register] = pair
        self.versions[register] = pair.theirs._version
        if problem := pair.problem(tolerance):
            self.fail(f"t{register} {problem}")
        pair.level()

    def with_as_much_history(self, pair: Pair) -> Pair:
        """Cut the history of one where the other knows that all further derivatives are zeros."""
        if not self.recorded or pair.ours.requires_grad == pair.theirs.requires_grad:
            return pair
        k = int(pair.theirs.requires_grad)
        grad = (minigrad.grad, torch.autograd.grad)[k]
        from_numpy = (minigrad.from_numpy, torch.from_numpy)[k]
        leaves = [p[k] for p in self.pairs if p[k].is_leaf and p[k].requires_grad]
        weights = np.cos(np.arange(pair.ours.numel())).reshape(pair.ours.shape)
        seed = from_numpy(weights.astype(pair.ours.dtype))
        options = {"retain_graph": True, "allow_unused": True}
        slopes = attempt(lambda: grad(pair[k], leaves, seed, **options))
        known = not isinstance(slopes, Exception) and torch.is_grad_enabled()
        if known and any(s is not None and (s.abs() > self.tolerance.op).any() for s in slopes):
            return pair
        return Pair(pair.ours.detach(), pair.theirs.detach())

    def check(self) -> None:
        """Check all tensors, of which no other may have changed, and all gradients."""
        for i, pair in enumerate(self.pairs):
            ours, theirs = pair.arrays
            if ours.tobytes() != theirs.tobytes():
                self.fail(f"t{i} has become\n{ours!r}\nPyTorch:\n{theirs!r}")
            grad = Pair(pair.ours.grad, pair.theirs.grad if pair.theirs.is_leaf else None)
            if (grad.ours is None) != (grad.theirs is None):
                only = grad.theirs if grad.ours is None else grad.ours
                if not self.recorded or (only.abs() > self.tolerance.gradient).any():
                    self.fail(f"t{i}.grad is {grad.ours}; PyTorch: {grad.theirs}")
                pair.ours.grad = pair.theirs.grad = None  # one knows that it is zeros
            elif grad.ours is not None:
                grad = self.with_as_much_history(grad)
                pair.ours.grad, pair.theirs.grad = grad
                if problem := grad.problem(self.tolerance.gradient):
                    self.fail(f"t{i}.grad {problem}")
                grad.level()

    # ------------------------------------------------------------------ ops

    def builder(self, data: st.DataObject) -> Builder:
        unread = np.array(np.nan)
        values = [unread if i in self.unread else p.ours.array for i, p in enumerate(self.pairs)]
        frozen = [i for i, p in enumerate(self.pairs) if self.is_frozen(p)]
        dtypes, kinds, _ = self.setting
        return Builder(data.draw, values, dtypes, kinds, True, True, frozen, edges=True)

    def is_frozen(self, pair: Pair) -> bool:
        """Return whether a change in place would be refused, or (without elements) be no change."""
        ours, theirs = pair
        leaf = theirs.is_leaf and theirs.requires_grad and torch.is_grad_enabled()
        seen = theirs._is_view() or any(p.theirs._base is theirs for p in self.pairs)
        return leaf or not ours.array.flags.writeable or (seen and not ours.numel())

    def draw(self, data: st.DataObject, form: Form) -> None:
        """Draw a form and run its steps, until one is refused."""
        builder = self.builder(data)
        if builder.attempt(form):
            all(self.run(step) for step in builder.steps)
            tall = [i for i, p in enumerate(self.pairs) if p.theirs.numel() >= TALL[0]]
            self.unread.update(tall)  # in sums of thousands of terms, PyTorch loses some itself
            self.check()

    def run(self, step: Step) -> bool:
        """Run a step; return False if it was refused."""
        self.ops.add(step.op)
        reads = step.reads
        ours, theirs = ([p[k] for p in self.pairs] for k in range(2))
        if step.target is not None:
            memory = [theirs[i].untyped_storage().data_ptr() for i in reads]
            self.self_made |= len(set(memory)) < len(memory)
            for i in reads:
                theirs[i] = apart(theirs[i], theirs[step.target])
        elif step.op in PROMOTING:
            for i, t in zip(reads, promoted([theirs[i] for i in reads]), strict=True):
                theirs[i] = t
        results = self.both(
            step.text(len(self.pairs)),
            lambda: step.run(ours, minigrad_call),
            lambda: step.run(theirs, torch_call),
        )
        if results is None:
            return False
        self.put(step.target, Pair(*results), self.tolerance.op)
        if any(theirs[i] is not self.pairs[i].theirs for i in reads):
            self.unread.add(len(self.pairs) - 1)  # PyTorch has saved a copy of an operand
        return True

    @initialize(data=st.data(), setting=st.sampled_from(SETTINGS))
    def start(self, data: st.DataObject, setting: Setting) -> None:
        self.setting = setting
        for _ in range(2):
            self.draw(data, lambda b: b.leaf(dtype=setting.dtypes[0]))

    for _name, _ops in FAMILIES.items():
        locals()[_name] = one_of({op: FORMS[op] for op in _ops.split()}, _name)
    change = one_of(CHANGES, "change")
    another_change = one_of(CHANGES, "another_change")
    mistake = one_of(MISTAKES, "mistake")
    edge = one_of(EDGES, "edge")
    heap = precondition(lambda self: self.setting.tall)(one_of(HEAPS, "heap"))

    @rule(data=st.data())
    def leaf(self, data: st.DataObject) -> None:
        self.draw(data, Builder.leaf)

    @precondition(lambda self: len(self.unread) < len(self.pairs))
    @rule(data=st.data())
    def detach(self, data: st.DataObject) -> None:
        i = self.builder(data).choose(sorted({*range(len(self.pairs))} - self.unread))
        ours, theirs = self.pairs[i]
        self.write(f"t{len(self.pairs)} = t{i}.detach()")
        self.put(None, Pair(ours.detach(), theirs.detach()), 0)

    # ------------------------------------------------------------------ recording

    @precondition(lambda self: len(self.blocks) < 3)
    @rule(name=st.sampled_from(["no_grad", "no_grad", "enable_grad"]))
    def enter(self, name: str) -> None:
        self.write(f"with {name}():")
        self.blocks.append(contextlib.ExitStack())
        self.write("pass")
        for m in (minigrad, torch):
            self.blocks[-1].enter_context(getattr(m, name)())

    @precondition(lambda self: self.blocks)
    @rule()
    def leave(self) -> None:
        self.blocks.pop().close()

    def teardown(self) -> None:
        while self.blocks:
            self.blocks.pop().close()
        if sys.exc_info()[0] is None:  # the program has come to its end
            self.walk_at_the_end()

    # ------------------------------------------------------------------ the walk back

    def tracked(self) -> list[int]:
        """Return the registers that require grad, the newest first."""
        pairs = enumerate(self.pairs)
        return [i for i, p in pairs if p.theirs.requires_grad and p.theirs.numel() <= 64][::-1]

    def inputs(self) -> list[int]:
        """Return the registers of which derivatives are well defined (see `tests.differences`)."""

        def well_defined(i: int) -> bool:
            theirs = self.pairs[i].theirs
            changed = theirs._is_view() and theirs._version != self.versions[i]
            return theirs.is_leaf or not (changed or self.recorded)

        return [i for i in self.tracked() if well_defined(i)]

    def with_grad(self) -> list[int]:
        pairs = enumerate(self.pairs)
        return [i for i, p in pairs if p.theirs.is_leaf and p.theirs.grad is not None]

    def seed(self, number: int, register: int) -> np.ndarray:
        """Return what flows into a register, of which there are many."""
        x = self.pairs[register].ours
        rng = np.random.default_rng(number)
        return np.asarray(rng.uniform(-2, 2, x.shape)).astype(x.dtype)

    def options(self, b: Builder) -> dict[str, bool]:
        options = {}
        if b.flag():
            options["retain_graph"] = b.integer(0, 3) > 0
        if self.recorded < 4 and not self.steep and b.integer(0, 2) == 2:
            options["create_graph"] = True
        return options

    def walk(self, call: str, run: Callable[[int, Callable[[np.ndarray], Any]], Any]) -> Any:
        """Differentiate in both; return both results, or None if it was refused."""
        results = self.both(call, lambda: run(0, minigrad.tensor), lambda: run(1, torch.tensor))
        if results is None:
            self.give_up()
        self.recorded += "create_graph=True" in call
        return results

    @precondition(lambda self: self.tracked())
    @rule(data=st.data())
    def backward(self, data: st.DataObject) -> None:
        b = self.builder(data)
        i = b.choose(self.tracked())
        self.roots = [self.pairs[i].theirs]
        whole = self.pairs[i].ours.numel() != 1 or b.flag()
        seeds = [self.seed(b.integer(0, 99), i)] if whole else []
        options = self.options(b)
        arguments = [f"tensor({text_of(seed)})" for seed in seeds]
        arguments += [f"{k}={v}" for k, v in options.items()]
        self.walk(
            f"t{i}.backward({', '.join(arguments)})",
            lambda k, tensor: self.pairs[i][k].backward(*map(tensor, seeds), **options),
        )
        self.check()

    @precondition(lambda self: self.inputs())
    @rule(data=st.data())
    def grad(self, data: st.DataObject) -> None:
        b = self.builder(data)
        outputs = [b.choose(self.tracked()) for _ in range(b.integer(1, 2))]
        inputs = [b.choose(self.inputs()) for _ in range(b.integer(1, 3))]
        seeds = [self.seed(b.integer(0, 99), i) for i in outputs]
        self.differentiate(outputs, inputs, seeds, self.options(b))

    def differentiate(
        self, outputs: list[int], inputs: list[int], seeds: list[np.ndarray], options: Any
    ) -> bool:
        """Compare the gradients of some registers by others; return whether there were any."""
        self.roots = [self.pairs[i].theirs for i in outputs]
        options = {**options, "allow_unused": True}
        lists = [[f"t{i}" for i in registers] for registers in (outputs, inputs)]
        lists.append([f"tensor({text_of(seed)})" for seed in seeds])
        arguments = [f"[{', '.join(items)}]" for items in lists]
        arguments += [f"{k}={v}" for k, v in options.items()]

        def run(k: int, tensor: Callable[[np.ndarray], Any]) -> Any:
            y, x = ([self.pairs[i][k] for i in registers] for registers in (outputs, inputs))
            grad = (minigrad.grad, torch.autograd.grad)[k]
            return grad(y, x, list(map(tensor, seeds)), **options)

        results = self.walk(f"grads = grad({', '.join(arguments)})", run)
        for k, (g, h) in enumerate(zip(*(results or ()), strict=True)):
            if (g is None) != (h is None):
                self.fail(f"grads[{k}] is {g}; PyTorch: {h}")
            if g is not None:
                self.write(f"t{len(self.pairs)} = grads[{k}].clone()")
                self.put(None, Pair(g.clone(), h.clone()), self.tolerance.gradient)
        self.check()
        return results is not None

    def walk_at_the_end(self) -> None:
        """Differentiate all that was computed by all leaves, so that every derivative counts.

        A derivative of `expand` that is twice too large is met in one program of 34, so that 100
        miss it with a probability of 5 %, and 500 with one of 3e-7; without this, in one of 225.
        """
        tracked = [i for i in self.tracked() if not self.pairs[i].theirs.is_leaf]
        outputs = [i for i in tracked if self.pairs[i].theirs.isfinite().all()]
        leaves = [i for i in self.inputs() if self.pairs[i].theirs.is_leaf]
        seeds = {i: self.seed(i, i) for i in outputs}
        for some in [outputs, *([i] for i in outputs)]:  # each, if all at once are refused
            known = all(self.pairs[i].theirs.requires_grad for i in [*some, *leaves])
            if leaves and some and known:
                chosen = [seeds[i] for i in some]
                if self.differentiate(some, leaves, chosen, {"retain_graph": True}):
                    break

    @precondition(lambda self: self.with_grad())
    @rule(data=st.data())
    def read_grad(self, data: st.DataObject) -> None:
        i = self.builder(data).choose(self.with_grad())
        self.write(f"t{len(self.pairs)} = t{i}.grad")
        self.put(None, Pair(self.pairs[i].ours.grad, self.pairs[i].theirs.grad), 0)

    @precondition(lambda self: self.with_grad())
    @rule(data=st.data())
    def reset_grad(self, data: st.DataObject) -> None:
        i = self.builder(data).choose(self.with_grad())
        self.write(f"t{i}.grad = None")
        self.pairs[i].ours.grad = self.pairs[i].theirs.grad = None


@pytest.mark.filterwarnings("ignore")
def test_a_program_does_what_it_does_in_pytorch() -> None:
    with np.errstate(all="ignore"):
        run_state_machine_as_test(
            SideBySide,
            settings=settings(
                max_examples=scaled(500),
                stateful_step_count=20,
                suppress_health_check=[HealthCheck.too_slow],
            ),
        )


class Retold(SideBySide):
    """A program whose text is run again at its end."""

    def teardown(self) -> None:
        super().teardown()
        scope: dict[str, Any] = {}
        exec("\n".join([HEADER, *self.lines]), scope)
        for i in {*range(len(self.pairs))} - self.unread:
            again, before = scope[f"t{i}"], self.pairs[i].ours
            assert (again.dtype, again.shape) == (before.dtype, before.shape)
            assert again.requires_grad == before.requires_grad


@pytest.mark.filterwarnings("ignore")
def test_what_a_failure_would_print_is_the_program() -> None:
    with np.errstate(all="ignore"):
        run_state_machine_as_test(Retold, settings=settings(max_examples=scaled(50)))


#: ops that are not drawn, by the reason
NOT_DRAWN = {
    "composed of ops that are drawn": "mm mv dot bmm chunk gather repeat meshgrid",
    "no tensor results": "allclose equal",
    "a boolean that changes with a rounding error": "isclose",
    "its second derivative is infinite near 0": "norm",
}


def test_programs_are_made_of_every_op_or_a_reason_is_given() -> None:
    assert sorted(" ".join(FAMILIES.values()).split()) == sorted(FORMS)
    not_drawn = " ".join(NOT_DRAWN.values()).split()
    assert FORMS.keys().isdisjoint(not_drawn)
    assert {*FORMS, *not_drawn} == {*minigrad.ops.__all__}


@pytest.mark.parametrize("case", DIFFERENCES.values(), ids=DIFFERENCES)
@pytest.mark.filterwarnings("ignore")
def test_a_listed_difference_exists(case: Difference) -> None:
    ours, theirs = (attempt(lambda m=m: case.example(m)) for m in (minigrad, torch))
    for result, pattern in ((ours, case.ours), (theirs, case.theirs)):
        assert isinstance(result, Exception) == bool(pattern), result
        assert re.search(pattern, str(result)), result
    if not case.ours and not case.theirs:
        assert ours != theirs
