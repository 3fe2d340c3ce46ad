"""Devices: their names, and what is said where there is no GPU. None is needed for these tests."""

import re
import subprocess
import sys
import types

import numpy as np
import pytest

import minigrad as mg
from minigrad.device import CPU, cuda_status, device, device_of, move

NOT_INSTALLED = r'CuPy is not installed: pip install "minigrad\[cuda13\]"'


class FakeError(RuntimeError):
    """What CuPy's runtime raises."""


def fake_cupy(count=1, driver=13000, runtime=13000, error=None):
    """A module that answers the questions about the GPU, and counts how often it is asked."""
    asked = []

    def get_device_count():
        asked.append("count")
        if error is not None:
            raise FakeError(error)
        return count

    cupy = types.ModuleType("cupy")
    cupy.asked = asked
    cupy.cuda = types.SimpleNamespace(
        runtime=types.SimpleNamespace(
            CUDARuntimeError=FakeError,
            getDeviceCount=get_device_count,
            driverGetVersion=lambda: driver,
            runtimeGetVersion=lambda: runtime,
        )
    )
    return cupy


@pytest.fixture
def install(monkeypatch):
    """Put a module (or None: not installed) in the place of cupy."""

    def put(module):
        monkeypatch.setitem(sys.modules, "cupy", module)
        cuda_status.cache_clear()
        return module

    yield put
    monkeypatch.undo()
    cuda_status.cache_clear()


# ------------------------------------------------------------------- names


@pytest.mark.parametrize(
    ("arguments", "kind", "index", "text", "shown"),
    [
        (("cpu",), "cpu", None, "cpu", "device(type='cpu')"),
        (("cuda",), "cuda", None, "cuda", "device(type='cuda')"),
        (("cuda:0",), "cuda", 0, "cuda:0", "device(type='cuda', index=0)"),
        (("cuda:13",), "cuda", 13, "cuda:13", "device(type='cuda', index=13)"),
        (("cuda", 1), "cuda", 1, "cuda:1", "device(type='cuda', index=1)"),
        (("cpu:0",), "cpu", 0, "cpu:0", "device(type='cpu', index=0)"),
    ],
)
def test_a_device_is_named_as_in_pytorch(arguments, kind, index, text, shown):
    d = device(*arguments)
    assert (d.type, d.index) == (kind, index)
    assert str(d) == text
    assert repr(d) == shown
    assert device(text) == d
    assert hash(device(text)) == hash(d)
    assert eval(shown, {"device": device}) == d


def test_a_devices_name_is_read_as_pytorch_reads_it():
    torch = pytest.importorskip("torch")
    for name in ("cpu", "cuda", "cuda:0", "cuda:3", "cpu:0"):
        assert repr(device(name)) == repr(torch.device(name))
        assert str(device(name)) == str(torch.device(name))


def test_devices_differ_by_type_and_index():
    devices = {device("cpu"), device("cuda"), device("cuda:0"), device("cuda:1"), device("cuda", 1)}
    assert len(devices) == 4
    assert device("cpu") == mg.device("cpu") == CPU


def test_a_device_cannot_be_changed():
    with pytest.raises(AttributeError):
        device("cpu").type = "cuda"


@pytest.mark.parametrize(
    "name", ["", "gpu", "CPU", "cuda:", "cuda:x", "cuda:-1", "cuda:1:2", "cuda 1", ":1", "mps:0"]
)
def test_an_unknown_device_is_refused_by_name(name):
    with pytest.raises(ValueError, match=f"unknown device {name!r}: expected 'cpu', 'cuda' or"):
        device(name)


def test_an_index_cannot_be_given_twice():
    with pytest.raises(ValueError, match="index"):
        device("cuda:1", 2)


# ------------------------------------------------------------------- staying where it is


def test_moving_to_where_it_is_gives_the_same_array():
    array = np.ones(3)
    assert move(array, "cpu") is array
    assert move(array, CPU) is array
    assert device_of(array) == CPU
    t = mg.tensor(array, requires_grad=True)
    for same in (t.cpu(), t.to("cpu"), t.to(CPU), t.to(mg.zeros(1, dtype=np.float64))):
        assert same is t


# ------------------------------------------------------------------- where there is no GPU

WAYS = {
    "to": lambda: mg.ones(2).to("cuda"),
    "to a device": lambda: mg.ones(2).to(device("cuda")),
    "cuda": lambda: mg.ones(2).cuda(),
    "cuda with an index": lambda: mg.ones(2).cuda(0),
    "tensor": lambda: mg.tensor([1.0], device="cuda"),
    "zeros": lambda: mg.zeros(2, device="cuda"),
    "as_tensor": lambda: mg.as_tensor([1.0], device="cuda:0"),
    "ones_like": lambda: mg.ones_like(mg.ones(2), device="cuda"),
    "arange": lambda: mg.arange(3, device="cuda"),
    "move": lambda: move(np.ones(2), "cuda:0"),
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS.keys())
def test_asking_for_a_gpu_without_cupy_says_what_to_install(way, install):
    install(None)
    message = rf"cannot use device 'cuda(:0)?': {NOT_INSTALLED} \(or \[cuda12\]\)"
    with pytest.raises(RuntimeError, match=message):
        way()


def test_the_extras_that_the_message_names_exist():
    metadata = pytest.importorskip("importlib.metadata")
    extras = metadata.metadata("minigrad").get_all("Provides-Extra")
    assert {"cuda12", "cuda13"} <= set(extras)


FAILURES = {
    "not installed": (lambda: None, NOT_INSTALLED),
    "no driver": (lambda: fake_cupy(error="cudaErrorNoDriver", driver=0), "no NVIDIA driver"),
    "an old driver": (
        lambda: fake_cupy(error="cudaErrorInsufficientDriver", driver=12040),
        r"driver supports CUDA 12, and this CuPy needs CUDA 13: update the driver, or "
        r'pip install "minigrad\[cuda12\]"',
    ),
    "no device": (lambda: fake_cupy(count=0), "no CUDA device is visible.*CUDA_VISIBLE_DEVICES"),
    "another error": (lambda: fake_cupy(error="the GPU has fallen off the bus"), "fallen off"),
}


@pytest.mark.parametrize(("make", "reason"), FAILURES.values(), ids=FAILURES.keys())
def test_every_reason_why_there_is_no_gpu_is_given_in_words(make, reason, install):
    install(make())
    usable, text = cuda_status()
    assert usable is False
    with pytest.raises(RuntimeError, match=rf"^cannot use device 'cuda': .*{reason}"):
        move(np.ones(1), "cuda")
    with pytest.raises(RuntimeError, match=re.escape(text)):
        mg.ones(1).cuda()


@pytest.mark.parametrize("count", [1, 8])
def test_a_usable_gpu_is_reported(count, install):
    install(fake_cupy(count=count))
    assert cuda_status() == (True, f"{count} CUDA device(s)")


def test_an_old_driver_of_the_same_major_version_is_no_reason_to_change_the_extra(install):
    install(fake_cupy(error="something else", driver=13010, runtime=13000))
    assert cuda_status() == (False, "something else")


@pytest.mark.parametrize("make", [lambda: fake_cupy(), lambda: fake_cupy(error="x", driver=0)])
def test_the_status_is_asked_for_once(make, install):
    cupy = install(make())
    first = cuda_status()
    assert cuda_status() is first
    assert cupy.asked == ["count"]


@pytest.mark.parametrize("error", [ImportError, OSError, RuntimeError])
def test_cupy_that_cannot_be_imported_is_a_reason_and_no_exception(error, install, monkeypatch):
    class Broken:
        def find_spec(self, name, path=None, target=None):
            if name == "cupy":
                raise error("libcudart.so.13: cannot open shared object file")

    install(None)
    monkeypatch.delitem(sys.modules, "cupy")
    monkeypatch.setattr(sys, "meta_path", [Broken(), *sys.meta_path])
    usable, reason = cuda_status()
    assert not usable
    assert "libcudart.so.13" in reason  # it is installed, and that does not help


# ------------------------------------------------------------------- importing


def run(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


LIBRARIES = ["cupy", "scipy", "matplotlib", "torch", "tqdm", "safetensors", "graphviz"]
USE = (
    "import minigrad as mg\n"
    "x = mg.rand(3, requires_grad=True)\n"
    "(mg.linear(x[None], mg.ones(2, 3)).softmax(1).log() ** 2).sum().backward()\n"
    "str(x), x.grad.tolist(), x.to('cpu'), mg.device('cuda')\n"
)


def test_importing_and_using_minigrad_imports_numpy_and_nothing_else_from_outside(tmp_path):
    for name in LIBRARIES:  # each could be imported, also where it is not installed
        (tmp_path / f"{name}.py").touch()
    loaded = run(
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "import numpy, numpy.random\n"
        "known = {m.partition('.')[0] for m in sys.modules}\n"
        f"{USE}"
        "new = {m.partition('.')[0] for m in sys.modules} - known\n"
        "print(*sorted(new - sys.stdlib_module_names))"
    )
    assert loaded == ["minigrad"]


@pytest.mark.parametrize("library", LIBRARIES)
def test_minigrad_works_where_an_optional_library_cannot_be_imported(library):
    assert run(f"import sys; sys.modules[{library!r}] = None\n{USE}print('done')") == ["done"]
