"""The kernels pass NVIDIA's own compiler, and take of a GPU what they should; no GPU is needed."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from minigrad.kernels import OPTIONS, SOURCES, Source
from tests.kernels import nvrtc

pytestmark = pytest.mark.skipif(
    nvrtc.library() is None, reason="NVRTC is not installed: pip install nvidia-cuda-nvrtc"
)

ARCHITECTURES = ("sm_80", "sm_90", "sm_100")
#: What may find an index out of range.
FLAGGING = ("cross_entropy_forward", "gather", "check_indices")
#: Of the 65,536 of a multiprocessor, for each thread of a block of 1024, the largest there is.
MOST_REGISTERS = 64


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.file)
def test_every_kernel_compiles_without_spilling(
    source: Source, architecture: str, record_property: Callable[[str, object], None]
) -> None:
    options = (*OPTIONS, *nvrtc.CUPYS_OPTIONS)
    lowered, log, code = nvrtc.compiled(source.text(), source.kernels, architecture, options)
    assert "warning" not in log
    assert code.startswith(b"\x7fELF")
    for name, usage in nvrtc.usages(lowered, log).items():
        print(f"{architecture}: {name} takes {usage.registers} registers")
        record_property(f"registers of {name}", usage.registers)
        assert (usage.stack, usage.spilled) == (0, 0), name
        assert usage.registers <= MOST_REGISTERS, name


@pytest.fixture(scope="module", params=SOURCES, ids=lambda source: source.file)
def entries(request: pytest.FixtureRequest) -> dict[str, str]:
    """The PTX of each kernel of a file."""
    source: Source = request.param
    options = (*OPTIONS, *nvrtc.CUPYS_OPTIONS)
    lowered, _, code = nvrtc.compiled(source.text(), source.kernels, "compute_90", options)
    bodies = re.findall(r"\.entry (\w+)\((.*?)\n}", code.decode(errors="replace"), re.DOTALL)
    texts = dict(bodies)
    return {name: texts[entry] for name, entry in lowered.items()}


def test_products_and_sums_are_rounded_apart(entries: dict[str, str]) -> None:
    for name, text in entries.items():
        if not name.startswith(("cross_entropy_forward", "cross_entropy_backward")):  # exp, log
            assert not re.search(r"\bfma\.", text), name


def test_no_kernel_adds_floats_atomically(entries: dict[str, str]) -> None:
    for name, text in entries.items():
        atomics = re.findall(r"\b(?:atom|red)\.[\w.:]+", text)
        assert all(re.search(r"\.max\.[us]64$", atomic) for atomic in atomics), (name, atomics)
        assert bool(atomics) == name.startswith(FLAGGING), name


def test_what_does_not_compile_is_reported_with_its_line() -> None:
    with pytest.raises(nvrtc.CompilationError, match=r'kernels\.cu\(2\): error: .*"INFINITY"'):
        nvrtc.compiled("__global__ void k(float* x) {\n*x = INFINITY; }", ("k",), "sm_90", OPTIONS)


def test_spilling_would_be_noticed() -> None:
    source = """
    __global__ void greedy(double* x) {
        double held[90];
        for (int i = 0; i < 90; ++i) held[i] = x[i];
        for (int i = 0; i < 90; ++i) x[i] = held[(int)x[i] % 90];
    }"""
    lowered, log, _ = nvrtc.compiled(source, ("greedy",), "sm_90", OPTIONS)
    usage = nvrtc.usages(lowered, log)["greedy"]
    assert usage.stack >= 90 * 8
    assert usage.registers + usage.spilled > MOST_REGISTERS
