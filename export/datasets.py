"""Labelled data, named by a DATA specification: imagefolder:DIR, coco:ANNOTATIONS.json:IMAGES, voc:DIR, masks:DIR."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from export.boxdata import read_coco, read_voc
from export.calibrate import IMAGE_SUFFIXES
from export.errors import ExportError
from export.labelnames import LabelNames
from export.truth import ClassLabels, Dataset, Masks

__all__ = ["open_data"]


def open_data(spec: str, labels: Sequence[str], *, aliases: Mapping[str, str] | None = None) -> Dataset:
    """The labelled pictures that `spec` names, their classes as indices into `labels`.

    `aliases` maps a name in the data to one in `labels`, where they differ: {"person": "pedestrian"}.

    Raises:
        ExportError: naming the specification, the file or the class that does not fit.
    """
    kind, _, rest = spec.partition(":")
    if kind not in _READERS or not rest:
        raise ExportError(
            f"data {spec!r} is not one of imagefolder:DIR, coco:ANNOTATIONS.json:IMAGES, voc:DIR, masks:DIR"
        )
    return _READERS[kind](rest, LabelNames(labels, aliases or {}))


def _image_folder(rest: str, names: LabelNames) -> ClassLabels:
    root = _existing(Path(rest))
    paths, labels = [], []
    for folder in sorted(p for p in root.iterdir() if p.is_dir()):
        index = names.find(folder.name)
        if index is None and folder.name.isdecimal() and int(folder.name) < len(names.labels):
            index = int(folder.name)
        if index is None:
            raise ExportError(f"{folder}: the bundle has no label of that name{names.nearest(folder.name)}")
        here = sorted(p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES)
        paths += here
        labels += [index] * len(here)
    if not paths:
        raise ExportError(f"{root}: no images; expected a folder a class, named by its label, with images in it")
    return ClassLabels(tuple(paths), tuple(labels))


def _coco(rest: str, names: LabelNames) -> Dataset:
    file, dot, folder = rest.partition(".json:")
    if not dot or not folder:
        raise ExportError(f"data 'coco:{rest}' is not coco:ANNOTATIONS.json:IMAGES")
    return read_coco(Path(file + ".json"), _existing(Path(folder)), names)


def _voc(rest: str, names: LabelNames) -> Dataset:
    return read_voc(_existing(Path(rest)), names)


def _mask_folder(rest: str, names: LabelNames) -> Masks:
    del names  # a mask holds indices, so there is nothing to look up
    root = _existing(Path(rest))
    pictures, masks = (root / "images", root / "masks") if (root / "images").is_dir() else (root, root)
    pairs = []
    for mask in sorted(masks.glob("*.png")):
        same = [p for p in pictures.glob(f"{mask.stem}.*") if p != mask and p.suffix.lower() in IMAGE_SUFFIXES]
        if not same:
            raise ExportError(f"{mask}: no image {pictures / mask.stem}.* beside it")
        pairs.append((same[0], mask))
    if not pairs:
        raise ExportError(f"{root}: no masks; expected images/ and masks/*.png, or X.jpg beside X.png")
    return Masks(tuple(p for p, _ in pairs), tuple(m for _, m in pairs))


def _existing(path: Path) -> Path:
    if not path.is_dir():
        raise ExportError(f"{path}: no such folder")
    return path


_READERS: dict[str, Callable[[str, LabelNames], Dataset]] = {
    "imagefolder": _image_folder,
    "coco": _coco,
    "voc": _voc,
    "masks": _mask_folder,
}
