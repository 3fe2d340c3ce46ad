"""The engine: what is recorded, what is kept, how the walk back goes, and what it leaves behind.

Tests that compare with PyTorch are skipped without it.
"""

import gc
import threading
import weakref

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad as mg
from minigrad import ops
from tests.reference import scaled

DIFFERENTIATE_TWICE = "Trying to backward through the graph a second time"


@pytest.fixture
def no_collector():
    """The cyclic garbage collector is off, and finds nothing old."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def leaf(values, dtype=np.float64):
    return mg.tensor(values, dtype=dtype, requires_grad=True)


def nodes_of(*tensors):
    """All nodes of the graph behind the tensors."""
    stack = [t.grad_fn for t in tensors if t.grad_fn is not None]
    seen = set()
    while stack:
        node = stack.pop()
        if node not in seen:
            seen.add(node)
            stack += [p for p in node.parents if hasattr(p, "parents")]
    return seen


def saved_arrays(node):
    return [value for value in node.saved.values() if isinstance(value, np.ndarray)]


# ------------------------------------------------------------------- graphs of every shape


@pytest.mark.parametrize(
    ("collector", "ops"), [("with the collector", 1_000_000), ("without", 100_000)]
)
def test_a_chain_of_many_ops_runs_backward_and_is_freed(collector, ops):
    gc.collect()
    if collector == "without":
        gc.disable()
    try:
        x = leaf(1.0)
        y = x * 1.0
        first = weakref.ref(y.grad_fn)
        for _ in range(ops // 2):
            y = -(y + 1)
        middle = weakref.ref(y.grad_fn.parents[0])
        y.backward()
        assert x.grad.item() == 1.0
        assert first() is not None
        assert middle() is not None
        del y
        assert first() is None
        assert middle() is None
    finally:
        gc.enable()


def test_a_graph_with_two_to_the_sixty_paths_is_walked_once_per_op():
    calls = []

    @mg.differentiable(a=lambda g: calls.append(1) or g, b=lambda g: g)
    def plus(a, b):
        return a + b

    x = leaf(1.0)
    y = x
    for _ in range(60):
        y = plus(y, y)
    (dx,) = mg.grad(y, x, retain_graph=True)
    y.backward()
    assert x.grad.item() == dx.item() == 2.0**60
    assert len(calls) == 120


def test_a_tensor_used_twice_receives_the_sum():
    x = leaf([2.0, 3.0])
    (x * x + x).sum().backward()
    assert x.grad.tolist() == [5.0, 7.0]
    a = leaf([2.0, 3.0])
    (a + a).sum().backward()
    assert a.grad.tolist() == [2.0, 2.0]
    b = leaf(3.0)
    (b * b * b - b / b).backward()
    assert b.grad.item() == pytest.approx(27.0)


def test_the_branches_of_a_diamond_meet_before_the_walk_goes_on():
    calls = []

    @mg.differentiable(x=lambda g: calls.append(g) or g * 2)
    def twice(x):
        return x * 2

    x = leaf(3.0)
    top = twice(x)
    left, right = top * 5.0, top.sin()
    (left + right * left).backward()
    assert len(calls) == 1
    t = 6.0
    expected = 2 * (5 + 5 * np.sin(t) + 5 * t * np.cos(t))
    assert x.grad.item() == pytest.approx(expected, rel=1e-14)


def test_a_wide_fan_out_adds_up_every_branch():
    x = leaf([1.0, -1.0])
    total = mg.zeros(2, dtype=np.float64)
    for k in range(5000):
        total = total + x * k
    total.sum().backward()
    assert x.grad.tolist() == [sum(range(5000))] * 2


def test_a_leaf_is_its_own_output():
    x = leaf(3.0)
    x.backward()
    assert x.grad.item() == 1.0
    x.backward(mg.tensor(2.0, dtype=np.float64))
    assert x.grad.item() == 3.0


# ------------------------------------------------------------------- only what is needed


def counted_product():
    """A product whose derivatives count how often they are called."""
    calls = {"a": 0, "b": 0}

    def da(g, b):
        calls["a"] += 1
        return g * b

    def db(g, a):
        calls["b"] += 1
        return g * a

    @mg.differentiable(a=da, b=db)
    def product(a, b):
        return a * b

    return product, calls


@pytest.mark.parametrize(
    ("needs", "expected", "kept"),
    [
        ((True, False), {"a": 1, "b": 0}, ["b"]),
        ((False, True), {"a": 0, "b": 1}, ["a"]),
        ((True, True), {"a": 1, "b": 1}, ["b", "a"]),
    ],
    ids=["of a", "of b", "of both"],
)
def test_only_what_needs_a_gradient_is_computed_and_only_what_that_reads_is_kept(
    needs, expected, kept
):
    product, calls = counted_product()
    a, b = (mg.ones(3, requires_grad=flag) for flag in needs)
    y = product(a, b)
    assert list(y.grad_fn.saved) == kept
    y.sum().backward()
    assert calls == expected
    assert [t.grad is not None for t in (a, b)] == list(needs)


def test_nothing_is_recorded_when_no_argument_needs_a_gradient():
    product, calls = counted_product()
    y = product(mg.ones(3), mg.ones(3))
    assert y.grad_fn is None
    assert not y.requires_grad
    assert y.is_leaf
    assert calls == {"a": 0, "b": 0}


def test_the_first_layer_keeps_its_input_for_the_weight_and_no_weight_for_the_input():
    images, weight, bias = mg.ones(5, 4), mg.ones(3, 4), mg.ones(3)
    weight.requires_grad = bias.requires_grad = True
    saved = mg.linear(images, weight, bias).grad_fn.saved
    assert list(saved) == ["x"]
    assert saved["x"] is images.array

    hidden = leaf(np.ones((5, 4)), np.float32)
    saved = mg.linear(hidden, weight.detach(), bias.detach()).grad_fn.saved
    assert list(saved) == ["weight"]
    only_bias = mg.linear(images, weight.detach(), bias)
    assert only_bias.grad_fn.saved == {}
    assert len(only_bias.grad_fn.parents) == 1


def test_sums_and_rearrangements_keep_no_array():
    x = leaf(np.ones((2, 3)))
    for y in (x + x, x - 1, -x, x.clone()):
        assert y.grad_fn.saved == {}
    assert x.reshape(3, 2).grad_fn.saved == {"x_shape": (2, 3)}
    views = (x.reshape(6), x.T, x[0], x[:, 1:], x.unsqueeze(0), x.expand(4, 2, 3))
    for y in (*views, x.sum(0), x.mean()):
        assert saved_arrays(y.grad_fn) == [], y.grad_fn


def test_what_no_derivative_reads_is_let_go(no_collector):
    x = leaf(np.ones((50, 50)))
    hidden = x * 2
    array = weakref.ref(hidden.array)
    y = hidden.exp()  # its derivative reads y, not hidden
    del hidden
    assert array() is None
    assert y.grad_fn.saved["y"] is y.array


def test_an_array_is_kept_once_however_many_entries_read_it():
    @mg.differentiable(a=lambda g, c: g * c, b=lambda g, a, c: g * a * c)
    def f(a, b, c):
        return a * b * c

    y = f(leaf(2.0), leaf(3.0), mg.tensor(4.0))
    assert list(y.grad_fn.saved) == ["c", "a"]


def test_an_op_under_no_grad_keeps_nothing(no_collector):
    x = leaf(np.ones((50, 50)))
    with mg.no_grad():
        hidden = x * 2
        array = weakref.ref(hidden.array)
        y = hidden * hidden
    assert y.grad_fn is None
    del hidden
    assert array() is None


def test_a_result_of_integers_is_not_recorded():
    x = leaf([1.5, 2.5])
    for y in (x.long(), x.bool(), x.to(np.uint8), x > 2, x.argmax()):
        assert not y.requires_grad
        assert y.grad_fn is None
    with pytest.raises(RuntimeError, match="does not require grad"):
        x.long().sum().backward()


# ------------------------------------------------------------------- the table of derivatives


def test_the_example_of_the_documentation_gives_what_it_says():
    @mg.differentiable(x=lambda g, x: g * 3 * x * x)
    def cube(x):
        return x * x * x

    x = mg.tensor(2.0, requires_grad=True)
    y = cube(x)
    assert repr(y) == "tensor(8., grad_fn=<CubeBackward>)"
    y.backward()
    assert repr(x.grad) == "tensor(12.)"


def test_an_op_called_on_arrays_returns_an_array():
    @mg.differentiable(x=lambda g, y: g * y)
    def power_of_e(x):
        return np.exp(x)

    array = np.array([0.0, 1.0])
    assert type(power_of_e(array)) is np.ndarray
    assert type(power_of_e(mg.tensor(array))) is mg.Tensor
    assert power_of_e.__name__ == "power_of_e"


@pytest.mark.parametrize("name", ["w", "w_shape", "Y", "x_shapes"])
def test_a_derivative_that_reads_what_the_op_does_not_have_is_refused_at_once(name):
    with pytest.raises(TypeError, match=rf"f has no argument '{name.removesuffix('_shape')}'"):
        exec(f"@mg.differentiable(x=lambda g, {name}: g)\ndef f(x, b): return x", {"mg": mg})


def test_a_derivative_of_what_the_op_does_not_have_is_refused_at_once():
    with pytest.raises(TypeError, match=r"f has no argument 'z': \['x', 'b'\]"):

        @mg.differentiable(z=lambda g: g)
        def f(x, b):
            return x


def test_an_argument_called_like_the_output_is_refused_at_once():
    # else y=lambda g, x: ... and x=lambda g, y: ... would read the output for the argument
    with pytest.raises(TypeError, match=r"\by\b"):

        @mg.differentiable(x=lambda g, y: g * y, y=lambda g, x: g * x)
        def product(x, y):
            return x * y


def test_a_derivative_can_read_the_output_an_argument_and_shapes():
    seen = {}

    def derivative(g, y, k, x_shape, y_shape, k_shape):
        seen.update(y=y, k=k, shapes=(x_shape, y_shape, k_shape))
        return g.sum() * np.ones(x_shape) * k

    @mg.differentiable(x=derivative)
    def total(x, k):
        return np.atleast_1d(k * x.sum())

    x = leaf(np.ones((2, 3)))
    y = total(x, 5.0)
    assert y.grad_fn.saved == {
        "y": y.array,
        "k": 5.0,
        "x_shape": (2, 3),
        "y_shape": (1,),
        "k_shape": (),
    }
    y.backward()
    assert seen == {"y": [30.0], "k": 5.0, "shapes": ((2, 3), (1,), ())}
    assert x.grad.tolist() == [[5.0] * 3] * 2


def test_a_derivative_is_called_with_what_the_graph_kept_in_the_order_it_names():
    def derivative(g, c, y, a):
        return g * (c == 30.0) * (a == 10.0) * (y == 6000.0)

    @mg.differentiable(b=derivative, a=lambda g, b, c: g * b * c)
    def f(a, b, c):
        return a * b * c

    a, b = leaf(10.0), leaf(20.0)
    f(a, b, 30.0).backward()
    assert (a.grad.item(), b.grad.item()) == (600.0, 1.0)


def test_a_gradient_of_the_wrong_shape_is_refused_by_name():
    @mg.differentiable(x=lambda g: g[:2])
    def shorten(x):
        return x * 1

    x = leaf([1.0, 2.0, 3.0])
    with pytest.raises(RuntimeError, match=r"ShortenBackward.*shape \(2,\).*shape \(3,\)"):
        shorten(x).sum().backward()
    assert x.grad is None


def test_an_argument_without_a_derivative_must_be_detached():
    x, condition = leaf([1.0, 2.0]), leaf([0.0, 1.0])
    with pytest.raises(TypeError, match="where has no derivative for condition: detach"):
        mg.where(condition, x, x)
    assert mg.where(condition.detach() > 0, x, x).requires_grad


def test_arguments_go_by_position_by_name_or_by_numpy_name():
    x = leaf(np.arange(6.0).reshape(2, 3))
    expected = x.array.sum(1, keepdims=True)
    calls = [
        mg.sum(x, 1, True),
        mg.sum(x, dim=1, keepdim=True),
        mg.sum(x, axis=1, keepdims=True),
        mg.sum(x=x, keepdims=True, dim=1),
    ]
    for y in calls:
        assert (y.array == expected).all()
        assert y.grad_fn is not None


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: ops.mul(x), r"mul\(\) missing 1 required positional argument: 'b'"),
        (lambda x: ops.mul(x, x, x), r"mul\(\) takes 2 positional arguments but 3 were given"),
        (lambda x: ops.exp(x, z=1), r"exp\(\) got an unexpected keyword argument 'z'"),
        (lambda x: ops.exp(x, y=1), r"exp\(\) got an unexpected keyword argument 'y'"),
        (lambda x: ops.sum(x, 0, dim=0), r"sum\(\) got multiple values for argument 'dim'"),
        (lambda x: ops.sum(x, 0, axis=0), r"sum\(\) got multiple values for argument 'dim'"),
        (lambda x: ops.softmax(x), r"softmax\(\) missing 1 required positional argument: 'dim'"),
    ],
)
def test_a_wrong_call_names_the_op(call, message):
    with pytest.raises(TypeError, match=message):
        call(leaf([1.0]))


def test_a_custom_op_is_differentiated_twice_like_any_other():
    @mg.differentiable(x=lambda g, y: g * (1 - y * y))
    def squash(x):
        return np.tanh(x)

    x, z = leaf(0.3), leaf(0.3)
    results = []
    for variable, function in ((x, squash), (z, mg.tanh)):
        (first,) = mg.grad(function(variable), variable, create_graph=True)
        (second,) = mg.grad(first, variable, create_graph=True)
        (third,) = mg.grad(second, variable)
        results.append([first.item(), second.item(), third.item()])
    assert results[0] == results[1]
    t = np.tanh(0.3)
    assert results[0][1] == pytest.approx(-2 * t * (1 - t * t), rel=1e-14)


def test_names_of_nodes_are_written_as_in_pytorch():
    x = leaf(np.ones((2, 2)))
    assert repr((x * 2).grad_fn) == "<MulBackward>"
    assert x.log_softmax(1).grad_fn.name() == "LogSoftmaxBackward"
    assert (x @ x).grad_fn.name() == "MatmulBackward"


# ------------------------------------------------------------------- twice through one graph


def test_a_second_backward_says_what_to_do():
    x = leaf(3.0)
    y = x * x
    y.backward()
    with pytest.raises(RuntimeError, match=DIFFERENTIATE_TWICE) as error:
        y.backward()
    assert "retain_graph=True" in str(error.value)
    assert "MulBackward" in str(error.value)
    assert x.grad.item() == 6.0
    with pytest.raises(RuntimeError, match=DIFFERENTIATE_TWICE):
        _ = y.grad_fn.saved


def test_a_second_backward_through_a_shared_part_raises_too():
    x = leaf(3.0)
    shared = x * x
    (shared + 1).backward()
    with pytest.raises(RuntimeError, match=DIFFERENTIATE_TWICE):
        (shared * 2).backward()


def test_retain_graph_allows_as_many_passes_as_asked():
    x = leaf(3.0)
    y = x * x
    for k in range(1, 4):
        y.backward(retain_graph=True)
        assert x.grad.item() == 6.0 * k
    y.backward()
    assert x.grad.item() == 24.0
    with pytest.raises(RuntimeError, match=DIFFERENTIATE_TWICE):
        y.backward()


def test_create_graph_retains_unless_told_otherwise():
    x = leaf(3.0)
    y = x * x
    mg.grad(y, x, create_graph=True)
    mg.grad(y, x, create_graph=True, retain_graph=False)
    with pytest.raises(RuntimeError, match=DIFFERENTIATE_TWICE):
        mg.grad(y, x)


def test_a_graph_that_keeps_nothing_may_be_walked_again():
    x = leaf(3.0)
    y = x + x - 1
    y.backward()
    y.backward()
    assert x.grad.item() == 4.0


# ------------------------------------------------------------------- memory


@pytest.mark.parametrize("retain", [False, True])
def test_saved_arrays_are_freed_as_the_walk_passes_them(retain, no_collector):
    alive = []

    @mg.differentiable(x=lambda g: alive.append(array() is not None) or g)
    def look(x):
        return x * 1

    x = leaf(np.ones((50, 50)))
    z = look(x).exp()  # what exp keeps is its output
    array = weakref.ref(z.array)
    loss = z.sum()
    del z
    loss.backward(retain_graph=retain)
    assert alive == [retain]
    assert (array() is not None) == retain


def test_a_large_intermediate_dies_with_the_loss(no_collector):
    x = leaf(np.ones((100, 100)))
    hidden = (x * 3).tanh()
    array, node = weakref.ref(hidden.array), weakref.ref(hidden.grad_fn)
    loss = (hidden * hidden).sum()
    del hidden
    assert array() is not None
    del loss
    assert array() is None
    assert node() is None


def test_the_graph_does_not_hold_intermediate_tensors(no_collector):
    x = leaf(np.ones(3))
    hidden = x * 3
    tensor = weakref.ref(hidden)
    loss = (hidden * hidden).sum()
    del hidden
    assert tensor() is None
    loss.backward()
    assert x.grad.tolist() == [18.0] * 3


def test_training_leaves_no_reference_cycles(no_collector):
    weight, bias = leaf(np.arange(12.0).reshape(3, 4) / 10), leaf(np.zeros(3))
    data = mg.tensor(np.arange(20.0).reshape(5, 4))

    def step():
        out = mg.linear(data, weight, bias)
        out *= 0.1
        out = out.relu_()
        loss = (out.softmax(1).log() ** 2).mean() + mg.cat([out, out]).std()
        loss.backward()
        (slope,) = mg.grad((weight**3).sum(), weight, create_graph=True)
        mg.grad((slope * slope).sum(), weight)
        with mg.no_grad():
            for p in (weight, bias):
                p -= 0.01 * p.grad
                p.grad = None

    step()  # plans are made at first use
    gc.collect()
    for _ in range(30):
        step()
    assert gc.collect() == 0


# ------------------------------------------------------------------- random programs

#: the same text runs in both libraries (m): each takes (2, 3) tensors, and gives one
PROGRAM_OPS = {
    "add": lambda m, a, b: a + b,
    "sub": lambda m, a, b: a - b,
    "neg": lambda m, a, b: -a,
    "mul": lambda m, a, b: a * b.tanh(),
    "div": lambda m, a, b: a / (b * b + 1),
    "rsub": lambda m, a, b: 1 - a,
    "rdiv": lambda m, a, b: 2 / (a * a + 1),
    "square": lambda m, a, b: a.tanh() ** 2,
    "cube": lambda m, a, b: a.tanh() ** 3,
    "pow": lambda m, a, b: (a.sigmoid() + 0.5) ** b.tanh(),
    "rpow": lambda m, a, b: 2 ** a.tanh(),
    "matmul": lambda m, a, b: (a @ b.T).tanh() @ b,
    "matvec": lambda m, a, b: (a @ b[0]).tanh().unsqueeze(1) * b,
    "maximum": lambda m, a, b: m.maximum(a, b),
    "minimum": lambda m, a, b: m.minimum(a, b),
    "where": lambda m, a, b: m.where(a > b, a, b * 2),
    "exp": lambda m, a, b: (-(a * a)).exp(),
    "expm1": lambda m, a, b: (-(a * a)).expm1(),
    "log": lambda m, a, b: (a * a + 1).log(),
    "log1p": lambda m, a, b: (a * a).log1p(),
    "sqrt": lambda m, a, b: (a * a + 1).sqrt(),
    "sin": lambda m, a, b: a.sin(),
    "cos": lambda m, a, b: a.cos(),
    "tanh": lambda m, a, b: a.tanh(),
    "sigmoid": lambda m, a, b: a.sigmoid(),
    "relu": lambda m, a, b: a.relu(),
    "abs": lambda m, a, b: a.abs(),
    "clamp": lambda m, a, b: a.clamp(-0.5, 0.7),
    "softmax": lambda m, a, b: a.softmax(1),
    "log_softmax": lambda m, a, b: a.log_softmax(0),
    "logsumexp": lambda m, a, b: b - a.logsumexp(1, keepdim=True),
    "sum": lambda m, a, b: a.sum(0) + b,
    "mean": lambda m, a, b: a.mean(1, keepdim=True) * b.tanh(),
    "var": lambda m, a, b: b / (1 + a.var(1, keepdim=True)),
    "amax": lambda m, a, b: a.amax(1, keepdim=True) + b,
    "amin": lambda m, a, b: b - a.amin(0),
    "transpose": lambda m, a, b: a.T.reshape(2, 3),
    "permute": lambda m, a, b: m.stack([a, b]).permute(1, 2, 0).sum(2),
    "row": lambda m, a, b: a[0] + b,
    "rows": lambda m, a, b: a[[1, 0]],
    "columns": lambda m, a, b: a[:, [2, 0, 0]],
    "mask": lambda m, a, b: a * (b > 0),
    "cat": lambda m, a, b: m.cat([a[:1], b[1:]]),
    "stack": lambda m, a, b: m.stack([a, b, a]).sum(0),
    "expand": lambda m, a, b: a[:, :1].expand(2, 3) - b,
    "squeeze": lambda m, a, b: a[:1].squeeze(0) + b,
    "clone": lambda m, a, b: a.clone(),
    "detach": lambda m, a, b: a.detach().tanh() * b,
    "iadd": lambda m, a, b: a.clone().add_(b),
    "imul": lambda m, a, b: a.clone().mul_(b.tanh()),
    "irelu": lambda m, a, b: a.clone().relu_(),
    "setitem": lambda m, a, b: assigned(a.clone(), b),
}


def assigned(a, b):
    a[0] = b[1]
    a[1, 1:] = 0.5
    return a


PROGRAMS = st.lists(
    st.tuples(st.sampled_from(sorted(PROGRAM_OPS)), st.integers(0, 9), st.integers(0, 9)),
    min_size=3,
    max_size=10,
)


def leaf_values(seed):
    rng = np.random.default_rng(seed)
    return [rng.uniform(-2, 2, shape) for shape in [(2, 3), (3,), (2, 1), (2, 3)]]


def run_program(m, program, leaves):
    """Return all tensors of the program; operands are counted from the newest backwards."""
    x, w, b, constant = leaves
    pool = [constant, b - constant, constant + w, x]
    for name, i, j in program:
        pool.append(PROGRAM_OPS[name](m, pool[-1 - i % len(pool)], pool[-1 - j % len(pool)]))
    return pool


def weighted_sum(tensors, make):
    """A scalar in which every element counts, each with another weight; 0 if nothing is tracked."""
    total = 0
    for k, t in enumerate(tensors):
        if t is None or not t.requires_grad:
            continue
        weights = np.cos(np.arange(t.numel()) + 7 * k).reshape(tuple(t.shape))
        total = total + (t * make(weights, False)).sum()
    return total


def first_and_second_gradients(m, program, values, make, differentiate):
    leaves = [make(v, i < 3) for i, v in enumerate(values)]
    loss = weighted_sum(run_program(m, program, leaves)[-2:], make)
    if isinstance(loss, int):
        return None
    first = differentiate(loss, leaves[:3])
    slope = weighted_sum(first, make)
    second = [None] * 3 if isinstance(slope, int) else differentiate(slope, leaves[:3])
    return [
        (make(np.zeros(v.shape), False) + (0 if g is None else g)).detach().numpy()
        for v, g in zip(values[:3] * 2, [*first, *second], strict=True)
    ]


@settings(max_examples=scaled(150))
@given(PROGRAMS, st.integers(0, 2**32 - 1))
def test_random_programs_have_pytorchs_first_and_second_gradients(program, seed):
    torch = pytest.importorskip("torch")
    values = leaf_values(seed)
    ours = first_and_second_gradients(
        mg,
        program,
        values,
        lambda v, needs: mg.tensor(v, requires_grad=needs),
        lambda y, xs: mg.grad(y, xs, create_graph=True, allow_unused=True),
    )
    theirs = first_and_second_gradients(
        torch,
        program,
        values,
        lambda v, needs: torch.tensor(v, requires_grad=needs),
        lambda y, xs: torch.autograd.grad(y, xs, create_graph=True, allow_unused=True),
    )
    assert (ours is None) == (theirs is None)
    for mine, reference in zip(ours or [], theirs or [], strict=True):
        np.testing.assert_allclose(mine, reference, rtol=1e-9, atol=1e-9)


@settings(max_examples=scaled(150))
@given(PROGRAMS, st.integers(0, 2**32 - 1), st.booleans())
def test_no_gradient_shares_memory_with_another_or_with_anything_of_the_graph(
    program, seed, create_graph
):
    leaves = [mg.tensor(v, requires_grad=i < 3) for i, v in enumerate(leaf_values(seed))]
    pool = run_program(mg, program, leaves)
    out = next((t for t in reversed(pool) if t.requires_grad), leaves[0])
    recorded = [t for t in pool if t.grad_fn is not None]
    seed_gradient = mg.ones_like(out)
    others = [t.array for t in (*pool, *leaves, seed_gradient)]
    others += [array for node in nodes_of(*pool) for array in saved_arrays(node)]

    results = list(
        mg.grad(
            out,
            [*leaves[:3], *recorded, leaves[0], out],
            seed_gradient,
            retain_graph=True,
            create_graph=create_graph,
            allow_unused=True,
        )
    )
    if create_graph:  # recorded gradients of one tensor asked for twice are one tensor
        results = list({id(r): r for r in results}.values())
    out.backward(seed_gradient, retain_graph=True, create_graph=create_graph)
    results += [t.grad for t in leaves[:3]]
    arrays = [r.array for r in results if r is not None]
    for i, mine in enumerate(arrays):
        assert mine.flags.writeable
        for other in arrays[:i] + others:
            assert not np.shares_memory(mine, other)

    before = [array.copy() for array in others]
    for array in arrays:
        array += 1
    for array, copy in zip(others, before, strict=True):
        np.testing.assert_array_equal(array, copy)


# ------------------------------------------------------------------- gradients that accumulate


def test_gradients_accumulate_until_they_are_reset():
    x = leaf([1.0, 2.0])
    (x * x).sum().backward()
    (x * 3).sum().backward()
    assert x.grad.tolist() == [5.0, 7.0]
    x.grad = None
    (x * x).sum().backward()
    assert x.grad.tolist() == [2.0, 4.0]


def test_intermediate_tensors_get_no_grad():
    x = leaf([1.0, 2.0])
    y = x * 2
    (y * y).sum().backward()
    assert y.grad is None
    assert x.grad.tolist() == [8.0, 16.0]


def test_accumulation_changes_neither_the_seed_nor_an_earlier_result_of_grad():
    x = leaf([1.0, 2.0])
    seed = mg.tensor([1.0, 1.0], dtype=mg.float64)
    (earlier,) = mg.grad(x + 0, x, seed)
    for _ in range(3):
        (x + 0).backward(seed)
    assert x.grad.tolist() == [3.0, 3.0]
    assert seed.tolist() == earlier.tolist() == [1.0, 1.0]


def test_a_gradient_that_was_recorded_can_be_accumulated_onto():
    x = leaf(2.0)
    (x**3).backward(create_graph=True)
    assert x.grad.grad_fn is not None
    first = x.grad
    (x**3).backward(create_graph=True)
    assert (first.item(), x.grad.item()) == (12.0, 24.0)
    (second,) = mg.grad(x.grad, x)
    assert second.item() == 24.0


def test_a_derivative_may_return_what_it_was_given():
    constant = np.array([3.0, 4.0])

    @mg.differentiable(a=lambda g, c: c, b=lambda g, c: c, x=lambda g, y: y)
    def f(x, a, b, c):
        return x * 1

    x, a, b = leaf([1.0, 2.0]), leaf([1.0, 2.0]), leaf([1.0, 2.0])
    y = f(x, a, b, constant)
    y.sum().backward()
    arrays = [x.grad.array, a.grad.array, b.grad.array, constant, y.array]
    for i, array in enumerate(arrays):
        for other in arrays[:i]:
            assert not np.shares_memory(array, other)
    assert a.grad.tolist() == b.grad.tolist() == [3.0, 4.0]


def test_what_a_derivative_computes_afresh_becomes_the_leafs_gradient_without_a_copy():
    made = []

    @mg.differentiable(a=lambda g, b: made.append(g * b) or made[-1])
    def times(a, b):
        return a * b

    x = leaf([1.0, 2.0])
    times(x, np.array([3.0, 4.0])).sum().backward()
    assert x.grad.array is made[0]


@pytest.mark.parametrize("create_graph", [False, True])
def test_the_gradient_of_a_leaf_with_respect_to_itself_is_a_copy_of_the_seed(create_graph):
    x, seed = leaf([1.0, 2.0]), mg.tensor([5.0, 7.0], dtype=mg.float64)
    (dx,) = mg.grad(x, x, seed, create_graph=create_graph)
    x.backward(seed, create_graph=create_graph)
    for g in (dx, x.grad):
        assert g.tolist() == [5.0, 7.0]
        assert not np.shares_memory(g.array, seed.array)
    x.grad.detach().zero_()
    assert seed.tolist() == dx.tolist() == [5.0, 7.0]


def test_an_array_that_the_user_holds_is_no_part_of_the_gradient():
    data = np.array([1.0, 2.0])
    x = mg.from_numpy(data).requires_grad_()
    (x * x).sum().backward()
    x.grad.zero_()
    assert data.tolist() == [1.0, 2.0]


# ------------------------------------------------------------------- backward's arguments


def test_backward_starts_from_the_gradient_it_is_given():
    x = leaf([1.0, 2.0, 3.0])
    (x * x).backward(mg.tensor([1.0, 10.0, 100.0], dtype=mg.float64))
    assert x.grad.tolist() == [2.0, 40.0, 600.0]


def test_backward_needs_no_gradient_for_one_element_of_any_shape():
    x = leaf([[3.0]])
    (x * x).backward()
    assert x.grad.tolist() == [[6.0]]


def test_backward_refuses_a_gradient_of_another_shape():
    x = leaf([1.0, 2.0])
    with pytest.raises(RuntimeError, match=r"gradient has a shape of \(3,\) .* shape of \(2,\)"):
        (x * x).backward(mg.ones(3, dtype=mg.float64))
    with pytest.raises(RuntimeError, match="Mismatch in shape"):
        (x * x).backward(mg.ones(1, dtype=mg.float64))
    with pytest.raises(RuntimeError, match=r"scalar outputs; this one has shape \(2,\)"):
        (x * x).backward()
    assert x.grad is None


@pytest.mark.parametrize("seed", [np.ones(2), [1.0, 1.0], 1.0])
def test_backward_refuses_a_gradient_that_is_no_tensor(seed):
    x = leaf([1.0, 2.0])
    with pytest.raises(TypeError, match="gradients can be either Tensors or None, but got"):
        (x * x).backward(seed)


def test_backward_refuses_what_does_not_require_grad():
    for y in (mg.ones(1), leaf(1.0).detach(), leaf(1.0) > 0):
        with pytest.raises(RuntimeError, match="does not require grad and does not have a grad_fn"):
            y.backward()


@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
def test_gradients_have_the_leafs_dtype_whatever_that_of_the_seed(dtype, create_graph):
    x = leaf([1.0, 2.0], np.float32)
    for y in (x, x * x, x.double()):
        x.grad = None
        y.backward(mg.ones(2, dtype=dtype), create_graph=create_graph)
        assert x.grad.dtype == np.float32


@pytest.mark.parametrize("create_graph", [False, True])
def test_a_failing_backward_leaves_every_grad_untouched(create_graph):
    x, late = leaf([1.0, 2.0]), leaf([5.0, 6.0])
    late.grad = before = mg.tensor([7.0, 7.0], dtype=mg.float64)
    early = x * x  # the oldest node, so the walk reaches it last
    loss = (early + late * 2).sum()
    with mg.no_grad():
        x.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward(create_graph=create_graph)
    assert x.grad is None
    assert late.grad is before
    assert before.tolist() == [7.0, 7.0]
    assert mg.is_grad_enabled()


def test_a_derivative_that_raises_leaves_every_grad_and_the_mode_untouched():
    def fail(g):
        raise ZeroDivisionError

    @mg.differentiable(x=fail)
    def f(x):
        return x * 1

    x, other = leaf(1.0), leaf(2.0)
    for create_graph in (False, True):
        with pytest.raises(ZeroDivisionError):
            (f(x) + other).backward(create_graph=create_graph)
        assert x.grad is None
        assert other.grad is None
        assert mg.is_grad_enabled()


# ------------------------------------------------------------------- grad()


def test_grad_touches_no_grad():
    x = leaf([1.0, 2.0])
    (dx,) = mg.grad((x * x).sum(), x)
    assert dx.tolist() == [2.0, 4.0]
    assert x.grad is None
    assert dx.is_leaf
    assert not dx.requires_grad


def test_grad_takes_intermediate_results_as_inputs():
    x = leaf([1.0, 2.0])
    h = x * 3
    y = (h * h).sum()
    dh, dx = mg.grad(y, [h, x], retain_graph=True)
    assert dh.tolist() == [6.0, 12.0]
    assert dx.tolist() == [18.0, 36.0]
    (only,) = mg.grad(y, h)
    assert only.tolist() == [6.0, 12.0]


def test_an_output_is_an_input_like_any_other():
    x = leaf([1.0, 2.0])
    y = x * 3
    seed = mg.tensor([5.0, 7.0], dtype=mg.float64)
    dy, dx = mg.grad(y, [y, x], seed)
    assert dy.tolist() == [5.0, 7.0]
    assert dx.tolist() == [15.0, 21.0]
    (itself,) = mg.grad(x, x, seed)
    assert itself.tolist() == [5.0, 7.0]


def test_gradients_of_several_outputs_add_up():
    x = leaf([1.0, 2.0])
    square, cube = x * x, (x**3).sum()
    seed = mg.tensor([10.0, 100.0], dtype=mg.float64)
    (dx,) = mg.grad([square, cube], x, [seed, None], retain_graph=True)
    assert dx.tolist() == [23.0, 412.0]
    (twice,) = mg.grad([cube, cube], x, retain_graph=True)
    assert twice.tolist() == [6.0, 24.0]
    (nested,) = mg.grad([square, (square * 2).sum()], x, [seed, None])
    assert nested.tolist() == [24.0, 408.0]


def test_one_grad_output_serves_all_outputs():
    x = leaf([1.0, 2.0])
    seed = mg.tensor([1.0, 10.0], dtype=mg.float64)
    (dx,) = mg.grad([x * 2, x * 3], x, seed)
    assert dx.tolist() == [5.0, 50.0]


def test_as_many_grad_outputs_as_outputs_are_needed():
    x = leaf([1.0, 2.0])
    with pytest.raises(RuntimeError, match="1 outputs and 2 grad_outputs"):
        mg.grad([x.sum()], x, [None, None])
    with pytest.raises(RuntimeError, match="Mismatch in shape"):
        mg.grad(x * 2, x, mg.ones(3))


def test_an_unused_input_is_an_error_unless_allowed():
    x, unused = leaf([1.0, 2.0]), leaf(1.0)
    y = (x * x).sum()
    with pytest.raises(RuntimeError, match=r"not have been used in the graph.*allow_unused=True"):
        mg.grad(y, [x, unused], retain_graph=True)
    for create_graph in (True, False):
        dx, nothing = mg.grad(y, [x, unused], create_graph=create_graph, allow_unused=True)
        assert dx.tolist() == [2.0, 4.0]
        assert nothing is None


def test_an_input_that_does_not_require_grad_is_an_error():
    x = leaf([1.0, 2.0])
    with pytest.raises(RuntimeError, match="differentiated Tensors does not require grad"):
        mg.grad(x.sum(), x.detach())
    with pytest.raises(RuntimeError, match="does not require grad and does not have a grad_fn"):
        mg.grad(x.detach().sum(), x)


def test_grad_computes_only_what_lies_between_inputs_and_outputs():
    product, calls = counted_product()
    pruned = []

    @mg.differentiable(x=lambda g: pruned.append(1) or g)
    def aside(x):
        return x * 1

    a, b = leaf(2.0), leaf(3.0)
    h = product(aside(a), b)
    y = h * h
    mg.grad(y, h, retain_graph=True)  # stops at h
    assert calls == {"a": 0, "b": 0}
    assert mg.grad(y, b)[0].item() == 2 * 6 * 2
    assert calls == {"a": 0, "b": 1}
    assert pruned == []


def test_grad_frees_only_what_it_walks_through():
    x = leaf(3.0)
    h = x * x
    y = h * h
    assert mg.grad(y, h)[0].item() == 18.0
    h.backward()  # below h nothing was touched
    assert x.grad.item() == 6.0
    with pytest.raises(RuntimeError, match=DIFFERENTIATE_TWICE):
        mg.grad(y, h)


def test_an_input_named_thrice_gets_three_gradients_of_their_own():
    x = leaf([1.0, 2.0])
    found = mg.grad((x * x).sum(), [x, x, x])
    for i, g in enumerate(found):
        assert g.tolist() == [2.0, 4.0]
        assert not any(np.shares_memory(g.array, other.array) for other in found[:i])


# ------------------------------------------------------------------- higher order

SMOOTH = {
    "sin times exp": lambda m, x: x.sin() * x.exp(),
    "cos": lambda m, x: (x * x).cos(),
    "power": lambda m, x: x**5 + x**2 + x**1,
    "fractional power": lambda m, x: x**-1.5,
    "exponential": lambda m, x: 2**x + x**x,
    "quotient": lambda m, x: (x + 1) / (x * x + 2),
    "log": lambda m, x: x.log() * x.log1p() + x.expm1(),
    "sqrt": lambda m, x: x.sqrt() * x,
    "tanh and sigmoid": lambda m, x: x.tanh() * x.sigmoid(),
    "softmax": lambda m, x: x.softmax(1) * x,
    "log_softmax": lambda m, x: x.log_softmax(1) * x,
    "logsumexp": lambda m, x: x.logsumexp(1) ** 2,
    "matmul": lambda m, x: (x @ x.T) @ x,
    "vectors": lambda m, x: (x[0] @ x[1]) ** 3 * x,
    "var": lambda m, x: x.var(1) ** 2 + x.std(1),
    "mean": lambda m, x: x.mean(0, keepdim=True) ** 3 * x,
    "index": lambda m, x: x[:, [0, 0, 2]] ** 3 * x[[1, 0]],
    "cat": lambda m, x: m.cat([x**3, x * x]) ** 2,
    "in place": lambda m, x: assigned(x**3, x * x) * x,
    "product in place": lambda m, x: (x * x).mul_(x.exp()).add_(x) ** 2,
}


@pytest.mark.parametrize("function", SMOOTH.values(), ids=SMOOTH.keys())
def test_derivatives_to_third_order_are_pytorchs(function):
    torch = pytest.importorskip("torch")
    values = np.random.default_rng(5).uniform(0.5, 1.5, (2, 3))

    def derivatives(m, make, differentiate):
        x = make(values, True)
        y, orders = function(m, x), []
        for _ in range(3):
            y = differentiate(weighted_sum([y], make), x)[0]
            orders.append(y.detach().numpy())
        return orders

    ours = derivatives(
        mg,
        lambda v, needs: mg.tensor(v, requires_grad=needs),
        lambda y, x: mg.grad(y, x, create_graph=True),
    )
    theirs = derivatives(
        torch,
        lambda v, needs: torch.tensor(v, requires_grad=needs),
        lambda y, x: torch.autograd.grad(y, x, create_graph=True),
    )
    for mine, reference in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(mine, reference, rtol=1e-10, atol=1e-10)


def test_a_hessian_is_symmetric_and_that_of_the_formula():
    x = leaf([1.0, 2.0, 3.0])
    (slope,) = mg.grad(x[0] * x[1] ** 2 * x[2] ** 3, x, create_graph=True)
    rows = [mg.grad(slope[i], x, retain_graph=True)[0].tolist() for i in range(3)]
    a, b, c = 1.0, 2.0, 3.0
    assert rows == [
        [0, 2 * b * c**3, 3 * b**2 * c**2],
        [2 * b * c**3, 2 * a * c**3, 6 * a * b * c**2],
        [3 * b**2 * c**2, 6 * a * b * c**2, 6 * a * b**2 * c],
    ]


def test_without_create_graph_a_gradient_has_no_history():
    x = leaf(3.0)
    (dx,) = mg.grad(x**3, x)
    assert dx.grad_fn is None
    x.grad = None
    (x**3).backward()
    assert x.grad.grad_fn is None
    assert not x.grad.requires_grad


def test_a_gradient_penalty_trains_the_weight():
    # d/dw of (d/dx of w·x²)² = (2wx)²: 8wx²
    x, w = leaf(3.0), leaf(5.0)
    (dx,) = mg.grad(w * x * x, x, create_graph=True)
    (dx * dx).backward()
    assert w.grad.item() == 8 * 5 * 9


def test_backward_with_create_graph_records_through_the_seed():
    x, seed = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    (dx,) = mg.grad(x * x, x, seed, create_graph=True)
    (dseed,) = mg.grad(dx.sum(), seed)
    assert dseed.tolist() == [2.0, 4.0]


def test_a_walk_that_is_recorded_notices_a_change_in_place():
    x = leaf([1.0, 2.0])
    h = x * 1
    y = h * h
    h.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        mg.grad(y.sum(), x, create_graph=True)


# ------------------------------------------------------------------- recording on and off


def recorded():
    return (leaf(1.0) * 2).requires_grad


def test_no_grad_and_enable_grad_nest():
    assert recorded()
    with mg.no_grad():
        assert not recorded()
        assert not mg.is_grad_enabled()
        with mg.enable_grad():
            assert recorded()
            with mg.no_grad():
                assert not recorded()
            assert recorded()
        assert not recorded()
    assert recorded()


def test_set_grad_enabled_gives_every_mode_around_it_back():
    with mg.no_grad():
        with mg.enable_grad():
            with mg.set_grad_enabled(False):
                assert not recorded()
            assert recorded()
            assert not mg.set_grad_enabled(False)(recorded)()
            assert recorded()
        assert not recorded()
    assert recorded()


def test_set_grad_enabled_acts_at_once_and_until_the_block_ends():
    switch = mg.set_grad_enabled(False)
    assert not recorded()
    with switch:
        assert not recorded()
    assert recorded()
    with mg.set_grad_enabled(False):
        with mg.set_grad_enabled(True):
            assert recorded()
        assert not recorded()
    assert recorded()
    mg.set_grad_enabled(False)
    assert not recorded()
    mg.set_grad_enabled(True)
    assert recorded()


@pytest.mark.parametrize(
    ("make", "inside"),
    [
        (mg.no_grad, False),
        (mg.enable_grad, True),
        (lambda: mg.set_grad_enabled(False), False),
        (lambda: mg.set_grad_enabled(True), True),
    ],
    ids=["no_grad", "enable_grad", "set False", "set True"],
)
@pytest.mark.parametrize("outside", [True, False])
def test_as_a_decorator_the_mode_holds_inside_the_function_only(make, inside, outside):
    with mg.set_grad_enabled(outside):

        @make()
        def function(x, *, y):
            """Say so."""
            return recorded(), x, y

        assert recorded() == outside
        assert function(1, y=2) == (inside, 1, 2)
        assert recorded() == outside
    assert function.__name__ == "function"
    assert function.__doc__ == "Say so."


def test_a_decorated_function_may_call_itself():
    @mg.no_grad()
    def down(n):
        assert not recorded()
        if n:
            down(n - 1)
        assert not recorded()
        return n

    assert down(5) == 5
    assert recorded()
    with mg.no_grad():
        down(2)
        assert not recorded()


@pytest.mark.parametrize("make", [mg.no_grad, mg.enable_grad])
def test_one_object_may_be_entered_within_itself(make):
    mode, opposite = make(), {mg.no_grad: mg.enable_grad, mg.enable_grad: mg.no_grad}[make]()
    inside = make is mg.enable_grad
    for outside in (True, False):
        with mg.set_grad_enabled(outside):
            with mode:
                with opposite, mode:
                    assert recorded() == inside
                assert recorded() == inside
            assert recorded() == outside


def test_the_mode_is_restored_by_an_exception():
    class BrokenError(Exception):
        pass

    @mg.no_grad()
    def fail():
        raise BrokenError

    for make in (mg.no_grad, lambda: mg.set_grad_enabled(False)):
        with pytest.raises(BrokenError), make():
            raise BrokenError
        assert recorded()
    with pytest.raises(BrokenError):
        fail()
    assert recorded()


def in_thread(function):
    results = []
    thread = threading.Thread(target=lambda: results.append(function()))
    thread.start()
    thread.join(timeout=30)
    return results[0]


def test_each_thread_has_its_own_mode():
    with mg.no_grad():
        assert in_thread(recorded)
        assert not recorded()
    in_thread(lambda: mg.set_grad_enabled(False) and None)
    assert recorded()


def test_a_decorated_function_may_run_in_two_threads_at_once():
    first_is_in, second_is_in, first_is_out = (threading.Event() for _ in range(3))

    @mg.no_grad()
    def work(entered, leave):
        entered.set()
        assert leave.wait(timeout=30)
        return recorded()

    seen = []

    def first():  # enters with recording on, and leaves while the second is still inside
        seen.append(work(first_is_in, second_is_in))
        seen.append(recorded())
        first_is_out.set()

    def second():
        assert first_is_in.wait(timeout=30)
        with mg.no_grad():
            work(second_is_in, first_is_out)
            return recorded()

    thread = threading.Thread(target=first)
    thread.start()
    assert in_thread(second) is False
    thread.join(timeout=30)
    assert seen == [False, True]


def test_graphs_built_in_two_threads_meet_in_one_walk():
    x = leaf(3.0)
    squares = [in_thread(lambda: x * x) for _ in range(2)]
    (squares[0] + squares[1]).backward()
    assert x.grad.item() == 12.0


def test_backward_works_where_recording_is_off():
    x = leaf(3.0)
    y = x * x
    with mg.no_grad():
        y.backward(retain_graph=True)
        assert not mg.is_grad_enabled()
        assert x.grad.item() == 6.0
        (dx,) = mg.grad(y, x, create_graph=True)
        assert not mg.is_grad_enabled()
    assert dx.grad_fn is not None
    assert mg.grad(dx, x)[0].item() == 2.0


def test_the_walk_itself_is_recorded_only_if_asked():
    modes = []

    @mg.differentiable(x=lambda g: modes.append(mg.is_grad_enabled()) or g)
    def look(x):
        return x * 1

    x = leaf(1.0)
    for create_graph in (False, True):
        look(x).backward(create_graph=create_graph)
    assert modes == [False, True]


# ------------------------------------------------------------------- shapes and dtypes of gradients

FLOATS = [np.float16, np.float32, np.float64]


@pytest.mark.parametrize("left", FLOATS)
@pytest.mark.parametrize("right", FLOATS)
@pytest.mark.parametrize("create_graph", [False, True])
def test_a_leafs_gradient_has_the_leafs_dtype_after_promotion(left, right, create_graph):
    a, b = leaf([1.0, 2.0], left), leaf([3.0, 5.0], right)
    y = a * b
    assert y.dtype == np.promote_types(left, right)
    y.sum().backward(create_graph=create_graph)
    assert (a.grad.dtype, b.grad.dtype) == (left, right)
    assert a.grad.tolist() == [3.0, 5.0]
    assert b.grad.tolist() == [1.0, 2.0]


@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.parametrize(
    ("a_shape", "b_shape"),
    [
        ((2, 3), (3,)),
        ((2, 3), (1, 3)),
        ((2, 3), (2, 1)),
        ((2, 3), ()),
        ((2, 3), (1, 1)),
        ((2, 1), (1, 3)),
        ((4, 1, 3), (2, 1)),
        ((1,), (2, 3)),
        ((1, 1, 1), ()),
        ((0, 3), (1, 3)),
        ((2, 0), (1,)),
        ((1, 3), (0, 3)),
    ],
)
def test_a_leafs_gradient_has_the_leafs_shape(a_shape, b_shape, create_graph):
    a, b = leaf(np.full(a_shape, 2.0)), leaf(np.full(b_shape, 3.0))
    y = a * b
    y.sum().backward(create_graph=create_graph)
    for mine, factor in ((a, 3.0), (b, 2.0)):
        copies = y.numel() // mine.numel() if mine.numel() else 0
        assert mine.grad.shape == mine.shape
        assert (mine.grad.array == factor * copies).all()


def test_python_and_numpy_scalars_do_not_promote():
    x = leaf([1.0, 2.0], np.float32)
    for scalar in (2, 2.0, np.float64(2), np.int64(2), np.float32(2)):
        for y in (x * scalar, scalar * x, x / scalar, x**scalar, scalar - x):
            assert y.dtype == np.float32, (type(scalar), y)
    half = leaf([1.0, 2.0], np.float16)
    assert (half * np.float64(2)).dtype == np.float16


def test_float64_appears_only_if_it_came_in():
    whole = mg.tensor([1, 2, 3])
    assert (whole / 2).dtype == np.float32
    assert (whole * 0.5).dtype == np.float32
    assert (mg.ones(3) * whole).dtype == np.float32
    assert whole.float().var().dtype == np.float32
    assert (whole * mg.ones(3, dtype=np.float64)).dtype == np.float64
    for target in (np.float64, float, "float64", "f8", np.dtype(np.float64)):
        assert mg.cast(mg.ones(3), target).dtype == np.float64, target


def test_a_gradient_flows_back_through_a_cast_in_the_dtype_it_came_from():
    x = leaf([1.0, 2.0], np.float32)
    y = (x.double() ** 2).half()
    assert y.dtype == np.float16
    y.sum().backward()
    assert x.grad.dtype == np.float32
    assert x.grad.tolist() == [2.0, 4.0]


def of_a_shared_leaf(x, create_graph):
    return mg.grad(((x + 1) ** 2).sum(), x, create_graph=create_graph)


def of_an_input_named_twice(x, create_graph):
    return mg.grad((x**3).sum(), [x, x], create_graph=create_graph)


def added_to_a_gradient(x, create_graph):
    (x**3).sum().backward(create_graph=True)
    (x**3).sum().backward(create_graph=create_graph)
    return [x.grad]


@pytest.mark.parametrize("create_graph", [True, False])
@pytest.mark.parametrize(
    "gradients", [of_a_shared_leaf, of_an_input_named_twice, added_to_a_gradient]
)
def test_create_graph_says_if_gradients_are_recorded(gradients, create_graph, monkeypatch):
    walks = {"grad": mg.grad, "backward": mg.Tensor.backward}
    found = []
    for mode in (mg.enable_grad, mg.no_grad):
        with monkeypatch.context() as patch:
            patch.setattr(mg, "grad", mode()(walks["grad"]))
            patch.setattr(mg.Tensor, "backward", mode()(walks["backward"]))
            found.append([g.requires_grad for g in gradients(leaf([1.0, 2.0]), create_graph)])
    assert found[0] == found[1]
    assert all(found[0]) or not create_graph


def test_an_output_may_depend_on_another_that_is_wanted_too():
    x = leaf(2.0)
    z = x * x
    y = z * x
    dx, dz = mg.grad([y, z], [x, z])
    assert (dx.item(), dz.item()) == (3 * 4 + 2 * 2, 2 + 1)


def test_a_node_whose_formula_raises_keeps_what_it_had_and_touches_no_gradient():
    calls = []

    def fails_at_first(g, a):
        calls.append(g)
        if len(calls) == 1:
            raise ArithmeticError("once")
        return g * a

    @mg.differentiable(a=lambda g, b: g * b, b=fails_at_first)
    def product(a, b):
        return a * b

    a, b = leaf([2.0]), leaf([3.0])
    y = product(a, b)
    with pytest.raises(ArithmeticError, match="once"):
        y.backward()
    assert (a.grad, b.grad) == (None, None)
    y.backward()
    assert (a.grad.item(), b.grad.item()) == (3, 2)


def test_many_tensors_are_joined_by_one_op():
    tensors = [leaf([float(i)]) for i in range(20_000)]
    y = mg.cat(tensors)
    assert len(y.grad_fn.parents) == 20_000
    (y * mg.tensor(np.arange(20_000.0))).sum().backward()
    assert [t.grad.item() for t in tensors] == list(range(20_000))
    assert mg.stack([leaf([1.0, 2.0])] * 15_000).shape == (15_000, 2)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [([], "'inputs' argument"), ([mg.ones(2)], "does not require grad")],
    ids=["none", "a constant"],
)
def test_backward_refuses_inputs_that_cannot_get_a_gradient(inputs, message):
    x = mg.ones(2, requires_grad=True)
    with pytest.raises(RuntimeError, match=message):
        mg.autograd.backward((x * x).sum(), inputs=inputs)
    assert x.grad is None
