"""A model's file, written weight by weight."""

import numpy as np
import onnx
import onnxruntime
import pytest
from models import colour_net, joint_net, square_net
from onnx import TensorProto, helper, numpy_helper

from export.modelfile import write_model


@pytest.mark.parametrize("net", [colour_net, square_net, joint_net])
def test_a_models_file_is_byte_for_byte_its_serialization(net, tmp_path):
    model = net()
    helper.set_model_props(model, {"made": "here", "a": "b"})
    model.doc_string, model.graph.doc_string = "a model", "its graph"
    model.functions.add(name="f", domain="d")
    write_model(tmp_path / "model.onnx", model)
    assert (tmp_path / "model.onnx").read_bytes() == model.SerializeToString(deterministic=True)


@pytest.mark.parametrize("sizes", [[], [0], [31], [127, 128, 16383, 16384, 2_100_000]])
def test_a_models_file_when_weights_have_any_size_then_lengths_are_right(sizes, tmp_path):
    weights = [onnx.numpy_helper.from_array(np.arange(n, dtype=np.uint8), f"w{n}") for n in sizes]
    model = helper.make_model(helper.make_graph([], "empty", [], [], weights))
    write_model(tmp_path / "model.onnx", model)
    assert (tmp_path / "model.onnx").read_bytes() == model.SerializeToString(deterministic=True)


def _dense_net(*, described):
    """float [1, 3] -> float [1, 400] by weights of 4800 bytes, which may bear a description behind their numbers."""
    weights = numpy_helper.from_array(np.arange(1200, dtype=np.float32).reshape(3, 400), "w")
    if described:
        weights.doc_string = "comes after the numbers in the file"
    values = [
        helper.make_tensor_value_info(*v)
        for v in (("x", TensorProto.FLOAT, [1, 3]), ("y", TensorProto.FLOAT, [1, 400]))
    ]
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])], "dense", values[:1], values[1:], [weights]
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.mark.parametrize(("described", "inside"), [(False, False), (True, True)])
def test_the_outline_when_loaded_beside_the_file_then_is_the_same_model(described, inside, tmp_path):
    model = _dense_net(described=described)
    outline = write_model(tmp_path / "model.onnx", model)
    assert (len(outline) > 4800) == inside
    (tmp_path / "outline.onnx").write_bytes(outline)
    runs = [onnxruntime.InferenceSession(tmp_path / name) for name in ("model.onnx", "outline.onnx")]
    fed = {"x": np.array([[1, 2, 3]], np.float32)}
    assert np.array_equal(*(run.run(None, fed)[0] for run in runs))
