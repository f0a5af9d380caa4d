"""The operators: importing this package registers a converter for each of them."""

from __future__ import annotations

from export.ops import (
    activations,
    constants,
    detection,
    elementwise,
    layers,
    matrix,
    normalize,
    numpy_interface,
    ordering,
    pooling,
    recurrent,
    reduce,
    resize,
    roi,
    sampling,
    select,
    shape,
)
from export.ops.registry import convert, converts, registered

__all__ = [
    "activations",
    "constants",
    "convert",
    "converts",
    "detection",
    "elementwise",
    "layers",
    "matrix",
    "normalize",
    "numpy_interface",
    "ordering",
    "pooling",
    "recurrent",
    "reduce",
    "registered",
    "resize",
    "roi",
    "sampling",
    "select",
    "shape",
]
