"""What a step costs, counted in things that do not depend on the machine: speed cannot rot unseen.

Bytes and arrays are exact. Calls of Python functions are counted as well, on Python 3.12 and later
with comprehensions inlined, so that they are bounded and not equal.
"""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import pytest

import minigrad
from minigrad import nn, optim

BATCH, WIDTHS = 256, (784, 256, 256, 10)
HIDDEN_BYTES = 4 * BATCH * WIDTHS[1]  # one activation in float32
PARAMETER_BYTES = 4 * sum((a + 1) * b for a, b in itertools.pairwise(WIDTHS))


def chapter_step(update: bool = True) -> Callable[[], Any]:
    """A step of the chapter's training, on made-up images, with the same masks in every run."""
    masks = minigrad.Generator(0)  # a tie in a mask costs calls of its own
    net = nn.Sequential(
        *(nn.Linear(784, 256), nn.ReLU(), nn.Dropout(0.2, generator=masks)),
        *(nn.Linear(256, 256), nn.ReLU(), nn.Dropout(0.5, generator=masks), nn.Linear(256, 10)),
    )
    loss, optimizer = nn.CrossEntropyLoss(), optim.SGD(net.parameters(), lr=0.01)
    rng = np.random.default_rng(0)
    x = minigrad.from_numpy(rng.random((BATCH, 784), np.float32))
    y = minigrad.from_numpy(rng.integers(0, 10, BATCH))

    def step() -> Any:
        optimizer.zero_grad()
        value = loss(net(x), y)
        value.backward()
        if update:
            optimizer.step()
        return value

    step()
    return step


def calls_of_python(function: Callable[[], Any]) -> int:
    """Return how many Python functions are entered while ``function`` runs."""
    count = 0

    def profile(frame: Any, event: str, argument: Any) -> None:
        nonlocal count
        count += event == "call"

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        function()
    finally:
        sys.setprofile(before)
    return count


def peak_bytes(function: Callable[[], Any]) -> int:
    """Return by how much the memory in use grew at most while ``function`` ran."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        function()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


def graph(tensor: Any) -> list[Any]:
    """Return the nodes that a tensor depends on."""
    nodes = [tensor.grad_fn]
    for node in nodes:
        nodes += [p for p in node.parents if hasattr(p, "op") and p not in nodes]
    return nodes


def test_an_op_forward_and_backward_takes_few_calls_of_python() -> None:
    def chain(length: int) -> None:
        y = x = minigrad.ones(4, 4, requires_grad=True)
        for _ in range(length):
            y = y * x
        y.sum().backward()

    chain(1)
    per_op = (calls_of_python(lambda: chain(300)) - calls_of_python(lambda: chain(100))) / 200
    # mul: __mul__'s run, call, the function, Storage, _record, Node, wrap; saved, two formulas
    assert per_op <= 11.1


def test_a_training_step_takes_few_calls_of_python() -> None:
    assert calls_of_python(chapter_step()) <= 390


def test_an_update_needs_the_gradients_and_one_product_of_memory() -> None:
    largest = 4 * WIDTHS[0] * WIDTHS[1]
    assert peak_bytes(chapter_step()) <= 1.01 * (PARAMETER_BYTES + largest)


def test_forward_and_backward_let_go_of_what_has_been_used() -> None:
    # the outputs of Linear, ReLU and Dropout in both layers are 6 activations: what no derivative
    # reads is gone by the end of the forward pass, and the rest goes as the walk passes it
    peak = peak_bytes(chapter_step(update=False))
    assert peak <= PARAMETER_BYTES + 1.6 * HIDDEN_BYTES


def test_the_graph_of_a_step_keeps_what_its_derivatives_read_and_nothing_else() -> None:
    net = nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Dropout(0.2), nn.Linear(256, 10))
    x = minigrad.zeros(BATCH, 784)
    loss = nn.CrossEntropyLoss()(net(x), minigrad.zeros(BATCH, dtype=minigrad.int64))
    kept = {node.name(): sorted(node.saved) for node in graph(loss)}
    assert kept["MaskedScaleBackward"] == ["keep", "scale"]
    assert kept["ReluBackward"] == ["y"]
    options = ["ignore_index", "label_smoothing", "labels", "reduction", "weight"]
    assert kept["ClassCrossEntropyBackward"] == [*options, "x"]
    linear = [node.saved for node in graph(loss) if node.name() == "LinearBackward"]
    assert [sorted(saved) for saved in linear] == [["weight", "x"], ["x"]]


class Witness(np.ndarray):
    """An array that notes the dtype of whatever large is computed from it."""

    seen: ClassVar[set[str]] = set()

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        inputs = tuple(a.view(np.ndarray) if isinstance(a, Witness) else a for a in inputs)
        if kwargs.get("out"):
            kwargs["out"] = tuple(np.asarray(a) for a in kwargs["out"])
        result = getattr(ufunc, method)(*inputs, **kwargs)
        if np.size(result) > 10_000:  # sums go on in float64, of a few rows
            Witness.seen.add(result.dtype.name)
        return result.view(Witness) if isinstance(result, np.ndarray) else result


def test_no_large_array_of_float64_arises_in_a_step_in_float32() -> None:
    net = nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Dropout(0.2), nn.Linear(256, 10))
    optimizer = optim.SGD(net.parameters(), lr=0.01, momentum=0.9, weight_decay=0.1)
    for p in net.parameters():
        p.array = p.array.view(Witness)
    Witness.seen.clear()
    x, y = minigrad.zeros(BATCH, 784), minigrad.zeros(BATCH, dtype=minigrad.int64)
    for _ in range(2):
        optimizer.zero_grad()
        nn.CrossEntropyLoss()(net(x), y).backward()
        optimizer.step()
    assert "float32" in Witness.seen
    assert Witness.seen <= {"float32", "bool"}


PROGRAM = """
import hashlib, minigrad
from models import init_weights, mlp
minigrad.manual_seed(3)
net = mlp().apply(init_weights)
optimizer = minigrad.optim.SGD(net.parameters(), lr=0.1)
x, y = minigrad.rand(256, 784), minigrad.randint(0, 10, (256,))
for _ in range(20):
    optimizer.zero_grad()
    minigrad.nn.functional.cross_entropy(net(x), y).backward()
    optimizer.step()
print(hashlib.sha256(b"".join(p.numpy().tobytes() for p in net.state_dict().values())).hexdigest())
"""


@pytest.mark.parametrize("threads", ["1", "2"])
def test_training_is_reproducible_bit_for_bit_at_a_number_of_threads(threads: str) -> None:
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": threads}
    run = [sys.executable, "-c", PROGRAM]
    first, second = (subprocess.check_output(run, env=environment) for _ in range(2))
    assert first == second
