"""Grad modes in generators, coroutines, threads and tasks: a switch is everybody's own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

import minigrad as mg
from minigrad import is_grad_enabled

MODES = {
    "no_grad()": (lambda: mg.no_grad(), False),
    "no_grad": (lambda: mg.no_grad, False),
    "inference_mode()": (lambda: mg.inference_mode(), False),
    "inference_mode": (lambda: mg.inference_mode, False),
    "enable_grad()": (lambda: mg.enable_grad(), True),
    "enable_grad": (lambda: mg.enable_grad, True),
    "set_grad_enabled(False)": (lambda: mg.set_grad_enabled(False), False),
}
modes = pytest.mark.parametrize(("decorator", "inside"), MODES.values(), ids=MODES)
outsides = pytest.mark.parametrize("outside", [True, False])


@modes
@outsides
def test_a_decorated_function_has_the_mode_not_its_caller(
    decorator: Any, inside: bool, outside: bool
) -> None:
    with mg.set_grad_enabled(outside):

        @decorator()
        def function(a: int, *, b: int) -> tuple[int, bool]:
            """What it says."""
            return a + b, is_grad_enabled()

        assert is_grad_enabled() == outside
        assert function(1, b=2) == (3, inside)
        assert is_grad_enabled() == outside
        assert (function.__name__, function.__doc__) == ("function", "What it says.")


@modes
@outsides
def test_a_generator_has_the_mode_only_while_it_runs(
    decorator: Any, inside: bool, outside: bool
) -> None:
    seen = []

    @decorator()
    def generator() -> Any:
        try:
            got = yield is_grad_enabled()
            seen.append((got, is_grad_enabled()))
            with mg.set_grad_enabled(not inside):
                yield is_grad_enabled()
                seen.append(is_grad_enabled())  # its own mode is there again
            yield is_grad_enabled()
        except KeyError:
            yield ("caught", is_grad_enabled())
        finally:
            seen.append(("closed", is_grad_enabled()))
        return "returned"

    def delegating() -> Any:
        seen.append((yield from running))

    with mg.set_grad_enabled(outside):
        running = generator()
        assert next(running) == inside
        assert is_grad_enabled() == outside
        assert running.send("sent") == (not inside)
        assert is_grad_enabled() == outside
        assert next(running) == inside
        assert running.throw(KeyError) == ("caught", inside)
        assert is_grad_enabled() == outside
        assert list(delegating()) == []
        assert seen == [("sent", inside), not inside, ("closed", inside), "returned"]
        left = generator()
        next(left)
        left.close()
        assert seen[-1] == ("closed", inside)
        assert is_grad_enabled() == outside


def test_an_exception_out_of_a_generator_leaves_the_callers_mode() -> None:
    @mg.no_grad()
    def generator() -> Any:
        yield 1
        raise ValueError("mine")

    running = generator()
    next(running)
    with pytest.raises(ValueError, match="mine"):
        next(running)
    assert is_grad_enabled()
    with pytest.raises(StopIteration):
        next(running)


def test_results_of_a_decorated_generator_are_not_recorded() -> None:
    w = mg.ones(2, requires_grad=True)

    @mg.no_grad()
    def products() -> Any:
        for i in range(3):
            yield w * i

    pairs = [(y.requires_grad, (y * w).requires_grad) for y in products()]
    assert pairs == [(False, True)] * 3


@modes
def test_a_coroutine_has_the_mode_while_it_runs_and_others_theirs(
    decorator: Any, inside: bool
) -> None:
    seen = []

    @decorator()
    async def decorated() -> str:
        for _ in range(3):
            seen.append(is_grad_enabled() == inside)
            await asyncio.sleep(0)
        return "done"

    async def plain() -> None:
        for _ in range(3):
            seen.append(is_grad_enabled())
            await asyncio.sleep(0)

    async def main() -> list[Any]:
        return await asyncio.gather(decorated(), plain(), decorated())

    assert asyncio.run(main()) == ["done", None, "done"]
    assert seen == [True] * 9


def test_tasks_that_wait_within_a_block_do_not_mix_up_their_modes() -> None:
    mode, seen = mg.no_grad(), []

    async def within() -> None:
        with mode:
            await asyncio.sleep(0)
            seen.append(not is_grad_enabled())
        seen.append(is_grad_enabled())

    async def outside() -> None:
        for _ in range(3):
            seen.append(is_grad_enabled())
            await asyncio.sleep(0)

    async def main() -> None:
        await asyncio.gather(within(), outside(), within())

    asyncio.run(main())
    assert seen == [True] * 7


@pytest.mark.parametrize("make", [mg.no_grad, mg.inference_mode])
def test_one_object_may_be_shared_by_threads(make: Callable[[], Any]) -> None:
    mode, seen = make(), []
    steps = [threading.Event() for _ in range(3)]

    def first() -> None:
        with mg.enable_grad(), mode:
            steps[0].set()
            steps[1].wait(10)
        seen.append(is_grad_enabled())
        steps[2].set()

    def second() -> None:
        steps[0].wait(10)
        with mg.set_grad_enabled(False):
            with mode:
                steps[1].set()
                steps[2].wait(10)
            seen.append(not is_grad_enabled())

    threads = [threading.Thread(target=f) for f in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [True, True]


def test_an_asynchronous_generator_is_refused_with_what_to_do() -> None:
    async def numbers() -> Any:
        yield 1

    with pytest.raises(TypeError, match=r"numbers is an asynchronous generator.*`with` blocks"):
        mg.no_grad()(numbers)


def test_inference_mode_false_changes_nothing() -> None:
    for outside in True, False:
        with mg.set_grad_enabled(outside), mg.inference_mode(False):
            assert is_grad_enabled() == outside


def test_blocks_that_end_in_another_order_than_they_began_leave_the_mode_as_it_was() -> None:
    one, two = mg.no_grad(), mg.enable_grad()
    one.__enter__()
    two.__enter__()
    one.__exit__()
    two.__exit__()
    assert is_grad_enabled()
    two.__exit__()  # once too often
    assert is_grad_enabled()


@pytest.mark.parametrize("make", [
    lambda: mg.no_grad(3), lambda: mg.enable_grad()("f"), lambda: mg.inference_mode("no"),
    lambda: mg.set_grad_enabled("False"),
])  # fmt: skip
def test_what_is_neither_a_mode_nor_a_function_is_refused(make: Callable[[], Any]) -> None:
    with pytest.raises(TypeError, match="a grad mode"):
        make()
    assert is_grad_enabled()
