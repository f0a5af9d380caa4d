"""What each command of `gluon-export` does: arguments in, one JSON document and one text for people out."""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edge.bundle.bundle import Bundle, InputSpec, Source, Thresholds, read_bundle
from edge.frame import Image
from export.inspection import inspect_onnx, inspect_symbol
from export.pack import drawn_image, source_files, write_bundle
from export.progress import Bar
from export.request import request

if TYPE_CHECKING:
    from export.evaluate import Evaluation

__all__ = ["Outcome", "component", "convert", "evaluate", "inspect", "keygen", "pack", "quantize", "verify", "zoo"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """`ok` False means the thing asked did not hold (exit code 1)."""

    document: Any
    text: str
    ok: bool = True


def zoo(args: argparse.Namespace) -> Outcome:
    """`zoo list`."""
    from export.zoo import list_nets

    nets = [n for n in list_nets() if args.task in {None, n.task}]
    rows = [
        {
            "name": n.name,
            "task": n.task,
            "input": list(n.input_hw),
            "classes": n.classes,
            "supported": not n.unsupported,
        }
        for n in nets
    ]
    lines = [
        f"{n.name:<42} {n.task:<15} {n.input_hw[0]}x{n.input_hw[1]:<6} {n.classes or 'yours':>6}  {n.unsupported}".rstrip()
        for n in nets
    ]
    text = "\n".join(lines)
    return Outcome(rows, text)


def component(args: argparse.Namespace) -> Outcome:
    """`component lint` and `component build`."""
    from export.component.verbs import run

    document, text, good = run(args)
    return Outcome(document, text, good)


def convert(args: argparse.Namespace) -> Outcome:
    """`convert`."""
    if args.raw:
        return _convert_raw(args)
    with tempfile.TemporaryDirectory(prefix="gluon-export-") as folder, Bar() as progress:
        what = request(args, Path(folder), progress)
        from export import heads
        from export.calibrate import read
        from export.prune import load_for_inference

        progress("reading", 0, 3)
        graph, symbol = load_for_inference(what.symbol, what.params, Path(folder))
        progress("translating", 1, 3)
        model = heads.finish(
            graph,
            task=what.task,
            input_hw=what.input_hw,
            labels=what.labels,
            tiled=args.winograd,
            **what.normalization,
        )
        tiled = heads.tiled_layers(model)
        # Weights are large: nobody keeps what nobody reads any more.
        digests, models = dict(graph.digests), [model]
        del graph, model
        progress("writing", 2, 3)
        spec = InputSpec(
            height=what.input_hw[0], width=what.input_hw[1], resize=what.resize, crop_ratio=what.crop_ratio
        )
        bundle = write_bundle(
            args.output,
            model=models.pop(),
            task=what.task,
            name=args.name or what.name,
            labels=what.labels,
            input_spec=spec,
            source=Source.model_validate({"net": what.name, "normalization": what.normalization, "sha256": digests}),
            golden=() if args.golden is None else [read(args.golden)],
            thresholds=Thresholds() if args.threshold is None else Thresholds(score=args.threshold),
            source_from={"symbol": symbol, "params": what.params},
        )
    text = f"{args.output}: {_line(bundle)}\n"
    if args.winograd:
        text += (
            f"{tiled or 'no'} convolutions computed by Winograd's algorithm{'' if tiled else ': none is worth it'}\n"
        )
    document = {**_summary(bundle), "winograd": tiled}
    return Outcome(document, f"{text}next: gluon-export verify {args.output}")


def _convert_raw(args: argparse.Namespace) -> Outcome:
    from export.raw import convert_raw

    document, ok = convert_raw(args)
    inputs = ", ".join(f"{name} {'x'.join(map(str, shape))}" for name, shape in document["inputs"].items())
    verdict = "equals MXNet, layer by layer and at the end" if ok else "DIFFERS FROM MXNet"
    if document["compared"] is None:
        verdict = "not compared: MXNet is not installed here"
    head = f"{args.output}: {document['net']}, raw graph of {document['nodes']} nodes, float32 {inputs}"
    return Outcome(document, f"{head}\n{verdict}", ok=ok)


def quantize(args: argparse.Namespace) -> Outcome:
    """`quantize`."""
    from export import quantizing

    bundle = read_bundle(args.bundle)
    with Bar() as progress:
        made = quantizing.quantize(args, bundle, progress)
    documents, lines = [], []
    for one in made:
        text = quantizing.gate_text(one.report["gate"], one.report["precision"])
        if one.bundle is None:
            documents.append(one.report)
            lines.append(f"{text}\nno bundle was written (--force writes it); the report is {one.kept}")
        else:
            documents.append({**_summary(one.bundle), "report": one.report})
            lines.append(f"{one.output}: {_line(one.bundle)}\n{text}\n  the report {one.kept}")
    document = documents[0] if len(documents) == 1 else documents
    return Outcome(document, "\n".join(lines), ok=all(one.bundle is not None for one in made))


def verify(args: argparse.Namespace) -> Outcome:
    """`verify`: against MXNet where the source is at hand and the bundle is float, else against the golden sample."""
    bundle = read_bundle(args.bundle)
    files = source_files(bundle) if bundle.manifest.precision == "fp32" else None
    if files is None:
        why = "its MXNet source is not at hand" if bundle.manifest.precision == "fp32" else "it is quantized"
        return _verify_golden(bundle, why, ignored=args.images)
    if not _mxnet_is_installed():
        return _verify_golden(bundle, "MXNet is not installed here", ignored=args.images)
    import onnx

    from edge.inference.stages import prepare_for
    from export import verify as verification

    pictures = _pictures(args.images, bundle)
    images = np.stack([prepare_for(bundle, picture)[0] for picture in pictures])
    manifest = bundle.manifest
    with Bar() as progress:
        progress("comparing with MXNet", 0, 1)
        model = onnx.load_from_string(bundle.model)
        normalization: dict[str, Any] = {str(k): v for k, v in manifest.source.normalization.items()}
        found = verification.verify(*files, model, images, task=manifest.task, **normalization)
    rows = [
        f"  {o['name']:<10} max |error| {o['max_abs']:.2e}   tolerance {o['tolerance']:.0e}"
        for o in found.to_json()["outputs"]
    ]
    head = f"{args.bundle}: {'equals' if found.ok else 'DIFFERS FROM'} MXNet on {len(images)} pictures"
    first = found.to_json()["first_divergence"]
    tail = (
        [] if first is None else [f"  first divergence: node {first['node']} ({first['op']}), {first['max_abs']:.2e}"]
    )
    return Outcome({**found.to_json(), "against": "mxnet"}, "\n".join([head, *rows, *tail]), ok=found.ok)


def evaluate(args: argparse.Namespace) -> Outcome:
    """`evaluate`."""
    from export.evaluate import difference
    from export.evaluate import evaluate as measure

    bundle = read_bundle(args.bundle)
    detector = None if args.detector is None else read_bundle(args.detector)
    with Bar() as progress:
        against: Any = None
        if args.against == "mxnet":
            from export.original import Original

            progress("loading the net into MXNet", 0, 1)
            against = Original(bundle)
        elif args.against is not None:
            against = read_bundle(Path(args.against))
        aliases = dict(args.alias)
        found = measure(bundle, args.data, against=against, detector=detector, aliases=aliases, progress=progress)
    rows = [(str(args.bundle), found)] + ([] if found.against is None else [(str(args.against), found.against)])
    width = max(len(name) for name in (*dict(rows), *([] if found.against is None else ["difference"])))
    lines = [f"{found.task} on {found.images} images, with 95 % intervals"]
    lines.append(f"{'':{width}}  " + "  ".join(f"{name:>23}" for name in found.metrics) + "     p50 ms   p99 ms")
    for name, one in rows:
        cells = [f"{value:6.4f} ({low:6.4f}, {high:6.4f})" for value, (low, high) in _with_intervals(one)]
        timing = f"{one.latency_ms['p50']:8.2f} {one.latency_ms['p99']:8.2f}"
        lines.append(f"{name:{width}}  {'  '.join(cells)}   {timing}")
    if found.against is not None:
        gaps = difference(found, found.against).values()
        cells = [f"{d.value:+6.4f} ({d.low:+.3f}, {d.high:+.3f})" for d in gaps]
        lines.append(f"{'difference':{width}}  " + "  ".join(f"{cell:>23}" for cell in cells))
    return Outcome(found.to_json(), "\n".join(lines))


def _with_intervals(one: Evaluation) -> list[tuple[float, tuple[float, float]]]:
    return [(value, one.intervals[name]) for name, value in one.metrics.items()]


def pack(args: argparse.Namespace) -> Outcome:
    """`pack`."""
    from export.release import Stamp, pack_zip

    stamp = Stamp(args.release, tuple(args.for_node), tuple(args.for_machine))
    bundle = pack_zip(args.bundle, args.output, stamp=stamp, sign=args.sign)
    size = args.output.stat().st_size
    signers = [line.split()[0] for line in (bundle.signature or b"").decode().splitlines()]
    text = f"{args.output}: {bundle.manifest.name} {bundle.manifest.version}, {size / 1e6:.2f} MB, "
    text += f"signed by {', '.join(signers)}" if signers else "not signed"
    text += f"\nmanifest sha256 {bundle.digest}"
    return Outcome({**_summary(bundle), "bytes": size, "signed_by": signers}, text)


def keygen(args: argparse.Namespace) -> Outcome:
    """`keygen`."""
    from export.release import make_key_files

    private, public, key = make_key_files(args.name)
    text = (
        f"{private}: the private key {key}; keep it secret, and off the devices\n"
        f"{public}: the public key, for the devices: model.keys = [{json.dumps(str(public))}]\n"
        f"next: gluon-export pack BUNDLE -o FILE.zip --sign {private}"
    )
    return Outcome({"key": key, "private": str(private), "public": str(public)}, text)


def inspect(args: argparse.Namespace) -> Outcome:
    """`inspect`: a bundle, an ONNX file or a symbol, told apart by what they are."""
    path: Path = args.path
    if path.suffix == ".json" and path.is_file():
        document, text = inspect_symbol(path)
        return Outcome(document, text, ok=not document["unsupported"])
    if path.suffix == ".onnx":
        return Outcome(*inspect_onnx(path))
    bundle = read_bundle(path)
    document = _summary(bundle)
    rows = [f"  {k:<12} {v}" for k, v in document.items() if k not in {"files", "tools", "outputs"}]
    rows += [f"  output       {o['name']} {o['dtype']} {o['shape']}: {o['meaning']}" for o in document["outputs"]]
    rows += [f"  file         {name} {entry['size']} bytes" for name, entry in document["files"].items()]
    return Outcome(document, "\n".join([f"{path}: {_line(bundle)}", *rows]))


def _pictures(spec: Path | None, bundle: Bundle, *, most: int = 12) -> Sequence[Image]:
    if spec is None:
        drawn = drawn_image(bundle.manifest.input)
        return [drawn, np.ascontiguousarray(drawn[::-1, ::-1])]
    from export.calibrate import images, read

    return [read(path) for path in images(spec, limit=most)]


def _mxnet_is_installed() -> bool:
    from importlib.util import find_spec

    try:
        return find_spec("mxnet") is not None
    except ModuleNotFoundError:
        return False


def _verify_golden(bundle: Bundle, why: str, *, ignored: Path | None) -> Outcome:
    from edge.inference.golden import check
    from edge.inference.stages import Stage

    report = check(bundle, Stage(bundle))
    tolerance = bundle.json("golden/expected.json")["tolerance"]
    outputs = [{"name": "scores", "max_abs": report.worst_score, "max_rel": None, "tolerance": tolerance["score"]}]
    if bundle.manifest.task == "detection":
        box = {"name": "boxes", "max_abs": report.worst_box_px, "max_rel": None, "tolerance": tolerance["box_px"]}
        outputs.append(box)
    document = {
        "ok": report.ok,
        "outputs": outputs,
        "first_divergence": None,
        "unmatched": len(report.problems),
        "against": "golden",
    }
    head = f"{bundle.path}: {'reproduces' if report.ok else 'DOES NOT REPRODUCE'} its golden sample ({why})"
    lines = [head, *(f"  {p}" for p in report.problems)]
    if ignored is not None:
        lines.append(f"  {ignored} was not looked at: its pictures are for the comparison with MXNet")
    return Outcome(document, "\n".join(lines), ok=report.ok)


def _summary(bundle: Bundle) -> dict[str, Any]:
    return {"path": str(bundle.path), "digest": bundle.digest, **bundle.manifest.model_dump(mode="json")}


def _line(bundle: Bundle) -> str:
    m = bundle.manifest
    size = len(bundle.model) / 1e6
    return f"{m.name} {m.version}, {m.task}, {m.input.height}x{m.input.width}, {m.classes} classes, {m.precision}, {size:.2f} MB"
