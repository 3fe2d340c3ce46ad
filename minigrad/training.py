"""The training loop, and what it measures."""

from __future__ import annotations

import contextlib
import math
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from typing import Any

from minigrad.checkpoint import Checkpoint, Resume
from minigrad.device import CPU
from minigrad.distributed.collectives import barrier
from minigrad.distributed.parallel import DataParallel
from minigrad.distributed.sharding import is_shared
from minigrad.distributed.world import rank, summed, world_size
from minigrad.grad_mode import no_grad
from minigrad.nn.module import Module
from minigrad.optim import Optimizer
from minigrad.optim.lr_scheduler import LRScheduler
from minigrad.tensor import Tensor
from minigrad.utils.data import DataLoader


@dataclass
class History:
    """What was measured in each epoch: lists with an entry for each.

    Attributes:
        train_loss: mean loss over the epoch's batches, each before its update, in training mode.
        train_acc: accuracy over the same batches: **with dropout's noise on**, hence lower.
        train_acc_eval: accuracy on the training set after the epoch, in evaluation mode.
        test_loss: mean loss on the test set after the epoch.
        test_acc: accuracy on the test set after the epoch.
        seconds: the time that the training pass took, without the evaluations.
    """

    train_loss: list[float] = field(default_factory=list)
    train_acc: list[float] = field(default_factory=list)
    train_acc_eval: list[float] = field(default_factory=list)
    test_loss: list[float] = field(default_factory=list)
    test_acc: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.train_loss)

    def rows(self) -> list[dict[str, float]]:
        """Return a dictionary for each epoch: its number from 1, and each measure."""
        return [
            {"epoch": i + 1, **{name: values[i] for name, values in asdict(self).items()}}
            for i in range(len(self))
        ]

    def add(self, **measures: float) -> None:
        """Add the measures of an epoch, all that there are."""
        for name in vars(self):
            getattr(self, name).append(measures[name])

    def state_dict(self) -> dict[str, list[float]]:
        """Return a copy of all measures by name, as `minigrad.save` takes them."""
        return {name: list(values) for name, values in vars(self).items()}

    def load_state_dict(self, state_dict: Mapping[str, Iterable[float]]) -> None:
        """Hold the measures that `state_dict` returned, and no others.

        Raises:
            ValueError: they are not those of a history, or of unequal numbers of epochs.
        """
        measures = {name: list(state_dict.get(name, ())) for name in vars(self)}
        if state_dict.keys() != measures.keys() or len({len(m) for m in measures.values()}) > 1:
            raise ValueError(
                f"not the state of a History: expected {', '.join(measures)}, each with an entry "
                f"for each epoch; got {', '.join(map(str, state_dict)) or 'nothing'}"
            )
        vars(self).update(measures)


@dataclass
class Running:
    """The mean loss and the accuracy over the batches met so far: sums, and what they are over."""

    loss: Any = 0.0
    correct: Any = 0.0
    examples: int = 0
    batches: int = 0
    seconds: float = 0.0

    def add(self, loss: Any, correct: Any, examples: int) -> None:
        """Add a batch: the sum of its losses, and how many examples of how many were right."""
        self.loss += loss
        self.correct += correct
        self.examples += examples
        self.batches += 1

    def over_ranks(self) -> None:
        """Take the sums over all ranks, of which each had some of the rows."""
        self.loss, self.correct, examples = summed([self.loss, self.correct, self.examples], "fit")
        self.examples = int(examples)

    def means(self, doing: str) -> tuple[float, float]:
        """Return mean loss and accuracy.

        Raises:
            ValueError: there were no examples for ``doing`` what was done.
        """
        if not self.examples:
            raise ValueError(f"cannot {doing} on no examples: the data iterator is empty")
        return float(self.loss) / self.examples, float(self.correct) / self.examples

    def clear(self) -> None:
        """Begin anew."""
        vars(self).update(vars(Running()))

    def state_dict(self) -> dict[str, Any]:
        """Return the sums as numbers, wherever they are kept."""
        return {**vars(self), "loss": float(self.loss), "correct": float(self.correct)}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on with sums that `state_dict` returned."""
        vars(self).update({name: state_dict[name] for name in vars(self)})


class Interrupted(KeyboardInterrupt):
    """A training was interrupted, by Ctrl-C; what it had measured is kept.

    Attributes:
        history: the measures of the epochs that were finished.
    """

    def __init__(self, history: History, path: str | os.PathLike[str] | None) -> None:
        self.history = history
        onward = "" if path is None else f"; resume=True goes on with {os.fspath(path)}"
        super().__init__(f"training was interrupted in epoch {len(history) + 1}{onward}")


def fit(
    net: Callable[[Any], Tensor],
    train_iter: Iterable[Any],
    test_iter: Iterable[Any],
    loss: Callable[[Tensor, Any], Tensor],
    num_epochs: int,
    updater: Optimizer | Callable[[int], Any],
    *,
    scheduler: LRScheduler | None = None,
    device: Any = None,
    on_epoch: Callable[[History], object] | None = None,
    progress: bool | None = None,
    name: str = "training",
    checkpoint: str | os.PathLike[str] | None = None,
    every: int | timedelta | None = None,
    resume: Resume = False,
) -> History:
    """Train ``net`` and measure it after each epoch.

    With ``checkpoint`` a training that was killed or interrupted goes on, ``resume=True``, and ends
    in the bits in which it would have ended undisturbed: see docs/checkpoints.md.

    On several ranks, with a `DataParallel` and loaders that are shared out (docs/distributed.md),
    every rank calls this and gets the same measures, of all rows. Rank 0 shows the progress, and
    writes the checkpoint, which all of them go on with, or another number of ranks.

    Args:
        net: a module, or any function from a batch of inputs to logits (N, C).
        train_iter: batches (X, y), anew each time it is iterated over.
        test_iter: batches for the test measures, likewise.
        loss: a function (logits, y) -> the mean loss, or the losses of the examples.
        num_epochs: how many times to go through ``train_iter``, those before a resume included.
        updater: an optimiser; or a function that changes the parameters (as d2l's ``sgd``), called
            with the batch size when the gradients of ``loss(...).sum()`` are there. That is the sum
            over the batch for a loss that is not reduced. The function has to set the gradients to
            None, or zero, at its end.
        scheduler: stepped after each epoch.
        device: where to move each batch; None leaves it where it is.
        on_epoch: called with the history after each epoch; `minigrad.plot.Animator` draws it.
        progress: whether to show a progress bar; None for only on a terminal.
        name: what the bar is called.
        checkpoint: a file to keep the training in, usually ``*.safetensors``. SIGINT (Ctrl-C) and
            SIGTERM then wait for the end of the batch, or of the measuring after an epoch; write
            the file; and end the training. A second one does not wait.
        every: when to write the file: an int, after so many batches; a ``datetime.timedelta``,
            after so much time; None, after each epoch. In any case it is written before the first
            batch, and after the last epoch.
        resume: False to begin; True to go on with the file; ``"auto"`` to go on if there is one.

    Returns:
        The measures of each epoch.

    Raises:
        FloatingPointError: the loss of a batch is not finite. The parameters are left as they were
            before that batch's update; on a GPU, whose losses are read once an epoch, as they were
            at the end of that epoch.
        Interrupted: Ctrl-C was pressed; it is a KeyboardInterrupt with the history so far.
        SystemExit: SIGTERM came, and the file is written.
        FileNotFoundError, FileExistsError: the file to go on with is missing; or it is there, and
            the training was to begin.
        ValueError: the file is damaged, or of another training.
        OSError: the file cannot be written; found out before training begins.
        TypeError: the updater is a function, and there are several ranks: the gradients of a sum
            cannot be averaged.
    """
    if world_size() > 1 and isinstance(net, DataParallel) and not isinstance(updater, Optimizer):
        raise TypeError("on several ranks the updater has to be an Optimizer, got a function")
    if is_shared(train_iter) and world_size() > 1 and not isinstance(net, DataParallel):
        raise TypeError(
            "train_iter is shared out among ranks, and each would train a net of its own: give "
            "fit a minigrad.distributed.DataParallel of the net"
        )
    history, running = History(), Running()
    inner = net.module if isinstance(net, DataParallel) else net
    parts: dict[str, Any] = {"net": inner, "updater": updater, "scheduler": scheduler}
    parts |= {"train_iter": train_iter, "test_iter": test_iter}
    parts |= {"history": history, "running": running}
    kept = Checkpoint(checkpoint, every, parts, writes=rank() == 0)
    kept.resume(resume)
    barrier()  # rank 0 is about to write a new file
    _check_epochs(num_epochs, len(history) + bool(running.batches), checkpoint)
    # shuffling for an evaluation would only cost time, and random numbers
    in_order = train_iter.in_order() if isinstance(train_iter, DataLoader) else train_iter
    try:
        with _bar(progress if rank() == 0 else False, name, num_epochs) as bar, kept:
            for epoch in range(len(history), num_epochs):
                batches = _on(device, train_iter)
                train_loss, train_acc = _train_epoch(
                    net, batches, loss, updater, epoch, running, bar, kept
                )
                train_acc_eval = evaluate_accuracy(net, _on(device, in_order))
                test_loss, test_acc = evaluate(net, _on(device, test_iter), loss)
                history.add(
                    train_loss=train_loss,
                    train_acc=train_acc,
                    train_acc_eval=train_acc_eval,
                    test_loss=test_loss,
                    test_acc=test_acc,
                    seconds=running.seconds,
                )
                running.clear()
                if scheduler is not None:
                    scheduler.step()
                bar.set_postfix_str(f"loss {train_loss:.3f}, test acc {test_acc:.3f}")
                if on_epoch is not None:
                    on_epoch(history)
                kept.after_epoch(last=epoch + 1 == num_epochs)
    except KeyboardInterrupt:
        raise Interrupted(history, checkpoint) from None
    return history


def evaluate(
    net: Callable[[Any], Tensor],
    data_iter: Iterable[Any],
    loss: Callable[[Tensor, Any], Tensor] | None = None,
) -> tuple[float, float]:
    """Return the mean loss (NaN without ``loss``) and accuracy, in evaluation mode.

    Nothing is recorded, and the module's own mode is restored afterwards.

    Raises:
        ValueError: there are no examples.
    """
    running = Running()
    with no_grad(), _mode(net, training=False):
        for x, y in data_iter:
            y_hat = net(x)
            of_batch = math.nan if loss is None else _summed(loss(y_hat, y), len(y))
            running.add(of_batch, _correct(y_hat, y), len(y))
    if is_shared(data_iter):
        running.over_ranks()
    return running.means("evaluate")


def evaluate_accuracy(net: Callable[[Any], Tensor], data_iter: Iterable[Any]) -> float:
    """Return the share of examples whose largest logit is that of their label; see `evaluate`."""
    return evaluate(net, data_iter)[1]


def _train_epoch(
    net: Callable[[Any], Tensor],
    train_iter: Iterable[Any],
    loss: Callable[[Tensor, Any], Tensor],
    updater: Optimizer | Callable[[int], Any],
    epoch: int,
    running: Running,
    bar: Any,
    kept: Checkpoint,
) -> tuple[float, float]:
    """Go through the data once; return mean loss and accuracy of the batches as they were met."""
    start = time.perf_counter() - running.seconds
    shared = is_shared(train_iter)
    with _mode(net, training=True):
        for x, y in train_iter:
            y_hat = net(x)
            losses = loss(y_hat, y)
            batch = Running(_summed(losses, len(y)), _correct(y_hat, y), len(y))
            if shared:
                batch.over_ranks()
            if isinstance(batch.loss, float):
                mean = batch.loss / batch.examples
                _check_finite(mean, f"batch {running.batches + 1} of epoch {epoch + 1}")
            if isinstance(updater, Optimizer):
                updater.zero_grad()
                losses.mean().backward()
                updater.step()
            else:
                losses.sum().backward()
                updater(len(y))
            running.add(batch.loss, batch.correct, batch.examples)
            running.seconds = time.perf_counter() - start
            bar.update()
            kept.after_batch()
    train_loss, train_acc = running.means("train")
    running.seconds = time.perf_counter() - start  # again: on a GPU, its sums were waited for now
    _check_finite(train_loss, f"epoch {epoch + 1}")
    return train_loss, train_acc


def _check_epochs(num_epochs: int, begun: int, path: Any) -> None:
    if begun > num_epochs:
        raise ValueError(
            f"{path} is of a training that is in epoch {begun} already, or after it: num_epochs "
            f"counts the epochs before a resume too, and should be at least {begun}, got "
            f"{num_epochs}"
        )


def _check_finite(loss: float, where: str) -> None:
    if not math.isfinite(loss):
        raise FloatingPointError(
            f"the loss became {loss} in {where}: training stopped. "
            "Try a smaller learning rate, or other initial weights."
        )


class _Moved:
    """Batches (X, y), moved to a device."""

    def __init__(self, device: Any, batches: Iterable[Any]) -> None:
        self.device, self.batches = device, batches
        self.dataset = getattr(batches, "dataset", None)  # is_shared() looks at it

    def __iter__(self) -> Iterator[Any]:
        return ((x.to(self.device), y.to(self.device)) for x, y in self.batches)


def _on(device: Any, batches: Iterable[Any]) -> Iterable[Any]:
    return batches if device is None else _Moved(device, batches)


def _summed(losses: Tensor, examples: int) -> Any:
    """Return the sum over the examples, of losses that may be their mean already."""
    value = losses.detach()
    if not examples:  # on a rank without rows, whose mean loss is NaN
        return 0.0
    return _number(value) * examples if value.ndim == 0 else _number(value.sum())


def _correct(y_hat: Tensor, y: Tensor) -> Any:
    return _number((y_hat.detach().argmax(dim=1) == y).sum())


def _number(value: Tensor) -> Any:
    """Return the number in a tensor; on a GPU, which the host would wait for, the tensor itself."""
    return value.item() if value.device == CPU else value.double()


@contextlib.contextmanager
def _mode(net: Any, training: bool) -> Iterator[None]:
    """Put a module, all below it included, into a mode, and back into the one that it had."""
    modules = list(net.modules()) if isinstance(net, Module) else []
    before = [module.training for module in modules]
    try:
        for module in modules:
            module.training = training
        yield
    finally:
        for module, mode in zip(modules, before, strict=True):
            module.training = mode


class _NoBar:
    def update(self) -> None: ...

    def set_postfix_str(self, text: str) -> None: ...


def _bar(progress: bool | None, name: str, num_epochs: int) -> Any:
    """Return a tqdm bar that counts batches; a silent one where tqdm is missing or unwanted."""
    try:
        from tqdm import tqdm
    except ImportError:
        return contextlib.nullcontext(_NoBar())
    disable = None if progress is None else not progress
    return tqdm(desc=f"{name}, {num_epochs} epochs", unit=" batches", disable=disable)
