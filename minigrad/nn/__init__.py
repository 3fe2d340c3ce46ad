"""Neural networks: modules, their parameters, and the functions they are made of."""

# ruff: noqa: F403  (each file says by __all__ what it is for)
from typing import TYPE_CHECKING

from minigrad.missing import missing_from
from minigrad.nn import containers, dropout, functional, init, layers, losses, module
from minigrad.nn.containers import *
from minigrad.nn.dropout import *
from minigrad.nn.layers import *
from minigrad.nn.losses import *
from minigrad.nn.module import *

__all__ = ["functional", "init"]
__all__ += containers.__all__
__all__ += dropout.__all__
__all__ += layers.__all__
__all__ += losses.__all__
__all__ += module.__all__

if not TYPE_CHECKING:
    __getattr__ = missing_from(__name__)
