"""What `convert` is asked to convert: a zoo net built now, or a saved model and what its user says about it."""

from __future__ import annotations

import argparse
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from edge.prepare import ResizeRule
from export.errors import ExportError
from export.progress import Bar

__all__ = ["Request", "request"]


_STARTS: Final = (("a zoo net's NAME", "net"), ("--symbol", "symbol"), ("--sagemaker", "sagemaker"))


@dataclass(frozen=True, slots=True)
class Request:
    """What `convert` starts from: a saved model and what is known or was said about it."""

    symbol: Path
    params: Path
    name: str
    task: str
    input_hw: tuple[int, int]
    labels: list[str]
    normalization: dict[str, Any]
    resize: ResizeRule
    crop_ratio: float


def request(args: argparse.Namespace, folder: Path, progress: Bar) -> Request:
    """The saved model that the arguments of `convert` name; zoo nets are built into `folder`.

    Raises:
        ExportError: when the arguments do not fit together, or the net cannot be built.
    """
    given = [word for word, value in _STARTS if getattr(args, value) is not None]
    if len(given) > 1:
        raise ExportError(f"give {' or '.join(given)}, not both")
    if args.shape:
        raise ExportError("--shape is for --raw; a bundle has one input, a picture of --input HxW")
    if args.sagemaker is not None:
        progress("unpacking", 0, 1)
        return _sagemaker_model(args, folder)
    if args.symbol is not None:
        return _saved_model(args)
    if args.net is None:
        raise ExportError("name a zoo net ('gluon-export zoo list'), or give --symbol and --params, or --sagemaker")
    if args.params is None and args.random is None and not args.pretrained:
        raise ExportError(f"which weights for {args.net}? --pretrained, --params FILE or --random SEED")
    from export import zoo as nets

    task = nets.find(args.net).bundle_task
    if task is None:
        raise ExportError(
            f"{args.net}: no task of a bundle expresses what this net does ({nets.find(args.net).task}); "
            "--raw writes the bare graph as one ONNX file, compared with MXNet"
        )
    progress("building the net with MXNet", 0, 1)
    labels = None if args.labels is None else _labels(args.labels)
    built = nets.build(
        args.net,
        out_dir=folder,
        random_seed=args.random,
        params=args.params,
        pretrained=args.pretrained,
        classes=labels,
        input_hw=args.input,
    )
    meta = built.meta
    resize, ratio = _resize_of(args, task, meta["input_hw"])
    return Request(
        built.symbol_path,
        built.params_path,
        args.net,
        task,
        meta["input_hw"],
        list(meta["labels"]),
        _normalization(args) or {"mean": meta["mean"], "std": meta["std"]},
        resize,
        ratio,
    )


def _saved_model(args: argparse.Namespace) -> Request:
    missing = [f"--{name}" for name in ("params", "task", "input", "labels") if getattr(args, name) is None]
    if missing:
        raise ExportError(f"a saved model also needs {', '.join(missing)}")
    normalization = _normalization(args)
    if normalization is None:
        raise ExportError(
            "say how the net wants its pixels: --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225 (GluonCV), "
            "or --scale and --offset (input = pixel * scale + offset)"
        )
    resize, ratio = _resize_of(args, args.task, args.input)
    stem = args.symbol.name.removesuffix(".json").removesuffix("-symbol")
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("._-")[:128] or "model"
    return Request(
        args.symbol, args.params, name, args.task, args.input, _labels(args.labels), normalization, resize, ratio
    )


def _sagemaker_model(args: argparse.Namespace, folder: Path) -> Request:
    from export.sagemaker import read_archive

    unasked = [f"--{name}" for name in ("params", "random", "pretrained", "task") if getattr(args, name)]
    if unasked:
        raise ExportError(f"the archive says what {', '.join(unasked)} would say; leave it out")
    found = read_archive(args.sagemaker, folder)
    labels = [str(number) for number in range(found.classes)] if args.labels is None else _labels(args.labels)
    if len(labels) != found.classes:
        raise ExportError(f"{args.sagemaker}: {len(labels)} labels were given, the model has {found.classes} classes")
    normalization = _normalization(args) or found.normalization
    if not normalization:
        raise ExportError(
            f"{args.sagemaker}: {found.algorithm} does not record how pixels were normalised, and this net's first "
            "layer does not tell: say --scale 1 (pixels as they are) or --mean and --std"
        )
    size = args.input or found.input_hw
    resize, ratio = _resize_of(args, found.task, size)
    return Request(found.symbol, found.params, found.algorithm, found.task, size, labels, normalization, resize, ratio)


def _normalization(args: argparse.Namespace) -> dict[str, Any] | None:
    if (args.mean is None) != (args.std is None):
        raise ExportError("--mean and --std go together")
    if args.mean is not None and (args.scale is not None or args.offset is not None):
        raise ExportError("--mean/--std and --scale/--offset say the same in two ways; give one")
    if args.mean is not None:
        return {"mean": args.mean, "std": args.std}
    if args.scale is not None or args.offset is not None:
        return {"scale": 1.0 if args.scale is None else args.scale, "offset": args.offset or 0.0}
    return None


def _resize_of(args: argparse.Namespace, task: str, input_hw: tuple[int, int]) -> tuple[ResizeRule, float]:
    """GluonCV's own habits: ImageNet nets see the centre of the picture, everything else all of it, stretched."""
    large_classifier = task == "classification" and min(input_hw) > 64
    return args.resize or ("crop" if large_classifier else "stretch"), 0.875 if large_classifier else 1.0


def _labels(text: str) -> list[str]:
    path = Path(text)
    if path.is_file():
        try:
            return path.read_text(encoding="utf-8-sig").rstrip().splitlines()
        except (OSError, UnicodeDecodeError) as e:
            raise ExportError(f"{path}: the labels cannot be read: {e}") from e
    if "," not in text and ("/" in text or path.suffix):
        raise ExportError(f"{path}: no such file of labels (one a line), and not a list a,b,c either")
    return [label.strip() for label in text.split(",")]
