"""Saving and loading: what comes back, who else reads it, and what a failure leaves behind."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import signal
import stat
import struct
import subprocess
import sys
import threading
import tracemalloc
from collections import OrderedDict, namedtuple
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad as mg
from minigrad import nn, safetensors_format
from minigrad.utils.files import replacing
from tests.processes import environment
from tests.reference import scaled

examples = settings(max_examples=scaled(60))
DTYPES = [np.float16, np.float32, np.float64, np.int8, np.int16, np.int32, np.int64, np.uint8]
DTYPES += [np.bool_, np.uint16, np.uint32, np.uint64]


def there_and_back(value: Any, folder: Path) -> Any:
    mg.save(value, folder / "x.safetensors")
    return mg.load(folder / "x.safetensors")


def through_memory(value: Any) -> Any:
    buffer = io.BytesIO()
    mg.save(value, buffer)
    buffer.seek(0)
    return mg.load(buffer)


def assert_same(a: Any, b: Any) -> None:
    """Assert equal structures with tensors of equal bytes, and the same types all through."""
    assert type(a) is type(b)
    if isinstance(a, mg.Tensor):
        np.testing.assert_array_equal(a.numpy(), b.numpy(), strict=True)
    elif isinstance(a, dict):
        assert list(a) == list(b)
        assert [type(key) for key in a] == [type(key) for key in b]
        for key in a:
            assert_same(a[key], b[key])
    elif isinstance(a, list | tuple):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            assert_same(x, y)
    else:
        assert a == b or (a != a and b != b)


# ------------------------------------------------------------------------- what comes back

arrays = st.sampled_from(DTYPES).flatmap(
    lambda dtype: hnp.arrays(
        dtype, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)
    )
)
tensors = arrays.map(mg.from_numpy)
plain = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text())
keys = st.one_of(st.text(alphabet="abc_0", min_size=1), st.integers(0, 9))
nested = st.recursive(
    st.one_of(tensors, plain),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(keys, inner, max_size=3),
    ),
    max_leaves=8,
)


def names(value: Any, name: str = "") -> list[str]:
    """Return the dotted names of the tensors in a structure."""
    if isinstance(value, mg.Tensor):
        return [name]
    if not isinstance(value, dict | list | tuple):
        return []
    children = value.items() if isinstance(value, dict) else enumerate(value)
    return [n for key, v in children for n in names(v, f"{name}.{key}" if name else str(key))]


@settings(max_examples=scaled(80))
@given(value=st.dictionaries(st.text(alphabet="abc.", min_size=1), tensors, max_size=4))
def test_a_dictionary_of_tensors_comes_back(value: Any) -> None:
    back = through_memory(value)
    assert_same({key: back[key] for key in value}, value)
    assert back.keys() == value.keys()


@settings(max_examples=scaled(150))
@given(value=nested)
def test_nested_structures_come_back_with_the_types_of_their_keys_and_containers(
    value: Any,
) -> None:
    found = names(value)
    if len(set(found)) == len(found):  # {1: t, "1": t} is refused, see below
        assert_same(through_memory({"x": value}), {"x": value})


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), (3,), (2, 0), (2, 3)])
def test_every_dtype_and_shape_comes_back_alone(dtype: Any, shape: Any, tmp_path: Path) -> None:
    t = mg.from_numpy(np.asarray(np.random.default_rng(0).uniform(0, 3, shape)).astype(dtype))
    assert_same(there_and_back(t, tmp_path), t)
    assert_same(there_and_back([t], tmp_path), [t])


@pytest.mark.parametrize(
    "view",
    [
        lambda t: t.T,
        lambda t: t[:, ::2],
        lambda t: t.expand(3, 2, 4),
        lambda t: mg.from_numpy(t.numpy()[::-1]),
    ],
    ids=["transposed", "strided", "expanded", "reversed"],
)
def test_views_are_saved_as_what_they_show(view: Any, tmp_path: Path) -> None:
    t = view(mg.arange(8).reshape(2, 4))
    assert_same(there_and_back({"t": t}, tmp_path), {"t": t})


@pytest.mark.parametrize("dtype", [">f4", ">f8", ">i2", ">i8", ">u4", ">f2"])
def test_elements_in_another_byte_order_keep_their_values(dtype: str, tmp_path: Path) -> None:
    t = mg.zeros(2, 3)
    t.data = np.arange(6).reshape(2, 3).astype(dtype)  # as no other way lets it in
    back = there_and_back({"t": t}, tmp_path)["t"].numpy()
    assert back.dtype == np.dtype(dtype).newbyteorder("=")
    assert back.tolist() == t.tolist()


def test_large_tensors_and_many_dimensions_come_back(tmp_path: Path) -> None:
    value = {
        "large": mg.arange(900_001),  # of 8 bytes: some pieces, and a part of one
        "deep": mg.arange(4).reshape((2,) + (1,) * 62 + (2,)),  # all dimensions that NumPy has
        "after": mg.arange(3),
    }
    assert_same(there_and_back(value, tmp_path), value)


def test_memory_that_is_shared_comes_back_under_every_name(tmp_path: Path) -> None:
    t = mg.arange(6).reshape(2, 3)
    value = {"a": t, "b": t, "c": t.T, "d": t[1:], "e": [t, {"f": t}]}
    back = there_and_back(value, tmp_path)
    assert_same(back, value)
    back["a"].fill_(0)
    assert back["b"].tolist() == t.tolist()


@pytest.mark.parametrize(
    ("number", "expected"),
    [(np.float32(0.5), 0.5), (np.float64(0.1), 0.1), (np.float16(2), 2.0), (np.int64(-3), -3),
     (np.uint8(200), 200), (np.bool_(True), True), (np.longdouble(0.25), 0.25),
     (np.float32("nan"), float("nan")), (np.str_("x"), "x"), (np.uint64(2**64 - 1), 2**64 - 1)],
)  # fmt: skip
def test_numpys_numbers_come_back_as_pythons(number: Any, expected: Any, tmp_path: Path) -> None:
    assert_same(there_and_back({"x": [number]}, tmp_path), {"x": [expected]})
    assert_same(there_and_back(number, tmp_path), expected)
    if expected == expected:
        assert_same(there_and_back({number: (1,)}, tmp_path), {expected: (1,)})


def test_the_state_of_an_optimiser_with_numpys_numbers_comes_back(tmp_path: Path) -> None:
    p = mg.ones(1, requires_grad=True)
    state = mg.optim.SGD([p], lr=np.float32(0.5), momentum=np.float64(0.9)).state_dict()
    assert there_and_back(state, tmp_path)["param_groups"][0]["lr"] == 0.5


def test_nan_infinity_and_minus_zero_come_back_to_the_bit(tmp_path: Path) -> None:
    t = mg.tensor([np.nan, np.inf, -np.inf, -0.0])
    assert there_and_back({"t": t}, tmp_path)["t"].numpy().tobytes() == t.numpy().tobytes()


@pytest.mark.parametrize(
    "value",
    [
        {1: mg.ones(2)},
        {1: mg.ones(2), "1.5": mg.ones(1), 2: {}},
        {"a": {}, "b": [], "c": (), "d": None, "e": ""},
        {},
        [],
        (mg.ones(1), [mg.zeros(1), (True, 0, 1.5, "x")]),
        {None: 1, True: 2, 2.5: 3},
    ],
    ids=[
        *("a number", "numbers and text", "nothing in a dictionary", "an empty dictionary"),
        *("an empty list", "a tuple", "None, True and a float"),
    ],
)
def test_keys_and_empty_containers_come_back(value: Any, tmp_path: Path) -> None:
    assert_same(there_and_back(value, tmp_path), value)


def test_subclasses_of_dictionaries_lists_and_tuples_come_back_as_these(tmp_path: Path) -> None:
    point = namedtuple("point", "x y")
    value = {
        "model": OrderedDict(b=mg.ones(1), a=mg.zeros(2)),
        "point": point(mg.ones(1), 3),
        "epoch": 7,
    }
    expected = {"model": dict(value["model"]), "point": (mg.ones(1), 3), "epoch": 7}
    assert_same(there_and_back(value, tmp_path), expected)
    ordered = OrderedDict(b=mg.ones(1), a=mg.zeros(2))
    back = there_and_back(ordered, tmp_path)
    assert_same({key: back[key] for key in ordered}, dict(ordered))


def test_what_is_loaded_is_a_leaf_of_its_own_memory(tmp_path: Path) -> None:
    p = nn.Parameter(mg.ones(2))
    back = there_and_back({"p": p, "y": p * 2}, tmp_path)
    for t in back.values():
        assert type(t) is mg.Tensor
        assert not t.requires_grad
        assert t.is_leaf
    back["p"].add_(1)
    assert p.tolist() == [1.0, 1.0]


def test_a_network_comes_back_through_its_state_dict(tmp_path: Path) -> None:
    net, twin = (nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)) for _ in range(2))
    mg.save(net.state_dict(), tmp_path / "net.safetensors")
    assert twin.load_state_dict(mg.load(tmp_path / "net.safetensors")) == ([], [])
    x = mg.ones(2, 3)
    assert twin(x).tolist() == net(x).tolist()


def test_a_generators_state_comes_back_as_three_integers(tmp_path: Path) -> None:
    generator = mg.Generator(2**64 - 1).spawn(1)[0]
    mg.rand(5, generator=generator)
    fresh = mg.Generator(0)
    fresh.set_state(there_and_back({"rng": generator.get_state()}, tmp_path)["rng"])
    assert fresh.get_state() == generator.get_state()


# ------------------------------------------------------------------------- other programs' files


@pytest.mark.parametrize("dtype", DTYPES)
def test_pytorchs_safetensors_read_our_files_and_we_read_theirs(dtype: Any, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("safetensors")
    from safetensors.torch import load_file, save_file

    rng = np.random.default_rng(0)
    arrays = {
        "1.weight": np.asarray(rng.uniform(0, 3, size=(3, 4))).astype(dtype),
        "1.bias": np.array(1).astype(dtype),
        "empty": np.zeros((0, 2), dtype),
    }
    path = tmp_path / "w.safetensors"
    mg.save({name: mg.from_numpy(a) for name, a in arrays.items()}, path)
    theirs = load_file(path)
    assert theirs.keys() == arrays.keys()
    for name, a in arrays.items():
        np.testing.assert_array_equal(theirs[name].numpy(), a, strict=True)

    save_file({name: torch.from_numpy(a) for name, a in arrays.items()}, path, {"format": "pt"})
    ours = mg.load(path)
    assert ours.keys() == arrays.keys()
    for name, a in arrays.items():
        np.testing.assert_array_equal(ours[name].numpy(), a, strict=True)


def test_a_network_trained_in_pytorch_is_loaded_and_computes_the_same(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("safetensors")
    from safetensors.torch import save_file

    def network(m: Any) -> Any:
        return m.nn.Sequential(m.nn.Flatten(), m.nn.Linear(6, 4), m.nn.Tanh(), m.nn.Linear(4, 2))

    theirs, ours = network(torch), network(mg)
    save_file(theirs.state_dict(), tmp_path / "net.safetensors")
    ours.load_state_dict(mg.load(tmp_path / "net.safetensors"))
    x = np.random.default_rng(0).normal(size=(5, 2, 3)).astype(np.float32)
    np.testing.assert_allclose(
        ours(mg.from_numpy(x)).detach().numpy(),
        theirs(torch.from_numpy(x)).detach().numpy(),
        rtol=1e-5,
        atol=1e-6,
    )


def header_of(raw: bytes) -> dict[str, Any]:
    return json.loads(raw[8 : 8 + struct.unpack("<Q", raw[:8])[0]])


def test_a_state_dict_is_a_plain_safetensors_file_with_a_checksum(tmp_path: Path) -> None:
    path = tmp_path / "w"
    mg.save({"w": mg.ones(2)}, path)
    header = header_of(path.read_bytes())
    metadata = header.pop("__metadata__")
    assert header == {"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}
    raw = path.read_bytes()
    blank = raw.replace(metadata["minigrad.sha256"].encode(), b"0" * 64)
    assert hashlib.sha256(blank).hexdigest() == metadata["minigrad.sha256"]


STORED = {
    "a state dict": (
        {"w": mg.tensor([0.5, -2.0]), "seen": mg.tensor([True])},
        '{"__metadata__":{"minigrad.sha256":'
        '"b68d6cf467431672ee15a462237ee6fc630a40595c5c8b5dc45f900d46067876",'
        r'"minigrad":"{\"flat\": true}"},'
        '"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},'
        '"seen":{"dtype":"BOOL","shape":[1],"data_offsets":[8,9]}}     ',
        struct.pack("<2f?", 0.5, -2.0, True),
    ),
    "a nested structure": (
        {"net": {"w": mg.tensor([0.5])}, "epoch": 7, "best": (0.75, None)},
        '{"__metadata__":{"minigrad.sha256":'
        '"5042f216fc3f4b0b5dade68f47ac6c91f6ab7cc080ba911b520cfa736178ac1b",'
        r'"minigrad":"{\"nested\": {\"dict\": [[\"net\", {\"dict\": '
        r"[[\"w\", {\"tensor\": \"net.w\"}]]}], [\"epoch\", {\"value\": 7}], "
        r'[\"best\", {\"tuple\": [[0, {\"value\": 0.75}], [1, {\"value\": null}]]}]]}}"},'
        '"net.w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}     ',
        struct.pack("<f", 0.5),
    ),
}


@pytest.mark.parametrize("kind", STORED)
def test_what_is_saved_and_read_is_the_file_of_earlier_versions(kind: str) -> None:
    value, header, elements = STORED[kind]
    stored = struct.pack("<Q", len(header)) + header.encode() + elements
    buffer = io.BytesIO()
    mg.save(value, buffer)
    assert buffer.getvalue() == stored
    assert_same(mg.load(io.BytesIO(stored)), value)


@examples
@given(value=st.dictionaries(st.text(alphabet="abc.é", min_size=1), tensors, max_size=5))
def test_the_formats_own_library_reads_any_of_our_files_and_we_any_of_its(value: Any) -> None:
    library = pytest.importorskip("safetensors.numpy")
    buffer = io.BytesIO()
    mg.save(value, buffer)
    theirs = library.load(buffer.getvalue())
    written = library.save({key: np.ascontiguousarray(t.numpy()) for key, t in value.items()})
    ours = mg.load(io.BytesIO(written))
    assert theirs.keys() == ours.keys() == value.keys()
    header = header_of(buffer.getvalue())
    for key, t in value.items():
        for array in theirs[key], ours[key].numpy():
            np.testing.assert_array_equal(array.reshape(t.shape), t.numpy(), strict=True)
        assert header[key]["data_offsets"][0] % t.dtype.itemsize == 0


def test_names_come_back_in_their_order(tmp_path: Path) -> None:
    value = {"z": mg.ones(2), "a": mg.ones(2, dtype=mg.float64), "m": mg.tensor([True])}
    assert list(there_and_back(value, tmp_path)) == ["z", "a", "m"]


def test_bfloat16_is_read_as_float32(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("safetensors")
    from safetensors.torch import save_file

    bits = torch.arange(2**16, dtype=torch.int32).to(torch.int16)
    values = {"all": bits.view(torch.bfloat16).reshape(256, 256), "one": torch.ones(3)}
    save_file({**values, "none": torch.ones(0, 2).bfloat16()}, tmp_path / "w")
    back = mg.load(tmp_path / "w")
    assert back["all"].dtype == back["none"].dtype == np.float32
    expected = values["all"].float().numpy().view(np.uint32)
    nan = np.isnan(expected.view(np.float32))
    np.testing.assert_array_equal(back["all"].numpy().view(np.uint32)[~nan], expected[~nan])
    np.testing.assert_array_equal(np.isnan(back["all"].numpy()), nan)
    assert back["none"].shape == (0, 2)
    assert back["one"].tolist() == [1.0] * 3


@pytest.mark.parametrize(
    ("kind", "word"),
    [("float8_e4m3fn", r"'F8_E4M3' \(float8\)"), ("float8_e5m2", r"'F8_E5M2' \(float8\)"),
     ("complex64", r"'C64' \(complex64\)")],
)  # fmt: skip
def test_types_that_numpy_lacks_are_named_and_the_file_not_called_damaged(
    kind: str, word: str, tmp_path: Path
) -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("safetensors")
    from safetensors.torch import save_file

    save_file(
        {"ok": torch.ones(2), "odd": torch.zeros(2, dtype=getattr(torch, kind))}, tmp_path / "w"
    )
    with pytest.raises(ValueError, match=rf"^cannot load .*w: tensor 'odd' has the type {word}"):
        mg.load(tmp_path / "w")


@pytest.mark.parametrize(
    "foreign",
    [
        *("hello", "", "{}", "[1, 2]", '{"a": 1}', "5", "null", '"tensor"'),
        pytest.param("[" * 100_000, id="nested too deeply"),
    ],
)
def test_other_programs_metadata_under_our_name_is_left_alone(foreign: str, tmp_path: Path) -> None:
    pytest.importorskip("safetensors")
    from safetensors.numpy import save_file

    save_file({"w": np.ones(2)}, tmp_path / "w", metadata={"minigrad": foreign, "by": "them"})
    assert mg.load(tmp_path / "w")["w"].tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    "structure",
    [
        '{"tensor": "nope"}', '{"tensor": 3}', '{"tensor": {}}', '{"value": [1]}', '{"dict": 5}',
        '{"dict": [["v", {"tensor": "w"}]]}', '{"dict": [["w"]]}', '{"dict": [["w", 3]]}',
        '{"dict": [[["w"], {"tensor": "w"}]]}', '{"dict": []}', '{"list": [[1, {"tensor": "w"}]]}',
        pytest.param('{"dict": [["w", {"tensor": "w"}], ["w", {"tensor": "w"}]]}', id="w twice"),
        pytest.param('{"dict": [["w", {"tensor": "w"}], ["v", {"tensor": "w"}]]}', id="w as v"),
        '{"dict": [["w", {"tensor": "w"', '{"nested": {"value": 1}}', '{"flat": true}',
        pytest.param('{"dict": ' * 100_000, id="nested too deeply"),
        pytest.param('{"list": [[0, ' * 200 + '{"value": 1}' + "]]}" * 200, id="200 lists"),
    ],
)  # fmt: skip
def test_a_structure_unfit_for_its_tensors_is_refused(structure: str, tmp_path: Path) -> None:
    with (tmp_path / "w").open("wb") as file:
        metadata = {"minigrad": f'{{"nested": {structure}}}'}
        safetensors_format.write(file, {"w": np.ones(2)}, metadata)
    with pytest.raises(ValueError, match=r"w is not a whole safetensors file: its "):
        mg.load(tmp_path / "w")


def nested_lists(depth: int) -> str:
    return '{"list": [[0, ' * depth + '{"value": 1}' + "]]}" * depth


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ('{"set": []}', "its structure has a 'set' of"),
        ('{"dict": 5}', "its structure has a 'dict' of 5"),
        ('{"list": "text"}', "its structure has a 'list' of 'text'"),
        ('{"value": [1]}', "its structure has a 'value' of"),
        ('{"dict": [["k", {"value": 1}], ["k", {"value": 2}]]}', "a dict with the keys"),
        ('{"list": [[0, {"value": 1}], [0, {"value": 2}]]}', "a list with the keys"),
        ('{"list": [[1, {"value": 1}]]}', r"a list with the keys \[1\]"),
        ('{"tuple": [[1, {"value": 1}], [0, {"value": 2}]]}', r"a tuple with the keys \[1, 0\]"),
        (nested_lists(100), "its structure is nested more than 100 deep"),
    ],
    ids=["no such kind", "a number of parts", "a text of parts", "a value that is none",
         "a key twice", "a place twice", "no first place", "places in disorder", "too deep"],
)  # fmt: skip
def test_a_wrong_part_is_refused_also_where_each_tensor_has_its_place(
    part: str, message: str
) -> None:
    structure = f'{{"dict": [["w", {{"tensor": "w"}}], ["x", {part}]]}}'
    file = io.BytesIO()
    metadata = {"minigrad": f'{{"nested": {structure}}}'}
    safetensors_format.write(file, {"w": np.ones(2)}, metadata)
    file.seek(0)
    with pytest.raises(ValueError, match=message):
        mg.load(file)


@pytest.mark.parametrize("text", ['{"nested": {"value": 1}}', '{"flat": true}', '{"nested"'])
def test_a_file_of_ours_that_has_lost_its_checksum_is_refused(text: str, tmp_path: Path) -> None:
    pytest.importorskip("safetensors")
    from safetensors.numpy import save_file

    save_file({"w": np.ones(2)}, tmp_path / "w", metadata={"minigrad": text})
    with pytest.raises(ValueError, match="w is not a whole safetensors file: its checksum is miss"):
        mg.load(tmp_path / "w")


# ------------------------------------------------------------------------- whole or not at all


class Unsavable:
    pass


@pytest.mark.parametrize(
    "bad",
    [
        Unsavable(),
        {1, 2},
        np.ones(2),
        pytest.param(np.datetime64(1, "s"), id="a date"),
        1j,
        b"bytes",
        len,
    ],
)
def test_what_cannot_be_saved_is_named_and_the_old_file_stays(bad: Any, tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    mg.save({"old": mg.ones(1)}, path)
    before = path.read_bytes()
    message = rf"cannot save a\.0\.b, a {type(bad).__name__}: expected tensors, numbers, strings"
    with pytest.raises(TypeError, match=message):
        mg.save({"a": [{"b": bad}], "w": mg.zeros(3)}, path)
    with pytest.raises(TypeError, match=f"cannot save this, a {type(bad).__name__}"):
        mg.save(bad, path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize("key", [(1, 2), frozenset(), b"k"])
def test_keys_that_would_not_come_back_are_refused(key: Any, tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    for value in {key: mg.ones(1)}, {"a": {key: 3}}:
        with pytest.raises(TypeError):
            mg.save(value, path)
    assert os.listdir(tmp_path) == []


def test_two_tensors_that_would_get_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=r"two tensors under one name, 'a\.b'"):
        mg.save({"a.b": mg.ones(1), "a": {"b": mg.zeros(1)}}, tmp_path / "x")
    assert os.listdir(tmp_path) == []


def test_what_is_nested_in_itself_or_very_deeply_is_refused(tmp_path: Path) -> None:
    itself: list[Any] = []
    itself.append({"a": itself})
    deep: Any = mg.ones(1)
    for _ in range(101):
        deep = [deep]
    for value in itself, deep:
        with pytest.raises(TypeError, match="nested more than 100 deep, or in itself"):
            mg.save(value, tmp_path / "x")
    assert os.listdir(tmp_path) == []
    assert_same(there_and_back(deep[0], tmp_path), deep[0])


@pytest.mark.parametrize(
    "value", [{"\ud800": mg.ones(1)}, {"a": mg.ones(1).numpy().view}], ids=["name", "type"]
)
def test_names_that_are_no_text_and_types_that_the_format_lacks_are_refused(
    value: Any, tmp_path: Path
) -> None:
    with pytest.raises(TypeError, match="cannot save"):
        mg.save(value, tmp_path / "x")
    if np.dtype(np.longdouble).itemsize > 8:
        with pytest.raises(TypeError, match=r"cannot save a: the format has no float\d+"):
            mg.save({"a": mg.from_numpy(np.ones(2, np.longdouble))}, tmp_path / "x")
    assert os.listdir(tmp_path) == []


def test_a_name_that_the_format_keeps_for_itself_never_makes_an_unreadable_file(
    tmp_path: Path,
) -> None:
    value = {"__metadata__": mg.ones(1), "w": mg.zeros(1)}
    try:
        mg.save(value, tmp_path / "x")
    except (TypeError, ValueError):
        assert os.listdir(tmp_path) == []
    else:
        assert_same(mg.load(tmp_path / "x"), value)


def test_the_name_that_the_format_keeps_is_refused_and_named(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="a tensor as '__metadata__': the format keeps that name"):
        mg.save({"__metadata__": mg.ones(1)}, tmp_path / "x")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("moment", ["write", "replace"])
@pytest.mark.parametrize("exists", [True, False])
def test_a_save_that_fails_midway_leaves_the_old_file_and_no_other(
    moment: str, exists: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.safetensors"
    if exists:
        mg.save({"old": mg.ones(1)}, path)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}

    def fail(*args: Any, **kwargs: Any) -> None:
        if moment == "write":
            args[0].write(b"a few bytes")
        raise OSError("the disk is full")

    monkeypatch.setattr(safetensors_format if moment == "write" else os, moment, fail)
    with pytest.raises(OSError, match="the disk is full"):
        mg.save({"new": mg.zeros(1000)}, path)
    monkeypatch.undo()
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


def test_folders_that_are_missing_are_made(tmp_path: Path) -> None:
    path = tmp_path / "runs" / "1" / "w.safetensors"
    mg.save({"w": mg.ones(1)}, path)
    assert mg.load(str(path))["w"].tolist() == [1.0]
    assert os.listdir(path.parent) == [path.name]


def test_replacing_hides_the_new_file_until_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "figure.png"
    path.write_text("old")
    with replacing(path) as temporary:
        assert temporary.parent == path.parent
        assert temporary.suffix == ".png"
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert os.listdir(tmp_path) == [path.name]


def test_replacing_leaves_the_old_file_if_the_block_is_interrupted(tmp_path: Path) -> None:
    path = tmp_path / "figure.png"
    path.write_text("old")

    def interrupted() -> None:
        with replacing(path) as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == [path.name]


# ------------------------------------------------------------------------- bad files


def test_a_file_cut_short_anywhere_is_refused_with_its_name(tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    mg.save({"w": mg.ones(3), "n": 4}, whole)
    data = whole.read_bytes()
    for length in range(len(data)):
        cut.write_bytes(data[:length])
        with pytest.raises(ValueError, match=r"cut is not a whole safetensors file"):
            mg.load(cut)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"not at all",
        b"PK\x03\x04" + bytes(100),
        struct.pack("<Q", 2**60) + b"{}",
        struct.pack("<Q", 5) + b"{,,,}",
        struct.pack("<Q", 2) + b"[]",
    ],
    ids=[
        *("nothing", "text", "a zip file", "a header beyond the end", "a header that is no JSON"),
        "a header that is a list",
    ],
)
def test_what_is_no_safetensors_file_is_refused(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(data)
    with pytest.raises(ValueError, match="is not a whole safetensors file"):
        mg.load(tmp_path / "x")


def test_a_file_cut_short_is_called_so_and_how_short_it_is(tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    mg.save({"w": mg.ones(3)}, whole)
    data = whole.read_bytes()
    header = len(data) - 12
    for length in range(len(data)):
        cut.write_bytes(data[:length])
        reason = f"{length} bytes, where a header's length has 8"
        if length >= 8:
            reason = f"{length} bytes, where the header alone has {header}"
        if length >= header:
            reason = f"{length - header} bytes of tensors, where it states 12"
        with pytest.raises(ValueError, match=f": it is cut short: {reason}$"):
            mg.load(cut)


def test_a_file_that_becomes_shorter_while_it_is_read_is_refused() -> None:
    class Shrinking(io.BytesIO):
        left = 8  # bytes of elements

        def readinto(self, buffer: Any) -> int:
            count = super().readinto(buffer[: self.left])
            self.left -= count
            return count

    file = Shrinking()
    mg.save({"w": mg.ones(3)}, file)
    file.seek(0)
    with pytest.raises(ValueError, match="cut short in tensor 'w'"):
        mg.load(file)


def test_a_header_may_be_as_long_as_the_formats_library_reads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = io.BytesIO()
    mg.save({"w": mg.ones(3)}, file)
    (length,) = struct.unpack("<Q", file.getvalue()[:8])
    monkeypatch.setattr(safetensors_format, "_LONGEST_HEADER", length)
    file.seek(0)
    assert mg.load(file)["w"].tolist() == [1.0] * 3
    monkeypatch.setattr(safetensors_format, "_LONGEST_HEADER", length - 1)
    file.seek(0)
    with pytest.raises(ValueError, match=f"another kind of file, or damaged: .* {length} bytes"):
        mg.load(file)


def test_a_header_in_another_encoding_is_refused() -> None:
    for encoding in "utf-16-le", "utf-32-be":
        header = json.dumps({"w": {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]}})
        raw = header.encode(encoding)
        with pytest.raises(ValueError, match="its header is no JSON"):
            mg.load(io.BytesIO(struct.pack("<Q", len(raw)) + raw))


@pytest.mark.parametrize("byte", [2, 255])
def test_a_byte_that_is_neither_true_nor_false_is_refused(byte: int) -> None:
    header = b'{"w":{"dtype":"BOOL","shape":[2],"data_offsets":[0,2]}}'
    raw = struct.pack("<Q", len(header)) + header + bytes([1, byte])
    with pytest.raises(ValueError, match="tensor 'w' has elements that are neither true nor false"):
        mg.load(io.BytesIO(raw))


def test_a_missing_file_is_missing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        mg.load(tmp_path / "nothing")


NESTED = {
    "net": {"weight": mg.tensor([[0.5, 2.0]]), "bias": mg.tensor([1.0])},
    "optimizer": {"state": {0: {"momentum_buffer": mg.ones(2)}}, "param_groups": [{"lr": 0.1}]},
    "epoch": 7,
    "best": (0.75, None, "run", True),
}


@pytest.mark.parametrize(
    "value", [NESTED, NESTED["net"], mg.ones(3), {"x": 5}], ids=["nested", "flat", "one", "none"]
)
def test_one_flipped_byte_anywhere_is_refused_with_the_files_name(
    value: Any, tmp_path: Path
) -> None:
    path = tmp_path / "flipped"
    mg.save(value, path)
    whole = path.read_bytes()
    for place in range(len(whole)):
        for flip in (1 << place % 8, 0xFF, whole[place] ^ 0x20, whole[place]):
            if flip:
                spoilt = bytearray(whole)
                spoilt[place] ^= flip
                path.write_bytes(spoilt)
                with pytest.raises(
                    ValueError, match=r"flipped is not a whole safetensors|flipped: "
                ):
                    mg.load(path)
    path.write_bytes(whole)
    assert_same(mg.load(path), value)


@settings(deadline=None)
@given(data=st.data())
def test_a_foreign_header_that_is_changed_at_random_loads_or_is_a_value_error(
    data: st.DataObject,
) -> None:
    pytest.importorskip("safetensors")
    from safetensors.numpy import save

    arrays = {"a": np.ones((2, 1), np.float32), "b.c": np.zeros(3, np.int8), "m": np.ones(2, bool)}
    raw = bytearray(save(arrays, {"minigrad": '{"dict": [["a", {"tensor": "a"}]]}', "x": "y"}))
    for _ in range(data.draw(st.integers(1, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(ValueError):
        mg.load(io.BytesIO(bytes(raw)))


def entry(**changes: Any) -> dict[str, Any]:
    return {"dtype": "F32", "shape": [2], "data_offsets": [0, 8], **changes}


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ({"w": entry(shape=[3])}, "has 12 bytes, and its data_offsets are"),
        ({"w": entry(shape=[-2])}, "expected a list of sizes"),
        ({"w": entry(shape=[2.0])}, "expected a list of sizes"),
        ({"w": entry(shape=[True, 2])}, "expected a list of sizes"),
        ({"w": entry(shape="2")}, "expected a list of sizes"),
        ({"w": entry(data_offsets=[0])}, "data_offsets are"),
        ({"w": entry(data_offsets=[8, 0])}, "data_offsets are"),
        ({"w": entry(data_offsets=[0, 4, 8])}, "data_offsets are"),
        (
            {"w": entry(data_offsets=[4, 12])},
            "begins at byte 4, and the one before it ends at byte 0",
        ),
        ({"w": entry(), "v": entry()}, "begins at byte 0, and the one before it ends at byte 8"),
        ({"w": entry(shape=[2**60], data_offsets=[0, 2**62])}, "cut short"),
        ({"w": entry(shape=[0, 2**70], data_offsets=[0, 0])}, ""),
        ({"w": entry(shape=[1] * 65, data_offsets=[0, 4])}, "65 dimensions"),
        ({"w": entry(shape=[1], data_offsets=[0, 4])}, "8 bytes of tensors, where it states 4"),
        ({"w": entry(dtype=5)}, "has the type 5"),
        ({"w": entry(dtype="f32")}, "has the type 'f32'"),
        ({"w": entry(dtype="BOOL", shape=[8])}, "neither true nor false"),
        ({"w": {"dtype": "F32", "shape": [2]}}, "is described by"),
        ({"w": entry(more=1)}, "is described by"),
        ({"w": 3}, "is described by"),
        ({"w": entry(), "__metadata__": {"a": 1}}, "metadata is not a dictionary of texts"),
        ({"w": entry(), "__metadata__": "a"}, "metadata is not a dictionary of texts"),
        ({"w": entry(), "__metadata__": {"minigrad.sha256": ""}}, "checksum"),
        ('{"w": {}, "w": {}}', "stands twice"),
        ("[" * 100_000, "nested too deeply"),
        (b"\xff\xfe{}", "no JSON"),
    ],
    ids=[
        *("too many elements", "a negative size", "a float for a size", "a bool for a size"),
        *("text for a shape", "one offset", "offsets in reverse", "three offsets", "a gap"),
        *("an overlap", "data beyond the end", "a size beyond int64", "65 dimensions"),
        *(
            "bytes without a tensor",
            "a number for a type",
            "an unknown type",
            "a byte that is no bool",
        ),
        *("no offsets", "one entry more", "a number for an entry", "a number in the metadata"),
        *(
            "text for metadata",
            "an empty checksum",
            "a name twice",
            "nested too deeply",
            "no UTF-8",
        ),
    ],
)
def test_a_header_that_does_not_fit_is_refused_and_the_reason_given(
    header: Any, message: str, tmp_path: Path
) -> None:
    text = json.dumps(header) if isinstance(header, dict) else header
    text = text.encode() if isinstance(text, str) else text
    (tmp_path / "x").write_bytes(struct.pack("<Q", len(text)) + text + struct.pack("<2f", 1, 2))
    with pytest.raises(ValueError, match=f"x is not a whole safetensors file: .*{message}"):
        mg.load(tmp_path / "x")


# ------------------------------------------------------------------------- other ways in and out


class Pipe(io.RawIOBase):
    """What can only be written or read, once, and has no other method."""

    def __init__(self, content: bytes = b"") -> None:
        self.inner = io.BytesIO(content)

    def write(self, data: Any) -> int:
        return self.inner.write(data)

    def read(self, size: int = -1) -> bytes:
        return self.inner.read(size)


def test_file_objects_are_written_and_read_from_where_they_stand(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    buffer.write(b"before")
    mg.save(NESTED, buffer)
    buffer.seek(6)
    assert_same(mg.load(buffer), NESTED)
    pipe = Pipe()
    mg.save(NESTED, pipe)
    assert_same(mg.load(Pipe(pipe.inner.getvalue())), NESTED)
    with (tmp_path / "w").open("ab") as file:
        mg.save(NESTED, file)
    with (tmp_path / "w").open("rb") as file:
        assert_same(mg.load(file), NESTED)
    assert_same(mg.load(tmp_path / "w"), NESTED)


def test_a_pipe_is_written_and_read_to_its_end() -> None:
    reading, writing = os.pipe()
    with open(reading, "rb") as source:
        with open(writing, "wb") as sink:
            mg.save(NESTED, sink)
        assert_same(mg.load(source), NESTED)


def test_a_file_object_for_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="open it with 'wb'"):
        mg.save(NESTED, io.StringIO())
    (tmp_path / "w").write_text("text")
    with (tmp_path / "w").open() as file, pytest.raises(TypeError, match="with 'rb'"):
        mg.load(file)
    with pytest.raises(ValueError, match="the BytesIO is not a whole safetensors file"):
        mg.load(io.BytesIO(b"short"))


@pytest.mark.parametrize("buffering", [None, -1, 0])
def test_loading_takes_about_as_much_memory_as_the_file_is_long(
    buffering: int | None, tmp_path: Path
) -> None:
    path = tmp_path / "w"
    mg.save({f"w{i}": mg.ones(250_000) for i in range(8)}, path)
    size = path.stat().st_size
    tracemalloc.start()
    try:
        if buffering is None:
            tensors = mg.load(path)
        else:
            with path.open("rb", buffering) as file:
                tensors = mg.load(file)
                assert file.tell() == size
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(tensors) == 8
    assert peak < 1.05 * size


# ------------------------------------------------------------------------- where a file is replaced


def test_a_symbolic_link_stays_and_its_target_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    target, link, second = tmp_path / "there" / "w", tmp_path / "link", tmp_path / "second"
    link.symlink_to("there/w")
    second.symlink_to(link)
    for value in 1.0, 2.0:  # the first makes the target
        mg.save({"w": mg.tensor([value])}, second)
        assert link.is_symlink()
        assert second.is_symlink()
        assert not target.is_symlink()
        assert mg.load(target)["w"].tolist() == [value]
    assert sorted(os.listdir(tmp_path)) == ["link", "second", "there"]
    assert os.listdir(tmp_path / "there") == ["w"]
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    with pytest.raises(OSError, match="loop"):
        mg.save({"w": mg.ones(1)}, loop)
    assert loop.is_symlink()


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o664, 0o444, 0o755])
def test_an_existing_files_permissions_are_kept(mode: int, tmp_path: Path) -> None:
    path = tmp_path / "w"
    mg.save({"w": mg.ones(1)}, path)
    path.chmod(mode)
    mg.save({"w": mg.zeros(1)}, path)
    assert stat.S_IMODE(path.stat().st_mode) == mode
    assert mg.load(path)["w"].tolist() == [0.0]


def test_a_new_file_has_the_permissions_that_the_user_wants(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.touch()
    mg.save({"w": mg.ones(1)}, tmp_path / "w")
    assert (tmp_path / "w").stat().st_mode == plain.stat().st_mode


def test_a_private_file_is_private_while_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "w"
    path.touch(mode=0o600)
    with replacing(path) as temporary:
        assert stat.S_IMODE(temporary.stat().st_mode) & 0o077 == 0


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes with names")
def test_what_is_no_regular_file_is_refused_and_stays(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("/dev/null")
    for name in "pipe", "folder", "link":
        with pytest.raises(OSError, match=r"a device, a pipe|is a folder") as raised:
            mg.save({"w": mg.ones(1)}, tmp_path / name)
        assert raised.value.filename == str(tmp_path / name)
    with pytest.raises(OSError, match="a device"):
        mg.save({"w": mg.ones(1)}, "/dev/null")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)
    assert sorted(os.listdir(tmp_path)) == ["folder", "link", "pipe"]


@pytest.mark.parametrize("kind", ["folder", "loop", "pipe"])
def test_what_cannot_be_replaced_is_called_what_it_is(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "here"
    if kind == "folder":
        path.mkdir()
    elif kind == "loop":
        path.symlink_to(path)
    elif hasattr(os, "mkfifo"):
        os.mkfifo(path)
    else:
        pytest.skip("needs pipes with names")
    error, words = {
        "folder": (IsADirectoryError, "is a folder, not a file to write"),
        "loop": (OSError, "is a loop of links, and a file is replaced"),
        "pipe": (OSError, "is a device, a pipe or a socket, and a file is replaced"),
    }[kind]
    with pytest.raises(error, match=words):
        mg.save({"w": mg.ones(1)}, path)


def test_a_long_name_can_be_written(tmp_path: Path) -> None:
    for name in "x" * 255, "é" * 100 + ".safetensors":
        mg.save({"w": mg.ones(1)}, tmp_path / name)
        assert mg.load(tmp_path / name)["w"].tolist() == [1.0]


def test_file_and_folder_are_on_the_disk_before_and_after_the_file_is_renamed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    sync, replace = os.fsync, os.replace

    def fsync(file: int) -> None:
        done.append("folder" if stat.S_ISDIR(os.fstat(file).st_mode) else "file")
        sync(file)

    def renamed(old: Any, new: Any) -> None:
        done.append("renamed")
        assert os.path.dirname(old) == os.path.dirname(new)
        replace(old, new)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", renamed)
    mg.save({"w": mg.ones(1)}, tmp_path / "w")
    assert done == ["file", "renamed", "folder"]


def test_the_temporary_files_name_cannot_be_foretold(tmp_path: Path) -> None:
    names = set()
    for _ in range(3):
        with replacing(tmp_path / "w.png") as temporary:
            names.add(temporary.name)
    assert len(names) == 3
    assert all(len(name) >= len(".w.") + 16 for name in names)


# ------------------------------------------------------------------------- several writers


def test_threads_that_save_to_one_path_leave_one_whole_file_and_never_raise(
    tmp_path: Path,
) -> None:
    path, raised = tmp_path / "new" / "w", []

    def write(value: int) -> None:
        try:
            for _ in range(20):
                mg.save({"w": mg.full((1000,), value)}, path)
                w = mg.load(path)["w"]
                assert (w == w[0]).all()
        except BaseException as error:
            raised.append(error)

    threads = [threading.Thread(target=write, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert raised == []
    assert os.listdir(path.parent) == ["w"]


SAVER = """
import sys
import minigrad
value = int(sys.argv[2])
for _ in range(20):
    minigrad.save({"w": minigrad.full((1000,), value)}, sys.argv[1])
    w = minigrad.load(sys.argv[1])["w"]
    assert (w == w[0]).all()
"""


def test_processes_that_save_to_one_path_leave_one_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "w"
    savers = [
        subprocess.Popen([sys.executable, "-c", SAVER, str(path), str(i)], env=environment())
        for i in range(3)
    ]
    assert [saver.wait(120) for saver in savers] == [0, 0, 0]
    assert os.listdir(tmp_path) == ["w"]
    assert mg.load(path)["w"][0] in range(3)


WRITER = """
import sys
import minigrad
from minigrad.utils.files import replacing

with replacing(sys.argv[1]) as temporary:
    temporary.write_bytes(b"half")
    print(temporary.name, flush=True)
    sys.stdin.read()
"""


def test_the_next_save_removes_what_a_killed_writer_left_and_nothing_else(tmp_path: Path) -> None:
    pytest.importorskip("fcntl")

    def writer() -> tuple[Any, Path]:
        run = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path)], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True, cwd=tmp_path, env=environment(),
        )  # fmt: skip
        return run, tmp_path / run.stdout.readline().strip()

    path = tmp_path / "w.safetensors"
    others = {tmp_path / name for name in (
        ".w.part.safetensors", ".w.0123.part.safetensors", ".v." + "0" * 16 + ".part.safetensors",
        "w." + "0" * 16 + ".part.safetensors", ".w." + "0" * 16 + ".part",
    )}  # fmt: skip
    for other in others:
        other.touch()
    (killed, debris), (alive, growing) = writer(), writer()
    try:
        killed.send_signal(signal.SIGKILL)
        killed.communicate()
        assert debris.exists()
        mg.save({"w": mg.ones(1)}, path)
        assert set(tmp_path.iterdir()) == {*others, growing, path}
        alive.communicate("")
        assert alive.returncode == 0
    finally:
        alive.kill()
        alive.communicate()
    assert path.read_bytes() == b"half"
    assert set(tmp_path.iterdir()) == {*others, path}


@pytest.fixture
def all_closed() -> Iterator[None]:
    """See that each file that a test opens is closed at its end, where the system tells."""
    listed = "/proc/self/fd"
    before = os.listdir(listed) if os.path.isdir(listed) else None
    yield
    assert before is None or os.listdir(listed) == before


@pytest.mark.usefixtures("all_closed")
@pytest.mark.parametrize(
    "name",
    ["w", "w.safetensors", ".w", "[w] *.png", "x" * 255],
    ids=["short", "with a suffix", "hidden", "like a pattern", "as long as may be"],
)
def test_what_a_killed_writer_would_leave_is_removed_by_the_next(name: str, tmp_path: Path) -> None:
    pytest.importorskip("fcntl")
    with replacing(tmp_path / name) as temporary:
        pass
    temporary.touch()  # nobody holds its lock
    with replacing(tmp_path / name) as another:
        assert set(tmp_path.iterdir()) == {tmp_path / name, another}
        with replacing(tmp_path / name) as third:  # the other one is at work still
            assert set(tmp_path.iterdir()) == {tmp_path / name, another, third}


@pytest.mark.usefixtures("all_closed")
def test_a_link_and_a_folder_that_are_named_like_leftovers_stay(tmp_path: Path) -> None:
    with replacing(tmp_path / "w") as temporary:
        pass
    (tmp_path / "precious").write_text("kept")
    temporary.symlink_to("precious")
    folder = temporary.with_name(temporary.name.replace(".w.", ".v."))
    folder.mkdir()
    for name in "w", "v":
        mg.save({"w": mg.ones(1)}, tmp_path / name)
    assert temporary.is_symlink()
    assert folder.is_dir()
    assert (tmp_path / "precious").read_text() == "kept"


@pytest.mark.usefixtures("all_closed")
def test_a_file_that_another_writer_took_for_abandoned_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fcntl = pytest.importorskip("fcntl")
    lock, swept = fcntl.flock, []

    def late(file: int, how: int) -> None:
        if not swept:  # before this writer has locked its file, the other one looks at it
            swept.extend(tmp_path.iterdir())
            swept[0].unlink()
        lock(file, how)

    monkeypatch.setattr(fcntl, "flock", late)
    mg.save({"w": mg.ones(1)}, tmp_path / "w")
    assert len(swept) == 1
    assert mg.load(tmp_path / "w")["w"].tolist() == [1.0]
    assert os.listdir(tmp_path) == ["w"]


@pytest.mark.usefixtures("all_closed")
def test_without_locks_a_file_is_replaced_and_nothing_else_is_touched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("minigrad.utils.files.fcntl", None)  # as on Windows
    with replacing(tmp_path / "w") as growing:
        mg.save({"w": mg.ones(1)}, tmp_path / "w")
        assert set(tmp_path.iterdir()) == {growing, tmp_path / "w"}
        growing.write_text("last")
    assert (tmp_path / "w").read_text() == "last"
    assert os.listdir(tmp_path) == ["w"]
