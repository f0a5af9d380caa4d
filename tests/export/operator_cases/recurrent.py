"""As `export/ops/recurrent.py`."""

import numpy as np
from operator_runs import Case

from operator_cases.drawn import normal


def layer(mode, gates, *, width=3, hidden=4, layers=1, directions=1, steps=5, batch=2, begin=np.zeros, **attrs):
    """A recurrent layer on steps [T, N, C]; it begins with zeros, or with what `begin` draws."""
    size = 0
    for layer in range(layers):
        reads = width if layer == 0 else directions * hidden
        size += directions * gates * hidden * (reads + hidden + 2)
    states = [begin((layers * directions, batch, hidden)).astype(np.float32) for _ in range(2 if mode == "lstm" else 1)]
    values = {"mode": mode, "state_size": hidden, "num_layers": layers, "bidirectional": directions == 2, **attrs}
    inputs = (normal(steps, batch, width), normal(size) / 2, *states)
    return Case("RNN", inputs, values, tuple(range(1, len(inputs))), dynamic=False)


MODES = {"lstm": 4, "gru": 3, "rnn_tanh": 1, "rnn_relu": 1}
CASES = [
    *[layer(mode, gates) for mode, gates in MODES.items()],
    *[layer(mode, gates, directions=2, layers=2, state_outputs="True") for mode, gates in MODES.items()],
    *[
        layer(mode, gates, layers=2, p=0.3, state_outputs="True", begin=lambda shape: normal(*shape))
        for mode, gates in MODES.items()
    ],
    Case("_rnn_param_concat", (normal(6), normal(4)), {"dim": 0, "num_args": 2}, dynamic=False),
    Case("SequenceMask", (normal(3, 2, 4),), {"value": 1}),
    Case("SequenceLast", (normal(5, 2, 4),), {}, dynamic=False),
    Case("SequenceLast", (normal(3, 5, 4),), {"axis": 1}),
    Case("SequenceReverse", (normal(5, 2, 4),), {}, dynamic=False),
]
