"""Devices: their names, and what is said where there is no GPU. None is needed for these tests."""

import re
import subprocess
import sys
import types

import numpy as np
import pytest

import minigrad as mg
from minigrad.device import CPU, cuda_status, device, device_of, gpus, move

NOT_INSTALLED = r'CuPy is not installed: pip install "minigrad\[cuda13\]"'


class FakeError(RuntimeError):
    """What CuPy's runtime raises."""


def stand_in(count=1, driver=13000, runtime=13000, error=None, nvrtc=None, cublas=None):
    """A module that answers the questions about the GPU, and counts how often it is asked.

    Args:
        count, driver, runtime: its answers.
        error: what it raises, in words, when asked for the number of devices.
        nvrtc, cublas: what these libraries raise when they are loaded.
    """
    asked = []

    class Cuda:
        @property
        def cublas(self):
            if cublas is not None:
                raise cublas
            return "loaded"

    def version():
        if nvrtc is not None:
            raise nvrtc
        return 13, 0

    def get_device_count():
        asked.append("count")
        if error is not None:
            raise FakeError(error)
        return count

    cupy = types.ModuleType("cupy")
    cupy.asked, cupy.ndarray = asked, type("ndarray", (), {})
    cupy.cuda = Cuda()
    cupy.cuda.nvrtc = types.SimpleNamespace(getVersion=version)
    cupy.cuda.runtime = types.SimpleNamespace(
        CUDARuntimeError=FakeError,
        getDeviceCount=get_device_count,
        driverGetVersion=lambda: driver,
        runtimeGetVersion=lambda: runtime,
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
    gpus.several = False


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
    ids=["cpu", "cuda", "cuda:0", "cuda:13", "cuda and 1", "cpu:0"],
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
    "no driver": (lambda: stand_in(error="cudaErrorNoDriver", driver=0), "no NVIDIA driver"),
    "an old driver": (
        lambda: stand_in(error="cudaErrorInsufficientDriver", driver=12040),
        r"driver supports CUDA 12, and this CuPy needs CUDA 13: update the driver, or "
        r'pip install "minigrad\[cuda12\]"$',
    ),
    "a driver too old for any extra": (
        lambda: stand_in(error="cudaErrorInsufficientDriver", driver=11080),
        "driver supports CUDA 11, and this CuPy needs CUDA 13: update the driver$",
    ),
    "no device": (lambda: stand_in(count=0), "no CUDA device is visible.*CUDA_VISIBLE_DEVICES"),
    "no compiler": (
        lambda: stand_in(nvrtc=RuntimeError("no libnvrtc.so.13\nlooked everywhere")),
        r"CUDA libraries are missing \(no libnvrtc.so.13\): "
        r'pip install "minigrad\[cuda13\]"$',
    ),
    "no cuBLAS": (
        lambda: stand_in(cublas=ImportError("libcublas.so.12"), runtime=12090),
        r'CUDA libraries are missing \(libcublas.so.12\): pip install "minigrad\[cuda12\]"$',
    ),
    "another error": (lambda: stand_in(error="the GPU has fallen off the bus"), "fallen off"),
    "not even an error of CUDA's": (
        lambda: types.ModuleType("cupy"),
        "CuPy failed when it was asked for a GPU: .*no attribute 'cuda'",
    ),
}


@pytest.mark.parametrize(("make", "reason"), FAILURES.values(), ids=FAILURES.keys())
def test_every_reason_why_there_is_no_gpu_is_given_in_words(make, reason, install):
    install(make())
    usable, text = cuda_status()
    assert usable is mg.cuda.is_available() is False
    assert mg.cuda.status() == text
    with pytest.raises(RuntimeError, match=rf"^cannot use device 'cuda': .*{reason}"):
        move(np.ones(1), "cuda")
    with pytest.raises(RuntimeError, match=re.escape(text)):
        mg.ones(1).cuda()


@pytest.mark.parametrize(("count", "words"), [(1, "1 CUDA device"), (8, "8 CUDA devices")])
def test_a_usable_gpu_is_reported(count, words, install):
    install(stand_in(count=count))
    assert cuda_status() == (True, words)
    assert mg.cuda.is_available()
    assert mg.cuda.status() == words
    assert mg.cuda.device_count() == count


def test_without_a_gpu_there_are_no_devices_and_no_memory_and_the_rest_says_why(install):
    install(stand_in(error="cudaErrorNoDriver", driver=0))
    cuda = mg.cuda
    assert cuda.device_count() == cuda.memory_allocated() == cuda.memory_reserved(0) == 0
    cuda.empty_cache()
    for ask in (cuda.current_device, cuda.synchronize, cuda.get_device_name):
        with pytest.raises(RuntimeError, match="cannot use device 'cuda': no NVIDIA driver"):
            ask()
    with pytest.raises(RuntimeError, match="cannot use device 'cuda:1'"):
        cuda.get_device_name(1)


def test_a_module_that_cupy_needs_and_that_is_missing_is_not_taken_for_cupy(install, tmp_path):
    (tmp_path / "cupy.py").write_text("import surely_not_installed")
    install(None)
    with pytest.MonkeyPatch.context() as patch:
        patch.delitem(sys.modules, "cupy")
        patch.syspath_prepend(tmp_path)
        text = cuda_status()[1]
    assert text.startswith("CuPy is installed but cannot be imported: No module named 'surely_not")


def test_an_old_driver_of_the_same_major_version_is_no_reason_to_change_the_extra(install):
    install(stand_in(error="something else", driver=13010, runtime=13000))
    assert cuda_status() == (False, "something else")


@pytest.mark.parametrize("make", [lambda: stand_in(), lambda: stand_in(error="x", driver=0)])
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


LIBRARIES = ["cupy", "scipy", "matplotlib", "torch", "tqdm", "safetensors"]
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
