"""Model + manifest + labels + golden sample + report -> bundle."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import platform
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx

from edge.bundle.bundle import (
    LABELS,
    MANIFEST,
    MODEL,
    Bundle,
    InputSpec,
    Manifest,
    OutputSpec,
    Source,
    Thresholds,
    read_bundle,
)
from edge.bundle.manifest import FileEntry
from edge.frame import Image
from edge.memory import give_back
from export.certificate import certificate
from export.errors import ExportError
from export.modelfile import write_model
from export.place import SOURCE, SOURCE_NAMES, refuse_what_is_not_ours, replace

__all__ = ["drawn_image", "json_bytes", "source_files", "write_bundle", "write_page", "write_report"]

_MEANINGS = {
    "boxes": "x1 y1 x2 y2 in pixels of the input, best first; rows from count on are zero",
    "scores": "0..1, best first for detections; a probability a class for classification",
    "labels": "index into labels.txt",
    "count": "rows that are valid",
    "mask": "class index a pixel of the input",
    "masks": "0..1 a pixel of the box",
    "keypoints": "x y score in pixels of the input",
}
_DTYPES = {
    onnx.TensorProto.FLOAT: "float32",
    onnx.TensorProto.INT64: "int64",
    onnx.TensorProto.INT32: "int32",
    onnx.TensorProto.UINT8: "uint8",
}


def write_bundle(
    out: Path,
    *,
    model: onnx.ModelProto,
    task: str,
    name: str,
    labels: Sequence[str],
    input_spec: InputSpec,
    source: Source,
    golden: Sequence[Image] = (),
    thresholds: Thresholds | None = None,
    precision: str = "fp32",
    model_version: str = "1.0.0",
    report: Mapping[str, Any] | None = None,
    page: str | None = None,
    source_from: Mapping[str, Path] | None = None,
) -> Bundle:
    """Write a bundle folder and read it back as the device will.

    The first of `golden` (uint8 [H, W, 3] BGR; one is drawn when there are none) that certifies becomes the bundle's
    self-test: see `export.certificate`.
    `page` is the report as HTML. `source_from` maps `symbol` and `params` to the MXNet files, kept beside the bundle for `verify`.
    The folder appears whole or not at all; an older bundle of that name is replaced, anything else is refused.

    Raises:
        ExportError: when `out` is in the way, or the labels do not fit.
        BundleError, SessionError: when the result does not load; nothing is left behind then.
    """
    out = out.resolve()  # a link to a bundle stays a link
    refuse_what_is_not_ours(out)
    bad = [label for label in labels if not label.strip() or label != label.strip() or len(label.splitlines()) != 1]
    if bad:
        raise ExportError(f"label {bad[0]!r} is empty, has space around it or spans lines")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=f".{out.name[:64]}.", dir=out.parent))
    except OSError as e:
        raise ExportError(f"{out}: cannot be written: {e.strerror}; give another -o") from e
    try:
        outputs = _outputs(model)
        opset = next(o.version for o in model.opset_import if o.domain in {"", "ai.onnx"})
        outline = write_model(work / MODEL, model)
        del model
        give_back()
        _write(work / LABELS, "".join(f"{label}\n" for label in labels).encode())
        if report is not None:
            _write(work / "report.json", json_bytes(report))
        if page is not None:
            _write(work / "report.html", page.encode())
        fields: dict[str, Any] = {
            "name": name,
            "version": model_version,
            "task": task,
            "source": source,
            "input": input_spec,
            "outputs": outputs,
            "classes": len(labels),
            "thresholds": thresholds or Thresholds(),
            "precision": precision,
            "opset": opset,
            "tools": _tools(),
        }
        manifest = _write_manifest(work, fields, {})
        _write_golden(Bundle(work, manifest, "", tuple(labels), {}), outline, golden or [drawn_image(input_spec)])
        give_back()
        _write_manifest(work, fields, manifest.files)
        bundle = read_bundle(work)
        if source_from is not None:
            _keep_source(work, source_from)
        work.chmod(0o755)
        replace(work, out)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return dataclasses.replace(bundle, path=out)


def write_report(path: Path, report: Mapping[str, Any]) -> Path:
    """Write a report on its own, where no bundle is to be written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _write(path, json_bytes(report))
    return path


def write_page(path: Path, page: str) -> Path:
    """Write a report's page on its own, beside what `write_report` wrote."""
    _write(path, page.encode())
    return path


def source_files(bundle: Bundle) -> tuple[Path, Path] | None:
    """The bundle's MXNet symbol and params, if they were kept beside it and are the ones it was made from."""
    if not bundle.path.is_dir():
        return None
    found = tuple(bundle.path / SOURCE / name for name in SOURCE_NAMES.values())
    digests = bundle.manifest.source.sha256
    for path, kind in zip(found, ("symbol", "params"), strict=True):
        if not path.is_file():
            return None
        with path.open("rb") as f:
            if hashlib.sha256(f.read()).hexdigest() != digests.get(kind):
                raise ExportError(f"{path} is not the file this bundle was made from; convert again")
    return found[0], found[1]


def drawn_image(spec: InputSpec) -> Image:
    """A picture with something in it, the same everywhere: shades, boxes and discs, a bit larger than the input."""
    height, width = spec.height * 5 // 4, spec.width * 5 // 4
    y, x = np.mgrid[0:height, 0:width]
    image = np.stack([x * 255 // width, y * 255 // height, (x + y) * 255 // (width + height)], axis=-1).astype(np.uint8)
    rng = np.random.default_rng(20)
    for _ in range(12):
        colour = tuple(int(v) for v in rng.integers(0, 256, 3))
        cx, cy = int(rng.integers(0, width)), int(rng.integers(0, height))
        w, h = int(rng.integers(width // 16 + 1, width // 4 + 2)), int(rng.integers(height // 16 + 1, height // 3 + 2))
        cv2.rectangle(image, (cx, cy), (cx + w, cy + h), colour, -1)
        cv2.circle(image, (cy % width, cx % height), max(2, h // 3), colour[::-1], -1)
    return np.asarray(image, np.uint8)


def _outputs(model: onnx.ModelProto) -> list[OutputSpec]:
    specs = []
    for value in model.graph.output:
        tensor = value.type.tensor_type
        if tensor.elem_type not in _DTYPES:
            raise ExportError(f"output {value.name} has a type that no bundle carries")
        shape = [d.dim_value if d.HasField("dim_value") else d.dim_param or "N" for d in tensor.shape.dim]
        specs.append(
            OutputSpec.model_validate(
                {
                    "name": value.name,
                    "dtype": _DTYPES[tensor.elem_type],
                    "shape": shape,
                    "meaning": _MEANINGS[value.name],
                }
            )
        )
    return specs


def _write_manifest(work: Path, fields: Mapping[str, Any], hashed: Mapping[str, FileEntry]) -> Manifest:
    """The manifest of the files in the folder; the model, which is large, is not read again where `hashed` has it."""
    files: dict[str, Any] = dict(hashed)
    for path in sorted(p for p in work.rglob("*") if p.is_file() and p.name != MANIFEST):
        name = path.relative_to(work).as_posix()
        if name not in files:
            data = path.read_bytes()
            files[name] = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    manifest = Manifest.model_validate({**fields, "files": files})
    _write(work / MANIFEST, json_bytes(manifest.model_dump(mode="json")))
    return manifest


def _write_golden(bundle: Bundle, outline: bytes, pictures: Sequence[Image]) -> None:
    """For a bundle whose model lies in its folder only: of the file itself onnxruntime would make three copies."""
    (bundle.path / "golden").mkdir()
    loaded = bundle.path / "outline.onnx"
    loaded.write_bytes(outline)
    for name, data in certificate(bundle, pictures, file=loaded).items():
        _write(bundle.path / name, data)
    loaded.unlink()


def _tools() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in ("gluon-edge", "onnx", "onnxruntime", "numpy", "opencv-python-headless", "mxnet", "gluoncv"):
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


def _keep_source(work: Path, source_from: Mapping[str, Path]) -> None:
    folder = work / SOURCE
    folder.mkdir()
    for kind, name in SOURCE_NAMES.items():
        shutil.copyfile(source_from[kind], folder / name)


def json_bytes(value: Mapping[str, Any]) -> bytes:
    """A bundle's JSON: the same bytes for the same value."""
    return (json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n").encode()


def _write(path: Path, data: bytes) -> None:
    with path.open("wb") as f:
        f.write(data)
        f.flush()
        os.fsync(f.fileno())
