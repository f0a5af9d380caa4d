from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from edge.bundle.onnxfile import holds_external_data
from edge.errors import BundleError


def _model(tensor, *, where="initializer"):
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [4])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [4])
    if where == "initializer":
        graph = helper.make_graph([helper.make_node("Add", ["x", tensor.name], ["y"])], "g", [x], [y], [tensor])
    elif where == "attribute":
        nodes = [helper.make_node("Constant", [], ["c"], value=tensor), helper.make_node("Add", ["x", "c"], ["y"])]
        graph = helper.make_graph(nodes, "g", [x], [y])
    else:
        inner = helper.make_graph(
            [helper.make_node("Constant", [], ["c"], value=tensor), helper.make_node("Add", ["x", "c"], ["z"])],
            "then",
            [],
            [helper.make_tensor_value_info("z", TensorProto.FLOAT, [4])],
        )
        yes = numpy_helper.from_array(np.array(True), "yes")
        graph = helper.make_graph(
            [helper.make_node("If", ["yes"], ["y"], then_branch=inner, else_branch=inner)], "g", [x], [y], [yes]
        )
    return helper.make_model(graph)


def _external(tensor):
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../etc/passwd")
    return tensor


@pytest.mark.parametrize("where", ["initializer", "attribute", "subgraph"])
def test_external_data_when_anywhere_in_the_model_then_is_found(where):
    inline = numpy_helper.from_array(np.zeros(4, np.float32), "w")
    assert not holds_external_data(_model(inline, where=where).SerializeToString())
    outside = _external(numpy_helper.from_array(np.zeros(4, np.float32), "w"))
    assert holds_external_data(_model(outside, where=where).SerializeToString())


def test_the_words_of_external_data_when_in_a_name_or_weight_then_are_not_taken_for_it():
    tensor = numpy_helper.from_array(np.frombuffer(b"location" * 2, np.float32), "location")
    assert not holds_external_data(_model(tensor).SerializeToString())


@pytest.mark.parametrize("cut", [1, 7, 20])
def test_model_when_truncated_then_is_a_bundle_error(cut):
    data = _model(numpy_helper.from_array(np.zeros(4, np.float32), "w")).SerializeToString()
    with pytest.raises(BundleError, match="not an ONNX file"):
        holds_external_data(data[:-cut])


@settings(deadline=None, max_examples=400)
@given(st.binary(max_size=200))
def test_any_bytes_when_read_then_give_an_answer_or_a_bundle_error(data):
    with suppress(BundleError):
        assert holds_external_data(data) in {True, False}


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_a_model_with_a_flipped_byte_when_read_then_gives_an_answer_or_a_bundle_error(data):
    raw = bytearray(_model(numpy_helper.from_array(np.zeros(4, np.float32), "w")).SerializeToString())
    raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    with suppress(BundleError):
        assert holds_external_data(bytes(raw)) in {True, False}
