"""P5: the float bundle against MXNet on the same weights, one thread each, timed in turn.

MXNet runs in two ways: as an executor bound ahead with its CPU sub-graph fusion on, its best, and as its users run it,
a hybridized block with static memory, which that fusion does not reach. The bundle is there twice as well: as `convert`
makes it, and with its convolutions computed by Winograd's algorithm (`--winograd`).

How near the float bundle is to what the processor can do at all: its convolutions' multiply-adds a second, beside
those of one large matrix product in onnxruntime in the same rounds.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from benchmarks.heads import session
from benchmarks.nets import Net, bundle_of, by_tiles, nets, zoo_nets
from benchmarks.paired import paired
from export.graph import Array
from export.pack import source_files
from export.source import load
from export.translate import input_variable
from export.zoo.runtime import mxnet, quiet

__all__ = ["block", "executor", "measure", "multiply_adds"]

_SIDE = 1024  # of the matrices
_GOALS = {
    "real SSD-MobileNet (384x672)": "1.4x",
    "ssd_512_mobilenet1.0_voc": "1.4x",
    "yolo3_mobilenet1.0_coco": "3.5x",
    "resnet50_v1b": "1.1x",
    "mobilenet1.0": "1.3x",
}


def measure() -> list[dict[str, Any]]:
    """One row a net."""
    return [_row(net) for net in nets() + zoo_nets()]


def _row(net: Net) -> dict[str, Any]:
    bundle = bundle_of(net)
    files = source_files(bundle)
    if files is None:
        raise SystemExit(f"{bundle.path}: its MXNet source is gone; remove the folder and run again")
    spec = bundle.manifest.input
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (1, spec.height, spec.width, 3), np.uint8)
    whole, tiled = session(bundle.model), session(bundle_of(by_tiles(net)).model)
    graph = load(*files)
    normalised = {input_variable(graph): rng.normal(size=(1, 3, spec.height, spec.width)).astype(np.float32)}
    result = paired(
        {
            "mxnet": executor(files[0], graph.params, normalised),
            "block": block(*files, normalised),
            "bundle": lambda: whole.run(None, {"image": image}),
            "tiled": lambda: tiled.run(None, {"image": image}),
            "product": _product(),
        },
        rounds=12,
        inner=1,
        warm_up=2,
    )
    return {
        "net": net.name,
        "mxnet_ms": round(result.median_ms["mxnet"], 1),
        "block_ms": round(result.median_ms["block"], 1),
        "bundle_ms": round(result.median_ms["bundle"], 1),
        "times_faster": round(result.ratio("mxnet", "bundle"), 2),
        "over_block": round(result.ratio("block", "bundle"), 2),
        "by_tiles_ms": round(result.median_ms["tiled"], 1),
        "by_tiles_faster": round(result.ratio("mxnet", "tiled"), 2),
        "by_tiles_over_block": round(result.ratio("block", "tiled"), 2),
        "bundle_gmac_s": round(
            sum(n for _, n in multiply_adds(bundle.model).values()) / 1e6 / result.median_ms["bundle"], 1
        ),
        "product_gmac_s": round(_SIDE**3 / 1e6 / result.median_ms["product"], 1),
        "goal": _GOALS.get(net.name, "-"),
    }


def multiply_adds(model: bytes) -> dict[str, tuple[tuple[int, ...], int]]:
    """The shape of each convolution's weights, and its multiply-adds for one picture, by the name of the node."""
    graph = onnx.shape_inference.infer_shapes(onnx.load_from_string(model)).graph
    shapes = {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim] for v in (*graph.value_info, *graph.output)}
    weights = {t.name: list(t.dims) for t in graph.initializer}
    layers = {n.name: (shapes[n.output[0]], weights[n.input[1]]) for n in graph.node if n.op_type == "Conv"}
    return {
        name: (tuple(kernel), int(np.prod(out[1:])) * int(np.prod(kernel[1:])))
        for name, (out, kernel) in layers.items()
    }


def _product() -> Callable[[], object]:
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [_SIDE, _SIDE]) for name in "abc"]
    graph = helper.make_graph([helper.make_node("MatMul", ["a", "b"], ["c"])], "product", values[:2], values[2:])
    model = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)])
    run = session(model.SerializeToString())
    matrix = np.random.default_rng(0).normal(size=(_SIDE, _SIDE)).astype(np.float32)
    return lambda: run.run(None, {"a": matrix, "b": matrix})


def executor(symbol: Path, params: Mapping[str, Array], inputs: Mapping[str, Array]) -> Callable[[], object]:
    """MXNet at its best: an executor bound ahead, its CPU sub-graph fusion on (which a hybridized block has not).

    Args:
        symbol: the `-symbol.json`.
        params: its weights by name; the statistics of BatchNorm too.
        inputs: what it is fed, by variable.
    """
    os.environ.pop("MXNET_SUBGRAPH_BACKEND", None)
    mx = mxnet()
    with quiet():
        loaded = mx.sym.load(str(symbol))
        bound = loaded.simple_bind(mx.cpu(), grad_req="null", **{name: array.shape for name, array in inputs.items()})
        for name, array in [*bound.arg_dict.items(), *bound.aux_dict.items()]:
            if name in params:
                array[:] = mx.nd.array(params[name])
        for name, array in inputs.items():
            bound.arg_dict[name][:] = mx.nd.array(array)

    def call() -> None:
        for output in bound.forward(is_train=False):
            output.wait_to_read()

    return call


def block(symbol: Path, params: Path, inputs: Mapping[str, Array]) -> Callable[[], object]:
    """MXNet as GluonCV's users run it: a `SymbolBlock`, hybridized, its memory planned once."""
    mx = mxnet()
    with quiet():
        net = mx.gluon.SymbolBlock.imports(str(symbol), list(inputs), str(params), mx.cpu(), ignore_extra=True)
        net.cast("float32")  # a file may hold half floats
        net.hybridize(static_alloc=True, static_shape=True)
        feeds = [mx.nd.array(array) for array in inputs.values()]

    def call() -> None:
        outputs = net(*feeds)
        for output in outputs if isinstance(outputs, list | tuple) else [outputs]:
            output.wait_to_read()

    return call
