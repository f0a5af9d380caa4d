"""What each command of `gluon-export` does: arguments in, one JSON document and one text for people out."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edge.bundle import Bundle, InputSpec, Source, Thresholds, read_bundle
from edge.frame import Image
from export.errors import ExportError
from export.pack import drawn_image, pack_zip, source_files, write_bundle
from export.progress import Bar

__all__ = ["Outcome", "convert", "evaluate", "inspect", "pack", "quantize", "verify", "zoo"]


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
        {"name": n.name, "task": n.task, "input": list(n.input_hw), "classes": n.classes, "supported": n.supported}
        for n in nets
    ]
    text = "\n".join(
        f"{r['name']:<42} {r['task']:<15} {r['input'][0]}x{r['input'][1]:<6} {r['classes']:>6}  "
        f"{'' if r['supported'] else 'not supported'}".rstrip()
        for r in rows
    )
    return Outcome(rows, text)


def convert(args: argparse.Namespace) -> Outcome:
    """`convert`."""
    with tempfile.TemporaryDirectory(prefix="gluon-export-") as folder, Bar() as progress:
        what = _saved(args, Path(folder), progress)
        from export import heads, source

        progress("reading", 0, 3)
        graph = source.load(what.symbol, what.params)
        progress("translating", 1, 3)
        model = heads.finish(
            graph, task=what.task, input_hw=what.input_hw, labels=what.labels, **what.normalisation
        )
        progress("writing", 2, 3)
        spec = InputSpec(height=what.input_hw[0], width=what.input_hw[1], resize=what.resize, crop_ratio=what.crop_ratio)
        bundle = write_bundle(
            args.output,
            model=model,
            task=what.task,
            name=args.name or what.name,
            labels=what.labels,
            input_spec=spec,
            source=Source(net=what.name, sha256=graph.digests),
            golden=None if args.golden is None else _picture(args.golden),
            thresholds=Thresholds() if args.threshold is None else Thresholds(score=args.threshold),
            source_from={"symbol": what.symbol, "params": what.params},
        )
    return Outcome(_summary(bundle), f"{args.output}: {_line(bundle)}\nnext: gluon-export verify {args.output}")


def quantize(args: argparse.Namespace) -> Outcome:
    """`quantize`."""
    raise ExportError("quantize")


def verify(args: argparse.Namespace) -> Outcome:
    """`verify`: against MXNet where the source is at hand and the bundle is float, else against the golden sample."""
    bundle = read_bundle(args.bundle)
    files = source_files(bundle) if bundle.manifest.precision == "fp32" else None
    if files is None:
        return _verify_golden(bundle)
    from edge.stages import prepare_for
    from export import verify as verification

    pictures = _pictures(args.images, bundle)
    images = np.stack([prepare_for(bundle, picture)[0] for picture in pictures])
    with Bar() as progress:
        found = verification.verify(bundle, *files, images, progress=progress)
    rows = [f"  {o['name']:<10} max |error| {o['max_abs']:.2e}   tolerance {o['tolerance']:.0e}" for o in found.to_json()["outputs"]]
    head = f"{args.bundle}: {'equals' if found.ok else 'DIFFERS FROM'} MXNet on {len(images)} pictures"
    first = found.to_json()["first_divergence"]
    tail = [] if first is None else [f"  first divergence: node {first['node']} ({first['op']}), {first['max_abs']:.2e}"]
    return Outcome(found.to_json(), "\n".join([head, *rows, *tail]), ok=found.ok)


def evaluate(args: argparse.Namespace) -> Outcome:
    """`evaluate`."""
    raise ExportError("evaluate")


def pack(args: argparse.Namespace) -> Outcome:
    """`pack`."""
    bundle = pack_zip(args.bundle, args.output)
    size = args.output.stat().st_size
    return Outcome({**_summary(bundle), "bytes": size}, f"{args.output}: {size / 1e6:.2f} MB, manifest sha256 {bundle.digest}")


def inspect(args: argparse.Namespace) -> Outcome:
    """`inspect`: a bundle, an ONNX file or a symbol, told apart by what they are."""
    path: Path = args.path
    if path.suffix == ".json" and path.is_file():
        return _inspect_symbol(path)
    if path.suffix == ".onnx":
        return _inspect_onnx(path)
    bundle = read_bundle(path)
    document = _summary(bundle)
    rows = [f"  {k:<12} {v}" for k, v in document.items() if k not in {"files", "tools", "outputs"}]
    rows += [f"  output       {o['name']} {o['dtype']} {o['shape']}: {o['meaning']}" for o in document["outputs"]]
    rows += [f"  file         {name} {entry['size']} bytes" for name, entry in document["files"].items()]
    return Outcome(document, "\n".join([f"{path}: {_line(bundle)}", *rows]))
