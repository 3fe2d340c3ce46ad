"""The English form's three classes: Module, DataModule, Trainer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from examples.d2l import devices
from examples.d2l.hyper_parameters import HyperParameters
from examples.d2l.live import ProgressBoard
from minigrad import Tensor, nn, no_grad, optim
from minigrad.utils.data import DataLoader, TensorDataset


class Module(nn.Module, HyperParameters):
    """A model that knows its loss, its optimiser and how to plot its training.

    Args:
        plot_train_per_epoch: points on the training curve for each epoch.
        plot_valid_per_epoch: points on the validation curve for each epoch.

    Attributes:
        net: the network, that ``forward`` calls.
        trainer: set by `Trainer`.
        board: where ``plot`` draws.
    """

    def __init__(self, plot_train_per_epoch: int = 2, plot_valid_per_epoch: int = 1) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.board: Any = ProgressBoard()

    def loss(self, y_hat: Tensor, y: Tensor) -> Tensor:
        """Return the loss of predictions; a subclass says which."""
        raise NotImplementedError(f"{type(self).__name__} must define loss(y_hat, y)")

    def forward(self, X: Any) -> Any:
        """Return ``self.net(X)``."""
        if not hasattr(self, "net"):
            raise NotImplementedError(
                f"{type(self).__name__} has no net: set self.net, or define forward(X)"
            )
        return self.net(X)

    def plot(self, key: str, value: Tensor, train: bool) -> None:
        """Add a point to the board: of a curve of training, or of validation."""
        if not hasattr(self, "trainer"):
            raise RuntimeError("there is no trainer yet: plot() draws while Trainer.fit runs")
        trainer = self.trainer
        self.board.xlabel = "epoch"
        if train:
            x = trainer.train_batch_idx / trainer.num_train_batches
            every_n = trainer.num_train_batches / self.plot_train_per_epoch
        else:
            x = trainer.epoch + 1
            every_n = trainer.num_val_batches / self.plot_valid_per_epoch
        self.board.draw(x, value, ("train_" if train else "val_") + key, every_n=int(every_n))

    def training_step(self, batch: Sequence[Tensor]) -> Tensor:
        """Return the loss of a batch, whose last tensor is y."""
        loss = self.loss(self(*batch[:-1]), batch[-1])
        self.plot("loss", loss, train=True)
        return loss

    def validation_step(self, batch: Sequence[Tensor]) -> Any:
        """Plot the loss of a batch that is not trained on."""
        self.plot("loss", self.loss(self(*batch[:-1]), batch[-1]), train=False)

    def configure_optimizers(self) -> Any:
        """Return the optimiser: SGD at the rate ``self.lr``, unless a subclass says otherwise."""
        return optim.SGD(self.parameters(), lr=self.lr)

    def apply_init(
        self, inputs: Sequence[Any], init: Callable[[nn.Module], Any] | None = None
    ) -> None:
        """Call the model once, so that lazy layers take their sizes; then initialise its layers."""
        self.forward(*inputs)
        if init is not None:
            self.net.apply(init)


class DataModule(HyperParameters):
    """Data for training and validation.

    Args:
        root: a folder for data, as d2l has it; what is here looks for its data itself.
        num_workers: likewise; loaders here work in the process that asks.
    """

    def __init__(self, root: str = "../data", num_workers: int = 4) -> None:
        self.save_hyperparameters()

    def get_dataloader(self, train: bool) -> DataLoader:
        """Return batches for training, or for validation; a subclass says which."""
        raise NotImplementedError(f"{type(self).__name__} must define get_dataloader(train)")

    def train_dataloader(self) -> DataLoader:
        """Return batches for training."""
        return self.get_dataloader(train=True)

    def val_dataloader(self) -> DataLoader | None:
        """Return batches for validation; None for none."""
        return self.get_dataloader(train=False)

    def get_tensorloader(
        self, tensors: Sequence[Tensor], train: bool, indices: slice = slice(0, None)
    ) -> DataLoader:
        """Return batches of ``self.batch_size`` of a part of tensors, shuffled for training."""
        part = TensorDataset(*(tensor[indices] for tensor in tensors))
        return DataLoader(part, self.batch_size, shuffle=train)


class Trainer(HyperParameters):
    """The loop that trains a `Module` on a `DataModule`.

    Args:
        max_epochs: how often to go through the data.
        num_gpus: how many GPUs to use, of those that are there; one at most is.
        gradient_clip_val: the greatest length that all gradients together may have; 0 for any.
    """

    def __init__(self, max_epochs: int, num_gpus: int = 0, gradient_clip_val: float = 0) -> None:
        self.save_hyperparameters()
        self.gpus = [devices.gpu(i) for i in range(min(num_gpus, devices.num_gpus()))]

    def prepare_data(self, data: Any) -> None:
        """Make the loaders, and count their batches."""
        self.train_dataloader = data.train_dataloader()
        self.val_dataloader = data.val_dataloader()
        self.num_train_batches = len(self.train_dataloader)
        self.num_val_batches = len(self.val_dataloader) if self.val_dataloader is not None else 0

    def prepare_model(self, model: Any) -> None:
        """Introduce the model to the trainer, on whose device it goes."""
        model.trainer = self
        model.board.xlim = [0, self.max_epochs]
        if self.gpus:
            model.to(self.gpus[0])
        self.model = model

    def prepare_batch(self, batch: Sequence[Any]) -> Sequence[Any]:
        """Return a batch on the model's device."""
        return [a.to(self.gpus[0]) for a in batch] if self.gpus else batch

    def fit(self, model: Any, data: Any) -> None:
        """Train; the model's board shows how it goes."""
        self.prepare_data(data)
        self.prepare_model(model)
        self.optim = model.configure_optimizers()
        self.epoch = 0
        self.train_batch_idx = 0
        self.val_batch_idx = 0
        for self.epoch in range(self.max_epochs):  # noqa: B020, plot() reads it
            self.fit_epoch()

    def fit_epoch(self) -> None:
        """Go through the data once: train, then validate."""
        self.model.train()
        for batch in self.train_dataloader:
            loss = self.model.training_step(self.prepare_batch(batch))
            self.optim.zero_grad()
            with no_grad():
                loss.backward()
                if self.gradient_clip_val > 0:
                    self.clip_gradients(self.gradient_clip_val, self.model)
                self.optim.step()
            self.train_batch_idx += 1
        if self.val_dataloader is None:
            return
        self.model.eval()
        for batch in self.val_dataloader:
            with no_grad():
                self.model.validation_step(self.prepare_batch(batch))
            self.val_batch_idx += 1

    def clip_gradients(self, grad_clip_val: float, model: nn.Module) -> None:
        """Shorten all gradients alike, if together they are longer than ``grad_clip_val``."""
        grads = [p.grad for p in model.parameters() if p.requires_grad and p.grad is not None]
        norm = sum(float((grad**2).sum().item()) for grad in grads) ** 0.5
        if norm > grad_clip_val:
            for grad in grads:
                grad *= grad_clip_val / norm
