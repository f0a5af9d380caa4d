"""Labelled data, named by a DATA specification: imagefolder:DIR, coco:ANNOTATIONS.json:IMAGES, voc:DIR, masks:DIR."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from export.calibrate import IMAGE_SUFFIXES
from export.cocodata import read_coco_boxes, read_coco_joints, read_coco_outlines
from export.errors import ExportError
from export.labelnames import LabelNames
from export.truth import ClassLabels, Dataset, Masks
from export.vocdata import read_voc, read_voc_masks

__all__ = ["open_data"]

_SYNSET = re.compile(r"n[0-9]{8}")


def open_data(
    spec: str, labels: Sequence[str], *, task: str = "detection", aliases: Mapping[str, str] | None = None
) -> Dataset:
    """The labelled pictures that `spec` names, their classes as indices into `labels`.

    COCO's and VOC's hold several kinds of truth; `task` says which is wanted. `aliases` maps a name in the data to one
    in `labels`, where they differ: {"person": "pedestrian"}.

    Raises:
        ExportError: naming the specification, the file or the class that does not fit.
    """
    kind, _, rest = spec.partition(":")
    if kind not in _READERS or not rest:
        raise ExportError(
            f"data {spec!r} is not one of imagefolder:DIR, coco:ANNOTATIONS.json:IMAGES, voc:DIR, masks:DIR"
        )
    return _READERS[kind](rest, LabelNames(labels, aliases or {}), task)


def _image_folder(rest: str, names: LabelNames, _task: str) -> ClassLabels:
    root = _existing(Path(rest))
    folders = sorted(p for p in root.iterdir() if p.is_dir())
    # ImageNet's folders are named by synset; the classes of its nets are in the order of these.
    synsets = len(folders) == len(names.labels) and all(_SYNSET.fullmatch(p.name) for p in folders)
    names.judge_aliases(root, [p.name for p in folders])
    paths, labels = [], []
    for place, folder in enumerate(folders):
        index = place if synsets else _index(folder, names)
        here = sorted(p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES)
        paths += here
        labels += [index] * len(here)
    if not paths:
        raise ExportError(f"{root}: no images; expected a folder a class, named by its label, with images in it")
    return ClassLabels(tuple(paths), tuple(labels))


def _index(folder: Path, names: LabelNames) -> int:
    index = names.find(folder.name)
    if index is None and folder.name.isdecimal() and int(folder.name) < len(names.labels):
        index = int(folder.name)
    if index is None:
        hint = names.nearest(folder.name) or "; rename the folder or give --alias FOLDER=LABEL"
        raise ExportError(f"{folder}: the bundle has no label of that name{hint}")
    return index


def _coco(rest: str, names: LabelNames, task: str) -> Dataset:
    file, dot, folder = rest.partition(".json:")
    if not dot or not folder:
        raise ExportError(f"data 'coco:{rest}' is not coco:ANNOTATIONS.json:IMAGES")
    read: Callable[[Path, Path, LabelNames], Dataset] = _COCO.get(task, read_coco_boxes)
    return read(Path(file + ".json"), _existing(Path(folder)), names)


def _voc(rest: str, names: LabelNames, task: str) -> Dataset:
    root = _existing(Path(rest))
    return read_voc_masks(root) if task == "segmentation" else read_voc(root, names)


def _mask_folder(rest: str, names: LabelNames, _task: str) -> Masks:
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


_COCO: dict[str, Callable[[Path, Path, LabelNames], Dataset]] = {
    "instances": read_coco_outlines,
    "pose": read_coco_joints,
}
_READERS: dict[str, Callable[[str, LabelNames, str], Dataset]] = {
    "imagefolder": _image_folder,
    "coco": _coco,
    "voc": _voc,
    "masks": _mask_folder,
}
