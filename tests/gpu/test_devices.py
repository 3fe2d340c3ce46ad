"""Tensors that move between host and device, and what happens where two of them meet."""

from __future__ import annotations

import copy
import pickle
import re
from typing import Any

import numpy as np
import pytest

import minigrad
from minigrad import nn, optim
from minigrad.device import device
from minigrad.nn import functional as F
from tests import fake_cupy
from tests.gpu.backend import Backend

pytestmark = pytest.mark.usefixtures("backend")
ARRAY = np.arange(6, dtype=np.float32).reshape(2, 3)


def pair() -> tuple[Any, Any]:
    """Return a tensor of the device and one of the host, of the same shape."""
    return minigrad.tensor(ARRAY, device="cuda"), minigrad.tensor(ARRAY)


# ------------------------------------------------------------------- there and back


WAYS = {
    "to": lambda t: t.to("cuda"),
    "to a device": lambda t: t.to(device("cuda")),
    "to an index": lambda t: t.to("cuda:0"),
    "cuda": lambda t: t.cuda(),
    "to a tensor": lambda t: t.to(minigrad.zeros(1, device="cuda")),
    "tensor": lambda t: minigrad.tensor(t, device="cuda"),
    "as_tensor": lambda t: minigrad.as_tensor(t, device="cuda"),
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_a_tensor_goes_to_the_device_and_comes_back(way: Any) -> None:
    t = way(minigrad.tensor(ARRAY))
    assert str(t.device) == "cuda:0"
    assert repr(t.device) == "device(type='cuda', index=0)"
    assert t.dtype == np.float32
    for back in (t.cpu(), t.to("cpu"), t.to(minigrad.zeros(1))):
        np.testing.assert_array_equal(back.numpy(), ARRAY)


def test_moving_to_where_it_is_gives_the_same_tensor() -> None:
    there, here = pair()
    assert there.cuda() is there.to("cuda:0") is there.to(there.device) is there
    assert here.cpu() is here


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int32", "int64", "float16", "float64"])
@pytest.mark.parametrize("shape", [(), (0,), (2, 3)])
def test_moving_keeps_dtype_shape_and_elements(dtype: str, shape: tuple[int, ...]) -> None:
    array = np.ones(shape, dtype)
    t = minigrad.tensor(array).cuda()
    assert (t.dtype, t.shape) == (dtype, shape)
    np.testing.assert_array_equal(t.cpu().numpy(), array, strict=True)


def test_a_gradient_travels_back_to_where_its_leaf_is() -> None:
    x = minigrad.tensor(ARRAY, requires_grad=True)
    y = x.cuda() * 2
    (y.cpu() * minigrad.tensor(ARRAY)).sum().backward()
    assert x.grad.device.type == "cpu"
    np.testing.assert_array_equal(x.grad.numpy(), 2 * ARRAY)
    z = minigrad.tensor(ARRAY, device="cuda", requires_grad=True)
    (z.cpu() * 3).sum().backward()
    assert z.grad.device == z.device
    assert z.grad.tolist() == [[3] * 3] * 2


MAKERS: dict[str, Any] = {
    "zeros": lambda **k: minigrad.zeros(2, 3, **k),
    "ones": lambda **k: minigrad.ones(2, 3, **k),
    "full": lambda **k: minigrad.full((2, 3), 1.5, **k),
    "arange": lambda **k: minigrad.arange(4, **k),
    "linspace": lambda **k: minigrad.linspace(0, 1, 5, **k),
    "eye": lambda **k: minigrad.eye(3, **k),
    "zeros_like": lambda **k: minigrad.zeros_like(minigrad.ones(2), **k),
    "full_like": lambda **k: minigrad.full_like(minigrad.ones(2), 3, **k),
    "rand": lambda **k: minigrad.rand(3, generator=minigrad.Generator(1), **k),
    "randn": lambda **k: minigrad.randn(2, 2, generator=minigrad.Generator(1), **k),
    "randint": lambda **k: minigrad.randint(9, (4,), generator=minigrad.Generator(1), **k),
    "randperm": lambda **k: minigrad.randperm(9, generator=minigrad.Generator(1), **k),
}


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_new_tensors_are_the_same_on_each_device(make: Any) -> None:
    there, here = make(device="cuda"), make(device="cpu")
    assert there.device.type == "cuda"
    np.testing.assert_array_equal(there.cpu().numpy(), here.numpy(), strict=True)


def test_what_is_made_like_a_tensor_is_where_it_is() -> None:
    there, _ = pair()
    like = [minigrad.zeros_like(there), minigrad.ones_like(there), minigrad.full_like(there, 2)]
    like += [minigrad.tensor(there), minigrad.as_tensor(there), there.clone(), there.detach()]
    like += [copy.deepcopy(there), pickle.loads(pickle.dumps(there)), np.zeros_like(there)]
    assert {str(t.device) for t in like} == {"cuda:0"}


def test_filling_happens_on_the_device(backend: Backend) -> None:
    with backend.unwaited():
        t = minigrad.full((2, 3), 7, device="cuda")
        t.fill_(3).zero_().add_(1)
    assert t.tolist() == [[1] * 3] * 2


# ------------------------------------------------------------------- as a number, as text


def test_a_tensor_of_the_device_reads_as_one_of_the_host_does() -> None:
    there, here = pair()
    assert there.tolist() == here.tolist()
    assert there.sum().item() == float(there.sum()) == int(there.sum()) == 15
    assert bool(there.any())
    assert 5 in there
    assert 7 not in there
    assert f"{there.sum():.1f}" == "15.0"
    assert [row.tolist() for row in there] == [row.tolist() for row in here]
    text = "tensor([[0., 1., 2.],\n        [3., 4., 5.]]"
    assert repr(there) == f"{text}, device='cuda:0')"
    assert repr(here) == f"{text})"


def test_numpy_is_refused_with_what_to_do_instead() -> None:
    there, _ = pair()
    message = r"can't convert cuda:0 device type tensor to numpy\. Use Tensor\.cpu\(\)"
    for ask in (there.numpy, lambda: np.asarray(there), lambda: np.cumprod(there)):
        with pytest.raises(TypeError, match=message):
            ask()


def test_numpys_functions_of_a_tensor_stay_on_the_device(backend: Backend) -> None:
    there, here = pair()
    for function in (np.exp, np.sum, np.transpose, np.sign, lambda t: np.where(t > 2, t, 0)):
        y = function(there)
        assert y.device.type == "cuda"
        backend.assert_same(y, function(here))


# ------------------------------------------------------------------- two devices


MIXTURES: dict[str, Any] = {
    "add": lambda a, b: a + b,
    "add a NumPy array": lambda a, b: a + b.array,
    "compare": lambda a, b: a < b,
    "maximum": minigrad.maximum,
    "matmul": lambda a, b: a @ b.T,
    "linear": lambda a, b: F.linear(a, b),
    "linear, the bias": lambda a, b: F.linear(a, a, b[0, :2]),
    "where": lambda a, b: minigrad.where(a > 0, a, b),
    "where, the condition": lambda a, b: minigrad.where(b > 0, a, a),
    "clamp": lambda a, b: a.clamp(min=b),
    "concatenate": lambda a, b: minigrad.concatenate([a, b]),
    "stack": lambda a, b: minigrad.stack([a, b]),
    "in place": lambda a, b: a.add_(b),
    "writing": lambda a, b: a.__setitem__(slice(None), b),
    "take_along_dim": lambda a, b: a.take_along_dim(b.long() * 0, 1),
    "masked_scale": lambda a, b: minigrad.masked_scale(a, b > 0, 2.0),
    "dropout's mask": lambda a, b: F.dropout(a, 0.5, mask=b > 0),
    "cross entropy, host labels": lambda a, b: F.cross_entropy(a, minigrad.tensor([0, 1])),
    "cross entropy, probabilities": lambda a, b: F.cross_entropy(a, b),
    "nll": lambda a, b: F.nll_loss(a, minigrad.tensor([0, 1])),
    "mse": lambda a, b: F.mse_loss(a, b),
}


@pytest.mark.parametrize("mix", MIXTURES.values(), ids=MIXTURES)
def test_tensors_of_two_devices_do_not_mix_as_in_pytorch(mix: Any) -> None:
    there, here = pair()
    sentence = "Expected all tensors to be on the same device, but found at least two devices"
    with pytest.raises(RuntimeError, match=f"{sentence}, cuda:0 and cpu!|{sentence}, cpu and cuda"):
        mix(there, here)
    assert there.tolist() == here.tolist() == ARRAY.tolist()  # nothing was changed


@pytest.mark.parametrize("mix", [lambda a, b: b + a, lambda a, b: b.add_(a), lambda a, b: b @ a.T])
def test_they_do_not_mix_the_other_way_round_either(mix: Any) -> None:
    there, here = pair()
    with pytest.raises(RuntimeError, match="Expected all tensors to be on the same device"):
        mix(there, here)


def test_a_host_tensor_is_not_indexed_by_one_of_a_device() -> None:
    there, here = pair()
    with pytest.raises(RuntimeError, match="cpu and cuda:0!"):
        here[there[0].long() * 0]


def test_a_gradient_of_another_device_is_refused() -> None:
    x = minigrad.tensor(ARRAY, device="cuda", requires_grad=True)
    with pytest.raises(RuntimeError, match="the gradient is on cpu and the output is on cuda:0"):
        (x * 2).backward(minigrad.tensor(ARRAY))


def test_a_host_tensor_of_one_number_meets_any_device_and_gets_its_gradient(
    backend: Backend,
) -> None:
    there, here = pair()
    for call in (
        *(lambda x, n: x * n, lambda x, n: n - x, lambda x, n: x / n, lambda x, n: x > n),
        *(lambda x, n: minigrad.where(x > 1, x, n), lambda x, n: x.clamp(max=n)),
    ):
        numbers = [minigrad.tensor(2.0, requires_grad=True) for _ in "ab"]
        y, expected = call(there, numbers[0]), call(here, numbers[1])
        assert y.device.type == "cuda"
        backend.assert_same(y, expected)
        assert y.requires_grad == expected.requires_grad
        if y.requires_grad:
            (y * there).sum().backward()
            (expected * here).sum().backward()
            assert numbers[0].grad.device.type == "cpu"
            backend.assert_same(numbers[0].grad, numbers[1].grad)


def test_errors_that_have_nothing_to_do_with_devices_stay_as_they_are() -> None:
    there, here = pair()
    for t in (there, here):
        with pytest.raises(RuntimeError, match="do not broadcast"):
            t + t[:, :2]
        with pytest.raises(TypeError):
            t + object()
        with pytest.raises(IndexError):
            t[2]


def test_copying_into_a_tensor_moves_and_the_gradient_moves_back() -> None:
    there, here = pair()
    there.copy_(here * 2)
    assert there.tolist() == (here * 2).tolist()
    here.copy_(there * 2)
    assert here.tolist() == (ARRAY * 4).tolist()
    source = minigrad.ones(3, requires_grad=True)
    target = minigrad.zeros(2, 3, device="cuda").copy_(source)
    (target * 2).sum().backward()
    assert source.grad.device.type == "cpu"
    assert source.grad.tolist() == [4, 4, 4]


def test_a_second_gpu_is_another_device(fake: Backend) -> None:
    there, _ = pair()
    other = there.to("cuda:1")
    assert (str(other.device), str(there.device)) == ("cuda:1", "cuda:0")
    assert other.cpu().tolist() == ARRAY.tolist()
    assert minigrad.zeros(2, device="cuda:1").device == other.device
    with pytest.raises(RuntimeError, match="at least two devices, cuda:0 and cuda:1!"):
        there + other
    with fake_cupy.cuda.Device(1):
        assert (other + 1).device == other.device


# ------------------------------------------------------------------- modules, optimisers, files


def test_a_module_moves_with_its_gradients_and_stays_what_its_optimiser_holds(
    backend: Backend,
) -> None:
    nets = [nn.Linear(3, 2) for _ in "ab"]
    nets[1].load_state_dict(nets[0].state_dict())
    optimizers = [optim.SGD(net.parameters(), lr=0.1, momentum=0.9) for net in nets]
    for net in nets:
        net(minigrad.tensor(ARRAY)).sum().backward()
    parameters = list(nets[0].parameters())
    assert nets[0].cuda() is nets[0]
    assert all(a is b for a, b in zip(parameters, nets[0].parameters(), strict=True))
    assert {str(t.device) for p in parameters for t in (p, p.grad)} == {"cuda:0"}
    for net, optimizer, place in zip(nets, optimizers, ("cuda", "cpu"), strict=True):
        optimizer.step()
        net(minigrad.tensor(ARRAY, device=place)).sum().backward()
        optimizer.step()
    for actual, expected in zip(*(net.parameters() for net in nets), strict=True):
        backend.assert_same(actual, expected)
    assert {str(p.device) for p in nets[0].cpu().parameters()} == {"cpu"}


def test_buffers_move_too() -> None:
    loss = nn.CrossEntropyLoss(weight=minigrad.ones(3)).cuda()
    assert str(loss.weight.device) == "cuda:0"


def test_a_state_dict_is_loaded_into_whatever_device_the_module_is_on() -> None:
    source, target = nn.Linear(3, 2), nn.Linear(3, 2).cuda()
    for state in (source.state_dict(), source.cuda().state_dict()):
        target.load_state_dict(state)
        assert str(target.weight.device) == "cuda:0"
        assert target.weight.tolist() == source.weight.tolist()


def test_an_optimisers_state_is_loaded_to_where_its_parameters_are() -> None:
    states = []
    for net in (nn.Linear(3, 2), nn.Linear(3, 2).cuda()):
        optimizer = optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
        net(minigrad.ones(1, 3, device=net.weight.device)).sum().backward()
        optimizer.step()
        states.append((net, optimizer))
    (_, on_host), (net, on_device) = states
    on_device.load_state_dict(on_host.state_dict())
    net(minigrad.ones(1, 3, device="cuda")).sum().backward()
    on_device.step()
    assert {str(s["momentum_buffer"].device) for s in on_device.state.values()} == {"cuda:0"}


def test_what_is_saved_from_a_device_is_loaded_to_the_host_or_to_map_location(
    tmp_path: Any,
) -> None:
    path = tmp_path / "net.safetensors"
    net = nn.Linear(3, 2).cuda()
    minigrad.save({"net": net.state_dict(), "epoch": 3}, path)
    assert str(net.weight.device) == "cuda:0"  # saving does not move
    for location, place in (({}, "cpu"), ({"map_location": "cuda"}, "cuda:0")):
        loaded = minigrad.load(path, **location)
        assert str(loaded["net"]["weight"].device) == place
        assert loaded["net"]["weight"].tolist() == net.weight.tolist()
        assert loaded["epoch"] == 3


# ------------------------------------------------------------------- minigrad.cuda


def test_cuda_answers_as_pytorch_does(backend: Backend) -> None:
    cuda = minigrad.cuda
    assert cuda.is_available()
    assert re.fullmatch(r"\d+ CUDA devices?", cuda.status())
    assert cuda.device_count() == int(cuda.status().split()[0])
    assert cuda.current_device() == 0
    assert isinstance(cuda.get_device_name(), str)
    assert cuda.get_device_name(0) == cuda.get_device_name("cuda:0") == cuda.get_device_name()
    if backend.fake:
        assert cuda.get_device_name(device("cuda", 1)) == "Fake GPU 1"
    with pytest.raises(ValueError, match="expected a cuda device, but got cpu"):
        cuda.synchronize("cpu")


def test_memory_is_counted_and_given_back() -> None:
    cuda = minigrad.cuda
    before = cuda.memory_allocated()
    t = minigrad.zeros(1000, device="cuda")
    assert cuda.memory_allocated() - before == 4096
    assert cuda.memory_reserved() >= cuda.memory_allocated(0) == cuda.memory_allocated("cuda")
    del t
    assert cuda.memory_allocated() == before
    assert cuda.memory_reserved() >= before + 4096  # kept, to be used again
    cuda.empty_cache()
    assert cuda.memory_reserved() >= before


def test_synchronize_waits(backend: Backend) -> None:
    if backend.fake:
        with fake_cupy.counting() as counts:
            minigrad.cuda.synchronize()
        assert counts.syncs == 1
    else:
        minigrad.cuda.synchronize()
