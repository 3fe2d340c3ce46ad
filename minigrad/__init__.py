"""minigrad: a tensor/autograd mini-framework from scratch on NumPy, in PyTorch's names."""

import numpy as _np

from minigrad import random
from minigrad.autograd import (
    differentiable,
    enable_grad,
    grad,
    is_grad_enabled,
    no_grad,
    set_grad_enabled,
)
from minigrad.creation import (
    arange,
    as_tensor,
    eye,
    from_numpy,
    full,
    full_like,
    linspace,
    ones,
    ones_like,
    zeros,
    zeros_like,
)
from minigrad.device import device
from minigrad.ops import *  # noqa: F403
from minigrad.ops import clamp as clip
from minigrad.ops import concatenate as cat
from minigrad.random import (
    Generator, bernoulli, fork_rng, initial_seed, manual_seed, rand, randint, randn, randperm
)
from minigrad.tensor import Tensor, tensor

__version__ = "0.1.0"
