"""The runner of chapters: which cells it takes, what they import instead, what it reports."""

from __future__ import annotations

import ast
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from data.fashion_mnist import SAMPLE_DIR
from examples import d2l
from examples.d2l import run
from examples.d2l.cells import Imports, read
from minigrad.utils.data import DataLoader

pytest.importorskip("matplotlib")

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def to(text: str, name: str = "chapter.md") -> Path:
        (tmp_path / name).write_text(text, encoding="utf-8")
        return tmp_path / name

    return to


def rewritten(code: str) -> str:
    return ast.unparse(Imports().visit(ast.parse(code)))


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("import torch", "import minigrad as torch"),
        ("import torch.nn as nn", "import minigrad.nn as nn"),
        ("import torch.nn", "import minigrad as torch"),
        ("import os, torch as t", "import os, minigrad as t"),
        ("from torch import nn, optim", "from minigrad import nn, optim"),
        ("from torch.nn import functional as F", "from minigrad.nn import functional as F"),
        ("from torch.utils import data", "from minigrad.utils import data"),
        ("from torch.utils.data import DataLoader", "from minigrad.utils.data import DataLoader"),
        ("from d2l import torch as d2l", "from examples import d2l as d2l"),
        ("from d2l import torch", "from examples import d2l as torch"),
        ("import torchvision", "import examples.d2l.vision as torchvision"),
        ("from torchvision import transforms", "from examples.d2l.vision import transforms"),
        (
            "from torch import distributions",
            "from examples.d2l import distributions as distributions",
        ),
        (
            "from torch.distributions import multinomial",
            "from examples.d2l.distributions import multinomial",
        ),
        ("import torchtext", "import torchtext"),
        ("from . import torch", "from . import torch"),
        ("import random", "import random"),
    ],
)
def test_import_lines_are_changed_and_no_others(code: str, expected: str) -> None:
    assert rewritten(code) == expected
    assert rewritten(f"def f():\n    {code}") == f"def f():\n    {expected}"


def codes(path: Path) -> list[str]:
    return [cell.code for cell in read(path)]


TABS = """# A chapter
```{.python .input}
import mxnet
```
```{.python .input  n=3}
#@tab pytorch
%matplotlib inline
a = 1
```
```{.python .input}
%%tab pytorch, mxnet
b = 2
```
```{.python .input}
%%tab all
# both
c = 3
```
```{.python .input}
#@tab tensorflow
d = 4
```
```bash
pip install d2l
```
"""
PLAIN = """
```python
a = 1
```

~~~py
b = 2
~~~

```
not = code
```
```python
# no code
```
"""


def test_the_tabs_of_pytorch_are_run_and_no_others(write: Write) -> None:
    assert codes(write(TABS)) == ["a = 1", "b = 2", "# both\nc = 3"]


def test_without_tabs_all_python_is_run(write: Write) -> None:
    assert codes(write(PLAIN)) == ["a = 1", "b = 2"]


def test_a_notebook_is_run_too(write: Write) -> None:
    cells = [
        {"cell_type": "markdown", "source": ["import torch"]},
        {"cell_type": "code", "source": ["!pip install d2l==1.0.3\n"]},
        {"cell_type": "code", "source": ["%matplotlib inline\n", "a = 1"]},
    ]
    assert codes(write(json.dumps({"cells": cells}), "chapter.ipynb")) == ["a = 1"]
    with pytest.raises(ValueError, match="not a notebook"):
        read(write("{}", "other.ipynb"))


GOOD = """
```python
import torch
from d2l import torch as d2l
x = torch.ones(2, requires_grad=True)
```
```python
(x * 3).sum().backward()
print("sum")
x.grad
```
"""


def test_cells_share_a_namespace_and_their_last_value_is_printed(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run.main([str(write(GOOD)), "--output"]) == 0
    out = capsys.readouterr().out
    assert "    > import minigrad as torch\n    > from examples import d2l as d2l\n" in out
    assert "    | sum\n    | tensor([3., 3.])\n" in out
    assert out.endswith("chapter.md: 2 of 2 cells ran\n")


BAD = """
```python
import torch
torch.no_such_name
```
```python
1 +
```
```python
raise SystemExit(3)
```
```python
a = 1; a
```
"""


def test_what_fails_is_named_and_the_rest_is_run(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [str(write(BAD, "bad.md")), str(write(GOOD, "good.md"))]
    assert run.main(files) == 1
    out = capsys.readouterr().out
    for reason in "AttributeError: ", "no_such_name", "SyntaxError: ", "SystemExit: 3":
        assert reason in out
    assert out.count("FAILED") == 3
    assert "bad.md: 1 of 4 cells ran" in out
    assert out.endswith("in all: 3 of 6 cells of 2 files ran\n")


def test_a_file_that_is_not_there_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as error:
        run.main(["no-such-chapter.md"])
    assert error.value.code == 2
    assert "no such file: no-such-chapter.md" in capsys.readouterr().err


def test_a_notebook_that_is_none_is_refused(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as error:
        run.main([str(write("[]", "chapter.ipynb"))])
    assert error.value.code == 2
    assert "chapter.ipynb: not a notebook" in capsys.readouterr().err


def test_a_chapter_without_cells_is_no_success(write: Write) -> None:
    assert run.main([str(write("# Text only\n"))]) == 1


DRAWS = """
```python
from d2l import torch as d2l
d2l.plot([1, 2, 3])
d2l.plt.show()
```
"""


def test_figures_are_saved_and_closed(write: Write, tmp_path: Path) -> None:
    assert run.main([str(write(DRAWS)), "--figures", str(tmp_path / "figures")]) == 0
    assert [path.name for path in (tmp_path / "figures").iterdir()] == ["chapter-1-1.png"]


LOOP = """
```python
from torch.utils import data
batches = len(list(data.DataLoader(range(100), 10)))
assert batches == {batches}, batches
```
"""


def test_trainings_are_cut_short_only_while_it_runs(write: Write) -> None:
    assert run.main([str(write(LOOP.format(batches=3))), "--batches", "3"]) == 0
    assert run.main([str(write(LOOP.format(batches=10)))]) == 0
    assert len(list(DataLoader(range(100), 10))) == 10


LEAVES = """
```python
import os
from pathlib import Path
from d2l import torch as d2l

Path("left-behind").write_text("")
Path("../data").mkdir()
assert len(d2l.FashionMNIST(8).val_dataloader()) == 250
```
"""


def test_what_a_chapter_saves_is_not_left_behind(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MINIGRAD_DATA", os.path.relpath(SAMPLE_DIR))
    write(LEAVES)
    assert run.main(["chapter.md"]) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["chapter.md"]
    assert Path.cwd() == tmp_path
    assert not os.path.isabs(os.environ["MINIGRAD_DATA"])


CHANGES = """
```python
from d2l import torch as d2l

@d2l.add_to_class(d2l.Trainer)
def prepare_batch(self, batch):
    return "changed"

@d2l.add_to_class(d2l.Trainer)
def new(self):
    pass

d2l.Trainer(1).prepare_batch(2)
```
"""


def test_what_a_chapter_adds_to_classes_ends_with_it(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    before = d2l.Trainer.prepare_batch
    assert run.main([str(write(CHANGES)), "--output"]) == 0
    assert "| 'changed'" in capsys.readouterr().out
    assert d2l.Trainer.prepare_batch is before
    assert not hasattr(d2l.Trainer, "new")


WITH = """
```python
import torch
assert torch.__name__ == "{name}"
```
"""


def test_pytorch_itself_may_run_it(write: Write) -> None:
    pytest.importorskip("torch")
    assert run.main([str(write(WITH.format(name="torch"))), "--with", "torch"]) == 0
    assert run.main([str(write(WITH.format(name="minigrad")))]) == 0


#: written for this test in the two forms that the book's dropout chapter has
FUNCTIONS = """
```python
import torch
from torch import nn
from d2l import torch as d2l

def dropped(X, p):
    if p == 1:
        return torch.zeros_like(X)
    return (torch.rand(X.shape) > p).float() * X / (1.0 - p)
```
```python
X = torch.arange(16, dtype=torch.float32).reshape((2, 8))
print(dropped(X, 0.), dropped(X, 0.5), dropped(X, 1.))
```
```python
class Net(nn.Module):
    def __init__(self, is_training=True):
        super(Net, self).__init__()
        self.training = is_training
        self.first, self.last, self.relu = nn.Linear(784, 16), nn.Linear(16, 10), nn.ReLU()

    def forward(self, X):
        H = self.relu(self.first(X.reshape((-1, 784))))
        if self.training == True:
            H = dropped(H, 0.5)
        return self.last(H)

net = Net()
```
```python
train_iter, test_iter = d2l.load_data_fashion_mnist(64)
trainer = torch.optim.SGD(net.parameters(), lr=0.5)
d2l.train_ch3(net, train_iter, test_iter, nn.CrossEntropyLoss(reduction='none'), 2, trainer)
```
```python
net = nn.Sequential(nn.Flatten(), nn.Linear(784, 16), nn.ReLU(), nn.Dropout(0.5), nn.Linear(16, 10))

def init_weights(m):
    if type(m) == nn.Linear:
        nn.init.normal_(m.weight, std=0.01)

net.apply(init_weights);
```
```python
trainer = torch.optim.SGD(net.parameters(), lr=0.5)
d2l.train_ch3(net, train_iter, test_iter, nn.CrossEntropyLoss(), 1, trainer)
d2l.predict_ch3(net, test_iter)
```
"""


CLASSES = """
```{.python .input}
%load_ext d2lbook.tab
tab.interact_select(['mxnet', 'pytorch'])
```
```{.python .input}
%%tab pytorch
from d2l import torch as d2l
import torch
from torch import nn

def dropped(X, p):
    if p == 1: return torch.zeros_like(X)
    return (torch.rand(X.shape) > p).float() * X / (1.0 - p)

dropped(torch.arange(16, dtype=torch.float32).reshape((2, 8)), 0.5)
```
```{.python .input}
%%tab pytorch
class Scratch(d2l.Classifier):
    def __init__(self, num_outputs, num_hiddens, dropout, lr):
        super().__init__()
        self.save_hyperparameters()
        self.first = nn.LazyLinear(num_hiddens)
        self.last = nn.LazyLinear(num_outputs)
        self.relu = nn.ReLU()
```
```{.python .input}
%%tab all
@d2l.add_to_class(Scratch)
def forward(self, X):
    if tab.selected('mxnet'):
        raise ImportError
    H = self.relu(self.first(d2l.reshape(X, (X.shape[0], -1))))
    if self.training:
        H = dropped(H, self.dropout)
    return self.last(H)
```
```{.python .input}
%%tab all
hparams = {'num_outputs': 10, 'num_hiddens': 16, 'dropout': 0.5, 'lr': 0.1}
model = Scratch(**hparams)
data = d2l.FashionMNIST(batch_size=256)
trainer = d2l.Trainer(max_epochs=2)
trainer.fit(model, data)
assert 'val_acc' in model.board.data
```
```{.python .input}
%%tab pytorch
class Concise(d2l.Classifier):
    def __init__(self, num_outputs, num_hiddens, dropout, lr):
        super().__init__()
        self.save_hyperparameters()
        self.net = nn.Sequential(
            nn.Flatten(), nn.LazyLinear(num_hiddens), nn.ReLU(),
            nn.Dropout(dropout), nn.LazyLinear(num_outputs))

model = Concise(**hparams)
trainer.fit(model, data)
```
```{.python .input}
%%tab pytorch
def init(module):
    if type(module) == nn.Linear:
        nn.init.normal_(module.weight, std=0.01)

X, y = next(iter(data.val_dataloader()))
model.apply_init([X], init)
model.layer_summary((1, 1, 28, 28))
line = d2l.LinearRegression(lr=0.03)
trainer.fit(line, d2l.SyntheticRegressionData(w=d2l.tensor([2, -3.4]), b=4.2))
line.get_w_b()
trainer.fit(d2l.SoftmaxRegression(num_outputs=10, lr=0.1), data)
```
"""


@pytest.mark.parametrize("chapter", [FUNCTIONS, CLASSES], ids=["functions", "classes"])
def test_chapters_written_like_the_books_run_whole(
    write: Write, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], chapter: str
) -> None:
    monkeypatch.setenv("MINIGRAD_DATA", str(SAMPLE_DIR))
    status = run.main([str(write(chapter)), "--batches", "2"])
    assert status == 0, capsys.readouterr().out


@pytest.mark.parametrize(
    "code", ['msg = """\n% of people\n! and more\n"""', "y = (7\n     % 5)"], ids=["text", "modulo"]
)
def test_a_line_that_only_looks_like_a_notebooks_command_is_kept(write: Write, code: str) -> None:
    assert [cell.code for cell in read(write(f"```python\n{code}\n```\n"))] == [code]
    with_magic = read(write("```python\n%matplotlib inline\nx = 1\n```\n"))
    assert [cell.code for cell in with_magic] == ["x = 1"]


def test_cells_are_found_in_lists_behind_a_byte_order_mark_and_in_longer_fences(
    write: Write,
) -> None:
    text = "\ufeff```python\nx = 1\n```\n\n- a list\n\n  ```python\n  if x:\n      x = 2\n  ```\n"
    text += "\n```python\nx = 3\n`````\n"
    assert [c.code for c in read(write(text))] == ["x = 1", "if x:\n    x = 2", "x = 3"]
