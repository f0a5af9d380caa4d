"""A whole saved model to ONNX: names, constants, the batch, and what is pruned."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import onnx
import pytest
from small_model import symbol_document, symbol_weights, write_model

from export import source
from export.errors import SourceError
from export.run_onnx import run_model
from export.translate import translate
from export.zoo import reference


@pytest.fixture
def saved(tmp_path):
    return write_model(tmp_path)


def picture(count=3):
    return np.random.default_rng(5).normal(0, 1, (count, 3, 8, 9)).astype(np.float32)


def test_translate_when_the_model_is_good_then_it_equals_mxnet_at_any_batch(saved):
    model = translate(source.load(*saved), input_hw=(8, 9))
    onnx.checker.check_model(model, full_check=True)
    for count in (1, 4):
        found = run_model(model, {"data": picture(count)})
        np.testing.assert_allclose(found["dense_output"], reference(*saved, picture(count))[0], atol=1e-5)


def test_translate_when_done_then_weights_are_no_inputs_and_names_are_unique(saved):
    model = translate(source.load(*saved), input_hw=(8, 9))
    assert [value.name for value in model.graph.input] == ["data"]
    assert [dim.dim_param or dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim] == ["N", 3, 8, 9]
    names = [node.name for node in model.graph.node]
    assert len(names) == len(set(names))
    assert "BatchNormalization" not in {node.op_type for node in model.graph.node}
    assert {"conv", "relu", "pool", "dense"} <= set(names)


def test_translate_when_node_names_repeat_then_they_are_made_unique(tmp_path):
    document = symbol_document()
    for node in document["nodes"][9:]:
        node["name"] = "same"
    files = write_model(tmp_path, document)
    model = translate(source.load(*files), input_hw=(8, 9))
    names = [node.name for node in model.graph.node]
    assert len(names) == len(set(names))
    found = run_model(model, {"data": picture()})[model.graph.output[0].name]
    np.testing.assert_allclose(found, reference(*files, picture())[0], atol=1e-5)


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_translate_when_weights_are_of_another_width_then_it_equals_mxnet_in_float32(tmp_path, dtype):
    weights = {name: array.astype(dtype) for name, array in symbol_weights().items()}
    files = write_model(tmp_path, weights=weights)
    found = run_model(translate(source.load(*files), input_hw=(8, 9)), {"data": picture()})["dense_output"]
    np.testing.assert_allclose(found, reference(*files, picture())[0], atol=1e-5)


def test_translate_when_a_module_ends_in_its_loss_then_the_label_is_pruned(tmp_path):
    document = symbol_document()
    document["nodes"].append({"op": "null", "name": "softmax_label", "inputs": []})
    inputs = [[document["heads"][0][0], 0, 0], [len(document["nodes"]) - 1, 0, 0]]
    document["nodes"].append({"op": "SoftmaxOutput", "name": "softmax", "inputs": inputs})
    document["heads"] = [[len(document["nodes"]) - 1, 0, 0]]
    files = write_model(tmp_path, document)
    model = translate(source.load(*files), input_hw=(8, 9))
    assert [value.name for value in model.graph.input] == ["data"]
    found = run_model(model, {"data": picture()})["softmax_output"]
    np.testing.assert_allclose(found, reference(*files, picture())[0], atol=1e-6)


def test_translate_when_the_batch_is_fixed_then_the_shape_says_so(saved):
    model = translate(source.load(*saved), input_hw=(8, 9), batch=2)
    assert [dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim] == [2, 3, 8, 9]


def test_translate_when_the_input_is_named_wrongly_then_the_error_names_the_inputs(saved):
    with pytest.raises(SourceError, match="'picture'; it has data"):
        translate(source.load(*saved), input_hw=(8, 9), input_name="picture")


def test_converting_when_mxnet_cannot_be_imported_then_it_works(saved):
    code = (
        "import sys; sys.modules['mxnet'] = sys.modules['gluoncv'] = None\n"
        "from pathlib import Path; from export import heads, source\n"
        "graph = source.load(Path(sys.argv[1]), Path(sys.argv[2]))\n"
        "model = heads.finish(graph, task='classification', input_hw=(8, 9), labels=['a', 'b', 'c'])\n"
        "print(len(model.graph.node))"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, *map(str, saved)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 3
