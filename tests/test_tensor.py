"""Tensor: what it is made of, how it spells its operators, and how it gets on with NumPy."""

import copy
import operator
import pickle

import numpy as np
import pytest

import minigrad as mg

X = np.array([[1.5, -2.0, 3.0], [-0.5, 4.0, 2.5]])
ADVICE = r"Use tensor\.detach\(\)\.numpy\(\) instead"


def leaf(values, dtype=np.float64):
    return mg.tensor(values, dtype=dtype, requires_grad=True)


def same_in_torch(function, *arrays, dtype=np.float64, rtol=1e-12):
    """Compare value, dtype and gradients of ``function(m, *tensors)`` in minigrad and PyTorch."""
    torch = pytest.importorskip("torch")
    ours = [leaf(a, dtype) for a in arrays]
    theirs = [torch.tensor(np.asarray(a, dtype), requires_grad=True) for a in arrays]
    mine, reference = function(mg, *ours), function(torch, *theirs)
    assert isinstance(mine, mg.Tensor)
    assert str(reference.dtype) == f"torch.{mine.dtype}"
    np.testing.assert_allclose(mine.detach().numpy(), reference.detach().numpy(), rtol=rtol)
    assert mine.requires_grad == reference.requires_grad
    if reference.requires_grad:
        (mine * mine).sum().backward()
        (reference * reference).sum().backward()
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), rtol=rtol)


# ------------------------------------------------------------------- what it is


def test_tensor_of_data_is_float32_like_pytorchs():
    t = mg.Tensor([[1, 2], [3, 4]])
    assert t.dtype == np.float32
    assert t.tolist() == [[1.0, 2.0], [3.0, 4.0]]
    assert not t.requires_grad
    assert mg.Tensor(X, requires_grad=True).requires_grad
    array = np.ones(2, np.float32)
    mg.Tensor(array).zero_()
    assert array.tolist() == [1.0, 1.0]


def test_the_attributes_describe_the_data():
    t = mg.tensor(X)
    assert t.shape == (2, 3)
    assert (t.ndim, t.dim(), t.numel(), len(t)) == (2, 2, 6, 2)
    assert t.size() == (2, 3)
    assert (t.size(0), t.size(1), t.size(-1)) == (2, 3, 3)
    assert t.dtype == np.float64 == mg.float64
    assert t.device == mg.device("cpu")
    assert t.array is t.array
    assert t.is_leaf
    assert t.grad is None
    assert t.grad_fn is None
    scalar = mg.tensor(2.0)
    assert (scalar.shape, scalar.ndim, scalar.numel()) == ((), 0, 1)


def test_no_attribute_can_be_added_to_a_tensor():
    with pytest.raises(AttributeError):
        mg.tensor(X).gradient = 1  # a misspelt .grad


def test_a_leaf_is_what_no_recorded_op_made():
    x = leaf(X)
    assert x.is_leaf
    assert not (x * 2).is_leaf
    assert (x.detach() * 2).is_leaf
    with mg.no_grad():
        assert (x * 2).is_leaf


def test_requires_grad_can_be_set_on_a_leaf():
    t = mg.tensor(X)
    assert t.requires_grad_() is t
    assert t.requires_grad
    assert t.requires_grad_(False) is t
    assert not t.requires_grad
    t.requires_grad = True
    assert (t * 2).requires_grad
    (t * 2).requires_grad = True  # as it is


def test_requires_grad_cannot_be_switched_off_on_a_computed_tensor():
    y = leaf(X) * 2
    with pytest.raises(RuntimeError, match=r"flags of leaf variables.*\.detach\(\)"):
        y.requires_grad = False
    with pytest.raises(RuntimeError, match="leaf variables"):
        y.requires_grad_(False)
    assert y.requires_grad


@pytest.mark.parametrize("dtype", [np.int64, np.uint8, np.bool_])
def test_only_floating_point_tensors_can_require_grad(dtype):
    t = mg.tensor([1, 0], dtype=dtype)
    with pytest.raises(RuntimeError, match=f"floating point dtype.*{np.dtype(dtype)}"):
        t.requires_grad_()
    with pytest.raises(RuntimeError, match="floating point dtype"):
        mg.tensor([1, 0], dtype=dtype, requires_grad=True)
    t.requires_grad = False
    assert not t.requires_grad


def test_detach_shares_memory_and_versions_but_no_history():
    x = leaf(X)
    y = x * 2
    d = y.detach()
    assert d.array is y.array
    assert not d.requires_grad
    assert d.is_leaf
    assert d is not y
    d.add_(1)
    assert (y.array == 2 * X + 1).all()
    kept = y * y
    d.zero_()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        kept.sum().backward()


def test_clone_shares_nothing_and_lets_gradients_through():
    x = leaf(X)
    y = x.clone()
    assert not np.shares_memory(y.array, x.array)
    y.zero_()
    assert (x.array == X).all()
    x.clone().sum().backward()
    assert (x.grad.array == 1).all()


# ------------------------------------------------------------------- dtypes

CASTS = {
    "float16": lambda t: t.half(),
    "float32": lambda t: t.float(),
    "float64": lambda t: t.double(),
    "int64": lambda t: t.long(),
    "bool": lambda t: t.bool(),
}


@pytest.mark.parametrize("name", CASTS)
def test_a_cast_that_changes_nothing_returns_the_tensor_itself(name):
    t = mg.ones(2, dtype=name)
    assert CASTS[name](t) is t
    for same in (name, np.dtype(name), getattr(np, name, None) or np.bool_, getattr(mg, name)):
        assert t.to(same) is t
        assert t.type(same) is t
        assert t.astype(same) is t
    assert t.to(mg.zeros(1, dtype=name)) is t
    assert t.to("cpu") is t
    assert t.to(mg.device("cpu")) is t
    assert t.cpu() is t


@pytest.mark.parametrize("name", CASTS)
@pytest.mark.parametrize("source", CASTS)
def test_a_cast_gives_pytorchs_values_in_new_memory(name, source):
    values = [0, 1] if source == "bool" else [0, 1, 3, 7]
    t = mg.tensor(values, dtype=source)
    y = CASTS[name](t)
    assert y.dtype == name
    assert y.tolist() == np.array(values).astype(name).tolist()
    if name != source:
        assert not np.shares_memory(y.array, t.array)
        assert mg.tensor(values, dtype=source).to(name).tolist() == y.tolist()
        assert t.to(mg.zeros(1, dtype=name)).dtype == name


def test_the_short_names_of_dtypes_are_pytorchs():
    assert (mg.half, mg.float, mg.double) == (mg.float16, mg.float32, mg.float64)
    assert (mg.int, mg.long) == (mg.int32, mg.int64)
    assert mg.bool == np.bool_


@pytest.mark.parametrize("name", ["float16", "float32", "float64"])
@pytest.mark.parametrize("source", ["float16", "float32", "float64"])
def test_gradients_flow_through_casts_between_floats(name, source):
    x = leaf([1.0, 2.0], source)
    (x.to(name) * 3).sum().backward()
    assert x.grad.dtype == source
    assert x.grad.tolist() == [3.0, 3.0]


def test_no_gradient_flows_through_a_cast_to_integers():
    x = leaf([1.0, 2.0])
    for y in (x.long(), x.bool(), x.type(np.uint8)):
        assert not y.requires_grad
        assert y.numpy().tolist() == [1, 2] or y.dtype == np.bool_
    assert x[x.detach().long() - 1].requires_grad


def test_an_unknown_dtype_or_device_is_refused():
    for target in ("float33", "tpu"):
        with pytest.raises(TypeError, match=target):
            mg.ones(2).to(target)


# ------------------------------------------------------------------- out of the tensor


@pytest.mark.parametrize(
    ("value", "kind"), [(2.5, float), (3, int), (True, bool), ([[7]], int), ([0.5], float)]
)
def test_item_and_tolist_give_python_numbers(value, kind):
    t = mg.tensor(value)
    flat = np.array(value).item()
    assert t.item() == flat
    assert type(t.item()) is kind
    assert t.tolist() == value
    assert leaf(2.5).item() == 2.5  # also of what requires grad
    assert leaf([2.5]).tolist() == [2.5]


def test_to_takes_pytorchs_forms() -> None:
    for m in mg, pytest.importorskip("torch"):
        x, like = m.ones(2), m.zeros(1, dtype=m.float64)
        for made in (
            x.to("cpu", m.float64), x.to(dtype=m.float64), x.to(device="cpu", dtype=m.float64),
            x.to(like), x.to(m.float64, copy=True), x.to(m.device("cpu"), m.float64),
            x.to("cpu", m.float64, non_blocking=True),
        ):  # fmt: skip
            assert made.dtype == m.float64
        assert x.to("cpu") is x
        assert x.to(m.float32) is x
        assert x.to(m.float32, copy=True) is not x


@pytest.mark.parametrize("target", ["mps", "cudas", "float31", object()])
def test_what_is_neither_dtype_nor_device_is_named(target) -> None:
    with pytest.raises(TypeError, match=r"expected a dtype, a device .* or a tensor, got "):
        mg.ones(2).to(target)


@pytest.mark.parametrize("shape", [(0,), (2,), (2, 3)])
def test_item_needs_exactly_one_element(shape):
    t = mg.zeros(shape)
    with pytest.raises(RuntimeError, match=f"{t.numel()} elements cannot be converted"):
        t.item()
    for convert in (float, int):  # a ValueError, which matplotlib relies on
        with pytest.raises(ValueError, match="only one element tensors can be converted"):
            convert(t)


def test_numpy_is_the_memory_itself():
    t = mg.tensor(X)
    assert t.numpy() is t.array
    t.numpy()[0, 0] = 7
    assert t[0, 0].item() == 7


def test_numpy_of_what_requires_grad_is_refused_with_advice():
    for t in (leaf(X), leaf(X) * 2):
        for convert in (mg.Tensor.numpy, np.asarray, np.array):
            with pytest.raises(RuntimeError, match=f"requires grad. {ADVICE}"):
                convert(t)
        assert t.detach().numpy() is t.array


def test_float_int_and_bool_convert_one_element():
    assert float(mg.tensor([[2.75]])) == 2.75
    assert float(leaf(2.5)) == 2.5
    assert int(mg.tensor(-2.75)) == -2
    assert type(int(mg.tensor(3))) is int
    assert bool(mg.tensor([0.1])) is True
    assert bool(mg.tensor(0)) is False
    assert bool(leaf(0.0)) is False


@pytest.mark.parametrize("shape", [(0,), (2,), (2, 3)])
def test_the_truth_of_several_elements_or_of_none_is_refused(shape):
    t = mg.zeros(shape)
    with pytest.raises(RuntimeError, match=f"{t.numel()} values is ambiguous: use .any"):
        bool(t)


def test_an_integer_tensor_is_an_index():
    letters = "abcd"
    assert letters[mg.tensor(2)] == "c"
    assert letters[mg.tensor([3])] == "d"
    assert list(range(mg.tensor(3))) == [0, 1, 2]
    assert operator.index(mg.tensor(True)) == 1
    with pytest.raises(TypeError, match="only integer tensors can be an index, this one is float"):
        letters[mg.tensor(2.0)]


def test_len_iteration_and_containment_go_by_the_first_dimension():
    x = leaf(X)
    assert len(x) == 2
    rows = list(x)
    assert [r.shape for r in rows] == [(3,), (3,)]
    assert np.shares_memory(rows[0].array, x.array)
    (rows[1] * 2).sum().backward()
    assert x.grad.tolist() == [[0, 0, 0], [2, 2, 2]]
    _, second = x
    assert second.tolist() == X[1].tolist()
    assert [int(i) for i in mg.tensor([3, 1])] == [3, 1]
    assert list(mg.zeros(0, 3)) == []


def test_a_tensor_contains_its_elements():
    t = leaf(X)
    assert 4.0 in t
    assert 4 in t
    assert mg.tensor(4.0) in t
    assert np.float64(4) in t
    assert 5.0 not in t
    assert 0.0 not in mg.zeros(0)


def test_a_scalar_has_no_length_and_cannot_be_iterated():
    with pytest.raises(TypeError, match=r"len\(\) of a 0-d tensor"):
        len(mg.tensor(1.0))
    with pytest.raises(TypeError, match="iteration over a 0-d tensor"):
        iter(mg.tensor(1.0))


# ------------------------------------------------------------------- as text


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: mg.tensor([[1, 2], [3, 4]]), "tensor([[1, 2],\n        [3, 4]])"),
        (lambda: mg.tensor(2.5), "tensor(2.5000)"),
        (lambda: mg.tensor([0.5, 1.0]), "tensor([0.5000, 1.0000])"),
        (lambda: mg.tensor([True, False]), "tensor([ True, False])"),
        (lambda: mg.tensor(2.5, requires_grad=True), "tensor(2.5000, requires_grad=True)"),
        (lambda: leaf(2.0, np.float32) * 2, "tensor(4., grad_fn=<MulBackward>)"),
        (lambda: leaf(2.0), "tensor(2., dtype=minigrad.float64, requires_grad=True)"),
        (lambda: leaf(2.0).half(), "tensor(2., dtype=minigrad.float16, grad_fn=<CastBackward>)"),
        (lambda: mg.ones(2, dtype=mg.int32), "tensor([1, 1], dtype=minigrad.int32)"),
        (lambda: mg.ones(1, dtype=mg.uint8), "tensor([1], dtype=minigrad.uint8)"),
        (lambda: mg.tensor([]), "tensor([])"),
        (lambda: mg.tensor([], dtype=mg.int64), "tensor([], dtype=minigrad.int64)"),
    ],
)
def test_repr_shows_data_dtype_and_history_like_pytorch(make, text):
    t = make()
    assert repr(t) == str(t) == text


def test_repr_of_many_elements_is_shortened():
    text = repr(mg.zeros(100, 1000))
    assert "..." in text
    assert len(text) < 2000


def test_repr_lines_are_aligned_under_the_bracket():
    lines = repr(mg.tensor(X)).split("\n")
    assert lines[0].startswith("tensor([[")
    assert lines[1].startswith("        [")


def test_a_format_spec_applies_to_one_element():
    t = leaf(2.5, np.float32)
    assert f"{t:.3f}" == "2.500"
    assert f"{mg.tensor([[2.5]]):8.2e}" == "2.50e+00"
    assert f"{mg.tensor(7):>4d}|" == "   7|"
    assert f"{mg.tensor(0.256):.1%}" == "25.6%"
    assert f"{t}" == "2.5"
    assert f"{mg.tensor([2.5])}" == "tensor([2.5000])"
    with pytest.raises(ValueError, match="format code"):
        f"{mg.tensor(X):.3f}"


# ------------------------------------------------------------------- identity and copies


def test_tensors_are_hashed_by_identity():
    a, b = mg.ones(2), mg.ones(2)
    names = {a: "a", b: "b"}
    assert names[a] == "a"
    assert names[b] == "b"
    assert len({a, b, a}) == 2
    assert hash(a) == hash(a)
    a.add_(1)
    assert names[a] == "a"
    assert (a == b).tolist() == [False, False]


def test_a_deep_copy_of_a_leaf_has_its_own_data_and_gradient():
    x = leaf(X)
    (x * 2).sum().backward()
    twin = copy.deepcopy(x)
    assert type(twin) is mg.Tensor
    assert (twin.array == X).all()
    assert twin.requires_grad
    assert twin.is_leaf
    assert (twin.grad.array == 2).all()
    assert not np.shares_memory(twin.array, x.array)
    assert not np.shares_memory(twin.grad.array, x.grad.array)
    twin.detach().zero_()
    assert (x.array == X).all()
    assert x.detach()._version == 0


def test_a_shallow_copy_shares_the_memory_and_is_a_leaf():
    x = leaf(X)
    for tensor in x, x * 2, mg.nn.Parameter(mg.ones(2)):
        twin = copy.copy(tensor)
        assert type(twin) is type(tensor)
        assert twin.is_leaf
        assert twin.requires_grad
        assert twin.array is tensor.array
        twin.detach().add_(0)
        assert tensor._version == 1, "a change to one is noticed in the other"


def test_a_deep_copy_keeps_which_tensors_are_the_same():
    x = leaf(X)
    first, second = copy.deepcopy([x, x])
    assert first is second
    assert first is not x


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_a_leaf_survives_pickling(protocol):
    x = leaf(X, np.float16)
    (x * 2).sum().backward()
    back = pickle.loads(pickle.dumps(x, protocol))
    assert back.tolist() == x.tolist()
    assert back.dtype == np.float16
    assert back.requires_grad
    assert back.grad.tolist() == x.grad.tolist()
    (back * 3).sum().backward()
    assert (back.grad.array == 5).all()
    plain = pickle.loads(pickle.dumps(mg.tensor([1, 2]), protocol))
    assert plain.tolist() == [1, 2]
    assert not plain.requires_grad
    assert plain.grad is None


def test_what_has_a_history_can_be_neither_copied_deeply_nor_pickled():
    y = leaf(X) * 2
    for operation in (copy.deepcopy, pickle.dumps):
        with pytest.raises(RuntimeError, match=r"graph leaves.*\.detach\(\) or \.clone\(\)"):
            operation(y)
    assert (copy.deepcopy(y.detach()).array == 2 * X).all()


def test_a_subclass_survives_copies_as_itself():
    back = copy.deepcopy(Special(X))
    assert type(back) is Special
    assert (back.array == X).all()
    assert type(pickle.loads(pickle.dumps(Special(X)))) is Special


class Special(mg.Tensor):
    """A tensor of another class."""


# ------------------------------------------------------------------- operators

ARITHMETIC = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "//": operator.floordiv,
    "%": operator.mod,
    "**": lambda a, b: abs(a) ** b if hasattr(a, "shape") else a**b,
}
COMPARISONS = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}
OPERATORS = {**ARITHMETIC, **COMPARISONS}
operators = pytest.mark.parametrize("op", OPERATORS.values(), ids=OPERATORS.keys())


def differentiable_in_torch(op, *operands):
    """Detach what PyTorch has no derivative for, though it records it."""
    if op is operator.floordiv:
        operands = [t.detach() if hasattr(t, "detach") else t for t in operands]
    return op(*operands)


@operators
def test_an_operator_of_two_tensors_is_pytorchs(op):
    other = np.array([[0.6, 1.6, 3.1], [2.1, -1.4, 2.6]])
    same_in_torch(lambda m, a, b: differentiable_in_torch(op, a, b), X, other)
    same_in_torch(lambda m, a, b: differentiable_in_torch(op, a, b), X, other[0])


@operators
@pytest.mark.parametrize("scalar", [2, 2.5, -1])
def test_an_operator_with_a_number_on_the_right_is_pytorchs(op, scalar):
    for dtype, rtol in ((np.float32, 1e-5), (np.float64, 1e-12)):
        same_in_torch(
            lambda m, a: differentiable_in_torch(op, a, scalar), X, dtype=dtype, rtol=rtol
        )


@pytest.mark.parametrize("scalar", [2, 2.5])
@pytest.mark.parametrize(
    "name", sorted(OPERATORS.keys() - {"%"})
)  # PyTorch lacks the derivative of s % a
def test_an_operator_with_a_number_on_the_left_is_pytorchs(name, scalar):
    op = OPERATORS[name]
    for dtype, rtol in ((np.float32, 1e-5), (np.float64, 1e-12)):
        same_in_torch(
            lambda m, a: differentiable_in_torch(op, scalar, a), X, dtype=dtype, rtol=rtol
        )


def test_a_number_modulo_a_tensor_has_the_slope_of_the_formula():
    x = leaf(X)
    y = 7.2 % x
    np.testing.assert_allclose(y.detach().numpy(), 7.2 % X)
    y.sum().backward()
    np.testing.assert_allclose(x.grad.array, -np.floor(7.2 / X))  # s % a = s - a floor(s / a)
    assert not (7.2 // x).requires_grad


@operators
def test_an_operator_with_an_array_on_either_side_gives_a_tensor_with_gradients(op):
    array = np.array([[0.7, 1.6, 2.9], [2.2, 1.4, 2.5]])
    for function in (lambda a, b: op(a, b), lambda a, b: op(b, a)):
        x, y = leaf(np.abs(X)), leaf(np.abs(X))
        mine, reference = function(x, array), function(y, mg.tensor(array))
        assert type(mine) is mg.Tensor
        assert mine.dtype == reference.dtype
        assert (mine.array == reference.array).all()
        assert mine.requires_grad == reference.requires_grad
        if mine.requires_grad:
            mine.sum().backward()
            reference.sum().backward()
            assert (x.grad.array == y.grad.array).all()


@pytest.mark.parametrize("op", [operator.add, operator.sub, operator.mul, operator.truediv])
def test_an_operator_with_a_list_on_either_side_gives_a_tensor(op):
    x = leaf([1.0, 2.0])
    assert op(x, [4.0, 5.0]).tolist() == op(x, mg.tensor([4.0, 5.0])).tolist()
    y = op([4.0, 5.0], x)
    assert y.tolist() == op(mg.tensor([4.0, 5.0]), x).tolist()
    y.sum().backward()
    assert x.grad is not None


INTEGER = {
    "//": operator.floordiv,
    "%": operator.mod,
    "&": operator.and_,
    "|": operator.or_,
    "^": operator.xor,
    "+": operator.add,
    "*": operator.mul,
    "**": operator.pow,
    "==": operator.eq,
    "<": operator.lt,
}


@pytest.mark.parametrize("op", INTEGER.values(), ids=INTEGER.keys())
@pytest.mark.parametrize("other", [[5, 2, 3, 1], 2, "reflected"])
def test_an_operator_of_integers_is_pytorchs(op, other):
    torch = pytest.importorskip("torch")
    values = [7, 3, 4, 6]

    def run(m):
        t = m.tensor(values)
        if other == "reflected":
            return op(3, t)
        return op(t, other if isinstance(other, int) else m.tensor(other))

    mine, reference = run(mg), run(torch)
    assert mine.tolist() == reference.tolist()
    assert f"torch.{mine.dtype}" == str(reference.dtype)


@pytest.mark.parametrize("op", [operator.and_, operator.or_, operator.xor])
def test_logic_of_booleans_is_elementwise(op):
    a, b = mg.tensor([True, True, False, False]), mg.tensor([True, False, True, False])
    expected = op(a.array, b.array).tolist()
    assert op(a, b).tolist() == expected
    assert op(a, b.array).tolist() == expected
    assert op(a.array, b).tolist() == expected
    assert op(True, b).tolist() == op(True, b.array).tolist()
    assert op(a, b).dtype == np.bool_


def test_division_of_integers_gives_float32():
    y = mg.tensor([1, 2]) / 2
    assert y.dtype == np.float32
    assert y.tolist() == [0.5, 1.0]


def test_a_negative_remainder_has_the_sign_of_the_divisor():
    assert (mg.tensor([-7, 7]) % 3).tolist() == [2, 1]
    assert (mg.tensor([-7.0, 7.0]) % -3).tolist() == [-1.0, -2.0]
    assert (mg.tensor([-7, 7]) // 2).tolist() == [-4, 3]


@pytest.mark.parametrize("op", [operator.neg, abs], ids=["neg", "abs"])
def test_a_unary_operator_is_pytorchs(op):
    same_in_torch(lambda m, a: op(a), X)


def test_inversion_is_bitwise_or_logical():
    assert (~mg.tensor([True, False])).tolist() == [False, True]
    assert (~mg.tensor([0, 5])).tolist() == [-1, -6]


@pytest.mark.parametrize(
    ("a", "b"),
    [((3,), (3,)), ((2, 3), (3,)), ((2,), (2, 3)), ((2, 3), (3, 4)), ((5, 2, 3), (3, 4))],
)
def test_a_matrix_product_of_tensors_and_arrays_on_either_side_is_pytorchs(a, b):
    rng = np.random.default_rng(3)
    left, right = rng.normal(size=a), rng.normal(size=b)
    same_in_torch(lambda m, x, y: x @ y, left, right, rtol=1e-10)
    x, y = leaf(left), leaf(right)
    for product in (x @ right, left @ y, x.matmul(y), mg.matmul(x, y), np.matmul(left, y)):
        assert type(product) is mg.Tensor
        assert product.requires_grad
        np.testing.assert_allclose(product.detach().numpy(), left @ right)


@pytest.mark.parametrize("op", COMPARISONS.values(), ids=COMPARISONS.keys())
def test_a_comparison_gives_booleans_without_history(op):
    y = op(leaf(X), 1.5)
    assert type(y) is mg.Tensor
    assert y.dtype == np.bool_
    assert not y.requires_grad
    assert y.array.tolist() == op(X, 1.5).tolist()


# ------------------------------------------------------------------- methods

METHODS = {
    "add": lambda m, x: x.add(2.0),
    "sub": lambda m, x: x.sub(x),
    "mul": lambda m, x: x.mul(x),
    "div": lambda m, x: x.div(2),
    "pow": lambda m, x: x.pow(2),
    "neg": lambda m, x: x.neg(),
    "remainder": lambda m, x: x.remainder(1.3),
    "maximum": lambda m, x: x.maximum(x * x),
    "minimum": lambda m, x: x.minimum(x * x),
    "exp": lambda m, x: x.exp(),
    "expm1": lambda m, x: x.expm1(),
    "log": lambda m, x: x.abs().log(),
    "log1p": lambda m, x: x.abs().log1p(),
    "sqrt": lambda m, x: x.abs().sqrt(),
    "sin": lambda m, x: x.sin(),
    "cos": lambda m, x: x.cos(),
    "tanh": lambda m, x: x.tanh(),
    "sigmoid": lambda m, x: x.sigmoid(),
    "relu": lambda m, x: x.relu(),
    "abs": lambda m, x: x.abs(),
    "clamp": lambda m, x: x.clamp(-1, 2),
    "clamp min": lambda m, x: x.clamp(min=0.5),
    "clip": lambda m, x: x.clip(max=2),
    "sum": lambda m, x: x.sum(),
    "sum dim": lambda m, x: x.sum(1),
    "sum keepdim": lambda m, x: x.sum(dim=0, keepdim=True),
    "sum axis": lambda m, x: x.sum(axis=(0, 1)),
    "mean": lambda m, x: x.mean(),
    "mean dim": lambda m, x: x.mean(-1, keepdim=True),
    "var": lambda m, x: x.var(),
    "var dim": lambda m, x: x.var(1, correction=0),
    "std": lambda m, x: x.std(),
    "std dim": lambda m, x: x.std(dim=1, keepdim=True),
    "max": lambda m, x: x.max(),
    "max dim": lambda m, x: x.max(1).values,
    "max keepdim": lambda m, x: x.max(dim=0, keepdim=True)[0],
    "min": lambda m, x: x.min(),
    "min dim": lambda m, x: x.min(0).values,
    "amax": lambda m, x: x.amax(1),
    "amin": lambda m, x: x.amin((0, 1)),
    "argmax": lambda m, x: x.argmax(),
    "argmax dim": lambda m, x: x.argmax(1),
    "argmin": lambda m, x: x.argmin(dim=0, keepdim=True),
    "any": lambda m, x: (x > 3).any(),
    "all": lambda m, x: (x > 3).all(1),
    "sign": lambda m, x: x.detach().sign(),
    "floor": lambda m, x: x.detach().floor(),
    "logsumexp": lambda m, x: x.logsumexp(1),
    "softmax": lambda m, x: x.softmax(dim=1),
    "log_softmax": lambda m, x: x.log_softmax(-1),
    "matmul": lambda m, x: x.matmul(x.T),
    "eq": lambda m, x: x.eq(1.5),
    "ne": lambda m, x: x.ne(1.5),
    "lt": lambda m, x: x.lt(1.5),
    "le": lambda m, x: x.le(1.5),
    "gt": lambda m, x: x.gt(1.5),
    "ge": lambda m, x: x.ge(1.5),
    "flatten": lambda m, x: x.unsqueeze(0).flatten(1),
    "squeeze": lambda m, x: x[:1].squeeze(0),
    "unsqueeze": lambda m, x: x.unsqueeze(-1),
    "transpose": lambda m, x: x.transpose(0, 1),
    "swapaxes": lambda m, x: x.swapaxes(0, 1),
    "T": lambda m, x: x.T,
    "take_along_dim": lambda m, x: x.take_along_dim(m.tensor([[2], [0]]), 1),
    "reshape": lambda m, x: x.reshape(3, 2),
    "reshape sequence": lambda m, x: x.reshape((3, -1)),
    "view": lambda m, x: x.view(-1),
    "view sequence": lambda m, x: x.view((6, 1)),
    "permute": lambda m, x: x.unsqueeze(0).permute(2, 0, 1),
    "permute sequence": lambda m, x: x.permute((1, 0)),
    "expand": lambda m, x: x.expand(4, 2, 3),
    "expand -1": lambda m, x: x[:1].expand((2, -1)),
    "clone": lambda m, x: x.clone(),
}


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS.keys())
def test_a_method_is_pytorchs(method):
    same_in_torch(method, X, rtol=1e-10)


INDICES = {
    "an int": 1,
    "a negative int": -1,
    "two ints": (1, 2),
    "a slice": slice(0, 1),
    "a step": (slice(None), slice(None, None, 2)),
    "an ellipsis": (..., 0),
    "None": (None, 1),
    "a list": [1, 0, 1],
    "lists": ([1, 0, 1], [2, 2, 0]),
    "a slice and a list": (slice(None), [2, 0]),
    "an int and a list": (1, [2, 0]),
    "nothing": (),
    "everything": ...,
}


@pytest.mark.parametrize("index", INDICES.values(), ids=INDICES.keys())
def test_an_index_is_pytorchs(index):
    same_in_torch(lambda m, x: x[index], X)


@pytest.mark.parametrize(
    "choose",
    [
        lambda m, x: x[m.tensor([1, 0, 1])],
        lambda m, x: x[:, m.tensor([2, 2])],
        lambda m, x: x[x > 1],
        lambda m, x: x[m.tensor([True, False])],
        lambda m, x: x[m.tensor(1)],
        lambda m, x: x[m.tensor([[0, 1], [1, 0]])],
        lambda m, x: x[m.tensor([0, 1]), m.tensor([2, 0])],
    ],
    ids=["rows", "columns", "mask", "row mask", "scalar", "matrix", "pairs"],
)
def test_a_tensor_as_an_index_is_pytorchs(choose):
    same_in_torch(choose, X)


def test_an_index_out_of_range_is_an_index_error():
    t = mg.tensor(X)
    for index in (2, (0, 3), -3, [0, 5]):
        with pytest.raises(IndexError, match="out of bounds"):
            _ = t[index]
    with pytest.raises(IndexError, match="integers, slices"):
        _ = t[1.5]


def test_an_element_is_a_tensor_too():
    x = leaf(X)
    element = x[1, 2]
    assert type(element) is mg.Tensor
    assert element.shape == ()
    element.backward()
    assert x.grad.tolist() == [[0, 0, 0], [0, 0, 1]]


def test_views_share_memory_and_a_view_that_needs_a_copy_is_refused():
    t = mg.tensor(X)
    for v in (t.view(6), t.T, t[0], t.reshape(3, 2), t.unsqueeze(0), t.permute(1, 0), t.flatten()):
        assert np.shares_memory(v.array, t.array)
    with pytest.raises(RuntimeError, match=r"view: shape \(3, 2\) .* \(6,\)\. Use \.reshape"):
        t.T.view(6)
    assert t.T.reshape(6).tolist() == X.T.ravel().tolist()
    assert mg.zeros(0, 3).view(3, 0).shape == (3, 0)


def test_shapes_may_be_given_as_numpy_integers():
    t = mg.tensor(X)
    assert t.reshape(np.int64(3), np.int64(2)).shape == (3, 2)
    assert t.reshape(np.int64(6)).shape == (6,)
    assert t.view(np.int64(-1)).shape == (6,)


def test_a_wrong_shape_is_refused():
    t = mg.tensor(X)
    with pytest.raises(RuntimeError, match=r"shape '\[4, 2\]' is invalid for input of size 6"):
        t.reshape(4, 2)
    with pytest.raises(
        RuntimeError, match=r"tensor a \(3\) must match .* tensor b \(4\) .* dimension 1"
    ):
        t + mg.ones(4)
    with pytest.raises(IndexError, match="Dimension out of range"):
        t.transpose(0, 2)


# ------------------------------------------------------------------- NumPy's functions

UNARY = "exp expm1 log log1p sqrt sin cos tanh sign floor absolute negative"
BINARY = "add subtract multiply divide power maximum minimum remainder floor_divide"
COMPARING = "equal not_equal less less_equal greater greater_equal"


def gives_what_numpy_gives(function, *arrays):
    """Compare with NumPy on arrays; each argument in turn is a tensor that requires grad."""
    expected = function(*arrays)
    for i in range(len(arrays)):
        tensors = [leaf(a) if j == i else a for j, a in enumerate(arrays)]
        y = function(*tensors)
        assert type(y) is mg.Tensor
        np.testing.assert_allclose(y.detach().numpy(), expected, rtol=1e-14)
        assert y.dtype == expected.dtype
        yield tensors[i], y


@pytest.mark.parametrize("name", UNARY.split())
def test_a_numpy_function_of_one_tensor_is_recorded(name):
    for x, y in gives_what_numpy_gives(getattr(np, name), np.abs(X)):
        if name in ("sign", "floor"):
            assert not y.requires_grad
            continue
        y.sum().backward()
        step = 1e-6
        slope = (getattr(np, name)(x.array + step) - getattr(np, name)(x.array - step)) / (2 * step)
        np.testing.assert_allclose(x.grad.array, slope, rtol=1e-6)


@pytest.mark.parametrize("name", BINARY.split())
def test_a_numpy_function_of_an_array_and_a_tensor_is_recorded(name):
    function = getattr(np, name)
    for x, y in gives_what_numpy_gives(function, np.abs(X) + 0.1, np.array([0.7, 1.3, 2.9])):
        assert y.requires_grad == (name != "floor_divide")
        if y.requires_grad:
            y.sum().backward()
            assert x.grad.shape == x.shape


@pytest.mark.parametrize("name", COMPARING.split())
def test_a_numpy_comparison_with_a_tensor_gives_booleans(name):
    for _, y in gives_what_numpy_gives(getattr(np, name), X, np.array([1.5, 4.0, 2.5])):
        assert y.dtype == np.bool_


def test_numpys_bitwise_functions_give_tensors():
    a, b = np.array([6, 3]), np.array([5, 5])
    for function in (np.bitwise_and, np.bitwise_or, np.bitwise_xor):
        y = function(a, mg.tensor(b))
        assert type(y) is mg.Tensor
        assert y.tolist() == function(a, b).tolist()
    assert np.invert(mg.tensor(a)).tolist() == (~a).tolist()


REDUCTIONS_AND_SHAPES = {
    "sum": lambda x: np.sum(x),
    "sum axis": lambda x: np.sum(x, axis=1, keepdims=True),
    "mean": lambda x: np.mean(x, axis=0),
    "var": lambda x: np.var(x),
    "var ddof": lambda x: np.var(x, axis=1, ddof=1, keepdims=True),
    "std": lambda x: np.std(x, axis=0),
    "max": lambda x: np.max(x),
    "max axis": lambda x: np.max(x, axis=1),
    "amin": lambda x: np.min(x, axis=0, keepdims=True),
    "clip": lambda x: np.clip(x, -1, 2),
    "clip below": lambda x: np.clip(x, 0, None),
    "where": lambda x: np.where(X > 1, x, 0.0),
    "where right": lambda x: np.where(X > 1, 7.0, x),
    "reshape": lambda x: np.reshape(x, (3, 2)),
    "ravel": lambda x: np.ravel(x),
    "transpose": lambda x: np.transpose(x),
    "transpose axes": lambda x: np.transpose(x, (1, 0)),
    "swapaxes": lambda x: np.swapaxes(x, 0, 1),
    "squeeze": lambda x: np.squeeze(x[None]),
    "squeeze axis": lambda x: np.squeeze(x[None], axis=0),
    "expand_dims": lambda x: np.expand_dims(x, 1),
    "expand_dims axis": lambda x: np.expand_dims(x, axis=-1),
    "broadcast_to": lambda x: np.broadcast_to(x, (4, 2, 3)),
    "concatenate": lambda x: np.concatenate([x, X]),
    "concatenate array first": lambda x: np.concatenate((X, x), 1),
    "concatenate axis": lambda x: np.concatenate([x, x], axis=1),
    "stack": lambda x: np.stack([x, X]),
    "stack axis": lambda x: np.stack([x, x], axis=-1),
    "copy": lambda x: np.copy(x),
}


@pytest.mark.parametrize(
    "function", REDUCTIONS_AND_SHAPES.values(), ids=REDUCTIONS_AND_SHAPES.keys()
)
def test_a_numpy_function_that_has_an_op_is_recorded(function):
    for x, y in gives_what_numpy_gives(function, X):
        assert y.requires_grad
        (y * y).sum().backward()
        assert x.grad.shape == x.shape
        assert (x.grad.array != 0).any()


def test_numpys_searches_give_tensors_without_history():
    x = leaf(X)
    for function in (np.argmax, np.argmin, np.any, np.all):
        for arguments in ({}, {"axis": 1}):
            y = function(x, **arguments)
            assert type(y) is mg.Tensor
            assert y.tolist() == function(X, **arguments).tolist()
            assert not y.requires_grad


def test_numpys_likes_give_plain_tensors():
    x = leaf(X)
    for function, value in ((np.zeros_like, 0), (np.ones_like, 1)):
        y = function(x)
        assert type(y) is mg.Tensor
        assert y.shape == x.shape
        assert y.dtype == x.dtype
        assert (y.array == value).all()
        assert not y.requires_grad
    assert np.zeros_like(x, shape=(4,), dtype=np.float32).dtype == np.float32


def test_numpy_functions_without_an_op_use_the_data():
    t = mg.tensor(X)
    assert np.sort(t).tolist() == np.sort(X).tolist()
    assert np.cumprod(t, axis=1).tolist() == np.cumprod(X, axis=1).tolist()
    assert np.linalg.norm(t) == np.linalg.norm(X)
    assert np.array_equal(t, X)
    assert np.allclose(t, t + 1e-12)
    assert [part.tolist() for part in np.split(t, 2)] == [part.tolist() for part in np.split(X, 2)]
    assert np.signbit(t).tolist() == np.signbit(X).tolist()
    assert np.hypot(t, X).tolist() == np.hypot(X, X).tolist()
    np.testing.assert_array_equal(t, X)


def test_numpy_functions_of_several_results_give_several_tensors():
    t = mg.tensor(X)
    for mine, reference in ((np.modf(t), np.modf(X)), (np.divmod(t, 2), np.divmod(X, 2))):
        assert isinstance(mine, tuple)
        assert [m.tolist() for m in mine] == [r.tolist() for r in reference]


@pytest.mark.parametrize(
    "function",
    [
        np.sort,
        np.cumprod,
        np.linalg.norm,
        np.signbit,
        np.arctan,
        np.modf,
        lambda t: np.hypot(X, t),
        lambda t: np.dot(X.T, t),
        lambda t: np.vstack([X, t]),
        lambda t: np.linalg.norm(x=t),
    ],
    ids=[
        "sort",
        "cumprod",
        "norm",
        "signbit",
        "arctan",
        "modf",
        "hypot",
        "dot",
        "vstack",
        "keyword",
    ],
)
def test_numpy_functions_without_an_op_refuse_what_requires_grad(function):
    for t in (leaf(X), leaf(X) * 2):
        with pytest.raises(RuntimeError, match=ADVICE):
            function(t)
    function(leaf(X).detach())


def test_asarray_of_a_tensor_is_its_memory_and_array_a_copy():
    t = mg.tensor(X)
    assert np.shares_memory(np.asarray(t), t.array)
    assert not np.shares_memory(np.array(t), t.array)
    assert np.asarray(t, dtype=np.float32).dtype == np.float32
    assert np.asarray(mg.tensor(2.5)).shape == ()
    with pytest.raises(ValueError, match="copy"):
        np.asarray(t, dtype=np.float32, copy=False)


@pytest.mark.parametrize(
    "call",
    [
        lambda t: np.exp(t, out=np.zeros((2, 3))),
        lambda t: np.add(t, 1, out=np.zeros((2, 3))),
        lambda t: np.add(X, 1, out=t),
        lambda t: np.add(t, 1, where=X > 0),
        lambda t: np.add(t, 1, dtype=np.float32),
        lambda t: np.add.reduce(t),
        lambda t: np.add.accumulate(t),
        lambda t: np.multiply.outer(t, X),
        lambda t: np.add.at(t, [0], 1),
        lambda t: np.sum(t, out=np.zeros(())),
        lambda t: operator.iadd(X.copy(), t),
    ],
    ids=[
        "exp",
        "add",
        "into",
        "where",
        "dtype",
        "reduce",
        "accumulate",
        "outer",
        "at",
        "sum",
        "iadd",
    ],
)
def test_numpys_out_and_its_kin_are_refused(call):
    for t in (mg.tensor(X), leaf(X)):
        with pytest.raises(TypeError):
            call(t)
        assert (t.array == X).all()


def test_numpy_scalars_on_the_left_give_tensors():
    x = leaf([1.0, 2.0], np.float32)
    for y in (np.float64(2) * x, np.float32(2) + x, np.int64(2) - x, np.float64(2) / x):
        assert type(y) is mg.Tensor
        assert y.dtype == np.float32
        assert y.requires_grad
