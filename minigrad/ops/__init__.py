"""The table of derivatives, by kind of op. Each takes arrays or tensors, and returns the same."""

# fmt: off
# ruff: noqa: I001  (the names in rows: this file is a list)
from minigrad.ops.arithmetic import (
    add, bitwise_and, bitwise_not, bitwise_or, bitwise_xor, div, eq, floor_divide, ge, gt, le,
    lt, maximum, minimum, mul, ne, neg, pow, remainder, sub,
)
from minigrad.ops.cross_entropy import class_cross_entropy, softmax_cross_entropy
from minigrad.ops.elementwise import (
    abs, cast, clamp, clone, cos, exp, expm1, floor, log, log1p, overwrite, relu, sigmoid, sign,
    sin, sqrt, tanh, where,
)
from minigrad.ops.linalg import linear, matmul
from minigrad.ops.neural import masked_scale
from minigrad.ops.reduction import (
    all, amax, amin, any, argmax, argmin, log_softmax, logsumexp, max, mean, min, softmax, std,
    sum, var,
)
from minigrad.ops.shape import (
    concatenate, expand, flatten, getitem, permute, reshape, setitem, squeeze, stack,
    take_along_dim, transpose, unsqueeze,
)

__all__ = [
    "abs", "add", "all", "amax", "amin", "any", "argmax", "argmin", "bitwise_and",
    "bitwise_not", "bitwise_or", "bitwise_xor", "cast", "clamp", "class_cross_entropy", "clone",
    "concatenate", "cos",
    "div", "eq", "exp", "expand", "expm1", "flatten", "floor", "floor_divide", "ge", "getitem",
    "gt", "le", "linear", "log", "log1p", "log_softmax", "logsumexp", "lt", "masked_scale",
    "matmul", "max", "maximum", "mean", "min", "minimum", "mul", "ne", "neg", "overwrite",
    "permute", "pow", "relu", "remainder", "reshape", "setitem", "sigmoid", "sign", "sin",
    "softmax", "softmax_cross_entropy", "sqrt", "squeeze", "stack", "std", "sub", "sum",
    "take_along_dim", "tanh", "transpose", "unsqueeze", "var", "where",
]
