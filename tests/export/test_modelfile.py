"""A model's file, written weight by weight."""

import numpy as np
import onnx
import pytest
from models import colour_net, joint_net, square_net
from onnx import helper

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
