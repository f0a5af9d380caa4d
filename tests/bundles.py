"""Tiny real bundles: ONNX graphs that compute their answer from the picture, so that no test passes by accident."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

CELL = 16
COLOURS_BGR = {"red": (0, 0, 255), "green": (0, 255, 0), "blue": (255, 0, 0)}
LABELS = tuple(COLOURS_BGR)


def detector(size: int = 128, rounds: int = 0) -> onnx.ModelProto:
    """Finds squares of pure red, green or blue: each cell of 16 px whose mean is above 0.3 of a pure colour.

    A pixel's share of a colour is that channel minus the largest of the others. The score of a label is its best
    cell's mean; the box is the smallest that holds all pixels of the colour. One object a label at most, best first.
    `rounds` adds that many 3x3 convolutions whose result is multiplied by 0, to cost time.
    """
    n = helper.make_node
    const = {
        "others": np.array([[0, -1, -1], [-1, 0, -1], [-1, -1, 0]], np.float32),
        "half": np.array(0.5, np.float32),
        "floor": np.array(0.3, np.float32),
        "scale": np.array(1 / 255, np.float32),
        "ramp_x": np.arange(size, dtype=np.float32).reshape(1, 1, size),
        "ramp_y": np.arange(size, dtype=np.float32).reshape(1, 1, size),
        "far": np.array(1e4, np.float32),
        "one": np.array(1, np.float32),
        "zero": np.array(0, np.float32),
        "k": np.array([3], np.int64),
        "axis2": np.array([2], np.int64),
        "kernel": np.full((3, 3, 3, 3), 0.01, np.float32),
    }
    nodes = [
        n("Cast", ["image"], ["f"], to=TensorProto.FLOAT),
        n("Mul", ["f", "scale"], ["g"]),
        n("Transpose", ["g"], ["chw"], perm=[0, 3, 1, 2]),
        n("Split", ["chw"], ["r", "gr", "b"], axis=1, num_outputs=3),
        n("Max", ["gr", "b"], ["not_r"]),
        n("Max", ["r", "b"], ["not_g"]),
        n("Max", ["r", "gr"], ["not_b"]),
        n("Concat", ["not_r", "not_g", "not_b"], ["rest"], axis=1),
        n("Sub", ["chw", "rest"], ["pure0"]),
        n("Relu", ["pure0"], ["pure1"]),
    ]
    last = "chw"
    for i in range(rounds):
        nodes.append(n("Conv", [last, "kernel"], [f"slow{i}"], pads=[1, 1, 1, 1]))
        last = f"slow{i}"
    nodes += [
        n("Mul", [last, "zero"], ["nothing"]),
        n("Add", ["pure1", "nothing"], ["pure"]),
        n("AveragePool", ["pure"], ["cells"], kernel_shape=[CELL, CELL], strides=[CELL, CELL]),
        n("ReduceMax", ["cells"], ["best"], axes=[2, 3], keepdims=0),
        n("Greater", ["pure", "half"], ["lit_b"]),
        n("Cast", ["lit_b"], ["lit"], to=TensorProto.FLOAT),
        n("ReduceMax", ["lit"], ["cols"], axes=[2], keepdims=0),
        n("ReduceMax", ["lit"], ["rows"], axes=[3], keepdims=0),
    ]
    for axis, source in (("x", "cols"), ("y", "rows")):
        nodes += [
            n("Sub", ["one", source], [f"dark_{axis}"]),
            n("Mul", [f"dark_{axis}", "far"], [f"push_{axis}"]),
            n("Add", [f"push_{axis}", f"ramp_{axis}"], [f"low_{axis}"]),
            n("ReduceMin", [f"low_{axis}"], [f"{axis}1"], axes=[2], keepdims=1),
            n("Sub", [f"ramp_{axis}", f"push_{axis}"], [f"high_{axis}"]),
            n("ReduceMax", [f"high_{axis}"], [f"{axis}2e"], axes=[2], keepdims=1),
            n("Add", [f"{axis}2e", "one"], [f"{axis}2"]),
        ]
    nodes += [
        n("Concat", ["x1", "y1", "x2", "y2"], ["all_boxes"], axis=2),
        n("TopK", ["best", "k"], ["scores", "labels"], axis=1),
        n("Unsqueeze", ["labels", "axis2"], ["idx1"]),
        n("Concat", ["idx1", "idx1", "idx1", "idx1"], ["idx"], axis=2),
        n("GatherElements", ["all_boxes", "idx"], ["boxes"], axis=1),
        n("Greater", ["scores", "floor"], ["found"]),
        n("Cast", ["found"], ["found_i"], to=TensorProto.INT64),
        n("ReduceSum", ["found_i", "axis1"], ["count"], keepdims=0),
    ]
    const["axis1"] = np.array([1], np.int64)
    used = {name for node in nodes for name in node.input}
    graph = helper.make_graph(
        nodes,
        "squares",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", size, size, 3])],
        [
            helper.make_tensor_value_info("boxes", TensorProto.FLOAT, ["N", 3, 4]),
            helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["N", 3]),
            helper.make_tensor_value_info("labels", TensorProto.INT64, ["N", 3]),
            helper.make_tensor_value_info("count", TensorProto.INT64, ["N"]),
        ],
        [numpy_helper.from_array(value, name) for name, value in const.items() if name in used],
    )
    return _model(graph)


def classifier(size: int = 32) -> onnx.ModelProto:
    """The softmax of ten times the mean of red, green and blue."""
    n = helper.make_node
    nodes = [
        n("Cast", ["image"], ["f"], to=TensorProto.FLOAT),
        n("Mul", ["f", "scale"], ["g"]),
        n("ReduceMean", ["g"], ["mean"], axes=[1, 2], keepdims=0),
        n("Softmax", ["mean"], ["scores"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "colours",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", size, size, 3])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["N", 3])],
        [numpy_helper.from_array(np.array(10 / 255, np.float32), "scale")],
    )
    return _model(graph)


def colour_map(size: int = 64) -> onnx.ModelProto:
    """A class a pixel: the strongest of its three colours, red unless another one is 40 stronger."""
    n = helper.make_node
    nodes = [
        n("Cast", ["image"], ["f"], to=TensorProto.FLOAT),
        n("Add", ["f", "redder"], ["weighed"]),
        n("ArgMax", ["weighed"], ["strongest"], axis=3, keepdims=0),
        n("Cast", ["strongest"], ["mask"], to=TensorProto.UINT8),
    ]
    graph = helper.make_graph(
        nodes,
        "colour_map",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", size, size, 3])],
        [helper.make_tensor_value_info("mask", TensorProto.UINT8, ["N", size, size])],
        [numpy_helper.from_array(np.array([40, 0, 0], np.float32), "redder")],
    )
    return _model(graph)


def skeleton(size: int = 64) -> onnx.ModelProto:
    """Three joints in fixed places, each as sure as the reddest pixel is red."""
    n = helper.make_node
    joints = np.array([[[0.25, 0.25, 1], [0.75, 0.25, 1], [0.5, 0.75, 1]]], np.float32) * [size, size, 1]
    const = {
        "scale": np.array(1 / 255, np.float32),
        "joints": joints.astype(np.float32),
        "sure": np.array([[[0, 0, 1]]], np.float32),
        "place": np.array([[[1, 1, 0]]], np.float32),
    }
    nodes = [
        n("Cast", ["image"], ["f"], to=TensorProto.FLOAT),
        n("Mul", ["f", "scale"], ["g"]),
        n("Split", ["g"], ["r", "gr", "b"], axis=3, num_outputs=3),
        n("Max", ["gr", "b"], ["others"]),
        n("Sub", ["r", "others"], ["pure"]),
        n("ReduceMax", ["pure"], ["reddest4"], axes=[1, 2], keepdims=1),
        n("Flatten", ["reddest4"], ["reddest2"]),
        n("Unsqueeze", ["reddest2", "axis"], ["reddest"]),
        n("Mul", ["reddest", "sure"], ["certainty"]),
        n("Add", ["certainty", "place"], ["factors"]),
        n("Mul", ["joints", "factors"], ["keypoints"]),
    ]
    graph = helper.make_graph(
        nodes,
        "skeleton",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", size, size, 3])],
        [helper.make_tensor_value_info("keypoints", TensorProto.FLOAT, ["N", 3, 3])],
        [numpy_helper.from_array(v, k) for k, v in {**const, "axis": np.array([1], np.int64)}.items()],
    )
    return _model(graph)


def detection_bundle(folder: Path, *, size: int = 128, rounds: int = 0, golden: bool = True) -> Path:
    """A bundle of `detector`."""
    meaning = {"boxes": "x1 y1 x2 y2 in input pixels", "scores": "0 to 1", "labels": "label ids", "count": "how many"}
    types = {"boxes": "float32", "scores": "float32", "labels": "int64", "count": "int64"}
    shapes = {"boxes": ["N", 3, 4], "scores": ["N", 3], "labels": ["N", 3], "count": ["N"]}
    outputs = [{"name": k, "dtype": types[k], "shape": shapes[k], "meaning": meaning[k]} for k in meaning]
    files = {}
    if golden:
        picture = squares_picture(160, 120, {"green": (20, 30, 40)})
        want = {"label_id": 1, "score": 1.0, "box": [20.0, 30.0, 60.0, 70.0]}
        files = golden_files(picture, [want], threshold=0.5, score=0.3, box_px=2.0)
    return write_bundle(folder, detector(size, rounds), "detection", size, outputs, files)


def classification_bundle(folder: Path, *, size: int = 32, golden: bool = True) -> Path:
    """A bundle of `classifier`."""
    outputs = [{"name": "scores", "dtype": "float32", "shape": ["N", 3], "meaning": "softmax"}]
    files = {}
    if golden:
        picture = np.full((48, 64, 3), COLOURS_BGR["blue"], np.uint8)
        files = golden_files(picture, [{"label_id": 2, "score": 1.0}], threshold=0.5, score=0.01, box_px=0.0)
    return write_bundle(folder, classifier(size), "classification", size, outputs, files)


def segmentation_bundle(folder: Path, *, size: int = 64) -> Path:
    """A bundle of `colour_map`, whose first class is the background."""
    outputs = [{"name": "mask", "dtype": "uint8", "shape": ["N", size, size], "meaning": "class ids"}]
    names = ("background", *LABELS[1:])
    return write_bundle(folder, colour_map(size), "segmentation", size, outputs, {}, names)


def pose_bundle(folder: Path, *, size: int = 64) -> Path:
    """A bundle of `skeleton`."""
    outputs = [{"name": "keypoints", "dtype": "float32", "shape": ["N", 3, 3], "meaning": "x y score"}]
    return write_bundle(folder, skeleton(size), "pose", size, outputs, {}, ("left", "right", "foot"))


def write_bundle(
    folder: Path,
    model: onnx.ModelProto,
    task: str,
    size: int,
    outputs: list[dict],
    files: dict[str, bytes],
    labels: Sequence[str] = LABELS,
) -> Path:
    """A bundle folder with the manifest that belongs to it."""
    files = {"model.onnx": model.SerializeToString(), "labels.txt": "\n".join(labels).encode(), **files}
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    manifest = {
        "schema_version": "bundle/1.0",
        "name": f"test-{task}",
        "task": task,
        "source": {"net": "drawn by hand"},
        "input": {"height": size, "width": size},
        "outputs": outputs,
        "classes": len(labels),
        "thresholds": {"score": 0.5},
        "opset": 18,
        "files": {
            name: {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()} for name, data in files.items()
        },
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def golden_files(picture: np.ndarray, results: list[dict], *, threshold: float, score: float, box_px: float) -> dict:
    """golden/input.png and golden/expected.json."""
    ok, png = cv2.imencode(".png", picture)
    assert ok
    want = {"tolerance": {"score": score, "box_px": box_px}, "threshold": threshold, "results": results}
    return {"golden/input.png": png.tobytes(), "golden/expected.json": json.dumps(want).encode()}


def squares_picture(width: int, height: int, squares: dict[str, tuple[int, int, int]]) -> np.ndarray:
    """A grey picture with squares: label -> x, y, side."""
    picture = np.full((height, width, 3), 90, np.uint8)
    for label, (x, y, side) in squares.items():
        picture[y : y + side, x : x + side] = COLOURS_BGR[label]
    return picture


def squares_video(path: Path, frames: list[dict[str, tuple[int, int, int]]], *, fps: float = 20.0) -> Path:
    """A video of such pictures, 160x120, MJPG in AVI."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), fps, (160, 120))
    assert writer.isOpened()
    for squares in frames:
        writer.write(squares_picture(160, 120, squares))
    writer.release()
    return path


def _model(graph: onnx.GraphProto) -> onnx.ModelProto:
    # Opset 17's reductions take axes as an attribute, 18's Split takes num_outputs: the graph says which it means.
    for node in graph.node:
        if node.op_type in {"ReduceMax", "ReduceMin", "ReduceMean"}:
            axes = next(a for a in node.attribute if a.name == "axes")
            name = f"axes_{'_'.join(map(str, axes.ints))}"
            if not any(i.name == name for i in graph.initializer):
                graph.initializer.append(numpy_helper.from_array(np.array(axes.ints, np.int64), name))
            node.input.append(name)
            node.attribute.remove(axes)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return model
