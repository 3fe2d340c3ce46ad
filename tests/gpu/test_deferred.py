"""What a GPU does not raise is raised with the next thing read, in the thread that is to blame."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minigrad
from minigrad.device import _pending, _unset
from minigrad.nn import functional as F
from tests.gpu.backend import Backend

pytestmark = pytest.mark.usefixtures("backend")


def on_device(values: Any) -> Any:
    return minigrad.tensor(values, device="cuda")


def rows() -> Any:
    return minigrad.arange(6, device="cuda").reshape(3, 2)


def written(index: Any) -> Any:
    x = rows()
    x[index] = 1
    return x


def along(index: Any) -> Any:
    return rows().take_along_dim(index, 1)


#: What to do with an index that is on the device, the index, and what is said of it.
WRONG: dict[str, tuple[Callable[[Any], Any], Any, str]] = {
    "too large": (lambda i: rows()[i], [0, 5], "index 5 is out of bounds for dimension 0 with"),
    "too small": (lambda i: rows()[i], [0, -4], "index -4 is .* dimension 0 with size 3"),
    "written": (written, [0, 5], "index 5 is .* dimension 0 with size 3"),
    "columns": (lambda i: rows()[:, i], [2], "index 2 is .* dimension 1 with size 2"),
    "after dots": (lambda i: rows()[..., i], [2], "index 2 is .* dimension 1 with size 2"),
    "after a new one": (lambda i: rows()[None, :, i], [-3], "index -3 is .* size 2"),
    "after an int": (lambda i: rows()[1, i], [2], "index 2 is .* size 2"),
    "after a mask": (lambda i: rows()[rows()[:, 0] > 0][:, i], [2], "index 2 is .* size 2"),
    "two": (lambda i: rows()[i, i], [0, 2], "index 2 is .* dimension 1 with size 2"),
    "a matrix": (lambda i: rows()[i], [[0], [3]], "index 3 is .* dimension 0 with size 3"),
    "bytes": (lambda i: rows()[i.to(np.int8)], [3], "index 3 is .* dimension 0 with size 3"),
    "every other": (lambda i: rows()[i[::2]], [0, 0, 7, 0], "index 7 is .* size 3"),
    "along a dimension": (along, [[0], [2], [1]], "index 2 is .* dimension 1 with size 2"),
    "a label": (lambda i: F.cross_entropy(rows().float(), i), [0, 1, 2], "Target 2 is out of"),
}


@pytest.mark.parametrize(("use", "index", "message"), WRONG.values(), ids=WRONG)
def test_an_index_out_of_range_raises_with_the_next_thing_read(
    backend: Backend, use: Any, index: Any, message: str
) -> None:
    there, other = on_device(index), on_device([1.0])
    use(there)
    with pytest.raises(IndexError, match=message):
        other.tolist()
    assert other.tolist() == [1.0]  # said once


@pytest.mark.parametrize(("use", "index", "message"), WRONG.values(), ids=WRONG)
def test_an_index_in_range_raises_nothing(
    backend: Backend, use: Any, index: Any, message: str
) -> None:
    there = on_device(np.minimum(np.abs(index), 1))
    use(there)
    assert on_device([1.0]).tolist() == [1.0]


def test_a_dimension_of_nothing_has_no_index_and_that_is_known_at_once() -> None:
    nothing = minigrad.zeros(0, 3, device="cuda")
    with pytest.raises(IndexError, match="index is out of bounds for dimension with size 0"):
        nothing[on_device([0])]
    assert nothing[on_device([]).long()].shape == (0, 3)


def test_the_check_costs_one_launch_and_no_wait(fake: Backend) -> None:
    x, i = rows(), on_device([0, 2])
    x[i].tolist()  # the word is made, and kept
    with fake.unwaited() as counts:
        x[i]
    assert counts.launches == ["copy", "check_indices", "take"]
    with fake.unwaited() as counts:
        x[i] = 1
    assert counts.launches.count("check_indices") == 1
    assert len(counts.launches) == 3


@pytest.mark.parametrize(
    "use",
    [
        lambda x, i: x[i],
        lambda x, i: x[:, i],
        lambda x, i: x.__setitem__(i, 1),
        lambda x, i: x.take_along_dim(i[:, None], 0),
        lambda x, i: F.cross_entropy(x.float(), i),
        lambda x, i: F.nll_loss(x.float(), i),
    ],
)
def test_a_tensor_of_the_host_does_not_choose_on_a_device(backend: Backend, use: Any) -> None:
    """One rule and one sentence, for indices and labels; a list moves with the index that it is."""
    x, before = rows(), rows().tolist()
    sentence = "Expected all tensors to be on the same device.*cuda:0 and cpu|cpu and cuda:0"
    with pytest.raises(RuntimeError, match=sentence):
        use(x, minigrad.tensor([0, 1, 0]))
    assert x.tolist() == before
    assert x[[0, 2]].tolist() == [before[0], before[2]]


# ------------------------------------------------------------------------- threads


def test_what_a_thread_did_wrong_is_not_raised_in_another() -> None:
    there, wrong, go_on = on_device([1.0]), threading.Event(), threading.Event()
    caught: list[Exception] = []

    def worker() -> None:
        rows()[on_device([9])]
        wrong.set()
        go_on.wait(30)
        try:
            there.tolist()
        except IndexError as error:
            caught.append(error)

    thread = threading.Thread(target=worker)
    thread.start()
    assert wrong.wait(30)
    assert there.tolist() == [1.0]
    go_on.set()
    thread.join()
    assert len(caught) == 1
    assert there.tolist() == [1.0]


def test_what_a_thread_did_wrong_that_has_ended_is_raised_by_who_comes_next() -> None:
    thread = threading.Thread(target=lambda: rows()[on_device([9])])
    thread.start()
    thread.join()
    with pytest.raises(IndexError, match="index 9"):
        on_device([1.0]).tolist()
    assert on_device([1.0]).tolist() == [1.0]


def test_many_threads_find_their_own_mistakes() -> None:
    found: dict[int, list[int]] = {n: [] for n in range(4)}

    def worker(n: int) -> None:
        for i in range(20):
            rows()[on_device([3 + n])]
            try:
                on_device([1.0]).tolist()
            except IndexError as error:
                found[n].append(int(str(error).split()[1]))
            assert len(found[n]) == i + 1

    threads = [threading.Thread(target=worker, args=(n,)) for n in found]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {n: [3 + n] * 20 for n in found}


def at_once(*works: Callable[[], Any]) -> list[Any]:
    """Run each in a thread of its own; return their results, an exception where one raised it."""
    results: list[Any] = [None] * len(works)

    def run(i: int) -> None:
        try:
            results[i] = works[i]()
        except Exception as error:
            results[i] = error

    threads = [threading.Thread(target=run, args=(i,)) for i in range(len(works))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


class Contended(dict[Any, Any]):
    """What an ended thread has left, with a place where the two threads that read it meet."""

    def __init__(self, conditions: dict[Any, Any], meeting: str) -> None:
        super().__init__(conditions)
        self.meeting, self.barrier = meeting, threading.Barrier(2, timeout=30)
        self.first: Any = None  # the thread that takes it, where the other is kept waiting
        self.taken = threading.Event()

    def pop(self, key: Any) -> Any:  # type: ignore[override]
        if self.meeting == "both have seen the key":
            self.barrier.wait()
        value = super().pop(key)
        self.taken.set()
        return value

    def __bool__(self) -> bool:
        some = len(self) > 0
        if self.meeting == "both have seen it empty" or (some and "one is about" in self.meeting):
            self.barrier.wait()
        return some

    def __iter__(self) -> Any:
        late = self.late()
        if late and self.meeting == "one is about to look":
            self.taken.wait(30)
        keys = super().__iter__()
        if self.meeting == "one is about to take a key":
            self.barrier.wait()
            if late:
                self.taken.wait(30)
        return keys

    def late(self) -> bool:
        """Whether another thread has come before this one."""
        with LOCK:
            self.first = self.first or threading.current_thread()
        return self.first is not threading.current_thread()


LOCK = threading.Lock()
MEETINGS = [
    "both have seen the key",
    "one is about to look",
    "one is about to take a key",
]


def left_by_an_ended_thread(meeting: str, use: Callable[[], Any]) -> None:
    """Let a thread do something and end, and let those that read what it has left meet."""
    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    ended = _pending.ended
    (i,) = [i for i, (owner, _) in enumerate(ended) if owner is thread]
    ended[i] = thread, Contended(ended[i][1], meeting)


@pytest.mark.parametrize("meeting", MEETINGS)
def test_one_of_two_threads_reports_what_an_ended_one_did(meeting: str) -> None:
    there = on_device([1.0])
    left_by_an_ended_thread(meeting, lambda: rows()[on_device([9])])
    results = at_once(there.tolist, there.tolist)
    assert sum(r == [1.0] for r in results) == 1
    (error,) = [r for r in results if r != [1.0]]
    assert isinstance(error, IndexError)
    assert "index 9 is out of bounds" in str(error)
    assert there.tolist() == [1.0]


def test_two_threads_forget_at_once_a_thread_that_left_nothing() -> None:
    there = on_device([1.0])
    left_by_an_ended_thread("both have seen it empty", there.tolist)
    assert at_once(there.tolist, there.tolist) == [[1.0], [1.0]]


class Last(list[Any]):
    """One word to use again, which two threads take at the same time."""

    def __init__(self, word: Any) -> None:
        super().__init__([word])
        self.barrier = threading.Barrier(2, timeout=30)

    def pop(self) -> Any:  # type: ignore[override]
        self.barrier.wait()
        return super().pop()


def test_two_threads_that_want_the_last_word_have_one_each(monkeypatch: Any) -> None:
    rows()[on_device([0])]
    on_device([1.0]).tolist()  # the word is read, and kept for the next
    number = rows().array.data.device_id
    monkeypatch.setitem(_unset, number, Last(_unset[number].pop()))  # it will be set for good

    def work(wrong: int) -> Any:
        rows()[on_device([wrong])]
        _unset[number] = []  # where what is read now is kept
        return on_device([1.0]).tolist()

    results = at_once(lambda: work(7), lambda: work(8))
    assert [str(r).split(" is ")[0] for r in results] == ["index 7", "index 8"]
