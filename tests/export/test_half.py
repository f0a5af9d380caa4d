from pathlib import Path

import numpy as np
import onnx
import pytest
from models import COLOURS, bundle_of, colour_net, colour_pictures, square_net, square_pictures
from onnx import TensorProto, numpy_helper

from edge.inference.stages import Stage
from export.calibrate import images, read
from export.errors import ExportError
from export.half import half
from export.quantize import quantize


@pytest.fixture
def squares(tmp_path: Path):
    square_pictures(tmp_path / "squares", 6)
    return bundle_of(square_net(), "detection", ("red", "green")), images(tmp_path / "squares")


@pytest.fixture
def colours(tmp_path: Path):
    return bundle_of(colour_net(), "classification", COLOURS), images(colour_pictures(tmp_path / "colours"))


def _types(model: onnx.ModelProto) -> dict[str, int]:
    onnx.checker.check_model(model, full_check=True)
    graph = onnx.shape_inference.infer_shapes(model).graph
    known = {v.name: v.type.tensor_type.elem_type for v in [*graph.input, *graph.output, *graph.value_info]}
    return known | {t.name: t.data_type for t in graph.initializer}


def _computed(model: onnx.ModelProto, kind: int) -> set[str]:
    types = _types(model)
    return {n.op_type for n in model.graph.node if types.get(n.output[0]) == kind and n.op_type != "Cast"}


def test_half_detector_computes_its_net_in_float16_and_decodes_in_float32(squares):
    bundle, paths = squares
    found = half(bundle, paths)
    assert _computed(found.model, TensorProto.FLOAT16) == {"Conv", "Relu"}
    assert {"Reshape", "Slice", "Sigmoid", "TopK", "GatherElements"} & _computed(
        found.model, TensorProto.FLOAT16
    ) == set()
    types = _types(found.model)
    assert types["image"] == TensorProto.UINT8
    assert types["boxes"] == types["scores"] == TensorProto.FLOAT
    before, after = Stage(bundle)(read(paths[0]))[0], Stage(found.bundle)(read(paths[0]))[0]
    np.testing.assert_array_equal(after.labels, before.labels)
    np.testing.assert_allclose(after.boxes, before.boxes, atol=0.05)


def test_half_classifier_says_the_same_with_weights_of_half_the_size(colours):
    bundle, paths = colours
    found = half(bundle, paths)
    assert {"Conv", "Relu", "Clip", "Add", "MaxPool", "Concat", "GlobalAveragePool", "Gemm"} <= _computed(
        found.model, TensorProto.FLOAT16
    )
    assert "Softmax" in _computed(found.model, TensorProto.FLOAT)
    held = [t for t in found.model.graph.initializer if len(t.dims) == 4 and max(t.dims[2:]) > 1]
    assert held
    assert all(t.data_type == TensorProto.FLOAT16 for t in held)
    for path in paths:
        before, after = Stage(bundle)(read(path))[0], Stage(found.bundle)(read(path))[0]
        assert before.labels[0] == after.labels[0]
        np.testing.assert_allclose(after.scores, before.scores, atol=0.01)


def test_half_when_values_overflow_keeps_those_layers_in_float(colours):
    """A convolution's output a million times as large, and the next one's weights as much smaller."""
    bundle, paths = colours
    model = onnx.load_from_string(bundle.model)
    weights = {t.name: t for t in model.graph.initializer}
    convolutions = [n for n in model.graph.node if n.op_type == "Conv"]
    for name in convolutions[0].input[1:]:
        weights[name].CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weights[name]) * np.float32(1e6), name))
    report = half(bundle_of(model, "classification", COLOURS), paths).report
    assert convolutions[0].output[0] in report["kept_float"]
    assert "too large for half precision" in report["kept_float"][convolutions[0].output[0]]
    assert half(bundle, paths).report["kept_float"] == {}


def test_half_when_a_weight_is_too_large_keeps_that_layer_in_float(squares):
    bundle, paths = squares
    model = onnx.load_from_string(bundle.model)
    convolution = next(n for n in model.graph.node if n.op_type == "Conv")
    tensor = next(t for t in model.graph.initializer if t.name == convolution.input[1])
    values = numpy_helper.to_array(tensor).copy()
    values[0, 2] = 1e5 * 0
    values[0, 2, 0, 0] = -1e5
    tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    report = half(bundle_of(model, "detection", ("red", "green")), paths).report
    assert convolution.output[0] in report["kept_float"]


def test_half_of_what_is_not_float_is_refused(colours):
    bundle, paths = colours
    with pytest.raises(ExportError, match="already int8"):
        half(quantize(bundle, paths).bundle, paths)
