"""Releases of the squares detector: sound ones, and valid ones that are broken in the ways that models are."""

import hashlib
import json
from pathlib import Path

import bundles
import numpy as np
import onnx
from onnx import helper, numpy_helper

from export.release import Stamp, pack_zip


def release(folder: Path, version: str, *, rounds: int = 0, broken: str | None = None, **stamp) -> tuple[Path, str]:
    """A zip of a version and its SHA-256. `broken` is nan, slow, huge or crooked."""
    name = f"{version}-{rounds}-{broken}"
    source = bundles.detection_bundle(folder / name, rounds=600 if broken == "slow" else rounds)
    if broken not in {None, "slow"}:
        _spoil(source, broken)
    out = folder / f"{name}.zip"
    sign = stamp.pop("sign", ())
    pack_zip(source, out, stamp=Stamp(version=version, **stamp), sign=sign)
    return out, hashlib.sha256(out.read_bytes()).hexdigest()


def _spoil(folder: Path, how: str) -> None:
    """Changes the graph, and the manifest with it: everything still fits together."""
    model = onnx.load(folder / "model.onnx")
    graph = model.graph
    maker = next(n for n in graph.node if "scores" in n.output)
    maker.output[list(maker.output).index("scores")] = "sound_scores"
    for node in graph.node:
        for i, name in enumerate(node.input):
            if name == "scores":
                node.input[i] = "sound_scores"
    if how == "nan":
        # 0/0 for what is red, which the golden sample does not show.
        graph.initializer.append(numpy_helper.from_array(np.array(0, np.float32), "nought"))
        graph.initializer.append(numpy_helper.from_array(np.array(0, np.int64), "red"))
        graph.node.append(helper.make_node("Equal", ["labels", "red"], ["is_red"]))
        graph.node.append(helper.make_node("Div", ["nought", "nought"], ["nan"]))
        graph.node.append(helper.make_node("Where", ["is_red", "nan", "sound_scores"], ["scores"]))
    elif how == "huge":
        # A few bytes that ask for 6 GiB.
        graph.initializer.append(numpy_helper.from_array(np.array([1536, 1024, 1024], np.int64), "size"))
        fill = numpy_helper.from_array(np.array([1], np.float32))
        graph.node.append(helper.make_node("ConstantOfShape", ["size"], ["mountain"], value=fill))
        graph.node.append(helper.make_node("Mul", ["mountain", "tiny"], ["hill"]))
        graph.initializer.append(numpy_helper.from_array(np.array(1, np.float32), "tiny"))
        graph.node.append(helper.make_node("ReduceMax", ["hill"], ["peak"], keepdims=0))
        graph.node.append(helper.make_node("Mul", ["sound_scores", "peak"], ["scores"]))
    elif how == "crooked":
        # Another label than the golden sample has.
        graph.initializer.append(numpy_helper.from_array(np.array(0.1, np.float32), "tenth"))
        graph.node.append(helper.make_node("Mul", ["sound_scores", "tenth"], ["scores"]))
    else:
        raise ValueError(how)
    data = model.SerializeToString()
    (folder / "model.onnx").write_bytes(data)
    found = json.loads((folder / "manifest.json").read_text())
    found["files"]["model.onnx"] = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    (folder / "manifest.json").write_text(json.dumps(found))
