"""MXNet 1.9.1 and GluonCV use names that numpy removed in 1.24; they must be back before either is imported."""

from __future__ import annotations

import builtins
from typing import Final

import numpy as np

__all__ = ["restore_aliases"]

_REMOVED: Final = ("bool", "int", "float", "object", "str", "complex")


def restore_aliases() -> None:
    """Put `np.bool` and its kin back, as the Python types that they stood for."""
    for name in _REMOVED:
        if name not in vars(np):
            setattr(np, name, getattr(builtins, name))
