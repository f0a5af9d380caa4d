"""What the net is shown of a sample, and what each of its anchors is to say about that."""

from __future__ import annotations

import math

import cv2
import numpy as np
from net import HEIGHT, WIDTH
from samples import MEAN, Sample

IGNORED = -1  # what an anchor is to say, when that is not known
FILL = tuple(float(value) for value in MEAN * 255)
STDS = np.array([0.1, 0.1, 0.2, 0.2], np.float32)


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
