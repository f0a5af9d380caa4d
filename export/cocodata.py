"""COCO's annotations: boxes, outlines or joints of the objects in pictures. They come from outside and are parsed so."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from export.errors import ExportError
from export.labelnames import LabelNames
from export.truth import Boxes, Joints, Outlines, Persons, Truth, truth_of

__all__ = ["read_coco_boxes", "read_coco_joints", "read_coco_outlines"]

_MAX_SIDE: Final = 1 << 15


@dataclass(frozen=True, slots=True)
class _Annotated:
    """The file's content: pictures in its order, each with the entries about it."""

    file: Path
    paths: tuple[Path, ...]
    sizes: tuple[tuple[int, int], ...]
    entries: tuple[list[dict[str, Any]], ...]
    categories: dict[int, dict[str, Any]]


def read_coco_boxes(annotations: Path, root: Path, names: LabelNames) -> Boxes:
    """Boxes of the images in the folder `root`.

    Raises:
        ExportError: naming the file that is missing, damaged or has no class in common with the bundle.
    """
    content = _read(annotations, root)
    found, classes = _classes(content, names)
    with _Parsing(annotations, "boxes"):
        truths = tuple(_objects(entries, found) for entries in content.entries)
    return Boxes(content.paths, truths, classes, "coco")


def read_coco_outlines(annotations: Path, root: Path, names: LabelNames) -> Outlines:
    """Boxes and outlines of the images in the folder `root`.

    Raises:
        ExportError: as `read_coco_boxes`.
    """
    content = _read(annotations, root)
    found, classes = _classes(content, names)
    with _Parsing(annotations, "outlines"):
        pairs = zip(content.entries, content.sizes, strict=True)
        truths = tuple(_objects(entries, found, size) for entries, size in pairs)
    return Outlines(content.paths, truths, classes)


def read_coco_joints(annotations: Path, root: Path, names: LabelNames) -> Joints:
    """Persons and their joints in the images in the folder `root`, in the order of the bundle's labels.

    Raises:
        ExportError: as `read_coco_boxes`, or when the data has other joints than the bundle.
    """
    content = _read(annotations, root)
    kinds = {c: [str(k) for k in v["keypoints"]] for c, v in content.categories.items() if v.get("keypoints")}
    if len(kinds) != 1:
        raise ExportError(f"{annotations}: {len(kinds)} categories have keypoints, expected one: COCO's person")
    ((category, theirs),) = kinds.items()
    order = [names.find(name) for name in theirs]
    if sorted(i for i in order if i is not None) != list(range(len(names.labels))) or None in order:
        raise ExportError(
            f"{annotations}: its joints ({', '.join(theirs[:4])}, ...: {len(theirs)}) are not those of the bundle "
            f"({', '.join(names.labels[:4])}, ...: {len(names.labels)}); give --alias DATA=LABEL"
        )
    with _Parsing(annotations, "joints"):
        places = np.argsort(np.array(order))
        persons = tuple(_persons(entries, category, places.tolist()) for entries in content.entries)
    return Joints(content.paths, persons)


class _Parsing:
    """What goes wrong inside is told as the file's fault."""

    def __init__(self, file: Path, what: str) -> None:
        self._file, self._what = file, what

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, ExportError):
            return
        if isinstance(error, OSError):
            raise ExportError(f"{self._file}: {error.strerror or error}") from error
        if isinstance(error, (ValueError, KeyError, TypeError, IndexError, AttributeError, OverflowError)):
            what = f"no key {error}" if isinstance(error, KeyError) else str(error)
            text = f"{self._file}: not COCO annotations of {self._what}: {what}"
            raise ExportError(text) from error


def _read(annotations: Path, root: Path) -> _Annotated:
    with _Parsing(annotations, "images"):
        content = json.loads(annotations.read_bytes())
        _judge_parts(annotations, content)
        categories = {int(c["id"]): dict(c) for c in content["categories"]}
        images = {int(i["id"]): i for i in content["images"]}
        entries: dict[int, list[dict[str, Any]]] = {i: [] for i in images}
        for entry in content["annotations"]:
            for key, known in (("image_id", entries), ("category_id", categories)):
                if int(entry[key]) not in known:
                    listed = "images" if key == "image_id" else "categories"
                    raise ExportError(f"{annotations}: {_called(entry)}: {key} {entry[key]} is not among its {listed}")
            entries[int(entry["image_id"])].append(entry)
        paths = tuple(root / str(i["file_name"]) for i in images.values())
        sizes = tuple((int(i.get("height", 0)), int(i.get("width", 0))) for i in images.values())
    missing = [p for p in paths if not p.is_file()]
    if missing:
        raise ExportError(f"{missing[0]}: no such image ({len(missing)} of {len(paths)} of {annotations} are missing)")
    if not paths:
        raise ExportError(f"{annotations}: names no images")
    return _Annotated(annotations, paths, sizes, tuple(entries.values()), categories)


def _judge_parts(file: Path, content: Any) -> None:
    parts = ("images", "annotations", "categories")
    lacking = [k for k in parts if not isinstance(content, dict) or not isinstance(content.get(k), list)]
    if lacking:
        raise ExportError(f"{file}: not COCO annotations: it has no list {' nor '.join(lacking)}")


def _called(entry: Mapping[str, Any]) -> str:
    return f"annotation {entry.get('id', 'without id')}"


def _classes(content: _Annotated, names: LabelNames) -> tuple[dict[int, int | None], tuple[int, ...]]:
    theirs = {c: str(v.get("name")) for c, v in content.categories.items()}
    found = {c: names.find(name) for c, name in theirs.items()}
    names.judge_aliases(content.file, sorted(theirs.values()))
    classes = tuple(sorted({i for i in found.values() if i is not None}))
    if not classes:
        raise names.none_common(content.file, sorted(theirs.values()))
    if not any(found[int(e["category_id"])] is not None for entries in content.entries for e in entries):
        raise ExportError(f"{content.file}: holds no object of a class of the bundle, so there is nothing to measure")
    return found, classes


def _objects(
    entries: Sequence[Mapping[str, Any]], found: Mapping[int, int | None], size: tuple[int, int] | None = None
) -> Truth:
    """One picture's objects; with its `size`, height and width, also their outlines."""
    rows, labels, ignored, areas, outlines = [], [], [], [], []
    for entry in entries:
        index = found[int(entry["category_id"])]
        if index is None:
            continue
        rows.append(_box(entry))
        labels.append(index)
        ignored.append(bool(entry.get("iscrowd", 0)))
        areas.append(_area(entry))
        if size is not None:
            outlines.append(_outline(entry["segmentation"], size))
    return truth_of(rows, labels, ignored, areas, outlines)


def _persons(entries: Sequence[Mapping[str, Any]], category: int, places: list[int]) -> Persons:
    entries = [entry for entry in entries if int(entry["category_id"]) == category]
    flat = np.array([entry["keypoints"] for entry in entries], np.float32)
    return Persons(
        np.array([_box(entry) for entry in entries], np.float32).reshape(-1, 4),
        flat.reshape(len(entries), -1, 3)[:, places] if entries else np.zeros((0, len(places), 3), np.float32),
        np.array([bool(entry.get("iscrowd", 0)) for entry in entries], np.bool_),
        np.array([_area(entry) for entry in entries], np.float32),
    )


def _box(entry: Mapping[str, Any]) -> tuple[float, float, float, float]:
    box = [float(v) for v in entry["bbox"]]
    if len(box) != 4 or not np.isfinite(box).all() or min(box[2:]) < 0:
        raise ValueError(f"{_called(entry)}: bbox {entry['bbox']} is not x, y, width, height")
    x, y, w, h = box
    return x, y, x + w, y + h


def _area(entry: Mapping[str, Any]) -> float:
    _, _, w, h = (float(v) for v in entry["bbox"])
    return float(entry.get("area", w * h))


def _outline(segmentation: Any, size: tuple[int, int]) -> dict[str, Any]:
    """Polygons, or a run-length encoding as numbers or packed, -> the packed one."""
    from pycocotools import mask

    height, width = size
    if not (1 <= height <= _MAX_SIDE and 1 <= width <= _MAX_SIDE):
        raise ValueError(f"an image of {width}x{height} pixels")
    if isinstance(segmentation, list):
        polygons = [[float(v) for v in polygon] for polygon in segmentation]
        if not polygons or any(len(p) < 6 or len(p) % 2 or not np.isfinite(p).all() for p in polygons):
            raise ValueError("a polygon is not x, y of three points or more")
        return dict(mask.merge(mask.frPyObjects(polygons, height, width)))
    if [int(v) for v in segmentation["size"]] != [height, width]:
        raise ValueError(f"a mask of {segmentation['size']} in an image of {[height, width]}")
    counts = segmentation["counts"]
    if isinstance(counts, list):
        runs = [int(v) for v in counts]
        if min(runs, default=0) < 0 or sum(runs) != height * width:
            raise ValueError("the runs of a mask do not cover its image")
        return dict(mask.frPyObjects({"size": [height, width], "counts": runs}, height, width))
    return {"size": [height, width], "counts": str(counts).encode()}
