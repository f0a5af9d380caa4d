r"""Train the detector that `gluon-edge demo` ships: a tiny GluonCV SSD for the squares of the `pattern` camera.

The camera draws each of its pictures from a number alone, and says where the squares are: no data is needed and none is
fetched. Pictures with even numbers are trained on, in three sizes and in other light; 200 with odd ones are held out and
measured. Then the product's own commands convert the net, verify it and pack the bundle:

    python train.py --out .
    gluon-export convert --symbol pattern_ssd-symbol.json --params pattern_ssd-0000.params --task detection \
        --input 96x128 --labels red,green,blue --name pattern_ssd --mean 0.5,0.5,0.5 --std 0.25,0.25,0.25 \
        --golden golden.png -o bundle
    gluon-export verify bundle
    gluon-export pack bundle -o ../../edge/demo/pattern_ssd.zip
"""

# ruff: noqa: E402

from __future__ import annotations

import argparse
import os
import time
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
from gluoncv.model_zoo.ssd.anchor import SSDAnchorGenerator
from gluoncv.model_zoo.ssd.ssd import SSD
from gluoncv.model_zoo.ssd.target import SSDTargetGenerator
from gluoncv.utils.metrics.voc_detection import VOCMApMetric
from mxnet import autograd, gluon
from mxnet.gluon import nn

from edge.cameras.pattern import draw_pattern, pattern_truth

HEIGHT, WIDTH, STRIDE = 96, 128, 8
CLASSES = ("red", "green", "blue")
SIDES = (20, 28)  # a square is a fifth of the picture's height: 19 pixels of 96; the next size lends the larger anchor
CHANNELS = (8, 12, 16, 16)
PICTURES = ((480, 640), (720, 1280), (240, 320))
HELD_OUT = range(1, 4001, 20)
BATCH, PEAK_RATE = 16, 5e-3


class Features(gluon.HybridBlock):
    """Four 3x3 convolutions down to stride 8: a cell sees 47 pixels, more than a square and what is around it."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        with self.name_scope():
            self.layers = nn.HybridSequential(prefix="")
            for channels, stride in zip(CHANNELS, (2, 2, 2, 1), strict=True):
                self.layers.add(
                    nn.Conv2D(channels, 3, stride, 1, use_bias=False), nn.BatchNorm(), nn.Activation("relu")
                )

    def hybrid_forward(self, _f: object, x: mx.nd.NDArray) -> list:
        """Gives the one map."""
        return [self.layers(x)]


class Anchors(SSDAnchorGenerator):
    """Stored for the one map there is rather than for any map."""

    def __init__(self, index: int, im_size: tuple, sizes: tuple, ratios: tuple, step: int, _alloc: tuple) -> None:
        super().__init__(index, im_size, sizes, ratios, step, (HEIGHT // STRIDE, WIDTH // STRIDE))


def build() -> SSD:
    """The net, untrained."""
    net = SSD(
        None, WIDTH, lambda **_: Features(prefix="features_"), None, SIDES, [(1,)], (STRIDE,), CLASSES,
        nms_thresh=0.45, nms_topk=100, post_nms=20, anchor_generator=Anchors, prefix="pattern_ssd_",
    )  # fmt: skip
    net.initialize(mx.init.Xavier(magnitude=2))
    return net


def sample(number: int, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Picture `number`, uint8 [HEIGHT, WIDTH, 3] RGB, and its squares [3, 5]: x1 y1 x2 y2 in its pixels, and the label."""
    height, width = size
    picture = draw_pattern(number, np.empty((height, width, 3), np.uint8))
    small = cv2.cvtColor(cv2.resize(picture, (WIDTH, HEIGHT)), cv2.COLOR_BGR2RGB)
    shown = pattern_truth(number, width, height)
    boxes = [[*(v * s for v, s in zip(o.box, scale(size), strict=True)), CLASSES.index(o.label)] for o in shown]
    return small, np.array(boxes, np.float32)


def scale(size: tuple[int, int]) -> tuple[float, ...]:
    """What takes a box from a picture of that size to the net's input."""
    return (WIDTH / size[1], HEIGHT / size[0]) * 2


def relight(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Another exposure, some noise, now and then a JPEG of it."""
    picture = picture * rng.uniform(0.75, 1.15) + rng.uniform(-15, 15) + rng.normal(0, 3, picture.shape)
    picture = np.clip(picture, 0, 255).astype(np.uint8)
    if rng.random() < 0.3:
        picture = cv2.imdecode(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 80])[1], cv2.IMREAD_COLOR)
    return picture


def to_tensor(pictures: list[np.ndarray]) -> mx.nd.NDArray:
    """Pictures uint8 [H, W, 3] RGB -> float32 [N, 3, H, W], as `--mean 0.5,0.5,0.5 --std 0.25,0.25,0.25` has it."""
    return mx.nd.array((np.stack(pictures).transpose(0, 3, 1, 2) / 255 - 0.5) / 0.25)


def train(net: SSD, steps: int) -> None:
    """Adam, its rate let down along a cosine."""
    rng = np.random.default_rng(3)
    with autograd.train_mode():
        anchors = net(mx.nd.zeros((1, 3, HEIGHT, WIDTH)))[2]
    targets = SSDTargetGenerator(iou_thresh=0.4, negative_mining_ratio=-1)
    loss = SSDMultiBoxLoss()
    trainer = gluon.Trainer(net.collect_params(), "adam", {"learning_rate": PEAK_RATE})
    net.hybridize(static_alloc=True, static_shape=True)
    begin, sums = time.monotonic(), np.zeros(2)
    for step in range(1, steps + 1):
        trainer.set_learning_rate(PEAK_RATE * (0.01 + 0.99 * (1 + np.cos(np.pi * step / steps)) / 2))
        drawn = [sample(2 * int(rng.integers(10**6)), PICTURES[rng.integers(len(PICTURES))]) for _ in range(BATCH)]
        truth = mx.nd.array(np.stack([squares for _, squares in drawn]))
        boxes, labels = truth[:, :, :4], truth[:, :, 4:]
        matched = [targets(anchors, None, boxes[i : i + 1], labels[i : i + 1])[:2] for i in range(BATCH)]
        classes, encoded = (mx.nd.concat(*part, dim=0) for part in zip(*matched, strict=True))
        with autograd.record():
            class_out, box_out, _ = net(to_tensor([relight(picture, rng) for picture, _ in drawn]))
            total, class_loss, box_loss = loss(class_out, box_out, classes, encoded)
            autograd.backward(total)
        trainer.step(1)
        sums += [class_loss[0].mean().asscalar() * BATCH, box_loss[0].mean().asscalar() * BATCH]
        if step % 50 == 0:
            print(
                f"step {step}  class {sums[0] / 50:.4f}  box {sums[1] / 50:.4f}  {time.monotonic() - begin:.0f} s",
                flush=True,
            )
            sums[:] = 0


def measure(net: gluon.Block) -> dict[str, float]:
    """AP at IoU 0.5 of each colour on held-out pictures."""
    metric = VOCMApMetric(0.5, list(CLASSES))
    for i, number in enumerate(HELD_OUT):
        picture, squares = sample(number, PICTURES[i % len(PICTURES)])
        ids, scores, boxes = net(to_tensor([picture]))
        metric.update(boxes, ids, scores, squares[None, :, :4], squares[None, :, 4:])
    return {name: round(float(value), 4) for name, value in zip(*metric.get(), strict=True)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(), help="where the net is saved (default: here)")
    parser.add_argument("--steps", type=int, default=200)
    args = parser.parse_args()
    mx.random.seed(3)
    net = build()
    train(net, args.steps)
    net.hybridize()  # anew: what it traced while it trained ends before decode and NMS
    print("held out:", measure(net))
    net(mx.nd.zeros((1, 3, HEIGHT, WIDTH)))
    net.export(str(args.out / "pattern_ssd"))
    cv2.imwrite(str(args.out / "golden.png"), draw_pattern(HELD_OUT[7], np.empty((240, 320, 3), np.uint8)))


if __name__ == "__main__":
    main()
