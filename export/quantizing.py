"""`gluon-export quantize`: one float bundle in, one bundle a scheme out, each with its report, if the gate lets it."""

from __future__ import annotations

import argparse
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import onnx

from edge.bundle.bundle import Bundle
from edge.frame import Image
from edge.inference.golden import INPUT, golden_image
from export import calibrate
from export import settle as settling
from export.errors import ExportError
from export.heads import tiled_layers
from export.pack import write_bundle, write_page, write_report
from export.progress import Progress
from export.report import complete, render
from export.speed import gpu_is_here

__all__ = ["Made", "gate_text", "quantize"]

_ARM = {"aarch64", "arm64"}
_VIEWS = 3


@dataclass(frozen=True, slots=True)
class Made:
    """What became of one scheme: `bundle` is None where the gate refused and nobody forced it."""

    output: Path
    bundle: Bundle | None
    report: dict[str, Any]
    kept: Path

    @property
    def ok(self) -> bool:
        """Whether the gate let it pass."""
        return bool(self.report["gate"]["ok"])


def quantize(args: argparse.Namespace, bundle: Bundle, progress: Progress) -> list[Made]:
    """Do what the arguments of `quantize` ask for.

    With `--scheme both` two bundles are written, OUTPUT-u8s8 and OUTPUT-s8s8: a device needs one, each is proven by
    its own golden sample, and `gluon-edge tune` finds which is faster there.

    Raises:
        ExportError, SessionError: as `export.settle.settle`.
    """
    if tiled_layers(onnx.load_from_string(bundle.model)):
        raise ExportError(
            f"{args.bundle}: its convolutions are computed by Winograd's algorithm, which neither 8 bits nor float16 are "
            "precise enough for; quantize the bundle that convert makes without --winograd"
        )
    pictures, skipped = calibrate.readable(calibrate.images(args.calibration), progress=progress)
    if args.precision == "fp16":
        found = settling.halve(
            bundle,
            pictures,
            data=args.data,
            max_drop=args.max_drop,
            min_speedup=settling.REQUIRED_SPEEDUP if gpu_is_here() else 0.0,
            provider=_provider(args),
            effort=args.effort,
            progress=progress,
        )
        return [_write(args, args.output, bundle, found, (pictures, skipped), progress)]
    made = []
    for scheme in _schemes(args.scheme):
        output = args.output.with_name(f"{args.output.name}-{scheme}") if args.scheme == "both" else args.output
        settled = settling.settle(
            bundle,
            pictures,
            data=args.data,
            max_drop=args.max_drop,
            # What is made for another kind of processor cannot be timed on this one.
            min_speedup=settling.REQUIRED_SPEEDUP if args.scheme != "both" or scheme == _own_scheme() else 0.0,
            scheme=scheme,
            kernels=args.kernels,
            provider=_provider(args),
            effort=args.effort,
            progress=progress,
        )
        made.append(_write(args, output, bundle, settled, (pictures, skipped), progress))
    return made


def gate_text(gate: Mapping[str, Any], precision: str = "int8") -> str:
    """The verdict in four lines for people."""
    accuracy, latency = gate["accuracy"], gate["latency_ms"]
    how = f"one thread, {gate['latency_how']['provider']}"
    if not gate["min_speedup"]:
        how += ", not judged: made for another machine"
    return "\n".join(
        [
            (
                f"  accuracy   {accuracy['measure']}: float {accuracy['float']:.4f}, {precision} {accuracy['quantized']:.4f} "
                f"(on {accuracy['images']} images; {gate['max_drop']:g} may be lost)"
            ),
            (
                f"  speed      float {latency['float']:.2f} ms, {precision} {latency['quantized']:.2f} ms, "
                f"{latency['ratio']:.2f} times as fast ({how})"
            ),
            f"  size       {gate['size_ratio']:.2f} of the float model",
            f"  the gate   {'lets it pass' if gate['ok'] else 'REFUSES: ' + '; '.join(gate['reasons'])}",
        ]
    )


def _provider(args: argparse.Namespace) -> str:
    """Whose kernels the result is for: on those it is judged, where they are installed."""
    if args.precision == "fp16":
        return "cuda" if gpu_is_here() else "cpu"
    return "openvino" if args.kernels == "openvino" else "cpu"


def _schemes(word: str) -> list[Literal["u8s8", "s8s8", "auto"]]:
    if word == "both":
        return ["u8s8", "s8s8"]
    return ["auto" if word == "auto" else "u8s8" if word == "u8s8" else "s8s8"]


def _own_scheme() -> str:
    return "s8s8" if platform.machine() in _ARM else "u8s8"


def _write(
    args: argparse.Namespace,
    output: Path,
    bundle: Bundle,
    settled: settling.Settled,
    calibration: tuple[list[Path], dict[Path, str]],
    progress: Progress,
) -> Made:
    pictures, skipped = calibration
    after = settled.quantized.bundle
    judged = {**settled.report, "images_skipped": {path.name: why for path, why in skipped.items()}}
    report = complete(judged, bundle, after, pictures, progress=progress)
    page = render(report, bundle, after, pictures, provider=_provider(args), progress=progress)
    if not settled.verdict.ok and not args.force:
        kept = write_report(output.with_name(f"{output.name}-report.json"), report)
        write_page(output.with_name(f"{output.name}-report.html"), page)
        return Made(output, None, report, kept)
    manifest = bundle.manifest
    written = write_bundle(
        output,
        model=settled.quantized.model,
        task=manifest.task,
        name=manifest.name,
        labels=bundle.labels,
        input_spec=manifest.input,
        source=manifest.source,
        golden=_telling(bundle, pictures),
        thresholds=manifest.thresholds,
        precision=report["precision"],
        model_version=manifest.version,
        report=report,
        page=page,
    )
    return Made(output, written, report, output / "report.html")


def _telling(bundle: Bundle, pictures: Sequence[Path]) -> list[Image]:
    """What the golden sample may be made of: views like the camera's, else the picture that served the float bundle."""
    before = [golden_image(bundle)] if INPUT in bundle.files else []
    return [*(calibrate.read(path) for path in calibrate.spread(pictures, _VIEWS)), *before]
