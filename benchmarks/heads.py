"""P4: the whole float bundle (normalise, net, decode, NMS) over the bare convolution trunk of the same net."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import onnx
import onnxruntime as ort

from benchmarks.nets import Net, bundle_of, nets, zoo_nets
from benchmarks.paired import paired
from edge.bundle.bundle import Bundle
from edge.inference.stages import prepare_for

__all__ = ["measure"]

_LAYERS = {"Conv", "Gemm", "MatMul"}


def measure() -> list[dict[str, Any]]:
    """One row a net, one thread."""
    return [_row(net) for net in nets() + zoo_nets()]


def _row(net: Net) -> dict[str, Any]:
    bundle = bundle_of(net)
    picture = None if net.images is None else cv2.imread(str(net.images / "street.jpg"))
    if picture is None:
        picture = cv2.imdecode(np.frombuffer(bundle.files["golden/input.png"], np.uint8), cv2.IMREAD_COLOR)
    image = prepare_for(bundle, np.asarray(picture, np.uint8))[0][None]
    whole = session(bundle.model)
    trunk = session(trunk_of(bundle).SerializeToString())
    rng = np.random.default_rng(0)
    shape = [d if isinstance(d, int) else 1 for d in trunk.get_inputs()[0].shape]
    floats = rng.normal(size=shape).astype(np.float32)
    result = paired(
        {
            "bundle": lambda: whole.run(None, {"image": image}),
            "trunk": lambda: trunk.run(None, {trunk.get_inputs()[0].name: floats}),
        }
    )
    return {
        "net": net.name,
        "bundle_ms": round(result.median_ms["bundle"], 2),
        "trunk_ms": round(result.median_ms["trunk"], 2),
        "ratio": round(result.ratio("bundle", "trunk"), 3),
        "goal": "1.05 or less",
    }


def session(model: bytes, *, threads: int = 1, batch: int | None = 1) -> Any:
    """An onnxruntime session with the agent's settings; with `batch` None it takes any number of pictures."""
    settings = ort.SessionOptions()
    settings.intra_op_num_threads = threads
    settings.inter_op_num_threads = 1
    settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if batch is not None:
        settings.add_free_dimension_override_by_name("N", batch)
    return ort.InferenceSession(model, settings, providers=["CPUExecutionProvider"])


def trunk_of(bundle: Bundle) -> onnx.ModelProto:
    """The bundle's graph from the input of its first convolution to the outputs of its last ones.

    A last layer is one that no other convolution or matrix product lies behind.
    """
    model = onnx.load_from_string(bundle.model)
    inferred = onnx.shape_inference.infer_shapes(model)
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in model.graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    before_layer: dict[str, bool] = {}

    def leads_to_layer(name: str) -> bool:
        if name not in before_layer:
            before_layer[name] = any(
                n.op_type in _LAYERS or any(leads_to_layer(o) for o in n.output) for n in readers.get(name, [])
            )
        return before_layer[name]

    weights = {i.name for i in model.graph.initializer}
    layers = [n for n in model.graph.node if n.op_type in _LAYERS and any(i not in weights for i in n.input)]
    first = next(i for i in layers[0].input if i not in weights)
    last = [n.output[0] for n in layers if not leads_to_layer(n.output[0])]
    return onnx.utils.Extractor(inferred).extract_model([first], last)
