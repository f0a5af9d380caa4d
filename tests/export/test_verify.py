"""Verification finds what is wrong, names it, and is silent otherwise."""

from __future__ import annotations

import sys

import numpy as np
import onnx
import pytest
from small_model import write_model

from export import heads, source, zoo
from export.errors import ExportError
from export.match import Detections, match
from export.ops import registry
from export.verify import verify


@pytest.fixture
def saved(tmp_path):
    return write_model(tmp_path)


def finish(saved):
    return heads.finish(
        source.load(*saved), task="classification", input_hw=(16, 12), labels=["a", "b", "c"], scale=1 / 255
    )


def run(saved, model):
    return verify(*saved, model, zoo.pictures(2, (16, 12), seed=4), task="classification", scale=1 / 255)


def test_verify_when_everything_is_right_then_it_says_so(saved):
    found = run(saved, finish(saved))
    assert found.ok
    assert found.to_json()["first_divergence"] is None
    assert found.to_json()["outputs"][0]["name"] == "scores"


def test_verify_when_an_operator_is_broken_then_its_first_node_is_named(saved, monkeypatch):
    right = registry._CONVERTERS["Pooling"]

    def broken(b, inputs, attrs):
        return b.op("Mul", right(b, inputs, attrs), np.float32(1.001))

    monkeypatch.setitem(registry._CONVERTERS, "Pooling", broken)
    found = run(saved, finish(saved))
    assert not found.ok
    assert (found.first_divergence.node, found.first_divergence.op) == ("pool", "Pooling")
    assert found.first_divergence.max_abs > 0


def test_verify_when_only_the_finished_model_is_wrong_then_the_output_is_named(saved):
    model = finish(saved)
    for tensor in model.graph.initializer:
        if tensor.name == "dense_bias":
            array = onnx.numpy_helper.to_array(tensor) + np.float32([0.1, 0, 0])
            tensor.CopyFrom(onnx.numpy_helper.from_array(array, tensor.name))
    found = run(saved, model)
    assert not found.ok
    assert found.first_divergence is None
    assert found.outputs[0].max_abs > found.outputs[0].tolerance


def test_verify_when_mxnet_is_missing_then_the_error_says_how_to_get_it(saved, monkeypatch):
    model = finish(saved)
    monkeypatch.setitem(sys.modules, "mxnet", None)
    with pytest.raises(ExportError, match=r"MXNet is not installed.*pip install 'gluon-edge\[zoo\]'"):
        run(saved, model)


def detections(*rows):
    table = np.asarray(rows, np.float32).reshape(-1, 6)
    return Detections(table[:, 2:], table[:, 1], table[:, 0])


A, B, C = (0, 0.9, 10, 10, 20, 20), (1, 0.5, 30, 30, 50, 50), (0, 0.3, 5, 5, 9, 9)


def test_match_when_rows_come_in_another_order_then_nothing_is_unmatched():
    assert match(detections(B, A, C), detections(A, B, C), rows=10).unmatched == 0


def test_match_when_a_row_is_missing_or_too_many_then_it_counts():
    assert match(detections(A, B), detections(A, B, C), rows=10).unmatched == 1
    assert match(detections(A, B, C), detections(A, B), rows=10).unmatched == 1


@pytest.mark.parametrize("wrong", [(1, 0.9, 10, 10, 20, 20), (0, 0.8998, 10, 10, 20, 20), (0, 0.9, 10, 10, 20, 20.1)])
def test_match_when_label_score_or_box_differ_then_both_sides_are_unmatched(wrong):
    assert match(detections(wrong), detections(A), rows=10).unmatched == 2


def test_match_when_rounding_decides_who_is_last_in_a_full_list_then_it_is_excused():
    other = (1, 0.30001, 70, 70, 80, 80)
    assert match(detections(A, B, C), detections(A, B, other), rows=3).unmatched == 0
    assert match(detections(A, B, C), detections(A, B, other), rows=4).unmatched == 2
