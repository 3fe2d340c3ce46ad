"""Random numbers: the exact function of seed, stream and offset, and what is made of it.

What a draw is, bit for bit, is compared with ``numpy.random.Philox``. The tests of distributions
draw from fixed seeds: each either always passes or always fails, so that there are no false alarms.
They reject at p < 1e-6. Their docstrings say how small a deviation is then found with every other
seed; one of twice that size is found practically always.
"""

from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad as mg
from minigrad import masks, nn
from minigrad.nn import functional as F
from minigrad.random import get_rng_state, set_rng_state
from minigrad.testing.subjects import Injected
from tests.contract import WORD, mask_numbers, philox_words, splitmix
from tests.reference import scaled

WORDS = st.integers(0, WORD - 1)
STATES = st.tuples(WORDS, WORDS, st.integers(0, WORD - 2**20))
thorough = settings(max_examples=scaled(100))


@pytest.fixture(autouse=True)
def _default_generator_is_left_as_it_was():
    with mg.fork_rng():
        yield


def generator(state):
    made = mg.Generator(0)
    made.set_state(state)
    return made


def philox_lanes(state, n):
    return philox_words(state, (n + 1) // 2).astype("<u8").view("<u4")[:n]


def kept(numbers, p):
    """Return which elements a mask keeps if these are their 32-bit numbers."""
    upper, lower = np.divmod(np.array(numbers), 2**24)
    words = np.append(upper, [0] * 7).astype(np.uint8)[: (len(numbers) + 7) // 8 * 8].view("<u8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(masks, "philox", lambda *state_and_n: words)
        patch.setattr(masks, "_lower_bits", lambda state, places: lower[places])
        return masks.keep_mask((0, 0, 0), len(numbers), p).tolist()


# ------------------------------------------------------------------- the contract


@thorough
@given(STATES, st.integers(0, 300))
def test_words_are_those_of_numpys_philox(state, n):
    g = generator(state)
    words = g.words(n)
    assert words.dtype == np.uint64
    assert words.tolist() == philox_words(state, n).tolist()
    assert g.get_state() == (*state[:2], state[2] + -(-n // 4))


@thorough
@given(STATES, st.integers(0, 300))
def test_lanes_are_the_words_as_little_endian_halves(state, n):
    g = generator(state)
    lanes = g.lanes(n)
    assert lanes.dtype == np.dtype("<u4")
    assert lanes.shape == (n,)
    assert lanes.tolist() == philox_lanes(state, n).tolist()
    words = philox_words(state, (n + 1) // 2)
    halves = [int(w) >> shift & 0xFFFFFFFF for w in words for shift in (0, 32)]
    assert lanes.tolist() == halves[:n]
    assert g.get_state() == (*state[:2], state[2] + -(-n // 8))


SIZES = [*range(36), 65536]
#: the last two are rounded to 1
RATES = [0.0, 2.0**-32, 0.1, 0.2, 0.5, 0.75, 1 - 2.0**-32, 1 - 2.0**-34, 1.0]


@pytest.mark.parametrize("p", RATES)
def test_a_mask_of_every_small_size_is_that_of_the_contract(p):
    state = (7, 11, 13)
    for n in SIZES:
        g = generator(state)
        keep = g.keep_mask((n,), p)
        assert keep.dtype == np.bool_
        assert keep.tolist() == (mask_numbers(state, n) >= round(p * 2**32)).tolist(), n
        assert g.get_state() == (7, 11, 13 + -(-n // 32)), n  # thirty-two bytes to a block


@thorough
@given(STATES, st.integers(0, 300), st.floats(0, 1))
def test_a_mask_is_that_of_the_contract(state, n, p):
    g = generator(state)
    keep = g.keep_mask((n,), p)
    assert keep.tolist() == [int(u) >= round(p * 2**32) for u in mask_numbers(state, n)]
    assert g.get_state() == (*state[:2], state[2] + -(-n // 32))
    assert masks.keep_mask(state, n, p).tolist() == keep.tolist()


#: the last ones are followed by blocks whose number takes more than 64 bits
TIED = [(0, 0, 0), (42, 7, 3), (WORD - 1, WORD - 1, 2**40), (5, 6, WORD - 2), (5, 6, WORD - 1)]


@pytest.mark.parametrize("state", TIED)
def test_where_the_upper_bits_tie_the_lower_ones_decide(state):
    numbers = mask_numbers(state, 40)
    for number in numbers.tolist():
        upper = number >> 24 << 24  # with this threshold no lower bits are needed
        for threshold in (number - 1, number, number + 1, upper, upper + 2**24):
            keep = generator(state).keep_mask((40,), threshold / 2**32)
            assert keep.tolist() == (numbers >= threshold).tolist()


def test_many_ties_are_decided_each_by_its_own_lower_bits():
    state = (1, 2, WORD - 1000)  # half of the blocks lie beyond 64 bits
    numbers = mask_numbers(state, 64_000)
    tied = numbers[numbers >> 24 == 77]
    assert len(tied) > 200
    threshold = int(np.median(tied))
    keep = generator(state).keep_mask((64_000,), threshold / 2**32)
    assert keep.tolist() == (numbers >= threshold).tolist()


def test_the_lower_bits_of_the_contract_are_those_of_splitmix64():
    # the words that are commonly given for seed 1234567
    known = [6457827717110365317, 3203168211198807973, 9817491932198370423]
    assert splitmix(1234567, 3).tolist() == known
    (key,) = philox_words((7, 8, 9), 1, third=1)
    lower = [word >> 40 for word in splitmix(int(key), 3).tolist()]
    assert (mask_numbers((7, 8, 9), 3) % 2**24).tolist() == lower


def test_lower_bits_are_uniform_and_no_two_masks_share_them():
    """Fixed keys, so no false alarm: 256 counts of 4,096 each, by the χ² test (1 in 10⁶ is 376)."""
    bits = np.array([mask_numbers((0, 0, offset), 1024) % 2**24 for offset in range(1024)])
    for part in bits >> 16, bits & 255:
        counts = np.bincount(part.ravel(), minlength=256)
        assert ((counts - 4096.0) ** 2 / 4096).sum() < 376
    for other in np.roll(bits, 1, axis=0), np.roll(bits, 1, axis=1):  # the next mask, or place
        equal = (bits >> 16 == other >> 16).mean()
        assert abs(equal - 1 / 256) < 5 * (1 / 256 / bits.size) ** 0.5


@pytest.mark.parametrize("p", [0.2, 0.5])
def test_lower_bits_are_computed_only_where_they_decide(monkeypatch, p):
    lower_bits, asked = masks._lower_bits, []

    def noted(state, places):
        asked.extend(places.tolist())
        return lower_bits(state, places)

    monkeypatch.setattr(masks, "_lower_bits", noted)
    keep = mg.Generator(8).keep_mask((30_000,), p)
    numbers = mask_numbers((8, 0, 0), 30_000)
    high, low = divmod(round(p * 2**32), 2**24)
    ties = np.flatnonzero(numbers >> 24 == high).tolist()
    assert asked == (ties if low else [])
    assert ties
    assert keep.tolist() == (numbers >= round(p * 2**32)).tolist()


def test_no_block_is_drawn_twice():
    g, words = mg.Generator(3), []
    for n in (1, 31, 32, 33, 320, 321):
        state = g.get_state()
        words += philox_words(state, 1, third=1).tolist()
        words += philox_words(state, n // 8).tolist()
        assert g.keep_mask((n,), 0.3).tolist() == (mask_numbers(state, n) >= 0.3 * 2**32).tolist()
        words += g.words(n).tolist()
    assert len(set(words)) == len(words)


@thorough
@given(STATES, st.lists(st.integers(0, 5), max_size=4))
def test_the_shape_of_a_mask_only_arranges_it(state, shape):
    n = int(np.prod(shape))
    keep = generator(state).keep_mask(shape, 0.4)
    assert keep.shape == tuple(shape)
    assert keep.ravel().tolist() == generator(state).keep_mask((n,), 0.4).tolist()


@thorough
@given(STATES, st.integers(0, 200), st.integers(0, 200))
def test_every_draw_starts_on_a_fresh_block(state, first, second):
    g = generator(state)
    g.lanes(first)
    between = g.get_state()
    assert g.lanes(second).tolist() == philox_lanes(between, second).tolist()


def test_threads_that_draw_at_the_same_time_get_what_they_would_get_alone():
    def draw(seed):
        g = mg.Generator(seed)
        return [g.keep_mask((20_000,), 0.2).tobytes() for _ in range(50)]

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(draw, range(16))) == [draw(seed) for seed in range(16)]


def test_a_drawn_zero_is_kept_where_nothing_is_dropped():
    # keep where u >= threshold: u > threshold would drop the number 0 at p = 0
    assert all(kept([0, 0, 0], 0.0))
    assert not any(kept([0, 0, 0], 2.0**-32))


@pytest.mark.parametrize("p", [0.1, 0.25, 0.3, 1 / 3, 0.5, 0.7, 0.9999, 2.0**-32])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_threshold_is_p_in_32_bits_rounded_to_the_nearest(p, dtype):
    threshold = round(Fraction(float(dtype(p))) * 2**32)
    near = np.array([threshold - 1, threshold, 2**32 - 1])
    assert kept(near, dtype(p)) == [False, True, True]
    full = mg.full((3,), float(dtype(p)), dtype=dtype)
    assert mg.bernoulli(full, generator=Injected(near / 2**32)).tolist() == [1.0, 0.0, 0.0]


def test_the_largest_number_is_dropped_where_everything_is():
    ones = [2**32 - 1] * 3
    assert not any(kept(ones, 1.0))
    assert all(kept(ones, 1 - 2.0**-32))


@pytest.mark.parametrize("p", [-1e-9, 1 + 1e-9, float("nan"), float("inf")])
def test_a_mask_of_what_is_no_probability_is_refused_and_nothing_is_drawn(p):
    g = mg.Generator(1)
    with pytest.raises(ValueError, match=f"keep_mask needs a p from 0 to 1, got {p}"):
        g.keep_mask((3,), p)
    assert g.get_state() == (1, 0, 0)


#: computed with NumPy 2.4: Philox(key=[s, t], counter=[o, 0, 0, 0]).random_raw(4)
KNOWN_WORDS = {
    (0, 0, 0): [0x2F4BA6408E4D89B, 0x3DD62B0B9CA8C5B2, 0x1C8667A55D902E79, 0x907D7A052FD5B4DC],
    (42, 0, 0): [0xD1F8817D4D62880E, 0x307266B65CC8797E, 0xDE1F04E7F084ED03, 0x65034A8E78CD1E59],
    (42, 1, 0): [0x719965F2DEBB5C86, 0xD0FF12852BFEFAA0, 0x824F8A46917B59D3, 0x633AF9B3183BB36A],
    (42, 0, 5): [0xF7972D5900F0627A, 0xAA5C126D24507ACE, 0x7A13B352CDC90FAD, 0x59DE255884B719FE],
    (0xFFFFFFFFFFFFFFFF, 0xFFFFFFFFFFFFFFFF, 0xFFFFFFFFFFFFFFFE): [
        0xEFEA0F0CF2A64AB3,
        0x1FFD51B0734E113D,
        0x2741DD2D7AEA1563,
        0x901874E36A1BC3D6,
    ],
}


@pytest.mark.parametrize("state", KNOWN_WORDS)
def test_the_words_are_those_that_were_written_down(state):
    assert generator(state).words(4).tolist() == KNOWN_WORDS[state]


def test_the_masks_and_numbers_are_those_that_were_written_down():
    g = mg.Generator(42)
    assert "".join("01"[int(k)] for k in g.keep_mask((40,), 0.5)) == (
        "0100011100101000011110010010100011101100"
    )
    assert "".join("01"[int(k)] for k in g.keep_mask((40,), 0.8)) == (
        "0000110101000000000000000011001000010110"
    )
    assert g.get_state() == (42, 0, 4)
    assert mg.rand(3, generator=g).tolist() == [
        0.9452049136161804,
        0.9865570664405823,
        0.4598572850227356,
    ]
    assert mg.randint(0, 1000, (6,), generator=g).tolist() == [967, 665, 476, 351, 849, 740]
    assert mg.randperm(8, generator=g).tolist() == [2, 1, 5, 0, 4, 3, 7, 6]
    normal = mg.randn(2, generator=g, dtype=np.float64).tolist()
    assert normal == pytest.approx(
        [-0.808571951412626, -1.1268550160730062], rel=1e-12
    )  # the logarithm is the platform's
    assert g.get_state() == (42, 0, 10)


def test_the_words_agree_with_the_paper_in_integers():
    """Philox4x64-10, written out in Python's integers from the paper of Salmon et al."""

    def philox(counter, key):
        c, k = list(counter), list(key)
        for _ in range(10):
            left, right = 0xD2E7470EE14C6C93 * c[0], 0xCA5A826395121157 * c[2]
            c = [right >> 64 ^ c[1] ^ k[0], right % WORD, left >> 64 ^ c[3] ^ k[1], left % WORD]
            k = [(k[0] + 0x9E3779B97F4A7C15) % WORD, (k[1] + 0xBB67AE8584CAA73B) % WORD]
        return c

    # the known answer that comes with the authors' Random123: all ones
    assert philox([WORD - 1] * 4, [WORD - 1] * 2) == [
        0x87B092C3013FE90B,
        0x438C3C67BE8D0224,
        0x9CC7D7C69CD777B6,
        0xA09CAEBF594F0BA0,
    ]
    for state in [(0, 0, 0), (42, 7, 3), (WORD - 1, 12345, 2**40)]:
        seed, stream, offset = state
        words = [w for i in range(3) for w in philox([offset + 1 + i, 0, 0, 0], [seed, stream])]
        assert generator(state).words(12).tolist() == words


# ------------------------------------------------------------------- states

DRAWS = {
    "words": lambda g, n: g.words(n).tolist(),
    "keep_mask": lambda g, n: g.keep_mask((n,), 0.3).tolist(),
    "rand": lambda g, n: mg.rand(n, generator=g).tolist(),
    "rand float64": lambda g, n: mg.rand(n, generator=g, dtype=np.float64).tolist(),
    "rand float16": lambda g, n: mg.rand(n, generator=g, dtype=np.float16).tolist(),
    "randn": lambda g, n: mg.randn(n, generator=g).tolist(),
    "randint": lambda g, n: mg.randint(-5, 1000, (n,), generator=g).tolist(),
    "randperm": lambda g, n: mg.randperm(n, generator=g).tolist(),
    "bernoulli": lambda g, n: mg.bernoulli(mg.full((n,), 0.3), generator=g).tolist(),
    "spawn": lambda g, n: [c.get_state() for c in g.spawn(n)],
}
draws = pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS.keys())


@draws
def test_the_same_seed_gives_the_same_draws_and_another_seed_others(draw):
    a, b, c = mg.Generator(5), mg.Generator(5), mg.Generator(6)
    assert draw(a, 50) == draw(b, 50)
    assert a.get_state() == b.get_state()
    assert draw(mg.Generator(5), 50) != draw(c, 50)
    assert draw(a, 50) == draw(b, 50)


@draws
def test_a_stream_of_the_same_seed_draws_something_else(draw):
    assert draw(generator((5, 0, 0)), 50) != draw(generator((5, 1, 0)), 50)


@draws
def test_two_draws_in_a_row_differ_and_a_state_replays_them(draw):
    g = mg.Generator(5)
    draw(g, 7)
    state = g.get_state()
    first, second = draw(g, 50), draw(g, 50)
    assert first != second
    g.set_state(state)
    assert [draw(g, 50), draw(g, 50)] == [first, second]
    assert [draw(generator(state), 50)] == [first]


@draws
def test_drawing_nothing_advances_nothing(draw):
    g = generator((1, 2, 3))
    assert draw(g, 0) == []
    assert g.get_state() == (1, 2, 3)


@pytest.mark.parametrize(
    "name", ["words", "keep_mask", "rand", "rand float64", "rand float16", "randn", "randint"]
)
def test_an_element_does_not_depend_on_how_many_are_drawn(name):
    whole = DRAWS[name](mg.Generator(9), 100)
    for n in (1, 2, 3, 7, 8, 9, 31, 64, 99):
        assert DRAWS[name](mg.Generator(9), n) == whole[:n]


@thorough
@given(STATES)
def test_a_state_comes_back_as_it_was_set(state):
    g = generator(state)
    assert g.get_state() == state
    assert g.initial_seed() == state[0]
    assert generator(np.array(state, np.uint64)).get_state() == state
    assert generator(list(state)).get_state() == state
    assert all(type(v) is int for v in generator(np.array(state, np.uint64)).get_state())


@pytest.mark.parametrize(
    "state",
    [
        (),
        (1,),
        (1, 2),
        (1, 2, 3, 4),
        (-1, 0, 0),
        (0, WORD, 0),
        (0, 0, 1.0),
        (0, "1", 0),
        (None,) * 3,
    ],
    ids=repr,
)
def test_a_state_that_is_none_is_refused_and_changes_nothing(state):
    g = generator((1, 2, 3))
    with pytest.raises(ValueError, match=r"three integers from 0 to 2\*\*64 - 1, got \(") as error:
        g.set_state(state)
    assert repr(state)[1:-1] in str(error.value)
    assert g.get_state() == (1, 2, 3)


@pytest.mark.parametrize("seed", [-1, WORD, 1.5, "1", 2**200])
def test_a_seed_out_of_range_is_refused(seed):
    for use in (mg.Generator, mg.Generator(0).manual_seed, mg.manual_seed):
        with pytest.raises(ValueError, match="seed, stream and offset are three integers"):
            use(seed)


def test_a_seed_may_be_any_word():
    for seed in (0, 1, WORD - 1, np.int64(3), np.uint64(WORD - 1)):
        assert mg.Generator(seed).get_state() == (int(seed), 0, 0)


def test_without_a_seed_generators_differ():
    assert len({mg.Generator().initial_seed() for _ in range(20)}) == 20


def test_manual_seed_restarts_whatever_came_before():
    g = mg.Generator(3)
    first = g.words(10).tolist()
    for state in ((3, 0, 99), (4, 5, 6), (3, 7, 0)):
        g.set_state(state)
        assert g.manual_seed(3) is g
        assert g.get_state() == (3, 0, 0)
        assert g.words(10).tolist() == first


def test_the_offset_is_a_word_too():
    g = generator((1, 2, WORD - 1))
    g.words(8)
    assert g.get_state() == (1, 2, 1)


def test_repr_shows_the_three_integers():
    assert repr(generator((1, 2, 3))) == "Generator(seed=1, stream=2, offset=3)"


# ------------------------------------------------------------------- spawning


def test_children_are_a_function_of_the_state():
    a, b = mg.Generator(5), mg.Generator(5)
    assert [c.get_state() for c in a.spawn(3)] == [c.get_state() for c in b.spawn(3)]
    b.words(1)
    assert [c.get_state() for c in a.spawn(3)] != [c.get_state() for c in b.spawn(3)]


def test_children_have_the_seed_and_streams_of_their_own():
    g = mg.Generator(5)
    children = [*g.spawn(100), *g.spawn(100)]
    grandchildren = children[0].spawn(50) + children[1].spawn(50)
    streams = {c.get_state()[1] for c in [g, *children, *grandchildren]}
    assert len(streams) == 301
    assert all(c.initial_seed() == 5 for c in children)
    assert [c.get_state()[2] for c in children[2:]] == [0] * 198
    draws = {tuple(c.words(4).tolist()) for c in [*children, *grandchildren]}
    assert len(draws) == 300


def test_children_are_the_words_that_spawning_draws():
    g = mg.Generator(5)
    streams = philox_words((5, 0, 0), 6).tolist()
    assert [c.get_state() for c in g.spawn(6)] == [(5, stream, 0) for stream in streams]
    assert g.get_state() == (5, 0, 2)


def test_a_childs_draws_do_not_move_the_parent():
    g = mg.Generator(5)
    child, other = g.spawn(2)
    state, others = g.get_state(), other.get_state()
    child.words(1000)
    assert g.get_state() == state
    assert other.get_state() == others


# ------------------------------------------------------------------- the default generator

FUNCTIONS = {
    "rand": lambda **g: mg.rand(5, **g),
    "randn": lambda **g: mg.randn(5, **g),
    "randint": lambda **g: mg.randint(100, (5,), **g),
    "randperm": lambda **g: mg.randperm(5, **g),
    "bernoulli": lambda **g: mg.bernoulli(mg.full((5,), 0.5), **g),
}
functions = pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS.keys())


@functions
def test_draws_come_from_the_default_generator_unless_another_is_given(function):
    mg.manual_seed(3)
    before = get_rng_state()
    expected = function(generator=mg.Generator(3))
    assert get_rng_state() == before
    assert function().tolist() == expected.tolist()
    assert get_rng_state() != before


#: all that takes a generator, by the name that it has in messages
TAKERS = {
    **FUNCTIONS,
    "dropout": lambda **g: F.dropout(mg.ones(5), 0.5, **g),
    "Dropout": lambda **g: nn.Dropout(0.5, **g),
    "uniform_": lambda **g: nn.init.uniform_(mg.ones(5), **g),
    "normal_": lambda **g: nn.init.normal_(mg.ones(5), **g),
    "DataLoader": lambda **g: mg.utils.data.DataLoader([1, 2], **g),
    "random_split": lambda **g: mg.utils.data.random_split([1, 2], [1, 1], **g),
}


@pytest.mark.parametrize("name", TAKERS)
def test_what_is_no_generator_is_refused_and_nothing_is_drawn(name):
    state = get_rng_state()
    for wrong in 3, 0, False, "seed", np.random.default_rng(0), mg.Generator:
        with pytest.raises(TypeError) as error:
            TAKERS[name](generator=wrong)
        assert str(error.value) == (
            f"{name}'s generator has to be a minigrad.Generator, but got {wrong!r}"
        )
    assert get_rng_state() == state


@functions
def test_manual_seed_restarts_the_default_generator_always(function):
    assert mg.manual_seed(3).get_state() == (3, 0, 0)
    first = function().tolist()
    for _ in range(3):
        mg.manual_seed(3)
        assert function().tolist() == first
    assert mg.initial_seed() == 3


def test_the_default_generators_state_can_be_read_and_set():
    mg.manual_seed(3)
    mg.rand(100)
    state = get_rng_state()
    assert state == (3, 0, 13)
    first = mg.rand(5).tolist()
    set_rng_state(state)
    assert mg.rand(5).tolist() == first


@functions
def test_fork_rng_gives_the_state_back(function):
    mg.manual_seed(3)
    mg.rand(5)
    state = get_rng_state()
    with mg.fork_rng():
        assert get_rng_state() == state
        inside = function().tolist()
        mg.manual_seed(99)
    assert get_rng_state() == state
    assert function().tolist() == inside


def test_fork_rng_gives_the_state_back_also_after_an_exception():
    def fail():
        mg.rand(5)
        raise ZeroDivisionError

    state = get_rng_state()
    with pytest.raises(ZeroDivisionError), mg.fork_rng():
        fail()
    assert get_rng_state() == state


def test_fork_rng_nests():
    mg.manual_seed(3)
    with mg.fork_rng():
        mg.rand(5)
        state = get_rng_state()
        with mg.fork_rng():
            mg.rand(500)
        assert get_rng_state() == state
    assert get_rng_state() == (3, 0, 0)


# ------------------------------------------------------------------- ranges, shapes and dtypes


@pytest.mark.parametrize(("dtype", "bits"), [(np.float16, 11), (np.float32, 24), (np.float64, 53)])
def test_rand_gives_the_multiples_of_a_power_of_two_below_one(dtype, bits):
    values = mg.rand(100_000, generator=mg.Generator(1), dtype=dtype)
    assert values.dtype == dtype
    whole = values.numpy().astype(np.float64) * 2.0**bits
    assert (whole == np.floor(whole)).all()
    assert whole.min() >= 0
    assert whole.max() <= 2**bits - 1
    assert (whole % 2 == 1).any()  # down to the last bit


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_rand_is_below_one_for_the_largest_words_and_zero_for_the_smallest(dtype):
    class Extreme(mg.Generator):
        def words(self, n):
            return np.where(np.arange(n) % 2, np.uint64(WORD - 1), np.uint64(0))

    values = mg.rand(4, generator=Extreme(0), dtype=dtype).tolist()
    assert min(values) == 0.0
    assert (
        max(values) == 1 - {np.float16: 2.0**-11, np.float32: 2.0**-24, np.float64: 2.0**-53}[dtype]
    )


def test_rand_is_the_top_bits_of_the_lanes_or_words():
    state = (3, 1, 4)
    lanes, words = philox_lanes(state, 9).astype(np.float64), philox_words(state, 9)
    for dtype, bits in ((np.float16, 11), (np.float32, 24)):
        expected = np.floor(lanes / 2.0 ** (32 - bits)) / 2.0**bits
        assert mg.rand(9, generator=generator(state), dtype=dtype).tolist() == expected.tolist()
    expected = [(int(w) >> 11) / 2.0**53 for w in words]
    assert mg.rand(9, generator=generator(state), dtype=np.float64).tolist() == expected


@pytest.mark.parametrize("make", [mg.rand, mg.randn])
def test_shapes_and_flags_are_as_in_pytorch(make):
    assert make(2, 3).shape == (2, 3)
    assert make((2, 3)).shape == (2, 3)
    assert make([2, 3]).shape == (2, 3)
    assert make(4).shape == (4,)
    assert make(()).shape == ()
    assert make(0, 3).shape == (0, 3)
    assert make(np.int64(2), np.int64(3)).shape == (2, 3)
    assert make(2).dtype == np.float32
    x = make(2, requires_grad=True)
    assert x.requires_grad
    assert x.is_leaf
    assert not make(2).requires_grad


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_randn_is_the_transform_of_box_and_muller_in_every_dtype(dtype):
    state = (3, 1, 4)
    u, v = ((philox_words(state, 200) >> np.uint64(11)) * 2.0**-53).reshape(100, 2).T
    expected = np.sqrt(-2 * np.log(1 - u)) * np.cos(2 * np.pi * v)
    values = mg.randn(100, generator=generator(state), dtype=dtype)
    assert values.dtype == dtype
    np.testing.assert_allclose(
        values.numpy(), expected.astype(dtype), rtol=1e-3 if dtype == np.float16 else 1e-6
    )


def test_randn_is_finite_for_the_extreme_words():
    class Extreme(mg.Generator):
        def words(self, n):
            return np.where(np.arange(n) % 3, np.uint64(WORD - 1), np.uint64(0))

    values = mg.randn(30, generator=Extreme(0), dtype=np.float64).numpy()
    assert np.isfinite(values).all()
    assert np.abs(values).max() == pytest.approx(np.sqrt(2 * 53 * np.log(2)))


def test_a_filled_tensor_has_the_generators_numbers_moved_and_scaled():
    t, twin = mg.zeros(2, 3, dtype=mg.float64), mg.Generator(5)
    z = 2 + 3 * twin.normal(6)
    np.testing.assert_array_equal(t.normal_(2, 3, generator=mg.Generator(5)).numpy().ravel(), z)
    u = 2 + 3 * twin.uniform(6)
    last = mg.Generator(5)
    last.set_state((5, 0, 3))
    np.testing.assert_array_equal(t.uniform_(2, 5, generator=last).numpy().ravel(), u)


@thorough
@given(st.integers(-(2**40), 2**40), st.integers(1, 2**53), STATES)
def test_randint_stays_in_its_range(low, size, state):
    values = mg.randint(low, low + size, (100,), generator=generator(state))
    assert values.dtype == np.int64
    assert low <= values.min().item() <= values.max().item() < low + size


@pytest.mark.parametrize("count", [1, 2, 3, 10, 2**31 - 1, 2**32 + 1, 2**53 - 1, 2**53])
def test_randint_reaches_neither_bound_from_outside_with_the_extreme_words(count):
    class Extreme(mg.Generator):
        def words(self, n):
            return np.where(np.arange(n) % 2, np.uint64(WORD - 1), np.uint64(0))

    assert mg.randint(-7, count - 7, (2,), generator=Extreme(0)).tolist() == [-7, count - 8]


def test_randint_reaches_all_of_a_small_range():
    values = mg.randint(-2, 3, (1000,), generator=mg.Generator(1)).tolist()
    assert set(values) == {-2, -1, 0, 1, 2}


def test_randint_takes_its_arguments_like_pytorch():
    g = mg.Generator(1)
    assert mg.randint(5, (2, 3), generator=g).shape == (2, 3)
    assert mg.randint(0, 5, (2, 3), generator=g).shape == (2, 3)
    assert mg.randint(0, 5, [4], generator=g).shape == (4,)
    assert mg.randint(0, 5, size=(0,), generator=g).shape == (0,)
    assert mg.randint(low=3, high=4, size=(2,), generator=g).tolist() == [3, 3]
    assert mg.randint(1, (2,)).tolist() == mg.randint(1, size=(2,)).tolist() == [0, 0]
    with pytest.raises(TypeError, match="randint needs a size"):
        mg.randint(3)


@pytest.mark.parametrize(
    ("low", "high"), [(0, 0), (3, 3), (3, 2), (0, 2**53 + 1), (-(2**53), 1)], ids=repr
)
def test_randint_refuses_an_empty_or_too_large_range_and_draws_nothing(low, high):
    g = mg.Generator(1)
    with pytest.raises(ValueError, match=rf"low < high .* got low={low}, high={high}"):
        mg.randint(low, high, (3,), generator=g)
    assert g.get_state() == (1, 0, 0)


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "int32"])
def test_randint_takes_the_range_of_a_dtype_and_no_more_as_pytorch_does(dtype):
    torch = pytest.importorskip("torch")
    least, most = int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)
    for m in mg, torch:
        both_ends = {
            m.randint(n, n + 1, (1,), dtype=getattr(m, dtype)).item() for n in (least, most)
        }
        assert both_ends == {least, most}
        whole = m.randint(least, most + 1, (1000,), dtype=getattr(m, dtype))
        # by chance not so once in 1e45
        assert least <= whole.min().item() < 0.1 * most < 0.8 * most < whole.max().item() <= most
        for low, high in ((least - 1, most), (least, most + 2), (most, most + 2)):
            with pytest.raises(RuntimeError, match="out of bounds for"):
                m.randint(low, high, (1,), dtype=getattr(m, dtype))


@pytest.mark.parametrize("n", [0, 1, 2, 3, 10, 1000])
def test_randperm_is_a_permutation(n):
    order = mg.randperm(n, generator=mg.Generator(1))
    assert order.dtype == np.int64
    assert order.shape == (n,)
    assert sorted(order.tolist()) == list(range(n))


def test_randperm_ranks_the_words():
    words = philox_words((1, 0, 0), 50)
    assert mg.randperm(50, generator=mg.Generator(1)).tolist() == np.argsort(words).tolist()


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_bernoulli_is_one_where_a_lane_is_below_p(dtype):
    for p in (0.0, 0.125, 0.5, 1.0):
        values = mg.bernoulli(mg.full((5, 7), p, dtype=dtype), generator=mg.Generator(4))
        assert values.dtype == dtype
        assert values.shape == (5, 7)
        ones = philox_lanes((4, 0, 0), 35) < p * 2**32
        assert values.tolist() == ones.reshape(5, 7).astype(float).tolist()
        assert not values.requires_grad


def test_bernoulli_takes_a_probability_for_each_element():
    p = mg.tensor([[0.0, 1.0, 0.5], [1.0, 0.0, 0.3]], requires_grad=True)
    sums = np.zeros((2, 3))
    g = mg.Generator(4)
    for _ in range(100):
        sums += mg.bernoulli(p, generator=g).numpy()
    assert sums[0, :2].tolist() == [0, 100]
    assert sums[1, :2].tolist() == [100, 0]
    assert 0 < sums[0, 2] < 100
    assert mg.bernoulli(np.array([0.0, 1.0]), generator=g).tolist() == [0.0, 1.0]


@pytest.mark.parametrize("bad", [-0.1, 1.0000001, float("nan"), float("inf"), -1e-30])
def test_bernoulli_refuses_what_is_no_probability_and_draws_nothing(bad):
    g = mg.Generator(1)
    p = mg.tensor([0.5, bad, 0.5], dtype=np.float64)
    with pytest.raises(ValueError, match=r"probabilities must be in \[0, 1\], got " + str(bad)):
        mg.bernoulli(p, generator=g)
    with pytest.raises(ValueError, match="probabilities must be in"):
        mg.bernoulli(mg.tensor(bad, dtype=np.float64), generator=g)
    assert g.get_state() == (1, 0, 0)


# ------------------------------------------------------------------- distributions

ALPHA = 1e-6


@pytest.mark.parametrize("p", [0.001, 0.1, 0.2, 0.5, 0.8, 0.999])
def test_a_mask_drops_each_element_with_probability_p(p):
    """Exact binomial test on 2,000,000 elements.

    Detects a rate that is off by 4.9 σ = 4.9 √(p (1 - p) / n): 0.0018 at p = 0.5, 0.00011 at 0.001.
    """
    stats = pytest.importorskip("scipy.stats")
    n = 2_000_000
    dropped = n - int(mg.Generator(2024).keep_mask((n,), p).sum())
    assert stats.binomtest(dropped, n, p).pvalue > ALPHA


@pytest.mark.parametrize("p", [0.1, 0.5, 0.8])
def test_neighbours_in_a_mask_are_independent(p):
    """Chi-square on the 256 patterns of eight neighbours, 200,000 of them: half a block each.

    Detects a correlation of 0.025 between any two of the eight places (at p = 0.5).
    """
    stats = pytest.importorskip("scipy.stats")
    keep = mg.Generator(2025).keep_mask((200_000, 8), p)
    counts = np.bincount(keep @ (1 << np.arange(8)), minlength=256)
    kept = np.array([int(i).bit_count() for i in range(256)])
    expected = 200_000 * (1 - p) ** kept * p ** (8 - kept)
    rare = expected < 5  # put together, as the test asks for
    if rare.any():
        counts = np.append(counts[~rare], counts[rare].sum())
        expected = np.append(expected[~rare], expected[rare].sum())
    assert stats.chisquare(counts, expected).pvalue > ALPHA


def test_masks_of_two_streams_are_independent():
    """Chi-square on the four joint outcomes of 1,000,000 pairs, at p = 0.3.

    Detects a correlation of 0.005 between the masks of two children of one generator.
    """
    stats = pytest.importorskip("scipy.stats")
    one, two = mg.Generator(2026).spawn(2)
    a, b = one.keep_mask((1_000_000,), 0.3), two.keep_mask((1_000_000,), 0.3)
    table = [[(a & b).sum(), (a & ~b).sum()], [(~a & b).sum(), (~a & ~b).sum()]]
    assert stats.chi2_contingency(table).pvalue > ALPHA


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rand_is_uniform(dtype):
    """Kolmogorov and Smirnov's test on 200,000 numbers: detects 0.006 between distributions."""
    stats = pytest.importorskip("scipy.stats")
    values = mg.rand(200_000, generator=mg.Generator(1), dtype=dtype).numpy()
    assert stats.kstest(values.astype(np.float64), "uniform").pvalue > ALPHA


def test_rand_of_float16_has_every_value_equally_often():
    """Chi-square on all 2048 values, 400,000 numbers: detects a tenth of them 10% too frequent."""
    stats = pytest.importorskip("scipy.stats")
    values = mg.rand(400_000, generator=mg.Generator(1), dtype=np.float16).numpy()
    counts = np.bincount((values.astype(np.float64) * 2048).astype(np.int64), minlength=2048)
    assert stats.chisquare(counts).pvalue > ALPHA


def test_randn_is_normal():
    """Kolmogorov and Smirnov's test on 200,000 numbers: detects 0.006 between distributions.

    That is a mean of 0.015, or a standard deviation of 1.025; the moments are tested more sharply:
    at 5σ a mean of 0.011, a variance of 1.016, and a correlation of neighbours of 0.011.
    """
    stats = pytest.importorskip("scipy.stats")
    values = mg.randn(200_000, generator=mg.Generator(1), dtype=np.float64).numpy()
    assert stats.kstest(values, "norm").pvalue > ALPHA
    root = np.sqrt(len(values))
    assert abs(values.mean()) * root < 5
    assert abs(values.var() - 1) / np.sqrt(2) * root < 5
    assert abs((values[1:] * values[:-1]).mean()) * root < 5


@pytest.mark.parametrize("count", [2, 3, 10, 1000])
def test_randint_gives_every_number_equally_often(count):
    """Chi-square on 200,000 numbers: detects one of ten that is 4% too frequent."""
    stats = pytest.importorskip("scipy.stats")
    values = mg.randint(5, 5 + count, (200_000,), generator=mg.Generator(1)).numpy()
    assert stats.chisquare(np.bincount(values - 5, minlength=count)).pvalue > ALPHA


def test_randperm_gives_every_order_equally_often():
    """Chi-square on the 24 orders of four, 24,000 of them: detects one that is 22% too frequent."""
    stats = pytest.importorskip("scipy.stats")
    g, counts = mg.Generator(1), {}
    for _ in range(24_000):
        order = tuple(mg.randperm(4, generator=g).tolist())
        counts[order] = counts.get(order, 0) + 1
    assert len(counts) == 24
    assert stats.chisquare(list(counts.values())).pvalue > ALPHA


@pytest.mark.parametrize("p", [0.02, 0.3, 0.9])
def test_bernoulli_gives_one_with_its_probability(p):
    """Exact binomial test on 500,000 numbers: detects 4.9 σ, 0.0032 at p = 0.3."""
    stats = pytest.importorskip("scipy.stats")
    ones = int(mg.bernoulli(mg.full((500_000,), p), generator=mg.Generator(1)).sum().item())
    assert stats.binomtest(ones, 500_000, float(np.float32(p))).pvalue > ALPHA


# ------------------------------------------------------------------------- the state by names


def test_a_generator_goes_on_from_the_state_of_another():
    one, other = mg.Generator(2**64 - 1).spawn(1)[0], mg.Generator(0)
    mg.rand(9, generator=one)
    state = one.state_dict()
    assert (state["seed"], state["stream"], state["offset"]) == one.get_state()
    other.load_state_dict(state)
    assert mg.rand(5, generator=other).tolist() == mg.rand(5, generator=one).tolist()
    assert state["offset"] != one.get_state()[2]


@pytest.mark.parametrize(
    ("state", "error", "message"),
    [
        ((1, 2, 3), TypeError, "expected a generator's state, got a tuple"),
        ({}, ValueError, "expected seed, stream, offset, got nothing"),
        ({"seed": 1, "stream": 0}, ValueError, "got seed, stream$"),
        ({"seed": 1, "stream": 0, "offset": 0, "more": 0}, ValueError, "got seed, .*more"),
        ({"seed": 1, "stream": 0, "offset": -1}, ValueError, "integers from 0"),
        ({"seed": 1, "stream": 0, "offset": 1.0}, ValueError, "integers from 0"),
    ],
)
def test_what_is_no_state_of_a_generator_is_refused(state, error, message):
    generator = mg.Generator(7)
    with pytest.raises(error, match=message):
        generator.load_state_dict(state)
    assert generator.get_state() == (7, 0, 0)
