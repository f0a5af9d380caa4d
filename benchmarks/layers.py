"""Where the time of the fastest int8 detector goes, by kind of layer, and how near that is to what the processor can do.

OpenVINO counts the time of each node. In the same rounds runs one large product of bytes: its multiply-adds a second are
the most that such kernels reach here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from statistics import median
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from benchmarks.fastest import in_int8
from benchmarks.mxnet import multiply_adds
from benchmarks.nets import Net, bundle_of, nets
from edge.inference.golden import golden_image
from edge.inference.stages import prepare_for
from edge.runtimes.openvino import _import

__all__ = ["measure"]

_ROUNDS = 60
_SIDE, _CHANNELS = 32, 1024  # a product of matrices 1024 x 1024
_BIAS = "/WithoutBiases"  # what OpenVINO calls a convolution whose bias it has fused
_ORDER = ("the first", "1x1", "larger", "depthwise", "no convolution")
_COLOURS = 3


def measure() -> list[dict[str, Any]]:
    """A row a net and kind of layer, and one of the product."""
    return [row for net in nets() for row in _rows(net)]


def _rows(net: Net) -> list[dict[str, Any]]:
    bundle = bundle_of(net)
    layers = multiply_adds(bundle.model)
    int8 = in_int8(net, bundle, "openvino")
    nodes = _timed(int8.model, prepare_for(int8, golden_image(int8))[0][None])
    product = _timed(_product(), np.random.default_rng(0).integers(0, 256, (1, _SIDE, _SIDE, _CHANNELS), np.uint8))
    found: dict[str, list[float]] = defaultdict(list)
    most: list[float] = []
    for _ in range(_ROUNDS):
        times: dict[str, float] = defaultdict(float)
        for name, ms in nodes().items():
            times[_kind(layers.get(name.removesuffix(_BIAS)))] += ms
        for kind, ms in times.items():
            found[kind].append(ms)
        most.append(max(product().values()))
    sums: dict[str, int] = defaultdict(int)
    for layer in layers.values():
        sums[_kind(layer)] += layer[1]
    rows = [
        _row(net, f"convolutions, {kind}" if sums[kind] else kind, found[kind], sums[kind])
        for kind in _ORDER
        if kind in found
    ]
    everything = [sum(parts) for parts in zip(*found.values(), strict=True)]
    return [
        *rows,
        _row(net, "all", everything, sum(sums.values())),
        _row(net, "one product of 1024 x 1024", most, _SIDE**2 * _CHANNELS**2),
    ]


def _kind(layer: tuple[tuple[int, ...], int] | None) -> str:
    if layer is None:
        return "no convolution"
    _, inputs, height, _ = layer[0]
    if inputs == _COLOURS:
        return "the first"
    return "depthwise" if inputs == 1 else "1x1" if height == 1 else "larger"


def _row(net: Net, kind: str, ms: list[float], products: int) -> dict[str, Any]:
    typical = median(ms)
    return {
        "net": net.name,
        "layers": kind,
        "million multiply-adds": round(products / 1e6, 1) if products else "",
        "ms": round(typical, 2),
        "gmac_s": round(products / 1e6 / typical) if products else "",
    }


def _timed(model: bytes, image: NDArray[np.uint8]) -> Callable[[], Mapping[str, float]]:
    """Runs `model` on one thread; milliseconds by node."""
    openvino = _import()
    core = openvino.Core()
    graph = core.read_model(model)
    graph.reshape(list(image.shape))
    settings = {"INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": "f32", "PERF_COUNT": True}
    request = core.compile_model(graph, "CPU", settings).create_infer_request()

    def run() -> dict[str, float]:
        request.infer([image])
        times: dict[str, float] = defaultdict(float)
        for node in request.profiling_info:
            times[node.node_name] += node.real_time.total_seconds() * 1e3
        return times

    return run


def _product() -> bytes:
    """Bytes [1, 32, 32, 1024] times 1024 x 1024 weights, as the 1x1 convolution that OpenVINO runs in 8 bits."""
    rng = np.random.default_rng(0)
    arrays: dict[str, NDArray[Any]] = {
        "one": np.array(1, np.float32),
        "coarse": np.array(1e5, np.float32),
        "zero": np.array(0, np.uint8),
        "weights": rng.integers(-127, 128, (_CHANNELS, _CHANNELS, 1, 1), np.int8),
        "steps": np.ones(_CHANNELS, np.float32),
    }
    nodes = [
        helper.make_node("DequantizeLinear", ["image", "one", "zero"], ["real"]),
        helper.make_node("Transpose", ["real"], ["turned"], perm=[0, 3, 1, 2]),
        helper.make_node("DequantizeLinear", ["weights", "steps"], ["w"], axis=0),
        helper.make_node("Conv", ["turned", "w"], ["product"]),
        helper.make_node("QuantizeLinear", ["product", "coarse", "zero"], ["stored"]),
        helper.make_node("DequantizeLinear", ["stored", "coarse", "zero"], ["rounded"]),
        helper.make_node("GlobalMaxPool", ["rounded"], ["result"]),
    ]
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, [1, _SIDE, _SIDE, _CHANNELS])
    result = helper.make_tensor_value_info("result", TensorProto.FLOAT, [1, _CHANNELS, 1, 1])
    held = [numpy_helper.from_array(value, name) for name, value in arrays.items()]
    graph = helper.make_graph(nodes, "product", [image], [result], held)
    model: onnx.ModelProto = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)])
    return model.SerializeToString()
