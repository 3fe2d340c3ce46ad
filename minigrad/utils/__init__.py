"""Helpers that are no part of the engine."""

from minigrad.utils import data

__all__ = ["data"]
