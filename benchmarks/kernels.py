"""How far the same model on the same picture differs between kernels: what the golden sample's tolerances rest on.

Other kernels are got by onnxruntime's own switches: graphs that are not fused (8 bits are then computed in float, and
rounded), or less so; weights not packed; more threads. A GPU that multiplies in TF32, as NVIDIA's do by
default since Ampere, is stood in for by weights that are rounded to its 10 bits.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import cv2
import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import numpy_helper

from benchmarks.nets import ROOT, Net, bundle_of, nets, zoo_nets
from edge.bundle.bundle import Bundle
from edge.expectation import compare, expected
from edge.golden import golden_image
from edge.results import Result, Segmentation, decode
from edge.stages import prepare_for
from export.calibrate import images
from export.pack import drawn_image
from export.quantize import quantize

__all__ = ["measure"]

_THRESHOLD = 0.1
_ZOO = {"mobilenet1.0", "simple_pose_resnet18_v1b"}
_FAR = {"score": 0.3, "box_px": 40.0, "pixels": 1.0}
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
        rows += _rows(net, bundle)
        if bundle.manifest.task in {"detection", "classification"}:
            rows += _rows(net, _in_int8(net, bundle))
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
    int8 = bundle.manifest.precision == "int8"
    kernels = {**_KERNELS, **({} if int8 else {"weights in TF32": {"tf32": True}})}
    pictures = _pictures(net, bundle)
    usual = list(_results(bundle, pictures, {}))
    for kernel, settings in kernels.items():
        found = [_differ(bundle, *pair) for pair in zip(usual, _results(bundle, pictures, settings), strict=True)]
        worst = {key: max(f[key] for f in found) for key in found[0]}
        yield {
            "net": net.name,
            "precision": bundle.manifest.precision,
            "kernel": kernel,
            "score": f"{worst['score']:.1e}",
            "box_px": f"{worst['box_px']:.1e}",
            "pixels": f"{worst['pixels']:.1e}",
            "unmatched": sum(int(f["unmatched"]) for f in found),
            "compared": sum(int(f["compared"]) for f in found),
        }


def _differ(bundle: Bundle, usual: Result, other: Result) -> dict[str, float]:
    report = compare(expected(usual, threshold=_THRESHOLD, **_FAR), other, bundle.labels)
    pixels = 0.0
    if isinstance(usual, Segmentation) and isinstance(other, Segmentation):
        pixels = float(np.mean(usual.mask != other.mask))
    return {
        "score": report.worst_score,
        "box_px": report.worst_box_px,
        "pixels": pixels,
        "unmatched": len(report.problems),
        "compared": report.compared,
    }


def _results(bundle: Bundle, pictures: list[NDArray[np.uint8]], settings: Mapping[str, Any]) -> Iterator[Result]:
    options = ort.SessionOptions()
    options.graph_optimization_level = settings.get("level", _LEVEL.ORT_ENABLE_ALL)
    options.intra_op_num_threads = settings.get("threads", 1)
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    for key, value in settings.items():
        if key.startswith("session."):
            options.add_session_config_entry(key, value)
    model = _in_tf32(bundle.model) if settings.get("tf32") else bundle.model
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    names = [o.name for o in bundle.manifest.outputs]
    task = bundle.manifest.task
    least = _THRESHOLD if task in {"detection", "instances"} else 0.0
    for picture in pictures:
        tensor, placement = prepare_for(bundle, picture)
        values = session.run(names, {"image": tensor[None]})
        outputs = {name: value[0] for name, value in zip(names, values, strict=True)}
        yield decode(task, outputs, placement, threshold=least)


def _pictures(net: Net, bundle: Bundle) -> list[NDArray[np.uint8]]:
    drawn = drawn_image(bundle.manifest.input)
    found = [golden_image(bundle), drawn, np.ascontiguousarray(drawn[::-1, ::-1])]
    photos = [] if net.images is None else images(net.images, limit=4)
    return found + [np.asarray(picture, np.uint8) for p in photos if (picture := cv2.imread(str(p))) is not None]


def _in_int8(net: Net, bundle: Bundle) -> Bundle:
    folder = bundle.path.parent / "calibration"
    folder.mkdir(exist_ok=True)
    for n, picture in enumerate(_pictures(net, bundle)):
        cv2.imwrite(str(folder / f"{n}.png"), picture)
    return quantize(bundle, images(folder)).bundle


def _in_tf32(model: bytes) -> bytes:
    """The weights rounded to 10 bits of mantissa, to nearest."""
    proto = onnx.load_from_string(model)
    for tensor in proto.graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT and len(tensor.dims) > 1:
            bits = numpy_helper.to_array(tensor).view(np.uint32).astype(np.uint64)
            rounded = ((bits + 0x1000) & 0xFFFFE000).astype(np.uint32).view(np.float32)
            tensor.CopyFrom(numpy_helper.from_array(rounded.reshape(tuple(tensor.dims)), tensor.name))
    return bytes(proto.SerializeToString())
