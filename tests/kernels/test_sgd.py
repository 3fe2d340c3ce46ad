"""The SGD kernel: `minigrad.optim.SGD`, to the last bit, on many parameters at once."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minigrad
from minigrad import optim
from minigrad.kernels import Launcher, sgd
from minigrad.kernels.sgd import TENSORS, settings_in_memory, sgd_step
from tests.kernels import definitions
from tests.kernels.arrays import SIZES, assert_same_bits, awkward, numbers

FLOATS = (np.float32, np.float64)
PLAIN: dict[str, Any] = {"lr": 0.1}
SETTINGS: list[dict[str, Any]] = [
    {"lr": lr, "momentum": m, "dampening": d, "weight_decay": w, "nesterov": n, "maximize": x}
    for lr, m, d, w, n, x in itertools.product(
        (0.1, 1e-3), (0.0, 0.9), (0.0, 0.3), (0.0, 1e-2), (False, True), (False, True)
    )
    if not (n and (m == 0 or d != 0)) and not (d and m == 0)
]
CHUNK = 2048  # elements that a block has


def words(settings: dict[str, Any]) -> str:
    others = [name for name, value in settings.items() if value and name != "lr"]
    return ", ".join([f"lr {settings['lr']}", *others])


def tensors(shapes: list[Any], dtype: Any, seed: int) -> list[np.ndarray]:
    return [numbers(shape, dtype, seed + i) for i, shape in enumerate(shapes)]


# ------------------------------------------------------------------------- steps


@pytest.mark.parametrize("settings", SETTINGS, ids=words)
def test_settings_in_memory_come_first(
    device: Any, launch: Launcher, settings: dict[str, Any]
) -> None:
    given = {**settings, "lr": 7.0, "weight_decay": 0.5, "maximize": not settings["maximize"]}
    given["dampening"] = 0.25
    for dtype in FLOATS:
        found = []
        for kind in ("memory", "arguments"):
            p, g, b = ([device.array(a)] for a in tensors([(2049,)] * 3, dtype, 0))
            now = device.array(np.array(settings_in_memory(**settings), np.float64))
            more = {**given, "now": now} if kind == "memory" else settings
            sgd_step(launch, p, g, b if settings["momentum"] else None, [False], **more)
            found.append((p[0].get(), b[0].get()))
        for there, here in zip(*found, strict=True):
            assert_same_bits(there, here)


@pytest.mark.parametrize("settings", SETTINGS, ids=words)
def test_steps_equal_the_optimizers(
    device: Any, launch: Launcher, settings: dict[str, Any]
) -> None:
    shapes = [(3, 4), (5,), (), (2, 0), (1023,)]
    for dtype in FLOATS:
        start = tensors(shapes, dtype, 0)
        parameters = [minigrad.tensor(p, requires_grad=True) for p in start]
        optimizer = optim.SGD(parameters, **settings)
        there = [device.array(p) for p in start]
        buffers = [device.empty(p.shape, dtype) for p in start] if settings["momentum"] else None
        for step in range(3):
            gradients = tensors(shapes, dtype, 10 * step + 10)
            for p, g in zip(parameters, gradients, strict=True):
                p.grad = minigrad.tensor(g)
            optimizer.step()
            above = [device.array(g) for g in gradients]
            sgd_step(launch, there, above, buffers, [step == 0] * len(shapes), **settings)
            for p, q in zip(parameters, there, strict=True):
                assert_same_bits(q.get(), p.detach().numpy())
        for p, b in zip(parameters, buffers or [], strict=False):
            assert_same_bits(b.get(), optimizer.state[p]["momentum_buffer"].numpy())
    assert len(device.launched) == 2 * 3  # one for each dtype and step


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("n", [*SIZES, CHUNK - 1, CHUNK, CHUNK + 1])
def test_a_step_is_that_of_the_definition_for_any_size(
    device: Any, launch: Launcher, n: int, dtype: Any
) -> None:
    p, g, b = tensors([n, n, n], dtype, 1)
    settings = {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.01, "nesterov": True}
    there = [device.array(a) for a in (p, g, b)]
    sgd_step(launch, *([a] for a in there), **settings)
    definitions.sgd_step(p, g, b, False, **settings)
    for actual, expected in zip(there, (p, g, b), strict=True):
        assert_same_bits(actual.get(), expected)


def test_each_buffer_begins_when_its_parameter_does(device: Any, launch: Launcher) -> None:
    shapes, fresh = [(4,), (5,), (6,)], [False, True, False]
    settings = {"lr": 0.1, "momentum": 0.9, "dampening": 0.3, "weight_decay": 0.1}
    p, g, b = (tensors(shapes, np.float32, seed) for seed in (0, 10, 20))
    there = [[device.array(a) for a in some] for some in (p, g)]
    buffers = [device.array(a) for a in b]
    buffers[1] = device.empty((5,), np.float32)
    sgd_step(launch, *there, buffers, fresh, **settings)
    for i, f in enumerate(fresh):
        definitions.sgd_step(p[i], g[i], b[i], f, **settings)
        assert_same_bits(there[0][i].get(), p[i])
        assert_same_bits(buffers[i].get(), b[i])


@pytest.mark.parametrize(("count", "launches"), [(1, 1), (2, 1), (95, 1), (96, 1), (97, 2)])
def test_one_launch_serves_96_parameters(
    device: Any, launch: Launcher, count: int, launches: int
) -> None:
    shapes = [(1 + 37 * i % 300,) for i in range(count)]
    p, g = tensors(shapes, np.float32, 0), tensors(shapes, np.float32, 1000)
    there = [[device.array(a) for a in some] for some in (p, g)]
    sgd_step(launch, *there, **PLAIN)
    for parameter, gradient, actual in zip(p, g, there[0], strict=True):
        definitions.sgd_step(parameter, gradient, None, False, **PLAIN)
        assert_same_bits(actual.get(), parameter)
    assert len(device.launched) == launches


def test_a_group_may_mix_dtypes(device: Any, launch: Launcher) -> None:
    dtypes = [np.float32, np.float64, np.float32]
    p, g = ([numbers(5, t, seed) for t in dtypes] for seed in (0, 1))
    there = [[device.array(a) for a in some] for some in (p, g)]
    sgd_step(launch, *there, **PLAIN)
    for parameter, gradient, actual in zip(p, g, there[0], strict=True):
        definitions.sgd_step(parameter, gradient, None, False, **PLAIN)
        assert_same_bits(actual.get(), parameter)
    assert sorted(device.launched) == ["sgd_step<double>", "sgd_step<float>"]


@pytest.mark.parametrize("settings", SETTINGS[::5], ids=words)
def test_nan_and_inf_go_as_on_the_cpu(
    device: Any, launch: Launcher, settings: dict[str, Any]
) -> None:
    p, g = (a.ravel() for a in np.meshgrid(awkward(np.float32), awkward(np.float32)))
    b = np.roll(p, 7).copy() if settings["momentum"] else None
    there = [[device.array(a)] if a is not None else None for a in (p, g, b)]
    sgd_step(launch, *there, **settings)
    with np.errstate(all="ignore"):
        definitions.sgd_step(p, g, b, False, **settings)
    assert_same_bits(there[0][0].get(), p)


def test_parameters_may_begin_anywhere_and_keep_their_neighbors(
    device: Any, launch: Launcher
) -> None:
    whole, g = numbers(3000, np.float32), numbers(2500, np.float32, 1)
    there = device.array(whole)
    sgd_step(launch, [there[301:2801]], [device.array(g, skew=3)], **PLAIN)
    definitions.sgd_step(whole[301:2801], g, None, False, **PLAIN)
    assert_same_bits(there.get(), whole)


def test_new_addresses_are_noticed(device: Any, launch: Launcher) -> None:
    p, b = numbers(8, np.float32), np.zeros(8, np.float32)
    there, buffer = device.array(p), device.array(b)
    held = []  # so that no address comes twice
    for step in range(5):
        g = numbers(8, np.float32, step)
        held.append(device.array(g))
        sgd_step(launch, [there], [held[-1]], [buffer], [step == 0], lr=0.1, momentum=0.5)
        definitions.sgd_step(p, g, b, step == 0, 0.1, 0.5)
    assert_same_bits(there.get(), p)


# ------------------------------------------------------------------------- arguments


def test_the_table_and_the_settings_fit_what_a_kernel_is_given() -> None:
    assert TENSORS.itemsize + 64 <= 4096


def test_wrappers_name_what_they_cannot_take(cpu: Any) -> None:
    launch = Launcher(cpu.load)
    x, y = cpu.array(numbers(6, np.float32)), cpu.array(numbers(6, np.float32))
    double, half = cpu.array(numbers(6, np.float64)), cpu.array(numbers(6, np.float16))
    two = cpu.array(numbers((6, 2), np.float32))

    def step(*arguments: Any, **settings: Any) -> Callable[[], None]:
        return lambda: sgd_step(launch, *arguments, **{**PLAIN, **settings})

    cases: list[tuple[Any, type[Exception], str]] = [
        (step([half], [half]), TypeError, "parameters of dtype float32 or float64, got float16"),
        (step([x], [double]), TypeError, "gradients of dtype float32, got float64"),
        (step([x], [y[:3]]), ValueError, r"gradients of shape \(6,\), got \(3,\)"),
        (step([x], [two[:, 0]]), ValueError, "C-contiguous gradient"),
        (step([x], [y], momentum=0.9), ValueError, "no buffers, and momentum=0.9"),
        (step([x], [y], [x]), ValueError, "got buffers, and momentum=0.0"),
        (step([x, y], [y]), ValueError, "shorter"),
        (step([x], [y], [double], momentum=0.9), TypeError, "buffers of dtype float32"),
    ]
    for call, error, message in cases:
        with pytest.raises(error, match=message):
            call()
    assert not cpu.launched


def test_every_kernel_of_the_file_is_launched_by_some_wrapper(cpu: Any) -> None:
    for dtype in FLOATS:
        sgd_step(
            Launcher(cpu.load),
            [cpu.array(numbers(3, dtype))],
            [cpu.array(numbers(3, dtype))],
            **PLAIN,
        )
    assert set(cpu.launched) == set(sgd.SOURCE.kernels)
