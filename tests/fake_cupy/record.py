"""Writes down what the real CuPy takes and refuses: ``api.json``, which the fake one obeys.

It needs a wheel of CuPy, but neither a GPU nor a driver::

    python -m tests.fake_cupy.record            # write api.json anew
    python -m tests.fake_cupy.record --check    # say how it differs, and fail if it does

Recorded are, of what NumPy has too: functions, methods and operators with their parameters; the
dtype of each ufunc's result for every pair of operands; and what becomes of the expressions in
`PROBES`. Without a GPU many of these end where a device is first needed: then it is known that
they are not refused before, and no more.
"""

from __future__ import annotations

import argparse
import inspect
import itertools
import json
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tests.fake_cupy.api import FILE, OPERANDS, REFUSED

FINE, GPU_NEEDED = "fine", "needs a GPU"
UFUNC_KEYWORDS = ("out", "where", "casting", "order", "dtype", "subok", "signature", "axes", "axis")

#: a, b: 2 x 3 matrices; h: one of NumPy's; i: two integers; m: a mask; z: a number; e: nothing
PROBES = """
np.asarray(a); np.array(a); np.ascontiguousarray(a); np.float32(z)
np.add(a, a); np.add(a, 1); np.add(a, np.float64(1)); np.add(a, a, out=b); np.add(a, a, dtype="d")
np.add(a, a, where=True); np.add(a, a, order="C"); np.add(a, a, subok=False)
np.add.reduce(a); np.add.reduce(a, axis=1); np.add.reduce(a, initial=0); np.add.at(a, i, 1.0)
np.add.reduce(a, where=True); np.divide.at(a, i, 1.0); np.maximum.reduce(a)
a @ h.T; h @ a.T; a @ 1; a.__imatmul__; a.__index__; range(i[0]); hash(a); round(z)
a == a; a == 1; a != 1; a < 1; a ** 2; 2 ** a; -a; ~m; abs(a); m & m; divmod(a, a)
np.shape(a); np.ndim(a); np.size(a); np.may_share_memory(a, a[0]); np.can_cast(a, "d")
np.result_type(a, 1.0); np.zeros_like(a); np.zeros_like(a, shape=(3,)); np.empty_like(a)
np.full_like(a, 1, shape=None, dtype=None); np.ones_like(a, subok=True); np.zeros_like(a, order="C")
np.where(m, a, 0); np.where(m, 1, 0); np.where(True, a, a); np.where(m, a); np.where(a > 0, a, a)
np.argmax(a, axis=1, keepdims=True); np.expand_dims(a, 0); np.broadcast_to(a, (4, 2, 3))
np.broadcast_to(a, (4, 2, 3), subok=True); np.arange(3, like=a); np.zeros(3, like=a)
np.zeros((3,), "f", like=a); np.full(3, 1.0, like=a); np.empty(3, like=a); np.eye(3, like=a)
np.linspace(0, 1, 3, like=a); np.asarray([1, 2], like=a); np.concatenate([a, a], axis=1)
np.concatenate([a, a], dtype="d"); np.stack([a, a]); np.clip(a, 0, 1); np.clip(a, min=0, max=1)
np.sum(a, axis=1, keepdims=True); np.sum(a, initial=0); np.sum(a, where=m); np.prod(a)
np.mean(a, where=m); np.var(a, ddof=1); np.var(a, correction=1); np.std(a, mean=a); np.max(a)
np.max(a, initial=0); np.count_nonzero(a, keepdims=True); np.take(a, i, axis=1)
np.take(a, i, mode="clip"); np.take_along_axis(a, i[:, None], 1); np.einsum("ij,kj->ik", a, a)
np.reshape(a, (3, 2)); np.reshape(a, shape=(3, 2)); np.transpose(a); np.swapaxes(a, 0, 1)
np.squeeze(a); np.ravel(a); np.copyto(a, 1.0); np.copyto(a, h); np.copyto(a, b); np.block([a, a])
np.insert(a, 0, 1.0); np.geomspace(a, a); np.nan_to_num(a); np.flip(a)
a.sum(axis=1, dtype="d", keepdims=True); a.sum(where=m); a.sum(initial=0); a.max(where=m)
a.mean(axis=(0, 1)); a.var(axis=1, ddof=0.5); a.std(ddof=1, keepdims=True); a.any(axis=(0, 1))
a.all(where=m); a.argmax(axis=None, keepdims=False); a.clip(0, 1); a.clip(min=0); a.argsort()
a.reshape(3, 2); a.reshape([3, 2]); a.reshape((3, 2), order="C"); a.reshape(4); a.transpose([1, 0])
a.transpose(1, 0); a.swapaxes(-1, -2); a.squeeze(); a.squeeze(0); a.T; a.ravel(); a.view("i")
a.astype("d"); a.astype("d", casting="safe"); a.astype("f", copy=False); a.copy(); a.copy(order="F")
a.fill(1); a.fill(h); a.item(); a.resize; a.setflags; a.to_device; a.ctypes; a.__array_interface__
a.base; a[0].base is a; a.device.id; a.nbytes; a.strides; a.itemsize; a.flags.c_contiguous
a[0]; a[0, 0]; a[...]; a[0, ...]; a[None]; a[:, ::-1]; a[np.int64(1)]; a[5]; a[0, 1, 2]; a[i, 5]
a[i]; a[i, i]; a[m]; a[m[:, 0], :]; a[a]; a[m[:, :2]]; a[..., ...]
a.__setitem__(0, 1.0); a.__setitem__(..., a); a.__setitem__(..., h); a.__setitem__(0, h[0])
a.__setitem__(0, [1, 2, 3]); a.__setitem__(0, np.float32(2)); a.__setitem__(i, 1.0)
h.__setitem__(0, a[0]); len(a); len(z); iter(z); [len(row) for row in a]
bool(a); bool(z); float(z); int(z); z.item(); a.tolist(); a.get(); repr(a)
"""


def probes() -> list[str]:
    """Return the expressions to probe."""
    return [probe.strip() for probe in re.split(r"[;\n]", PROBES) if probe.strip()]


def operands(array: Callable[[Any], Any]) -> dict[str, Any]:
    """Return what the names in the probes stand for; ``array`` puts NumPy's onto the device."""
    h = np.ones((2, 3), "f")
    return {
        "a": array(h),
        "b": array(h),
        "h": h,
        "i": array(np.array([0, 1])),
        "m": array(h > 0),
        "z": array(np.array(2, "f")),
        "e": array(h[:0]),
    }


def outcome(expression: str, names: dict[str, Any], gpu_needed: Any = ()) -> str:
    """Return what becomes of an expression: `FINE`, `GPU_NEEDED`, or the exception's name."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            eval(expression, {"np": np, **names})
    except gpu_needed:
        return GPU_NEEDED
    except Exception as error:
        return type(error).__name__
    return FINE


class Recorder:
    """Asks the real CuPy.

    Args:
        cupy: the module.
    """

    def __init__(self, cupy: Any) -> None:
        self.cupy = cupy
        self.names = operands(self.array)
        self.gpu_needed = (cupy.cuda.runtime.CUDARuntimeError, ImportError)  # ... or its libraries

    def array(self, host: np.ndarray) -> Any:
        """Return one of CuPy's arrays in NumPy's memory: no GPU has to have room for it."""
        memory = self.cupy.cuda.UnownedMemory(host.ctypes.data, max(host.nbytes, 1), host, 0)
        pointer = self.cupy.cuda.MemoryPointer(memory, 0)
        return self.cupy.ndarray(host.shape, host.dtype, pointer)

    def everything(self) -> dict[str, Any]:
        """Return all that is recorded, as JSON has it."""
        return {
            "version": self.cupy.__version__,
            "functions": dict(self.functions()),
            "methods": dict(self.methods()),
            "operators": self.operators(),
            "ufunc_keywords": [k for k in UFUNC_KEYWORDS if self.takes(k)],
            "ufuncs": dict(self.ufuncs()),
            "probes": {p: outcome(p, self.names, self.gpu_needed) for p in probes()},
        }

    def functions(self) -> Iterator[tuple[str, str]]:
        """Yield names and parameters; functions that CuPy has from NumPy do not take its arrays."""
        for prefix, theirs, ours in (
            ("", self.cupy, np),
            ("linalg.", self.cupy.linalg, np.linalg),
        ):
            for name in sorted(dir(ours)):
                function, own = getattr(theirs, name, None), getattr(ours, name)
                plain = callable(own) and not inspect.isclass(own) and not name.startswith("_")
                if plain and function not in (None, own) and not isinstance(own, np.ufunc):
                    yield prefix + name, parameters(function)

    def methods(self) -> Iterator[tuple[str, str]]:
        """Yield names and parameters."""
        for name in sorted(dir(np.ndarray)):
            method = getattr(self.cupy.ndarray, name, None)
            if not name.startswith("_") and callable(method):
                yield name, parameters(method)

    def operators(self) -> list[str]:
        """Return the names of operators, those of the interpreter's own objects aside."""
        special = [name for name in dir(self.cupy.ndarray) if name.startswith("__")]
        return [n for n in special if n in dir(np.ndarray) and n not in dir(object)] + [
            n for n in ("__eq__", "__ge__", "__gt__", "__le__", "__lt__", "__ne__") if n in special
        ]

    def takes(self, keyword: str) -> bool:
        """Return whether ufuncs take a keyword."""
        try:
            self.cupy.add(self.names["a"], self.names["a"], **{keyword: None})
        except self.gpu_needed:
            return True
        except TypeError as error:
            return "Wrong arguments" not in str(error)
        return True

    def ufuncs(self) -> Iterator[tuple[str, Any]]:
        """Yield names, with the dtypes of results, and which methods there are."""
        ours = [name for name in sorted(dir(np)) if isinstance(getattr(np, name), np.ufunc)]
        found = {name: getattr(self.cupy, name, None) for name in ours}
        found["where"] = sys.modules["cupy._sorting.search"]._where_ufunc
        for name, ufunc in found.items():
            if isinstance(ufunc, self.cupy.ufunc):
                methods = [m for m in ("at", "reduce") if self.has(ufunc, m)]
                yield name, {"results": self.results(ufunc), "methods": methods}

    def has(self, ufunc: Any, method: str) -> bool:
        """Return whether a ufunc has a method that works."""
        arguments = (self.names["i"], 1) if method == "at" else ()
        try:
            getattr(ufunc, method)(self.names["z"].reshape(1), *arguments)
        except self.gpu_needed:
            return True
        except NotImplementedError:
            return False
        return True

    def results(self, ufunc: Any) -> str:
        """Return the letter of the result's dtype for each combination of `OPERANDS`."""
        scalar = sys.modules["cupy._core._scalar"].CScalar
        values = {char: self.array(np.ones(1, char)) for char in OPERANDS if char not in "IF"}
        values |= {"I": scalar(1), "F": scalar(1.5)}
        condition = [self.names["m"]] if ufunc.nin == 3 else []
        letters = []
        for chars in itertools.product(OPERANDS, repeat=min(ufunc.nin, 2)):
            arguments = [*condition, *(values[char] for char in chars)]
            try:
                loop = ufunc._ops.guess_routine(ufunc.name, {}, arguments, None, ufunc._out_ops)
                char = np.dtype(loop.out_types[0]).char
                letters.append({"q": "l", "Q": "L"}.get(char, char))
            except (TypeError, ValueError):
                letters.append(REFUSED)
        return "".join(letters)


def parameters(function: Any) -> str:
    """Return a function's parameters as Python writes them, with every default as None."""
    try:
        known = list(inspect.signature(function).parameters.values())
    except ValueError:  # compiled: its docstring begins with them, C types included
        match = re.match(r"[\w.]+\((.*?)\)( ->.*)?$", (function.__doc__ or "").split("\n")[0])
        if match is None:
            return "*args, **kwargs"
        parts = [
            re.sub(r"=.*", "=None", part.strip()).split(" ")[-1] for part in match[1].split(",")
        ]
        return ", ".join(part for part in parts if part not in ("self", ""))
    written, bare = [], False
    for p in known:
        if p.kind is p.KEYWORD_ONLY and not bare:
            written.append("*")
        bare = bare or p.kind in (p.KEYWORD_ONLY, p.VAR_POSITIONAL)
        stars = {p.VAR_POSITIONAL: "*", p.VAR_KEYWORD: "**"}.get(p.kind, "")
        written.append(f"{stars}{p.name}" + ("" if p.default is p.empty else "=None"))
    return ", ".join(part for part in written if part != "self")


def differences(known: Any, found: Any, where: str = "") -> Iterator[str]:
    """Yield in words how two records differ."""
    if isinstance(known, dict) and isinstance(found, dict):
        for key in sorted(known.keys() | found.keys()):
            yield from differences(known.get(key), found.get(key), f"{where}{key}: ")
    elif known != found:
        yield f"{where}recorded {known!r}, found {found!r}"


def main() -> int:
    """Record, or check."""
    parser = argparse.ArgumentParser(description="Record what the installed CuPy takes and refuses")
    parser.add_argument("--check", action="store_true", help="compare with api.json instead")
    check = parser.parse_args().check
    import cupy

    found = Recorder(cupy).everything()
    if not check:
        FILE.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")
        return 0
    differing = list(differences(json.loads(FILE.read_text()), found))
    print(*differing, sep="\n")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
