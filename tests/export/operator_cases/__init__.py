"""For each operator the attributes and shapes that it is tested with; the files are those of `export/ops/`."""

from __future__ import annotations

from operator_cases import (
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

_FILES = (
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
CASES = [case for file in _FILES for case in file.CASES]
