"""What d2l.ai's chapters import as ``d2l``, so that their code runs with only imports changed.

>>> import minigrad as torch
>>> from minigrad import nn
>>> from examples import d2l

Both forms of the book are here: the Chinese one's functions (``train_ch3``, ``Animator``, ``sgd``)
and the English one's classes (``Module``, ``DataModule``, ``Trainer``). To run a chapter that you
have, and see which of its cells work: ``python -m examples.d2l.run chapter.md``. Chapters with
convolutions, recurrent networks or attention are not covered.
"""

from data.fashion_mnist import get_fashion_mnist_labels, load_data_fashion_mnist
from examples.d2l.classification import predict_ch3, train_ch3, train_epoch_ch3
from examples.d2l.data import FashionMNIST, SyntheticRegressionData
from examples.d2l.devices import cpu, gpu, num_gpus, try_all_gpus, try_gpu
from examples.d2l.figures import (
    plot,
    set_axes,
    set_figsize,
    show_images,
    show_trace_2d,
    train_2d,
    use_svg_display,
)
from examples.d2l.files import DATA_HUB, DATA_URL, download
from examples.d2l.hyper_parameters import HyperParameters, add_to_class
from examples.d2l.linear import (
    get_dataloader_workers,
    linreg,
    load_array,
    sgd,
    squared_loss,
    synthetic_data,
)
from examples.d2l.live import Animator, ProgressBoard
from examples.d2l.measures import Accumulator, Benchmark, Timer, accuracy, evaluate_loss
from examples.d2l.models import (
    SGD,
    Classifier,
    LinearRegression,
    LinearRegressionScratch,
    SoftmaxRegression,
    cross_entropy,
)
from examples.d2l.names import *  # noqa: F403
from examples.d2l.names import __all__ as _names
from examples.d2l.optimisation import get_data_ch11, train_ch11, train_concise_ch11
from examples.d2l.training import DataModule, Module, Trainer
from minigrad.training import evaluate_accuracy

__all__ = [
    "DATA_HUB",
    "DATA_URL",
    "SGD",
    "Accumulator",
    "Animator",
    "Benchmark",
    "Classifier",
    "DataModule",
    "FashionMNIST",
    "HyperParameters",
    "LinearRegression",
    "LinearRegressionScratch",
    "Module",
    "ProgressBoard",
    "SoftmaxRegression",
    "SyntheticRegressionData",
    "Timer",
    "Trainer",
    "accuracy",
    "add_to_class",
    "cpu",
    "cross_entropy",
    "download",
    "evaluate_accuracy",
    "evaluate_loss",
    "get_data_ch11",
    "get_dataloader_workers",
    "get_fashion_mnist_labels",
    "gpu",
    "linreg",
    "load_array",
    "load_data_fashion_mnist",
    "num_gpus",
    "plot",
    "predict_ch3",
    "set_axes",
    "set_figsize",
    "sgd",
    "show_images",
    "show_trace_2d",
    "squared_loss",
    "synthetic_data",
    "train_2d",
    "train_ch3",
    "train_ch11",
    "train_concise_ch11",
    "train_epoch_ch3",
    "try_all_gpus",
    "try_gpu",
    "use_svg_display",
]  # fmt: skip
__all__ += _names


def __getattr__(name: str) -> object:
    if name == "plt":  # only now: it takes a while to import
        from examples.d2l.figures import pyplot

        return pyplot()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
