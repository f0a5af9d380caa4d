"""Sequences [T, N, C]: recurrent layers, and what picks or turns their steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from export.attrs import Attrs
from export.build import Builder, Value, affordable
from export.ops.common import axis_of, repeat_to, reshape, slice_, transpose
from export.ops.registry import converts

__all__: list[str] = []


@dataclass(frozen=True, slots=True)
class _Kind:
    """ONNX's operation for a mode, and where each of its gates stands in MXNet's weights."""

    operation: str
    gates: tuple[int, ...]
    activation: str | None = None


# MXNet: input, forget, cell, output; ONNX: input, output, forget, cell. MXNet: reset, update, new; ONNX: update first.
_KINDS: Final = {
    "lstm": _Kind("LSTM", (0, 3, 1, 2)),
    "gru": _Kind("GRU", (1, 0, 2)),
    "rnn_tanh": _Kind("RNN", (0,), "Tanh"),
    "rnn_relu": _Kind("RNN", (0,), "Relu"),
}


@converts("_rnn_param_concat")
def rnn_param_concat(b: Builder, inputs: Sequence[Value], attrs: Attrs) -> Value:
    """Every weight of a recurrent layer in one vector."""
    return b.op("Concat", *inputs, axis=attrs.integer("dim", 1))


@converts("RNN")
def rnn(b: Builder, inputs: Sequence[Value], attrs: Attrs) -> Sequence[Value]:
    """Layers of `mode` over [T, N, C]: their steps [T, N, D H], and, with `state_outputs`, the last states [L D, N, H].

    The weights are one vector (`rnn_impl.h`): for each layer and direction those of the input [G H, I] and of the state
    [G H, H], behind all of them two biases each.
    """
    x, weights, *states = inputs
    kind = _KINDS[attrs.choice("mode", _KINDS)]
    attrs.ignore("p", "lstm_state_clip_nan")
    for name in ("projection_size", "lstm_state_clip_min", "lstm_state_clip_max"):
        attrs.require(name, "None", "None")
    attrs.require("use_sequence_length", "False", "False")
    hidden, layers = attrs.integer("state_size"), attrs.integer("num_layers")
    directions = 2 if attrs.boolean("bidirectional", default=False) else 1
    affordable(layers, directions, len(kind.gates), hidden)
    reader = _Weights(b, weights, kind.gates, hidden)
    widths = [x.shape[2], *[directions * hidden] * (layers - 1)]
    matrices = [[(reader.matrix(width), reader.matrix(hidden)) for _ in range(directions)] for width in widths]
    biases = [[(reader.bias(), reader.bias()) for _ in range(directions)] for _ in widths]
    last: list[tuple[Value, ...]] = []
    for layer in range(layers):
        begin = [_state(b, state, x, layer * directions, directions) for state in states]
        x, *ends = _layer(b, kind, x, matrices[layer], biases[layer], begin, hidden)
        last.append(tuple(ends))
    if not attrs.boolean("state_outputs", default=False):
        return [x]
    return [x, *(ends[0] if layers == 1 else b.op("Concat", *ends, axis=0) for ends in zip(*last, strict=True))]


class _Weights:
    """Reads the vector of weights front to back; each gate's rows come out where ONNX wants them."""

    def __init__(self, b: Builder, vector: Value, gates: tuple[int, ...], hidden: int) -> None:
        self._b, self._vector, self._hidden, self._at = b, vector, hidden, 0
        self._order = np.concatenate([np.arange(gate * hidden, (gate + 1) * hidden) for gate in gates])

    def matrix(self, width: int) -> Value:
        """[1, G H, width]."""
        shape = (len(self._order), width)
        return self._b.op(
            "Unsqueeze", self._gates(reshape(self._b, self._next(shape), (shape, shape))), np.zeros(1, int)
        )

    def bias(self) -> Value:
        """[1, G H]."""
        return self._b.op("Unsqueeze", self._gates(self._next((len(self._order),))), np.zeros(1, int))

    def _next(self, shape: tuple[int, ...]) -> Value:
        begin, self._at = self._at, self._at + int(np.prod(shape))
        return slice_(self._b, self._vector, 0, begin, self._at)

    def _gates(self, rows: Value) -> Value:
        return self._b.op("Gather", rows, self._order, axis=0)


def _layer(
    b: Builder,
    kind: _Kind,
    x: Value,
    matrices: Sequence[tuple[Value, Value]],
    biases: Sequence[tuple[Value, Value]],
    begin: Sequence[Value | None],
    hidden: int,
) -> tuple[Value, ...]:
    """One layer in all its directions: steps [T, N, D H], then the last states [D, N, H]."""
    directions = len(matrices)
    found = b.ops(
        kind.operation,
        x,
        b.op("Concat", *(of_input for of_input, _ in matrices), axis=0),
        b.op("Concat", *(of_state for _, of_state in matrices), axis=0),
        b.op("Concat", *(b.op("Concat", *pair, axis=1) for pair in biases), axis=0),
        None,
        *begin,
        count=1 + (2 if kind.operation == "LSTM" else 1),
        hidden_size=hidden,
        direction="bidirectional" if directions == 2 else "forward",
        activations=[kind.activation] * directions if kind.activation else None,
        linear_before_reset=1 if kind.operation == "GRU" else None,
    )
    steps = transpose(b, found[0], (0, 2, 1, 3))
    one, two = ((*shape[:2], directions * hidden) for shape in steps.shapes)
    return (reshape(b, steps, (one, two)), *found[1:])


def _state(b: Builder, state: Value, x: Value, first: int, count: int) -> Value | None:
    """The rows [D, N, H] of the states that a layer begins with; nothing where they are zeros, as they mostly are."""
    if state.array is not None and not state.array.any():
        return None
    rows = slice_(b, state, 0, first, first + count)
    one, two = ((count, of_x[1], shape[2]) for of_x, shape in zip(x.shapes, rows.shapes, strict=True))
    return repeat_to(b, rows, (one, two))


def _whole(attrs: Attrs) -> int:
    """The axis of time, where no lengths cut the sequences short."""
    attrs.require("use_sequence_length", "False", "False")
    return attrs.integer("axis", 0)


@converts("SequenceMask")
def sequence_mask(_: Builder, inputs: Sequence[Value], attrs: Attrs) -> Value:
    """Without lengths nothing is masked."""
    _whole(attrs)
    attrs.ignore("value")
    return inputs[0]


@converts("SequenceLast")
def sequence_last(b: Builder, inputs: Sequence[Value], attrs: Attrs) -> Value:
    """The last step."""
    x = inputs[0]
    axis = axis_of(_whole(attrs), x.rank)
    return b.op("Squeeze", slice_(b, x, axis, -1, None), np.asarray([axis], np.int64))


@converts("SequenceReverse")
def sequence_reverse(b: Builder, inputs: Sequence[Value], attrs: Attrs) -> Value:
    """The steps backwards."""
    return slice_(b, inputs[0], _whole(attrs), -1, None, -1)
