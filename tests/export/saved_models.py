"""Models as people save them: own blocks, Gluon's own zoo, Module checkpoints; and files as older MXNet wrote them."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from export.zoo.runtime import gluoncv, mxnet, quiet

V1, V2, V3 = 0xF993FAC8, 0xF993FAC9, 0xF993FACA
ANCIENT = None
_FLAGS = {"f4": 0, "f8": 1, "f2": 2, "u1": 3, "i4": 4, "i1": 5, "i8": 6, "b1": 7}


def save(net, prefix: Path, hw: tuple[int, int] = (32, 32), *, seed: int = 1) -> tuple[Path, Path]:
    """Initialize with weights that matter, run once, export: symbol and params."""
    mx = mxnet()
    mx.random.seed(seed)
    with quiet():
        net.initialize(mx.init.Xavier(magnitude=2.5), force_reinit=False)
        net.hybridize()
        net(mx.nd.random.uniform(-1, 1, shape=(1, 3, *hw)))
        for name, parameter in net.collect_params().items():
            if name.endswith(("bias", "beta", "running_mean")):
                parameter.set_data(mx.nd.random.uniform(-0.3, 0.3, shape=parameter.shape))
        net.export(str(prefix))
    return Path(f"{prefix}-symbol.json"), Path(f"{prefix}-0000.params")


def course_net(classes: int = 4):
    """`Sequential` of the layers of any first course."""
    nn = mxnet().gluon.nn
    net = nn.HybridSequential(prefix="course_")
    with net.name_scope():
        net.add(
            nn.Conv2D(6, kernel_size=5, activation="sigmoid"),
            nn.MaxPool2D(pool_size=2, strides=2),
            nn.Conv2D(8, kernel_size=3, strides=2, padding=1, groups=2, use_bias=False),
            nn.BatchNorm(),
            nn.LeakyReLU(0.1),
            nn.AvgPool2D(pool_size=3, strides=2, ceil_mode=True, count_include_pad=False),
            nn.Conv2DTranspose(6, kernel_size=4, strides=2, padding=1),
            nn.PReLU(),
            nn.GlobalAvgPool2D(),
            nn.Flatten(),
            nn.Dense(16, activation="tanh"),
            nn.Dropout(0.5),
            nn.Dense(classes),
        )
    return net


def arithmetic_net():
    """A block whose `hybrid_forward` computes: scalars on both sides, broadcasts, powers, constants, slices."""
    mx = mxnet()

    class Arithmetic(mx.gluon.HybridBlock):
        def __init__(self):
            super().__init__(prefix="arithmetic_")
            with self.name_scope():
                self.conv = mx.gluon.nn.Conv2D(8, 3, padding=1, activation="relu")
                self.dense = mx.gluon.nn.Dense(4)
                self.gain = self.params.get_constant("gain", mx.nd.array([[2.0, 0.5, 1.0, 3.0]]))

        def hybrid_forward(self, F, x, gain):  # noqa: N803  (Gluon's own name for it)
            y = self.conv(x)
            y = y * 0.5 + F.sigmoid(y) - y / 3.0
            y = F.broadcast_add(y, y.mean(axis=1, keepdims=True))
            y = 2 / (8 + F.clip(1 - y**2, -1, 5)) + F.sqrt(F.abs(y) + 1e-3)
            left, right = F.split(y, num_outputs=2, axis=1)
            y = F.concat(left * right, F.maximum(left, right), F.slice_axis(left, axis=1, begin=0, end=2), dim=1)
            y = F.where(y > 0.7, y, F.zeros_like(y)) + F.transpose(y, axes=(0, 1, 3, 2))
            return F.broadcast_mul(self.dense(y.reshape((0, -1, 4, 8)).sum(axis=3)), gain)

    return Arithmetic()


def own_ssd(classes=("cat", "dog")):
    """GluonCV's SSD on a backbone of one's own."""
    mx = mxnet()

    class Backbone(mx.gluon.HybridBlock):
        def __init__(self):
            super().__init__(prefix="backbone_")
            nn = mx.gluon.nn
            self.stages = []
            with self.name_scope():
                for channels in (12, 16, 16):
                    stage = nn.HybridSequential()
                    stage.add(nn.Conv2D(channels, 3, 2, 1, use_bias=False), nn.BatchNorm(), nn.Activation("relu"))
                    stage.add(nn.Conv2D(channels, 3, 2 if channels == 12 else 1, 1), nn.Activation("relu"))
                    self.register_child(stage)
                    self.stages.append(stage)

        def hybrid_forward(self, _, x):
            found = []
            for stage in self.stages:
                x = stage(x)
                found.append(x)
            return found

    with quiet():
        return gluoncv().model_zoo.SSD(
            network=None,
            base_size=64,
            features=lambda **_: Backbone(),
            num_filters=[],
            sizes=[8, 20, 36, 60],
            ratios=[[1, 2, 0.5]] * 3,
            steps=[4, 8, 16],
            classes=classes,
            pretrained=False,
        )


def course_ssd(classes: int = 2):
    """An SSD out of `contrib.MultiBox*`, as courses build it: anchors, predictions and detection in one block."""
    mx = mxnet()

    class TinySsd(mx.gluon.HybridBlock):
        def __init__(self):
            super().__init__(prefix="tiny_")
            nn = mx.gluon.nn
            with self.name_scope():
                self.body = nn.HybridSequential()
                for channels in (8, 12, 16):
                    self.body.add(nn.Conv2D(channels, 3, padding=1), nn.BatchNorm(), nn.Activation("relu"))
                    self.body.add(nn.MaxPool2D(2))
                self.cls = nn.Conv2D((classes + 1) * 4, 3, padding=1)
                self.box = nn.Conv2D(16, 3, padding=1)

        def hybrid_forward(self, F, x):  # noqa: N803
            y = self.body(x)
            anchors = F.contrib.MultiBoxPrior(y, sizes=(0.3, 0.4), ratios=(1, 2, 0.5))
            scores = F.transpose(self.cls(y), axes=(0, 2, 3, 1)).reshape((0, -1, classes + 1))
            boxes = F.flatten(F.transpose(self.box(y), axes=(0, 2, 3, 1)))
            probability = F.transpose(F.softmax(scores, axis=2), axes=(0, 2, 1))
            return F.contrib.MultiBoxDetection(probability, boxes, anchors, nms_threshold=0.4, nms_topk=30)

    return TinySsd()


def params_bytes(arrays: Mapping[str, np.ndarray], magic: int | None = V2) -> bytes:
    """A `.params` file in the layout of one generation of MXNet; `ANCIENT` begins an array with its rank."""
    parts = [struct.pack("<QQQ", 0x112, 0, len(arrays))]
    for array in arrays.values():
        dims = array.shape
        if magic in {V2, V3}:
            head = struct.pack("<Iii", magic, 0, len(dims)) + struct.pack(f"<{len(dims)}q", *dims)
        elif magic == V1:
            head = struct.pack("<II", magic, len(dims)) + struct.pack(f"<{len(dims)}q", *dims)
        else:
            head = struct.pack("<I", len(dims)) + struct.pack(f"<{len(dims)}I", *dims)
        parts.append(
            head + struct.pack("<iii", 1, 0, _FLAGS[array.dtype.str[1:]]) + np.ascontiguousarray(array).tobytes()
        )
    parts.append(struct.pack("<Q", len(arrays)))
    parts.extend(struct.pack("<Q", len(name)) + name.encode() for name in arrays)
    return b"".join(parts)


def respelled(symbol: Path, spelling: str, target: Path) -> Path:
    """The same symbol as another generation of MXNet wrote it: `attr` (0.9 to 1.1), `param` (before)."""
    document = json.loads(symbol.read_text())
    for node in document["nodes"]:
        values = node.pop("attrs", None)
        if values is not None:
            node[spelling] = values
        if spelling == "param":
            # Old files also had a second dictionary, for the user's own attributes, and wrote Python 2's long integers.
            node["attr"] = {"lr_mult": "0.1"}
            node["param"] = {key: value.replace("(2, 2)", "(2L, 2L)") for key, value in (values or {}).items()}
            node["backward_source_id"] = -1
    document["attrs"] = {"mxnet_version": ["int", {"attrs": 10901, "attr": 10000, "param": 905}[spelling]]}
    target.write_text(json.dumps(document))
    return target
