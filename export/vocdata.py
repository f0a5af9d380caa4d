"""VOC's folder: pictures with boxes in XML files, or with masks. It comes from outside and is parsed as such."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as ET

from export.errors import ExportError
from export.labelnames import LabelNames
from export.truth import Boxes, Masks, truth_of

__all__ = ["read_voc", "read_voc_masks"]

_MAX_XML_BYTES = 1 << 22


def read_voc(root: Path, names: LabelNames) -> Boxes:
    """A VOC folder: its list of test or validation images where there is one, else all that have annotations.

    Raises:
        ExportError: naming the file that is missing, damaged or has no class in common with the bundle.
    """
    files = sorted((root / "Annotations").glob("*.xml"))
    chosen = _listed(root, "Main")
    if chosen:
        files = [root / "Annotations" / f"{name}.xml" for name in chosen]
    if not files:
        raise ExportError(f"{root}: no Annotations/*.xml; expected a VOC folder such as VOC2007")
    read = [_voc_file(file) for file in files]
    known = sorted({name for _, objects in read for name, *_ in objects})
    names.judge_aliases(root, known)
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


def read_voc_masks(root: Path) -> Masks:
    """A VOC folder's segmentation: the masks of its list of test or validation images, or all that there are.

    Raises:
        ExportError: naming the file that is missing.
    """
    folder = root / "SegmentationClass"
    names = _listed(root, "Segmentation") or sorted(p.stem for p in folder.glob("*.png"))
    if not names:
        raise ExportError(f"{root}: no SegmentationClass/*.png; expected a VOC folder such as VOC2012")
    masks = [folder / f"{name}.png" for name in names]
    paths = [root / "JPEGImages" / f"{name}.jpg" for name in names]
    missing = next((p for pair in zip(paths, masks, strict=True) for p in pair if not p.is_file()), None)
    if missing is not None:
        raise ExportError(f"{missing}: no such file, but VOC's list names it")
    return Masks(tuple(paths), tuple(masks))


def _listed(root: Path, kind: str) -> list[str]:
    """The names in VOC's list of test or validation images; none where there is no list."""
    lists = [root / "ImageSets" / kind / f"{name}.txt" for name in ("test", "val")]
    chosen = next((p for p in lists if p.is_file()), None)
    if chosen is None:
        return []
    return [line.split()[0] for line in chosen.read_text().splitlines() if line.strip()]


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
