"""The wheel, what importing loads, which file imports which, and how long files are."""

from __future__ import annotations

import ast
import importlib.util
import io
import shutil
import subprocess
import sys
import tokenize
import zipfile
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import minigrad

PACKAGE = Path(minigrad.__file__).parent
ROOT = PACKAGE.parent
OPTIONAL = [
    "scipy", "matplotlib", "tqdm", "safetensors", "playwright", "torch", "cupy", "mpi4py",
]  # fmt: skip
#: the engine, from the bottom up: what computes derivatives, and knows neither an op nor a tensor
ENGINE = [
    f"minigrad.{name}"
    for name in (
        *("device", "grad_mode", "hooks", "graph", "spellings", "misfits", "table", "inplace"),
        *("ops.summing", "ops.broadcast", "seeds", "autograd"),
    )
]
LAUNCHING = ("minigrad.fused", "minigrad.kernels")


def modules() -> dict[str, Path]:
    """Return the files of the package by dotted name, the package itself as ``minigrad``."""
    names = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        names[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return names


MODULES = modules()


def imported(tree: ast.AST, top: bool = False) -> Iterator[str]:
    """Yield the dotted names that a file imports when it runs (not only for type checkers).

    Args:
        tree: the parsed file.
        top: leave out what is imported only when a function is called.
    """
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if top and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports within the package are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        else:
            yield from imported(node, top)


def dependencies(name: str) -> set[str]:
    """Return the modules of the package that a module imports."""
    found = set()
    for target in imported(ast.parse(MODULES[name].read_text())):
        parts = target.split(".")
        known = [".".join(parts[:n]) for n in range(len(parts), 0, -1)]
        found.update([next(k for k in known if k in MODULES)] if parts[0] == "minigrad" else [])
    return found


def code_lines(path: Path) -> int:
    """Count the lines of a file that are neither blank nor comment nor docstring."""
    text = path.read_text()
    lines: set[int] = set()
    skip = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT)
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in (*skip, tokenize.ENDMARKER):
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.Expr(ast.Constant(str())):
                lines.difference_update(range(node.lineno, node.end_lineno + 1))
    return len(lines)


# ------------------------------------------------------------------------- the wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel, built from a copy of the sources, so that nothing is left among them."""
    for needed in "build", "setuptools":
        if importlib.util.find_spec(needed) is None:
            pytest.skip(f"building the wheel needs {needed}: pip install {needed}")
    if not (ROOT / "pyproject.toml").exists():
        pytest.skip("minigrad is installed without its sources beside it")
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for path in ROOT.iterdir():
        if path.suffix in (".toml", ".md") or path.name == "LICENSE":
            shutil.copy(path, source)
        elif path.is_dir() and (path / "__init__.py").exists():
            ignored = shutil.ignore_patterns("__pycache__", "*.gz")
            shutil.copytree(path, source / path.name, ignore=ignored)
    (source / "tests").mkdir()
    (source / "tests" / "test_nothing.py").touch()
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder)]
    done = subprocess.run(
        [*command, str(source)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = folder.glob("*.whl")
    return zipfile.ZipFile(path)


def test_the_wheel_holds_the_whole_package_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    version = minigrad.__version__
    assert Path(wheel.filename).name == f"minigrad-{version}-py3-none-any.whl"
    names = {name for name in wheel.namelist() if ".dist-info/" not in name}
    sources = {path.relative_to(ROOT).as_posix() for path in MODULES.values()}
    data = {
        path.relative_to(ROOT).as_posix()
        for path in PACKAGE.rglob("*")
        if path.suffix in (".cu", ".typed", ".html", ".css", ".js")
    }
    assert "minigrad/py.typed" in data
    assert names == sources | data


def test_the_wheel_says_what_it_needs(wheel: zipfile.ZipFile) -> None:
    (name,) = [n for n in wheel.namelist() if n.endswith(".dist-info/METADATA")]
    metadata = wheel.read(name).decode().split("\n\n")[0].split("\n")
    assert "Name: minigrad" in metadata
    assert f"Version: {minigrad.__version__}" in metadata
    assert "Requires-Python: >=3.11" in metadata
    required = [line for line in metadata if line.startswith("Requires-Dist") and ";" not in line]
    assert len(required) == 1
    assert required[0].startswith("Requires-Dist: numpy>=2")


def test_the_wheel_works_without_the_sources(wheel: zipfile.ZipFile, tmp_path: Path) -> None:
    wheel.extractall(tmp_path / "installed")
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path / 'installed')!r}); import minigrad; "
        "x = minigrad.ones(2, requires_grad=True); (x * x).sum().backward(); "
        "print(minigrad.__file__, x.grad.tolist())"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    file, gradient = done.stdout.split(" ", 1)
    assert Path(file).is_relative_to(tmp_path)
    assert gradient == "[2.0, 2.0]\n"


# ------------------------------------------------------------------------- importing


@pytest.mark.parametrize(
    "statement",
    [
        "import minigrad",
        "import minigrad.training, minigrad.plot",
        "import minigrad.testing",
        "import minigrad.explain",
    ],
)
def test_importing_loads_numpy_and_nothing_optional(statement: str) -> None:
    code = f"import sys; before = set(sys.modules); {statement}; print(*set(sys.modules) - before)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert {"minigrad", "numpy"} <= loaded
    assert loaded.isdisjoint(OPTIONAL)
    others = {name for name in loaded if name not in sys.stdlib_module_names}
    assert {name for name in others if not name.startswith("_")} == {"minigrad", "numpy"}


def test_importing_minigrad_does_not_load_explain() -> None:
    code = "import sys, minigrad; print('minigrad.explain' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"


# ------------------------------------------------------------------------- which imports which


def test_imports_within_the_package_run_one_way() -> None:
    TopologicalSorter({name: dependencies(name) - {name} for name in MODULES}).prepare()


def test_the_engine_knows_no_op_and_no_tensor() -> None:
    for i, name in enumerate(ENGINE):
        assert dependencies(name) <= {*ENGINE[:i], *LAUNCHING}, name


def test_nothing_but_itself_imports_explain() -> None:
    for name in MODULES:
        inside = name == "minigrad.explain" or name.startswith("minigrad.explain.")
        assert inside or not any(d.startswith("minigrad.explain") for d in dependencies(name)), name


def test_what_launches_kernels_knows_nothing_of_the_engine() -> None:
    below = {"minigrad.device", "minigrad.kernels.index", "minigrad.kernels.launch"}
    assert dependencies("minigrad.fused") <= below
    for name in MODULES:
        if name.startswith("minigrad.kernels"):
            strangers = {d for d in dependencies(name) if not d.startswith("minigrad.kernels")}
            assert strangers <= {"minigrad.philox"}, name


def test_masks_are_a_function_of_words_alone() -> None:
    assert dependencies("minigrad.philox") == set()
    assert dependencies("minigrad.masks") == {"minigrad.philox"}


def test_ops_import_the_table_and_each_other_only() -> None:
    ops = [name for name in MODULES if name.startswith("minigrad.ops")]
    assert len(ops) > 5
    below = {
        f"minigrad.{n}"
        for n in ("table", "graph", "device", "cublas", "indexing", "misfits", "spellings")
    }
    allowed = {*ops, *LAUNCHING, *below}
    for name in ops:
        assert dependencies(name) <= allowed, name


def test_the_device_module_imports_nothing_of_the_package() -> None:
    assert dependencies("minigrad.device") == set()


def test_only_the_device_module_imports_cupy_and_only_when_asked() -> None:
    importing = {
        name
        for name, path in MODULES.items()
        if any(t.partition(".")[0] == "cupy" for t in imported(ast.parse(path.read_text())))
        or "import cupy" in path.read_text()
    }
    assert importing == {"minigrad.device"}
    tree = ast.parse(MODULES["minigrad.device"].read_text())
    assert not any("cupy" in target for target in imported(tree, top=True))


def test_optional_packages_are_imported_inside_functions_only() -> None:
    for name, path in MODULES.items():
        if name.startswith("minigrad.testing."):
            continue  # statistics and strategies are for those who have scipy and hypothesis
        targets = imported(ast.parse(path.read_text()), top=True)
        assert {t.partition(".")[0] for t in targets}.isdisjoint(OPTIONAL), name


def test_nothing_of_the_package_imports_what_is_not_in_the_wheel() -> None:
    outside = {"models", "data", "examples", "benchmarks", "tests"}
    for name, path in MODULES.items():
        targets = imported(ast.parse(path.read_text()))
        assert {t.partition(".")[0] for t in targets}.isdisjoint(outside), name


# ------------------------------------------------------------------------- length


def test_no_file_is_longer_than_350_lines_of_code() -> None:
    lengths = {name: code_lines(path) for name, path in MODULES.items()}
    assert {name: lines for name, lines in lengths.items() if lines > 350} == {}
