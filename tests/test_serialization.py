"""Saving and loading: what comes back, who else reads it, and what a failure leaves behind."""

from __future__ import annotations

import json
import os
import struct
import sys
from collections import OrderedDict, namedtuple
from pathlib import Path
from typing import Any

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad as mg
from minigrad import nn
from minigrad.utils.files import replacing

safetensors = pytest.importorskip("safetensors")

DTYPES = [np.float16, np.float32, np.float64, np.int8, np.int16, np.int32, np.int64, np.uint8]
DTYPES += [np.bool_]


def there_and_back(value: Any, folder: Path) -> Any:
    mg.save(value, folder / "x.safetensors")
    return mg.load(folder / "x.safetensors")


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


@settings(deadline=None, derandomize=True, max_examples=80)
@given(value=st.dictionaries(st.text(alphabet="abc.", min_size=1), tensors, max_size=4))
def test_a_dictionary_of_tensors_comes_back(
    value: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    back = there_and_back(value, tmp_path_factory.getbasetemp())
    assert_same({key: back[key] for key in value}, value)
    assert back.keys() == value.keys()


@settings(deadline=None, derandomize=True, max_examples=150)
@given(value=nested)
def test_nested_structures_come_back_with_the_types_of_their_keys_and_containers(
    value: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    found = names(value)
    if len(set(found)) == len(found):  # {1: t, "1": t} is refused, see below
        assert_same(there_and_back({"x": value}, tmp_path_factory.getbasetemp()), {"x": value})


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


def test_a_state_dict_is_a_plain_safetensors_file_without_metadata(tmp_path: Path) -> None:
    mg.save({"w": mg.ones(2)}, tmp_path / "w")
    raw = (tmp_path / "w").read_bytes()
    header = json.loads(raw[8 : 8 + struct.unpack("<Q", raw[:8])[0]])
    assert list(header) == ["w"]


# ------------------------------------------------------------------------- whole or not at all


class Unsavable:
    pass


@pytest.mark.parametrize("bad", [Unsavable(), {1, 2}, np.ones(2), np.float32(1), 1j, b"bytes", len])
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


@pytest.mark.parametrize("moment", ["write_bytes", "replace"])
@pytest.mark.parametrize("exists", [True, False])
def test_a_save_that_fails_midway_leaves_the_old_file_and_no_other(
    moment: str, exists: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.safetensors"
    if exists:
        mg.save({"old": mg.ones(1)}, path)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}

    def fail(*args: Any, **kwargs: Any) -> None:
        if moment == "write_bytes":
            args[0].touch()
            with open(args[0], "wb") as file:
                file.write(args[1][:10])
        raise OSError("the disk is full")

    monkeypatch.setattr(Path if moment == "write_bytes" else os, moment, fail)
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
)
def test_what_is_no_safetensors_file_is_refused(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(data)
    with pytest.raises(ValueError, match="is not a whole safetensors file"):
        mg.load(tmp_path / "x")


def test_a_missing_file_is_missing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        mg.load(tmp_path / "nothing")


def test_without_the_package_the_error_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "safetensors.numpy", None)
    (tmp_path / "x").write_bytes(b"")
    for call in lambda: mg.save({}, tmp_path / "y"), lambda: mg.load(tmp_path / "x"):
        with pytest.raises(ImportError, match=r'pip install "minigrad\[io\]"'):
            call()
    assert os.listdir(tmp_path) == ["x"]
