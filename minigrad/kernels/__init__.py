"""CUDA kernels where one launch replaces many, with the wrappers that launch them.

Each ``.cu`` file has a Python file of its name beside it, with a wrapper for every kernel, which
takes a `Launcher` first. What a kernel computes is defined in NumPy, under the kernel's name, in
``tests/kernels/definitions.py``. Nothing here knows CuPy: a launcher is given what compiles, and
wrappers ask no more of an array than ``dtype``, ``shape``, ``strides``, ``data.ptr``,
``data.device_id``, and that its type makes a new one from a shape and a dtype. What a wrapper
cannot take it refuses (`RefusedError`); `minigrad.fused` puts wrappers under ops.

No kernel adds floats atomically: the same arguments give the same bits, run after run. Denormal
numbers are flushed to zero by what CuPy compiles (it sets ``-ftz=true``); NumPy keeps them.
"""

from minigrad.kernels import cross_entropy, dropout, gather, index, relu, sgd, sums
from minigrad.kernels.cross_entropy import (
    cross_entropy_backward,
    cross_entropy_forward,
    wrong_label,
)
from minigrad.kernels.dropout import advance, keep_mask, keep_mask_after, masked_scale
from minigrad.kernels.gather import gather_rows, wrong_row
from minigrad.kernels.index import check_indices, wrong_place
from minigrad.kernels.launch import OPTIONS, Launcher, Plan, RefusedError, Source
from minigrad.kernels.relu import relu_backward, relu_forward
from minigrad.kernels.sgd import sgd_step
from minigrad.kernels.sums import sum_rows

#: Every file of kernels.
SOURCES = tuple(
    family.SOURCE for family in (cross_entropy, dropout, gather, index, relu, sgd, sums)
)

__all__ = [
    "OPTIONS",
    "SOURCES",
    "Launcher",
    "Plan",
    "RefusedError",
    "Source",
    "advance",
    "check_indices",
    "cross_entropy_backward",
    "cross_entropy_forward",
    "gather_rows",
    "keep_mask",
    "keep_mask_after",
    "masked_scale",
    "relu_backward",
    "relu_forward",
    "sgd_step",
    "sum_rows",
    "wrong_label",
    "wrong_place",
    "wrong_row",
]
