"""Parts of a batch: the rows of a draw, computed apart, are the draw; and pieces add up."""

from __future__ import annotations

import contextlib
import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad import nn
from minigrad.nn import functional as F
from minigrad.parts import Part, here, micro_batches, part_of_batch, place, undivided
from tests import fake_cupy
from tests.gpu.definitions import Definitions
from tests.reference import examples

STATES = st.tuples(*[st.integers(0, 2**64 - 1)] * 2, st.integers(0, 2**64 - 1))
#: draws by shape, each from a generator
DRAWS: dict[str, Any] = {
    "keep_mask": lambda g, *s: g.keep_mask(s, 0.5),
    "keep_mask_with_ties": lambda g, *s: g.keep_mask(s, 0.3),
    "rand": lambda g, *s: mg.rand(*s, generator=g).numpy(),
    "rand_float16": lambda g, *s: mg.rand(*s, generator=g, dtype=mg.float16).numpy(),
    "rand_float64": lambda g, *s: mg.rand(*s, generator=g, dtype=mg.float64).numpy(),
    "randn": lambda g, *s: mg.randn(*s, generator=g).numpy(),
    "randint": lambda g, *s: mg.randint(0, 1000, s, generator=g).numpy(),
    "bernoulli": lambda g, *s: mg.bernoulli(mg.full(s, 0.3), generator=g).numpy(),
    "normal_": lambda g, *s: mg.random.normal_(mg.zeros(s), generator=g).numpy(),
    "uniform_": lambda g, *s: mg.random.uniform_(mg.zeros(s), generator=g).numpy(),
    "bernoulli_": lambda g, *s: mg.zeros(s).bernoulli_(0.3, generator=g).numpy(),
    "rand_like": lambda g, *s: mg.rand_like(mg.zeros(s), generator=g).numpy(),
    "multinomial": lambda g, n, c: mg.ones(n, c + 2).multinomial(2, generator=g).numpy(),
    "multinomial_again": lambda g, n, c: (
        mg.ones(n, c + 1).multinomial(c + 1, True, generator=g).numpy()
    ),
    "dropout": lambda g, *s: F.dropout(mg.ones(s), 0.3, generator=g).numpy(),
    "dropout1d": lambda g, n, c: F.dropout1d(mg.ones(n, c, 2), 0.3, generator=g).numpy(),
    "dropout2d": lambda g, n, c: F.dropout2d(mg.ones(n, c, 2, 1), 0.3, generator=g).numpy(),
    "drop_path": lambda g, *s: F.drop_path(mg.ones(s), 0.3, generator=g).numpy(),
    "alpha_dropout": lambda g, *s: F.alpha_dropout(mg.ones(s), 0.3, True, generator=g).numpy(),
    "gaussian_dropout": lambda g, *s: F.gaussian_dropout(mg.ones(s), 0.3, generator=g).numpy(),
}


def generator_at(state: tuple[int, int, int]) -> mg.Generator:
    made = mg.Generator(0)
    made.set_state(state)
    return made


@st.composite
def cuts(draw: Any, most: int = 40) -> list[int]:
    """Where a batch is divided: from 0 to its size, with parts that may be empty."""
    rows = draw(st.integers(0, most))
    inner = draw(st.lists(st.integers(0, rows), max_size=4))
    return [0, *sorted(inner), rows]


# ------------------------------------------------------------------------- draws


@pytest.mark.parametrize("name", DRAWS)
@examples
@given(state=STATES, cuts=cuts(), features=st.integers(0, 9))
def test_the_parts_of_a_draw_are_the_draw_and_every_generator_ends_where_one_would(
    name: str, state: tuple[int, int, int], cuts: list[int], features: int
) -> None:
    alone = generator_at(state)
    whole = [DRAWS[name](alone, cuts[-1], features) for _ in range(2)]
    parts = []
    for start, stop in itertools.pairwise(cuts):
        g = generator_at(state)
        with part_of_batch(start, stop, cuts[-1]):
            parts.append([DRAWS[name](g, stop - start, features) for _ in range(2)])
        assert g.get_state() == alone.get_state()
    for i in range(2):
        together = np.concatenate([part[i] for part in parts])
        assert together.tobytes() == whole[i].tobytes()


@pytest.mark.parametrize("rows", [(0, 3), (3, 3), (3, 7), (0, 7)])
def test_a_gpu_draws_the_rows_that_the_cpu_draws(rows: tuple[int, int]) -> None:
    with fake_cupy.installed(Definitions):
        masks = []
        for device in "cpu", "cuda":
            g = mg.Generator(3)
            with part_of_batch(*rows, 7):
                shape = rows[1] - rows[0], 50
                drawn = [g.keep_mask(shape, 0.3, mg.device(device)) for _ in range(2)]
            masks.append([np.asarray(m.get() if device == "cuda" else m) for m in drawn])
            assert g.get_state() == (3, 0, 2 * -(-7 * 50 // 32))
    for cpu, gpu in zip(*masks, strict=True):
        assert cpu.shape == gpu.shape
        assert (cpu == gpu).all()


def test_more_elements_than_rows_count_as_several_a_row() -> None:
    whole = mg.Generator(1).keep_mask((6 * 4, 5), 0.3)
    with part_of_batch(1, 3, 6):
        assert (mg.Generator(1).keep_mask((2 * 4, 5), 0.3) == whole[4:12]).all()


def test_weights_are_dropped_alike_for_all_rows() -> None:
    def weights(*rows: int) -> list[Any]:
        g = mg.Generator(1)
        layer = nn.DropConnect(8, 4, p=0.5, generator=g)
        layer.weight.data.fill_(1.0)
        layer.bias.data.fill_(0.0)
        with part_of_batch(*rows, 5):
            y = layer(mg.eye(8)[: rows[1] - rows[0]])
            return [y.tolist()[:1], g.get_state()]

    assert weights(0, 5) == weights(0, 2) == weights(2, 5)


def test_a_number_and_a_draw_by_number_are_everybodys() -> None:
    def drawn() -> Any:
        g = mg.Generator(4)
        return mg.rand((), generator=g).item(), mg.randperm(9, generator=g).tolist(), g.get_state()

    expected = drawn()
    with part_of_batch(1, 3, 5):
        assert drawn() == expected


def test_a_draw_that_does_not_divide_is_refused_before_it_is_drawn() -> None:
    g = mg.Generator(1)
    with part_of_batch(2, 5, 7):
        for name, draw in DRAWS.items():
            with pytest.raises(
                RuntimeError, match=r"rows 2 to 5 of 7 .* a multiple of 3.*minigrad.parts.undivided"
            ):
                draw(g, 4, 2)
            assert g.get_state() == (1, 0, 0), name
        with undivided():
            assert mg.rand(4, 2, generator=g).shape == (4, 2)
    assert g.get_state() == (1, 0, 1)


def test_parts_do_not_nest_and_end_with_their_block() -> None:
    with part_of_batch(0, 1, 2):
        inner = part_of_batch(0, 1, 2)
        with pytest.raises(RuntimeError, match="do not nest"):
            inner.__enter__()
        assert place((2, 3)) == (6, 0, 12)
    assert here.part is None
    with contextlib.suppress(KeyError), part_of_batch(0, 1, 2):
        raise KeyError
    assert here.part is None
    assert place((2, 3)) == (6,)


@pytest.mark.parametrize("rows", [(-1, 1, 2), (2, 1, 2), (0, 3, 2)])
def test_rows_that_the_batch_has_not_are_refused(rows: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match=f"no part of a batch of 2 rows: rows {rows[0]} to"):
        Part(*rows)


# ------------------------------------------------------------------------- micro-batches


def network(seed: int) -> tuple[nn.Sequential, mg.Generator]:
    masks = mg.Generator(seed)
    with mg.fork_rng():
        mg.manual_seed(seed)
        net = nn.Sequential(
            nn.Linear(6, 12),
            nn.ReLU(),
            nn.Dropout(0.3, generator=masks),
            nn.DropConnect(12, 8, p=0.4, generator=masks),
            nn.Dropout(0.5),
            nn.Linear(8, 3),
        )
    return net.to(mg.float64), masks


@pytest.mark.parametrize("size", [1, 2, 5, 10, 11, 100])
def test_micro_batches_give_the_gradients_and_the_states_of_the_whole_batch(size: int) -> None:
    rng = np.random.default_rng(0)
    X, Y = mg.tensor(rng.normal(size=(11, 6))), mg.tensor(rng.integers(0, 3, 11))
    loss = nn.CrossEntropyLoss()
    found = []
    with mg.fork_rng():
        for divided in False, True:
            net, masks = network(7)
            mg.manual_seed(8)
            for _ in range(2):
                net.zero_grad()
                batch = micro_batches(X, Y, size=size) if divided else [(X, Y, 1.0)]
                for x, y, weight in batch:
                    (loss(net(x), y) * weight).backward()
            states = masks.get_state(), mg.random.get_rng_state()
            found.append(([p.grad.numpy() for p in net.parameters()], states))
    (whole, states), (pieces, states_again) = found
    assert states == states_again
    for g, h in zip(pieces, whole, strict=True):
        np.testing.assert_allclose(g, h, rtol=1e-12, atol=1e-15)


def test_a_loop_that_is_left_early_leaves_no_part_behind() -> None:
    for _ in micro_batches(mg.zeros(4), size=2):
        break
    assert here.part is None


def test_what_is_no_batch_is_refused() -> None:
    with pytest.raises(ValueError, match="same number of rows, got none"):
        next(micro_batches(size=2))
    with pytest.raises(ValueError, match=r"same number of rows, got \[2, 3\]"):
        next(micro_batches(mg.zeros(2), mg.zeros(3), size=2))
    with pytest.raises(ValueError, match="at least one row, got size=0"):
        next(micro_batches(mg.zeros(2), size=0))
