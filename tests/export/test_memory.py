"""Conversion needs less than three times the weights, whatever else it does: the whole command, in its own process."""

import json
import subprocess
import sys

import numpy as np
import pytest
import saved_models as models
from street import ROOT

_MEASURED = """
import sys
from pathlib import Path
from export.cli import main
code = main(sys.argv[1:])
# Not ru_maxrss, which begins with that of the process that started this one.
status = Path("/proc/self/status").read_text()
print(int(status.split("VmHWM:")[1].split()[0]) * 1024)
sys.exit(code)
"""


def _dense(inputs, outputs):
    return (outputs, inputs), {"op": "FullyConnected", "attrs": {"num_hidden": str(outputs), "no_bias": "True"}}


def _convolution(inputs, outputs):
    attrs = {"num_filter": str(outputs), "kernel": "(3, 3)", "pad": "(1, 1)", "no_bias": "True"}
    return (outputs, inputs, 3, 3), {"op": "Convolution", "attrs": attrs}


def _peak(folder, layer, width, layers):
    """Bytes of weights, and of the process at its largest."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    nodes = [
        {"op": "null", "name": "data", "inputs": []},
        {"op": "Pooling", "name": "pool", "attrs": {"pool_type": "avg", "global_pool": "True"}, "inputs": [[0, 0, 0]]},
    ]
    weights = {}
    inputs = 3
    for n, (kind, outputs) in enumerate([*[(layer, width)] * layers, (_dense, 3)]):
        shape, node = kind(inputs, outputs)
        weights[f"arg:w{n}"] = rng.standard_normal(shape, np.float32) * np.float32(0.01)
        last = len(nodes) - 1
        nodes.append({"op": "null", "name": f"w{n}", "inputs": []})
        nodes.append({**node, "name": f"layer{n}", "inputs": [[last, 0, 0], [len(nodes) - 1, 0, 0]]})
        inputs = outputs
    last = len(nodes) - 1
    (folder / "x-symbol.json").write_text(json.dumps({"nodes": nodes, "heads": [[last, 0, 0]]}))
    (folder / "x.params").write_bytes(models.params_bytes(weights))
    command = [
        sys.executable, "-c", _MEASURED, "convert", "--symbol", folder / "x-symbol.json", "--params", folder / "x.params",
        "--task", "classification", "--input", "8x8", "--labels", "a,b,c", "--scale", "1", "-o", folder / "bundle",
    ]  # fmt: skip
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return sum(array.nbytes for array in weights.values()), int(done.stdout.split()[-1])


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize(
    ("layer", "width"),
    [(_dense, 2900), (_convolution, 960)],  # of a convolution's weights onnxruntime makes a copy in another layout
)
def test_convert_when_weights_are_large_then_memory_stays_under_three_times_their_size(layer, width, tmp_path):
    small, base = _peak(tmp_path / "small", layer, 16, 1)
    large, peak = _peak(tmp_path / "large", layer, width, 3)
    assert large > 60e6 > small
    assert peak - base < 3 * large
