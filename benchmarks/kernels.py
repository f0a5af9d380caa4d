"""How far the same model on the same picture differs between kernels: what the golden sample's tolerances rest on.

Other kernels are got by onnxruntime's own switches: graphs that are not fused (8 bits are then computed in float, and
rounded), or less so; weights not packed; more threads. A GPU that multiplies in TF32, as NVIDIA's do by
default since Ampere, is stood in for by weights that are rounded to its 10 bits. One that computes in float16 rounds
each layer's result, where the CPU keeps float32 between layers: it is stood in for by rounding to 11 bits there.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from benchmarks.nets import ROOT, Net, bundle_of, nets, zoo_nets
from edge.bundle.bundle import Bundle
from edge.inference.golden import golden_image
from edge.inference.stages import prepare_for
from edge.results import Classification, Detections, Poses, Result, Segmentation, decode
from export.agreement import matched
from export.calibrate import images
from export.half import half
from export.pack import drawn_image
from export.quantize import quantize
from export.regions import replace_nodes

__all__ = ["measure"]

# Fainter finds come and go with the kernels in 8 bits, and no golden sample has them (export.certificate).
_FAINTEST = {"fp32": 0.1, "fp16": 0.1, "int8": 0.25}
_SAME = 0.5  # boxes of one class that overlap by this are the same find
_JUMPED = 0.1  # of the picture's longer side: a joint so far off is another peak, not the same one moved
_ZOO = {"mobilenet1.0", "simple_pose_resnet18_v1b"}
_LEVEL = ort.GraphOptimizationLevel
_KERNELS: dict[str, dict[str, Any]] = {
    "not fused": {"level": _LEVEL.ORT_DISABLE_ALL},
    "fused a little": {"level": _LEVEL.ORT_ENABLE_BASIC},
    "not packed": {"session.disable_prepacking": "1"},
    "two threads": {"threads": 2},
}


def measure() -> list[dict[str, Any]]:
    """A row a net and kernel: the largest difference from the kernels that the agent uses here."""
    rows = []
    for net in [*nets(), *(n for n in zoo_nets() if n.name in _ZOO), *_segmenter()]:
        bundle = bundle_of(net)
        pictures = _calibration(net, bundle)
        for one in (bundle, half(bundle, pictures).bundle, quantize(bundle, pictures).bundle):
            print(f"  {net.name} in {one.manifest.precision}", file=sys.stderr)
            rows += _rows(net, one)
    return rows


def _segmenter() -> list[Net]:
    """The real DeepLab, only where a developer has it."""
    stem = ROOT.parent / "shared/data/weights/deeplabv3_mobilenetv2_voc/deeplabv3_mobilenetv2_voc_513"
    files = ("--symbol", f"{stem}-symbol.json", "--params", f"{stem}-0000.params")
    what = ("--task", "segmentation", "--input", "513x513", "--labels", ",".join(f"c{n}" for n in range(21)))
    normalized = ("--scale", str(2 / 255), "--offset", "-1")
    there = stem.with_name(f"{stem.name}-symbol.json").is_file()
    return [Net("real DeepLab (513x513)", (*files, *what, *normalized))] if there else []


def _rows(net: Net, bundle: Bundle) -> Iterator[dict[str, Any]]:
    precision = bundle.manifest.precision
    kernels = {**_KERNELS, **_GPUS.get(precision, {})}
    pictures = _pictures(net, bundle)
    least = _FAINTEST[precision]
    usual = list(_results(bundle, pictures, {}))
    for kernel, settings in kernels.items():
        found = [_differ(*pair, least) for pair in zip(usual, _results(bundle, pictures, settings), strict=True)]
        worst = np.max([(d.score, d.box_px, d.pixels) for d in found], axis=0)
        yield {
            "net": net.name,
            "precision": precision,
            "kernel": kernel,
            **{name: f"{value:.1e}" for name, value in zip(("score", "box_px", "pixels"), worst, strict=True)},
            "unmatched": sum(d.unmatched for d in found),
            "compared": sum(d.compared for d in found),
        }


@dataclass(frozen=True, slots=True)
class _Difference:
    """The worst of what is there on both sides, and how many finds are there on one side only."""

    score: float
    box_px: float = 0.0
    pixels: float = 0.0
    unmatched: int = 0
    compared: int = 1


def _differ(usual: Result, other: Result, least: float) -> _Difference:
    if isinstance(usual, Segmentation) and isinstance(other, Segmentation):
        shares = [np.bincount(r.mask.ravel(), minlength=256) / r.mask.size for r in (usual, other)]
        return _Difference(float(np.abs(shares[0] - shares[1]).max()), pixels=float(np.mean(usual.mask != other.mask)))
    if isinstance(usual, Classification) and isinstance(other, Classification):
        scores = [r.scores[np.argsort(r.labels)] for r in (usual, other)]
        return _Difference(float(np.abs(scores[0] - scores[1]).max()))
    if isinstance(usual, Poses) and isinstance(other, Poses):
        off = np.abs(usual.keypoints - other.keypoints).reshape(-1, 3)
        same = off[:, :2].max(axis=1) <= _JUMPED * usual.keypoints[..., :2].max()
        score, box_px = float(off[same, 2].max(initial=0)), float(off[same, :2].max(initial=0))
        return _Difference(score, box_px, unmatched=int(np.sum(~same)), compared=len(off))
    assert isinstance(usual, Detections)  # noqa: S101  no other task is measured
    assert isinstance(other, Detections)  # noqa: S101
    return _finds_differ(usual, other, least)


def _finds_differ(usual: Detections, other: Detections, least: float) -> _Difference:
    """Each find on one side that scores `least` is looked for among all on the other, however faint."""
    pairs = matched(usual, other, iou=_SAME)
    sure = [(i, j) for i, j in pairs if max(usual.scores[i], other.scores[j]) >= least]
    score = max((float(abs(usual.scores[i] - other.scores[j])) for i, j in sure), default=0.0)
    box_px = max((float(np.abs(usual.boxes[i] - other.boxes[j]).max()) for i, j in sure), default=0.0)
    there = sum(int(np.sum(r.scores >= least)) for r in (usual, other))
    paired = sum(int(usual.scores[i] >= least) + int(other.scores[j] >= least) for i, j in sure)
    return _Difference(score, box_px, unmatched=there - paired, compared=int(np.sum(usual.scores >= least)))


def _results(bundle: Bundle, pictures: list[NDArray[np.uint8]], settings: Mapping[str, Any]) -> Iterator[Result]:
    options = ort.SessionOptions()
    options.graph_optimization_level = settings.get("level", _LEVEL.ORT_ENABLE_ALL)
    options.intra_op_num_threads = settings.get("threads", 1)
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    for key, value in settings.items():
        if key.startswith("session."):
            options.add_session_config_entry(key, value)
    model = settings["stand_in"](bundle.model) if "stand_in" in settings else bundle.model
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    names = [o.name for o in bundle.manifest.outputs]
    task = bundle.manifest.task
    least = _FAINTEST[bundle.manifest.precision] / 4 if task == "detection" else 0.0
    for picture in pictures:
        tensor, placement = prepare_for(bundle, picture)
        values = session.run(names, {"image": tensor[None]})
        outputs = {name: value[0] for name, value in zip(names, values, strict=True)}
        yield decode(task, outputs, placement, threshold=least, top=bundle.manifest.classes)


def _pictures(net: Net, bundle: Bundle) -> list[NDArray[np.uint8]]:
    drawn = drawn_image(bundle.manifest.input)
    found = [golden_image(bundle), drawn, np.ascontiguousarray(drawn[::-1, ::-1])]
    photos = [] if net.images is None else images(net.images, limit=4)
    return found + [np.asarray(picture, np.uint8) for p in photos if (picture := cv2.imread(str(p))) is not None]


def _calibration(net: Net, bundle: Bundle) -> list[Path]:
    folder = bundle.path.parent / "calibration"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for n, picture in enumerate(_pictures(net, bundle)):
        cv2.imwrite(str(folder / f"{n}.png"), picture)
    return images(folder)


def _in_tf32(model: bytes) -> bytes:
    """The weights rounded to 10 bits of mantissa, to nearest."""
    proto = onnx.load_from_string(model)
    for tensor in proto.graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT and len(tensor.dims) > 1:
            bits = numpy_helper.to_array(tensor).view(np.uint32).astype(np.uint64)
            rounded = ((bits + 0x1000) & 0xFFFFE000).astype(np.uint32).view(np.float32)
            tensor.CopyFrom(numpy_helper.from_array(rounded.reshape(tuple(tensor.dims)), tensor.name))
    return bytes(proto.SerializeToString())


def _rounding_between_layers(model: bytes) -> bytes:
    """A float16 model in float32, each of its values rounded to float16's 11 bits (Veltkamp's splitting)."""
    proto = onnx.shape_inference.infer_shapes(onnx.load_from_string(model))
    graph = proto.graph
    rounded = {v.name for v in graph.value_info if v.type.tensor_type.elem_type == onnx.TensorProto.FLOAT16}
    del graph.value_info[:]
    for tensor in graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT16:
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float32), tensor.name))
    graph.initializer.append(numpy_helper.from_array(np.float32(2**13 + 1), "rounding/split"))
    nodes = []
    for node in graph.node:
        nodes.append(node)
        for attribute in node.attribute:
            if node.op_type == "Cast" and attribute.name == "to" and attribute.i == onnx.TensorProto.FLOAT16:
                attribute.i = onnx.TensorProto.FLOAT
        for k, name in enumerate(node.output):
            if name in rounded:
                node.output[k] = f"rounding/{name}"
                steps = [("Mul", [node.output[k], "rounding/split"], f"rounding/high/{name}")]
                steps += [("Sub", [steps[0][2], node.output[k]], f"rounding/low/{name}")]
                steps += [("Sub", [steps[0][2], steps[1][2]], name)]
                nodes += [helper.make_node(op, inputs, [out]) for op, inputs, out in steps]
    replace_nodes(graph, nodes)
    return bytes(proto.SerializeToString())


_GPUS: dict[str, dict[str, dict[str, Any]]] = {
    "fp32": {"weights in TF32": {"stand_in": _in_tf32}},
    "fp16": {"rounded between layers": {"stand_in": _rounding_between_layers}},
}
