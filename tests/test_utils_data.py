"""Data sets and loaders: what is covered, in which order, and what is refused."""

from __future__ import annotations

import io
from collections import namedtuple
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad as mg
from minigrad.utils.data import (
    DataLoader,
    Dataset,
    Subset,
    TensorDataset,
    default_collate,
    gather_scaled,
    random_split,
)
from tests.reference import scaled

examples = settings(max_examples=scaled(60))
sizes = st.integers(0, 40)
batch_sizes = st.integers(1, 12)


def counting(n: int) -> TensorDataset:
    """Return n examples (i, [10 i, 10 i + 1])."""
    return TensorDataset(mg.arange(n), mg.tensor([[10 * i, 10 * i + 1] for i in range(n)]))


def numbers(loader: DataLoader) -> list[int]:
    """Return the examples of one loop in the order in which they came."""
    return [i for batch in loader for i in batch[0].tolist()]


# ------------------------------------------------------------------------- TensorDataset


def test_a_data_set_is_as_long_as_its_tensors_and_cuts_all_of_them_alike() -> None:
    data = counting(5)
    assert len(data) == 5
    i, x = data[3]
    assert (i.item(), x.tolist()) == (3, [30, 31])
    for index in np.array([4, 0, 4]), [4, 0, 4], mg.tensor([4, 0, 4]):
        i, x = data[index]
        assert i.tolist() == [4, 0, 4]
        assert x.tolist() == [[40, 41], [0, 1], [40, 41]]
    assert data[1:3][0].tolist() == [1, 2]
    assert data.tensors[0].tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("shapes", "message"), [(((3, 2), (4,)), r"\[\(3, 2\), \(4,\)\]"), ((), r"\[\]")]
)
def test_tensors_of_different_lengths_are_refused_with_their_shapes(
    shapes: Any, message: str
) -> None:
    with pytest.raises(ValueError, match=f"Size mismatch between tensors: {message}"):
        TensorDataset(*[mg.ones(shape) for shape in shapes])


def test_a_data_set_may_be_one_tensor_and_is_moved_as_a_whole() -> None:
    data = TensorDataset(mg.arange(3))
    assert len(data) == 3
    assert data.device == mg.device("cpu")
    assert [t.tolist() for t in counting(2).to("cpu").tensors] == [[0, 1], [[0, 1], [10, 11]]]


def test_bytes_are_gathered_and_divided_in_float32() -> None:
    found = gather_scaled(np.array([[0], [255], [51]], np.uint8), np.array([2, 1]), 255)
    assert found.dtype == np.float32
    assert found.tolist() == [[np.float32(51) / np.float32(255)], [1.0]]


# ------------------------------------------------------------------------- DataLoader


@examples
@given(n=sizes, batch_size=batch_sizes, shuffle=st.booleans(), drop_last=st.booleans())
def test_a_loop_covers_every_example_once_in_full_batches_and_a_rest(
    n: int, batch_size: int, shuffle: bool, drop_last: bool
) -> None:
    loader = DataLoader(counting(n), batch_size, shuffle, drop_last, mg.Generator(0))
    batches = list(loader)
    lengths = [len(batch[0]) for batch in batches]
    whole, rest = divmod(n, batch_size)
    assert lengths == [batch_size] * whole + [rest] * (rest > 0 and not drop_last)
    assert len(loader) == len(batches)
    seen = [i for batch in batches for i in batch[0].tolist()]
    assert len(set(seen)) == sum(lengths)
    assert set(seen) <= set(range(n))
    if not shuffle:
        assert seen == list(range(sum(lengths)))


def test_a_batch_keeps_examples_together_across_tensors() -> None:
    for i, x in DataLoader(counting(20), 3, shuffle=True, generator=mg.Generator(1)):
        assert x.tolist() == [[10 * k, 10 * k + 1] for k in i.tolist()]


@examples
@given(n=sizes, batch_size=batch_sizes, seed=st.integers(0, 2**64 - 1))
def test_the_order_is_a_function_of_the_seed_and_not_of_the_batch_size(
    n: int, batch_size: int, seed: int
) -> None:
    orders = [
        numbers(DataLoader(counting(n), size, shuffle=True, generator=mg.Generator(seed)))
        for size in (batch_size, batch_size, 7)
    ]
    assert orders[0] == orders[1] == orders[2]
    assert sorted(orders[0]) == list(range(n))


def test_each_loop_has_a_new_order_and_takes_one_draw_from_its_generator() -> None:
    generator, beside = mg.Generator(0), mg.Generator(0)
    loader = DataLoader(counting(50), 8, shuffle=True, generator=generator)
    orders = []
    for _ in range(3):
        orders.append(numbers(loader))
        assert orders[-1] == mg.randperm(50, generator=beside).tolist()
        assert generator.get_state() == beside.get_state()
    assert len({tuple(order) for order in orders}) == 3
    assert list(range(50)) not in orders


@mg.fork_rng()
def test_orders_come_from_the_default_generator_unless_another_is_given() -> None:
    default = mg.manual_seed(4)
    own = numbers(DataLoader(counting(30), shuffle=True, generator=mg.Generator(4)))
    assert default.get_state() == (4, 0, 0)
    assert numbers(DataLoader(counting(30), shuffle=True)) == own
    assert default.get_state() != (4, 0, 0)


def test_a_loop_in_order_draws_nothing() -> None:
    generator = mg.Generator(0)
    before = generator.get_state(), mg.random.get_rng_state()
    assert numbers(DataLoader(counting(9), 4, generator=generator)) == list(range(9))
    assert numbers(DataLoader(counting(9), 4)) == list(range(9))
    assert (generator.get_state(), mg.random.get_rng_state()) == before


def test_two_loops_over_one_loader_may_run_at_the_same_time() -> None:
    loader = DataLoader(counting(6), 2, shuffle=True, generator=mg.Generator(0))
    pairs = [(a[0].tolist(), b[0].tolist()) for a, b in zip(loader, loader, strict=True)]
    for loop in zip(*pairs, strict=True):
        assert sorted(i for batch in loop for i in batch) == list(range(6))


def test_in_order_returns_a_loader_of_everything_that_does_not_shuffle() -> None:
    loader = DataLoader(counting(11), 4, shuffle=True, drop_last=True, generator=mg.Generator(0))
    before = loader.generator.get_state()
    plain = loader.in_order()
    assert [len(batch[0]) for batch in plain] == [4, 4, 3]
    assert numbers(plain) == list(range(11))
    assert loader.generator.get_state() == before
    assert len(numbers(loader)) == 8


@pytest.mark.parametrize("batch_size", [0, -1, 2.0, "3", None, True])
def test_a_batch_size_that_is_no_positive_integer_is_refused(batch_size: Any) -> None:
    with pytest.raises(ValueError, match=f"positive integer value, got {batch_size!r}"):
        DataLoader(counting(3), batch_size)


@pytest.mark.parametrize("batch_size", [np.int64(2), np.uint8(2)])
def test_a_batch_size_may_be_numpys_integer(batch_size: Any) -> None:
    assert [len(batch[0]) for batch in DataLoader(counting(3), batch_size)] == [2, 1]


def test_a_loader_asks_the_data_set_for_a_whole_batch_at_once() -> None:
    asked = []

    class Squares:
        gathers = True

        def __len__(self) -> int:
            return 5

        def __getitem__(self, index: Any) -> tuple[mg.Tensor, ...]:
            asked.append(index)
            return (mg.from_numpy(index**2),)

    assert numbers(DataLoader(Squares(), 3)) == [0, 1, 4, 9, 16]
    assert [index.tolist() for index in asked] == [[0, 1, 2], [3, 4]]
    assert {index.dtype for index in asked} == {np.dtype(np.int64)}


def test_batches_are_copies_that_can_be_changed_without_changing_the_data() -> None:
    data = counting(4)
    for batch in DataLoader(data, 2):
        batch[1].fill_(-1)
    assert data.tensors[1].tolist() == [[0, 1], [10, 11], [20, 21], [30, 31]]


# ------------------------------------------------------------------------- examples one by one

Point = namedtuple("Point", "x y")


def as_lists(batch: Any) -> Any:
    """Return a batch with its tensors as (dtype, list), to be compared across frameworks."""
    if hasattr(batch, "tolist"):
        return str(batch.dtype).rpartition(".")[2], batch.tolist()
    if isinstance(batch, dict):
        return {key: as_lists(value) for key, value in batch.items()}
    if isinstance(batch, list | tuple):
        return type(batch).__name__, [as_lists(value) for value in batch]
    return batch


def examples_of(m: Any) -> dict[str, list[Any]]:
    return {
        "integers": [1, 2, 3],
        "floats": [1.5, 2.5, 3.5],
        "booleans": [True, False, True],
        "strings": ["a", "b", "c"],
        "bytes": [b"a", b"b", b"c"],
        "tensors": [m.ones(2), m.zeros(2), m.ones(2)],
        "tensors without dimensions": [m.tensor(1.5), m.tensor(2.5), m.tensor(3.5)],
        "arrays": [np.ones((2, 1)), np.zeros((2, 1)), np.ones((2, 1))],
        "NumPy's numbers": [np.float32(1), np.float32(2), np.float32(3)],
        "pairs": [(m.ones(2), 1), (m.zeros(2), 2), (m.ones(2), 3)],
        "lists": [[1, 2.0], [3, 4.0], [5, 6.0]],
        "dictionaries": [{"x": m.ones(1), "name": "a"}] * 3,
        "named tuples": [Point(1, m.ones(1)), Point(2, m.zeros(1)), Point(3, m.ones(1))],
        "nested": [({"a": (1, [2.0, "x"])}, m.ones(1))] * 3,
    }


@pytest.mark.parametrize("kind", examples_of(mg))
def test_examples_are_put_together_as_in_pytorch(kind: str) -> None:
    torch = pytest.importorskip("torch")
    ours = list(DataLoader(examples_of(mg)[kind], 2))
    theirs = list(torch.utils.data.DataLoader(examples_of(torch)[kind], 2))
    assert as_lists(ours) == as_lists(theirs)


def test_each_example_is_asked_for_by_itself() -> None:
    class Normalised(Dataset):
        def __len__(self) -> int:
            return 3

        def __getitem__(self, index: Any) -> Any:
            assert type(index) is int
            x = mg.tensor([0.0, 1.0 + index])
            return (x - x.mean()) / x.std(), index

    for x, i in DataLoader(Normalised(), 2, shuffle=True, generator=mg.Generator(0)):
        np.testing.assert_allclose(x.numpy(), [[-(0.5**0.5), 0.5**0.5]] * len(i), rtol=1e-6)


def test_a_tensor_an_array_and_a_range_are_data_sets_too() -> None:
    for data in mg.arange(5), np.arange(5), range(5):
        assert [batch.tolist() for batch in DataLoader(data, 2)] == [[0, 1], [2, 3], [4]]


def test_a_batch_can_be_made_in_ones_own_way() -> None:
    loader = DataLoader(counting(3), 2, collate_fn=lambda batch: [i.item() for i, _ in batch])
    assert list(loader) == [[0, 1], [2]]
    assert list(loader.in_order()) == [[0, 1], [2]]


@pytest.mark.parametrize(
    ("batch", "error", "message"),
    [
        ([object()] * 2, TypeError, r"must contain tensors, .*found <class 'object'>.*collate_fn"),
        ([None, None], TypeError, "NoneType"),
        ([(1, 2), (1,)], RuntimeError, "each element in list of batch should be of equal size"),
        ([mg.ones(2), mg.ones(3)], RuntimeError, r"equal size, but got \[2\] at entry 0 and \[3\]"),
        ([np.array(["x"])], TypeError, "ndarray"),
    ],
)
def test_examples_that_cannot_be_put_together_are_refused(
    batch: Any, error: Any, message: str
) -> None:
    with pytest.raises(error, match=message):
        default_collate(batch)
    with pytest.raises(error, match=message):
        list(DataLoader(batch, 2))


@pytest.mark.parametrize(
    "data", [pytest.param((i for i in range(3)), id="a generator"), {1, 2}, 5, None, iter([1])]
)
def test_what_has_no_length_or_no_places_is_refused_with_a_way_out(data: Any) -> None:
    with pytest.raises(TypeError, match=rf"got a {type(data).__name__}: make a list of it"):
        DataLoader(data, 2)


def test_workers_and_pinned_memory_are_accepted_and_change_nothing() -> None:
    plain = [as_lists(batch) for batch in DataLoader(counting(5), 2)]
    options = {"num_workers": 4, "pin_memory": True, "persistent_workers": True}
    loader = DataLoader(counting(5), 2, **options)
    assert [as_lists(batch) for batch in loader] == plain
    with pytest.raises(ValueError, match="num_workers option should be non-negative, got -1"):
        DataLoader(counting(5), 2, num_workers=-1)
    for library in mg, pytest.importorskip("torch"):
        with pytest.raises(ValueError, match="persistent_workers option needs num_workers > 0"):
            library.utils.data.DataLoader(range(5), 2, persistent_workers=True)


# ------------------------------------------------------------------------- samplers


def test_a_sampler_says_which_examples_there_are_and_in_which_order() -> None:
    torch = pytest.importorskip("torch")
    places = [4, 4, 0, 9, 2]
    for data in counting(10), list(range(10)):
        loader = DataLoader(data, 2, sampler=places)
        batches = [batch[0] if isinstance(batch, list | tuple) else batch for batch in loader]
        theirs = torch.utils.data.DataLoader(range(10), 2, sampler=places)
        assert [b.tolist() for b in batches] == [b.tolist() for b in theirs]
        assert len(loader) == len(theirs) == 3
    assert len(DataLoader(counting(10), 2, drop_last=True, sampler=places)) == 2
    assert numbers(DataLoader(counting(10), 2, sampler=places).in_order()) == list(range(10))


def test_a_sampler_is_asked_anew_each_loop() -> None:
    class Turning:
        first = 0

        def __iter__(self) -> Iterator[int]:
            self.first += 1
            return iter([self.first, 0])

    loader = DataLoader(counting(5), 2, sampler=Turning())
    assert [numbers(loader) for _ in range(3)] == [[1, 0], [2, 0], [3, 0]]
    with pytest.raises(TypeError, match="has no len"):
        len(loader)


def test_a_sampler_excludes_shuffling_and_can_be_gone_through_again() -> None:
    for library in mg, pytest.importorskip("torch"):
        with pytest.raises(ValueError, match="sampler option is mutually exclusive with shuffle"):
            library.utils.data.DataLoader(range(5), 2, shuffle=True, sampler=[0])
    for sampler in iter([0]), 5:
        with pytest.raises(TypeError, match=f"got a {type(sampler).__name__}: make a list of it"):
            DataLoader(counting(5), 2, sampler=sampler)


# ------------------------------------------------------------------------- stopping and going on

ORDERS: dict[str, Any] = {
    "in order": lambda n, g: {"generator": g},
    "shuffled": lambda n, g: {"shuffle": True, "generator": g},
    "by the default generator": lambda n, g: {"shuffle": True},
    "sampled": lambda n, g: {"sampler": Again(n, g), "generator": g},
}


class Again:
    """A sampler that draws from a generator, and knows its state."""

    def __init__(self, n: int, generator: mg.Generator) -> None:
        self.n, self.generator = n, generator

    def __iter__(self) -> Iterator[int]:
        return iter(mg.randperm(self.n, generator=self.generator).tolist())

    def __len__(self) -> int:
        return self.n

    def state_dict(self) -> Any:
        return self.generator.state_dict()

    def load_state_dict(self, state: Any) -> None:
        self.generator.load_state_dict(state)


@examples
@given(n=sizes, batch_size=batch_sizes, kind=st.sampled_from(list(ORDERS)), data=st.data())
def test_a_loader_that_takes_over_a_state_gives_the_rest_and_then_the_same_epochs(
    n: int, batch_size: int, kind: str, data: st.DataObject
) -> None:
    def loader(seed: int) -> DataLoader:
        drop_last = n % 2 == 1
        options = ORDERS[kind](n, mg.Generator(seed))
        return DataLoader(counting(n), batch_size, drop_last=drop_last, **options)

    with mg.fork_rng():
        one, other = loader(1), loader(2)
        epochs, given_out = data.draw(st.integers(0, 2)), data.draw(st.integers(0, len(one)))
        for _ in range(epochs):
            numbers(one)
        loop = iter(one)
        for _ in range(given_out):
            next(loop)
        buffer = io.BytesIO()
        mg.save(one.state_dict(), buffer)
        default = mg.random.get_rng_state()
        rest = [batch[0].tolist() for batch in loop] if given_out else numbers_of_loop(one)
        more = [numbers_of_loop(one) for _ in range(2)]
        ended = one.state_dict(), mg.random.get_rng_state()

        mg.random.set_rng_state(default)
        buffer.seek(0)
        other.load_state_dict(mg.load(buffer))
        mg.random.set_rng_state(default)
        assert numbers_of_loop(other) == rest
        assert [numbers_of_loop(other) for _ in range(2)] == more
        assert (other.state_dict(), mg.random.get_rng_state()) == ended
        assert ended[0]["epoch"] == epochs + 3


def numbers_of_loop(loader: DataLoader) -> list[list[int]]:
    return [batch[0].tolist() for batch in loader]


def test_a_state_counts_what_was_given_out_and_the_loops_that_ended() -> None:
    loader = DataLoader(counting(5), 2, shuffle=True, generator=mg.Generator(1))
    assert (loader.state_dict()["epoch"], loader.state_dict()["position"]) == (0, 0)
    places = []
    for _ in range(2):
        for _ in loader:
            places.append((loader.state_dict()["epoch"], loader.state_dict()["position"]))
    assert places == [(0, 1), (0, 2), (0, 3), (1, 1), (1, 2), (1, 3)]
    for _ in loader:
        break
    numbers(loader)
    assert (loader.state_dict()["epoch"], loader.state_dict()["position"]) == (3, 0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"examples": 6}, "examples is 6 there, and 5 here; give the loader the same data"),
        ({"batch_size": 3}, "batch_size is 3 there, and 2 here"),
        ({"shuffle": False}, "shuffle is False there, and True here"),
        ({"drop_last": True}, "drop_last is True there, and False here"),
        ({"generator": None}, "has one for a generator, and the state none"),
        ({"position": -1}, "batch -1 of epoch 0"),
        ({"position": "1"}, "batch '1' of epoch 0"),
        ({"epoch": None}, "of epoch None"),
        ({"position": 1, "order": None}, "in the order None"),
        ({"position": 1, "order": mg.arange(5)}, "in the order tensor"),
        ({"more": 1}, "expected examples, .* got examples, .*more"),
    ],
)
def test_a_state_of_another_loader_is_refused_and_nothing_is_changed(
    changes: dict[str, Any], message: str
) -> None:
    loader = DataLoader(counting(5), 2, shuffle=True, generator=mg.Generator(1))
    before = loader.state_dict()
    with pytest.raises(ValueError, match=message):
        loader.load_state_dict({**before, **changes})
    assert loader.state_dict() == before
    with pytest.raises(TypeError, match="expected the state of a DataLoader, got a list"):
        loader.load_state_dict([])  # type: ignore[arg-type]


def test_what_only_one_of_two_loaders_has_is_named() -> None:
    with_one, without = (DataLoader([1, 2], generator=g) for g in (mg.Generator(1), None))
    with pytest.raises(ValueError, match="has none for a generator, and the state one"):
        without.load_state_dict(with_one.state_dict())
    with pytest.raises(ValueError, match="has one for a generator, and the state none"):
        with_one.load_state_dict(without.state_dict())
    with pytest.raises(TypeError, match="DataLoader's generator has to be a"):
        DataLoader([1, 2], generator=1)  # type: ignore[arg-type]


def test_a_sampler_that_has_a_state_takes_over_that_of_another() -> None:
    one, other = (DataLoader(counting(9), sampler=Again(9, mg.Generator(i))) for i in range(2))
    other.load_state_dict(one.state_dict())
    assert numbers(other) == numbers(one)


def test_a_data_set_without_its_methods_says_which() -> None:
    class Half(Dataset):
        pass

    with pytest.raises(NotImplementedError, match="Half must define __len__"):
        len(Half())
    with pytest.raises(NotImplementedError, match="Half must define __getitem__"):
        Half()[0]


# ------------------------------------------------------------------------- parts


def test_a_part_has_the_chosen_examples_and_gathers_if_the_whole_does() -> None:
    part = Subset(counting(10), [7, 0, 3])
    assert len(part) == 3
    assert part.gathers
    assert part[0][0].item() == 7
    assert part[-1][1].tolist() == [30, 31]
    assert [batch[0].tolist() for batch in DataLoader(part, 2)] == [[7, 0], [3]]
    words = Subset(Subset(["a", "b", "c", "d"], [3, 1, 0]), [2, 0])
    assert not words.gathers
    assert list(DataLoader(words, 3)) == [["a", "d"]]
    with pytest.raises(IndexError):
        part[3]


@examples
@given(n=sizes, data=st.data())
def test_a_random_split_covers_every_example_once(n: int, data: Any) -> None:
    cut = data.draw(st.integers(0, n))
    for lengths in [cut, n - cut], [0.5, 0.25, 0.25], [0.1] * 10:
        parts = random_split(range(n), lengths, mg.Generator(3))
        assert sorted(i for part in parts for i in part) == list(range(n))
        again = random_split(range(n), lengths, mg.Generator(3))
        assert [part.indices for part in parts] == [part.indices for part in again]


@pytest.mark.filterwarnings("ignore:Length of split at index")
@pytest.mark.parametrize(
    "lengths",
    [
        [0.5, 0.5],
        [0.7, 0.3],
        pytest.param([0.1] * 10, id="lengths=[0.1] * 10"),
        [3, 4],
        [1 / 3] * 3,
    ],
)
def test_the_lengths_of_a_random_split_are_pytorchs(lengths: list[float]) -> None:
    torch = pytest.importorskip("torch")
    ours = random_split(range(7), lengths)
    theirs = torch.utils.data.random_split(range(7), lengths)
    assert [len(part) for part in ours] == [len(part) for part in theirs]


@pytest.mark.parametrize("lengths", [[3, 3], [8], [0.5, 0.4], [-1, 8], [3.5, 3.5], [float("nan")]])
def test_lengths_that_do_not_sum_up_are_refused(lengths: list[float]) -> None:
    with pytest.raises(ValueError, match=r"Sum of input lengths does not|should not be negative"):
        random_split(range(7), lengths)
