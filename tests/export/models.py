"""Small nets whose answers are known: a classifier of colours and a detector of bright squares, and bundles of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edge.bundle.bundle import Bundle, Manifest

COLOURS = ("red", "green", "blue")
SIDE = 32
CELL = 8
MEAN = np.array([123.675, 116.28, 103.53], np.float32).reshape(1, 3, 1, 1)

_OUTPUTS = {
    "classification": [("scores", TensorProto.FLOAT, ["N", 3])],
    "detection": [
        ("boxes", TensorProto.FLOAT, ["N", 8, 4]),
        ("scores", TensorProto.FLOAT, ["N", 8]),
        ("labels", TensorProto.INT64, ["N", 8]),
        ("count", TensorProto.INT64, ["N"]),
    ],
    "segmentation": [("mask", TensorProto.UINT8, ["N", SIDE, SIDE])],
    "pose": [("keypoints", TensorProto.FLOAT, ["N", 17, 3])],
}
_OUTPUTS["instances"] = [*_OUTPUTS["detection"], ("masks", TensorProto.FLOAT, ["N", 8, 4, 4])]
_DTYPES = {TensorProto.FLOAT: "float32", TensorProto.INT64: "int64", TensorProto.UINT8: "uint8"}


class Net:
    """A graph being written, its nodes without names: names must not matter."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, value: np.ndarray) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(value, name))
        return name

    def add(
        self, op: str, *inputs: str | np.ndarray, out: str | None = None, outs: int = 1, **attributes: object
    ) -> str:
        names = [i if isinstance(i, str) else self.constant(i) for i in inputs]
        results = [out or f"t{len(self.nodes)}", *(f"t{len(self.nodes)}.{k}" for k in range(1, outs))]
        self.nodes.append(helper.make_node(op, names, results, **attributes))
        return results[0]

    def front(self) -> str:
        x = self.add("Cast", "image", to=TensorProto.FLOAT)
        return self.add("Sub", self.add("Transpose", x, perm=[0, 3, 1, 2]), MEAN)

    def conv(self, x: str, weights: np.ndarray, *, bias: bool = True, **attributes: object) -> str:
        values = [weights.astype(np.float32)]
        if bias:
            values.append(np.linspace(-0.1, 0.1, len(weights), dtype=np.float32))
        return self.add("Conv", x, *values, **attributes)

    def model(self, task: str, *, check: bool = True) -> onnx.ModelProto:
        image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", SIDE, SIDE, 3])
        outputs = [helper.make_tensor_value_info(*o) for o in _OUTPUTS[task]]
        graph = helper.make_graph(self.nodes, task, [image], outputs, self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
        onnx.checker.check_model(model, full_check=check)
        return model


def colour_net(seed: int = 1) -> onnx.ModelProto:
    """Says which colour a picture is: convolutions, depthwise, residual sum, pool, concatenation, matrix product."""
    rng = np.random.default_rng(seed)
    net = Net()
    mix = np.zeros((6, 3, 3, 3), np.float32)
    for k in range(3):
        mix[k, k, 1, 1], mix[k + 3, k, 1, 1] = 0.02, -0.01
    mix += rng.normal(0, 2e-4, mix.shape).astype(np.float32)
    x = net.add("Relu", net.conv(net.front(), mix, pads=[1, 1, 1, 1], strides=[2, 2]))
    depthwise = np.full((6, 1, 3, 3), 1 / 9) * rng.uniform(0.2, 3, (6, 1, 1, 1))
    y = net.add("Clip", net.conv(x, depthwise, group=6, pads=[1, 1, 1, 1]), np.float32(0), np.float32(6))
    y = net.conv(y, np.eye(6).reshape(6, 6, 1, 1) + rng.normal(0, 0.02, (6, 6, 1, 1)), bias=False)
    z = net.add("Relu", net.add("Add", x, y))
    pooled = net.add("MaxPool", z, kernel_shape=[2, 2], strides=[2, 2])
    other = net.add("Relu", net.conv(pooled, np.eye(6).reshape(6, 6, 1, 1)))
    both = net.add("Concat", pooled, other, axis=1)
    flat = net.add("Flatten", net.add("GlobalAveragePool", both), axis=1)
    last = np.tile(np.concatenate([np.eye(3), -np.eye(3)]), (2, 1)) * 2
    logits = net.add("Gemm", flat, (last + rng.normal(0, 0.02, last.shape)).astype(np.float32), np.zeros(3, np.float32))
    net.add("Softmax", logits, axis=1, out="scores")
    return net.model("classification")


def square_net(task: str = "detection", *, heads: int = 1) -> onnx.ModelProto:
    """Finds red and green squares on an 8-pixel grid; the decoding after the last convolution is all float.

    For instances, everything in the box is the object. With two heads, scores and offsets are of convolutions of
    their own, and an offset is taken where a score says.
    """
    net = Net()
    look = np.zeros((3, 3, CELL, CELL), np.float32)
    for k in range(3):
        look[k, k] = 0.1 / CELL**2
    x = net.add("Relu", net.conv(net.front(), look, strides=[CELL, CELL]))
    head = np.zeros((6, 3, 1, 1), np.float32)
    head[0, :2, 0, 0], head[1, :2, 0, 0] = (1, -0.5), (-0.5, 1)  # scores of red and green
    head[2:, 2, 0, 0] = (-0.3, -0.2, 0.2, 0.3)  # blue moves the edges out
    split = [slice(0, 6)] if heads == 1 else [slice(0, 2), slice(2, 6)]
    raw = [
        net.add("Reshape", net.add("Transpose", net.conv(x, head[part]), perm=[0, 2, 3, 1]), np.array([0, -1, n]))
        for part, n in zip(split, (6,) if heads == 1 else (2, 4), strict=True)
    ]
    ends = np.array([8, 8]), np.array([2])
    logits = raw[0] if heads == 2 else net.add("Slice", raw[0], np.array([0]), np.array([2]), ends[1])
    scores = net.add("Sigmoid", net.add("Sub", logits, np.float32(5)))
    offsets = raw[1] if heads == 2 else net.add("Slice", raw[0], np.array([2]), np.array([6]), ends[1])
    grid = np.arange(0, SIDE, CELL, dtype=np.float32)
    corner = np.stack(np.meshgrid(grid, grid), axis=-1).reshape(-1, 2)
    cells = np.concatenate([corner, corner + CELL], axis=1)[None]
    best = net.add("ReduceMax", scores, axes=[2], keepdims=0)
    label = net.add("ArgMax", scores, axis=2, keepdims=0)
    net.add("TopK", best, np.array([8]), out="scores", outs=2)
    where = net.nodes[-1].output[1]
    net.add("GatherElements", label, where, axis=1, out="labels")
    index = net.add("Expand", net.add("Unsqueeze", where, np.array([2])), np.array([1, 1, 4]))
    anchors = net.add("GatherElements", cells, index, axis=1)
    net.add("Add", net.add("GatherElements", offsets, index, axis=1), anchors, out="boxes")
    found = net.add("Cast", net.add("Greater", "scores", np.float32(0.05)), to=TensorProto.INT64)
    net.add("ReduceSum", found, np.array([1]), keepdims=0, out="count")
    if task == "instances":
        full = net.add("Unsqueeze", net.add("Mul", "scores", np.float32(0)), np.array([2, 3]))
        net.add("Expand", net.add("Add", full, np.float32(1)), np.array([1, 1, 4, 4]), out="masks")
    return net.model(task)


def joint_net() -> onnx.ModelProto:
    """Finds 17 joints: joint j is the pixel whose red is nearest to `joint_red(j)`; its score falls with the distance."""
    net = Net()
    red = net.add("Slice", net.add("Cast", "image", to=TensorProto.FLOAT), np.array([0]), np.array([1]), np.array([3]))
    flat = net.add("Reshape", red, np.array([0, 1, SIDE * SIDE]))
    wanted = np.array([joint_red(j) for j in range(17)], np.float32).reshape(1, 17, 1)
    off = net.add("Abs", net.add("Sub", flat, wanted))
    place = net.add("ArgMin", off, axis=2, keepdims=1)
    y = net.add("Div", place, np.int64(SIDE))
    x = net.add("Sub", place, net.add("Mul", y, np.int64(SIDE)))
    centre = net.add("Add", net.add("Cast", net.add("Concat", x, y, axis=2), to=TensorProto.FLOAT), np.float32(0.5))
    score = net.add("Exp", net.add("Neg", net.add("ReduceMin", off, axes=[2], keepdims=1)))
    net.add("Concat", centre, score, axis=2, out="keypoints")
    return net.model("pose")


def joint_red(joint: int) -> int:
    """How red the pixel of a joint is."""
    return 40 + 12 * joint


def shade_net() -> onnx.ModelProto:
    """Segments by colour: class 1 where red prevails, 2 green, 3 blue, else 0."""
    net = Net()
    head = np.zeros((4, 3, 1, 1), np.float32)
    head[1:, :, 0, 0] = np.eye(3) * 0.02
    x = net.add("Relu", net.conv(net.front(), np.eye(3).reshape(3, 3, 1, 1), bias=False))
    net.add(
        "Cast", net.add("ArgMax", net.conv(x, head, bias=False), axis=1, keepdims=0), to=TensorProto.UINT8, out="mask"
    )
    return net.model("segmentation")


def bundle_of(model: onnx.ModelProto, task: str, labels: Sequence[str], path: Path = Path("net")) -> Bundle:
    """A bundle in memory, as `read_bundle` would give it."""
    data = model.SerializeToString()
    entry = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    manifest = Manifest.model_validate(
        {
            "name": "net",
            "task": task,
            "source": {"net": "net"},
            "input": {"height": SIDE, "width": SIDE},
            "outputs": [
                {"name": name, "dtype": _DTYPES[dtype], "shape": shape, "meaning": name}
                for name, dtype, shape in _OUTPUTS[task]
            ],
            "classes": len(labels),
            "opset": 17,
            "files": {"model.onnx": entry, "labels.txt": entry},
        }
    )
    return Bundle(path, manifest, "0" * 64, tuple(labels), {"model.onnx": data})


def colour_pictures(folder: Path, count: int = 4, seed: int = 1) -> Path:
    """A folder a colour, each with `count` noisy pictures of it."""
    rng = np.random.default_rng(seed)
    for k, name in enumerate(COLOURS):
        (folder / name).mkdir(parents=True)
        for n in range(count):
            image = rng.integers(0, 140, (SIDE + 8, SIDE, 3))
            image[..., 2 - k] += 110
            cv2.imwrite(str(folder / name / f"{n}.png"), image.astype(np.uint8))
    return folder


def square_pictures(folder: Path, count: int = 6, seed: int = 1) -> list[list[tuple[int, int, int]]]:
    """Pictures with bright squares in some cells; gives each picture's (label, column, row)."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    truth = []
    for n in range(count):
        image = rng.integers(0, 60, (SIDE, SIDE, 3)).astype(np.uint8)
        cells = rng.choice(16, 3, replace=False)
        squares = [(int(rng.integers(0, 2)), int(c % 4), int(c // 4)) for c in cells]
        for label, column, row in squares:
            image[row * CELL : row * CELL + CELL, column * CELL : column * CELL + CELL] = 0
            image[row * CELL : row * CELL + CELL, column * CELL : column * CELL + CELL, 2 - label] = 250
        cv2.imwrite(str(folder / f"{n}.png"), image)
        truth.append(squares)
    return truth


def square_coco(folder: Path, *, names: tuple[str, ...] = ("red", "green"), wrong: int = 0) -> str:
    """Pictures of squares with COCO annotations, the first `wrong` boxes moved away; gives the specification."""
    truth = square_pictures(folder / "images")
    annotations = []
    for image, squares in enumerate(truth):
        for label, column, row in squares:
            shift = SIDE * 2 if len(annotations) < wrong else 0
            box = [column * CELL + shift, row * CELL, CELL, CELL]
            annotations.append(
                {
                    "id": len(annotations),
                    "image_id": image,
                    "category_id": label + 7,
                    "bbox": box,
                    "area": 64,
                    "iscrowd": 0,
                }
            )
    document = {
        "images": [{"id": n, "file_name": f"{n}.png", "width": SIDE, "height": SIDE} for n in range(len(truth))],
        "categories": [{"id": n + 7, "name": name} for n, name in enumerate(names)],
        "annotations": annotations,
    }
    (folder / "val.json").write_text(json.dumps(document))
    return f"coco:{folder / 'val.json'}:{folder / 'images'}"
