"""Pictures with boxes: COCO's annotations and VOC's. Both come from outside and are parsed as such."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

from export.errors import ExportError
from export.labelnames import LabelNames
from export.truth import Boxes, Truth, truth_of

__all__ = ["read_coco", "read_voc"]

_MAX_XML_BYTES = 1 << 22


def read_coco(annotations: Path, root: Path, names: LabelNames) -> Boxes:
    """COCO's annotations of the images in the folder `root`.

    Raises:
        ExportError: naming the file that is missing, damaged or has no class in common with the bundle.
    """
    try:
        content = json.loads(annotations.read_bytes())
        categories = {int(c["id"]): str(c["name"]) for c in content["categories"]}
        pictures = {int(i["id"]): root / str(i["file_name"]) for i in content["images"]}
        objects: dict[int, list[dict[str, Any]]] = {i: [] for i in pictures}
        for entry in content["annotations"]:
            objects[int(entry["image_id"])].append(entry)
        found = {c: names.find(name) for c, name in categories.items()}
        truths = [_objects(objects[i], found) for i in pictures]
    except OSError as e:
        raise ExportError(f"{annotations}: {e.strerror or e}") from e
    except (ValueError, KeyError, TypeError, IndexError) as e:
        raise ExportError(f"{annotations}: not COCO annotations of boxes: {type(e).__name__}: {e}") from e
    classes = sorted({i for i in found.values() if i is not None})
    if not classes:
        raise names.none_common(annotations, sorted(categories.values()))
    missing = [p for p in pictures.values() if not p.is_file()]
    if missing:
        raise ExportError(
            f"{missing[0]}: no such image ({len(missing)} of {len(pictures)} of {annotations} are missing)"
        )
    if not pictures:
        raise ExportError(f"{annotations}: names no images")
    return Boxes(tuple(pictures.values()), tuple(truths), tuple(classes), "coco")


def _objects(entries: Sequence[Mapping[str, Any]], found: Mapping[int, int | None]) -> Truth:
    rows, labels, ignored, areas = [], [], [], []
    for entry in entries:
        index = found[int(entry["category_id"])]
        if index is None:
            continue
        x, y, w, h = (float(v) for v in entry["bbox"])
        rows.append((x, y, x + w, y + h))
        labels.append(index)
        ignored.append(bool(entry.get("iscrowd", 0)))
        areas.append(float(entry.get("area", w * h)))
    return truth_of(rows, labels, ignored, areas)


def read_voc(root: Path, names: LabelNames) -> Boxes:
    """A VOC folder: its list of test or validation images where there is one, else all that have annotations.

    Raises:
        ExportError: naming the file that is missing, damaged or has no class in common with the bundle.
    """
    files = sorted((root / "Annotations").glob("*.xml"))
    lists = [root / "ImageSets" / "Main" / f"{name}.txt" for name in ("test", "val")]
    chosen = next((p for p in lists if p.is_file()), None)
    if chosen is not None:
        files = [
            root / "Annotations" / f"{line.split()[0]}.xml" for line in chosen.read_text().splitlines() if line.strip()
        ]
    if not files:
        raise ExportError(f"{root}: no Annotations/*.xml; expected a VOC folder such as VOC2007")
    read = [_voc_file(file) for file in files]
    known = sorted({name for _, objects in read for name, *_ in objects})
    classes = sorted({i for i in map(names.find, known) if i is not None})
    if not classes:
        raise names.none_common(root, known)
    paths, truths = [], []
    for picture, objects in read:
        path = root / "JPEGImages" / picture
        if not path.is_file():
            raise ExportError(f"{path}: no such image, but it has annotations")
        kept = [(i, box, hard) for name, box, hard in objects if (i := names.find(name)) is not None]
        paths.append(path)
        boxes = [box for _, box, _ in kept]
        areas = [(b[2] - b[0]) * (b[3] - b[1]) for b in boxes]
        truths.append(truth_of(boxes, [i for i, _, _ in kept], [hard for _, _, hard in kept], areas))
    return Boxes(tuple(paths), tuple(truths), tuple(classes), "voc")


def _voc_file(file: Path) -> tuple[str, list[tuple[str, tuple[float, float, float, float], bool]]]:
    """A picture's name and its objects: name, box, difficult."""
    try:
        raw = file.read_bytes()
        if len(raw) > _MAX_XML_BYTES or b"<!DOCTYPE" in raw or b"<!ENTITY" in raw:
            raise ExportError(f"{file}: not a VOC annotation (too large, or with a document type)")
        tree = ET.fromstring(raw)  # noqa: S314  bounded, and without entities, as just checked
        objects = []
        for item in tree.iter("object"):
            corners = [float(_text(item, f"bndbox/{key}")) for key in ("xmin", "ymin", "xmax", "ymax")]
            # VOC counts pixels from 1 and includes the last.
            box = (corners[0] - 1, corners[1] - 1, corners[2], corners[3])
            objects.append((_text(item, "name").strip(), box, item.findtext("difficult", "0").strip() == "1"))
    except OSError as e:
        raise ExportError(f"{file}: {e.strerror or e}") from e
    except (ET.ParseError, ValueError) as e:
        raise e if isinstance(e, ExportError) else ExportError(f"{file}: not a VOC annotation: {e}") from e
    return Path(tree.findtext("filename") or f"{file.stem}.jpg").name, objects


def _text(item: ET.Element, path: str) -> str:
    text = item.findtext(path)
    if text is None:
        raise ValueError(f"an object lacks {path}")
    return text
