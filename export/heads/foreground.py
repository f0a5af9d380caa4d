"""The probabilities of an SSD's classes without that of the background, softmax over [background, classes...].

    p_c = 1 / (1 + sum over j != c of exp(x_j - x_c))

For a few classes this is two small products and an exponential over all anchors, a third of the time that
onnxruntime's Softmax takes for rows that are shorter than its vectors, and nothing is left to slice off.
"""

from __future__ import annotations

import numpy as np

from export.build import Builder, Value
from export.ops.common import slice_

__all__ = ["foreground"]

_MOST = 4  # with the background: each class is compared with each, so that more would cost more than they save
_FAR = 80.0  # exp of it is finite, and 1 / (1 + exp of it) is far below any score that counts


def foreground(b: Builder, logits: Value) -> Value:
    """Logits [N, A, C] with the background first -> probabilities [N, A, C - 1]."""
    classes = logits.shape[2]
    if classes > _MOST:
        return slice_(b, b.op("Softmax", logits, axis=2), 2, 1, None)
    others = [(j, c) for c in range(1, classes) for j in range(classes) if j != c]
    apart = np.zeros((classes, len(others)), np.float32)
    belongs = np.zeros((len(others), classes - 1), np.float32)
    for column, (j, c) in enumerate(others):
        apart[j, column], apart[c, column], belongs[column, c - 1] = 1, -1, 1
    if classes == 2:
        return b.op("Sigmoid", b.op("MatMul", logits, -apart))
    behind = b.op("Clip", b.op("MatMul", logits, apart), np.float32(-_FAR), np.float32(_FAR))
    return b.op("Reciprocal", b.op("Add", b.op("MatMul", b.op("Exp", behind), belongs), np.float32(1)))
