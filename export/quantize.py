"""Float bundle + calibration pictures -> the same model in 8 bits, and what was done to it.

The model's own graph decides what is quantized (`export.regions`), the device's own preprocessing what it is
calibrated on, and the result is checked: each node that should run in 8 bits does, and no other.
"""

from __future__ import annotations

import dataclasses
import platform
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import onnx

from edge.bundle.bundle import MODEL, Bundle
from export.blocks import fill_blocks
from export.calibrate import Reader
from export.effort import Effort
from export.equalize import equalize
from export.errors import ExportError
from export.front import feed_bytes
from export.gate import Verdict, gate
from export.observe import METHODS, Histograms, Method, Observed, count_values, narrowed, observe
from export.padding import pad_picture
from export.progress import Progress, silent
from export.qdq import insert_qdq
from export.regions import Region, constants_of, data_inputs, find_region
from export.rounding import Rounder, curvatures
from export.scales import watched
from export.stem import fold_columns
from export.work import multiplications

__all__ = ["Calibrated", "Kernels", "Quantized", "Scheme", "Verdict", "calibrate", "gate", "quantize"]

Scheme = Literal["u8s8", "s8s8", "auto"]
"""Signs of activations and weights. `u8s8` is what x86 multiplies fastest, `s8s8` what ARM does; `auto` asks here."""

Kernels = Literal["onnxruntime", "openvino", "any"]
"""Whose kernels the finished graph is shaped for: what onnxruntime's own run faster (`export.stem`, `export.blocks`,
`export.ends`), OpenVINO's run slower, and the other way round (`export.padding`, ends in float)."""

Precision = Literal["fp32", "fp16", "int8"]


@dataclass(frozen=True, slots=True, eq=False)
class Quantized:
    """`model` in fewer bits, and `report`: what runs in 8 bits, what stayed float and why, sizes, versions.

    `unshaped` computes the same numbers with every tensor as the float model has it: `model` before it was shaped for
    somebody's kernels.
    """

    model: onnx.ModelProto
    report: dict[str, Any]
    source: Bundle
    unshaped: onnx.ModelProto

    @property
    def bundle(self) -> Bundle:
        """The source bundle with this model in it, in memory only: what the gate and `evaluate` run."""
        precision: Precision = "fp16" if self.report["precision"] == "fp16" else "int8"
        return with_model(self.source, self.model.SerializeToString(deterministic=True), precision)


@dataclass(frozen=True, slots=True, eq=False)
class Calibrated:
    """A float bundle and what its tensors look like on the calibration pictures; gives models in 8 bits at once.

    `products` are the multiplications of each layer for one picture.
    """

    bundle: Bundle
    model: onnx.ModelProto
    observed: Observed
    method: str
    signed: bool
    per_channel: bool
    bias_correction: bool
    equalized: int
    rounder: Rounder
    reader: Reader
    products: dict[str, int]
    kernels: Kernels
    effort: Effort

    def count_values(self) -> Histograms:
        """Runs the pictures once more and counts each tensor's values, for `with_method`."""
        reader = self.reader.some(self.effort.pictures(len(self.reader.paths), roughly=True))
        return count_values(self.model, self.observed.ranges, reader.each)

    def with_method(self, method: Method, histograms: Histograms) -> Calibrated:
        """The same with ranges chosen by another method; to be asked of what `calibrate` gave for min-max.

        Raises:
            ExportError: for an unknown method.
        """
        return dataclasses.replace(self, observed=narrowed(self.observed, histograms, method), method=method)

    def quantize(self, keep_float: Collection[str] = ()) -> Quantized:
        """The model in 8 bits but for the cores whose output is named in `keep_float`.

        Raises:
            ExportError: when there is nothing to quantize, or the result is not what was planned.
        """
        region = find_region(self.model.graph, keep_float=keep_float)
        if self._shaped_for("openvino"):
            region = region.ending_in_float()
        result = insert_qdq(
            self.model, region, self.observed, self.rounder, signed=self.signed, per_channel=self.per_channel
        )
        _check(self.model, result, region)
        shaped = result
        if self._shaped_for("onnxruntime"):
            shaped = fold_columns(fill_blocks(result)[0])[0]
        elif self._shaped_for("openvino"):
            shaped = pad_picture(result)[0]
        return Quantized(shaped, self._report(region, shaped), self.bundle, result)

    def _shaped_for(self, kernels: Kernels) -> bool:
        return self.kernels == kernels and not self.signed  # what ARM's kernels gain is not known

    @property
    def cores(self) -> list[str]:
        """The output names of all nodes with weights that can run in 8 bits, in the graph's order."""
        graph = self.model.graph
        return [graph.node[i].output[0] for i in find_region(graph).cores]

    def _report(self, region: Region, result: onnx.ModelProto) -> dict[str, Any]:
        graph = self.model.graph
        in_8_bits = Counter(graph.node[i].op_type for i in region.nodes)
        in_float = Counter(n.op_type for i, n in enumerate(graph.node) if i not in region.nodes)
        before, after = len(self.bundle.model), result.ByteSize()
        return {
            "precision": "int8",
            "scheme": "s8s8" if self.signed else "u8s8",
            "method": self.method,
            "per_channel": self.per_channel,
            "bias_correction": self.bias_correction,
            "equalized": self.equalized,
            "rounding": "compensated" if self.rounder else "nearest",
            "images": self.observed.images,
            "images_skipped": {path.name: why for path, why in self.reader.skipped.items()},
            "quantized": dict(sorted(in_8_bits.items())),
            "float": dict(sorted(in_float.items())),
            "kept_float": dict(region.kept_float),
            "bytes": {"float": before, "quantized": after, "ratio": round(after / before, 4)},
            "machine": platform.machine(),
            "tools": {name: version(name) for name in ("onnx", "onnxruntime", "numpy")},
        }


def calibrate(
    bundle: Bundle,
    images: Sequence[Path],
    *,
    scheme: Scheme = "auto",
    method: Method = "minmax",
    per_channel: bool = True,
    bias_correction: bool = True,
    equalization: bool = True,
    compensation: bool = True,
    kernels: Kernels = "onnxruntime",
    effort: float = 1.0,
    progress: Progress = silent,
) -> Calibrated:
    """Run the float bundle over `images` and keep what quantizing it needs.

    A large net is run over some of them, spread over all; `effort` 2 takes twice as many (`export.effort`).

    Raises:
        ExportError: when the bundle is not float, has nothing to quantize, or no picture can be read.
    """
    if bundle.manifest.precision != "fp32":
        raise ExportError(f"{bundle.path}: already {bundle.manifest.precision}; quantize the float bundle it came from")
    if method not in METHODS:
        raise ExportError(f"calibration method {method!r} is not known; one of {', '.join(METHODS)}")
    if scheme not in {"u8s8", "s8s8", "auto"}:
        raise ExportError(f"scheme {scheme!r} is not known; one of u8s8, s8s8, auto")
    model = onnx.load_from_string(bundle.model)
    signed = scheme == "s8s8" or (scheme == "auto" and platform.machine() in {"aarch64", "arm64"})
    if not signed:
        model, _ = feed_bytes(model)
    region = find_region(model.graph)
    if not region.cores:
        raise ExportError(f"{bundle.path}: nothing to quantize: no convolution or matrix product with constant weights")
    constants = constants_of(model.graph)
    convolutions = [model.graph.node[i] for i in region.cores if model.graph.node[i].op_type == "Conv"]
    means = [data_inputs(node, constants)[0] for node in convolutions] if bias_correction else []
    reader = Reader(bundle, images, progress=progress)
    products = multiplications(model, [model.graph.node[i].output[0] for i in region.cores], reader.each)
    allowed = Effort(sum(products.values()), effort)
    reader = reader.some(allowed.pictures(len(images)))
    roughly = reader.some(allowed.pictures(len(images), roughly=True))
    model, equalized = equalize(model, roughly.each) if equalization else (model, 0)
    nodes = model.graph.node
    ends = [nodes[i].output[0] for i in region.ends]
    maps = [name for i in region.cores if nodes[i].op_type == "Conv" for name in data_inputs(nodes[i], constants)]
    observed = observe(model, watched(model.graph, region), reader.each, means=means, channels=[*ends, *maps])
    related = curvatures(model, region, roughly.each, len(roughly.paths)) if compensation else {}
    reader.warn_of_skipped()
    found = Calibrated(
        bundle,
        model,
        observed,
        "minmax",
        signed,
        per_channel,
        bias_correction,
        equalized,
        Rounder(related),
        reader,
        products,
        kernels,
        allowed,
    )
    return found if method == "minmax" else found.with_method(method, found.count_values())


def quantize(
    bundle: Bundle,
    images: Sequence[Path],
    *,
    precision: Literal["int8"] = "int8",
    scheme: Scheme = "auto",
    method: Method = "minmax",
    per_channel: bool = True,
    bias_correction: bool = True,
    equalization: bool = True,
    compensation: bool = True,
    keep_float: Collection[str] = (),
    progress: Progress = silent,
) -> Quantized:
    """`bundle` in 8 bits, calibrated on `images`; see `Calibrated.quantize` for `keep_float`.

    Raises:
        ExportError: as `calibrate` and `Calibrated.quantize`, and for a precision that is not known.
    """
    if precision != "int8":
        raise ExportError(f"precision {precision!r} is not known; it can be int8")
    calibrated = calibrate(
        bundle,
        images,
        scheme=scheme,
        method=method,
        per_channel=per_channel,
        bias_correction=bias_correction,
        equalization=equalization,
        compensation=compensation,
        progress=progress,
    )
    return calibrated.quantize(keep_float)


def with_model(bundle: Bundle, model: bytes, precision: Precision = "int8") -> Bundle:
    """`bundle` with another model of the same inputs and outputs, in memory; its digests are not those of the files."""
    manifest = bundle.manifest.model_copy(update={"precision": precision})
    return dataclasses.replace(bundle, manifest=manifest, files={**bundle.files, MODEL: model})


def _check(before: onnx.ModelProto, after: onnx.ModelProto, region: Region) -> None:
    """That every planned node reads 8 bits and no other node with weights does, whatever the nodes are called."""
    made = {name: node for node in after.graph.node for name in node.output}
    constants = constants_of(before.graph)

    def reads_8_bits(node: onnx.NodeProto) -> bool:
        return all(name in made and made[name].op_type == "DequantizeLinear" for name in data_inputs(node, constants))

    integers = {t.name for t in after.graph.initializer if t.data_type == onnx.TensorProto.INT8}
    found: Counter[str] = Counter()
    int8 = 0
    for node in after.graph.node:
        if node.op_type in {"Conv", "Gemm", "MatMul"}:
            source = made.get(node.input[1])
            # Those of heads may be repeated on their way, and stand behind one another (export.ends).
            repeated = made.get(source.input[0]) if source is not None else None
            weights = set(repeated.input if repeated is not None else source.input[:1] if source is not None else ())
            found[node.op_type] += max(1, len(weights)) if reads_8_bits(node) else 0
            int8 += len(weights & integers)
    wanted = Counter(before.graph.node[i].op_type for i in region.cores)
    if int8 != len(region.cores) or any(found[op] < n for op, n in wanted.items()):
        raise ExportError(
            f"quantization went wrong: {int8} of {len(region.cores)} planned layers hold int8 weights; please report it"
        )
