"""New tensors: their values and dtypes are PyTorch's, and it is clear whose memory they are."""

import math

import numpy as np
import pytest

import minigrad as mg

X = np.array([[1.5, -2.0, 3.0], [-0.5, 4.0, 2.5]])
DTYPES = ["float16", "float32", "float64", "uint8", "int8", "int16", "int32", "int64", "bool"]


def same_as_torch(mine, reference, rtol=0.0):
    assert isinstance(mine, mg.Tensor)
    assert f"torch.{mine.dtype}" == str(reference.dtype)
    assert mine.shape == tuple(reference.shape)
    np.testing.assert_allclose(mine.detach().numpy(), reference.detach().numpy(), rtol=rtol)
    assert mine.requires_grad == reference.requires_grad


# ------------------------------------------------------------------- tensor

DATA = [
    3,
    -2.5,
    True,
    [],
    [1, 2],
    [1, 2.5],
    [True, False],
    [True, 2],
    [True, 2.5],
    [[1, 2], [3, 4]],
    ((1.0,), (2.0,)),
    [[]],
    [[[1]]],
    range(3),
    2**40,
    np.float64(2.5),
    np.float32(2.5),
    np.int32(3),
    np.bool_(True),
    [np.float32(1.0), np.float32(2.0)],
]


@pytest.mark.parametrize("data", DATA, ids=repr)
def test_tensor_infers_shape_and_dtype_like_pytorch(data):
    torch = pytest.importorskip("torch")
    same_as_torch(mg.tensor(data), torch.tensor(data))


@pytest.mark.parametrize("dtype", DTYPES)
def test_an_arrays_dtype_is_kept_and_its_memory_is_not(dtype):
    array = np.array([0, 1, 3]).astype(dtype)
    t = mg.tensor(array)
    assert t.dtype == dtype
    assert t.tolist() == array.tolist()
    assert not np.shares_memory(t.array, array)
    scalar = mg.tensor(array[1])
    assert scalar.dtype == dtype
    assert scalar.shape == ()
    assert type(scalar.array) is np.ndarray


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_dtype_that_is_asked_for_is_given(dtype):
    for data in ([0, 1], [0.0, 1.0], np.array([0.0, 1.0]), mg.tensor([0, 1])):
        for spelt in (dtype, np.dtype(dtype), getattr(mg, dtype)):
            t = mg.tensor(data, dtype=spelt)
            assert t.dtype == dtype
            assert t.tolist() == [0, 1]


def test_a_tensor_of_a_tensor_is_a_copy_without_history():
    x = mg.tensor(X, requires_grad=True)
    for source in (x, x * 2):
        y = mg.tensor(source)
        assert y.dtype == np.float64
        assert not y.requires_grad
        assert y.is_leaf
        assert (y.array == source.array).all()
        assert not np.shares_memory(y.array, source.array)
        y.zero_()
        assert (x.array == X).all()


def test_tensors_may_be_elements_of_nested_sequences():
    a, b = mg.tensor(1.0), mg.tensor(2.0)
    assert mg.tensor([a, b]).tolist() == [1.0, 2.0]
    assert mg.tensor([a, b]).dtype == np.float32
    assert mg.tensor([[a, 3], (b, 4.0)]).tolist() == [[1.0, 3.0], [2.0, 4.0]]
    assert mg.tensor([mg.tensor([1, 2]), mg.tensor([3, 4])]).tolist() == [[1, 2], [3, 4]]


def test_requires_grad_makes_a_leaf_that_collects_gradients():
    t = mg.tensor([1.0, 2.0], requires_grad=True)
    assert t.requires_grad
    assert t.is_leaf
    (t * t).sum().backward()
    assert t.grad.tolist() == [2.0, 4.0]
    assert not mg.tensor([1.0]).requires_grad


def test_a_new_tensor_is_the_same_while_not_recording():
    with mg.no_grad():
        assert mg.tensor([1.0], requires_grad=True).requires_grad


@pytest.mark.parametrize(
    ("data", "shown"),
    [("abc", "'abc'"), (None, "None"), (1j, "1j"), ([1, None], "None"), ({"a": 1}, "{'a': 1}")],
)
def test_what_is_no_number_is_refused_and_shown(data, shown):
    with pytest.raises(TypeError, match="expected numbers, got") as error:
        mg.tensor(data)
    assert shown in str(error.value)


EDGES = [0, 2**7, 2**8, 2**15, 2**16, 2**31, 2**32, 2**63]
ABOUT_EDGES = [s * (edge + by) for edge in EDGES for by in (-1, 0, 1) for s in (1, -1)]
FRACTIONS = [0.5, 127.5, 255.5, 1e10, 2.0**31, math.inf, math.nan]


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "int32", "int64"])
def test_a_number_that_does_not_fit_is_refused_where_pytorch_refuses_it(dtype):
    torch = pytest.importorskip("torch")

    def outcome(m, number):
        try:
            return m.tensor([number], dtype=getattr(m, dtype)).tolist()
        except (RuntimeError, ValueError, TypeError):  # beyond 64 bits NumPy knows no number
            return "refused"

    for number in [*ABOUT_EDGES, *FRACTIONS, *(-f for f in FRACTIONS)]:
        assert outcome(mg, number) == outcome(torch, number), number
    for number in (300, 1e10, math.nan):
        for m in (mg, torch):
            with pytest.raises(RuntimeError, match="without overflow"):
                m.full((2,), number, dtype=m.int8)
    with pytest.raises(RuntimeError, match="without overflow: -70000 is not within"):
        mg.tensor([1, -70_000], dtype=mg.int16)


def test_a_long_wrong_value_is_not_shown_whole():
    with pytest.raises(TypeError) as error:
        mg.tensor("x" * 10_000)
    assert len(str(error.value)) < 200


def test_an_array_of_no_numbers_is_refused():
    for array in (np.array(["a"]), np.array([1j]), np.array([None])):
        with pytest.raises(TypeError, match="expected numbers"):
            mg.tensor(array)


def test_sequences_of_different_lengths_are_refused():
    with pytest.raises(ValueError, match="inhomogeneous"):
        mg.tensor([[1, 2], [3]])


def test_integers_cannot_require_grad():
    for make in (
        lambda: mg.tensor([1, 2], requires_grad=True),
        lambda: mg.zeros(2, dtype=mg.int64, requires_grad=True),
        lambda: mg.arange(3, requires_grad=True),
        lambda: mg.full((2,), 3, requires_grad=True),
    ):
        with pytest.raises(RuntimeError, match=r"floating point dtype .* this one is int64"):
            make()


# ------------------------------------------------------------------- as_tensor, from_numpy


@pytest.mark.parametrize("dtype", DTYPES)
def test_from_numpy_and_as_tensor_share_the_arrays_memory(dtype):
    array = np.array([0, 1, 1]).astype(dtype)
    for make in (mg.from_numpy, mg.as_tensor):
        t = make(array)
        assert t.array is array
        assert not t.requires_grad
    array[0] = 1
    assert t.tolist() == [1, 1, 1]
    t.zero_()
    assert array.tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    "wrong", [[1, 2], 3, "abc", None, np.array(["a"]), np.array([1j]), np.float64(1)], ids=repr
)
def test_from_numpy_takes_arrays_of_numbers_only(wrong):
    with pytest.raises(TypeError, match=r"expected np\.ndarray of numbers \(got "):
        mg.from_numpy(wrong)


def test_from_numpy_takes_a_tensor_for_no_array():
    with pytest.raises(TypeError, match=r"expected np\.ndarray"):
        mg.from_numpy(mg.ones(2))


def test_as_tensor_of_a_tensor_is_that_tensor():
    x = mg.tensor(X, requires_grad=True)
    y = x * 2
    assert mg.as_tensor(x) is x
    assert mg.as_tensor(y) is y
    assert mg.as_tensor(x, dtype=mg.float64, device="cpu") is x


def test_as_tensor_casts_what_has_another_dtype_and_keeps_its_history():
    array = np.ones(2, np.float32)
    assert mg.as_tensor(array, dtype=np.float32).array is array
    other = mg.as_tensor(array, dtype=np.float64)
    assert other.dtype == np.float64
    assert not np.shares_memory(other.array, array)
    x = mg.tensor([1.0, 2.0], requires_grad=True)
    (mg.as_tensor(x, dtype="float64") * 3).sum().backward()
    assert x.grad.tolist() == [3.0, 3.0]


def test_as_tensor_copies_what_has_no_memory_to_share():
    assert mg.as_tensor([1, 2]).dtype == np.int64
    assert mg.as_tensor(2.5).dtype == np.float32
    assert mg.as_tensor(np.float64(2.5)).dtype == np.float64
    assert mg.as_tensor([1, 2], dtype=np.float16).dtype == np.float16
    with pytest.raises(TypeError, match="expected numbers"):
        mg.as_tensor("abc")
    with pytest.raises(TypeError, match="expected numbers"):
        mg.as_tensor(np.array(["a"]))


# ------------------------------------------------------------------- filled

FILLED = {
    "zeros": lambda m: m.zeros(2, 3),
    "zeros of a tuple": lambda m: m.zeros((2, 3)),
    "zeros of a list": lambda m: m.zeros([2, 3]),
    "zeros of an int": lambda m: m.zeros(4),
    "zeros of nothing": lambda m: m.zeros(()),
    "empty zeros": lambda m: m.zeros(0, 3),
    "zeros, integers": lambda m: m.zeros(2, dtype=m.int64),
    "zeros, dtype None": lambda m: m.zeros(2, dtype=None),
    "zeros that require grad": lambda m: m.zeros(2, requires_grad=True),
    "ones": lambda m: m.ones(2, 3),
    "ones of a tuple": lambda m: m.ones((1,)),
    "ones, booleans": lambda m: m.ones(2, dtype=m.bool),
    "ones on a device": lambda m: m.ones(2, device="cpu"),
    "full, float": lambda m: m.full((2, 3), 2.5),
    "full, int": lambda m: m.full((2,), 7),
    "full, bool": lambda m: m.full((2,), True),
    "full of nothing": lambda m: m.full((), 7.0),
    "full, dtype": lambda m: m.full((2,), 7, dtype=m.float64),
    "full that requires grad": lambda m: m.full((2,), 7.0, requires_grad=True),
    "eye": lambda m: m.eye(3),
    "wide eye": lambda m: m.eye(2, 3),
    "tall eye": lambda m: m.eye(3, 2, dtype=m.float64),
    "empty eye": lambda m: m.eye(0),
    "eye, dtype None": lambda m: m.eye(2, dtype=None),
    "full, dtype None": lambda m: m.full((2,), 7, dtype=None),
}


@pytest.mark.parametrize("make", FILLED.values(), ids=FILLED.keys())
def test_a_filled_tensor_is_pytorchs(make):
    torch = pytest.importorskip("torch")
    same_as_torch(make(mg), make(torch))


def test_a_size_may_be_a_numpy_integer_or_a_tensors_shape():
    assert mg.zeros(np.int64(2)).shape == (2,)
    assert mg.ones(np.int64(2), np.int64(3)).shape == (2, 3)
    assert mg.zeros(mg.tensor(X).shape).shape == (2, 3)
    assert mg.full(3, 1.0).shape == (3,)


def test_new_tensors_share_no_memory_and_can_be_written_to():
    a, b = mg.zeros(3), mg.zeros(3)
    a.add_(1)
    assert b.tolist() == [0, 0, 0]
    for t in (mg.full((2, 2), 1.0), mg.eye(2), mg.arange(4), mg.linspace(0, 1, 3)):
        t.zero_()
        assert not t.array.any()


@pytest.mark.parametrize("dtype", DTYPES)
def test_likes_take_shape_and_dtype_from_their_model(dtype):
    model = mg.tensor([[0, 1, 1]], dtype=dtype)
    for make, value in ((mg.zeros_like, 0), (mg.ones_like, 1)):
        t = make(model)
        assert (t.shape, t.dtype) == ((1, 3), model.dtype)
        assert t.tolist() == [[value] * 3]
        assert make(model, dtype=mg.float64).dtype == np.float64
    t = mg.full_like(model, 1)
    assert (t.shape, t.dtype, t.tolist()) == ((1, 3), model.dtype, [[1, 1, 1]])


def test_likes_take_neither_memory_nor_history_from_their_model():
    x = mg.tensor(X, requires_grad=True)
    for t in (mg.zeros_like(x), mg.ones_like(x * 2), mg.full_like(x, 2.5)):
        assert not t.requires_grad
        assert t.is_leaf
        assert not np.shares_memory(t.array, x.array)
    assert mg.zeros_like(x, requires_grad=True).requires_grad
    assert mg.full_like(x, 2.5, dtype=np.float32).dtype == np.float32
    assert mg.full_like(x, 2.5, device="cpu").tolist() == [[2.5] * 3] * 2


def test_a_like_of_an_array_is_a_tensor():
    t = mg.ones_like(X)
    assert isinstance(t, mg.Tensor)
    assert t.dtype == np.float64


# ------------------------------------------------------------------- counted

COUNTED = {
    "end": lambda m: m.arange(5),
    "start and end": lambda m: m.arange(2, 5),
    "a step": lambda m: m.arange(1, 10, 3),
    "a fraction": lambda m: m.arange(0, 1, 0.25),
    "float end": lambda m: m.arange(3.0),
    "backwards": lambda m: m.arange(3, 0, -1),
    "nothing": lambda m: m.arange(0),
    "dtype": lambda m: m.arange(3, dtype=m.float64),
    "half": lambda m: m.arange(3, dtype=m.float16),
    "dtype None": lambda m: m.arange(0, 1, 0.25, dtype=None),
    "keywords": lambda m: m.arange(start=1, end=4, step=2),
    "requires grad": lambda m: m.arange(3.0, requires_grad=True),
    "linspace": lambda m: m.linspace(0, 1, 5),
    "linspace downwards": lambda m: m.linspace(3, -3, 4),
    "linspace of one": lambda m: m.linspace(2, 3, 1),
    "linspace of none": lambda m: m.linspace(2, 3, 0),
    "linspace, float64": lambda m: m.linspace(0, 1, 7, dtype=m.float64),
    "linspace, dtype None": lambda m: m.linspace(0, 1, 3, dtype=None),
    "linspace, keywords": lambda m: m.linspace(start=0, end=1, steps=3, requires_grad=True),
}


@pytest.mark.parametrize("make", COUNTED.values(), ids=COUNTED.keys())
def test_counted_tensors_are_pytorchs(make):
    torch = pytest.importorskip("torch")
    same_as_torch(make(mg), make(torch), rtol=1e-6)


def test_linspace_includes_both_ends_exactly():
    t = mg.linspace(0.1, 0.9, 1000, dtype=mg.float64)
    assert (t[0].item(), t[-1].item()) == (0.1, 0.9)
    np.testing.assert_allclose(np.diff(t.numpy()), 0.8 / 999, rtol=1e-10)


def test_an_unknown_device_is_refused():
    for make in (
        lambda: mg.tensor([1.0], device="tpu"),
        lambda: mg.zeros(2, device="gpu"),
        lambda: mg.as_tensor([1.0], device="cuda:x"),
        lambda: mg.arange(3, device="mps"),
    ):
        with pytest.raises(ValueError, match=r"unknown device .* expected 'cpu', 'cuda'"):
            make()


NONES = {
    **{f: lambda m, f=f, **o: getattr(m, f)(2, **o) for f in ("zeros", "ones", "rand", "randn")},
    **{f: lambda m, f=f, **o: getattr(m, f)(3, **o) for f in ("arange", "eye", "empty")},
    "full": lambda m, **o: m.full((2,), 3, **o),
    "linspace": lambda m, **o: m.linspace(0, 1, 2, **o),
    "randint": lambda m, **o: m.randint(3, (2,), **o),
    "normal": lambda m, **o: m.normal(0.0, 1.0, (2,), **o),
    "zeros_like": lambda m, **o: m.zeros_like(m.ones(2, dtype=m.float16), **o),
    "full_like": lambda m, **o: m.full_like(m.ones(2, dtype=m.float16), 3, **o),
    "rand_like": lambda m, **o: m.rand_like(m.ones(2, dtype=m.float16), **o),
    "randn_like": lambda m, **o: m.randn_like(m.ones(2, dtype=m.float16), **o),
}


@pytest.mark.parametrize("name", NONES)
@mg.fork_rng()
def test_none_stands_for_the_usual_dtype_and_device(name):
    torch = pytest.importorskip("torch")
    with torch.random.fork_rng():
        expected = NONES[name](torch, dtype=None, device=None)
    made = NONES[name](mg, dtype=None, device=None)
    assert f"torch.{made.dtype}" == str(expected.dtype)
    assert str(made.device) == str(expected.device)
    assert made.dtype == NONES[name](mg).dtype


@mg.fork_rng()
def test_integers_are_drawn_between_numbers_of_any_kind():
    for kind in (int, np.int64, np.uint8, mg.tensor):
        assert mg.randint(-2, kind(1), (3,)).dtype == mg.int64
        with pytest.raises(ValueError, match="needs low < high"):
            mg.randint(kind(5), 4, (2,))
