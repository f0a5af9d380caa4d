"""The net: GluonCV's SSD on SqueezeNet 1.1, with anchors for persons and vehicles on a street."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import for_mxnet  # noqa: F401
import mxnet as mx
import numpy as np
from gluoncv.model_zoo import get_model
from gluoncv.model_zoo.ssd.anchor import SSDAnchorGenerator
from gluoncv.model_zoo.ssd.ssd import SSD
from mxnet import gluon
from mxnet.gluon import nn

HEIGHT, WIDTH = 288, 384
CLASSES = ("person", "vehicle")

STEPS = (8, 16, 32, 64)
SIZES = (20, 40, 84, 170, 300)
RATIOS = (1, 0.35, 0.5, 2)  # width to height; a person who stands is about 0.4

FROZEN = 14  # the backbone's arrays down to stride 4: they cost the most and have the least to learn


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
