"""A training step as a CUDA graph: the eager step's results to the bit, and clear refusals.

On the CPU (tests/cupy_on_cpu) a graph is a recorded list of launches with their arguments, which
run only in replays; memory that moved, or that nobody has, is found there.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minigrad
from minigrad import Generator, nn, optim
from minigrad.cuda_graph import Graph
from minigrad.kernels import keep_mask_after
from tests.gpu.backend import GPU

WIDTHS, BATCH, CLASSES = (20, 16, 8), 16, 3
rng = np.random.default_rng(0)
IMAGES = rng.random((300, BATCH, WIDTHS[0]), np.float32)
LABELS = rng.integers(0, CLASSES, (300, BATCH))


@pytest.fixture(autouse=True)
def _there(request: pytest.FixtureRequest) -> None:
    if request.node.get_closest_marker("gpu") and not minigrad.cuda.is_available():
        pytest.skip(f"no GPU: {minigrad.cuda.status()}")


class Training:
    """A network with dropout, and one step of it; the same from the start each time it is made."""

    def __init__(self, captured: bool, **settings: Any) -> None:
        self.masks = Generator(2)
        with minigrad.fork_rng():
            minigrad.manual_seed(0)
            (first, second, third), masks = WIDTHS, self.masks
            self.net = nn.Sequential(
                *(nn.Linear(first, second), nn.ReLU(), nn.Dropout(0.2, generator=masks)),
                *(nn.Linear(second, third), nn.ReLU(), nn.Dropout(0.5, generator=masks)),
                nn.Linear(third, CLASSES),
            ).cuda()
        self.optimizer = optim.SGD(self.net.parameters(), **{"lr": 0.1, **settings})
        self.step: Callable[..., Any] = self._step
        if captured:
            self.step = minigrad.cuda.graph(self._step)

    def _step(self, x: Any, y: Any) -> Any:
        loss = nn.functional.cross_entropy(self.net(x), y)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss.detach()

    def steps(self, first: int, end: int) -> list[float]:
        """Return the losses of some steps, on batches of their own."""
        losses = [self.step(*batch(i)).clone() for i in range(first, end)]
        return [loss.item() for loss in losses]

    def result(self) -> tuple[list[Any], Any, int]:
        """Return all that training has changed."""
        state = self.optimizer.state_dict()["state"]
        buffers = [v["momentum_buffer"] for v in state.values()]
        arrays = [t.detach().tolist() for t in (*self.net.parameters(), *buffers)]
        return arrays, self.masks.get_state(), self.optimizer.steps_taken


def batch(i: int) -> tuple[Any, Any]:
    return minigrad.tensor(IMAGES[i], device="cuda"), minigrad.tensor(LABELS[i], device="cuda")


def both(**settings: Any) -> tuple[Training, Training]:
    """Return the same training twice: step by step, and captured."""
    return Training(False, **settings), Training(True, **settings)


# ------------------------------------------------------------------- the same, to the bit


@pytest.mark.gpu
def test_three_hundred_replayed_steps_are_three_hundred_eager_ones() -> None:
    eager, captured = both(momentum=0.9, weight_decay=1e-3)
    assert captured.steps(0, 300) == eager.steps(0, 300)
    assert captured.result() == eager.result()
    assert isinstance(captured.step, Graph)


@pytest.mark.gpu
def test_every_replay_draws_the_next_mask_as_the_host_does() -> None:
    there, here = Generator(7), Generator(7)
    x = minigrad.ones(100, device="cuda")
    step = minigrad.cuda.graph(
        lambda: [nn.functional.dropout(x, p, generator=there) for p in (0.5, 0.3)]
    )
    for _ in range(6):
        masks = [y.cpu() for y in step()]
        expected = [nn.functional.dropout(x.cpu(), p, generator=here) for p in (0.5, 0.3)]
        assert [m.tolist() for m in masks] == [e.tolist() for e in expected]
        assert there.get_state() == here.get_state()


@pytest.mark.gpu
def test_a_generator_set_back_between_replays_draws_the_same_masks_again() -> None:
    masks = Generator(2**64 - 1)
    masks.set_state((2**64 - 1, 5, 2**64 - 3))  # the offset wraps in between
    x = minigrad.ones(100, device="cuda")
    step = minigrad.cuda.graph(lambda: nn.functional.dropout(x, 0.3, generator=masks))
    step()
    state = masks.get_state()
    first = [step().tolist() for _ in range(3)]
    masks.set_state(state)
    assert [step().tolist() for _ in range(3)] == first
    masks.manual_seed(3)
    eager = nn.functional.dropout(x, 0.3, generator=Generator(3))
    assert step().tolist() == eager.tolist()


@pytest.mark.gpu
@pytest.mark.parametrize(
    "change",
    [
        {"lr": 0.01},
        {"momentum": 0.5},
        {"dampening": 0.3},
        {"weight_decay": 0.1},
        {"nesterov": True},
        {"maximize": True},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_changed_setting_reaches_the_next_replay(change: dict[str, Any]) -> None:
    eager, captured = both(momentum=0.9)
    for training in (eager, captured):
        training.steps(0, 4)
        training.optimizer.param_groups[0].update(change)
    assert captured.steps(4, 8) == eager.steps(4, 8)
    assert captured.result() == eager.result()


@pytest.mark.gpu
def test_a_schedule_goes_on_and_a_checkpoint_is_the_eager_one() -> None:
    eager, captured = both(momentum=0.9)
    for training in (eager, captured):
        schedule = optim.lr_scheduler.StepLR(training.optimizer, step_size=2, gamma=0.5)
        for i in range(6):
            training.step(*batch(i))
            schedule.step()
    assert captured.result() == eager.result()
    saved = captured.optimizer.state_dict()
    assert saved["param_groups"] == eager.optimizer.state_dict()["param_groups"]
    for training in (eager, captured):  # a state that is loaded is the one that goes on
        training.net.load_state_dict(eager.net.state_dict())
    assert captured.steps(6, 9) == eager.steps(6, 9)


@pytest.mark.gpu
def test_eager_steps_between_replays_are_steps_like_any_other() -> None:
    eager, captured = both(momentum=0.9)
    expected = eager.steps(0, 9)
    replayed = captured.steps(0, 4)
    between = [captured._step(*batch(i)).item() for i in (4, 5)]
    assert replayed + between + captured.steps(6, 9) == expected
    assert captured.result() == eager.result()


@pytest.mark.gpu
def test_two_graphs_take_turns() -> None:
    ones, others = both(momentum=0.9), both(momentum=0.9, lr=0.3)
    for i in range(5):
        for eager, captured in (ones, others):
            assert captured.steps(i, i + 1) == eager.steps(i, i + 1)
    for eager, captured in (ones, others):
        assert captured.result() == eager.result()


# ------------------------------------------------------------------- what stays where it is


@pytest.mark.gpu
def test_a_replay_takes_no_memory_and_leaves_results_where_they_were() -> None:
    captured = Training(True)
    captured.steps(0, 2)
    graph: Any = captured.step
    x, y = batch(0)
    loss, held = captured.step(x, y), graph._pool.total_bytes()
    gc.collect()
    before = minigrad.cuda.memory_allocated()
    at = loss.array.data.ptr
    for _ in range(20):
        assert captured.step(x, y) is loss
    assert (minigrad.cuda.memory_allocated(), graph._pool.total_bytes()) == (before, held)
    assert loss.array.data.ptr == at


@pytest.mark.gpu
def test_nothing_is_allocated_while_the_step_is_recorded() -> None:
    training, held = Training(False, momentum=0.9), []

    def step(x: Any, y: Any) -> Any:
        held.append(graph._pool.total_bytes())
        loss = training.step(x, y)
        held.append(graph._pool.total_bytes())
        return loss

    graph = minigrad.cuda.graph(step)
    first = graph(*batch(0))
    graph(*batch(1))
    assert first.item() > 0
    assert held[0] < held[1]
    assert held[2] == held[3]
    assert len(held) == 4


@pytest.mark.gpu
def test_a_replay_neither_waits_nor_copies_to_the_device() -> None:
    captured = Training(True)
    batches = [batch(i) for i in range(6)]
    captured.steps(0, 2)
    with GPU.unwaited():
        for x, y in batches:
            captured.step(x, y)


@pytest.mark.gpu
def test_what_a_replay_changes_is_seen_as_a_change_in_place() -> None:
    captured = Training(True)
    captured.steps(0, 2)
    weight = captured.net[0].weight
    y = (weight * weight).sum()
    captured.steps(2, 3)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.backward()


# ------------------------------------------------------------------- what is asked later


@pytest.mark.gpu
def test_a_label_out_of_range_is_found_with_the_next_thing_read_and_once() -> None:
    captured = Training(True)
    captured.steps(0, 3)
    x, y = batch(3)
    captured.step(x, y + CLASSES)
    loss = captured.step(x, y)
    with pytest.raises(IndexError, match=r"Target \d is out of bounds"):
        loss.item()
    assert np.isfinite(captured.step(x, y).item())


@pytest.mark.gpu
def test_an_index_out_of_range_is_found_in_any_replay() -> None:
    rows = minigrad.ones(3, 2, device="cuda")
    step = minigrad.cuda.graph(lambda i: rows[i])
    for i in range(3):
        step(minigrad.tensor([i], device="cuda")).tolist()
    wrong = step(minigrad.tensor([3], device="cuda"))
    step(minigrad.tensor([0], device="cuda"))
    with pytest.raises(IndexError, match="index 3 is out of bounds for dimension 0 with size 3"):
        wrong.tolist()
    assert step(minigrad.tensor([0], device="cuda")).tolist() == [[1.0, 1.0]]


# ------------------------------------------------------------------- what no graph can


def ones() -> Any:
    return minigrad.ones(4, device="cuda")


class Frozen(optim.Optimizer):
    """An optimiser that knows nothing of graphs."""

    def __init__(self, params: Any) -> None:
        super().__init__(params, {})

    def step(self, closure: Any = None) -> None:
        return None


#: what a step does -> (the step, what is raised, in which words)
REFUSED: dict[str, tuple[Callable[[Any], Any], type[Exception], str]] = {
    "reads a number": (lambda x: x.sum().item(), RuntimeError, "cannot wait for the GPU"),
    "copies to the host": (lambda x: x.cpu(), RuntimeError, "cannot wait for the GPU"),
    "waits": (lambda x: minigrad.cuda.synchronize(), RuntimeError, "cannot wait for the GPU"),
    "copies from the host": (
        lambda x: x + minigrad.tensor(np.ones(4, np.float32)).cuda(),
        RuntimeError,
        "cannot copy from the host.*give it to the step as an argument",
    ),
    "draws on the host": (
        lambda x: x + minigrad.randn(4, device="cuda"),
        RuntimeError,
        "cannot copy from the host",
    ),
    "shuffles on the host": (
        lambda x: (minigrad.randperm(4), x + 1)[1],
        RuntimeError,
        "draws numbers on the host",
    ),
    "takes a step of another optimiser": (
        lambda x: Frozen([ones().requires_grad_()]).step(),
        RuntimeError,
        "Frozen cannot be part of a CUDA graph.*SGD can",
    ),
    "multiplies what CuPy multiplies": (
        lambda x: x.reshape(1, 2, 2) @ x.reshape(1, 2, 2),
        RuntimeError,
        "an operation that CuPy cannot record, such as a product",
    ),
    "is a graph": (lambda x: Graph(lambda: x)(), RuntimeError, "inside of another one"),
}


@pytest.mark.gpu
@pytest.mark.parametrize("what", REFUSED)
def test_a_step_that_cannot_be_a_graph_is_refused_in_words(what: str) -> None:
    step, error, words = REFUSED[what]
    state = minigrad.random.default_generator.get_state()
    graph = minigrad.cuda.graph(step)

    def twice() -> None:
        graph(ones())
        graph(ones())

    with pytest.raises(error, match=words):
        twice()
    if what == "shuffles on the host":  # the first call ran as it was; the second is taken back
        assert minigrad.random.default_generator.get_state()[2] == state[2] + 1
    assert (ones() + 1).tolist() == [2.0] * 4  # and all goes on as before
    works = minigrad.cuda.graph(lambda x: x + 1)
    assert [works(ones()).tolist() for _ in range(3)] == [[2.0] * 4] * 3


@pytest.mark.gpu
def test_a_step_that_does_something_else_the_second_time_is_refused() -> None:
    generators = [Generator(1), Generator(2)]
    step = minigrad.cuda.graph(lambda x: nn.functional.dropout(x, 0.5, generator=generators.pop()))
    step(ones())
    state = generators[0].get_state()
    with pytest.raises(RuntimeError, match="something else when it was recorded than on its first"):
        step(ones())
    assert generators == [] or generators[0].get_state() == state


@pytest.mark.gpu
def test_arguments_are_tensors_of_the_first_calls_shapes() -> None:
    step = minigrad.cuda.graph(lambda x: x + 1)
    with pytest.raises(TypeError, match="takes tensors, got float: anything else would stay"):
        step(1.0)
    step(ones())
    for wrong in (minigrad.ones(5, device="cuda"), ones().double()):
        with pytest.raises(ValueError, match=r"was made for float32 \(4,\), got float"):
            step(wrong)
    with pytest.raises(ValueError, match="got nothing"):
        step()
    assert step(ones() * 2).tolist() == [3.0] * 4
    with pytest.raises(TypeError, match="takes a function, the step, got int"):
        minigrad.cuda.graph(3)  # type: ignore[arg-type]


@pytest.mark.gpu
def test_memory_that_moved_and_momentum_that_came_are_refused_before_a_replay() -> None:
    captured = Training(True)
    captured.steps(0, 3)
    captured.optimizer.param_groups[0]["momentum"] = 0.9
    with pytest.raises(RuntimeError, match=r"momentum became 0\.9 after .* captured without"):
        captured.steps(3, 4)
    captured.optimizer.param_groups[0]["momentum"] = 0.0
    captured.steps(3, 4)
    weight = captured.net[0].weight
    weight.data = weight.data.clone()
    with pytest.raises(RuntimeError, match="memory was replaced after its step became a CUDA"):
        captured.steps(4, 5)


@pytest.mark.gpu
def test_parameters_that_sgds_kernel_cannot_change_are_refused() -> None:
    for p in (ones().half().requires_grad_(), minigrad.ones(4, requires_grad=True)):
        optimizer = optim.SGD([p], lr=0.1)
        p.grad = minigrad.ones_like(p)
        with pytest.raises(RuntimeError, match=r"in a CUDA graph, SGD changes contiguous param"):
            minigrad.cuda.graph(optimizer.step)()


@pytest.mark.gpu
def test_a_graph_that_is_gone_gives_its_memory_back() -> None:
    from minigrad import cublas

    captured: Any = Training(True)
    captured.steps(0, 3)
    known = cublas._workspaces(0)
    before = len(known)
    del captured
    gc.collect()
    assert len(known) == before - 1


@pytest.mark.gpu
def test_the_kernel_for_states_in_memory_wants_one() -> None:
    from minigrad.fused import launch

    keep = minigrad.zeros(4, dtype=minigrad.bool, device="cuda").array
    with pytest.raises(TypeError, match=r"state of dtype uint64, got float32"):
        keep_mask_after(launch, keep, ones().array, 0, 0.5)


def test_without_a_gpu_a_graph_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    module = sys.modules["minigrad.device"]  # by its name in minigrad it is the class
    monkeypatch.setattr(module, "cuda_status", lambda: (False, "no driver"))
    with pytest.raises(RuntimeError, match="cannot use device 'cuda': no driver"):
        minigrad.cuda.graph(lambda: None)
