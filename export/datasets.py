"""Labelled data, named by a DATA specification: imagefolder:DIR, coco:ANNOTATIONS.json:IMAGES, voc:DIR, masks:DIR."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import cv2
import numpy as np
from numpy.typing import NDArray

from export.calibrate import IMAGE_SUFFIXES
from export.errors import ExportError

__all__ = ["Boxes", "ClassLabels", "Dataset", "Masks", "Truth", "open_data", "read_mask"]

_MAX_XML_BYTES = 1 << 22
_SYNONYMS = {  # VOC's names and COCO's for the same things
    "aeroplane": "airplane",
    "motorbike": "motorcycle",
    "diningtable": "dining table",
    "pottedplant": "potted plant",
    "sofa": "couch",
    "tvmonitor": "tv",
}


@dataclass(frozen=True, slots=True)
class ClassLabels:
    """Pictures with the index of the class each shows."""

    paths: tuple[Path, ...]
    labels: tuple[int, ...]
    task: str = "classification"


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """One picture's objects: `boxes` float32 [n, 4] x1 y1 x2 y2, `labels` int64 [n]; `ignored` bool [n] counts neither way."""

    boxes: NDArray[np.float32]
    labels: NDArray[np.int64]
    ignored: NDArray[np.bool_]
    areas: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Boxes:
    """Pictures with their objects; only the classes in `classes` are annotated, so only they are judged."""

    paths: tuple[Path, ...]
    truths: tuple[Truth, ...]
    classes: tuple[int, ...]
    rule: str
    task: str = "detection"


@dataclass(frozen=True, slots=True)
class Masks:
    """Pictures and the files that hold a class index a pixel (255: not judged)."""

    paths: tuple[Path, ...]
    masks: tuple[Path, ...]
    task: str = "segmentation"


Dataset = ClassLabels | Boxes | Masks


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
    return _READERS[kind](rest, _Names(labels, aliases or {}))


class _Names:
    """Finds a label's index by what the data calls it."""

    def __init__(self, labels: Sequence[str], aliases: Mapping[str, str]) -> None:
        self.labels = labels
        self.aliases = {_plain(k): _plain(v) for k, v in aliases.items()}
        self.index = {_plain(label): i for i, label in reversed(list(enumerate(labels)))}
        for theirs in self.aliases.values():
            if theirs not in self.index:
                raise ExportError(f"alias to {theirs!r}: the bundle has no such label")

    def find(self, name: str) -> int | None:
        plain = _plain(name)
        candidates = [self.aliases.get(plain, plain), _SYNONYMS.get(plain, plain)]
        candidates += [k for k, v in _SYNONYMS.items() if v == plain]
        return next((self.index[c] for c in candidates if c in self.index), None)

    def nearest(self, name: str) -> str:
        near = difflib.get_close_matches(_plain(name), self.index, n=1)
        return f"; did you mean {near[0]!r}?" if near else ""


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]+", " ", name).strip().casefold()


def _image_folder(rest: str, names: _Names) -> ClassLabels:
    root = _folder(Path(rest))
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


def _coco(rest: str, names: _Names) -> Boxes:
    file, dot, folder = rest.partition(".json:")
    if not dot or not folder:
        raise ExportError(f"data 'coco:{rest}' is not coco:ANNOTATIONS.json:IMAGES")
    annotations, root = Path(file + ".json"), _folder(Path(folder))
    try:
        content = json.loads(annotations.read_bytes())
        categories = {int(c["id"]): str(c["name"]) for c in content["categories"]}
        pictures = {int(i["id"]): root / str(i["file_name"]) for i in content["images"]}
        objects: dict[int, list[dict[str, Any]]] = {i: [] for i in pictures}
        for entry in content["annotations"]:
            objects[int(entry["image_id"])].append(entry)
        found = {c: names.find(name) for c, name in categories.items()}
        truths = [_coco_truth(objects[i], found) for i in pictures]
    except OSError as e:
        raise ExportError(f"{annotations}: {e.strerror or e}") from e
    except (ValueError, KeyError, TypeError, IndexError) as e:
        raise ExportError(f"{annotations}: not COCO annotations of boxes: {type(e).__name__}: {e}") from e
    classes = sorted({i for i in found.values() if i is not None})
    if not classes:
        raise _no_common_class(annotations, sorted(categories.values()), names)
    missing = [p for p in pictures.values() if not p.is_file()]
    if missing:
        raise ExportError(
            f"{missing[0]}: no such image ({len(missing)} of {len(pictures)} of {annotations} are missing)"
        )
    if not pictures:
        raise ExportError(f"{annotations}: names no images")
    return Boxes(tuple(pictures.values()), tuple(truths), tuple(classes), "coco")


def _coco_truth(entries: Sequence[Mapping[str, Any]], found: Mapping[int, int | None]) -> Truth:
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
    return _truth(rows, labels, ignored, areas)


def _voc(rest: str, names: _Names) -> Boxes:
    root = _folder(Path(rest))
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
        raise _no_common_class(root, known, names)
    paths, truths = [], []
    for picture, objects in read:
        path = root / "JPEGImages" / picture
        if not path.is_file():
            raise ExportError(f"{path}: no such image, but it has annotations")
        kept = [(i, box, hard) for name, box, hard in objects if (i := names.find(name)) is not None]
        paths.append(path)
        boxes = [box for _, box, _ in kept]
        areas = [(b[2] - b[0]) * (b[3] - b[1]) for b in boxes]
        truths.append(_truth(boxes, [i for i, _, _ in kept], [hard for _, _, hard in kept], areas))
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


def _mask_folder(rest: str, names: _Names) -> Masks:
    del names  # a mask holds indices, so there is nothing to look up
    root = _folder(Path(rest))
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


def read_mask(path: Path) -> NDArray[np.uint8]:
    """A mask file -> class index uint8 [h, w]: grey PNG with the index itself, or coloured with VOC's palette.

    Raises:
        ExportError: naming the file, and the colour that is in no palette.
    """
    mask = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if mask is None or mask.dtype != np.uint8:
        raise ExportError(f"{path}: not an 8-bit PNG mask that can be read")
    if mask.ndim == 2:
        return np.asarray(mask, np.uint8)
    bgr = mask[..., :3].astype(np.int64)
    keys, where = np.unique(bgr[..., 2] << 16 | bgr[..., 1] << 8 | bgr[..., 0], return_inverse=True)
    palette = {_voc_colour(i): i for i in range(256)}
    unknown = [k for k in keys.tolist() if k not in palette]
    if unknown:
        raise ExportError(f"{path}: colour #{unknown[0]:06x} is not in VOC's palette; use grey PNGs of class indices")
    return np.array([palette[k] for k in keys.tolist()], np.uint8)[where].reshape(mask.shape[:2])


def _voc_colour(index: int) -> int:
    """VOC's colour of a class, 0xRRGGBB: the index's bits dealt out to red, green, blue from the top."""
    r = g = b = 0
    for k in range(8):
        r |= (index >> 3 * k & 1) << 7 - k
        g |= (index >> 3 * k + 1 & 1) << 7 - k
        b |= (index >> 3 * k + 2 & 1) << 7 - k
    return r << 16 | g << 8 | b


def _truth(rows: Sequence[Any], labels: Sequence[int], ignored: Sequence[bool], areas: Sequence[float]) -> Truth:
    return Truth(
        np.array(rows, np.float32).reshape(-1, 4),
        np.array(labels, np.int64),
        np.array(ignored, np.bool_),
        np.array(areas, np.float32),
    )


def _folder(path: Path) -> Path:
    if not path.is_dir():
        raise ExportError(f"{path}: no such folder")
    return path


def _no_common_class(where: Path, theirs: Sequence[str], names: _Names) -> ExportError:
    return ExportError(
        f"{where}: none of its classes ({', '.join(theirs[:8])}{', ...' if len(theirs) > 8 else ''}) is a label of the "
        f"bundle ({', '.join(list(names.labels)[:8])}{', ...' if len(names.labels) > 8 else ''}); give aliases, data=label"
    )


_READERS: dict[str, Callable[[str, _Names], Dataset]] = {
    "imagefolder": _image_folder,
    "coco": _coco,
    "voc": _voc,
    "masks": _mask_folder,
}
