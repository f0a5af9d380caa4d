"""The data: what the teacher sees on films and photographs, and what people marked on COCO's."""

# ruff: noqa: I001  (for_mxnet comes first)

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import for_mxnet  # noqa: F401
import cv2
import mxnet as mx
import numpy as np
from gluoncv.utils.bbox import bbox_iou
from mxnet import gluon

from net import CLASSES

MEAN = np.array([0.485, 0.456, 0.406], np.float32)
STD = np.array([0.229, 0.224, 0.225], np.float32)

TEACHER_HEIGHT, TEACHER_WIDTH = 384, 672
TEACHER_CLASSES = {0: CLASSES.index("vehicle"), 1: CLASSES.index("person")}
SURE, HALF_SEEN = 0.5, 0.2

VTEST_TRAIN = range(0, 530, 2)
VTEST_HELD_OUT = range(530, 795, 4)
COCO_CLASSES = {"person": 0, "car": 1, "truck": 1, "bus": 1, "motorcycle": 1}


@dataclass
class Sample:
    """One picture (RGB) and its boxes in its own pixels.

    A negative label, `~label`, marks what is perhaps an object of that class and counts neither way.
    """

    image: np.ndarray
    boxes: np.ndarray
    labels: np.ndarray


def to_tensor(images: list[np.ndarray]) -> mx.nd.NDArray:
    """Normalises RGB pictures as GluonCV does."""
    batch = (np.stack(images).astype(np.float32) / 255 - MEAN) / STD
    return mx.nd.array(batch.transpose(0, 3, 1, 2))


class Teacher:
    """The larger detector whose sight the small one learns."""

    def __init__(self, prefix: Path) -> None:
        self.net = gluon.SymbolBlock.imports(f"{prefix}-symbol.json", ["data"], f"{prefix}-0000.params")
        self.net.hybridize(static_alloc=True, static_shape=True)

    def label(self, bgr: np.ndarray) -> Sample:
        """Looks at a picture as OpenCV reads it."""
        rgb = np.ascontiguousarray(bgr[..., ::-1])
        height, width = rgb.shape[:2]
        ids, scores, boxes = self.net(to_tensor([cv2.resize(rgb, (TEACHER_WIDTH, TEACHER_HEIGHT))]))
        ids, scores, boxes = ids.asnumpy()[0, :, 0], scores.asnumpy()[0, :, 0], boxes.asnumpy()[0]
        seen = (ids >= 0) & (scores >= HALF_SEEN)
        boxes = boxes[seen] * np.array([width / TEACHER_WIDTH, height / TEACHER_HEIGHT] * 2, np.float32)
        boxes = np.clip(boxes, 0, [width, height, width, height]).astype(np.float32)
        labels = np.array([TEACHER_CLASSES[int(i)] for i in ids[seen]], np.int64)
        labels = np.where(scores[seen] < SURE, ~labels, labels)
        return Sample(rgb, boxes, labels)

    def label_closely(self, bgr: np.ndarray) -> Sample:
        """Looks at the picture and at four enlarged parts of it: what is seen only there counts neither way."""
        whole = self.label(bgr)
        height, width = bgr.shape[:2]
        boxes, labels = [whole.boxes], [whole.labels]
        for left, top in ((0, 0), (0.4, 0), (0, 0.4), (0.4, 0.4)):
            x, y = int(width * left), int(height * top)
            part = self.label(bgr[y : y + int(height * 0.6), x : x + int(width * 0.6)])
            for box, label in zip(part.boxes + np.array([x, y, x, y], np.float32), part.labels, strict=True):
                if label >= 0 and (not len(whole.boxes) or bbox_iou(box[None], whole.boxes).max() < 0.4):
                    boxes.append(box[None])
                    labels.append(np.array([~label]))
        return Sample(whole.image, np.concatenate(boxes), np.concatenate(labels))


def film(path: Path) -> list[np.ndarray]:
    """All frames of a film, as OpenCV reads them."""
    capture, frames = cv2.VideoCapture(str(path)), []
    while True:
        there, frame = capture.read()
        if not there:
            break
        frames.append(frame)
    if not frames:
        raise SystemExit(f"no frame could be read from {path}")
    return frames


def shrink(sample: Sample, longest: int = 768) -> Sample:
    """Nothing is gained by keeping pictures much larger than the net's input."""
    scale = longest / max(sample.image.shape[:2])
    if scale >= 1:
        return sample
    image = cv2.resize(sample.image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return Sample(image, sample.boxes * scale, sample.labels)


def coco(folder: Path) -> list[Sample]:
    """The COCO photographs on which a person or a vehicle is marked; crowds count neither way."""
    content = json.loads((folder / "annotations" / "instances_train2017.json").read_text())
    wanted = {c["id"]: COCO_CLASSES[c["name"]] for c in content["categories"] if c["name"] in COCO_CLASSES}
    samples = []
    for entry in sorted(content["images"], key=lambda image: image["id"]):
        marks = [a for a in content["annotations"] if a["image_id"] == entry["id"] and a["category_id"] in wanted]
        if marks:
            bgr = cv2.imread(str(folder / "train2017" / entry["file_name"]))
            boxes = np.array([a["bbox"] for a in marks], np.float32)
            boxes[:, 2:] += boxes[:, :2]
            labels = np.array([wanted[a["category_id"]] for a in marks], np.int64)
            labels = np.where([a["iscrowd"] for a in marks], ~labels, labels)
            samples.append(Sample(np.ascontiguousarray(bgr[..., ::-1]), boxes, labels))
    return samples


@dataclass
class Data:
    """What is trained on, with the chance of each group, and what is only measured."""

    train: list[tuple[float, list[Sample]]]
    held_out: dict[str, list[Sample]]


def gather(data: Path, bikes: Path | None) -> Data:
    """Decodes and labels everything once; it all fits in memory."""
    teacher = Teacher(data / "weights/ssd_mobilenet_vehicle_pedestrian/ssd_mobilenet_vehicle_pedestrian")
    frames = film(data / "video/vtest.avi")
    street = [teacher.label_closely(frames[i]) for i in VTEST_TRAIN]
    paths = sorted((data / "images/detection").glob("*.jpg"))
    photos = [shrink(teacher.label_closely(cv2.imread(str(path)))) for path in paths]
    result = Data(
        [(0.65, street), (0.2, photos)],
        {"vtest": [teacher.label_closely(frames[i]) for i in VTEST_HELD_OUT], "coco": coco(data / "labelled/coco")},
    )
    if bikes:
        seen = [(i // 25 % 2, teacher.label(frame)) for i, frame in enumerate(film(bikes)) if i % 2 == 0]
        # The teacher misses many cars of this film: where it sees nothing, nothing is to be learnt.
        seen = [(odd, sample) for odd, sample in seen if (sample.labels >= 0).any()]
        result.train.append((0.15, [sample for odd, sample in seen if not odd]))
        result.held_out["bikes"] = [sample for odd, sample in seen if odd]
    return result


def write_labels(samples: list[Sample], path: Path) -> None:
    """Writes the held-out frames' labels in COCO's format; a picture's name holds its frame's index.

    What counts neither way is marked as COCO marks a crowd, which evaluation forgives.
    """
    images, annotations = [], []
    for index, sample in zip(VTEST_HELD_OUT, samples, strict=True):
        height, width = sample.image.shape[:2]
        images.append({"id": index, "file_name": f"vtest_{index:04d}.png", "width": width, "height": height})
        for (x1, y1, x2, y2), label in zip(sample.boxes.tolist(), sample.labels.tolist(), strict=True):
            box = [round(value, 1) for value in (x1, y1, x2 - x1, y2 - y1)]
            category = (label if label >= 0 else ~label) + 1
            annotations.append({
                "id": len(annotations) + 1, "image_id": index, "category_id": category, "iscrowd": int(label < 0),
                "bbox": box, "area": round(box[2] * box[3], 1),
            })  # fmt: skip
    categories = [{"id": i + 1, "name": name} for i, name in enumerate(CLASSES)]
    parts = {"images": images, "annotations": annotations, "categories": categories}
    lines = (f'"{name}": [\n' + ",\n".join(map(json.dumps, rows)) + "\n]" for name, rows in parts.items())
    path.write_text("{" + ",\n".join(lines) + "}\n")
