"""Measure a training step and dropout on a GPU, against PyTorch on the same one.

    python -m benchmarks.gpu                       # two or three minutes
    python -m benchmarks.gpu --quick               # a look, in less than one; nothing to quote
    python -m benchmarks.gpu --json gpu.json       # keep every single measurement
    python -m benchmarks.gpu --docs                # put the tables into docs/gpu.md as well

The contestants take turns, round by round. A round is many calls and the wait for the GPU at their
end, all warm; a figure beside a rival's time is the median over the rounds of minigrad's time
divided by the rival's, with the quartiles. All compute in float32 proper, without TF32.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import platform
import statistics
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import minigrad
from benchmarks.__main__ import put
from benchmarks.networks import training_step
from benchmarks.pairs import OURS, Result, compare, table
from minigrad.utils.files import replacing

PAGE = Path(__file__).resolve().parent.parent / "docs" / "gpu.md"
EAGER, COMPILED, GRAPH, COPY = "PyTorch, eager", "torch.compile", "PyTorch, CUDA graph", "a copy"
MOVED = 4 + 4 + 1  # bytes for each element: dropout reads and writes a float and moves its mask
MOVED_AGAIN = 1  # forward, minigrad's mask is written by one kernel and read by the next
COPIED = 4 + 4
P = 0.5

Step = Callable[[], object]


@dataclass(frozen=True)
class Scale:
    """How much is measured.

    Attributes:
        steps: for each network: width, batch, and how many steps a round has.
        elements: how many dropout is applied to, and how often in a round.
        rounds: how many count.
        backend: what torch.compile compiles with.
    """

    steps: tuple[tuple[int, int, int], ...] = ((256, 256, 200), (4096, 4096, 10))
    elements: tuple[tuple[int, int], ...] = ((10**6, 200), (10**7, 100), (10**8, 20), (10**9, 5))
    rounds: int = 9
    backend: str = "inductor"


QUICK = Scale(steps=((256, 256, 50),), elements=((10**6, 50), (10**8, 5)), rounds=3)


@dataclass(frozen=True)
class Rival:
    """PyTorch, where it takes part.

    Attributes:
        torch: the module.
        place: its device: that of minigrad, or the CPU for a rehearsal.
    """

    torch: Any
    place: str

    def synchronize(self) -> None:
        """Wait for its device."""
        if self.place != "cpu":
            self.torch.cuda.synchronize()


def main(arguments: list[str] | None = None) -> None:
    """Measure, print, and keep what the command line asks to be kept."""
    words = {"formatter_class": argparse.RawDescriptionHelpFormatter, "description": __doc__}
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", **words)  # type: ignore[arg-type]
    parser.add_argument("--quick", action="store_true", help="one network, two sizes, few rounds")
    parser.add_argument("--json", type=Path, help="write every single measurement there")
    parser.add_argument("--docs", action="store_true", help=f"put the tables into {PAGE.name}")
    args = parser.parse_args(arguments)
    if not minigrad.cuda.is_available():
        sys.exit(f"error: nothing to measure: {minigrad.cuda.status()}")

    command = f"python -m benchmarks.gpu{' --quick' if args.quick else ''}"
    machine = f"{minigrad.cuda.get_device_name()}; {versions()}"
    print(machine, flush=True)
    rival, reason = pytorch()
    if rival is None:
        print(f"PyTorch is left out: {reason}")
    report, record = measure(QUICK if args.quick else Scale(), rival)
    print(f"\n{report}")
    if args.docs:
        put("gpu", f"{machine}; `{command}`\n\n{report}", PAGE)
    if args.json:
        with replacing(args.json) as path:
            whole = {"machine": machine, "command": command, **record}
            Path(path).write_text(json.dumps(whole, indent=1))


def versions() -> str:
    """Return the versions of all that takes part, and of the driver's CUDA."""
    found = [f"Python {platform.python_version()}", f"minigrad {minigrad.__version__}"]
    found.append(f"NumPy {np.__version__}")
    for package in ("cupy-cuda12x", "cupy-cuda13x", "torch"):
        try:
            found.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    return ", ".join(found)


def pytorch() -> tuple[Rival | None, str]:
    """Return PyTorch on the GPU, or why it cannot take part."""
    try:
        import torch
    except ImportError as error:
        return None, str(error)
    if not torch.cuda.is_available():
        return None, f"torch {torch.__version__} sees no GPU"
    torch.set_float32_matmul_precision("highest")
    return Rival(torch, "cuda"), ""


def measure(scale: Scale, rival: Rival | None) -> tuple[str, dict[str, Any]]:
    """Return the report, in Markdown, and all measurements, for JSON."""
    steps, kernels = {}, {}
    for width, batch, calls in scale.steps:
        name = f"784-{width}-{width}-10, batches of {batch}"
        contestants = training_steps(width, batch, scale, rival)
        steps[name] = timed(f"a step of {name}", contestants, calls, scale.rounds, rival)
        kernels[name] = {
            who: launches(step, rival) for who, step in contestants.items() if step and rival
        }
        release(rival)
    forward: dict[int, Result] = {}
    backward: dict[int, Result] = {}
    for n, calls in scale.elements:
        for found, contest in (forward, forward_passes), (backward, backward_passes):
            task = f"{contest.__name__.partition('_')[0]}, {n:,} elements"
            found[n] = timed(task, contest(n, rival), calls, scale.rounds, rival)
            release(rival)
    passes = [result for n in forward for result in (forward[n], backward[n])]
    report = "\n\n".join(
        (
            f"A training step with dropout {P}, SGD:\n\n{table(list(steps.values()))}",
            f"What a step puts into the GPU's queue:\n\n{table_of_launches(kernels)}",
            f"Dropout alone, p = {P}:\n\n{table(passes)}",
            f"The same as a share of the copy's bytes a second:\n\n{table_of_shares(passes)}",
            "\n".join(f"- {line}" for line in verdicts(steps, forward)),
        )
    )
    record = {
        "steps": {name: result.record() for name, result in steps.items()},
        "launches": kernels,
        "dropout": [result.record() for result in passes],
    }
    return report, record


# ------------------------------------------------------------------------- contestants


def training_steps(
    width: int, batch: int, scale: Scale, rival: Rival | None
) -> dict[str, Step | None]:
    """Return everybody's step of training the same network."""
    found: dict[str, Step | None] = {
        OURS: training_step(minigrad, width, batch, p=P, device="cuda"),
        **dict.fromkeys((EAGER, COMPILED, GRAPH)),
    }
    if rival:
        make = partial(training_step, rival.torch, width, batch, p=P, device=rival.place)
        found[EAGER] = make()
        found[COMPILED] = make(compiler=partial(rival.torch.compile, backend=scale.backend))
        if rival.place != "cpu":
            found[GRAPH] = captured(make(), rival.torch)
    return found


def captured(step: Step, torch: Any) -> Step:
    """Return a function that replays a whole step of PyTorch's as one CUDA graph."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return graph.replay


def forward_passes(n: int, rival: Rival | None) -> dict[str, Step | None]:
    """Return dropout of n elements, recorded, as each framework does it; and a copy of them."""
    found: dict[str, Step | None] = {}
    for name, framework, place in frameworks(rival):
        x = framework.ones(n, device=place, requires_grad=True)
        found[name] = partial(framework.nn.functional.dropout, x, P)
    return {**found, COPY: copying(n)}


def backward_passes(n: int, rival: Rival | None) -> dict[str, Step | None]:
    """Return the way back through dropout of n elements; and a copy of them."""
    found: dict[str, Step | None] = {}
    for name, framework, place in frameworks(rival):
        x = framework.ones(n, device=place, requires_grad=True)
        g = framework.ones(n, device=place)
        y = framework.nn.functional.dropout(x, P)
        found[name] = partial(way_back, x, y, g)
    return {**found, COPY: copying(n)}


def way_back(x: Any, y: Any, g: Any) -> None:
    """Compute the gradient of x, and forget it."""
    y.backward(g, retain_graph=True)
    x.grad = None


def frameworks(rival: Rival | None) -> list[tuple[str, Any, str]]:
    """Return who takes part: name, module, device."""
    rivals = [(EAGER, rival.torch, rival.place)] if rival else []
    return [(OURS, minigrad, "cuda"), *rivals]


def copying(n: int) -> Step:
    """Return a function that copies n floats within the GPU's memory."""
    source, target = (minigrad.ones(n, device="cuda").array for _ in range(2))
    return partial(target.__setitem__, ..., source)


# ------------------------------------------------------------------------- measuring


def timed(
    task: str, contestants: dict[str, Step | None], calls: int, rounds: int, rival: Rival | None
) -> Result:
    """Return the time of one call, for each contestant and round."""

    def a_round(step: Step) -> None:
        for _ in range(calls):
            step()
        minigrad.cuda.synchronize()
        if rival:
            rival.synchronize()

    run = {name: partial(a_round, step) if step else None for name, step in contestants.items()}
    return compare(task, run, rounds).per(calls, "µs")


def launches(step: Step, rival: Rival) -> dict[str, int]:
    """Return what one call puts into the GPU's queue, by kernel, as PyTorch's profiler sees it.

    It listens to the driver, and so hears of CuPy's launches too.
    """
    from torch.profiler import ProfilerActivity, profile

    step()
    minigrad.cuda.synchronize()
    rival.synchronize()
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as profiler:
        step()
        rival.synchronize()
    on_gpu = rival.torch.autograd.DeviceType.CUDA
    return Counter(event.name for event in profiler.events() if event.device_type == on_gpu)


def release(rival: Rival | None) -> None:
    """Give memory back, so that the next contest finds it."""
    minigrad.cuda.empty_cache()
    if rival and rival.place != "cpu":
        rival.torch.cuda.empty_cache()


# ------------------------------------------------------------------------- what is said of it


def shares(result: Result) -> dict[str, float]:
    """Return for each framework the bytes a second that dropout moves, divided by the copy's."""
    copies, found = result.rounds[COPY], {}
    for name, times in result.rounds.items():
        if name == COPY or not times:
            continue
        twice = name == OURS and result.task.startswith("forward")
        moved = MOVED + (MOVED_AGAIN if twice else 0)
        ratios = [copy / own for copy, own in zip(copies, times, strict=True)]
        found[name] = moved / COPIED * statistics.median(ratios)
    return found


def table_of_shares(results: list[Result]) -> str:
    """Return the shares as a Markdown table."""
    names = list(dict.fromkeys(name for result in results for name in shares(result)))
    lines = [f"| | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    for result in results:
        cells = [f"{share:.0%}" for share in shares(result).values()]
        lines.append(f"| {result.task} | {' | '.join(cells)} |")
    return "\n".join(lines)


def table_of_launches(kernels: dict[str, dict[str, dict[str, int]]]) -> str:
    """Return the number of kernels and copies in a step as a Markdown table."""
    if not any(kernels.values()):
        return "not counted: PyTorch's profiler counts them"
    names = list(next(iter(kernels.values())))
    lines = [f"| | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    for network, counts in kernels.items():
        cells = [str(sum(found.values())) for found in counts.values()]
        lines.append(f"| {network} | {' | '.join(cells)} |")
    return "\n".join(lines)


def verdicts(steps: dict[str, Result], forward: dict[int, Result]) -> list[str]:
    """Return what was aimed at, and whether it was reached."""
    found = []
    for name, result in steps.items():
        if result.rounds.get(EAGER):
            ratio, *_ = result.ratio(EAGER)
            found.append((f"a step of {name} takes {ratio:.2f} of PyTorch's, eager", ratio <= 1))
    if 10**8 in forward:
        result = forward[10**8]
        share = shares(result)[OURS]
        words = f"dropout of 1e8 elements moves {share:.0%} of what a copy moves, of 85 %"
        found.append((words, share >= 0.85))
        if result.rounds.get(EAGER):
            ratio, *_ = result.ratio(EAGER)
            found.append((f"and takes {ratio:.2f} of PyTorch's time", ratio <= 1))
    return [f"{words}: {'reached' if reached else 'NOT reached'}" for words, reached in found]


if __name__ == "__main__":
    main()
