"""Wrong values: of what is kept, of what is dropped, at the ends of p, in other shapes."""

from __future__ import annotations

from typing import Any

import numpy as np

import minigrad as mg
from minigrad import nn
from minigrad.nn.dropping import checked_probability
from minigrad.testing.frameworks import MINIGRAD
from minigrad.testing.subjects import Subject
from minigrad.testing.zoo.bug import bug, right, scale

# ------------------------------------------------------------------------- the scale


@bug("unbiased", "AkiRusProd/numpy-nn-model: the classic form, without its half in evaluation")
def no_rescaling(x: Any, p: float) -> Any:
    return x * (mg.rand(x.shape) >= p)


@bug("support", "lmjohns3/theanets#123: right at p = 0.5 alone")
def scaled_by_one_over_p(x: Any, p: float) -> Any:
    return x * (mg.rand(x.shape) >= p) / p


@bug("support", "CSTR-Edinburgh/mlpractical#32: scaled by the layer, and again by the model")
def scaled_twice(x: Any, p: float) -> Any:
    return x * (mg.rand(x.shape) >= p) / (1 - p) / (1 - p)


@bug("support", "invented: kept elements share out what was lost, so that the sum is preserved")
def scaled_by_the_realised_rate(x: Any, p: float) -> Any:
    keep = mg.rand(x.shape) >= p
    kept = keep.array.mean() if x.numel() else 1
    return x * keep / float(kept or 1)


@bug("support", "U-T100/make-DeepLearning-from-zero, chapter 6; right for an input of ones")
def returns_the_mask(x: Any, p: float) -> Any:
    return mg.ones_like(x) * (mg.rand(x.shape) >= p) / (1 - p)


@bug("support", "Gaussian dropout (Srivastava et al. 2014, sec. 10): right mean, right variance")
def gaussian_noise_instead(x: Any, p: float) -> Any:
    return x * (1 + (p / (1 - p)) ** 0.5 * mg.randn(x.shape, dtype=x.dtype))


@bug("variance", "invented: the noise's variance is taken for its standard deviation")
def gaussian_noise_of_another_variance(x: Any, p: float) -> Any:
    return x * (1 + p / (1 - p) * mg.randn(x.shape, dtype=x.dtype))


# ------------------------------------------------------------------------- evaluation


@bug("evaluation", "d2l-ai/d2l-en#1093, coleygroup/ms-pred#38: test accuracy with the noise on")
def active_in_evaluation(x: Any, p: float, training: bool) -> Any:
    return right(x, p, True)


@bug("evaluation", "mp2893/retain#1: rescaled in training, and multiplied by 1 - p afterwards too")
def scaled_in_evaluation_too(x: Any, p: float, training: bool) -> Any:
    p = checked_probability(p)
    return x * (mg.rand(x.shape) >= p) * scale(p) if training else x * (1 - p)


@bug("evaluation", "google/flax#2510: p = 1 is looked at before the mode")
def zeros_in_evaluation_at_p_one(x: Any, p: float, training: bool) -> Any:
    if p == 1:
        return x * 0.0
    return right(x, p, training)


@bug("no_grad", "MXNet's record() by design: noise comes with the graph (no Monte Carlo dropout)")
def off_under_no_grad(x: Any, p: float, training: bool) -> Any:
    return right(x, p, training and mg.is_grad_enabled())


@bug("containers", "the chapter's Net: is_training is an argument that eval() knows nothing of")
class FixedWhenMade(nn.Module):
    def __init__(self, p: float) -> None:
        super().__init__()
        self.p, self.is_training = checked_probability(p), True

    def forward(self, x: Any) -> Any:
        return nn.functional.dropout(x, self.p, self.is_training)


@bug("containers", "namisan/mt-dnn#45: dropouts in a plain list, where eval() does not find them")
class ChildrenInAList(nn.Module):
    def __init__(self, p: float) -> None:
        super().__init__()
        self.layers = [nn.Dropout(p)]

    def forward(self, x: Any) -> Any:
        return self.layers[0](x)


@bug("evaluation", "dotnet/TorchSharp#549, #1426: eval() stops at the outermost module")
class EvalDoesNotReachChildren(nn.Module):
    def __init__(self, p: float) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.Dropout(p))

    def train(self, mode: bool = True) -> Any:
        self.training = mode
        return self

    def forward(self, x: Any) -> Any:
        return self.inner(x)


# ------------------------------------------------------------------------- p


@bug("p_one", "DeZero; google/flax#2055, pytorch/pytorch#1833: 0 / 0")
def nan_at_p_one(x: Any, p: float, training: bool) -> Any:
    p = checked_probability(p)
    if not training or p == 0:
        return x
    return x * (mg.rand(x.shape) >= p) / mg.tensor(1 - p, dtype=x.dtype)


@bug("p_one", "the chapter's zeros_like(X): no gradient where one of zeros is due")
def detached_at_p_one(x: Any, p: float, training: bool) -> Any:
    if training and p == 1:
        return mg.zeros_like(x)
    return right(x, p, training)


@bug("p_zero", "invented: the shortcuts still take p for the probability to keep")
def ends_swapped(x: Any, p: float, training: bool) -> Any:
    p = checked_probability(p)
    if training and p in (0, 1):
        return x * p
    return right(x, p, training)


@bug("boundary", "apache/mxnet#9816, Oneflow-Inc/oneflow#2937: so p = 0 drops what draws a 0")
def at_most_for_less(x: Any, p: float, u: np.ndarray) -> Any:
    return x * mg.as_tensor(u > p) * scale(p)


@bug("boundary", "csarofeen/pytorch#1799, cuRAND's (0, 1]: a draw rounded to 1 is kept at p = 1")
def draws_up_to_one(x: Any, p: float, u: np.ndarray) -> Any:
    drawn = (u + 2.0**-25).astype(np.float32)  # the middle of each of 2²⁴ cells, to float32
    return x * mg.as_tensor(drawn >= np.float32(p)) * scale(p)


@bug("bad_p", "mlx and google/flax#5497: every comparison with NaN is False")
def nan_is_a_probability(x: Any, p: float, training: bool) -> Any:
    if p < 0 or p > 1:
        raise ValueError(f"p must be in [0, 1], got {p}")
    return x * (mg.rand(x.shape) >= p) * scale(p) if training and p != 0 else x


@bug("bad_p", "keras-team/keras#10629: Dropout(256) for Dense(256) goes through as p = 1")
def p_is_clipped(x: Any, p: float, training: bool) -> Any:
    p = min(max(p, 0.0), 1.0) if p == p else checked_probability(p)
    return x * (mg.rand(x.shape) >= p) * scale(p) if training and p else x


# ------------------------------------------------------------------------- dtype, shape, memory


@bug("dtype", "Lasagne/Lasagne#563, ml-explore/mlx#1321: the mask decides the dtype")
def float64_mask(x: Any, p: float) -> Any:
    keep = mg.rand(x.shape, dtype=np.float64) >= p
    return x * keep.double() / (1 - p)


@bug("nonfinite", "invented: subtracts what is dropped, and inf - inf * 0 is NaN")
def kept_infinities_become_nan(x: Any, p: float) -> Any:
    dropped = mg.rand(x.shape) < p
    return (x - x * dropped) / (1 - p)


@bug("shape", "PaddlePaddle/Paddle#26837 (1-d), and code written for batches of vectors")
def two_dimensions_only(x: Any, p: float) -> Any:
    batch, features = x.shape
    return x * (mg.rand(batch, features) >= p) / (1 - p)


@bug("strides", "pytorch/pytorch#47176: the elements are taken in the order of memory")
def transposed_read_as_contiguous(x: Any, p: float) -> Any:
    memory = x if x.array.flags.c_contiguous else x.T.reshape(x.shape)
    return memory * (mg.rand(x.shape) >= p) / (1 - p)


@bug("input_untouched", "course code: X[mask] = 0 to save the multiplication, on the caller's X")
def writes_into_the_input(x: Any, p: float) -> Any:
    keep = mg.rand(x.shape) >= p
    y = x * keep / (1 - p)
    x.array[~keep.array] = 0
    return y


@bug("aliasing", "invented: one buffer for all results of a shape, to save allocations")
def output_in_a_reused_buffer() -> Any:
    buffers: dict[Any, np.ndarray] = {}

    def dropout(x: Any, p: float) -> Any:
        y = x * (mg.rand(x.shape) >= p) / (1 - p)
        buffer = buffers.setdefault((x.shape, x.dtype.name), np.empty_like(y.array))
        np.copyto(buffer, y.array)
        y.array = buffer
        return y

    return dropout


@bug("inplace", "pytorch/pytorch#727, #28017: an op before it still needs what is overwritten")
def inplace_unseen_by_the_graph() -> Any:
    def inplace(x: Any, p: float, training: bool) -> Any:
        y = nn.functional.dropout(x, p, training)
        x.array[...] = y.array
        y.array = x.array
        return y

    return Subject("inplace unseen by the graph", nn.functional.dropout, MINIGRAD, inplace=inplace)


@bug("inplace", "tenstorrent/tt-metal#30284: the argument is taken and forgotten")
def inplace_ignored() -> Any:
    return Subject(
        "inplace ignored", nn.functional.dropout, MINIGRAD, inplace=nn.functional.dropout
    )
