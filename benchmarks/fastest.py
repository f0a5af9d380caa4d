"""P6, its end: what `tune` would choose here against MXNet on the same weights, one thread each, timed in turn.

MXNet runs in the two ways of `benchmarks.mxnet`: an executor with its CPU fusion on, and a block as its users run it.

The ways are the float bundle and its int8 variants, each on the provider that it is shaped for, in the model's types and in
16-bit floats. One that does not say what its golden sample expects is left out, as `tune` does. Times are CPU time of the process,
which with one thread is wall time on an idle machine.
"""

from __future__ import annotations

import time
from typing import Any

import cv2
import numpy as np

from benchmarks.mxnet import block, executor
from benchmarks.nets import Net, bundle_of, nets
from benchmarks.paired import paired
from benchmarks.quantization import everyday
from edge.bundle.bundle import Bundle, read_bundle
from edge.errors import EdgeError
from edge.inference.golden import check, golden_image
from edge.inference.session import SessionOptions
from edge.inference.stages import Stage, prepare_for
from edge.results import Result
from export.agreement import agree
from export.calibrate import images, read
from export.pack import drawn_image, source_files, write_bundle
from export.quantize import Kernels, calibrate
from export.source import load
from export.translate import input_variable

__all__ = ["in_int8", "measure"]

_WAYS = (("cpu", "model"), ("openvino", "model"), ("openvino", "half"))


def measure() -> list[dict[str, Any]]:
    """A row a net and way, the fastest first."""
    return [row for net in nets() for row in _rows(net)]


def _rows(net: Net) -> list[dict[str, Any]]:
    bundle = bundle_of(net)
    files = source_files(bundle)
    if files is None:
        raise SystemExit(f"{bundle.path}: its MXNet source is gone; remove the folder and run again")
    spec = bundle.manifest.input
    graph = load(*files)
    pixels = np.random.default_rng(0).normal(size=(1, 3, spec.height, spec.width)).astype(np.float32)
    inputs = {input_variable(graph): pixels}
    calls = {"mxnet": executor(files[0], graph.params, inputs), "block": block(*files, inputs)}
    wrong: dict[str, str] = {}
    kept: dict[str, str] = {}
    exact = Stage(bundle, SessionOptions(("cpu",), 1))
    stages: dict[str, Stage] = {}
    stock, openvino = (in_int8(net, bundle, kernels) for kernels in ("onnxruntime", "openvino"))
    for variant, ways in ((bundle, _WAYS), (stock, _WAYS[:1]), (openvino, _WAYS[1:])):
        image = prepare_for(variant, golden_image(variant))[0][None]
        pictures = [] if net.images is None else [read(path) for path in images(net.images)]
        for provider, precision in ways:
            name = f"{variant.manifest.precision}, {provider}, {precision}"
            stage = Stage(variant, SessionOptions((provider,), 1, precision))  # type: ignore[arg-type]
            if provider in stage.session.fell_away:
                continue
            problem = _problem(variant, stage)
            if problem is not None:
                wrong[name] = problem
            stages[name] = stage
            kept[name] = _kept([exact(p)[0] for p in pictures], [stage(p)[0] for p in pictures])
            calls[name] = lambda stage=stage, image=image: stage.session.infer(image)  # type: ignore[misc]
    result = paired(calls, rounds=11, inner=2, clock=time.process_time)
    rows = [
        {
            "net": net.name,
            "way": name,
            "runs on": stage.session.provider,
            "mxnet_ms": round(result.median_ms["mxnet"], 1),
            "block_ms": round(result.median_ms["block"], 1),
            "ms": round(result.median_ms[name], 1),
            "times_faster": round(result.ratio("mxnet", name), 2),
            "over_block": round(result.ratio("block", name), 2),
            "golden": wrong.get(name, "holds"),
            "against float on the CPU": kept[name],
            "goal": "5x by the best that holds",
        }
        for name, stage in stages.items()
    ]
    return sorted(rows, key=lambda row: -float(row["times_faster"]))


def _kept(reference: list[Result], found: list[Result]) -> str:
    """What the gate would count: detections above the threshold, of equal class and matched at IoU 0.9."""
    if not reference:
        return ""
    numbers = agree(reference, found, iou=0.9).numbers
    hits = int(numbers["matched_90"])
    return f"{hits} of {int(numbers['reference'])} kept, {int(numbers['other']) - hits} invented"


def _problem(bundle: Bundle, stage: Stage) -> str | None:
    try:
        report = check(bundle, stage)
    except EdgeError as e:
        return str(e)
    return None if report.ok else report.problems[0]


def in_int8(net: Net, bundle: Bundle, kernels: Kernels) -> Bundle:
    """Calibrated on photographs that are not judged, or without them on what the bundle's own making drew."""
    folder = bundle.path.parent / f"calibration-{bundle.path.name}"
    folder.mkdir(exist_ok=True)
    drawn = drawn_image(bundle.manifest.input)
    for n, picture in enumerate([golden_image(bundle), drawn, drawn[::-1, ::-1]]):
        cv2.imwrite(str(folder / f"{n}.png"), picture)
    pictures = images(folder) if net.images is None else everyday()
    out = folder.with_name(f"{bundle.path.name}-int8-{kernels}")
    manifest = bundle.manifest
    write_bundle(
        out,
        model=calibrate(bundle, pictures, kernels=kernels).quantize().model,
        task=manifest.task,
        name=manifest.name,
        labels=bundle.labels,
        input_spec=manifest.input,
        source=manifest.source,
        golden=[golden_image(bundle)],
        thresholds=manifest.thresholds,
        precision="int8",
    )
    return read_bundle(out)
