"""Changes in place: their values and gradients, where they are refused, how each is noticed."""

import tracemalloc

import numpy as np
import pytest

import minigrad as mg

X = np.array([[0.5, -1.0, 2.0], [-0.3, 1.5, -2.5]])
W = np.array([[1.5, 0.5, -0.7], [2.0, -1.2, 0.4]])
ROW = np.array([0.8, -1.1, 1.9])


def leaf(values, dtype=np.float64):
    return mg.tensor(values, dtype=dtype, requires_grad=True)


def count(tensor):
    """How often the storage of the tensor was changed."""
    return tensor._version


def set_at(index, value=None):
    def change(t, w):
        t[index] = w if value is None else value(w)
        return t

    return change


def augmented(symbol, by="w"):
    scope = {}
    exec(f"def change(t, w):\n    t {symbol}= {by}\n    return t", scope)
    return scope["change"]


#: each changes t with the help of w, which is of its shape; the same text runs in PyTorch
CHANGES = {
    "copy_": lambda t, w: t.copy_(w),
    "copy_ a row": lambda t, w: t.copy_(w[0]),
    "fill_": lambda t, w: t.fill_(2.5),
    "zero_": lambda t, w: t.zero_(),
    "add_": lambda t, w: t.add_(w),
    "add_ alpha": lambda t, w: t.add_(w, alpha=0.5),
    "add_ a number": lambda t, w: t.add_(3),
    "add_ a number, alpha": lambda t, w: t.add_(3, alpha=2),
    "sub_": lambda t, w: t.sub_(w),
    "sub_ alpha": lambda t, w: t.sub_(w, alpha=2),
    "mul_": lambda t, w: t.mul_(w),
    "mul_ a number": lambda t, w: t.mul_(-2.0),
    "mul_ a column": lambda t, w: t.mul_(w[:, :1]),
    "div_": lambda t, w: t.div_(w),
    "div_ by a number": lambda t, w: t.div_(4),
    "relu_": lambda t, w: t.relu_(),
    "+=": augmented("+"),
    "-=": augmented("-"),
    "*=": augmented("*"),
    "/=": augmented("/"),
    "t **= 2": augmented("**", "2"),
    "pow_": lambda t, w: t.pow_(2),
    "t %= 2": augmented("%", "2"),
    "remainder_": lambda t, w: t.remainder_(3),
    "all of t = w": set_at(...),
    "t[0] = w[1]": set_at(0, lambda w: w[1]),
    "t[:, 1] = w[:, 0]": set_at((slice(None), 1), lambda w: w[:, 0]),
    "t[0, 2] = w[1, 1]": set_at((0, 2), lambda w: w[1, 1]),
    "t[:, ::2] = 7": set_at((slice(None), slice(None, None, 2)), lambda w: 7),
    "t[[1, 0]] = w": set_at([1, 0]),
    "t[:, 1:] = a column": set_at((slice(None), slice(1, None)), lambda w: w[:, :1]),
    "t[1] = a row of one": set_at(1, lambda w: w[0, :1]),
    "t[-1] = w[:1]": set_at(-1, lambda w: w[:1]),
}
changes = pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())


# ------------------------------------------------------------------- values, memory and gradients


@changes
def test_a_change_in_place_keeps_tensor_and_memory_and_counts_one_version(change):
    t, w = mg.tensor(X), mg.tensor(W)
    array, before = t.array, count(t)
    assert change(t, w) is t
    assert t.array is array
    assert count(t) == before + 1
    assert t.dtype == np.float64
    assert t.grad_fn is None
    assert (w.array == W).all()


@pytest.mark.parametrize("symbol", ["+", "-", "*", "//", "%", "**", "&", "|", "^"])
def test_an_operator_that_assigns_changes_the_tensor_that_all_see(symbol):
    torch = pytest.importorskip("torch")
    for numbers in ([6, 3, 5], 3, 300):
        seen = []
        for m in (mg, torch):
            x = m.tensor([5, 2, 7], dtype=m.int16)
            w = m.tensor(numbers, dtype=m.int16) if isinstance(numbers, list) else numbers
            assert augmented(symbol)(x, w) is x
            seen.append(x.tolist())
        assert seen[0] == seen[1]


@pytest.mark.parametrize("symbol", ["&", "|", "^"])
def test_a_mask_stays_a_mask(symbol):
    mask = mg.tensor([True, False])
    assert augmented(symbol)(mask, mg.tensor([True, True])).dtype == np.bool_
    with pytest.raises(RuntimeError, match="can't be cast to the desired output type bool"):
        augmented(symbol)(mask, 2)


@changes
def test_a_recorded_change_has_pytorchs_value_and_gradients(change):
    torch = pytest.importorskip("torch")

    def run(make):
        x, w = make(X), make(W)
        t = x * 1
        kept = t
        change(t, w * 1)
        assert t is kept
        loss = (t * t + t.sin()).sum() + (w * w).sum()
        loss.backward()
        return [np.array(a.detach().numpy()) for a in (t, x.grad, w.grad)]

    ours = run(leaf)
    theirs = run(lambda v: torch.tensor(v, requires_grad=True))
    for mine, reference in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(mine, reference, rtol=1e-12, atol=1e-12)


@changes
def test_a_recorded_change_keeps_memory_and_becomes_the_tensors_history(change):
    t = leaf(X) * 1
    array, history = t.array, t.grad_fn
    change(t, leaf(W))
    assert t.array is array
    assert t.requires_grad
    assert t.grad_fn is not history
    assert count(t) == 1


@changes
def test_second_derivatives_pass_through_changes_in_place(change):
    torch = pytest.importorskip("torch")

    def run(make, differentiate):
        x, w = make(X), make(W)
        t = x.sin()
        change(t, w.exp())
        (dx,) = differentiate((t**3).sum() + (x**2).sum(), x, create_graph=True)
        return differentiate((dx * dx).sum() + (w * w).sum(), (x, w))

    ours = run(leaf, mg.grad)
    theirs = run(lambda v: torch.tensor(v, requires_grad=True), torch.autograd.grad)
    for mine, reference in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(mine.array, reference.numpy(), rtol=1e-11, atol=1e-11)


def test_several_changes_of_one_tensor_follow_each_other():
    torch = pytest.importorskip("torch")

    def run(make):
        x, w = make(X), make(W)
        t = x * 1
        t += w
        t *= w
        t[0] = w[1] * 2
        t -= 1
        t /= 3
        t.relu_()
        t.sum().backward()
        return [t.detach().numpy(), x.grad.numpy(), w.grad.numpy()]

    ours = run(leaf)
    theirs = run(lambda v: torch.tensor(v, requires_grad=True))
    for mine, reference in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(mine, reference, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("change", "slope"),
    [
        (lambda t: t.add_(t), lambda x: 2 + 0 * x),
        (lambda t: t.sub_(t), lambda x: 0 * x),
        (lambda t: t.mul_(t), lambda x: 2 * x),
        (lambda t: t.div_(t), lambda x: 0 * x),
        (lambda t: t.copy_(t), lambda x: 1 + 0 * x),
        (lambda t: t.add_(t, alpha=3), lambda x: 4 + 0 * x),
        (lambda t: t.mul_(t.detach()), lambda x: x),
    ],
    ids=["add", "sub", "mul", "div", "copy", "alpha", "detached"],
)
def test_a_tensor_may_be_changed_with_the_help_of_itself(change, slope):
    x = leaf(X)
    t = x * 1
    change(t).sum().backward()
    np.testing.assert_allclose(x.grad.array, slope(X), atol=1e-15)


def test_relu_in_place_copies_nothing_and_keeps_only_its_output():
    x = leaf(X)
    t = x * 1
    array, pointer = t.array, t.array.ctypes.data
    t.relu_()
    assert t.array is array
    assert t.array.ctypes.data == pointer
    assert list(t.grad_fn.saved) == ["y"]
    assert t.grad_fn.saved["y"] is array
    assert (array == np.maximum(X, 0)).all()
    t.sum().backward()
    assert (x.grad.array == (X > 0)).all()


@pytest.mark.parametrize(
    "change",
    [lambda t: t.relu_(), lambda t: t.__setitem__(0, 1.0), lambda t: t.__setitem__(0, t.array[1])],
    ids=["relu_", "a number", "a row"],
)
@pytest.mark.parametrize("recording", [True, False])
def test_what_need_not_allocate_does_not(change, recording):
    t = leaf(np.ones((1000, 1000))) * 1
    with mg.set_grad_enabled(recording):
        tracemalloc.start()
        change(t)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < t.array.nbytes / 10


def test_what_a_change_overwrites_is_copied_if_the_derivative_reads_it():
    x, w = leaf(X), leaf(W)
    t = x * 1
    t.mul_(w)
    saved = t.grad_fn.saved
    assert (saved["a"] == X).all()
    assert not np.shares_memory(saved["a"], t.array)
    t.sum().backward()
    assert (w.grad.array == X).all()
    assert (x.grad.array == W).all()


def test_a_change_with_a_recorded_tensor_makes_a_constant_part_of_the_graph():
    w, t = leaf(W), mg.tensor(X)
    t.mul_(w)
    assert t.requires_grad
    assert not t.is_leaf
    t.sum().backward()
    assert (w.grad.array == X).all()


def test_an_assigned_tensor_receives_the_gradient_of_its_place():
    value = leaf(5.0)
    buffer = mg.zeros(4, dtype=np.float64)
    buffer[1] = value
    buffer[2:] = value * 2
    (buffer * mg.tensor([1.0, 10.0, 100.0, 1000.0], dtype=np.float64)).sum().backward()
    assert buffer.tolist() == [0.0, 5.0, 10.0, 10.0]
    assert value.grad.item() == 10 + 2 * 1100


def test_what_was_overwritten_receives_no_gradient():
    x = leaf(X)
    t = x * 1
    t[:, 0] = 9
    t.sum().backward()
    assert x.grad.tolist() == [[0, 1, 1], [0, 1, 1]]
    x.grad = None
    t = x * 1
    t.fill_(3)
    t.sum().backward()
    assert x.grad.tolist() == [[0] * 3] * 2


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_a_wider_operand_changes_neither_dtype_nor_that_of_gradients(dtype):
    x, w = leaf(X, dtype), leaf(W, np.float64)
    t = x * 1
    t *= w
    assert t.dtype == dtype
    assert t.grad_fn.dtype == dtype
    t.sum().backward()
    assert (x.grad.dtype, w.grad.dtype) == (dtype, np.float64)
    np.testing.assert_allclose(x.grad.array, W, rtol=1e-3)


def test_an_index_may_be_changed_after_it_was_used():
    x, value = leaf([1.0, 2.0, 3.0]), leaf([10.0, 20.0])
    for make in (mg.tensor, np.array, list):
        x.grad = value.grad = None
        places = make([0, 2])
        chosen = x[places]
        t = x * 1
        t[places] = value
        places[0] = 1
        (chosen.sum() * 5 + (t * t).sum()).backward()
        assert x.grad.tolist() == [5.0, 4.0, 5.0]
        assert value.grad.tolist() == [20.0, 40.0]


# ------------------------------------------------------------------- saved, then changed

#: an op, and what it keeps of t
SAVED = {
    "mul": (lambda t: t * leaf(W), "a of MulBackward"),
    "mul, the other way": (lambda t: leaf(W) * t, "b of MulBackward"),
    "div": (lambda t: leaf(W) / t, "b of DivBackward"),
    "pow": (lambda t: t**2, "a of PowBackward"),
    "matmul": (lambda t: t @ leaf(W.T), "a of MatmulBackward"),
    "linear": (lambda t: mg.linear(t, leaf(W)), "x of LinearBackward"),
    "log1p": (lambda t: (t * 0.1).log1p() + t.sin(), "x of SinBackward"),
    "var": (lambda t: t.var(), "x of VarBackward"),
    "maximum": (lambda t: mg.maximum(t, leaf(W)), "a of MaximumBackward"),
    "where": (lambda t: mg.where(t.detach() > 0, leaf(W), 0) * t.abs(), "x of AbsBackward"),
}


@pytest.mark.parametrize(("op", "what"), SAVED.values(), ids=SAVED.keys())
@pytest.mark.parametrize("create_graph", [False, True])
def test_a_change_of_what_was_saved_is_an_error_that_names_it(op, what, create_graph):
    x = leaf(X)
    t = x * 1
    y = op(t)
    for _ in range(2):
        with mg.no_grad():
            t.add_(1)
        message = rf"{what}, a float64 tensor of shape \(2, 3\), after it was saved"
        with pytest.raises(RuntimeError, match=message):
            y.sum().backward(create_graph=create_graph, retain_graph=True)
        assert x.grad is None


ALIASES = {
    "itself": lambda t: t.zero_(),
    "relu_": lambda t: t.relu_(),
    "an element": lambda t: t.__setitem__((0, 0), 0),
    "detached": lambda t: t.detach().mul_(2),
    "a row": lambda t: t[1].zero_(),
    "transposed": lambda t: t.T[0, 1].fill_(3),
    "reshaped, detached": lambda t: t.reshape(-1)[2:].detach().sub_(1),
    "detached, reshaped": lambda t: t.detach().reshape(-1)[2:].sub_(1),
    "view": lambda t: t.view(6).copy_(mg.ones(6)),
    "there and back": lambda t: t.unsqueeze(0).squeeze(0).add_(1),
}


@pytest.mark.parametrize("change", ALIASES.values(), ids=ALIASES.keys())
def test_a_change_of_what_was_saved_is_noticed_through_every_alias(change):
    x = leaf(X)
    t = x * 1
    y = t * leaf(W)
    with mg.no_grad():
        change(t)
    with pytest.raises(RuntimeError, match="modified by an inplace operation") as error:
        y.sum().backward()
    message = str(error.value)
    assert "a of MulBackward" in message
    assert "float64 tensor of shape (2, 3)" in message
    assert "after it was saved" in message
    assert "clone()" in message
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        _ = y.grad_fn.saved
    assert x.grad is None


@pytest.mark.parametrize("alias", [lambda t: t, lambda t: t.detach()], ids=["itself", "detached"])
def test_a_recorded_change_of_what_was_saved_is_noticed_too(alias):
    t = leaf(X) * 1
    y = t.sin()
    alias(t).add_(1)
    alias(t).add_(1)
    with pytest.raises(RuntimeError, match=r"x of SinBackward.* after it was saved"):
        y.sum().backward()


def test_a_change_of_the_base_is_noticed_by_what_saved_a_view():
    t = leaf(X) * 1
    y = t[0] * t[0]
    with mg.no_grad():
        t[1] = 0  # another row: the version is that of the whole storage, as in PyTorch
    with pytest.raises(RuntimeError, match=r"MulBackward.* of shape \(3,\)"):
        y.sum().backward()


def test_a_changed_output_is_noticed_where_the_derivative_reads_it():
    t = leaf(X) * 1
    y = t.exp()
    t.add_(1)  # exp keeps its output only
    y.sum().backward(retain_graph=True)
    y.add_(1)
    with pytest.raises(RuntimeError, match="y of ExpBackward"):
        y.sum().backward()


def test_what_no_derivative_reads_may_be_changed():
    x = leaf(X)
    t = x * 1
    y = t + 3
    total = t.sum()
    shape = t.reshape(6).detach()
    with mg.no_grad():
        t.zero_()
    assert shape.tolist() == [0] * 6
    (y.sum() + total).backward()
    assert (x.grad.array == 2).all()


def test_a_change_before_the_use_is_no_change_of_what_was_saved():
    x = leaf(X)
    t = x * 1
    t.add_(1)
    t.mul_(2)
    y = t * t
    y.sum().backward()
    np.testing.assert_allclose(x.grad.array, 8 * (X + 1))


def test_an_optimizers_step_before_backward_is_noticed():
    w = leaf(W)
    loss = (w * w).sum()
    with mg.no_grad():
        w -= 0.1 * W
    with pytest.raises(RuntimeError, match=r"MulBackward.* after it was saved"):
        loss.backward()
    (w * w).sum().backward()
    np.testing.assert_allclose(w.grad.array, 2 * 0.9 * W)


def test_accumulating_into_a_grad_counts_as_a_change_of_it():
    x = leaf(X)
    (x * 1).sum().backward()
    w = leaf(W)
    product = w * x.grad
    (x * 1).sum().backward()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        product.sum().backward()


def test_a_change_of_a_mere_number_or_array_operand_is_none_of_the_graph():
    x = leaf(X)
    y = x * 3.0 + x * W
    y.sum().backward()
    np.testing.assert_allclose(x.grad.array, 3 + W)


# ------------------------------------------------------------------- leaves and views


@changes
def test_a_leaf_that_requires_grad_cannot_be_changed_while_recording(change):
    x, w = leaf(X), mg.tensor(W)
    with pytest.raises(
        RuntimeError, match=r"a leaf Variable that requires grad .* in-place .*no_grad"
    ):
        change(x, w)
    assert (x.array == X).all()
    assert count(x) == 0
    assert x.is_leaf


@changes
def test_a_leaf_that_requires_grad_can_be_changed_under_no_grad(change):
    x, w, plain = leaf(X), leaf(W), mg.tensor(X)
    change(plain, mg.tensor(W))
    with mg.no_grad():
        assert change(x, w) is x
    assert (x.array == plain.array).all()
    assert x.is_leaf
    assert x.requires_grad
    (x * x).sum().backward()
    np.testing.assert_allclose(x.grad.array, 2 * x.array)


VIEWS = {
    "row": lambda t: t[0],
    "columns": lambda t: t[:, 1:],
    "T": lambda t: t.T,
    "reshape": lambda t: t.reshape(3, 2),
    "view": lambda t: t.view(6),
    "unsqueeze": lambda t: t.unsqueeze(0),
    "permute": lambda t: t.permute(1, 0),
    "flatten": lambda t: t.flatten(),
    "reversed": lambda t: t[::-1],
}
views = pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS.keys())


@views
@pytest.mark.parametrize("which", ["the view", "its base"])
def test_neither_a_view_nor_its_base_can_be_changed_while_recording(view, which):
    t = leaf(X) * 1
    v = view(t)
    target = v if which == "the view" else t
    before, history = target.array.copy(), target.grad_fn
    for change in (lambda s: s.add_(1), lambda s: s.relu_(), lambda s: s.__setitem__(0, 0)):
        with pytest.raises(RuntimeError, match=r"a view, or has views.*clone"):
            change(target)
    assert (target.array == before).all()
    assert target.grad_fn is history
    assert count(target) == 0


def test_an_empty_view_is_a_view_and_an_empty_result_is_none():
    t = mg.tensor(X)
    assert (t @ mg.zeros(3, 0, dtype=np.float64)).T.shape == (0, 2)
    t.mul_(leaf(1.0))
    t = mg.tensor(X)
    assert t[2:].shape == (0, 3)
    with pytest.raises(RuntimeError, match="a view, or has views"):
        t.mul_(leaf(1.0))


@views
def test_a_constant_with_views_cannot_take_part_in_the_graph_in_place(view):
    t = mg.tensor(X)
    v = view(t)
    for target in (t, v):
        with pytest.raises(RuntimeError, match="a view, or has views"):
            target.mul_(leaf(1.0))
    assert (t.array == X).all()


@pytest.mark.parametrize(
    ("view", "change"),
    [
        *((view, "add_ a number") for view in VIEWS),
        *(("reversed", c) for c in CHANGES if c != "add_ a number"),
    ],
)
def test_what_is_not_recorded_changes_the_base_through_the_view(view, change):
    view, change = VIEWS[view], CHANGES[change]
    t = mg.tensor(X)
    expected = X.copy()
    v = view(t)
    change(v, mg.tensor(W))
    mirror = mg.from_numpy(expected)
    change(view(mirror), mg.tensor(W))
    assert (t.array == expected).all()
    assert (t.array != X).any()
    assert count(t) == count(v) == 1
    assert (view(t).array == v.array).all()


COPIES = {
    "logsumexp": lambda t: t.logsumexp(1),
    "softmax": lambda t: t.softmax(1),
    "sum": lambda t: t.sum(0),
    "columns": lambda t: t[:, [0, 2]],
    "rows": lambda t: t[[0, 1]],
    "a mask": lambda t: t[t > 0],
    "take_along_dim": lambda t: mg.take_along_dim(t, mg.tensor([[0], [2]]), 1),
    "cat": lambda t: mg.cat([t, t]),
    "where": lambda t: mg.where(t > 0, t, 0),
    "cast": lambda t: t.double().float(),
    "argmax": lambda t: t.argmax(1, keepdim=True).float(),
    "clone": lambda t: t.clone(),
}


@pytest.mark.parametrize("make", COPIES.values(), ids=COPIES.keys())
def test_what_shares_no_memory_with_its_source_is_no_view(make):
    t = leaf(X, np.float32) * 1
    y = make(t)
    assert not np.shares_memory(y.array, t.array)
    y += leaf(1.0, np.float32)
    assert (count(t), count(y)) == (0, 1)
    t += 1
    assert (count(t), count(y)) == (1, 1)


def test_a_rearrangement_that_had_to_copy_is_no_view():
    t = leaf(X) * 1
    turned = t.T.clone()
    order = np.asfortranarray(X)
    strange = mg.from_numpy(order)  # in columns, so that to make it flat is to copy
    flat = strange.reshape(6)
    assert not np.shares_memory(flat.array, order)
    flat *= leaf(2.0)
    strange += leaf(1.0)
    turned += 1
    assert flat.tolist() == (2 * X).ravel().tolist()
    assert strange.tolist() == (X + 1).tolist()


@pytest.mark.parametrize("make", [mg.rand, mg.randn, mg.zeros, mg.ones])
def test_a_new_tensor_may_be_changed_unrecorded_and_then_recorded(make):
    t = make(2, 3)
    t.relu_()
    t[0] = 1.0
    w = leaf(np.ones(3), np.float32)
    t += w
    t[1] = w
    t.sum().backward()
    assert w.grad.tolist() == [2.0] * 3


def test_a_clone_may_be_changed_where_the_view_may_not():
    x = leaf(X)
    t = x * 1
    row = t[0].clone()
    row += 1
    row.relu_()
    (row.sum() + t.sum()).backward()
    assert x.grad.tolist() == [[2, 1 + (X[0, 1] + 1 > 0), 2], [1, 1, 1]]


# ------------------------------------------------------------------- what fails changes nothing


def whole_numbers():
    return mg.tensor([[1, 2, 3], [4, 5, 6]])


def recorded():
    return leaf(X) * 1


def one_row():
    return leaf(X[:1]) * 1


FAILURES = {
    "a larger shape": (recorded, lambda t: t.add_(mg.ones(4, 2, 3))),
    "a larger recorded shape": (recorded, lambda t: t.mul_(leaf(np.ones((4, 2, 3))))),
    "leading ones": (recorded, lambda t: t.add_(mg.ones(1, 2, 3))),
    "stretching the target": (
        lambda: recorded().sum(0, keepdim=True),
        lambda t: t.add_(recorded()),
    ),
    "shapes that do not fit": (recorded, lambda t: t.sub_(mg.ones(2))),
    "copy_ of another shape": (recorded, lambda t: t.copy_(mg.ones(2))),
    "copy_ of a larger shape": (recorded, lambda t: t.copy_(leaf(np.ones((4, 2, 3))))),
    "setitem of another shape": (recorded, lambda t: t.__setitem__(0, mg.ones(2))),
    "setitem of a larger shape": (recorded, lambda t: t.__setitem__(0, leaf(np.ones((2, 3))))),
    "an index out of range": (recorded, lambda t: t.__setitem__(5, leaf(1.0))),
    "places out of range": (recorded, lambda t: t.__setitem__([0, 5], leaf(1.0))),
    "a fractional index": (recorded, lambda t: t.__setitem__(0.5, 1.0)),
    "a mask of another shape": (recorded, lambda t: t.__setitem__(mg.ones(3) > 0, 1.0)),
    "integers plus a fraction": (whole_numbers, lambda t: t.add_(0.5)),
    "integers divided": (whole_numbers, lambda t: t.div_(2)),
    "integers times a recorded tensor": (whole_numbers, lambda t: t.mul_(leaf(X))),
    "integers += a tensor": (whole_numbers, lambda t: t.__iadd__(mg.ones(3))),
    "booleans plus a number": (lambda: whole_numbers() > 2, lambda t: t.add_(1)),
    "no numbers": (recorded, lambda t: t.add_("x")),
}


@pytest.mark.parametrize(("make", "change"), FAILURES.values(), ids=FAILURES.keys())
@pytest.mark.parametrize("recording", [True, False])
def test_a_change_that_fails_has_changed_nothing(make, change, recording):
    t = make()
    values, version, history, needs = t.array.copy(), count(t), t.grad_fn, t.requires_grad
    with (
        mg.set_grad_enabled(recording),
        pytest.raises((RuntimeError, ValueError, TypeError, IndexError)),
    ):
        change(t)
    assert (t.array == values).all()
    assert t.dtype == values.dtype
    assert count(t) == version
    assert t.grad_fn is history
    assert t.requires_grad == needs


def test_a_result_that_does_not_fit_says_what_and_where():
    t = mg.ones(1, 3)
    with pytest.raises(RuntimeError, match=r"shape .*1, 3.* match the broadcast shape .*2, 3"):
        t += mg.ones(2, 3)
    with pytest.raises(RuntimeError, match=r"float32 can't be cast to the .* output type int64"):
        whole_numbers().add_(mg.ones(3))


def test_integers_take_what_is_assigned_or_copied_without_history():
    t, x = whole_numbers(), leaf(X)
    t.copy_(x)
    assert t.tolist() == [[0, -1, 2], [0, 1, -2]]
    t[0] = x[1]
    assert t.tolist() == [[0, 1, -2], [0, 1, -2]]
    assert t.dtype == np.int64
    assert not t.requires_grad
    assert t.grad_fn is None
    t += 1
    t *= 3
    assert t.tolist() == [[3, 6, -3], [3, 6, -3]]


def test_what_an_op_without_a_derivative_leaves_is_a_constant():
    x = leaf(X)
    y = x * 3
    alias = y.array
    y //= 2
    assert y.array is alias
    assert (alias == X * 3 // 2).all()
    assert (y.requires_grad, y.grad_fn) == (False, None)
    z = x * 3
    z.floor_divide_(2)
    (z + x).sum().backward()
    assert (x.grad.array == 1).all()


def test_an_operator_without_a_form_in_place_makes_a_new_tensor():
    x = leaf(X)
    y = x
    y @= mg.tensor(W.T)
    assert y is not x
    assert (x.array == X).all()
    assert y.grad_fn.name() == "MatmulBackward"


def test_a_second_derivative_through_what_was_changed_since_the_first_is_refused():
    x = leaf(X)
    h = x * 3  # this node keeps 3, so that only the recorded derivative watches h
    (g,) = mg.grad((h**3).sum(), x, create_graph=True)
    h.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        g.sum().backward()
    assert x.grad is None


@pytest.mark.parametrize("make", [
    lambda w, v: w @ v, lambda w, v: v @ w.T, lambda w, v: v @ v, lambda w, v: w.T @ w[:, 0],
    lambda w, v: w.max(1).values, lambda w, v: w.min(0)[0], lambda w, v: (w * 1).mean(1),
])  # fmt: skip
def test_a_result_that_only_looks_like_a_view_may_be_changed_as_in_pytorch(make):
    found = []
    for m in mg, pytest.importorskip("torch"):
        w = m.tensor(W.tolist(), dtype=m.float64, requires_grad=True)
        v = m.tensor([1.0, 2.0, 3.0], dtype=m.float64, requires_grad=True)
        y = make(w, v)
        y += 1
        y *= 3
        (y * y).sum().backward()
        found.append([y, *(t.grad for t in (w, v) if t.grad is not None)])
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours.tolist(), theirs.tolist(), rtol=1e-12)
